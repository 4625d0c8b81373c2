"""Requests as bytes, built from parts, and the strategies that draw the parts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import strategies as st

from grader import engine
from grader.engine import expect
from grader.model import Complaint
from grader.target.http1 import HttpReply
from grader.target.socket import SocketTarget
from grader.target.transcript import show_bytes

TOKEN_LETTERS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
VALUE_LETTERS = "\t " + VISIBLE + "".join(map(chr, range(0x80, 0x100)))

Fields = list[tuple[str, str]]

NO_ANSWER = "the first byte of a response"  # what take_reply() misses before there is one

tokens = st.text(TOKEN_LETTERS, min_size=1, max_size=12)
targets = st.text(VISIBLE, min_size=1, max_size=30)
values = st.text(VALUE_LETTERS, max_size=20).map(lambda value: value.strip(" \t"))
fields = st.lists(st.tuples(tokens, values), max_size=6)
blanks = st.text(" \t", max_size=3)
# Letters of one to four bytes, and everything that means something to a URI, to HTML or to a shell. A fixed list: the
# whole of Unicode takes Hypothesis half a second to set up.
FILE_LETTERS = VISIBLE.replace("/", "").replace("\\", "") + " \xe4\xdf\u0416\u20ac\u65e5\u672c\U0001f600"
file_names = st.text(FILE_LETTERS, min_size=1, max_size=10).filter(lambda name: not name.startswith("."))


def request(
    target: str = "/notes.txt",
    *fields: str,
    method: str = "GET",
    version: str = "HTTP/1.1",
    host: str | None = "localhost",
    body: bytes = b"",
) -> bytes:
    r"""request("/a", "X: 1") -> b"GET /a HTTP/1.1\r\nHost: localhost\r\nX: 1\r\n\r\n". Fields are whole lines."""
    lines = [f"{method} {target} {version}", *([] if host is None else [f"Host: {host}"]), *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def last(target: str = "/notes.txt", *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    """A request that ends its connection."""
    return request(target, *fields, "Connection: close", method=method, body=body)


def chunked(pieces: list[bytes], extension: str = "", trailers: Fields | None = None) -> bytes:
    """A body in chunks, one for each piece that is not empty."""
    chunks = [b"%x%s\r\n%s\r\n" % (len(piece), extension.encode(), piece) for piece in pieces if piece]
    end = "".join(f"{name}: {value}\r\n" for name, value in trailers or [])
    return b"".join(chunks) + b"0\r\n" + end.encode("latin-1") + b"\r\n"


def whole(server: SocketTarget, target: str, *fields: str, method: str = "GET") -> HttpReply:
    """The answer to a request that ends its connection, after which nothing more may come."""
    with server.connect() as client:
        reply = client.send(last(target, *fields, method=method)).reply(method)
        rest = client.end()
        expect(reply).that(not rest, expected="nothing after the end of this answer", got=show_bytes(rest, 300))
        return reply


@contextlib.contextmanager
def because(why: str, wanted: str = "") -> Iterator[None]:
    """What fails in here fails for this reason, not for that of the check.

    `wanted` says which answer should have come, for a server that closes without any.
    """
    with engine.because(why):
        try:
            yield
        except Complaint as complaint:
            if not wanted or complaint.finding.expected != NO_ANSWER:
                raise
            raise Complaint(replace(complaint.finding, expected=wanted), complaint.verdict) from None


def expect_allow(reply: HttpReply, *methods: str) -> None:
    """Allow lists these methods. A list may be spread over several lines, and have empty members (RFC 9110 5.6.1)."""
    values = reply.headers.get_all("Allow")
    listed = {member.strip() for value in values for member in value.split(",")}
    expect(reply).header("Allow")
    expect(reply).that(
        listed.issuperset(methods), expected=f"Allow with {' and '.join(methods)}", got=f"Allow: {', '.join(values)}"
    )


def expect_refusal(server: SocketTarget, reply: HttpReply, *allowed: int) -> None:
    """One of these statuses for a POST to a file whose body is in some way wrong.

    A server may also refuse the method before it reads any body (RFC 9110 section 15.5.6), if it always does so.
    """
    if reply.status != 405 or not _refuses_early(server):
        expect(reply).status(*allowed)


def _refuses_early(server: SocketTarget) -> bool:
    with server.connect() as client:
        return not client.send(request("/notes.txt", "Content-Length: 10", method="POST")).is_open(2.0)


def percent(text: str, letters: str = "") -> str:
    """Percent-encode everything but unreserved characters and those in `letters`."""
    plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~" + letters
    return "".join(chr(byte) if chr(byte) in plain else f"%{byte:02X}" for byte in text.encode("utf-8"))
