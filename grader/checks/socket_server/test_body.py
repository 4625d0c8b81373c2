"""Where a request's head and body end, as functions."""

from __future__ import annotations

from hypothesis import strategies as st

from grader.checks.socket_server.wire import Fields, chunked, fields, targets, values
from grader.engine import check, expect, fuzz
from grader.target.function import Module

LINE, SECTION, CHUNK_LINE, BODY = 8192, 16384, 1024, 1048576

# (version, fields) -> what body_framing() returns
FRAMINGS: list[tuple[tuple[int, int], Fields, int | str]] = [
    ((1, 1), [], 0),
    ((1, 0), [("host", "a")], 0),
    ((1, 1), [("content-length", "0")], 0),
    ((1, 1), [("x", "1"), ("content-length", "5")], 5),
    ((1, 0), [("content-length", "0042")], 42),
    ((1, 1), [("content-length", str(BODY))], BODY),
    ((1, 1), [("content-length", "0" * 5000 + "7")], 7),
    ((1, 1), [("transfer-encoding", "chunked")], "chunked"),
    ((1, 1), [("transfer-encoding", "Chunked")], "chunked"),
    ((1, 2), [("transfer-encoding", "CHUNKED")], "chunked"),
]
BAD_LENGTHS = (
    "",
    "+5",
    "-5",
    "5 5",
    "5,5",
    "5, 5",
    "0x5",
    "5.0",
    "5a",
    "1_0",
    "\xb2",
    "five",
    "1e3",
    "'5'",
    "-0",
    "\t",
)
BAD_CODINGS: list[tuple[tuple[int, int], Fields, int]] = [
    ((1, 1), [("content-length", "5"), ("transfer-encoding", "chunked")], 400),
    ((1, 1), [("transfer-encoding", "chunked"), ("content-length", "0")], 400),
    ((1, 1), [("transfer-encoding", "identity"), ("content-length", "5")], 400),
    ((1, 0), [("transfer-encoding", "chunked")], 400),
    ((1, 1), [("transfer-encoding", "")], 400),
    ((1, 1), [("transfer-encoding", "chunked, gzip")], 400),
    ((1, 1), [("transfer-encoding", "chunked, chunked")], 400),
    ((1, 1), [("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], 400),
    ((1, 1), [("transfer-encoding", "chunked"), ("transfer-encoding", "identity")], 400),
    ((1, 1), [("transfer-encoding", "identity")], 501),
    ((1, 1), [("transfer-encoding", "gzip, chunked")], 501),
    ((1, 1), [("transfer-encoding", "xchunked")], 501),
    ((1, 1), [("transfer-encoding", "pigeons")], 501),
]
CHUNK_FAULTS = (
    b"\r\nhello\r\n", b"x\r\nhello\r\n", b"-5\r\nhello\r\n", b"+5\r\nhello\r\n", b"0x5\r\nhello\r\n",
    b" 5\r\nhello\r\n",
    b"5\nhello\r\n", b"5\n", b"5 5\r\nhello\r\n", b"5 ext\r\nhello\r\n", b"5_0\r\nhello\r\n",
    b"5;a\x00b\r\nhello\r\n",
    b"5;a\rb\r\nhello\r\n", b"5\r\nhello!\r\n", b"5\r\nhello\n\n", b"4\r\nhello\r\n", b"5\r\nhelloX",
    b"5;" + b"a" * CHUNK_LINE,
    b"0" * (CHUNK_LINE + 1) + b"\r\n", b"\xb2\r\nhello\r\n",
)  # fmt: skip


@check("body/head", points=1, source="RFC 9112 section 2.2")
@fuzz(
    share=0.8,
    target=targets,
    pairs=fields,
    before=st.integers(0, 2),
    rest=st.binary(max_size=20),
    cut=st.integers(0, 200),
)
def test_a_head_is_cut_off_wherever_the_stream_was_cut(
    module: Module, target: str, pairs: Fields, before: int, rest: bytes, cut: int
) -> None:
    """take_head() returns line, fields and rest of a complete head, and None for every beginning of one.

    A stream has no borders between messages: recv() returns whatever has arrived, and the empty line alone ends a
    head.
    """
    line = f"GET {target} HTTP/1.1".encode()
    section = "".join(f"{name}: {value}\r\n" for name, value in pairs).encode("latin-1")
    head = b"\r\n" * before + line + b"\r\n" + section + b"\r\n"
    expect(module.call("take_head", head + rest)).returns_sequence([line, section, rest])
    expect(module.call("take_head", head[: min(cut, len(head) - 1)])).returns(None)


@check("body/head-limits", points=1, source="kit rule")
def test_a_head_has_limits_that_are_noticed_early(module: Module) -> None:
    """8192 bytes of line and 16384 of header are fine; more raises 414 or 431, a bare LF 400, at once.

    README, "Requests": the limits, and lines end in CRLF. Who waits for the rest of what cannot be served may wait for
    ever.
    """
    line = b"GET /" + b"a" * (LINE - 16) + b" HTTP/1.1"
    for good in (line, b"GET / HTTP/1.1"):
        field = b"x: " + b"b" * (SECTION - 7) + b"\r\n"
        expect(module.call("take_head", good + b"\r\n" + field + b"\r\n")).returns_sequence([good, field, b""])
    for long in (line + b"a\r\n", line + b"a\r\nHost: a\r\n\r\n", b"a" * (LINE + 1), b"\r\n" * (LINE // 2 + 1)):
        expect(module.call("take_head", long)).raises("HttpError", status=414)
    first = b"GET / HTTP/1.1\r\n"
    for long in (first + b"x: " + b"b" * SECTION, first + b"x: " + b"b" * (SECTION - 6) + b"\r\n\r\n"):
        expect(module.call("take_head", long)).raises("HttpError", status=431)
    expect(module.call("take_head", first + b"x: y\r\n" * 5000)).raises("HttpError", status=431)
    for data in (b"GET / HTTP/1.1\n", b"\n", first + b"Host: a\n\r\n", first + b"Host: a\n\n"):
        expect(module.call("take_head", data)).raises("HttpError", status=400)


@check("body/framing", points=1, source="RFC 9112 section 6")
def test_the_framing_of_valid_requests(module: Module) -> None:
    """body_framing() returns the length in bytes, 0 without a body, or "chunked".

    The header says how a body ends; without either field there is no body, and the next byte begins the next
    request.
    """
    for version, pairs, expected in FRAMINGS:
        expect(module.call("body_framing", version, pairs)).returns(expected)


@check("body/bad-length", points=1, source="RFC 9112 section 6.3")
def test_a_length_that_is_no_number_is_refused(module: Module) -> None:
    """A Content-Length that is not digits alone, or that comes twice, raises HttpError with status 400.

    Content-Length is digits only. If two readers disagree on a length, one of them takes a part of the body for a
    request.
    """
    expect(module.call("body_framing", (1, 1), [("content-length", "5")])).returns(5)
    for value in BAD_LENGTHS:
        expect(module.call("body_framing", (1, 1), [("content-length", value)])).raises("HttpError", status=400)
    for second in ("5", "6"):
        twice = [("content-length", "5"), ("content-length", second)]
        expect(module.call("body_framing", (1, 1), twice)).raises("HttpError", status=400)


@check("body/too-long", points=1, source="kit rule")
def test_a_body_that_is_too_long_is_413(module: Module) -> None:
    """A Content-Length above 1 MiB raises HttpError with status 413, however many digits it has.

    README, "Requests": a body may have 1048576 bytes. The number itself may have any number of digits.
    """
    expect(module.call("body_framing", (1, 1), [("content-length", "5")])).returns(5)
    for value in (str(BODY + 1), "9" * 19, "9" * 5000):
        expect(module.call("body_framing", (1, 1), [("content-length", value)])).raises("HttpError", status=413)


@check("body/codings", points=1, source="RFC 9112 section 6.1")
def test_framing_that_could_be_read_in_two_ways_is_refused(module: Module) -> None:
    """Transfer-Encoding beside Content-Length, in HTTP/1.0 or not ending in chunked raises 400; unknown ones 501.

    Only a body whose last coding is chunked has an end that can be seen, and a length beside it would contradict
    it.
    """
    expect(module.call("body_framing", (1, 1), [("transfer-encoding", "chunked")])).returns("chunked")
    for version, pairs, status in BAD_CODINGS:
        expect(module.call("body_framing", version, pairs)).raises("HttpError", status=status)


@check("body/chunks", points=1, source="RFC 9112 section 7.1")
@fuzz(
    share=0.7,
    data=st.binary(min_size=1, max_size=40),
    extension=st.sampled_from(["", ";a", ";a=b", ' ; q="x;y"', "\t;a", ";"]),
    zeros=st.integers(0, 3),
    rest=st.binary(max_size=20),
    cut=st.integers(0, 80),
)
def test_chunks_come_back(module: Module, data: bytes, extension: str, zeros: int, rest: bytes, cut: int) -> None:
    """take_chunk() returns a chunk's data and what follows, and None for every beginning of one.

    Each chunk says its size in hex; extensions may follow a semicolon, and a receiver ignores those it does not
    know.
    """
    size = "0" * zeros + format(len(data), "X")
    chunk = f"{size}{extension}\r\n".encode() + data + b"\r\n"
    expect(module.call("take_chunk", chunk + rest)).returns_sequence([data, rest])
    expect(module.call("take_chunk", chunk[: min(cut, len(chunk) - 1)])).returns(None)
    end = f"{'0' * (zeros + 1)}{extension}\r\n".encode()
    expect(module.call("take_chunk", end + rest)).returns_sequence([b"", rest])


@check("body/chunk-faults", points=1, source="RFC 9112 section 7.1")
def test_a_malformed_chunk_is_refused(module: Module) -> None:
    """A chunk with a bad size, a bad line end or more data than its size raises HttpError with status 400.

    What follows a chunk that is read wrongly would be taken for the next request.
    """
    expect(module.call("take_chunk", b"5\r\nhello\r\n")).returns_sequence([b"hello", b""])
    for chunk in CHUNK_FAULTS:
        expect(module.call("take_chunk", chunk)).raises("HttpError", status=400)
    for size in (b"100001", b"f" * 40):
        expect(module.call("take_chunk", size + b"\r\n")).raises("HttpError", status=413)


@check("body/trailers", points=1, source="RFC 9112 section 7.1.2")
@fuzz(share=0.5, pairs=fields, rest=st.binary(max_size=20), cut=st.integers(0, 200))
def test_trailers_are_skipped(module: Module, pairs: Fields, rest: bytes, cut: int) -> None:
    """take_trailers() returns what follows the empty line, and None while that has not come.

    Fields may follow the last chunk. They may be ignored, but where they end is where the next request begins.
    """
    trailers = chunked([], trailers=pairs)[3:]
    expect(module.call("take_trailers", trailers + rest)).returns(rest)
    expect(module.call("take_trailers", trailers[: min(cut, len(trailers) - 1)])).returns(None)


@check("body/trailer-faults", points=1, source="RFC 9112 section 7.1.2")
@fuzz(share=0.2, value=values)
def test_bad_trailers_are_refused(module: Module, value: str) -> None:
    """A trailer that is no header field raises HttpError 400, too many bytes of them 431.

    Trailers have the form of header fields, and the limits of a header.
    """
    expect(module.call("take_trailers", b"A: b\r\n\r\nrest")).returns(b"rest")
    line = f"a : {value}\r\n\r\n".encode("latin-1")
    expect(module.call("take_trailers", line)).raises("HttpError", status=400)
    expect(module.call("take_trailers", b"a: " + b"b" * SECTION)).raises("HttpError", status=431)
