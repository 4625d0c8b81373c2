"""A WSGI application, called in the worker with an environ from here; what it did comes back as plain data.

WsgiTarget.open("create_application", db, seed) -> WsgiApp
WsgiApp.get("/books", "page=2", HTTP_ACCEPT="application/json") -> WsgiReply
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from grader.model import Complaint, Finding, Verdict
from grader.sandbox.policy import CHILD_CODE
from grader.sandbox.scratch import MAX_DEPTH
from grader.sandbox.worker import Raised
from grader.target.function import Module, find_stub_error
from grader.target.headers import Headers
from grader.target.transcript import TRANSCRIPT, show_bytes

PROBE = str(CHILD_CODE / "wsgi_probe.py")
JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
UNKNOWN_STATUS = 0
# What the probe tells (child/wsgi_probe.py), by name.
FACTS: dict[str, type] = {
    "starts": list, "oddities": list, "body": bytes, "log": list, "errors": str,
    "taken": int, "beyond": bool, "waited": bool, "referee": str, "raised": str,
}  # fmt: skip
OPTIONAL = ("taken", "beyond", "waited", "referee", "raised")


@dataclass(frozen=True, slots=True)
class WsgiRequest:
    """One request. `path` is text (sent as UTF-8), or bytes; `meta` adds variables, a value of None leaves one out.

    `held`: the connection stays open after the body. `piece`: the most that one read gives (0: everything).
    `validate`: with wsgiref.validate between server and application. `file_limit`: no file may grow beyond it (bytes).
    """

    method: str = "GET"
    path: str | bytes = "/"
    query: str = ""
    body: bytes | None = None
    meta: tuple[tuple[str, str | None], ...] = ()
    held: bool = False
    piece: int = 0
    validate: bool = False
    file_limit: int | None = None

    def variables(self) -> dict[str, str]:
        """The environ's own strings: one character per byte (PEP 3333, Unicode Issues)."""
        path = self.path.encode("utf-8") if isinstance(self.path, str) else self.path
        variables: dict[str, str | None] = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path.decode("latin-1"),
            "QUERY_STRING": self.query,
            "HTTP_HOST": "localhost",
            **dict(self.meta),
        }
        if self.body is not None:
            variables.setdefault("CONTENT_LENGTH", str(len(self.body)))
        return {name: value for name, value in variables.items() if value is not None}

    def show(self) -> str:
        """The request as a person would write it down: what differs from the default, and the body."""
        variables = self.variables()
        path = variables.pop("PATH_INFO", "")
        query = variables.pop("QUERY_STRING", "")
        shown = f"{variables.pop('REQUEST_METHOD', '?')} {show_bytes(path.encode('latin-1'))[1:-1] or '(empty path)'}"
        shown += f"?{query}" if query else ""
        for name, value in variables.items():
            if (name, value) not in (("SCRIPT_NAME", ""), ("HTTP_HOST", "localhost")):
                shown += f"  {name}={show_bytes(value.encode('latin-1', 'replace'), 300)[1:-1]}"
        shown += "".join(f"  (no {name})" for name, value in self.meta if value is None)
        if self.body:
            shown += f"  body {show_bytes(self.body, 1500)}"
        return shown + ("  (connection left open)" if self.held else "")


@dataclass(frozen=True, slots=True)
class WsgiReply:
    """What the application did. `oddities` are its breaches of PEP 3333 in words; `log` the order of events."""

    status: int
    reason: str
    headers: Headers
    body: bytes
    raw: bytes
    sent: str
    starts: int
    oddities: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    errors: str = ""
    taken: int = 0
    beyond: bool = False
    waited: bool = False
    referee: str = ""
    raised: str = ""

    @property
    def stderr(self) -> str:
        return self.errors

    @property
    def text(self) -> str:
        """The body as UTF-8; bytes that are not UTF-8 show as backslash escapes."""
        return self.body.decode("utf-8", "backslashreplace")


class WsgiTarget:
    """The WSGI side of the submission's main file."""

    def __init__(self, module: Module, submission: Path, before: frozenset[str]) -> None:
        self._module, self._submission, self._before = module, submission, before
        self._keys = map(str, itertools.count())

    def open(self, factory: str, *arguments: Any) -> WsgiApp:
        """The application that module.factory(*arguments) makes."""
        return WsgiApp(self._module, next(self._keys), factory, list(arguments))

    def open_by_name(self, name: str, environment: dict[str, str]) -> WsgiApp:
        """The callable `name` of the main file, with these variables in the process's environment."""
        shown = " ".join(f"{key}={value}" for key, value in environment.items())
        self._module.run_extension(PROBE, "set_environment", environment, shown=shown)
        return WsgiApp(self._module, f"callable {name}", "", [name])

    def files_made(self) -> list[str]:
        """What is in the submission's folder now and was not before any of it ran."""
        return sorted(files_below(self._submission) - self._before)


def wrap(module: Module, middleware: str, plan: dict[str, Any], shown: str) -> WsgiReply:
    """A middleware of the submission around an application of ours that follows `plan` (child/wsgi_probe.py)."""
    called = module.run_extension(PROBE, "wrap", middleware, plan, shown=shown, on=middleware)
    return _reply(_facts(called, f"{middleware}() to return"), shown)


