r"""Text -> GitHub Markdown that shows it and never obeys it.

    plain("a | b")     -> "a \| b"                          words of the kit, anywhere in a line
    code("x\n```\ny")  -> a block fenced by more backticks  whatever a submission has a part in

A submission's text appears in code blocks only: there GitHub makes no link, no mention, no image, no formula and no
HTML of it, and nothing in it can close the block (https://github.github.com/gfm/, sections 4.5 and 6.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from grader.report.safe import neutral

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def plain(text: str) -> str:
    r"""Words of the kit for a paragraph, a heading or a table cell: every ASCII punctuation mark escaped."""
    return _PUNCTUATION.sub(r"\\\1", neutral(text))


def code(text: str) -> str:
    """A fenced block of the lines of `text`, with the characters escaped that would hide or turn."""
    lines = [neutral(line) for line in text.rstrip("\n").split("\n")]
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}text", *lines, fence])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells, which must be Markdown already; a column whose name is "points" is set to the right."""
    rules = ["---:" if name == "points" else "---" for name in head]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rules, *rows])
