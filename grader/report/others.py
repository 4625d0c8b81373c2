"""The open checks besides the one that is shown in full: enough to see what else there is, and no more.

In the step of that check a line for each; of every other step one line, or one for several that wait for the same.
"""

from __future__ import annotations

from rich.cells import cell_len

from grader.model import Outcome, Step, Verdict
from grader.report.finding import NAMES, STYLES, Case, blocker
from grader.report.layout import Page

LONGEST_ID = 28
LISTED = 3
UNWRITTEN = " is yours to write"


def put_others(page: Page, rest: list[Outcome], current: str, case: Case) -> None:
    """The lines about `rest`; `current` is the step that is worked on. Verbose: a line for each that has failed.

    A step of which nothing is written has no line here: its own line says so.
    """
    column = min(LONGEST_ID, max(cell_len(outcome.check.id) for outcome in rest))
    waiting: dict[tuple[str, ...], list[Outcome]] = {}
    for step in case.card.exercise.steps:
        here = [outcome for outcome in rest if outcome.check.step == step.id]
        if not here:
            continue
        if case.verbose or step.id == current or len(here) == 1:
            _put_each(page, step, here, column, case)
        elif all(outcome.verdict is Verdict.BLOCKED for outcome in here):
            waiting.setdefault(_blockers(here, case), []).extend(here)
        elif all(outcome.verdict in (Verdict.BLOCKED, Verdict.NOT_STARTED) for outcome in here):
            _put_each(page, step, here, column, case)
        else:
            _put_folded(page, step, here, case)
    for names, outcomes in waiting.items():
        _put_waiting(page, outcomes, " wait for", listed(list(names)))


def state_of(outcomes: tuple[Outcome, ...]) -> Verdict | None:
    """PASSED, NOT_STARTED (nothing is written) or BLOCKED when that is true of the whole step, else None."""
    verdicts = {outcome.verdict for outcome in outcomes}
    if verdicts <= {Verdict.NOT_STARTED, Verdict.BLOCKED}:
        return Verdict.NOT_STARTED if Verdict.NOT_STARTED in verdicts else Verdict.BLOCKED
    return Verdict.PASSED if verdicts == {Verdict.PASSED} else None


def _put_each(page: Page, step: Step, here: list[Outcome], column: int, case: Case) -> None:
    blocked = [outcome for outcome in here if outcome.verdict is Verdict.BLOCKED]
    unwritten = [outcome for outcome in here if outcome.verdict is Verdict.NOT_STARTED]
    for outcome in here:
        if outcome not in blocked and outcome not in unwritten:
            _put_other(page, outcome, column, case)
    if state_of(case.card.step_outcomes(step)) is Verdict.NOT_STARTED:
        return
    if unwritten:
        todo = dict.fromkeys(outcome.finding.expected for outcome in unwritten if outcome.finding)
        _put_waiting(page, unwritten, ":", listed([text.removesuffix(UNWRITTEN) for text in todo]))
    if blocked:
        verb = " waits for" if len(blocked) == 1 else " wait for"
        _put_waiting(page, blocked, verb, listed(list(_blockers(blocked, case))))


def _put_folded(page: Page, step: Step, here: list[Outcome], case: Case) -> None:
    """'books    3 failed, 1 timeout, 9 wait for books/list'."""
    counts = {verdict: sum(outcome.verdict is verdict for outcome in here) for verdict in Verdict}
    parts = [f"{number} {NAMES[verdict]}" for verdict, number in counts.items() if number and verdict in STYLES]
    blocked = [outcome for outcome in here if outcome.verdict is Verdict.BLOCKED]
    if blocked:
        verb = "waits for" if len(blocked) == 1 else "wait for"
        parts = [part for part in parts if not part.endswith(NAMES[Verdict.BLOCKED])]
        parts.append(f"{len(blocked)} {verb} {listed(list(_blockers(blocked, case)))}")
    worst = next(o.verdict for o in here if o.verdict not in (Verdict.BLOCKED, Verdict.NOT_STARTED))
    first = f"  {page.marks.failed} {step.id}: "
    page.prose(", ".join(parts), indent=len(first), first=(first, STYLES[worst]))


def _blockers(outcomes: list[Outcome], case: Case) -> tuple[str, ...]:
    return tuple(dict.fromkeys(blocker(outcome, case.card) for outcome in outcomes))


def _put_waiting(page: Page, outcomes: list[Outcome], verb: str, names: str) -> None:
    check, steps = outcomes[0].check, dict.fromkeys(outcome.check.step for outcome in outcomes)
    what = check.id if len(outcomes) == 1 else f"{len(outcomes)} checks of {listed(list(steps))}"
    sign = f"  {page.marks.waiting} {NAMES[outcomes[0].verdict]:<11}  "
    page.prose(f"{what}{verb} {names}", "dim", indent=len(sign), first=(sign, "dim"))


def listed(names: list[str]) -> str:
    """'a', 'a and b', 'a, b and c', 'a, b, c and 4 more'; of no names, ''."""
    shown = names if len(names) <= LISTED else [*names[:LISTED], f"{len(names) - LISTED} more"]
    return " and ".join(part for part in (", ".join(shown[:-1]), *shown[-1:]) if part)


def _put_other(page: Page, outcome: Outcome, column: int, case: Case) -> None:
    check, style = outcome.check, STYLES[outcome.verdict]
    worth = f"0 of {check.points:<2}" if case.scored else ""
    before = [(f"  {page.marks.failed} {outcome.verdict.value:<8}", style), (check.id.ljust(column), ""), (worth, "")]
    spans = [(f"{text}  ", look) for text, look in before if text]
    if page.width - sum(cell_len(text) for text, _ in spans) >= len("A claim of some words"):
        page.put(*spans, (check.claim, ""))
    else:
        page.put(*spans)
        page.put((f"    {check.claim}", "dim"))
