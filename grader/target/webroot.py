"""A run's own copy of the kit's webroot, with what cannot be committed: odd names, links, a large file, scripts.

FOLDER/www/            what the server serves (--root)
FOLDER/www-private/    beside it, with a name that begins like it: nobody may get in
FOLDER/secret.txt      above it
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from array import array
from dataclasses import dataclass
from pathlib import Path

LOGGED = b"for the log alone"  # what gone.py writes to standard error
CANARY = b"canary 7f3a: this file lies outside the root"
HIDDEN = b"canary 91cc: this file is hidden"
LARGE_SIZE = 1_500_000
OLD = 1_000_000_000  # 9 September 2001: a time of change that is long over

SHOW = """import os, sys
names = sorted(name for name in os.environ if name not in ("PATH", "SYSTEMROOT", "LC_CTYPE"))
method = os.environ.get("REQUEST_METHOD", "").encode()
sys.stdout.buffer.write(b"Content-Type: text/plain\\r\\nX-Method: " + method + b"\\r\\n\\r\\n")
length = os.environ.get("CONTENT_LENGTH", "")
body = sys.stdin.buffer.read(int(length)) if length else b""
lines = [f"{name}={os.environ[name]}" for name in names] + [f"CWD={os.getcwd()}", f"BODY={body!r}"]
sys.stdout.buffer.write("\\n".join(lines).encode("utf-8", "backslashreplace"))
"""
# What says.py says, by its query. None of it may come on as it is.
ODD_OUTPUTS = {
    "304": "Status: 304 Not Modified\nContent-Type: text/plain\n\nno content",
    "100": "Status: 100 Continue\nContent-Type: text/plain\n\nbody",
    "999": "Status: 999 Unheard of\nContent-Type: text/plain\n\nbody",
    "open": "Content-Type: text/plain\n",
    "name": "Content-Type: text/plain\nX A: 1\n\nbody",
}
SCRIPTS = {
    "cgi-bin/show.py": SHOW,
    "cgi-bin/gone.py": (
        'import sys\nprint("Status: 410 Gone\\nContent-Type: text/plain\\nLocation: /new\\nX-Why: moved on\\n")\n'
        'print("not here", end="", flush=True)\n'
        'print("for the log alone", file=sys.stderr)\n'
    ),
    "cgi-bin/says.py": f'import os\nprint({ODD_OUTPUTS!r}.get(os.environ.get("QUERY_STRING"), ""), end="")\n',
    "cgi-bin/old/x.py": "print('Content-Type: text/plain\\n\\nrun by accident')\n",
    "cgi-bin/moved.py": 'print("Location: http://example.org/new\\n\\n")\n',
    "cgi-bin/crash.py": 'raise SystemExit("this script always fails")\n',
    "cgi-bin/silent.py": "pass\n",
    "cgi-bin/split.py": 'print("Content-Type: text/plain\\nX-A: one\\rtwo\\n\\nbody")\n',
    "cgi-bin/nul.py": 'print("Content-Type: text/plain\\nX-A: one\\0two\\n\\nbody")\n',
    "cgi-bin/cookies.py": (
        'print("Set-Cookie: a=1\\nContent-Type: text/plain\\nContent-Length: 11\\nSet-Cookie: b=2\\n'
        'Transfer-Encoding: chunked\\nDate: yesterday\\n")\n'
        'print("two cookies", end="")\n'
    ),
    "cgi-bin/empty.py": 'print("Status: 204\\n")\n',
    "cgi-bin/LOUD.PY": 'print("Content-Type: text/plain\\n\\nrun, in capitals too")\n',
    "cgi-bin/slow.py": "import time\ntime.sleep(60)\n",
    # Its child keeps the standard output open, and would outlive it.
    "cgi-bin/parent.py": (
        "import os, signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        'if not sys.argv[1:]:\n    subprocess.Popen([sys.executable, os.path.abspath(__file__), "child"])\n'
        "time.sleep(20)\n"
    ),
    "cgi-bin/large.py": (
        'import sys\nsys.stdout.write("Content-Type: text/plain\\n\\n")\nsys.stdout.write("large " * 50000)\n'
    ),
    "docs/example.py": "# canary 55e1: the text of a program\nprint('Content-Type: text/plain\\n\\nrun by accident')\n",
    "docs/SHOUT.PY": "# canary 55e1: the text of a program\nprint('Content-Type: text/plain\\n\\nrun by accident')\n",
    "cgi-bin/notes.txt": "Not a program, but in the folder of the programs.\n",
}
SOURCE_CANARY = b"canary 55e1"
ODD_NAMES = ("<b>.txt", 'quote".txt', "hash#mark.txt", "what?.txt", "colon:name.txt", "plus+plus.txt", "semi;colon.txt")
ODD_FOLDER = "two words #%41 \xfc"
HTML_FOLDER = "<a href=x>"


@dataclass(frozen=True, slots=True)
class Webroot:
    """Where it is, and which of the odd things this system could create."""

    root: Path
    odd_names: tuple[str, ...]
    links: bool


def build_webroot(source: Path, folder: Path) -> Webroot:
    """Make FOLDER/www out of the kit's webroot. Every file's time of change is OLD, whatever the checkout did."""
    root = folder / "www"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, root)
    (folder / "secret.txt").write_bytes(CANARY)
    private = folder / "www-private"
    private.mkdir()
    (private / "secret.txt").write_bytes(CANARY)
    (root / "large.bin").write_bytes(large_content())
    (root / "no_suffix").write_bytes(b"a file of no known type")
    (root / "crlf.txt").write_bytes(b"one\r\ntwo\nthree\r\n")
    (root / "UPPER.HTML").write_bytes(b"<!DOCTYPE html><title>upper</title>")
    (root / ".hidden.txt").write_bytes(HIDDEN)
    (root / ".git").mkdir()
    (root / ".git" / "config").write_bytes(HIDDEN)
    for name, text in SCRIPTS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8", newline="\n")
    odd = []
    (root / "odd").mkdir()
    for name in ODD_NAMES:
        with contextlib.suppress(OSError):  # Windows refuses some of them
            (root / "odd" / name).write_bytes(name.encode())
            odd.append(name)
    (root / "odd" / ODD_FOLDER).mkdir()
    (root / "odd" / ODD_FOLDER / "inside.txt").write_bytes(b"in a folder with an odd name")
    with contextlib.suppress(OSError):
        (root / "odd" / HTML_FOLDER).mkdir()
    (root / "trap").mkdir()
    links = _link(root / "outside.txt", folder / "secret.txt") and _link(root / "inside.txt", root / "notes.txt")
    _link(root / "outside", private)
    _link(root / "odd" / "linked", root / "docs")
    _link(root / "trap" / "index.html", folder / "secret.txt")
    _link(root / "peek.txt", root / "docs" / "example.py")
    _link(root / "revealed.txt", root / ".hidden.txt")
    if hasattr(os, "mkfifo"):  # not on Windows
        with contextlib.suppress(OSError):
            os.mkfifo(root / "pipe")
    for here, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(here) / name
            if not path.is_symlink():
                os.utime(path, (OLD, OLD))
    return Webroot(root, tuple(odd), links)


def large_content() -> bytes:
    """Bytes in which every place can be told from every other, CR and LF and NUL among them."""
    numbers = array("I", range(LARGE_SIZE // 4))
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers.tobytes()


def _link(path: Path, target: Path) -> bool:
    try:
        path.symlink_to(target)
    except OSError:
        return False
    return True
