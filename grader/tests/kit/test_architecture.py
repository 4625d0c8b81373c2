"""Imports go one way, and the process that is started first stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

GRADER = Path(__file__).parents[2]

# A part may import from the parts above it in this list, and from itself.
ORDER = (
    "model", "job", "names", "arguments", "course", "source", "submission", "credit", "report", "sandbox", "target",
    "engine", "checks", "judging", "grade", "audit", "byhand", "bench", "cli", "__main__",
)  # fmt: skip


def part_of(module: str) -> str:
    return module.split(".")[1]


def modules() -> list[Path]:
    files = [path for path in GRADER.rglob("*.py") if "tests" not in path.relative_to(GRADER).parts]
    return [path for path in files if path != GRADER / "__init__.py" and "accept" not in path.parts]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(GRADER).as_posix())
def test_imports_go_one_way(path: Path) -> None:
    own = path.relative_to(GRADER).with_suffix("").parts[0]
    used = {part_of(name) for name in imports(path) if name.startswith("grader.")}
    assert {part for part in used if ORDER.index(part) > ORDER.index(own)} == set()


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(GRADER).as_posix())
def test_nothing_imports_a_submission(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] in ("exercises", "solutions")}


def test_code_of_the_child_knows_nothing_of_the_grader() -> None:
    for path in (GRADER / "sandbox" / "child").glob("*.py"):
        assert not {name for name in imports(path) if name.startswith("grader")}, path


def test_the_first_process_loads_neither_pytest_nor_hypothesis() -> None:
    code = "import sys, grader.cli, grader.grade; print({'pytest', 'hypothesis', 'requests'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=GRADER.parent, check=True)
    assert done.stdout.strip() == "set()"
