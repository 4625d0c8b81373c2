"""Run checks as plain pytest, from a shell or an editor's test explorer, against the submission that SUBMISSION names.

    SUBMISSION=exercises python -m pytest grader/checks/cgi_calculator

The fixtures are those of the judge, in one process and for one exercise at a time; `needs` and points play no part.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from grader.course import load_course, load_exercise
from grader.engine.fixtures import Staged
from grader.job import Job
from grader.model import Exercise, KitError, UsageError
from grader.sandbox.isolation import choose_isolation
from grader.sandbox.policy import child_uid
from grader.sandbox.processes import become_subreaper
from grader.sandbox.scratch import copy_submission, remove_shared_memory, remove_tree
from grader.sandbox.stage import prepare_site
from grader.submission import find_submission

KIT = Path(__file__).resolve().parents[2]


def pytest_configure(config: pytest.Config) -> None:
    """Register the fixtures for the exercise that the arguments lie in."""
    try:
        exercise = _exercise_of(config.args)
        scratch = Path(tempfile.mkdtemp(prefix="grader-"))
        config.add_cleanup(lambda: remove_tree(scratch))
        config.add_cleanup(lambda: remove_shared_memory(child_uid()))
        submission = find_submission(Path(os.environ.get("SUBMISSION", "exercises")), load_course())
        copy_submission(submission.folder(exercise), scratch / "child" / "submission")
        job = Job(
            checks_folder=str(exercise.folder),
            kit=str(KIT),
            scratch=str(scratch),
            shown=submission.shown_path(exercise),
            checks=(),
            passed=(),
            effort="standard",
            seed=0,
            isolation=choose_isolation("auto"),
            budget=0.0,
            check_seconds=0.0,
        )
        become_subreaper()
        config.pluginmanager.register(Staged(job, exercise, prepare_site(scratch, exercise, job.isolation)))
    except (UsageError, KitError) as error:
        raise pytest.UsageError(str(error)) from error


def _exercise_of(arguments: list[str]) -> Exercise:
    found = set()
    for argument in arguments:
        path = Path(argument.partition("::")[0]).resolve()
        found |= {folder for folder in (path, *path.parents) if (folder / "exercise.toml").exists()}
    if len(found) != 1:
        raise UsageError("name checks of one exercise: python -m pytest grader/checks/EXERCISE")
    return load_exercise(found.pop())
