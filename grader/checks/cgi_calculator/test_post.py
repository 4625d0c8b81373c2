"""A form in the body of a POST."""

from __future__ import annotations

from dataclasses import replace

from grader.checks.cgi_calculator.claims import expect_arrival, expect_kept, expect_result
from grader.checks.cgi_calculator.questions import form, query
from grader.engine import because, check, expect
from grader.target.cgi import FORM_TYPE, OMIT, CgiTarget, post_request
from grader.target.function import Module

FORM = form("add", "11", "7")
BAD_LENGTHS = ("-1", "-0", "+33", "3_3", "ten", "33.0", "0x21", "33 33", " 33 ", "\uff13", "\u00b2")
LIMIT = 8192


@check("post/type", points=1, source="RFC 9110 section 8.3.1")
def test_the_form_type_is_recognised(module: Module) -> None:
    """is_form() knows the form type in any case, with or without parameters, and nothing else.

    Media types compare without regard to case, and parameters after a ; do not change them.
    """
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
    """body_length() takes 0 to 8192, and raises HttpError 411, 400 or 413 for what is missing, malformed or above.

    CONTENT_LENGTH is decimal digits; int() also takes +33, 3_3 and other scripts, and fails on thousands of digits.
    """
    for text, length in (("0", 0), ("33", 33), (str(LIMIT), LIMIT), ("0" * 30 + "33", 33)):
        expect(module.call("body_length", text)).returns(length)
    for missing in (None, ""):
        expect(module.call("body_length", missing)).raises("HttpError", status=411)
    for text in BAD_LENGTHS:
        expect(module.call("body_length", text)).raises("HttpError", status=400)
    for text in (str(LIMIT + 1), "9" * 30, "9" * 5000):
        expect(module.call("body_length", text)).raises("HttpError", status=413)


@check("post/form", points=2, source="kit rule")
def test_a_posted_form_is_answered(cgi: CgiTarget) -> None:
    """A form in the body gets the same answer as in the query string.

    README, "A form in the body": a POST carries the same encoded fields, on standard input.
    """
    expect_result(cgi.post(form("add", "10", "2.5", user="Ann")), "12.5")


@check("post/open-input", points=1, source="RFC 3875 section 4.2", needs=("post/form",))
def test_the_end_of_the_input_is_not_waited_for(cgi: CgiTarget) -> None:
    """The program answers while standard input is still open: it reads CONTENT_LENGTH bytes, not to the end.

    A server need not close standard input after the body; who reads to its end may wait for ever.
    """
    expect_result(cgi.post(FORM, hold_stdin=True), "18")


