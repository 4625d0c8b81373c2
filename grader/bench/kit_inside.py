"""The same fuzzing three times: in this process, through the worker, through CGI; and a CGI program that does nothing.

The examples are made as the checks make them, by Hypothesis under the kit's own profile, with the same seed each time.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Self

from hypothesis import given, seed, settings
from hypothesis import strategies as st

from grader.engine.alphabets import any_text
from grader.engine.fuzz import PROFILE
from grader.sandbox.isolation import choose_isolation
from grader.sandbox.policy import child_uid
from grader.sandbox.scratch import give_to
from grader.sandbox.spawn import Site
from grader.target.cgi import CgiTarget
from grader.target.function import Module
from grader.target.transcript import TRANSCRIPT

# A small parser of the kind that exercises ask for; also a CGI program that uses it, and one that does nothing.
PARSER = """
import os
from urllib.parse import unquote_plus


def split_pairs(query):
    pairs = [piece.partition("=") for piece in query.split("&") if piece]
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


if __name__ == "__main__":
    found = split_pairs(os.environ["QUERY_STRING"])
    print("Content-Type: text/plain; charset=utf-8\\n")
    print(ascii(found), end="")
"""
EMPTY = "print('Content-Type: text/plain\\n')"

Split = Callable[[str], list[tuple[str, str]]]

pairs_drawn = st.lists(
    st.tuples(any_text(min_size=1, max_size=8), any_text(max_size=12), st.booleans()), min_size=1, max_size=6
)


def render(pairs: list[tuple[str, str, bool]]) -> str:
    """A query string; the flag chooses between escaping every byte and only those that need it."""
    return "&".join(f"{_escape(name, every)}={_escape(value, every)}" for name, value, every in pairs)


def _escape(text: str, every: bool) -> str:
    plain = (lambda char: False) if every else str.isalnum
    return "".join(
        char if char.isascii() and plain(char) else "".join(f"%{byte:02X}" for byte in char.encode()) for char in text
    )


def fuzz(split: Split, examples: int) -> Callable[[], None]:
    """A run of `examples` examples that must all come back."""

    @settings(PROFILE, max_examples=examples)
    @seed(0)
    @given(pairs=pairs_drawn)
    def run(pairs: list[tuple[str, str, bool]]) -> None:
        TRANSCRIPT.clear()
        assert split(render(pairs)) == [(name, value) for name, value, _ in pairs]

    return run


class Bench:
    """The programs, ready to be asked, in a folder that is gone afterwards."""

    EXAMPLES = {"in-process": 400, "through the worker": 400, "through CGI": 30}  # noqa: RUF012

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="grader-bench-", ignore_cleanup_errors=True)
        scratch = Path(self._folder.name).resolve()
        submission = scratch / "submission"
        submission.mkdir()
        for name, text in (("parser.py", PARSER), ("empty.py", EMPTY)):
            (submission / name).write_text(text, encoding="utf-8")
        isolation = choose_isolation("auto")
        give_to(scratch, child_uid())
        site = Site(scratch, submission, isolation)
        self._module = Module(site, "parser.py")
        self._here = _load(submission / "parser.py")
        self._cgi, self._empty = CgiTarget(site, "parser.py"), CgiTarget(site, "empty.py")
        splits: dict[str, Split] = {
            "in-process": self._here.split_pairs,
            "through the worker": self._through_worker,
            "through CGI": self._through_cgi,
        }
        self.fuzzes = {name: fuzz(split, self.EXAMPLES[name]) for name, split in splits.items()}

    def _through_worker(self, query: str) -> list[tuple[str, str]]:
        return self._module.call("split_pairs", query).value  # type: ignore[union-attr, no-any-return]

    def _through_cgi(self, query: str) -> list[tuple[str, str]]:
        import ast

        found: list[tuple[str, str]] = ast.literal_eval(self._cgi.get(query).text)
        return found

    def cgi_run(self) -> None:
        """One request to a program that does nothing."""
        self._empty.get()

    def __enter__(self) -> Self:
        for run in self.fuzzes.values():  # the first run of each pays for caches
            run()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._module.close()
        self._folder.cleanup()


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_parser", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
