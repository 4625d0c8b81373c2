"""Functions of a submission, called in a child: what it does to its own process costs no more than the call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.model import Complaint, Verdict
from grader.sandbox import worker as worker_module
from grader.sandbox.child.plain import Record
from grader.sandbox.worker import Raised, Returned
from grader.target import function as function_module
from grader.target.function import Module
from grader.target.transcript import TRANSCRIPT
from grader.tests.sandbox.stage import stage

SOURCE = """
import os, sys, time

class Stop(Exception):
    def __init__(self, status):
        super().__init__(f"status {status}")
        self.status = status
        self.handle = sys.stdout

class Teapot(Stop):
    pass

class Shop:
    @staticmethod
    def open(hour=9):
        return hour

def double(text): return text * 2
def fail(): raise Teapot(418)
def leave(): sys.exit(3)
def vanish(): os._exit(3)
def hang(): time.sleep(60)
def ask(): return input("name? ")
def shout(): print("on stdout"); print("on stderr", file=sys.stderr); os.write(1, b"raw\\n"); return 1
def flood(): os.write(2, b"x" * 300_000); return 1
def babble():
    for number in range(3, 30):
        try: os.write(number, b"garbage\\n")
        except OSError: pass
def recurse(): return recurse()
def knot():
    rope = []
    rope.append(rope)
    return rope
def tangle():
    error = Stop(500)
    error.rope = knot()
    raise error
def thing(): return Shop()
def number(): return 5
constant = 5
def todo(): raise NotImplementedError("step words: todo() is yours to write")
def unhelpful(): raise BadText()
class BadText(Exception):
    def __str__(self): raise ValueError
