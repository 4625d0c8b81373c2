"""The command line: what it prints, where, and the exit code that scripts rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import grader.byhand.replay
import grader.cli
from grader.cli import EXIT_BELOW, EXIT_BROKEN, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, main
from grader.grade import KIT
from grader.model import KitError
from grader.tests.grading.specimens import GOOD, STUB, TINY, submit

HALF = GOOD.replace("400 Bad Request", "200 OK")


@pytest.fixture(autouse=True)
def tiny_course(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grader.cli, "load_course", lambda: (TINY,))
    monkeypatch.setattr(grader.byhand.replay, "load_course", lambda: (TINY,))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as end:  # argparse ends the program itself
        code = int(end.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_full_marks_exit_with_0_and_the_score_is_the_last_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(tmp_path, GOOD)
    code, out, _ = run(capsys, tmp_path, "--effort", "quick")
    assert code == EXIT_OK
    assert out.splitlines()[-1].startswith("score 100 of 100")


@pytest.mark.parametrize(("minimum", "code"), [(None, EXIT_BELOW), (70, EXIT_OK), (71, EXIT_BELOW), (0, EXIT_OK)])
def test_the_minimum_decides_between_0_and_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], minimum: int | None, code: int
) -> None:
    submit(tmp_path, HALF)
    wanted = [] if minimum is None else ["--min-score", minimum]
    assert run(capsys, tmp_path, "--effort", "quick", *wanted)[0] == code


def test_options_may_stand_between_the_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit(tmp_path, GOOD)
    code, out, _ = run(capsys, tmp_path, "--effort", "quick", "tiny/words/abc")
    assert code == EXIT_OK
    assert "only a part was graded" in out


def test_one_check_is_graded_by_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit(tmp_path, HALF)
    code, out, _ = run(capsys, tmp_path, "tiny/words/abc")
    assert code == EXIT_OK
    assert "score 10 of 10" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["{kit}", "tinny"], "tinny"),
        (["{kit}", "tiny/wurds"], "wurds"),
        (["{kit}", "--seed", "soon"], 'whole number or "random", not "soon"'),
        (["{kit}", "--jobs", "0"], "must be at least 1"),
        (["{kit}", "--jobs", "two"], 'takes a whole number, not "two"'),
        (["{kit}", "--min-score", "-1"], "must not be negative"),
        (["{kit}", "--min-score", "all"], 'takes a whole number, not "all"'),
        (["{kit}", "--effort", "much"], 'takes quick, standard, thorough, not "much"'),
        (["{kit}", "--colour"], "no option is called --colour"),
        (["{kit}", "--effrot", "quick"], 'Did you mean "--effort"?'),
        (["{kit}", "tiny/words/upsidedown"], 'no check is called "tiny/words/upsidedown"'),
        (["{kit}", "tiny/words/x/y"], "too many parts"),
        (["tiny/words"], "the folder comes first: python -m grader exercises tiny/words"),
        (["replya", "{kit}", "tiny"], 'Did you mean "replay"?'),
        (["hint"], "something is missing: EXERCISE/STEP"),
        (["hint", "tiny/words", "tiny/page"], 'a name too many: "tiny/page"'),
        (["hint", "tiny/words", "--number", "two"], '--number: takes a whole number, not "two"'),
        (["serve", "{kit}", "tiny", "--port", "99999"], "takes a number from 1 to 65535, not 99999"),
        (["replay", "{kit}", "tiny"], "name the check as reports do, tiny/STEP/CHECK"),
        (["replay", "{kit}", "tiny", "--call", "f(x)"], "x is no plain value"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    submit(tmp_path, GOOD)
    code, out, err = run(capsys, *(argument.format(kit=tmp_path) for argument in arguments))
    assert code == EXIT_USAGE
    assert said in err
    assert "Traceback" not in out + err


def test_without_a_folder_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys)
    assert code == EXIT_USAGE
    for word in ("EXERCISE[/STEP[/CHECK]]", "serve", "hint", "replay", "stubs", "audit", "exit codes"):
        assert word in out


def test_the_list_names_every_check_and_its_points(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--list")
    assert code == EXIT_OK
    for check in TINY.checks:
        assert f"{check.path}  {check.points}  {check.claim}" in out
    assert run(capsys, "--list", "tiny/words")[1].count("tiny/") == 2


def test_the_list_may_be_asked_for_after_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit(tmp_path, GOOD)
    assert run(capsys, tmp_path, "--list") == run(capsys, "--list")
    assert run(capsys, tmp_path, "tiny/words", "--list") == run(capsys, "tiny/words", "--list")


def test_a_fault_of_the_kit_exits_with_3_and_leaves_no_score_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KitError("exercise.toml: two steps are called words")

    submit(tmp_path / "submission", GOOD)
    result = tmp_path / "result.json"
    result.write_text('{"score": 100}', encoding="utf-8")
    monkeypatch.setattr(grader.cli, "grade", broken)
    code, out, err = run(capsys, tmp_path / "submission", "--json", result)
    assert code == EXIT_BROKEN
    assert "score" not in out
    assert "two steps are called words" in err
    written = json.loads(result.read_text(encoding="utf-8"))
    assert "two steps are called words" in json.dumps(written)
    assert (written["status"], written["points"]) == ("broken", None)


@pytest.mark.parametrize("place", ["grader.cli.grade", "grader.grade.JudgeRun", "grader.report.terminal.show_report"])
def test_a_fault_that_nobody_thought_of_exits_with_3_and_is_no_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def surprise(*_: object, **__: object) -> None:
        raise IndexError("nobody thought of this")

    submit(tmp_path / "submission", GOOD)
    monkeypatch.setattr(place, surprise)
    code, out, err = run(capsys, tmp_path / "submission", "--json", tmp_path / "result.json")
    assert (code, out) == (EXIT_BROKEN, "")
    assert "nobody thought of this" in err and "not your program" in err
    written = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert (written["status"], written["points"]) == ("broken", None)
    assert "nobody thought of this" in written["fault"]


@pytest.mark.parametrize("path", ["missing", "submission"], ids=["a wrong folder", "a course that cannot be read"])
def test_an_earlier_result_is_gone_whatever_happens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    submit(tmp_path / "submission", GOOD)
    (tmp_path / "result.json").write_text('{"points": 100}', encoding="utf-8")
    if path == "submission":
        monkeypatch.setattr(grader.cli, "load_course", lambda: 1 // 0)
    code, _, _ = run(capsys, tmp_path / path, "--json", tmp_path / "result.json")
    assert code == (EXIT_BROKEN if path == "submission" else EXIT_USAGE)
    assert not (tmp_path / "result.json").exists()


def test_the_json_result_holds_the_score_of_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit(tmp_path / "submission", HALF)
    run(capsys, tmp_path / "submission", "--effort", "quick", "--json", tmp_path / "result.json")
    written = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert (written["points"], written["max_points"]) == (70, 100)


def test_a_random_seed_is_told_so_that_the_run_can_be_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(tmp_path, GOOD)
    seeds = set()
    for _ in range(2):
        _, out, _ = run(capsys, tmp_path, "tiny/words", "--effort", "quick", "--seed", "random")
        seeds.add(out.partition("seed ")[2].partition(",")[0])
    assert len(seeds) == 2
    assert all(seed.isdecimal() for seed in seeds)


def test_an_interrupted_run_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    submit(tmp_path, GOOD)
    monkeypatch.setattr(grader.cli, "grade", interrupted)
    code, _, err = run(capsys, tmp_path)
    assert code == 130
    assert "interrupted" in err


def test_the_command_loads_no_module_of_the_current_folder(tmp_path: Path) -> None:
    submit(tmp_path, STUB)
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')", encoding="utf-8")
    (tmp_path / "argparse.py").write_text("raise SystemExit('the wrong argparse')", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "grader", "--list"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(KIT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (EXIT_OK, "")
    assert "cgi_calculator/response/" in done.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["at the end", "at once"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--list"], EXIT_OK),
        (["--help"], EXIT_OK),
        ([], EXIT_USAGE),
        (["hint", "cgi_calculator/query", "--all"], EXIT_OK),
        (["stubs", "--check"], EXIT_OK),
    ],
    ids=["list", "help", "nothing", "hint", "stubs"],
)
def test_a_reader_that_leaves_early_changes_nothing_else(arguments: list[str], code: int, unbuffered: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "grader", *arguments],
        cwd=KIT,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) in ((code, EXIT_INTERRUPTED) if unbuffered else (code,))


def test_usage_is_told_without_colour(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # heeded by argparse from Python 3.14 on
    code, _, err = run(capsys, "hint")
    assert (code, "Type python -m grader hint" in err, "\x1b" in err) == (EXIT_USAGE, True, False)
