"""A catalog of books: a WSGI application (PEP 3333) that keeps its books in a TinyDB file.

    python main.py [--host H] [--port N] [--db FILE] [--seed FILE]

The way of a request, from the left to the right, and of the answer back again:

    server -> application -> catch_errors -> Site -> find_route, check_method     which page? is it allowed?
                                                  -> show_book, post_book, ...    values in, a Response out
                                                  -> load_books, add_book, ...    the shelf: one file of JSON
                                                  -> send                         a Response becomes bytes
"""

import argparse
import functools
import html
import json
import os
import re
import shutil
import socket
import sys
import time
import traceback
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from http import HTTPStatus
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from tinydb import TinyDB
from tinydb.middlewares import CachingMiddleware
from tinydb.storages import Storage
from tinydb.table import Document

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

PER_PAGE = 20
MAX_BODY = 65_536  # bytes
MAX_TEXT = 200  # characters of a title or an author
OLDEST, NEWEST = -4000, 2100
LOCK_SECONDS = 10  # how long a writer waits for the others
HTML, JSON = "text/html", "application/json"
FORM = "application/x-www-form-urlencoded"

METHODS = {
    "home": ("GET", "HEAD"),
    "books": ("GET", "HEAD", "POST"),
    "search": ("GET", "HEAD"),
    "new": ("GET", "HEAD"),
    "book": ("GET", "HEAD", "DELETE"),
}

# What no page may hold, not even as a character reference: control characters and noncharacters (HTML Living
# Standard, section 13.2.3.5). A table for str.translate().
NOT_IN_HTML = dict.fromkeys(
    [*range(0x09), 0x0B, *range(0x0E, 0x20), *range(0x7F, 0xA0), *range(0xFDD0, 0xFDF0)]
    + [plane + last for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)],
    "\ufffd",
)

Book = dict[str, Any]  # {"id": 98, "title": "Medea", "author": "Euripides", "year": -431}: 431 BCE


class Page(NamedTuple):
    """The books of one page, and where it stands among the others."""

    books: list[Book]
    page: int
    pages: int
    total: int


