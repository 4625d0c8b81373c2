"""Grading whole submissions: outcomes, scores, and what may never happen to them."""
