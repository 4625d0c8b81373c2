"""A CGI program: a fresh process per request, its environment by RFC 3875, its answer read from its output.

`CgiTarget` is also the kit's small gateway: `python -m grader serve` puts it behind a listening socket.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from grader.model import Complaint, Finding, Verdict
from grader.sandbox.pipes import Drain
from grader.sandbox.policy import Policy
from grader.sandbox.processes import SWEEP_SECONDS
from grader.sandbox.spawn import Child, Site, describe_exit
from grader.target.function import find_stub_error
from grader.target.headers import Headers
from grader.target.transcript import SHORT, TRANSCRIPT, show_bytes, show_value

FORM_TYPE: Final = "application/x-www-form-urlencoded"
OMIT: Final = "\0omit"  # as content_type or content_length: leave the variable out
AT_ONCE: Final = 2
WHY_EXIT: Final = "A program that answers, also with an error page, has done its work and ends with exit status 0"
WHY_RESPONSE: Final = "A server can only pass on what has the form of a CGI response (RFC 3875 section 6)"
WALL_AFTER_A_HANG: Final = 2.0  # seconds
OUT_OF_PROCESSOR_TIME: Final = -24  # SIGXCPU on Linux and macOS


@dataclass(frozen=True, slots=True)
class CgiRequest:
    """One request to the program. `meta` adds or replaces variables; a value of None leaves one out.

    With `hold_stdin` the gateway keeps standard input open after the body, as a real one may: a program that reads
    to the end of the file then waits for ever. With `first_part` the body comes in two parts: that many bytes, and the
    rest once the program has read them. With `elsewhere` the current directory is not the program's own.
    """

    method: str = "GET"
    query: str = ""
    body: bytes = b""
    content_type: str | None = None
    content_length: str | None = None
    meta: tuple[tuple[str, str | None], ...] = ()
    hold_stdin: bool = False
    first_part: int | None = None
    elsewhere: bool = False

    def variables(self, script_name: str) -> dict[str, str]:
        """The meta-variables of RFC 3875 section 4.1."""
        variables: dict[str, str | None] = {
            "GATEWAY_INTERFACE": "CGI/1.1",
            "REQUEST_METHOD": self.method,
            "QUERY_STRING": self.query,
            "SCRIPT_NAME": script_name,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_SOFTWARE": "grader",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": self.content_type,
            "CONTENT_LENGTH": self.content_length,
            **dict(self.meta),
        }
        return {name: value for name, value in variables.items() if value is not None}

    def show(self, script_name: str) -> str:
        """The request as a person would write it down: request line, what differs from the default, body."""
        target = script_name + (f"?{self.query}" if self.query else "")
        shown = f"{self.method} {target}"
        extra: list[tuple[str, str | None]] = list(self.meta)
        if self.content_type is not None:
            extra.append(("CONTENT_TYPE", self.content_type))
        if self.content_length is not None:
            extra.append(("CONTENT_LENGTH", self.content_length))
        for name, value in extra:
            short = value if value is None or len(value) <= SHORT else show_value(value)
            shown += f"  (no {name})" if short is None else f"  {name}={short}"
        if self.body:
            shown += f"  body {show_bytes(self.body)}"
        if self.first_part is not None:
            shown += f"  ({self.first_part} bytes of it, and the rest once these have been read)"
        shown += "  (in another directory)" if self.elsewhere else ""
        return shown + ("  (input left open)" if self.hold_stdin else "")


@dataclass(frozen=True, slots=True)
class CgiReply:
    """What the program answered. `status` is 200 where it sent no Status field (RFC 3875 section 6.3.3)."""

    status: int
    reason: str
    headers: Headers
    body: bytes
    raw: bytes
    stderr: str
    request: CgiRequest
    sent: str = field(default="")

    @property
    def text(self) -> str:
        """The body as UTF-8; bytes that are not UTF-8 show as backslash escapes."""
        return self.body.decode("utf-8", "backslashreplace")


class CgiTarget:
    """The submission's CGI script behind a gateway."""

    def __init__(self, site: Site, main: str, policy: Policy | None = None) -> None:
        self._site, self._main = site, site.submission / main
        self._policy = policy or Policy()
        self.script_name = "/" + main

    def get(self, query: str = "", **meta: str | None) -> CgiReply:
        """GET with a query string as it stands after the `?`."""
        return self.run(CgiRequest(query=query, meta=tuple(meta.items())))

    def post(
        self,
        body: bytes,
        *,
        content_type: str = FORM_TYPE,
        content_length: str | None = None,
        query: str = "",
        hold_stdin: bool = False,
    ) -> CgiReply:
        """POST a body; the length is that of the body unless given, OMIT leaves a variable out."""
        return self.run(post_request(body, content_type, content_length, query, hold_stdin))

    def run(self, request: CgiRequest) -> CgiReply:
        """Run the program once. Raises Complaint when it hangs, dies or answers no CGI response."""
        return self._judge(request, self._execute(request))

    def run_all(self, requests: Sequence[CgiRequest]) -> list[CgiReply]:
        """Run several requests, a few at a time; replies come in the order of the requests.

        Once the program has hung the rest is not run: the first complaint is the one that counts.
        """
        hung = threading.Event()

        def execute(request: CgiRequest) -> _Ran | None:
            if hung.is_set():
                return None
            ran = self._execute(request)
            if ran.hung:
                hung.set()
            return ran

        with ThreadPoolExecutor(AT_ONCE) as pool:
            results = list(pool.map(execute, requests))
        return [self._judge(request, ran) for request, ran in zip(requests, results, strict=True) if ran is not None]

    def _execute(self, request: CgiRequest) -> _Ran:
        policy = replace(self._policy, env=tuple(request.variables(self.script_name).items()))
        cwd = self._site.scratch if request.elsewhere else self._main.parent
        child = Child(self._site, self._main, policy=policy, cwd=cwd, pipe_stdin=True)
        deadline = child.started + policy.wall
        output = Drain(child.take_stdout(), policy.output)
        feeder = threading.Thread(target=_feed, args=(child.take_stdin(), request, child), daemon=True)
        feeder.start()
        code = child.wait(deadline)
        if code is not None:
            output.ended(time.monotonic() + 0.2)  # a grandchild may hold the pipe; it is ended next
        child.end()
        output.ended(time.monotonic() + 1.0)
        feeder.join(1.0)
        return _Ran(code, output.data, child.error_text, output.truncated, policy)

    def _judge(self, request: CgiRequest, ran: _Ran) -> CgiReply:
        sent = request.show(self.script_name)
        TRANSCRIPT.sent(sent)
        TRANSCRIPT.got(partial(show_bytes, ran.raw))
        find_stub_error(ran.errors)
        so_far = f" after {show_bytes(ran.raw, 200)}" if ran.raw else ""
        if ran.hung:
            # The first hang is given time for a busy machine; a program that has hung once is not waited for so long.
            self._policy = replace(self._policy, wall=WALL_AFTER_A_HANG, cpu=1)
            used = f"{ran.policy.wall:g} s" if ran.code is None else f"{ran.policy.cpu} s of processor time"
            finding = Finding(sent, "an answer", f"no answer within {used}{so_far}", output=ran.errors)
            raise Complaint(finding, Verdict.TIMEOUT)
        if ran.code:
            how = describe_exit(ran.code)
            finding = Finding(sent, "exit status 0", how + so_far, why=WHY_EXIT, output=ran.errors)
            raise Complaint(finding, Verdict.CRASHED)
        if ran.flooded:
            limit = f"at most {ran.policy.output >> 20} MiB of output"
            raise Complaint(Finding(sent, limit, show_bytes(ran.raw, 200), output=ran.errors))
        return parse_reply(request, ran.raw, ran.errors, sent)


