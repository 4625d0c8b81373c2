"""What a program may try against the machinery around it: the worker, the judge, the machine, its neighbours.

Each is tried by a program that is otherwise a stub. None may earn a point, break a result, keep anybody waiting, or
leave a process, a folder or a byte of shared memory behind.
"""
# ruff: noqa: E501  (a program in a line is easier to compare than one in three)

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import pytest

from grader.sandbox.isolation import landlock_holds
from grader.sandbox.processes import descendants
from grader.tests.grading.specimens import RUN_STUB, grade_source, verdicts

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the attacks are written for Linux")

SECONDS = 60.0
BEFORE = {  # these run before the stub, in each process that is started on it
    "signals to all": (
        "import os, signal\nif os.geteuid() >= 200_000:\n    os.kill(-1, signal.SIGKILL)\n"
        "for number in (signal.SIGTERM, signal.SIGXCPU, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)\n"
    ),
    "the judge's death by its own input": (
        "import fcntl, os\nreading, writing = os.pipe()\nfcntl.fcntl(reading, fcntl.F_SETOWN, os.getppid())\n"
        "fcntl.fcntl(reading, 10, 9)\nfcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC)\nos.write(writing, b'x')\n"
    ),
    "a handle on the judge": (
        "import os, signal\nhandle = os.pidfd_open(os.getppid())\nsignal.pidfd_send_signal(handle, signal.SIGCONT)\n"
    ),
    "the judge's memory": "open(f'/proc/{__import__(\"os\").getppid()}/mem', 'r+b')\n",
    "no stack left": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef down(): return down()\n"
        "class Deep:\n    def __getattr__(self, name): return getattr(self, name + 'x')\ngetattr(Deep(), 'x')\n"
    ),
    "a crash": "import ctypes\nctypes.string_at(8)\n",
    "folders that nobody may enter": (
        "import os\nhome = os.environ['HOME']\nos.chdir(home)\n"
        "for number in range(50):\n    os.makedirs(f'{number}/a/\\n/b', exist_ok=True)\n"
        "    open(os.fsencode(f'{number}/a/') + b'\\xff\\xfe', 'w').close()\n    os.chmod(f'{number}/a', 0)\n"
        "for name in os.listdir(home):\n    os.chmod(name, 0)\nos.chmod(home, 0)\n"
    ),
    "its own folder gone": (
        "import os, shutil\nshutil.rmtree(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), True)\n"
        "os.path.exists('.') or print('gone')\n"
    ),
    "a pipe in its own place": "import os\nos.unlink(__file__)\nos.mkfifo(__file__)\n",
    "an endless file in its own place": "import os\nos.unlink(__file__)\nos.symlink('/dev/zero', __file__)\n",
    "listeners that stay": (
        "import os, socket, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        kept = []\n        for _ in range(50):\n            kept.append(socket.socket())\n"
        "            kept[-1].bind(('127.0.0.1', 0))\n            kept[-1].listen()\n        time.sleep(600)\n    os._exit(0)\n"
    ),
    "forks without end": (
        "import os, time\ndeadline = time.monotonic() + 3\nfor _ in range(200):\n    try:\n        if os.fork() == 0:\n"
        "            while time.monotonic() < deadline: pass\n            time.sleep(600)\n    except OSError:\n        break\n"
    ),
    "a namespace and a better user": (
        "import os\nos.setgroups([])\nos.setuid(0)\nopen('/etc/grader-was-here', 'w').close()\n"
    ),
    "programs that run as somebody else": "import subprocess\nsubprocess.run(['su', '-c', 'touch /grader-was-here'], timeout=2)\n",
    "a flood on both streams": (
        "import sys, threading\ndef flood(stream):\n    for _ in range(3000): stream.write('x' * 65536)\n"
        "threading.Thread(target=flood, args=(sys.stderr,)).start()\nflood(sys.stdout)\n"
    ),
    "a wait at the end": "import atexit, time\natexit.register(time.sleep, 600)\n",
    "a profile and a trace": "import sys, threading\nsys.setprofile(lambda *a: 1 // 0)\nthreading.setprofile(lambda *a: 1 // 0)\n",
    "a module in the place of each of the kit's": (
        "import sys, types\nfor name in ('json', 'os', 'sys', 're', '__main__', '_grader_plain'):\n"
        "    sys.modules[name] = types.ModuleType(name)\n"
    ),
    "files in shared memory": (
        "import os\nif os.geteuid() >= 200_000:\n    os.makedirs('/dev/shm/grader-attack/deep')\n"
        "    for number in range(5):\n        open(f'/dev/shm/grader-attack/deep/{number}', 'wb').write(bytes(1 << 20))\n"
    ),
    "memory in many processes": (
        "import os, time\nfor _ in range(40):\n    if os.fork() == 0:\n        kept = b'x' * (300 << 20)\n"
        "        time.sleep(600)\ntime.sleep(600)\n"
    ),
    "memory that is shared": (
        "import mmap, time\nkept = [mmap.mmap(-1, 1 << 30) for _ in range(6)]\nfor each in kept:\n"
        "    for at in range(0, 1 << 30, 4096): each[at] = 1\ntime.sleep(600)\n"
    ),
    "files without end": (
        "import os\nfor number in range(10**6):\n"
        "    with open(os.environ['HOME'] + f'/{number}', 'wb') as file: file.write(bytes(32 << 20))\n"
    ),
    "names without end": "import os\nfor number in range(10**9): os.mkdir(os.environ['HOME'] + f'/{number}')\n",
}
INSTEAD = {  # these take the place of a function
    "lying built-ins": (
        "import builtins, json\nfor name in ('isinstance', 'type', 'len', 'hasattr', 'getattr', 'callable', 'repr', 'str'):\n"
        "    setattr(builtins, name, lambda *a, **k: True)\n"
        "json.loads = json.dumps = lambda *a, **k: '{\"value\": true}'\ndef backwards(text): return text\n"
    ),
    "the request turned into the answer": (
        "import inspect, sys\ndef backwards(text):\n    for info in inspect.stack():\n"
        "        for name in ('expected', 'want', 'wanted', 'answer'):\n"
        "            if name in info.frame.f_locals: return info.frame.f_locals[name]\n"
        "        info.frame.f_locals.get('request', {})['call'] = 'str'\n    return text\n"
    ),
    "an encoder of its own": (
        "import sys\nframe = sys._getframe()\nwhile frame and 'plain' not in frame.f_locals: frame = frame.f_back\n"
        "if frame: frame.f_locals['plain'].encode = lambda *a: {'o': ['Any', {'__eq__': 1}]}\n"
        "def backwards(text): return text\n"
    ),
    "subclasses that lie": (
        "class Liar(str):\n    __eq__ = lambda *a: True\n    __ne__ = lambda *a: False\n    __hash__ = str.__hash__\n"
        "    __str__ = __repr__ = __index__ = lambda self: 'cba'\n    def __getattribute__(self, name): return 'cba'\n"
        "def backwards(text): return Liar('x')\n"
    ),
    "half a character": "def backwards(text): return '\\ud800\\x1b[2J' + chr(0x10ffff)\n",
    "a number that is none": "from decimal import Decimal\ndef backwards(text): return Decimal('sNaN')\n",
    "a number without end": "from decimal import Decimal\ndef backwards(text): return [Decimal('1e999999999')]\n",
    "an error with a long name": (
        "def backwards(text): raise type('X' * 100_000, (Exception,), {'__str__': lambda self: '\\ud800' * 5000})()\n"
    ),
    "answers in advance": (
        'import os\ndef backwards(text):\n    for descriptor in range(3, 12):\n        try: os.write(descriptor, b\'{"value": "x"}\\n\' * 50)\n'
        "        except OSError: pass\n    return text\n"
    ),
    "time that runs backwards": (
        "import time\ntime.time = time.monotonic = time.perf_counter = lambda: -1e9\ndef backwards(text): time.sleep(0.3); return text\n"
    ),
    "a loop that takes turns": (
        "import threading\ndef busy():\n    while True: pass\nfor _ in range(20): threading.Thread(target=busy, daemon=True).start()\n"
        "def backwards(text): return text\n"
    ),
}


