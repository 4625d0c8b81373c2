"""Which isolation this machine can give, and the proof that it does.

`process`   everywhere: own process, own session, scratch copy, clean environment, limits
`landlock`  Linux 5.13 and newer: also, no file outside the scratch folder and the interpreter can be opened
            (required); no port but its own can be reached, no process outside can be signalled or slowed down (named
            in the report where the kernel cannot promise it).

On Linux a filter of system calls is part of both, and started by root, the child becomes an unprivileged user.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from grader.model import KitError
from grader.sandbox import landlock
from grader.sandbox.launch import launch_arguments
from grader.sandbox.policy import CHILD_CODE, Policy, child_uid, interpreter_folders
from grader.sandbox.scratch import give_to

GRADES = ("process", "landlock")
KIT = Path(__file__).resolve().parents[2]

# Each line of the probe is one promise: its name, and whether what it forbids was refused.
_PROBE = """
import os, socket, sys
def refused(action):
    try:
        action()
    except PermissionError:
        return True
    except OSError:
        pass
    return False
def limit():
    import resource
    resource.prlimit(os.getppid(), resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))
secret, new, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
tcp = lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)
for name, held in (
    ("reading outside", refused(lambda: open(secret))),
    ("writing outside", refused(lambda: open(new, "w"))),
    ("use of its own folder", not refused(lambda: open("own", "w"))),
    ("connecting to TCP ports", refused(lambda: tcp().connect(("127.0.0.1", port)))),
    ("binding TCP ports", refused(lambda: tcp().bind(("127.0.0.1", 0)))),
    ("signals to the grader", refused(lambda: os.kill(os.getppid(), 0))),
    ("limits of the grader", refused(limit)),
    ("processor time of the grader", refused(lambda: os.sched_setaffinity(os.getppid(), os.sched_getaffinity(0)))),
    ("UDP", refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))),
    ("sockets in the file system", sys.version_info >= (3, 14) or refused(lambda: socket.socket(socket.AF_UNIX))),
):
    print(name, held, sep="=")
"""
REQUIRED = ("reading outside", "writing outside", "use of its own folder")


def choose_isolation(wanted: str) -> str:
    """ "auto" -> the strongest grade that passes its self-test here; a grade by name -> itself, or KitError."""
    if wanted == "auto":
        chosen = "landlock" if landlock_holds() else "process"
    elif wanted not in GRADES:
        raise KitError(f'no isolation is called "{wanted}"; there are: auto, {", ".join(GRADES)}')
    elif wanted == "landlock" and not landlock_holds():
        raise KitError("this machine does not hold what landlock isolation promises: " + missing())
    else:
        chosen = wanted
    if chosen == "landlock" and (open_to_all := readable_kit()):
        raise KitError(
            f"this kit lies in {open_to_all}, and the solutions with it, where every program may look for libraries; "
            "move it somewhere else, such as a home folder"
        )
    return chosen


def describe(isolation: str) -> str:
    """The grade as reports name it: "landlock", or "landlock (not held on this machine: signals to the grader)"."""
    weak = weak_points() if isolation == "landlock" else ()
    return f"{isolation} (not held on this machine: {', '.join(weak)})" if weak else isolation


def readable_kit(kit: Path = KIT) -> str:
    """The folder that every child may read and that holds the kit; "" when there is none."""
    for folder in (*map(Path, landlock.SYSTEM_READ), *interpreter_folders()):
        if kit.is_relative_to(folder.resolve()):
            return str(folder)
    return ""


def landlock_holds() -> bool:
    """Whether a probe in a child was refused everything that the grade requires."""
    return not missing()


def missing() -> str:
    """ "" when Landlock holds here, else what is not enforced."""
    held = _probed()
    if isinstance(held, str):
        return held
    return ", ".join(name for name in REQUIRED if not held.get(name))


def weak_points() -> tuple[str, ...]:
    """What this kernel cannot refuse to a child under "landlock", though a newer one would."""
    held = _probed()
    return () if isinstance(held, str) else tuple(name for name, holds in held.items() if not holds)


@cache
def _probed() -> dict[str, bool] | str:
    """What a probe in a child found, name by name; a sentence when it could not run."""
    if landlock.abi() < 1:
        return "the kernel has no Landlock"
    with tempfile.TemporaryDirectory(prefix="grader-probe-") as name, socket.create_server(("127.0.0.1", 0)) as server:
        folder = Path(name).resolve()
        inside, outside = folder / "in", folder / "out"
        inside.mkdir()
        outside.mkdir()
        (outside / "secret").write_text("secret", encoding="utf-8")
        (inside / "probe.py").write_text(_PROBE, encoding="utf-8")
        give_to(inside, child_uid())
        printed = _run_probe(inside, outside, server.getsockname()[1])
    found = [line.partition("=") for line in printed.splitlines()]
    if [name for name, _, _ in found][: len(REQUIRED)] != list(REQUIRED) or len(found) != _PROBE.count('\n    ("'):
        return "the probe did not run: " + printed[-300:]
    return {name: word == "True" for name, _, word in found}


def _run_probe(inside: Path, outside: Path, port: int) -> str:
    policy = Policy(read=(CHILD_CODE, inside), write=(inside,))
    try:
        ruleset = landlock.create_ruleset((*interpreter_folders(), *policy.read), policy.write, policy.ports)
    except OSError as error:
        return str(error)
    try:
        argv = [str(outside / "secret"), str(outside / "new"), str(port)]
        done = subprocess.run(
            launch_arguments(inside / "probe.py", argv, (), policy, ruleset),
            cwd=inside,
            capture_output=True,
            text=True,
            timeout=20,
            pass_fds=(ruleset,),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        os.close(ruleset)
    return done.stdout or done.stderr
