"""Scorecard -> GitHub Actions: annotations at the student's lines, a job summary, the score as outputs of the step.

The log of a job is also its command channel: a line that begins with "::" (or has "##[" in it) is obeyed. So while
text of a submission may be printed, commands are paused under a random token, and an error that ends the run leaves
them paused for the rest of the step.
"""

from __future__ import annotations

import os
import posixpath
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from grader.model import ExerciseCard, Finding, Outcome, Scorecard, Step, Verdict
from grader.report.finding import NAMES, Case, put_common_finding, put_finding
from grader.report.layout import UNICODE, Page
from grader.report.markdown import code, plain, table
from grader.report.opening import common_cause, next_open
from grader.report.safe import neutral
from grader.report.text import is_untouched

WIDTH = 100
# GitHub drops a step's summary that is larger than 1 MiB, and all but 10 annotations of a kind, without a word.
MAX_SUMMARY = 900_000
MAX_ANNOTATIONS = 10
MAX_FIELD = 400
MAX_PROPERTY = 200
BROKEN_SHOWN = 20

_LOOK = re.compile(r"(?P<file>[^\n]+?):(?P<line>[1-9][0-9]{0,6})(?: [^\n]*)?")


@contextmanager
def paused_commands(stream: TextIO | None = None) -> Iterator[str]:
    """Nothing printed inside is taken for a command; yields the token that ends this. An exception leaves it so."""
    stream = sys.stdout if stream is None else stream
    token = secrets.token_hex(16)
    # setup-python makes annotations of whatever looks like a traceback in the log; a program could print one.
    print("::remove-matcher owner=python::", f"::stop-commands::{token}", sep="\n", file=stream, flush=True)
    yield token
    print(f"::{token}::", file=stream, flush=True)


def publish(card: Scorecard) -> None:
    """Print the annotations; append summary and outputs to the files that the environment names (if it names any)."""
    for line in annotation_lines(card, _within_repository()):
        print(line, flush=True)
    _append("GITHUB_STEP_SUMMARY", summary(card))
    if not card.broken:
        _append("GITHUB_OUTPUT", f"score={card.points}\nmax_score={card.max_points}\n")


def _append(variable: str, text: str) -> None:
    if name := os.environ.get(variable):
        with Path(name).open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)


def _within_repository() -> str:
    """The current directory as seen from the root of the repository; "" where it is the root."""
    root = os.environ.get("GITHUB_WORKSPACE")
    here = Path.cwd()
    if not root or not here.is_relative_to(Path(root).resolve()):
        return ""
    return here.relative_to(Path(root).resolve()).as_posix().removeprefix(".")


# --- annotations ---


def command(name: str, message: str, **properties: str) -> str:
    """One line of the command channel: command("error", "100%", line="3") -> "::error line=3::100%25"."""
    shown = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value)
    return f"::{name}{' ' * bool(shown)}{shown}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def annotation_lines(card: Scorecard, within: str = "") -> list[str]:
    """One command per exercise that is not complete, at most 10; one notice when everything passed.

    `within` is the folder, seen from the root of the repository, that the paths of the scorecard start from.
    """
    if card.broken:
        number = len(card.broken)
        message = (
            f"{number} check{'s' * (number > 1)} could not be judged. This is the grader's fault: there is no score."
        )
        return [command("error", message, title="The grader itself failed")]
    opened = [(each, outcome) for each in card.cards if (outcome := next_open(each)) is not None]
    if not opened:
        score = f"{card.points} of {card.max_points} points"
        return [command("notice", "Every check passed." if card.max_points else "Nothing was graded.", title=score)]
    lines = [_annotation(card, each, outcome, within) for each, outcome in opened]
    if len(lines) > MAX_ANNOTATIONS:
        rest = len(lines) - MAX_ANNOTATIONS + 1
        more = command("error", f"{rest} more exercises are not complete; the job summary has them all.")
        lines = [*lines[: MAX_ANNOTATIONS - 1], more]
    return lines


def _annotation(card: Scorecard, each: ExerciseCard, outcome: Outcome, within: str) -> str:
    outcome = common_cause(each) or outcome
    finding = outcome.finding or Finding()
    title = f"{each.exercise.id}: {each.points} of {each.max_points} points"
    place = _place(card, each, finding.look, within)
    if is_untouched(each):
        first = each.exercise.step_of(outcome.check)
        # Not begun is no mistake: the same place, in a quieter colour.
        return command("notice", f"Not started. Begin with {first.id}: {first.title}", **place, title=title)
    lines = [f"{outcome.check.id}: {outcome.check.claim}"]
    if common_cause(each) is not None:
        lines = [f"None of the {len(each.outcomes)} checks can be run before this is fixed."]
    if card.settings.feedback == "full" and outcome.verdict in (Verdict.FAILED, Verdict.TIMEOUT, Verdict.CRASHED):
        shown = (("sent", finding.sent), ("expected", finding.expected), ("got", finding.got))
        lines += [f"{label}: {_short(text)}" for label, text in shown if text]
    lines.append("The job summary has the whole story.")
    return command("error", "\n".join(lines), **place, title=title)


