"""Known ways to forge a Python grader. Each is tried by a program that is otherwise an untouched stub.

None may earn a point, hang the run, or move what a correct neighbour scores.
"""

from __future__ import annotations

import os
import py_compile
import sys
from pathlib import Path

import pytest

from grader.grade import KIT
from grader.sandbox.isolation import landlock_holds
from grader.tests.grading.specimens import GOOD, RUN_STUB, grade_source, grade_submission, submit, verdicts

WRITE_EVERYWHERE = """
import os
for descriptor in range(64):
    try:
        os.write(descriptor, {line!r})
    except OSError:
        pass
"""

TRICKS = {
    "os._exit at import": "import os; os._exit(0)",
    "os._exit in a call": "import os\nclass Quit(str):\n    pass\ndef backwards(text): os._exit(0)",
    "SystemExit at import": "import sys; sys.exit(0)",
    "exit code rewritten at exit": "import atexit, os; atexit.register(os._exit, 0)",
    "skip": "import unittest\ndef backwards(text): raise unittest.SkipTest('fine')",
    "pytest.skip": "import pytest\ndef backwards(text): pytest.skip('fine')",
    "pytest.exit": "import pytest\ndef backwards(text): pytest.exit('fine', returncode=0)",
    "hypothesis.reject": "import hypothesis\ndef backwards(text): hypothesis.reject()",
    "an object that equals everything": (
        "class Any:\n    def __eq__(self, other): return True\n    __hash__ = None\ndef backwards(text): return Any()"
    ),
    "a str that equals everything": (
        "class Any(str):\n    def __eq__(self, other): return True\n    __hash__ = None\n"
        "def backwards(text): return Any('x')"
    ),
    "an error that calls itself another": (
        "class Odd(Exception):\n    def __str__(self): raise SystemExit(0)\ndef backwards(text): raise Odd()"
    ),
    "patched json and builtins": (
        "import builtins, json\njson.dumps = lambda *a, **k: '{\"value\": true}'\nbuiltins.len = lambda x: 0\n"
        "def backwards(text): return 'x'"
    ),
    "a verdict into every descriptor": WRITE_EVERYWHERE.format(line=b'{"passed": true, "outcome": "passed"}\n'),
    "an event into every descriptor": WRITE_EVERYWHERE.format(
        line=b'{"outcome": {"check": "words/abc", "verdict": "passed", "finding": null, "transcript": [], '
        b'"examples": 1, "seconds": 0}}\n'
    ),
    "expected values from the frames": (
        "import sys, gc\ndef backwards(text):\n    for item in gc.get_objects():\n"
        "        if isinstance(item, dict) and 'expected' in item: return item['expected']\n    return ''"
    ),
    "the reference, imported": "from grader.tests.grading.specimens import GOOD\nexec(GOOD)",
    "the parent's command line": (
        "import os\nprint(open(f'/proc/{os.getppid()}/cmdline').read(), open(f'/proc/{os.getppid()}/environ').read())"
    ),
    "the parent killed": "import os, signal\nos.kill(os.getppid(), signal.SIGTERM)",
    "the parent's group killed": "import os, signal\nos.killpg(os.getpgid(os.getppid()), signal.SIGTERM)",
    "a printed score": "print('score 100 of 100')\nprint('4 passed')",
    "a repainted terminal": "import sys\nsys.stderr.write('\\x1b[2J\\x1b[1;1Hscore 100 of 100\\r\\n::set-output x')",
    "a background process that holds the pipes": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n"
        "    if os.fork() == 0:\n        time.sleep(60)\n    os._exit(0)"
    ),
    "an import hook and a thread": (
        "import sys, threading, time\nsys.settrace(lambda *a: None)\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nsys.modules['grader'] = sys"
    ),
    "a function as a value": "def backwards(text): return [backwards]",
    "a value nested without end": "x = []\nx.append(x)\ndef backwards(text): return x",
    "memory without end": "x = 'x' * (1 << 40)",
}

