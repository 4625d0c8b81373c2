"""What the filter of system calls refuses, and what honest programs go on doing under it."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest

from grader.sandbox import seccomp
from grader.tests.sandbox.stage import run, stage

pytestmark = pytest.mark.skipif(not seccomp.supported(), reason="no filter for this system")

REFUSED = {
    "UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "UDP that does not block": "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)",
    "raw": "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)",
    "multipath TCP": "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)",
    "SCTP": "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)",
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)",
    "packets": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)",
    "a pair of datagram sockets": "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "connecting by sendto": "socket.socket().sendto(b'x', 0x20000000, ('127.0.0.1', 9))",
    "connecting by sendmsg": "socket.socket().sendmsg([b'x'], [], 0x20000000, ('127.0.0.1', 9))",
    "a limit of the parent": "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3))",
    "the parent's processor": "os.sched_setaffinity(os.getppid(), {0})",
    "the parent's turn": "os.sched_setscheduler(os.getppid(), os.SCHED_IDLE, os.sched_param(0))",
    "the parent's priority": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "all priorities of a user": "os.setpriority(os.PRIO_USER, 0, 19)",
    "the parent's disk": "call('ioprio_set', 1, os.getppid(), 3 << 13)",
    "shared memory of System V": "call('shmget', 0x5eed, 4096, 0o1666)",
    "semaphores of System V": "call('semget', 0x5eed, 1, 0o1666)",
    "queues of System V": "call('msgget', 0x5eed, 0o1666)",
    "a trace of the parent": "call('ptrace', 16, os.getppid(), 0, 0)",
    "io_uring": "call('io_uring_setup', 8, ctypes.create_string_buffer(256))",
    "a user namespace": "call('unshare', 0x10000000)",
    "watching a folder": "call('inotify_add_watch', 0, b'/tmp', 0xfff)",
    "a file by its handle": "call('open_by_handle_at', -1, ctypes.create_string_buffer(64), 0)",
    "an attribute of a file": "os.setxattr('own', 'user.x', b'1')",
}
NUMBERS = {**seccomp.REFUSED, **seccomp.JUDGED}
PROGRAM = """
import ctypes, os, platform, resource, socket, sys
NUMBERS = {numbers!r}
def call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    number = NUMBERS[name][("x86_64", "aarch64").index(platform.machine())]
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), name)
os.chdir(os.environ["HOME"])
open("own", "w").close()
for name, action in {actions!r}.items():
    try:
        eval(action)
        print(name, "was allowed")
    except PermissionError:
        pass
    except OSError as error:
        print(name, error)
print("done")
"""


def test_what_the_filter_refuses(tmp_path: Path, isolation: str) -> None:
    ran = run(stage(tmp_path, isolation, main=PROGRAM.format(numbers=NUMBERS, actions=REFUSED)))
    assert ran.stdout == "done\n", ran.stderr


@pytest.mark.skipif(seccomp.UNIX_SOCKETS, reason="this Python needs them itself")
def test_no_service_in_the_file_system_is_spoken_to(tmp_path: Path, isolation: str) -> None:
    ran = run(stage(tmp_path, isolation, main="import socket\nsocket.socket(socket.AF_UNIX)"))
    assert "PermissionError" in ran.stderr


def test_a_null_pointer_is_null_in_both_halves(tmp_path: Path, isolation: str) -> None:
    """New limits at an address whose lower half is zero are new limits."""
    actions = {"prlimit": "call('prlimit64', os.getppid(), 7, ctypes.c_void_p(1 << 32), None)"}
    ran = run(stage(tmp_path, isolation, main=PROGRAM.format(numbers=NUMBERS, actions=actions)))
    assert ran.stdout == "done\n", ran.stderr


HONEST = """
import asyncio, concurrent.futures, multiprocessing, os, resource, selectors, shutil, socket, ssl, subprocess, sys
import tempfile, threading

def square(number):
    return number * number

def pool():
    with multiprocessing.Pool(2) as workers:
        assert workers.map(square, [1, 2, 3]) == [1, 4, 9]

def executor():
    with concurrent.futures.ProcessPoolExecutor(2) as workers:
        assert list(workers.map(square, [1, 2])) == [1, 4]

async def stream():
    process = await asyncio.create_subprocess_exec(sys.executable, "-I", "-c", "print(1)", stdout=-1)
    assert (await process.communicate())[0] == b"1\\n"

def main():
    assert socket.getaddrinfo("localhost", 80)
    socket.getfqdn(), socket.gethostbyname("localhost")
    asyncio.run(stream())
    one, two = socket.socketpair()
    one.sendall(b"x")
    assert two.recv(1) == b"x"
    with multiprocessing.Lock():
        pass
    pool()
    executor()
    assert subprocess.run([sys.executable, "-I", "-c", "print(1)"], capture_output=True).stdout == b"1\\n"
    thread = threading.Thread(target=selectors.DefaultSelector)
    thread.start()
    thread.join()
    os.chdir(os.environ["HOME"])
    open("a", "w").write("x")
    shutil.copy2("a", "b")
    os.chmod("a", 0o600)
    os.utime("a")
    os.replace("a", "c")
    with tempfile.NamedTemporaryFile(dir=".") as file:
        file.write(b"x")
    os.nice(1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    resource.prlimit(os.getpid(), resource.RLIMIT_NOFILE, (90, 100))
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    ssl.create_default_context()
    print("done")

if __name__ == "__main__":
    main()
"""


def test_honest_programs_notice_nothing(tmp_path: Path, isolation: str) -> None:
    ran = run(stage(tmp_path, isolation, main=HONEST))
    assert (ran.stdout, ran.code) == ("done\n", 0), ran.stderr


def test_an_unknown_processor_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert seccomp.supported.__wrapped__() is False


@pytest.mark.parametrize("machine", seccomp.MACHINES)
def test_every_jump_of_the_filter_lands_inside_it(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that of the processor that this is not: whoever runs there finds out by a program that does not start."""
    monkeypatch.setattr("platform.machine", lambda: machine)
    code = list(struct.iter_unpack("=HBBI", seccomp.program.__wrapped__()))
    assert len(code) < 4096
    for place, (operation, holds, fails, _) in enumerate(code):
        if operation in (seccomp.EQUALS, seccomp.AT_LEAST, seccomp.ANY_BIT):
            assert place + 1 + max(holds, fails) < len(code)
    assert code[-1] == (seccomp.RETURN, 0, 0, seccomp.ALLOW)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root has a user to give up")
def test_a_child_of_root_is_nobody_in_every_isolation(tmp_path: Path, isolation: str) -> None:
    ran = run(stage(tmp_path, isolation, main="import os\nprint(os.getresuid() == (0, 0, 0), os.getgroups())"))
    assert ran.stdout == "False []\n", ran.stderr


FORGE = """
import os
for number in range(64):
    try:
        os.open(f"/proc/{os.getppid()}/fd/{number}", os.O_WRONLY | os.O_NONBLOCK)
        print("opened", number)
    except (PermissionError, FileNotFoundError):
        pass
print("done")
"""


def test_a_child_never_opens_the_pipes_of_its_judge(tmp_path: Path, isolation: str, subreaper: None) -> None:
    assert run(stage(tmp_path, isolation, main=FORGE)).stdout == "done\n"
