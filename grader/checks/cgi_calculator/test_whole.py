"""What strangers send to the whole calculator."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from hypothesis import strategies as st

from grader.checks.cgi_calculator.claims import (
    expect_document,
    expect_error,
    expect_form,
    expect_kept,
    expect_phone,
    expect_result,
)
from grader.checks.cgi_calculator.intruders import ELSEWHERE, LINK_AND_QUOTES, MARKUP, intruders
from grader.checks.cgi_calculator.pages import encoded, read_page, sent_to
from grader.checks.cgi_calculator.questions import encode, query
from grader.engine import because, check, expect, fuzz
from grader.target.cgi import FORM_TYPE, OMIT, CgiReply, CgiRequest, CgiTarget, post_request

# In a query string without escapes, as who writes the request by hand may send it.
AS_IT_STANDS = MARKUP[0].replace(" ", "+")


@check("whole/escaped", points=2, source="kit rule")
def test_markup_stays_text(cgi: CgiTarget) -> None:
    """Markup in any field stays text: no tag and no attribute comes of it, and the form keeps it as typed.

    README, "The page": who can put a tag into your page can make it say and do anything in your name.
    """
    text = MARKUP[0]
    typed = [query("add", text, "1" + text, user=text) for text in MARKUP]
    as_it_stands = f"user={AS_IT_STANDS}&{encode(text)}=1&operand=1&operand=2&operation=add"
    others = [query(text, "1", "2"), as_it_stands]
    # Each of these mistakes has a message of its own, and that may hold what was sent.
    others += [query("add", "1", "2", user=text * 3), query("add", "1", text * 3), f"user={encode(text)}%0B"]
    others += [2 * f"&{name}={encode(text)}" for name in ("user", "operation")]
    replies = cgi.run_all([CgiRequest(query=each) for each in typed + others])
    for reply in replies:
        expect_no_intruders(reply)
    for text, reply in zip(MARKUP, replies, strict=False):
        expect_kept(reply, text, [text, "1" + text], "add")


def expect_no_intruders(reply: CgiReply) -> None:
    """Nothing on the page came of the request but text."""
    found = intruders(read_page(reply))
    expect(reply).that(not found, expected="what was typed is text, and nothing but text", got=" ".join(found[:3]))


@check("whole/scripts", points=1, source="kit rule", needs=("query/accepted",))
def test_nothing_that_was_typed_runs(cgi: CgiTarget) -> None:
    """Nothing that was typed runs: not in a script, not in an event handler, not as a link.

    README, "The page": escape() does not help there: a browser undoes it before it runs onclick="...".
    """
    text = LINK_AND_QUOTES
    as_it_stands = f"user={text}&operand=1&operand=2&operation=add"
    for reply in cgi.run_all([CgiRequest(query=as_it_stands), CgiRequest(query=query(text, text))]):
        expect_no_intruders(reply)


@check("whole/form-works", points=1, source="kit rule")
def test_the_form_on_the_page_works(cgi: CgiTarget) -> None:
    """The form, filled in and sent as a browser does, gives the result.

    README, "The page": the form comes back to this program, by its method, in its encoding, with the button pressed.
    """
    start = cgi.get()
    page = read_page(start)
    form = page.form
    expect(start).that(form is not None, expected="a page with a <form>")
    assert form is not None
    address = sent_to(page, f"http://localhost{cgi.script_name}")
    expect(start).that(
        _leads_to(cgi.script_name, address),
        expected=f"a form without action, or whose action leads to this program, {cgi.script_name}",
        got=f"{form.source}, which a browser sends to {address or 'no address'}",
    )
    method, encoding = form.get("method").lower(), form.get("enctype").lower()
    sent = encoded(page, page.fill("Zo\u00eb", ["2", "0.5"], "mul"))
    # Browsers know two other encodings; everything else means this one.
    content_type = encoding if encoding in ("multipart/form-data", "text/plain") else FORM_TYPE
    if method == "post":
        reply = cgi.post(sent.encode(), content_type=content_type, query=urlsplit(address).query)
    else:
        reply = cgi.get(sent)
    expect_kept(reply, "Zo\u00eb", ["2", "0.5"], "mul")
    expect_result(reply, "1")


def _leads_to(script_name: str, address: str) -> bool:
    """Whether a request for this address starts the program."""
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return False
    path = unquote(parts.path)
    return host in ("localhost", "127.0.0.1") and (path == script_name or path.startswith(script_name + "/"))


@check("whole/error-pages", points=1, source="kit rule")
def test_every_error_is_a_page(cgi: CgiTarget) -> None:
    """Every reply with a status of 400 or more is a whole page (doctype, title, viewport, form) and an error, as text.

    README, "Methods": all 4xx replies are pages too, with two inputs for numbers or more: a person wants to go on.
    """
    body = b"operand=1&operand=2&operation=add"
    mistakes = {
        CgiRequest(query=f"user={AS_IT_STANDS}%zz"): 400,
        CgiRequest(query=query("add", "1")): 400,
        CgiRequest(ELSEWHERE): 405,
        post_request(body, content_length=OMIT): 411,
        post_request(b"", content_length="8193"): 413,
        post_request(body, f"application/json;{ELSEWHERE}"): 415,
        post_request(body, content_length=ELSEWHERE): 400,
    }
    for reply, status in zip(cgi.run_all(list(mistakes)), mistakes.values(), strict=True):
        expect(reply).status(status)
        expect_document(reply)
        expect_phone(reply)
        expect_form(reply)
        expect_error(reply)
        with because(
            'README, "The page": what you show of a request is escaped, also its method, type and query string'
        ):
            expect_no_intruders(reply)


NAMES = st.sampled_from(["user", "operand", "operand", "operation", "x", "", "%6fperand", "a%ff", "%"])
SCRAPS = st.sampled_from(
    ["1", "2.5", "0", "add", "div", "%2B1", "1e5", "%", "%e2%82%ac", "%80", "=", "&&", "+", "%00", "nan"]
)
STRANGE_QUERIES = st.lists(st.tuples(NAMES, st.lists(SCRAPS, max_size=2).map("".join)), max_size=5).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)


@check("whole/strangers", points=1, source="kit rule", needs=("query/accepted",))
@fuzz(
    share=0.02,
    queries=st.lists(STRANGE_QUERIES | st.text(" !%&+=;'\"<>e0", max_size=12).map(encode), min_size=2, max_size=2),
    bodies=st.lists(st.binary(max_size=24) | STRANGE_QUERIES.map(str.encode), min_size=1, max_size=1),
)
def test_strangers_get_an_answer(cgi: CgiTarget, queries: list[str], bodies: list[bytes]) -> None:
    """Whatever is sent, the reply is a page with status 200 or 400, never a traceback.

    README, "The reply": what strangers send may be wrong in any way; it is their mistake, so never a status of 500.
    """
    requests = [CgiRequest(query=query) for query in queries] + [post_request(body) for body in bodies]
    for reply in cgi.run_all(requests):
        expect(reply).status(200, 400).body_lacks("Traceback (most recent call last)")
        expect(reply).header_that("Content-Type", lambda value: value.lower().startswith("text/html"), "text/html")