@dataclass(frozen=True, slots=True)
class _Ran:
    """One run of the program: its exit code (None: it had to be ended), output, errors, and under which limits."""

    code: int | None
    raw: bytes
    errors: str
    flooded: bool
    policy: Policy

    @property
    def hung(self) -> bool:
        return self.code is None or self.code == OUT_OF_PROCESSOR_TIME


def post_request(
    body: bytes,
    content_type: str = FORM_TYPE,
    content_length: str | None = None,
    query: str = "",
    hold_stdin: bool = False,
) -> CgiRequest:
    """A POST whose CONTENT_LENGTH is that of the body unless given; OMIT leaves a variable out."""
    length = str(len(body)) if content_length is None else content_length
    return CgiRequest(
        "POST",
        query,
        body,
        None if content_type == OMIT else content_type,
        None if length == OMIT else length,
        hold_stdin=hold_stdin,
    )


def _feed(descriptor: int, request: CgiRequest, child: Child) -> None:
    """Write the body; close, or hold the pipe open until the program has ended."""
    cut = len(request.body) if request.first_part is None else request.first_part
    with contextlib.suppress(OSError):  # the program need not read its body
        _write(descriptor, request.body[:cut])
        if request.body[cut:]:
            while _unread(descriptor) and child.wait(time.monotonic() + 0.002) is None:
                pass
            _write(descriptor, request.body[cut:])
    if request.hold_stdin:
        # Beyond the deadline, when it is ended: an input that ends just before would let it go on.
        child.wait(child.started + child.policy.wall + SWEEP_SECONDS)
    with contextlib.suppress(OSError):
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _unread(descriptor: int) -> int:
    """How many bytes lie in a pipe; 0 where the system does not say."""
    if sys.platform == "win32":
        return 0
    import fcntl
    import termios

    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)


