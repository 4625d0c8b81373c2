"""A book catalog behind WSGI, written with generators.

Every page is a generator. It calls start_response when it knows what to say, right before its first chunk; until
then it may raise a Refusal instead. The markup is in the module beside this one. The shelf is a file of SQLite,
which keeps its promises about threads, processes, full disks and kills by itself.
"""

import argparse
import contextlib
import functools
import json
import os
import re
import socket
import socketserver
import sqlite3
import sys
import threading
import traceback
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes, urlencode
from wsgiref import simple_server

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # a server may know this file without its folder
import markup  # noqa: E402

PER_PAGE = 20
MOST_BYTES = 65536
NUMBER = re.compile("[1-9][0-9]{0,17}")
YEAR = re.compile("-?[0-9]{1,4}")
WEIGHT = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
HTML_TYPE = "text/html; charset=utf-8"
JSON_TYPE = "application/json; charset=utf-8"

REASONS = {
    400: "400 Pardon",
    404: "404 Nothing here",
    405: "405 Not like that",
    411: "411 How long is it",
    413: "413 Too much",
    415: "415 What is that",
    422: "422 Not quite",
    500: "500 Something broke",
    507: "507 The shelf is full",
}


class Refusal(Exception):
    """Raised before start_response: an answer that is not what was hoped for."""

    def __init__(self, status: int, message: str, *headers: tuple[str, str], **errors: str):
        super().__init__(message)
        self.status, self.message, self.headers, self.errors = status, message, headers, errors


class Ask(NamedTuple):
    """What we have to know of the environ."""

    method: str
    segments: list[str]
    query: Mapping[str, str]
    link: Callable[..., str]
    content_type: str
    json: bool
    environ: dict[str, Any]


# ------------------------------------------------------------------------------------------ reading the environ


def read_environ(environ: dict[str, Any]) -> Ask:
    def octets(name: str) -> bytes:
        return environ.get(name, "").encode("latin-1")

    def link(path: str, **query: Any) -> str:
        question = "?" + urlencode(query) if query else ""
        return quote_from_bytes(octets("SCRIPT_NAME")) + path + question

    method = environ["REQUEST_METHOD"]
    content_type = environ.get("CONTENT_TYPE", "").split(";")[0].strip().lower()
    has_body = method == "POST" or environ.get("CONTENT_LENGTH", "") not in ("", "0")
    return Ask(
        method,
        octets("PATH_INFO").decode("utf-8", "replace").split("/"),
        first_values(form_pairs(octets("QUERY_STRING"), "replace")),
        link,
        content_type,
        (has_body and content_type == "application/json") or prefers_json(environ.get("HTTP_ACCEPT", "")),
        environ,
    )


def form_pairs(data: bytes, errors: str) -> Iterator[tuple[str, str]]:
    """The names and values of a form, or of a query, which looks the same."""
    for part in filter(None, data.replace(b"+", b" ").split(b"&")):
        name, _, value = part.partition(b"=")
        yield unquote_to_bytes(name).decode("utf-8", errors), unquote_to_bytes(value).decode("utf-8", errors)


