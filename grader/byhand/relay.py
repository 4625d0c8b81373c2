"""TCP in the middle: passes every byte on as it comes, in both directions, and shows it in a WireLog."""

from __future__ import annotations

import contextlib
import errno
import itertools
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from grader.byhand.wirelog import Way, WireLog
from grader.model import UsageError
from grader.target.ports import LOOPBACK

FIRST_PORT, TRIED = 8000, 20
CONNECT_SECONDS = 10.0
PAUSE_SECONDS = 0.3
CHUNK = 1 << 16

Connect = Callable[[], socket.socket]


def listen(port: int | None) -> socket.socket:
    """A listening socket on the loopback address: on `port`, or (None) on the first free one from FIRST_PORT up.

    Raises UsageError when the port asked for cannot be had.
    """
    if port is not None:
        try:
            return _bind(port)
        except (OSError, OverflowError) as error:
            taken = getattr(error, "errno", None) == errno.EADDRINUSE
            what = "is taken by another program" if taken else f"cannot be used ({error})"
            raise UsageError(f"port {port} {what}; name another, or leave --port out to get a free one") from error
    for number in range(FIRST_PORT, FIRST_PORT + TRIED):
        with contextlib.suppress(OSError):  # taken, or reserved (Windows says "permission denied")
            return _bind(number)
    return _bind(0)


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            # There SO_REUSEADDR would let two programs share the port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


def connect_patiently(port: int, alive: Callable[[], bool]) -> socket.socket:
    """Connect to a server that may still be starting. Raises OSError when it has ended or never listens."""
    deadline = time.monotonic() + CONNECT_SECONDS
    pause = threading.Event()
    while True:
        try:
            return socket.create_connection((LOOPBACK, port), timeout=CONNECT_SECONDS)
        except ConnectionRefusedError:
            if not alive() or time.monotonic() > deadline:
                raise
            pause.wait(0.005)


@dataclass(frozen=True, slots=True)
class _Link:
    """One direction of one connection."""

    number: int
    way: Way
    source: socket.socket
    target: socket.socket

    @property
    def side(self) -> str:
        """Who speaks: "client" or "server"."""
        return "client" if self.way == ">" else "server"


class Relay:
    """Accepts on `listener` and joins each client to a new connection made by `connect`."""

    def __init__(self, listener: socket.socket, connect: Connect, log: WireLog) -> None:
        self._listener, self._connect, self._log = listener, connect, log
        self._open: set[socket.socket] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def _accept(self) -> None:
        for number in itertools.count(1):
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._join, args=(number, client), daemon=True).start()

    def _join(self, number: int, client: socket.socket) -> None:
        self._open.add(client)
        try:
            server = self._connect()
        except OSError as error:
            if not self._closing:
                self._log.closed(number, f"no connection to the server: {error.strerror or error}")
            self._close(client)
            return
        self._open.add(server)
        for end in (client, server):
            end.settimeout(None)
            # Pieces go on as they come; waiting to join them would change what is being watched.
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self._pump, args=(_Link(number, "<", server, client),), daemon=True)
        back.start()
        self._pump(_Link(number, ">", client, server))
        back.join()
        self._close(client, server)

    def _pump(self, link: _Link) -> None:
        """Pass on until the end of the stream; an abrupt end is passed on as an abrupt end."""
        try:
            while data := self._receive(link):
                self._log.passed(link.number, link.way, data)
                link.target.sendall(data)
        except (OSError, ValueError):  # ValueError: select on a socket that the other direction has closed
            if not self._closing and link.source in self._open:
                self._log.closed(link.number, f"connection broken while the {link.side} was sending")
            self._break(link.source, link.target)
            return
        if not self._closing:
            self._log.closed(link.number, f"the {link.side} has closed its side")
        with contextlib.suppress(OSError):
            link.target.shutdown(socket.SHUT_WR)

    def _receive(self, link: _Link) -> bytes:
        while not select.select([link.source], [], [], PAUSE_SECONDS)[0]:
            self._log.pause(link.number)
        return link.source.recv(CHUNK)

    def _break(self, *ends: socket.socket) -> None:
        """Close without a goodbye: the other side sees a reset, as it would have without us."""
        for end in ends:
            self._open.discard(end)
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()

    def _close(self, *ends: socket.socket) -> None:
        for end in ends:
            self._open.discard(end)
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._closing = True
        self._close(self._listener, *list(self._open))
        self._thread.join(1.0)
