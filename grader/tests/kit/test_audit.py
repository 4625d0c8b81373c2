"""The audit finds a kit that must not judge anybody yet."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import grader.audit.run
import grader.audit.stubs_command
from grader.audit.mutants import Mutant
from grader.cli import main
from grader.course import load_exercise
from grader.tests.grading.specimens import GOOD, TINY

SOLUTION = GOOD.replace("(text):", '(text):\n    """Turn a text around."""').replace(
    "(query):", '(query):\n    """Write the answer."""'
)
README = "# Say it backwards\n\n<!-- steps -->\n<!-- /steps -->\n"
MUTANTS = (
    Mutant("empty", frozenset({"page/empty"}), (("if not query", "if query is None"),)),
    Mutant("same", frozenset({"words/abc", "words/fuzz", "page/answer", "page/empty"}), (("text[::-1]", "text"),)),
)


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kit of one exercise whose generated files are not written yet."""
    main_file = tmp_path / "solutions" / TINY.id / TINY.main
    main_file.parent.mkdir(parents=True)
    main_file.write_text(SOLUTION, encoding="utf-8")
    (tmp_path / "exercises" / TINY.id).mkdir(parents=True)
    (tmp_path / "exercises" / TINY.id / "README.md").write_text(README, encoding="utf-8")
    for module in (grader.audit.run, grader.audit.stubs_command):
        monkeypatch.setattr(module, "KIT", tmp_path)
        monkeypatch.setattr(module, "load_course", lambda: (TINY,))
    monkeypatch.setattr(grader.audit.run, "load_mutants", lambda _: MUTANTS)
    return tmp_path


def audit(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    """The exit code, and the lines that name a problem."""
    code = main(["audit", "--effort", "quick", *arguments])
    return code, [line for line in capsys.readouterr().out.splitlines() if line.startswith("PROBLEM")]


def test_stubs_are_written_then_up_to_date_then_drift(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stubs", "--check"]) == 1
    assert "not up to date: exercises/tiny/cgi-bin/tiny.py" in capsys.readouterr().out
    assert main(["stubs"]) == 0
    assert capsys.readouterr().out.startswith("written: exercises/tiny/")
    assert main(["stubs", "--check"]) == 0
    with (kit / "exercises" / TINY.id / TINY.main).open("a", encoding="utf-8") as stub:
        stub.write("# changed by hand\n")
    assert main(["stubs", "--check"]) == 1


def test_a_sound_kit_holds(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["stubs"])
    assert audit(capsys) == (0, [])


def test_a_stub_that_earns_points_is_a_problem(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["stubs"])
    shutil.copy(kit / "solutions" / TINY.id / TINY.main, kit / "exercises" / TINY.id / TINY.main)
    code, problems = audit(capsys)
    assert code == 1
    assert [line.split(": ")[0] for line in problems] == ["PROBLEM tiny generated files", "PROBLEM tiny stub"]
    assert "scores 100, not 0" in problems[1]


def test_a_correct_program_in_another_style_that_loses_a_function_check_is_a_problem(
    kit: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = shutil.copytree(TINY.folder, kit / "checks" / TINY.id)
    exercise = load_exercise(checks)
    for module in (grader.audit.run, grader.audit.stubs_command):
        monkeypatch.setattr(module, "load_course", lambda: (exercise,))
    without = SOLUTION.replace("backwards(", "turned(")
    shifted = without.replace("import os", "import os\n\n\ndef backwards(words):\n    return words.split()[::-1]")
    for name, text in (("without", without), ("shifted", shifted)):
        main_file = checks / "accept" / name / TINY.id / TINY.main
        main_file.parent.mkdir(parents=True)
        main_file.write_text(text, encoding="utf-8")
    main(["stubs"])
    assert audit(capsys) == (1, ["PROBLEM tiny variant shifted: loses words/abc, words/fuzz"])


def test_a_solution_that_loses_points_and_mutants_that_do_not_are_problems(
    kit: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    harmless = Mutant("harmless", frozenset({"words/abc"}), (("no query", "nothing asked"),))
    monkeypatch.setattr(grader.audit.run, "load_mutants", lambda _: (harmless,))
    main_file = kit / "solutions" / TINY.id / TINY.main
    main_file.write_text(SOLUTION.replace("400 Bad Request", "200 OK"), encoding="utf-8")
    main(["stubs"])
    code, problems = audit(capsys)
    assert code == 1
    assert problems == [
        "PROBLEM tiny solution: loses page/empty",
        "PROBLEM tiny every check has a mutant: no mutant fails words/fuzz, page/answer, page/empty",
        "PROBLEM tiny mutant harmless (70 points): should have failed but passed: words/abc; "
        "failed though it should pass: page/empty",
    ]


def test_one_mutant_can_be_asked_for(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "tiny", "--mutant", "same", "--effort", "quick"]) == 0
    assert [line.split()[2:4] for line in capsys.readouterr().out.splitlines()[:-1]] == [["mutant", "same"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["audit", "gopher"], 'no exercise is called "gopher". There are: cgi_calculator'),
        (["audit", "--mutant", "one-recv-per-reqest"], 'Did you mean "one-recv-per-request"?'),
        (["stubs", "wsgi_catalogue"], 'Did you mean "wsgi_catalog"?'),
        (["stubs", "--check", "gopher"], 'no exercise is called "gopher"'),
    ],
)
def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert main(arguments) == 2
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("argument", ["--every", "--jobs"])
def test_none_of_something_is_refused(capsys: pytest.CaptureFixture[str], argument: str) -> None:
    assert main(["audit", argument, "0"]) == 2
    assert "must be at least 1" in capsys.readouterr().err
