"""Runs in the worker: calls a WSGI application as a server would, and tells what it did. PEP 3333.

Plain data in, plain data out; nothing is judged here. The server's side is lenient where a meaning can be guessed (a
second start_response, a str in the body), so that one mistake shows in one place; what was lenient is in the facts.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

MAX_BODY = 256 << 10  # the answer must fit into one line of the worker, at six characters for a byte
MAX_CHUNKS = 10_000
MAX_STARTS = 50
MEANWHILE_SECONDS = 0.5  # how long another client's request may take while a body is read

_applications: dict[str, Callable[..., Any]] = {}


def of_type(value: object) -> str:
    """ "an int", "a list", "None"."""
    name = type(value).__name__
    return "None" if value is None else f"an {name}" if name[0] in "aeiou" else f"a {name}"


class WouldWaitForEver(BaseException):
    """The application read more than was sent, on a connection that stays open."""


class ProbeError(Exception):
    """What the probe's own application raises."""


class NotAnApplicationError(Exception):
    """What a factory returned cannot be called, or not as PEP 3333 says."""


class Input:
    """wsgi.input: `body`, and then the end of the file, or (if held) nothing more and no end either.

    At most `piece` bytes come from one read, as on a slow connection. `meanwhile` runs before the first byte is there.
    """

    def __init__(self, body: bytes, held: bool, piece: int, meanwhile: Callable[[], None] | None = None) -> None:
        self._body, self._held, self._piece, self._meanwhile = body, held, piece, meanwhile
        self.taken = 0
        self.beyond = False

    def read(self, size: int | None = -1) -> bytes:
        wanted = sys.maxsize if size is None or size < 0 else size
        if wanted == 0:
            return b""
        return self._take(min(wanted, self._piece or wanted), wanted)

    def readline(self, size: int | None = -1) -> bytes:
        end = self._body.find(b"\n", self.taken) + 1
        wanted = end - self.taken if end > 0 else sys.maxsize
        if size is not None and size >= 0:
            wanted = min(size, wanted)
        return self._take(wanted, wanted) if wanted else b""

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _take(self, size: int, wanted: int) -> bytes:
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile:
            meanwhile()
        left = len(self._body) - self.taken
        if wanted > left:
            self.beyond = True
            # A real read of 10 with 4 there waits for the other 6; read(n) by pieces gives what is there first.
            if self._held and (left == 0 or not self._piece):
                raise WouldWaitForEver
        data = self._body[self.taken : self.taken + size]
        self.taken += len(data)
        return data


