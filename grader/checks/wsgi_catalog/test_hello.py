"""Routes, the first page, and the manners of a WSGI application."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path
from typing import Any

from grader.checks.wsgi_catalog.pages import Element, collapse, parse, read_page, read_whole_page
from grader.checks.wsgi_catalog.shelves import BOOKS, new_db, reading, write_seed
from grader.engine import because, check, expect, fuzz
from grader.engine.alphabets import MARKUP, any_text, words
from grader.target.function import Module
from grader.target.ports import LOOPBACK
from grader.target.site import SiteTarget
from grader.target.transcript import show_value
from grader.target.wsgi import WsgiReply, WsgiRequest, WsgiTarget

ROUTES = (
    ("", ("home", None)),
    ("/", ("home", None)),
    ("/books", ("books", None)),
    ("/books/new", ("new", None)),
    ("/books/search", ("search", None)),
    ("/books/7", ("book", 7)),
    ("/books/120", ("book", 120)),
    ("/books/999999999", ("book", 999_999_999)),
)
NO_PAGES = (
    "/Books", "/books/", "/book", "/books/7/", "/books/07", "/books/0", "/books/+7", "/books/-7", "/books/7.0",
    "/books/7 ", "/books/\u0667", "/books/\uff17", "/books/new/", "/books/7/edit", "//books", "/books/seven",
    "/books/1_0", "/books/7\n", "/Books/7", "/books/New", "/BOOKS/SEARCH",
)  # fmt: skip
HOP_BY_HOP = ("Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Trailer", "TE", "Proxy-Authenticate")
SEVERAL = (
    'README, "How it is started": it answers several clients at once. Another client has a connection open and says '
    "nothing meanwhile; nobody may have to wait for that one (ThreadingMixIn gives each connection a thread)"
)
ESCAPE = re.compile("%[0-9A-Fa-f]{2}")

METHODS_IN_ORDER = {
    "home": ("GET", "HEAD"),
    "books": ("GET", "HEAD", "POST"),
    "search": ("GET", "HEAD"),
    "new": ("GET", "HEAD"),
    "book": ("GET", "HEAD", "DELETE"),
}
PATHS = {"home": "/", "books": "/books", "search": "/books/search", "new": "/books/new", "book": "/books/1"}
METHODS = {route: (path, set(METHODS_IN_ORDER[route])) for route, path in PATHS.items()}
ALL_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW", "get")


@check("hello/route", points=1, source="kit rule")
def test_every_address_has_its_page(module: Module) -> None:
    """find_route() names the page of each address in the table, with the number of a book.

    README, "The pages": the table of addresses.
    """
    for path, wanted in ROUTES:
        expect(module.call("find_route", path)).returns(wanted)


@check("hello/no-route", points=1, source="kit rule", needs=("hello/route",))
def test_every_other_address_has_none(module: Module) -> None:
    """find_route() raises HttpError 404 for every other address.

    README, "The pages": every other path is a 404; a number is written in ASCII digits without leading zeros.
    """
    for path in NO_PAGES:
        expect(module.call("find_route", path)).raises("HttpError", status=404)


@check("hello/method", points=1, source="RFC 9110 section 15.5.6")
def test_a_method_that_is_not_listed_is_refused(module: Module) -> None:
    """check_method() returns None for a method of the route, else raises HttpError 405 with Allow.

    405 means: this page exists, but does not answer that method; Allow says which ones it does.
    """
    for route, (_, allowed) in METHODS.items():
        for method in ALL_METHODS:
            called = module.call("check_method", route, method)
            if method in allowed:
                expect(called).returns(None)
                continue
            expect(called).raises("HttpError", status=405)
            headers = (getattr(called, "attrs", None) or {}).get("headers")
            expect.that(
                allowed_by(headers) == allowed,
                expected=f'headers [("Allow", "{", ".join(METHODS_IN_ORDER[route])}")], in any order',
                got=f"headers {show_value(headers, 300)}",
            )


def allowed_by(headers: Any) -> set[str] | None:
    """The methods of the Allow header in a list of pairs of str; None where it is no such list."""
    if not isinstance(headers, (list, tuple)):
        return None
    pairs = [pair for pair in headers if isinstance(pair, (list, tuple)) and len(pair) == 2]
    if len(pairs) != len(headers) or not all(isinstance(item, str) for pair in pairs for item in pair):
        return None
    return {item.strip() for name, value in pairs if name.lower() == "allow" for item in value.split(",")}


def parse_field(module: Module, *arguments: str) -> tuple[Element, str]:
    """The HTML of field_html(), read as a browser does, and as it came."""
    called = module.call("field_html", *arguments)
    expect(called).returns_that(lambda got: isinstance(got, str), "HTML as a str")
    text = str(getattr(called, "value", ""))
    return parse(text), text


@check("hello/field", points=1, source="kit rule")
@fuzz(share=0.4, value=any_text() | words(MARKUP), message=any_text(1, 9))
def test_a_field_keeps_any_value(module: Module, value: str, message: str) -> None:
    """field_html() shows label, value and message, whatever is in them; without a message no element for it.

    README, "The two forms" and "The pages": a label for each input, and whatever somebody typed is escaped.
    """
    # What would look the same without being escaped is no test.
    for text in ("", f"{message} <i>&lt;"):
        root, markup = parse_field(module, "year", "Y&amp;ear <b>", value, text)
        note = collapse(text)
        inputs = [item.get("value") for item in root.all("input", name="year", id="year")]
        labels = [item.text for item in root.all("label") if item.get("for") == "year"]
        notes = [item.text for item in root.all(id="year-error") if item.text]
        for found, wanted, what in (
            (inputs, [value], f'one <input id="year" name="year"> whose value is {value!r}'),
            (labels, ["Y&amp;ear <b>"], "one <label for=\"year\"> with the text 'Y&amp;ear <b>'"),
            (notes, [note] if note else [], f'one element with id="year-error" and the text {note!r}'),
        ):
            expected = what if wanted else 'no element with id="year-error" where there is no message'
            shown = ", ".join(map(repr, found)) or "none"
            expect.that(found == wanted, expected=expected, got=f"{shown} in {markup}")


def first_page(reply: WsgiReply) -> None:
    """An answer with a page on it, whatever that page is like."""
    expect(reply).status(200)
    read_page(reply)


@check("hello/home", points=1, source="kit rule")
def test_the_first_page_has_the_search_form(wsgi: WsgiTarget, folder: Path) -> None:
    """GET / answers 200 with the form of id="search": fields for title, author and year.

    README, "The two forms": the search form has id="search" and inputs named title, author and year.
    """
    app = reading(wsgi, folder).app
    reply = app.get("/")
    expect(reply).status(200)
    form = read_page(reply).form("search")
    shown = "no such form" if form is None else f"fields {sorted(form.fields)}"
    good = form is not None and {"title", "author", "year"} <= set(form.fields)
    expect(reply).that(good, expected='<form id="search"> with title, author, year', got=shown)


@check("hello/page", points=1, source="kit rule")
def test_a_page_begins_as_pages_do(wsgi: WsgiTarget, folder: Path) -> None:
    """A page is text/html; charset=utf-8 with <!doctype html>, a title, a viewport, and a label for each field.

    README, "The pages": without the doctype, the charset and the viewport browsers guess, and telephones show it tiny.
    """
    reply = reading(wsgi, folder).app.get("/")
    first_page(reply)
    page = read_whole_page(reply)
    labelled = sorted(form.labelled) if (form := page.form("search") or page.form("")) else []
    good = set(labelled) >= {"author", "title", "year"}
    expect(reply).that(good, expected="a <label> for title, author and year", got=f"labels for {labelled}")


@check("hello/start-response", points=1, source="PEP 3333, The start_response() Callable")
def test_the_server_is_called_as_agreed(wsgi: WsgiTarget, folder: Path) -> None:
    """start_response is called once, before the body, with a str status and a list of tuples of str.

    HTTP servers pass status and headers on as they are; what is not a str stops most of them.
    """
    app = reading(wsgi, folder).app
    for path in ("/", "/books/new"):
        reply = app.get(path)
        first_page(reply)
        wrong = [oddity for oddity in reply.oddities if "piece" not in oddity and "body" not in oddity]
        expect(reply).that(not wrong, expected="one call as PEP 3333 describes it", got="; ".join(wrong))
        expect(reply).that(reply.starts == 1, expected="one call of start_response", got=f"{reply.starts} calls")


@check("hello/body-bytes", points=1, source="PEP 3333, Unicode Issues")
def test_the_body_is_an_iterable_of_bytes(wsgi: WsgiTarget, folder: Path) -> None:
    """The body is an iterable of bytes, never of str, and not itself one bytes.

    A wire carries bytes: only you know which encoding you promised in Content-Type.
    """
    app = reading(wsgi, folder).app
    for path in ("/", "/books/new"):
        reply = app.get(path)
        first_page(reply)
        wrong = [oddity for oddity in reply.oddities if "body" in oddity]
        expect(reply).that(not wrong, expected="bytes, in a list or a generator", got="; ".join(wrong))


@check("hello/head", points=1, source="RFC 9110 section 9.3.2")
def test_head_is_get_without_the_body(wsgi: WsgiTarget, folder: Path) -> None:
    """HEAD gets the status and headers of GET, and no body.

    HEAD asks what GET would say without its body, for example whether a page is still there.
    """
    app = reading(wsgi, folder).app
    for path, status in (("/", 200), ("/books/new", 200)):
        got, reply = app.get(path), app.head(path)
        first_page(got)
        expect(reply).status(status).body(b"")
        for name in ("Content-Type", "Vary"):
            same = reply.headers.get_all(name) == got.headers.get_all(name)
            expect(reply).that(same, expected=f"{name} as for GET: {got.headers.get(name)}")


@check("hello/hop-by-hop", points=1, source="PEP 3333, Other HTTP Features")
def test_the_connection_is_the_server_s(wsgi: WsgiTarget, folder: Path) -> None:
    """No hop-by-hop header such as Connection or Transfer-Encoding is sent.

    Such headers are about one connection, and only the server knows the connection.
    """
    app = reading(wsgi, folder).app
    for path in ("/", "/books/new"):
        reply = app.get(path)
        first_page(reply)
        for name in HOP_BY_HOP:
            expect(reply).no_header(name)


@check("hello/mounted", points=1, source="PEP 3333, URL Reconstruction")
def test_a_mounted_catalog_keeps_its_visitors(wsgi: WsgiTarget, folder: Path) -> None:
    """Every link and form of the page begins with SCRIPT_NAME, percent-encoded; an empty path is the first page.

    A server may mount the application anywhere; only SCRIPT_NAME says where.
    """
    app = reading(wsgi, folder).app
    for mounted, encoded in (("/shop", "/shop"), ("/caf\u00e9 2", "/caf%C3%A9%202")):
        for path in ("/", "", "/books/new"):
            variables = (("SCRIPT_NAME", mounted.encode().decode("latin-1")),)
            reply = app.request(WsgiRequest(path=path, meta=variables))
            expect(reply).status(200)
            links = read_page(reply, f"http://localhost{encoded}{path}").links()
            # The hex digits of an escape are the same in either case (RFC 3986 section 6.2.2.1).
            upper = [ESCAPE.sub(lambda match: match[0].upper(), link) for link in links]
            strays = [link for link in upper if not (link == encoded or link.startswith(f"{encoded}/"))]
            expect(reply).that(bool(links), expected="a form with an action, and links", got="neither")
            expect(reply).that(not strays, expected=f"links below {encoded}", got=", ".join(strays[:3]))


def connect(host: str, port: int) -> socket.socket:
    """A connection to a server that should listen there."""
    try:
        return socket.create_connection((host, port), timeout=5)
    except OSError as error:
        got = f"the connection is refused ({type(error).__name__})"
        expect.fail(
            sent=f"a connection to {host}, port {port}", expected="it listens at the address of --host", got=got
        )


@check("hello/server", points=1, source="kit rule")
def test_it_serves_by_itself(site: SiteTarget, folder: Path) -> None:
    """python main.py --host H --port N --db FILE --seed FILE prints its address and serves the catalog there.

    README, "How it is started": the line with the address tells whoever started it that it listens.
    """
    # On Linux all of 127.0.0.0/8 is this machine: a server that listens elsewhere than at --host is not reached there.
    host = "127.0.0.2" if sys.platform == "linux" else LOOPBACK
    running = site.start("--host", host, "--db", str(new_db(folder)), "--seed", str(write_seed(folder, BOOKS)))
    running.url = f"http://{host}:{running.port}"
    try:
        with because(f'README, "How it is started": --host says where it listens; here that was {host}'):
            silent = connect(host, running.port)
        with silent, because(SEVERAL):
            reply = running.get("/")
        expect(reply).status(200)
        shown = next(read_page(reply, running.url).root.all("form"), None) is not None
        expect(reply).that(shown, expected="the page with the search form")
    finally:
        running.kill()
