"""Several requests on one connection, in whatever pieces they come."""

from __future__ import annotations

import contextlib

from hypothesis import strategies as st

from grader.checks.socket_server.wire import Fields, because, chunked, expect_refusal, last, request
from grader.engine import check, expect, fuzz
from grader.target.connection import Connection
from grader.target.function import Module
from grader.target.http1 import HttpReply
from grader.target.socket import SocketTarget
from grader.target.transcript import show_bytes

ALIVE: list[tuple[tuple[int, int], Fields, bool]] = [
    ((1, 1), [], True),
    ((1, 1), [("host", "a"), ("connection", "keep-alive")], True),
    ((1, 1), [("connection", "close")], False),
    ((1, 1), [("connection", "Close")], False),
    ((1, 1), [("connection", "foo, close ,bar")], False),
    ((1, 1), [("connection", "keep-alive"), ("connection", "CLOSE")], False),
    ((1, 1), [("connection", "closed")], True),
    ((1, 1), [("connection", "not-close")], True),
    ((1, 1), [("x", "close")], True),
    ((1, 0), [], False),
    ((1, 0), [("connection", "foo")], False),
    ((1, 0), [("connection", "Keep-Alive")], True),
    ((1, 0), [("connection", "keep-alive, close")], False),
    ((1, 3), [], True),
]
INNER = request("/data.json")
CHUNKED = "Transfer-Encoding: chunked"
ENDED = b"0\r\n\r\n" + INNER  # an empty body in chunks, and what a reader of chunks takes for the next request
# A request that is read in two ways -> the bytes; after the error the connection ends, and nobody answers INNER.
SMUGGLED = {
    "Content-Length and Transfer-Encoding": request(
        "/notes.txt", "Content-Length: 4", "Transfer-Encoding: chunked", method="POST", body=ENDED
    ),
    "two different lengths": request(
        "/notes.txt", f"Content-Length: {len(INNER)}", "Content-Length: 0", method="POST", body=INNER
    ),
    "two equal lengths": request(
        "/notes.txt", "Content-Length: 2", "Content-Length: 2", method="POST", body=b"hi" + INNER
    ),
    "a length with a sign": request("/notes.txt", "Content-Length: +0", method="POST", body=INNER),
    "a length in hex": request("/notes.txt", "Content-Length: 0x0", method="POST", body=INNER),
    "a length of two numbers": request("/notes.txt", "Content-Length: 0 0", method="POST", body=INNER),
    "a length below zero": request("/notes.txt", "Content-Length: -1", method="POST", body=INNER),
    "a length of 5000 digits": request("/notes.txt", "Content-Length: " + "9" * 5000, method="POST", body=INNER),
    "an empty length": request("/notes.txt", "Content-Length:", method="POST", body=INNER),
    "a zero of another script, as UTF-8": request("/notes.txt", "Content-Length: \xd9\xa0", method="POST", body=INNER),
    "a superscript for a digit": request("/notes.txt", "Content-Length: \xb2", method="POST", body=b"hi" + INNER),
    "chunked, but not last": request("/notes.txt", "Transfer-Encoding: chunked, gzip", method="POST", body=ENDED),
    "another coding before chunked": request(
        "/notes.txt", "Transfer-Encoding: gzip, chunked", method="POST", body=ENDED
    ),
    "another coding in a field of its own": request(
        "/notes.txt", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked", method="POST", body=ENDED
    ),
    "another coding in a field after chunked": request(
        "/notes.txt", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip", method="POST", body=ENDED
    ),
    "chunked twice": request("/notes.txt", "Transfer-Encoding: chunked, chunked", method="POST", body=ENDED),
    "identity for a coding": request("/notes.txt", "Transfer-Encoding: identity", method="POST", body=INNER),
    "an unknown coding": request("/notes.txt", "Transfer-Encoding: xchunked", method="POST", body=ENDED),
    "chunked in HTTP/1.0": request(
        "/notes.txt", "Transfer-Encoding: chunked", "Connection: keep-alive", method="POST", version="HTTP/1.0",
        body=ENDED,
    ),
    "a bad chunk": request("/notes.txt", "Transfer-Encoding: chunked", method="POST", body=b"xyz\r\n" + INNER),
    "a chunk longer than its size": request(
        "/notes.txt", "Transfer-Encoding: chunked", method="POST", body=b"1\r\nabc\r\n" + ENDED
    ),
    "a chunk without its CR LF": request(
        "/notes.txt", "Transfer-Encoding: chunked", method="POST", body=b"3\r\nabcXX" + ENDED
    ),
    "a chunk with one byte for its CR LF": request(
        "/notes.txt", "Transfer-Encoding: chunked", method="POST", body=b"3\r\nabcX" + ENDED
    ),
    "a chunk size below zero": request(
        "/notes.txt", "Transfer-Encoding: chunked", method="POST", body=b"-3\r\nabc\r\n" + ENDED
    ),
    "a chunk size with a sign": request(
        "/notes.txt", "Transfer-Encoding: chunked", method="POST", body=b"+3\r\nabc\r\n" + ENDED
    ),
    "a chunk size with 0x": request(
        "/notes.txt", "Transfer-Encoding: chunked", method="POST", body=b"0x3\r\nabc\r\n" + ENDED
    ),
    "a chunk size behind a space": request(
        "/notes.txt", "Transfer-Encoding: chunked", method="POST", body=b" 3\r\nabc\r\n" + ENDED
    ),
    "a chunk size with an underscore": request(
        "/notes.txt", "Transfer-Encoding: chunked", method="POST", body=b"0_3\r\nabc\r\n" + ENDED
    ),
}  # fmt: skip


