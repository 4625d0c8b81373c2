"""Finding the folder to grade, and reading it as text."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from grader.model import UsageError
from grader.source import find_import, only_stubs, untouched
from grader.submission import find_submission, look, read_main, warnings
from grader.tests.grading.specimens import GOOD, STUB, TINY, submit

COURSE = (TINY,)


def test_a_folder_of_exercises_is_found_at_once_and_below_extra_levels(tmp_path: Path) -> None:
    submit(tmp_path / "extra" / "level", GOOD)
    (tmp_path / "__MACOSX" / "tiny").mkdir(parents=True)
    direct = find_submission(tmp_path / "extra" / "level", COURSE)
    below = find_submission(tmp_path, COURSE)
    assert below.root == direct.root == (tmp_path / "extra" / "level").resolve()
    assert below.shown == f"{tmp_path.as_posix()}/extra/level"


def test_a_wrong_folder_is_answered_with_what_was_expected_and_found(tmp_path: Path) -> None:
    (tmp_path / "homework.txt").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=r"expected a folder with tiny in it, found homework\.txt"):
        find_submission(tmp_path, COURSE)
    with pytest.raises(UsageError, match="is a file"):
        find_submission(tmp_path / "homework.txt", COURSE)
    with pytest.raises(UsageError, match="does not exist"):
        find_submission(tmp_path / "nowhere", COURSE)


def test_two_submissions_in_one_folder_are_not_guessed_between(tmp_path: Path) -> None:
    submit(tmp_path / "ann", GOOD)
    submit(tmp_path / "bob", GOOD)
    with pytest.raises(UsageError, match="more than one folder"):
        find_submission(tmp_path, COURSE)


def test_a_stub_is_known_by_its_text(tmp_path: Path) -> None:
    assert untouched(ast.parse(STUB), TINY)
    assert not untouched(ast.parse(GOOD), TINY)
    assert not untouched(ast.parse(STUB.replace("def respond", "def other")), TINY)


@pytest.mark.parametrize(
    "source",
    [
        "import wsgiref",
        "import importlib\nimportlib.import_module('wsgiref.simple_server')",
        "__import__('wsgiref')",
        "import wsgiref.simple_server as s",
        "from wsgiref import x",
        "def f():\n    import wsgiref.x",
    ],
)
def test_a_forbidden_import_is_seen_wherever_it_stands(source: str) -> None:
    assert find_import(ast.parse(source), ("wsgiref",)) is not None


def test_a_forbidden_function_of_an_allowed_module_is_seen() -> None:
    forbidden = ("asyncio.start_server",)
    assert find_import(ast.parse("import asyncio as a\na.start_server()"), forbidden) == ("asyncio.start_server", 2)
    assert find_import(ast.parse("from asyncio import start_server"), forbidden) == ("asyncio.start_server", 1)
    assert find_import(ast.parse("import asyncio\nasyncio.get_running_loop().create_server()"), forbidden) is None


def test_a_module_of_a_longer_name_is_not_forbidden() -> None:
    assert find_import(ast.parse("import wsgireference\nfrom . import wsgiref"), ("wsgiref",)) is None


def test_where_to_look_prefers_what_is_not_written_yet(tmp_path: Path) -> None:
    submission = submit(tmp_path, STUB)
    step = TINY.steps[1]
    assert look(submission, TINY, step, ast.parse(STUB), "") == "specimen/tiny/cgi-bin/tiny.py:11 respond()"
    assert look(submission, TINY, step, ast.parse(STUB), "backwards") == "specimen/tiny/cgi-bin/tiny.py:5 backwards()"
    assert look(submission, TINY, step, ast.parse("x = 1"), "") == "specimen/tiny/cgi-bin/tiny.py"


@pytest.mark.parametrize(
    ("content", "expected", "line"),
    [
        pytest.param(b"x = 1\ny = '\xe9'\n", "a file in UTF-8", 2, id="another encoding"),
        pytest.param("x = 1".encode("utf-16"), "a file in UTF-8", 1, id="UTF-16"),
        pytest.param(b"x = 1\n\ny = '\x00'", "text", 3, id="NUL"),
        pytest.param(b"(" * 10000, "valid Python", 1, id="too deep"),
    ],
)
def test_a_file_that_is_no_python_is_a_finding(tmp_path: Path, content: bytes, expected: str, line: int) -> None:
    submission = submit(tmp_path, "")
    (tmp_path / "tiny" / "cgi-bin" / "tiny.py").write_bytes(content)
    problem = read_main(submission, TINY).problem
    assert problem is not None
    assert (problem.expected, problem.look) == (expected, f"specimen/tiny/cgi-bin/tiny.py:{line}")


@pytest.mark.parametrize("content", ["", "# nothing but words\n", '"""A docstring."""\n'])
def test_a_file_without_code_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    text = read_main(submit(tmp_path, content), TINY)
    assert text.missing and text.problem is not None
    assert text.problem.got == "there is no code in it"


def test_a_file_of_another_name_is_named(tmp_path: Path) -> None:
    submission = submit(tmp_path, GOOD)
    main = tmp_path / "tiny" / "cgi-bin" / "tiny.py"
    main.rename(main.with_name("tinny.py"))
    text = read_main(submission, TINY)
    assert text.missing and text.problem is not None
    assert text.problem.got == "no such file; there is cgi-bin/tinny.py"


@pytest.mark.parametrize("path", ["tiny", "tiny/cgi-bin", "tiny/cgi-bin/tiny.py"])
def test_a_path_into_an_exercise_is_put_right(tmp_path: Path, path: str) -> None:
    submit(tmp_path, GOOD)
    with pytest.raises(UsageError, match=f"python -m grader {tmp_path.as_posix()} tiny"):
        find_submission(tmp_path / path, (TINY,))


@pytest.mark.parametrize("coding", ["utf-8", "latin-1", "cp1252", "windows-1252", "l9", "ascii"])
def test_a_file_may_say_that_it_is_in_a_plain_encoding(tmp_path: Path, coding: str) -> None:
    submission = submit(tmp_path, f"# coding: {coding}\n" + GOOD)
    assert read_main(submission, TINY).tree is not None


@pytest.mark.parametrize("coding", ["punycode", "idna", "unicode_escape", "raw_unicode_escape", "utf-7", "hex", "none"])
def test_a_file_in_a_strange_encoding_is_a_finding_at_once(tmp_path: Path, coding: str) -> None:
    """Some of them take minutes for a megabyte, which every reader of the file would have to wait for."""
    text = f"# coding: {coding}\n#".encode() + b"x" * (1 << 19) + b"-" + b"a" * (1 << 18) + STUB.encode()
    submission = submit(tmp_path, "")
    (tmp_path / "tiny" / "cgi-bin" / "tiny.py").write_bytes(text)
    assert read_main(submission, TINY).problem is not None
    assert not only_stubs(text, TINY.steps[0])


def test_only_stubs_are_known_by_their_text() -> None:
    half = STUB.replace('raise NotImplementedError("step words', 'return text[::-1]  # ("step words')
    assert [only_stubs(half.encode(), step) for step in TINY.steps] == [False, True]
    assert [only_stubs(b"", step) for step in TINY.steps] == [False, False]


@pytest.mark.filterwarnings("error")
def test_a_strange_comparison_is_parsed_in_silence(tmp_path: Path) -> None:
    assert read_main(submit(tmp_path, "x = 1 is 1\ny = '\\d'\n"), TINY).tree is not None


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege")
@pytest.mark.parametrize("linked", ["tiny", "tiny/cgi-bin", "tiny/cgi-bin/tiny.py"])
@pytest.mark.parametrize("outside", [True, False], ids=["to another's", "to one's own"])
def test_nothing_behind_a_link_is_read(tmp_path: Path, linked: str, outside: bool) -> None:
    submission = submit(tmp_path / "mine", GOOD)
    place = tmp_path / "mine" / linked
    moved = (tmp_path / "other") if outside else place.with_name("moved")
    place.rename(moved)
    place.symlink_to(moved)
    text = read_main(submission, TINY)
    assert text.tree is None
    assert text.problem is not None and text.problem.got == "a symbolic link"


def test_a_name_that_shadows_pythons_own_is_warned_of(tmp_path: Path) -> None:
    submission = submit(tmp_path, GOOD)
    (tmp_path / "tiny" / "cgi-bin" / "json.py").write_text("", encoding="utf-8")
    assert "specimen/tiny/cgi-bin/json.py has the name" in warnings(submission, TINY, ast.parse(GOOD))[0]
