"""Catalogs to ask: a seed with traps in it, a shelf that knows what must be on it, and what JSON must look like."""

from __future__ import annotations

import errno
import functools
import itertools
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from grader.checks.wsgi_catalog.pages import STRAY, media_type, path_and_query
from grader.engine import expect
from grader.engine.expect import Reply
from grader.sandbox.worker import Raised, Returned
from grader.target.wsgi import JSON_TYPE, WsgiApp, WsgiReply, WsgiTarget

Book = dict[str, Any]
PER_PAGE = 20
MAX_BODY = 65_536
MAX_FILE = 64 << 20
NO_DETOUR = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


def book(title: str, author: str, year: int) -> Book:
    """A book as it stands in a seed, without a number."""
    return {"title": title, "author": author, "year": year}


# Markup, quotes, letters whose case pairs change length, scripts from right to left, numbers that look like years.
SPECIAL = (
    book("Don Quijote de la Mancha", "Miguel de Cervantes", 1605),
    book("Die größere Hoffnung", "Ilse Aichinger", 1948),
    book("Jonathan Strange & Mr Norrell", "Susanna Clarke", 2004),
    book("İnce Memed", "Yaşar Kemal", 1955),
    book("2666", "Roberto Bolaño", 2004),
    book("Μήδεια", "Εὐριπίδης", -431),
    book("בין הצירים", "עמוס עוז", 16),
    book("三体", "刘慈欣", 2008),
    book("Frankenstein; or, The Modern Prometheus", "Mary Shelley", 1818),
    book("100% plus + more", "A=B&C=D", 1605),
    book("STRASSENKINDER", "ILSE AICHINGER", 160),
)
FILLERS = tuple(book(f"Volume {number}", f"Hand {number % 7}", 1900 + number) for number in range(33))
# The last one, so that a page that does not escape it leaves the other pages legible.
MARKED = book(f'The <b>Bold</b> & the "Quoted" </title></h1></script><{STRAY}>', "O'Brien <script>", 1939)
BOOKS: tuple[Book, ...] = (*SPECIAL, *FILLERS, MARKED)

_numbers = itertools.count(1)


@dataclass
class Shelf:
    """An open catalog, its files, and the books it was seeded with, numbered."""

    app: WsgiApp
    db: Path
    seed: Path | None
    books: dict[int, Book]

    def json(self, path: str, query: str = "") -> Any:
        """GET as a program; status 200 and JSON, or a Complaint."""
        reply = self.app.get_json(path, query)
        expect(reply).status(200)
        return read_json(reply)

    def total(self) -> Any:
        """How many books /books says there are."""
        return listing(self.app.get_json("/books"))["total"]

    def all_books(self) -> dict[int, Book]:
        """Every page of /books, by number."""
        found: dict[int, Book] = {}
        page = pages = 1
        while page <= pages:
            part = listing(self.app.get_json("/books", f"page={page}"))
            pages = min(part["pages"], 100)
            found |= {item["id"]: bare(item) for item in part["books"]}
            page += 1
        return found

    def add(self, new: Book) -> int:
        """POST JSON; the number of the new book, or a Complaint. Whether status and Location are right is not asked."""
        return number_somehow(post_json(self.app, new))


def write_seed(folder: Path, books: Iterable[Book]) -> Path:
    """A seed file in a folder that the submission can read."""
    path = folder / f"seed-{next(_numbers)}.json"
    write_new(path, json.dumps(list(books), ensure_ascii=False).encode())
    return path


def new_db(folder: Path) -> Path:
    """The path of a database that does not exist yet."""
    return folder / f"shelf-{next(_numbers)}.json"


def open_shelf(wsgi: WsgiTarget, folder: Path, books: Sequence[Book] | None = BOOKS) -> Shelf:
    """A new catalog seeded with `books`; None: without a seed file."""
    seed = None if books is None else write_seed(folder, books)
    db = new_db(folder)
    app = wsgi.open("create_application", str(db), None if seed is None else str(seed))
    return Shelf(app, db, seed, dict(enumerate(books or (), 1)))


