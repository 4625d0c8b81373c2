"""Scorecard -> the JSON that other programs read; its shape is documented in result.schema.json beside this file.

On one machine the same submission gives the same file, apart from the values called "seconds". When the grader itself
fails, the file is written all the same: its status is "broken" and every value called "points" is null.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from grader.model import ExerciseCard, Finding, Json, KitError, Outcome, Scorecard, Settings, UsageError, Verdict

SCHEMA = "three-servers/result/v1"
SCHEMA_FILE = Path(__file__).with_name("result.schema.json")
MAX_TEXT = 20_000


def to_json(card: Scorecard) -> dict[str, Json]:
    """The whole scorecard as plain data, in declaration order."""
    scored = not card.broken
    fault = None if scored else f"{len(card.broken)} checks could not be judged through a fault of the grader"
    return {
        "schema": SCHEMA,
        "status": "graded" if scored else "broken",
        "fault": fault,
        "submission": _text(card.submission),
        "points": card.points if scored else None,
        "max_points": card.max_points,
        "examples": card.examples,
        "isolation": card.isolation,
        "settings": {
            "effort": card.settings.effort,
            "seed": card.settings.seed,
            "jobs": card.settings.jobs,
            "feedback": card.settings.feedback,
            "isolation": card.settings.isolation,
        },
        "versions": {**dict(card.versions)},
        "warnings": [_text(warning) for warning in card.warnings],
        "exercises": [_exercise(each, card.settings, scored) for each in card.cards],
    }


def fault_to_json(submission: str, message: str) -> dict[str, Json]:
    """The result of a run that never came to a scorecard, because the grader could not do its work."""
    empty = Scorecard(submission, Settings(), "none", (), ())
    return {**to_json(empty), "status": "broken", "fault": _text(message), "points": None}


def _exercise(card: ExerciseCard, settings: Settings, scored: bool) -> Json:
    exercise = card.exercise
    steps = [(step, outcomes) for step in exercise.steps if (outcomes := card.step_outcomes(step))]
    return {
        "id": exercise.id,
        "title": exercise.title,
        "main": exercise.main,
        "points": card.points if scored else None,
        "max_points": card.max_points,
        "note": _text(card.note),
        "seconds": card.seconds,
        "steps": [
            {
                "id": step.id,
                "title": step.title,
                "points": sum(outcome.points for outcome in outcomes) if scored else None,
                "max_points": sum(outcome.check.points for outcome in outcomes),
                "checks": [_check(outcome, settings, scored) for outcome in outcomes],
            }
            for step, outcomes in steps
        ],
    }


def _check(outcome: Outcome, settings: Settings, scored: bool) -> Json:
    check = outcome.check
    hidden = settings.feedback == "brief" and outcome.verdict is not Verdict.BROKEN
    return {
        "id": check.path,
        "claim": check.claim,
        "source": check.source,
        "needs": list(check.needs),
        "verdict": outcome.verdict.value,
        "points": outcome.points if scored else None,
        "max_points": check.points,
        "examples": outcome.examples,
        "seconds": outcome.seconds,
        "finding": _finding(outcome.finding, hidden) if outcome.finding is not None else None,
    }


def _finding(finding: Finding, hidden: bool) -> Json:
    """`hidden`: without what was expected, and without all that may contain it."""
    return {
        "sent": _text(finding.sent),
        "expected": None if hidden else _text(finding.expected),
        "got": None if hidden else _text(finding.got),
        "caret": None if hidden or finding.caret is None or finding.caret > MAX_TEXT else finding.caret,
        "why": _text(finding.why),
        "look": _text(finding.look),
        "frames": [] if hidden else [_text(frame) for frame in finding.frames],
        "output": None if hidden else _text(finding.output),
    }


def _text(text: str) -> str:
    """Text that every JSON reader takes: no lone surrogates, no more than MAX_TEXT characters."""
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT] + f" ... {len(text) - MAX_TEXT} more characters"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def remove_stale(path: Path) -> None:
    """Remove the result of an earlier run, so that it is never taken for this one's.

    Raises UsageError when no file can be written at `path`.
    """
    if path.is_dir():
        raise UsageError(f"--json {path}: is a folder; expected the name of a file")
    if not path.parent.is_dir():
        raise UsageError(f"--json {path}: there is no folder {path.parent}")
    if path.exists() and not path.is_file():
        return  # a pipe or a terminal
    try:
        path.resolve().unlink(missing_ok=True)
        path.resolve().touch()
        path.resolve().unlink()
    except OSError as error:
        raise UsageError(f"--json {path}: no file can be written there ({error.strerror})") from error


def write(path: Path, card: Scorecard) -> None:
    """Write the result at once or not at all. Raises KitError when it cannot be written."""
    _write(path, to_json(card))


def write_fault(path: Path, submission: str, message: str) -> None:
    """Write the result of a run in which the grader could not do its work."""
    _write(path, fault_to_json(submission, message))


def _write(path: Path, data: dict[str, Json]) -> None:
    text = json.dumps(data, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="ascii", newline="\n")  # a pipe or a terminal: nothing to rename
            return
        whole = path.resolve()
        part = whole.with_name(f".{whole.name}.{os.getpid()}.part")
        try:
            part.write_text(text, encoding="ascii", newline="\n")
            part.replace(whole)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise KitError(f"the result cannot be written to {path}: {error.strerror}") from error
