"""argv -> one call -> exit code."""

from __future__ import annotations

import sys
from pathlib import Path

from grader.course import load_course, select
from grader.grade import default_jobs, grade
from grader.model import Settings
from grader.submission import find_submission


def main() -> int:
    """Grade the folder named first."""
    course = load_course()
    submission = find_submission(Path(sys.argv[1]), course)
    card = grade(submission, select(course, sys.argv[2:]), Settings(jobs=default_jobs()))
    for outcome in card.outcomes:
        finding = outcome.finding
        print(outcome.check.path, outcome.verdict.value, outcome.points, "of", outcome.check.points, outcome.seconds)
        if finding:
            print(f"  {finding.sent}\n  {finding.expected}\n  {finding.got}\n  {finding.look}\n{finding.output}")
    print(card.points, "of", card.max_points, card.isolation, card.examples, [c.seconds for c in card.cards])
    return 0 if card.points == card.max_points else 1