class Server:
    """The server's half of one request."""

    def __init__(self) -> None:
        self.starts: list[dict[str, Any]] = []
        self.oddities: list[str] = []
        self.body: list[bytes] = []
        self.log: list[str] = []
        self.sent = False

    def start_response(self, status: Any, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        """PEP 3333: a second call needs exc_info, and raises it again once the headers are on the wire."""
        self.log.append("start_response" + (" with exc_info" if exc_info else ""))
        if self.starts and not exc_info:
            self.oddities.append("start_response was called a second time without exc_info")
        if exc_info and not (
            isinstance(exc_info, tuple) and len(exc_info) == 3 and isinstance(exc_info[1], BaseException)
        ):
            self.oddities.append(f"exc_info is {exc_info!r:.80}, not what sys.exc_info() gives")
            exc_info = (None, ValueError("exc_info without an exception"), None)
        if exc_info and self.sent:
            raise exc_info[1].with_traceback(exc_info[2])
        pairs = self._pairs(status, headers)
        self.starts.append({"status": str(status), "headers": pairs, "exc_info": bool(exc_info)})
        del self.starts[:-MAX_STARTS]
        return self.write

    def _pairs(self, status: Any, headers: Any) -> list[tuple[str, str]]:
        """The headers that can be read as such; what is of another type than PEP 3333 says is noted."""
        pairs = []
        if type(status) is not str:
            self.oddities.append(f"the status is {of_type(status)}, not a str")
        if type(headers) is not list:
            self.oddities.append(f"the headers are {of_type(headers)}, not a list")
        if isinstance(headers, dict):
            headers = headers.items()
        for pair in headers if isinstance(headers, Iterable) else ():
            if type(pair) is not tuple or len(pair) != 2 or not all(type(item) is str for item in pair):
                self.oddities.append(f"a header is {pair!r:.80}, not a tuple of two str")
            if isinstance(pair, (tuple, list)) and len(pair) == 2:
                pairs.append((str(pair[0]), str(pair[1])))
        return pairs

    def write(self, data: bytes) -> None:
        self.take(data)

    def take(self, chunk: Any) -> None:
        """One piece of the body."""
        if not self.starts:
            self.oddities.append("a piece of the body came before start_response was called")
        if not isinstance(chunk, bytes):
            self.oddities.append(f"a piece of the body is {of_type(chunk)}, not bytes")
            chunk = chunk.encode("utf-8", "replace") if isinstance(chunk, str) else bytes(str(chunk), "utf-8")
        if chunk:
            self.sent = True
        self.body.append(chunk)
        self.log.append(f"server got {len(self.body)}")

    def run(self, application: Callable[..., Any], environ: dict[str, Any], stop_after: int | None) -> None:
        """Call, iterate, close: also when something is raised, and when the client goes away after some chunks."""
        try:
            result: Any = application(environ, self.start_response)
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
            raise NotAnApplicationError(f"TypeError: {error}") from error  # the call itself failed, nothing of it ran
        if isinstance(result, (str, bytes)):
            self.oddities.append(f"the body is {of_type(result)}, not a list of bytes")
            result = [result]
        elif not (hasattr(result, "__iter__") or hasattr(result, "__getitem__")):
            self.oddities.append(f"the body is {of_type(result)}, not an iterable of bytes")
            result = []
        try:
            for chunk in result:
                self.take(chunk)
                if len(self.body) == stop_after or len(self.body) > MAX_CHUNKS:
                    break
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def facts(self) -> dict[str, Any]:
        return {
            "starts": self.starts,
            "oddities": self.oddities[:20],
            "body": b"".join(self.body)[:MAX_BODY],
            "log": self.log[:200],
        }


def environ_of(variables: dict[str, Any], source: Input, errors: io.StringIO) -> dict[str, Any]:
    """A whole environ around the variables of one request."""
    return {
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": source,
        "wsgi.errors": errors,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **variables,
    }


def open_application(module: Any, key: str, factory: str, arguments: list[Any]) -> Callable[..., Any]:
    """module.factory(*arguments), kept under `key`; with factory "" the callable that is named in arguments."""
    if key not in _applications:
        made = getattr(module, factory)(*arguments) if factory else getattr(module, arguments[0])
        if not callable(made):
            raise NotAnApplicationError(f"it returned {of_type(made)}" if factory else of_type(made))
        _applications[key] = made
    return _applications[key]


def set_environment(module: Any, variables: dict[str, str]) -> None:
    """Variables for what the submission reads later."""
    os.environ.update(variables)


def forget(module: Any, key: str) -> None:
    """Let go of an application: the next request to `key` makes it anew."""
    _applications.pop(key, None)


def request(
    module: Any, key: str, factory: str, arguments: list[Any], variables: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any]:
    """One request; options: body, held, piece, validate, stop_after, file_limit. Returns the facts.

    A variable "wsgi.input" is not the stream itself but says what happens before its first byte is there: "GET
    /books/new is answered meanwhile".
    """
    application = open_application(module, key, factory, arguments)
    story = str(variables.pop("wsgi.input", ""))
    meanwhile = _another_client(application, story.split()[1]) if story else None
    source = Input(options.get("body", b""), options.get("held", False), options.get("piece", 0), meanwhile)
    errors = io.StringIO()
    environ = environ_of(variables, source, errors)
    server = Server()
    facts: dict[str, Any] = {"waited": False, "referee": ""}
    complaints: list[str] = []
    try:
        with (
            _file_limit(options.get("file_limit")),
            _referee(complaints if options.get("validate") else None) as watched,
        ):
            server.run(watched(application), environ, None)
    except WouldWaitForEver:
        facts["waited"] = True
    except AssertionError:
        if not complaints:
            raise
    facts["referee"] = complaints[0] if complaints else ""
    return {
        **server.facts(),
        **facts,
        "taken": source.taken,
        "beyond": source.beyond,
        "errors": errors.getvalue()[-20_000:],
    }


def _another_client(application: Callable[..., Any], path: str) -> Callable[[], None]:
    """What lets another client GET a page, in a thread of its own, as a server does that has threads.

    An application that serves one at a time is not waited for: that would be for ever.
    """

    def ask() -> None:
        variables = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "/elsewhere", "PATH_INFO": path, "QUERY_STRING": ""}
        # What becomes of this one is asked in other requests.
        with contextlib.suppress(Exception):
            Server().run(application, environ_of(variables, Input(b"", False, 0), io.StringIO()), None)

    def meanwhile() -> None:
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(MEANWHILE_SECONDS)

    return meanwhile


