"""Claims about what a submission answered. A claim that does not hold raises Complaint with sent, expected and got.

    expect(reply).status(400).header("Content-Type", "text/html").body_lacks(b"Traceback")
    expect(module.call("parse_query", "a=1")).returns([("a", "1")])
    expect(module.call("parse_query", "%zz")).raises("BadRequest", status=400)
    expect.that(count == 3, expected="three answers", got=f"{count} answers")

The texts state what was expected and what came; they never guess at the mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NoReturn, Protocol, Self, overload

from grader.engine.contrast import Contrast, bytes_apart, contrast, loosen, shaped_like
from grader.engine.contrast import same as same
from grader.model import Complaint, Finding, Verdict
from grader.sandbox.worker import Raised, Returned
from grader.target.headers import Headers
from grader.target.transcript import TRANSCRIPT, offset_shown, show_bytes, show_value


@contextmanager
def because(why: str) -> Iterator[None]:
    """What is claimed inside has a reason of its own, not that of its check."""
    try:
        yield
    except Complaint as complaint:
        raise Complaint(replace(complaint.finding, why=complaint.finding.why or why), complaint.verdict) from None


class Reply(Protocol):
    """What CGI, HTTP and WSGI answers have in common."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def body(self) -> bytes: ...
    @property
    def raw(self) -> bytes: ...


class ReplyExpectation:
    """Claims about one answer; each returns itself, so that they chain."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def _fail(self, expected: str, got: str = "", caret: int | None = None) -> NoReturn:
        shown = got or show_bytes(self._reply.raw)
        sent = str(getattr(self._reply, "sent", "")) or TRANSCRIPT.last("sent")
        output = str(getattr(self._reply, "stderr", ""))
        raise Complaint(Finding(sent=sent, expected=expected, got=shown, caret=caret, output=output))

    def status(self, *allowed: int) -> Self:
        """The status is one of `allowed`."""
        if self._reply.status not in allowed:
            place = self._reply.raw.find(str(self._reply.status).encode())
            caret = offset_shown(self._reply.raw, place) if place >= 0 else None
            self._fail("status " + _either([str(code) for code in allowed]), caret=caret)
        return self

    def header(self, name: str, *allowed: str) -> Self:
        """The field is there; with `allowed`, its value is one of them (case ignored)."""
        values = self._reply.headers.get_all(name)
        if not values:
            self._fail(f"the field {name}" + (f": {_either(list(allowed))}" if allowed else ""))
        if allowed and not any(value.lower() == item.lower() for value in values for item in allowed):
            self._fail(f"{name}: {_either(list(allowed))}", f"{name}: {', '.join(values)}")
        return self

    def header_that(self, name: str, holds: Callable[[str], bool], expected: str) -> Self:
        """The field's first value fulfils a condition; `expected` says it in words."""
        value = self._reply.headers.get(name)
        if value is None:
            self._fail(f"the field {name}: {expected}")
        if not holds(value):
            self._fail(f"{name}: {expected}", f"{name}: {value}")
        return self

    def no_header(self, name: str) -> Self:
        """The field is absent."""
        if name in self._reply.headers:
            self._fail(f"no {name} field", f"{name}: {self._reply.headers.get(name)}")
        return self

    def body(self, content: bytes) -> Self:
        """The body is exactly `content`."""
        if self._reply.body != content:
            apart = bytes_apart(content, self._reply.body)
            self._fail(
                f"the body {apart.wanted} ({len(content)} bytes)" if content else "no body",
                f"{apart.got} ({len(self._reply.body)} bytes)",
                apart.caret,
            )
        return self

    def body_has(self, *parts: bytes | str) -> Self:
        """The body contains every part."""
        for part in map(_as_bytes, parts):
            if part not in self._reply.body:
                self._fail(f"a body with {show_bytes(part, 200)} in it")
        return self

    def body_lacks(self, *parts: bytes | str) -> Self:
        """The body contains none of the parts."""
        for part in map(_as_bytes, parts):
            place = self._reply.body.find(part)
            if place >= 0:
                shown = show_bytes(self._reply.body)
                self._fail(f"a body without {show_bytes(part, 200)}", shown, offset_shown(self._reply.body, place))
        return self

    def that(self, holds: bool, *, expected: str, got: str = "") -> Self:
        """Any other claim about this answer; `got` defaults to its raw bytes."""
        if not holds:
            self._fail(expected, got)
        return self


