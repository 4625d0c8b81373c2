"""Linux: on which addresses a process tree listens, and what it holds, read from /proc without touching its sockets.

Elsewhere these are unknown (None), and a server's readiness is shown by the first exchange that works.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from grader.sandbox.processes import descendants, resident

LISTEN = "0A"
NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST = 4, 20, 1
HEADER, RQUEUE = 16, 72  # offsets in bytes: the end of struct nlmsghdr, and idiag_rqueue after it
ANY = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Address:
    """A listening TCP socket: its address as text ("127.0.0.1", "0.0.0.0", "::") and port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a process tree holds: open descriptors, threads, processes below the first, resident memory in KiB."""

    descriptors: int
    threads: int
    children: int
    memory: int

    def __str__(self) -> str:
        return (
            f"{self.descriptors} descriptors, {self.threads} threads, {self.children} child processes, "
            f"{self.memory // 1024} MiB"
        )


def addresses(pid: int) -> list[Address] | None:
    """Where the process and its descendants listen; None where that cannot be known."""
    if sys.platform != "linux":
        return None
    inodes = {inode for each in [pid, *descendants(pid)] for inode in _socket_inodes(each)}
    return [address for inode, address in _listening() if inode in inodes]


def holdings(pid: int) -> Holdings | None:
    """What the process and its descendants hold; None where that cannot be known."""
    if sys.platform != "linux":
        return None
    descriptors = threads = memory = 0
    tree = [pid, *descendants(pid)]
    for each in tree:
        with contextlib.suppress(OSError):
            descriptors += sum(1 for _ in Path(f"/proc/{each}/fd").iterdir())
            threads += sum(1 for _ in Path(f"/proc/{each}/task").iterdir())
        memory += resident(each)
    return Holdings(descriptors, threads, len(tree) - 1, memory >> 10)


def command_lines(pid: int) -> list[str]:
    """The command lines of the descendants of a process, zombies left out; [] where that cannot be known."""
    lines = []
    for each in descendants(pid) if sys.platform == "linux" else []:
        with contextlib.suppress(OSError):
            if words := Path(f"/proc/{each}/cmdline").read_bytes():
                lines.append(words.replace(b"\0", b" ").decode("utf-8", "replace").strip())
    return lines


def unread(server_port: int, client_port: int) -> int | None:
    """How many bytes of a local client the server has not read yet; None where that cannot be known.

    Asks the kernel for that one socket (sock_diag(7)): /proc/net/tcp lists thousands after a load test.
    """
    if sys.platform != "linux":
        return None
    loopback = socket.inet_aton("127.0.0.1").ljust(16, b"\0")
    ports = struct.pack("!HH", server_port, client_port)
    which = ports + loopback + loopback + struct.pack("=III", 0, ANY, ANY)
    request = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, ANY) + which
    header = struct.pack("=IHHII", HEADER + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(0.1)
            netlink.send(header + request)
            answer = netlink.recv(4096)
    except OSError:
        return None
    if len(answer) < RQUEUE + 4 or struct.unpack_from("=H", answer, 4)[0] != SOCK_DIAG_BY_FAMILY:
        return None
    return int(struct.unpack_from("=I", answer, RQUEUE)[0])


def _socket_inodes(pid: int) -> set[str]:
    inodes = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(descriptor.readlink())
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    return inodes


def _listening() -> list[tuple[str, Address]]:
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                words = line.split()
                if words[3] == LISTEN:
                    host, _, port = words[1].partition(":")
                    found.append((words[9], Address(_host(host), int(port, 16))))
    return found


def _host(digits: str) -> str:
    """The kernel's hex, in the byte order of the machine, as an address: 0100007F -> 127.0.0.1."""
    words = [bytes.fromhex(digits[at : at + 8]) for at in range(0, len(digits), 8)]
    raw = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)
