"""A book catalog behind WSGI, written with classes.

Application   is what the server calls; it finds a handler by a table of regular expressions.
Request       reads the environ.
Handler       has one subclass per path, and one method per HTTP method.
HtmlView, JsonView   say the same things to people and to programs.
Repository    keeps the books in TinyDB, on a storage that replaces its file as a whole.
ErrorGuard    is the middleware around all of it.
"""

import argparse
import contextlib
import errno
import json
import os
import re
import sys
import threading
import traceback
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from html import escape
from http import HTTPStatus
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, ClassVar
from urllib.parse import quote, unquote_to_bytes, urlencode
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from tinydb import TinyDB
from tinydb.middlewares import CachingMiddleware
from tinydb.queries import QueryLike, where
from tinydb.storages import Storage
from tinydb.table import Document

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt

Environ = dict[str, Any]
Headers = list[tuple[str, str]]

PER_PAGE = 20
MAX_BODY = 65536
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
HTML = "text/html"
YEAR = re.compile(r"-?[0-9]{1,4}")
WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


# ---------------------------------------------------------------------------------------------------- the model


@dataclass(frozen=True)
class Book:
    """One book of the shelf."""

    id: int
    title: str
    author: str
    year: int


@dataclass(frozen=True)
class Page:
    """At most PER_PAGE of the books found."""

    books: list[Book]
    number: int
    pages: int
    total: int


@dataclass(eq=False)
class HttpError(Exception):
    """An answer that is not what was hoped for. `errors` holds one message per wrong field."""

    status: HTTPStatus
    message: str
    errors: dict[str, str] = field(default_factory=dict)
    headers: Headers = field(default_factory=list)


class YearField:
    """How a year is written."""

    @staticmethod
    def parse(text: str) -> int:
        """Return the year; raise ValueError if it is not an optional "-" and one to four ASCII digits."""
        if not YEAR.fullmatch(text.strip()):
            raise ValueError("A year is written with one to four digits, such as 1605 or -800.")
        return int(text)


class Draft:
    """A book somebody wants to add: the fields as they came, and what is wrong with them."""

    def __init__(self, fields: dict[str, Any]):
        self.errors: dict[str, str] = {}
        self.title = self._text(fields, "title")
        self.author = self._text(fields, "author")
        self.year = self._year(fields.get("year"))

    def _text(self, fields: dict[str, Any], name: str) -> str:
        value = fields.get(name)
        if not isinstance(value, str) or not value.strip():
            self.errors[name] = f"Please give the {name}."
            return ""
        text = value.strip()
        if len(text) > 200:
            self.errors[name] = f"The {name} may have 200 characters at most; this one has {len(text)}."
        elif any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
            self.errors[name] = f"There is a character in the {name} that cannot be shown."
        return text

    def _year(self, value: object) -> int:
        year = value
        if isinstance(value, str):
            try:
                year = YearField.parse(value)
            except ValueError as error:
                self.errors["year"] = str(error) if value.strip() else "Please give the year."
                return 0
        if not isinstance(year, int) or isinstance(year, bool):
            self.errors["year"] = "Please give the year as a whole number."
            return 0
        if not -4000 <= year <= 2100:
            self.errors["year"] = "The year must be from -4000 to 2100."
        return year


# ---------------------------------------------------------------------------------------------------- the shelf


class FileLock:
    """A lock among all threads and processes that use the same file: `with FileLock(path): ...`"""

    def __init__(self, path: str):
        self.path = path

    def __enter__(self) -> None:
        self.file = open(self.path, "a+b")
        try:
            if fcntl:
                fcntl.flock(self.file, fcntl.LOCK_EX)
            else:
                self.file.seek(0)
                msvcrt.locking(self.file.fileno(), msvcrt.LK_LOCK, 1)
        except BaseException:
            self.file.close()
            raise

    def __exit__(self, *exc_info: object) -> None:
        if not fcntl:
            self.file.seek(0)
            msvcrt.locking(self.file.fileno(), msvcrt.LK_UNLCK, 1)
        self.file.close()  # and flock's lock goes with it


