"""Tests of what the checks are made of: readers of pages, builders of questions."""
