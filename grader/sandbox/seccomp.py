"""Linux: a filter of system calls that a child puts on itself: what Landlock does not refuse, and no honest
program does.

The kernel runs a small program (classic BPF) before each system call; it sees the number and the six arguments as
numbers, never what a pointer points to. So a path cannot be judged here, only a kind of call. See the kernel's
userspace-api/seccomp_filter documentation, and seccomp(2) for the structures. The launcher installs it.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
from functools import cache

PR_SET_SECCOMP, MODE_FILTER = 22, 2
LOAD, EQUALS, AT_LEAST, ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
X32 = 0x40000000  # the bit of a second set of call numbers on x86_64

AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10
SOCK_STREAM, SOCK_KIND, IPPROTO_TCP = 1, 0xF, 6
MSG_FASTOPEN = 0x20000000  # connects without connect(), which is all that Landlock looks at
NEW_NAMESPACES = 0x7E020000  # CLONE_NEW*: a namespace of its own would give a child privileges in there
PRIO_PROCESS, IOPRIO_WHO_PROCESS = 0, 1
# From 3.14 on, multiprocessing starts its processes over a socket in the file system.
UNIX_SOCKETS = sys.version_info >= (3, 14)

# Stands for the child's own process id, which only the launcher knows; no process has this number.
OWN_PID = 0x7FFFFFF1

# Numbers of the calls: x86_64, aarch64.
REFUSED = {
    "shmget": (29, 194), "shmat": (30, 196), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "mount": (165, 40), "umount2": (166, 39), "unshare": (272, 97), "setns": (308, 268), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "inotify_add_watch": (254, 27), "fanotify_init": (300, 262), "fanotify_mark": (301, 263),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
}  # fmt: skip
JUDGED = {
    "socket": (41, 198), "socketpair": (53, 199), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    "prlimit64": (302, 261), "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119), "sched_setaffinity": (203, 122), "sched_setattr": (314, 274),
    "clone": (56, 220), "clone3": (435, 435),
}  # fmt: skip
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH_*

Instruction = tuple[int, int, int, int]


@cache
def supported() -> bool:
    """Whether this kernel takes filters and this processor's call numbers are known."""
    if sys.platform != "linux" or platform.machine() not in MACHINES or sys.maxsize < 1 << 32:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    # Without a program nothing can be installed; a kernel that has filters complains of the pointer (seccomp(2)).
    libc.prctl(PR_SET_SECCOMP, MODE_FILTER, None, 0, 0)
    return ctypes.get_errno() == errno.EFAULT


@cache
def program() -> bytes:
    """The filter for this machine, with OWN_PID where the process id belongs; b"" where none is known."""
    if not supported():
        return b""
    column, architecture = MACHINES[platform.machine()]
    # 32-bit code has other numbers for the same calls.
    code = [_load(ARCHITECTURE), (EQUALS, 1, 0, architecture), _refuse(errno.EPERM), _load(NUMBER)]
    if column == 0:
        code += [_when(AT_LEAST, X32, 1), _refuse(errno.EPERM)]
    for numbers in REFUSED.values():
        code += [_when(EQUALS, numbers[column], 1), _refuse(errno.EPERM)]
    for name, numbers in JUDGED.items():
        block = _block(name)
        code += [_when(EQUALS, numbers[column], len(block)), *block]
    code.append(_allow())
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _block(name: str) -> list[Instruction]:
    """What decides about one call; every way through it ends in an answer."""
    match name:
        case "socket":
            # TCP alone: no datagram leaves, no other protocol gets around Landlock's rules for ports, and no service
            # of this machine that listens in the file system is spoken to.
            domains = (AF_INET, AF_INET6, AF_UNIX) if UNIX_SOCKETS else (AF_INET, AF_INET6)
            kind = _require(1, (SOCK_STREAM,), errno.EACCES, SOCK_KIND)
            return [*_require(0, domains, errno.EACCES), *kind, *_require(2, (0, IPPROTO_TCP), errno.EACCES), _allow()]
        case "socketpair":
            return [*_require(1, (SOCK_STREAM,), errno.EACCES, SOCK_KIND), _allow()]
        case "sendto" | "sendmmsg":
            return [*_refuse_bits(3, MSG_FASTOPEN, errno.EACCES), _allow()]
        case "sendmsg":
            return [*_refuse_bits(2, MSG_FASTOPEN, errno.EACCES), _allow()]
        case "prlimit64":
            # Without new limits (a null pointer, both halves of it) it only asks.
            asks = [_load_argument(2), _when(EQUALS, 0, 3), _load_argument(2, 4), _when(EQUALS, 0, 1), _allow()]
            return [*asks, *_require(0, (0, OWN_PID)), _allow()]
        case "setpriority":
            return [*_require(0, (PRIO_PROCESS,)), *_require(1, (0, OWN_PID)), _allow()]
        case "ioprio_set":
            return [*_require(0, (IOPRIO_WHO_PROCESS,)), *_require(1, (0, OWN_PID)), _allow()]
        case "sched_setparam" | "sched_setscheduler" | "sched_setaffinity" | "sched_setattr":
            return [*_require(0, (0, OWN_PID)), _allow()]
        case "clone":
            return [*_refuse_bits(0, NEW_NAMESPACES), _allow()]
        case "clone3":
            return [_refuse(errno.ENOSYS)]  # its flags lie in memory; the C library then takes clone()
        case _:
            raise KeyError(name)


def _require(argument: int, values: tuple[int, ...], refusal: int = errno.EPERM, mask: int = 0) -> list[Instruction]:
    """Go on when the argument (its bits in `mask`) is one of the values."""
    masked = [(AND, 0, 0, mask)] if mask else []
    tests = [(EQUALS, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [_load_argument(argument), *masked, *tests, _refuse(refusal)]


def _refuse_bits(argument: int, bits: int, refusal: int = errno.EPERM) -> list[Instruction]:
    """Go on when the argument has none of these bits."""
    return [_load_argument(argument), _when(ANY_BIT, bits, 1), _refuse(refusal)]


def _load(offset: int) -> Instruction:
    return LOAD, 0, 0, offset


def _load_argument(number: int, half: int = 0) -> Instruction:
    return _load(ARGUMENTS + 8 * number + half)  # 64 bits each, the lower half first on both processors


def _when(test: int, value: int, count: int) -> Instruction:
    """The next `count` instructions are for when the test holds."""
    return test, 0, count, value


def _refuse(number: int) -> Instruction:
    return RETURN, 0, 0, ERRNO | number


def _allow() -> Instruction:
    return RETURN, 0, 0, ALLOW