POSIX_ONLY = ("killed", "fork", "parent", "background")


@pytest.mark.parametrize("isolation", ["auto", "process"])
@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_earns_nothing(tmp_path: Path, trick: str, isolation: str) -> None:
    if sys.platform == "win32" and any(word in trick for word in POSIX_ONLY):
        pytest.skip("the trick needs POSIX")
    body = TRICKS[trick]
    overriding = "def backwards" in body or "def respond" in body
    source = RUN_STUB + "\n" + body if overriding else body + "\n" + RUN_STUB
    card = grade_source(tmp_path, source, isolation=isolation)
    assert card.points == 0, verdicts(card)
    assert not card.broken
    assert len(verdicts(card)) == 4


FILES = {
    "conftest.py": "import pytest\n@pytest.hookimpl(wrapper=True)\ndef pytest_runtest_makereport():\n"
    "    report = yield\n    report.outcome = 'passed'\n    return report",
    "pytest.ini": "[pytest]\naddopts = --co",
    "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '--co'",
    "sitecustomize.py": "import os; os._exit(0)",
    "usercustomize.py": "import os; os._exit(0)",
    "json.py": 'def dumps(*a): return \'{"value": "cba"}\'\ndef loads(*a): return {}',
    "pytest.py": "raise SystemExit(0)",
    "grader/__init__.py": "raise SystemExit(0)",
    "plain.py": "def encode(value): return 'cba'\ndef decode(value): return value",
    "x.pth": "import os; os._exit(0)",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("source", "points"), [(RUN_STUB, 0), (GOOD, 100)], ids=["stub", "good"])
def test_files_beside_the_program_change_nothing(tmp_path: Path, name: str, source: str, points: int) -> None:
    submission = submit(tmp_path, source)
    for folder in (tmp_path, tmp_path / "tiny", tmp_path / "tiny" / "cgi-bin"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(FILES[name], encoding="utf-8")
    assert grade_submission(submission).points == points


def test_planted_bytecode_never_runs(tmp_path: Path) -> None:
    source = GOOD.replace("import os", "import os, helper").replace("text[::-1]", "helper.turn(text)")
    submission = submit(tmp_path, source)
    helper = tmp_path / "tiny" / "cgi-bin" / "helper.py"
    helper.write_text("def turn(text): return text[::-1]", encoding="utf-8")
    py_compile.compile(str(helper), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    helper.write_text("def turn(text): return 'wrong'", encoding="utf-8")
    assert grade_submission(submission).points < 100


@pytest.mark.skipif(not hasattr(os, "symlink") or sys.platform == "win32", reason="symbolic links need a privilege")
def test_a_linked_program_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text(GOOD, encoding="utf-8")
    submission = submit(tmp_path / "in", GOOD)
    main = tmp_path / "in" / "tiny" / "cgi-bin" / "tiny.py"
    main.unlink()
    main.symlink_to(outside)
    card = grade_submission(submission)
    assert card.points == 0
    assert "symbolic link" in card.cards[0].note


@pytest.mark.skipif(not landlock_holds(), reason="this machine has no Landlock")
def test_a_confined_program_reads_nothing_of_the_kit(tmp_path: Path) -> None:
    checks = (KIT / "README.md").as_posix()
    card = grade_source(tmp_path, GOOD.replace("return text[::-1]", f"return open({checks!r}).read() and text[::-1]"))
    finding = next(outcome.finding for outcome in card.outcomes if outcome.check.id == "words/abc")
    assert finding is not None
    assert "PermissionError" in finding.got


@pytest.mark.skipif(not landlock_holds(), reason="this machine has no Landlock")
def test_a_confined_program_reaches_no_port(tmp_path: Path) -> None:
    code = "import socket\nsocket.create_connection(('127.0.0.1', 80), 1)\n"
    card = grade_source(tmp_path, code + GOOD)
    assert card.points == 0
    assert any("PermissionError" in (outcome.finding.got if outcome.finding else "") for outcome in card.outcomes)
