"""Submissions of the tiny exercise, made in a temporary folder."""

from __future__ import annotations

from pathlib import Path

from grader.course import Selection, load_exercise
from grader.grade import grade
from grader.model import Exercise, ExerciseCard, Scorecard, Settings, Verdict
from grader.submission import Submission

TINY: Exercise = load_exercise(Path(__file__).parents[1] / "course" / "tiny")

GOOD = """
import os


def backwards(text):
    return text[::-1]


def respond(query):
    if not query:
        return "Status: 400 Bad Request\\nContent-Type: text/plain\\n\\nno query\\n"
    return "Content-Type: text/plain\\n\\n" + backwards(query) + "\\n"


if __name__ == "__main__":
    print(respond(os.environ["QUERY_STRING"]), end="")
"""

STUB = '''
import os


def backwards(text):
    """Turn a text around."""
    # TODO(words): write backwards(), as the docstring says.
    raise NotImplementedError("step words: backwards() is yours to write")


def respond(query):
    """Write the answer."""
    # TODO(page): write respond(), as the docstring says.
    raise NotImplementedError("step page: respond() is yours to write")


if __name__ == "__main__":
    print(respond(os.environ["QUERY_STRING"]), end="")
'''

# An untouched stub is recognised by its text and never run; this one is run, and earns as little.
RUN_STUB = STUB.replace("    raise NotImplementedError", "    wanted = 'points'\n    raise NotImplementedError")


def submit(root: Path, source: str, exercise: Exercise = TINY) -> Submission:
    """A submission whose main file is `source`."""
    main = root / exercise.id / exercise.main
    main.parent.mkdir(parents=True, exist_ok=True)
    main.write_text(source, encoding="utf-8", newline="\n")
    return Submission(root, "specimen")


def grade_source(root: Path, source: str, **settings: object) -> Scorecard:
    """Grade a main file on the whole tiny exercise."""
    return grade_submission(submit(root, source), **settings)


def grade_submission(submission: Submission, **settings: object) -> Scorecard:
    chosen = Settings(**{"effort": "quick", "jobs": 1, **settings})  # type: ignore[arg-type]
    return grade(submission, (Selection(TINY, TINY.checks),), chosen)


def verdicts(card: Scorecard | ExerciseCard) -> dict[str, str]:
    """Check id -> verdict in words."""
    return {outcome.check.id: outcome.verdict.value for outcome in card.outcomes}


def passed(card: Scorecard) -> set[str]:
    return {outcome.check.id for outcome in card.outcomes if outcome.verdict is Verdict.PASSED}
