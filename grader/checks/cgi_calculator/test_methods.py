"""HEAD, and the methods that the calculator does not answer."""

from __future__ import annotations

from grader.checks.cgi_calculator.questions import query
from grader.engine import because, check, expect
from grader.sandbox.child.plain import Record
from grader.target.cgi import CgiReply, CgiRequest, CgiTarget
from grader.target.function import Module


def allowed(value: str) -> set[str]:
    """The methods in an Allow field."""
    return {method.strip() for method in value.split(",")}


def expect_allow(reply: CgiReply) -> set[str]:
    """The methods that the Allow fields list: GET, HEAD, POST, and perhaps others."""
    # RFC 9110 section 5.3: several fields of one name are one list.
    fields = reply.headers.get_all("Allow")
    methods = allowed(", ".join(fields)) - {""}
    got = "; ".join(f"Allow: {value}" for value in fields)
    expect(reply).that({"GET", "HEAD", "POST"} <= methods, expected="the field Allow: GET, HEAD, POST", got=got)
    return methods


@check("methods/refuse", points=1, source="RFC 9110 section 15.5.6")
def test_the_error_names_the_methods(module: Module) -> None:
    """refuse_method() returns an HttpError 405 with a message and an Allow header.

    A reply with 405 MUST say in Allow which methods the resource does answer.
    """

    def complete(value: object) -> bool:
        if not isinstance(value, Record) or value.type != "HttpError":
            return False
        headers = value.attrs.get("headers")
        return (
            value.attrs.get("status") == 405
            and bool(value.attrs.get("message"))
            and isinstance(headers, dict)
            and allowed(headers.get("Allow", "")) == {"GET", "HEAD", "POST"}
        )

    expected = 'it returns, and does not raise, HttpError(405, a message, {"Allow": "GET, HEAD, POST"})'
    expect(module.call("refuse_method", "PUT")).returns_that(complete, expected)


@check("methods/head-only", points=1, source="RFC 3875 section 4.3.3")
def test_the_head_ends_with_the_empty_line(module: Module) -> None:
    """head_only() keeps everything up to the first empty line, and drops the rest.

    The headers end at the first empty line; a page may hold others. Its lines may end with \\n or \\r\\n.
    """
    for end in (b"\r\n", b"\n"):
        head = b"Status: 200 OK" + end + b"Content-Type: text/html; charset=utf-8" + end + end
        for body in (b"<p>Hi", b"", b"two\n\nlines\r\n\r\n"):
            expect(module.call("head_only", head + body)).returns(head)


@check("methods/head", points=2, source="RFC 3875 section 4.3.3", needs=("page/hello",))
def test_head_is_get_without_a_body(cgi: CgiTarget) -> None:
    """HEAD gets the status and headers of GET, and nothing after the empty line.

    With HEAD a client asks what GET would say of the page, without the page; a body would be taken for the next reply.
    """
    mistake = query("add", "1")
    got, head, arrival = cgi.run_all([CgiRequest(query=mistake), CgiRequest("HEAD", query=mistake), CgiRequest("HEAD")])
    expect(head).status(got.status)
    expect(arrival).status(200)
    for reply in (head, arrival):
        with because("a Content-Length of HEAD says how long the page of GET is (RFC 9110 section 9.3.2)"):
            length = reply.headers.get("Content-Length") or "none"
            expect(reply).that(length.strip("0") != "", expected="the Content-Length of GET, or none", got=length)
        expect(reply).header("Content-Type", *got.headers.get_all("Content-Type"))
        expect(reply).that(
            reply.body == b"", expected="nothing after the empty line", got=f"{len(reply.body)} bytes there"
        )


@check("methods/not-allowed", points=2, source="RFC 9110 section 15.5.6", needs=("page/hello",))
def test_other_methods_are_refused(cgi: CgiTarget) -> None:
    """Other methods get status 405 and a header Allow that lists GET, HEAD and POST.

    Methods are spelled in capitals: get is another. A reply with 405 MUST list in Allow what is answered, and no more.
    """
    others: set[str] = set()
    for reply in cgi.run_all([CgiRequest(method) for method in ("GETX", "OPTIONS", "get", "PUT")]):
        expect(reply).status(405)
        others |= expect_allow(reply) - {"GET", "HEAD", "POST"}
    for reply in cgi.run_all([CgiRequest(method) for method in sorted(others)[:20]]):
        method = reply.request.method
        listed = f"Allow lists {method}, and {method} gets status {reply.status}"
        expect(reply).that(reply.status != 405, expected="an Allow field without methods that get a 405", got=listed)