# Methods whose request has a body that nobody wants: it is read to its end all the same.
WITH_BODIES = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW")
# Answers of many kinds; none of them ends its connection unless it says so.
ANSWERED = (
    request("/docs"), request("/notes.txt", "If-None-Match: *"), request("/notes.txt", 'If-Match: "other"'),
    request("/notes.txt", "Range: bytes=0-4"), request("/notes.txt", "Range: bytes=999999-"),
    request("/notes.txt", method="HEAD"), request("/notes.txt", method="OPTIONS"),
    request("/notes.txt", "Content-Length: 0", method="PUT"), request("/.hidden.txt"),
    request("/notes.txt", method="BREW"), request("/empty.txt"),
)  # fmt: skip
SAID = (
    'README, "Connections": you may close after any answer, if that answer says Connection: close. A client that was '
    "not told sends its next request, and loses it"
)
CLOSED = "after an answer that says Connection: close nothing more is answered: what follows was the body"


CLOSING = (
    "Connection: close", "Connection: foo, Close", "connection: close", "CONNECTION: CLOSE",
    "Connection: foo,\tclose\t,bar", "Connection: foo\r\nConnection: close", "Connection: close\r\nConnection: foo",
)  # fmt: skip


def answers(client: Connection, methods: list[str]) -> list[HttpReply]:
    """As many answers as there are methods, or fewer when the last of them says that the connection closes."""
    replies: list[HttpReply] = []
    for method in methods:
        replies.append(client.reply(method))
        if replies[-1].closes:
            break
    return replies


@check("connections/keeps-alive", points=1, source="RFC 9112 section 9.3")
def test_when_a_connection_stays_open(module: Module) -> None:
    """keeps_alive() follows version and Connection, whose members may be in any case and several.

    HTTP/1.1 stays open unless somebody says close; HTTP/1.0 ends unless somebody says keep-alive.
    """
    for version, fields, expected in ALIVE:
        expect(module.call("keeps_alive", version, fields)).returns(expected)


