"""The relay changes nothing: bytes, half-closes and broken connections pass through."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from grader.byhand import relay as relay_module
from grader.byhand.relay import Relay, connect_patiently, listen
from grader.byhand.wirelog import WireLog
from grader.model import UsageError

Serve = Callable[[socket.socket], None]


@contextmanager
def relayed(serve: Serve) -> Iterator[socket.socket]:
    """A client that talks to `serve` through a relay."""
    with socket.create_server(("127.0.0.1", 0)) as backend:

        def accept() -> None:
            connection, _ = backend.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        relay = Relay(listen(0), lambda: socket.create_connection(backend.getsockname()), WireLog())
        try:
            with socket.create_connection(("127.0.0.1", relay.port), timeout=5) as client:
                yield client
                thread.join(5)
                assert not thread.is_alive()
        finally:
            relay.close()


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_bytes_pass_both_ways_and_an_end_is_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    data = bytes(range(256)) * 4000
    with relayed(lambda connection: connection.sendall(read_all(connection)[::-1])) as client:

        def send() -> None:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert read_all(client) == data[::-1]
        sender.join()
    shown = capsys.readouterr().out
    assert "* 1  the client has closed its side" in shown
    assert "* 1  the server has closed its side" in shown


def test_a_broken_connection_breaks_on_the_other_side_too(capsys: pytest.CaptureFixture[str]) -> None:
    import struct

    def slam(connection: socket.socket) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with relayed(slam) as client:
        client.sendall(b"x")
        with pytest.raises(ConnectionError):
            client.recv(1)
    assert "connection broken while the server was sending" in capsys.readouterr().out


def test_a_server_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    relay = Relay(listen(0), lambda: connect_patiently(port, lambda: False), WireLog())
    with socket.create_connection(("127.0.0.1", relay.port), timeout=5) as client:
        assert client.recv(1) == b""
    relay.close()
    assert "no connection to the server" in capsys.readouterr().out


def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    with listen(0) as taken:
        with pytest.raises(UsageError, match="is taken by another program; name another, or leave --port out"):
            listen(taken.getsockname()[1])
    with pytest.raises(UsageError, match="cannot be used"):
        listen(70_000)


def test_without_a_port_a_free_one_is_found_and_never_those_of_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    with listen(None) as first, listen(None) as second:
        ports = {first.getsockname()[1], second.getsockname()[1]}
        assert len(ports) == 2
        assert not ports & {5000, 7000}
    monkeypatch.setattr(relay_module, "TRIED", 0)
    with listen(None) as anywhere:
        assert anywhere.getsockname()[0] == "127.0.0.1"
