"""Which outcome to tell first: what every report opens with."""

from __future__ import annotations

from grader.model import ExerciseCard, Outcome, Verdict


def next_open(card: ExerciseCard) -> Outcome | None:
    """The first check that is worth looking at now: not passed, and not blocked by another. None when all have passed.

    A program that does without most of the functions is a design of its own: there the wire comes first. A check
    of a step whose functions are written, which only needs one of a later step, comes after what has failed there.
    """
    unpassed = [outcome for outcome in card.outcomes if outcome.verdict is not Verdict.PASSED]
    ready = [outcome for outcome in unpassed if outcome.verdict is not Verdict.BLOCKED]
    wire = [outcome for outcome in ready if not outcome.check.calls_functions]
    calls = [outcome for outcome in ready if outcome.check.calls_functions]
    without = [each for each in calls if each.finding and (each.finding.absent or each.finding.unloaded)]
    own_design = common_cause(card) is None and 2 * len(without) > len(calls)
    first = next(iter((own_design and wire) or ready or unpassed), None)
    if first is not None and first.verdict is Verdict.NOT_STARTED:
        step = card.exercise.step_of(first.check)
        begun = any(each.verdict is Verdict.PASSED for each in card.step_outcomes(step))
        failed = (each for each in ready if each.verdict is not Verdict.NOT_STARTED)
        return (begun and next(failed, None)) or first
    return first


def common_cause(card: ExerciseCard) -> Outcome | None:
    """The outcome that tells everything where nothing has passed, and for one reason: then it is said once."""
    if any(outcome.verdict is Verdict.PASSED for outcome in card.outcomes):
        return None
    unloaded = (outcome for outcome in card.outcomes if outcome.finding and outcome.finding.unloaded)
    if found := next(unloaded, None):
        return found
    first, *others = card.outcomes or (None,)
    alike = all(first and (each.finding, each.verdict) == (first.finding, first.verdict) for each in others)
    return first if card.note and alike else None
