"""The catalog's model code: its shelf under threads, processes and kill -9, its speed, its manners as a process."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import os
import stat
import subprocess
import sys
import threading
import time
import wsgiref.util
import wsgiref.validate
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
MAIN = ROOT / "solutions" / "wsgi_catalog" / "main.py"
SEED = ROOT / "data" / "initial_books.json"
MOMO = {"title": "Momo", "author": "Michael Ende", "year": 1973}
SEEDED = len(json.loads(SEED.read_text(encoding="utf-8")))

# A writer of its own: adds books named after it, prints each number once it is promised.
WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import main
for count in range(int(sys.argv[4])):
    book = main.add_book(Path(sys.argv[2]), {"title": f"{sys.argv[3]} {count}", "author": "W", "year": count % 2000})
    print(book["id"], flush=True)
"""


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wsgi_catalog_solution", MAIN)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


catalog = load()


@pytest.fixture
def db(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.json"
    catalog.seed_catalog(path, SEED)
    return path


def writer(db: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(MAIN.parent), str(db), name, str(count)], stdout=subprocess.PIPE
    )


def ask(
    application: Callable[..., Any], path: str, *, method: str = "GET", body: bytes = b"", **environ: Any
) -> tuple[str, dict[str, str], bytes]:
    """One request, with wsgiref.validate between the two sides."""
    path, _, query = path.partition("?")
    wsgiref.util.setup_testing_defaults(environ)
    environ |= {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "wsgi.input": io.BytesIO(body)}
    if body:
        environ["CONTENT_LENGTH"] = str(len(body))
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        started[:] = [status, dict(headers)]
        return lambda data: None

    chunks: Any = wsgiref.validate.validator(application)(environ, start_response)
    try:
        content = b"".join(chunks)
    finally:
        chunks.close()
    return started[0], started[1], content


def post(application: Callable[..., Any], body: bytes) -> tuple[str, dict[str, str], bytes]:
    return ask(application, "/books", method="POST", body=body, CONTENT_TYPE="application/json")


# --- the seed ---------------------------------------------------------------------------------


def test_the_seed_is_a_world_of_books() -> None:
    books = json.loads(SEED.read_text(encoding="utf-8"))
    assert len(books) >= 60
    assert all(catalog.validate(book) == (book, {}) for book in books)
    assert len({(book["title"], book["author"]) for book in books}) == len(books)
    assert {book["year"] for book in books if book["year"] < 0} == {-431, -411}


def test_a_shelf_emptied_by_hand_is_not_seeded_again(db: Path) -> None:
    for number in catalog.load_books(db):
        assert catalog.remove_book(db, number)
    catalog.seed_catalog(db, SEED)
    assert catalog.load_books(db) == {}
    assert catalog.add_book(db, MOMO)["id"] == SEEDED + 1


def test_a_number_in_the_seed_is_not_a_number_of_ours(tmp_path: Path) -> None:
    db, seed = tmp_path / "catalog.json", tmp_path / "seed.json"
    seed.write_text(json.dumps([{**MOMO, "id": 77}]), encoding="utf-8")
    catalog.seed_catalog(db, seed)
    assert catalog.load_books(db) == {1: {**MOMO, "id": 1}}


def test_a_missing_seed_leaves_no_half_made_shelf(tmp_path: Path) -> None:
    db = tmp_path / "catalog.json"
    with pytest.raises(FileNotFoundError):
        catalog.seed_catalog(db, tmp_path / "no.json")
    catalog.seed_catalog(db, SEED)
    assert len(catalog.load_books(db)) == SEEDED


# --- many writers -----------------------------------------------------------------------------


def test_threads_and_processes_at_once_lose_no_book_and_share_no_number(db: Path) -> None:
    numbers: list[int] = []

    def add(name: str) -> None:
        for count in range(20):
            numbers.append(catalog.add_book(db, {**MOMO, "title": f"{name} {count}"})["id"])

    threads = [threading.Thread(target=add, args=(f"thread {name}",)) for name in range(3)]
    processes = [writer(db, f"process {name}", 20) for name in range(2)]
    for thread in threads:
        thread.start()
    for process in processes:
        output, _ = process.communicate(timeout=60)
        numbers += map(int, output.split())
    for thread in threads:
        thread.join(60)
    assert sorted(numbers) == list(range(SEEDED + 1, SEEDED + 101))
    titles = [book["title"] for number, book in catalog.load_books(db).items() if number > SEEDED]
    assert len(set(titles)) == 100


