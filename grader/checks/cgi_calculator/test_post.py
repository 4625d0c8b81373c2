"""A form in the body of a POST."""

from __future__ import annotations

from grader.checks.cgi_calculator.pages import expect_arrival, expect_result
from grader.checks.cgi_calculator.questions import form, query
from grader.engine import check, expect
from grader.target.cgi import FORM_TYPE, OMIT, CgiTarget, post_request
from grader.target.function import Module

FORM = form("add", "11", "7")
BAD_LENGTHS = ("-1", "+33", "3_3", "ten", "33.0", "0x21", "33 33", "\uff13")
LIMIT = 8192


@check("post/type", points=1, source="RFC 9110 section 8.3.1")
def test_the_form_type_is_recognised(module: Module) -> None:
    """is_form() knows the form type in any case, with or without parameters, and nothing else."""
    for text in (
        FORM_TYPE,
        FORM_TYPE.upper(),
        FORM_TYPE + "; charset=UTF-8",
        FORM_TYPE + ";a=b;c=d",
        FORM_TYPE + " ; x=y",
    ):
        expect(module.call("is_form", text)).returns(True)
    for text in (
        "",
        "text/plain",
        "application/json; x=" + FORM_TYPE,
        FORM_TYPE + "x",
        "multipart/form-data",
        "x" + FORM_TYPE,
    ):
        expect(module.call("is_form", text)).returns(False)


@check("post/length", points=1, source="RFC 3875 section 4.1.2")
def test_the_length_is_judged(module: Module) -> None:
    """body_length() takes 0 to 8192, and raises HttpError 411, 400 or 413 for what is missing, malformed or above."""
    for text, length in (("0", 0), ("33", 33), (str(LIMIT), LIMIT), ("0033", 33)):
        expect(module.call("body_length", text)).returns(length)
    for missing in (None, ""):
        expect(module.call("body_length", missing)).raises("HttpError", status=411)
    for text in BAD_LENGTHS:
        expect(module.call("body_length", text)).raises("HttpError", status=400)
    for text in (str(LIMIT + 1), "9" * 30, "9" * 5000):
        expect(module.call("body_length", text)).raises("HttpError", status=413)


@check("post/form", points=2, source="kit rule")
def test_a_posted_form_is_answered(cgi: CgiTarget) -> None:
    """A form in the body gets the same answer as in the query string."""
    expect_result(cgi.post(form("add", "10", "2.5", user="Ann")), "12.5")


@check("post/open-input", points=2, source="RFC 3875 section 4.2", needs=("post/form",))
def test_the_end_of_the_input_is_not_waited_for(cgi: CgiTarget) -> None:
    """The program answers while standard input is still open: it reads CONTENT_LENGTH bytes, not to the end."""
    expect_result(cgi.post(FORM, hold_stdin=True), "18")


@check("post/rest", points=1, source="RFC 3875 section 4.2", needs=("post/form",))
def test_what_follows_the_body_is_not_read(cgi: CgiTarget) -> None:
    """Bytes after CONTENT_LENGTH are no part of the form."""
    body = form("add", "11", "7") + b"&operand=100"
    expect_result(cgi.post(body, content_length=str(len(body) - len(b"&operand=100"))), "18")


@check("post/query", points=1, source="kit rule", needs=("post/form",))
def test_a_posted_form_ignores_the_query(cgi: CgiTarget) -> None:
    """With POST the query string is ignored, even a malformed one."""
    for reply in cgi.run_all([post_request(FORM, query=text) for text in (query("add", "1", "2"), "user=%zz")]):
        expect_result(reply, "18")


@check("post/parameters", points=1, source="RFC 9110 section 8.3.1", needs=("post/form",))
def test_the_type_may_have_parameters(cgi: CgiTarget) -> None:
    """The media type counts in upper and lower case, with or without parameters."""
    types = ("Application/X-WWW-Form-URLencoded", FORM_TYPE + "; charset=UTF-8")
    for reply in cgi.run_all([post_request(FORM, content_type) for content_type in types]):
        expect_result(reply, "18")


@check("post/empty", points=1, source="kit rule", needs=("post/form",))
def test_an_empty_body_is_an_arrival(cgi: CgiTarget) -> None:
    """A body of length 0 is an empty form: status 200, no result, no error."""
    expect_arrival(cgi.post(b""))


@check("post/other-type", points=1, source="kit rule", needs=("post/form",))
def test_another_type_is_refused(cgi: CgiTarget) -> None:
    """A body of another type, or of none, gets status 415."""
    types = ("application/json", "text/plain", "multipart/form-data; boundary=x", OMIT)
    for reply in cgi.run_all([post_request(FORM, content_type) for content_type in types]):
        expect(reply).status(415)


@check("post/no-length", points=1, source="kit rule", needs=("post/form",))
def test_a_missing_length_is_refused(cgi: CgiTarget) -> None:
    """A POST whose CONTENT_LENGTH is missing or empty gets status 411."""
    for reply in cgi.run_all([post_request(FORM, content_length=length) for length in (OMIT, "")]):
        expect(reply).status(411)


@check("post/bad-length", points=1, source="kit rule", needs=("post/form",))
def test_a_malformed_length_is_refused(cgi: CgiTarget) -> None:
    """A CONTENT_LENGTH that is anything but digits gets status 400."""
    for reply in cgi.run_all([post_request(FORM, content_length=text) for text in ("-1", "+33", "3_3", "ten")]):
        expect(reply).status(400)


@check("post/too-large", points=1, source="kit rule", needs=("post/form",))
def test_a_large_body_is_refused_unread(cgi: CgiTarget) -> None:
    """8192 bytes are fine; more get status 413 at once, without waiting for the body."""
    padding = b"&" * (LIMIT - len(FORM))
    lengths = (str(LIMIT + 1), "9" * 20)
    large = [post_request(b"operand=1", content_length=length, hold_stdin=True) for length in lengths]
    fine, *refused = cgi.run_all([post_request(FORM + padding), *large])
    expect_result(fine, "18")
    for reply in refused:
        expect(reply).status(413)


@check("post/short", points=1, source="kit rule", needs=("post/form",))
def test_a_short_body_is_refused(cgi: CgiTarget) -> None:
    """A body that ends before CONTENT_LENGTH bytes gets status 400."""
    for reply in cgi.run_all([post_request(body, content_length=str(len(body) + 1)) for body in (FORM, b"")]):
        expect(reply).status(400)
