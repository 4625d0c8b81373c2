#!/usr/bin/env python3
"""A calculator behind CGI.

The web server starts this program afresh for every request (RFC 3875):

    request --server--> environment variables + standard input
                            |
                   split_pairs -> read_fields -> parse_number -> calculate -> format_number
                            |
    reply  <--server--  standard output:  headers, a blank line, an HTML page

Try it without any server:

    QUERY_STRING='operand=11&operand=7&operation=sub' python cgi_calc.py
"""

from __future__ import annotations

import os
import sys
from fractions import Fraction

MAX_USER = 100  # characters
MIN_OPERANDS, MAX_OPERANDS = 2, 10
MAX_OPERAND = 100  # characters
MAX_EXPONENT = 100  # as typed: 1e100 and 1e-100 are allowed
MAX_BODY = 8192  # bytes
ROUNDED_DIGITS = 30  # significant digits of a quotient that never ends, such as 1/3

# With these limits no result has more digits than this, so a quotient that needs more never ends.
EXACT_DIGITS = 5000

FORM_TYPE = "application/x-www-form-urlencoded"
METHODS = ("GET", "HEAD", "POST")
OPERATIONS = {"add": "+", "sub": "&minus;", "mul": "&times;", "div": "&divide;"}
REASONS = {
    200: "OK",
    400: "Bad Request",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    415: "Unsupported Media Type",
}

# What no page may hold, not even as a character reference: control characters and noncharacters (HTML Living
# Standard, section 13.2.3.5). A table for str.translate().
NOT_IN_HTML = dict.fromkeys(
    [*range(0x09), 0x0B, *range(0x0E, 0x20), *range(0x7F, 0xA0), *range(0xFDD0, 0xFDF0)]
    + [plane + last for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)],
    "\ufffd",
)

LAST_RESORT = b"""\
Status: 500 Internal Server Error\r
Content-Type: text/plain; charset=utf-8\r
\r
The calculator broke. What happened is in the server's error log.
"""

STYLE = """
:root { color-scheme: light dark;
  --ink: #1d2433; --paper: #f4f5f9; --card: #fff; --line: #cfd4e0; --go: #2f5bea; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebf4; --paper: #12151d; --card: #1c212d; --line: #3a4254; --go: #3b63f0; }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.5 system-ui, sans-serif; }
main { max-width: 26rem; margin: 4vh auto; padding: 1.5rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 1rem; overflow-wrap: anywhere; }
h1 { margin: 0 0 1rem; font-size: 1.375rem; }
label, legend { display: block; margin: .75rem 0 .25rem; padding: 0; font-weight: 600; }
fieldset { margin: 0; padding: 0; border: 0; min-width: 0; }
[type=text] { width: 100%; margin-bottom: .5rem; padding: .625rem .75rem; font: inherit; color: inherit;
  background: var(--paper); border: 1px solid var(--line); border-radius: .5rem; }
.choices { display: grid; grid-template-columns: repeat(4, 1fr); gap: .5rem; }
.choices label { position: relative; margin: 0; padding: .375rem; text-align: center; font-size: 1.375rem;
  border: 1px solid var(--line); border-radius: .5rem; cursor: pointer; }
.choices input { position: absolute; inset: 0; opacity: 0; cursor: pointer; }
.choices label:has(:checked) { background: var(--go); border-color: var(--go); color: #fff; }
:focus-visible, label:has(:focus-visible) { outline: 3px solid var(--go); outline-offset: 2px; }
button { width: 100%; margin-top: 1.25rem; padding: .75rem; font: inherit; font-weight: 600; color: #fff;
  background: var(--go); border: 0; border-radius: .5rem; cursor: pointer; }
.answer { margin: 0 0 1rem; font-size: 1.75rem; font-weight: 700; }
.error { margin: 0 0 1rem; padding: .75rem; border-left: .25rem solid #d33; background: #d3333322; }
"""


