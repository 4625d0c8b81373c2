"""Numbers on a command line: argparse types whose complaints name what was typed."""

from __future__ import annotations

from argparse import ArgumentTypeError


def positive(text: str) -> int:
    """ "3" -> 3. Raises ArgumentTypeError for anything but a whole number from 1 on."""
    if (number := _whole(text)) < 1:
        raise ArgumentTypeError("must be at least 1")
    return number


def not_negative(text: str) -> int:
    """ "0" -> 0. Raises ArgumentTypeError for anything but a whole number from 0 on."""
    if (number := _whole(text)) < 0:
        raise ArgumentTypeError("must not be negative")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f'takes a whole number, not "{text}"') from None
