"""Scorecard -> text and data, in declaration order.

Pure functions (no clock, no randomness, no file): layout, safe, printed, finding, others, text, listing, markdown.
The others meet the world: terminal and progress write to streams, github and result to files.
"""
