"""Hints come one at a time, in rising order, and are remembered outside the repository."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from grader.byhand import hint
from grader.model import UsageError
from grader.tests.grading.specimens import TINY

FIRST, SECOND = "Which slice steps from the end?", "text[::-1]"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(hint, "load_course", lambda: (TINY,))
    monkeypatch.setattr(hint, "state_folder", lambda: tmp_path / "state")
    return tmp_path / "state"


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    parser = argparse.ArgumentParser()
    hint.add_arguments(parser)
    assert hint.run(parser.parse_args(arguments)) == 0
    return capsys.readouterr().out.splitlines()


def test_each_time_one_more_and_then_the_last_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(capsys, "tiny/words") == [f"tiny/words, hint 1 of 2: {FIRST}", "Ask again for a stronger one."]
    for _ in range(2):
        shown = ask(capsys, "tiny/words")
        assert shown[0] == f"tiny/words, hint 2 of 2: {SECOND}"
        assert "the last one" in shown[1]


def test_steps_are_counted_apart(capsys: pytest.CaptureFixture[str]) -> None:
    ask(capsys, "tiny/words")
    assert ask(capsys, "tiny/page")[0].startswith("tiny/page, hint 1 of 1:")
    assert SECOND in ask(capsys, "tiny/words")[0]


def test_each_copy_of_the_kit_counts_for_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ask(capsys, "tiny/words")
    monkeypatch.setattr(hint, "KIT", tmp_path / "another")
    assert FIRST in ask(capsys, "tiny/words")[0]


def test_the_name_of_a_check_will_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert FIRST in ask(capsys, "tiny/words/any-check")[0]


def test_all_at_once_by_number_and_from_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert [line.rpartition(": ")[2] for line in ask(capsys, "tiny/words", "--all")[:2]] == [FIRST, SECOND]
    assert SECOND in ask(capsys, "tiny/words")[0]
    assert FIRST in ask(capsys, "tiny/words", "--restart")[0]
    assert SECOND in ask(capsys, "tiny/words", "--number", "2")[0]


@pytest.mark.parametrize("number", ["0", "3", "-1"])
def test_a_number_that_is_none_says_how_many_there_are(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="2 hints"):
        ask(capsys, "tiny/words", f"--number={number}")


def test_without_a_place_to_remember_the_next_hint_has_a_number(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state.write_text("a file where the folder should be", encoding="utf-8")
    for _ in range(2):
        shown = ask(capsys, "tiny/words")
        assert FIRST in shown[0]
        assert shown[1] == "For a stronger one: python -m grader hint tiny/words --number 2"


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"tiny/words": "two"}', '{"tiny/words": -5}', "\udcff"])
def test_a_broken_memory_counts_as_an_empty_one(text: str, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state.mkdir()
    (state / "hints.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert FIRST in ask(capsys, "tiny/words")[0]
    assert SECOND in ask(capsys, "tiny/words")[0]
    assert [path.name for path in state.iterdir()] == ["hints.json"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("tiny/wrods", 'Did you mean "tiny/words"', id="typo in a step"),
        pytest.param("tny/words", 'Did you mean "tiny"', id="typo in an exercise"),
        pytest.param("socket", "There are: tiny", id="nothing like it"),
        pytest.param("tiny", "name a step as well: tiny/words, tiny/page", id="no step"),
    ],
)
def test_an_unknown_name_is_helped(name: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=words):
        ask(capsys, name)


@pytest.mark.parametrize(
    ("platform", "variable", "value", "folder"),
    [
        pytest.param("linux", "XDG_STATE_HOME", "/x/state", "/x/state/three-servers", id="xdg"),
        pytest.param("linux", "XDG_STATE_HOME", "relative", "~/.local/state/three-servers", id="xdg must be absolute"),
        pytest.param("linux", "XDG_STATE_HOME", "", "~/.local/state/three-servers", id="linux"),
        pytest.param("darwin", "XDG_STATE_HOME", "/x", "~/Library/Application Support/three-servers", id="mac"),
        pytest.param("win32", "LOCALAPPDATA", "/local", "/local/three-servers", id="windows"),
        pytest.param("win32", "LOCALAPPDATA", "", "~/AppData/Local/three-servers", id="windows without a variable"),
    ],
)
def test_the_memory_is_where_the_system_keeps_such_things(
    monkeypatch: pytest.MonkeyPatch, platform: str, variable: str, value: str, folder: str
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, value)
    assert hint.state_folder() == Path(folder).expanduser()
