"""The reply as bytes: what cgi_response() returns."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from grader.checks.cgi_calculator.claims import is_html_in_utf_8
from grader.engine import check, expect, fuzz
from grader.engine.alphabets import any_text
from grader.target.cgi import CgiReply, CgiRequest, parse_reply
from grader.target.function import Module


def response(module: Module, status: int, html: str, *headers: dict[str, str]) -> CgiReply:
    """What cgi_response() returns, read as a web server reads it."""
    called = module.call("cgi_response", status, html, *headers)
    expect(called).returns_that(lambda value: isinstance(value, bytes), "it returns bytes")
    raw: Any = getattr(called, "value", b"")
    call = f"cgi_response({', '.join(map(repr, (status, html, *headers)))})"
    return parse_reply(CgiRequest(), raw, "", call)


@check("response/status", points=1, source="RFC 3875 section 6.3.3")
def test_the_status_field_has_the_number(module: Module) -> None:
    """The Status field says the status.

    The web server makes the status line of the HTTP reply from it; the digits count, the words are up to you.
    """
    for status in (200, 400, 405, 411, 413, 415):
        reply = response(module, status, "<p>Hi")
        expect(reply).header_that("Status", lambda value, code=status: value.startswith(str(code)), f"{status} ...")  # type: ignore[misc]


@check("response/content-type", points=1, source="RFC 3875 section 6.3.1")
def test_the_content_type_is_html_in_utf_8(module: Module) -> None:
    """Content-Type is text/html with the charset utf-8.

    Without text/html a browser shows markup as text or offers to save it; without the charset it guesses the encoding.
    """
    expect(response(module, 200, "<p>Hi")).header_that("Content-Type", is_html_in_utf_8, "text/html; charset=utf-8")


@check("response/page", points=1, source="RFC 3875 section 6.2")
@fuzz(share=0.3, html=any_text(max_size=30) | st.sampled_from(["", "\n\n<p>after two lines", "a: b\r\n\r\nc"]))
def test_the_page_follows_the_empty_line(module: Module, html: str) -> None:
    """After the empty line comes the page in UTF-8, and nothing else.

    The first empty line ends the headers; every byte after it is the body, also what looks like a header.
    """
    reply = response(module, 200, html)
    expect(reply).body(html.encode("utf-8"))


@check("response/extra-headers", points=1, source="RFC 3875 section 6.3")
def test_extra_headers_are_sent(module: Module) -> None:
    """Extra headers stand beside Status and Content-Type.

    The server passes other headers on to the browser; a reply with status 405 needs one of them, Allow.
    """
    reply = response(module, 405, "<p>No", {"Allow": "GET", "X-Reason": "because"})
    expect(reply).header("Allow", "GET").header("X-Reason", "because").header("Status").header("Content-Type")
