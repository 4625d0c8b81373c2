"""A CGI program behind the gateway: how its answer is read, and what becomes of programs that give none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from grader.model import Complaint, Verdict
from grader.sandbox.policy import Policy
from grader.target.cgi import OMIT, CgiRequest, CgiTarget
from grader.tests.sandbox.stage import stage

OK = "print('Content-Type: text/plain\\n\\nok', end='')"
ECHO = """
import os, sys
length = int(os.environ.get("CONTENT_LENGTH") or 0)
body = sys.stdin.buffer.read(length)
hidden = ("PATH", "HOME", "TMPDIR", "TEMP", "TMP", "LC_CTYPE", "SYSTEMROOT", "LANG", "TZ")
print("Content-Type: text/plain\\n")
for name in sorted(os.environ):
    if name not in hidden:
        print(f"{name}={os.environ[name]}")
print(repr(body))
"""


def target(folder: Path, isolation: str, source: str, policy: Policy | None = None) -> CgiTarget:
    return CgiTarget(stage(folder, isolation, main=source), "main.py", policy)


def complaint(cgi: CgiTarget, **options: object) -> Complaint:
    with pytest.raises(Complaint) as caught:
        cgi.run(CgiRequest(**options))  # type: ignore[arg-type]
    return caught.value


def test_the_variables_are_those_of_the_standard(tmp_path: Path, isolation: str) -> None:
    cgi = target(tmp_path, isolation, ECHO)
    lines = cgi.get("a=1&b", HTTP_ACCEPT="text/html", REMOTE_ADDR=None).text.splitlines()
    assert lines == [
        "GATEWAY_INTERFACE=CGI/1.1",
        "HTTP_ACCEPT=text/html",
        "QUERY_STRING=a=1&b",
        "REQUEST_METHOD=GET",
        "SCRIPT_NAME=/main.py",
        "SERVER_NAME=localhost",
        "SERVER_PORT=80",
        "SERVER_PROTOCOL=HTTP/1.1",
        "SERVER_SOFTWARE=grader",
        "b''",
    ]


def test_a_body_comes_with_its_length_and_type(tmp_path: Path, isolation: str) -> None:
    cgi = target(tmp_path, isolation, ECHO)
    posted = cgi.post(b"a=1\0\xff").text.splitlines()
    assert "CONTENT_LENGTH=5" in posted
    assert "CONTENT_TYPE=application/x-www-form-urlencoded" in posted
    assert posted[-1] == r"b'a=1\x00\xff'"
    bare = cgi.post(b"a=1", content_length=OMIT, content_type=OMIT).text
    assert "CONTENT" not in bare
    assert bare.endswith("b''\n")


def test_input_may_stay_open_behind_the_body(tmp_path: Path, isolation: str) -> None:
    cgi = target(tmp_path, isolation, ECHO)
    assert cgi.post(b"a=1", hold_stdin=True).text.endswith("b'a=1'\n")
    greedy = target(tmp_path / "greedy", isolation, "import sys\nsys.stdin.read()\n" + OK, Policy(wall=0.7))
    assert greedy.post(b"a=1").text == "ok"
    error = complaint(greedy, body=b"a=1", hold_stdin=True)
    assert (error.verdict, error.finding.got) == (Verdict.TIMEOUT, "no answer within 0.7 s")
    assert "(input left open)" in error.finding.sent


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say what lies in a pipe")
def test_a_body_may_come_in_two_parts(tmp_path: Path, isolation: str) -> None:
    request = CgiRequest("POST", body=b"a=1&b=2", content_length="7", first_part=3)
    assert target(tmp_path, isolation, ECHO).run(request).text.endswith("b'a=1&b=2'\n")
    once = "import os\nprint('Content-Type: text/plain\\n\\n', os.read(0, 7))"
    assert target(tmp_path / "once", isolation, once).run(request).text.strip() == "b'a=1'"


def test_a_body_that_nobody_reads_is_no_problem(tmp_path: Path, isolation: str) -> None:
    assert target(tmp_path, isolation, OK).post(bytes(1 << 20)).text == "ok"


@pytest.mark.parametrize(
    ("output", "status", "reason", "body"),
    [
        pytest.param(r"Content-Type: a/b\n\nbody", 200, "", "body", id="line feeds"),
        pytest.param(r"Content-Type: a/b\r\n\r\nbody\r\n\r\n", 200, "", "body\r\n\r\n", id="crlf"),
        pytest.param(r"Content-Type: a/b\r\nX: y\n\r\nbody", 200, "", "body", id="mixed"),
        pytest.param(r"Status: 404 Not There\nContent-Type: a/b\n\n", 404, "Not There", "", id="status"),
        pytest.param(r"Status: 204\n\n", 204, "", "", id="status alone"),
        pytest.param(r"Location: /elsewhere\n\n", 200, "", "", id="location alone"),
    ],
)
def test_answers_of_every_legal_shape(
    tmp_path: Path, isolation: str, output: str, status: int, reason: str, body: str
) -> None:
    source = f"import sys\nsys.stdout.buffer.write(b'{output}')"
    reply = target(tmp_path, isolation, source).get()
    assert (reply.status, reply.reason, reply.text) == (status, reason, body)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        pytest.param("", "a blank line", id="nothing"),
        pytest.param("<html>", "a blank line", id="no head"),
        pytest.param(r"Hello\n\n", "a header field `Name: value`", id="no colon"),
        pytest.param(r"Con tent: x\n\n", "a header field `Name: value`", id="space in a name"),
        pytest.param(r"X: y\n\n", "a Content-Type, Location or Status field", id="no type"),
        pytest.param(r"Status: OK\nContent-Type: a/b\n\n", "three digits", id="no number"),
    ],
)
def test_what_is_no_answer_is_told_by_the_rule(tmp_path: Path, isolation: str, output: str, expected: str) -> None:
    error = complaint(target(tmp_path, isolation, f"import sys\nsys.stdout.buffer.write(b'{output}')"))
    assert error.verdict is Verdict.FAILED
    assert expected in error.finding.expected
    assert "RFC 3875" in error.finding.expected
    assert error.finding.sent == "GET /main.py"


def test_a_program_that_dies_is_a_crash_with_its_last_words(tmp_path: Path, isolation: str) -> None:
    error = complaint(target(tmp_path, isolation, OK + "\nraise ValueError('oh')"))
    assert error.verdict is Verdict.CRASHED
    assert error.finding.got.startswith("exit status 1 after")
    assert "ValueError: oh" in error.finding.output


def test_a_stub_is_not_started(tmp_path: Path, isolation: str) -> None:
    stub = "raise NotImplementedError('step page: page() is yours to write')"
    error = complaint(target(tmp_path, isolation, stub))
    assert (error.verdict, error.finding.expected) == (Verdict.NOT_STARTED, "page() is yours to write")


def test_an_endless_answer_is_cut_and_named(tmp_path: Path, isolation: str) -> None:
    source = "import os\nfor _ in range(2000): os.write(1, b'x' * 10000)"
    error = complaint(target(tmp_path, isolation, source, Policy(output=100_000 << 4)))
    assert "at most 1 MiB of output" in error.finding.expected


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("subreaper")
def test_a_grandchild_that_holds_the_output_is_not_waited_for(tmp_path: Path, isolation: str) -> None:
    source = OK + "\nimport os, sys, time\nsys.stdout.flush()\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)"
    assert target(tmp_path, isolation, source, Policy(wall=300)).get().text == "ok"


def test_several_requests_keep_their_order(tmp_path: Path, isolation: str) -> None:
    cgi = target(tmp_path, isolation, ECHO)
    replies = cgi.run_all([CgiRequest(query=f"n={number}") for number in range(5)])
    assert [f"QUERY_STRING=n={number}" in reply.text for number, reply in enumerate(replies)] == [True] * 5
