"""The kit's socket server as a process, for tests that talk to it with clients of other people."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KIT = Path(__file__).resolve().parents[3]
SOLUTION = KIT / "solutions" / "socket_server" / "http_server.py"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens: where, and what it wrote to standard error goes to `log`."""

    port: int
    pid: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running(root: Path, log: Path, *arguments: str, main: Path = SOLUTION) -> Iterator[Running]:
    """Start a server on a free port; it is ready when it prints its address, and is ended with SIGTERM."""
    command = [sys.executable, "-I", "-X", "utf8", str(main), "--port", "0", "--root", str(root), *arguments]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        match = re.search(r"http://127\.0\.0\.1:([0-9]+)/", line)
        assert match, f"it printed {line!r} and wrote {log.read_text(errors='replace')}"
        yield Running(int(match[1]), process.pid, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
