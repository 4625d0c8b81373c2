"""Middleware that catches errors; and the whole application under the eyes of the referee."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from grader.checks.wsgi_catalog.pages import media_type, read_whole_page
from grader.checks.wsgi_catalog.shelves import BOOKS, listing, open_shelf, overwrite, read_made
from grader.checks.wsgi_catalog.test_hello import HOP_BY_HOP
from grader.engine import because, check, expect, fuzz
from grader.target.function import Module
from grader.target.wsgi import FORM_TYPE, JSON_TYPE, WsgiReply, WsgiRequest, WsgiTarget, wrap

SECRET = "the password is 0451"
PLAN: dict[str, Any] = {
    "status": "203 Fine",
    "headers": [("Content-Type", "text/plain"), ("X-One", "1"), ("X-One", "2")],
    "chunks": [b"one", b"two", b"three"],
    "secret": SECRET,
}


def guard(module: Module, shown: str, **changes: Any) -> WsgiReply:
    """What a server sees of catch_errors() around an application that behaves as `shown` says."""
    return wrap(module, "catch_errors", {**PLAN, **changes}, f"catch_errors(app), where app {shown}")


def log_of(reply: WsgiReply) -> str:
    """The order of events, in one line."""
    return ", ".join(reply.log)


@check("guard/passes-on", points=1, source="PEP 3333, Middleware")
@fuzz(
    share=0.3,
    chunks=st.lists(st.binary(max_size=5), max_size=4),
    start=st.sampled_from(("call", "late")),
    write=st.lists(st.binary(min_size=1, max_size=3), max_size=2),
)
def test_what_works_is_passed_on(module: Module, chunks: list[bytes], start: str, write: list[bytes]) -> None:
    """Where nothing is raised, status, headers and body pass through catch_errors() unchanged.

    Middleware is seen by the server as an application, and by the application as a server: neither may notice it.
    """
    reply = guard(module, "answers as usual", chunks=chunks, start=start, write=write)
    expect(reply).status(203).body(b"".join(write) + b"".join(chunks))
    headers = [tuple(pair) for pair in PLAN["headers"]]
    expect(reply).that(list(reply.headers) == headers, expected=f"the headers {headers!r}")
    expect(reply).that(reply.starts == 1, expected="one call of start_response", got=f"{reply.starts} calls")
    expect(reply).that(not reply.oddities, expected="PEP 3333 kept", got="; ".join(reply.oddities))


@check(
    "guard/one-by-one", points=1, source="PEP 3333, Middleware Handling of Block Boundaries", needs=("guard/passes-on",)
)
def test_a_piece_is_passed_on_as_it_comes(module: Module) -> None:
    """Each piece of the body is passed on before the next one is asked for.

    An application may send a page in pieces over a long time; middleware must not hold them back.
    """
    reply = guard(module, "gives three pieces, the second one empty", chunks=[b"one", b"", b"three"])
    pieces = [event for event in reply.log if event.startswith(("app gave", "server got"))]
    wanted = [f"{who} {number}" for number in (1, 2, 3) for who in ("app gave", "server got")]
    expect(reply).that(pieces == wanted, expected=", ".join(wanted), got=", ".join(pieces))


@check("guard/error-page", points=2, source="kit rule", needs=("guard/passes-on",))
def test_an_exception_becomes_a_page(module: Module) -> None:
    """What app raises becomes a page with status 500; the traceback goes to wsgi.errors and not to the client.

    People get a page instead of nothing; the traceback, which may hold secrets, goes to those who run the server.
    """
    for raise_at, start, shown in (
        ("call", "never", "raises at once"),
        (0, "never", "raises before the first piece"),
        ("call", "call", "raises after start_response"),
    ):
        reply = guard(module, shown, raise_at=raise_at, start=start)
        expect(reply).that(not reply.raised, expected="a page with status 500", got=f"it raised {reply.raised}")
        expect(reply).status(500).header("Content-Type").body_lacks(SECRET, "Traceback", "ProbeError")
        expect(reply).that(reply.body.strip() != b"", expected="a page for a person")
        logged = SECRET in reply.errors and "Traceback" in reply.errors
        expect(reply).that(logged, expected="the traceback in wsgi.errors", got=repr(reply.errors[-200:]))
        expect_good_page(reply)


def expect_good_page(reply: WsgiReply) -> None:
    """The page about an error, where it is HTML, has what each page must have; its length is right, or not told."""
    if media_type(reply) == "text/html":
        read_whole_page(reply)
    lengths = reply.headers.get_all("Content-Length")
    with because('README, "The protocol": Content-Length, where it is sent, is the number of bytes'):
        expected = f"Content-Length: {len(reply.body)}, or none"
        expect(reply).that(lengths in ([], [str(len(reply.body))]), expected=expected, got=", ".join(lengths))


@check("guard/exc-info", points=1, source="PEP 3333, Error Handling", needs=("guard/error-page",))
def test_a_late_error_is_told_with_exc_info(module: Module) -> None:
    """start_response is called again with exc_info; once the headers are out it raises, and that gets through.

    With exc_info a server takes the error's status if nothing is sent yet, and else breaks off.
    """
    reply = guard(module, "raises after start_response, before the first piece", raise_at=0)
    with because(
        "PEP 3333: an application may replace its own headers by exc_info; middleware passes on all it is given"
    ):
        own = guard(module, "replaces its status by one of its own, with exc_info", own_error="504 Too Late")
        passed = own.starts == 2 and not own.oddities
        expect(own).status(504).that(passed, expected="its call of start_response, with exc_info", got=log_of(own))
    told = "start_response with exc_info" in reply.log and not reply.oddities
    expect(reply).that(told, expected="start_response with exc_info", got=log_of(reply))
    expect(reply).status(500)
    reply = guard(module, "raises after its first piece", raise_at=1)
    broken = reply.raised == "ProbeError" and reply.body == b"one"
    got = f"it raised {reply.raised}" if reply.raised else "it ended as if nothing had happened"
    expect(reply).that(
        broken, expected='the exception of app, after the piece "one"', got=f"{got}; body {reply.body!r}"
    )


@check("guard/closed", points=1, source="PEP 3333, Specification Details", needs=("guard/passes-on",))
def test_the_iterable_is_closed(module: Module) -> None:
    """close() of what app returned is called: at the end, after an error, and if the server stops early.

    close() is where an application gives back files and connections; the server calls it once, and so must middleware.
    """
    cases: tuple[tuple[str, dict[str, Any]], ...] = (
        ("gives three pieces", {}),
        ("raises before its first piece", {"raise_at": 0}),
        ("raises after two pieces", {"raise_at": 2}),
        ("gives three pieces, but the client goes after one", {"stop_after": 1}),
    )
    for shown, changes in cases:
        reply = guard(module, shown, **changes)
        count = reply.log.count("closed")
        expect(reply).that(count == 1, expected="close() called once", got=f"{count} times: {log_of(reply)}")


PAGES = (
    *(
        WsgiRequest(method, path)
        for path in ("/", "/books", "/books/1", "/books/new", "/nowhere")
        for method in ("GET", "HEAD")
    ),
    WsgiRequest(path="/books/search", query="title=o&page=2"),
    WsgiRequest(path="/books/search", query="year=soon", meta=(("HTTP_ACCEPT", JSON_TYPE),)),
    WsgiRequest("PUT", "/books/1"),
    WsgiRequest("DELETE", "/books/2"),
    WsgiRequest("POST", "/books", body=b"title=a&author=b&year=1", meta=(("CONTENT_TYPE", FORM_TYPE),)),
    WsgiRequest(
        "POST", "/books", body=b'{"title": "a", "author": "b", "year": 1}', meta=(("CONTENT_TYPE", JSON_TYPE),)
    ),
    WsgiRequest("POST", "/books", body=b"title=a", meta=(("CONTENT_TYPE", FORM_TYPE),)),
    WsgiRequest("POST", "/books", body=b"x", meta=(("CONTENT_TYPE", "text/plain"),)),
    WsgiRequest("POST", "/books", body=b"x", meta=(("CONTENT_TYPE", FORM_TYPE), ("CONTENT_LENGTH", "70000"))),
    WsgiRequest("POST", "/books", body=b"x", meta=(("CONTENT_TYPE", FORM_TYPE), ("CONTENT_LENGTH", None))),
)


@check("guard/referee", points=1, source="PEP 3333")
def test_the_referee_is_content(wsgi: WsgiTarget, folder: Path) -> None:
    """Every page passes wsgiref.validate, and calls start_response once, also where something is wrong.

    wsgiref.validate, the referee of the standard library, stands between server and application and knows all rules.
    """
    app = open_shelf(wsgi, folder).app
    expect(app.get("/")).status(200)
    expect(app.get("/nowhere")).status(404)
    for page in PAGES:
        reply = app.request(WsgiRequest(page.method, page.path, page.query, page.body, page.meta, validate=True))
        expect(reply).that(not reply.referee, expected="no complaint of wsgiref.validate", got=reply.referee)
        expect(reply).that(not reply.oddities, expected="PEP 3333 kept", got="; ".join(reply.oddities))
        with because('README, "The protocol": no hop-by-hop header, in an error neither; those belong to the server'):
            for name in HOP_BY_HOP:
                expect(reply).no_header(name)


@check("guard/broken-file", points=1, source="kit rule")
def test_a_broken_file_is_told_from_an_empty_one(wsgi: WsgiTarget, folder: Path) -> None:
    """While the database cannot be read the pages that need it are a 500, without a traceback; then they work again.

    README, "When something breaks": a page for people and the traceback in the log; nothing is written over the file.
    """
    shelf = open_shelf(wsgi, folder)
    shelf.add(BOOKS[0])
    whole = read_made(shelf.db)
    overwrite(shelf.db, whole[: len(whole) // 2])
    for path in ("/books", "/books/1", "/books/search?year=1605"):
        reply = shelf.app.get(*path.split("?"))
        with because('README, "When something breaks": the pages that need a file that cannot be read answer 500'):
            expect(reply).status(500)
        expect(reply).body_lacks("Traceback")
        expect(reply).that(reply.body.strip() != b"", expected="a page for a person")
        expect_good_page(reply)
        logged = "Traceback" in reply.errors or 'File "' in reply.errors
        expect(reply).that(logged, expected="the traceback in wsgi.errors", got=repr(reply.errors[-200:]))
    expect(shelf.app.get("/")).status(200)
    overwrite(shelf.db, whole)
    total = listing(shelf.app.get_json("/books"))["total"]
    expect.that(
        total == len(BOOKS) + 1, expected=f"{len(BOOKS) + 1} books once it is whole again", got=f"{total} books"
    )