@check("connections/sequence", points=1, source="RFC 9112 section 9.3", needs=("serve/file",))
def test_requests_follow_one_another(server: SocketTarget) -> None:
    """A connection is used for one request after another, bodies that nobody wants included, until it closes.

    After an answer the next request begins right behind the body of the last, also where nobody wanted that body.
    """
    names = ("notes.txt", "data.json", "nothing", "large.bin", "notes.txt")
    with server.connect() as client:
        for name in names:
            reply = client.send(request("/" + name)).reply()
            expect(reply).status(404 if name == "nothing" else 200)
            if name != "nothing":
                expect_content(server, reply, name)
            if reply.closes:
                client.end()
                break
    inner = request("/nothing")
    with_length = [(method, f"Content-Length: {len(inner)}", inner) for method in WITH_BODIES]
    for method, field, body in (("GET", "Transfer-Encoding: chunked", chunked([inner])), *with_length):
        with server.connect() as client:
            reply = client.send(request("/notes.txt", field, method=method, body=body)).reply(method)
            if reply.closes:  # RFC 9110 section 9.3.1: content in a GET may be refused
                with because(CLOSED):
                    _nothing_follows(client)
                continue
            if method == "GET":
                expect(reply).status(200)
            expect(client.send(INNER).reply()).status(200).body((server.webroot.root / "data.json").read_bytes())
    with because(SAID), contextlib.ExitStack() as stack:
        client = stack.enter_context(server.connect())
        for raw in (*ANSWERED, INNER):
            reply = client.send(raw).reply(raw.partition(b" ")[0].decode())
            if reply.closes:
                _nothing_follows(client)
                client = stack.enter_context(server.connect())
    expect(reply).status(200)


def expect_content(server: SocketTarget, reply: HttpReply, name: str) -> None:
    """The content is that of a file; a large one is not shown."""
    content = (server.webroot.root / name).read_bytes()
    if name == "large.bin":
        got = f"{len(reply.body)} bytes" + (", not the same" if len(reply.body) == len(content) else "")
        expect(reply).that(reply.body == content, expected=f"the {len(content)} bytes of {name}", got=got)
    else:
        expect(reply).body(content)


@check("connections/close", points=1, source="RFC 9112 section 9.6", needs=("serve/file",))
def test_close_means_close(server: SocketTarget) -> None:
    """After a request with Connection: close (one of several members, in any case) the connection ends.

    Connection is a list of members in any case. After the answer to a request with close, nothing more is read as a
    request.
    """
    for field in CLOSING:
        with server.connect() as client:
            expect(client.send(request("/notes.txt", field) + INNER).reply()).status(200)
            _nothing_follows(client, by_itself=field == CLOSING[0])


def _nothing_follows(client: Connection, by_itself: bool = False) -> None:
    """The server closes, without another answer; `by_itself`: also while the client keeps its side open."""
    rest = client.rest() if by_itself else client.end()
    expect.that(not rest, expected="the end of the connection, and no other answer", got=show_bytes(rest, 300))


@check("connections/http10", points=1, source="RFC 9112 section 9.3", needs=("serve/file",))
def test_http_1_0_closes_unless_asked(server: SocketTarget) -> None:
    """An HTTP/1.0 connection ends after one answer, unless both sides say keep-alive; then the answer has a length.

    An HTTP/1.0 client knows no chunks, and sees where an answer ends by its length, or by the end of the
    connection.
    """
    with server.connect() as client:
        expect(client.send(request("/notes.txt", version="HTTP/1.0", host=None)).reply()).status(200)
        _nothing_follows(client, by_itself=True)
    for field in ("Connection: not-keep-alive", "Connection: close, keep-alive"):
        with server.connect() as client:
            expect(client.send(request("/notes.txt", field, version="HTTP/1.0") + INNER).reply()).status(200)
            _nothing_follows(client)
    with server.connect() as client:
        expect_1_0(client, "/notes.txt")
    with server.connect() as client:
        expect_1_0(client, "/docs/")


def expect_1_0(client: Connection, target: str) -> None:
    """An answer that an HTTP/1.0 client understands, to a request that asks for keep-alive."""
    reply = client.send(request(target, "Connection: keep-alive", version="HTTP/1.0")).reply()
    expect(reply).no_header("Transfer-Encoding")
    said = ",".join(reply.headers.get_all("Connection")).lower()
    if "keep-alive" in said:
        expect(client.send(INNER).reply()).status(200)
    else:
        _nothing_follows(client, by_itself=True)


kinds = st.sampled_from(["notes.txt", "data.json", "missing", "head", "length", "chunked"])


