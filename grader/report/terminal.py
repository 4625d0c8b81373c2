"""The one place that writes a report to a terminal, a pipe or a file: encoding, width, colour, a reader that left."""

from __future__ import annotations

import io
import os
import shutil
import sys
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console
from rich.text import Text

from grader.model import Scorecard
from grader.report.layout import MIN_WIDTH, UNICODE
from grader.report.safe import neutral
from grader.report.text import render

WIDEST = 100
PLAIN_WIDTH = 80
# Their fonts lack the marks, or they show control sequences as they are.
SIMPLE_TERMINALS = ("dumb", "linux", "unknown", "")


@dataclass(frozen=True, slots=True)
class Screen:
    """What the place that a report goes to can show; `width` in columns, `live` where a line can be rewritten."""

    width: int
    unicode: bool
    encoding: str
    colour: bool
    live: bool


def screen(stream: TextIO | None = None) -> Screen:
    """Look at a stream (standard output) and at the environment."""
    stream = sys.stdout if stream is None else stream
    encoding = getattr(stream, "encoding", None) or "utf-8"
    terminal = _is_terminal(stream)
    simple = os.name != "nt" and os.environ.get("TERM", "") in SIMPLE_TERMINALS
    unicode = _can_show_marks(encoding) and not (terminal and simple)
    colour = terminal and not simple and not os.environ.get("NO_COLOR") and not _is_old_windows(stream)
    return Screen(_width(stream, terminal), unicode, encoding, colour, terminal and not simple)


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _can_show_marks(encoding: str) -> bool:
    marks = UNICODE
    try:
        (marks.passed + marks.failed + marks.dot + marks.full + marks.empty + marks.margin).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _is_old_windows(stream: TextIO) -> bool:
    """A Windows console that does not understand control sequences."""
    return os.name == "nt" and Console(file=stream).legacy_windows


def _width(stream: TextIO, terminal: bool) -> int:
    if not terminal and "COLUMNS" not in os.environ:
        return PLAIN_WIDTH
    columns = shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns
    if os.name == "nt":
        columns -= 1  # a full line there is followed by an empty one
    return max(MIN_WIDTH, min(WIDEST, columns))


def show(text: Text | str, stream: TextIO | None = None) -> None:
    """Write a text, coloured where that is welcome; what cannot be encoded becomes "?". A reader may have left."""
    stream = sys.stdout if stream is None else stream
    place = screen(stream)
    shown = text if isinstance(text, str) else _coloured(text) if place.colour else text.plain
    write(shown if shown.endswith("\n") else shown + "\n", stream)


def show_report(card: Scorecard, *, verbose: bool = False, stream: TextIO | None = None) -> None:
    """Render a scorecard for the stream that it goes to, and write it there."""
    place = screen(stream)
    show(render(card, width=place.width, verbose=verbose, unicode=place.unicode, encoding=place.encoding), stream)


def _coloured(text: Text) -> str:
    file = io.StringIO()
    console = Console(
        file=file,
        force_terminal=True,
        color_system="standard",
        no_color=False,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
        width=10_000,
    )
    console.print(text, end="", soft_wrap=True)
    return file.getvalue()


def write(text: str, stream: TextIO) -> bool:
    """Write and flush; False when nobody reads any more, and then nothing written later fails either."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
    except (OSError, ValueError):
        silence(stream)
        return False
    return True


def silence(stream: TextIO) -> None:
    """Send the stream to nowhere: the interpreter flushes it once more at exit, which must not change the exit code."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return


def show_error(text: str) -> None:
    """Write a message of several lines to standard error; it may name files of a submission."""
    place = screen(sys.stderr)
    show("\n".join(neutral(line, place.encoding) for line in text.split("\n")), sys.stderr)


def encoding(stream: TextIO | None = None) -> str:
    """The encoding that text is written in there."""
    return screen(stream).encoding
