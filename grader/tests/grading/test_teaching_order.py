"""Whoever has written the steps up to here, in order, has all the points up to here: no step waits for a later one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from grader.course import Selection, load_course
from grader.grade import KIT, grade
from grader.model import Exercise, Settings
from grader.source import functions
from grader.tests.grading.specimens import submit

CALCULATOR = next(exercise for exercise in load_course() if exercise.id == "cgi_calculator")


def unwritten(source: str, exercise: Exercise, steps: int) -> str:
    """A solution in which only the functions of the first `steps` steps are written."""
    lines = source.splitlines()
    found = functions(ast.parse(source))
    later = [found[name] for step in exercise.steps[steps:] for name in step.functions]
    for node in sorted(later, key=lambda node: node.lineno, reverse=True):
        body = f'    raise NotImplementedError("step later: {node.name}() is yours to write")'
        assert node.end_lineno is not None
        lines[node.body[0].lineno - 1 : node.end_lineno] = [body]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("steps", range(1, len(CALCULATOR.steps)), ids=[step.id for step in CALCULATOR.steps[:-1]])
def test_each_step_can_be_finished_before_the_next(tmp_path: Path, steps: int) -> None:
    source = (KIT / "solutions" / CALCULATOR.id / CALCULATOR.main).read_text(encoding="utf-8")
    submission = submit(tmp_path, unwritten(source, CALCULATOR, steps), CALCULATOR)
    checks = tuple(check for step in CALCULATOR.steps[:steps] for check in step.checks)
    card = grade(submission, (Selection(CALCULATOR, checks),), Settings(effort="quick", jobs=1))
    assert [outcome.check.id for outcome in card.outcomes if outcome.points == 0] == []
