"""What a program writes into the worker's pipe in the worker's place: bounded in shape, size and time."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from grader.engine.plugin import MAX_TRANSCRIPT, _newest
from grader.judging import MAX_EVENT
from grader.model import Complaint, Exchange
from grader.sandbox.child import plain
from grader.sandbox.policy import Policy, child_uid
from grader.sandbox.scratch import give_to
from grader.sandbox.spawn import Site
from grader.sandbox.worker import Hung, Raised, Worker
from grader.target.function import Module
from grader.target.wsgi import WsgiTarget, files_below
from grader.tests.grading.specimens import RUN_STUB, grade_source, verdicts
from grader.tests.sandbox.stage import stage

FORGED = """
import os
LINE = {line}
def backwards(text):
    for descriptor in range(3, 10):
        rest = LINE
        try:
            while rest:
                rest = rest[os.write(descriptor, rest):]
        except OSError:
            pass
    os._exit(0)
"""
COLLIDING = """
b'{"value":{"s":[' + b",".join(b'{"i":"%s"}' % hex(((1 << 61) - 1) * n).encode() for n in range(1, 60000)) + b"]}}\\n"
"""
FRAMES = """
b'{"raised": {"type": "X", "message": "m", "mro": ["X"], "attrs": {}, "frames": ['
+ b",".join([b'["' + b"a" * 30000 + b'", 1, "f", ""]'] * 60) + b"]}}\\n"
"""
RAISED = """b'{"raised": {"type": "X", "message": "%s", "mro": [], "attrs": {}, "frames": %s}}\\n'"""
LINES = {
    "whole numbers with one hash": f"({COLLIDING})",
    "a million empty dicts": """b'{"value":[' + b'{"d":[]},' * 200_000 + b"1]}\\n\"""",
    "fifteen megabytes": """b'{"value":[' + b'{"d":[]},' * 1_600_000 + b"1]}\\n\"""",
    "depth": """b'{"value":' + b'{"t":[' * 400 + b"]}" * 400 + b"}\\n\"""",
    "long frames": f"({FRAMES})",
    "frames of no shape": RAISED % ("m", "[1, [2]]"),
    "a long message": RAISED % ("""' + b"m" * 1_500_000 + b'""", "[]"),
}


@pytest.mark.parametrize("kind", LINES)
def test_a_forged_line_costs_the_program_its_points_and_nobody_time(tmp_path: Path, kind: str) -> None:
    started = time.monotonic()
    card = grade_source(tmp_path, RUN_STUB + FORGED.format(line=LINES[kind]))
    assert card.points == 0
    assert not card.broken, verdicts(card)
    assert time.monotonic() - started < 60  # it takes one second; only who searches all of it takes minutes


def test_keys_with_one_hash_are_refused_and_text_is_not() -> None:
    numbers = [{"i": hex(((1 << 61) - 1) * number)} for number in range(1, plain.MAX_KEYS + 2)]
    for value in ({"s": numbers}, {"d": [[number, 1] for number in numbers]}):
        with pytest.raises(ValueError, match="keys"):
            plain.decode(value)
    names = [[f"name {number}", number] for number in range(5000)]
    assert len(plain.decode({"d": names})) == 5000
    with pytest.raises(ValueError, match="levels"):
        plain.decode(json.loads("[" * 100 + "]" * 100))


WORKER = {
    "long": ("def f(): return 'x' * 3_000_000", Raised),
    "full of values": ("def f(): return [[]] * 200_000", Raised),
    "fitting": ("def f(): return 'x' * 1_000_000", None),
}


@pytest.mark.parametrize("kind", WORKER)
def test_the_largest_answer(tmp_path: Path, kind: str) -> None:
    text, ending = WORKER[kind]
    worker = Worker(stage(tmp_path, "process", main=text), "main.py", Policy())
    try:
        answer = worker.call({"call": "f"}, 10)
    finally:
        worker.close()
    if ending is None:
        assert len(answer.value) == 1_000_000  # type: ignore[union-attr]
    else:
        assert isinstance(answer, Raised)
        assert "cannot be sent" in answer.message


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot wait for a pipe")
def test_a_worker_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    text = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\ndef f(x): time.sleep(60)"
    worker = Worker(stage(tmp_path, "process", main=text), "main.py", Policy())
    started = time.monotonic()
    try:
        worker.start()
        worker._send(json.dumps({"call": "f", "args": [1]}).encode() + b"\n", time.monotonic() + 1)
        answer = worker.call({"call": "f", "args": ["x" * 1_000_000]}, 0.5)
    finally:
        worker.close()
    assert isinstance(answer, Hung)
    assert time.monotonic() - started < 50  # the program sleeps for 60


# The worker hides its modules; who walks up the interpreter's frames finds them all the same.
DIG = """
import sys
frame = sys._getframe()
while "plain" not in frame.f_locals:
    frame = frame.f_back
plain = frame.f_locals["plain"]
"""
FACTS = {
    "nothing": "{'d': []}",
    "a start that is none": (
        "{'d': [['starts', [1]], ['oddities', []], ['body', {'b': ''}], ['log', []], ['errors', '']]}"
    ),
    "headers of one part": (
        "{'d': [['starts', [{'d': [['status', '200 OK'], ['headers', [{'t': ['a']}]]]}]], "
        "['oddities', []], ['body', {'b': ''}], ['log', []], ['errors', '']]}"
    ),
    "a body of text": "{'d': [['starts', []], ['oddities', []], ['body', ''], ['log', []], ['errors', '']]}",
    "a log of numbers": "{'d': [['starts', []], ['oddities', []], ['body', {'b': ''}], ['log', [1]], ['errors', '']]}",
    "no status": (
        "{'d': [['starts', [{'d': [['headers', []]]}]], "
        "['oddities', []], ['body', {'b': ''}], ['log', []], ['errors', '']]}"
    ),
}


@pytest.mark.parametrize("facts", FACTS)
def test_facts_of_another_shape_are_a_complaint(tmp_path: Path, facts: str) -> None:
    (tmp_path / "in").mkdir()
    text = f"{DIG}plain.encode = lambda *a: {FACTS[facts]}\ndef make(): return print\n"
    (tmp_path / "in" / "main.py").write_text(text, encoding="utf-8")
    give_to(tmp_path, child_uid())
    module = Module(Site(tmp_path, tmp_path / "in", "process"), "main.py")
    try:
        with pytest.raises(Complaint, match="wrote"):
            WsgiTarget(module, tmp_path / "in", files_below(tmp_path / "in")).open("make").get("/")
    finally:
        module.close()


def test_an_event_always_fits() -> None:
    wide = Exchange("got", "\U0001f469" * 16_000)
    kept = _newest((Exchange("sent", "first"), *[wide] * 200))
    assert 0 < sum(len(exchange.text) for exchange in kept) <= MAX_TRANSCRIPT
    assert len(json.dumps([exchange.text for exchange in kept])) < MAX_EVENT / 2
    few = (Exchange("sent", "a"), Exchange("got", "b"))
    assert _newest(few) == few