@functools.cache
def reading(wsgi: WsgiTarget, folder: Path) -> Shelf:
    """One catalog of BOOKS for all checks that only read."""
    return open_shelf(wsgi, folder)


@functools.cache
def adding(wsgi: WsgiTarget, folder: Path) -> Shelf:
    """One catalog without a seed for all examples that only add."""
    return open_shelf(wsgi, folder, None)


@contextmanager
def file_made(path: Path) -> Iterator[None]:
    """Around our own use of a file that the submission should have made: that it is not there is its own fault."""
    try:
        yield
    except OSError as error:
        expect.fail(expected=f"a file {path.name} that can be read", got=f"{type(error).__name__}: {error.strerror}")


def read_made(path: Path) -> bytes:
    """The content of a file that the submission should have made. A link or a pipe in its place is a Complaint.

    The judge may read what the submission may not: to follow a link would tell it.
    """
    with file_made(path):
        descriptor = os.open(path, NO_DETOUR)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            return file.read(MAX_FILE)


def write_new(path: Path, data: bytes) -> None:
    """Make a file in a folder of the submission's: never through a link that lies there already."""
    with file_made(path), path.open("xb") as file:
        file.write(data)


def overwrite(path: Path, data: bytes) -> None:
    """Other content for a file that the submission made: in the same file, which stays the submission's own."""
    with file_made(path):
        descriptor = os.open(path, NO_DETOUR | os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(descriptor, "wb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            file.write(data)


def bare(item: Book) -> Book:
    """A book without its number and whatever else a program may add."""
    return {name: item[name] for name in ("title", "author", "year")}


def read_json(reply: Reply) -> Any:
    """The value of a JSON answer. Complaint when it is none."""
    shown = f"Content-Type: {reply.headers.get('Content-Type') or '(none)'}"
    expect(reply).that(media_type(reply) == JSON_TYPE, expected=f"Content-Type: {JSON_TYPE}", got=shown)
    try:
        return json.loads(reply.body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        expect(reply).that(False, expected="a body of JSON in UTF-8", got=f"a body that is not ({error})")


def read_book(reply: Reply) -> Book:
    """The book of a JSON answer, its four keys of the right types."""
    value = read_json(reply)
    expect(reply).that(
        is_book(value),
        expected='{"id": number, "title": text, "author": text, "year": number}',
        got=f"{faults_of(value, BOOK_KEYS)}: {value!r:.400}",
    )
    return dict(value)


BOOK_KEYS = {"id": int, "title": str, "author": str, "year": int}
LIST_KEYS = {"books": list, "page": int, "pages": int, "per_page": int, "total": int}
KINDS = {int: "a whole number", str: "text", list: "a list"}


def is_book(value: Any) -> bool:
    """Whether it is an object with the four keys of a book, each of the right type."""
    return not faults_of(value, BOOK_KEYS)


def faults_of(value: Any, keys: dict[str, type]) -> str:
    """What an object lacks, in words: "missing: id; year is not a whole number"; "" where it lacks nothing."""
    if not isinstance(value, dict):
        return "not an object"
    missing = [name for name in keys if name not in value]
    wrong = [
        f"{name} is not {KINDS[kind]}" for name, kind in keys.items() if name in value and type(value[name]) is not kind
    ]
    return "; ".join(([f"missing: {', '.join(missing)}"] if missing else []) + wrong)


def listing(reply: Reply) -> dict[str, Any]:
    """The JSON of /books or /books/search, its five keys of the right types."""
    expect(reply).status(200)
    value = read_json(reply)
    faults = faults_of(value, LIST_KEYS)
    if not faults:
        wrong = ((place, faults_of(item, BOOK_KEYS)) for place, item in enumerate(value["books"]))
        faults = next((f"books[{place}]: {text}" for place, text in wrong if text), "")
    expected = '{"books": [books], "page": number, "pages": ..., "per_page": ..., "total": ...}'
    expect(reply).that(not faults, expected=expected, got=f"{faults}: {value!r:.400}")
    return dict(value)


def error_of(reply: Reply) -> dict[str, Any]:
    """The JSON of an error: an object whose "error" is a sentence."""
    value = read_json(reply)
    good = isinstance(value, dict) and isinstance(value.get("error"), str) and value["error"].strip() != ""
    expect(reply).that(good, expected='{"error": "a sentence for a person"}')
    return dict(value)


def errors_of(reply: Reply) -> set[str]:
    """The fields that have a message in a JSON error."""
    errors = error_of(reply).get("errors")
    good = isinstance(errors, dict) and all(isinstance(text, str) and text.strip() for text in errors.values())
    expect(reply).that(good, expected='an object "errors" with a sentence for each wrong field')
    return set(errors or ())


def post_form(app: WsgiApp, fields: Any, **meta: str | None) -> WsgiReply:
    """POST /books as a browser's form does it."""
    return app.post("/books", urlencode(fields).encode("ascii"), **meta)


def post_json(app: WsgiApp, value: Any, **meta: str | None) -> WsgiReply:
    """POST /books as a program does it."""
    return app.post("/books", json.dumps(value).encode("ascii"), JSON_TYPE, **meta)


def follow(app: WsgiApp, address: str, **meta: str | None) -> WsgiReply:
    """GET what a link leads to, as a browser would: "/path?query" of this site."""
    path, query = path_and_query(address)
    return app.get(path, query, **meta)


def _number_in(location: str, mounted: str) -> int | None:
    """The number of a book in its address, which may be relative to the one that was sent (RFC 9110, 10.2.2)."""
    try:
        path = urlsplit(urljoin(f"http://localhost{mounted}/books", location)).path
    except ValueError:
        return None
    digits = path.removeprefix(f"{mounted}/books/")
    good = path.startswith(f"{mounted}/books/") and digits.isascii() and digits.isdigit() and len(digits) < 10
    return int(digits) if good else None


def number_of(reply: Reply, mounted: str = "") -> int:
    """The number in Location. Complaint when it is not the address of a book."""
    location = reply.headers.get("Location") or ""
    number = _number_in(location, mounted)
    expected = f"Location: {mounted}/books/NUMBER"
    expect(reply).that(number is not None, expected=expected, got=f"Location: {location or '(none)'}")
    return number or 0


def number_somehow(reply: Reply) -> int:
    """The number of a book that was added, from Location or from the book as JSON; 303 and 201 are asked elsewhere."""
    good = reply.status in (201, 200, 202, 301, 302, 303, 307, 308)
    expect(reply).that(good, expected="status 303 after a form, 201 after JSON")
    number = _number_in(reply.headers.get("Location") or "", "")
    if number is None and media_type(reply) == JSON_TYPE:
        return int(read_book(reply)["id"])
    return number if number is not None else number_of(reply)


def named(numbers: Sequence[int], books: Sequence[Book]) -> str:
    """Books by their numbers, the first few with their titles: "book 2 (Momo)"; `books` are those from 1 on."""
    titles = [f"{number} ({books[number - 1]['title']})" for number in numbers[:3] if 0 < number <= len(books)]
    if len(titles) < len(numbers):
        return f"the books {list(numbers)}"
    return f"book {', '.join(titles)}" if titles else "no book"


def expect_verdict(called: Returned | Raised, right: dict[str, Any], wrong: set[str]) -> None:
    """A function returned (right, errors), with a message for a person for each name in `wrong`."""

    def good(got: Any) -> bool:
        if not isinstance(got, (tuple, list)) or len(got) != 2 or got[0] != right or not isinstance(got[1], dict):
            return False
        return set(got[1]) == wrong and all(isinstance(text, str) and text.strip() for text in got[1].values())

    messages = ", ".join(f'"{name}": "a message"' for name in sorted(wrong))
    expect(called).returns_that(good, f"({right!r}, {{{messages}}})")


def matches(item: Book, title: str = "", author: str = "", year: int | None = None) -> bool:
    """The README's rule of search."""
    return (
        title.casefold() in item["title"].casefold()
        and author.casefold() in item["author"].casefold()
        and (year is None or item["year"] == year)
    )
