"""lighttpd with mod_cgi in front of a folder.

We bind and listen, lighttpd inherits the socket (systemd's protocol: LISTEN_FDS and LISTEN_PID). So the
port is free for certain, and a client that connects before lighttpd is up waits in the queue: nothing polls.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grader.tests.clients.programs import require_program

CONFIG = """
server.document-root = "{root}"
server.bind = "127.0.0.1"
server.port = {port}
server.systemd-socket-activation = "enable"
server.modules = ("mod_cgi")
server.errorlog = "{scratch}/error.log"
server.breakagelog = "{scratch}/cgi-stderr.log"
server.upload-dirs = ("{scratch}")
cgi.assign = (".py" => "{python}")
index-file.names = ()
"""

# Becomes lighttpd, so that its own process id is the one which the protocol asks for; 3 is the first
# descriptor that lighttpd looks at.
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


@contextmanager
def lighttpd(root: Path, scratch: Path) -> Iterator[str]:
    """Serve `root`, running every .py below it as CGI; logs go to `scratch`. Yields "http://127.0.0.1:PORT"."""
    program = require_program("lighttpd")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        config = scratch / "lighttpd.conf"
        config.write_text(CONFIG.format(root=root, port=port, scratch=scratch, python=sys.executable), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-c", HAND_OVER, str(listener.fileno()), program, "-D", "-f", str(config)],
            pass_fds=[listener.fileno()],
            env={"PATH": os.environ.get("PATH", os.defpath)},
            stdin=subprocess.DEVNULL,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)
