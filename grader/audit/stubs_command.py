"""`python -m grader stubs`: bring the generated files up to date, or with --check only say which are not."""

from __future__ import annotations

import argparse

from grader.audit.stubs import drifted, generate, write
from grader.course import load_course
from grader.grade import KIT
from grader.names import find_exercise


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `stubs` takes: exercises, and whether only to look."""
    parser.add_argument("exercise", nargs="*", help="only these exercises")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a file is not up to date")


def run(options: argparse.Namespace) -> int:
    """Generate stubs and step tables; prints each file that changed, or with --check would change."""
    stale = False
    course = load_course()
    for exercise in [find_exercise(course, name) for name in options.exercise] or course:
        files = generate(KIT, exercise)
        changed = drifted(files) if options.check else write(files)
        for path in changed:
            print(f"{'not up to date' if options.check else 'written'}: {path.relative_to(KIT).as_posix()}")
        stale = stale or bool(changed)
    return 1 if options.check and stale else 0