@dataclass
class WsgiApp:
    """One application of the submission. It is made at its first request, and anew where the worker had died."""

    _module: Module
    _key: str
    _factory: str
    _arguments: Sequence[Any] = field(default_factory=list)

    @property
    def _called(self) -> str:
        """The function of the submission that makes the application, or the one that is it."""
        return self._factory or str(self._arguments[0])

    def get(self, path: str | bytes, query: str = "", **meta: str | None) -> WsgiReply:
        """GET; `meta` are environ keys (HTTP_ACCEPT="text/html"), None leaves one out."""
        return self.request(WsgiRequest(path=path, query=query, meta=tuple(meta.items())))

    def get_json(self, path: str | bytes, query: str = "") -> WsgiReply:
        """GET by a program that wants JSON."""
        return self.get(path, query, HTTP_ACCEPT=JSON_TYPE)

    def post(self, path: str, body: bytes, content_type: str | None = FORM_TYPE, **meta: str | None) -> WsgiReply:
        """POST with the length of the body, unless `meta` has another CONTENT_LENGTH."""
        given = (("CONTENT_TYPE", content_type), *meta.items())
        return self.request(WsgiRequest("POST", path, body=body, meta=given))

    def delete(self, path: str) -> WsgiReply:
        """DELETE, without a body."""
        return self.request(WsgiRequest("DELETE", path))

    def head(self, path: str, query: str = "", **meta: str | None) -> WsgiReply:
        """HEAD, otherwise like get()."""
        return self.request(WsgiRequest("HEAD", path, query, meta=tuple(meta.items())))

    def request(self, request: WsgiRequest) -> WsgiReply:
        """Raises Complaint when the application raises, hangs or dies, or never calls start_response."""
        shown = request.show()
        options = {
            "body": request.body or b"",
            "held": request.held,
            "piece": request.piece,
            "validate": request.validate,
            "file_limit": request.file_limit,
        }
        arguments = (self._key, self._factory, list(self._arguments), request.variables(), options)
        called = self._module.run_extension(PROBE, "request", *arguments, shown=shown, on=self._called)
        source = f"{self._factory}() to return" if self._factory else f"{self._called} to be"
        reply = _reply(_facts(called, source), shown)
        TRANSCRIPT.got(partial(show_bytes, reply.raw))
        if reply.status == 500:
            find_stub_error(reply.errors)
        if reply.starts == 0 and not (reply.waited or reply.referee):
            raise Complaint(Finding(shown, "a call of start_response", "none was made", output=reply.errors))
        if reply.waited and not request.held:
            raise Complaint(Finding(shown, "an answer", "it waits for input that never comes"), Verdict.TIMEOUT)
        return reply

    def reopen(self) -> WsgiApp:
        """A new application on the same arguments, as after a restart of the server."""
        self._module.run_extension(PROBE, "forget", self._key, shown="(the application is made anew)")
        return replace(self)


def files_below(folder: Path) -> frozenset[str]:
    """The relative paths of all files in a folder, down to MAX_DEPTH folders."""
    found = set()
    for here, names, files in os.walk(folder):
        inside = Path(here).relative_to(folder)
        found |= {(inside / name).as_posix() for name in files}
        if len(inside.parts) >= MAX_DEPTH:
            names.clear()
    return frozenset(found)


def _facts(called: Any, source: str) -> dict[str, Any]:
    if isinstance(called, Raised) and called.type == "NotAnApplicationError":
        expected = f"{source} an application: a callable of environ and start_response"
        raise Complaint(Finding(TRANSCRIPT.last("sent"), expected, called.message))
    if isinstance(called, Raised):
        got = f"it raised {called.type}: {called.message}"
        raise Complaint(Finding(TRANSCRIPT.last("sent"), "an answer", got, frames=called.frames))
    facts = called.value
    if not isinstance(facts, dict) or not all(
        (name in facts and type(facts[name]) is kind) or (name not in facts and name in OPTIONAL)
        for name, kind in FACTS.items()
    ):
        raise _forged()
    texts = [*facts["oddities"], *facts["log"]]
    for start in facts["starts"]:
        if type(start) is not dict or type(start.get("headers")) is not list:
            raise _forged()
        if not all(type(pair) is tuple and len(pair) == 2 for pair in start["headers"]):
            raise _forged()
        texts += [start.get("status"), *(part for pair in start["headers"] for part in pair)]
    if not all(type(text) is str for text in texts):
        raise _forged()
    return facts


def _forged() -> Complaint:
    """The probe never answers so: what came was made by the program, in the probe's place."""
    return Complaint(
        Finding(TRANSCRIPT.last("sent"), "an answer", "the program wrote where only the answers to the grader go")
    )


def _reply(facts: dict[str, Any], shown: str) -> WsgiReply:
    start: dict[str, Any] = facts["starts"][-1] if facts["starts"] else {"status": "", "headers": []}
    code, _, reason = start["status"].partition(" ")
    headers = Headers((name, value) for name, value in start["headers"])
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    oddities = list(facts["oddities"])
    number = len(code) == 3 and code.isascii() and code.isdigit()
    well_formed = number and code >= "100" and reason.strip() != ""
    if facts["starts"] and not well_formed:
        oddities.append(f"the status is {start['status']!r}, not three digits, a space and a reason")
    raw = f"{start['status']}\r\n{head}\r\n".encode("utf-8", "replace") + facts["body"]
    return WsgiReply(
        status=int(code) if number else UNKNOWN_STATUS,
        reason=reason,
        headers=headers,
        body=facts["body"],
        raw=raw,
        sent=shown,
        starts=len(facts["starts"]),
        oddities=tuple(oddities),
        log=tuple(facts["log"]),
        errors=facts["errors"],
        taken=facts.get("taken", 0),
        beyond=facts.get("beyond", False),
        waited=facts.get("waited", False),
        referee=facts.get("referee", ""),
        raised=facts.get("raised", ""),
    )
