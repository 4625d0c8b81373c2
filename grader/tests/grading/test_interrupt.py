"""Ctrl-C ends a run at once and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grader.grade import KIT
from grader.tests.grading.specimens import GOOD, TINY, submit

RUN = """
import sys
from pathlib import Path
from grader.course import Selection, load_exercise
from grader.grade import grade
from grader.model import Settings
from grader.submission import Submission
tiny = load_exercise(Path(sys.argv[1]))
chosen = (Selection(tiny, tiny.checks),)
grade(Submission(Path(sys.argv[2]), "s"), chosen, Settings(), lambda outcome: print("one", flush=True))
"""

# Starts a process that gets away by a double fork and a session of its own, and says so; then never answers.
ESCAPES_AND_HANGS = """        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                open(os.environ["HOME"] + "/escaped", "w").close()
                time.sleep(600)
            os._exit(0)
        time.sleep(600)
"""


def mentioning(word: str) -> list[int]:
    """Processes whose command line or working folder has `word` in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (process / "cmdline").read_bytes() or word in str((process / "cwd").readlink()):
                found.append(int(process.name))
        except OSError:
            continue  # it has ended meanwhile
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_an_interrupted_run_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    source = GOOD.replace("import os", "import os\nimport time").replace(
        "    if not query:\n", "    if not query:\n" + ESCAPES_AND_HANGS
    )
    submit(tmp_path / "s", source)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(TINY.folder), str(tmp_path / "s")],
        cwd=KIT,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    for _ in range(3):  # words/abc, words/fuzz, page/answer; then page/empty hangs
        assert process.stdout.readline() == b"one\n"
    deadline = time.monotonic() + 60  # only a hang takes so long
    while not list(scratch.rglob("escaped")) and time.monotonic() < deadline:
        time.sleep(0.01)  # then the system is asked again
    assert len(list(scratch.rglob("escaped"))) == 1
    assert len(mentioning(str(scratch))) >= 3  # the judge, the program, and the one that got away
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert mentioning(str(scratch)) == []
    assert list(scratch.iterdir()) == []
