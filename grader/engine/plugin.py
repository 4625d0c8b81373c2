"""The pytest plugin of a judge: which checks run, what their outcome is, one event for each.

An outcome is decided here and nowhere else: from the exception that ended the test. A Complaint is about the
submission; anything else that is raised is our own fault and makes the check `broken`, never passed.
"""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis.errors import Flaky

from grader.engine.fuzz import PLAN, StopFuzzing, changing, time_is_up
from grader.engine.traces import own_frames, tidy_output
from grader.model import Check, Complaint, Exchange, Exercise, Finding, Outcome, Verdict
from grader.source import only_stubs
from grader.target.function import find_stub_error
from grader.target.patience import PATIENCE
from grader.target.transcript import TRANSCRIPT

PACKAGE = Path(__file__).resolve().parents[1]

HANG_SECONDS = 30.0  # for all checks on the wire that hang: half of what one check may take, less than the whole budget
PRINT_SECONDS = 0.03  # for what a server prints while its answer is on the way
MAX_TEXT = 40_000  # characters of each part of a finding
MAX_TRANSCRIPT = 200_000  # characters in all; with the finding's, in JSON, an event then fits into a line
MAX_FRAMES, MAX_FRAME = 20, 500
GARBAGE = 20_000  # new objects before the youngest generation is looked through; Python's own 700 suits small heaps

Emit = Callable[[str, Outcome | str], None]


class Blocked(Exception):  # noqa: N818  (an outcome, not an error)
    """Not run: the check `by` has not passed."""

    def __init__(self, by: Check) -> None:
        super().__init__(by.id)
        self.by = by


class OutOfTime(Exception):  # noqa: N818
    """Not run: the time for the whole exercise, or for checks that hang, is used up. Carries the reason."""


@dataclass
class _Ending:
    """How the phases of one test ended so far."""

    started: float
    verdict: Verdict = Verdict.PASSED
    finding: Finding | None = None


