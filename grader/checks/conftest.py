"""Lets the checks run as plain pytest. The judge does not read this file."""

from grader.engine.explorer import pytest_configure

__all__ = ["pytest_configure"]
