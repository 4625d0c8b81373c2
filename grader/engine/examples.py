"""The examples of a fuzzed check, kept from run to run.

To make an example costs Hypothesis three times what most checks need to try it, and the same seed makes the same ones
whatever program they meet. So they are made once, without a program, and kept beside the bytecode; every program then
meets the kept ones. Only a check that fails asks Hypothesis again, which comes to the same failure and makes it small.

A file that is kept begins with a digest over its content and over all that it was made by: the checks, Hypothesis,
Python. One whose digest differs is made anew.
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

Drawn = dict[str, Any]
Draw = Callable[[Callable[[Drawn], None]], None]  # calls what it is given with one example after the other

ENGINE = Path(__file__).parent
DIGEST_SIZE = sha256().digest_size


def examples(checks: Path, name: str, folder: Path | None, draw: Draw) -> Iterator[Drawn]:
    """The examples called `name` of the checks in the folder `checks`: kept in `folder`, else from `draw`.

    `name` tells them from all others of these checks, other seeds and numbers included. Where `folder` is None nothing
    is kept. Each example is a new copy: what a check does to it cannot reach the next run.
    """
    path = folder and folder / f"{checks.name}-{sha256(name.encode()).hexdigest()[:24]}"
    kept = _read(path, checks) if path else None
    if kept is None:
        kept = []
        draw(lambda drawn: kept.append(pickle.dumps(drawn)))
        if path:
            _write(path, checks, kept)
    for one in kept:
        yield pickle.loads(one)  # noqa: S301  (see _read)


def _read(path: Path, checks: Path) -> list[bytes] | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, packed = content[:DIGEST_SIZE], content[DIGEST_SIZE:]
    if digest != _digest(checks, packed):
        return None
    # Unpickling can run code. Whoever could write this file could write the bytecode beside it just as well.
    kept: list[bytes] = pickle.loads(packed)  # noqa: S301
    return kept


def _write(path: Path, checks: Path, kept: list[bytes]) -> None:
    """Keep them, where the folder can be written to. A run beside this one sees the whole file or none."""
    packed = pickle.dumps(kept)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_digest(checks, packed) + packed)
        Path(name).replace(path)


def _digest(checks: Path, packed: bytes) -> bytes:
    return sha256(_version(checks) + packed).digest()


@cache
def _version(checks: Path) -> bytes:
    """Of all that examples are made by: the modules of the checks, what these draw from, Hypothesis, Python."""
    digest = sha256(f"{hypothesis.__version__} {sys.version}".encode())
    for source in sorted([*checks.glob("*.py"), ENGINE / "alphabets.py", ENGINE / "fuzz.py"]):
        text = source.read_bytes()
        digest.update(f"{source.name} {len(text)} ".encode() + text)
    return digest.digest()
