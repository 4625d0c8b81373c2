"""Hypothesis under the kit's own profile: same seed, same examples, same score, with and without CI.

    @check("query/fuzz", points=3, source="...")
    @fuzz(pairs=st.lists(...))
    def test_pairs_come_back(module: Module, pairs: list[tuple[str, str]]) -> None: ...

The number of examples is fixed by the effort, never by the clock, so a slow machine gives the same score. Only
shrinking is bounded in time: after SHRINK_SECONDS the smallest failure found so far is reported.

A run tries the examples that are kept (grader.engine.examples). When one fails Hypothesis starts over with the same
seed: it comes to the same example, and shrinks it.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.internal.conjecture.providers import HypothesisProvider
from hypothesis.internal.constants_ast import Constants
from hypothesis.strategies import SearchStrategy

from grader.engine.examples import Drawn, examples
from grader.model import Complaint, Finding, Verdict
from grader.target.transcript import TRANSCRIPT

EXAMPLES = {"quick": 20, "standard": 100, "thorough": 1000}
SHRINK_SECONDS = 1.0  # a person waits for it; most failures are as small as they get in half of that

Test = TypeVar("Test", bound=Callable[..., None])


class StopFuzzing(BaseException):
    """Ends a fuzz run at once with a complaint. Not an Exception, so that Hypothesis neither repeats nor shrinks
    the example: it hung, or nothing is there to shrink."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(str(complaint))
        self.complaint = complaint


@dataclass
class Plan:
    """The choices of this judge, set before the checks are imported, and the running count of examples."""

    effort: str = "standard"
    seed: int = 0
    folder: Path | None = None  # where examples are kept
    examples: int = 0


PLAN = Plan()

PROFILE = settings(
    database=None,
    deadline=None,
    derandomize=False,
    report_multiple_bugs=False,
    print_blob=False,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)

# Hypothesis also draws numbers and texts that it finds in the modules loaded so far. The examples would then depend on
# what else has run in this judge, and the search takes half a second.
HypothesisProvider._local_constants = Constants()  # type: ignore[assignment]


@dataclass
class _Run:
    """One run of one fuzzed check: the smallest failing example so far, and since when it shrinks."""

    test: Callable[..., None]
    fixtures: Drawn
    smallest: Drawn = field(default_factory=dict)
    wrong: str = ""  # what was wrong with it
    shrinking_since: float | None = None

    def attempt(self, drawn: Drawn) -> None:
        """Try one example. Raises the Complaint about it; StopFuzzing where there is no more to be found out."""
        if self.shrinking_since is not None and time.monotonic() - self.shrinking_since > SHRINK_SECONDS:
            # Hypothesis would go on for minutes on a busy machine, even with examples that cost nothing.
            raise StopFuzzing(self.once_more())
        TRANSCRIPT.clear()
        try:
            self.test(**self.fixtures, **drawn)
        except Complaint as complaint:
            if complaint.verdict in (Verdict.TIMEOUT, Verdict.NOT_STARTED):
                raise StopFuzzing(complaint) from None
            if not self.smallest or _size(drawn) < _size(self.smallest):
                self.smallest, self.wrong = drawn, complaint.finding.got
            self.shrinking_since = self.shrinking_since or time.monotonic()
            raise
        except pytest.fail.Exception as error:  # pytest-timeout: Hypothesis would try the example once more
            if late := time_is_up(error):
                raise StopFuzzing(late) from None
            raise
        finally:
            if self.shrinking_since is None:
                PLAN.examples += 1

    def once_more(self) -> Complaint:
        """The complaint about the smallest example, from a new run of it: so the transcript is that of this example."""
        TRANSCRIPT.clear()
        try:
            self.test(**self.fixtures, **self.smallest)
        except Complaint as complaint:
            return complaint
        return changing(self.wrong)


def changing(wrong: str = "") -> Complaint:
    """The complaint about a program that answers the same input in two ways; `wrong` is what was wrong, if known."""
    got = "an answer that was wrong once and right the next time, for the same input"
    return Complaint(
        Finding(TRANSCRIPT.last("sent"), "the same answer every time", f"{got}; first: {wrong}" if wrong else got)
    )


def time_is_up(error: BaseException) -> Complaint | None:
    """The verdict on a check that pytest-timeout has ended; None when it is not pytest-timeout that speaks."""
    if "Timeout" not in str(error):
        return None
    got = f"this check was ended by its time limit ({error})"
    return Complaint(Finding(TRANSCRIPT.last("sent"), "an answer", got), Verdict.TIMEOUT)


def _size(drawn: dict[str, Any]) -> tuple[int, str]:
    shown = repr(drawn)
    return len(shown), shown


def fuzz(share: float = 1.0, **strategies: SearchStrategy[Any]) -> Callable[[Test], Test]:
    """Run a check on drawn values: `share` times as many as the effort says (quick 20, standard 100, thorough 1000).

    A failure is reported as the smallest example found; answers that change from call to call are reported as such.
    """
    count = max(1, round(EXAMPLES[PLAN.effort] * share))

    def decorate(test: Test) -> Test:
        number = crc32(test.__qualname__.encode()) + PLAN.seed
        file = Path(inspect.getfile(test))
        name = f"{test.__qualname__}-{count}"

        def draw(body: Callable[[Drawn], None]) -> None:
            @settings(PROFILE, max_examples=count)
            @seed(number)
            @given(**strategies)
            def each(**drawn: Any) -> None:
                body(drawn)

            each()

        def judged(**fixtures: Any) -> None:
            run, passed = _Run(test, fixtures), 0
            try:
                for drawn in examples(file, name, number, PLAN.folder, draw):
                    run.attempt(drawn)
                    passed += 1
            except Complaint:
                # The same seed makes the same examples: those that have passed are not tried once more.
                again, skipped = _Run(test, fixtures), iter(range(passed))
                draw(lambda drawn: again.attempt(drawn) if next(skipped, None) is None else None)
                raise run.once_more() from None

        # pytest gives what the signature asks for: the fixtures.
        asked = inspect.signature(test)
        rest = [parameter for parameter in asked.parameters.values() if parameter.name not in strategies]
        functools.update_wrapper(judged, test)
        judged.__signature__ = asked.replace(parameters=rest)  # type: ignore[attr-defined]
        return judged  # type: ignore[return-value]

    return decorate
