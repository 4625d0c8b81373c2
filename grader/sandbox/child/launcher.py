"""The first code that runs in a child: take on the limits, then become the student's program.

Started as `python -I -S -B -X utf8 launcher.py CONFIG`, where CONFIG is a dict (marshal, in hex digits: a JSON
reader or `typing` would cost as much as the interpreter's own start, and every CGI request pays for a start):

    main     path of the file to run as __main__        argv     its arguments
    path     folders to append to sys.path              limits   [[name of an RLIMIT_*, soft, hard], ...]
    landlock descriptor of a ruleset, or null            uid      user to become, or null
    filter   a seccomp program, or b""                   own      what stands in it for this process's id
    refused  modules that the program may not import

It ends in the same interpreter (no second start): the program sees itself as __main__ with its own
sys.argv and __file__, as if the interpreter had been started on it.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal itself would cost every start an enum
import _thread
import builtins
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PR_SET_KEEPCAPS = 8
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
INSTRUCTION = 8  # bytes
STACK = 1 << 20  # bytes of each thread
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SYS_LANDLOCK_RESTRICT_SELF = 446  # the same number on every architecture
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522
# Audit events whose first two arguments are a program and its arguments, or a line for the shell.
COMMANDS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system")


def main() -> None:
    """Read CONFIG, take on its limits, run its program. OSError where a limit cannot be had."""
    config = marshal.loads(bytes.fromhex(sys.argv[1]))
    _limit(config["limits"])
    if config["landlock"] is not None or config["uid"] is not None or config["filter"]:
        own, pid = (number.to_bytes(4, sys.byteorder) for number in (config["own"], os.getpid()))
        _confine(config["landlock"], config["uid"], config["filter"].replace(own, pid))
    # A grader in the background ignores Ctrl-C, and so would all that it starts.
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
    # RLIMIT_DATA counts a thread's stack as a whole. The usual 8 MiB would bound a server to some ninety threads.
    _thread.stack_size(STACK)
    # -S leaves these two out; programs written for people may use them.
    import _sitebuiltins

    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D"))
    if config["refused"]:
        sys.addaudithook(Refusal(tuple(config["refused"])))  # unlike a finder, it cannot be taken out again
    sys.path.extend(config["path"])
    sys.argv = config["argv"]
    _run(config["main"])


class Refusal:
    """Refuses some modules to the program, however it asks for them; Python's own code may load them.

    The audit event "import" covers the statement and __import__; importlib and runpy raise none, but whatever loads a
    module runs its code, which is the event "exec". Another interpreter has no such hook: no command may name one of
    the modules, and nothing takes the place of the program itself. Whoever hides the name finds a way; this guards a
    rule, it is no wall.
    """

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._modules = modules
        self._library = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120  (pathlib costs 10 ms of every start)
        self._bases = {self._library + module.replace(".", os.sep): module for module in modules}
        self._pid = os.getpid()
        self._ways = ("<frozen importlib", "<frozen runpy", self._library + "importlib", self._library + "runpy")

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "import":
            name = args[0]
            refused = any(name == module or name.startswith(module + ".") for module in self._modules)
        elif event == "exec" and hasattr(args[0], "co_filename"):
            file = args[0].co_filename
            name = next((m for base, m in self._bases.items() if file.startswith((base + ".py", base + os.sep))), "")
            refused = bool(name)
        elif event in COMMANDS:
            if event == "os.exec" and os.getpid() == self._pid:
                raise PermissionError("this exercise's program may start others, but not become another")
            # A path is one word: the folder of a course may have the name of a module.
            words = "".join(char if char.isalnum() or char in "._/\\" else " " for char in repr(args[:2])).split()
            if name := next((word for word in words if word in self._modules), ""):
                raise PermissionError(f"{name} is not among the modules that this exercise allows")
            return
        else:
            return
        if refused and not self._asked_by_the_library():
            raise ImportError(f"{name} is not among the modules that this exercise allows")

    def _asked_by_the_library(self) -> bool:
        frame = sys._getframe(2)
        while frame.f_back and frame.f_code.co_filename.startswith(self._ways):
            frame = frame.f_back
        return frame.f_code.co_filename.startswith(self._library)


def _limit(limits: list[list[Any]]) -> None:
    if sys.platform == "win32" or not limits:
        return
    import resource

    for name, soft, hard in limits:
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        _, ceiling = resource.getrlimit(kind)
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        resource.setrlimit(kind, (soft, hard))


def _confine(landlock: int | None, uid: int | None, filter_program: bytes) -> None:
    if sys.platform != "linux":
        raise OSError("confinement is for Linux")
    # The package `ctypes` would take as long to import as half the interpreter's own start; its core does not.
    import _ctypes

    class Int(_ctypes._SimpleCData):  # type: ignore[misc, type-arg, unused-ignore]
        _type_ = "i"

    class Function(_ctypes.CFuncPtr):  # type: ignore[misc, unused-ignore]
        _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
        _restype_ = Int

    class Libc:
        _handle = _ctypes.dlopen(None, 0)  # type: ignore[arg-type, unused-ignore]

    libc = Libc()
    prctl, capset, syscall = (
        Function((name, libc))  # type: ignore[arg-type, unused-ignore]
        for name in ("prctl", "capset", "syscall")
    )

    def must(result: int, what: str) -> None:
        if result < 0:
            raise OSError(_ctypes.get_errno(), f"{what}: {os.strerror(_ctypes.get_errno())}")

    if uid is not None:
        # Root gives itself up. One capability stays, to read files only: the interpreter may be installed in a
        # folder that nobody else can enter, and what may be read is decided by the Landlock rules below.
        must(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "PR_SET_KEEPCAPS")
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        mask = 1 << CAP_DAC_READ_SEARCH
        header = _words(CAPABILITY_VERSION_3, 0)
        data = _words(mask, mask, mask, 0, 0, 0)
        must(capset(header, data), "capset")
        must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0), "PR_CAP_AMBIENT")
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    if landlock is not None:
        must(syscall(SYS_LANDLOCK_RESTRICT_SELF, landlock, 0), "landlock_restrict_self")
        os.close(landlock)
    if filter_program:

        class Char(_ctypes._SimpleCData):  # type: ignore[misc, type-arg, unused-ignore]
            _type_ = "c"

        class Program(_ctypes.Array):  # type: ignore[misc, type-arg, unused-ignore]
            _type_, _length_ = Char, len(filter_program)

        program = Program.from_buffer_copy(filter_program)
        # struct sock_fprog: the number of instructions, padding, the address of the first.
        count, address = len(filter_program) // INSTRUCTION, _ctypes.addressof(program)
        fprog = count.to_bytes(8, "little") + address.to_bytes(8, "little")
        must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog, 0, 0), "PR_SET_SECCOMP")


def _words(*numbers: int) -> bytes:
    """32-bit words as the kernel reads them."""
    return b"".join(number.to_bytes(4, sys.byteorder) for number in numbers)


def _run(path: str) -> None:
    with open(path, "rb") as file:  # noqa: PTH123  (pathlib costs 10 ms of every start)
        code = compile(file.read(), path, "exec", dont_inherit=True)
    # A module of its own: what the program calls its names must not reach the functions of this file.
    module = type(sys)("__main__")
    module.__dict__.update(__file__=path, __builtins__=builtins, __annotations__={}, __cached__=None)
    sys.modules["__main__"] = module
    exec(code, module.__dict__)


if __name__ == "__main__":
    main()
