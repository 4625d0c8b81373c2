r"""How bytes on the wire are shown: `>` what the client sent, `<` what came back, one line each, escaped.

    > 1  GET / HTTP/1.1\r\n
    < 1  HTTP/1.1 200 OK\r\n
    < 1  ... 20418 more bytes

The number tells connections apart. A head is shown whole, of a body the first BODY_SHOWN bytes.
"""

from __future__ import annotations

import re
import sys
import threading
from dataclasses import dataclass, field
from typing import Literal

from rich.text import Text

from grader.report import terminal
from grader.report.safe import neutral
from grader.target.transcript import BINARY_SHOWN, escape, is_binary, show_bare

HEAD_SHOWN = 8192
BODY_SHOWN = 1024
STYLES = {">": "cyan", "<": "green", "|": "yellow", "*": "bold"}

Way = Literal[">", "<"]
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


@dataclass
class _Turn:
    """The bytes that went one way since the last ones went the other way."""

    way: str
    whole: bool = False
    total: int = 0
    hidden: int = 0
    start: bytearray = field(default_factory=bytearray)

    def take(self, data: bytes) -> bytes:
        """The part of `data` to show; the rest is counted as hidden."""
        self.start += data[: max(0, HEAD_SHOWN - self.total)]
        blank = _BLANK_LINE.search(self.start)
        body_shown = BODY_SHOWN
        if self.whole:
            # A body that nobody can read tells nothing; whoever asks for all of it wants text.
            binary = blank is not None and is_binary(bytes(self.start[blank.end() : blank.end() + BODY_SHOWN]))
            body_shown = BINARY_SHOWN if binary else sys.maxsize
        limit = blank.end() + body_shown if blank else sys.maxsize if self.whole else HEAD_SHOWN
        shown = data[: max(0, limit - self.total)]
        self.total += len(data)
        self.hidden += len(data) - len(shown)
        return shown


class WireLog:
    """Prints what passes. Safe to use from several threads; a line is never torn.

    With `whole` nothing is cut but binary data; long runs of one byte are folded.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._turns: dict[int, _Turn] = {}
        self._lock = threading.Lock()

    def passed(self, connection: int, way: Way, data: bytes) -> None:
        """Bytes of one connection, as they came."""
        with self._lock:
            turn = self._turns.get(connection)
            if turn is None or turn.way != way:
                self._settle(connection)
                turn = self._turns[connection] = _Turn(way, self._whole)
            self._print(
                way,
                *(f"{way} {connection}  {line}" for line in escaped_lines(turn.take(data), folded=self._whole)),
            )

    def pause(self, connection: int) -> None:
        """Nothing has come for a while: say how much was not shown."""
        with self._lock:
            self._settle(connection)

    def closed(self, connection: int, what: str) -> None:
        """The end of one direction, in words."""
        with self._lock:
            self._settle(connection)
            self._print("*", f"* {connection}  {what}")

    def program(self, text: str) -> None:
        """What the program printed for its author."""
        with self._lock:
            # Nothing that a program prints may pass for a line of ours, or move the cursor.
            encoding = terminal.encoding()
            self._print("|", *(f"| {neutral(line.expandtabs(4), encoding)}" for line in text.splitlines()))

    def note(self, text: str) -> None:
        """A sentence of ours."""
        with self._lock:
            self._print("*", text)

    def _settle(self, connection: int) -> None:
        turn = self._turns.get(connection)
        if turn is not None and turn.hidden:
            self._print(turn.way, f"{turn.way} {connection}  ... {turn.hidden} more bytes")
            turn.hidden = 0

    def _print(self, mark: str, *lines: str) -> None:
        if lines:
            terminal.show(Text("\n".join(lines), style=STYLES[mark]))


def escaped_lines(data: bytes, *, folded: bool = False) -> list[str]:
    r"""b'a\r\n"b"' -> ['a\\r\\n', '"b"']: one entry per line, its end visible."""
    lines = [line for line in re.split(rb"(?<=\n)", data) if line]
    # escape() puts a backslash before every quote, for the quotes around the whole; there are none here.
    return [(show_bare(line, len(line)) if folded else escape(line)).replace('\\"', '"') for line in lines]
