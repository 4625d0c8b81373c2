"""Whatever an application returns or says, what comes of it is a finding about the application."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grader.model import Complaint, Verdict
from grader.sandbox.policy import child_uid
from grader.sandbox.scratch import give_to
from grader.sandbox.spawn import Site
from grader.target.function import Module
from grader.target.wsgi import WsgiTarget, files_below

HTML = '[("Content-Type", "text/html")]'
START = f"start_response('200 OK', {HTML}); "
# What an application does, and what is told of it: an oddity, or what a Complaint says instead of an answer.
ODD = {
    "a number as status": (f"start_response(200, {HTML}); return [b'']", "the status is an int"),
    "bytes as status": (f"start_response(b'200 OK', {HTML}); return [b'']", "the status is a bytes"),
    "no status": (f"start_response(None, {HTML}); return [b'']", "the status is None"),
    "a status without words": (f"start_response('200', {HTML}); return [b'']", "not three digits, a space"),
    "half a surrogate as status": (f"start_response('200 \\udc80', {HTML}); return [b'']", ""),
    "no headers": ("start_response('200 OK', None); return [b'']", "the headers are None"),
    "a number of headers": ("start_response('200 OK', 5); return [b'']", "the headers are an int"),
    "a dict of headers": ("start_response('200 OK', {'X': '1'}); return [b'']", "the headers are a dict"),
    "lists as headers": ("start_response('200 OK', [['X', '1']]); return [b'']", "a header is ['X', '1']"),
    "a tuple of three": ("start_response('200 OK', [('X', '1', '2')]); return [b'']", "a header is ('X', '1', '2')"),
    "text as headers": ("start_response('200 OK', 'X: 1'); return [b'']", "the headers are a str"),
    "a number as value": ("start_response('200 OK', [('X', 5)]); return [b'']", "a header is ('X', 5)"),
    "a tuple as value": ("start_response('200 OK', [('X', ('a', 'b'))]); return [b'']", "a header is ('X', ('a'"),
    "no value": ("start_response('200 OK', [('X', None)]); return [b'']", "a header is ('X', None)"),
    "no name": ("start_response('200 OK', [(None, '1')]); return [b'']", "a header is (None, '1')"),
    "bytes as header": ("start_response('200 OK', [(b'X', b'1')]); return [b'']", "a header is (b'X', b'1')"),
    "half a surrogate as header": ("start_response('200 OK', [('X', '\\udc80')]); return [b'']", ""),
    "a number beyond repr": ("start_response('200 OK', [('X', 10 ** 5000)]); return [b'']", "it raised ValueError"),
    "no body": (f"{START}return None", "the body is None"),
    "a number as body": (f"{START}return 5", "the body is an int"),
    "a class as body": (f"{START}return list", "it raised TypeError"),
    "text as body": (f"{START}return 'text'", "the body is a str"),
    "bytes as body": (f"{START}return b'text'", "the body is a bytes"),
    "pieces of text": (f"{START}return ['text']", "a piece of the body is a str"),
    "pieces of half a surrogate": (f"{START}return ['\\udc80']", "a piece of the body is a str"),
    "pieces of numbers": (f"{START}return [5, None]", "a piece of the body is an int"),
    "a bytearray": (f"{START}return [bytearray(b'a')]", "a piece of the body is a bytearray"),
    "a dict as body": (f"{START}return {{'a': 1}}", "a piece of the body is a str"),
    "close that is no function": (f"{START}return Closing()", "it raised TypeError"),
    "an error after the first piece": (f"{START}yield b'a'; 1 / 0", "ZeroDivisionError"),
    "an exit": ("raise SystemExit(3)", "it raised SystemExit"),
    "never started": ("return [b'']", "none was made"),
    "never started, nothing returned": ("return None", "none was made"),
    "started late": (f"yield b'a'; start_response('200 OK', {HTML})", "before start_response was called"),
    "started twice": (f"{START}{START}return []", "a second time"),
    "True as exc_info": (f"start_response('200 OK', {HTML}, True); return [b'a']", "exc_info is True"),
    "no exception in exc_info": (
        f"{START}yield b'a'; start_response('500 No', [], sys.exc_info())",
        "exc_info without an exception",
    ),
    "an exception as exc_info": (f"start_response('200 OK', {HTML}, ValueError()); return []", "exc_info is Value"),
    "started a thousand times": (f"[start_response('200 OK', {HTML}) for _ in range(9999)]; return []", "a second"),
    "three megabytes of header": ("start_response('200 OK', [('X', 'x' * 3_000_000)]); return []", "longer than"),
    "no arguments": ("start_response(); return []", "it raised TypeError"),
    "text to write()": (f"start_response('200 OK', {HTML})('text'); return []", "a piece of the body is a str"),
}  # fmt: skip


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WsgiTarget]:
    folder = tmp_path_factory.mktemp("odd")
    submission = folder / "submission"
    submission.mkdir()
    functions = "".join(
        f"def app_{place}(environ, start_response):\n    {body}\n" for place, (body, _) in enumerate(ODD.values())
    )
    closing = "import sys\nclass Closing(list):\n    close = 5\n"
    (submission / "main.py").write_text(closing + functions, encoding="utf-8")
    give_to(folder, child_uid())
    module = Module(Site(folder, submission, "process"), "main.py")
    yield WsgiTarget(module, submission, files_below(submission))
    module.close()


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_answer_is_a_finding(target: WsgiTarget, kind: str) -> None:
    place = list(ODD).index(kind)
    try:
        told = " | ".join(target.open_by_name(f"app_{place}", {}).get("/").oddities)
    except Complaint as complaint:
        assert complaint.verdict in (Verdict.FAILED, Verdict.CRASHED)
        told = f"{complaint.finding.got} {complaint.finding.output}"
    assert ODD[kind][1] in told
