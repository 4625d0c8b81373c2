r"""What passed between the grader and the submission during the current check, ready to show.

Bytes are shown escaped: printable ASCII as it is, `\r \n \t`, everything else as `\xNN`.
"""

from __future__ import annotations

import sys

from grader.model import Exchange

MAX_EXCHANGES = 200
MAX_SHOWN = 4096

_ESCAPES = {9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\", 34: '\\"'}
_TABLE = [_ESCAPES.get(code, chr(code) if 32 <= code < 127 else f"\\x{code:02x}") for code in range(256)]


def show_bytes(data: bytes, limit: int = MAX_SHOWN) -> str:
    r"""b'GET /"\r\n' -> '"GET /\"\r\n"'; past `limit` bytes the rest is counted, not shown."""
    shown = "".join(_TABLE[byte] for byte in data[:limit])
    rest = len(data) - limit
    return f'"{shown}"' + (f" ... {rest} more bytes" if rest > 0 else "")


def offset_shown(data: bytes, offset: int) -> int:
    """Where byte `offset` of `data` begins in show_bytes(data): for the caret."""
    return 1 + sum(len(_TABLE[byte]) for byte in data[: min(offset, MAX_SHOWN)])


def show_value(value: object, limit: int = MAX_SHOWN) -> str:
    """repr() of a value, cut in the middle when it is long."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python is ready to write out
        return f"a {type(value).__name__} with a number of more than {sys.get_int_max_str_digits()} digits"
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} ... {len(text) - 2 * half} characters ... {text[-half:]}"


class Transcript:
    """The exchanges of one check, in order. Past MAX_EXCHANGES the oldest are forgotten."""

    def __init__(self) -> None:
        self._exchanges: list[Exchange] = []

    def clear(self) -> None:
        self._exchanges.clear()

    def sent(self, text: str) -> None:
        self._add("sent", text)

    def got(self, text: str) -> None:
        self._add("got", text)

    def _add(self, way: str, text: str) -> None:
        self._exchanges.append(Exchange(way, text[: 4 * MAX_SHOWN]))
        del self._exchanges[:-MAX_EXCHANGES]

    def last(self, way: str) -> str:
        return next((exchange.text for exchange in reversed(self._exchanges) if exchange.way == way), "")

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        return tuple(self._exchanges)


# One judge process runs one check at a time, so there is one transcript; the engine clears it between checks.
TRANSCRIPT = Transcript()
