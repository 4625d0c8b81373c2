"""What the wire checks of socket_server say about a failure."""

from __future__ import annotations

import pytest

from grader.checks.socket_server.wire import NO_ANSWER, because
from grader.model import Complaint, Finding
from grader.target.http1 import NeedMore, take_reply


def test_no_answer_has_its_words() -> None:
    assert take_reply(b"", "GET", ended=False) == NeedMore(NO_ANSWER)


@pytest.mark.parametrize(
    ("finding", "expected", "why"),
    [
        (Finding(expected=NO_ANSWER), "status 400", "a reason"),
        (Finding(expected="status 404", why="another"), "status 404", "another"),
    ],
)
def test_a_failure_gets_its_reason_and_the_answer_that_was_wanted(finding: Finding, expected: str, why: str) -> None:
    with pytest.raises(Complaint) as caught, because("a reason", "status 400"):
        raise Complaint(finding)
    assert (caught.value.finding.expected, caught.value.finding.why) == (expected, why)


def test_what_holds_needs_no_reason() -> None:
    with because("a reason"):
        pass
