"""The judge's reading of responses: what is legal passes, what a server must not send is named."""

# ruff: noqa: E501  (rows of a table)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.target.http1 import Framing, HttpReply, Malformed, NeedMore, take_reply


def reply(raw: bytes, method: str = "GET", ended: bool = False) -> HttpReply:
    parsed = take_reply(raw, method, ended)
    assert isinstance(parsed, HttpReply), parsed
    return parsed


@pytest.mark.parametrize(
    ("raw", "method", "ended", "status", "body", "framing"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "GET", False, 200, b"hi", Framing.LENGTH, id="length"),
        pytest.param(b"HTTP/1.1 200 \r\ncontent-length:2\r\n\r\nhi", "GET", False, 200, b"hi", Framing.LENGTH, id="no reason"),
        pytest.param(b"HTTP/1.1 200 Caf\xc3\xa9\r\nX:\r\n\r\n", "GET", True, 200, b"", Framing.CLOSE, id="any reason"),
        pytest.param(b"HTTP/1.0 404 Nope\r\n\r\nbody", "GET", True, 404, b"body", Framing.CLOSE, id="until close"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD", False, 200, b"", Framing.NONE, id="HEAD"),
        pytest.param(b"HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", "GET", False, 304, b"", Framing.NONE, id="304"),
        pytest.param(b"HTTP/1.1 204 x\r\n\r\n", "GET", False, 204, b"", Framing.NONE, id="204"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", "POST", False, 100, b"", Framing.NONE, id="interim"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b\r\nhi\r\n1 \r\n!\r\n00\r\nT: 1\r\n\r\n",
            "GET", False, 200, b"hi!", Framing.CHUNKED, id="chunks with extension and trailer",
        ),
    ],
)  # fmt: skip
def test_what_the_rfc_allows_is_read(
    raw: bytes, method: str, ended: bool, status: int, body: bytes, framing: Framing
) -> None:
    parsed = reply(raw, method, ended)
    assert (parsed.status, parsed.body, parsed.framing, parsed.raw) == (status, body, framing, raw)


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\n\n\n", None),
        (b"HTTP/1.1 200 OK\nA: b\nContent-Length: 2\n\nhi", 15),
        (b"HTTP/1.1 200 OK\r\nA: b\nContent-Length: 2\r\n\r\nhi", 21),
        (b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\n\r\nhi", 40),
    ],
)
def test_lines_that_end_in_lf_are_read_and_shown(raw: bytes, place: int | None) -> None:
    parsed = reply(raw)
    assert (parsed.headers.get("A"), len(parsed.body), parsed.bare_lf) == ("b", 2, place)


@pytest.mark.parametrize(
    ("raw", "method", "word"),
    [
        pytest.param(b"hello\r\n\r\n", "GET", "status line", id="no HTTP at all"),
        pytest.param(b"<html>", "GET", "status line", id="a page without a head, not complete"),
        pytest.param(b"HTTP/1.1 200\r\n\r\n", "GET", "status line", id="no space after the status"),
        pytest.param(b"HTTP/1.1 20 OK\r\n\r\n", "GET", "status line", id="two digits"),
        pytest.param(b"HTTP/1.1 999 OK\r\n\r\n", "GET", "100 to 599", id="no such status"),
        pytest.param(b"HTTP/2 200 OK\r\n\r\n", "GET", "status line", id="another version"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n", "GET", "control", id="CR between fields"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "GET", "colon right after", id="space before the colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA\r\n\r\n", "GET", "colon", id="no colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "GET", "field", id="folded"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n", "GET", "control", id="NUL"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "GET", "decimal", id="length in words"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "GET", "decimal", id="two lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HEAD", "decimal", id="negative, even for HEAD"),
        pytest.param(b"HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", "GET", "204", id="length on 204"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", "beside", id="both"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "GET", "nothing else", id="gzip"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", "GET", "after a chunk", id="long chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "GET", "size in hex", id="no size"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\x00\r\n\r\n", "GET", "trailer", id="trailer"),
    ],
)  # fmt: skip
def test_what_a_server_must_not_send_is_named(raw: bytes, method: str, word: str) -> None:
    parsed = take_reply(raw, method, True)
    assert isinstance(parsed, Malformed)
    assert word in parsed.expected


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"", "first byte"),
        (b"HTTP/1.1 200 OK\r\nConte", "empty line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "3 of the 5"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi", "chunk"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "last chunk"),
        (b"HTTP/1.1 200 OK\r\n\r\nhi", "end of the connection"),
    ],
)
def test_what_is_missing_is_said(raw: bytes, word: str) -> None:
    parsed = take_reply(raw, "GET", False)
    assert isinstance(parsed, NeedMore)
    assert word in parsed.what


def test_a_head_without_end_is_not_awaited_for_ever() -> None:
    assert isinstance(take_reply(b"HTTP/1.1 200 OK\r\nA: " + b"b" * (1 << 18), "GET", False), Malformed)


@pytest.mark.parametrize(
    ("fields", "version", "closes"),
    [
        (b"Connection: Foo, Close\r\n", b"1.1", True),
        (b"", b"1.1", False),
        (b"", b"1.0", True),
        (b"Connection: keep-alive\r\n", b"1.0", False),
    ],
)
def test_whether_the_connection_stays_open_is_read_from_the_response(
    fields: bytes, version: bytes, closes: bool
) -> None:
    assert reply(b"HTTP/" + version + b" 200 OK\r\nContent-Length: 0\r\n" + fields + b"\r\n").closes is closes


bodies = st.binary(max_size=300)


@given(first=bodies, second=bodies, sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_two_responses_in_a_row_are_told_apart_and_no_beginning_is_complete(
    first: bytes, second: bytes, sizes: list[int]
) -> None:
    chunks, rest = b"", second
    for size in sizes:
        piece, rest = rest[:size], rest[size:]
        chunks += b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b""
    chunks += (b"%x\r\n%s\r\n" % (len(rest), rest) if rest else b"") + b"0\r\n\r\n"
    one = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(first), first)
    two = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    parsed = reply(one + two)
    assert (parsed.raw, parsed.body) == (one, first)
    assert reply((one + two)[len(parsed.raw) :]).body == second
    for raw in (one, two):
        for cut in range(len(raw)):
            assert isinstance(take_reply(raw[:cut], "GET", False), NeedMore)


@given(raw=st.binary(max_size=200), method=st.sampled_from(["GET", "HEAD"]), ended=st.booleans())
def test_any_bytes_give_one_of_the_three_values(raw: bytes, method: str, ended: bool) -> None:
    for data in (raw, b"HTTP/1.1 200 OK\r\n" + raw, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + raw):
        parsed = take_reply(data, method, ended)
        assert isinstance(parsed, HttpReply | NeedMore | Malformed)
