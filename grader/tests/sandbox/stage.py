"""A small submission in a scratch folder, and one program of it run to its end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from grader.sandbox.pipes import Drain
from grader.sandbox.policy import Policy, child_uid
from grader.sandbox.scratch import give_to
from grader.sandbox.spawn import Child, Site


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended. `code` is None when it was ended at its deadline; `closed`: nobody holds its output open."""

    code: int | None
    stdout: str
    stderr: str
    closed: bool


def stage(folder: Path, isolation: str, **files: str) -> Site:
    """A site with these files (main="print(1)" -> main.py)."""
    scratch = folder / "scratch"
    submission = scratch / "submission"
    submission.mkdir(parents=True)
    for name, text in files.items():
        (submission / f"{name}.py").write_text(text, encoding="utf-8")
    give_to(scratch, child_uid())
    return Site(scratch, submission, isolation)


def run(site: Site, policy: Policy | None = None) -> Ran:
    """Run main.py once, at most policy.wall seconds."""
    policy = policy or Policy()
    child = Child(site, site.submission / "main.py", policy=policy)
    output = Drain(child.take_stdout(), policy.output)
    code = child.wait(child.started + policy.wall)
    child.end()
    closed = output.ended(time.monotonic() + 10.0)  # at once, unless something lives on
    return Ran(code, output.data.decode(), child.error_text, closed)
