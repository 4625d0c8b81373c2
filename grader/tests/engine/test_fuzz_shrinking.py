"""Shrinking ends in time, with the smallest failure seen and the transcript that belongs to it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as st

from grader.engine.fuzz import StopFuzzing, fuzz
from grader.model import Complaint, Finding
from grader.target.transcript import TRANSCRIPT


def run(body: Callable[[list[int]], None]) -> None:
    decorated: Any = fuzz(numbers=st.lists(st.integers(0, 1000), min_size=1, max_size=8))(body)
    decorated()


def complain(sent: str) -> None:
    TRANSCRIPT.sent(sent)
    raise Complaint(Finding(sent=sent, expected="less", got="more"))


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let the fuzzing's clock, and only its own, move on by so many seconds at each look."""

    def set_tick(seconds: float) -> None:
        clock = itertools.count(0.0, seconds)
        # The package's attribute of this name is the decorator, so the module is looked up.
        module = import_module("grader.engine.fuzz")
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))

    return set_tick


def test_the_clock_ends_the_shrinking_with_the_smallest_failure(tick: Callable[[float], None]) -> None:
    tick(0.1)
    failed: list[list[int]] = []

    def body(numbers: list[int]) -> None:
        if sum(numbers) > 100:
            failed.append(numbers)
            complain(str(numbers))

    with pytest.raises(StopFuzzing) as stopped:
        run(body)
    smallest = min(failed, key=lambda numbers: (len(str(numbers)), str(numbers)))
    assert stopped.value.complaint.finding.sent == str(smallest) == TRANSCRIPT.last("sent")
    assert len(failed) < 30


def test_an_answer_that_changes_is_called_so(tick: Callable[[float], None]) -> None:
    tick(10.0)
    calls = itertools.count()

    def body(numbers: list[int]) -> None:
        if next(calls) == 0:
            complain(str(numbers))

    with pytest.raises(Complaint) as failed:
        run(body)
    assert failed.value.finding.expected == "the same answer every time"


def test_a_quick_failure_is_shrunk_to_the_end(tick: Callable[[float], None]) -> None:
    tick(0.0)

    def body(numbers: list[int]) -> None:
        if sum(numbers) > 100:
            complain(str(numbers))

    with pytest.raises(Complaint) as failed:
        run(body)
    assert failed.value.finding.sent == "[101]"