def build(kind: str, final: bool) -> bytes:
    """A request of one kind; the final one asks for the end of the connection."""
    make = last if final else request
    if kind in ("length", "chunked"):
        body = chunked([INNER[:9], INNER[9:]], ";x=y", [("X", "1"), ("Y", "2")]) if kind == "chunked" else INNER
        field = "Transfer-Encoding: chunked" if kind == "chunked" else f"Content-Length: {len(INNER)}"
        return make("/notes.txt", field, method="POST", body=body)
    return make("/" + ("notes.txt" if kind == "head" else kind), method="HEAD" if kind == "head" else "GET")


def expect_answers(server: SocketTarget, client: Connection, asked: list[str]) -> None:
    """The answers to the requests of these kinds, in order."""
    replies = answers(client, ["HEAD" if kind == "head" else "GET" for kind in asked])
    statuses = {"missing": 404, "length": 405, "chunked": 405}
    for kind, reply in zip(asked, replies, strict=False):
        expect(reply).status(statuses.get(kind, 200))
        if kind.endswith(("txt", "json")):
            expect(reply).body((server.webroot.root / kind).read_bytes())
    if len(replies) == len(asked):
        _nothing_follows(client)


@check("connections/pipeline", points=1, source="RFC 9112 section 9.3.2", needs=("serve/file",))
@fuzz(share=0.3, asked=st.lists(kinds, min_size=2, max_size=8))
def test_requests_sent_at_once_are_answered_in_order(server: SocketTarget, asked: list[str]) -> None:
    """Requests that are sent all at once, with and without bodies, get their answers in the same order.

    A client may send requests without waiting. recv() returns several at once, and the rest is not to be lost.
    """
    stream = b"".join(build(kind, place == len(asked) - 1) for place, kind in enumerate(asked))
    with server.connect() as client:
        client.send(stream)
        expect_answers(server, client, asked)


@check("connections/cuts", points=1, source="RFC 9112 section 2.2", needs=("serve/file",))
@fuzz(
    share=0.3, asked=st.lists(kinds, min_size=1, max_size=3), cuts=st.lists(st.integers(1, 400), min_size=1, max_size=3)
)
def test_a_stream_may_be_cut_anywhere(server: SocketTarget, asked: list[str], cuts: list[int]) -> None:
    """Requests that arrive in pieces, cut at any place, get the same answers.

    A stream has no borders between messages: recv() returns whatever has arrived, a part of one or parts of two.
    """
    stream = b"".join(build(kind, place == len(asked) - 1) for place, kind in enumerate(asked))
    with server.connect() as client:
        client.send(stream, cuts)
        expect_answers(server, client, asked)


@check("connections/bytewise", points=1, source="RFC 9112 section 2.2", needs=("serve/file",))
def test_a_request_may_come_byte_by_byte(server: SocketTarget) -> None:
    """A request that comes one byte at a time, after an empty line, is answered like any other.

    recv() may return one byte at a time, even between CR and LF. An empty line before a request is skipped.
    """
    raw = b"\r\n" + last("/notes.txt")
    with server.connect() as client:
        reply = client.send(raw, range(1, len(raw)), pause=0.001).reply()
        expect(reply).status(200).body((server.webroot.root / "notes.txt").read_bytes())


@check("connections/smuggling", points=1, source="RFC 9112 section 6.3", needs=("serve/file",))
def test_a_request_that_can_be_read_in_two_ways_ends_the_connection(server: SocketTarget) -> None:
    """Contradicting or invalid framing gets an error, the connection ends, and nothing after it is answered.

    Where a body ends in two ways, what one reader takes for its content is a request for the other. So it is
    refused.
    """
    for title, raw in SMUGGLED.items():
        with server.connect() as client:
            with because("", f"status 400, 411, 413 or 501, for {title}"):
                reply = client.send(raw).reply()
            # RFC 9112 section 6.1 lets a server go by Transfer-Encoding alone, if it closes afterwards.
            by_chunks = (405,) * title.startswith("Content-Length and")
            expect_refusal(server, reply, 400, *by_chunks, 411, 413, 501)
            _nothing_follows(client, by_itself=title == "two different lengths")


