"""A traceback that a program printed is told by the student's own lines."""

from __future__ import annotations

from pathlib import Path

from grader.engine.traces import own_frames, tidy_output
from grader.sandbox.policy import CHILD_CODE
from grader.tests.grading.specimens import GOOD, grade_source

PRINTED = f"""before
Traceback (most recent call last):
  File "{CHILD_CODE}/launcher.py", line 1, in <module>
    main()
    ~~~~^^
  File "/scratch/cgi-bin/a.py", line 3, in answer
    return 1 / 0
           ~~^~~
  File "/usr/lib/python3/x.py", line 9, in inner
    y
ZeroDivisionError: division by zero
"""


def test_the_graders_frames_go_and_the_students_stay() -> None:
    assert tidy_output(PRINTED, Path("/scratch/cgi-bin")).splitlines() == [
        "before",
        "Traceback (most recent call last):",
        '  File "a.py", line 3, in answer',
        "    return 1 / 0",
        "           ~~^~~",
        '  File "/usr/lib/python3/x.py", line 9, in inner',
        "    y",
        "ZeroDivisionError: division by zero",
    ]
    assert own_frames(PRINTED, Path("/scratch/cgi-bin")) == ("a.py:3 in answer",)
    assert own_frames("nothing of the kind", Path("/scratch")) == ()


def test_a_crash_on_the_wire_points_at_the_line_that_raised(tmp_path: Path) -> None:
    card = grade_source(tmp_path, GOOD.replace('"Content-Type: text/plain', 'None + "Content-Type: text/plain', 2))
    finding = next(outcome.finding for outcome in card.outcomes if outcome.check.id == "page/answer")
    assert finding is not None
    assert finding.look.startswith("specimen/tiny/cgi-bin/tiny.py:")
    assert finding.look.endswith(" respond()")
    assert finding.frames[-1].endswith(" in respond")
    assert "launcher.py" not in finding.output
