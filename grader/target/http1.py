r"""HTTP/1.1 responses out of bytes, for the judge's client: bytes in, values out, no sockets.

    take_reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP...", "GET", ended=False)
    -> HttpReply(status=200, reason="OK", headers=..., body=b"hi", raw=..., framing=Framing.LENGTH)

Strict in what RFC 9110 and RFC 9112 say a server MUST send, liberal in all that they leave free: any reason
phrase, any order and case of fields, a length, chunks, or a body that ends with the connection. A head whose lines end
in LF is read too, as browsers read it (RFC 9112 section 2.2): `bare_lf` says so, and one check is about that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from grader.target.headers import Headers

MAX_HEAD: Final = 1 << 18
TRACE_SECONDS: Final = 0.2  # for a traceback that a server prints after it has answered

_STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([0-9]{3}) ([\t -~\x80-\xff]*)")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t -~\x80-\xff]*")
_LINE = re.compile(rb"(.*?)\r?\n")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;[\t -~\x80-\xff]*)?")


class Framing(Enum):
    """How the end of a body is marked (RFC 9112 section 6.3)."""

    NONE = "no body"
    LENGTH = "Content-Length"
    CHUNKED = "chunked"
    CLOSE = "until the connection closes"


@dataclass(frozen=True, slots=True)
class HttpReply:
    """One response. `raw` is every byte of it; `interim` are the 1xx responses before it.

    `sent` and `witness` (TRANSCRIPT.witness) are for findings.
    """

    status: int
    reason: str
    headers: Headers
    body: bytes
    raw: bytes
    framing: Framing = Framing.LENGTH
    version: str = "1.1"
    interim: tuple[int, ...] = ()
    sent: str = field(default="")
    bare_lf: int | None = None  # where in `raw` the first line of the head ends in LF without CR
    witness: Callable[[float], str] | None = field(default=None, repr=False, compare=False)

    @property
    def stderr(self) -> str:
        """What the server has printed since the check began, where that is known: for findings."""
        return "" if self.witness is None else self.witness(TRACE_SECONDS if self.status >= 500 else 0.0)

    @property
    def text(self) -> str:
        """The body as UTF-8; bytes that are not UTF-8 show as backslash escapes."""
        return self.body.decode("utf-8", "backslashreplace")

    @property
    def closes(self) -> bool:
        """Whether this response says that the connection ends with it (RFC 9112 section 9.3)."""
        tokens = [token.strip().lower() for value in self.headers.get_all("Connection") for token in value.split(",")]
        if self.framing is Framing.CLOSE or "close" in tokens:
            return True
        return self.version == "1.0" and "keep-alive" not in tokens


@dataclass(frozen=True, slots=True)
class NeedMore:
    """Not complete yet; `what` is missing, in words."""

    what: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """No HTTP response: what was expected at byte `offset`, by which rule."""

    expected: str
    offset: int


Parsed = HttpReply | NeedMore | Malformed


class _Wrong(Exception):  # noqa: N818  (carries a value out of nested parsing)
    def __init__(self, expected: str, offset: int) -> None:
        super().__init__(expected)
        self.value = Malformed(expected, offset)


def take_reply(buffer: bytes, method: str, ended: bool) -> Parsed:
    """The response at the start of `buffer` to a request with `method`; `ended`: the server has closed.

    len(reply.raw) says where the next one begins. An interim response (1xx) is a response too: see RFC 9110
    section 15.2; the final one follows it.
    """
    try:
        return _take(buffer, method, ended)
    except _Wrong as wrong:
        return wrong.value


def _take(buffer: bytes, method: str, ended: bool) -> Parsed:
    end = _end_of_head(buffer)
    if end is None:
        _check_lines(buffer)
        if len(buffer) > MAX_HEAD:
            raise _Wrong("an empty line that ends the header", MAX_HEAD)
        return NeedMore("the empty line that ends the header" if buffer else "the first byte of a response")
    version, status, reason = _status_line(buffer[:end])
    headers = Headers(_fields(buffer[:end]))
    framing, size = _framing(status, method, headers)
    match framing:
        case Framing.NONE:
            body, used = b"", end
        case Framing.LENGTH:
            body, used = buffer[end : end + size], end + size
            if len(body) < size:
                return NeedMore(f"{size - len(body)} of the {size} bytes that Content-Length promises")
        case Framing.CHUNKED:
            taken = _chunks(buffer, end)
            if isinstance(taken, NeedMore):
                return taken
            body, used = taken
        case Framing.CLOSE:
            if not ended:
                return NeedMore("the end of the connection, which ends a body without Content-Length")
            body, used = buffer[end:], len(buffer)
    bare = re.search(rb"(?<!\r)\n", buffer[:end])
    bare_lf = bare.start() if bare else None
    return HttpReply(status, reason, headers, body, buffer[:used], framing, version, bare_lf=bare_lf)


def _end_of_head(buffer: bytes) -> int | None:
    match = _END_OF_HEAD.search(buffer)
    return match.end() if match else None


def _check_lines(buffer: bytes) -> None:
    """A head that is not complete may be wrong already: then nobody needs to wait."""
    if buffer and not b"HTTP/1.".startswith(buffer[:7]):
        raise _Wrong('a status line: "HTTP/1.1 ", three digits, a space (RFC 9112 section 4)', 0)


def _status_line(head: bytes) -> tuple[str, int, str]:
    line = _LINE.match(head)
    match = _STATUS_LINE.fullmatch(line[1]) if line else None
    if match is None:
        raise _Wrong('a status line: "HTTP/1.1 ", three digits, a space, a reason or none (RFC 9112 section 4)', 0)
    status = int(match[2])
    if not 100 <= status <= 599:
        raise _Wrong("a status from 100 to 599 (RFC 9110 section 15)", 9)
    return match[1].decode(), status, match[3].decode("latin-1")


def _fields(head: bytes) -> list[tuple[str, str]]:
    fields = []
    _, *lines, _ = _LINE.finditer(head)
    for line in lines:
        place = line.start()
        name, colon, value = line[1].partition(b":")
        if not colon or not _TOKEN.fullmatch(name):
            raise _Wrong("a field: a name, a colon right after it, a value (RFC 9112 section 5)", place)
        if not _VALUE.fullmatch(value):
            raise _Wrong("a field value without control characters (RFC 9110 section 5.5)", place + len(name) + 1)
        fields.append((name.decode("ascii"), value.strip(b" \t").decode("latin-1")))
    return fields


def _framing(status: int, method: str, headers: Headers) -> tuple[Framing, int]:
    """RFC 9112 section 6.3, with what sections 6.1 and 6.2 forbid a server to send."""
    lengths, codings = headers.get_all("Content-Length"), headers.get_all("Transfer-Encoding")
    if lengths and codings:
        raise _Wrong("no Content-Length beside Transfer-Encoding (RFC 9112 section 6.2)", 0)
    if (status < 200 or status == 204) and (lengths or codings):
        raise _Wrong(f"neither Content-Length nor Transfer-Encoding with status {status} (RFC 9110 section 8.6)", 0)
    if lengths and (len(set(lengths)) > 1 or not re.fullmatch("[0-9]{1,15}", lengths[0])):
        raise _Wrong("Content-Length: one decimal number (RFC 9110 section 8.6)", 0)
    if method == "HEAD" or status < 200 or status in (204, 304):
        return Framing.NONE, 0
    if codings:
        if [coding.strip().lower() for coding in ",".join(codings).split(",")] != ["chunked"]:
            raise _Wrong("Transfer-Encoding: chunked and nothing else, for no other was asked for", 0)
        return Framing.CHUNKED, 0
    if lengths:
        return Framing.LENGTH, int(lengths[0])
    return Framing.CLOSE, 0


def _chunks(buffer: bytes, place: int) -> tuple[bytes, int] | NeedMore:
    """The decoded body and where it ends (RFC 9112 section 7.1)."""
    body = bytearray()
    while True:
        end = buffer.find(b"\r\n", place)
        line = buffer[place:] if end < 0 else buffer[place:end]
        if b"\n" in line or (end >= 0 and not _CHUNK_LINE.fullmatch(line)):
            raise _Wrong("a chunk: its size in hex, CR LF, so many bytes, CR LF (RFC 9112 section 7.1)", place)
        if end < 0:
            return NeedMore("the rest of a chunk")
        size = int(line.partition(b";")[0].strip(), 16)
        place = end + 2
        if size == 0:
            break
        if len(buffer) < place + size + 2:
            return NeedMore("the rest of a chunk")
        if buffer[place + size : place + size + 2] != b"\r\n":
            raise _Wrong("CR LF after a chunk's data (RFC 9112 section 7.1)", place + size)
        body += buffer[place : place + size]
        place += size + 2
    while not buffer.startswith(b"\r\n", place):  # trailer fields
        end = buffer.find(b"\r\n", place)
        if end < 0:
            return NeedMore("the empty line after the last chunk")
        if not _TOKEN.match(buffer, place, end):
            raise _Wrong("a trailer field or an empty line after the last chunk (RFC 9112 section 7.1.2)", place)
        place = end + 2
    return bytes(body), place + 2
