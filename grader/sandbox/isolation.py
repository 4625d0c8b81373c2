"""Which isolation this machine can give, and the proof that it does.

`process`   everywhere: own process, own session, scratch copy, clean environment, limits
`landlock`  Linux 5.13 and newer: also, no file outside the scratch folder and the interpreter can be opened, no
            port but its own can be reached, no process outside can be signalled. Started by root, the child also
            becomes an unprivileged user, which makes the limit on processes hold.
"""

from __future__ import annotations

import os
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

_PROBE = """
import os, signal, sys
def refused(action):
    try:
        action()
    except OSError:
        return True
    return False
import socket
print(refused(lambda: open(sys.argv[1])), refused(lambda: os.kill(os.getppid(), 0)),
      refused(lambda: open(sys.argv[2], "w")), not refused(lambda: open("own", "w")))
"""


def choose_isolation(wanted: str) -> str:
    """ "auto" -> the strongest grade that passes its self-test here; a grade by name -> itself, or KitError."""
    if wanted == "auto":
        return "landlock" if landlock_holds() else "process"
    if wanted not in GRADES:
        raise KitError(f'no isolation is called "{wanted}"; there are: auto, {", ".join(GRADES)}')
    if wanted == "landlock" and not landlock_holds():
        raise KitError("this machine does not hold what landlock isolation promises: " + missing())
    return wanted


@cache
def landlock_holds() -> bool:
    """Whether a probe in a child was refused everything that the grade promises to refuse."""
    return not missing()


@cache
def missing() -> str:
    """ "" when Landlock holds here, else what is not enforced."""
    if landlock.abi() < 1:
        return "the kernel has no Landlock"
    with tempfile.TemporaryDirectory(prefix="grader-probe-") as name:
        folder = Path(name)
        inside, outside = folder / "in", folder / "out"
        inside.mkdir()
        outside.mkdir()
        (outside / "secret").write_text("secret", encoding="utf-8")
        (inside / "probe.py").write_text(_PROBE, encoding="utf-8")
        give_to(inside, child_uid())
        printed = _run_probe(inside, outside)
    # A kernel before 6.12 cannot refuse signals; as another user they are refused anyway.
    names = ("reading outside", "signalling the grader", "writing outside", "use of its own folder")
    held = printed.split()
    if len(held) != len(names):
        return "the probe did not run: " + printed[-300:]
    ignored = {"signalling the grader"} if landlock.abi() < 6 else set()
    return ", ".join(name for name, ok in zip(names, held, strict=True) if ok != "True" and name not in ignored)


def _run_probe(inside: Path, outside: Path) -> str:
    policy = Policy(read=(CHILD_CODE, inside), write=(inside,))
    try:
        ruleset = landlock.create_ruleset((*interpreter_folders(), *policy.read), policy.write, policy.ports)
    except OSError as error:
        return str(error)
    try:
        arguments = launch_arguments(
            inside / "probe.py", [str(outside / "secret"), str(outside / "new")], (), policy, ruleset
        )
        done = subprocess.run(
            arguments,
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
