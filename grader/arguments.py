"""Command lines: a parser whose complaints are sentences with what to do, and numbers that name what was typed."""

from __future__ import annotations

import argparse
import re
from argparse import ArgumentTypeError
from typing import Any, NoReturn

from grader.model import UsageError
from grader.names import nearest

MAX_PORT = 65_535


class Parser(argparse.ArgumentParser):
    """Options may stand anywhere between the names. Raises UsageError instead of printing the usage and ending."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Newer versions of Python would colour the usage line and lengthen the messages that are read below.
        self.color = False
        self.suggest_on_error = False

    def read(self, arguments: list[str]) -> argparse.Namespace:
        """The arguments as a namespace."""
        try:
            return self.parse_intermixed_args(arguments)
        except argparse.ArgumentError as error:
            self.error(str(error))

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self._sentence(message)}\nSee {self.prog} --help")

    def _sentence(self, message: str) -> str:
        """What argparse says, in words for the person who typed it."""
        if unknown := re.fullmatch(r"unrecognized arguments: (.*)", message):
            word = unknown[1].split()[0]
            known = [option for action in self._actions for option in action.option_strings]
            if word.startswith("-"):
                return f"no option is called {word}. {nearest(word.partition('=')[0], known)}"
            return f'there is a name too many: "{word}"'
        if missing := re.fullmatch(r"the following arguments are required: (.*)", message):
            return f"something is missing: {missing[1].upper()}. Type {self.format_usage().split(': ', 1)[1].strip()}"
        message = message.removeprefix("argument ")
        if choice := re.fullmatch(r"(?P<option>.*): invalid choice: '(?P<word>.*)' \(.*\)", message):
            action = next(action for action in self._actions if choice["option"] in "/".join(action.option_strings))
            names = list(action.choices or ())
            return f'{choice["option"]} takes {", ".join(names)}, not "{choice["word"]}"'
        if number := re.fullmatch(r"(?P<option>.*): invalid int value: '(?P<word>.*)'", message):
            return f'{number["option"]}: takes a whole number, not "{number["word"]}"'
        return message


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


def port(text: str) -> int:
    """ "8000" -> 8000. Raises ArgumentTypeError for anything but the number of a TCP port."""
    if not 1 <= (number := _whole(text)) <= MAX_PORT:
        raise ArgumentTypeError(f"takes a number from 1 to {MAX_PORT}, not {number}")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f'takes a whole number, not "{text}"') from None
