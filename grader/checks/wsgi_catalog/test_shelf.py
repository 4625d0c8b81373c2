"""The file: replaced in one step, read and written under a lock, seeded once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from grader.checks.wsgi_catalog.shelves import BOOKS, book, file_made, new_db, read_made, write_seed
from grader.engine import check, expect
from grader.sandbox.policy import CHILD_CODE
from grader.target.function import Module

PROBE = str(CHILD_CODE / "wsgi_probe.py")


def seeded(module: Module, folder: Path) -> Path:
    """A database that the submission has seeded with BOOKS."""
    db = new_db(folder)
    expect(module.call("seed_catalog", db, write_seed(folder, BOOKS))).returns(None)
    return db


def numbered(books: Any) -> dict[int, dict[str, Any]]:
    return {number: {"id": number, **item} for number, item in enumerate(books, 1)}


@check("shelf/replace", points=1, source="kit rule")
def test_a_file_gets_its_new_content(module: Module, folder: Path) -> None:
    """replace_file() gives a file its new content, longer or shorter, or makes it; nothing else is left beside it."""
    path = folder / "whole.json"
    for data in (b"first", b"a second, longer content" * 500, b"3", b""):
        expect(module.call("replace_file", path, data)).returns(None)
        got = read_made(path)
        expect.that(got == data, expected=f"a file with the {len(data)} bytes {data[:30]!r}", got=f"{got[:30]!r}")
    left = sorted(item.name for item in folder.iterdir() if "whole" in item.name)
    expect.that(left == [path.name], expected=f"{path.name} and nothing else", got=", ".join(left))


@check("shelf/replace-old", points=1, source="kit rule", needs=("shelf/replace",))
def test_the_old_file_stays_as_it_was(module: Module, folder: Path) -> None:
    """replace_file() writes a second file and puts it in the place of the first, which is never written to.

    Whoever has the old file open, or looks at any moment in between, sees all of the old or all of the new.
    """
    path, old = folder / "replaced.json", folder / "replaced-old.json"
    expect(module.call("replace_file", path, b"the old content")).returns(None)
    read_made(path)
    with file_made(path):
        os.link(path, old)
    expect(module.call("replace_file", path, b"new")).returns(None)
    got = read_made(old)
    expect.that(got == b"the old content", expected="the old file holds b'the old content'", got=f"it holds {got!r}")


@check("shelf/seed", points=1, source="kit rule", needs=("shelf/replace",))
def test_a_new_shelf_has_the_books_of_the_seed(module: Module, folder: Path) -> None:
    """After seed_catalog(), load_books() gives the books of the seed, numbered from 1 in their order."""
    expect(module.call("load_books", seeded(module, folder))).returns(numbered(BOOKS))
    empty = new_db(folder)
    expect(module.call("seed_catalog", empty, None)).returns(None)
    expect(module.call("load_books", empty)).returns({})


@check("shelf/seed-once", points=1, source="kit rule", needs=("shelf/seed",))
def test_a_shelf_is_seeded_once(module: Module, folder: Path) -> None:
    """A second seed_catalog() changes nothing."""
    db = seeded(module, folder)
    expect(module.call("seed_catalog", db, write_seed(folder, [book("Another", "One", 1)]))).returns(None)
    expect(module.call("load_books", db)).returns(numbered(BOOKS))


@check("shelf/changes", points=1, source="kit rule", needs=("shelf/seed",))
def test_what_others_have_written_is_seen(module: Module, folder: Path) -> None:
    """load_books() sees a shelf that another process has put in the place of the first, also one of the same size."""
    db, other = seeded(module, folder), new_db(folder)
    expect(module.call("load_books", db)).returns(numbered(BOOKS))
    swapped = (*BOOKS[:-1], {**BOOKS[-1], "title": BOOKS[-1]["title"].upper()})
    expect(module.call("seed_catalog", other, write_seed(folder, swapped))).returns(None)
    with file_made(other):
        other.replace(db)
    expect(module.call("load_books", db)).returns(numbered(swapped))


@check("shelf/transaction", points=1, source="kit rule", needs=("shelf/seed",))
def test_one_transaction_at_a_time(module: Module, folder: Path) -> None:
    """While one thread is inside transaction(), a second one waits; then it sees what the first has written."""
    db = seeded(module, folder)
    arguments = ("transaction", db, len(BOOKS) + 1, book("Between", "Two", 2))
    called = module.run_extension(PROBE, "two_transactions", *arguments, shown="two threads: with transaction(db) ...", on="transaction")
    expect(called).returns_that(lambda got: isinstance(got, dict), "two transactions, one after the other")
    early, seen = (getattr(called, "value", {}).get(name) for name in ("entered", "seen"))
    expect.that(
        early is False and seen == len(BOOKS) + 1,
        expected=f"the second thread gets in when the first has left, and sees its book: {len(BOOKS) + 1} in all",
        got=f"it gets in {'while the first is still inside' if early else 'afterwards'}, and sees {seen} books",
    )
