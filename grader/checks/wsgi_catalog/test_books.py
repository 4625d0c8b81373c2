"""Lists, their pages, and one book."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from hypothesis import strategies as st

from grader.checks.wsgi_catalog.pages import HOSTILE, Page, collapse, parse, read_page, read_whole_page
from grader.checks.wsgi_catalog.shelves import (
    BOOKS,
    MARKED,
    PER_PAGE,
    Book,
    bare,
    book,
    error_of,
    follow,
    listing,
    open_shelf,
    read_book,
    reading,
    write_seed,
)
from grader.engine import because, check, expect, fuzz
from grader.engine.alphabets import MARKUP, any_text, words
from grader.engine.expect import same
from grader.sandbox.child.plain import Record
from grader.sandbox.worker import Returned
from grader.target.function import Module
from grader.target.transcript import show_value
from grader.target.wsgi import WsgiRequest, WsgiTarget

EVIL = words(MARKUP + "abi;#x3 \u00e9", max_size=9).map(str.strip).filter(bool)


def shown(item: Book) -> tuple[str, str, str]:
    """How a browser shows a book."""
    return collapse(item["title"]), collapse(item["author"]), str(item["year"])


@check("books/take-page", points=1, source="kit rule")
@fuzz(share=0.4, count=st.sampled_from((0, 1, 19, 20, 21, 40, 41, 60)) | st.integers(0, 65), page=st.integers(1, 5))
def test_a_page_is_cut_out_of_the_list(module: Module, count: int, page: int) -> None:
    """take_page() gives 20 books from the right place, and says which page of how many it is, and the total.

    README, "All books": a page has 20 books, the last one what is left, and there is always a page 1.
    """
    books = [{"id": number, **book("T", "A", number)} for number in range(1, count + 1)]
    pages = max(1, (count + PER_PAGE - 1) // PER_PAGE)
    called = module.call("take_page", books, str(page))
    call = f'take_page({count} books, "{page}")'
    if page > pages:
        if isinstance(called, Returned):
            expect.fail(sent=call, expected="it raises HttpError, status 404", got=figures(called.value))
        expect(called).raises("HttpError", status=404)
        return
    wanted = {"page": page, "pages": pages, "total": count, "books": books[(page - 1) * PER_PAGE : page * PER_PAGE]}
    expect(called).returns_that(lambda got: isinstance(got, Record) and got.type == "Page", "a Page")
    got = dict(getattr(called, "value", Record("Page")).attrs)
    wrong = [name for name in wanted if not same(got.get(name), wanted[name])]
    shown = [", ".join(f"{name}={_brief(side.get(name))}" for name in wrong) for side in (wanted, got)]
    expect.that(not wrong, sent=call, expected=shown[0], got=shown[1])


def _brief(value: object) -> str:
    """A list of books as the numbers of its first and last; anything else as it is."""
    if not isinstance(value, list) or not all(isinstance(item, dict) and "id" in item for item in value):
        return show_value(value, 200)
    if not value:
        return "[no books]"
    return f"[books {value[0]['id']!r} to {value[-1]['id']!r}: {len(value)} of them]"


def figures(value: object) -> str:
    """A Page in few words."""
    if isinstance(value, Record):
        return f"{value.type}({', '.join(f'{name}={_brief(item)}' for name, item in value.attrs.items())})"
    return f"it returned {show_value(value, 300)}"


@check("books/page-number", points=1, source="kit rule")
def test_a_page_must_be_a_number(module: Module) -> None:
    """take_page() takes "" for the first page and raises HttpError 400 for anything but a whole number from 1 on.

    README, "All books": no page means the first; 0, -1, two and 1.5 are a 400.
    """
    called = module.call("take_page", [], "")
    wanted = Record("Page", {"books": [], "page": 1, "pages": 1, "total": 0})
    expect(called).returns_that(lambda got: same(got, wanted), "Page(books=[], page=1, pages=1, total=0)")
    for page in ("0", "-1", "two", "1.5", "1_0", "+1", "\u0661", "1 2", "00", "\uff12"):
        expect(module.call("take_page", [], page)).raises("HttpError", status=400)
    with because('README, "All books": a page beyond the last is a 404, be it of thousands of digits'):
        for page in ("9" * 10, "9" * 5000):
            expect(module.call("take_page", [], page)).raises("HttpError", status=404)


@check("books/item", points=1, source="kit rule")
@fuzz(share=0.4, title=EVIL, author=any_text(1, 8), number=st.integers(1, 9999))
def test_a_book_in_a_list_shows_any_text(module: Module, title: str, author: str, number: int) -> None:
    """book_html() shows title, author and year whatever is in them, and links to the book's page.

    README, "The pages": whatever somebody typed is escaped wherever it is shown.
    """
    item = {"id": number, **book(title, author, 1999)}
    called = module.call("book_html", item, "/caf\u00c3\u00a9")
    expect(called).returns_that(lambda got: isinstance(got, str), "HTML as a str")
    text = str(getattr(called, "value", ""))
    page = Page(parse(text), "http://localhost/caf%C3%A9/books")
    root = page.root
    got = [
        tuple(part.text for name in ("title", "author", "year") for part in element.all(class_=name))
        for element in root.all(class_="book")
    ]
    links = {link for item in page.books() for link in item.links}
    address = f"/caf%C3%A9/books/{number}"
    expect.that(got == [shown(item)], expected=f"one book, {shown(item)!r}", got=f"{got!r} in {text}")
    expect.that(links == {address}, expected=f"a link to {address}", got=f"{', '.join(links) or 'no link'} in {text}")


@check("books/json", points=1, source="kit rule")
def test_the_first_page_as_json(wsgi: WsgiTarget, folder: Path) -> None:
    """GET /books gives programs the first 20 books, lowest number first, and page, pages, per_page and total.

    README, "All books": programs look for these keys, and the numbers in them are numbers.
    """
    part = listing(reading(wsgi, folder).app.get_json("/books"))
    figures = {name: part[name] for name in ("page", "pages", "per_page", "total")}
    wanted = {"page": 1, "pages": 3, "per_page": PER_PAGE, "total": len(BOOKS)}
    expect.that(figures == wanted, expected=str(wanted), got=str(figures))
    got = [(item["id"], bare(item)) for item in part["books"]]
    expect.that(
        got == list(enumerate(BOOKS[:PER_PAGE], 1)), expected="books 1 to 20 of the seed", got=f"{got[:3]!r}..."
    )


@check("books/pages", points=1, source="kit rule")
def test_the_pages_together_are_the_shelf(wsgi: WsgiTarget, folder: Path) -> None:
    """All pages together hold every book once; a blank page is the first, and of two pages the first counts.

    README, "All books": lowest number first; of a name that comes twice the first value counts; unknown names do not.
    """
    shelf = reading(wsgi, folder)
    got = shelf.all_books()
    expect.that(got == shelf.books, expected=f"the {len(BOOKS)} books of the seed", got=f"{len(got)} books, or others")
    for query in ("", "page=", "page=+", "page=1&page=2", "colour=red"):
        part = listing(shelf.app.get_json("/books", query))
        expect.that(part["page"] == 1, expected=f"page 1 for ?{query}", got=f"page {part['page']}", sent=f"?{query}")


@check("books/no-such-page", points=1, source="kit rule")
def test_a_page_that_is_none(wsgi: WsgiTarget, folder: Path) -> None:
    """A page that is no number from 1 on is a 400, one beyond the last a 404, for people and for programs.

    README, "All books": 400 says that the question is wrong, 404 that there is nothing there.
    """
    app = reading(wsgi, folder).app
    queries = [(f"page={page}", 400) for page in ("0", "-1", "two", "1.5", "%D9%A1", "1_0", quote(HOSTILE))]
    beyond = [(f"page={page}", 404) for page in ("4", "99999999", "9" * 10, "9" * 5000)]
    for query, status in (*queries, *beyond):
        people, program = app.get("/books", query), app.get_json("/books", query)
        expect(people).status(status)
        read_whole_page(people)
        expect(program).status(status)
        error_of(program)
    even = open_shelf(wsgi, folder, BOOKS[: 2 * PER_PAGE]).app
    pages = listing(even.get_json("/books", "page=2"))["pages"]
    expect.that(pages == 2, expected=f'"pages": 2 for {2 * PER_PAGE} books', got=f'"pages": {pages}')
    expect(even.get_json("/books", "page=3")).status(404)


@check("books/empty", points=1, source="kit rule")
def test_an_empty_shelf_has_a_page(wsgi: WsgiTarget, folder: Path) -> None:
    """A catalog without a seed has a page 1 without books.

    README, "All books": there is always a page 1, be it without books.
    """
    app = open_shelf(wsgi, folder, None).app
    part = listing(app.get_json("/books"))
    got = {name: part[name] for name in ("books", "page", "pages", "total")}
    wanted = {"books": [], "page": 1, "pages": 1, "total": 0}
    expect.that(got == wanted, expected=str(wanted), got=str(got))
    reply = app.get("/books")
    expect(reply).status(200)
    expect(reply).that(read_page(reply).books() == [], expected="a page without books")


@check("books/html", points=1, source="kit rule")
def test_the_list_for_people(wsgi: WsgiTarget, folder: Path) -> None:
    """The HTML of /books shows the same 20 books, each with a link to its page, and the total.

    README, "All books": each book is an element of class book, with title, author, year and a link to its page.
    """
    reply = reading(wsgi, folder).app.get("/books")
    expect(reply).status(200)
    page = read_page(reply, "http://localhost/books")
    got = [(item.title, item.author, item.year) for item in page.books()]
    wanted = [shown(item) for item in BOOKS[:PER_PAGE]]
    wrong = next((f"{a!r} for {b!r}" for a, b in zip(got, wanted, strict=False) if a != b), f"{len(got)} books")
    expect(reply).that(got == wanted, expected="the first 20 books of the seed in elements of class book", got=wrong)
    for number, item in enumerate(page.books(), 1):
        linked = f"/books/{number}" in item.links
        expect(reply).that(linked, expected=f"a link to /books/{number} in its element", got=f"links {item.links!r}")
    expect(reply).that(page.text("total") == str(len(BOOKS)), expected=f'{len(BOOKS)} in the element with id="total"')


@check("books/turn", points=1, source="kit rule")
def test_pages_lead_to_each_other(wsgi: WsgiTarget, folder: Path) -> None:
    """Links with rel="next" and rel="prev" lead through all pages and back; at the ends there is none.

    README, "All books": rel="next" and rel="prev" lead to the pages beside this one, where there are any.
    """
    app = reading(wsgi, folder).app
    seen: list[str] = []
    address: str | None = "/books"
    for relation in ("next", "prev"):
        for _ in range(2):
            reply = follow(app, address or "")
            expect(reply).status(200)
            page = read_page(reply, f"http://localhost{address}")
            seen += [item.year for item in page.books()]
            address = page.turn(relation)
            expect(reply).that(address is not None, expected=f'a link with rel="{relation}"')
    first = read_page(follow(app, address or ""))
    last = read_page(app.get("/books", "page=3"))
    ends = (first.turn("prev"), last.turn("next"))
    expect.that(ends == (None, None), expected="no link before the first page, none after the last", got=repr(ends))
    wanted = [str(item["year"]) for item in (*BOOKS[:40], *BOOKS[40:], *BOOKS[20:40])]
    expect.that(seen == wanted, expected="pages 1, 2, 3, 2 on the way", got=f"{len(seen)} books in another order")


@check("books/book", points=1, source="kit rule")
def test_one_book(wsgi: WsgiTarget, folder: Path) -> None:
    """/books/N shows that book, to people and to programs.

    README, "One book": the same facts for people and for programs.
    """
    app = reading(wsgi, folder).app
    for number in (1, 6, 7, 44):
        program = app.get_json(f"/books/{number}")
        expect(program).status(200)
        got = read_book(program)
        wanted = {"id": number, **BOOKS[number - 1]}
        expect(program).that({**bare(got), "id": got["id"]} == wanted, expected=f"the book {wanted!r}")
        people = app.get(f"/books/{number}")
        expect(people).status(200)
        books = [(item.title, item.author, item.year) for item in read_page(people).books()]
        expect(people).that(books == [shown(wanted)], expected=f"one book, {shown(wanted)!r}", got=repr(books))


@check("books/escaped", points=1, source="kit rule")
def test_a_book_with_markup_in_it(wsgi: WsgiTarget, folder: Path) -> None:
    """A title such as <b>Bold</b> & "Quoted" is shown as it is, wherever it stands: list, heading and <title>.

    README, "The pages": a < of a stranger is a sign on the page, never the beginning of a tag.
    """
    app, number = reading(wsgi, folder).app, len(BOOKS)
    for path, query in (("/books", "page=3"), (f"/books/{number}", "")):
        reply = app.get(path, query)
        expect(reply).status(200)
        page = read_whole_page(reply)
        books = [(item.title, item.author, item.year) for item in page.books()]
        expect(reply).that(books[-1:] == [shown(MARKED)], expected=f"the book {shown(MARKED)!r}", got=repr(books[-1:]))


@check("books/missing", points=1, source="kit rule")
def test_a_number_without_a_book(wsgi: WsgiTarget, folder: Path) -> None:
    """The number of no book is a 404.

    README, "The pages": the number of no book is a 404, however long it is.
    """
    app = reading(wsgi, folder).app
    expect(app.get("/books/1")).status(200)
    for number in (len(BOOKS) + 1, 9999, 999_999_999, 10**30, "9" * 5000):
        expect(app.get(f"/books/{number}")).status(404)
        program = app.get_json(f"/books/{number}")
        expect(program).status(404)
        error_of(program)


@check("books/mounted", points=1, source="PEP 3333, URL Reconstruction")
def test_a_mounted_list_links_to_its_own(wsgi: WsgiTarget, folder: Path) -> None:
    """Mounted elsewhere, the links of the list and of the book begin with SCRIPT_NAME.

    Where a server mounts the catalog below /shop, an address without /shop belongs to somebody else.
    """
    app = reading(wsgi, folder).app
    for path, query in (("/books", "page=2"), ("/books/6", "")):
        reply = app.request(WsgiRequest(path=path, query=query, meta=(("SCRIPT_NAME", "/shop"),)))
        expect(reply).status(200)
        links = read_page(reply, f"http://localhost/shop{path}").links()
        strays = [link for link in links if not (link == "/shop" or link.startswith(("/shop/", "/shop?")))]
        shown = ", ".join(strays[:3]) or "no link"
        expect(reply).that(bool(links) and not strays, expected="links below /shop", got=shown)


@check("books/application", points=1, source="kit rule")
def test_the_name_that_servers_know(wsgi: WsgiTarget, folder: Path) -> None:
    """`application` serves the database of CATALOG_DB with the seed of CATALOG_SEED, read at the first request.

    README, "How it is started": a server may set the variables after it has imported main.py, so not before the first
    request do they count.
    """
    seed, db = write_seed(folder, BOOKS[:2]), folder / "application.json"
    app = wsgi.open_by_name("application", {"CATALOG_DB": str(db), "CATALOG_SEED": str(seed)})
    total = listing(app.get_json("/books"))["total"]
    expect.that(total == 2, expected="the 2 books of the file that CATALOG_SEED names", got=f"{total} books")
    expect.that(db.exists(), expected="the file that CATALOG_DB names, made at the first request", got="no such file")
    with because('README, "How it is started": importing main.py makes no file'):
        made = wsgi.files_made()
        expect.that(not made, expected="no file made beside main.py", got=", ".join(made))
