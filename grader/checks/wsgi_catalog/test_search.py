"""Search: what counts as found, and what the page remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from hypothesis import strategies as st

from grader.checks.wsgi_catalog.pages import (
    HOSTILE,
    as_in_forms,
    collapse,
    media_type,
    read_page,
    read_whole_page,
)
from grader.checks.wsgi_catalog.shelves import (
    BOOKS,
    Book,
    book,
    errors_of,
    expect_verdict,
    follow,
    listing,
    matches,
    named,
    open_shelf,
    reading,
)
from grader.engine import because, check, expect, fuzz
from grader.engine.alphabets import any_text, words
from grader.target.function import Module
from grader.target.wsgi import JSON_TYPE, WsgiApp, WsgiTarget

NO_YEARS = (
    "soon",
    "19.5",
    "1_984",
    "+1984",
    "19 84",
    "12345",
    "--5",
    "\u0661\u0669",
    "\uff11\uff19",
    "1984.0",
    "0x10",
    "-",
)


def part_of(text: str) -> st.SearchStrategy[str]:
    """Nothing, a piece of a text in upper or lower case, or something else."""
    found = st.sampled_from(text.split())
    pieces = found | found.map(str.upper) | found.map(str.lower) | found.map(lambda word: word[1:3])
    return st.just("") | pieces | any_text(1, 3)


def searches() -> st.SearchStrategy[dict[str, str]]:
    """Conditions that mostly fit a book of the shelf."""
    return st.sampled_from(BOOKS[:14]).flatmap(
        lambda item: st.fixed_dictionaries(
            {
                "title": part_of(item["title"]),
                "author": part_of(item["author"]),
                "year": st.sampled_from(("", "", str(item["year"]), "1605")),
            }
        )
    )


def found(app: WsgiApp, terms: dict[str, str], raw: bool = False) -> list[int]:
    """The numbers of the books that a search finds, on its first page. `raw`: its letters not percent-encoded."""
    return found_by(app, "&".join(f"{name}={as_in_forms(text, raw)}" for name, text in terms.items()))


def found_by(app: WsgiApp, query: str) -> list[int]:
    """The same for a query that is encoded already."""
    return [item["id"] for item in listing(app.get_json("/books/search", native(query)))["books"]]


def native(text: str) -> str:
    """How a server hands text over: UTF-8, one character per byte."""
    return text.encode("utf-8").decode("latin-1")


def numbers(**terms: Any) -> list[int]:
    """The numbers of the books of BOOKS that match, of the first page."""
    return [number for number, item in enumerate(BOOKS, 1) if matches(item, **terms)][:20]


def expect_found(app: WsgiApp, wanted: list[int], **terms: str) -> None:
    """A search for these terms finds exactly these numbers, in this order."""
    expect_numbers(found(app, terms), wanted)


def expect_numbers(got: list[int], wanted: list[int]) -> None:
    """Exactly these books of BOOKS, in this order."""
    expect.that(got == wanted, expected=named(wanted, BOOKS), got=named(got, BOOKS))


@check("search/read-year", points=1, source="kit rule")
def test_what_a_year_is(module: Module) -> None:
    """read_year() reads an optional minus and one to four ASCII digits, and gives None for anything else.

    README, "Search": a year is an optional - and one to four ASCII digits; int() takes more than that.
    """
    for text, year in (("1984", 1984), ("-431", -431), ("0", 0), ("7", 7), ("0099", 99), ("9999", 9999)):
        expect(module.call("read_year", text)).returns(year)
    for text in ("", *NO_YEARS, "1984\n"):
        expect(module.call("read_year", text)).returns(None)


@check("search/read", points=1, source="kit rule", needs=("search/read-year",))
def test_conditions_are_read(module: Module) -> None:
    """read_search() drops blanks and empty conditions; no condition, or a year that is none, is an error.

    README, "Search": blanks around a condition do not count, an empty one is none, and none at all is an error.
    """
    for query, terms in (
        ({"title": " Quij ", "author": "", "year": "1605"}, {"title": "Quij", "year": 1605}),
        ({"author": "x", "page": "2"}, {"author": "x"}),
        ({"year": " -431 "}, {"year": -431}),
        ({"title": "", "year": "0"}, {"year": 0}),
    ):
        expect(module.call("read_search", query)).returns_sequence([terms, {}])
    faults: tuple[tuple[dict[str, str], str], ...] = (
        ({}, "form"),
        ({"title": " "}, "form"),
        ({"year": "soon"}, "year"),
    )
    for query, field in faults:
        expect_verdict(module.call("read_search", query), {}, {field})


@check("search/books", points=1, source="kit rule")
@fuzz(
    share=0.8,
    texts=st.lists(st.tuples(any_text(1, 8), words(), st.integers(-3, 3)), max_size=5),
    title=st.none() | any_text(1, 2) | st.sampled_from(("SS", "\u00df", "i", "\u03c3")),
    author=st.none() | words(max_size=2),
    year=st.none() | st.integers(-3, 3),
)
def test_books_that_meet_all_conditions(
    module: Module, texts: list[tuple[str, str, int]], title: str | None, author: str | None, year: int | None
) -> None:
    """search_books() keeps the books that meet every condition, in their order: str.casefold, the same number.

    README, "Search": a book must meet all conditions; text without regard to case, the year as a number.
    """
    books: list[Book] = [{"id": number, **book(*text)} for number, text in enumerate(texts, 1)]
    terms: dict[str, Any] = {"title": title, "author": author, "year": year}
    terms = {name: value for name, value in terms.items() if value is not None}
    wanted = [item for item in books if matches(item, **terms)]
    expect(module.call("search_books", books, terms)).returns_sequence(wanted)


@check("search/title", points=1, source="kit rule")
def test_part_of_a_title(wsgi: WsgiTarget, folder: Path) -> None:
    """A part of the title is enough to find a book, in any script and with any sign in it.

    README, "Search": a condition is a part of the text.
    """
    app = reading(wsgi, folder).app
    for title in ("Quijote", "größere", "Μήδ", "三", "2666", "<b>B", "100% plus + m", "%51uijote", "%2B+m"):
        expect_found(app, numbers(title=title), title=title)
        # Some clients send their letters as they are, in UTF-8.
        expect_numbers(found(app, {"title": title}, raw=True), numbers(title=title))
    with because('README, "All books": a query is decoded as forms are; only & stands between two fields'):
        expect_numbers(found_by(app, "title=n;+or&colour=red"), numbers(title="n; or"))


@check("search/case", points=1, source="kit rule")
def test_upper_and_lower_case_are_alike(wsgi: WsgiTarget, folder: Path) -> None:
    """Upper and lower case are alike, by Unicode's rules: str.casefold makes STRASSE and Straße the same, and no more.

    README, "Search": str.casefold, and nothing beyond it: e does not find é.
    """
    app = reading(wsgi, folder).app
    for title in ("QUIJOTE", "quijote", "de LA", "GRÖSSERE", "grösser", "ΜΉΔ", "straßen", "<B>BOLD"):
        expect_found(app, numbers(title=title), title=title)
    # A sigma at the end of a word has another shape: lower() keeps them apart, casefold() does not.
    for author in ("ROBERTO BOLAÑO", f"{BOOKS[5]['author'][-4:-1]}\u03c3"):
        expect_found(app, numbers(author=author), author=author)
    # Neither without the accents, nor with them as characters of their own.
    for title in ("quijote2", "grosere", "grossere", "Mhdeia", "ince", "gro\u0308ssere"):
        expect_found(app, [], title=title)
    for author in ("Bolano", "Bolan\u0303o"):
        expect_found(app, [], author=author)


@check("search/author-year", points=1, source="kit rule")
def test_author_and_year(wsgi: WsgiTarget, folder: Path) -> None:
    """The author is searched like the title; the year is the same number, not a part of it.

    README, "Search": 16 is the year 16 and not a part of 1605; 0016 is the same year, and 0 is one too.
    """
    app = reading(wsgi, folder).app
    for author in ("Ilse", "\u0395\u1f51\u03c1\u03b9", "O'Brien", "A=B&C", "Hand 3"):
        expect_found(app, numbers(author=author), author=author)
    for year in (1605, 160, 16, -431, 431, 5, 0):
        expect_found(app, numbers(year=year), year=f" {year} ")
    for text, year in (("0160", 160), ("0016", 16), ("-0431", -431)):
        expect_found(app, numbers(year=year), year=text)


@check("search/all", points=1, source="kit rule")
def test_all_conditions_together(wsgi: WsgiTarget, folder: Path) -> None:
    """A book must meet all conditions; blanks around one do not count, an empty one is none; none found is no error.

    README, "Search": the books that meet all conditions given; none found is 200 with total 0.
    """
    app = reading(wsgi, folder).app
    with because('README, "Search": a condition is a part of the text, as it stands, and not a list of words'):
        for title in ("Mancha Don", "Don  Quijote", "Don Mancha", "DonQuijote"):
            expect_found(app, [], title=title)
    expect_found(app, [1], title="o", author="Cervantes", year="1605")
    expect_found(app, [1], title="Quijote", author=" ", year="1605")
    expect_found(app, [], title="Quijote", author="Susanna", year="")
    expect_found(app, [], title="Quijote", author="", year="2004")
    expect_found(app, numbers(author="Aichinger"), title="", author="  Aichinger ", year="")


@check("search/no-search", points=1, source="kit rule")
def test_a_search_that_is_none(wsgi: WsgiTarget, folder: Path) -> None:
    """No condition at all, or a year that is none, is a 400: the page with the form and a message, or JSON with it.

    README, "Search": 400 says that the question is wrong, and the page how to mend it.
    """
    app = reading(wsgi, folder).app
    faults = [("", "form"), ("title=&author=+&year=", "form"), ("colour=red", "form")]
    faults += [(urlencode({"year": year, "title": "a"}), "year") for year in NO_YEARS]
    for query, field in faults:
        people = app.get("/books/search", query)
        expect(people).status(400)
        page = read_whole_page(people)
        message = page.text(f"{field}-error") is not None and page.form("search") is not None
        expect(people).that(message, expected=f'the form, and a message in the element with id="{field}-error"')
    for query, field in faults[:4]:
        program = app.get_json("/books/search", query)
        expect(program).status(400)
        got = errors_of(program)
        expect(program).that(got == {field}, expected=f'"errors" with the key "{field}"', got=f"keys {sorted(got)}")


@check("search/html", points=1, source="kit rule")
def test_what_was_asked_for_stays_in_the_form(wsgi: WsgiTarget, folder: Path) -> None:
    """The page shows the books found, their number, and the form with the conditions still in it, escaped.

    README, "Search": the form keeps the conditions, so that one word can be changed; what was typed is never markup.
    """
    app = reading(wsgi, folder).app
    searches = [{"title": "o", "author": "O'B <\"&>", "year": ""}, {"title": "<b>B", "author": "", "year": "1939"}]
    searches += [
        {"title": '"><script>x</script>', "author": "'", "year": "soon"},
        {"title": "", "author": "", "year": "0016"},
        {"title": "100% p", "author": "", "year": ""},
        {"title": HOSTILE, "author": HOSTILE, "year": ""},
        {"title": HOSTILE, "author": HOSTILE, "year": HOSTILE},
    ]
    for asked in searches:
        reply = app.get("/books/search", urlencode(asked))
        expect(reply).status(400 if asked["year"] in ("soon", HOSTILE) else 200)
        page = read_whole_page(reply)
        form = page.form("search")
        kept = form and {name: form.fields.get(name) for name in asked}
        expect(reply).that(kept == asked, expected=f"the form with {asked!r}", got=repr(kept))
        if reply.status == 200:
            year = int(asked["year"]) if asked["year"] else None
            wanted = [collapse(item["title"]) for item in BOOKS if matches(item, asked["title"], asked["author"], year)]
            got = [item.title for item in page.books()]
            good = got == wanted and page.text("total") == str(len(wanted))
            expect(reply).that(good, expected=f"{len(wanted)} books: {wanted!r}", got=f"{page.text('total')}: {got!r}")


@check("search/turn", points=1, source="kit rule")
def test_turning_a_page_keeps_the_conditions(wsgi: WsgiTarget, folder: Path) -> None:
    """The links to the next and the previous page keep the conditions.

    Page 2 of a search is page 2 of the same search, so its address holds the conditions too, encoded.
    """
    books = [book(f"A & B {number}", "C+D \u00e9", 1000 + number % 2) for number in range(90)]
    app = open_shelf(wsgi, folder, books).app
    address: str | None = "/books/search?" + urlencode({"title": "A & B", "author": "C+D \u00e9", "year": "1001"})
    seen: list[str] = []
    for relation in ("next", "next", "prev"):
        reply = follow(app, address or "")
        expect(reply).status(200)
        page = read_page(reply, f"http://localhost{address}")
        seen += [item.title for item in page.books()]
        address = page.turn(relation)
        expect(reply).that(address is not None, expected=f'a link with rel="{relation}"')
    wanted = [item["title"] for item in books if item["year"] == 1001]
    expect.that(seen == wanted, expected="the 45 books on three pages", got=f"{len(seen)} books, or others")


@check("search/fuzz", points=1, source="kit rule")
@fuzz(share=0.5, terms=searches(), raw=st.booleans())
def test_any_search_finds_what_it_should(wsgi: WsgiTarget, folder: Path, terms: dict[str, str], raw: bool) -> None:
    """Whatever is asked for, exactly the books that meet all conditions are found.

    README, "Search": all conditions together, str.casefold, blanks around them removed, lowest number first.
    """
    app = reading(wsgi, folder).app
    title, author, year = (terms[name].strip() for name in ("title", "author", "year"))
    if not (title or author or year):
        expect(app.get_json("/books/search", urlencode(terms))).status(400)
        return
    wanted = numbers(title=title, author=author, year=int(year) if year else None)
    expect_numbers(found(app, terms, raw), wanted)


@check("search/any-query", points=1, source="kit rule")
@fuzz(
    share=0.3, query=st.text("%=&+;ay0F\xff\xc3", max_size=16), field=st.sampled_from(("", "title=", "year=", "page="))
)
def test_any_query_at_all_is_answered(wsgi: WsgiTarget, folder: Path, query: str, field: str) -> None:
    """Whatever stands in QUERY_STRING, or if it is missing: 200, 400 or 404, and no traceback.

    README, "The protocol": whatever is sent, no status of 500 or more; QUERY_STRING may be missing.
    """
    app = reading(wsgi, folder).app
    for path in ("/books/search", "/books"):
        expect(app.get(path, field + query)).status(200, 400, 404).body_lacks(b"Traceback")
    expect(app.get("/books/search", QUERY_STRING=None)).status(400)
    expect(app.get("/books", QUERY_STRING=None)).status(200)


@check("search/vary", points=1, source="RFC 9110 section 12.5.5")
def test_caches_are_told(wsgi: WsgiTarget, folder: Path) -> None:
    """/books, /books/search and /books/N say Vary: Accept, so that no cache gives a person the JSON.

    A cache keeps answers by address; Vary tells it that Accept matters too.
    """
    app = reading(wsgi, folder).app
    for path, query in (("/books", ""), ("/books/search", "year=1605"), ("/books/1", "")):
        for reply, kind in ((app.get(path, query), "text/html"), (app.get_json(path, query), JSON_TYPE)):
            expect(reply).status(200)
            expect(reply).that(media_type(reply) == kind, expected=f"the type {kind}", got=f"{media_type(reply)!r}")
            fields = {name.strip().lower() for value in reply.headers.get_all("Vary") for name in value.split(",")}
            expect(reply).that(
                bool(fields & {"accept", "*"}), expected="Vary: Accept", got=f"Vary: {', '.join(fields) or '(none)'}"
            )


@check("search/length", points=1, source="RFC 9110 section 8.6")
def test_content_length_counts_bytes(wsgi: WsgiTarget, folder: Path) -> None:
    """Content-Length, where it is sent, is the number of bytes of the body; for HEAD that of GET.

    The client reads that many bytes: with too few the page is cut off, with too many it waits for ever.
    """
    app = reading(wsgi, folder).app
    for path, query, status in (("/", "", 200), ("/books/search", "title=%E4%B8%89&year=x", 400), ("/\u4e09", "", 404)):
        got = app.get(path, query)
        expect(got).status(status)
        for reply in (got, app.head(path, query)):
            lengths = reply.headers.get_all("Content-Length")
            good = lengths in ([], [str(len(got.body))])
            shown = f"Content-Length: {', '.join(lengths)}"
            expect(reply).that(good, expected=f"Content-Length: {len(got.body)}, or none", got=shown)
