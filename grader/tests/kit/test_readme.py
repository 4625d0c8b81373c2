"""What the READMEs show is there: names of steps and checks, verbs, options, modules, a failure, a check."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from grader.audit.mutants import apply, load_mutants
from grader.cli import VERBS, main
from grader.course import load_course, select
from grader.grade import KIT, grade
from grader.model import Settings
from grader.report.text import render
from grader.submission import Submission
from grader.tests.kit.test_architecture import ORDER

READMES = (KIT / "README.md", KIT / "grader" / "README.md", *sorted((KIT / "exercises").glob("*/README.md")))
PLACEHOLDERS = ("CHECK", "EXERCISE", "ID")
# The failure that the front page explains is what this mutant of the socket server gets for this check.
MISTAKE, CHECK = "root-compared-without-separator", "socket_server/serve/dot-dot"


def commands() -> list[tuple[str, list[str]]]:
    """(README, the words after `python -m grader`) for every indented command without a placeholder."""
    found = []
    for path in READMES:
        for match in re.finditer(r"^ {4}.*?python -m grader (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            words = shlex.split(match[1].partition("  #")[0])
            if not set(words) & set(PLACEHOLDERS):
                found.append((path.relative_to(KIT).as_posix(), words))
    return found


def test_the_readmes_name_commands_at_all() -> None:
    assert len(commands()) >= 10
    assert {words[0] for _, words in commands()} >= {"exercises", "hint", "replay", "serve"}


@pytest.mark.parametrize(("readme", "words"), commands(), ids=lambda value: " ".join(value).replace("/", "."))
def test_a_command_of_a_readme_names_what_exists(readme: str, words: list[str]) -> None:
    names = words[1:] if words[0] not in VERBS or words[0] == "hint" else words[2:]
    if words[0] not in VERBS:
        assert (KIT / words[0]).is_dir(), readme
    assert select(load_course(), names), readme


def test_the_hints_of_the_readmes_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    for _, words in commands():
        if words[0] == "hint":
            assert main(words) == 0, words
            assert re.search(r"hint \d of \d", capsys.readouterr().out), words


def test_every_module_that_a_readme_runs_exists() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in READMES)
    named = set(re.findall(r"-m (grader\.[a-z_.]+[a-z_])", text))
    assert named
    assert {name for name in named if importlib.util.find_spec(name) is None} == set()


def test_every_file_that_the_front_page_links_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (KIT / "README.md").read_text(encoding="utf-8"))
    assert len(links) >= 5
    assert [link for link in links if not (KIT / link).exists()] == []


def test_the_options_of_the_front_page_are_explained_by_help(capsys: pytest.CaptureFixture[str]) -> None:
    named = set(re.findall(r"`(--[a-z-]+)", (KIT / "README.md").read_text(encoding="utf-8")))
    assert len(named) >= 5
    with pytest.raises(SystemExit):
        main(["--help"])
    assert named - set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) == set()


def test_the_failure_of_the_front_page_is_a_real_one(tmp_path: Path) -> None:
    (selection,) = select(load_course(), [CHECK])
    exercise = selection.exercise
    (mutant,) = (mutant for mutant in load_mutants(exercise) if mutant.id == MISTAKE)
    source = (KIT / "solutions" / exercise.id / exercise.main).read_text(encoding="utf-8")
    (tmp_path / exercise.id).mkdir()
    (tmp_path / exercise.id / exercise.main).write_text(apply(mutant, source), encoding="utf-8", newline="\n")
    card = grade(Submission(tmp_path, "exercises"), (selection,), Settings(jobs=1))
    real = render(card, width=200, verbose=False, unicode=False).plain.splitlines()

    text = (KIT / "README.md").read_text(encoding="utf-8").partition("## Read a failure\n\n")[2].partition("\n\n")[0]
    sample = [line.removeprefix("    ") for line in text.splitlines()]
    assert [line.split()[0] for line in sample[2:]] == [
        "sent", "expected", "got", "why", "look", "hint", "replay"
    ]  # fmt: skip
    # What is explained beside a row stands behind four blanks; "..." is left out; numbers of lines move.
    shown = [re.sub(r"(?<=.{14}) {4,}.*", "", line) for line in sample]
    patterns = [re.sub(r"(\\ )?\\\.\\\.\\\.", ".*", re.escape(line)) for line in shown]
    patterns = [re.sub(r"(\.py:|line\\ )\d+", r"\1[0-9]+", pattern) for pattern in patterns]
    places = [next((n for n, line in enumerate(real) if re.match(pattern, line)), -1) for pattern in patterns]
    assert -1 not in places, (shown[places.index(-1)], real)
    assert places == sorted(places)


def test_the_check_of_the_graders_readme_is_one() -> None:
    text = (KIT / "grader" / "README.md").read_text(encoding="utf-8")
    example = text.partition("## Write a check\n\n")[2].partition("\n\nOne claim.")[0]
    example = "\n".join(line.removeprefix("    ") for line in example.splitlines())
    assert example.startswith("@check(")
    assert example in (KIT / "grader" / "checks" / "socket_server" / "test_serve.py").read_text(encoding="utf-8")


def test_every_part_of_the_grader_stands_in_its_readme() -> None:
    text = (KIT / "grader" / "README.md").read_text(encoding="utf-8")
    (order,) = re.findall(r"Imports go one way, and a test enforces it: `([^`]+)`", text)
    assert [part for part in order.split() if part != "<-"] == [part for part in ORDER if part != "__main__"]
