"""Which function checks of a design of one's own count as passed, from outcomes made by hand."""

from __future__ import annotations

import ast
from dataclasses import replace

from grader.credit import credited, waiting
from grader.model import Exercise, Finding, Outcome, Verdict
from grader.tests.grading.specimens import TINY

OWN_DESIGN = ast.parse("def turn(text): return text\nbackwards = turn\n")
WRONG = {"words/abc": Verdict.FAILED, "words/fuzz": Verdict.BLOCKED}
RIGHT = {"page/answer": Verdict.PASSED, "page/empty": Verdict.PASSED}


def outcomes(verdicts: dict[str, Verdict]) -> dict[str, Outcome]:
    checks = {check.id: check for check in TINY.checks}
    return {key: Outcome(checks[key], verdict, Finding(got="forwards")) for key, verdict in verdicts.items()}


def promising(*names: str) -> Exercise:
    first, *others = TINY.steps
    return replace(TINY, steps=(replace(first, promised=names), *others))


def test_a_name_shared_by_chance_is_not_held_against_a_design_of_its_own() -> None:
    found = credited(TINY, OWN_DESIGN, outcomes(WRONG | RIGHT))
    assert {key: outcome.verdict for key, outcome in found.items()} == dict.fromkeys(WRONG, Verdict.PASSED)
    assert all(outcome.finding is None for outcome in found.values())


def test_a_name_that_the_readme_asks_for_is_judged_as_it_is() -> None:
    assert credited(promising("backwards"), OWN_DESIGN, outcomes(WRONG | RIGHT)) == {}
    without = ast.parse("def turn(text): return text\n")
    assert set(credited(promising("backwards"), without, outcomes(WRONG | RIGHT))) == set(WRONG)


def test_nothing_is_credited_that_the_wire_does_not_show() -> None:
    for verdict in (Verdict.FAILED, Verdict.BLOCKED, Verdict.TIMEOUT):
        assert credited(TINY, OWN_DESIGN, outcomes(WRONG | RIGHT | {"page/empty": verdict})) == {}
    assert credited(TINY, OWN_DESIGN, outcomes(WRONG | {"page/answer": Verdict.PASSED})) == {}


def test_a_design_of_its_own_is_told_which_check_on_the_wire_comes_first() -> None:
    failed = outcomes(WRONG | RIGHT | {"page/empty": Verdict.FAILED})
    absent = Finding(expected="a function named backwards", absent="backwards")
    failed["words/abc"] = replace(failed["words/abc"], finding=absent)
    found = waiting(TINY, OWN_DESIGN, failed)
    assert [(key, outcome.verdict) for key, outcome in found.items()] == [(key, Verdict.BLOCKED) for key in WRONG]
    assert all(each.finding and each.finding.expected == "page/empty passes first" for each in found.values())
    from_the_stub = ast.parse("def respond(query): return query\n")
    assert waiting(TINY, from_the_stub, failed) == {}
    assert waiting(TINY, OWN_DESIGN, outcomes(WRONG | RIGHT)) == {}


def test_what_is_broken_on_our_side_stays_broken() -> None:
    broken = WRONG | RIGHT | {"words/abc": Verdict.BROKEN}
    assert "words/abc" not in credited(TINY, OWN_DESIGN, outcomes(broken))