@check("post/parts", points=1, source="RFC 3875 section 4.2", needs=("post/form",))
def test_a_body_may_come_in_parts(cgi: CgiTarget) -> None:
    """A body that arrives in two parts is read as a whole.

    A pipe has no borders between messages: one os.read() returns what has arrived by then, not what was asked for.
    """
    (reply,) = cgi.run_all([replace(post_request(FORM), first_part=len(FORM) // 2, hold_stdin=True)])
    expect_result(reply, "18")


@check("post/rest", points=1, source="RFC 3875 section 4.2", needs=("post/form",))
def test_what_follows_the_body_is_not_read(cgi: CgiTarget) -> None:
    """Bytes after CONTENT_LENGTH are no part of the form; all those before are.

    CONTENT_LENGTH says where the body ends; what follows it in the pipe belongs to nobody.
    """
    longer, line = cgi.run_all(
        [post_request(FORM + b"&operand=100", content_length=str(len(FORM))), post_request(FORM + b"\r\n")]
    )
    expect_result(longer, "18")
    with because('README, "The query string": control characters get status 400, also a line end at the end of a body'):
        expect(line).status(400)


@check("post/query", points=1, source="kit rule", needs=("post/form",))
def test_a_posted_form_ignores_the_query(cgi: CgiTarget) -> None:
    """With POST the query string is ignored, even a malformed one.

    README, "A form in the body": with POST the fields come from the body alone.
    """
    reply = cgi.post(b"user=Ann", query=query("add", "1", "2") + "&user=%zz")
    expect_arrival(reply)
    expect_kept(reply, "Ann", [], None)


@check("post/parameters", points=1, source="RFC 9110 section 8.3.1", needs=("post/form",))
def test_the_type_may_have_parameters(cgi: CgiTarget) -> None:
    """The media type counts in upper and lower case, with or without parameters.

    Media types compare without regard to case; after a ;, spaces around it or none, any parameter may follow.
    """
    expect_result(cgi.post(FORM, content_type="Application/X-WWW-Form-URLencoded ; a=b"), "18")


@check("post/empty", points=1, source="kit rule", needs=("post/form",))
def test_an_empty_body_is_an_arrival(cgi: CgiTarget) -> None:
    """A body of length 0 is an empty form: status 200, no result, no error.

    README, "A form in the body": nothing was typed, so nothing is wrong, and the query string is no part of the form.
    """
    expect_arrival(cgi.post(b"", query=query("add", "1", "2")))


@check("post/other-type", points=1, source="kit rule", needs=("post/form",))
def test_another_type_is_refused(cgi: CgiTarget) -> None:
    """A body of another type, or of none, gets status 415.

    README, "A form in the body": the type says how to read the bytes; bytes of another type are not guessed at.
    """
    types = ("text/plain; not=" + FORM_TYPE, "multipart/form-data; boundary=x", FORM_TYPE + "x", OMIT)
    for reply in cgi.run_all([post_request(FORM, content_type) for content_type in types]):
        expect(reply).status(415)


@check("post/no-length", points=1, source="kit rule", needs=("post/form",))
def test_a_missing_length_is_refused(cgi: CgiTarget) -> None:
    """A POST whose CONTENT_LENGTH is missing or empty gets status 411.

    README, "A form in the body": without a length nobody knows where the body ends.
    """
    for reply in cgi.run_all([post_request(FORM, content_length=length) for length in (OMIT, "")]):
        expect(reply).status(411)


@check("post/bad-length", points=1, source="kit rule", needs=("post/form",))
def test_a_malformed_length_is_refused(cgi: CgiTarget) -> None:
    """A CONTENT_LENGTH that is anything but digits gets status 400.

    README, "A form in the body": the digits 0 to 9 only; int() and str.isdigit() know more.
    """
    texts = ("-1", "-0", " 34 ", "\uff13\uff14")
    for reply in cgi.run_all([post_request(FORM, content_length=text) for text in texts]):
        expect(reply).status(400)


@check("post/too-large", points=1, source="kit rule", needs=("post/form",))
def test_a_large_body_is_refused_unread(cgi: CgiTarget) -> None:
    """8192 bytes are fine, also with zeros before the 8; more get status 413 at once, without waiting for the body.

    README, "A form in the body": a claimed length may have thousands of digits; zeros in front add nothing.
    """
    padding = b"&" * (LIMIT - len(FORM))
    lengths = (str(LIMIT + 1), "9" * 5000)
    large = [post_request(b"operand=1", content_length=length, hold_stdin=True) for length in lengths]
    longest, *refused = cgi.run_all([post_request(FORM + padding, content_length="0" * 30 + str(LIMIT)), *large])
    expect_result(longest, "18")
    for reply in refused:
        expect(reply).status(413)


@check("post/short", points=1, source="kit rule", needs=("post/form",))
def test_a_short_body_is_refused(cgi: CgiTarget) -> None:
    """A body that ends before CONTENT_LENGTH bytes gets status 400.

    README, "A form in the body": what was cut off on its way may lack a digit.
    """
    for reply in cgi.run_all([post_request(body, content_length=str(len(body) + 1)) for body in (FORM, b"")]):
        expect(reply).status(400)
