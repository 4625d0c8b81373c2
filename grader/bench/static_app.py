"""A small static WSGI application, run under other people's servers to compare with.

python static_app.py waitress|cheroot PORT ROOT
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

THREADS = 8


def make_application(root: str) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    """An application that answers GET with files below `root`: as little work as such an application can do."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = os.path.realpath(root + environ["PATH_INFO"])
        if not path.startswith(root + os.sep) or not os.path.isfile(path):  # noqa: PTH113
            start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
            return [b""]
        size = os.path.getsize(path)  # noqa: PTH202
        start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))])
        file = open(path, "rb")  # noqa: PTH123, SIM115  (the server closes what it is given)
        wrapper = environ.get("wsgi.file_wrapper")
        return wrapper(file, 65536) if wrapper else iter(lambda: file.read(65536), b"")

    return application


def main() -> None:
    """Serve until killed."""
    name, port, root = sys.argv[1], int(sys.argv[2]), os.path.realpath(sys.argv[3])
    application: Any = make_application(root)
    if name == "waitress":
        import waitress

        waitress.serve(application, host="127.0.0.1", port=port, threads=THREADS, _quiet=True)
    else:
        from cheroot.wsgi import Server

        server = Server(("127.0.0.1", port), application, numthreads=THREADS, request_queue_size=128)
        server.safe_start()


if __name__ == "__main__":
    main()
