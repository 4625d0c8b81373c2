"""Scorecard -> text, one pure function per format: no clock, no randomness, declaration order."""
