"""Scorecard -> what a person reads in a terminal.

    header      what was graded, and how
    exercise    its steps, a line each; the other open checks, a line each; the next one to fix, in full
    last line   the score, and where to go on

The next check stands last in its exercise, so that it and the score are what a small window shows. Colour adds nothing
that the words do not say. A report with a broken check has no score anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len
from rich.text import Text

from grader.model import Check, ExerciseCard, Outcome, Scorecard, Step, Verdict
from grader.report.finding import NAMES, NARROW, STYLES, Case, put_common_finding, put_finding
from grader.report.layout import ASCII, UNICODE, Page, crop
from grader.report.opening import common_cause, next_open
from grader.report.others import LONGEST_ID, put_others, state_of

BAR = 11
IN_FULL = (Verdict.FAILED, Verdict.TIMEOUT, Verdict.CRASHED, Verdict.BROKEN)
BROKEN_SHOWN = 5
MEANINGS = {
    "process": "Your code ran apart from the grader and with limits, but as you: that stops accidents, not intent.",
}


def render(card: Scorecard, *, width: int, verbose: bool, unicode: bool, encoding: str = "utf-8") -> Text:
    """The whole report. `unicode` chooses the marks; what `encoding` does not have is shown escaped."""
    page = Page(width, UNICODE if unicode else ASCII, encoding)
    scored = not card.broken
    _put_header(page, card, verbose)
    for exercise_card in card.cards:
        page.gap()
        case = Case(card.submission, card.settings, exercise_card, verbose, scored)
        _put_exercise(page, case)
    page.gap()
    if scored:
        _put_score(page, card)
    else:
        _put_broken(page, card)
    return page.text


def _put_header(page: Page, card: Scorecard, verbose: bool) -> None:
    settings = card.settings
    facts = [
        f"{settings.effort} effort",
        f"seed {settings.seed}",
        f"{card.examples} fuzz examples",
        f"isolation {card.isolation}",
    ]
    if settings.feedback == "brief":
        facts.append("brief feedback")
    page.prose(f"{card.submission}: " + ", ".join(facts), "dim")
    if card.isolation in MEANINGS:
        page.prose(MEANINGS[card.isolation], "dim")
    if verbose or card.broken:
        page.prose(", ".join(f"{name} {version}" for name, version in card.versions), "dim")
    for warning in card.warnings:
        page.prose(warning, "yellow", indent=9, first=("warning:", "yellow"))


def _put_exercise(page: Page, case: Case) -> None:
    card = case.card
    worth = f"{card.points} of {card.max_points}" if case.scored else ""
    _put_between(page, [(card.exercise.id, "bold"), (f"  {card.exercise.title}", "")], [(worth, "bold")])
    if is_untouched(card):
        _put_beginning(page, case)
        return
    unpassed = [outcome for outcome in card.outcomes if outcome.verdict is not Verdict.PASSED]
    if (cause := common_cause(card)) is not None:
        put_common_finding(page, cause, case)
        return
    if card.note:
        page.prose(card.note[:600], "yellow")
    for step in card.exercise.steps:
        if outcomes := card.step_outcomes(step):
            _put_step(page, step, outcomes, case)
    shown = next_open(card)
    if shown is None:
        return
    full = [outcome for outcome in unpassed if _in_full(outcome, shown)] if case.verbose else [shown]
    if rest := [outcome for outcome in unpassed if outcome not in full]:
        page.gap()
        put_others(page, rest, shown.check.step, case)
    for outcome in full:
        page.gap()
        put_finding(page, outcome, case)


def _in_full(outcome: Outcome, first: Outcome) -> bool:
    """Whether a verbose report shows it whole. Without a function, or a file that loads, there is nothing to show."""
    missing = outcome.finding is not None and (outcome.finding.absent or outcome.finding.unloaded)
    return outcome is first or (outcome.verdict in IN_FULL and not missing)


def _put_beginning(page: Page, case: Case) -> None:
    """An untouched exercise: where to begin, and nothing else."""
    card = case.card
    first = card.outcomes[0]
    step = card.exercise.step_of(first.check)
    steps = {outcome.check.step for outcome in card.outcomes}
    if card.note:
        _put_pair(page, "", "There is nothing to grade. This comes first:")
        _put_pair(page, "missing", card.note[:600])
        _put_pair(page, "read", f"exercises/{card.exercise.id}/README.md")
        return
    _put_pair(
        page, "", f"Not started. It has {len(steps)} step{'s' * (len(steps) > 1)}; the first is the place to begin:"
    )
    _put_pair(page, "step", f"{step.id}: {step.title}")
    if first.finding and first.finding.look:
        _put_pair(page, "write", first.finding.look)
    _put_pair(page, "read", f"{case.submission.rstrip('/')}/{card.exercise.id}/README.md")
    if step.hints:
        _put_pair(page, "stuck?", f"python -m grader hint {card.exercise.id}/{step.id}")


def _put_pair(page: Page, label: str, text: str) -> None:
    if label:
        page.prose(text, indent=11, first=("  " + label, "dim"))
    else:
        page.prose(text, indent=2)


def _put_step(page: Page, step: Step, outcomes: tuple[Outcome, ...], case: Case) -> None:
    """A line: mark, id, title, how far it is, points."""
    points = sum(outcome.points for outcome in outcomes)
    worth = sum(outcome.check.points for outcome in outcomes)
    column = min(LONGEST_ID, max(cell_len(other.id) for other in case.card.exercise.steps))
    text, style = _bar(page, points, worth)
    match state_of(outcomes):
        case Verdict.PASSED:
            sign, style = page.marks.passed, "green"
        case Verdict.NOT_STARTED | Verdict.BLOCKED as idle:
            sign, style = page.marks.waiting, "dim"
            text = NAMES[idle].ljust(BAR)
        case _:
            sign = page.marks.failed
    score = f"{points:>3} of {worth:<3}" if case.scored else ""
    name = step.id.ljust(column)
    quiet = "dim" if style == "dim" else ""
    left = [(f"  {sign} ", STYLES[Verdict.FAILED] if sign == page.marks.failed else style), (name, quiet)]
    if page.width >= NARROW:
        left.append((f"  {step.title}", quiet))
    _put_between(page, left, [(text, style), (score, quiet)])


def _bar(page: Page, points: int, worth: int) -> tuple[str, str]:
    """Full only when every point is there, empty only when none is."""
    filled = BAR * points // worth if worth else 0
    if points and not filled:
        filled = 1
    return page.marks.full * filled + page.marks.empty * (BAR - filled), "yellow" if points else "red"


def _put_between(page: Page, left: list[tuple[str, str]], right: list[tuple[str, str]]) -> None:
    """`left` at the left edge and `right` at the right one; the last piece on the left gives way."""
    ending = [(f"  {text}", style) for text, style in right if text]
    room = page.width - sum(cell_len(text) for text, _ in ending)
    *fixed, (text, style) = left
    room -= sum(cell_len(piece) for piece, _ in fixed)
    text = crop(text, room)
    page.put(*fixed, (text + " " * (room - cell_len(text)), style), *ending)


def _put_score(page: Page, card: Scorecard) -> None:
    """The subtotals where there are several, then the line that everything else leads to."""
    if len(card.cards) > 1:
        column = max(cell_len(each.exercise.id) for each in card.cards)
        for each in card.cards:
            state, style = _standing(each)
            worth = f"  {each.points:>3} of {each.max_points:<3}  "
            page.put((each.exercise.id.ljust(column), ""), (worth, ""), (state, style))
        page.gap()
    dot = page.marks.dot
    score = f"score {card.points} of {card.max_points}"
    if not card.max_points:
        page.prose(f"{score} {dot} nothing was graded", "bold")
        return
    graded, whole = card.max_points, sum(each.exercise.points for each in card.cards)
    part = f" {dot} only a part was graded" if graded < whole else ""
    nearest = _next(card.cards)
    if nearest is None:
        page.prose(f"{score}{part} {dot} {_praise(bool(part), len(card.cards))}", "bold green")
    else:
        page.prose(f"{score}{part} {dot} next: {nearest.exercise}/{nearest.step}", "bold")


def _standing(card: ExerciseCard) -> tuple[str, str]:
    nearest = next_open(card)
    if not card.outcomes:
        return "nothing was graded", "dim"
    if nearest is None:
        return "done", "green"
    return ("not started", "dim") if is_untouched(card) else (f"next: {nearest.check.step}", "")


def _next(cards: Iterable[ExerciseCard]) -> Check | None:
    """Where to go on: in the first exercise that is begun and not finished, else in the first that is not begun."""
    opened = [(card, outcome.check) for card in cards if (outcome := next_open(card)) is not None]
    begun = [check for card, check in opened if not is_untouched(card)]
    return next(iter(begun or [check for _, check in opened]), None)


def is_untouched(card: ExerciseCard) -> bool:
    """Whether the exercise is not begun: each of its checks meets a stub."""
    return bool(card.outcomes) and all(outcome.verdict is Verdict.NOT_STARTED for outcome in card.outcomes)


def _praise(part: bool, exercises: int) -> str:
    if part:
        return "every one of these checks passes"
    return "Every check passes. Well built!" if exercises == 1 else "Every check of every exercise passes. Well built!"


def _put_broken(page: Page, card: Scorecard) -> None:
    """The only text that mentions staff: the fault is ours, and here is what helps us to mend it."""
    broken = card.broken
    number = len(broken)
    total = sum(1 for _ in card.outcomes)
    page.prose(
        f"The grader itself failed at {number} of {total} {_checks(total)}. This is the kit's fault and not yours, "
        "so there is no score. Your work is untouched. Please send the staff of your course this text:",
        "bold red",
    )
    page.gap()
    for outcome in broken[:BROKEN_SHOWN]:
        got = outcome.finding.got if outcome.finding else "no word about it"
        page.prose(f"{outcome.check.path}: {got[:300]}", indent=4, first=("  " + page.marks.failed, "red"))
    if number > BROKEN_SHOWN:
        page.prose(f"and {number - BROKEN_SHOWN} more", indent=4)
    page.gap()
    page.prose("no score: the grader is broken, not your program", "bold")


def _checks(number: int) -> str:
    return "check" if number == 1 else "checks"
