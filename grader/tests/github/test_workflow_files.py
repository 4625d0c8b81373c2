"""What the workflows promise, read from the files: who may start them, what they may do, whose code they run."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKFLOWS = Path(__file__).parents[3] / ".github" / "workflows"
FILES = sorted(WORKFLOWS.glob("*.yml"))
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def load(name: str) -> dict[str, Any]:
    """The workflow with every value as the text that stands in the file ("on" stays "on")."""
    found = yaml.load((WORKFLOWS / name).read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    assert isinstance(found, dict)
    return found


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


@pytest.fixture
def grading() -> dict[str, Any]:
    return load("grade.yml")


def uses(workflow: dict[str, Any], action: str) -> list[dict[str, Any]]:
    return [step for step in steps(workflow) if step.get("uses", "").startswith(f"{action}@")]


def test_there_are_two_workflows() -> None:
    assert [path.name for path in FILES] == ["ci.yml", "grade.yml"]


def test_the_oldest_libraries_that_are_tried_are_those_that_are_allowed() -> None:
    kit = WORKFLOWS.parents[1]
    project = tomllib.loads((kit / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    allowed = [re.match(r"([\w-]+)>=([\d.]+)", one) for one in project["dependencies"]]
    tried = [line for line in (kit / ".ci" / "lowest.txt").read_text().splitlines() if not line.startswith("#")]
    assert [f"{bound[1]}=={bound[2]}" for bound in allowed if bound] == tried
    assert any(step.get("run", "").endswith("--constraint .ci/lowest.txt") for step in steps(load("ci.yml")))


def test_grading_starts_on_pull_requests_that_change_exercises(grading: dict[str, Any]) -> None:
    assert grading["on"] == {"pull_request": {"paths": ["exercises/**"]}}


@each_file
def test_no_workflow_runs_with_the_rights_of_the_base_branch(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    triggers = load(path.name)["on"]
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(triggers)
    assert "pull_request_target" not in text


@each_file
def test_a_workflow_may_only_read(path: Path) -> None:
    workflow = load(path.name)
    assert workflow["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in workflow["jobs"].values())


@each_file
def test_a_workflow_has_no_secret_and_no_token(path: Path) -> None:
    inside = EXPRESSION.findall(path.read_text(encoding="utf-8"))
    assert not [each for each in inside if re.search(r"secrets|github\s*\.\s*token|toJSON", each, re.IGNORECASE)]
    assert all(step["with"]["persist-credentials"] == "false" for step in uses(load(path.name), "actions/checkout"))


@each_file
def test_nothing_is_pasted_into_a_script(path: Path) -> None:
    scripts = [step["run"] for step in steps(load(path.name)) if "run" in step]
    assert scripts
    assert not [script for script in scripts if "${{" in script]


def test_a_pull_request_gives_the_workflow_numbers_and_hashes_only(grading: dict[str, Any]) -> None:
    text = (WORKFLOWS / "grade.yml").read_text(encoding="utf-8")
    assert {found.strip() for found in EXPRESSION.findall(text)} == {
        "github.event.pull_request.number",
        "github.event.pull_request.base.sha",
        "github.event.pull_request.head.sha",
        "!cancelled() && steps.grade.outcome != 'skipped'",
        "steps.grade.outputs.status",
        "steps.grade.outputs.score",
    }


def test_the_grader_is_that_of_the_base_branch(grading: dict[str, Any]) -> None:
    base, head = uses(grading, "actions/checkout")
    assert base["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert "path" not in base["with"]
    assert head["with"]["ref"] == "${{ github.event.pull_request.head.sha }}"
    assert head["with"]["path"] == "pull-request"


def test_nothing_is_installed_after_the_pull_request_has_come(grading: dict[str, Any]) -> None:
    order = [step.get("run", step.get("uses", "")) + str(step.get("with", "")) for step in steps(grading)]
    came = next(number for number, step in enumerate(order) if "pull-request" in step)
    installs = [number for number, step in enumerate(order) if "pip" in step or "setup-python" in step]
    assert installs and max(installs) < came


def test_the_pull_request_leaves_only_its_exercises(grading: dict[str, Any]) -> None:
    names = [step["name"] for step in steps(grading)]
    taking = next(step["run"] for step in steps(grading) if step["name"].startswith("Take exercises/"))
    assert names.index("Grade") == names.index("Take exercises/ from the pull request, regular files only") + 1
    assert taking.splitlines()[-1] == "rm -rf pull-request"
    for step in steps(grading):
        if step["name"] not in ("Name the changes outside exercises/",) and step.get("run") != taking:
            assert "pull-request/" not in step.get("run", "")


def test_the_submission_runs_confined_or_not_at_all(grading: dict[str, Any]) -> None:
    (script,) = [step["run"] for step in steps(grading) if step.get("id") == "grade"]
    assert "--isolation landlock" in script and "--github" in script and '--min-score "$MIN_SCORE"' in script
    assert "2>&1" in script


def test_the_examples_are_not_those_that_everybody_has_seen(grading: dict[str, Any]) -> None:
    (script,) = [step["run"] for step in steps(grading) if step.get("id") == "grade"]
    assert "--seed random" in script


def test_the_result_is_kept_as_it_is(grading: dict[str, Any]) -> None:
    (upload,) = uses(grading, "actions/upload-artifact")
    assert upload["with"]["path"] == "result.json"


@each_file
def test_every_job_has_an_end_and_a_newer_run_replaces_it(path: Path) -> None:
    workflow = load(path.name)
    assert all(0 < int(job["timeout-minutes"]) <= 45 for job in workflow["jobs"].values())
    assert workflow["concurrency"]["cancel-in-progress"] == "true"
    assert workflow["concurrency"]["group"].startswith(path.stem)


@each_file
def test_actions_are_githubs_own_at_a_commit(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "uses:" in line]
    assert lines
    for line in lines:
        assert re.search(r"uses: actions/[a-z-]+@[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+$", line), line


def test_the_kit_is_tested_with_every_python_it_supports() -> None:
    jobs = load("ci.yml")["jobs"]
    assert jobs["linux"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert [step["run"] for step in jobs["linux"]["steps"] if "run" in step] == [".ci/run"]
    places = jobs["elsewhere"]["strategy"]["matrix"]["include"]
    assert [place["os"] for place in places] == ["windows-latest", "macos-latest"]
    assert "ü x" in [place["folder"] for place in places]


@each_file
@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_the_file_fits_githubs_schema(path: Path, schema: str) -> None:
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path))


@each_file
def test_the_file_passes_a_security_linter(path: Path) -> None:
    run("zizmor", "--offline", "--no-progress", "--quiet", str(path))


@each_file
def test_the_scripts_pass_a_shell_linter(path: Path, tmp_path: Path) -> None:
    for number, step in enumerate(step for step in steps(load(path.name)) if "run" in step):
        script = tmp_path / f"{number}.sh"
        script.write_text("#!/usr/bin/env bash\nset -eo pipefail\n" + step["run"], encoding="utf-8", newline="\n")
        run("shellcheck", "--severity=style", str(script))


def run(program: str, *arguments: str) -> None:
    """A program of the development environment; its words are shown when it is not content."""
    beside = Path(sys.executable).parent / (program + (".exe" if sys.platform == "win32" else ""))
    command = [program if program == sys.executable else str(beside), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
