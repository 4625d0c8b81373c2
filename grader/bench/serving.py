"""How fast the model socket server is, beside others: `python -m grader.bench.serving [--rounds N] [--seconds S]`.

Each round drives every server once with wrk (one thread), in turn, so that a busy machine hurts all alike; medians of
the rounds. The loads: a file of 1 KB on connections that stay open, the same with a new connection for each request
(32 clients), and a file of 1 MB (4 clients) in both ways. The ratio is to `python -m http.server`. nginx, where it is
installed, is the limit of what native code does. In the end: the server's memory before and after many requests.
"""

from __future__ import annotations

import argparse
import contextlib
import mmap
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

KIT = Path(__file__).resolve().parents[2]
SOLUTION = KIT / "solutions" / "socket_server" / "http_server.py"
STATIC_APP = Path(__file__).with_name("static_app.py")
BASE = "http.server"
START_SECONDS = 10.0
NGINX = """daemon off; worker_processes 1; error_log /dev/null; pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{ access_log {folder}/access.log; sendfile on; keepalive_requests 1000000; types {{ text/plain txt; }}
client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
server {{ listen 127.0.0.1:{port} backlog=128; root {root}; }} }}
"""


@dataclass(frozen=True, slots=True)
class Load:
    """One way to ask: the file, the number of clients, whether each request has a connection of its own."""

    name: str
    file: str
    clients: int
    fresh: bool
    unit: str


LOADS = (
    Load("1 KB, kept alive", "small.txt", 32, False, "requests/s"),
    Load("1 KB, new connection each", "small.txt", 32, True, "requests/s"),
    Load("1 MB, kept alive", "large.bin", 4, False, "MB/s"),
    Load("1 MB, new connection each", "large.bin", 4, True, "MB/s"),
)


@dataclass
class Series:
    """What the rounds measured: the rate in the load's unit, the 99th percentile of the latency in ms, errors."""

    rates: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    errors: int = 0


def commands(port: int, root: Path, folder: Path) -> dict[str, list[str]]:
    """The servers and how each is started."""
    python = sys.executable
    found = {
        "this server": [python, str(SOLUTION), "--port", str(port), "--root", str(root)],
        BASE: [python, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(root)],
        "waitress": [python, str(STATIC_APP), "waitress", str(port), str(root)],
        "cheroot": [python, str(STATIC_APP), "cheroot", str(port), str(root)],
    }
    if nginx := shutil.which("nginx"):
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port, root=root), encoding="utf-8")
        found["nginx"] = [nginx, "-c", str(config), "-p", str(folder)]
    return found


@contextlib.contextmanager
def started(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The server as a process, ready; its log goes to /dev/null."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"this did not start: {' '.join(command)}")
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    """Whether a whole exchange works."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as sock:
            sock.sendall(b"GET /small.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return bool(sock.recv(1))
    except OSError:
        time.sleep(0.005)
        return False


def drive(port: int, load: Load, seconds: int, series: Series) -> None:
    """One measurement with wrk."""
    command = ["wrk", "-t1", f"-c{load.clients}", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{port}/{load.file}"]
    if load.fresh:
        command[1:1] = ["-H", "Connection: close"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 20, check=True).stdout
    requests = float(found[1]) if (found := re.search(r"Requests/sec: +([0-9.]+)", text)) else 0.0
    size = 1_000_000 if load.file == "large.bin" else 1
    series.rates.append(requests if load.unit == "requests/s" else requests * size / 1e6)
    if found := re.search(r"99% +([0-9.]+)(us|ms|s)", text):
        series.p99.append(float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]])
    for pattern in (r"Non-2xx or 3xx responses: ([0-9]+)", r"connect ([0-9]+)", r"read ([0-9]+)", r"timeout ([0-9]+)"):
        if found := re.search(pattern, text):
            series.errors += int(found[1])


def memory(process: subprocess.Popen[bytes]) -> int:
    """Resident memory in KiB (Linux)."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * (mmap.PAGESIZE // 1024)


def measure_memory(root: Path, folder: Path, port: int, requests: int) -> str:
    """The model server's memory before and after so many requests, half of them on new connections."""
    if shutil.which("ab") is None or not Path("/proc/self/statm").exists():
        return "memory: not measured here (it takes ab, and /proc)"
    with started(commands(port, root, folder)["this server"], port) as process:
        url = f"http://127.0.0.1:{port}/small.txt"
        load = ["ab", "-q", "-c", "32", "-n"]
        subprocess.run([*load, "2000", "-k", url], capture_output=True, timeout=60, check=True)
        before = memory(process)
        for extra in (["-k"], []):
            subprocess.run([*load, str(requests // 2), *extra, url], capture_output=True, timeout=300, check=True)
        after = memory(process)
    return f"memory after 2,000 requests {before:,} KiB, after {requests:,} more {after:,} KiB"


def table(load: Load, results: dict[str, Series]) -> str:
    """Medians as text, with ratios to http.server."""
    base = statistics.median(results[BASE].rates) or 1.0
    lines = [
        f"{load.name}  ({load.clients} clients)",
        f"  {'':14}{load.unit:>12}{'ratio':>8}{'p99 ms':>9}{'errors':>8}",
    ]
    for name, series in results.items():
        rate = statistics.median(series.rates)
        p99 = f"{statistics.median(series.p99):.1f}" if series.p99 else "-"
        lines.append(f"  {name:14}{rate:>12,.0f}{rate / base:>8.1f}{p99:>9}{series.errors:>8}")
    return "\n".join(lines)


def main() -> None:
    """Measure each server in turn, and print requests per second, latency (p99) and memory."""
    parser = argparse.ArgumentParser(prog="python -m grader.bench.serving", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="medians of this many rounds (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=1, help="length of one measurement (default %(default)s)")
    parser.add_argument("--requests", type=int, default=100_000, help="for the memory (default %(default)s)")
    parser.add_argument("--port", type=int, default=18080, help="first of the ports (default %(default)s)")
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("this benchmark needs wrk on PATH (Debian: apt-get install wrk)")
    with tempfile.TemporaryDirectory(prefix="grader-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        root = folder / "root"
        root.mkdir()
        (root / "small.txt").write_bytes(b"0123456789abcde\n" * 64)
        (root / "large.bin").write_bytes(bytes(range(250)) * 4000)
        folder.chmod(0o755)
        results: dict[Load, dict[str, Series]] = {load: {} for load in LOADS}
        ports = {}
        for number, server in enumerate(commands(args.port, root, folder)):
            ports[server] = args.port + number
            stack.enter_context(started(commands(ports[server], root, folder)[server], ports[server]))
        for _ in range(args.rounds):
            for load in LOADS:
                for server, port in ports.items():
                    drive(port, load, args.seconds, results[load].setdefault(server, Series()))
        for load in LOADS:
            print(table(load, results[load]), end="\n\n")
        print(measure_memory(root, folder, args.port + len(ports), args.requests))


if __name__ == "__main__":
    main()