def program(attack: str) -> str:
    return BEFORE[attack] + RUN_STUB if attack in BEFORE else RUN_STUB + "\n" + INSTEAD[attack]


@pytest.fixture
def shared_memory() -> Path:
    folder = Path("/dev/shm")
    if not folder.is_dir():
        pytest.skip("no shared memory")
    return folder


@pytest.mark.parametrize("isolation", ["landlock", "process"])
@pytest.mark.parametrize("attack", [*BEFORE, *INSTEAD])
def test_an_attack_earns_nothing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_memory: Path, attack: str, isolation: str
) -> None:
    if isolation == "landlock" and not landlock_holds():
        pytest.skip("this machine has no Landlock")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    before, started, free = set(shared_memory.iterdir()), time.monotonic(), set(descendants(os.getpid()))
    card = grade_source(tmp_path / "submission", program(attack), isolation=isolation)
    assert card.points == 0, verdicts(card)
    assert not card.broken, [outcome.finding for outcome in card.outcomes]
    assert len(verdicts(card)) == 4
    assert time.monotonic() - started < SECONDS
    assert not set(descendants(os.getpid())) - free
    assert not list(temporary.iterdir())
    assert not {path for path in set(shared_memory.iterdir()) - before if path.name.startswith("grader-attack")}
    assert not any(Path(name).exists() for name in ("/etc/grader-was-here", "/grader-was-here"))
