"""Where a report goes: consoles of any encoding, pipes, readers that leave; and the line that moves meanwhile."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.text import Text

from grader.course import Selection
from grader.model import Verdict
from grader.report import terminal
from grader.report.progress import Count, Progress, line
from grader.tests.report.cards import all_cards, graded

KIT = Path(__file__).parents[3]
SHOW = """
import sys
from grader.report import terminal
from grader.tests.report.cards import all_cards
terminal.show_report(all_cards()[sys.argv[1]], verbose="-v" in sys.argv)
sys.exit(7)
"""


class Window(io.StringIO):
    """A terminal that keeps what is written to it."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    """A pipe whose reader has left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError

    def fileno(self) -> int:
        raise io.UnsupportedOperation


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def run_show(encoding: str, *names: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run(
        [sys.executable, "-c", SHOW, *names], cwd=KIT, env=environment, capture_output=True, timeout=60, check=False
    )


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8", "cp437", "utf-16"])
@pytest.mark.parametrize("name", ["hostile", "mixed"])
def test_any_console_shows_the_report_and_the_exit_code_stays(encoding: str, name: str) -> None:
    done = run_show(encoding, name)
    assert (done.returncode, done.stderr) == (7, b"")
    lines = done.stdout.decode(encoding).splitlines()
    assert lines[-1].startswith(f"score {all_cards()[name].points} of ")


def test_marks_fall_back_to_ascii_where_they_do_not_exist() -> None:
    shown = run_show("cp1252", "mixed").stdout.decode("cp1252")
    assert "  + head " in shown
    assert "  x static " in shown
    assert "?" not in shown.replace("stuck?", "")


@pytest.mark.skipif(os.name == "nt", reason="needs a pipe whose reader is closed")
def test_a_reader_that_leaves_early_changes_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-c", SHOW, "hostile", "-v"],
            cwd=KIT,
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (7, b"")


def test_a_terminal_gets_colour_and_a_pipe_does_not() -> None:
    for stream, coloured in ((Window(), True), (io.StringIO(), False)):
        terminal.show(Text("word", "red"), stream)
        assert ("\x1b[31m" in stream.getvalue()) == coloured


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_declined(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    window = Window()
    terminal.show(Text("word", "red"), window)
    assert window.getvalue() == "word\n"


@pytest.mark.skipif(os.name == "nt", reason="TERM means nothing there")
def test_a_dumb_terminal_gets_plain_marks_and_no_moving_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    place = terminal.screen(Window())
    assert (place.unicode, place.colour, place.live) == (False, False, False)


def test_the_width_is_the_terminal_s_within_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert terminal.screen(io.StringIO()).width == 80
    for columns, width in (("40", 40), ("300", 100), ("5", 24)):
        monkeypatch.setenv("COLUMNS", columns)
        assert terminal.screen(Window()).width in (width, width - 1)


def test_markup_of_a_submission_stays_text() -> None:
    window = Window()
    terminal.show_report(all_cards()["hostile"], stream=window)
    assert "[bold]no markup[/bold] :smile:" in window.getvalue()
    assert "\x1b[2J" not in window.getvalue()


def test_an_error_message_is_shown_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show_error("found \x1b[2J\nsecond")
    assert capsys.readouterr().err == "found \\x1b[2J\nsecond\n"


def _selections() -> tuple[Selection, ...]:
    cards = (graded({}, "cgi_calculator"), graded({}, "socket_server"))
    return tuple(Selection(card.exercise, card.exercise.checks) for card in cards)


def test_a_pipe_gets_one_line_for_each_finished_exercise() -> None:
    stream = io.StringIO()
    with Progress(_selections(), stream) as progress:
        for outcome in (*graded({}, "cgi_calculator").outcomes, *graded({}, "socket_server").outcomes[:-1]):
            progress.update(outcome)
            progress.update(outcome)
    assert stream.getvalue() == "graded cgi_calculator: 9 checks\n"


def test_a_terminal_gets_one_line_that_is_gone_at_the_end() -> None:
    window = Window()
    with Progress(_selections(), window) as progress:
        for outcome in graded({}, "cgi_calculator").outcomes:
            progress.update(outcome)
    shown = window.getvalue()
    assert "\n" not in shown
    assert "cgi_calculator 0/9" in shown
    assert "socket_server 0/9   50 points" in shown
    *_, blank, rest = shown.split("\r")
    assert (blank.strip(), rest) == ("", "")
    assert len(blank) >= len(shown.split("\r")[-3].rstrip())


def test_outcomes_of_many_threads_are_all_counted() -> None:
    stream = io.StringIO()
    outcomes = [outcome for name in ("cgi_calculator", "socket_server") for outcome in graded({}, name).outcomes]
    with Progress(_selections(), stream) as progress:
        threads = [threading.Thread(target=progress.update, args=(outcome,)) for outcome in outcomes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(stream.getvalue().splitlines()) == [
        "graded cgi_calculator: 9 checks",
        "graded socket_server: 9 checks",
    ]


def test_progress_survives_a_stream_that_is_gone() -> None:
    closed = Window()
    closed.close()
    for stream in (Gone(), closed):
        with Progress(_selections(), stream) as progress:
            for outcome in graded({}, "cgi_calculator").outcomes:
                progress.update(outcome)
        assert progress.counts["cgi_calculator"].done == 9


def test_a_failed_check_counts_as_done_and_adds_no_points() -> None:
    with Progress(_selections(), io.StringIO()) as progress:
        progress.update(graded({"head/request-line": (Verdict.FAILED, None)}).outcomes[0])
    assert (progress.counts["socket_server"].done, progress.counts["socket_server"].points) == (1, 0)


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (80, "grading  socket_server 12/40, wsgi_catalog 3/52   41 points   2 s"),
        (50, "grading  15/92 checks   41 points   2 s"),
        (20, "grading  15/92 ch..."),
    ],
)
def test_the_moving_line_fits_its_width(width: int, shown: str) -> None:
    counts = [Count("socket_server", 40, 12, 41), Count("wsgi_catalog", 52, 3, 0)]
    assert line(counts, 2.2, width) == shown
