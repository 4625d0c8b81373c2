"""The request line, as a function."""

from __future__ import annotations

from hypothesis import strategies as st

from grader.checks.socket_server.wire import VISIBLE, targets, tokens
from grader.engine import check, expect, fuzz
from grader.sandbox.worker import Returned
from grader.target.function import Module

# What is wrong -> how the line is built from method, target and version digit.
FAULTS = {
    "two spaces before the target": "{0}  {1} HTTP/1.{2}",
    "two spaces after the target": "{0} {1}  HTTP/1.{2}",
    "a tab for a space": "{0}\t{1} HTTP/1.{2}",
    "a space in front": " {0} {1} HTTP/1.{2}",
    "a space at the end": "{0} {1} HTTP/1.{2} ",
    "a space in the target": "{0} {1} x HTTP/1.{2}",
    "no version": "{0} {1}",
    "no target": "{0} HTTP/1.{2}",
    "no method": "{1} HTTP/1.{2}",
    "a lower-case version": "{0} {1} http/1.{2}",
    "another protocol": "{0} {1} ICE/1.{2}",
    "letters around the version": "{0} {1} XHTTP/1.{2}",
    "a version without a dot": "{0} {1} HTTP/1{2}",
    "a letter for the dot": "{0} {1} HTTP/1x{2}",
    "two digits after the dot": "{0} {1} HTTP/1.{2}0",
    "two digits before the dot": "{0} {1} HTTP/01.{2}",
    "no digit after the dot": "{0} {1} HTTP/1.",
    "a letter for a digit": "{0} {1} HTTP/1.x",
    "a method that is no token": "{0}( {1} HTTP/1.{2}",
    "a slash in the method": "{0}/x {1} HTTP/1.{2}",
    "a letter outside ASCII in the method": "{0}\xe9 {1} HTTP/1.{2}",
    "a letter outside ASCII in the target": "{0} {1}\xe9 HTTP/1.{2}",
    "a control character in the target": "{0} {1}\x01 HTTP/1.{2}",
    "DEL in the target": "{0} {1}\x7f HTTP/1.{2}",
    "CR in the line": "{0} {1}\r HTTP/1.{2}",
    "CR at the end": "{0} {1} HTTP/1.{2}\r",
    "LF at the end": "{0} {1} HTTP/1.{2}\n",
    "NUL at the end": "{0} {1} HTTP/1.{2}\0",
    "nothing at all": "",
}


@check("request-line/parts", points=1, source="RFC 9112 section 3")
@fuzz(share=0.7, method=tokens, target=targets, minor=st.integers(0, 9))
def test_the_parts_come_back(module: Module, method: str, target: str, minor: int) -> None:
    """parse_request_line() returns the method, the target and the version of every valid line.

    The first line alone says what is wanted, and in which version: method, one space, target, one space, HTTP/ and
    the version.
    """
    line = f"{method} {target} HTTP/1.{minor}".encode("ascii")
    expect(module.call("parse_request_line", line)).returns_sequence([method, target, (1, minor)])


@check("request-line/faults", points=1, source="RFC 9112 section 3")
@fuzz(share=0.8, fault=st.sampled_from(sorted(FAULTS)), method=tokens, target=st.text(VISIBLE, min_size=1, max_size=9))
def test_a_malformed_line_is_refused(module: Module, fault: str, method: str, target: str) -> None:
    """A request line with one thing wrong raises HttpError with status 400.

    Two readers who guess at a malformed line may guess differently, and act on two different requests. So it is
    refused.
    """
    expect(module.call("parse_request_line", b"GET / HTTP/1.1")).returns_sequence(["GET", "/", (1, 1)])
    line = FAULTS[fault].format(method, "/" + target, 1).encode("latin-1")
    expect(module.call("parse_request_line", line)).raises("HttpError", status=400)


@check("request-line/version", points=1, source="RFC 9110 section 2.5")
def test_another_major_version_is_505(module: Module) -> None:
    """A version that begins with another digit than 1 raises HttpError with status 505.

    Another major version is another language: what follows need not even be text.
    """
    expect(module.call("parse_request_line", b"GET / HTTP/1.1")).returns_sequence(["GET", "/", (1, 1)])
    for version in (b"HTTP/0.9", b"HTTP/2.0", b"HTTP/9.1"):
        expect(module.call("parse_request_line", b"GET / " + version)).raises("HttpError", status=505)


@check("request-line/bytes", points=1, source="kit rule")
@fuzz(share=0.6, line=st.binary(max_size=40) | st.binary(max_size=12).map(lambda some: b"GET /" + some + b" HTTP/1.1"))
def test_any_bytes_give_a_value_or_the_error(module: Module, line: bytes) -> None:
    """Whatever the bytes, parse_request_line() returns a value or raises HttpError, and nothing else.

    README, "Clients": whatever bytes come, there is an answer or the end. Any other exception would be a crash.
    """
    expect(module.call("parse_request_line", b"GET / HTTP/1.1")).returns_sequence(["GET", "/", (1, 1)])
    called = module.call("parse_request_line", line)
    if not isinstance(called, Returned):
        expect(called).raises("HttpError")