class HttpError(Exception):
    """A request that cannot be answered with 200.

    status   for example 400
    message  a sentence for the person who sent the request, plain text
    headers  extra headers of the reply, for example {"Allow": "GET, HEAD, POST"}
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.headers = headers or {}


# --- step response -----------------------------------------------------------------------------


def cgi_response(status: int, html: str, headers: dict[str, str] | None = None) -> bytes:
    r"""Put the headers, a blank line and the page into the bytes that the web server reads.

    Given    the status (one of REASONS), the page, and perhaps extra headers such as {"Allow": "GET"}.
    Returns  a "Status" header with the number and its reason, a "Content-Type" header that says
             text/html and charset=utf-8, the extra headers, an empty line, then the page in UTF-8.
             Lines end with "\r\n" or "\n", as you like. No other header is needed.

    cgi_response(200, "<p>Hi") -> b"Status: 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hi"

    RFC 3875 sections 6.2 and 6.3
    """
    # TODO(response): write cgi_response(), as the docstring says.
    raise NotImplementedError("step response: cgi_response() is yours to write")


# --- step page ---------------------------------------------------------------------------------


def escape(text: str) -> str:
    """Make text safe between tags and between the quotes of an attribute.

    Given    any text.
    Returns  the text in which & < > " and ' have become character references. Any spelling that
             HTML knows is right: &#39; &#x27; and &apos; are the same character.
             text.translate(NOT_IN_HTML) first: it puts U+FFFD where no page may hold the character.

    escape('<b> & "c"') -> '&lt;b&gt; &amp; &quot;c&quot;'

    HTML Living Standard, section 13.1.4 "Character references"
    """
    # TODO(page): write escape(), as the docstring says.
    raise NotImplementedError("step page: escape() is yours to write")


def page(user: str, operands: list[str], operation: str, result: str = "", error: str = "") -> str:
    """Write the whole HTML document: the form, and above it the result or the error.

    Given    what was typed into the form ("" and [] for an empty form), the result and the error
             ("" for none). All of it is plain text that a stranger may have chosen: escape() it.
    Returns  a document that begins with <!DOCTYPE html> and holds
             - in the head, a <title> and <meta name="viewport" content="width=device-width, ...">;
             - a <form> with a text input called "user", two or more text inputs called "operand",
               and "operation" as a <select> or as radio buttons with the values add, sub, mul, div;
             - in the form, a <button> that sends it;
             - in the form, everything that was typed: each operand in an input of its own, in order;
             - only with a result: an element with id="result" whose text is the result;
             - only with an error: an element with id="error" and role="alert" whose text is the error.
             STYLE is there for you to put into a <style> element, or replace it with your own.

    page("jdoe", ["1", "2"], "add", result="3") holds '<input ... name="user" ... value="jdoe">',
    two operand inputs with the values 1 and 2, the choice "add", and '<output id="result">3</output>'.
    """
    # TODO(page): write page(), as the docstring says.
    raise NotImplementedError("step page: page() is yours to write")


# --- step query --------------------------------------------------------------------------------


def percent_decode(raw: bytes) -> str:
    """Undo the encoding of one name or one value.

    Given    the bytes between "&", "=" and "&".
    Returns  the text: "+" is a space, then "%" and two hex digits (either case) are one byte, every
             other byte is itself; together the bytes are UTF-8.
    Raises   HttpError 400 when a "%" is not followed by two hex digits, when the bytes are not
             UTF-8, or when the text holds a control character (U+0000 to U+001F, or U+007F).

    percent_decode(b"J%C3%B6rg+%2b+1") -> "Jörg + 1"

    RFC 3986 section 2.1; WHATWG URL Standard, section 5.1
    """
    # TODO(query): write percent_decode(), as the docstring says.
    raise NotImplementedError("step query: percent_decode() is yours to write")


def split_pairs(raw: bytes) -> list[tuple[str, str]]:
    """Take a query string or a form body apart, in order.

    Given    bytes such as b"operand=1&operand=2".
    Returns  a (name, value) tuple for each piece between "&" characters, both decoded by
             percent_decode(). The first "=" ends the name; without "=" the value is "". Empty
             pieces are skipped. Repeated names stay, every one in its place.
    Raises   HttpError 400, as percent_decode() does.

    split_pairs(b"a=1&a=2=3&b&&c=") -> [("a", "1"), ("a", "2=3"), ("b", ""), ("c", "")]
    """
    # TODO(query): write split_pairs(), as the docstring says.
    raise NotImplementedError("step query: split_pairs() is yours to write")


def read_fields(pairs: list[tuple[str, str]]) -> tuple[str, list[str], str]:
    """Pick the calculator's three fields out of the pairs.

    Given    what split_pairs() returns.
    Returns  (user, operands, operation). Spaces at both ends of a value are dropped; a value that
             is empty then counts as not sent. What was not sent is "" or []. Other names are ignored.
             Names count exactly as written: "Operand" is another name.
    Raises   HttpError 400 when user or operation was sent twice, or user is longer than MAX_USER.

    read_fields([("operand", " 1 "), ("x", "9"), ("operand", ""), ("operation", "add"), ("operand", "2")])
    -> ("", ["1", "2"], "add")
    """
    # TODO(query): write read_fields(), as the docstring says.
    raise NotImplementedError("step query: read_fields() is yours to write")


# --- step numbers ------------------------------------------------------------------------------


def parse_number(text: str) -> Fraction:
    """Read one operand, exactly.

    Given    the text of an operand, without spaces at its ends.
    Returns  its value as a Fraction. A number is: perhaps a sign (+ or -); then digits, perhaps with
             one point among them, before them or after them; then perhaps an exponent: e or E,
             perhaps a sign, digits. Digits are 0 to 9 only, and at least one must stand before the
             exponent.
    Raises   HttpError 400 for anything else, for text longer than MAX_OPERAND, and for an exponent
             above MAX_EXPONENT or below -MAX_EXPONENT.

    parse_number("-0.10") -> Fraction(-1, 10)     parse_number("2.5e3") -> Fraction(2500)
    """
    # TODO(numbers): write parse_number(), as the docstring says.
    raise NotImplementedError("step numbers: parse_number() is yours to write")


def format_number(value: Fraction) -> str:
    """Write a result.

    Given    any Fraction that calculate() returns.
    Returns  its decimal form, never with an exponent: integers as digits alone, others with at least
             one digit before the point and no zeros at the end. "-" in front of what is below zero;
             zero is "0". Exact whenever the decimal form ends; one that never ends, such as 1/3, is
             rounded to the nearest number with ROUNDED_DIGITS significant digits.

    format_number(Fraction(-5, 2)) -> "-2.5"
    format_number(Fraction(2, 3)) -> "0.666666666666666666666666666667"
    """
    # TODO(numbers): write format_number(), as the docstring says.
    raise NotImplementedError("step numbers: format_number() is yours to write")


# --- step arithmetic ---------------------------------------------------------------------------


def calculate(operation: str, operands: list[Fraction]) -> Fraction:
    """Work from left to right: the first operand, then one operation with each of the others.

    Given    the operation as it was sent ("" when it was not) and the operands in their order.
    Returns  the exact result.
    Raises   HttpError 400 when the operation is not one of add, sub, mul, div (spelled so), when there
             are fewer operands than MIN_OPERANDS or more than MAX_OPERANDS, or on division by zero.

    calculate("sub", [Fraction(10), Fraction(2), Fraction(3)]) -> Fraction(5)
    calculate("div", [Fraction(1), Fraction(4)]) -> Fraction(1, 4)
    """
    # TODO(arithmetic): write calculate(), as the docstring says.
    raise NotImplementedError("step arithmetic: calculate() is yours to write")


# --- step post ---------------------------------------------------------------------------------


def is_form(content_type: str) -> bool:
    """Tell whether a body is a form that this program can read.

    Given    CONTENT_TYPE, "" when there is none.
    Returns  True for FORM_TYPE in any mix of upper and lower case, with or without parameters after
             a ";" (spaces around the ";" do not matter). False for everything else.

    is_form("Application/X-WWW-Form-URLencoded; charset=UTF-8") -> True
    is_form("application/json") -> False

    RFC 9110 section 8.3.1
    """
    # TODO(post): write is_form(), as the docstring says.
    raise NotImplementedError("step post: is_form() is yours to write")


def body_length(text: str | None) -> int:
    """Read CONTENT_LENGTH.

    Given    the variable's text, None when it is not set.
    Returns  the number of bytes, 0 to MAX_BODY.
    Raises   HttpError 411 when it is not set or empty, 400 when it is anything but the digits 0 to 9,
             413 when it is above MAX_BODY, however long the number is.

    body_length("33") -> 33

    RFC 3875 section 4.1.2
    """
    # TODO(post): write body_length(), as the docstring says.
    raise NotImplementedError("step post: body_length() is yours to write")


def read_body(length: int) -> bytes:
    """Read exactly length bytes from standard input, and never wait for its end.

    Given    what body_length() returned.
    Returns  that many bytes of sys.stdin.buffer. Whatever follows them stays unread.
    Raises   HttpError 400 when standard input ends before, is closed (then sys.stdin is None) or cannot
             be read (OSError).

    The server may hold standard input open after the body: reading "all of it" would wait for ever.

    RFC 3875 section 4.2
    """
    # TODO(post): write read_body(), as the docstring says.
    raise NotImplementedError("step post: read_body() is yours to write")


# --- step methods ------------------------------------------------------------------------------


def refuse_method(method: str) -> HttpError:
    """Make the error for a method that is not in METHODS.

    Given    the method, for example "PUT".
    Returns  an HttpError (it is the caller who raises it) with status 405, a message, and the headers
             {"Allow": "GET, HEAD, POST"}.

    RFC 9110 section 15.5.6
    """
    # TODO(methods): write refuse_method(), as the docstring says.
    raise NotImplementedError("step methods: refuse_method() is yours to write")


def head_only(response: bytes) -> bytes:
    r"""Keep the headers of a response and drop its body, as the method HEAD wants it.

    Given    what cgi_response() returns.
    Returns  everything up to and including the empty line.

    head_only(b"Status: 200 OK\r\n\r\n<p>Hi") -> b"Status: 200 OK\r\n\r\n"
    head_only(b"Status: 200 OK\n\n<p>Hi") -> b"Status: 200 OK\n\n"

    RFC 3875 section 4.3.3
    """
    # TODO(methods): write head_only(), as the docstring says.
    raise NotImplementedError("step methods: head_only() is yours to write")


# --- the program: nothing to write from here on, but do read it -----------------------------------


def form_bytes(method: str, environ: dict[str, str]) -> bytes:
    """The form as it was sent: from the body with POST, from the query string with GET and HEAD."""
    if method not in METHODS:
        raise refuse_method(method)
    if method != "POST":
        return os.fsencode(environ.get("QUERY_STRING", ""))
    if not is_form(environ.get("CONTENT_TYPE", "")):
        raise HttpError(415, f"A form must be sent as {FORM_TYPE}.")
    return read_body(body_length(environ.get("CONTENT_LENGTH")))


def answer(method: str, environ: dict[str, str]) -> bytes:
    """One request in, one response out."""
    user, operation, result = "", "", ""
    operands: list[str] = []
    try:
        form = form_bytes(method, environ)
        if form:
            user, operands, operation = read_fields(split_pairs(form))
        # Without these two, somebody has just arrived and has not pressed the button yet.
        if operands or operation:
            numbers = [parse_number(text) for text in operands]
            result = format_number(calculate(operation, numbers))
    except HttpError as error:
        html = page(user, operands, operation, error=error.message)
        return cgi_response(error.status, html, error.headers)
    return cgi_response(200, page(user, operands, operation, result))


def write(reply: bytes) -> None:
    """Hand the reply to the server. When nobody can take it, end without a word: there is nobody to tell."""
    if sys.stdout is None:
        sys.exit(1)
    # Bytes, not print(): on Windows a text stream would turn "\r\n" into "\r\r\n".
    stdout = sys.stdout.buffer
    try:
        stdout.write(reply)
        stdout.flush()
    except OSError:
        # Python tries once more at its end, and would complain: let it write into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        sys.exit(1)


def main() -> None:
    """Answer the one request that this process was started for."""
    # In os.environ bytes that are not UTF-8 stand as halves of surrogate pairs, which no page can hold.
    method = os.fsencode(os.environ.get("REQUEST_METHOD") or "GET").decode("utf-8", "replace")
    try:
        response = answer(method, dict(os.environ))
        write(head_only(response) if method == "HEAD" else response)
    except Exception:
        # The visitor gets a sentence; the traceback goes to standard error, the server's log.
        write(LAST_RESORT)
        raise


if __name__ == "__main__":
    main()
