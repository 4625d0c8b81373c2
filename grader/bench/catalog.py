"""How fast the catalog's solution is: `python -m grader.bench.catalog [--rounds N] [--seconds S]`.

Requests per second under waitress (4 threads, 4 clients that keep their connections) for a list, a book and a search
with 1,000 and 10,000 books, medians of the rounds; then milliseconds per request inside the application, part by part.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from grader.bench.catalog_inside import PAGES

MAIN = Path(__file__).resolve().parents[2] / "solutions" / "wsgi_catalog" / "main.py"
SIZES = (1_000, 10_000)
CLIENTS = 4
START_SECONDS = 30.0


def write_seed(folder: Path, size: int) -> Path:
    """`size` books of everyday length."""
    path = folder / f"seed-{size}.json"
    books = [
        {"title": f"Volume {n} of the Straße", "author": f"Hand {n % 97} Ömer", "year": 1500 + n % 500}
        for n in range(size)
    ]
    path.write_text(json.dumps(books), encoding="utf-8")
    return path


@contextmanager
def waitress(db: Path, seed: Path) -> Iterator[int]:
    """The solution under waitress; yields its port."""
    environment = {**os.environ, "CATALOG_DB": str(db), "CATALOG_SEED": str(seed), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "waitress", "--listen=127.0.0.1:0", "--threads=4", "main:application"]
    process = subprocess.Popen(
        command, cwd=MAIN.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    guard = threading.Timer(START_SECONDS, process.kill)
    guard.start()
    try:
        printed = b""
        for line in process.stdout:
            printed += line
            if found := re.search(rb"http://127\.0\.0\.1:([0-9]+)", line):
                guard.cancel()
                threading.Thread(target=process.stdout.read, daemon=True).start()
                yield int(found[1])
                return
        raise SystemExit(f"waitress did not start: {printed.decode('utf-8', 'replace')[-500:]}")
    finally:
        guard.cancel()
        process.kill()
        process.wait(10)


def client(port: int, address: str, until: float) -> int:
    """Ask again and again on one connection; how many answers came before `until` (time.perf_counter)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    count = 0
    while time.perf_counter() < until:
        connection.request("GET", address)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"GET {address}: {answer.status}")
        count += 1
    connection.close()
    return count


def rate(port: int, address: str, seconds: float) -> float:
    """Requests per second of CLIENTS clients at once."""
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        counts = list(pool.map(lambda _: client(port, address, started + seconds), range(CLIENTS)))
    return sum(counts) / (time.perf_counter() - started)


def inside(db: Path, seed: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds per request in the application alone, part by part."""
    command = [sys.executable, str(Path(__file__).with_name("catalog_inside.py")), str(MAIN), str(db), str(seed)]
    done = subprocess.run([*command, str(rounds), "40"], capture_output=True, check=True, timeout=120)
    parts: dict[str, dict[str, float]] = json.loads(done.stdout)
    return parts


def measure(folder: Path, size: int, rounds: int, seconds: float) -> None:
    """Measure one size of catalog and print its table."""
    seed = write_seed(folder, size)
    with waitress(folder / f"served-{size}.json", seed) as port:
        rates = {
            page: [rate(port, f"{path}?{query}".rstrip("?"), seconds) for _ in range(rounds + 1)][1:]
            for page, (path, query) in PAGES.items()
        }
    parts = inside(folder / f"inside-{size}.json", seed, rounds)
    print(
        f"{size:,} books".ljust(24)
        + "requests/s  (from - to)      ms per request: all, read, search, cut, render, rest"
    )
    for page, samples in rates.items():
        spent = parts[page]
        shown = " ".join(f"{spent.get(part, 0.0):6.2f}" for part in ("all", "read", "search", "cut", "render", "rest"))
        span = f"({min(samples):,.0f} - {max(samples):,.0f})"
        print(f"  {page:22}{statistics.median(samples):10,.0f}  {span:18}{shown}")
    for page in ("search after a change", "add"):
        print(f"  {page:22}{'':30}{parts[page]['all']:6.2f}")


def main() -> None:
    """Measure catalogs of all sizes and print what each page costs; see measure()."""
    parser = argparse.ArgumentParser(prog="python -m grader.bench.catalog", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="at least 5 (default: 5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="per round (default: 0.5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="grader-bench-") as name:
        for size in SIZES:
            measure(Path(name), size, max(5, options.rounds), min(10.0, options.seconds))


if __name__ == "__main__":
    main()
