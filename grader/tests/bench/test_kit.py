"""The benchmark of the kit: medians, ratios, and goals that can be missed."""

from __future__ import annotations

import sys

import pytest

from grader.bench.kit import EXERCISES, Cost, Samples, judge, measure, table
from grader.bench.kit_inside import Bench, render

NAMES = (
    "solutions", "solutions, first verdict", "solutions, new examples", "exercises, untouched", *EXERCISES,
    "fuzz in-process", "fuzz through the worker", "fuzz through CGI", "bare interpreter", "CGI run, empty program",
)  # fmt: skip


def samples(**seconds: float) -> Samples:
    """Three rounds of a tenth of a second of everything, but for the names given (spaces as underscores)."""
    made = Samples()
    for name in NAMES:
        middle = seconds.get(name.replace(" ", "_").replace(",", "").replace("-", "_"), 0.1)
        for factor in (1.0, 9.0, 0.1):
            made.add(name, Cost(middle * factor, middle * factor))
    return made


def test_the_median_counts() -> None:
    made = samples(solutions=2.0)
    assert made.wall("solutions") == 2.0
    assert made.rounds("solutions") == 3


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        pytest.param({"fuzz_through_the_worker": 0.116}, "process boundary", id="boundary"),
        pytest.param({"solutions_first_verdict": 1.0}, "first verdict", id="first verdict"),
        pytest.param({"exercises_untouched": 2.0}, "untouched stubs", id="stubs"),
        pytest.param({"solutions": 8.0}, "all three", id="all"),
        pytest.param({"socket_server": 4.0}, "socket_server", id="one"),
    ],
)
def test_a_goal_that_is_missed_is_named(seconds: dict[str, float], words: str) -> None:
    assert all(judge(samples()).values())
    missed = [goal for goal, met in judge(samples(**seconds)).items() if not met]
    assert len(missed) == 1
    assert words in missed[0]


def test_the_table_has_a_line_for_everything_and_ratios() -> None:
    lines = table(samples(fuzz_through_CGI=0.3)).splitlines()
    assert len(lines) == 1 + len(NAMES)
    (line,) = (line for line in lines if line.startswith("fuzz through CGI"))
    assert line.endswith("3.00, 3.00 of fuzz in-process")


@pytest.mark.skipif(sys.platform == "win32", reason="there the processor time of children is not told")
def test_processor_time_of_children_counts() -> None:
    import subprocess

    busy = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"]
    cost = measure(lambda: subprocess.run(busy, check=True))
    assert cost.cpu >= 0.29
    assert cost.wall >= 0.29


def test_every_way_of_fuzzing_finds_the_same_answers() -> None:
    with Bench() as bench:
        bench.cgi_run()
    assert render([("a b", "c&d=\u00e9", False), ("x", "y", True)]) == "a%20b=c%26d%3D%C3%A9&%78=%79"
