"""Where the catalog's time goes: run in a process of its own, without a server, the parts timed by wrapping them.

Pages are measured in processor time, so that other work on the machine does not show; what waits for the disk or for
the lock (a search after a change, adding a book) in time on the wall.

python catalog_inside.py MAIN.py DB SEED ROUNDS REQUESTS   ->   one line of JSON: {page: {part: milliseconds}}
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PARTS = {
    "load_books": "read",
    "search_books": "search",
    "take_page": "cut",
    "show_list": "render",
    "show_book": "render",
}
PAGES = {
    "list": ("/books", "page=2"),
    "detail": ("/books/7", ""),
    "search": ("/books/search", "title=volume+99&author=hand"),
}


def load(main: str) -> Any:
    """The catalog's main file as a module."""
    spec = importlib.util.spec_from_file_location("catalog", main)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def timed(function: Callable[..., Any], name: str, spent: dict[str, float], inside: list[str]) -> Callable[..., Any]:
    """The same function; its own time, without that of other timed ones inside it, is added to spent[name]."""

    def measured(*arguments: Any, **options: Any) -> Any:
        outer = inside[-1] if inside else None
        inside.append(name)
        started = time.process_time()
        try:
            return function(*arguments, **options)
        finally:
            took = time.process_time() - started
            inside.pop()
            spent[name] = spent.get(name, 0.0) + took
            if outer is not None:
                spent[outer] = spent.get(outer, 0.0) - took

    return measured


def ask(application: Callable[..., Any], path: str, query: str) -> None:
    """One GET; AssertionError when the answer is empty or its status not 200."""
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
    }
    statuses: list[str] = []
    body = application(environ, lambda status, headers, exc_info=None: statuses.append(status))
    size = sum(map(len, body))
    assert size and statuses[0].startswith("200"), statuses


def main() -> None:
    """Arguments: main file, database, seed, rounds, requests. Prints {page: {part: milliseconds}} as JSON."""
    path, db, seed, rounds, requests = sys.argv[1:]
    module = load(path)
    application = module.create_application(db, seed)
    ask(application, *PAGES["list"])
    os.utime(db, ns=(0, 0))  # settled: the catalog remembers what it read
    result: dict[str, dict[str, float]] = {}
    spent: dict[str, float] = {}
    inside: list[str] = []
    for name, part in PARTS.items():
        setattr(module, name, timed(getattr(module, name), part, spent, inside))
    for page, (address, query) in PAGES.items():
        samples: list[dict[str, float]] = []
        for _ in range(int(rounds)):
            spent.clear()
            started = time.process_time()
            for _ in range(int(requests)):
                ask(application, address, query)
            whole = time.process_time() - started
            parts = {**spent, "rest": whole - sum(spent.values()), "all": whole}
            samples.append({part: 1000 * seconds / int(requests) for part, seconds in parts.items()})
        result[page] = {part: statistics.median(sample.get(part, 0.0) for sample in samples) for part in samples[0]}
    cold = []
    for index in range(int(rounds)):
        os.utime(db, ns=(index + 1, index + 1))
        started = time.perf_counter()
        ask(application, *PAGES["search"])
        cold.append(1000 * (time.perf_counter() - started))
    result["search after a change"] = {"all": statistics.median(cold)}
    adding = []
    for index in range(int(rounds)):
        started = time.perf_counter()
        module.add_book(Path(db), {"title": "New", "author": "Author", "year": index})
        adding.append(1000 * (time.perf_counter() - started))
    result["add"] = {"all": statistics.median(adding)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
