"""The body of a POST: how much of it, and what kind."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

from grader.checks.wsgi_catalog.pages import STRAY, as_in_forms, read_whole_page
from grader.checks.wsgi_catalog.shelves import MAX_BODY, reading
from grader.engine import because, check, expect, fuzz
from grader.engine.alphabets import any_text, words
from grader.target.function import Module
from grader.target.wsgi import FORM_TYPE, JSON_TYPE, WsgiApp, WsgiRequest, WsgiTarget

GOOD = b"title=Momo&author=Michael+Ende&year=1973"
UNREADABLE = (
    (FORM_TYPE, b"title=%FF&author=a&year=1"),
    (FORM_TYPE, b"title=\xc3\x28&author=a&year=1"),
    (FORM_TYPE, b"title=a&author=%ED%A0%80&year=1"),
    (JSON_TYPE, b'{"title": "a", "author": "b", "year": 1'),
    (JSON_TYPE, b'{"title": "\xff", "author": "b", "year": 1}'),
    (JSON_TYPE, b'["title", "author", "year"]'),
    (JSON_TYPE, b'"title"'),
    (JSON_TYPE, b"null"),
    (JSON_TYPE, b""),
    (JSON_TYPE, b"title=a&author=b&year=1"),
    (JSON_TYPE, b"[" * 60_000),
    (JSON_TYPE, json.dumps({"title": "a", "author": "b", "year": 1}).encode("utf-16")),
)
OTHER_TYPES = (
    "text/plain",
    "multipart/form-data; boundary=x",
    "application/jsonp",
    "application/xml",
    "json",
    f"text/plain; a=<{STRAY}>",
    "",
    None,
)


@check("body/form", points=1, source="kit rule")
@fuzz(share=0.6, pairs=st.lists(st.tuples(words(max_size=2), any_text(max_size=8)), max_size=4), plain=st.booleans())
def test_a_form_is_decoded(module: Module, pairs: list[tuple[str, str]], plain: bool) -> None:
    """read_fields() decodes a form: blank values stay, of a name that comes twice the first counts, UTF-8.

    README, "Adding a book": a form is UTF-8 behind its %XX and +; in a name that comes twice the first value counts.
    """
    body = "&".join(f"{name}={as_in_forms(value, plain)}" for name, value in pairs).encode("utf-8")
    kind = f"{FORM_TYPE}; charset=UTF-8" if plain else FORM_TYPE.title()
    wanted = dict(reversed(pairs))
    expect(module.call("read_fields", kind, body)).returns_that(
        lambda got: isinstance(got, dict) and got == wanted, f"a dict equal to {wanted!r}"
    )


@check("body/json", points=1, source="kit rule")
@fuzz(
    share=0.4,
    value=st.dictionaries(
        any_text(max_size=4), any_text(max_size=8) | st.integers(-9999, 9999) | st.none(), max_size=4
    ),
    ascii_only=st.booleans(),
)
def test_json_is_decoded(module: Module, value: dict[str, str | int | None], ascii_only: bool) -> None:
    """read_fields() decodes a JSON object, whether it has its letters as UTF-8 or as escapes.

    In JSON a letter may stand as itself or as an escape such as \\u00e9: both mean the same.
    """
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8")
    kind = JSON_TYPE.upper() if ascii_only else f"{JSON_TYPE} ; charset=utf-8"
    expect(module.call("read_fields", kind, body)).returns(value)


@check("body/refused", points=1, source="kit rule", needs=("body/form", "body/json"))
def test_what_cannot_be_decoded_is_refused(module: Module) -> None:
    """read_fields() raises HttpError 400 for a body that cannot be read, and 415 for another type.

    README, "Adding a book": 400 is for a body that cannot be read, 415 for a type that nobody here reads.
    """
    for kind, body in UNREADABLE:
        expect(module.call("read_fields", kind, body)).raises("HttpError", status=400)
    for other in OTHER_TYPES:
        expect(module.call("read_fields", other or "", GOOD)).raises("HttpError", status=415)


def answering(wsgi: WsgiTarget, folder: Path) -> WsgiApp:
    """A catalog that does not refuse everything."""
    app = reading(wsgi, folder).app
    expect(app.get("/")).status(200)
    return app


@check("body/length", points=1, source="PEP 3333, environ Variables")
def test_a_length_that_is_none(wsgi: WsgiTarget, folder: Path) -> None:
    """Without CONTENT_LENGTH the answer is 411; with anything but ASCII digits in it, 400; and nothing is read.

    CONTENT_LENGTH is a string from the client: it may be missing, empty or anything else.
    """
    app = answering(wsgi, folder)
    lengths: list[tuple[str | None, int]] = [(None, 411), ("", 411)]
    lengths += [
        (length, 400)
        for length in ("-1", "+5", "1_0", "ten", "4.0", "\u0664".encode().decode("latin-1"), "0x10", "\xb2\xb3")
    ]
    for length, status in lengths:
        meta = (("CONTENT_TYPE", FORM_TYPE), ("CONTENT_LENGTH", length))
        reply = app.request(WsgiRequest("POST", "/books", body=b"", meta=meta, held=True))
        expect(reply).that(
            not reply.waited, expected=f"status {status} at once", got="it waits for a body that never comes"
        )
        expect(reply).status(status)


@check("body/too-large", points=1, source="RFC 9110 section 15.5.14")
def test_a_body_that_is_too_large(wsgi: WsgiTarget, folder: Path) -> None:
    """A CONTENT_LENGTH over 65536 is a 413, without reading.

    The length is known before the body: nobody has to read what is too long.
    """
    app = answering(wsgi, folder)
    for length in (str(MAX_BODY + 1), "9" * 12, "9" * 5000):
        meta = (("CONTENT_TYPE", FORM_TYPE), ("CONTENT_LENGTH", length))
        reply = app.request(WsgiRequest("POST", "/books", body=b"", meta=meta, held=True))
        expect(reply).that(not reply.waited, expected="status 413 at once", got="it waits for a body that never comes")
        expect(reply).status(413)


@check("body/short", points=1, source="kit rule")
def test_a_body_that_ends_too_early(wsgi: WsgiTarget, folder: Path) -> None:
    """A body that ends before CONTENT_LENGTH bytes is a 400.

    A body that ends early is half a message; half a book must not be kept.
    """
    app = answering(wsgi, folder)
    for body, length in ((GOOD, len(GOOD) + 1), (b"", 10)):
        expect(app.post("/books", body, CONTENT_LENGTH=str(length))).status(400)


@check("body/type", points=1, source="RFC 9110 section 15.5.16")
def test_another_type_is_refused(wsgi: WsgiTarget, folder: Path) -> None:
    """A body that is neither a form nor JSON is a 415.

    The type says how to read the bytes; 415 tells the client that it is the type that does not fit.
    """
    app = answering(wsgi, folder)
    for kind in OTHER_TYPES:
        reply = app.post("/books", GOOD, kind)
        expect(reply).status(415)
        read_whole_page(reply)


@check("body/unreadable", points=1, source="kit rule")
def test_a_body_that_cannot_be_read(wsgi: WsgiTarget, folder: Path) -> None:
    """A form that is not UTF-8, and JSON that is broken, no object or nested too deep, is a 400.

    README, "Adding a book": what a client sends may be anything, and what cannot be read is its mistake (400).
    """
    app = answering(wsgi, folder)
    for kind, body in UNREADABLE:
        reply = app.post("/books", body, kind)
        expect(reply).status(400)
        with because('README, "The protocol": whatever is sent, no traceback in an answer'):
            expect(reply).body_lacks("Traceback")
