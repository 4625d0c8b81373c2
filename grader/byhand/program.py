"""A server of a submission as a process of its own, listening on a port that only the relay knows."""

from __future__ import annotations

import codecs
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from grader.byhand.relay import connect_patiently
from grader.byhand.workplace import KIT, Workplace
from grader.sandbox.policy import Policy
from grader.sandbox.spawn import Child, describe_exit
from grader.target.ports import LOOPBACK, free_port

DAY = 24 * 3600
# By hand a server may run for a day and be met by a browser with many connections.
POLICY = Policy(wall=DAY, cpu=DAY, processes=256, open_files=1024)
WEBROOT, BOOKS = KIT / "webroot", KIT / "data" / "initial_books.json"


class WholeLines:
    """Text that comes in pieces, handed on line by line: an unbuffered print() writes the line end separately."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._rest = say, ""

    def add(self, text: str) -> None:
        """One more piece: hands on what ends with a line end, keeps the rest."""
        lines, end, self._rest = (self._rest + text).rpartition("\n")
        if end:
            self._say(lines)

    def finish(self) -> None:
        """Hand on what came without a line end."""
        if self._rest:
            self._say(self._rest)
        self._rest = ""


class Program:
    """`python main --host 127.0.0.1 --port N`, with webroot or a new database of the first books."""

    def __init__(
        self, place: Workplace, webroot: Path, say: Callable[[str], None], shown_port: int | None = None
    ) -> None:
        """`say` is given what the program prints, as it prints it.

        There an address of its own becomes one with `shown_port`, where the relay in front of it listens.
        """
        self._port = free_port()
        site, exercise = place.site(), place.exercise
        arguments = ["--host", LOOPBACK, "--port", str(self._port)]
        if exercise.kind == "socket":
            read, arguments = (webroot,), [*arguments, "--root", str(webroot)]
        else:
            database = place.files / "catalog.json"
            read, arguments = (BOOKS,), [*arguments, "--db", str(database), "--seed", str(BOOKS)]
        policy = replace(POLICY, read=read, ports=(self._port,))
        inner, outer = f"{LOOPBACK}:{self._port}", f"{LOOPBACK}:{shown_port or self._port}"
        self._said = WholeLines(lambda text: say(place.unmask(text).replace(inner, outer)))
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._child = Child(
            site,
            site.submission / exercise.main,
            arguments,
            policy=policy,
            merge_output=True,
            watch=lambda data: self._said.add(decoder.decode(data)),
        )

    def connect(self) -> socket.socket:
        """A new connection to the program, which may still be starting."""
        return connect_patiently(self._port, lambda: self._child.exit_code is None)

    def wait(self, seconds: float) -> str | None:
        """How the program ended, in words; None while it runs."""
        code = self._child.wait(time.monotonic() + seconds)
        return None if code is None else describe_exit(code)

    def end(self) -> None:
        """End it and all that it started."""
        self._child.end()
        self._said.finish()
