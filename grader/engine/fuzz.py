"""Hypothesis under the kit's own profile: same seed, same examples, same score, with and without CI.

    @check("query/fuzz", points=3, source="...")
    @fuzz(pairs=st.lists(...))
    def test_pairs_come_back(module: Module, pairs: list[tuple[str, str]]) -> None: ...

The number of examples is fixed by the effort, never by the clock, so a slow machine gives the same score. Only
shrinking is bounded in time: after SHRINK_SECONDS the smallest failure found so far is reported.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from zlib import crc32

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from grader.model import Complaint, Finding, Verdict
from grader.target.transcript import TRANSCRIPT

EXAMPLES = {"quick": 20, "standard": 100, "thorough": 1000}
SHRINK_SECONDS = 1.0

Test = TypeVar("Test", bound=Callable[..., None])


class StopFuzzing(BaseException):
    """Ends a fuzz run at once with a complaint. Not an Exception, so that Hypothesis neither repeats nor shrinks
    the example: it hung, or nothing is there to shrink."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(str(complaint))
        self.complaint = complaint


@dataclass
class Plan:
    """The choices of this judge (effort, seed), set before the checks are imported, and the running count."""

    effort: str = "standard"
    seed: int = 0
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


@dataclass
class _Run:
    """One run of one fuzzed check: the smallest failing example so far, and since when it shrinks."""

    smallest: dict[str, Any] = field(default_factory=dict)
    shrinking_since: float | None = None

    def attempt(self, test: Callable[..., None], fixtures: dict[str, Any], drawn: dict[str, Any]) -> None:
        if self.shrinking_since is not None and time.monotonic() - self.shrinking_since > SHRINK_SECONDS:
            # Hypothesis would go on for minutes on a busy machine, even with examples that cost nothing.
            raise StopFuzzing(self._once_more(test, fixtures))
        TRANSCRIPT.clear()
        try:
            test(**fixtures, **drawn)
        except Complaint as complaint:
            if complaint.verdict in (Verdict.TIMEOUT, Verdict.NOT_STARTED):
                raise StopFuzzing(complaint) from None
            if not self.smallest or _size(drawn) < _size(self.smallest):
                self.smallest = drawn
            self.shrinking_since = self.shrinking_since or time.monotonic()
            raise
        except pytest.fail.Exception as error:  # pytest-timeout: Hypothesis would try the example once more
            if late := time_is_up(error):
                raise StopFuzzing(late) from None
            raise
        finally:
            if self.shrinking_since is None:
                PLAN.examples += 1

    def _once_more(self, test: Callable[..., None], fixtures: dict[str, Any]) -> Complaint:
        """The complaint about the smallest example, from a new run of it: so the transcript is that of this example."""
        TRANSCRIPT.clear()
        try:
            test(**fixtures, **self.smallest)
        except Complaint as complaint:
            return complaint
        got = "an answer that was wrong once and right the next time, for the same input"
        return Complaint(Finding(TRANSCRIPT.last("sent"), "the same answer every time", got))


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
    examples = max(1, round(EXAMPLES[PLAN.effort] * share))

    def decorate(test: Test) -> Test:
        run = _Run()

        @functools.wraps(test)
        def judged(**values: Any) -> None:
            drawn = {name: values.pop(name) for name in strategies}
            run.attempt(test, values, drawn)

        seeded = seed(crc32(test.__qualname__.encode()) + PLAN.seed)(given(**strategies)(judged))
        return settings(PROFILE, max_examples=examples)(seeded)  # type: ignore[return-value]

    return decorate
