"""Checks of the tiny exercise."""
