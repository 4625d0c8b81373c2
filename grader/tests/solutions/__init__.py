"""Unit tests of the solutions: what the checks of an exercise do not say about its model code."""
