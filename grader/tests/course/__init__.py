"""A course of one tiny exercise, small enough to see through, for tests of the grader itself."""
