"""Tests of how a check runs."""
