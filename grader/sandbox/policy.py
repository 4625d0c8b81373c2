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

# The first user, and how many: each judge has one for its children. The first range lies beyond all that /etc/subuid
# gives to people's containers, whose files are not ours to remove; the others are for a grader in a container, where
# there are fewer users.
USERS = ((2_000_000_000, 60_000), (200_000, 60_000), (20_000, 40_000))


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
        # RLIMIT_DATA counts what can be written to, the stacks of threads included (launcher.py makes them small).
        # RLIMIT_AS also counts what the C library merely reserves, so it is far wider and only bounds the absurd.
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
    found = _own_users()
    return None if found is None else found[0] + (os.getpid() if judge is None else judge) % found[1]


@cache
def _own_users() -> tuple[int, int] | None:
    return mapped_users(*(Path(f"/proc/self/{name}_map").read_text(encoding="ascii") for name in ("uid", "gid")))


def mapped_users(*tables: str) -> tuple[int, int] | None:
    r"""The first range of USERS that exists in all these tables of a namespace (user_namespaces(7)).

    "0 1000 1\n1 100000 65536\n" (user 0, and 65536 from 1 on) -> (20_000, 40_000)
    """
    rows = [[tuple(map(int, line.split())) for line in table.splitlines()] for table in tables]
    for first, count in USERS:
        if all(any(low <= first and first + count <= low + length for low, _, length in each) for each in rows):
            return first, count
    return None
