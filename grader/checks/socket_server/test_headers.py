"""Header fields, as functions."""

from __future__ import annotations

from hypothesis import strategies as st

from grader.checks.socket_server.wire import Fields, blanks, fields, tokens, values
from grader.engine import check, expect, fuzz
from grader.sandbox.worker import Returned
from grader.target.function import Module

FAULTS = {
    "a space before the colon": "{0} : {1}\r\n",
    "a tab before the colon": "{0}\t: {1}\r\n",
    "a space in the name": "{0} x: {1}\r\n",
    "no colon": "{0}\r\n",
    "an empty name": ": {1}\r\n",
    "a folded line": "{0}: {1}\r\n more\r\n",
    "a line folded with a tab": "{0}: {1}\r\n\tmore: x\r\n",
    "a space before the first name": " {0}: {1}\r\n",
    "LF for CRLF": "{0}: {1}\nx: y\r\n",
    "CR for CRLF": "{0}: {1}\rx: y\r\n",
    "CR in a value": "{0}: a\r{1}b\r\n",
    "NUL in a value": "{0}: a\0{1}b\r\n",
    "a control character in a value": "{0}: a\x0b{1}b\r\n",
    "DEL in a value": "{0}: {1}\x7f\r\n",
    "a letter outside ASCII in the name": "{0}\xe9: {1}\r\n",
    "a parenthesis in the name": "({0}): {1}\r\n",
    "no CRLF at the end": "{0}: {1}",
    "only LF at the end": "{0}: {1}\n",
    "an empty line": "{0}: {1}\r\n\r\nx: y\r\n",
}
BAD_HOSTS = (
    "a b", "a/b", "user@a", "a:b", "a:80:80", "a?b", "a#b", "[::1", "::1", "a\\b", "<a>", "a,b c", '"a"',
    "[]", "[a/b]", "[zz]", "a]b", "a%zz", "a%4", "\xe4", "[::1]x",
)  # fmt: skip
GOOD_HOSTS = ("localhost", "example.org:8080", "127.0.0.1", "[::1]:8080", "[::1]", "", "a-b.c_d", "EXAMPLE.org", "a:")


@check("headers/parts", points=1, source="RFC 9112 section 5")
@fuzz(share=0.8, pairs=fields, before=blanks, after=blanks)
def test_the_fields_come_back(module: Module, pairs: Fields, before: str, after: str) -> None:
    """parse_fields() returns names in lower case and values without the spaces and tabs around them, in order.

    Names mean the same in any case, spaces and tabs around a value mean nothing, and the order of equal names
    counts.
    """
    section = "".join(f"{name}:{before}{value}{after}\r\n" for name, value in pairs).encode("latin-1")
    expected = [(name.lower(), value) for name, value in pairs]
    expect(module.call("parse_fields", section)).returns_sequence(expected)


@check("headers/faults", points=1, source="RFC 9112 section 5")
@fuzz(fault=st.sampled_from(sorted(FAULTS)), name=tokens, value=values, first=st.booleans())
def test_a_malformed_field_is_refused(module: Module, fault: str, name: str, value: str, first: bool) -> None:
    """A header with one thing wrong raises HttpError with status 400.

    A header that two programs on the way read differently is how requests are smuggled, so nobody guesses: 400.
    """
    expect(module.call("parse_fields", b"A: b\r\n")).returns_sequence([("a", "b")])
    lines = FAULTS[fault].format(name, value)
    section = lines if first or fault == "a space before the first name" else "Host: a\r\n" + lines
    expect(module.call("parse_fields", section.encode("latin-1"))).raises("HttpError", status=400)


@check("headers/limit", points=1, source="kit rule")
def test_there_is_a_limit_to_the_number_of_fields(module: Module) -> None:
    """100 fields are fine; 101 raise HttpError with status 431.

    README, "Requests": there may be 100 fields. Without a limit one client could fill the memory.
    """
    lines = [f"x-{number}: {number}\r\n".encode() for number in range(101)]
    expected = [(f"x-{number}", str(number)) for number in range(100)]
    expect(module.call("parse_fields", b"".join(lines[:100]))).returns_sequence(expected)
    expect(module.call("parse_fields", b"".join(lines))).raises("HttpError", status=431)


@check("headers/bytes", points=1, source="kit rule")
@fuzz(share=0.5, section=st.binary(max_size=60) | st.binary(max_size=20).map(lambda some: b"a:" + some + b"\r\n"))
def test_any_bytes_give_fields_or_the_error(module: Module, section: bytes) -> None:
    """Whatever the bytes, parse_fields() returns a list or raises HttpError, and nothing else.

    README, "Clients": whatever bytes come, there is an answer or the end. Any other exception would be a crash.
    """
    expect(module.call("parse_fields", b"A: b\r\n")).returns_sequence([("a", "b")])
    called = module.call("parse_fields", section)
    if not isinstance(called, Returned):
        expect(called).raises("HttpError")


@check("headers/host", points=1, source="RFC 9112 section 3.2")
def test_a_proper_host_passes(module: Module) -> None:
    """check_host() lets a valid Host pass, and HTTP/1.0 without one.

    A host is a name, an IPv4 address or an IPv6 address in brackets; a name may hold any unreserved character (RFC
    3986 section 3.2.2).
    """
    for host in GOOD_HOSTS:
        expect(module.call("check_host", (1, 1), [("accept", "*/*"), ("host", host)])).returns(None)
    expect(module.call("check_host", (1, 0), [])).returns(None)


@check("headers/host-faults", points=1, source="RFC 9112 section 3.2")
def test_a_missing_repeated_or_invalid_host_is_refused(module: Module) -> None:
    """A Host that is missing (HTTP/1.1), repeated or invalid raises HttpError with status 400.

    Host names the site that is wanted. Two of them, or one that is none, could mean two sites to two programs.
    """
    expect(module.call("check_host", (1, 1), [("host", "localhost")])).returns(None)
    expect(module.call("check_host", (1, 1), [("accept", "*/*")])).raises("HttpError", status=400)
    for version in ((1, 0), (1, 1)):
        twice = [("host", "a"), ("host", "a")]
        expect(module.call("check_host", version, twice)).raises("HttpError", status=400)
    for host in BAD_HOSTS:
        expect(module.call("check_host", (1, 1), [("host", host)])).raises("HttpError", status=400)
