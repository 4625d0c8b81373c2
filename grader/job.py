"""What a judge is told, and what it reports: JSON both ways, between two processes of the kit."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from grader.model import Check, Exchange, Finding, Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Job:
    """One exercise of one submission. Paths are absolute; `checks` are ids in course order; budget in seconds.

    `scratch` is a folder of this judge's own, with a copy of the submission at child/submission in it; `shown` is how
    the submission's folder is called in messages ("exercises/cgi_calculator"); `passed` are checks known to have
    passed in an earlier judge of this run.
    """

    checks_folder: str
    kit: str
    scratch: str
    shown: str
    checks: tuple[str, ...]
    passed: tuple[str, ...]
    effort: str
    seed: int
    isolation: str
    budget: float
    check_seconds: float

    def to_json(self) -> dict[str, Any]:
        """As a dict that json.dumps() takes; from_json() is the inverse."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Job:
        """The inverse of to_json(). Raises KeyError or TypeError for a dict that is none."""
        return Job(**{**data, "checks": tuple(data["checks"]), "passed": tuple(data["passed"])})


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """The event line of one finished check."""
    return {
        "check": outcome.check.id,
        "verdict": outcome.verdict.value,
        "finding": None if outcome.finding is None else dataclasses.asdict(outcome.finding),
        "transcript": [[exchange.way, exchange.text] for exchange in outcome.transcript],
        "examples": outcome.examples,
        "seconds": outcome.seconds,
    }


def outcome_from_json(data: dict[str, Any], check: Check) -> Outcome:
    """The inverse. Raises ValueError, KeyError or TypeError for a line that is none."""
    finding = data["finding"]
    return Outcome(
        check=check,
        verdict=Verdict(data["verdict"]),
        finding=None if finding is None else Finding(**{**finding, "frames": tuple(finding["frames"])}),
        transcript=tuple(Exchange(way, text) for way, text in data["transcript"]),
        examples=int(data["examples"]),
        seconds=float(data["seconds"]),
    )
