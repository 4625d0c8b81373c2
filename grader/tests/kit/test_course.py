"""exercise.toml and decorators become values, and mistakes in them are named with file and line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from grader.course import load_course, load_exercise, select
from grader.model import Exercise, KitError, UsageError

TINY = Path(__file__).parents[1] / "course" / "tiny"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "tiny"))


def change(path: Path, find: str, put: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert find in text
    path.write_text(text.replace(find, put), encoding="utf-8")


@pytest.mark.parametrize("exercise", load_course(), ids=lambda exercise: exercise.id)
def test_what_every_function_is_for_is_shown_on_the_wire_too(exercise: Exercise) -> None:
    wire = {check.id for check in exercise.checks if not check.calls_functions}
    for step in exercise.steps:
        own = {check.id for check in step.checks} & wire
        assert set(step.shown_by or own) <= wire
        assert step.shown_by or own, step.id


def test_an_exercise_is_read_without_importing_its_checks(folder: Path) -> None:
    (folder / "test_words.py").write_text(
        "raise SystemExit\n" + (folder / "test_words.py").read_text(encoding="utf-8"), encoding="utf-8"
    )
    exercise = load_exercise(folder)
    assert [(check.id, check.points) for check in exercise.checks] == [
        ("words/abc", 10),
        ("words/fuzz", 20),
        ("page/answer", 40),
        ("page/empty", 30),
    ]
    assert exercise.points == 100
    assert exercise.checks[2].rule == "The document follows a blank line."
    assert exercise.checks[1].needs == ("words/abc",)
    assert exercise.checks[0].fixtures == ("module",)


@pytest.mark.parametrize(
    ("file", "find", "put", "message"),
    [
        ("test_words.py", '"words/abc", points=10', '"words/abc", points=0', "points must be a whole number"),
        ("test_words.py", '"words/abc", points=10', '"other/abc", points=10', 'must read "words/<name>"'),
        ("test_words.py", '"words/abc", points=10', "NAME, points=10", "literal id"),
        ("test_words.py", '@check("words/abc", points=10, source="kit rule")', "", "no @check decorator"),
        ("test_words.py", '    """backwards("abc") is "cba"."""\n', "", "no docstring"),
        ("test_words.py", '"words/abc"]', '"words/abd"]', 'Did you mean "words/abc"?'),
        ("test_words.py", '"words/fuzz"', '"words/abc"', "defined twice"),
        ("exercise.toml", 'title = "Say it backwards"', "title = 3", '"title" must be a str'),
        ("exercise.toml", 'title = "Say it backwards"', "title =", "exercise.toml"),
        ("exercise.toml", 'id = "words"', 'id = "sentences"', 'step "sentences" has no checks: there is no test_sent'),
        ("exercise.toml", 'functions = ["respond"]', 'look = "one"', "\"look\" must be a list of texts, found 'one'"),
        ("test_words.py", 'needs=["words/abc"]', 'needs=("words/abc")', '"needs" must be a list of texts'),
        ("test_words.py", "def test_abc(", "def test_abc((", "test_words.py:10: "),
    ],
)
def test_a_mistake_in_the_course_is_named(folder: Path, file: str, find: str, put: str, message: str) -> None:
    change(folder / file, find, put)
    with pytest.raises(KitError) as raised:
        load_exercise(folder)
    assert message in str(raised.value)
    assert str(folder) in str(raised.value)


def test_names_select_exercises_steps_and_checks() -> None:
    course = (load_exercise(TINY),)
    assert [check.id for check in select(course, ["tiny/page"])[0].checks] == ["page/answer", "page/empty"]
    assert [check.id for check in select(course, ["tiny/words/abc"])[0].checks] == ["words/abc"]
    assert len(select(course, [])[0].checks) == len(select(course, ["tiny/"])[0].checks) == 4


def test_a_name_of_nothing_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r'Did you mean "tiny/words"\?'):
        select((load_exercise(TINY),), ["tiny/word"])


@pytest.mark.parametrize("exercise", load_course(), ids=lambda exercise: exercise.id)
def test_the_real_exercises_are_worth_100_points_each(exercise) -> None:  # type: ignore[no-untyped-def]
    assert exercise.points == 100
    for step in exercise.steps:
        assert step.checks, step.id
        assert len(step.hints) >= 2, step.id
        assert {check.source for check in step.checks} - {""}, step.id


@pytest.mark.parametrize("exercise", load_course(), ids=lambda exercise: exercise.id)
def test_no_check_on_the_wire_waits_for_a_function_check(exercise) -> None:  # type: ignore[no-untyped-def]
    functions = {check.id for check in exercise.checks if check.calls_functions}
    for check in exercise.checks:
        if check.id not in functions:
            assert not functions & set(check.needs), check.id
