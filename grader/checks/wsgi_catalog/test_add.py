"""Adding a book: the form, its messages, and the same for programs."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from hypothesis import strategies as st

from grader.checks.wsgi_catalog.pages import (
    HOSTILE,
    Page,
    collapse,
    path_and_query,
    read_page,
    read_whole_page,
)
from grader.checks.wsgi_catalog.shelves import (
    BOOKS,
    MAX_BODY,
    Shelf,
    adding,
    bare,
    book,
    error_of,
    errors_of,
    expect_verdict,
    number_of,
    number_somehow,
    open_shelf,
    post_form,
    post_json,
    read_book,
    reading,
)
from grader.engine import because, check, expect, fuzz
from grader.engine.alphabets import MARKUP, any_text, words
from grader.target.function import Module
from grader.target.wsgi import FORM_TYPE, JSON_TYPE, WsgiRequest, WsgiTarget

KEPT = (
    'README, "Adding a book": what is kept is the text without the blanks around it, otherwise character by character'
)
OTHERS = 'README, "Adding a book": other fields are ignored, however many, also a name without ='
AT_ONCE = (
    'README, "How it is started": several clients are answered at once. While one sends its book, another is answered; '
    "so nothing about a request may be kept where the other finds it, such as a global variable"
)
MOMO = book("Momo", "Michael Ende", 1973)
# (field, wrong value): as text, wrong in a form and in JSON alike.
WRONG_TEXTS: tuple[tuple[str, str], ...] = (
    *(("title", text) for text in ("", " \t\n", "x" * 201, "a\nb", "a\x00b", "a\x7f", "\x85a\x9fb")),
    *(("author", text) for text in ("", "\u3000", "\u00e9" * 201, "tab\there")),
    *(("year", text) for text in ("", "soon", "19.5", "1_984", "+1984", "2101", "-4001", "12345", "1 9", "nan")),
    *(("year", text) for text in ("\uff11\uff19", "9" * 5000)),
)
WRONG_VALUES: tuple[tuple[str, Any], ...] = (
    *(("title", value) for value in (None, 2666, ["a"], "\ud800")),
    *(("author", value) for value in ({"a": 1}, True)),
    *(("year", value) for value in (None, True, 1605.0, [1605], 10**30, -4001, 2101)),
)
LONG = st.sampled_from(("\u0416" * 200, "\U0001f4da" * 200))  # the limit is one of characters
# What nobody may tidy up: two blanks, blanks that are none, letters of two parts, escapes of another language.
AS_IT_STANDS = "a  b\u00a0c\u200b e\u0301 %41 + &amp; <i>"
MANY_FIELDS = "&go&" + "&".join(f"x{number}=" for number in range(30))
TITLES = any_text(1, 12).map(str.strip).filter(bool) | words(MARKUP + "ab\u00e9", max_size=8) | st.just(AS_IT_STANDS)
FORM_TYPES = st.sampled_from((FORM_TYPE, "Application/X-WWW-Form-URLencoded ; charset=UTF-8"))
JSON_TYPES = st.sampled_from((JSON_TYPE, "Application/JSON; charset=utf-8"))


def fault_list(faults: tuple[tuple[str, Any], ...]) -> list[tuple[dict[str, Any], set[str]]]:
    """Fields that are right but for one, or for all of one list at once; and the names of the wrong ones."""
    single = [({**MOMO, field: value}, {field}) for field, value in faults]
    both = ({"title": "", "author": "Michael Ende", "year": "soon"}, {"title", "year"})
    return [*single, both, ({}, {"title", "author", "year"})]


@check("add/validate", points=1, source="kit rule")
@fuzz(
    share=0.6,
    title=TITLES,
    author=any_text(1, 8),
    year=st.integers(-4000, 2100),
    pad=st.sampled_from(("", " ", "\t\n", "\u3000")),
)
def test_what_is_right_is_cleaned(module: Module, title: str, author: str, year: int, pad: str) -> None:
    """validate() returns right fields without the blanks around them, the year as a number, and no errors.

    README, "Adding a book": blanks around a text or a year do not count, the rest is kept character by character, and
    other fields are ignored.
    """
    author = f"{author}." if not author.strip() else author
    wanted = book(title.strip(), author.strip(), year)
    for given in (f"{pad}{year}{pad}", year):
        fields = {"title": pad + title + pad, "author": author, "year": given, "colour": "red"}
        expect(module.call("validate", fields)).returns_sequence([wanted, {}])


@check("add/validate-wrong", points=1, source="kit rule", needs=("add/validate",))
def test_what_is_wrong_has_a_message(module: Module) -> None:
    """validate() returns a message for every wrong field, and keeps the right ones.

    README, "Adding a book": every wrong field has its message at once, so that nobody has to try three times.
    """
    for fields, wrong in fault_list((*WRONG_TEXTS, *(fault for fault in WRONG_VALUES if fault[1] != "\ud800"))):
        right = {name: MOMO[name] for name in MOMO if name not in wrong}
        expect_verdict(module.call("validate", fields), right, wrong)


def expect_added(shelf: Shelf, number: int, wanted: dict[str, Any]) -> None:
    """The book is there under its number, and it is one more than before."""
    got = bare(read_book(shelf.app.get_json(f"/books/{number}")))
    with because(KEPT):
        expect.that(got == wanted, expected=f"/books/{number} is {wanted!r}", got=repr(got))
    shelf.books[number] = wanted
    total = shelf.total()
    expect.that(total == len(shelf.books), expected=f"{len(shelf.books)} books in all", got=f"{total}")


@check("add/form", points=2, source="kit rule")
def test_a_form_adds_a_book(wsgi: WsgiTarget, folder: Path) -> None:
    """A form that is right: 303 with the address of the new book in Location, and the book is there.

    A redirect after a form lets the browser load the new page with GET, so that a reload does not add the book twice.
    """
    shelf = open_shelf(wsgi, folder)
    for new, others, why in (
        (MOMO, "", ""),
        (book("\u00c0 la recherche & <i>du</i> temps+perdu", "\u6751\u4e0a", -4000), MANY_FIELDS, OTHERS),
        (book(AS_IT_STANDS, "x" * 200, 0), "", KEPT),
    ):
        padded = {**new, "title": f" {new['title']}\t", "author": f"     {new['author']}"}
        with because(why) if why else nullcontext():
            reply = shelf.app.post("/books", (urlencode(padded) + others).encode("ascii"))
            expect(reply).status(303)
        expect_added(shelf, number_of(reply), new)


@check("add/json", points=1, source="kit rule")
def test_json_adds_a_book(wsgi: WsgiTarget, folder: Path) -> None:
    """JSON that is right: 201, Location, and the book with its number as JSON; the year may be text.

    A program wants to know at once under which number its book is kept: in Location and in the answer itself.
    """
    shelf = open_shelf(wsgi, folder)
    for sent, story in (
        (MOMO, {}),
        ({**MOMO, "year": " 1973 "}, {"wsgi.input": "GET /books/new is answered meanwhile"}),
        ({**MOMO, "title": AS_IT_STANDS, "id": 1, "colour": "red"}, {}),
    ):
        with because(AT_ONCE) if story else nullcontext():
            reply = post_json(shelf.app, sent, **story)
            expect(reply).status(201)
            number = number_of(reply)
        kept = {**MOMO, "title": sent["title"]}
        wanted = {**kept, "id": number}
        got = read_book(reply)
        good = {**bare(got), "id": got["id"]} == wanted
        expect(reply).that(good, expected=f"the new book as JSON: {wanted!r}", got=repr(got))
        expect_added(shelf, number, kept)


@check("add/exact", points=1, source="PEP 3333, Input and Error Streams")
def test_exactly_the_body_is_read(wsgi: WsgiTarget, folder: Path) -> None:
    """Exactly CONTENT_LENGTH bytes are read, also when they come in pieces, and never one more; 65536 are no problem.

    The connection may stay open after the body: a further read waits for ever.
    """
    app = reading(wsgi, folder).app
    for body, piece in (
        (b"title=&author=&year=", 0),
        (b"title=&author=&year=", 3),
        (b"a=" + b"x" * (MAX_BODY - 2), 9999),
    ):
        meta = (("CONTENT_TYPE", FORM_TYPE),)
        reply = app.request(WsgiRequest("POST", "/books", body=body, meta=meta, held=True, piece=piece))
        got = "it reads on, and waits for ever" if reply.waited or reply.beyond else f"it reads {reply.taken} bytes"
        exact = reply.taken == len(body) and not reply.beyond and not reply.waited
        expect(reply).that(exact, expected=f"it reads {len(body)} bytes and answers", got=got)
        expect(reply).that(reply.status < 500, expected="an answer without a status of 500 or more")


@check("add/messages", points=1, source="kit rule")
def test_every_wrong_field_has_its_message(wsgi: WsgiTarget, folder: Path) -> None:
    """A form with wrong fields is a 422: the form again, and a message for each wrong field and for no other.

    Whoever filled in a form sees everything that is wrong at once, beside the field it is about.
    """
    shelf = open_shelf(wsgi, folder)
    hostile = ({"title": HOSTILE * 3, "author": f"\x01{HOSTILE}", "year": HOSTILE}, set(MOMO))
    for fields, wrong in (*fault_list(WRONG_TEXTS), hostile):
        reply = post_form(shelf.app, fields)
        expect(reply).status(422)
        page = read_whole_page(reply)
        got = {name for name in MOMO if page.text(f"{name}-error")}
        shown = f"messages for {', '.join(sorted(got)) or 'no field'}"
        expect(reply).that(got == wrong, expected=f"messages for {', '.join(sorted(wrong))}", got=shown)
        expect(reply).that(page.form("add") is not None, expected='the form of id="add" again')
    total = shelf.total()
    expect.that(total == len(BOOKS), expected=f"still {len(BOOKS)} books", got=f"{total} books")
    with because('README, "The two forms": /books/new shows the form empty, whatever others have typed before'):
        reply = shelf.app.get("/books/new")
        form = read_page(reply).form("add")
        left = [value for name, value in form.fields.items() if name in MOMO and value] if form else []
        expect(reply).that(not left, expected="an empty form", got=", ".join(map(repr, left)))


@check("add/messages-json", points=1, source="kit rule")
def test_programs_get_the_same_messages(wsgi: WsgiTarget, folder: Path) -> None:
    """Wrong JSON, and a wrong form whose client prefers JSON, is a 422 with a key in "errors" per wrong field.

    README, "Adding a book": a program, or a form whose client prefers JSON, gets the messages as data.
    """
    shelf = open_shelf(wsgi, folder)
    for fields, wrong in fault_list((*WRONG_TEXTS[::3], *WRONG_VALUES)):
        reply = post_json(shelf.app, fields)
        expect(reply).status(422)
        got = errors_of(reply)
        expect(reply).that(got == wrong, expected=f'"errors" for {", ".join(sorted(wrong))}', got=f"keys {sorted(got)}")
    reply = post_form(shelf.app, {**MOMO, "year": "soon"}, HTTP_ACCEPT=JSON_TYPE)
    expect(reply).status(422)
    expect(reply).that(errors_of(reply) == {"year"}, expected='"errors" for year')
    error_of(shelf.app.post("/books", b"[", JSON_TYPE, HTTP_ACCEPT="text/html"))
    total = shelf.total()
    expect.that(total == len(BOOKS), expected=f"still {len(BOOKS)} books", got=f"{total} books")
    right = post_form(shelf.app, MOMO, HTTP_ACCEPT=JSON_TYPE)
    redirected = 300 <= right.status < 400
    with because('README, "Adding a book": a form that is right is a 303, whatever Accept says'):
        expect(right).that(redirected, expected="status 303: a form that is right, whatever its client prefers")


def typed_tags(page: Page, typed: str) -> set[str]:
    """The tags of a page that could be made of what was typed."""
    names = {name.lower() for name in re.findall(r"<([A-Za-z][^\s/>]*)", typed)}
    return {element.tag for element in page.root.all()} & names


@check("add/kept", points=1, source="kit rule")
@fuzz(
    share=0.3,
    title=any_text(max_size=9) | words(MARKUP + "abx;#"),
    author=any_text(max_size=5),
    year=words(MARKUP + "1x"),
)
def test_what_was_typed_is_still_there(wsgi: WsgiTarget, folder: Path, title: str, author: str, year: str) -> None:
    """After an error the form still holds what was typed, escaped: no text becomes a tag or leaves its attribute.

    Nobody likes to type everything again because of one wrong year; and what was typed is text, never markup.
    """
    year = f"{year}?"  # never a year
    app = reading(wsgi, folder).app
    reply = post_form(app, {"title": title, "author": author, "year": year})
    page = read_page(reply)
    form = page.form("add")
    expect(reply).that(form is not None, expected='a page with the form of id="add"')
    got = form and [form.fields.get(name, "").strip() for name in MOMO]
    wanted = [title.strip(), author.strip(), year.strip()]
    expect(reply).that(got == wanted, expected=f"the form with {wanted!r}", got=repr(got))
    strange = typed_tags(page, f"{title} {author} {year}")
    if strange:  # unless the page has them by itself
        strange -= {element.tag for element in read_page(post_form(app, {"year": "?"})).root.all()}
    expect(reply).that(not strange, expected="no tag that was typed", got=f"the tags {sorted(strange)}")


@check("add/any-text", points=1, source="kit rule")
@fuzz(share=0.3, title=TITLES | LONG, author=TITLES | LONG, year=st.integers(-4000, 2100), kind=FORM_TYPES | JSON_TYPES)
def test_any_text_comes_back(wsgi: WsgiTarget, folder: Path, title: str, author: str, year: int, kind: str) -> None:
    """Whatever is added, by form or as JSON, comes back character by character, and is shown escaped.

    README, "Adding a book": what is kept is the text without the blanks around it, character by character.
    """
    app = adding(wsgi, folder).app
    new = book(title.strip(), author.strip(), year)
    form = "form" in kind.lower()
    body = urlencode(new) if form else json.dumps(new)
    number = number_somehow(app.post("/books", body.encode("ascii"), kind))
    got = bare(read_book(app.get_json(f"/books/{number}")))
    expect.that(got == new, expected=f"/books/{number} is {new!r}", got=repr(got))
    page = read_page(app.get(f"/books/{number}"))
    shown = [(item.title, item.author, item.year) for item in page.books()]
    wanted = [(collapse(new["title"]), collapse(new["author"]), str(year))]
    expect.that(shown == wanted, expected=f"its page shows {wanted!r}", got=repr(shown))


@check("add/browser", points=2, source="kit rule")
def test_the_form_works_in_a_browser(wsgi: WsgiTarget, folder: Path) -> None:
    """The form of /books/new (id="add", a label for each field), filled in and sent to its action, adds the book.

    README, "The two forms": they work, filled in and sent by a browser; also mounted elsewhere, also after a mistake.
    """
    shelf = open_shelf(wsgi, folder)
    mounted = (("SCRIPT_NAME", "/shop"),)
    address = "/shop/books/new"
    reply = shelf.app.request(WsgiRequest(path="/books/new", meta=mounted))
    typed = {**MOMO, "year": "soon"}
    for wrong in (True, False):
        form = read_page(reply, f"http://localhost{address}").form("add")
        shown = "no such form" if form is None else f"fields {sorted(form.fields)}, labels for {sorted(form.labelled)}"
        good = form is not None and form.labelled >= set(MOMO) and form.method == "POST"
        expect(reply).that(good, expected='<form id="add" method="post"> with title, author, year', got=shown)
        address = form.action if form else ""
        mine = address.startswith("/shop/")
        expect(reply).that(mine, expected="a form whose action begins with SCRIPT_NAME", got=f"action {address!r}")
        path, query = path_and_query(address.removeprefix("/shop"))
        body = urlencode({**(form.fields if form else {}), **typed}).encode("ascii")
        reply = shelf.app.request(WsgiRequest("POST", path, query, body, (*mounted, ("CONTENT_TYPE", FORM_TYPE))))
        if wrong:
            good = 400 <= reply.status < 500 and reply.status not in (404, 405)
            expected = f"status 422 from {address}, the action of the form (without one, the address of its own page)"
            expect(reply).that(good, expected=expected, got=f"status {reply.status} from there")
        typed = {"year": "1973"}
    expect_added(shelf, number_of(reply, "/shop"), MOMO)


@check("add/get-changes-nothing", points=1, source="RFC 9110 section 9.2.1")
def test_reading_changes_nothing(wsgi: WsgiTarget, folder: Path) -> None:
    """GET and HEAD never change anything, whatever is in their query.

    Browsers, caches and search engines send GET and HEAD without asking anybody: they must be safe.
    """
    shelf = open_shelf(wsgi, folder)
    shelf.books[shelf.add(MOMO)] = MOMO
    query = urlencode(MOMO)
    requests = [
        WsgiRequest(method, path, query + extra)
        for path in ("/books", "/books/new", "/books/search", "/books/1", "/")
        for method in ("GET", "HEAD")
        for extra in ("", "&_method=POST", "&_method=DELETE", "&action=delete")
    ]
    for request in requests:
        expect(shelf.app.request(request)).status(200, 400, 404)
    got = shelf.all_books()
    if got != shelf.books:
        shown = f"{len(got)} books" if len(got) != len(shelf.books) else "other books"
        expected = f"the same {len(shelf.books)} books as before"
        expect.fail(sent=culprit(wsgi, folder, requests), expected=expected, got=f"{shown} afterwards")


def culprit(wsgi: WsgiTarget, folder: Path, requests: list[WsgiRequest]) -> str:
    """The first of these requests that changes a new catalog, as a person would write it down."""
    shelf = open_shelf(wsgi, folder)
    shelf.books[shelf.add(MOMO)] = MOMO
    for request in requests:
        shelf.app.request(request)
        if shelf.all_books() != shelf.books:
            return request.show()
    return f"{len(requests)} GET and HEAD requests, one after the other"
