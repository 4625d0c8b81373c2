"""The limits of a child as a table with units. What is not granted here is denied where the system can deny it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

CHILD_CODE = Path(__file__).parent / "child"

# What a child inherits of the grader's environment. Everything else is dropped, so no token, proxy or PYTHON*
# setting crosses; Windows needs the first four for sockets and temporary files.
INHERITED = ("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "LANG", "TZ")

# What all processes of one exercise may take together (see guard.py): MiB, MiB, a count.
TREE_MEMORY, TREE_FILES, TREE_NAMES = 3072, 1024, 6000

FIRST_UID = 200_000
UIDS = 60_000


@dataclass(frozen=True, slots=True)
class Policy:
    """cpu in seconds of processor time, wall in seconds, memory and file size in MiB, the rest in counts.

    `read` and `write` are folders or files a child may open besides the interpreter; `ports` are the TCP ports it
    may bind and connect to (None: any). They hold under the "landlock" isolation only.
    """

    wall: float = 6.0
    cpu: int = 3
    memory: int = 768
    file_size: int = 64
    open_files: int = 256
    processes: int = 64
    output: int = 1 << 20
    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    ports: tuple[int, ...] | None = ()
    env: tuple[tuple[str, str], ...] = field(default=())

    def rlimits(self, running: int = 0) -> list[tuple[str, int, int]]:
        """RLIMIT_* rows for the launcher; `running` is the number of processes the user has already."""
        if sys.platform == "win32":
            return []
        mib = 1 << 20
        # RLIMIT_DATA counts what is really written to; RLIMIT_AS also counts what the C library merely reserves
        # for threads, so it is far wider and only bounds the absurd.
        return [
            ("RLIMIT_CPU", self.cpu, self.cpu + 1),
            ("RLIMIT_DATA", self.memory * mib, self.memory * mib),
            ("RLIMIT_AS", (self.memory + 8192) * mib, (self.memory + 8192) * mib),
            ("RLIMIT_FSIZE", self.file_size * mib, self.file_size * mib),
            ("RLIMIT_NOFILE", self.open_files, self.open_files),
            ("RLIMIT_NPROC", self.processes + running, self.processes + running),
            ("RLIMIT_CORE", 0, 0),
        ]


def environment(policy: Policy, scratch: Path) -> dict[str, str]:
    """The whole environment of a child: the allow-list, its own home and temporary folder, the policy's extras."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    path = os.environ.get("PATH", os.defpath) if sys.platform == "win32" else os.defpath
    own = {name: str(scratch) for name in ("HOME", "TMPDIR", "TEMP", "TMP")}
    return {**inherited, "PATH": path, **own, **dict(policy.env)}


@cache
def interpreter_folders() -> tuple[Path, ...]:
    """Everything the interpreter loads itself from, wherever it is installed."""
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    executables = {sys.executable, os.path.realpath(sys.executable)}
    folders = {Path(prefix) / part for prefix in prefixes for part in ("bin", "lib", "lib64", "pyvenv.cfg", "include")}
    # Resolved once, before anything of a submission runs; rules for a child are never made of links.
    return tuple(sorted({path.resolve() for path in folders | {Path(name) for name in executables} if path.exists()}))


def child_uid(judge: int | None = None) -> int | None:
    """The user that children become: one of their own where the grader is root, None (no change) elsewhere.

    `judge` is the process id of the one that starts them; by default it is this process.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        return None
    return FIRST_UID + (os.getpid() if judge is None else judge) % UIDS