@check("connections/continue", points=1, source="RFC 9110 section 10.1.1", needs=("serve/file",))
def test_a_client_that_waits_with_its_body_is_answered(server: SocketTarget) -> None:
    """A client that expects 100-continue gets 100, or its final answer, before it sends the body.

    The client waits for permission before it sends a large body; without 100 both would wait for each other.
    """
    fields = ("Content-Length: 5", "Connection: close")
    for expectation in ("Expect: 100-continue", "Expect: 100-Continue"):
        with server.connect() as client:
            first = client.send(request("/notes.txt", expectation, *fields, method="POST")).interim(2.0)
            expect(first).status(100, 405, 417)
            if first.status == 100:
                expect(client.send(b"hello").reply()).status(405)
    with server.connect() as client:  # HTTP/1.0 knows no 100
        raw = request("/notes.txt", "Expect: 100-continue", *fields, method="POST", version="HTTP/1.0")
        reply = client.send(raw + b"hello", [len(raw)]).reply()
        expect(reply).status(405, 417).that(not reply.interim, expected="no 100 for HTTP/1.0", got=f"{reply.interim}")
    with server.connect() as client:
        raw = request("/notes.txt", "Expect: 100-continue", "Content-Length: 99999999999", method="POST")
        expect(client.send(raw).interim(2.0)).status(413, 417, 405)


@check("connections/ends", points=1, source="RFC 9112 section 8", needs=("serve/file",))
def test_a_client_may_end_its_side(server: SocketTarget) -> None:
    """A client that ends its side after a request gets its answer; in the middle of one, 400 or the end.

    The end of the client's side says that nothing more comes; it still reads. A request cut short is never carried
    out.
    """
    reply = server.exchange(request("/notes.txt"), half_close=True)
    expect(reply).status(200)
    length = request("/notes.txt", "Content-Length: 10", method="POST", body=b"12345")
    pieces = (b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\n", b"0\r\nX: 1\r\n")
    cut = [request("/notes.txt", "Transfer-Encoding: chunked", method="POST", body=body) for body in pieces]
    for raw in (b"GET /notes.txt HT", request("/notes.txt")[:-2], length, *cut):
        with server.connect() as client:
            ended = client.send(raw).half_close().reply_or_end()
            if ended is not None:
                expect_refusal(server, ended, 400)
            _nothing_follows(client)
    expect(server.exchange(last("/notes.txt"))).status(200)


@check("connections/linger", points=1, source="RFC 9112 section 9.6", needs=("serve/file",))
def test_an_error_arrives_before_the_connection_goes(server: SocketTarget) -> None:
    """The answer to a body that is too long arrives, although the client is still sending it, and no reset.

    If a socket is closed with unread bytes in it, the reset can overtake the answer that explains why.
    """
    body = b"x" * 3_000_000
    with server.connect() as client:
        sent = body[:300_000]  # leaves in one piece, so that nothing hangs on how long the server goes on reading
        raw = request("/notes.txt", f"Content-Length: {len(body)}", method="POST", body=sent)
        reply = client.send(raw).reply()
        expect_refusal(server, reply, 413)
        if reply.closes:  # it may also go on reading to the end of the body, and stay
            client.rest()
            got = "a reset: the server closed with bytes of the client unread"
            expect.that(not client.was_reset, expected="the end of the server's side, and no reset", got=got)
    allowed = body[:1_048_576]
    for field, sent in ((f"Content-Length: {len(allowed)}", allowed), (CHUNKED, chunked([allowed]))):
        expect(server.exchange(last("/notes.txt", field, method="POST", body=sent))).status(405)
    for field in (f"Content-Length: {len(body)}", CHUNKED):
        sent = body if "Length" in field else chunked([body[:1_000_000], body[:1_000_000], body[:1_000_000]])
        with server.connect() as client:
            reply = client.send(request("/notes.txt", field, method="POST", body=sent)).reply()
            expect_refusal(server, reply, 413)
