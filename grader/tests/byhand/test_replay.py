"""What failed can be run again, with every byte shown."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from grader.byhand import replay
from grader.model import Settings, UsageError
from grader.sandbox.isolation import landlock_holds
from grader.sandbox.policy import child_uid
from grader.tests.grading.specimens import GOOD, STUB, TINY, submit


@pytest.fixture(autouse=True)
def course(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "load_course", lambda: (TINY,))


def again(folder: Path, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    replay.add_arguments(parser)
    return replay.run(parser.parse_args([str(folder), *arguments]))


def test_a_failed_check_shows_its_smallest_exchange_and_its_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(tmp_path, GOOD.replace("text[::-1]", "text"))
    check = next(check for check in TINY.checks if check.step == "words" and check.calls_functions)
    assert again(tmp_path, check.path) == 1
    shown = capsys.readouterr().out
    assert "> backwards(" in shown.splitlines()[0]
    assert shown.splitlines()[1].startswith("< ")
    assert check.claim in " ".join(shown.split())
    assert "expected" in shown


def test_a_check_that_passes_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit(tmp_path, GOOD)
    assert again(tmp_path, TINY.checks[0].path) == 0
    assert f"{TINY.checks[0].path} passes" in capsys.readouterr().out


def test_seed_and_effort_are_those_of_the_run_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(tmp_path, GOOD)
    asked: list[Settings] = []

    def record(submission: object, selections: object, settings: Settings) -> object:
        asked.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(replay, "grade", record)
    with pytest.raises(KeyboardInterrupt):
        again(tmp_path, TINY.checks[0].path, "--seed", "7", "--effort", "thorough")
    assert (asked[0].seed, asked[0].effort) == (7, "thorough")


def test_a_call_shows_what_it_returned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit(tmp_path, GOOD)
    assert again(tmp_path, "tiny", "--call", "backwards('ab')") == 0
    assert capsys.readouterr().out.splitlines() == ["> backwards('ab')", "< 'ba'"]


def test_a_call_shows_what_it_raised_and_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit(tmp_path, GOOD)
    assert again(tmp_path, "tiny", "--call", "backwards(5)") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[1].startswith("< raised TypeError")
    assert shown[2].startswith("| raised at tiny.py:")


@pytest.mark.skipif(child_uid() is None or not landlock_holds(), reason="needs a user of its own for the children")
def test_a_call_leaves_nothing_in_shared_memory(tmp_path: Path) -> None:
    left = Path("/dev/shm") / f"left-by-hand-{os.getpid()}"
    source = GOOD.replace(
        "    return text", f"    open({str(left)!r}, 'w').close()\n    return str(os.stat({str(left)!r}).st_uid)"
    )
    submit(tmp_path, source)
    assert again(tmp_path, "tiny", "--call", "backwards('ab')") == 0
    assert not left.exists()


def test_a_call_that_gives_no_answer_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit(tmp_path, STUB)
    assert again(tmp_path, "tiny", "--call", "backwards('ab')") == 1
    assert "not written yet: backwards() is yours to write" in capsys.readouterr().out
    assert again(tmp_path, "tiny", "--call", "forwards('ab')") == 1
    assert "expected a function named forwards, got no function named forwards" in capsys.readouterr().out


def test_a_query_and_a_form_go_to_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit(tmp_path, GOOD)
    assert again(tmp_path, "tiny", "--send", "abc") == 0
    assert capsys.readouterr().out.splitlines() == [
        "> GET /cgi-bin/tiny.py?abc",
        r'< "Content-Type: text/plain\n',
        r"< \n",
        r"< cba\n",
        '< "',
    ]
    assert again(tmp_path, "tiny", "--send", "abc", "--body", r"a=1\r\n") == 0
    assert r'body "a=1\r\n"' in capsys.readouterr().out


def test_a_program_that_dies_shows_its_last_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit(tmp_path, "raise ValueError('oh')")
    assert again(tmp_path, "tiny", "--send", "") == 1
    shown = capsys.readouterr().out
    assert "| ValueError: oh" in shown
    assert 'File "specimen' not in shown
    assert f'File "{tmp_path.as_posix()}/tiny/cgi-bin/tiny.py", line 1' in shown
    assert "exit status 1" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["tiny", "--body", "x"], id="body without send"),
        pytest.param(["tiny/words"], id="a step is no check"),
        pytest.param(["tiny"], id="an exercise is no check"),
        pytest.param(["tiny", "--call", "x"], id="no call"),
    ],
)
def test_what_cannot_be_run_is_a_usage_error(tmp_path: Path, arguments: list[str]) -> None:
    submit(tmp_path, GOOD)
    with pytest.raises(UsageError):
        again(tmp_path, *arguments)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(r'"a\r\nb\n"', [r'"a\r\n', r"b\n", '"'], id="lines"),
        pytest.param(r'"a\\n\\\n"', [r'"a\\n\\\n', '"'], id="escaped backslashes"),
        pytest.param(r'"\\" ... 5 more bytes', [r'"\\" ... 5 more bytes'], id="cut"),
        pytest.param("call('a\\n')", ["call('a\\n')"], id="no bytes"),
    ],
)
def test_escaped_bytes_are_broken_behind_their_line_ends(text: str, lines: list[str]) -> None:
    assert replay.at_line_ends(text) == lines
