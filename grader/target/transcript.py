r"""What passed between the grader and the submission during the current check, ready to show.

Bytes are shown escaped: printable ASCII as it is, `\r \n \t`, everything else as `\xNN`. Long runs of one unit are
folded (grader.target.folding); of long binary data only the beginning is shown.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grader.model import Exchange
from grader.sandbox.child.plain import Record
from grader.target.folding import Piece, fold

MAX_EXCHANGES = 200
MAX_EXCHANGE = 16_000  # characters
MAX_SHOWN = 4096
MAX_VALUE = 16_000
SHORT = 100  # what is not longer is never folded
BINARY_SHOWN, BINARY_LEAST = 64, 1024
FEWEST_ITEMS = 8

_ESCAPES = {9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\", 34: '\\"'}
_TABLE = {code: _ESCAPES.get(code, chr(code) if 32 <= code < 127 else f"\\x{code:02x}") for code in range(256)}
_TEXT = bytes(code for code in range(256) if len(_TABLE[code]) < 4)


def escape(data: bytes) -> str:
    r"""b'GET /"\r\n' -> 'GET /\"\r\n', all of it."""
    return data.decode("latin-1").translate(_TABLE)


def show_bytes(data: bytes, limit: int = MAX_SHOWN, total: int = 0) -> str:
    r"""b'GET /"\r\n' -> '"GET /\"\r\n"'; past `limit` bytes the rest is counted, not shown.

    `data` may be the beginning of something longer: of `total` bytes.
    """
    total = max(total, len(data))
    pieces, binary = _pieces(data, limit)
    end = pieces[-1].end if pieces else 0
    shown = " + ".join(_show_piece(data, piece) for piece in pieces) or '""'
    if end < total:
        rest = f" ({total} bytes, the first {end} shown)" if binary else f" ... {total - end} more bytes"
        return shown + rest
    return f"{shown} ({total} bytes)" if any(piece.count > 1 for piece in pieces) else shown


def show_bare(data: bytes, limit: int = MAX_SHOWN) -> str:
    """The same without the quotes, where nothing needs them."""
    shown = show_bytes(data, limit)
    return shown[1:-1] if shown == f'"{escape(data)}"' else shown


def offset_shown(data: bytes, offset: int, limit: int = MAX_SHOWN) -> int:
    """Where byte `offset` of `data` begins in show_bytes(data): for the caret."""
    place = 0
    for number, piece in enumerate(_pieces(data, limit)[0]):
        if number:
            place += len(" + ")
        if offset < piece.end or piece.end == len(data):
            inside = max(0, offset - piece.start)
            inside = inside % piece.size if piece.count > 1 else inside
            return place + 1 + len(escape(data[piece.start : piece.start + inside]))
        place += len(_show_piece(data, piece))
    return max(0, place - 1) if data else 1


def is_binary(part: bytes) -> bool:
    """Whether most of it cannot be shown as text."""
    return 2 * len(part.translate(None, _TEXT)) > len(part)


def _pieces(data: bytes, limit: int) -> tuple[list[Piece], bool]:
    """What of the data is shown, and whether the rest is left out because it is binary."""
    if len(data) <= min(SHORT, limit):
        return fold(data, limit), False
    shown: list[Piece] = []
    for piece in fold(data, limit):
        if limit <= 0:
            break
        if piece.count > 1:
            shown.append(piece)
            limit -= piece.size
            continue
        text = _text_until(data, piece, limit)
        if text < piece.size:
            return [*shown, Piece(piece.start, text)], text < limit
        shown.append(piece)
        limit -= piece.size
    return shown, False


def _text_until(data: bytes, piece: Piece, limit: int) -> int:
    """How many bytes of a piece to show: all, `limit`, or a few beyond the place where it becomes binary."""
    most = min(piece.size, limit)
    for at in range(0, most if piece.size > BINARY_LEAST else 0, BINARY_SHOWN):
        part = data[piece.start + at : piece.start + min(at + BINARY_SHOWN, most)]
        if is_binary(part) and piece.size - at > BINARY_LEAST:
            return min(at + BINARY_SHOWN, most)
    return most


def _show_piece(data: bytes, piece: Piece) -> str:
    shown = f'"{escape(data[piece.start : piece.start + piece.size])}"'
    return shown if piece.count == 1 else f"{shown}*{piece.count}"


def show_value(value: object, limit: int = MAX_VALUE) -> str:
    """repr() of a value, long runs folded; past `limit` characters the rest is counted, not shown."""
    try:
        text = repr(value)
        if len(text) > SHORT:
            text = _folded(value)
    except ValueError:  # a whole number of more digits than Python is ready to write out
        return f"a {type(value).__name__} with a number of more than {sys.get_int_max_str_digits()} digits"
    return text if len(text) <= limit + SHORT else f"{text[:limit]} ... {len(text) - limit} more characters"


def _folded(value: Any) -> str:
    """repr() with `b'a'*8170` for long runs, and `[item]*900` for a list of equal items."""
    match value:
        case str() | bytes():
            return _folded_text(value)
        case list() | tuple() if len(value) >= FEWEST_ITEMS and all(item == value[0] for item in value):
            return (
                f"[{_folded(value[0])}]*{len(value)}" if type(value) is list else f"({_folded(value[0])},)*{len(value)}"
            )
        case list():
            return f"[{', '.join(map(_folded, value))}]"
        case tuple():
            return f"({', '.join(map(_folded, value))}{',' * (len(value) == 1)})"
        case dict():
            return "{" + ", ".join(f"{key!r}: {_folded(item)}" for key, item in value.items()) + "}"
        case Record():
            return f"{value.type}({', '.join(f'{name}={_folded(item)}' for name, item in value.attrs.items())})"
        case _:
            return repr(value)


def _folded_text(value: str | bytes) -> str:
    if isinstance(value, bytes) and len(value) > BINARY_LEAST:
        pieces, binary = _pieces(value, MAX_VALUE)
        if binary:
            end = pieces[-1].end
            return f"{_join(value, pieces)} ({len(value)} bytes, the first {end} shown)"
    pieces = fold(value, MAX_VALUE)
    return _join(value, pieces) if len(pieces) > 1 or any(piece.count > 1 for piece in pieces) else repr(value)


def _join(value: str | bytes, pieces: list[Piece]) -> str:
    parts = [(repr(value[piece.start : piece.start + piece.size]), piece.count) for piece in pieces]
    return " + ".join(shown if count == 1 else f"{shown}*{count}" for shown, count in parts)


def show_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """'take_head(b'GET /' + b'a'*8170)  (8175 bytes)': as it would be typed, and the length where one is folded."""
    shown = [show_value(item) for item in args] + [f"{key}={show_value(item)}" for key, item in kwargs.items()]
    folded = [
        f"{len(item)} {'bytes' if isinstance(item, bytes) else 'characters'}"
        for item in (*args, *kwargs.values())
        if isinstance(item, (str, bytes)) and len(item) > SHORT and show_value(item) != repr(item)
    ]
    return f"{name}({', '.join(shown)})" + (f"  ({folded[0]})" if len(folded) == 1 else "")


Said = str | Callable[[], str]


class Transcript:
    """The exchanges of one check, in order. Past MAX_EXCHANGES the oldest are forgotten.

    A text may be given as a function that makes it: most exchanges are never shown, and folding costs.
    `witness` tells what a server under test has printed during the check; it waits so many seconds for a traceback.
    """

    def __init__(self) -> None:
        self._exchanges: list[tuple[str, Said]] = []
        self._speaker: object = None
        self.witness: Callable[[float], str] | None = None

    def clear(self) -> None:
        """A new check, or a new example, begins."""
        self._exchanges.clear()
        self._speaker = self.witness = None

    def sent(self, text: Said) -> None:
        """The grader has said this."""
        self._add("sent", text)

    def got(self, text: Said) -> None:
        """The submission has said this."""
        self._add("got", text)

    def got_more(self, text: Said, speaker: object) -> None:
        """All that `speaker` has said since it was last spoken to: replaces what was noted of it, if that came last."""
        if self._speaker is speaker and speaker is not None:
            self._exchanges.pop()
        self._add("got", text)
        self._speaker = speaker

    def _add(self, way: str, text: Said) -> None:
        self._speaker = None
        self._exchanges.append((way, text))
        del self._exchanges[:-MAX_EXCHANGES]

    def last(self, way: str) -> str:
        """The newest exchange that was "sent" or that was "got"; "" before the first."""
        return next((_text_of(said) for whose, said in reversed(self._exchanges) if whose == way), "")

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        return tuple(Exchange(way, _text_of(said)) for way, said in self._exchanges)


def _text_of(said: Said) -> str:
    text = said if isinstance(said, str) else said()
    return text[:MAX_EXCHANGE]


# One judge process runs one check at a time, so there is one transcript; the engine clears it between checks.
TRANSCRIPT = Transcript()
