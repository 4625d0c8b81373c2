"""Start a child that runs a file of a submission, under a policy.

The child is exec'd afresh from the interpreter (never forked from the grader), sees only an allow-listed environment
and its scratch folder, and is ended with everything that it started.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.model import Complaint, Finding, Verdict
from grader.sandbox import guard, landlock
from grader.sandbox.launch import launch_arguments
from grader.sandbox.pipes import Drain
from grader.sandbox.policy import CHILD_CODE, Policy, environment, interpreter_folders
from grader.sandbox.processes import end_tree, start, wait_exit

ERROR_HEAD = ERROR_TAIL = 2048


@dataclass(frozen=True, slots=True)
class Site:
    """Where children of one judge run: the scratch folder, its copy of the exercise, and the isolation grade.

    `packages` are folders that children may import from besides the standard library (copies made by copy_package);
    `refused` are modules that they may not. `shared` is a folder that the judge writes into as well: it lies outside
    `scratch`, so that no child can put a link in its place.
    """

    scratch: Path
    submission: Path
    isolation: str
    packages: tuple[Path, ...] = ()
    refused: tuple[str, ...] = ()
    shared: Path | None = None


class Child:
    """A running child. take_stdin() and take_stdout() give its raw pipes; its errors are always kept, capped."""

    def __init__(
        self,
        site: Site,
        main: Path,
        argv: Sequence[str] = (),
        *,
        policy: Policy,
        cwd: Path | None = None,
        modules: Path | None = None,
        pipe_stdin: bool = False,
        merge_output: bool = False,
        watch: Callable[[bytes], None] | None = None,
    ) -> None:
        """`merge_output` sends standard output to where the errors go; otherwise take_stdout() is yours to read.

        `modules` is the folder that the program may import its own modules from (its main file's).
        `watch` is given what goes to the errors as it comes, and the child's own buffers are switched off.
        Raises Complaint when an earlier child has taken the folder away in which this one begins.
        """
        folder = cwd or main.parent
        ruleset = _ruleset(site, policy)
        self.policy = policy
        self.started = time.monotonic()
        try:
            self._process = start(
                launch_arguments(
                    main,
                    argv,
                    (modules or main.parent, *site.packages),
                    policy,
                    ruleset,
                    unbuffered=watch is not None,
                    refused=site.refused,
                ),
                stdin=subprocess.PIPE if pipe_stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merge_output else subprocess.PIPE,
                cwd=folder,
                env=environment(policy, site.scratch),
                start_new_session=True,
                bufsize=0,
                pass_fds=() if ruleset is None else (ruleset,),
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            if error.filename is None or Path(os.fsdecode(error.filename)) != folder:
                raise
            got = f"it is not there any more ({error.strerror}): the program has removed, moved or closed it"
            raise Complaint(Finding(expected="the folder of the program", got=got), Verdict.CRASHED) from error
        finally:
            if ruleset is not None:
                os.close(ruleset)
        self.pid = self._process.pid
        errors = self._process.stdout if merge_output else self._process.stderr
        assert errors is not None
        self.errors = Drain(os.dup(errors.fileno()), ERROR_HEAD, ERROR_TAIL, watch)
        errors.close()

    def take_stdin(self) -> int:
        """The descriptor of the child's standard input; the caller closes it."""
        assert self._process.stdin is not None
        return _detach(self._process.stdin)

    def take_stdout(self) -> int:
        """The descriptor of the child's standard output; the caller closes it."""
        assert self._process.stdout is not None
        return _detach(self._process.stdout)

    def wait(self, deadline: float) -> int | None:
        """The exit code (negative: a signal), or None when it still runs at the deadline (time.monotonic)."""
        return wait_exit(self._process, deadline)

    @property
    def exit_code(self) -> int | None:
        """As wait() gives it; None while it runs."""
        return self._process.poll()

    def interrupt(self, signal_number: int) -> None:
        """Send one signal to the child alone."""
        self._process.send_signal(signal_number)

    def end(self) -> None:
        """End the child and all that it started. Safe to call twice."""
        end_tree(self._process)
        self.errors.ended(time.monotonic() + 1.0)

    @property
    def error_text(self) -> str:
        """What it wrote to standard error so far: at most 4 KB, with a mark where more was cut out."""
        return self.errors.data.decode("utf-8", "backslashreplace")


def _detach(pipe: object) -> int:
    descriptor = os.dup(pipe.fileno())  # type: ignore[attr-defined]
    pipe.close()  # type: ignore[attr-defined]
    return descriptor


def _ruleset(site: Site, policy: Policy) -> int | None:
    if site.isolation != "landlock":
        return None
    own = (site.scratch,) if site.shared is None else (site.scratch, site.shared)
    read = (*interpreter_folders(), CHILD_CODE, *site.packages, *policy.read)
    return landlock.create_ruleset((*read, *own), (*own, *policy.write), policy.ports)


def describe_exit(code: int) -> str:
    """0 -> 'exit status 0', -11 -> 'ended by signal 11 (SIGSEGV)', -24 -> '... processor time ...'."""
    if code >= 0:
        return f"exit status {code}"
    import signal

    known = {item.value: item.name for item in signal.Signals}
    why = guard.reason()
    reasons = {
        "SIGKILL": f": {why}" if why else "",
        "SIGXCPU": ": it used up its processor time",
        "SIGXFSZ": ": it wrote too large a file",
    }
    name = known.get(-code, "?")
    return f"ended by signal {-code} ({name}{reasons.get(name, '')})"
