"""Step page: on the wire."""

from grader.engine import check, expect
from grader.target.cgi import CgiTarget


@check("page/answer", points=40, source="RFC 3875 section 6.2")
def test_answer(cgi: CgiTarget) -> None:
    """The query string comes back, turned around.

    The document follows a blank line.
    """
    expect(cgi.get("abc")).status(200).header("Content-Type", "text/plain").body_has("cba")


@check("page/empty", points=30, source="kit rule", needs=["page/answer"])
def test_empty_query(cgi: CgiTarget) -> None:
    """Without a query the status is 400."""
    expect(cgi.get("")).status(400)
