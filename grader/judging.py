"""One judge process, seen from outside: its job goes in, outcomes come out, and its end is always noticed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from grader.job import Job, outcome_from_json
from grader.model import Check, Finding, Outcome, Verdict
from grader.sandbox.pipes import Drain, Lines
from grader.sandbox.policy import INHERITED, child_uid
from grader.sandbox.processes import end_tree, start, wait_exit
from grader.sandbox.scratch import remove_shared_memory

MAX_EVENT = 8 << 20  # twice what the plugin lets into one event
GRACE = 30.0  # seconds beyond its own limits, before a judge is ended from here
# Lets `coverage` follow the kit's own tests into the judge; a submission's process never sees them.
MEASURING = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")

# The kit's folder is on sys.path just long enough to find the package: nothing beside it can shadow a module later.
BOOT = """
import sys
sys.path.insert(0, sys.argv[1])
import grader.engine
sys.path.pop(0)
from grader.engine.judge import main
main()
"""


class Stop:
    """A request to end: no new judge starts, and those that run are ended. Made for Ctrl-C."""

    def __init__(self) -> None:
        self.requested = False
        self._running: list[subprocess.Popen[bytes]] = []

    def add(self, process: subprocess.Popen[bytes]) -> None:
        """A judge that has started. Where the end is asked for already it is ended at once."""
        self._running.append(process)
        if self.requested:
            end_tree(process)

    def remove(self, process: subprocess.Popen[bytes]) -> None:
        """It has ended, or its own thread ends it: its number may soon be another's."""
        self._running.remove(process)

    def now(self) -> None:
        """End the judges that run, and let none start."""
        self.requested = True
        for process in list(self._running):
            end_tree(process)


class JudgeRun:
    """Runs a judge once. `outcomes` yields what it reported, then what its end means for the check it was at."""

    def __init__(self, job: Job, checks: list[Check], stop: Stop) -> None:
        self._job, self._stop = job, stop
        self._checks = {check.id: check for check in checks}

    def outcomes(self) -> Iterator[Outcome]:
        """At most one outcome for each check, as they come. The judge has ended when this has."""
        process = start(
            [sys.executable, "-I", "-X", "utf8", "-c", BOOT, self._job.kit],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._job.scratch,
            env=_environment(self._job.scratch),
            start_new_session=True,
            bufsize=0,
        )
        self._stop.add(process)
        assert process.stdin and process.stdout and process.stderr
        errors = Drain(os.dup(process.stderr.fileno()), 4096, 4096)
        lines = Lines(os.dup(process.stdout.fileno()), MAX_EVENT)
        process.stderr.close()
        process.stdout.close()
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(self._job.to_json()).encode() + b"\n")
                process.stdin.close()
            yield from self._follow(process, lines, errors)
        finally:
            self._stop.remove(process)
            # The children of the judge are in sessions of their own: once the judge is gone they come to us.
            end_tree(process)
            remove_shared_memory(child_uid(process.pid))

    def _follow(self, process: subprocess.Popen[bytes], lines: Lines, errors: Drain) -> Iterator[Outcome]:
        at: Check | None = None
        began = 0.0
        seen: set[str] = set()
        deadline = time.monotonic() + self._job.budget + self._job.check_seconds + GRACE
        ended = False
        while True:
            try:
                line = lines.next(deadline)
            except TimeoutError:
                if at is not None and at.id not in seen:
                    got = "the judge had to be ended while it waited for this check"
                    yield Outcome(at, Verdict.TIMEOUT, Finding(expected="an answer", got=got))
                return
            if line is None:
                break
            event: dict[str, Any] = json.loads(line)
            if "start" in event:
                at, began = self._checks[event["start"]], time.monotonic()
            elif "end" in event:
                ended = True
            else:
                check = self._checks[event["outcome"]["check"]]
                if check.id not in seen:
                    seen.add(check.id)
                    yield outcome_from_json(event["outcome"], check)
        code = wait_exit(process, time.monotonic() + 5.0)
        if ended and len(seen) == len(self._checks):
            return
        errors.ended(time.monotonic() + 1.0)
        open_for = time.monotonic() - began if at is not None and at.id not in seen else None
        yield from self._explain_end(at, seen, open_for, code, errors.data.decode("utf-8", "replace"))

    def _explain_end(
        self, at: Check | None, seen: set[str], open_for: float | None, code: int | None, errors: str
    ) -> Iterator[Outcome]:
        """A judge that ended early. `open_for`: for how long the check had been running that it had begun last.

        By a signal while a submission ran, it was the submission's doing. Past the time limit it was pytest-timeout:
        where there are no alarm signals (Windows) that can only end the whole judge, and the next one takes the rest.
        """
        if at is not None and open_for is not None and code is not None and code < 0:
            got = f"the judge was ended by signal {-code} while the program ran"
            yield Outcome(at, Verdict.CRASHED, Finding(expected="an answer", got=got))
            return
        if at is not None and open_for is not None and open_for >= self._job.check_seconds:
            got = f"this check was ended by its time limit ({self._job.check_seconds:g} s)"
            yield Outcome(at, Verdict.TIMEOUT, Finding(expected="an answer", got=got))
            return
        for check in self._checks.values():
            if check.id not in seen:
                got = f"the judge ended early (exit status {code})"
                yield Outcome(check, Verdict.BROKEN, Finding(got=got, output=errors[-4000:]))


def _environment(scratch: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in (*INHERITED, *MEASURING) if name in os.environ}
    own = dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP"), scratch)
    return {
        **inherited,
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        **own,
    }
