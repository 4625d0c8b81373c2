"""The reports that are kept as files in golden/: `python -m grader.tests.report.golden` writes them anew.

Read the difference before you commit it: these files are what a student sees.
"""

from __future__ import annotations

from pathlib import Path

from grader.report.text import render
from grader.tests.report.cards import all_cards

FOLDER = Path(__file__).with_name("golden")
NARROW = ("one-failure", "timeout", "mixed", "broken", "hostile", "not-started", "syntax-error")
VERBOSE = ("one-failure", "crash", "timeout", "not-started")


def reports() -> dict[str, str]:
    """File name -> text, for every report that is kept."""
    cards = all_cards()
    wide = {f"{name}.txt": render(card, width=80, verbose=False, unicode=True).plain for name, card in cards.items()}
    narrow = {
        f"{name}-40-ascii.txt": render(cards[name], width=40, verbose=False, unicode=False, encoding="ascii").plain
        for name in NARROW
    }
    verbose = {f"{name}-v.txt": render(cards[name], width=80, verbose=True, unicode=True).plain for name in VERBOSE}
    return {**wide, **narrow, **verbose}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.txt"):
        path.unlink()
    for name, text in reports().items():
        (FOLDER / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