def parse_reply(request: CgiRequest, raw: bytes, errors: str, sent: str) -> CgiReply:
    """Split a CGI response (RFC 3875 section 6) into status, header fields and body; Complaint when it is none."""

    def complain(expected: str, caret: int | None = None) -> Complaint:
        got = show_bytes(raw) if raw else "no output at all"
        return Complaint(Finding(sent, expected, got, why=WHY_RESPONSE, caret=caret, output=errors))

    head, end, body = _split_head(raw)
    if not end:
        raise complain("header fields, then a blank line, then the body (RFC 3875 section 6.2)")
    fields: list[tuple[str, str]] = []
    for line in head.replace(b"\r\n", b"\n").split(b"\n"):
        name, colon, value = line.partition(b":")
        if not colon or not name or not all(33 <= byte < 127 for byte in name):
            raise complain(f"a header field `Name: value`, not {show_bytes(line, 80)} (RFC 3875 section 6.3)")
        fields.append((name.decode("ascii"), value.strip(b" \t").decode("utf-8", "backslashreplace")))
    headers = Headers(fields)
    status, reason = 200, ""
    if (line_value := headers.get("Status")) is not None:
        digits, _, reason = line_value.partition(" ")
        if not (len(digits) == 3 and digits.isascii() and digits.isdigit()):
            raise complain(f"Status: three digits and a reason, not {line_value!r} (RFC 3875 section 6.3.3)")
        status = int(digits)
    if not any(name in headers for name in ("Content-Type", "Location", "Status")):
        raise complain("a Content-Type, Location or Status field (RFC 3875 section 6.3)")
    return CgiReply(status, reason, headers, body, raw, errors, request, sent)


def _split_head(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """Up to the first blank line; line ends are LF or CRLF, also mixed."""
    ends = [(raw.find(mark), mark) for mark in (b"\n\n", b"\n\r\n")]
    found = [(place, mark) for place, mark in ends if place >= 0]
    if not found:
        return b"", b"", raw
    place, mark = min(found)
    return raw[:place].removesuffix(b"\r"), mark, raw[place + len(mark) :]