def first_values(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in pairs:
        values.setdefault(name, value)
    return values


def prefers_json(accept: str) -> bool:
    weights = dict(sorted(media_ranges(accept)))  # of a range that comes twice the higher weight counts

    def weight(*ranges: str) -> float:
        return next((weights[name] for name in ranges if name in weights), 0.0)

    return weight("application/json", "application/*", "*/*") > weight("text/html", "text/*", "*/*")


def media_ranges(accept: str) -> Iterator[tuple[str, float]]:
    """The ranges and weights of an Accept header, without those whose weight cannot be read."""
    accept = re.sub(r'"(?:[^"\\]|\\.)*"', '""', accept)  # what is quoted separates nothing
    for part in accept.split(","):
        name, *parameters = (piece.strip(" \t") for piece in part.split(";"))
        weights = (text[2:] for text in parameters if text[:2].lower() == "q=")
        weight = next(weights, "1")
        if WEIGHT.fullmatch(weight):
            yield name.lower(), float(weight)


def read_body(environ: Mapping[str, Any]) -> bytes:
    match environ.get("CONTENT_LENGTH", ""):
        case "":
            raise Refusal(411, "Please say how many bytes you send.")
        case text if not re.fullmatch("[0-9]+", text):
            raise Refusal(400, "The number of bytes is no number.")
        case text if len(text.lstrip("0")) > 5 or int(text[-5:]) > MOST_BYTES:
            raise Refusal(413, f"Please send {MOST_BYTES} bytes at most.")
        case text:
            return b"".join(pieces(environ["wsgi.input"], int(text[-5:])))


def pieces(stream: Any, missing: int) -> Iterator[bytes]:
    """Exactly so many bytes, and not one more: whoever asks for one more may wait for ever."""
    while missing > 0:
        try:
            piece = stream.read(min(missing, 8192))
        except OSError:  # nobody is there any more
            piece = b""
        if not piece:
            raise Refusal(400, "There were fewer bytes than you had said.")
        missing -= len(piece)
        yield piece


def read_fields(ask: Ask) -> dict[str, Any]:
    match ask.content_type:
        case "application/x-www-form-urlencoded":
            body = read_body(ask.environ)
            try:
                body.decode("utf-8")
                return dict(first_values(form_pairs(body, "strict")))
            except UnicodeDecodeError:
                raise Refusal(400, "This form is not UTF-8.") from None
        case "application/json":
            body = read_body(ask.environ)
            try:
                value = json.loads(body.decode("utf-8"), parse_constant=no_constant, parse_int=whole)
            except (ValueError, RecursionError):
                raise Refusal(400, "This is not JSON, or too much of it.") from None
            if not isinstance(value, dict):
                raise Refusal(400, "This is JSON, but an object is wanted.")
            return value
        case _:
            raise Refusal(415, "Please send a form, or JSON.")


def no_constant(name: str) -> None:
    raise ValueError(f"JSON knows no {name}")


def whole(digits: str) -> int | float:
    """A whole number of JSON. Python refuses to read some thousand digits as an int."""
    return int(digits) if len(digits) < 1000 else float(digits)


# ------------------------------------------------------------------------------------------------- the new book


def check(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong: pairs of a field and a message, one per field at most."""
    for name in ("title", "author"):
        match fields.get(name):
            case str(text) if not text.strip():
                yield name, f"The {name} is missing."
            case str(text) if len(text.strip()) > 200:
                yield name, f"The {name} is longer than 200 characters."
            case str(text) if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in text.strip()):
                yield name, f"The {name} has a character in it that is none."
            case str():
                pass
            case _:
                yield name, f"The {name} has to be text."
    match fields.get("year"):
        case str(text) if not YEAR.fullmatch(text.strip()):
            yield "year", "A year has one to four digits, perhaps behind a minus."
        case (str() | int()) as year if not isinstance(year, bool):
            if not -4000 <= int(year) <= 2100:
                yield "year", "Only the years from -4000 to 2100 are on our shelf."
        case _:
            yield "year", "The year has to be a whole number."


# ---------------------------------------------------------------------------------------------------- the shelf


@contextlib.contextmanager
def opened(shelf: "Shelf", begin: str = "BEGIN") -> Iterator[sqlite3.Connection]:
    """A transaction on the shelf. An exception takes everything back."""
    with contextlib.closing(sqlite3.connect(shelf.db, timeout=60, isolation_level=None)) as connection:
        connection.create_function("has_part", 2, lambda text, part: part in text.casefold(), deterministic=True)
        connection.execute("PRAGMA synchronous = EXTRA")
        try:
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                connection.execute("BEGIN IMMEDIATE")
                fill_new(connection, shelf.seed)
                connection.execute("COMMIT")
            connection.execute(begin)
            yield connection
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname == "SQLITE_FULL" or error.sqlite_errorname.startswith("SQLITE_IOERR"):
                raise Refusal(507, "There is no room on the disk. Nothing was changed.") from error
            raise
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def fill_new(connection: sqlite3.Connection, seed: str | None) -> None:
    """Put the seed on a new shelf, unless somebody else has just done so."""
    if connection.execute("PRAGMA user_version").fetchone()[0]:
        return
    # AUTOINCREMENT means that no number is given twice, not even after a DELETE.
    connection.execute("CREATE TABLE book (id INTEGER PRIMARY KEY AUTOINCREMENT, title, author, year)")
    books = json.loads(Path(seed).read_text("utf-8")) if seed is not None else []
    connection.executemany("INSERT INTO book (title, author, year) VALUES (:title, :author, :year)", books)
    connection.execute("PRAGMA user_version = 1")


class Shelf(NamedTuple):
    """Where the books are, and where the first of them come from."""

    db: str
    seed: str | None

    def take(self, asked_page: str, conditions: Mapping[str, Any]) -> dict[str, Any]:
        """A page of the books that meet all conditions: SQL with a ? in it, and what belongs there."""
        where = " AND ".join(["1", *conditions])
        with opened(self) as connection:
            (total,) = connection.execute(f"SELECT count(*) FROM book WHERE {where}", [*conditions.values()]).fetchone()
            pages = max(1, (total + PER_PAGE - 1) // PER_PAGE)
            page = page_number(asked_page, pages)
            rows = connection.execute(
                f"SELECT id, title, author, year FROM book WHERE {where} ORDER BY id LIMIT ? OFFSET ?",
                [*conditions.values(), PER_PAGE, (page - 1) * PER_PAGE],
            ).fetchall()
        books = [as_book(row) for row in rows]
        return {"total": total, "page": page, "pages": pages, "per_page": PER_PAGE, "books": books}

    def find(self, number: int) -> dict[str, Any]:
        with opened(self) as connection:
            row = connection.execute("SELECT id, title, author, year FROM book WHERE id = ?", [number]).fetchone()
        if row is None:
            raise Refusal(404, f"No book has the number {number}.")
        return as_book(row)

    def add(self, title: str, author: str, year: int) -> dict[str, Any]:
        with opened(self, "BEGIN IMMEDIATE") as connection:
            values = [title, author, year]
            number = connection.execute("INSERT INTO book (title, author, year) VALUES (?, ?, ?)", values).lastrowid
        return as_book((number, *values))

    def remove(self, number: int) -> None:
        with opened(self, "BEGIN IMMEDIATE") as connection:
            if not connection.execute("DELETE FROM book WHERE id = ?", [number]).rowcount:
                raise Refusal(404, f"No book has the number {number}.")


def as_book(row: Iterable[Any]) -> dict[str, Any]:
    return dict(zip(("id", "title", "author", "year"), row, strict=True))


def page_number(asked: str, pages: int) -> int:
    if not asked.strip():
        return 1
    if not re.fullmatch("0*[1-9][0-9]*", asked):
        raise Refusal(400, "Pages are counted 1, 2, 3.")
    digits = asked.lstrip("0")
    if len(digits) > 15 or int(digits) > pages:
        raise Refusal(404, f"Page {pages} is the last one.")
    return int(digits)


# ---------------------------------------------------------------------------------------------------- the pages
#
# Each takes the shelf, what was asked and start_response, and is a generator of chunks.


def html(start_response: Any, pieces: Iterable[str], status: str, *headers: tuple[str, str]) -> Iterator[bytes]:
    start_response(status, [("content-type", HTML_TYPE), ("vary", "accept"), *headers])
    yield from markup.chunks(pieces)


def as_json(start_response: Any, value: Any, status: str, *headers: tuple[str, str]) -> Iterator[bytes]:
    start_response(status, [("content-type", JSON_TYPE), ("vary", "accept"), *headers])
    yield from markup.chunks(json.JSONEncoder(indent=2).iterencode(value))


def new_page(_shelf: Shelf, ask: Ask, start_response: Any) -> Iterator[bytes]:
    yield from html(start_response, markup.new(ask.link), "200 A form")


def all_books(shelf: Shelf, ask: Ask, start_response: Any) -> Iterator[bytes]:
    found = shelf.take(ask.query.get("page", ""), {})
    if ask.json:
        yield from as_json(start_response, found, "200 Books")
    else:
        yield from html(start_response, markup.listing(ask.link, "/books", None, found), "200 Books")


def search(shelf: Shelf, ask: Ask, start_response: Any) -> Iterator[bytes]:
    asked = {name: ask.query.get(name, "") for name in ("title", "author", "year")}
    try:
        conditions = dict(read_conditions(asked))
        found = shelf.take(ask.query.get("page", ""), conditions)
    except Refusal as refusal:
        form = markup.search_form(ask.link, asked, refusal.errors)
        yield from refuse(ask, start_response, refusal, form)
        return
    if ask.json:
        yield from as_json(start_response, found, "200 Books")
    else:
        yield from html(start_response, markup.listing(ask.link, "/books/search", asked, found), "200 Books")


def read_conditions(asked: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Pairs of SQL and its value."""
    if not any(text.strip() for text in asked.values()):
        raise Refusal(400, "Nothing was asked for.", form="Fill in one of these, or more.")
    for name in ("title", "author"):
        if part := asked[name].strip().casefold():
            yield f"has_part({name}, ?)", part
    if year := asked["year"].strip():
        if not YEAR.fullmatch(year):
            raise Refusal(400, "This is no year.", year="One to four digits, perhaps behind a minus.")
        yield "year = ?", int(year)


def post(shelf: Shelf, ask: Ask, start_response: Any) -> Iterator[bytes]:
    fields = read_fields(ask)
    if errors := dict(check(fields)):
        form = "" if ask.json else markup.add_form(ask.link, fields, errors)
        yield from refuse(ask, start_response, Refusal(422, "Not everything is right yet.", **errors), form)
        return
    book = shelf.add(fields["title"].strip(), fields["author"].strip(), int(fields["year"]))
    location = ("location", ask.link(f"/books/{book['id']}"))
    if ask.content_type == "application/json":
        yield from as_json(start_response, book, "201 On the shelf", location)
    else:
        yield from html(start_response, markup.book(ask.link, book), "303 Look there", location)


def show(shelf: Shelf, ask: Ask, start_response: Any, number: int) -> Iterator[bytes]:
    book = shelf.find(number)
    if ask.json:
        yield from as_json(start_response, book, "200 A book")
    else:
        yield from html(start_response, markup.book(ask.link, book), "200 A book")


def delete(shelf: Shelf, _ask: Ask, start_response: Any, number: int) -> Iterator[bytes]:
    shelf.remove(number)
    start_response("204 Taken away", [])
    yield from ()


def refuse(ask: Ask, start_response: Any, refusal: Refusal, form_markup: str = "") -> Iterator[bytes]:
    status = REASONS[refusal.status]
    if ask.json:
        value = {"status": refusal.status, "error": refusal.message}
        if refusal.errors:
            value["errors"] = refusal.errors
        yield from as_json(start_response, value, status, *refusal.headers)
    else:
        text = markup.refusal(ask.link, refusal.message, form_markup)
        yield from html(start_response, text, status, *refusal.headers)


# ---------------------------------------------------------------------------------------------- the application


def find_page(shelf: Shelf, ask: Ask) -> Callable[..., Iterator[bytes]]:
    """The generator that answers; a Refusal where there is none."""
    match ask.segments:
        case [""] | ["", ""]:
            methods = {"GET": home}  # only for the 405: a right request never gets here
        case ["", "books"]:
            methods = {"GET": all_books, "POST": post}
        case ["", "books", "search"]:
            methods = {"GET": search}
        case ["", "books", "new"]:
            methods = {"GET": new_page}
        case ["", "books", text] if NUMBER.fullmatch(text):
            shelf.find(int(text))  # the number of no book is a 404, whatever the method
            number = {"number": int(text)}
            methods = {"GET": functools.partial(show, **number), "DELETE": functools.partial(delete, **number)}
        case _:
            raise Refusal(404, "There is nothing at this address.")
    if "GET" in methods:
        methods["HEAD"] = methods["GET"]
    if ask.method not in methods:
        raise Refusal(405, "That cannot be done here.", ("allow", ",".join(methods)))
    return methods[ask.method]


def home(_shelf: Shelf, ask: Ask, start_response: Any) -> Iterable[bytes]:
    """The first page, the old way: write() sends the head of it at once. This one must not be a generator."""
    write = start_response("200 Welcome", [("content-type", HTML_TYPE)])
    head, *rest = markup.home(ask.link)
    if ask.method == "HEAD":
        return iter(())
    write(head.encode("utf-8"))
    return (piece.encode("utf-8") for piece in rest)


def answer(shelf: Shelf, ask: Ask, start_response: Any) -> Iterator[bytes]:
    try:
        chunks = find_page(shelf, ask)(shelf, ask, start_response)
        if ask.method == "HEAD":
            next(iter(chunks), None)  # far enough for start_response
        else:
            yield from chunks
    except Refusal as refusal:
        sorry = refuse(ask, start_response, refusal)
        if ask.method == "HEAD":
            next(sorry)
        else:
            yield from sorry


def catch_errors(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Middleware around any application: an exception becomes a page, and an entry in the log."""

    def apology(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        traceback.print_exc(file=environ["wsgi.errors"])

        def start_again(status: str, headers: list[tuple[str, str]]) -> None:
            start_response(status, headers, sys.exc_info())  # too late? then this raises the exception again

        ask = read_environ(environ)
        chunks = [*refuse(ask, start_again, Refusal(500, "Something broke, and it was not you."))]
        return iter([] if ask.method == "HEAD" else chunks)

    def guarded(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            body = app(environ, start_response)
        except Exception:
            return apology(environ, start_response)
        return Watched(body, lambda: apology(environ, start_response))

    return guarded


class Watched:
    """A generator with a close() that also works before its first step."""

    def __init__(self, body: Iterable[bytes], apology: Callable[[], Iterator[bytes]]):
        self.body, self.apology = body, apology

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self.body:  # not "yield from": that would close the body a second time
                yield chunk
        except Exception:
            chunks = self.apology()
        else:
            return
        yield from chunks

    def close(self) -> None:
        getattr(self.body, "close", lambda: None)()


def create_application(db: Any, seed: Any = None) -> Callable[..., Iterable[bytes]]:
    shelf = Shelf(os.path.abspath(db), None if seed is None else os.path.abspath(seed))

    @catch_errors
    def catalog(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        ask = read_environ(environ)
        if ask.segments in ([""], ["", ""]) and ask.method in ("GET", "HEAD"):
            return home(shelf, ask, start_response)  # PEP 3333: no write() from within a generator
        return answer(shelf, ask, start_response)

    return catalog


def default_files() -> tuple[str, str]:
    kit_seed = Path(__file__).resolve().parents[2] / "data" / "initial_books.json"
    return os.environ.get("CATALOG_DB") or "catalog.json", os.environ.get("CATALOG_SEED") or str(kit_seed)


first_request = threading.Lock()


@functools.cache
def default_application() -> Callable[..., Iterable[bytes]]:
    return create_application(*default_files())


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """What servers look for."""
    with first_request:
        app = default_application()
    return app(environ, start_response)


# --------------------------------------------------------------------------------------------------- the server


class Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True

    def shutdown_request(self, request: Any) -> None:
        """Read what the client still has to say. To hang up on it could cost it our answer."""
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_WR)
            request.settimeout(1)
            for _ in range(1000):
                if not request.recv(65536):
                    break
        self.close_request(request)


class PatientHandler(simple_server.WSGIRequestHandler):
    timeout = 30  # seconds


def main() -> None:
    db, seed = default_files()
    parser = argparse.ArgumentParser(description="A shelf of books.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default=8000, type=int)
    parser.add_argument("--db", default=db)
    parser.add_argument("--seed", default=seed)
    given = parser.parse_args()
    app = create_application(given.db, given.seed)
    with simple_server.make_server(given.host, given.port, app, Server, PatientHandler) as server:
        print(f"The shelf is at http://{given.host}:{server.server_port}/ now (Ctrl-C ends it).", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
