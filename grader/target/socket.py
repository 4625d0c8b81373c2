"""A socket server: the submission's main file as a process of its own, judged by its bytes.

It is started on a free port and is ready when the system's table shows its listening socket (Linux) or when a first
real exchange works (elsewhere). Nobody ever connects only to see whether the port is open: a server that serves one
connection at a time would spend its first client on that.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from grader.model import Complaint, Finding, Verdict
from grader.sandbox.pipes import Drain
from grader.sandbox.policy import Policy
from grader.sandbox.spawn import Child, Site, describe_exit
from grader.target.connection import Connection
from grader.target.function import find_stub_error
from grader.target.http1 import HttpReply
from grader.target.listening import Address, Holdings, addresses, command_lines, holdings
from grader.target.ports import LOOPBACK, free_port, says_taken
from grader.target.transcript import TRANSCRIPT
from grader.target.webroot import Webroot

START_SECONDS: Final = 10.0
PORT_TRIES: Final = 5
STEP: Final = 0.002  # seconds between two looks at the system's table of sockets
OUTPUT: Final = 8192
END_SECONDS: Final = 0.3  # a crash takes some milliseconds to become an exit status
TRACEBACK: Final = b"Traceback (most recent call last):"

# cpu in seconds: one server answers the checks of a whole exercise. processes: one for each of many clients is allowed.
# A zone far from GMT, the same on every machine: who mixes up the two is found in Greenwich too.
SERVER_POLICY: Final = Policy(cpu=300, processes=600, open_files=1024, env=(("TZ", "KIT-5:45"),))

_LOG_LINES: Final = re.compile(r'^127\.0\.0\.1 \S+ \S+ \[[^]\n]*\] ".*" [1-5][0-9]{2} (?:-|[0-9]+)\r?\n', re.MULTILINE)
# Where something was left out, a line before it that was cut is of the log, and one after it has lost its beginning.
_CUT: Final = re.compile(
    r"(?:^127\.0\.0\.1 [^\n]*)?\n(\[\.\.\. [0-9]+ bytes truncated \.\.\.\]\n)[^\n]*\n", re.MULTILINE
)
_MARK: Final = re.compile(r"\s*\[\.\.\. [0-9]+ bytes truncated \.\.\.\]\s*")


class SocketTarget:
    """The submission's server, started on first use and again when it has ended."""

    def __init__(
        self,
        site: Site,
        main: str,
        webroot: Webroot,
        arguments: Sequence[str] = (),
        timeout: float = 5.0,
        policy: Policy = SERVER_POLICY,
    ) -> None:
        """`timeout` in seconds bounds each wait of a connection."""
        self.webroot = webroot
        self.timeout = timeout
        self.port = 0
        self._site, self._main, self._policy = site, site.submission / main, policy
        self._arguments = tuple(arguments)
        self._child: Child | None = None
        self._output: Drain | None = None
        self._refusal: Complaint | None = None
        self._errors: Drain | None = None  # of the process that was started last
        self._seen = 0  # bytes of them that earlier checks have caused

    def start(self) -> None:
        """Make sure that it runs. Raises Complaint when it does not come up; then it is not tried again."""
        if self._refusal is not None:
            raise self._refusal
        self.check_alive()
        if TRANSCRIPT.witness != self.printed_lately:
            TRANSCRIPT.witness = self.printed_lately
            self._seen = self._errors.total if self._errors is not None else 0
        if self._child is not None:
            return
        for _ in range(PORT_TRIES):
            try:
                self._start_once(free_port())
                return
            except _PortTaken:
                continue
        raise Complaint(Finding(self.shown, "a server that listens", f"{PORT_TRIES} free ports were taken meanwhile"))

    def check_alive(self) -> None:
        """Raise Complaint when the server has ended by itself since it was last looked at; then it may start again."""
        code = self._child.exit_code if self._child is not None else None
        if self._child is None or code is None:
            return
        got = f"it ended: {self._bury(self._child, code)}"
        errors = self.printed_lately()
        find_stub_error(errors)
        raise Complaint(
            Finding(TRANSCRIPT.last("sent"), "a server that goes on running", got, output=errors), Verdict.CRASHED
        )

    def _bury(self, child: Child, code: int) -> str:
        """How the process ended, in words; after this it may start again."""
        child.errors.ended(time.monotonic() + 1.0)
        self.close()
        return describe_exit(code)

    def how_it_ended(self) -> str:
        """In words, when the process ends by itself within END_SECONDS; "" when it goes on running."""
        child = self._child
        code = child.wait(time.monotonic() + END_SECONDS) if child is not None else None
        return "" if child is None or code is None else self._bury(child, code)

    def printed_lately(self, seconds: float = 0.0) -> str:
        """What it has written to standard error during this check (capped); a traceback is waited for so long."""
        if self._errors is None:
            return ""
        deadline, pause = time.monotonic() + seconds, threading.Event()
        while TRACEBACK not in self._errors.since(self._seen) and time.monotonic() < deadline:
            pause.wait(STEP)
        printed = self._errors.since(self._seen).decode("utf-8", "backslashreplace")
        # The exercise demands a line for each request: among them what its author has printed would not be seen.
        told = _LOG_LINES.sub("", _CUT.sub(r"\n\1", printed))
        return "" if _MARK.fullmatch(told) else told

    @property
    def shown(self) -> str:
        """The command, as a person would type it."""
        return " ".join(["python", self._main.name, *self._command()])

    def _command(self) -> list[str]:
        return ["--host", LOOPBACK, "--port", str(self.port), "--root", str(self.webroot.root), *self._arguments]

    def _start_once(self, port: int) -> None:
        self.port = port
        policy = replace(self._policy, read=(self.webroot.root.parent,), ports=(port,))
        child = Child(self._site, self._main, self._command(), policy=policy, cwd=self._main.parent)
        self._child = child
        self._output = Drain(child.take_stdout(), OUTPUT)
        self._errors, self._seen = child.errors, 0
        try:
            self._await_listening(child, child.started + START_SECONDS)
        except Complaint as refusal:
            self.close()
            self._refusal = refusal
            raise
        except _PortTaken:
            self.close()
            raise

    def _await_listening(self, child: Child, deadline: float) -> None:
        pause = threading.Event()
        while True:
            code = child.exit_code
            if code is not None:
                self._judge_exit(child, code)
            found = addresses(child.pid)
            if found is None:
                if self._first_exchange():
                    return
            elif any(address.port == self.port and address.host in (LOOPBACK, "0.0.0.0", "::") for address in found):
                return
            if time.monotonic() > deadline:
                raise self._not_listening(child, found or [])
            pause.wait(STEP)

    def _judge_exit(self, child: Child, code: int) -> None:
        child.errors.ended(time.monotonic() + 1.0)
        errors = child.error_text
        find_stub_error(errors)
        if says_taken(errors):
            raise _PortTaken
        got = f"it ended at once: {describe_exit(code)}"
        raise Complaint(Finding(self.shown, "a server that goes on running", got, output=errors), Verdict.CRASHED)

    def _not_listening(self, child: Child, found: list[Address]) -> Complaint:
        expected = f"it listens on {LOOPBACK}:{self.port} within {START_SECONDS:g} s"
        elsewhere = ", ".join(map(str, found))
        got = f"it listens on {elsewhere}" if found else "it runs, but listens nowhere"
        output = child.error_text or (self._output.data.decode("utf-8", "backslashreplace") if self._output else "")
        return Complaint(Finding(self.shown, expected, got, output=output), Verdict.TIMEOUT)

    def _first_exchange(self) -> bool:
        try:
            sock = socket.create_connection((LOOPBACK, self.port), 0.5)
        except OSError:  # refused; or not even that in time, for Windows tries a closed port for two seconds
            return False
        try:
            with sock:
                sock.settimeout(2.0)
                sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                while sock.recv(1 << 16):
                    pass
        except OSError:
            pass  # something is there; the checks will say what it does
        return True

    def connect(self, receive_buffer: int | None = None) -> Connection:
        """A new client."""
        self.start()
        try:
            return Connection(self.port, self.timeout, receive_buffer, self.how_it_ended)
        except Complaint as refused:
            if ending := self.how_it_ended():
                got = f"{refused.finding.got}, for the program ended: {ending}"
                raise Complaint(replace(refused.finding, got=got), Verdict.CRASHED) from None
            raise

    def exchange(
        self,
        raw: bytes,
        *,
        method: str = "GET",
        cuts: Sequence[int] = (),
        half_close: bool = False,
        timeout: float | None = None,
    ) -> HttpReply:
        """One request on a connection of its own, and its answer."""
        with self.connect() as client:
            client.send(raw, cuts)
            if half_close:
                client.half_close()
            return client.reply(method, timeout)

    def log(self, text: str, seconds: float = 2.0) -> str:
        """What it has written to standard error so far (capped); waits until `text` is in it, but not for ever."""
        assert self._child is not None
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while text not in self._child.error_text and time.monotonic() < deadline:
            pause.wait(STEP)
        return self._child.error_text

    def printed(self, text: str, seconds: float = 2.0) -> str:
        """The same for standard output."""
        self.start()
        assert self._output is not None
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while text.encode() not in self._output.data and time.monotonic() < deadline:
            pause.wait(STEP)
        return self._output.data.decode("utf-8", "backslashreplace")

    def addresses(self) -> list[Address] | None:
        """Where it listens; None where the system does not tell."""
        self.start()
        assert self._child is not None
        return addresses(self._child.pid)

    def holdings(self) -> Holdings | None:
        """What it holds; None where the system does not tell."""
        self.start()
        assert self._child is not None
        return holdings(self._child.pid)

    def command_lines(self) -> list[str]:
        """The command lines of the processes that it has started; [] where the system does not tell."""
        self.start()
        assert self._child is not None
        return command_lines(self._child.pid)

    def stop(self, signal_number: int, seconds: float) -> int | None:
        """Send a signal; the exit code, or None when it still runs after so many seconds."""
        self.start()
        assert self._child is not None
        TRANSCRIPT.sent(f"(signal {signal_number})")
        self._child.interrupt(signal_number)
        code = self._child.wait(time.monotonic() + seconds)
        self.close()
        return code

    def close(self) -> None:
        """End it and all that it started."""
        if self._child is not None:
            self._child.end()
            self._child = None


class _PortTaken(Exception):  # noqa: N818
    """Somebody else took the port between our look and the server's bind: nobody's fault."""
