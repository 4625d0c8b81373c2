"""Each way in which a check can end, told apart, and costing only what it touches."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from grader import grade as grade_module
from grader.course import Selection
from grader.grade import grade
from grader.job import Job
from grader.judging import JudgeRun, Stop
from grader.model import Outcome, Scorecard, Settings, Verdict
from grader.tests.grading.specimens import GOOD, STUB, TINY, grade_source, grade_submission, submit, verdicts


def find(card: Scorecard, identity: str) -> Outcome:
    return next(outcome for outcome in card.outcomes if outcome.check.id == identity)


def test_a_correct_program_scores_full(tmp_path: Path) -> None:
    card = grade_source(tmp_path, GOOD)
    assert (card.points, card.max_points) == (100, 100)
    assert card.examples >= 20


def test_a_program_may_have_modules_of_its_own(tmp_path: Path) -> None:
    submission = submit(
        tmp_path, GOOD.replace("import os", "import os\nimport mine").replace("text[::-1]", "mine.turn(text)")
    )
    (tmp_path / "tiny" / "cgi-bin" / "mine.py").write_text("def turn(text): return text[::-1]", encoding="utf-8")
    assert grade_submission(submission).points == 100


OTHER_DESIGN = GOOD.replace("backwards", "turn").replace("respond", "answer")


@pytest.mark.parametrize(
    "addition",
    [
        pytest.param("", id="no name in common"),
        pytest.param("from os.path import join as backwards", id="an import of the name"),
        pytest.param("backwards = respond = 'forwards'", id="variables of the names"),
        pytest.param("def backwards():\n    return 'another thing'", id="another signature"),
        pytest.param("class respond:\n    pass", id="a class of the name"),
    ],
)
def test_a_correct_program_of_another_design_scores_full(tmp_path: Path, addition: str) -> None:
    card = grade_source(tmp_path, f"{OTHER_DESIGN}\n\n{addition}\n")
    assert card.points == 100
    assert "30 points for functions that it does without" in card.cards[0].note


def test_a_step_alone_of_another_design_is_paid_as_in_the_whole(tmp_path: Path) -> None:
    words = tuple(check for check in TINY.checks if check.step == "words")
    settings = Settings(effort="quick", jobs=1)
    card = grade(submit(tmp_path, OTHER_DESIGN), (Selection(TINY, words),), settings)
    assert (card.points, card.max_points) == (30, 30)
    assert {outcome.check.step for outcome in card.outcomes} == {"words"}
    wrong = grade(submit(tmp_path, OTHER_DESIGN.replace("400", "404")), (Selection(TINY, words),), settings)
    assert wrong.points == 0


def test_many_slow_answers_are_a_timeout_and_no_other_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(grade_module.CHECK_SECONDS, "quick", 1.0)
    slow = GOOD.replace("    return text", "    time.sleep(0.2)\n    return text", 1).replace(
        "import os", "import os, time"
    )
    card = grade_source(tmp_path, slow)
    outcome = find(card, "words/fuzz")
    assert outcome.verdict is Verdict.TIMEOUT
    assert outcome.finding is not None and "time limit" in outcome.finding.got
    assert find(card, "page/answer").verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("open_for", "code", "verdicts"),
    [
        pytest.param(61.0, 1, ["timeout"], id="the time limit ended the judge: the next one takes the rest"),
        pytest.param(2.0, -9, ["crashed"], id="a signal while the program ran"),
        pytest.param(2.0, 1, ["broken"] * 4, id="a fault of ours"),
        pytest.param(None, 1, ["broken"] * 4, id="a fault of ours between two checks"),
    ],
)
def test_who_ended_the_judge(open_for: float | None, code: int, verdicts: list[str]) -> None:
    ids = tuple(check.id for check in TINY.checks)
    job = Job("", "", "", "", ids, (), "quick", 0, "process", 300.0, 60.0)
    ended = JudgeRun(job, list(TINY.checks), Stop())._explain_end(TINY.checks[0], set(), open_for, code, "")
    assert [outcome.verdict.value for outcome in ended] == verdicts


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        pytest.param(OTHER_DESIGN.replace("400", "404"), "blocked", id="wrong on the wire"),
        pytest.param(
            OTHER_DESIGN + "\n\ndef backwards(text):\n    return text\n", "failed", id="a wrong function of the name"
        ),
    ],
)
def test_another_design_is_paid_for_functions_only_when_all_else_is_right(
    tmp_path: Path, source: str, verdict: str
) -> None:
    card = grade_source(tmp_path, source)
    assert card.points < 100
    assert verdicts(card)["words/abc"] == verdict


def test_an_untouched_stub_scores_nothing_and_is_called_not_started(tmp_path: Path) -> None:
    card = grade_source(tmp_path, STUB)
    assert card.points == 0
    assert set(verdicts(card).values()) == {"not started"}


def test_a_half_written_stub_is_paid_for_its_half(tmp_path: Path) -> None:
    half = STUB.replace('raise NotImplementedError("step words: backwards() is yours to write")', "return text[::-1]")
    card = grade_source(tmp_path, half)
    assert verdicts(card) == {
        "words/abc": "passed",
        "words/fuzz": "passed",
        "page/answer": "not started",
        "page/empty": "blocked",
    }


def test_a_wrong_answer_is_failed_with_the_smallest_example(tmp_path: Path) -> None:
    card = grade_source(tmp_path, GOOD.replace("return text[::-1]", 'return text[::-1].replace("<", "")'))
    outcome = find(card, "words/fuzz")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.finding is not None
    assert outcome.finding.sent == "backwards('<')"
    assert outcome.finding.expected == "it returns '<'"
    assert outcome.finding.got == "it returned ''"
    assert outcome.finding.look.endswith("tiny.py:5 backwards()")
    assert card.points == 80


def test_an_exception_is_shown_with_the_students_own_line(tmp_path: Path) -> None:
    card = grade_source(tmp_path, GOOD.replace("return text[::-1]", "return text.reversed()"))
    finding = find(card, "words/abc").finding
    assert finding is not None
    assert finding.got == "it raised AttributeError: 'str' object has no attribute 'reversed'"
    assert finding.frames == ("tiny.py:6 in backwards",)
    assert finding.look == "specimen/tiny/cgi-bin/tiny.py:6 backwards()"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param("while True: pass", "timeout", id="endless loop"),
        pytest.param("import time; time.sleep(60)", "timeout", id="sleep"),
        pytest.param("os._exit(0)", "crashed", id="exit without a word"),
        pytest.param("os.kill(os.getpid(), 11)", "crashed", id="segmentation fault"),
        pytest.param("raise SystemExit(0)", "failed", id="SystemExit"),
        pytest.param("return backwards(text)", "failed", id="endless recursion"),
    ],
)
def test_a_fault_in_one_function_costs_its_checks_alone(tmp_path: Path, change: str, expected: str) -> None:
    source = GOOD.replace("return text[::-1]", change).replace("+ backwards(query)", "+ query[::-1]")
    card = grade_source(tmp_path, source)
    assert verdicts(card) == {
        "words/abc": expected,
        "words/fuzz": "blocked",
        "page/answer": "passed",
        "page/empty": "passed",
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param("while True: pass", "timeout", id="endless loop at import"),
        pytest.param("raise SystemExit(0)", "failed", id="exit at import"),
        pytest.param("import nowhere", "crashed", id="import of what is not there"),
    ],
)
def test_a_fault_at_import_is_named(tmp_path: Path, change: str, expected: str) -> None:
    card = grade_source(tmp_path, change + "\n" + GOOD)
    assert card.points == 0
    assert verdicts(card)["page/answer"] == expected


def test_a_syntax_error_is_named_with_file_and_line(tmp_path: Path) -> None:
    card = grade_source(tmp_path, GOOD.replace("def respond(query):", "def respond(query:"))
    assert set(verdicts(card).values()) == {"crashed"}
    finding = find(card, "words/abc").finding
    assert finding is not None
    assert finding.look.startswith("specimen/tiny/cgi-bin/tiny.py:")
    assert "SyntaxError" in card.cards[0].note


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    submission = submit(tmp_path, GOOD)
    (tmp_path / "tiny" / "cgi-bin" / "tiny.py").unlink()
    card = grade_submission(submission)
    assert card.points == 0
    assert "specimen/tiny/cgi-bin/tiny.py: no such file" in card.cards[0].note


def test_a_forbidden_import_scores_nothing_and_says_where(tmp_path: Path) -> None:
    card = grade_source(tmp_path, "from wsgiref import simple_server\n" + GOOD)
    assert card.points == 0
    assert card.cards[0].note.startswith("specimen/tiny/cgi-bin/tiny.py:1: import of wsgiref")


HIDING = "(__import__('sys').meta_path.__delitem__(slice(0, -3)), exec('import wsg' + 'iref'))"


BY_SPECIFICATION = (
    "(spec := __import__('importlib.util').util.find_spec('wsg' + 'iref.util'), "
    "spec.loader.exec_module(__import__('types').ModuleType('x')))"
)


@pytest.mark.parametrize(
    "spelling",
    [
        "__import__('wsg' + 'iref')",
        "exec('import wsg' + 'iref')",
        HIDING,
        "__import__('importlib').import_module('wsg' + 'iref.util')",
        "__import__('runpy').run_module('wsg' + 'iref.util')",
        BY_SPECIFICATION,
    ],
)
def test_a_hidden_import_is_refused_when_it_happens(tmp_path: Path, spelling: str) -> None:
    card = grade_source(tmp_path, GOOD.replace("return text[::-1]", f"return {spelling} and text[::-1]"))
    finding = find(card, "words/abc").finding
    assert finding is not None
    assert re.search(r"wsgiref(\.util)? is not among the modules that this exercise allows", finding.got)


OTHERS = {
    "in its place": (
        "__import__('os').execv(__import__('sys').executable, ['python', '-c', 'print(1)'])",
        "become another",
    ),
    "by its name": (
        "__import__('subprocess').run([__import__('sys').executable, '-c', 'import wsg' + 'iref;print(1)'])",
        "wsgiref is not among",
    ),
    "by the shell": ("__import__('os').system('python3 -c \"import wsg' + 'iref\"')", "wsgiref is not among"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no exec")
@pytest.mark.parametrize("way", OTHERS)
def test_another_interpreter_does_not_do_what_this_one_may_not(tmp_path: Path, way: str) -> None:
    call, said = OTHERS[way]
    card = grade_source(tmp_path, GOOD.replace("return text[::-1]", f"return {call} and text[::-1]"))
    finding = find(card, "words/abc").finding
    assert finding is not None
    assert said in finding.got


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_program_may_start_others(tmp_path: Path) -> None:
    start = "import os, subprocess, sys\nif os.fork() == 0:\n    os.execv(sys.executable, ['python', '-I', '-c', ''])\n"
    start += "os.wait()\nsubprocess.run([sys.executable, '-I', '-c', 'import json'], check=True)\n"
    assert grade_source(tmp_path, start + GOOD).points == 100


@pytest.mark.parametrize("line", ["import asyncio", "import asyncio as sys", "from asyncio import Protocol"])
def test_pythons_own_code_may_import_what_the_program_may_not(tmp_path: Path, line: str) -> None:
    assert grade_source(tmp_path, f"{line}\n{GOOD}").points == 100


def test_a_discouraged_import_costs_nothing_and_is_advised_against(tmp_path: Path) -> None:
    card = grade_source(tmp_path, "try:\n    import cgi\nexcept ImportError:\n    pass\n" + GOOD)
    assert card.points == 100
    assert "urllib.parse.parse_qs" in card.warnings[0]


def test_a_function_that_answers_differently_each_time_is_told_so(tmp_path: Path) -> None:
    source = GOOD.replace(
        "return text[::-1]", 'calls.append(1)\n    return text[::-1] if len(calls) % 7 else "?"'
    ).replace("import os", "import os\ncalls = []")
    outcome = find(grade_source(tmp_path, source), "words/fuzz")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.finding is not None
    assert outcome.finding.expected == "the same answer every time"


def test_what_the_program_printed_is_kept_short(tmp_path: Path) -> None:
    flood = "import sys\nfor _ in range(2000): sys.stderr.write('x' * 10000)\nraise SystemExit(3)\n"
    outcome = find(grade_source(tmp_path, flood + GOOD), "page/answer")
    assert outcome.finding is not None
    assert "truncated" in outcome.finding.output
    assert len(outcome.finding.output) < 5000


def test_a_seed_and_ci_change_nothing_for_a_correct_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = grade_source(tmp_path, GOOD)
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--co -x")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    within = grade_source(tmp_path, GOOD)
    assert (within.points, within.examples) == (without.points, without.examples) == (100, without.examples)
