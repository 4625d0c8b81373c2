"""A calculator that always says the same earns next to nothing: what must not happen is graded behind what must."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.course import Selection, load_course
from grader.grade import grade
from grader.model import Settings
from grader.tests.grading.specimens import submit

CALCULATOR = next(exercise for exercise in load_course() if exercise.id == "cgi_calculator")

FORM = """<!DOCTYPE html><title>=</title><meta name=viewport content=width=device-width><b id=result>{result}</b>
<p id=error role=alert>{error}</p><form><input name=user><input name=operand><input name=operand>
<select name=operation><option>add<option>sub<option>mul<option>div</select></form>"""
HEAD = "Status: {status}\\nAllow: GET, HEAD, POST\\nContent-Type: text/html; charset=utf-8\\n\\n"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(f"print('''{HEAD.format(status=200)}{FORM.format(result='', error='')}''')", id="the form"),
        pytest.param(f"print('''{HEAD.format(status=200)}{FORM.format(result=18, error='')}''')", id="always 18"),
        *(
            pytest.param(
                f"print('''{HEAD.format(status=status)}{FORM.format(result='', error='No')}''')", id=f"{status}"
            )
            for status in (400, 405, 411, 413, 415, 500)
        ),
        pytest.param(f"print('''{HEAD.format(status=400)}''')", id="400 and nothing else"),
        pytest.param("pass", id="no output"),
        pytest.param("print()", id="an empty line"),
        pytest.param("raise SystemExit(0)", id="exit"),
    ],
)
def test_a_constant_earns_less_than_a_quarter(tmp_path: Path, source: str) -> None:
    settings = Settings(effort="quick", jobs=1)
    submission = submit(tmp_path, source, CALCULATOR)
    card = grade(submission, (Selection(CALCULATOR, CALCULATOR.checks),), settings)
    assert card.broken == ()
    assert card.points < 25