class Response(NamedTuple):
    """What a page answers, before it becomes bytes on a wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class HttpError(Exception):
    """Raise it anywhere below Site: it becomes the answer, as a page or as JSON."""

    def __init__(self, status: int, message: str, headers: list[tuple[str, str]] | None = None) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.headers = headers or []


def escape(text: str) -> str:
    r"""Make text safe between tags and in attributes: html.escape(), and U+FFFD for what no page may hold.

    '"R&D"\x01'  ->  '&quot;R&amp;D&quot;\ufffd'
    """
    return html.escape(text.translate(NOT_IN_HTML))


# ------------------------------ environ: read what the server hands you


def wsgi_text(value: str) -> str:
    r"""Turn a string of the environ into the text that the client meant.

    PEP 3333 gives every byte of PATH_INFO, SCRIPT_NAME and QUERY_STRING as one character (latin-1),
    whatever the bytes mean. The client meant UTF-8:  "/caf\xc3\xa9"  ->  "/café"
    Bytes that are not UTF-8 become U+FFFD, never an exception:  "\xff"  ->  "\ufffd"
    There is no way back from U+FFFD, so where the bytes are needed again (link) begin with the environ's string.
    """
    return value.encode("latin-1").decode("utf-8", "replace")


def link(script_name: str, path: str, query: dict[str, str] | None = None) -> str:
    r"""Write the address of one of our own pages, ready for an href (before HTML escaping) or a Location.

    Given   script_name as it stands in the environ (one character per byte): where a server mounted us,
            often ""; path as text; query as text, {} and None alike mean no question mark.
    Returns ASCII: everything else is percent-encoded as UTF-8.   RFC 3986 section 2.1
            "/shop", "/books", {"page": "2"}  ->  "/shop/books?page=2"
            "/caf\xc3\xa9", "/books"          ->  "/caf%C3%A9/books"
            "/\xff", "/books"                ->  "/%FF/books"    bytes that are no UTF-8 come back as they were
    """
    address = quote(script_name.encode("latin-1")) + quote(path)
    return f"{address}?{urlencode(query)}" if query else address


def read_query(query_string: str) -> dict[str, str]:
    r"""Decode QUERY_STRING, as it stands in the environ, into names and values.

    "title=caf%C3%A9+noir&year="  ->  {"title": "café noir", "year": ""}
    A blank value is kept, of a name that comes twice the first value counts, a name without = has the value
    "". Bytes that are not UTF-8 become U+FFFD: a query only asks, so nothing in it is worth an error.
    """
    fields: dict[str, str] = {}
    for name, value in parse_qsl(wsgi_text(query_string), keep_blank_values=True):
        fields.setdefault(name, value)
    return fields


# ------------------------------ hello: find the page, send the answer


def find_route(path: str) -> tuple[str, int | None]:
    """Name the page that a path asks for, and the book's number where there is one.

    "" and "/"        ->  ("home", None)          "/books/new"     ->  ("new", None)
    "/books"          ->  ("books", None)         "/books/search"  ->  ("search", None)
    "/books/7"        ->  ("book", 7)             a number: ASCII digits, the first not a zero, at most nine
    Raises  HttpError with status 404 for every other path: "/Books", "/books/", "/books/07", "/books/7/".
    """
    pages = {"": "home", "/": "home", "/books": "books", "/books/new": "new", "/books/search": "search"}
    if path in pages:
        return pages[path], None
    number = re.fullmatch(r"/books/([1-9][0-9]{0,8})", path)
    if number is None:
        raise HttpError(404, "There is no page at this address.")
    return "book", int(number[1])


def check_method(route: str, method: str) -> None:
    """Let a method pass if METHODS lists it for this route.  check_method("home", "GET")  ->  None

    Raises  HttpError with status 405 otherwise; its headers hold one pair ("Allow", "GET, HEAD"): the
            methods of the route, joined by a comma and a space.   RFC 9110 section 15.5.6
    """
    if method not in METHODS[route]:
        allowed = ", ".join(METHODS[route])
        raise HttpError(405, f"This page answers {allowed} only.", [("Allow", allowed)])


def field_html(name: str, label: str, value: str, message: str = "") -> str:
    """Write one field of a form: a label, an input of that name holding value, the message if there is one.

    <label for="year">Year</label> <input id="year" name="year" value="soon"> <p id="year-error">...</p>
    Without a message there is no element of that id. Everything goes through escape(), quotes too. More attributes are
    welcome (aria-invalid and aria-describedby read the message out to those who do not see it).
    """
    invalid = f' aria-invalid="true" aria-describedby="{name}-error"' if message else ""
    note = f'<p class="error" id="{name}-error">{escape(message)}</p>' if message else ""
    return (
        f'<p class="field"><label for="{name}">{escape(label)}</label>'
        f'<input id="{name}" name="{name}" value="{escape(value)}"{invalid}></p>{note}'
    )


def send(response: Response, method: str, start_response: StartResponse) -> list[bytes]:
    """Hand a Response to the server: call start_response once, return the body as a list of bytes.

    The status is a string such as "200 OK" or "404 Not Found" (http.HTTPStatus knows the words); the
    headers are the response's own, in their order, then Content-Length, in bytes. HEAD gets the headers of
    GET and no body. 204 says by itself that nothing follows: no Content-Length, no body.
    PEP 3333; RFC 9110 sections 8.6 and 9.3.2
    """
    headers = list(response.headers)
    if response.status != 204:
        headers.append(("Content-Length", str(len(response.body))))
    start_response(f"{response.status} {HTTPStatus(response.status).phrase}", headers)
    return [] if method == "HEAD" or response.status == 204 else [response.body]


def create_application(db: str, seed: str | None = None) -> WSGIApplication:
    """Make the whole application around one database file: a Site.

    Given   db: the path of the database file, a str; the first request makes the file if need be.
            seed: the path of a JSON file with the first books of a new database, a str, or None.
    Returns Site(db, seed), which wants each path as a Path.
    In step guard you come back and wrap catch_errors() around the Site.
    """
    return catch_errors(Site(Path(db), Path(seed) if seed else None))


# ------------------------------ negotiate: HTML or JSON


def negotiate(accept: str) -> str:
    """Choose between "text/html" and "application/json" by the Accept header.   RFC 9110 section 12.5.1

    Each part is a range with a weight, q=0 to q=1 with at most three decimals, 1 if none is given:
        "text/html;q=0.5, application/json"  ->  "application/json"
    For each of the two types the most exact range counts (type/subtype before type/* before */*); a type
    that no range covers has the weight 0. JSON must weigh more than HTML to be chosen: "", "*/*" and
    "image/png" all mean HTML. Types and the letter q are case-insensitive, blanks around , ; are allowed,
    parameters other than q are ignored, and a part whose weight cannot be read is left out.
    """
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        weight = "1"
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                weight = value.strip()
        if re.fullmatch(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", weight):
            weights[media_range] = float(weight)

    def weight_of(media_type: str) -> float:
        ranges = (media_type, media_type.split("/")[0] + "/*", "*/*")
        return next((weights[item] for item in ranges if item in weights), 0.0)

    return JSON if weight_of(JSON) > weight_of(HTML) else HTML


# ------------------------------ shelf: a file that is always whole


class FileLock:
    """with FileLock(path): one thread of one process at a time is inside; all others wait.

    The lock belongs to the open file, so the system gives it back when its owner ends, also by kill -9.
    Raises  HttpError with status 503 after LOCK_SECONDS of waiting.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        self.handle = self.path.open("ab")
        deadline = time.monotonic() + LOCK_SECONDS
        while not self.take():
            if time.monotonic() > deadline:
                self.handle.close()
                retry = ("Retry-After", str(LOCK_SECONDS))
                raise HttpError(503, "Somebody else is busy with the books. Please try again later.", [retry])
            # No system has a call that waits for a lock, but only so long.
            time.sleep(0.002)

    def take(self) -> bool:
        """Try once, without waiting."""
        try:
            if sys.platform == "win32":
                self.handle.seek(0)
                msvcrt.locking(self.handle.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def __exit__(self, *error: object) -> None:
        if sys.platform == "win32":
            self.handle.seek(0)
            msvcrt.locking(self.handle.fileno(), msvcrt.LK_UNLCK, 1)
        self.handle.close()


class AtomicStorage(Storage):
    """Where TinyDB reads and writes all tables at once: {"books": {"1": {...}, ...}, "meta": {...}}."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, dict[str, Any]] | None:
        """All tables; None where there is no file yet. A file that is empty or no JSON is broken: ValueError."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        tables: dict[str, dict[str, Any]] = json.loads(content)
        return tables

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        """Put all tables into the place of the old ones, in one step."""
        replace_file(self.path, json.dumps(data, ensure_ascii=False).encode("utf-8"))


def sync_folder(folder: Path) -> None:
    """Push the names in a folder to the disk: without that a power failure can undo an os.replace()."""
    # Windows has no such call, and some file systems refuse it.
    if sys.platform != "win32":
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Give a file new content in one step: whoever looks sees all of the old or all of the new.

    Also after a crash. Write a second, temporary file beside the first: in the same folder, with a name that begins
    with its name (os.replace cannot cross from one disk to another). If there is an old file, give the new one
    its permissions (shutil.copymode). Push the content to the disk (flush, os.fsync), os.replace() the second file
    over the first, then sync_folder(). The old file itself is never written to. The callers take care that only
    one of them is here at a time.
    """
    fresh = path.with_name(path.name + ".tmp")
    with fresh.open("wb") as file:
        # Before the content is in it: what only its owner could read stays so.
        if path.exists():
            shutil.copymode(path, fresh)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


@contextmanager
def transaction(db: Path) -> Iterator[TinyDB]:
    """with transaction(db) as tables: a TinyDB that nobody else changes meanwhile, written once at the end.

    Hold FileLock on a file of its own beside the database (db itself is replaced, a lock on it would go
    with it). Give TinyDB(db, storage=...) the CachingMiddleware around AtomicStorage: it collects all
    changes until it is closed.
    """
    lock = FileLock(db.with_name(db.name + ".lock"))
    with lock, TinyDB(db, storage=CachingMiddleware(AtomicStorage)) as tables:
        yield tables


def seed_catalog(db: Path, seed: Path | None) -> None:
    """Put the books of the seed file on a new shelf, once in the shelf's life, in one transaction.

    Given   seed: a JSON file, [{"title": ..., "author": ..., "year": ...}, ...], or None for an empty shelf.
    Table "books": the first book gets doc_id 1, the next 2 ... (a tinydb Document carries its doc_id).
    Table "meta": one document, {"next_id": N}, the number for the next new book. Where it exists the shelf
    has been seeded before, and nothing is changed. The number of books says nothing about that: a shelf may be
    seeded with none, and one whose books have all been deleted stays empty.
    """
    if _is_seeded(db):
        return
    with transaction(db) as tables:
        # Somebody may have been quicker between the question above and the lock.
        if len(tables.table("meta")):
            return
        books = json.loads(seed.read_text(encoding="utf-8")) if seed else []
        tables.table("books").insert_multiple(Document(book, number) for number, book in enumerate(books, 1))
        tables.table("meta").insert({"next_id": len(books) + 1})


@contextmanager
def _reading(db: Path) -> Iterator[TinyDB]:
    lock = FileLock(db.with_name(db.name + ".lock")) if sys.platform == "win32" else nullcontext()
    with lock, TinyDB(db, storage=AtomicStorage) as tables:
        yield tables


def _is_seeded(db: Path) -> bool:
    with _reading(db) as tables:
        return len(tables.table("meta")) > 0


def load_books(db: Path) -> dict[int, Book]:
    """Read all books, by number, the lowest first.

    {1: {"id": 1, "title": "Don Quijote de la Mancha", "author": "Miguel de Cervantes", "year": 1605}, ...}
    Sees what other processes have written since the last call. The callers do not change what they get.
    Reading takes no lock, so it works where nothing may be written. Only on Windows, which cannot replace a file
    that somebody reads, hold FileLock meanwhile, on the file that transaction() locks.
    """
    facts = db.stat()
    # Two changes within one tick of the disk's clock can look like one: a young file is not remembered.
    settled = time.time_ns() - facts.st_mtime_ns > 100_000_000
    read = _remembered_books if settled else _read_books
    return read(db, (facts.st_ino, facts.st_mtime_ns, facts.st_size))


def _read_books(db: Path, stamp: tuple[int, ...]) -> dict[int, Book]:
    with _reading(db) as tables:
        documents = sorted(tables.table("books"), key=lambda document: document.doc_id)
    # The id last: a seed file may have ids of its own.
    return {document.doc_id: {**document, "id": document.doc_id} for document in documents}


_remembered_books = functools.lru_cache(maxsize=4)(_read_books)


# ------------------------------ books: pages of a list


def take_page(books: list[Book], page: str) -> Page:
    """Cut one page of PER_PAGE books out of a list.

    45 books, "3"  ->  Page(books=[the last five], page=3, pages=3, total=45)
    Given   page as it came in the query, blanks around it removed; "" means the first page.
    Raises  HttpError 400 if page is not a whole number of ASCII digits from 1 on, 404 if it lies beyond the
            last page, however many digits it has. There is always a page 1, if need be without books.
    """
    if not re.fullmatch(r"0*[1-9][0-9]*", page or "1"):
        raise HttpError(400, "The page must be a whole number, 1 or more.")
    # int() refuses thousands of digits; the first ten already lie beyond every last page.
    number = int((page or "1").lstrip("0")[:10])
    pages = max(1, -(-len(books) // PER_PAGE))
    if number > pages:
        raise HttpError(404, f"There are only {pages} pages.")
    return Page(books[(number - 1) * PER_PAGE : number * PER_PAGE], number, pages, len(books))


def book_html(book: Book, script_name: str) -> str:
    """Write one book as an item of a list, everything through escape().

    <li class="book"><a class="title" href="/books/7">...</a>
        <span class="author">...</span> <span class="year">...</span></li>
    More markup is welcome: the element of class book with these three inside it is what programs look for.
    The address comes from link().
    """
    address = escape(link(script_name, f"/books/{book['id']}"))
    return (
        f'<li class="book"><a class="title" href="{address}">{escape(book["title"])}</a>'
        f' <span class="author">{escape(book["author"])}</span>'
        f' <span class="year">{book["year"]}</span></li>'
    )


# ------------------------------ search: find what was meant


def read_year(text: str) -> int | None:
    """Read a year: an optional minus and one to four ASCII digits.  "1984" -> 1984, "-431" -> -431, else None"""
    return int(text) if re.fullmatch(r"-?[0-9]{1,4}", text) else None


def read_search(query: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the conditions of a search; returns (terms, errors), one of the two empty.

    {"title": " Quij ", "author": "", "year": "1605"}  ->  ({"title": "Quij", "year": 1605}, {})
    Blanks around a value are removed (str.strip); an empty value is no condition; read_year() reads a year.
    {"year": "soon"}  ->  ({}, {"year": "a message for a person"})
    {}                ->  ({}, {"form": "a message for a person"})    nothing to search for
    """
    values = {name: query.get(name, "").strip() for name in ("title", "author", "year")}
    terms: dict[str, Any] = {name: value for name, value in values.items() if value}
    if not terms:
        return {}, {"form": "Fill in at least one of the three fields."}
    if "year" in terms:
        terms["year"] = read_year(values["year"])
        if terms["year"] is None:
            return {}, {"year": "A year is a whole number such as 1984, or -431 for 431 BCE."}
    return terms, {}


def search_books(books: Iterable[Book], terms: dict[str, Any]) -> list[Book]:
    """Keep the books that meet every condition in terms, in the order given.

    title, author   the condition is a part of it, upper and lower case alike: compare str.casefold() of both
    year            the same number
    {"title": "STRASSE"} finds "Die Straße", {"year": 16} does not find 1605, {} finds every book.
    """
    title = terms.get("title", "").casefold()
    author = terms.get("author", "").casefold()
    year = terms.get("year")
    return [
        book
        for book in books
        if (year is None or book["year"] == year)
        and (not title or title in book["title"].casefold())
        and (not author or author in book["author"].casefold())
    ]


# ------------------------------ body: read exactly what was sent


def read_body(environ: WSGIEnvironment) -> bytes:
    """Read the body of a request: exactly CONTENT_LENGTH bytes of environ["wsgi.input"], never one more.

    A connection that is kept open never says "end of file": a read beyond the length waits for ever (PEP 3333).
    Raises  HttpError, without reading: 411 if CONTENT_LENGTH is missing or empty; 400 if it is not ASCII
            digits only; 413 if it is more than MAX_BODY. After reading: 400 if fewer bytes came, or read()
            raised OSError (the client has gone, or was silent for too long).
    One read() may give fewer bytes than asked for, so ask again until it gives none.
    """
    length = environ.get("CONTENT_LENGTH") or ""
    if not length:
        raise HttpError(411, "Say how long the body is (Content-Length).")
    if not re.fullmatch(r"[0-9]+", length):
        raise HttpError(400, "Content-Length is not a number.")
    digits = length.lstrip("0") or "0"
    # int() refuses thousands of digits, so count them first.
    if len(digits) > len(str(MAX_BODY)) or int(digits) > MAX_BODY:
        raise HttpError(413, f"The body is longer than {MAX_BODY} bytes.")
    missing = int(digits)
    pieces = []
    while missing:
        try:
            piece = environ["wsgi.input"].read(missing)
        except OSError:
            piece = b""
        if not piece:
            raise HttpError(400, f"The body ended {missing} bytes too early.")
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def read_fields(content_type: str, body: bytes) -> dict[str, Any]:
    """Decode a form or a JSON object into a dict.

    "application/x-www-form-urlencoded", b"title=R.U.R.&year="  ->  {"title": "R.U.R.", "year": ""}
    "application/json", b'{"year": 1920}'                       ->  {"year": 1920}
    The type is case-insensitive and may carry parameters ("; charset=utf-8"). A form keeps blank values,
    and of a name that comes twice the first value counts.
    Raises  HttpError 415 for any other or no type; 400 for a form that is not UTF-8 (also behind its %XX)
            and for JSON that is not UTF-8, not JSON, not an object, or nested so deep that json.loads()
            gives up (RecursionError). NaN, Infinity and -Infinity, which json.loads() takes unless its
            parse_constant raises, are not JSON.   RFC 8259 section 6
    """
    media_type = content_type.split(";")[0].strip().lower()
    if media_type not in (FORM, JSON):
        raise HttpError(415, f"Send the book as {FORM} or as {JSON}.")
    try:
        text = body.decode("utf-8")
        if media_type == FORM:
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
            return dict(reversed(pairs))  # reversed, so that the first of two wins
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise HttpError(400, "The body cannot be read: broken UTF-8 or broken JSON.") from None
    if not isinstance(value, dict):
        raise HttpError(400, "The JSON must be an object with title, author and year.")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# ------------------------------ add: a form that helps


def validate(fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Check what somebody wants to add; returns (clean, errors), one message per bad field.

    {"title": " R.U.R. ", "author": "Karel Čapek", "year": "1920"}
        ->  ({"title": "R.U.R.", "author": "Karel Čapek", "year": 1920}, {})
    title, author   text; after str.strip() 1 to MAX_TEXT characters, none of them a control character or
                    half a surrogate pair (unicodedata.category Cc or Cs)
    year            OLDEST to NEWEST, given as an int (not a bool) or as text that read_year() reads after
                    str.strip()
    Every bad field has its message, all in one go; clean holds the good ones only. Other fields are left out.
    """
    clean: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name in ("title", "author"):
        value = fields.get(name, "")
        text = value.strip() if isinstance(value, str) else None
        if text is None:
            errors[name] = f"The {name} must be text."
        elif not text:
            errors[name] = f"Please fill in the {name}."
        elif len(text) > MAX_TEXT:
            errors[name] = f"Please keep the {name} to {MAX_TEXT} characters; these are {len(text)}."
        elif any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
            errors[name] = f"The {name} holds a character that cannot be printed."
        else:
            clean[name] = text
    value = fields.get("year", "")
    year = read_year(value.strip()) if isinstance(value, str) else value
    if type(year) is int and OLDEST <= year <= NEWEST:
        clean["year"] = year
    else:
        errors["year"] = f"The year must be a whole number from {OLDEST} to {NEWEST}, such as 1984."
    return clean, errors


def add_book(db: Path, clean: dict[str, Any]) -> Book:
    """Put a book on the shelf and return it with its number, once it is safe on the disk.

    {"title": "Momo", "author": "Michael Ende", "year": 1973}  ->  the same and "id": 99
    The number is next_id of table "meta", which grows by one in the same transaction and never shrinks. So a
    number is never given twice: not to two writers at once, not after its book was deleted (the highest number
    on the shelf forgets that book, next_id does not), not after a restart.
    """
    with transaction(db) as tables:
        meta = tables.table("meta")
        number = meta.all()[0]["next_id"]
        meta.update({"next_id": number + 1})
        tables.table("books").insert(Document(clean, number))
    return {**clean, "id": number}


def post_book(request: "Request", fields: dict[str, Any], db: Path) -> Response:
    """Answer POST /books: validate the fields that came in the body, add the book.

    Use     validate(), add_book(), link(), json_response(status, value, headers),
            add_page(request, status, values, errors); request.wants_json, request.sent_json.
    A good form     303 and Location: the address of the new book, so that a reload does not add it again;
                    with some Content-Type, which wsgiref.validate demands of every answer but 204 and 304
    A good JSON     201, the same Location, and the book as JSON
    Errors          422: for JSON {"error": "one sentence", "errors": {field: message}}; for a form the page
                    with what was typed still in it and the messages. A form whose client prefers JSON gets
                    the JSON.
    """
    clean, errors = validate(fields)
    if errors and request.wants_json:
        return json_response(422, {"error": "The book cannot be added as it is.", "errors": errors})
    if errors:
        return add_page(request, 422, fields, errors)
    book = add_book(db, clean)
    location = ("Location", link(request.script_name, f"/books/{book['id']}"))
    if request.sent_json:
        return json_response(201, book, [location])
    return Response(303, [location, ("Content-Type", "text/plain; charset=utf-8")], b"See the new book.\n")


# ------------------------------ store: take away, and lose nothing


def remove_book(db: Path, number: int) -> bool:
    """Take a book off the shelf; False if it was not there.

    Its number is never given to another book: next_id of table "meta" stays as it is.
    """
    with transaction(db) as tables:
        books = tables.table("books")
        if not books.contains(doc_id=number):
            return False
        books.remove(doc_ids=[number])
    return True


# ------------------------------ guard: middleware that catches what went wrong


def catch_errors(app: WSGIApplication) -> WSGIApplication:
    """Wrap any WSGI application: the same application, but an exception becomes ERROR_PAGE (PEP 3333).

    Whatever app does is passed on as it comes: one chunk at a time, and app is asked for the next only when
    the server is. The iterable that app returned is closed at the end, if it has a close(), and also if the
    server stops early.
    If app raises, while it is called or while it is iterated:
      - the traceback goes to environ["wsgi.errors"], and not to the client;
      - start_response(ERROR_STATUS, ERROR_HEADERS, sys.exc_info()) - with the third argument, because app
        may have called it before - and ERROR_PAGE is the body (HEAD gets none, as ever);
      - if the headers are on the wire already, start_response raises that exception again: let it through,
        the server then breaks the connection and nobody takes half a page for a whole one.
    """

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        chunks: Iterable[bytes] = ()
        try:
            chunks = app(environ, start_response)
            # Not "yield from": that would close chunks here and a second time below.
            for chunk in chunks:  # noqa: UP028
                yield chunk
        except Exception:  # noqa: BLE001  (this is the place where everything is caught)
            traceback.print_exc(file=environ["wsgi.errors"])
            start_response(ERROR_STATUS, list(ERROR_HEADERS), sys.exc_info())
            if environ["REQUEST_METHOD"] != "HEAD":
                yield ERROR_PAGE
        finally:
            if hasattr(chunks, "close"):
                chunks.close()

    return guarded


ERROR_STATUS = "500 Internal Server Error"
ERROR_PAGE = b"""<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Internal Server Error</title>
<h1>Internal Server Error</h1>
<p>The server failed to answer this request. What happened is in its log.</p>
"""
ERROR_HEADERS = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(ERROR_PAGE)))]


# ------------------------------ the site: pages, given


class Request:
    """An environ, read only as far as somebody asks."""

    def __init__(self, environ: WSGIEnvironment) -> None:
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        self.script_name: str = environ.get("SCRIPT_NAME", "")
        self.content_type: str = environ.get("CONTENT_TYPE") or ""

    @property
    def path(self) -> str:
        """PATH_INFO as text."""
        return wsgi_text(self.environ.get("PATH_INFO", ""))

    @property
    def query(self) -> dict[str, str]:
        """The fields of the query, decoded."""
        return read_query(self.environ.get("QUERY_STRING", ""))

    @property
    def sent_json(self) -> bool:
        """Whether the body is JSON, by its type."""
        return self.method == "POST" and self.content_type.split(";")[0].strip().lower() == JSON

    @property
    def wants_json(self) -> bool:
        """Whether the answer should be JSON: who sends JSON gets JSON, others what they prefer."""
        return self.sent_json or negotiate(self.environ.get("HTTP_ACCEPT", "")) == JSON


class Site:
    """The application itself, around one database file. The shelf is opened (and seeded) at its first use."""

    def __init__(self, db: Path, seed: Path | None) -> None:
        # A symbolic link stays one: what is replaced is the file that it leads to.
        self.db = db.resolve()
        self.seed = seed
        self.seeded = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = self.answer(request)
        except HttpError as error:
            response = error_response(request, error)
        return send(response, request.method, start_response)

    def answer(self, request: Request) -> Response:
        """Find the page for a request and let it answer; HttpError passes through."""
        route, number = find_route(request.path)
        check_method(route, request.method)
        if route == "home":
            return home_page(request)
        if route == "new":
            return add_page(request, 200, {}, {})
        if not self.seeded:
            seed_catalog(self.db, self.seed)
            self.seeded = True
        if request.method == "POST":
            fields = read_fields(request.content_type, read_body(request.environ))
            return post_book(request, fields, self.db)
        if number is not None:
            return show_book(request, self.db, number)
        books = load_books(self.db)
        if route == "search":
            return show_search(request, books)
        found = take_page(list(books.values()), request.query.get("page", "").strip())
        return show_list(request, "All books", found)


def show_book(request: Request, db: Path, number: int) -> Response:
    """Answer GET and HEAD /books/7 with the book, and DELETE by taking it away; HttpError 404 if there is none."""
    if request.method == "DELETE":
        if not remove_book(db, number):
            raise HttpError(404, "There is no book of this number.")
        return Response(204, [], b"")
    book = load_books(db).get(number)
    if book is None:
        raise HttpError(404, "There is no book of this number.")
    if request.wants_json:
        return json_response(200, book)
    return page(
        request,
        200,
        book["title"],
        f'<article class="book"><h1 class="title">{escape(book["title"])}</h1>'
        f'<p>by <span class="author">{escape(book["author"])}</span></p>'
        f'<p>first published in <span class="year">{book["year"]}</span></p></article>'
        f'<p class="quiet">Book number {book["id"]}. '
        f'<a href="{escape(link(request.script_name, "/books"))}">All books</a></p>',
    )


def show_search(request: Request, books: dict[int, Book]) -> Response:
    """Answer /books/search: the form, and a page of the books found among `books` or the messages."""
    query = request.query
    terms, errors = read_search(query)
    if errors and request.wants_json:
        return json_response(400, {"error": "This is no search yet.", "errors": errors})
    form = search_form(request, query, errors)
    if errors:
        return page(request, 400, "Search", f"<h1>Search</h1>{form}")
    found = take_page(search_books(books.values(), terms), query.get("page", "").strip())
    return show_list(request, "Search", found, form, {name: str(value) for name, value in terms.items()})


def show_list(
    request: Request, title: str, found: Page, form: str = "", terms: dict[str, str] | None = None
) -> Response:
    """Show one page of a list.

    Given   title: the heading, HTML as it is; form: HTML to stand above the list; terms: the conditions of a search,
            which the links to the next and the previous page keep (None: all books, no search).
    """
    if request.wants_json:
        return json_response(200, {**found._asdict(), "per_page": PER_PAGE})
    here = "/books" if terms is None else "/books/search"

    def turn(relation: str, number: int, text: str) -> str:
        if not 1 <= number <= found.pages:
            return f'<span class="quiet">{text}</span>'
        address = link(request.script_name, here, {**(terms or {}), "page": str(number)})
        return f'<a rel="{relation}" href="{escape(address)}">{text}</a>'

    first = (found.page - 1) * PER_PAGE + 1
    items = "\n".join(book_html(book, request.script_name) for book in found.books)
    shelf = f'<ol class="books" start="{first}">\n{items}\n</ol>' if items else "<p>There is none.</p>"
    pages = ""
    if found.pages > 1:
        previous, following = turn("prev", found.page - 1, "Previous"), turn("next", found.page + 1, "Next")
        place = f"<span>page {found.page} of {found.pages}</span>"
        pages = f'<nav class="pages" aria-label="Pages">{previous}{place}{following}</nav>'
    noun = "book" if found.total == 1 else "books"
    total = f'<p class="quiet"><span id="total">{found.total}</span> {noun}</p>'
    return page(request, 200, title, f"<h1>{title}</h1>{form}{total}{shelf}{pages}")


def home_page(request: Request) -> Response:
    """Answer / with the search form."""
    return page(
        request,
        200,
        "The catalog",
        "<h1>What would you like to read?</h1>"
        '<p class="quiet">Part of a title or of a name is enough; capitals do not matter.</p>'
        f"{search_form(request, {}, {})}",
    )


def search_form(request: Request, values: dict[str, str], errors: dict[str, str]) -> str:
    """Write the search form, filled with `values`, with the messages in `errors` by field."""
    action = escape(link(request.script_name, "/books/search"))
    fields = form_body(values, errors)
    return f'<form id="search" method="get" action="{action}">{fields}<button type="submit">Search</button></form>'


def add_page(request: Request, status: int, values: dict[str, Any], errors: dict[str, str]) -> Response:
    """Show the form to add a book, filled with `values`, with the messages in `errors` by field."""
    action = escape(link(request.script_name, "/books"))
    fields = form_body(values, errors)
    form = f'<form id="add" method="post" action="{action}">{fields}<button type="submit">Add the book</button></form>'
    return page(request, status, "Add a book", f"<h1>Add a book</h1>{form}")


def form_body(values: dict[str, Any], errors: dict[str, str]) -> str:
    """Write what both forms have in common: the three fields, and above them the message for "form", if any."""
    note = f'<p class="error" id="form-error">{escape(errors["form"])}</p>' if "form" in errors else ""
    labels = {"title": "Title", "author": "Author", "year": "Year"}
    return note + "\n".join(
        field_html(name, label, str(values.get(name, "")), errors.get(name, "")) for name, label in labels.items()
    )


def error_response(request: Request, error: HttpError) -> Response:
    """Make an answer of an HttpError: a page for people, {"error": message} for programs."""
    if request.wants_json:
        return json_response(error.status, {"error": error.message}, error.headers)
    phrase = HTTPStatus(error.status).phrase
    answer = page(request, error.status, phrase, f"<h1>{phrase}</h1><p>{escape(error.message)}</p>")
    return answer._replace(headers=answer.headers + error.headers)


def json_response(status: int, value: object, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """Answer a program: value as JSON in UTF-8, with the type, Vary, and the extra headers."""
    body = json.dumps(value, ensure_ascii=False).encode("utf-8") + b"\n"
    return Response(status, [("Content-Type", JSON), ("Vary", "Accept"), *headers], body)


def page(request: Request, status: int, title: str, main: str) -> Response:
    """A whole page around some HTML. Only title is escaped here: main is markup already."""
    home, books, new = (escape(link(request.script_name, path)) for path in ("/", "/books", "/books/new"))
    text = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<header>
<a href="{home}">The catalog</a>
<nav aria-label="Site"><a href="{books}">All books</a> <a href="{new}">Add a book</a></nav>
</header>
<main>
{main}
</main>
</body>
</html>
"""
    headers = [("Content-Type", f"{HTML}; charset=utf-8"), ("Vary", "Accept")]
    return Response(status, headers, text.encode("utf-8"))


STYLE = """
:root { --paper: #fbf9f4; --card: #fff; --ink: #23201c; --quiet: #6b645a; --line: #ddd6c9;
  --accent: #8a3324; --wrong: #a61b1b }
@media (prefers-color-scheme: dark) {
  :root { --paper: #191715; --card: #23201d; --ink: #ece6dc; --quiet: #a79e91; --line: #3b3631;
    --accent: #f0a58f; --wrong: #ff9c94 }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.55 Georgia, "Times New Roman", serif;
  overflow-wrap: anywhere }
header, main { width: min(100% - 2rem, 42rem); margin: 0 auto; padding: 1rem 0 }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; align-items: baseline;
  border-bottom: 1px solid var(--line) }
header > a { font-size: 1.2rem; font-weight: bold; text-decoration: none; color: var(--ink);
  margin-right: auto }
header nav a { margin-left: 1rem }
header nav a:first-child { margin-left: 0 }
a { color: var(--accent); text-underline-offset: .2em }
h1 { font-size: clamp(1.5rem, 5vw, 2.1rem); line-height: 1.2; margin: 1rem 0 .5rem }
.quiet { color: var(--quiet); margin: .5rem 0 }
form { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem;
  margin: 1rem 0 }
.field { margin: 0 0 .75rem; display: grid; gap: .25rem }
label { font-weight: bold }
input, button { font: inherit; padding: .55rem .7rem; border-radius: .4rem; border: 1px solid var(--quiet);
  width: 100% }
input { background: var(--paper); color: var(--ink) }
input[aria-invalid] { border: 2px solid var(--wrong) }
button { background: var(--accent); color: var(--paper); border-color: var(--accent); font-weight: bold;
  cursor: pointer }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
.error { color: var(--wrong); margin: -.4rem 0 .75rem }
ol.books { list-style: none; margin: 0; padding: 0 }
li.book { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0 1rem; padding: .7rem 0;
  border-bottom: 1px solid var(--line) }
li.book .title { grid-column: 1 / -1; font-size: 1.15rem }
li.book .author, li.book .year { color: var(--quiet) }
.pages { display: flex; justify-content: space-between; gap: 1rem; padding: 1rem 0 }
article.book p { margin: .25rem 0 }
article.book { background: var(--card); border: 1px solid var(--line); border-left: .5rem solid var(--accent);
  border-radius: .3rem .6rem .6rem .3rem; padding: .5rem 1.5rem 1.25rem; margin: 1rem 0 }
@media (min-width: 40rem) {
  form#search { display: grid; grid-template-columns: 2fr 2fr 1fr; gap: 0 1rem }
  form#search button, form#search #form-error { grid-column: 1 / -1 }
}
"""


# ------------------------------ the way in, given


def default_seed() -> str | None:
    """The file that CATALOG_SEED names, else data/initial_books.json where this file lies within the kit."""
    beside = Path(__file__).resolve().parent.parent.parent / "data" / "initial_books.json"
    return os.environ.get("CATALOG_SEED") or (str(beside) if beside.is_file() else None)


@functools.cache
def default_application() -> WSGIApplication:
    """The catalog that CATALOG_DB and CATALOG_SEED describe, made at the first call."""
    return create_application(os.environ.get("CATALOG_DB") or "catalog.json", default_seed())


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """What a WSGI server looks for. Importing this file opens nothing; the first request does."""
    return default_application()(environ, start_response)


class Server(ThreadingMixIn, WSGIServer):
    """The server of the standard library, one thread per connection."""

    daemon_threads = True
    request_queue_size = 128
    # On Windows this option would let two servers share one port.
    allow_reuse_address = sys.platform != "win32"

    def __init__(self, host: str, port: int) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        # HTTPServer asks the name service for the host's full name here, which can take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that has gone, or opened a connection and said nothing, is no news.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(WSGIRequestHandler):
    """One request: its first line and headers are read by the base class, the rest is the application's."""

    timeout = 20  # seconds without a byte from the client

    def handle(self) -> None:
        """As in the base class, but with Gateway between the connection and the application."""
        self.requestline = self.request_version = self.command = ""
        self.raw_requestline = self.rfile.readline(65_537)
        if len(self.raw_requestline) > 65_536:
            self.send_error(414)
        elif self.parse_request():
            gateway = Gateway(self.rfile, self.wfile, self.get_stderr(), self.get_environ(), multithread=True)
            gateway.request_handler = self
            gateway.run(self.server.get_app())


class Gateway(ServerHandler):
    """What calls the application and sends its answer."""

    def cleanup_headers(self) -> None:
        # The base class adds "Content-Length: 0" to each answer without a body. A 204 must not have one.
        super().cleanup_headers()
        if self.status.startswith("204"):
            del self.headers["Content-Length"]


def main() -> None:
    """Read the command line, listen, print the address, serve."""
    parser = argparse.ArgumentParser(description="Serve the book catalog.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0: any free port (default: 8000)")
    parser.add_argument("--db", default="catalog.json", help="the database file (default: catalog.json)")
    parser.add_argument("--seed", default=default_seed(), help="the first books of a new database")
    options = parser.parse_args()
    if options.seed and not Path(options.seed).is_file():
        parser.error(f"there is no seed file {options.seed}")
    db = Path(options.db).resolve()
    if db.is_dir() or not db.parent.is_dir():
        parser.error(f"--db {options.db}: it must be a file in a folder that exists")
    try:
        server = Server(options.host, options.port)
    except (OSError, OverflowError) as error:
        parser.error(f"cannot listen at host {options.host}, port {options.port}: {error}")
    with server:
        server.set_app(create_application(options.db, options.seed))
        host = f"[{options.host}]" if ":" in options.host else options.host
        print(f"The catalog is open at http://{host}:{server.server_port}/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("Closed.")


if __name__ == "__main__":
    main()