@contextlib.contextmanager
def _referee(complaints: list[str] | None) -> Iterator[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    """What puts wsgiref.validate around an application, for None nothing.

    Its complaints are noted as they are made: an application that catches exceptions catches the referee's too.
    """
    if complaints is None:
        yield lambda application: application
        return
    import wsgiref.validate

    validate: Any = wsgiref.validate
    original = validate.assert_

    def noted(holds: object, *arguments: object) -> None:
        if not holds:
            complaints.append(str(arguments[0]) if arguments else "a rule of PEP 3333 is broken")
        original(holds, *arguments)

    validate.assert_ = noted
    try:
        yield validate.validator
    finally:
        validate.assert_ = original


@contextlib.contextmanager
def _file_limit(limit: int | None) -> Iterator[None]:
    """No file may grow beyond `limit` bytes: what a full disk does to a write, at a place of our choice."""
    if limit is None or sys.platform == "win32":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class _Body:
    """The iterable of the probe's application: tells the log when it is asked, and when it is closed."""

    def __init__(self, server: Server, plan: dict[str, Any], start: Callable[[], None]) -> None:
        self._server, self._plan, self._start = server, plan, start
        self._given = 0

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> bytes:
        if self._given == 0 and self._plan.get("start") == "late":
            self._start()
        if self._given == self._plan.get("raise_at"):
            raise ProbeError(self._plan["secret"])
        if self._given == len(self._plan["chunks"]):
            raise StopIteration
        self._given += 1
        self._server.log.append(f"app gave {self._given}")
        return bytes(self._plan["chunks"][self._given - 1])

    def close(self) -> None:
        self._server.log.append("closed")


def wrap(module: Any, name: str, plan: dict[str, Any]) -> dict[str, Any]:
    """module.name (a middleware) around an application of the probe's own, which follows `plan`.

    plan: status, headers, chunks, write (bytes for the write callable), start ("call", "late" or "never"), own_error (a
    status: start_response is called once more, with exc_info), raise_at ("call" or a number of chunks), secret (the
    message of what is raised), stop_after.
    Returns the facts, and what was raised.
    """
    server = Server()

    def inner(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        server.log.append("app called")

        def start() -> None:
            write = start_response(plan["status"], [tuple(pair) for pair in plan["headers"]])
            for data in plan.get("write", []):
                write(data)
            if "own_error" in plan:
                try:
                    raise ProbeError(plan["secret"])
                except ProbeError:
                    start_response(plan["own_error"], [tuple(pair) for pair in plan["headers"]], sys.exc_info())

        if plan.get("start", "call") == "call":
            start()
        if plan.get("raise_at") == "call":
            raise ProbeError(plan["secret"])
        return _Body(server, plan, start)

    errors = io.StringIO()
    variables = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": ""}
    environ = environ_of(variables, Input(b"", False, 0), errors)
    raised = ""
    try:
        server.run(getattr(module, name)(inner), environ, plan.get("stop_after"))
    except ProbeError as error:
        raised = type(error).__name__
    return {**server.facts(), "raised": raised, "errors": errors.getvalue()[-20_000:]}
