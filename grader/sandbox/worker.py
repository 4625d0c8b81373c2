"""Call functions of a submission in a child process: plain data goes in, plain data comes out.

The worker lives from call to call (a call costs tens of microseconds) and is started anew when it has died.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.sandbox.child import plain
from grader.sandbox.child.worker import MAX_ANSWER, MAX_FRAMES
from grader.sandbox.pipes import Lines, Replies, replies, writable
from grader.sandbox.policy import CHILD_CODE, Policy
from grader.sandbox.spawn import Child, Site, describe_exit

MAX_LINE = MAX_ANSWER + 1024
MAX_NODES = 100_000  # values within values: what honest answers need some hundreds of
MAX_NAME = 300  # characters of a file or a function in a traceback
IMPORT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Returned:
    """The function returned `value`: built-in data, or a Record for an object of the submission's own class."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """The function raised. `mro` names the exception's class and its bases; `frames` are the student's own."""

    type: str
    message: str
    mro: tuple[str, ...] = ()
    attrs: Mapping[str, Any] | None = None
    frames: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no function of that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Hung:
    """No answer within `seconds`; the worker has been ended. `output` is what it printed last."""

    seconds: float
    output: str = ""


@dataclass(frozen=True, slots=True)
class Died:
    """The process ended instead of answering: how, and what it printed last."""

    how: str
    output: str


Answer = Returned | Raised | Missing | Hung | Died


class Worker:
    """One child with the submission's main file imported. Answers are data; deciding is the caller's part."""

    def __init__(self, site: Site, main: str, policy: Policy, module_name: str = "submission") -> None:
        self._site, self._main, self._policy, self._name = site, site.submission / main, policy, module_name
        self._child: Child | None = None
        self._lines: Lines | Replies | None = None
        self._stdin = -1
        self._refused: Answer | None = None

    def start(self) -> Answer:
        """Import the submission (if that is not done yet): Returned(None), or what its import did instead."""
        if self._child is not None and self._child.exit_code is None:
            return Returned(None)
        if self._refused is not None:
            return self._refused
        self.close()
        child = Child(
            self._site,
            CHILD_CODE / "worker.py",
            [str(self._main), str(CHILD_CODE / "plain.py"), self._name],
            policy=self._policy,
            cwd=self._main.parent,
            modules=self._main.parent,
            pipe_stdin=True,
        )
        self._child, self._stdin = child, child.take_stdin()
        if sys.platform != "win32":
            os.set_blocking(self._stdin, False)
        self._lines = replies(child.take_stdout(), MAX_LINE)
        answer = self._read(IMPORT_SECONDS, time.monotonic() + IMPORT_SECONDS)
        if not isinstance(answer, Returned):
            self.close()
            self._refused = answer  # the same text would do the same again, and each try may cost ten seconds
        return answer

    def call(self, request: Mapping[str, Any], seconds: float) -> Answer:
        """Send one request (see child/worker.py) and wait at most `seconds` for its answer."""
        started = self.start()
        if not isinstance(started, Returned):
            return started
        line = json.dumps(request).encode("ascii") + b"\n"
        deadline = time.monotonic() + seconds
        try:
            answer = self._read(seconds, deadline) if self._send(line, deadline) else Hung(seconds)
        except BaseException:  # the time of a whole check is up: a late answer must not become that of the next call
            self.close()
            raise
        if isinstance(answer, (Hung, Died)):
            self.close()
        return answer

    def _send(self, line: bytes, deadline: float) -> bool:
        """False when the worker has not taken it by the deadline (time.monotonic)."""
        with contextlib.suppress(BrokenPipeError):  # then the reading end says how it died
            while line:
                try:
                    line = line[os.write(self._stdin, line) :]
                except BlockingIOError:
                    if not writable(self._stdin, deadline):
                        return False
        return True

    def _read(self, seconds: float, deadline: float) -> Answer:
        assert self._lines is not None
        try:
            line = self._lines.next(deadline)
        except TimeoutError:
            return Hung(seconds, self.output)
        if line is None:
            return self._died()
        try:
            if sum(map(line.count, (b",", b"[", b"{"))) > MAX_NODES:  # before they are made: each costs memory
                return Raised("Unfit", f"the value cannot be sent: it holds over {MAX_NODES} values")
            return _parse(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return Died("it wrote where only the answers to the grader go", self.output)

    def _died(self) -> Died:
        assert self._child is not None
        # A crash takes some milliseconds to become an exit status.
        code = self._child.wait(time.monotonic() + 1.0)
        self._child.errors.ended(time.monotonic() + 0.2)
        return Died("closed its pipe" if code is None else describe_exit(code), self.output)

    @property
    def output(self) -> str:
        """What the submission printed, capped."""
        return "" if self._child is None else self._child.error_text

    @property
    def pid(self) -> int | None:
        """The child's process id, None when none runs."""
        return None if self._child is None else self._child.pid

    def close(self) -> None:
        """End the child, if there is one. The next call starts another."""
        if self._stdin >= 0:
            with contextlib.suppress(OSError):
                os.close(self._stdin)
            self._stdin = -1
        if self._lines is not None:
            self._lines.close()
            self._lines = None
        if self._child is not None:
            self._child.end()
            self._child = None


def _parse(answer: Any) -> Answer:
    if "value" in answer:
        return Returned(plain.decode(answer["value"]))
    if "loaded" in answer:
        return Returned(None)
    if "missing" in answer:
        return Missing(str(answer["missing"]))
    if "unfit" in answer:
        return Raised("Unfit", f"the value cannot be sent: {answer['unfit']}")
    raised = answer["raised"]
    return Raised(
        type=str(raised["type"]),
        message=str(raised["message"]),
        mro=tuple(map(str, raised["mro"])),
        attrs={str(key): plain.decode(value) for key, value in raised["attrs"].items()},
        frames=tuple(show_frame(frame) for frame in raised["frames"][-MAX_FRAMES:]),
    )


def show_frame(frame: list[Any]) -> str:
    """["cgi_calc.py", 41, "parse_query", ""] -> "cgi_calc.py:41 in parse_query"."""
    file, line, function, source = (part if isinstance(part, int) else str(part)[:MAX_NAME] for part in frame)
    where = f"{Path(str(file)).as_posix()}:{int(line)}"
    return f"{where} in {function}" if function else f"{where}: {str(source).strip()}"