class GradePlugin:
    """Runs the checks of one exercise in course order and emits ("start", id) and ("outcome", Outcome)."""

    def __init__(
        self,
        exercise: Exercise,
        wanted: tuple[str, ...],
        passed: tuple[str, ...],
        budget: float,
        folder: Path,
        emit: Emit,
    ) -> None:
        """`folder` is where the main file of the submission lies: tracebacks are told relative to it."""
        self._exercise, self._folder = exercise, folder
        # Read before anything runs: later a program may have put anything into its place.
        main = folder / Path(exercise.main).name
        self._text = main.read_bytes() if main.is_file() else b""
        self._checks = {check.id: check for check in exercise.checks}
        self._wanted = {identity: place for place, identity in enumerate(wanted)}
        self._last = wanted[-1] if wanted else ""
        self._passed = set(passed)
        self._deadline = time.monotonic() + budget
        self._budget = budget
        self._hung_for = 0.0
        self._emit = emit
        self._ending = _Ending(0.0)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        found = [(self._id_of(item), item) for item in items]
        chosen = [(self._wanted[identity], item) for identity, item in found if identity in self._wanted]
        items[:] = [item for _, item in sorted(chosen, key=lambda pair: pair[0])]

    def pytest_collection_finish(self) -> None:
        # What is loaded by now stays: looking through it for garbage, again and again, would take a tenth of the time.
        gc.freeze()
        gc.set_threshold(GARBAGE)

    @staticmethod
    def _id_of(item: pytest.Item) -> str:
        marker = item.get_closest_marker("check")
        return str(marker.args[0]) if marker else ""

    def pytest_runtest_logstart(self) -> None:
        self._ending = _Ending(time.monotonic())
        TRANSCRIPT.clear()
        PLAN.examples = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        check = self._checks[self._id_of(item)]
        self._emit("start", check.id)
        for need in check.needs:
            if need not in self._passed:
                raise Blocked(self._checks[need])
        late = time.monotonic() > self._deadline
        # What hangs on the wire takes no time from the functions, nor they from the wire: each call is bounded.
        if not late and (check.calls_functions or self._hung_for <= HANG_SECONDS):
            return
        if check.calls_functions and only_stubs(self._text, self._exercise.step_of(check)):
            raise Complaint(Finding(expected=check.claim, got="not written yet"), Verdict.NOT_STARTED)
        used = f"the {self._budget:g} s for this exercise were used up before this check"
        raise OutOfTime(used if late else f"the program has kept the grader waiting for {self._hung_for:.0f} s in all")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        if call.excinfo is not None and self._ending.verdict is Verdict.PASSED:
            self._ending.verdict, self._ending.finding = self._judge(call.excinfo.value)
        if call.when == "teardown":
            self._finish(self._checks[self._id_of(item)])
        return (yield)

    def _judge(self, error: BaseException) -> tuple[Verdict, Finding]:
        match error:
            case Complaint() as complaint:
                return self._heard(complaint)
            case StopFuzzing(complaint=complaint):
                return self._heard(complaint)
            case Flaky():
                return self._heard(changing())
            case Blocked(by=by):
                return Verdict.BLOCKED, Finding(expected=f"{by.id} passes first", got=f"{by.id} has not passed")
            case OutOfTime():
                return Verdict.TIMEOUT, Finding(expected="an answer", got=str(error))
            case pytest.fail.Exception() if late := time_is_up(error):
                return late.verdict, late.finding
            case _:
                frames = [
                    frame
                    for frame in traceback.extract_tb(error.__traceback__)
                    if PACKAGE in Path(frame.filename).parents
                ]
                trace = "".join(traceback.format_list(frames))
                return Verdict.BROKEN, Finding(got=f"{type(error).__name__}: {error}", output=trace[-4000:])

    def _heard(self, complaint: Complaint) -> tuple[Verdict, Finding]:
        """A complaint, with what a server has printed during the check: that is where its author looks."""
        finding = complaint.finding
        if complaint.verdict is Verdict.NOT_STARTED or TRANSCRIPT.witness is None:
            return complaint.verdict, finding
        output = finding.output or TRANSCRIPT.witness(PRINT_SECONDS)
        try:
            find_stub_error(output)
        except Complaint as unwritten:
            return unwritten.verdict, unwritten.finding
        return complaint.verdict, replace(finding, output=output)

    def _finish(self, check: Check) -> None:
        ending = self._ending
        if ending.verdict is Verdict.PASSED:
            self._passed.add(check.id)
        if ending.verdict is Verdict.TIMEOUT and not check.calls_functions:
            self._hung_for += time.monotonic() - ending.started
            PATIENCE.hung()
        outcome = Outcome(
            check=check,
            verdict=ending.verdict,
            finding=ending.finding and self._tidy(ending.finding, check),
            # Of what passes nobody wants to see the bytes, except of the one check that is replayed.
            transcript=_newest(TRANSCRIPT.exchanges)
            if ending.verdict is not Verdict.PASSED or check.id == self._last
            else (),
            examples=PLAN.examples,
            seconds=round(time.monotonic() - ending.started, 4),
        )
        self._emit("outcome", outcome)

    def _tidy(self, finding: Finding, check: Check) -> Finding:
        """Add the reason; turn a printed traceback into frames of the student's own."""
        return replace(
            finding,
            sent=_cut(finding.sent),
            expected=_cut(finding.expected),
            got=_cut(finding.got),
            why=finding.why or reason(check),
            frames=tuple(
                frame[:MAX_FRAME]
                for frame in (finding.frames or own_frames(finding.output, self._folder))[-MAX_FRAMES:]
            ),
            output=_cut(tidy_output(finding.output, self._folder)),
        )


def _cut(text: str) -> str:
    """A program chooses how long the names of its exceptions and the values of its fields are; a report does not."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} ... {len(text) - MAX_TEXT} more characters"


def _newest(exchanges: tuple[Exchange, ...]) -> tuple[Exchange, ...]:
    """As many of the last exchanges as MAX_TRANSCRIPT allows."""
    room = MAX_TRANSCRIPT
    kept: list[Exchange] = []
    for exchange in reversed(exchanges):
        room -= len(exchange.text)
        if room < 0:
            break
        kept.append(exchange)
    return tuple(reversed(kept))


def reason(check: Check) -> str:
    """The rule behind a check, with its source. A rule of the kit stands in the exercise's README."""
    source = "README" if check.source == "kit rule" else check.source
    rule = (check.rule or check.claim).rstrip(".")
    return rule if source in rule else f"{rule} ({source})"
