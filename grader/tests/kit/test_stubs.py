"""Solutions become stubs, and what cannot become one is refused with a reason."""

from __future__ import annotations

import dataclasses

import pytest

from grader.audit.stubs import drifted, fill_table, generate, make_stub
from grader.course import load_course
from grader.grade import KIT
from grader.model import Exercise, KitError
from grader.tests.grading.specimens import TINY

SOLUTION = '''"""A tiny program."""

import html
import os
from urllib.parse import (
    quote,
    unquote,
)

LIMIT = 5

# How many turns.
_TURNS = 1


def backwards(text: str) -> str:
    """Turn a text around.

    backwards("ab") -> "ba"
    """
    return html.escape(quote(_turn(text)))  # a reason


# A helper of the solution's own.
def _turn(text: str) -> str:
    return text[::-1]


class Page:
    """Given to the student."""

    def _hidden(self) -> None:
        pass

    def shown(self) -> int:
        return LIMIT + len(unquote("%20"))


def respond(query: str) -> str:
    """Write the answer."""
    return query


if __name__ == "__main__":
    print(respond(os.environ["QUERY_STRING"]))
'''

STUB = '''"""A tiny program."""

import os
from urllib.parse import unquote

LIMIT = 5


def backwards(text: str) -> str:
    """Turn a text around.

    backwards("ab") -> "ba"
    """
    # TODO(words): write backwards(), as the docstring says.
    raise NotImplementedError("step words: backwards() is yours to write")


class Page:
    """Given to the student."""

    def shown(self) -> int:
        return LIMIT + len(unquote("%20"))


def respond(query: str) -> str:
    """Write the answer."""
    # TODO(page): write respond(), as the docstring says.
    raise NotImplementedError("step page: respond() is yours to write")


if __name__ == "__main__":
    print(respond(os.environ["QUERY_STRING"]))
'''


def test_bodies_go_and_contracts_stay() -> None:
    assert make_stub(SOLUTION, TINY) == STUB


@pytest.mark.parametrize(
    ("find", "put", "message"),
    [
        ("def respond", "def answer", "names respond(), which cgi-bin/tiny.py does not define"),
        ('    """Write the answer."""\n', "", "needs a docstring"),
        ("print(respond", "print(_turn", "the stub uses _turn"),
    ],
)
def test_a_solution_that_cannot_become_a_stub_is_refused(find: str, put: str, message: str) -> None:
    with pytest.raises(KitError) as raised:
        make_stub(SOLUTION.replace(find, put), TINY)
    assert message in str(raised.value)


def test_the_table_of_steps_is_made_from_the_manifest() -> None:
    readme = fill_table("# Tiny\n<!-- steps -->\nold\n<!-- /steps -->\nrest\n", TINY)
    assert "| `words` | Turn a word around | 30 | `backwards` |" in readme
    assert "old" not in readme
    assert readme.endswith("<!-- /steps -->\nrest\n")
    with pytest.raises(KitError, match="no <!-- steps -->"):
        fill_table("# Tiny", TINY)


def test_a_step_without_functions_adds_nothing_to_the_stub() -> None:
    bare: Exercise = dataclasses.replace(TINY, steps=(dataclasses.replace(TINY.steps[0], functions=()),))
    assert "return _turn" not in make_stub(SOLUTION.replace("html.escape(quote(_turn(text)))", "text"), bare)


@pytest.mark.parametrize("exercise", load_course(), ids=lambda exercise: exercise.id)
def test_the_committed_stubs_are_up_to_date(exercise: Exercise) -> None:
    assert drifted(generate(KIT, exercise)) == []
