"""How the model server reads requests that are wrong, hostile, or written in a rare form."""

from __future__ import annotations

import runpy
import socket
import time
from collections.abc import Iterator

import pytest

from grader.target.connection import Connection
from grader.target.webroot import Webroot, build_webroot
from grader.tests.clients.socket_servers import KIT, SOLUTION, Running, running

ASK = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def webroot(tmp_path_factory: pytest.TempPathFactory) -> Webroot:
    return build_webroot(KIT / "webroot", tmp_path_factory.mktemp("served").resolve())


@pytest.fixture(scope="module")
def server(webroot: Webroot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(webroot.root, tmp_path_factory.mktemp("log") / "log", "--timeout", "30") as found:
        yield found


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(b"HEAD / HTTP/1.1\r\n\r\n", 400, id="no Host"),
        pytest.param(b"HEAD / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417, id="unknown expectation"),
        pytest.param(b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n", 413, id="body too long"),
        pytest.param(b"HEAD / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20000, 431, id="header too long"),
        pytest.param(b"HEAD / HTTP/2.0\r\nHost: a\r\n\r\n", 505, id="another version"),
        pytest.param(b"HEAD /" + b"x" * 9000, 414, id="line too long"),
        pytest.param(b"\r\nHEAD /\n", 400, id="bare LF, after an empty line"),
        pytest.param(b"HEAD  / HTTP/1.1\r\n\r\n", 400, id="two spaces"),
        pytest.param(b"HEAD / HT", 400, id="ends in the middle"),
    ],
)
def test_head_gets_no_content_even_when_it_is_refused(server: Running, request_bytes: bytes, status: int) -> None:
    with Connection(server.port, 10) as client:
        reply = client.send(request_bytes).half_close().reply("HEAD")
        assert reply.status == status
        assert client.rest() == b""


def test_a_refused_get_still_gets_its_page(server: Running) -> None:
    with Connection(server.port, 10) as client:
        reply = client.send(b"GET / HTTP/1.1\r\n\r\n").reply()
        assert (reply.status, b"400" in reply.body) == (400, True)


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX:" + b" " * 16000 + b"\x01\r\n\r\n", id="header"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX:" + b" " * 16000 + b"\x01\r\n\r\n",
            id="trailers",
        ),
    ],
)
def test_many_blanks_in_a_faulty_field_are_refused(server: Running, request_bytes: bytes) -> None:
    with Connection(server.port, 30) as client:
        assert client.send(request_bytes).reply().status == 400


@pytest.mark.parametrize(("function", "end"), [("parse_fields", b"\r\n"), ("take_trailers", b"\r\n\r\n")])
def test_many_blanks_in_a_faulty_field_cost_no_time(function: str, end: bytes) -> None:
    server = runpy.run_path(str(SOLUTION))
    begin = time.process_time()
    for _ in range(5):
        with pytest.raises(server["HttpError"]):
            server[function](b"X:" + b" " * 16000 + b"\x01" + end)
    # A pattern that tries every way to share out the blanks takes more than a second for each; this one 0.1 ms.
    assert time.process_time() - begin < 1.0


def test_a_body_of_tiny_chunks_is_read_in_many_turns() -> None:
    server = runpy.run_path(str(SOLUTION))
    mine, theirs = socket.socketpair()
    with mine, theirs:
        stream = server["_Stream"](mine, "127.0.0.1", 10.0)
        stream.buffer = b"1\r\na\r\n" * 100_000 + b"0\r\n\r\nnext"
        steps = server["_read_body"](stream, "chunked")
        begin = time.process_time()
        turns = 0
        with pytest.raises(StopIteration) as done:
            while True:
                next(steps)
                turns += 1
    assert turns > 20
    assert time.process_time() - begin < 3.0  # it takes 0.15 s; copying what follows at every chunk takes 10
    assert done.value.value == b"a" * 100_000
    assert stream.buffer == b"next"


def test_chunks_of_every_size_come_back_whole(server: Running) -> None:
    head = b"POST /cgi-bin/show.py HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    sizes = (1, 16380, 16384, 100_000, 2, 300_000, 5)
    body = b"".join(b"%x\r\n%s\r\n" % (size, b"a" * size) for size in sizes) + b"0\r\nTrailer: x\r\n\r\n"
    with Connection(server.port, 10) as client:
        reply = client.send(head + body + ASK % b"notes.txt").reply()
        assert b"BODY=b'%s'" % (b"a" * sum(sizes)) in reply.body
        assert client.reply().status == 200
