"""Programs that answer everything in one way, and ones that let others do the work, earn next to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.course import Selection, load_course
from grader.grade import grade
from grader.model import Exercise, Scorecard, Settings
from grader.submission import Submission
from grader.tests.grading.specimens import submit

EXERCISE: Exercise = next(exercise for exercise in load_course() if exercise.id == "socket_server")

CONSTANT = """
import socket, sys

arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
listener = socket.create_server((arguments["--host"], int(arguments["--port"])))
print(f"http://127.0.0.1:{arguments['--port']}/", flush=True)
while True:
    sock, _ = listener.accept()
    with sock:
        %s
"""
SEND = 'sock.recv(65536); sock.sendall(b"HTTP/1.1 %s\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nhi")'

CONSTANTS = {
    "always 200": SEND % "200 OK",
    "always 400": SEND % "400 Bad Request",
    "always 404": SEND % "404 Not Found",
    "always 405 and 500 in words": SEND % "405 500",
    "closes at once": "pass",
    "says nothing": "sock.recv(65536); sock.recv(65536)",
    "answers no HTTP": 'sock.recv(65536); sock.sendall(b"<h1>hello</h1>")',
}


def graded(submission: Submission) -> Scorecard:
    return grade(submission, (Selection(EXERCISE, EXERCISE.checks),), Settings(effort="quick", jobs=1))


@pytest.mark.parametrize("answer", CONSTANTS.values(), ids=list(CONSTANTS))
def test_a_constant_server_earns_less_than_a_quarter(tmp_path: Path, answer: str) -> None:
    card = graded(submit(tmp_path, CONSTANT % answer, EXERCISE))
    assert card.points < 25
    assert card.max_points == 100


@pytest.mark.parametrize(
    "line",
    [
        "import http.server",
        "from http.server import ThreadingHTTPServer",
        "import socketserver",
        "from wsgiref.simple_server import make_server",
        "import asyncio\nstart = asyncio.start_server",
        "from asyncio import start_server",
        "__import__('http.server')",
    ],
)
def test_a_server_that_others_wrote_earns_nothing(tmp_path: Path, line: str) -> None:
    solution = Path(__file__).resolve().parents[3] / "solutions" / EXERCISE.id / EXERCISE.main
    text = solution.read_text(encoding="utf-8")
    card = graded(submit(tmp_path, text.replace("import argparse\n", f"import argparse\n{line}\n", 1), EXERCISE))
    assert card.points == 0
