"""Responses, as functions."""

from __future__ import annotations

import html
from datetime import UTC, datetime

from hypothesis import strategies as st

from grader.checks.socket_server.wire import VISIBLE, Fields, fields, tokens
from grader.engine import check, expect, fuzz
from grader.target.function import Module

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def date_text(seconds: int) -> str:
    """The IMF-fixdate of a point in time, made without the submission's help."""
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{DAYS[when.weekday()]}, {when.day:02} {MONTHS[when.month - 1]} {when.year} {when:%H:%M:%S} GMT"


@check("response/date", points=1, source="RFC 9110 section 5.6.7")
@fuzz(share=0.4, seconds=st.integers(0, 4_000_000_000))
def test_dates_are_written_as_http_writes_them(module: Module, seconds: int) -> None:
    """http_date() writes a point in time like Sun, 06 Nov 1994 08:49:37 GMT.

    There is one form to write, in English and in GMT, whatever the language and the zone of the machine.
    """
    expect(module.call("http_date", seconds)).returns(date_text(seconds))


@check("response/head", points=1, source="RFC 9112 section 4")
@fuzz(share=0.6, pairs=fields, status=st.sampled_from([200, 206, 299, 304, 404, 431, 505]))
def test_a_head_has_a_status_line_and_the_fields(module: Module, pairs: Fields, status: int) -> None:
    """response_head() writes the status line, exactly the given fields in order, and an empty line.

    A status line, the fields, an empty line, each with CR LF: the client finds the content by nothing else.
    """
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs)

    def holds(value: object) -> bool:
        first, _, rest = value.partition(b"\r\n") if isinstance(value, bytes) else (b"", b"", b"")
        return first.startswith(f"HTTP/1.1 {status} ".encode()) and rest == (lines + "\r\n").encode("latin-1")

    expected = f'bytes: "HTTP/1.1 {status} ", a reason phrase, then {(lines + chr(13) + chr(10))!r}'
    expect(module.call("response_head", status, pairs)).returns_that(holds, expected)


@check("response/injection", points=1, source="RFC 9110 section 5.5", needs=("response/head",))
@fuzz(
    share=0.5,
    name=tokens,
    value=st.text(VISIBLE, max_size=8),
    bad=st.sampled_from(["\r\nSet-Cookie: a=b", "\n", "\r", "\0", "\x7f", "\x1b", "\u2028", "\r\n\r\n<script>"]),
    in_name=st.booleans(),
)
def test_a_value_cannot_begin_a_new_line(module: Module, name: str, value: str, bad: str, in_name: bool) -> None:
    """response_head() raises ValueError for a name or value that could break the header.

    With a CR or LF in a value, whoever chose it would write header lines of their own. Other control characters, and
    what is not latin-1, are no part of a field either.
    """
    field = (name + bad, value) if in_name else (name, value + bad)
    expect(module.call("response_head", 200, [("A", "b"), field])).raises("ValueError")


@check("response/error-page", points=1, source="kit rule")
def test_an_error_becomes_a_page(module: Module) -> None:
    """error_page() makes an HTML page that shows the status and the message, escaped.

    The docstring of error_page(): a message may repeat what the client sent, so in HTML it has to be escaped.
    """
    message = "<b>&\"no'"

    def holds(value: object) -> bool:
        if not isinstance(value, bytes):
            return False
        text = value.decode("utf-8", "replace")
        is_page = text.lower().startswith("<!doctype html>") and "405" in text
        return is_page and "<b>" not in text and '&"no' not in text and message in html.unescape(text)

    expect(module.call("error_page", 405, message)).returns_that(holds, "HTML with 405 and the message, escaped")
