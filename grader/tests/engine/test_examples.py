"""Examples are made once, kept, and the same for every program; what is kept never outlives what it was made by."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from grader.engine.examples import Drawn, examples
from grader.engine.fuzz import PLAN, fuzz
from grader.model import Complaint, Finding, KitError

KIT = Path(__file__).resolve().parents[3]


@dataclass
class Source:
    """Stands for Hypothesis: gives two examples, and counts how often it was asked."""

    asked: int = 0

    def __call__(self, body: Callable[[Drawn], None]) -> None:
        self.asked += 1
        body({"numbers": [1, 2]})
        body({"numbers": []})


def kept_by(checks: Path, tmp_path: Path, source: Source) -> list[Drawn]:
    return list(examples(checks / "test_one.py", "one", 0, tmp_path / "kept", source))


@pytest.fixture
def checks(tmp_path: Path) -> Path:
    folder = tmp_path / "checks"
    folder.mkdir()
    (folder / "test_one.py").write_text("ONE = 1\n")
    return folder


def test_what_was_made_once_is_kept(checks: Path, tmp_path: Path) -> None:
    source = Source()
    first = kept_by(checks, tmp_path, source)
    assert kept_by(checks, tmp_path, source) == first == [{"numbers": [1, 2]}, {"numbers": []}]
    assert source.asked == 1


def test_each_check_and_number_has_its_own(checks: Path, tmp_path: Path) -> None:
    source = Source()
    for _ in range(2):
        for file, name in (("test_one.py", "one-100"), ("test_one.py", "one-20"), ("test_two.py", "one-100")):
            list(examples(checks / file, name, 0, tmp_path / "kept", source))
    assert source.asked == 3


def test_another_seed_takes_the_place_of_the_last(checks: Path, tmp_path: Path) -> None:
    source = Source()
    for seed in (0, 1, 1, 0):
        list(examples(checks / "test_one.py", "one", seed, tmp_path / "kept", source))
    assert source.asked == 3
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_what_a_check_does_to_an_example_stays_in_its_run(checks: Path, tmp_path: Path) -> None:
    source = Source()
    for drawn in examples(checks / "test_one.py", "one", 0, tmp_path / "kept", source):
        drawn["numbers"].append("spoiled")
    assert kept_by(checks, tmp_path, source) == [{"numbers": [1, 2]}, {"numbers": []}]


def _change_a_check(checks: Path, kept: Path) -> None:
    (checks / "test_one.py").write_text("ONE = 2\n")


def _cut_short(checks: Path, kept: Path) -> None:
    (file,) = kept.iterdir()
    file.write_bytes(file.read_bytes()[:-1])


def _empty(checks: Path, kept: Path) -> None:
    (file,) = kept.iterdir()
    file.write_bytes(b"")


@pytest.mark.parametrize("spoil", [_change_a_check, _cut_short, _empty])
def test_what_no_longer_fits_is_made_anew(
    checks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path, Path], None]
) -> None:
    source, kept = Source(), tmp_path / "kept"
    kept_by(checks, tmp_path, source)
    spoil(checks, kept)
    import_module("grader.engine.examples")._version.cache_clear()  # as in a new run
    assert kept_by(checks, tmp_path, source) == [{"numbers": [1, 2]}, {"numbers": []}]
    assert source.asked == 2


def test_a_folder_that_cannot_be_written_to_is_done_without(checks: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    source = Source()
    for _ in range(2):
        assert len(list(examples(checks / "test_one.py", "one", 0, tmp_path / "file" / "kept", source))) == 2
    assert source.asked == 2


def test_what_could_not_be_written_leaves_nothing(
    checks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert len(kept_by(checks, tmp_path, Source())) == 2
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_value_that_cannot_be_kept_is_named(checks: Path, tmp_path: Path) -> None:
    def draw(body: Callable[[Drawn], None]) -> None:
        body({"call": lambda: 1})

    with pytest.raises(KitError, match=r"one: a drawn value cannot be kept .*draw plain data"):
        list(examples(checks / "test_one.py", "one", 0, tmp_path / "kept", draw))


def test_what_has_passed_is_not_tried_once_more() -> None:
    calls: list[list[int]] = []

    def body(numbers: list[int]) -> None:
        calls.append(numbers)
        if len(numbers) == 8:
            raise Complaint(Finding(sent=str(numbers), expected="less", got="more"))

    with pytest.raises(Complaint):
        _fuzzed(body)()
    first = next(place for place, numbers in enumerate(calls) if len(numbers) == 8)
    assert first > 0
    assert len(calls[first + 1]) == 8


def test_a_failure_that_does_not_come_again_says_what_was_wrong() -> None:
    calls = iter(range(1000))

    def body(numbers: list[int]) -> None:
        if next(calls) == 5:
            raise Complaint(Finding(sent=str(numbers), expected="less", got="something odd"))

    with pytest.raises(Complaint) as failed:
        _fuzzed(body)()
    assert failed.value.finding.got.endswith("right the next time, for the same input; first: something odd")


def test_a_check_meets_kept_examples_as_it_meets_new_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PLAN, "folder", tmp_path / "kept")
    runs: list[list[list[int]]] = []

    def body(numbers: list[int]) -> None:
        runs[-1].append(numbers)

    for _ in range(2):
        runs.append([])
        _fuzzed(body)()
    assert runs[0] == runs[1]
    assert len(runs[0]) == 100


def test_a_failure_among_kept_examples_is_made_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PLAN, "folder", tmp_path / "kept")
    limit = 10_000

    def body(numbers: list[int]) -> None:
        if sum(numbers) > limit:
            raise Complaint(Finding(sent=str(numbers), expected="less", got="more"))

    _fuzzed(body)()  # passes, and its examples are kept
    limit = 100
    with pytest.raises(Complaint) as failed:
        _fuzzed(body)()
    assert failed.value.finding.sent == "[101]"


def _fuzzed(body: Callable[[list[int]], None]) -> Any:
    return fuzz(numbers=st.lists(st.integers(0, 1000), min_size=1, max_size=8))(body)


SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from hypothesis import strategies as st
from grader.engine.fuzz import fuzz
if sys.argv[2] == "with others":
    import beside
drawn = []
def body(number, text): drawn.append([number, text])
fuzz(number=st.integers(), text=st.text("abcdefghij"))(body)()
print(json.dumps(drawn))
"""


def test_examples_do_not_depend_on_what_else_is_loaded(tmp_path: Path) -> None:
    numbers = "\n".join(f'N{number} = {number}, "{"abcdefghij"[number % 10] * 7}"' for number in range(70_000, 70_050))
    (tmp_path / "beside.py").write_text(numbers)
    (tmp_path / "script.py").write_text(SCRIPT)

    def drawn(others: str) -> list[Any]:
        done = subprocess.run(
            [sys.executable, "script.py", str(KIT), others], cwd=tmp_path, capture_output=True, check=True, timeout=60
        )
        found: list[Any] = json.loads(done.stdout)
        return found

    assert drawn("with others") == drawn("alone")
