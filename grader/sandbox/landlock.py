"""Linux: a Landlock ruleset that lets a child read the interpreter, write in its own folders, and use its own port.

Landlock needs no privilege, no other program and no namespace: a process gives up rights for itself and for all that
it starts. The judge builds the ruleset once; each child restricts itself with it before the first line of the
submission runs. See the kernel's userspace-api/landlock documentation for the structures.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
import sys
from pathlib import Path

SYS_CREATE_RULESET, SYS_ADD_RULE = 444, 445
CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH, RULE_NET_PORT = 1, 2

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
ALL_FS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
BIND_TCP, CONNECT_TCP = 1, 2
SCOPE_ABSTRACT_SOCKET, SCOPE_SIGNAL = 1, 2

READ = EXECUTE | READ_FILE | READ_DIR

# What programs of the standard library look up outside their own folders: names, time zones, media types. Not the whole
# of /usr and /opt, where somebody may have put a course.
SYSTEM_READ = (
    "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/share", "/usr/local/lib",
    "/lib", "/lib32", "/lib64", "/bin", "/sbin",
    "/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/mime.types", "/etc/hosts", "/etc/host.conf",
    "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/protocols", "/etc/services", "/etc/gai.conf", "/etc/passwd",
    "/etc/group", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/alternatives", "/dev/urandom", "/dev/random",
    "/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/sys",
)  # fmt: skip
# Semaphores of multiprocessing are files in /dev/shm, made with a name that the C library chooses.
SYSTEM_WRITE = ("/dev/null", "/dev/zero", "/dev/full", "/dev/shm")


def abi() -> int:
    """The kernel's Landlock version, 0 where there is none."""
    if sys.platform != "linux":
        return 0
    version = int(_libc().syscall(SYS_CREATE_RULESET, None, ctypes.c_size_t(0), CREATE_RULESET_VERSION))
    return max(version, 0)


def create_ruleset(read: tuple[Path, ...], write: tuple[Path, ...], ports: tuple[int, ...] | None) -> int:
    """A descriptor of a ruleset, for the launcher. Raises OSError where the kernel refuses.

    `read` and `write` are taken as they are: a symbolic link that has come into the place of one is refused, because
    an earlier child may have put it there. No child may be able to rename a folder above them.
    `ports` are the TCP ports that may be bound and connected to (kernel 6.7 and newer); None leaves TCP alone.
    """
    version = abi()
    handled_fs = ALL_FS[min(max(version, 1), 5)]
    handled_net = (BIND_TCP | CONNECT_TCP) if version >= 4 and ports is not None else 0
    scoped = (SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL) if version >= 6 else 0
    attributes = struct.pack("=QQQ", handled_fs, handled_net, scoped)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    libc = _libc()
    ruleset = int(libc.syscall(SYS_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0))
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    try:
        for paths, follow, access in (
            (SYSTEM_READ, True, READ & handled_fs),
            (map(str, read), False, READ & handled_fs),
            (SYSTEM_WRITE, True, handled_fs),
            (map(str, write), False, handled_fs),
        ):
            for path in paths:
                _allow_path(libc, ruleset, path, access, follow)
        for port in (ports or ()) if handled_net else ():
            _add_rule(libc, ruleset, RULE_NET_PORT, struct.pack("=QQ", BIND_TCP | CONNECT_TCP, port))
    except OSError:
        os.close(ruleset)
        raise
    os.set_inheritable(ruleset, True)
    return ruleset


def _allow_path(libc: ctypes.CDLL, ruleset: int, path: str, access: int, follow: bool) -> None:
    # Some fifty paths for each child: no detour through pathlib.
    flags = getattr(os, "O_PATH", 0) | getattr(os, "O_CLOEXEC", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, flags)
        try:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISLNK(mode):
                raise OSError(errno.ELOOP, "a symbolic link came into the place of what a program may open", path)
            rights = access if stat.S_ISDIR(mode) else access & ON_FILES
            _add_rule(libc, ruleset, RULE_PATH_BENEATH, struct.pack("=Qi", rights, descriptor))
        finally:
            os.close(descriptor)


def _add_rule(libc: ctypes.CDLL, ruleset: int, kind: int, attributes: bytes) -> None:
    if libc.syscall(SYS_ADD_RULE, ruleset, kind, attributes, 0) < 0:
        raise OSError(ctypes.get_errno(), "landlock_add_rule")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
