"""The patience of a judge: what hangs on the wire takes no time from the functions, nor they from the wire."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from grader.engine.plugin import GradePlugin, OutOfTime, _Ending
from grader.model import Verdict
from grader.tests.grading.specimens import TINY

WORDS, PAGE = "words/abc", "page/answer"


def item(identity: str) -> Any:
    return SimpleNamespace(get_closest_marker=lambda name: SimpleNamespace(args=(identity,)))


@pytest.fixture
def plugin(tmp_path: Path) -> GradePlugin:
    wanted = tuple(check.id for check in TINY.checks)
    return GradePlugin(TINY, wanted, (), 300.0, tmp_path, lambda kind, what: None)


def hang(plugin: GradePlugin, identity: str) -> None:
    """One minute has gone by in this check."""
    plugin._ending = _Ending(time.monotonic() - 60.0, Verdict.TIMEOUT)
    plugin._finish(next(check for check in TINY.checks if check.id == identity))


def test_a_slow_function_takes_nothing_from_the_wire(plugin: GradePlugin) -> None:
    hang(plugin, WORDS)
    plugin.pytest_runtest_setup(item(PAGE))


def test_what_hangs_on_the_wire_takes_nothing_from_functions(plugin: GradePlugin) -> None:
    hang(plugin, PAGE)
    plugin.pytest_runtest_setup(item(WORDS))


def test_what_hangs_on_the_wire_is_not_waited_for_again_and_again(plugin: GradePlugin) -> None:
    hang(plugin, PAGE)
    with pytest.raises(OutOfTime, match="kept the grader waiting for 60 s"):
        plugin.pytest_runtest_setup(item(PAGE))
