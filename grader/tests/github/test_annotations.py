"""What is printed for GitHub: commands that say what we mean, and nothing of a submission that is obeyed."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.model import Finding, Scorecard, Verdict
from grader.report.github import MAX_ANNOTATIONS, annotation_lines, command, paused_commands, publish
from grader.tests.github.hostile import cards, texts, unhurried
from grader.tests.github.runner import Command, Log
from grader.tests.report.cards import DOT_DOT, all_cards, graded, scorecard

CARDS = all_cards()


def obeyed(lines: list[str]) -> list[Command]:
    return Log().read("\n".join(lines))


def test_a_failure_is_marked_at_the_line_of_the_student() -> None:
    (found,) = obeyed(annotation_lines(CARDS["one-failure"]))
    assert found.name == "error"
    assert found.properties == {
        "file": "exercises/socket_server/http_server.py",
        "line": "41",
        "title": "socket_server: 42 of 50 points",
    }
    assert found.data.splitlines()[0] == "static/dot-dot: A target with .. never reaches a file outside webroot."
    assert "expected: status 400, 403 or 404" in found.data


def test_brief_feedback_hides_what_was_expected_and_seen() -> None:
    (found,) = obeyed(annotation_lines(CARDS["brief"]))
    assert "404" not in found.data and "200 OK" not in found.data


def test_a_syntax_error_is_said_once_at_its_line() -> None:
    (found,) = obeyed(annotation_lines(CARDS["syntax-error"]))
    assert found.properties["line"] == "12"
    assert "None of the 9 checks can be run" in found.data and "SyntaxError" in found.data


def test_an_exercise_that_is_not_begun_is_a_notice() -> None:
    found = obeyed(annotation_lines(CARDS["mixed"]))
    assert [(each.name, each.properties["title"].split(":")[0]) for each in found] == [
        ("error", "socket_server"),
        ("notice", "wsgi_catalog"),
    ]


@pytest.mark.parametrize("name", ["all-pass", "three-pass"])
def test_full_marks_are_one_notice(name: str) -> None:
    (found,) = obeyed(annotation_lines(CARDS[name]))
    assert (found.name, found.data) == ("notice", "Every check passed.")


def test_a_broken_grader_gives_no_score() -> None:
    (found,) = obeyed(annotation_lines(CARDS["broken"]))
    assert found.name == "error" and "grader" in found.data
    assert not re.search(r"[0-9]+ of [0-9]+", found.data + found.properties["title"])


def test_more_exercises_than_github_shows_are_counted() -> None:
    opened = [graded({"static/dot-dot": (Verdict.FAILED, DOT_DOT)}, f"exercise{number}") for number in range(14)]
    found = obeyed(annotation_lines(scorecard(*opened)))
    assert len(found) == MAX_ANNOTATIONS
    assert found[-1].data.startswith("5 more exercises")


@pytest.mark.parametrize(
    ("look", "within", "file", "line"),
    [
        ("exercises/socket_server/http_server.py:41 resolve()", "", "exercises/socket_server/http_server.py", "41"),
        ("exercises/socket_server/a b.py:7", "", "exercises/socket_server/a b.py", "7"),
        ("exercises/socket_server/http_server.py", "kit", "kit/exercises/socket_server/http_server.py", None),
        ("exercises/socket_server/../../grader/model.py:3", "", "exercises/socket_server/http_server.py", None),
        ("/etc/passwd:1", "", "exercises/socket_server/http_server.py", None),
        ("exercises/socket_server/x.py:0", "", "exercises/socket_server/http_server.py", None),
        ("exercises/socket_server/" + "x" * 500 + ":3", "", "exercises/socket_server/http_server.py", None),
        ("", "", "exercises/socket_server/http_server.py", None),
    ],
)
def test_a_place_is_a_file_of_the_exercise(look: str, within: str, file: str, line: str | None) -> None:
    card = scorecard(graded({"static/index": (Verdict.FAILED, Finding(got="x", look=look))}))
    (found,) = obeyed(annotation_lines(card, within))
    assert (found.properties["file"], found.properties.get("line")) == (file, line)


@pytest.mark.parametrize("submission", ["/somewhere/exercises", "../exercises"])
def test_a_submission_outside_the_repository_has_no_place(submission: str) -> None:
    card = replace(CARDS["one-failure"], submission=submission)
    (found,) = obeyed(annotation_lines(card))
    assert set(found.properties) == {"title"}


@unhurried
@given(st.text("%:,\r\nabc=;]é", max_size=20), st.text("%:,\r\nabc=;]é", max_size=20).filter(str.strip))
def test_a_command_arrives_as_it_was_meant(message: str, title: str) -> None:
    line = command("error", message, title=title, file="", line="3")
    assert "\n" not in line and "\r" not in line
    (found,) = obeyed([line])
    assert found == Command("error", {"title": title, "line": "3"}, message)


@unhurried
@given(cards())
def test_hostile_text_gives_no_other_commands(card: Scorecard) -> None:
    lines = annotation_lines(card)
    found = obeyed(lines)
    assert len(found) == len(lines) <= MAX_ANNOTATIONS
    assert all(len(line) < 8_000 and "\n" not in line and "\r" not in line for line in lines)
    for each in found:
        assert set(each.properties) <= {"file", "line", "title"}
        assert each.properties.get("file", "exercises/").startswith("exercises/")
        assert each.data.replace("\n", "").isprintable()
        assert all(value.isprintable() for value in each.properties.values())


@unhurried
@given(texts)
def test_nothing_printed_while_commands_are_paused_is_obeyed(text: str) -> None:
    stream = io.StringIO()
    with paused_commands(stream):
        stream.write(text.encode("utf-8", "replace").decode() + "\n")
    print("::notice::ours", file=stream)
    assert Log().read(stream.getvalue()) == [
        Command("remove-matcher", {"owner": "python"}, ""),
        Command("notice", {}, "ours"),
    ]


def test_commands_stay_paused_after_an_error() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="stop"), paused_commands(stream):
        raise ValueError("stop")
    stream.write("::error::from a message that names a file of the submission\n")
    assert [each.name for each in Log().read(stream.getvalue())] == ["remove-matcher"]


def test_the_token_is_new_each_time() -> None:
    tokens = set()
    for _ in range(20):
        with paused_commands(io.StringIO()) as token:
            tokens.add(token)
    assert len(tokens) == 20
    assert all(re.fullmatch(r"[0-9a-f]{32}", token) for token in tokens)


def test_publish_writes_where_github_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: tmp_path / name for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    for name, path in files.items():
        path.write_text("before\n", encoding="utf-8")
        monkeypatch.setenv(name, str(path))
    (tmp_path / "kit").mkdir()
    monkeypatch.chdir(tmp_path / "kit")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    publish(CARDS["mixed"])
    assert files["GITHUB_OUTPUT"].read_text(encoding="utf-8") == "before\nscore=92\nmax_score=150\n"
    assert files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8").startswith("before\n## Score: 92 of 150\n")
    assert "::error file=kit/exercises/socket_server/http_server.py,line=41," in capsys.readouterr().out


def test_publish_gives_no_score_when_the_grader_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    publish(CARDS["broken"])
    assert not (tmp_path / "output").exists()


def test_publish_needs_nothing_of_github(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    publish(CARDS["all-pass"])
    assert capsys.readouterr().out == "::notice title=50 of 50 points::Every check passed.\n"
    assert not list(tmp_path.iterdir())
