"""A program meets its limits, and leaves nothing behind."""

from __future__ import annotations

import os
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from grader.sandbox.policy import Policy, mapped_users
from grader.sandbox.processes import children_of
from grader.sandbox.spawn import Child, describe_exit
from grader.tests.sandbox.stage import run, stage

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")


def test_an_endless_wait_is_ended_at_the_deadline(tmp_path: Path, isolation: str) -> None:
    site = stage(tmp_path, isolation, main="import time\nprint('here', flush=True)\ntime.sleep(60)")
    ran = run(site, Policy(wall=1.0))
    assert ran.code is None
    assert ran.stdout == "here\n"


@posix
def test_an_endless_loop_ends_with_its_processor_time(tmp_path: Path, isolation: str) -> None:
    site = stage(tmp_path, isolation, main="while True: pass")
    ran = run(site, Policy(cpu=1, wall=20.0))
    assert ran.code is not None
    assert "processor time" in describe_exit(ran.code)


def test_the_exit_status_is_passed_on_and_nothing_runs_behind_it(tmp_path: Path, isolation: str) -> None:
    site = stage(tmp_path, isolation, main="import os\nprint('lost')\nos._exit(7)")
    ran = run(site)
    assert (ran.code, ran.stdout) == (7, "")


@posix
def test_memory_is_limited(tmp_path: Path, isolation: str) -> None:
    site = stage(tmp_path, isolation, main="x = bytearray(300 << 20)")
    ran = run(site, Policy(memory=128))
    assert ran.code == 1
    assert "MemoryError" in ran.stderr
    assert run(site, Policy(memory=768)).code == 0


@posix
def test_the_size_of_a_file_is_limited(tmp_path: Path, isolation: str) -> None:
    site = stage(tmp_path, isolation, main="import os\nopen(os.environ['HOME'] + '/big', 'wb').write(bytes(2 << 20))")
    ran = run(site, Policy(file_size=1))
    assert ran.code == 1
    assert "File too large" in ran.stderr


@posix
def test_the_number_of_open_files_is_limited(tmp_path: Path, isolation: str) -> None:
    site = stage(tmp_path, isolation, main="import os\nkept = [open(os.devnull) for _ in range(200)]")
    ran = run(site, Policy(open_files=64))
    assert ran.code == 1
    assert "Too many open files" in ran.stderr


def test_a_gigabyte_of_output_costs_the_judge_next_to_nothing(tmp_path: Path, isolation: str) -> None:
    text = (
        "import os\nblock = b'x' * 65535 + b'\\n'\nfor _ in range(16384): os.write(2, block)\nos.write(2, b'the end')"
    )
    site = stage(tmp_path, isolation, main=text)
    tracemalloc.start()
    child = Child(site, site.submission / "main.py", policy=Policy(wall=60, cpu=30), merge_output=True)
    code = child.wait(time.monotonic() + 60)
    child.end()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert code == 0
    assert child.errors.total == (1 << 30) + 7
    assert peak < 5_000_000
    assert len(child.error_text) < 5000
    assert "bytes truncated" in child.error_text
    assert child.error_text.endswith("the end")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a child its own user")
def test_a_fork_bomb_meets_its_own_limit(tmp_path: Path, landlock: str, subreaper: None) -> None:
    text = (
        "import os, sys, time\ncount = 0\n"
        "try:\n    for count in range(500):\n        if os.fork() == 0:\n            time.sleep(60)\n"
        "except BlockingIOError:\n    print(count)\n"
    )
    ran = run(stage(tmp_path, landlock, main=text), Policy(processes=20))
    assert 1 <= int(ran.stdout) <= 20


ESCAPE = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        with open(os.environ["HOME"] + "/pid.new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(os.environ["HOME"] + "/pid.new", os.environ["HOME"] + "/pid")
        time.sleep(60)
    os._exit(0)
while not os.path.exists(os.environ["HOME"] + "/pid"):
    time.sleep(0.001)
"""


def test_who_forks_twice_and_leaves_the_session_is_ended_too(tmp_path: Path, isolation: str, subreaper: None) -> None:
    site = stage(tmp_path, isolation, main=ESCAPE)
    ran = run(site)
    assert ran.code == 0, ran.stderr
    pid = int((site.scratch / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists()
    assert pid not in children_of(os.getpid())
    assert ran.closed  # though it held standard output open


def test_ending_twice_is_harmless(tmp_path: Path, isolation: str) -> None:
    site = stage(tmp_path, isolation, main="import time\ntime.sleep(60)")
    child = Child(site, site.submission / "main.py", policy=Policy())
    child.end()
    child.end()
    assert child.exit_code is not None


@posix
@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param(0, "exit status 0", id="zero"),
        pytest.param(3, "exit status 3", id="three"),
        pytest.param(-11, "ended by signal 11 (SIGSEGV)", id="crash"),
        pytest.param(-9, "ended by signal 9 (SIGKILL)", id="killed"),
        pytest.param(-200, "ended by signal 200 (?)", id="unknown"),
    ],
)
def test_the_end_of_a_process_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


@posix
def test_a_crash_is_told_by_its_signal(tmp_path: Path, isolation: str) -> None:
    site = stage(tmp_path, isolation, main="import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    ran = run(site)
    assert ran.code is not None
    assert "SIGSEGV" in describe_exit(ran.code)


def test_who_watches_sees_output_while_the_program_runs(tmp_path: Path, isolation: str) -> None:
    site = stage(tmp_path, isolation, main="import time\nprint('unflushed')\ntime.sleep(60)")
    seen: list[bytes] = []
    child = Child(site, site.submission / "main.py", policy=Policy(), merge_output=True, watch=seen.append)
    try:
        deadline = time.monotonic() + 50  # only a hang takes so long
        while b"".join(seen).split() != [b"unflushed"] and time.monotonic() < deadline:
            child.wait(time.monotonic() + 0.01)
    finally:
        child.end()
    assert b"".join(seen).split() == [b"unflushed"]


@pytest.mark.parametrize(
    ("users", "groups", "found"),
    [
        pytest.param("0 0 4294967295\n", "0 0 4294967295\n", (2_000_000_000, 60_000), id="no container"),
        pytest.param("0 1000000 1000000000\n", "0 1000000 1000000000\n", (200_000, 60_000), id="a large container"),
        pytest.param("0 1000 1\n1 100000 65536\n", "0 1000 1\n1 100000 65536\n", (20_000, 40_000), id="a small one"),
        pytest.param("0 0 4294967295\n", "0 1000 1\n", None, id="no group but one"),
        pytest.param("0 1000 1\n", "0 1000 1\n", None, id="root alone"),
    ],
)
def test_the_users_of_children_exist(users: str, groups: str, found: tuple[int, int] | None) -> None:
    assert mapped_users(users, groups) == found
