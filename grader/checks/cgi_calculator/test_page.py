"""The page: its markup as a string, and the empty form over CGI."""

from __future__ import annotations

import html
import re

from hypothesis import strategies as st

from grader.checks.cgi_calculator.claims import (
    OPERATIONS,
    expect_arrival,
    expect_document,
    expect_form,
    expect_phone,
    is_html_in_utf_8,
)
from grader.checks.cgi_calculator.pages import parse_page, read_page
from grader.checks.cgi_calculator.questions import typed_texts
from grader.engine import because, check, expect, fuzz
from grader.engine.alphabets import MARKUP
from grader.target.cgi import CgiRequest, CgiTarget
from grader.target.function import Module

NASTY = st.text(MARKUP + "amp;lt#39 script", max_size=16) | st.sampled_from(
    ["&lt;b&gt; &amp;amp;", "'\" onfocus=alert(1) '\"", "</form><script>alert(1)</script>", "<!--", "&", "AT&T"]
)


@check("page/escape", points=2, source="kit rule")
@fuzz(text=NASTY | typed_texts())
def test_escaped_text_reads_as_typed(module: Module, text: str) -> None:
    """Escaped text holds no bare & < > or quote, and a browser reads it as it was.

    These five characters begin and end tags, attributes and references; as references such as &lt; they are text again.
    """

    def safe(value: object) -> bool:
        bare = re.compile(r"[<>\"']|&(?!#[0-9]+;|#[xX][0-9a-fA-F]+;|[a-zA-Z]+;)")
        return isinstance(value, str) and not bare.search(value) and html.unescape(value) == text

    expect(module.call("escape", text)).returns_that(safe, f"character references that a browser reads as {text!r}")


@check("page/filled", points=2, source="kit rule")
@fuzz(
    share=0.4,
    user=typed_texts() | NASTY.map(str.strip),
    operands=st.lists(typed_texts() | NASTY.map(str.strip), max_size=4).map(lambda texts: [t for t in texts if t]),
    operation=st.sampled_from(OPERATIONS),
    message=NASTY.map(str.strip).filter(bool),
)
def test_the_page_holds_what_was_typed(
    module: Module, user: str, operands: list[str], operation: str, message: str
) -> None:
    """page() shows every field, the result and the error exactly as given.

    README, "The page": the form keeps what was typed, the operation selected or checked; escaped, markup stays text.
    """
    # The empty form first: what is wrong there needs no message to be seen.
    for outcome in ({}, {"result": "-2.5"}, {"error": message}):
        fields = (user, ["5", "2"] if "result" in outcome else operands, operation)
        called = module.call("page", *fields, **outcome)
        with because('README, "The page": every page has the form, whatever was typed or not: there may be no operand'):
            expect(called).returns_that(lambda value: isinstance(value, str), "it returns a str")
        page = parse_page(str(getattr(called, "value", "")))
        for name, wanted, found in zip(("user", "operands", "operation"), fields, page.kept(), strict=True):
            expect.that(found == wanted, expected=f"a form with {name} {wanted!r}", got=f"a form with {name} {found!r}")
        for name in ("result", "error"):
            wanted, found = outcome.get(name, ""), page.text(name)
            expect.that(
                found == wanted,
                expected=f'the text {wanted!r} in id="{name}"',
                got=f'the text {found!r} in id="{name}"',
            )
        error = page.by_id("error")
        if error and "error" in outcome:
            got = f"the start tag {error.source}"
            expect.that(error.get("role") == "alert", expected='id="error" and role="alert" in one tag', got=got)


@check("page/hello", points=2, source="RFC 3875 section 6.2")
def test_a_visitor_gets_a_form(cgi: CgiTarget) -> None:
    """A GET gets headers, an empty line, and a page with a form.

    Headers, an empty line, then the body: a web server can make sense of nothing else that a program prints.
    """
    reply = cgi.get()
    forms = read_page(reply).all("form")
    expect(reply).that(bool(forms), expected="a page with a <form>")


@check("page/content-type", points=1, source="RFC 3875 section 6.3.1")
def test_the_page_is_sent_as_html(cgi: CgiTarget) -> None:
    """Content-Type is text/html with the charset utf-8, and is there once.

    Without text/html a browser shows markup as text or offers to save it; without the charset it guesses the encoding.
    """
    reply = cgi.get()
    expect(reply).header_that("Content-Type", is_html_in_utf_8, "text/html; charset=utf-8")
    types = reply.headers.get_all("Content-Type")
    expect(reply).that(len(types) == 1, expected="one Content-Type field", got=f"{len(types)}: {', '.join(types)}")


@check("page/document", points=1, source="kit rule")
def test_the_page_is_a_document_with_a_title(cgi: CgiTarget) -> None:
    """The page begins with <!DOCTYPE html> and has a title that is not empty.

    README, "The page": without the doctype browsers fall back to the rules of the nineties; the title names the tab.
    """
    expect_document(cgi.get())


@check("page/phone", points=1, source="kit rule")
def test_the_page_is_readable_on_a_phone(cgi: CgiTarget) -> None:
    """A <meta name="viewport"> makes the page as wide as the phone.

    README, "The page": without it a phone lays the page out for a desktop screen and shows it tiny.
    """
    expect_phone(cgi.get())


@check("page/form", points=2, source="kit rule")
def test_the_form_has_its_fields(cgi: CgiTarget) -> None:
    """The form has a user, two or more operands, an operation (add, sub, mul or div) and a button that sends it.

    README, "The page": a browser sends the name and value of every field in the form, so their names are fixed.
    """
    expect_form(cgi.get())


@check("page/arrival", points=1, source="kit rule", needs=("page/hello",))
def test_an_empty_form_claims_nothing(cgi: CgiTarget) -> None:
    """Somebody who has just arrived gets status 200, and sees neither a result nor an error.

    README, "The query string": who has sent neither an operand nor an operation has done nothing wrong yet.
    """
    expect_arrival(cgi.get())


@check("page/bare", points=1, source="kit rule")
def test_a_bare_environment_is_enough(cgi: CgiTarget) -> None:
    """Without REQUEST_METHOD and QUERY_STRING, and in any directory, the program shows the form.

    README, "The reply": without these variables the method is GET and the query is empty; any directory may be current.
    """
    names = tuple(CgiRequest().variables(cgi.script_name))
    reply = cgi.run(CgiRequest(meta=tuple((name, None) for name in names), elsewhere=True))
    expect(reply).that(bool(read_page(reply).all("form")), expected="a page with a <form>")