def test_kill_9_at_any_moment_loses_nothing_that_was_promised(db: Path) -> None:
    promised = []
    for delay in (0.0, 0.003, 0.007, 0.011, 0.02):
        process = writer(db, f"killed after {delay}", 10_000)
        assert process.stdout is not None
        promised.append(int(process.stdout.readline()))
        end = time.monotonic() + delay
        while time.monotonic() < end:
            promised.append(int(process.stdout.readline()))
        process.kill()
        rest, _ = process.communicate(timeout=30)
        promised += map(int, rest.split(b"\n")[:-1])
        books = catalog.load_books(db)
        assert set(promised) <= books.keys()
        # The lock of the dead is free, and a book that was written but not promised keeps its number.
        assert catalog.add_book(db, MOMO)["id"] == max(books) + 1
    assert len(promised) == len(set(promised))


def test_a_write_that_fails_leaves_the_old_shelf(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = db.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        catalog.add_book(db, MOMO)
    monkeypatch.undo()
    assert db.read_bytes() == before
    assert catalog.add_book(db, MOMO)["id"] == SEEDED + 1


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links and permissions are others there")
def test_a_link_stays_a_link_and_what_is_private_stays_private(db: Path, tmp_path: Path) -> None:
    db.chmod(0o600)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    link = folder / "link.json"
    link.symlink_to(db)
    application = catalog.create_application(str(link), str(SEED))
    assert post(application, json.dumps(MOMO).encode())[0] == "201 Created"
    assert link.is_symlink()
    assert SEEDED + 1 in catalog.load_books(db)
    assert stat.S_IMODE(db.stat().st_mode) == 0o600
    assert list(folder.iterdir()) == [link]


@pytest.mark.skipif(sys.platform == "win32", reason="a folder cannot be synced there")
def test_the_folder_is_on_the_disk_too(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[bool, bytes]] = []

    def note(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), db.read_bytes()))

    monkeypatch.setattr(os, "fsync", note)
    before = db.read_bytes()
    catalog.replace_file(db, b"new")
    # First the content, while the old file is in its place; then the place.
    assert synced == [(False, before), (True, b"new")]


