"""HTML or JSON; 404 and 405."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from grader.checks.wsgi_catalog.pages import HOSTILE, STRAY, media_type, read_page, read_whole_page
from grader.checks.wsgi_catalog.shelves import error_of, reading
from grader.checks.wsgi_catalog.test_hello import ALL_METHODS, METHODS, NO_PAGES
from grader.engine import because, check, expect, fuzz
from grader.engine.alphabets import any_text
from grader.target.function import Module
from grader.target.wsgi import WsgiRequest, WsgiTarget

HTML, JSON = "text/html", "application/json"
EXAMPLES = (
    ("", HTML),
    ("*/*", HTML),
    ("image/png", HTML),
    (JSON, JSON),
    ("application/*", JSON),
    ("application/json, */*;q=0.5", JSON),
    ("text/html;q=0.5, application/json", JSON),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
    ("text/html;q=0, */*", JSON),
    ("text/html, application/json", HTML),
    ("TEXT/HTML ; Q=0.2 , Application/JSON ; q=0.3", JSON),
    ("application/json;q=0", HTML),
    ("text/*;q=0.9, application/json;q=0.9", HTML),
    ("application/json;charset=utf-8;q=0.7, text/html;q=0.8", HTML),
    ("text/html;level=1;q=0.5, application/json;q=0.6", JSON),
)
BROKEN = (
    ("application/json;q=2", HTML),
    ("application/json;q=-1", HTML),
    ("application/json;q=one", HTML),
    ("application/json;q=0.1234, text/html;q=0.1", HTML),
    ("application/json;q=, text/html;q=0.1", HTML),
    ("application/json;q=1.5, application/*;q=0.2", JSON),
    (",, application/json ,", JSON),
    ("text/html;q=high, application/json;q=0.1", JSON),
)


@check("negotiate/examples", points=1, source="RFC 9110 section 12.5.1")
def test_the_heavier_type_wins(module: Module) -> None:
    """negotiate() chooses JSON where it weighs more than HTML, else HTML.

    Accept lists what the client can read, each with a weight from 0 to 1; without one it is 1.
    """
    for accept, wanted in EXAMPLES:
        expect(module.call("negotiate", accept)).returns(wanted)


@check("negotiate/fuzz", points=1, source="RFC 9110 section 12.5.1", needs=("negotiate/examples",))
@fuzz(
    share=0.8,
    ranges=st.lists(
        st.tuples(
            st.sampled_from((HTML, JSON, "text/*", "application/*", "*/*", "image/png")),
            st.integers(0, 1000),
        ),
        min_size=1,
        unique_by=lambda each: each[0],
    ),
    space=st.sampled_from(("", " ")),
)
def test_the_most_exact_range_counts(module: Module, ranges: list[tuple[str, int]], space: str) -> None:
    """For each type the most exact range that covers it gives the weight, in whatever order they come.

    text/html says more than text/*, and that more than */*; the order in the header means nothing.
    """
    parts = [f"{name}{space};{space}q={weight / 1000:.3f}" for name, weight in ranges]
    weights = dict(ranges)

    def weight(kind: str) -> int:
        return next((weights[key] for key in (kind, kind.split("/")[0] + "/*", "*/*") if key in weights), 0)

    wanted = JSON if weight(JSON) > weight(HTML) else HTML
    expect(module.call("negotiate", f",{space}".join(parts))).returns(wanted)


@check("negotiate/broken", points=1, source="kit rule", needs=("negotiate/examples",))
def test_a_weight_that_cannot_be_read_does_not_count(module: Module) -> None:
    """A part with a weight that cannot be read is left out, and the rest still counts.

    README, "HTML or JSON": a part with a weight that cannot be read is left out.
    """
    for accept, wanted in BROKEN:
        expect(module.call("negotiate", accept)).returns(wanted)


@check("negotiate/not-found", points=1, source="kit rule")
def test_an_unknown_address_is_a_404_for_people_and_programs(wsgi: WsgiTarget, folder: Path) -> None:
    """An address without a page is a 404: a page for people, {"error": ...} for programs.

    README, "The pages": every other path is a 404, also /books/ and /books/07.
    """
    app = reading(wsgi, folder).app
    for path in (*NO_PAGES, f"/{HOSTILE}"):
        reply = app.get(path)
        expect(reply).status(404)
        read_whole_page(reply)
        program = app.get_json(path)
        expect(program).status(404)
        error_of(program)


@check("negotiate/accept", points=1, source="RFC 9110 section 12.5.1")
def test_the_accept_header_decides(wsgi: WsgiTarget, folder: Path) -> None:
    """An error is HTML or JSON, whichever weighs more in Accept.

    A program cannot read a page, and a person no JSON: errors come in the form that was asked for.
    """
    app = reading(wsgi, folder).app
    for accept, wanted in (*EXAMPLES, *BROKEN):
        reply = app.get("/nowhere", HTTP_ACCEPT=accept)
        expect(reply).status(404)
        expect(reply).that(media_type(reply) == wanted, expected=f"the type {wanted}", got=f"{media_type(reply)!r}")
    with because('README, "HTML or JSON": / and /books/new are forms for people: HTML, always'):
        for path in ("/", "/books/new"):
            reply = app.get_json(path)
            expect(reply).status(200)
            read_page(reply)


@check("negotiate/not-allowed", points=1, source="RFC 9110 section 15.5.6")
def test_another_method_is_a_405_that_names_the_right_ones(wsgi: WsgiTarget, folder: Path) -> None:
    """A method that the table does not list is a 405 with Allow, for people and for programs.

    405 means: this page exists, but does not answer that method; Allow must say which ones it does.
    """
    app = reading(wsgi, folder).app
    for path, allowed in METHODS.values():
        wrong = [method for method in (*ALL_METHODS, f"<{STRAY}>") if method not in allowed]
        program = [("PUT", JSON)] if path not in ("/", "/books/new") else []  # those two are for people
        for method, accept in (*((method, "") for method in wrong), *program):
            reply = app.request(WsgiRequest(method, path, meta=(("HTTP_ACCEPT", accept),) if accept else ()))
            expect(reply).status(405)
            if accept:
                error_of(reply)
            elif STRAY in method:
                read_whole_page(reply)
            listed = {name.strip() for value in reply.headers.get_all("Allow") for name in value.split(",")}
            shown = f"Allow: {', '.join(sorted(listed - {''})) or '(none)'}"
            expect(reply).that(listed == allowed, expected=f"Allow: {', '.join(sorted(allowed))}", got=shown)


@check("negotiate/any-path", points=1, source="kit rule")
@fuzz(share=0.4, path=any_text(max_size=8).map(str.encode) | st.binary(max_size=8), below=st.booleans())
def test_any_path_at_all_is_answered(wsgi: WsgiTarget, folder: Path, path: bytes, below: bool) -> None:
    """Whatever stands in PATH_INFO, text or not, the answer is a 404 without a traceback.

    README, "The protocol": whatever is sent, no status of 500 or more and no traceback.
    """
    whole = (b"/books/" if below else b"/") + b"_" + path
    app = reading(wsgi, folder).app
    expect(app.get("/")).status(200)
    reply = app.get(whole)
    expect(reply).status(404).body_lacks(b"Traceback")