def _short(text: str) -> str:
    shown = neutral(text[: MAX_FIELD + 1])
    return shown if len(shown) <= MAX_FIELD else shown[:MAX_FIELD] + " ..."


def _place(card: Scorecard, each: ExerciseCard, look: str, within: str) -> dict[str, str]:
    """Where to look -> the properties "file" and "line"; the main file where `look` names no file of the exercise."""
    folder = f"{card.submission.rstrip('/')}/{each.exercise.id}"
    found = _LOOK.fullmatch(look)
    file, line = (posixpath.normpath(neutral(found["file"])), found["line"]) if found else ("", "")
    if not file.startswith(f"{posixpath.normpath(folder)}/") or len(file) > MAX_PROPERTY:
        file, line = f"{folder}/{each.exercise.main}", ""
    file = posixpath.normpath(posixpath.join(within, file))
    if file.startswith(("/", "../")):  # outside the repository, where GitHub shows nothing
        return {}
    return {"file": neutral(file), "line": line}


# --- the summary ---


def summary(card: Scorecard) -> str:
    """The whole run as GitHub Markdown: score, a table of steps and the next open check of each exercise.

    At most MAX_SUMMARY bytes: what comes after that is named, not shown.
    """
    if card.broken:
        return _broken_summary(card)
    parts = [f"## Score: {card.points} of {card.max_points}", _facts(card)]
    if card.warnings:
        parts.append(code("\n".join(f"warning: {warning}" for warning in card.warnings[:BROKEN_SHOWN])))
    size = sum(len(part.encode()) + 2 for part in parts)
    for number, each in enumerate(card.cards):
        part = _exercise(card, each)
        size += len(part.encode()) + 2
        if size > MAX_SUMMARY:
            parts.append(f"{len(card.cards) - number} more exercises are not shown here; the log has them.")
            break
        parts.append(part)
    return "\n\n".join(parts) + "\n"


def _facts(card: Scorecard) -> str:
    settings = card.settings
    graded = sum(each.max_points for each in card.cards)
    whole = sum(each.exercise.points for each in card.cards)
    facts = [
        f"{settings.effort} effort",
        f"seed {settings.seed}",
        f"{card.examples} fuzz examples",
        f"isolation {card.isolation}",
        *(f"{name} {version}" for name, version in card.versions),
        *(["only a part was graded"] if graded < whole else []),
    ]
    return plain(", ".join(facts))


def _exercise(card: Scorecard, each: ExerciseCard) -> str:
    heading = f"### {plain(each.exercise.title)}: {each.points} of {each.max_points}"
    rows = [
        [
            plain(step.id),
            plain(step.title),
            f"{sum(o.points for o in outcomes)} of {sum(o.check.points for o in outcomes)}",
            _state(outcomes),
        ]
        for step, outcomes in _steps(each)
    ]
    parts = [heading, table(["step", "", "points", "checks"], rows)]
    if (opened := next_open(each)) is not None:
        if common_cause(each) is None:
            parts.append(f"**Next: {plain(opened.check.path)}**")
        parts.append(code(_finding(card, each, opened)))
    return "\n\n".join(parts)


def _steps(each: ExerciseCard) -> list[tuple[Step, tuple[Outcome, ...]]]:
    graded = [(step, each.step_outcomes(step)) for step in each.exercise.steps]
    return [(step, outcomes) for step, outcomes in graded if outcomes]


def _state(outcomes: tuple[Outcome, ...]) -> str:
    """ "all 7 passed", "2 of 7 passed" or, where nothing has been tried, "not started" or "not run"."""
    verdicts = {outcome.verdict for outcome in outcomes}
    if verdicts in ({Verdict.NOT_STARTED}, {Verdict.BLOCKED}):
        return NAMES[next(iter(verdicts))]
    passed = sum(outcome.verdict is Verdict.PASSED for outcome in outcomes)
    return f"all {passed} passed" if passed == len(outcomes) else f"{passed} of {len(outcomes)} passed"


def _finding(card: Scorecard, each: ExerciseCard, outcome: Outcome) -> str:
    """The open check as the terminal shows it: sent, expected, got, why, look, hint, replay."""
    page = Page(WIDTH, UNICODE)
    case = Case(card.submission, card.settings, each, verbose=False, scored=True)
    if (cause := common_cause(each)) is not None:
        put_common_finding(page, cause, case)
    else:
        put_finding(page, outcome, case)
    return page.text.plain


def _broken_summary(card: Scorecard) -> str:
    shown = [
        f"{outcome.check.path}: {(outcome.finding.got if outcome.finding else '')[:300]}"
        for outcome in card.broken[:BROKEN_SHOWN]
    ]
    if len(card.broken) > BROKEN_SHOWN:
        shown.append(f"and {len(card.broken) - BROKEN_SHOWN} more")
    parts = [
        "## No score: the grader itself failed",
        "This is the grader's fault, not that of the program it graded. Please tell the staff of the course.",
        _facts(card),
        code("\n".join(line.replace("\n", " ") for line in shown)),
    ]
    return "\n\n".join(parts) + "\n"
