"""The catalog's model code: its shelf under threads, processes and kill -9, its speed, its manners as a process."""

from __future__ import annotations

import importlib.util
import io
import json
import os
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
import requests

from grader.tests.clients.wsgi_servers import running

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
    assert ask(application, "/books", body=b"title=a", **form)[0] == "422 Unprocessable Entity"
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
    assert "JSONDecodeError" in errors.getvalue()
    db.write_bytes(whole)
    assert ask(application, "/books")[0] == "200 OK"


def test_importing_it_makes_no_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import main", str(MAIN.parent)]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=30, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert list(tmp_path.iterdir()) == []


def test_the_kit_s_seed_is_found_and_a_wrong_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CATALOG_SEED", raising=False)
    assert Path(catalog.default_seed()) == SEED
    monkeypatch.setenv("CATALOG_SEED", "elsewhere.json")
    assert catalog.default_seed() == "elsewhere.json"
    done = subprocess.run(
        [sys.executable, str(MAIN), "--seed", "no.json"], cwd=tmp_path, capture_output=True, timeout=30
    )
    assert done.returncode == 2
    assert b"no.json" in done.stderr


def test_a_restarted_server_serves_what_the_killed_one_promised(tmp_path: Path) -> None:
    db = tmp_path / "catalog.json"
    command = [sys.executable, str(MAIN), "--port", "0", "--db", str(db)]
    with running(command, tmp_path, db, SEED) as (url, process):
        added = requests.post(f"{url}/books", json=MOMO, timeout=10).json()
        process.kill()
        process.wait(10)
    with running(command, tmp_path, db, SEED) as (url, _):
        assert requests.get(
            f"{url}/books/{added['id']}", headers={"Accept": "application/json"}, timeout=10
        ).json() == {
            **MOMO,
            "id": SEEDED + 1,
        }
