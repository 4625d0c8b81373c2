"""Functions of a submission, called in a worker process."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from grader.model import Complaint, Finding, KitError, Verdict
from grader.sandbox.child import plain
from grader.sandbox.policy import Policy
from grader.sandbox.spawn import Site
from grader.sandbox.worker import Answer, Died, Hung, Missing, Raised, Returned, Worker
from grader.target.transcript import TRANSCRIPT, show_call, show_value

CALL_SECONDS = 4.0
LOADS = "a file that loads: at its top level nothing fails, waits or ends the program"
WHY_LOAD = (
    "The checks import the file and call its functions one by one; "
    'what only a start needs stands below `if __name__ == "__main__":`'
)
SECONDS_AFTER_A_HANG = 1.0

Called = Returned | Raised

# How Python says that a call does not fit a function: "f() takes 1 positional argument but 2 were given".
_WRONG_ARGUMENTS = re.compile(r"[\w.<>]+\(\) (takes|missing|got) ")
_STUB = re.compile(r"step (?P<step>[\w-]+): (?P<what>.+)")


class Module:
    """The submission's main file as a module in a child process."""

    def __init__(self, site: Site, main: str, policy: Policy | None = None) -> None:
        # Processor time is bounded per call by the wall clock, not over the worker's life.
        # A zone far from GMT: who mixes up the two is found in Greenwich too.
        self._worker = Worker(site, main, policy or Policy(cpu=600, env=(("TZ", "KIT-5:45"),)))
        self._hung: set[str] = set()

    def call(self, name: str, *args: Any, **kwargs: Any) -> Called:
        """Call one function with plain data: Returned(value) or Raised(type, message, ...).

        Raises Complaint when there is no answer: a hang, a dead process, a missing function, an untouched stub.
        """
        self._load()
        TRANSCRIPT.sent(partial(show_call, name, args, kwargs))
        request = {
            "call": name,
            "args": [plain.encode(item) for item in args],
            "kwargs": {key: plain.encode(item) for key, item in kwargs.items()},
        }
        return self._finish(name, self._worker.call(request, self._seconds(name)))

    def run_extension(self, path: str, function: str, *args: Any, shown: str, on: str = "") -> Called:
        """Call a function of the kit's child code with the submission's module as its first argument.

        `on` names the submission's function that it works on; without that one there is no answer (Complaint).
        """
        self._load()
        TRANSCRIPT.sent(shown)
        request = {"extension": path, "function": function, "call": on, "args": [plain.encode(item) for item in args]}
        # What comes back is for the grader to read: whoever asked notes what a person should see.
        return self._finish(on or function, self._worker.call(request, self._seconds(function)), shown=False)

    def _load(self) -> None:
        """Raise Complaint where the file cannot be imported."""
        match self._worker.start():
            case Raised() as raised:
                raise_if_stub(raised.type, raised.message)
                got = f"{raised.type}: {raised.message}".rstrip(": ") + ", raised while it was loaded"
                finding = Finding("", LOADS, got, why=WHY_LOAD, frames=raised.frames, unloaded=True)
                raise Complaint(finding, Verdict.CRASHED)
            case Hung(seconds, output):
                got = f"after {seconds:g} s it was still being loaded"
                finding = Finding("", LOADS, got, why=WHY_LOAD, output=output, unloaded=True)
                raise Complaint(finding, Verdict.TIMEOUT)
            case Died(how, output):
                got = f"{how}, while it was loaded"
                finding = Finding("", LOADS, got, why=WHY_LOAD, output=output, unloaded=True)
                raise Complaint(finding, Verdict.CRASHED)
            case _:
                pass

    def _seconds(self, name: str) -> float:
        # The first hang is given time for a busy machine; once a function has hung, its other checks answer soon.
        return SECONDS_AFTER_A_HANG if name in self._hung else CALL_SECONDS

    def _finish(self, name: str, answer: Answer, *, shown: bool = True) -> Called:
        match answer:
            case Returned(value):
                if shown:
                    TRANSCRIPT.got(partial(show_value, value))
                return answer
            case Raised():
                raise_if_stub(answer.type, answer.message)
                if answer.type == "TypeError" and not answer.frames and _WRONG_ARGUMENTS.match(answer.message):
                    # It never came to run: another function, which only has the name.
                    raise Complaint(
                        Finding(
                            TRANSCRIPT.last("sent"),
                            expected=f"{name}() to take these arguments",
                            got=f"{answer.type}: {answer.message}",
                            absent=name,
                        )
                    )
                TRANSCRIPT.got(f"raised {answer.type}: {answer.message}")
                return answer
            case Missing():
                raise Complaint(
                    Finding(expected=f"a function named {name}", got=f"no function named {name}", absent=name)
                )
            case Hung(seconds, output):
                self._hung.add(name)
                got = f"no answer within {seconds:g} s"
                TRANSCRIPT.got(got)
                raise Complaint(Finding(TRANSCRIPT.last("sent"), "an answer", got, output=output), Verdict.TIMEOUT)
            case Died(how, output):
                TRANSCRIPT.got(how)
                raise Complaint(Finding(TRANSCRIPT.last("sent"), "an answer", how, output=output), Verdict.CRASHED)
        raise KitError(f"the worker answered {answer!r}")

    @property
    def output(self) -> str:
        """What the submission printed, capped."""
        return self._worker.output

    @property
    def pid(self) -> int | None:
        """The worker's process id, None when it does not run."""
        return self._worker.pid

    def close(self) -> None:
        """End the worker, if one runs."""
        self._worker.close()


def raise_if_stub(kind: str, message: str) -> None:
    """Raise Complaint(NOT_STARTED) when an exception is the one that untouched stubs raise."""
    match = _STUB.fullmatch(message.strip())
    if kind == "NotImplementedError" and match:
        raise Complaint(Finding(expected=match["what"], got="not written yet"), Verdict.NOT_STARTED)


def find_stub_error(output: str) -> None:
    """The same for a program that died of it: look at the last lines of its standard error."""
    for line in reversed(output.splitlines()[-40:]):
        kind, _, message = line.strip().partition(": ")
        raise_if_stub(kind, message)
