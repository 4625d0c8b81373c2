"""`python -m grader.audit.picture`: draw the terminal for the README from a real run, as an SVG.

The run grades a student in the middle of the course: the calculator done, the socket server with one mistake (a mutant
of the solution), the catalog untouched.
"""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from grader.audit.mutants import apply, load_mutants
from grader.course import load_course, select
from grader.grade import KIT, default_jobs, grade
from grader.model import Exercise, Settings
from grader.report.text import render
from grader.submission import Submission

PICTURE = KIT / ".github" / "terminal.svg"
WIDTH = 88
MISTAKE = "one-recv-per-request"
SOME_DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def main() -> None:
    """Grade, render, write the picture."""
    course = load_course()
    with tempfile.TemporaryDirectory(prefix="grader-picture-") as name:
        root = Path(name)
        for exercise in course:
            source = "exercises" if exercise.id == "wsgi_catalog" else "solutions"
            shutil.copytree(
                KIT / source / exercise.id, root / exercise.id, ignore=shutil.ignore_patterns("__pycache__")
            )
            if exercise.id == "socket_server":
                _make_mistake(root / exercise.id / exercise.main, exercise)
        card = grade(Submission(root, "exercises"), select(course, []), Settings(jobs=default_jobs()))
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print("[bold]$[/] python -m grader exercises\n")
    console.print(render(card, width=WIDTH, verbose=False, unicode=True), soft_wrap=True)
    drawn = console.export_svg(title="python -m grader exercises", unique_id="terminal")
    # Rich asks a server for its font; a picture in a README may not, and the reader's own monospace font will do.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    drawn = re.sub(
        r"(Date:&#160;).*?GMT", rf"\g<1>{SOME_DATE.replace(' ', '&#160;')}", drawn
    )  # each run the same picture
    PICTURE.write_text(drawn, encoding="utf-8", newline="\n")
    print(f"written: {PICTURE.relative_to(KIT).as_posix()}")


def _make_mistake(main_file: Path, exercise: Exercise) -> None:
    chosen = next(mutant for mutant in load_mutants(exercise) if mutant.id == MISTAKE)
    main_file.write_text(apply(chosen, main_file.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
