"""How a check runs: an ordinary pytest test, in a judge process that never imports the submission.

::

    declare   @check("step/name", points=..., source=...)
    fuzz      @fuzz(strategies): Hypothesis with the kit's own profile, counted and bounded
    expect    expect(reply).status(200): a claim, or a Complaint that carries what a person needs
    because   with because("..."): what is claimed inside has a reason of its own
    fixtures  the submission as `module`, `cgi`, `server`, ... under test
    plugin    pytest hooks: needs, outcomes, one event line per check
    judge     the process: job in, events out
"""

from grader.engine.declare import check
from grader.engine.expect import because, expect
from grader.engine.fuzz import fuzz

__all__ = ["because", "check", "expect", "fuzz"]
