"""What the READMEs tell people to type is there: names of steps and checks, verbs, options, modules."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from grader.cli import VERBS, main
from grader.course import load_course, select
from grader.grade import KIT

READMES = (KIT / "README.md", KIT / "grader" / "README.md", *sorted((KIT / "exercises").glob("*/README.md")))
PLACEHOLDERS = ("CHECK", "EXERCISE", "ID")


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
