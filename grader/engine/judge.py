"""The judge: one process per exercise that runs pytest on its checks and reports each outcome as a JSON line.

It reads its Job from standard input and writes {"start": id} and {"outcome": {...}} lines, and {"end": pytest's exit
code} as the last, to what was its standard output when it started; everything else that writes to standard output
goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # main() imports little before it has become what adopts other judges' children
    from grader.job import Job

UNUSED_PLUGINS = (
    "cacheprovider", "doctest", "faulthandler", "junitxml", "logging", "nose", "pastebin", "recwarn",
    "setuponly", "setupplan", "stepwise", "threadexception", "unittest", "unraisableexception", "warnings",
)  # fmt: skip
# Hypothesis works out a table of all characters, once for each version of Unicode: kept where the bytecode is.
HYPOTHESIS_HOME = Path(__file__).parent / "__pycache__" / "hypothesis"
KEPT_EXAMPLES = HYPOTHESIS_HOME / "examples"


def main() -> None:
    """The judge as a process: see above."""
    from grader.sandbox.processes import become_subreaper

    become_subreaper()  # before anything else: other judges' children may run already
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def emit(line: dict[str, Any]) -> None:
        events.write(json.dumps(line) + "\n")
        events.flush()

    from grader.job import Job

    code = run(Job.from_json(json.loads(sys.stdin.readline())), emit)
    emit({"end": code})


def run(job: Job, emit: Callable[[dict[str, Any]], None]) -> int:
    """Run the checks of a job in this process; returns pytest's exit code."""
    import pytest
    from hypothesis.configuration import set_hypothesis_home_dir

    from grader.course import load_exercise
    from grader.engine.fixtures import Staged
    from grader.engine.fuzz import PLAN
    from grader.engine.plugin import GradePlugin
    from grader.job import outcome_to_json
    from grader.model import Outcome
    from grader.sandbox.guard import Guard
    from grader.sandbox.policy import child_uid
    from grader.sandbox.stage import prepare_site

    scratch, folder = Path(job.scratch), Path(job.checks_folder)
    set_hypothesis_home_dir(HYPOTHESIS_HOME)
    PLAN.effort, PLAN.seed, PLAN.folder = job.effort, job.seed, KEPT_EXAMPLES
    exercise = load_exercise(folder)
    site = prepare_site(scratch, exercise, job.isolation)
    Guard((site.scratch, scratch / "files"), child_uid())
    main = site.submission / exercise.main

    def report(kind: str, what: Outcome | str) -> None:
        emit({kind: outcome_to_json(what) if isinstance(what, Outcome) else what})

    wanted = set(job.checks)
    files = {check.node.partition("::")[0] for check in exercise.checks if check.id in wanted}
    arguments = [
        "-c", str(Path(__file__).with_name("judge.ini")), f"--rootdir={folder}", "--noconftest", "-q", "-s",
        "--import-mode=importlib", "--assert=plain", "-p", "pytest_timeout", f"--timeout={job.check_seconds}",
        *(argument for name in UNUSED_PLUGINS for argument in ("-p", f"no:{name}")),
        *(str(folder / name) for name in sorted(files)),
    ]  # fmt: skip
    plugins = [
        GradePlugin(exercise, job.checks, job.passed, job.budget, main.parent, report),
        Staged(job, exercise, site),
    ]
    os.chdir(scratch)
    return int(pytest.main(arguments, plugins=plugins))
