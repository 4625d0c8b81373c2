"""What strangers send to the whole calculator."""

from __future__ import annotations

from urllib.parse import urlencode

from hypothesis import strategies as st

from grader.checks.cgi_calculator.pages import Page, expect_kept, expect_result, read_page
from grader.checks.cgi_calculator.questions import encode, query
from grader.engine import check, expect, fuzz
from grader.target.cgi import FORM_TYPE, CgiRequest, CgiTarget, post_request

MARKUP = ('"><kit-mark>', "'><kit-mark>", "</form><kit-mark a='", "&lt;kit-mark&gt;", "<script>kit()</script>", "<!--")


@check("whole/escaped", points=2, source="kit rule")
def test_markup_stays_text(cgi: CgiTarget) -> None:
    """Markup in any field stays text: no tag comes of it, and the form keeps it as typed."""
    requests = [CgiRequest(query=query("add", text, "1" + text, user=text)) for text in MARKUP]
    requests += [CgiRequest(query=query(MARKUP[0], "1", "2")), CgiRequest(query=query("add", "1", "2", user=MARKUP[0]))]
    replies = cgi.run_all(requests)
    for reply in replies:
        expect(reply).that(not tags_of(read_page(reply)), expected="a page without a tag from the request")
    for text, reply in zip(MARKUP, replies, strict=False):
        expect_kept(reply, text, [text, "1" + text], "add")


def tags_of(page: Page) -> list[str]:
    """The tags that came from the request."""
    return [e.tag for e in page.elements if e.tag == "kit-mark" or (e.tag == "script" and "kit()" in e.text)]


@check("whole/form-works", points=2, source="kit rule")
def test_the_form_on_the_page_works(cgi: CgiTarget) -> None:
    """The form, filled in and sent as a browser does, gives the result."""
    start = cgi.get()
    page = read_page(start)
    forms = page.all("form")
    expect(start).that(bool(forms), expected="a page with a <form>")
    method, encoding = forms[0].get("method").lower(), forms[0].get("enctype").lower()
    sent = urlencode(page.fill("Ann", ["2", "0.5"], "mul"))
    # Browsers know two other encodings; everything else means this one.
    content_type = encoding if encoding in ("multipart/form-data", "text/plain") else FORM_TYPE
    reply = cgi.post(sent.encode(), content_type=content_type) if method == "post" else cgi.get(sent)
    expect_kept(reply, "Ann", ["2", "0.5"], "mul")
    expect_result(reply, "1")


NAMES = st.sampled_from(["user", "operand", "operand", "operation", "x", "", "%6fperand", "a%ff", "%"])
SCRAPS = st.sampled_from(
    ["1", "2.5", "0", "add", "div", "%2B1", "1e5", "%", "%e2%82%ac", "%80", "=", "&&", "+", "%00", "nan"]
)
STRANGE_QUERIES = st.lists(st.tuples(NAMES, st.lists(SCRAPS, max_size=2).map("".join)), max_size=5).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)


@check("whole/strangers", points=2, source="kit rule", needs=("page/hello",))
@fuzz(
    share=0.05,
    queries=st.lists(STRANGE_QUERIES | st.text(" !%&+=;'\"<>e0", max_size=12).map(encode), min_size=2, max_size=4),
    bodies=st.lists(st.binary(max_size=24) | STRANGE_QUERIES.map(str.encode), min_size=1, max_size=2),
)
def test_strangers_get_an_answer(cgi: CgiTarget, queries: list[str], bodies: list[bytes]) -> None:
    """Whatever is sent, the reply is a page with status 200 or 400, never a traceback."""
    requests = [CgiRequest(query=query) for query in queries] + [post_request(body) for body in bodies]
    for reply in cgi.run_all(requests):
        expect(reply).status(200, 400).body_lacks("Traceback (most recent call last)")
        expect(reply).header_that("Content-Type", lambda value: value.lower().startswith("text/html"), "text/html")
