"""The job of grade.yml, step by step, on pull requests good and bad: the score is that of the program, and no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from grader.sandbox.isolation import landlock_holds
from grader.sandbox.policy import Policy, environment
from grader.tests.github.job import Run, git, play
from grader.tests.github.test_summary import assert_only_ours

pytestmark = pytest.mark.skipif(not landlock_holds(), reason="the workflow asks for Landlock, which is not here")

KIT = Path(__file__).parents[3]
SETTINGS = {"NAMES": "cgi_calculator/response cgi_calculator/query", "EFFORT": "quick", "MIN_SCORE": "21"}
FULL = "21"
MAIN = "cgi_calculator/cgi-bin/cgi_calc.py"
STARTS = 'if __name__ == "__main__":'
WRONG = f'def percent_decode(raw):\n    return raw.decode("latin-1")\n\n\n{STARTS}'
SECRET = "a-token-that-must-not-leak"

Change = Callable[[Path], None]


@dataclass
class Repository:
    """A repository with the kit on its base branch."""

    path: Path
    base: str
    scratch: Path
    number: int = 0

    def commit(self, change: Change, onto: str = "") -> str:
        """Apply a change to the base branch's files and commit it on a branch of its own."""
        self.number += 1
        git(self.path, "checkout", "--quiet", "--force", "-B", f"branch{self.number}", onto or self.base)
        change(self.path)
        git(self.path, "add", "--all", "--force")
        git(self.path, "commit", "--quiet", "--allow-empty", "-m", "a change")
        return git(self.path, "rev-parse", "HEAD")

    def grade(self, change: Change, base: str = "", **settings: str) -> Run:
        """The job's run on a pull request that makes this change."""
        base = base or self.base
        head = self.commit(change, base)
        return play(self.path, base, head, self.scratch / f"run{self.number}", {**SETTINGS, **settings})


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The kit as it is here, with the calculator as its only exercise."""
    folder = tmp_path_factory.mktemp("repository")
    unwanted = shutil.ignore_patterns("__pycache__", ".*_cache", "tests", "bench", "accept", "*.egg-info")
    for name in ("grader", "webroot", "data", ".github"):
        shutil.copytree(KIT / name, folder / name, ignore=unwanted)
    for name in ("exercises", "solutions"):
        shutil.copytree(KIT / name / "cgi_calculator", folder / name / "cgi_calculator", ignore=unwanted)
    for other in ("socket_server", "wsgi_catalog"):
        shutil.rmtree(folder / "grader" / "checks" / other)
    for name in ("pyproject.toml", ".gitignore"):
        shutil.copy(KIT / name, folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "-m", "The kit")
    return Repository(folder, git(folder, "rev-parse", "HEAD"), tmp_path_factory.mktemp("runs"))


def solve(root: Path) -> None:
    shutil.copy(root / "solutions" / MAIN, root / "exercises" / MAIN)


def solve_wrongly(root: Path) -> None:
    solve(root)
    path = root / "exercises" / MAIN
    path.write_text(path.read_text(encoding="utf-8").replace(STARTS, WRONG), encoding="utf-8")


@pytest.fixture(scope="module")
def wrong(repository: Repository) -> Run:
    """The run of a program with one mistake and nothing else, which the others are compared with."""
    return repository.grade(solve_wrongly)


def assert_judged_as(run: Run, honest: Run) -> None:
    """The same points, colour and artifact, whatever else the pull request brought."""
    assert (run.green, run.outputs) == (honest.green, honest.outputs)
    assert scores(run) == scores(honest)
    assert not any("forged" in f"{found.name}{found.properties}" for found in run.runner.commands)
    assert_only_ours(run.summary)


def scores(run: Run) -> list[tuple[str, str]]:
    """Each check of the artifact with its verdict."""
    assert run.artifact is not None
    steps = [step for each in json.loads(run.artifact)["exercises"] for step in each["steps"]]
    return [(check["id"], check["verdict"]) for step in steps for check in step["checks"]]


def test_a_correct_program_is_green(repository: Repository) -> None:
    run = repository.grade(solve)
    assert run.green
    assert run.outputs == {"status": "0", "score": FULL, "max_score": FULL}
    assert run.titles("error") == [] and run.titles("warning") == []
    assert run.titles("notice") == [f"{FULL} of {FULL} points"]
    assert f"## Score: {FULL} of {FULL}\n" in run.summary
    assert json.loads(run.artifact or "")["points"] == int(FULL)
    assert f"{FULL} points, and {FULL} were asked for." in run.log


def test_a_stub_is_red_and_is_told_where_to_begin(repository: Repository) -> None:
    run = repository.grade(lambda root: None)
    assert not run.green
    assert run.outputs["score"] == "0"
    assert run.titles("error") == ["Not there yet"]
    (notice,) = [found for found in run.runner.annotations() if found.name == "notice"]
    assert notice.data.startswith("Not started. Begin with ")


def test_the_minimum_decides(repository: Repository, wrong: Run) -> None:
    assert not wrong.green and wrong.outputs["status"] == "1"
    score = int(wrong.outputs["score"])
    assert 0 < score < int(FULL)
    again = repository.grade(solve_wrongly, MIN_SCORE=str(score))
    assert again.green and again.outputs["score"] == str(score)


def test_a_mistake_is_marked_in_the_file_and_explained(wrong: Run) -> None:
    first = next(found for found in wrong.runner.annotations() if found.name == "error")
    assert first.properties["file"] == f"exercises/{MAIN}"
    assert int(first.properties["line"]) > 1
    assert "python -m grader replay exercises cgi_calculator/query/" in wrong.summary
    assert_only_ours(wrong.summary)


def test_a_changed_grader_and_workflow_change_nothing(repository: Repository, wrong: Run) -> None:
    def change(root: Path) -> None:
        solve_wrongly(root)
        for name in ("grader/cli.py", "grader/__main__.py", "grader/__init__.py"):
            (root / name).write_text("print('forged'); raise SystemExit(0)\n", encoding="utf-8")
        shutil.rmtree(root / "grader" / "checks")
        (root / ".github/workflows/grade.yml").write_text("on: push\n", encoding="utf-8")
        (root / "pyproject.toml").unlink()

    run = repository.grade(change)
    assert_judged_as(run, wrong)
    assert run.titles("warning") == ["Changes outside exercises/ are not graded"]
    assert "\n    .github/workflows/grade.yml\n" in run.summary
    assert "\n    grader/cli.py\n" in run.summary
    assert "\n    exercises/" not in run.summary


def test_planted_files_are_never_read(repository: Repository, wrong: Run) -> None:
    planted = "import os\nprint('forged')\nos._exit(0)\n"
    names = (
        "conftest.py",
        "sitecustomize.py",
        "usercustomize.py",
        "json.py",
        "pytest.py",
        "grader.py",
        "hypothesis.py",
    )

    def change(root: Path) -> None:
        solve_wrongly(root)
        main = root / "exercises" / MAIN
        for folder in (root, root / "exercises", root / "exercises/cgi_calculator", main.parent):
            for name in names:
                (folder / name).write_text(planted, encoding="utf-8")
            (folder / "pytest.ini").write_text("[pytest]\naddopts = --collect-only\n", encoding="utf-8")
            (folder / "json.pth").write_text("import os; os._exit(0)\n", encoding="utf-8")

    run = repository.grade(change)
    assert_judged_as(run, wrong)
    assert "forged" not in run.log


def test_strange_names_outside_exercises_are_only_shown(repository: Repository, wrong: Run) -> None:
    names = [
        "::error::forged",
        "##[error]forged",
        "a\n::error::forged\n```\n# forged",
        "`````",
        "<h1>forged",
        "é\u202e",
    ]

    def change(root: Path) -> None:
        solve_wrongly(root)
        for name in names:
            (root / name.replace("/", "_")).write_text("x", encoding="utf-8")

    run = repository.grade(change)
    assert len(run.runner.annotations()) == len(wrong.runner.annotations()) + 1
    assert (run.green, run.outputs) == (wrong.green, wrong.outputs)
    assert '\n    "a\\n::error::forged\\n```\\n# forged"\n' in run.summary
    assert_only_ours(run.summary.replace("forged", ""))


def test_very_many_changes_outside_do_not_flood_the_summary(repository: Repository, wrong: Run) -> None:
    def change(root: Path) -> None:
        solve_wrongly(root)
        for number in range(3000):
            (root / f"{'long' * 30}{number}").touch()

    run = repository.grade(change)
    assert (run.green, run.outputs) == (wrong.green, wrong.outputs)
    assert run.summary.count("\n    longlong") == 100


@pytest.mark.parametrize("target", ["solutions", "../solutions", "/etc"])
def test_a_link_in_the_place_of_exercises_is_not_graded(repository: Repository, target: str) -> None:
    def change(root: Path) -> None:
        shutil.rmtree(root / "exercises")
        (root / "exercises").symlink_to(target)

    run = repository.grade(change)
    assert not run.green
    assert run.outputs == {"status": "2"}
    assert run.titles("error") == ["Nothing was graded"]
    assert run.artifact is None


@pytest.mark.parametrize(
    ("place", "target"),
    [
        ("exercises/cgi_calculator/cgi-bin", "../../solutions/cgi_calculator/cgi-bin"),
        (f"exercises/{MAIN}", f"../../../solutions/{MAIN}"),
    ],
    ids=["folder", "file"],
)
def test_a_link_to_the_solution_earns_nothing(repository: Repository, place: str, target: str) -> None:
    def change(root: Path) -> None:
        path = root / place
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.symlink_to(target)

    run = repository.grade(change)
    assert not run.green
    assert run.outputs == {"status": "1", "score": "0", "max_score": FULL}


@pytest.mark.parametrize("instead", ["nothing", "file", "empty"])
def test_no_exercises_at_all_is_said(repository: Repository, instead: str) -> None:
    def change(root: Path) -> None:
        shutil.rmtree(root / "exercises")
        if instead == "file":
            (root / "exercises").write_text("::error::forged\n", encoding="utf-8")
        if instead == "empty":
            (root / "exercises").mkdir()
            (root / "exercises" / "##[error]forged\n::error::forged").write_text("", encoding="utf-8")

    run = repository.grade(change)
    assert not run.green
    assert run.titles("error") == ["Nothing was graded"]
    assert len(run.runner.annotations()) == 1


def test_a_program_that_attacks_the_job_gets_its_honest_score(repository: Repository, wrong: Run) -> None:
    """It writes to every file of the job that it can name, prints commands, and tells what it knows."""
    attack = (
        "import os, pathlib, sys\n"
        f"for _place in [*pathlib.Path({str(repository.scratch)!r}).glob('run*/[0-9]*'),\n"
        f"               *pathlib.Path({str(repository.scratch)!r}).glob('run*/work/**/*.*')]:\n"
        "    try:\n"
        "        _place.write_text('score=300\\nstatus=0\\nforged')\n"
        "    except OSError:\n"
        "        pass\n"
        "_known = dict(os.environ)\n"
        "for _place in pathlib.Path('/proc').glob('[0-9]*/environ'):\n"
        "    try:\n"
        "        _known[str(_place)] = _place.read_text()\n"
        "    except OSError:\n"
        "        pass\n"
        "_known = {name: value for name, value in _known.items() if 'token' in str(value)}\n"
        "print('::error title=forged::forged', '##[add-mask]forged', '::set-output name=score::300',\n"
        "      '::add-matcher::forged', _known, sep='\\n', file=sys.stderr)\n"
    )

    def change(root: Path) -> None:
        solve_wrongly(root)
        path = root / "exercises" / MAIN
        lines = path.read_text(encoding="utf-8").replace(STARTS, f"{attack}\n\n{STARTS}")
        path.write_text(lines, encoding="utf-8")

    run = repository.grade(change)
    assert_judged_as(run, wrong)
    assert SECRET not in run.log + run.summary + (run.artifact or "")
    assert git(run.workspace, "status", "--porcelain", "--", "grader", "solutions", ".github", "data") == ""


def test_a_broken_grader_is_red_and_gives_no_score(repository: Repository) -> None:
    def break_it(root: Path) -> None:
        path = root / "grader/checks/cgi_calculator/test_response.py"
        path.write_text(path.read_text(encoding="utf-8") + "\nraise RuntimeError('ours')\n", encoding="utf-8")

    run = repository.grade(solve, base=repository.commit(break_it))
    assert not run.green
    assert run.outputs == {"status": "3"}
    assert run.titles("error")[-1] == "The grader itself failed"
    assert "of 21" not in run.summary


def test_a_child_knows_nothing_of_github(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GITHUB_TOKEN", "GITHUB_ENV", "GITHUB_STEP_SUMMARY", "ACTIONS_RUNTIME_TOKEN", "RUNNER_TEMP", "CI"):
        monkeypatch.setenv(name, SECRET)
    known = environment(Policy(), tmp_path)
    assert SECRET not in known.values()
    assert not [name for name in known if name.startswith(("GITHUB_", "ACTIONS_", "RUNNER_", "CI"))]