"""


@pytest.fixture
def module(tmp_path: Path, isolation: str) -> Iterator[Module]:
    module = Module(stage(tmp_path, isolation, main=SOURCE), "main.py")
    yield module
    module.close()


def complaint(module: Module, name: str) -> Complaint:
    with pytest.raises(Complaint) as caught:
        module.call(name)
    return caught.value


def test_values_and_errors_come_back(module: Module) -> None:
    assert module.call("double", b"ab") == Returned(b"abab")
    assert module.call("double", text=(1, "x")) == Returned((1, "x", 1, "x"))
    assert module.call("Shop.open", hour=10) == Returned(10)
    raised = module.call("fail")
    assert isinstance(raised, Raised)
    assert (raised.type, raised.message, raised.attrs) == ("Teapot", "status 418", {"status": 418})
    assert raised.mro[:3] == ("Teapot", "Stop", "Exception")
    assert raised.frames == ("main.py:19 in fail",)


def test_an_attribute_without_end_is_left_out(module: Module) -> None:
    raised = module.call("tangle")
    assert isinstance(raised, Raised)
    assert (raised.type, raised.attrs) == ("Stop", {"status": 500})


def test_the_process_lives_from_call_to_call(module: Module) -> None:
    module.call("number")
    pid = module.pid
    module.call("fail")
    assert isinstance(module.call("leave"), Raised)
    assert module.pid == pid is not None


def test_a_process_that_vanishes_is_a_crash_and_the_next_call_works(module: Module) -> None:
    error = complaint(module, "vanish")
    assert (error.verdict, error.finding.got) == (Verdict.CRASHED, "exit status 3")
    assert error.finding.sent == "vanish()"
    assert module.call("number") == Returned(5)


def test_a_hang_is_a_timeout_and_the_second_is_found_sooner(module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_module, "CALL_SECONDS", 0.6)
    monkeypatch.setattr(function_module, "SECONDS_AFTER_A_HANG", 0.1)
    module.call("number")
    for expected in ("0.6", "0.1"):
        error = complaint(module, "hang")
        assert (error.verdict, error.finding.got) == (Verdict.TIMEOUT, f"no answer within {expected} s")
        assert module.call("number") == Returned(5)


def test_an_answer_that_nobody_waits_for_is_not_that_of_the_next_call(
    module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    def time_is_up(lines: object, deadline: float) -> bytes:
        raise pytest.fail.Exception("Timeout (>60.0s) from pytest-timeout.")

    module.call("number")
    reading = type(module._worker._lines)
    with monkeypatch.context() as patched:
        patched.setattr(reading, "next", time_is_up)
        with pytest.raises(pytest.fail.Exception):
            module.call("double", "the answer that comes too late")
    assert module.call("number") == Returned(5)


def test_input_fails_at_once(module: Module) -> None:
    raised = module.call("ask")
    assert isinstance(raised, Raised)
    assert raised.type == "EOFError"


def test_what_is_printed_does_not_disturb_the_answer(module: Module) -> None:
    assert module.call("shout") == Returned(1)
    assert module.call("flood") == Returned(1)
    assert module.call("number") == Returned(5)
    module.close()


def test_what_is_printed_is_kept_within_bounds(module: Module) -> None:
    module.call("shout")
    complaint(module, "vanish")
    module.call("flood")
    error = complaint(module, "vanish")
    assert "truncated" in error.finding.output
    assert len(error.finding.output) < 5000


def test_who_writes_into_the_pipe_of_the_answers_has_given_none(module: Module) -> None:
    error = complaint(module, "babble")
    assert error.verdict is Verdict.CRASHED
    assert "only the answers to the grader" in error.finding.got
    assert module.call("number") == Returned(5)


def test_endless_recursion_and_knots_are_answers(module: Module) -> None:
    recursed, knotted = module.call("recurse"), module.call("knot")
    assert isinstance(recursed, Raised) and isinstance(knotted, Raised)
    assert recursed.type == "RecursionError"
    assert (knotted.type, knotted.message) == ("Unfit", "the value cannot be sent: nested deeper than 60 levels")


def test_other_answers(module: Module) -> None:
    assert module.call("thing") == Returned(Record("Shop", {}))
    assert complaint(module, "constant").finding.got == "no function named constant"
    assert complaint(module, "Shop.close").finding.expected == "a function named Shop.close"
    unhelpful = module.call("unhelpful")
    assert isinstance(unhelpful, Raised)
    assert unhelpful.message == "<its __str__ raised ValueError>"


def test_an_unwritten_function_is_not_started(module: Module) -> None:
    error = complaint(module, "todo")
    assert (error.verdict, error.finding.expected) == (Verdict.NOT_STARTED, "todo() is yours to write")


def test_every_call_is_in_the_transcript(module: Module) -> None:
    TRANSCRIPT.clear()
    module.call("double", "a")
    module.call("fail")
    assert [(exchange.way, exchange.text) for exchange in TRANSCRIPT.exchanges] == [
        ("sent", "double('a')"),
        ("got", "'aa'"),
        ("sent", "fail()"),
        ("got", "raised Teapot: status 418"),
    ]


@pytest.mark.parametrize(
    ("source", "kind", "frames"),
    [
        pytest.param("import sys\nsys.exit(2)", "SystemExit", ("main.py:2 in <module>",), id="exit"),
        pytest.param("x = 1 / 0", "ZeroDivisionError", ("main.py:1 in <module>",), id="error"),
        pytest.param("def broken(:\n    pass", "SyntaxError", ("main.py:1: def broken(:",), id="syntax"),
    ],
)
def test_an_import_that_fails_is_told_with_its_line(
    tmp_path: Path, isolation: str, source: str, kind: str, frames: tuple[str, ...]
) -> None:
    module = Module(stage(tmp_path, isolation, main=source), "main.py")
    error = complaint(module, "anything")
    module.close()
    assert (error.verdict, error.finding.frames, error.finding.unloaded) == (Verdict.CRASHED, frames, True)
    assert error.finding.got.startswith(kind)


def test_what_a_file_prints_before_it_hangs_is_shown(
    tmp_path: Path, isolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "IMPORT_SECONDS", 1.0)
    source = "print('starting', flush=True)\nwhile True: pass"
    module = Module(stage(tmp_path, isolation, main=source), "main.py")
    error = complaint(module, "anything")
    module.close()
    assert error.finding.output.strip() == "starting"


@pytest.mark.parametrize(
    ("source", "verdict", "got"),
    [
        pytest.param("import os\nos._exit(0)", Verdict.CRASHED, "exit status 0, while", id="vanishes"),
        pytest.param("while True: pass", Verdict.TIMEOUT, "after 0.5 s it was still being loaded", id="loops"),
        pytest.param("import os\nos.kill(os.getpid(), 9)", Verdict.CRASHED, "ended by signal 9 (SIGKILL)", id="killed"),
    ],
)
def test_an_import_that_does_not_end_well_is_no_answer(
    tmp_path: Path, isolation: str, monkeypatch: pytest.MonkeyPatch, source: str, verdict: Verdict, got: str
) -> None:
    monkeypatch.setattr(worker_module, "IMPORT_SECONDS", 0.5)
    module = Module(stage(tmp_path, isolation, main=source), "main.py")
    error = complaint(module, "anything")
    module.close()
    assert (error.verdict, error.finding.unloaded) == (verdict, True)
    assert error.finding.got.startswith(got)
