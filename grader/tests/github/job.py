"""Run the job of grade.yml on this machine: its own steps in its own order, GitHub's part played with git.

A `run:` step is executed as it stands, by the shell that GitHub would use. `actions/checkout` is a clone of a local
repository, `actions/upload-artifact` a copy; Python and its packages are those of the test, so `pip` is not called.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grader.tests.github.runner import Log
from grader.tests.github.test_workflow_files import load

SHIM = """#!/bin/sh
if [ "$1 $2" = "-m pip" ]; then exit 0; fi
exec "{python}" "$@"
"""
PLAYED = ("actions/checkout", "actions/setup-python", "actions/upload-artifact")


def git(folder: Path, *arguments: str) -> str:
    """Run git with nobody's configuration; returns what it printed."""
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", *arguments],
        cwd=folder,
        env={**os.environ, **quiet, **who},
        capture_output=True,
        timeout=60,
        check=True,
    )
    return done.stdout.decode().strip()


@dataclass
class Run:
    """How a job ended: green or not, what was obeyed and shown, and the artifact (None: none)."""

    green: bool = True
    log: str = ""
    runner: Log = field(default_factory=Log)
    summary: str = ""
    artifact: str | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    workspace: Path = Path()

    def titles(self, name: str) -> list[str]:
        """The titles of the annotations of one kind."""
        return [found.properties.get("title", "") for found in self.runner.annotations() if found.name == name]


def play(repository: Path, base: str, head: str, folder: Path, settings: dict[str, str]) -> Run:
    """Run the job for the commit `head` against `base`; `settings` replace values of the workflow's `env:`."""
    workflow = load("grade.yml")
    (job,) = workflow["jobs"].values()
    machine = _Machine(repository, folder, {**workflow["env"], **settings}, base, head)
    for step in job["steps"]:
        machine.play(step)
    machine.run.workspace = machine.workspace
    return machine.run


class _Machine:
    def __init__(self, repository: Path, folder: Path, env: dict[str, str], base: str, head: str) -> None:
        self.repository, self.folder, self.env = repository, folder, env
        self.workspace = folder / "work"
        self.workspace.mkdir(parents=True)
        tools = folder / "tools"
        tools.mkdir()
        (tools / "python").write_text(SHIM.format(python=sys.executable), encoding="utf-8")
        (tools / "python").chmod(0o755)
        self.path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        self.values = {
            "github.event.pull_request.base.sha": base,
            "github.event.pull_request.head.sha": head,
            "steps.grade.outputs.status": "",
            "steps.grade.outputs.score": "",
        }
        self.outcomes: dict[str, str] = {}
        self.number = 0
        self.run = Run()

    def play(self, step: dict[str, Any]) -> None:
        if not self._is_due(step):
            self.outcomes[step.get("id", "")] = "skipped"
            return
        succeeded = self._use(step) if "uses" in step else self._script(step)
        self.outcomes[step.get("id", "")] = "success" if succeeded else "failure"
        self.run.green = self.run.green and succeeded

    def _is_due(self, step: dict[str, Any]) -> bool:
        condition = step.get("if")
        if condition is None:
            return self.run.green
        assert condition == "${{ !cancelled() && steps.grade.outcome != 'skipped' }}"
        return self.outcomes["grade"] != "skipped"

    def _fill(self, text: str) -> str:
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: self.values[found[1]], text)

    def _use(self, step: dict[str, Any]) -> bool:
        action = step["uses"].partition("@")[0]
        assert action in PLAYED
        options = {name: self._fill(value) for name, value in step.get("with", {}).items()}
        if action == "actions/checkout":
            target = self.workspace / options.get("path", ".")
            git(self.workspace, "clone", "--quiet", "--no-checkout", str(self.repository), str(target))
            git(target, "checkout", "--quiet", "--force", options["ref"])
        if action == "actions/upload-artifact":
            path = self.workspace / options["path"]
            self.run.artifact = path.read_text(encoding="utf-8") if path.is_file() else None
        return True

    def _script(self, step: dict[str, Any]) -> bool:
        self.number += 1
        files = {
            name: self.folder / f"{self.number}-{name}" for name in ("STEP_SUMMARY", "OUTPUT", "ENV", "PATH", "STATE")
        }
        for path in files.values():
            path.touch()
        script = self.folder / f"{self.number}.sh"
        script.write_text(step["run"], encoding="utf-8")
        done = subprocess.run(
            [shutil.which("bash") or "bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.workspace,
            env={
                "PATH": self.path,
                "HOME": str(self.folder),
                "LANG": "C.UTF-8",
                "CI": "true",
                "GITHUB_ACTIONS": "true",
                "GITHUB_WORKSPACE": str(self.workspace),
                "GITHUB_TOKEN": "a-token-that-must-not-leak",
                "RUNNER_TEMP": str(self.folder),
                "ACTIONS_RUNTIME_TOKEN": "a-token-that-must-not-leak",
                **{f"GITHUB_{name}": str(path) for name, path in files.items()},
                **self.env,
                **{name: self._fill(value) for name, value in step.get("env", {}).items()},
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            check=False,
        )
        log = done.stdout.decode("utf-8", "replace")
        self.run.log += log
        self.run.runner.token = None  # each step has a command channel of its own
        self.run.runner.read(log)
        self.run.summary += files["STEP_SUMMARY"].read_text(encoding="utf-8")
        for name in ("ENV", "PATH", "STATE"):
            assert files[name].read_text(encoding="utf-8") == "", "a step changed the environment of later ones"
        for line in files["OUTPUT"].read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            self.run.outputs[name] = value
            self.values[f"steps.{step['id']}.outputs.{name}"] = value
        return done.returncode == 0
