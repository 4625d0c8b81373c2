"""The shelf over time: deletions, restarts, many writers, a full disk, kill -9."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from grader.checks.wsgi_catalog.shelves import (
    BOOKS,
    Book,
    Shelf,
    bare,
    book,
    error_of,
    file_made,
    listing,
    matches,
    new_db,
    number_somehow,
    open_shelf,
    post_form,
    post_json,
    read_book,
    write_seed,
)
from grader.engine import because, check, expect, fuzz
from grader.model import Complaint, Verdict
from grader.target.site import RunningSite, SiteTarget
from grader.target.transcript import TRANSCRIPT
from grader.target.wsgi import JSON_TYPE, WsgiRequest, WsgiTarget

GONE = (204, 200, 202)
AS_JSON = {"Accept": JSON_TYPE}
SMALL = BOOKS[:3]


def expect_shelf(shelf: Shelf) -> None:
    """Exactly the books that should be there are there."""
    got = shelf.all_books()
    missing, strange = shelf.books.keys() - got.keys(), got.keys() - shelf.books.keys()
    wrong = [number for number in shelf.books if number in got and got[number] != shelf.books[number]]
    shown = "; ".join(
        f"{what}: {sorted(numbers)[:8]}"
        for what, numbers in (("not there", missing), ("there, but should not be", strange), ("changed", wrong))
        if numbers
    )
    last = ", ".join(map(str, sorted(shelf.books)[-8:])) or "none at all"
    more = "..., " if len(shelf.books) > 8 else ""
    expect.that(not shown, expected=f"in /books exactly the books {more}{last}", got=shown)


@check("store/delete", points=1, source="kit rule")
def test_a_book_can_be_taken_away(wsgi: WsgiTarget, folder: Path) -> None:
    """DELETE answers 204 and nothing else; the book is then a 404 everywhere, and a second DELETE too.

    README, "One book": DELETE answers 204 and nothing else; afterwards the number is a 404.
    """
    shelf = open_shelf(wsgi, folder, SMALL)
    reply = shelf.app.delete("/books/2")
    expect(reply).status(204).body(b"")
    del shelf.books[2]
    expect(shelf.app.get("/books/2")).status(404)
    again = shelf.app.request(WsgiRequest("DELETE", "/books/2", meta=(("HTTP_ACCEPT", JSON_TYPE),)))
    expect(again).that(again.status == 404, expected="status 404 for the same DELETE again")
    error_of(again)
    expect_shelf(shelf)


def deleted(shelf: Shelf, number: int) -> None:
    """DELETE a book; which of the good statuses comes is asked elsewhere."""
    reply = shelf.app.delete(f"/books/{number}")
    expect(reply).that(reply.status in GONE, expected=f"status 204: book {number} is taken away")


def expect_new(number: int, given: set[int], sent: str = "") -> None:
    """A number that no book has had before; from now on it has been given."""
    expected = f"a number other than {sorted(given)}, all given before"
    expect.that(number not in given, expected=expected, got=f"the number {number}", sent=sent)
    given.add(number)


@check("store/number", points=1, source="kit rule")
def test_a_number_is_never_given_again(wsgi: WsgiTarget, folder: Path) -> None:
    """The number of a deleted book is never given to another one, also not after a restart.

    README, "The shelf": a link to book 7 never leads to another book, so a number is given once and never again.
    """
    shelf = open_shelf(wsgi, folder, SMALL)
    given = {1, 2, 3}
    for _ in range(3):
        number = shelf.add(BOOKS[5])
        expect_new(number, given)
        deleted(shelf, number)
        shelf.app = shelf.app.reopen()
    for number in (1, 2, 3):
        deleted(shelf, number)
    shelf.app = shelf.app.reopen()
    total = shelf.total()
    expect.that(total == 0, expected="an empty catalog: it is not seeded again", got=f"{total} books")
    expect_new(shelf.add(BOOKS[5]), given)


LAST = "the last"
COME_AND_GO = "come and go"
STEP = st.one_of(
    st.tuples(st.just("add by form"), st.sampled_from(BOOKS[:12])),
    st.tuples(st.just("add as JSON"), st.sampled_from(BOOKS[:12])),
    st.tuples(st.sampled_from(("look at", "delete")), st.integers(1, 7)),
    st.tuples(st.just(COME_AND_GO), st.sampled_from(BOOKS[:12])),
    st.tuples(st.just("add wrongly"), st.sampled_from(({"title": "", "author": "b", "year": 1}, {"year": "x"}, {}))),
    st.tuples(st.just("search for"), st.sampled_from(("o", "ss", "2666", "zz"))),
    st.tuples(st.sampled_from(("list", "restart")), st.none()),
)


@check("store/story", points=2, source="kit rule")
@fuzz(share=0.3, story=st.lists(STEP, min_size=1, max_size=9))
def test_any_story_ends_well(wsgi: WsgiTarget, folder: Path, story: list[tuple[str, Any]]) -> None:
    """Whatever is added, deleted, asked for, refused and restarted, in any order: the catalog is what it should be.

    README, "The shelf": whatever happens in between, every book is there once, under the number that it was given.
    """
    shelf = open_shelf(wsgi, folder, SMALL)
    given = set(shelf.books)
    before: list[str] = []
    for action, what in steps_of(story):
        try:
            STEPS[action](shelf, given, what)
        except Complaint as complaint:
            finding = complaint.finding
            sent = "; ".join([*before, finding.sent or TRANSCRIPT.last("sent")])
            raise Complaint(replace(finding, sent=sent), complaint.verdict) from None
        subject = what["title"] if isinstance(what, dict) and "title" in what else what
        before.append(action if what is None else f"{action} {subject!r}")


def steps_of(story: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """A story step by step; at its end comes a look at everything."""
    for action, what in story:
        if action == COME_AND_GO:
            yield from (("add as JSON", what), ("delete", LAST), ("add as JSON", what))
        else:
            yield action, what
    yield "list", None


def _add(shelf: Shelf, given: set[int], new: Book, *, form: bool) -> None:
    reply = post_form(shelf.app, new) if form else post_json(shelf.app, new)
    number = number_somehow(reply)
    expect_new(number, given)
    shelf.books[number] = new


def _get(shelf: Shelf, given: set[int], number: int) -> None:
    reply = shelf.app.get_json(f"/books/{number}")
    expect(reply).status(200 if number in shelf.books else 404)
    if number in shelf.books:
        got = bare(read_book(reply))
        expect(reply).that(got == shelf.books[number], expected=repr(shelf.books[number]))


def _delete(shelf: Shelf, given: set[int], which: int | str) -> None:
    number = max(shelf.books) if isinstance(which, str) else which
    if shelf.books.pop(number, None):
        deleted(shelf, number)
    else:
        expect(shelf.app.delete(f"/books/{number}")).status(404)


def _wrong(shelf: Shelf, given: set[int], fields: Book) -> None:
    expect(post_json(shelf.app, fields)).status(422, 400)


def _search(shelf: Shelf, given: set[int], title: str) -> None:
    got = [item["id"] for item in listing(shelf.app.get_json("/books/search", f"title={title}"))["books"]]
    wanted = [number for number, item in sorted(shelf.books.items()) if matches(item, title)]
    expect.that(got == wanted, expected=f"the books {wanted}", got=f"the books {got}")


def _restart(shelf: Shelf, given: set[int], nothing: None) -> None:
    shelf.app = shelf.app.reopen()


STEPS: dict[str, Callable[[Shelf, set[int], Any], None]] = {
    "add by form": lambda shelf, given, new: _add(shelf, given, new, form=True),
    "add as JSON": lambda shelf, given, new: _add(shelf, given, new, form=False),
    "look at": _get,
    "delete": _delete,
    "add wrongly": _wrong,
    "search for": _search,
    "list": lambda shelf, given, nothing: expect_shelf(shelf),
    "restart": _restart,
}


@check("store/full-disk", points=1, source="kit rule")
def test_a_write_that_fails_loses_nothing(wsgi: WsgiTarget, folder: Path) -> None:
    """When the disk is full in the middle of a write, everything that was there before still is.

    A write that fails half-way and a kill in the middle of it leave the same file behind.
    """
    shelf = open_shelf(wsgi, folder)
    before = set(names_in(folder))
    number = shelf.add(book("The last one that fits", "Somebody", 2000))
    shelf.books[number] = book("The last one that fits", "Somebody", 2000)
    with file_made(shelf.db):
        size = shelf.db.stat().st_size
    fields = b'{"title": "One too many", "author": "Somebody", "year": 2001}'
    meta = (("CONTENT_TYPE", JSON_TYPE),)
    request = WsgiRequest("POST", "/books", body=fields, meta=meta, file_limit=size)
    try:
        reply = shelf.app.request(request)
    except Complaint as complaint:
        # Without catch_errors() it is the server that makes a 500 of the exception. A stub, a hang or a crash is none.
        if complaint.verdict is not Verdict.FAILED:
            raise
        reply = None
    if reply is not None:
        expect(reply).status(201, 500, 503, 507)
    if reply is not None and reply.status == 201:
        shelf.books[number_somehow(reply)] = book("One too many", "Somebody", 2001)
    with because('README, "The shelf": the names of other files begin with that of the database file'):
        strange = [name for name in names_in(folder) if name not in before and not name.startswith(shelf.db.name)]
        expected = f"no file but {shelf.db.name} and such as {shelf.db.name}.lock"
        expect.that(not strange, expected=expected, got=", ".join(strange), sent=request.show())
    shelf.app = shelf.app.reopen()
    expect_shelf(shelf)


def names_in(folder: Path) -> list[str]:
    """The names of the files beside the databases, whatever becomes of them meanwhile."""
    return sorted(path.name for path in folder.iterdir())


def post_many(running: RunningSite, name: str, count: int) -> list[tuple[int, Book]]:
    """Books added one after the other: their numbers, as they were promised."""
    added = []
    for index in range(count):
        new = book(f"{name} {index}", "Many Hands", index)
        added.append((number_somehow(running.post("/books", json=new)), new))
    return added


def everything(running: RunningSite) -> dict[str, Any]:
    """The first page of all books."""
    return listing(running.get("/books", headers=AS_JSON))


def over_http(running: RunningSite, query: str) -> dict[str, Any]:
    """The page that a search by "many hands" and `query` ("title=a") gives, from a running server."""
    reply = running.get(f"/books/search?{query}&author=many+hands", headers=AS_JSON)
    expect(reply).status(200)
    return listing(reply)


@check("store/restart", points=2, source="kit rule")
def test_a_restart_changes_nothing(site: SiteTarget, wsgi: WsgiTarget, folder: Path) -> None:
    """After kill -9 and a new start the catalog is what it was: nothing lost, nothing seeded again.

    README, "The shelf": what was answered with 303 or 201 is on the disk, and kill -9 leaves no time to save.
    """
    seed, db = write_seed(folder, SMALL), new_db(folder)
    shelf = Shelf(wsgi.open("create_application", str(db), str(seed)), db, seed, dict(enumerate(SMALL, 1)))
    given = set(shelf.books)
    for name in ("first", "second"):
        running = site.start("--db", str(db), "--seed", str(seed))
        try:
            if name == "first":
                total = everything(running)["total"]
                with because(
                    'README, "How it is started": a new database gets the books of the file that --seed names'
                ):
                    expect.that(total == len(SMALL), expected=f"the {len(SMALL)} books of --seed", got=f"{total} books")
            for number, new in post_many(running, name, 2):
                with because('README, "The shelf": a number is never given to another book, not even after a restart'):
                    expect_new(number, given, f"POST {running.url}/books  json={new!r}")
                shelf.books[number] = new
            number = max(shelf.books) if name == "first" else 1
            gone = running.request("DELETE", f"/books/{number}")
            expect(gone).that(gone.status in GONE, expected=f"status 204: book {number} is taken away")
            del shelf.books[number]
        finally:
            running.kill()
    expect_shelf(shelf)


@check("store/together", points=2, source="kit rule")
def test_many_writers_lose_nothing(site: SiteTarget, wsgi: WsgiTarget, folder: Path) -> None:
    """Two processes started at once on a new file seed it once; all that threads and processes add at once is there.

    No book is lost, none comes twice, no number is given twice, and each process sees the other's books.
    """
    seed, db = write_seed(folder, SMALL), new_db(folder)
    started: list[RunningSite] = []
    try:
        with ThreadPoolExecutor(4) as pool:
            starts = [pool.submit(site.start, "--db", str(db), "--seed", str(seed)) for _ in range(2)]
            for start in starts:
                started.append(start.result())
            seen = [everything(running)["total"] for running in started]
            jobs = [pool.submit(post_many, started[index % 2], f"writer {index}", 6) for index in range(4)]
            added = [pair for job in jobs for pair in job.result()]
        totals = [over_http(running, "title=writer")["total"] for running in started]
        whole = [everything(running)["total"] for running in started]
        # What one process remembers of the list must not outlive a change by the other.
        added += post_many(started[1], "one more", 1)
        after = [everything(running)["total"] for running in started]
    finally:
        for running in started:
            running.kill()
    numbers = [number for number, _ in added]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    expect.that(not twice, expected="a number of its own for each new book", got=f"twice: {twice[:5]}")
    expect.that(totals == [24, 24], expected="24 new books, seen by both processes", got=f"{totals[0]} and {totals[1]}")
    app = wsgi.open("create_application", str(db), str(seed))
    expect_shelf(Shelf(app, db, seed, {**dict(enumerate(SMALL, 1)), **dict(added)}))
    for got, wanted, when in ((seen, 3, "at the start"), (whole, 27, "after 24 more"), (after, 28, "after one more")):
        expected = f'"total": {wanted} in /books of both processes, {when}'
        expect.that(got == [wanted] * 2, expected=expected, got=f"{got[0]} and {got[1]}", sent="GET /books")


@check("store/kill", points=2, source="kit rule")
def test_kill_9_loses_nothing_that_was_promised(site: SiteTarget, wsgi: WsgiTarget, folder: Path) -> None:
    """kill -9 in the middle of many writes loses no book that was answered with 201.

    README, "The shelf": 201 is a promise that the book is on the disk, and kill -9 leaves no time to keep it later.
    """
    seed, db = write_seed(folder, BOOKS * 10), new_db(folder)
    running = site.start("--db", str(db), "--seed", str(seed))
    promised: list[tuple[int, Book]] = []
    enough = threading.Event()

    def write(name: str) -> None:
        for index in range(1000):
            new = book(f"{name} {index}", "Many Hands", index)
            reply = running.try_request("POST", "/books", json=new)
            try:
                if isinstance(reply, Complaint):
                    raise reply
                promised.append((number_somehow(reply), new))
            except Complaint as complaint:
                complaints.append(complaint)
                break
            if len(promised) >= 12:
                enough.set()
        enough.set()

    complaints: list[Complaint] = []
    writers = [threading.Thread(target=write, args=(f"writer {index}",), daemon=True) for index in range(3)]
    try:
        for writer in writers:
            writer.start()
        enough.wait(10)
    finally:
        running.kill()
    for writer in writers:
        writer.join(10)
    if len(promised) < 12 and complaints:  # later ones only say that we killed it
        raise complaints[0]
    expect.that(len(promised) >= 12, expected="12 books added within 10 s", got=f"{len(promised)}")
    shelf = Shelf(wsgi.open("create_application", str(db), str(seed)), db, seed, {})
    for number, new in promised:
        got = bare(read_book(shelf.app.get_json(f"/books/{number}")))
        expect.that(got == new, expected=f"/books/{number} is {new!r}", got=repr(got))
    total = shelf.total()
    least = 10 * len(BOOKS) + len(promised)
    expect.that(total >= least, expected=f"at least {least} books", got=f"{total} books")