class WholeFileStorage(Storage):
    """A storage for TinyDB whose file is at every moment either the old one or the new one, never half of one."""

    def __init__(self, path: str):
        self.path = path

    def read(self) -> dict[str, dict[str, Any]] | None:
        try:
            data = json.loads(Path(self.path).read_bytes().decode("utf-8"))
        except FileNotFoundError:
            return None
        if not isinstance(data, dict) or not {Repository.BOOKS, Repository.COUNTER} <= data.keys():
            raise ValueError(f"{self.path} is not a catalog")
        return data

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        draft = self.path + ".new"
        try:
            with open(draft, "w", encoding="utf-8") as file:
                json.dump(data, file, ensure_ascii=False, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.remove(draft)
            raise
        if os.name == "posix":  # the new name of the file has to reach the disk, too
            folder = os.open(os.path.dirname(self.path), os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


class Repository:
    """The books in the database. The number given last is kept beside them, so that none is given twice."""

    BOOKS = "books"
    COUNTER = "counter"

    def __init__(self, path: str | os.PathLike[str], seed: str | os.PathLike[str] | None):
        self.path = os.path.realpath(path)
        self.seed = None if seed is None else os.path.abspath(seed)
        self.lock_path = self.path + ".lock"

    def all(self) -> list[Book]:
        return self._sorted(self._open().table(self.BOOKS).all())

    def get(self, number: int) -> Book | None:
        document = self._open().table(self.BOOKS).get(doc_id=number)
        return self._book(document) if isinstance(document, Document) else None

    def search(self, conditions: list[QueryLike]) -> list[Book]:
        first, *others = conditions
        for other in others:
            first = first & other  # type: ignore[operator]
        return self._sorted(self._open().table(self.BOOKS).search(first))

    def add(self, draft: Draft) -> Book:
        with self._transaction() as db:
            number = self._next_number(db)
            fields = {"title": draft.title, "author": draft.author, "year": draft.year}
            db.table(self.BOOKS).insert(Document(fields, doc_id=number))
            self._set_counter(db, number)
        return Book(number, **fields)

    def remove(self, number: int) -> bool:
        """Take a book away; False if there is none."""
        with self._transaction() as db:
            books = db.table(self.BOOKS)
            if not books.contains(doc_id=number):
                return False
            books.remove(doc_ids=[number])
            return True

    def _open(self) -> TinyDB:
        """A database to read from. No lock: the file is always whole."""
        if not os.path.exists(self.path):
            with FileLock(self.lock_path):
                if not os.path.exists(self.path):  # nobody was faster
                    self._create()
        return TinyDB(self.path, storage=WholeFileStorage)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[TinyDB]:
        """A database to change. All changes get to the disk in one write, or none of them."""
        self._open()
        with FileLock(self.lock_path):
            db = TinyDB(self.path, storage=CachingMiddleware(WholeFileStorage))
            yield db
            db.close()  # writes what is in the cache; an exception never gets here

    def _create(self) -> None:
        seed = [] if self.seed is None else json.loads(Path(self.seed).read_text(encoding="utf-8"))
        books = {
            str(number): {name: entry[name] for name in ("title", "author", "year")}
            for number, entry in enumerate(seed, start=1)
        }
        WholeFileStorage(self.path).write({self.BOOKS: books, self.COUNTER: {"1": {"last": len(books)}}})

    def _next_number(self, db: TinyDB) -> int:
        document = db.table(self.COUNTER).get(doc_id=1)
        if not isinstance(document, Document):
            raise ValueError(f"{self.path} has no counter")
        return int(document["last"]) + 1

    def _set_counter(self, db: TinyDB, number: int) -> None:
        db.table(self.COUNTER).update({"last": number}, doc_ids=[1])

    @classmethod
    def _sorted(cls, documents: Iterable[Document]) -> list[Book]:
        return sorted((cls._book(document) for document in documents), key=lambda book: book.id)

    @staticmethod
    def _book(document: Document) -> Book:
        return Book(document.doc_id, document["title"], document["author"], document["year"])


# -------------------------------------------------------------------------------------------------- the request


class Fields(dict[str, str]):
    """Names and values as forms write them. Of a name that comes twice the first value counts."""

    @classmethod
    def parse(cls, data: bytes, errors: str) -> "Fields":
        fields = cls()
        for part in data.split(b"&"):
            if part:
                name, _, value = (unquote_to_bytes(piece) for piece in part.replace(b"+", b" ").partition(b"="))
                fields.setdefault(name.decode("utf-8", errors), value.decode("utf-8", errors))
        return fields


class Request:
    """The environ, read."""

    def __init__(self, environ: Environ):
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        self.path = self._bytes("PATH_INFO").decode("utf-8", "replace") or "/"
        self.query = Fields.parse(self._bytes("QUERY_STRING"), "replace")
        self.content_type: str = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        self.view: View = JsonView(self) if self._wants_json() else HtmlView(self)

    def _bytes(self, name: str) -> bytes:
        return self.environ.get(name, "").encode("latin-1")

    def link(self, path: str, **query: str) -> str:
        """The address of a page of ours, wherever we are mounted."""
        address = quote(self._bytes("SCRIPT_NAME")) + path
        return f"{address}?{urlencode(query)}" if query else address

    def _wants_json(self) -> bool:
        has_body = self.method == "POST" or self.environ.get("CONTENT_LENGTH", "") not in ("", "0")
        if has_body and self.content_type == JSON:
            return True
        accept = Accept(self.environ.get("HTTP_ACCEPT", ""))
        return accept.weight(JSON) > accept.weight(HTML)

    def read_body(self) -> bytes:
        """Read exactly as many bytes as were announced."""
        length = self.environ.get("CONTENT_LENGTH", "")
        if not length:
            raise HttpError(HTTPStatus.LENGTH_REQUIRED, "Please say how long the body is.")
        if not (length.isascii() and length.isdigit()):
            raise HttpError(HTTPStatus.BAD_REQUEST, "The length of the body is not a number.")
        digits = length.lstrip("0") or "0"
        if len(digits) > 5 or int(digits) > MAX_BODY:
            raise HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A body may have {MAX_BODY} bytes at most.")
        missing = int(digits)
        pieces = []
        while missing:
            try:
                piece = self.environ["wsgi.input"].read(missing)
            except OSError:  # the client hung up, or fell asleep
                piece = b""
            if not piece:
                raise HttpError(HTTPStatus.BAD_REQUEST, "The body ended too early.")
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def read_fields(self) -> dict[str, Any]:
        """The fields of the form or of the JSON object in the body."""
        readers: dict[str, Callable[[bytes], dict[str, Any]]] = {FORM: self._read_form, JSON: self._read_json}
        if self.content_type not in readers:
            raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Please send {FORM} or {JSON}.")
        return readers[self.content_type](self.read_body())

    @staticmethod
    def _read_form(body: bytes) -> dict[str, Any]:
        try:
            body.decode("utf-8")
            return Fields.parse(body, "strict")
        except UnicodeDecodeError:
            raise HttpError(HTTPStatus.BAD_REQUEST, "The form is not UTF-8.") from None

    @staticmethod
    def _read_json(body: bytes) -> dict[str, Any]:
        def refuse(constant: str) -> None:
            raise ValueError(f"{constant} is not JSON")

        def whole_number(digits: str) -> float:
            return int(digits) if len(digits) < 100 else float(digits)  # int() refuses thousands of digits

        try:
            value = json.loads(body.decode("utf-8"), parse_constant=refuse, parse_int=whole_number)
        except (ValueError, RecursionError):
            raise HttpError(HTTPStatus.BAD_REQUEST, "The body is not JSON that can be read.") from None
        if not isinstance(value, dict):
            raise HttpError(HTTPStatus.BAD_REQUEST, "The body is JSON, but not an object.")
        return value


class Accept:
    """The Accept header: how much the client likes a media type."""

    # A quoted string may hold a comma or a semicolon that separates nothing.
    PART = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
    PARAMETER = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+')

    def __init__(self, header: str):
        self.weights: dict[str, float] = {}
        for part in self.PART.findall(header):
            media_range, *parameters = (piece.strip(" \t") for piece in self.PARAMETER.findall(part))
            weight = "1"
            for parameter in parameters:
                name, _, value = parameter.partition("=")
                if name.lower() == "q":
                    weight = value
                    break
            if WEIGHT.fullmatch(weight):
                name = media_range.lower()
                self.weights[name] = max(float(weight), self.weights.get(name, 0.0))

    def weight(self, media_type: str) -> float:
        for media_range in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
            if media_range in self.weights:
                return self.weights[media_range]
        return 0.0


# --------------------------------------------------------------------------------------------------- the answer


@dataclass
class Response:
    """An answer, ready to be sent."""

    status: HTTPStatus
    headers: Headers
    body: bytes = b""

    def send(self, request: Request, start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = list(self.headers)
        if self.status != HTTPStatus.NO_CONTENT:
            headers.append(("Content-Length", str(len(self.body))))
        start_response(f"{self.status.value} {self.status.phrase}", headers)
        return [] if request.method == "HEAD" or not self.body else [self.body]


class View:
    """What can be said to a client. The subclasses say how."""

    content_type: ClassVar[str]

    def __init__(self, request: Request):
        self.request = request

    def respond(
        self, text: str, status: HTTPStatus = HTTPStatus.OK, headers: Iterable[tuple[str, str]] = ()
    ) -> Response:
        fixed = [("Content-Type", self.content_type), ("Vary", "Accept")]
        return Response(status, [*fixed, *headers], text.encode("utf-8"))

    def book(self, book: Book, status: HTTPStatus = HTTPStatus.OK, headers: Iterable[tuple[str, str]] = ()) -> Response:
        raise NotImplementedError

    def page(self, page: Page, path: str, conditions: dict[str, str] | None = None) -> Response:
        raise NotImplementedError

    def error(self, error: HttpError) -> Response:
        raise NotImplementedError

    def search_error(self, error: HttpError) -> Response:
        raise NotImplementedError

    def add_error(self, error: HttpError, typed: dict[str, Any]) -> Response:
        raise NotImplementedError


class JsonView(View):
    """JSON, for programs."""

    content_type = JSON

    def _json(
        self, value: object, status: HTTPStatus = HTTPStatus.OK, headers: Iterable[tuple[str, str]] = ()
    ) -> Response:
        return self.respond(json.dumps(value, ensure_ascii=False) + "\n", status, headers)

    def book(self, book: Book, status: HTTPStatus = HTTPStatus.OK, headers: Iterable[tuple[str, str]] = ()) -> Response:
        return self._json(asdict(book), status, headers)

    def page(self, page: Page, path: str, conditions: dict[str, str] | None = None) -> Response:
        books = [asdict(book) for book in page.books]
        numbers = {"page": page.number, "pages": page.pages, "per_page": PER_PAGE, "total": page.total}
        return self._json({"books": books, **numbers})

    def error(self, error: HttpError) -> Response:
        value: dict[str, Any] = {"error": error.message}
        if error.errors:
            value["errors"] = error.errors
        return self._json(value, error.status, error.headers)

    def search_error(self, error: HttpError) -> Response:
        return self.error(error)

    def add_error(self, error: HttpError, typed: dict[str, Any]) -> Response:
        return self.error(error)


class HtmlView(View):
    """HTML, for people."""

    content_type = "text/html; charset=utf-8"

    LAYOUT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body {{ font: 1.1rem serif; max-width: 40rem; margin: auto; padding: 1rem }} label {{ display: block }}</style>
</head>
<body>
<nav><a href="{home}">Search</a> <a href="{books}">All books</a> <a href="{new}">Add a book</a></nav>
<main>
<h1>{title}</h1>
{content}
</main>
</body>
</html>
"""

    def layout(
        self,
        title: str,
        content: str,
        status: HTTPStatus = HTTPStatus.OK,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Response:
        link = self.request.link
        text = self.LAYOUT.format(
            title=escape(title),
            content=content,
            home=escape(link("/")),
            books=escape(link("/books")),
            new=escape(link("/books/new")),
        )
        return self.respond(text, status, headers)

    def home(self) -> Response:
        return self.layout("A catalog of books", self._search_form({}))

    def new(self) -> Response:
        return self.layout("Add a book", self._add_form({}, {}))

    def book(self, book: Book, status: HTTPStatus = HTTPStatus.OK, headers: Iterable[tuple[str, str]] = ()) -> Response:
        return self.layout(book.title, self._book("article", book), status, headers)

    def page(self, page: Page, path: str, conditions: dict[str, str] | None = None) -> Response:
        content = [f'<p>Books found: <strong id="total">{page.total}</strong></p>', "<ul>"]
        content += [self._book("li", book) for book in page.books]
        content.append("</ul>")
        for rel, number in (("prev", page.number - 1), ("next", page.number + 1)):
            if 1 <= number <= page.pages:
                address = self.request.link(path, **(conditions or {}), page=str(number))
                content.append(f'<a rel="{rel}" href="{escape(address)}">Page {number}</a>')
        if conditions is None:
            return self.layout(f"All books, page {page.number} of {page.pages}", "\n".join(content))
        content.insert(0, self._search_form({}))
        return self.layout(f"Books found, page {page.number} of {page.pages}", "\n".join(content))

    def error(self, error: HttpError) -> Response:
        content = f"<p>{escape(error.message)}</p>"
        return self.layout(error.status.phrase, content, error.status, error.headers)

    def search_error(self, error: HttpError) -> Response:
        content = self._search_form(error.errors)
        if not error.errors:
            content = f"<p>{escape(error.message)}</p>\n{content}"
        return self.layout(error.status.phrase, content, error.status)

    def add_error(self, error: HttpError, typed: dict[str, Any]) -> Response:
        content = f"<p>{escape(error.message)}</p>\n{self._add_form(typed, error.errors)}"
        return self.layout("Add a book", content, error.status)

    def _book(self, tag: str, book: Book) -> str:
        address = escape(self.request.link(f"/books/{book.id}"))
        return (
            f'<{tag} class="book"><a class="title" href="{address}">{escape(book.title)}</a>, '
            f'by <span class="author">{escape(book.author)}</span> '
            f'(<span class="year">{book.year}</span>)</{tag}>'
        )

    def _search_form(self, errors: dict[str, str]) -> str:
        action = escape(self.request.link("/books/search"))
        inputs = self._inputs(self.request.query, errors, "search")
        return f'<form id="search" action="{action}" method="get">\n{inputs}\n<button>Search</button>\n</form>'

    def _add_form(self, typed: dict[str, Any], errors: dict[str, str]) -> str:
        action = escape(self.request.link("/books"))
        inputs = self._inputs(typed, errors, "add")
        return f'<form id="add" action="{action}" method="post">\n{inputs}\n<button>Add</button>\n</form>'

    @staticmethod
    def _inputs(values: dict[str, Any], errors: dict[str, str], prefix: str) -> str:
        lines = []
        if "form" in errors:
            lines.append(f'<p id="form-error">{escape(errors["form"])}</p>')
        for name in ("title", "author", "year"):
            # A parser of HTML turns a carriage return into a line feed, unless it is written as a reference.
            value = escape(str(values.get(name, ""))).replace("\r", "&#13;")
            described = f' aria-invalid="true" aria-describedby="{name}-error"' if name in errors else ""
            lines.append(f'<label for="{prefix}-{name}">{name.capitalize()}</label>')
            lines.append(f'<input type="text" id="{prefix}-{name}" name="{name}" value="{value}"{described}>')
            if name in errors:
                lines.append(f'<p id="{name}-error">{escape(errors[name])}</p>')
        return "\n".join(lines)


# ------------------------------------------------------------------------------------------------- the handlers


class Handler:
    """A path. The methods it knows are those of its methods that are named like one."""

    METHODS = ("GET", "POST", "DELETE")

    def __init__(self, request: Request, repository: Repository, *arguments: str):
        self.request = request
        self.view = request.view
        self.repository = repository
        self.arguments = arguments

    def handle(self) -> Response:
        allowed = [method for method in self.METHODS if hasattr(self, method.lower())]
        if "GET" in allowed:
            allowed.append("HEAD")
        method = self.request.method
        if method not in allowed:
            headers = [("Allow", ", ".join(allowed))]
            raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, "This page does not know that method.", headers=headers)
        return getattr(self, "get" if method == "HEAD" else method.lower())()

    def error(self, error: HttpError) -> Response:
        return self.view.error(error)

    def take_page(self, books: list[Book]) -> Page:
        """The page of these books that the query asks for."""
        asked = self.request.query.get("page", "").strip()
        pages = max(1, -(-len(books) // PER_PAGE))
        digits = asked.lstrip("0") if asked else "1"
        if not (digits.isascii() and digits.isdigit()):
            raise HttpError(HTTPStatus.BAD_REQUEST, "A page is a whole number, and the first one is page 1.")
        if len(digits) > 9 or int(digits) > pages:
            raise HttpError(HTTPStatus.NOT_FOUND, f"There is no such page; the last one is page {pages}.")
        number = int(digits)
        return Page(books[(number - 1) * PER_PAGE : number * PER_PAGE], number, pages, len(books))


class HomeHandler(Handler):
    def get(self) -> Response:
        return HtmlView(self.request).home()


class NewHandler(Handler):
    def get(self) -> Response:
        return HtmlView(self.request).new()


class BooksHandler(Handler):
    def get(self) -> Response:
        return self.view.page(self.take_page(self.repository.all()), "/books")

    def post(self) -> Response:
        fields = self.request.read_fields()
        draft = Draft(fields)
        if draft.errors:
            message = "This book cannot be added as it is."
            return self.view.add_error(HttpError(HTTPStatus.UNPROCESSABLE_ENTITY, message, draft.errors), fields)
        book = self.repository.add(draft)
        status = HTTPStatus.CREATED if self.request.content_type == JSON else HTTPStatus.SEE_OTHER
        return self.view.book(book, status, [("Location", self.request.link(f"/books/{book.id}"))])


class SearchHandler(Handler):
    def get(self) -> Response:
        asked = {name: self.request.query.get(name, "").strip() for name in ("title", "author", "year")}
        asked = {name: text for name, text in asked.items() if text}
        if not asked:
            message = "Please give a title, an author or a year to search for."
            raise HttpError(HTTPStatus.BAD_REQUEST, message, {"form": message})
        found = self.repository.search([self._condition(name, text) for name, text in asked.items()])
        return self.view.page(self.take_page(found), "/books/search", asked)

    @staticmethod
    def _condition(name: str, text: str) -> QueryLike:
        if name == "year":
            try:
                return where(name) == YearField.parse(text)
            except ValueError as error:
                raise HttpError(HTTPStatus.BAD_REQUEST, str(error), {"year": str(error)}) from None
        part = text.casefold()
        return where(name).test(lambda value: part in value.casefold())

    def error(self, error: HttpError) -> Response:
        return super().error(error) if error.headers else self.view.search_error(error)


class BookHandler(Handler):
    def get(self) -> Response:
        book = self.repository.get(self.number)
        if book is None:
            raise self.missing()
        return self.view.book(book)

    def delete(self) -> Response:
        if not self.repository.remove(self.number):
            raise self.missing()
        return Response(HTTPStatus.NO_CONTENT, [])

    @property
    def number(self) -> int:
        return int(self.arguments[0])

    def missing(self) -> HttpError:
        return HttpError(HTTPStatus.NOT_FOUND, f"There is no book {self.number}.")


class MissingHandler(Handler):
    """For the paths of no page."""

    def handle(self) -> Response:
        raise HttpError(HTTPStatus.NOT_FOUND, f"There is no page {self.request.path}.")


# ---------------------------------------------------------------------------------------------- the application


class Application:
    """The WSGI application for one database."""

    ROUTES: ClassVar[dict[str, type[Handler]]] = {
        r"/": HomeHandler,
        r"/books": BooksHandler,
        r"/books/search": SearchHandler,
        r"/books/new": NewHandler,
        r"/books/([1-9][0-9]{0,17})": BookHandler,
    }

    def __init__(self, repository: Repository):
        self.repository = repository

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        handler = self.find_handler(request)
        try:
            response = handler.handle()
        except HttpError as error:
            response = handler.error(error)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            traceback.print_exc(file=environ["wsgi.errors"])
            full = HttpError(HTTPStatus.INSUFFICIENT_STORAGE, "There is no space left on the shelf.")
            response = handler.error(full)
        return response.send(request, start_response)

    def find_handler(self, request: Request) -> Handler:
        for pattern, handler in self.ROUTES.items():
            if match := re.fullmatch(pattern, request.path):
                return handler(request, self.repository, *match.groups())
        return MissingHandler(request, self.repository)


class ErrorGuard:
    """Middleware around any WSGI application: an exception becomes a page of status 500 and an entry in the log."""

    def __init__(self, app: Callable[..., Iterable[bytes]]):
        self.app = app

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        return GuardedBody(self.app, environ, start_response)


class GuardedBody:
    """The body of an answer, watched while it is made and while it is sent."""

    def __init__(self, app: Callable[..., Iterable[bytes]], environ: Environ, start_response: Callable[..., Any]):
        self.environ = environ
        self.start_response = start_response
        self.body: Iterable[bytes] = ()
        try:
            self.body = app(environ, start_response)
            self.pieces = iter(self.body)
        except Exception:
            self.pieces = iter(self.fail())

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self.pieces)
        except StopIteration:
            raise
        except Exception:
            self.pieces = iter(self.fail())
        return next(self.pieces)

    def close(self) -> None:
        if hasattr(self.body, "close"):
            self.body.close()

    def fail(self) -> list[bytes]:
        """Log the exception that is being handled; answer 500, or raise it again if an answer is on its way."""
        traceback.print_exc(file=self.environ["wsgi.errors"])
        request = Request(self.environ)
        error = HttpError(
            HTTPStatus.INTERNAL_SERVER_ERROR, "Something broke here. It is in the log, and not your fault."
        )
        response = request.view.error(error)

        def start(status: str, headers: Headers) -> None:
            self.start_response(status, headers, sys.exc_info())  # raises it if the headers have been sent

        return list(response.send(request, start))


def catch_errors(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    return ErrorGuard(app)


def create_application(
    db: str | os.PathLike[str], seed: str | os.PathLike[str] | None = None
) -> Callable[..., Iterable[bytes]]:
    """The catalog in the database file `db`, filled with the books of the file `seed` when it is new."""
    return catch_errors(Application(Repository(db, seed)))


class DefaultApplication:
    """The application for a server that knows only a name. What it serves is decided at the first request."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.app: Callable[..., Iterable[bytes]] | None = None

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self.lock:
            if self.app is None:
                self.app = create_application(self.default_db(), self.default_seed())
        return self.app(environ, start_response)

    @staticmethod
    def default_db() -> str:
        return os.environ.get("CATALOG_DB") or "catalog.json"

    @staticmethod
    def default_seed() -> str:
        kit = Path(__file__).resolve().parents[2]
        return os.environ.get("CATALOG_SEED") or str(kit / "data" / "initial_books.json")


application = DefaultApplication()


# --------------------------------------------------------------------------------------------------- the server


class Server(ThreadingMixIn, WSGIServer):
    """The server of the standard library, with a thread for each client."""

    daemon_threads = True

    def shutdown_request(self, request: Any) -> None:
        """Hear a client out before hanging up, or it never hears an answer that came before its last word."""
        with contextlib.suppress(OSError):
            request.shutdown(1)  # SHUT_WR: nothing more comes from us
            request.settimeout(1)
            for _ in range(1000):
                if not request.recv(65536):
                    break
        self.close_request(request)


class RequestHandler(WSGIRequestHandler):
    timeout = 30  # seconds of silence


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a catalog of books.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--db", default=DefaultApplication.default_db())
    parser.add_argument("--seed", default=DefaultApplication.default_seed())
    options = parser.parse_args()
    app = create_application(options.db, options.seed)
    with make_server(options.host, options.port, app, Server, RequestHandler) as server:
        print(f"Serving on http://{options.host}:{server.server_port}/", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
