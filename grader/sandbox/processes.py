"""Whole process trees: wait for an exit with a deadline, end everything that a child has started.

A child runs in its own session, so its group can be killed at once. On Linux the grader also declares itself a
subreaper: whatever double-forks and calls setsid to get away becomes the grader's own child, and is found and ended
by `sweep`. macOS has no such thing (escapees are looked for by their parent before the kill); Windows ends
the tree from its root while the root still lives.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

POLL = 0.002
SWEEP_SECONDS = 3.0
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36

_living: set[int] = set()
# Children that somebody else in this process had started before it became a subreaper: none of our business.
_strangers: set[int] = set()
# Held while a child is born and while orphans are looked for: a child that is there but not counted yet would
# look like an orphan to another thread, which would end it.
_births = threading.Lock()


def become_subreaper() -> bool:
    """Adopt orphaned descendants from now on (Linux); False where the system has no such thing.

    Whoever ends other processes also keeps its own memory and descriptors to itself: without this, a child of the same
    user writes what it likes into the pipes under /proc/PID/fd.
    """
    if sys.platform != "linux":
        return False
    with _births:
        _strangers.update(set(children_of(os.getpid())) - _living)
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    hidden = libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
    return hidden and int(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0


def start(arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """subprocess.Popen, and count the process as ours, so that `sweep` leaves it and its session alone."""
    with _births:
        process = subprocess.Popen(arguments, **options)
        _living.add(process.pid)
    return process


def wait_exit(process: subprocess.Popen[bytes], deadline: float) -> int | None:
    """The exit code, or None when the process still runs at the deadline (time.monotonic)."""
    if process.poll() is None and sys.platform == "linux" and hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):  # no descriptors left, or an old kernel: poll below
            descriptor = os.pidfd_open(process.pid)
            try:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                exited = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            finally:
                os.close(descriptor)
            # Not poll(): that says None while another thread, which waits for the same process, reaps it.
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(SWEEP_SECONDS if exited else 0)
            return None
    pause = threading.Event()
    while process.poll() is None and time.monotonic() < deadline:
        pause.wait(POLL)
    return process.poll()


def end_tree(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started; returns when they are gone, never later than SWEEP_SECONDS."""
    if sys.platform == "win32":
        if process.poll() is None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(
                    ["taskkill", "/T", "/F", "/PID", str(process.pid)],
                    capture_output=True,
                    timeout=SWEEP_SECONDS,
                )
            with contextlib.suppress(OSError):
                process.kill()
    else:
        strays = _descendants_by_ps(process.pid) if sys.platform == "darwin" and process.poll() is None else []
        # The group lives on when its leader has gone, and its number is not reused while it does. Once the leader
        # is reaped and the group is empty, killpg finds nothing, or in time somebody else: do not come here late.
        _kill(os.killpg, process.pid)
        for pid in strays:
            _kill(os.kill, pid)
    wait_exit(process, time.monotonic() + SWEEP_SECONDS)
    _living.discard(process.pid)
    sweep()


def _kill(how: object, pid: int) -> None:
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            how(pid, signal.SIGKILL)  # type: ignore[operator]


def sweep() -> None:
    """Linux: end every orphan that came back to us and belongs to no session of a living child."""
    if sys.platform != "linux":
        return
    deadline = time.monotonic() + SWEEP_SECONDS
    while _sweep_once() and time.monotonic() < deadline:
        pass


def _sweep_once() -> bool:
    """End the orphans that are there now; False when there are none."""
    with _births:
        orphans = _orphans()
    for pid in orphans:
        for descendant in [*_tree(pid), pid]:
            _kill(os.kill, descendant)
    for pid in orphans:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    return bool(orphans)


def _orphans() -> list[int]:
    orphans: list[int] = []
    if sys.platform == "win32":
        return orphans
    for pid in children_of(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            ours = pid in _living or pid in _strangers
            if not ours and os.getsid(pid) not in _living and os.getsid(pid) != os.getsid(0):
                orphans.append(pid)
    return orphans


def children_of(pid: int) -> list[int]:
    """The direct children of a process (Linux); [] for a process that is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):  # it may end while we look
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, task.read_text().split())
    return found


def _tree(pid: int) -> list[int]:
    found = children_of(pid)
    for child in found:  # whoever changes parents while we look is met twice
        found += [each for each in children_of(child) if each not in found]
    return found


def resident(pid: int) -> int:
    """The memory of a process in bytes, what it shares with others included (Linux); 0 for one that is gone."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE
    return 0


def descendants(pid: int) -> list[int]:
    """All processes below one (Linux), for counting; a process that is gone has none."""
    return _tree(pid) if sys.platform == "linux" else _descendants_by_ps(pid)


def _descendants_by_ps(pid: int) -> list[int]:
    """macOS and other systems without /proc: one snapshot of the process table."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        table = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, timeout=SWEEP_SECONDS)
        pairs = [tuple(map(int, line.split())) for line in table.stdout.splitlines() if line.strip()]
        found = [pid]
        for parent in found:
            found += [child for child, its_parent in pairs if its_parent == parent and child not in found]
        return found[1:]
    return []


def count_of_user() -> int:
    """How many processes and threads the user has (Linux), because RLIMIT_NPROC counts them all."""
    if sys.platform != "linux":
        return 512
    uid, count = os.getuid(), 0
    for status in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if status.stat().st_uid == uid:
                count += len(list((status / "task").iterdir()))
    return count
