"""The command line that starts a child: the interpreter, the launcher, and what the launcher must know."""

from __future__ import annotations

import marshal
import sys
from collections.abc import Sequence
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

from grader.sandbox import seccomp
from grader.sandbox.policy import CHILD_CODE, Policy, child_uid
from grader.sandbox.processes import count_of_user

LAUNCHER = CHILD_CODE / "launcher.py"


def launch_arguments(
    main: Path,
    argv: Sequence[str],
    path: Sequence[Path],
    policy: Policy,
    ruleset: int | None,
    *,
    unbuffered: bool = False,
    refused: Sequence[str] = (),
) -> list[str]:
    """The command line of a child. Nothing in it is a secret: on Linux any process may read it."""
    uid = child_uid()
    config = {
        "main": str(main),
        "argv": [str(main), *argv],
        "path": [str(folder) for folder in path],
        "limits": policy.rlimits(_running() if uid is None else 0),
        "landlock": ruleset,
        "uid": uid,
        "filter": seccomp.program(),
        "own": seccomp.OWN_PID,
        "refused": list(refused),
    }
    options = ["-I", "-S", "-B", "-X", "utf8", "--check-hash-based-pycs", "always"]
    options += ["-u"] if unbuffered else []
    return [sys.executable, *options, str(compiled(LAUNCHER)), marshal.dumps(config).hex()]


@cache
def compiled(source: Path) -> Path:
    """The bytecode of a file of the kit, where Python itself would keep it; the file, where it cannot be kept.

    An interpreter compiles the file that it is started on anew each time, and every CGI request is a start.
    """
    try:
        SourceFileLoader(source.stem, str(source)).get_code(source.stem)
        bytecode = Path(cache_from_source(str(source)))
        status = source.stat()
        # The header of a file that is checked by time: magic number, no flags, time and size of the source (PEP 552).
        numbers = (0, int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)
        header = MAGIC_NUMBER + b"".join(number.to_bytes(4, "little") for number in numbers)
        with bytecode.open("rb") as file:
            return bytecode if file.read(len(header)) == header else source
    except (OSError, NotImplementedError):
        return source


_counted: list[int] = []


def _running() -> int:
    if not _counted:  # once is enough: the limit is a bound on floods, not a ration
        _counted.append(count_of_user())
    return _counted[0]
