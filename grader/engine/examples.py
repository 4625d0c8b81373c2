"""The examples of a fuzzed check, kept from run to run.

To make an example costs Hypothesis three times what most checks need to try it, and the same seed makes the same ones
whatever program they meet. So they are made once, without a program, and kept beside the bytecode; every program then
meets the kept ones. Only a check that fails asks Hypothesis again, which comes to the same failure and makes it small.

There is one file for each check, number of examples and version of Python. It begins with a digest over its content
and over all that this was made by: the seed, the code, Hypothesis, Python. One whose digest differs is made anew.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import hypothesis

from grader.model import KitError

Drawn = dict[str, Any]
Draw = Callable[[Callable[[Drawn], None]], None]  # calls what it is given with one example after the other

GRADER = Path(__file__).resolve().parents[1]
DIGEST_SIZE = sha256().digest_size
UNFINISHED = ".part-"
READABLE = 0o644  # as the bytecode beside it: whoever shares the kit shares the examples


def examples(file: Path, name: str, seed: int, folder: Path | None, draw: Draw) -> Iterator[Drawn]:
    """The examples of the check `name` in `file` for a seed: kept in `folder`, else from `draw` and then kept.

    Where `folder` is None nothing is kept. Each example is a new copy: what a check does to it cannot reach the next
    run. Raises KitError when what is drawn cannot be copied (pickle).
    """
    path = folder and folder / "-".join((file.parent.name, file.stem, name, str(sys.implementation.cache_tag)))
    kept = _read(path, file.parent, seed) if path else None
    if kept is None:
        kept = []
        draw(lambda drawn: kept.append(_packed(drawn, name)))
        if path:
            _write(path, file.parent, seed, kept)
    for one in kept:
        yield pickle.loads(one)  # noqa: S301  (see _read)


def _packed(drawn: Drawn, name: str) -> bytes:
    try:
        return pickle.dumps(drawn)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise KitError(f"{name}: a drawn value cannot be kept ({error}): draw plain data") from error


def _read(path: Path, checks: Path, seed: int) -> list[bytes] | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, packed = content[:DIGEST_SIZE], content[DIGEST_SIZE:]
    if digest != _digest(checks, seed, packed):
        return None
    # Unpickling can run code. Whoever could write this file could write the bytecode beside it just as well.
    kept: list[bytes] = pickle.loads(packed)  # noqa: S301
    return kept


def _write(path: Path, checks: Path, seed: int, kept: list[bytes]) -> None:
    """Keep them, where the folder can be written to. A run beside this one sees the whole file or none."""
    packed = pickle.dumps(kept)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, unfinished = tempfile.mkstemp(prefix=UNFINISHED, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_digest(checks, seed, packed) + packed)
            Path(unfinished).chmod(READABLE)
            Path(unfinished).replace(path)
        except OSError:
            Path(unfinished).unlink(missing_ok=True)


def _digest(checks: Path, seed: int, packed: bytes) -> bytes:
    return sha256(_version(checks) + str(seed).encode() + b" " + packed).digest()


@cache
def _version(checks: Path) -> bytes:
    """Of all code that examples are made by: the checks, what these draw from, Hypothesis, Python."""
    digest = sha256(f"{hypothesis.__version__} {sys.version}".encode())
    for folder in (checks, GRADER / "engine", GRADER / "target"):
        for source in sorted(folder.glob("*.py")):
            text = source.read_bytes()
            digest.update(f"{source.name} {len(text)} ".encode() + text)
    return digest.digest()