def test_a_lock_that_somebody_keeps_is_waited_for_but_not_for_ever(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    application = catalog.create_application(str(db), str(SEED))
    monkeypatch.setattr(catalog, "LOCK_SECONDS", 0.05)
    with catalog.FileLock(Path(f"{db}.lock")):
        status, headers, body = post(application, json.dumps(MOMO).encode())
        assert (status, headers["Retry-After"]) == ("503 Service Unavailable", "0.05")
        assert json.loads(body)["error"]
        if sys.platform != "win32":
            assert ask(application, "/books/1")[0] == "200 OK"
    assert post(application, json.dumps(MOMO).encode())[0] == "201 Created"


@pytest.mark.skipif(sys.platform == "win32", reason="readers take the lock there")
def test_where_nothing_may_be_written_the_books_can_be_read(db: Path) -> None:
    lock = Path(f"{db}.lock")
    lock.unlink()
    lock.mkdir()  # also who may write everywhere cannot write to a folder
    application = catalog.create_application(str(db), str(SEED))
    for path in ("/books", "/books/1", "/books/search?year=1605"):
        assert ask(application, path)[0] == "200 OK"
    assert post(application, json.dumps(MOMO).encode())[0] == catalog.ERROR_STATUS


def test_a_change_within_one_tick_of_the_clock_is_seen(db: Path) -> None:
    for count in range(30):
        number = catalog.add_book(db, {**MOMO, "title": f"{count:03}"})["id"]
        assert catalog.load_books(db)[number]["title"] == f"{count:03}"
        catalog.remove_book(db, number)
        assert number not in catalog.load_books(db)


# --- the application --------------------------------------------------------------------------


def test_every_page_passes_the_referee(db: Path) -> None:
    application = catalog.create_application(str(db), str(SEED))
    form = {"CONTENT_TYPE": "application/x-www-form-urlencoded", "method": "POST"}
    for path in ("/", "", "/books", "/books/1", "/books/new", "/books/search?year=1605", "/nothing", "/books?page=99"):
        for method in ("GET", "HEAD", "PATCH"):
            for accept in ("", "application/json"):
                ask(application, path, method=method, HTTP_ACCEPT=accept)
    assert ask(application, "/books", body=b"title=a&author=b&year=1", **form)[0] == "303 See Other"
    assert ask(application, "/books", body=b"title=a", **form)[0].startswith("422 ")
    assert ask(application, "/books/1", method="DELETE")[0] == "204 No Content"


def test_a_broken_file_is_an_error_page_until_it_is_mended(db: Path) -> None:
    application = catalog.create_application(str(db), str(SEED))
    whole = db.read_bytes()
    db.write_bytes(whole[:100])
    errors = io.StringIO()
    log: dict[str, Any] = {"wsgi.errors": errors}
    status, _, page = ask(application, "/books", **log)
    assert status == catalog.ERROR_STATUS
    assert b"Traceback" not in page
    assert b'<html lang="en">' in page
    assert b'<meta name="viewport" ' in page
    assert "JSONDecodeError" in errors.getvalue()
    status, headers, nothing = ask(application, "/books", method="HEAD")
    assert (status, headers["Content-Length"], nothing) == (catalog.ERROR_STATUS, str(len(page)), b"")
    db.write_bytes(whole)
    assert ask(application, "/books")[0] == "200 OK"


def test_an_emptied_file_is_broken_and_not_new(db: Path) -> None:
    db.write_bytes(b"")
    application = catalog.create_application(str(db), str(SEED))
    assert ask(application, "/books")[0] == catalog.ERROR_STATUS
    assert post(application, json.dumps(MOMO).encode())[0] == catalog.ERROR_STATUS
    assert db.read_bytes() == b""


@pytest.mark.parametrize(
    ("page", "status"),
    [
        ("9" * 9, 404),
        ("9" * 10, 404),
        ("9" * 5000, 404),
        ("0" * 5000 + "1", 200),
        ("0" * 5000 + "6", 404),
        ("0" * 5000, 400),
        ("9" * 5000 + "x", 400),
    ],
)
def test_a_page_number_may_be_as_long_as_it_likes(db: Path, page: str, status: int) -> None:
    application = catalog.create_application(str(db), str(SEED))
    assert ask(application, f"/books?page={page}")[0].startswith(f"{status} ")


def refusal(function: str, *arguments: Any) -> int:
    """The status of the HttpError that a function of the catalog raises."""
    with pytest.raises(catalog.HttpError) as raised:
        getattr(catalog, function)(*arguments)
    return int(raised.value.status)


def test_a_length_counts_as_a_number() -> None:
    for zeros in (9, 5000):
        environ = {"CONTENT_LENGTH": "0" * zeros + "23", "wsgi.input": io.BytesIO(b"x" * 30)}
        assert catalog.read_body(environ) == b"x" * 23
    assert catalog.read_body({"CONTENT_LENGTH": "000"}) == b""
    assert refusal("read_body", {"CONTENT_LENGTH": "9" * 5000}) == 413
    assert refusal("read_body", {"CONTENT_LENGTH": str(catalog.MAX_BODY + 1)}) == 413


def test_a_client_that_falls_silent_in_its_body_has_sent_a_bad_request() -> None:
    class Silent(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if piece := super().read(size):
                return piece
            raise TimeoutError("timed out")

    assert refusal("read_body", {"CONTENT_LENGTH": "23", "wsgi.input": Silent(b"title=")}) == 400


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_only_python_takes_for_json_is_refused(value: str) -> None:
    body = b'{"title": "a", "author": "b", "year": 1, "price": %s}'
    assert refusal("read_fields", "application/json", body % value.encode()) == 400
    assert catalog.read_fields("application/json", body % b"1.5")["price"] == 1.5


@pytest.mark.parametrize("character", "\x00\x08\x0b\x1f\x7f\x85\x9f\ufdd0\ufdef\ufffe\uffff\U0010ffff")
def test_what_html_must_not_hold_is_replaced(db: Path, character: str) -> None:
    assert catalog.escape(f"<{character}>") == "&lt;\ufffd&gt;"
    assert 'value="a\ufffdb"' in catalog.field_html("title", "Title", f"a{character}b")
    assert "a\ufffdb" in catalog.book_html({**MOMO, "id": 1, "title": f"a{character}b"}, "")


def test_what_html_may_hold_stays() -> None:
    text = "\t\n\f\r ~\xa0\u200b\u202e\ud7ff\ue000\ufdcf\ufdf0\ufffd\U0001f600\U0010fffd"
    assert catalog.escape(text) == text


def test_bytes_that_are_not_utf_8_survive_in_links() -> None:
    assert catalog.wsgi_text("/\xff") == "/\ufffd"
    assert catalog.link("/\xff", "/books") == "/%FF/books"


def test_whatever_a_student_may_call_says_what_it_does() -> None:
    tree = ast.parse(MAIN.read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    public: list[ast.FunctionDef | ast.ClassDef] = [*classes]
    public += [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    for name in ("Request", "Site", "AtomicStorage", "FileLock"):
        methods = next(node for node in classes if node.name == name).body
        public += [node for node in methods if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    assert [node.name for node in public if not ast.get_docstring(node)] == []