class CallExpectation:
    """Claims about one call of a function."""

    def __init__(self, called: Returned | Raised) -> None:
        self._called = called

    def returns(self, value: Any) -> Self:
        """It returned exactly this value: same type, same content (1 is not True, a list is no tuple)."""
        got = self._value(f"it returns {show_value(value)}")
        if not same(got, value):
            _fail_apart(contrast(value, got))
        return self

    def returns_sequence(self, values: list[Any]) -> Self:
        """It returned these items in this order, as a list or a tuple, its items lists or tuples likewise."""
        got = self._value(f"it returns {show_value(values)}")
        if not isinstance(got, (list, tuple)) or not same(loosen(got), loosen(values)):
            _fail_apart(contrast(shaped_like(values, got), got))
        return self

    def returns_that(self, holds: Callable[[Any], bool], expected: str) -> Self:
        """What it returned fulfils a condition; `expected` says it in words."""
        got = self._value(expected)
        if not holds(got):
            _fail_value(expected, _returned(got))
        return self

    def raises(self, name: str, **attrs: Any) -> Self:
        """It raised the exception `name` (or a subclass), with these attributes."""
        wanted = name + "".join(f", {key} {value!r}" for key, value in attrs.items())
        if isinstance(self._called, Returned):
            _fail_value(f"it raises {wanted}", _returned(self._called.value))
        found = self._called.attrs or {}
        if name not in self._called.mro:
            self._fail_raised(f"it raises {wanted}")
        for key, value in attrs.items():
            if not same(found.get(key), value):
                _fail_value(f"it raises {wanted}", f"{self._called.type} with {key} {show_value(found.get(key))}")
        return self

    def _value(self, expected: str) -> Any:
        if isinstance(self._called, Raised):
            self._fail_raised(expected)
        return self._called.value

    def _fail_raised(self, expected: str) -> NoReturn:
        assert isinstance(self._called, Raised)
        got = f"it raised {self._called.type}: {self._called.message}"
        raise Complaint(Finding(TRANSCRIPT.last("sent"), expected, got.rstrip(": "), frames=self._called.frames))


class Expect:
    """expect(x) starts a chain of claims about x; expect.that and expect.fail stand alone."""

    @overload
    def __call__(self, subject: Returned | Raised) -> CallExpectation: ...
    @overload
    def __call__(self, subject: Reply) -> ReplyExpectation: ...
    def __call__(self, subject: Reply | Returned | Raised) -> ReplyExpectation | CallExpectation:
        if isinstance(subject, (Returned, Raised)):
            return CallExpectation(subject)
        return ReplyExpectation(subject)

    def that(self, holds: bool, *, expected: str, got: str, sent: str = "") -> None:
        """A claim in the check's own words."""
        if not holds:
            self.fail(expected=expected, got=got, sent=sent)

    def fail(self, *, expected: str, got: str, sent: str = "", verdict: Verdict = Verdict.FAILED) -> NoReturn:
        """The claim does not hold."""
        raise Complaint(Finding(sent or TRANSCRIPT.last("sent"), expected, got), verdict)


expect = Expect()


def _returned(value: Any) -> str:
    return f"it returned {show_value(value)}"


def _fail_apart(both: Contrast) -> NoReturn:
    verb = "it returned "
    caret = None if both.caret is None else both.caret + len(verb)
    raise Complaint(Finding(TRANSCRIPT.last("sent"), f"it returns {both.wanted}", verb + both.got, caret=caret))


def _fail_value(expected: str, got: str) -> NoReturn:
    raise Complaint(Finding(TRANSCRIPT.last("sent"), expected, got))


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def _as_bytes(part: bytes | str) -> bytes:
    return part.encode("utf-8") if isinstance(part, str) else part
