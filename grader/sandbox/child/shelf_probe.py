"""Runs in the worker: uses the shelf of a submission as its other parts would, and tells what it saw."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def three_transactions(module: Any, name: str, db: Any, number: int, book: dict[str, Any]) -> dict[str, Any]:
    """A thread adds a book to table "books" within module.name(db); a second, then a third one try to get in meanwhile.

    Returns which of them got in while another was inside (0: none), and how many books the second one saw.
    """
    from tinydb.table import Document

    inside, trying, entered, third_entered = (threading.Event() for _ in range(4))
    seen: list[int] = []
    early: list[int] = []
    failures: list[BaseException] = []
    transaction = getattr(module, name)

    def run(work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  (it belongs to the caller, in the other thread)
                failures.append(error)

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread

    def second() -> None:
        inside.wait(3)
        trying.set()
        with transaction(db) as tables:
            entered.set()
            seen.append(len(tables.table("books")))
            waiting.append(run(third))
            # A lock on a file that is replaced is no lock for whoever opens the new file.
            if third_entered.wait(0.06):
                early.append(3)

    def third() -> None:
        with transaction(db):
            third_entered.set()

    waiting = [run(second)]
    with transaction(db) as tables:
        inside.set()
        trying.wait(3)
        if entered.wait(0.06):
            early.append(2)
        tables.table("books").insert(Document(book, number))
    waiting[0].join(3)
    waiting[-1].join(3)
    if failures:
        raise failures[0]
    return {"early": min(early, default=0), "seen": seen[0] if seen else -1}


def empty_shelf(module: Any, name: str, db: Any) -> None:
    """All books taken away, within module.name(db)."""
    with getattr(module, name)(db) as tables:
        tables.table("books").truncate()


def replaced(module: Any, name: str, path: Any, data: bytes) -> dict[str, Any]:
    """module.name(path, data), watched: was the new file pushed to the disk before it was moved, and from where?

    Returns "synced", the most bytes that a file had when os.fsync was called on it before the first os.replace or
    os.rename (-1: no such call), and "source", the path of the file that was moved; "" where nothing was.
    """
    names_of_os = ("fsync", "fdatasync", "replace", "rename")
    originals = {function: getattr(os, function) for function in names_of_os if hasattr(os, function)}
    synced: list[int] = []
    sources: list[str] = []

    def watch(function: str) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            source = arguments[0] if arguments else options.get("src", options.get("fd"))
            if function in ("fsync", "fdatasync"):
                if not sources:
                    with suppress(OSError, ValueError):
                        descriptor = source if isinstance(source, int) else source.fileno() if source else -1
                        facts = os.fstat(descriptor)
                        synced.append(facts.st_size if stat.S_ISREG(facts.st_mode) else -1)
            elif isinstance(source, (str, bytes, os.PathLike)):
                # Relative to a folder that is open, it is beside the file or the move fails.
                apart = options.get("src_dir_fd") is not None
                sources.append("" if apart else str(Path(os.fsdecode(source)).absolute()))
            return originals[function](*arguments, **options)

        return watched

    patched = {function: watch(function) for function in originals}
    places = [(vars(os), function, function) for function in originals]
    # "from os import fsync" has given the module names of its own.
    for own, value in list(vars(module).items()):
        places += [(vars(module), own, function) for function in originals if value is originals[function]]
    for names, key, function in places:
        names[key] = patched[function]
    try:
        getattr(module, name)(path, data)
    finally:
        for names, key, function in places:
            names[key] = originals[function]
    return {"synced": max(synced, default=-1), "source": sources[0] if sources else ""}
