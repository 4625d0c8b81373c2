"""The submission as a web server of its own: `python main.py --port N ...`, a confined process, spoken to over HTTP.

Ready when it prints its address. It can be killed at any moment and started again on the same files.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from grader.model import Complaint, Finding, Verdict
from grader.sandbox.pipes import Lines
from grader.sandbox.policy import Policy
from grader.sandbox.spawn import Child, Site, describe_exit
from grader.target.function import find_stub_error
from grader.target.headers import Headers
from grader.target.ports import LOOPBACK, free_port, says_taken
from grader.target.transcript import TRANSCRIPT, show_bytes

if TYPE_CHECKING:
    import requests

START_SECONDS = 10.0
REPLY_SECONDS = 5.0
ATTEMPTS = 3
MAX_LINE = 1 << 16
CHUNK = 1 << 16
MAX_BODY = 8 << 20
MAX_PRINTED = 200  # lines before the one with the address


@dataclass(frozen=True, slots=True)
class SiteReply:
    """An answer over HTTP. `sent` is the request in one line."""

    status: int
    reason: str
    headers: Headers
    body: bytes
    raw: bytes
    sent: str
    stderr: str = ""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "backslashreplace")


class SiteTarget:
    """Starts the submission's main file as a server."""

    def __init__(self, site: Site, main: str, policy: Policy | None = None) -> None:
        self._site, self._main = site, site.submission / main
        # Processor time is bounded by the waits of each check, not over the server's life.
        self._policy = policy or Policy(cpu=600)

    def start(self, *arguments: str) -> RunningSite:
        """python main.py --host 127.0.0.1 --port N ARGUMENTS. Raises Complaint when it does not get ready."""
        for attempt in range(ATTEMPTS):
            port = free_port()
            argv = ["--host", LOOPBACK, "--port", str(port), *arguments]
            policy = replace(self._policy, ports=(port,))
            child = Child(self._site, self._main, argv, policy=policy, cwd=self._main.parent)
            running = RunningSite(child, port, _command(self._main, argv))
            try:
                running.wait_ready()
            except Complaint:
                running.kill()
                # Somebody else may have taken the port between our look and its bind.
                if attempt + 1 < ATTEMPTS and says_taken(child.error_text):
                    continue
                raise
            return running
        raise AssertionError("unreachable")


class RunningSite:
    """A running server. Usable from several threads at once; end it with kill()."""

    def __init__(self, child: Child, port: int, command: str) -> None:
        self._child, self.port, self._command = child, port, command
        self._lines = Lines(child.take_stdout(), MAX_LINE)
        self._lock = threading.Lock()
        self.url = f"http://{LOOPBACK}:{port}"

    def wait_ready(self) -> None:
        """Wait for the line with the address."""
        deadline = time.monotonic() + START_SECONDS
        printed: list[str] = []
        while True:
            try:
                line = self._lines.next(deadline)
            except TimeoutError:
                self._not_ready(f"no such line within {START_SECONDS:g} s", printed, Verdict.TIMEOUT)
            if line is None:
                code = self._child.wait(time.monotonic() + 1.0)
                self._child.errors.ended(time.monotonic() + 0.2)
                self._not_ready("it ended" if code is None else describe_exit(code), printed, Verdict.CRASHED)
            text = line.decode("utf-8", "replace")
            printed.append(text[:200])
            if len(printed) > MAX_PRINTED:
                self._not_ready(f"{MAX_PRINTED} other lines", printed[-20:], Verdict.FAILED)
            if f":{self.port}" in text and "http://" in text:
                return

    def _not_ready(self, got: str, printed: list[str], verdict: Verdict) -> NoReturn:
        find_stub_error(self._child.error_text)
        output = "\n".join([*printed, self._child.error_text])
        raise Complaint(Finding(self._command, f"a line with its address, {self.url}/", got, output=output), verdict)

    def get(self, path: str, **options: Any) -> SiteReply:
        """request("GET", ...)."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> SiteReply:
        """request("POST", ...)."""
        return self.request("POST", path, **options)

    def request(self, method: str, path: str, **options: Any) -> SiteReply:
        """One request on a connection of its own; options are those of requests (data=, json=, headers=).

        Raises Complaint when there is no answer.
        """
        reply = self.try_request(method, path, **options)
        if isinstance(reply, Complaint):
            raise reply
        return reply

    def try_request(self, method: str, path: str, **options: Any) -> SiteReply | Complaint:
        """The same; what would be raised is returned, for a client that expects the server to die."""
        import requests

        sent = f"{method} {self.url}{path}" + "".join(f"  {name}={value!r:.300}" for name, value in options.items())
        # The timeout of requests is for each read. A server that drips, or sends 1xx without end, is ended instead.
        late, deadline = threading.Timer(REPLY_SECONDS, self.kill), time.monotonic() + REPLY_SECONDS
        late.start()
        with requests.Session() as session:
            session.trust_env = False  # a proxy of the environment must not get between the two
            try:
                answer = session.request(
                    method, self.url + path, timeout=REPLY_SECONDS, allow_redirects=False, stream=True, **options
                )
                body = _read(answer)
            except (requests.RequestException, ValueError) as error:  # ValueError: a Location that is no address at all
                return self._no_answer(sent, requests.Timeout() if time.monotonic() > deadline else error)
            finally:
                late.cancel()
        if time.monotonic() > deadline:  # then its end is our doing, and what came is not whole
            return self._no_answer(sent, requests.Timeout())
        if len(body) > MAX_BODY:
            return Complaint(Finding(sent, f"a body of at most {MAX_BODY >> 20} MiB", "more than that"))
        reply = _reply(answer, body, sent, self._child.error_text)
        with self._lock:
            TRANSCRIPT.sent(sent)
            TRANSCRIPT.got(partial(show_bytes, reply.raw))
        if reply.status == 500:
            find_stub_error(reply.stderr)
        return reply

    def _no_answer(self, sent: str, error: Exception) -> Complaint:
        import requests

        code = self._child.wait(time.monotonic() + 0.2)
        if code is not None and not isinstance(error, requests.Timeout):
            return Complaint(Finding(sent, "an answer", describe_exit(code)), Verdict.CRASHED)
        output = self._child.error_text
        if isinstance(error, requests.Timeout):
            got = f"no answer within {REPLY_SECONDS:g} s"
            return Complaint(Finding(sent, "an answer", got, output=output), Verdict.TIMEOUT)
        return Complaint(Finding(sent, "an answer", f"the connection broke ({type(error).__name__})", output=output))

    def kill(self) -> None:
        """End it at once (SIGKILL where there are signals), with all that it started. Safe to call twice."""
        self._child.end()


def _command(main: Path, argv: list[str]) -> str:
    return " ".join(["python", main.name, *argv])


def _read(answer: requests.Response) -> bytes:
    """The body, until it is longer than MAX_BODY: what comes may be endless, or small only while it is packed."""
    body = bytearray()
    for piece in answer.iter_content(CHUNK):
        body += piece
        if len(body) > MAX_BODY:
            break
    return bytes(body)


def _reply(answer: requests.Response, body: bytes, sent: str, stderr: str) -> SiteReply:
    headers = Headers(answer.raw.headers.items())
    head = f"HTTP/1.{answer.raw.version % 10} {answer.status_code} {answer.reason}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers)
    raw = head.encode("latin-1", "replace") + b"\r\n" + body
    return SiteReply(answer.status_code, answer.reason, headers, body, raw, sent, stderr)
