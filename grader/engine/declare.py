"""The decorator that makes a pytest test a check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

Test = TypeVar("Test", bound=Callable[..., None])


def check(identity: str, *, points: int, source: str, needs: Sequence[str] = ()) -> Callable[[Test], Test]:
    """Mark a test as the check `identity` ("step/name").

    `points` is a whole number, `source` a section of a standard or "kit rule", `needs` the ids of checks that must
    pass before this one means anything. All are literals: grader.course reads them without importing the test.
    The docstring's first paragraph is the sentence that the student reads, a second one gives the reason.
    """
    return pytest.mark.check(identity, points=points, source=source, needs=tuple(needs))
