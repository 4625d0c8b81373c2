"""The file: replaced in one step, read and written under a lock, seeded once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from grader.checks.wsgi_catalog.shelves import BOOKS, book, file_made, new_db, read_made, write_seed
from grader.engine import because, check, expect
from grader.engine.expect import same
from grader.sandbox.policy import CHILD_CODE
from grader.target.function import Module

PROBE = str(CHILD_CODE / "shelf_probe.py")


def seeded(module: Module, folder: Path) -> Path:
    """A database that the submission has seeded with BOOKS."""
    db = new_db(folder)
    expect(module.call("seed_catalog", db, write_seed(folder, BOOKS))).returns(None)
    return db


def numbered(books: Any) -> dict[int, dict[str, Any]]:
    """{1: {"id": 1, "title": ...}, ...}, as load_books() gives them."""
    return {number: {"id": number, **item} for number, item in enumerate(books, 1)}


@check("shelf/replace", points=1, source="kit rule")
def test_a_file_gets_its_new_content(module: Module, folder: Path) -> None:
    """replace_file() gives a file its new content, longer or shorter, or makes it; nothing else is left beside it.

    The new content is complete before it takes the place of the old one, and no file is left over.
    """
    path = folder / "whole.json"
    for data in (b"first", b"a second, longer content" * 500, b"3", b""):
        expect(module.call("replace_file", path, data)).returns(None)
        got = read_made(path)
        expect.that(got == data, expected=f"a file with the {len(data)} bytes {data[:30]!r}", got=f"{got[:30]!r}")
    left = sorted(item.name for item in folder.iterdir() if "whole" in item.name)
    expect.that(left == [path.name], expected=f"{path.name} and nothing else", got=", ".join(left))


@check("shelf/replace-old", points=1, source="kit rule", needs=("shelf/replace",))
def test_the_old_file_stays_as_it_was(module: Module, folder: Path) -> None:
    """replace_file() writes a second file beside the first, pushes it to the disk, and puts it in its place.

    Somebody who had opened the file before still reads all of the old content; and after a crash no half file is left.
    """
    path, old = folder / "replaced.json", folder / "replaced-old.json"
    expect(module.call("replace_file", path, b"the old content")).returns(None)
    read_made(path)
    with file_made(path):
        os.link(path, old)
    call = f"replace_file({str(path)!r}, b'new')"
    called = module.run_extension(PROBE, "replaced", "replace_file", path, b"new", shown=call, on="replace_file")
    expect(called).returns_that(lambda got: isinstance(got, dict), "a file that is replaced")
    got = read_made(old)
    expect.that(
        got == b"the old content",
        sent=call,
        expected="somebody who had opened the file before still reads b'the old content'",
        got=f"they read {got!r}",
    )
    seen = getattr(called, "value", {})
    size = seen.get("synced")
    with because("What is written waits in Python's buffer until flush(), then in the system's until os.fsync()"):
        told = f"os.fsync() when {size} bytes were in the file" if size != -1 else "no os.fsync() before that"
        expected = "flush(), then os.fsync() of the second file with its 3 bytes, before os.replace()"
        expect.that(size == 3, sent=call, expected=expected, got=told)
    if source := str(seen.get("source") or ""):
        where, name = os.path.split(source)
        beside = os.path.realpath(where) == os.path.realpath(folder)
        expect.that(
            beside, sent=call, expected=f"the second file in the same folder, {folder}", got=f"it lay in {where}"
        )
        with because('README, "The shelf": the names of other files begin with that of the database file'):
            expected = f"a second file whose name begins with {path.name}"
            expect.that(name.startswith(path.name), sent=call, expected=expected, got=f"its name is {name}")


@check("shelf/seed", points=1, source="kit rule", needs=("shelf/replace",))
def test_a_new_shelf_has_the_books_of_the_seed(module: Module, folder: Path) -> None:
    """After seed_catalog(), load_books() gives the books of the seed, numbered from 1 in their order.

    README, "How it is started": the first book of the seed gets the number 1, the next 2, and so on.
    """
    expect(module.call("load_books", seeded(module, folder))).returns(numbered(BOOKS))
    empty = new_db(folder)
    expect(module.call("seed_catalog", empty, None)).returns(None)
    expect(module.call("load_books", empty)).returns({})


@check("shelf/seed-once", points=1, source="kit rule", needs=("shelf/seed",))
def test_a_shelf_is_seeded_once(module: Module, folder: Path) -> None:
    """A second seed_catalog() changes nothing, also where all books have been taken away since the first.

    README, "The shelf": the seed comes once in the life of a shelf, not again when it is empty.
    """
    db, another = seeded(module, folder), write_seed(folder, [book("Another", "One", 1)])
    call = f"seed_catalog({db.name!r}, a seed of one book)"
    expect(module.call("seed_catalog", db, another)).returns(None)
    as_before(module, db, call, numbered(BOOKS), f"{len(BOOKS)} books, as before")
    shown = "with transaction(db) as tables: (all books taken away)"
    taken = module.run_extension(PROBE, "empty_shelf", "transaction", db, shown=shown, on="transaction")
    expect(taken).returns(None)
    expect(module.call("seed_catalog", db, another)).returns(None)
    as_before(module, db, call, {}, "no book: all had been taken away")


def as_before(module: Module, db: Path, call: str, wanted: dict[int, Any], expected: str) -> None:
    """What load_books() gives after a call that should have changed nothing."""
    called = module.call("load_books", db)
    expect(called).returns_that(lambda got: isinstance(got, dict), "a dict of books")
    got = getattr(called, "value", {})
    shown = f"{len(got)} books" if len(got) != len(wanted) else "other books"
    expect.that(same(got, wanted), sent=call, expected=expected, got=shown)


@check("shelf/changes", points=1, source="kit rule", needs=("shelf/seed",))
def test_what_others_have_written_is_seen(module: Module, folder: Path) -> None:
    """load_books() sees a shelf that another process has put in the place of the first, also one of the same size.

    README, "The shelf": what one process has written every other sees from its next request on.
    """
    db, other = seeded(module, folder), new_db(folder)
    expect(module.call("load_books", db)).returns(numbered(BOOKS))
    swapped = (*BOOKS[:-1], {**BOOKS[-1], "title": BOOKS[-1]["title"].upper()})
    expect(module.call("seed_catalog", other, write_seed(folder, swapped))).returns(None)
    with file_made(other):
        other.replace(db)
    expect(module.call("load_books", db)).returns(numbered(swapped))


@check("shelf/transaction", points=1, source="kit rule", needs=("shelf/seed",))
def test_one_transaction_at_a_time(module: Module, folder: Path) -> None:
    """While one thread is inside transaction(), all others wait; then they see what the first has written.

    README, "The shelf": many may write at once. Who reads before another has written takes the same number again.
    """
    db = seeded(module, folder)
    arguments = ("transaction", db, len(BOOKS) + 1, book("Between", "Two", 2))
    shown = "transaction(db), entered by three threads, one after the other"
    called = module.run_extension(PROBE, "three_transactions", *arguments, shown=shown, on="transaction")
    expect(called).returns_that(lambda got: isinstance(got, dict), "three transactions, one after the other")
    early, seen = (getattr(called, "value", {}).get(name) for name in ("early", "seen"))
    names = {2: "the second gets in while the first is inside", 3: "the third gets in while the second is inside"}
    expect.that(
        not early, expected="one thread inside at a time", got=names.get(int(early or 0), "two are inside at once")
    )
    expect.that(
        seen == len(BOOKS) + 1,
        expected=f"the second thread sees the book of the first: {len(BOOKS) + 1} in all",
        got=f"it sees {seen} books",
    )
