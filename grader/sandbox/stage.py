"""Prepare the place where the children of one copy of a submission run."""

from __future__ import annotations

from pathlib import Path

from grader.model import Exercise
from grader.sandbox.policy import child_uid
from grader.sandbox.scratch import copy_package, give_to
from grader.sandbox.spawn import Site


def prepare_site(root: Path, exercise: Exercise, isolation: str, child: str = "child") -> Site:
    """The Site of the copy of a submission that lies at root/child/submission, where nothing has run yet.

    `child` is the children's own folder, `packages` beside it what they may import, `files` what the judge writes into
    as well. None of them may write to `root` itself, so none can put a link into the place of these. Raises KitError
    when a package is not installed.
    """
    own, packages, shared = root / child, root / "packages", root / "files"
    needed = ("tinydb",) if exercise.kind == "wsgi" else ()
    for name in needed:
        if not (packages / name).exists():
            copy_package(name, packages)
    shared.mkdir(exist_ok=True)
    give_to(own, child_uid())
    give_to(shared, child_uid(), inside=False)
    return Site(own, own / "submission", isolation, (packages,) if needed else (), exercise.forbidden_imports, shared)
