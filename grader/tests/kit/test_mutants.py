"""Mutants are caught, or the audit says which check let them through."""

from __future__ import annotations

import dataclasses
import shutil
import threading
import time
from pathlib import Path

import pytest

from grader.audit.mutants import Mutant, apply, grade_mutants, load_mutants
from grader.course import Selection, load_course
from grader.grade import KIT, grade
from grader.judging import Stop
from grader.model import Exercise, KitError, Settings
from grader.tests.grading.specimens import GOOD, TINY, submit

MUTANT = '''
[[mutant]]
id = "{id}"
fails = {fails}
find = """{find}"""
replace = """{put}"""
'''


def with_mutants(folder: Path, *mutants: dict[str, str]) -> Exercise:
    shutil.copytree(TINY.folder, folder, dirs_exist_ok=True)
    text = "".join(MUTANT.format(**mutant) for mutant in mutants)
    (folder / "mutants.toml").write_text(text, encoding="utf-8")
    return dataclasses.replace(TINY, folder=folder)


def test_a_mutant_that_loses_what_it_should_is_no_problem_and_others_are(tmp_path: Path) -> None:
    solution = tmp_path / "solutions" / "tiny" / "cgi-bin" / "tiny.py"
    solution.parent.mkdir(parents=True)
    solution.write_text(GOOD, encoding="utf-8")
    exercise = with_mutants(
        tmp_path / "checks",
        {"id": "right", "fails": '["page/empty"]', "find": "if not query", "put": "if query is None"},
        {"id": "missed", "fails": '["page/empty"]', "find": "no query", "put": "nothing"},
        {"id": "extra", "fails": '["words/abc"]', "find": "text[::-1]", "put": "text"},
    )
    settings = Settings(effort="quick", jobs=2)
    exercise = dataclasses.replace(exercise, folder=TINY.folder)
    mutants = load_mutants(dataclasses.replace(exercise, folder=tmp_path / "checks"))
    problems = [result.problem for result in grade_mutants(tmp_path, exercise, mutants, settings)]
    assert problems == [
        "",
        "should have failed but passed: page/empty",
        "failed though it should pass: page/answer, page/empty, words/fuzz",
    ]


def test_nobody_waits_for_the_mutants_that_run_when_one_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, seen = threading.Event(), []

    def graded(kit: Path, exercise: Exercise, mutant: Mutant, settings: Settings, stop: Stop) -> None:
        if mutant.id == "interrupted":
            running.wait(30)
            raise KeyboardInterrupt
        running.set()
        for _ in range(3000):
            if stop.requested:
                break
            time.sleep(0.01)
        seen.append(stop.requested)

    monkeypatch.setattr("grader.audit.mutants.grade_mutant", graded)
    mutants = [Mutant(name, frozenset(), ()) for name in ("interrupted", *"abcdefgh")]
    with pytest.raises(KeyboardInterrupt):
        list(grade_mutants(tmp_path, TINY, tuple(mutants), Settings(jobs=2)))
    assert set(seen) == {True}
    assert len(seen) <= 2


def test_a_stop_that_comes_late_ends_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop()
    ended: list[object] = []
    grade(submit(tmp_path, GOOD), (Selection(TINY, TINY.checks),), Settings(effort="quick"), stop=stop)
    monkeypatch.setattr("grader.judging.end_tree", ended.append)
    stop.now()
    assert ended == []


def test_a_mutant_whose_text_is_gone_is_refused(tmp_path: Path) -> None:
    exercise = with_mutants(tmp_path, {"id": "gone", "fails": '["words/abc"]', "find": "nowhere", "put": ""})
    with pytest.raises(KitError, match="matches 0 times, not once"):
        apply(load_mutants(exercise)[0], GOOD)


@pytest.mark.parametrize(
    ("mutant", "message"),
    [
        ({"id": "a", "fails": '["words/none"]', "find": "x", "put": "y"}, "checks that do not exist"),
        ({"id": "a", "fails": "[]", "find": "x", "put": "y"}, "must list the checks"),
    ],
)
def test_a_mutant_that_names_no_check_is_refused(tmp_path: Path, mutant: dict[str, str], message: str) -> None:
    with pytest.raises(KitError, match=message):
        load_mutants(with_mutants(tmp_path, mutant))


@pytest.mark.parametrize("exercise", load_course(), ids=lambda exercise: exercise.id)
def test_every_mutant_still_applies_to_its_solution(exercise: Exercise) -> None:
    source = (KIT / "solutions" / exercise.id / exercise.main).read_text(encoding="utf-8")
    for mutant in load_mutants(exercise):
        compile(apply(mutant, source), mutant.id, "exec")
