"""Prepare the place where a submission's children run."""

from __future__ import annotations

from pathlib import Path

from grader.job import Job
from grader.model import Exercise
from grader.sandbox.policy import child_uid
from grader.sandbox.scratch import copy_package, give_to
from grader.sandbox.spawn import Site


def prepare_site(job: Job, exercise: Exercise) -> Site:
    """The Site of a job whose scratch folder holds a copy of the submission at child/submission."""
    child = Path(job.scratch) / "child"
    packages = (copy_package("tinydb", child / "packages"),) if exercise.kind == "wsgi" else ()
    shared = Path(job.scratch) / "files"
    shared.mkdir()
    if job.isolation == "landlock":
        give_to(child, child_uid())
        give_to(shared, child_uid())
    return Site(child, child / "submission", job.isolation, packages, exercise.forbidden_imports, shared)
