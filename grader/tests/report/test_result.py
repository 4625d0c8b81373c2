"""The JSON result: its documented shape, and a file that is whole or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from grader.model import KitError, UsageError, Verdict
from grader.report import result
from grader.tests.report.cards import all_cards

CARDS = all_cards()
SCHEMA = json.loads(result.SCHEMA_FILE.read_text(encoding="utf-8"))


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="ascii"))


def _checks(data: Any) -> list[dict[str, Any]]:
    return [check for each in data["exercises"] for step in each["steps"] for check in step["checks"]]


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema"]["const"] == result.SCHEMA
    assert SCHEMA["$defs"]["check"]["properties"]["verdict"]["enum"] == [verdict.value for verdict in Verdict]


@pytest.mark.parametrize("name", CARDS)
def test_every_result_follows_the_schema(name: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    result.write(path, CARDS[name])
    assert list(Draft202012Validator(SCHEMA).iter_errors(read(path))) == []
    assert [item.name for item in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param({"points": None}, id="graded without points"),
        pytest.param({"status": "broken"}, id="broken with points"),
        pytest.param({"extra": 1}, id="an unknown key"),
        pytest.param({"schema": "other"}, id="another schema"),
    ],
)
def test_the_schema_refuses_what_is_not_a_result(spoil: dict[str, Any]) -> None:
    data = {**result.to_json(CARDS["mixed"]), **spoil}
    assert list(Draft202012Validator(SCHEMA).iter_errors(data))


def test_points_add_up_at_every_level() -> None:
    data: Any = result.to_json(CARDS["mixed"])
    assert data["points"] == sum(each["points"] for each in data["exercises"]) == 92
    assert data["points"] == sum(check["points"] for check in _checks(data))
    assert data["max_points"] == sum(check["max_points"] for check in _checks(data)) == 150
    assert [check["id"] for check in _checks(data)] == [outcome.check.path for outcome in CARDS["mixed"].outcomes]


def test_a_broken_grader_gives_no_points_anywhere() -> None:
    data: Any = result.to_json(CARDS["broken"])
    assert data["status"] == "broken"
    assert '"points": null' in json.dumps(data)
    assert '"points": ' not in json.dumps(data).replace('"points": null', "")


def test_a_run_that_never_began_has_a_result_too(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    result.write_fault(path, "exercises", "no isolation")
    assert list(Draft202012Validator(SCHEMA).iter_errors(read(path))) == []
    assert (read(path)["status"], read(path)["points"], read(path)["fault"]) == ("broken", None, "no isolation")


def test_brief_feedback_hides_what_was_expected_here_as_well() -> None:
    text = json.dumps(result.to_json(CARDS["brief"]))
    assert "initial_books.json" in text
    assert "400, 403" not in text
    assert "200 OK" not in text


def test_texts_are_capped_and_every_reader_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    result.write(path, CARDS["hostile"])
    assert path.stat().st_size < 300_000
    path.read_bytes().decode("ascii")
    json.dumps(read(path), ensure_ascii=False).encode("utf-8")


def test_two_writes_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        result.write(tmp_path / name, all_cards()["mixed"])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_an_earlier_result_is_removed_before_a_run(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old", encoding="ascii")
    result.remove_stale(path)
    assert not path.exists()
    result.remove_stale(path)


def test_an_earlier_result_stays_whole_until_the_new_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    path.write_text("old", encoding="ascii")

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(KitError, match="No space left"):
        result.write(path, CARDS["mixed"])
    assert path.read_text(encoding="ascii") == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["result.json"]


def test_a_place_where_no_file_can_be_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        result.remove_stale(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        result.remove_stale(tmp_path / "none" / "result.json")
