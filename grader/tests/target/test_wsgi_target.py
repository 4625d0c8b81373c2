"""Asking a WSGI application in the worker: what it did is told as it was, and nothing it does holds up the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.model import Complaint, Verdict
from grader.sandbox.policy import child_uid
from grader.sandbox.scratch import give_to
from grader.sandbox.spawn import Site
from grader.target.function import Module
from grader.target.site import SiteTarget
from grader.target.wsgi import WsgiApp, WsgiRequest, WsgiTarget, files_below, wrap

APPS = """
import os, sys

def make(kind):
    return globals()[kind]

def fine(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X", "1")])
    return [environ["PATH_INFO"].encode("latin-1"), b"!"]

def generator(environ, start_response):
    start_response("200 OK", [])
    yield b"a"
    yield b"b"

def writes(environ, start_response):
    start_response("200 OK", [])(b"written ")
    return [b"returned"]

def odd(environ, start_response):
    start_response("200", (("X", 1),))
    start_response("404 Not Found", [["X", "1"]])
    return ["text"]

def bare(environ, start_response):
    start_response("200 OK", [])
    return "text"

def late(environ, start_response):
    yield b"too early"
    start_response("200 OK", [])

def silent(environ, start_response):
    return [b"nothing started"]

def raises(environ, start_response):
    raise KeyError("title")

def leaves(environ, start_response):
    os._exit(3)

def forgets(environ, start_response):
    start_response("200 OK", [])

nothing = None

def of_one(environ):
    return None

def loops(environ, start_response):
    while True:
        pass

def reads_all(environ, start_response):
    data = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [data]

def reads_length(environ, start_response):
    data, left = b"", int(environ["CONTENT_LENGTH"])
    while left and (piece := environ["wsgi.input"].read(left)):
        data, left = data + piece, left - len(piece)
    start_response("200 OK", [])
    return [data]

def reads_lines(environ, start_response):
    lines = [line for line in environ["wsgi.input"]]
    start_response("200 OK", [])
    return lines

def logs(environ, start_response):
    print("noted", file=environ["wsgi.errors"])
    start_response("200 OK", [])
    return []

def fills_the_disk(environ, start_response):
    try:
        with open("big", "wb") as file:
            file.write(b"x" * 5000)
            file.flush()
    except OSError as error:
        start_response("507 Full", [])
        return [type(error).__name__.encode()]
    start_response("200 OK", [])
    return [b"no limit"]

def guard(app):
    return app

def swallow(app):
    def guarded(environ, start_response):
        try:
            yield from app(environ, start_response)
        except Exception as error:
            start_response("500 Oops", [], sys.exc_info())
            yield b"oops"
    return guarded

if __name__ == "__main__":
    import socket
    port = int(sys.argv[sys.argv.index("--port") + 1])
    if "--silent" in sys.argv:
        sys.exit("no such option")
    listener = socket.create_server(("127.0.0.1", port))
    print(f"ready at http://127.0.0.1:{port}/", flush=True)
    while True:
        peer = listener.accept()[0]
        peer.recv(65536)
        if "--rude" not in sys.argv:
            peer.sendall(b"HTTP/1.0 200 OK\\r\\nX: 1\\r\\n\\r\\nhello")
        peer.close()
"""

Open = Callable[[str], WsgiApp]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    folder = tmp_path / "submission"
    folder.mkdir()
    (folder / "main.py").write_text(APPS, encoding="utf-8")
    give_to(tmp_path, child_uid())
    return Site(tmp_path, folder, "process")


@pytest.fixture
def module(site: Site) -> Iterator[Module]:
    module = Module(site, "main.py")
    yield module
    module.close()


@pytest.fixture
def target(site: Site, module: Module) -> WsgiTarget:
    return WsgiTarget(module, site.submission, files_below(site.submission))


@pytest.fixture
def app(target: WsgiTarget) -> Open:
    return lambda kind: target.open("make", kind)


def test_an_answer_comes_back_as_it_was(app: Open) -> None:
    reply = app("fine").get("/caf\u00e9", HTTP_ACCEPT="text/html")
    assert (reply.status, reply.reason, reply.body) == (200, "OK", "/caf\u00e9!".encode())
    assert list(reply.headers) == [("Content-Type", "text/plain"), ("X", "1")]
    assert reply.oddities == ()
    assert reply.raw.startswith(b"200 OK\r\nContent-Type: text/plain\r\n")
    assert reply.sent == "GET /caf\\xc3\\xa9  HTTP_ACCEPT=text/html"


@pytest.mark.parametrize(("kind", "body"), [("generator", b"ab"), ("writes", b"written returned")])
def test_every_legal_way_to_answer_is_fine(app: Open, kind: str, body: bytes) -> None:
    reply = app(kind).get("/")
    assert (reply.body, reply.oddities) == (body, ())


def test_what_breaks_the_protocol_is_told_and_still_read(app: Open) -> None:
    reply = app("odd").get("/")
    assert (reply.status, reply.body, reply.starts) == (404, b"text", 2)
    told = " | ".join(reply.oddities)
    for part in ("a second time", "headers are a tuple", "not a tuple of two str", "piece of the body is a str"):
        assert part in told
    assert "the body is a str" in app("bare").get("/").oddities[0]
    assert "the body is None" in app("forgets").get("/").oddities[0]
    assert "before start_response" in app("late").get("/").oddities[0]


def test_no_answer_is_a_complaint_of_its_own_kind(app: Open) -> None:
    with pytest.raises(Complaint) as silent:
        app("silent").get("/")
    assert silent.value.finding.got == "none was made"
    with pytest.raises(Complaint) as raised:
        app("raises").get("/")
    assert raised.value.finding.got.startswith("it raised KeyError")
    assert raised.value.finding.frames[-1].startswith("main.py:")
    with pytest.raises(Complaint) as left:
        app("leaves").get("/")
    assert left.value.verdict is Verdict.CRASHED
    assert app("fine").get("/").status == 200


@pytest.mark.parametrize(("kind", "got"), [("nothing", "it returned None"), ("of_one", "TypeError: of_one() takes")])
def test_what_cannot_be_called_as_an_application_is_told_apart(app: Open, kind: str, got: str) -> None:
    with pytest.raises(Complaint) as complaint:
        app(kind).get("/")
    assert complaint.value.finding.expected.startswith("make() to return an application")
    assert complaint.value.finding.got.startswith(got)


def test_a_factory_that_is_not_there_is_named(target: WsgiTarget, module: Module) -> None:
    with pytest.raises(Complaint, match="no function named create"):
        target.open("create").get("/")
    with pytest.raises(Complaint) as complaint:
        wrap(module, "of_one", {"status": "200 OK", "headers": [], "chunks": [], "secret": ""}, "of_one(app)")
    assert complaint.value.finding.expected.startswith("of_one() to return an application")


def test_an_endless_loop_is_ended(app: Open) -> None:
    with pytest.raises(Complaint) as hung:
        app("loops").get("/")
    assert hung.value.verdict is Verdict.TIMEOUT


@pytest.mark.parametrize("piece", [0, 1, 3])
def test_reading_the_length_is_enough_whatever_the_pieces(app: Open, piece: int) -> None:
    reply = app("reads_length").request(WsgiRequest("POST", body=b"12345", held=True, piece=piece))
    assert (reply.body, reply.taken, reply.beyond, reply.waited) == (b"12345", 5, False, False)


@pytest.mark.parametrize("kind", ["reads_all", "reads_lines"])
def test_reading_to_the_end_waits_only_where_the_connection_stays_open(app: Open, kind: str) -> None:
    closed = app(kind).request(WsgiRequest("POST", body=b"1\n2\n3"))
    assert (closed.body, closed.waited) == (b"1\n2\n3", False)
    held = app(kind).request(WsgiRequest("POST", body=b"1\n2\n3", held=True))
    assert held.waited
    assert held.beyond


def test_what_goes_to_the_log_comes_along(app: Open) -> None:
    assert app("logs").get("/").errors == "noted\n"


def test_the_referee_is_quoted(app: Open) -> None:
    assert app("fine").request(WsgiRequest(validate=True)).referee == ""
    assert "must be of type list" in app("odd").request(WsgiRequest(validate=True)).referee


def test_a_full_disk_can_be_had(app: Open, target: WsgiTarget) -> None:
    assert app("fills_the_disk").request(WsgiRequest(file_limit=100)).body == b"OSError"
    assert app("fills_the_disk").get("/").body == b"no limit"
    assert target.files_made() == ["big"]


def test_a_middleware_is_seen_from_both_sides(module: Module) -> None:
    plan = {"status": "200 OK", "headers": [("X", "1")], "chunks": [b"a", b"b"], "secret": "hush"}
    reply = wrap(module, "guard", plan, "guard(app)")
    assert (reply.body, reply.log[-1], list(reply.headers)) == (b"ab", "closed", [("X", "1")])
    early = wrap(module, "swallow", {**plan, "raise_at": 0}, "swallow(app)")
    assert (early.status, early.body, early.raised) == (500, b"oops", "")
    assert wrap(module, "swallow", {**plan, "raise_at": 1}, "swallow(app)").raised == "ProbeError"
    assert wrap(module, "guard", {**plan, "stop_after": 1}, "guard(app)").log[-1] == "closed"


def test_a_site_is_started_asked_and_killed(site: Site) -> None:
    running = SiteTarget(site, "main.py").start()
    reply = running.get("/")
    assert (reply.status, reply.body, reply.headers.get("X")) == (200, b"hello", "1")
    running.kill()
    running.kill()
    with pytest.raises(Complaint) as gone:
        running.get("/")
    assert gone.value.verdict is Verdict.CRASHED


def test_a_site_that_does_not_start_says_why(site: Site) -> None:
    with pytest.raises(Complaint) as ended:
        SiteTarget(site, "main.py").start("--silent")
    assert ended.value.finding.got == "exit status 1"
    assert "no such option" in ended.value.finding.output


def test_a_site_that_breaks_the_connection_is_a_complaint(site: Site) -> None:
    running = SiteTarget(site, "main.py").start("--rude")
    try:
        with pytest.raises(Complaint, match="connection broke"):
            running.get("/")
    finally:
        running.kill()
