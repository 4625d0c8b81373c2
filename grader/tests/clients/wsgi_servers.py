"""The catalog behind the WSGI servers that people use: one command each, ready when it prints its address."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 20.0

VALIDATED = """
import sys
from wsgiref.simple_server import make_server
from wsgiref.validate import validator
sys.path.insert(0, ".")
from main import application
server = make_server("127.0.0.1", 0, validator(application))
print(f"http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()
"""

# waitress says which port it took by its logger only.
COMMANDS: dict[str, Sequence[str]] = {
    "wsgiref": ("main.py", "--port", "0", "--db", "{db}"),
    "validate": ("-c", VALIDATED),
    "waitress": ("-m", "waitress", "--listen=127.0.0.1:0", "main:application"),
    "gunicorn": ("-m", "gunicorn", "--bind=127.0.0.1:0", "--workers=2", "--no-control-socket", "main:application"),
}


@contextmanager
def serving(name: str, folder: Path, db: Path, seed: Path) -> Iterator[str]:
    """The address of the catalog in `folder` behind the server `name`, "http://127.0.0.1:PORT"."""
    arguments = [argument.format(db=db) if "{db}" in argument else argument for argument in COMMANDS[name]]
    with running([sys.executable, *arguments], folder, db, seed) as (address, _):
        yield address


@contextmanager
def running(
    command: Sequence[str], folder: Path, db: Path, seed: Path
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server process and the address it printed. It is ended, with its workers, in any case."""
    environment = {**os.environ, "CATALOG_DB": str(db), "CATALOG_SEED": str(seed), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    printed: list[bytes] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            printed.append(line)
            if re.search(rb"http://127\.0\.0\.1:[0-9]+", line):
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        ready.wait(START_SECONDS)
        found = re.search(rb"http://127\.0\.0\.1:[0-9]+", b"".join(printed))
        assert found, f"no address among: {b''.join(printed).decode('utf-8', 'replace')}"
        yield found[0].decode(), process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        reader.join(10)
        if process.stdout is not None:
            process.stdout.close()
