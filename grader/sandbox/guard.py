"""Linux: what no limit of a single process bounds: the memory of all of them together, their disk, their names.

A thread of the judge looks a few times a second at everything that it has started. When that is far more than any
honest program takes, all of it is ended; the checks go on, and the machine and the neighbours keep what is theirs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from grader.sandbox.policy import TREE_FILES, TREE_MEMORY, TREE_NAMES
from grader.sandbox.processes import descendants, resident

TICK = 0.1  # seconds; a processor fills some hundred MiB in one
TICKS_PER_WALK = 5
SHARED_MEMORY = Path("/dev/shm")
MIB = 1 << 20

_reasons: list[str] = []


def reason() -> str:
    """Why programs have been ended from here, for the report; "" when none has been."""
    return _reasons[-1] if _reasons else ""


class Guard:
    """Watches the children of this process, and what lies in `folders`, until `stop`."""

    def __init__(self, folders: Iterable[Path], uid: int | None) -> None:
        """`uid` is the children's own user, if they have one: only then is it known what is theirs in /dev/shm."""
        self._folders, self._uid = tuple(folders), uid
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if sys.platform == "linux":
            self._thread.start()

    def stop(self) -> None:
        """Watch no longer. What runs goes on."""
        self._stopped.set()

    def _watch(self) -> None:
        tick = 0
        while not self._stopped.wait(TICK):
            tick += 1
            pids = descendants(os.getpid())
            found = _too_much_memory(pids)
            if not found and pids and tick % TICKS_PER_WALK == 0:
                found = self._too_many_files(pids)
            if found and sys.platform != "win32":
                _reasons.append(found)
                for pid in pids:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)

    def _too_many_files(self, pids: list[int]) -> str:
        blocks, seen = 0, set()
        for names, status in enumerate(self._files(pids)):
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                blocks += getattr(status, "st_blocks", 0)
            if blocks * 512 > TREE_FILES * MIB:
                return f"its files take over {TREE_FILES} MiB"
            if names > TREE_NAMES:
                return f"it has made over {TREE_NAMES} files and folders"
        return ""

    def _files(self, pids: list[int]) -> Iterator[os.stat_result]:
        for folder in self._folders:
            yield from _below(folder)
        if self._uid is not None:
            yield from (status for status in _below(SHARED_MEMORY) if status.st_uid == self._uid)
        for pid in pids:  # files without a name: what was removed while it is open, and files in memory
            for status in _below(Path(f"/proc/{pid}/fd"), follow=True):
                if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                    yield status


def _below(folder: Path, follow: bool = False) -> Iterator[os.stat_result]:
    """What lies in a folder and the folders in it; whatever cannot be looked at is passed over."""
    waiting = [str(folder)]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=follow)
                    yield status
                    if stat.S_ISDIR(status.st_mode) and not follow:
                        waiting.append(entry.path)


def _too_much_memory(pids: list[int]) -> str:
    if sum(map(resident, pids)) <= TREE_MEMORY * MIB:
        return ""
    # What processes share has been counted in each of them; now exactly, which takes the kernel longer.
    total = sum(map(_share, pids)) // MIB
    return f"its processes take {total} MiB of memory together, and {TREE_MEMORY} are allowed" * (total > TREE_MEMORY)


def _share(pid: int) -> int:
    """Memory in bytes, of shared memory the part that falls to this process; all of it where nobody may look."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return resident(pid)
