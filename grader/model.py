"""The words of the kit as frozen values: Exercise, Step, Check, Finding, Outcome, Scorecard.

Nothing here runs anything, and nothing here imports anything but the standard library.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import assert_never

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class Verdict(Enum):
    """How a check ended. Only PASSED earns points, and only BROKEN is the kit's own fault."""

    PASSED = "passed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    NOT_STARTED = "not started"
    BLOCKED = "blocked"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Check:
    """One claim worth whole points.

    `claim` is the sentence the student reads, `rule` a further sentence of reasons (may be ""), `source` a
    section of a standard or "kit rule", `needs` the ids of checks that must pass first, `node` the pytest
    node ("test_query.py::test_plus_is_a_space"), `fixtures` what it asks for ("module": functions; else the wire),
    `calls` the functions of the exercise that it names.
    """

    exercise: str
    step: str
    name: str
    claim: str
    rule: str
    points: int
    source: str
    needs: tuple[str, ...]
    node: str
    fixtures: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """'query/plus', unique within the exercise."""
        return f"{self.step}/{self.name}"

    @property
    def path(self) -> str:
        """'cgi_calculator/query/plus', unique within the kit and accepted on the command line."""
        return f"{self.exercise}/{self.step}/{self.name}"

    @property
    def calls_functions(self) -> bool:
        """Whether it calls functions by name; every other check looks at the wire."""
        return "module" in self.fixtures


@dataclass(frozen=True, slots=True)
class Step:
    """A few functions to write and the checks that pay for them.

    `look` names the functions that what is seen on the wire depends on, where those are not the step's own: a step may
    ask the student to go on with a function of an earlier one. `shown_by` are ids of checks on the wire that show the
    work of the step's functions in a program that does without them. `promised` are functions that the README asks
    for by name: where they are there, a design of one's own is no excuse.
    """

    exercise: str
    id: str
    title: str
    needs: tuple[str, ...]
    functions: tuple[str, ...]
    hints: tuple[str, ...]
    checks: tuple[Check, ...]
    look: tuple[str, ...] = ()
    shown_by: tuple[str, ...] = ()
    promised: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """What its checks are worth together."""
        return sum(check.points for check in self.checks)


@dataclass(frozen=True, slots=True)
class Exercise:
    """A folder of the submission with one main file, graded in steps; `folder` holds its checks.

    An import of a forbidden module scores 0 for the exercise; one of a discouraged module only earns the sentence
    that stands beside it.
    """

    id: str
    title: str
    main: str
    kind: str
    forbidden_imports: tuple[str, ...]
    discouraged_imports: tuple[tuple[str, str], ...]
    folder: Path
    steps: tuple[Step, ...]

    @property
    def checks(self) -> tuple[Check, ...]:
        """Of all steps, in course order."""
        return tuple(check for step in self.steps for check in step.checks)

    @property
    def points(self) -> int:
        """What its checks are worth together: 100 in this course."""
        return sum(step.points for step in self.steps)

    def step_of(self, check: Check) -> Step:
        """The step that a check of this exercise belongs to."""
        return next(step for step in self.steps if step.id == check.step)


@dataclass(frozen=True, slots=True)
class Finding:
    r"""What a failed check saw, ready to show: bytes are escaped text already (`"GET / HTTP/1.1\r\n"`).

    `caret` is an offset into `got`. `frames` are the student's own stack frames, outermost first, as
    "cgi_calc.py:41 in parse_query". `output` is the tail of what the program printed where a person looks. `absent`
    names a function that the program does not have, or has for something else: it cannot be called so. `unloaded` says
    that the main file could not even be imported.
    """

    sent: str = ""
    expected: str = ""
    got: str = ""
    caret: int | None = None
    why: str = ""
    look: str = ""
    frames: tuple[str, ...] = ()
    output: str = ""
    absent: str = ""
    unloaded: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """One piece of a transcript: which way it went ("sent" or "got") and the escaped bytes."""

    way: str
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one check ended. `examples` counts the fuzz examples that were really judged."""

    check: Check
    verdict: Verdict
    finding: Finding | None = None
    transcript: tuple[Exchange, ...] = ()
    examples: int = 0
    seconds: float = 0.0

    @property
    def points(self) -> int:
        """All points of the check when it passed, else 0."""
        match self.verdict:
            case Verdict.PASSED:
                return self.check.points
            case (
                Verdict.FAILED
                | Verdict.TIMEOUT
                | Verdict.CRASHED
                | Verdict.NOT_STARTED
                | Verdict.BLOCKED
                | Verdict.BROKEN
            ):
                return 0
            case _:
                assert_never(self.verdict)


@dataclass(frozen=True, slots=True)
class ExerciseCard:
    """The outcomes of one exercise, in the order of its checks; `note` says what concerns all of them."""

    exercise: Exercise
    outcomes: tuple[Outcome, ...]
    note: str = ""
    seconds: float = 0.0

    @property
    def points(self) -> int:
        """Earned, of the checks that were graded."""
        return sum(outcome.points for outcome in self.outcomes)

    @property
    def max_points(self) -> int:
        """What the graded checks are worth, which is less than the exercise's where only a part was chosen."""
        return sum(outcome.check.points for outcome in self.outcomes)

    def step_outcomes(self, step: Step) -> tuple[Outcome, ...]:
        """The outcomes of one step, in the order of its checks."""
        return tuple(outcome for outcome in self.outcomes if outcome.check.step == step.id)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person may choose about a run. `feedback` is "full" or "brief" (brief hides expected values)."""

    effort: str = "standard"
    seed: int = 0
    jobs: int = 2
    feedback: str = "full"
    isolation: str = "auto"


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Everything that all reports render. Totals are computed, never stored."""

    submission: str
    settings: Settings
    isolation: str
    versions: tuple[tuple[str, str], ...]
    cards: tuple[ExerciseCard, ...]
    warnings: tuple[str, ...] = field(default=())

    @property
    def points(self) -> int:
        """Earned, of all exercises."""
        return sum(card.points for card in self.cards)

    @property
    def max_points(self) -> int:
        """What the graded checks of all exercises are worth."""
        return sum(card.max_points for card in self.cards)

    @property
    def outcomes(self) -> Iterable[Outcome]:
        """Of all exercises, in course order."""
        return (outcome for card in self.cards for outcome in card.outcomes)

    @property
    def broken(self) -> tuple[Outcome, ...]:
        """Checks that failed through the kit's own fault; where there is one, no score is shown."""
        return tuple(outcome for outcome in self.outcomes if outcome.verdict is Verdict.BROKEN)

    @property
    def examples(self) -> int:
        """How many fuzz examples were judged in all."""
        return sum(outcome.examples for outcome in self.outcomes)


class Complaint(Exception):  # noqa: N818  (it is not an error of the kit)
    """A claim about the submission was false: carries the verdict and the finding."""

    def __init__(self, finding: Finding, verdict: Verdict = Verdict.FAILED) -> None:
        super().__init__(f"{verdict.value}: expected {finding.expected}, got {finding.got}"[:500])
        self.finding = finding
        self.verdict = verdict


class KitError(Exception):
    """Something is wrong with the kit, its configuration or the machine, not with the submission."""


class UsageError(Exception):
    """The command line, or the folder it names, is not what the command takes."""
