"""The judge's connection: patient with what is legal, exact in what it says about the rest."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from grader.model import Complaint, Finding, Verdict
from grader.target import connection
from grader.target.connection import Connection
from grader.target.patience import HANGS, SHORT_SECONDS, Patience
from grader.target.transcript import TRANSCRIPT

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
RESET = b"\1\0\0\0\0\0\0\0"

Behaviour = Callable[[socket.socket], None]


@contextmanager
def peer(behaviour: Behaviour) -> Iterator[int]:
    """A server of one connection, which behaves as told; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                behaviour(sock)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)
        assert not thread.is_alive()


@contextmanager
def silent_peer() -> Iterator[int]:
    """A server that never says a word."""
    done = threading.Event()

    def behave(_: socket.socket) -> None:
        done.wait(5)

    with peer(behave) as port:
        yield port
        done.set()


def reads_all(sock: socket.socket, reply: bytes) -> None:
    sock.recv(65536)
    sock.sendall(reply)


def test_an_answer_that_comes_byte_by_byte_is_one_answer() -> None:
    def behave(sock: socket.socket) -> None:
        sock.recv(100)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in OK:
            sock.sendall(bytes([byte]))

    with peer(behave) as port, Connection(port, 5) as client:
        assert client.send(ASK).reply().body == b"hi"
        assert client.rest() == b""


def test_a_reset_after_a_complete_answer_does_no_harm() -> None:
    def behave(sock: socket.socket) -> None:
        sock.recv(10)
        sock.sendall(OK)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    with peer(behave) as port, Connection(port, 5) as client:
        client.send(ASK)
        assert client.reply().body == b"hi"


def test_an_answer_that_comes_while_much_is_still_to_be_sent_is_read() -> None:
    def behave(sock: socket.socket) -> None:
        sock.recv(10)
        sock.sendall(OK)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass

    with peer(behave) as port, Connection(port, 5) as client:
        client.send(ASK + b"x" * 8_000_000)
        assert client.reply().body == b"hi"


def test_interim_answers_are_counted_and_skipped() -> None:
    with peer(lambda sock: reads_all(sock, b"HTTP/1.1 100 Continue\r\n\r\n" + OK)) as port:
        with Connection(port, 5) as client:
            reply = client.send(ASK).reply()
    assert (reply.status, reply.interim) == (200, (100,))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "having answered nothing"),
        (b"HTTP/1.1 200 OK\r\n", 'having sent "HTTP/1.1 200 OK'),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", "closed the connection"),
    ],
)
def test_an_answer_that_stops_is_told_with_what_came(answer: bytes, words: str) -> None:
    with peer(lambda sock: reads_all(sock, answer)) as port, Connection(port, 5) as client:
        with pytest.raises(Complaint) as caught:
            client.send(ASK).reply()
    assert words in caught.value.finding.got
    assert caught.value.finding.sent.startswith('"GET / HTTP/1.1')


def complaint_after(answers: bytes, asked: int, together: bool) -> Finding:
    """The finding about the answer that is missing after those that came."""
    with peer(lambda sock: reads_all(sock, answers)) as port, Connection(port, 5) as client:
        for data in [ASK * asked] if together else [ASK] * asked:
            client.send(data)
        with pytest.raises(Complaint) as caught:
            for _ in range(asked):
                client.reply()
    return caught.value.finding


@pytest.mark.parametrize("together", [True, False])
def test_what_was_answered_before_is_told(together: bool) -> None:
    got = complaint_after(OK * 2, 4, together).got
    assert re.fullmatch(r"it (closed|reset) the connection, having answered 2 of 4 requests \(status 200, 200\)", got)


def test_the_beginning_of_a_second_answer_is_told_with_the_first() -> None:
    assert complaint_after(OK + OK[:9], 2, True).got.endswith(
        'answered 1 of 2 requests (status 200) and sent "HTTP/1.1 "'
    )


def test_requests_are_counted_only_where_their_number_is_plain() -> None:
    hidden = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n" + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    with peer(lambda sock: reads_all(sock, OK)) as port, Connection(port, 5) as client:
        client.send(hidden).reply()
        with pytest.raises(Complaint) as caught:
            client.reply()
    assert caught.value.finding.got.endswith("having answered one request (status 200)")


def test_an_interim_answer_that_does_not_come_was_waited_for_as_long_as_it_says() -> None:
    with silent_peer() as port, Connection(port, 0.1) as client:
        began = time.monotonic()
        with pytest.raises(Complaint) as caught:
            client.send(ASK).interim()
        assert time.monotonic() - began >= 0.1
    assert caught.value.finding.got == "it sent nothing within 0.1 s, having answered nothing"
    assert caught.value.verdict is Verdict.TIMEOUT


def test_the_end_of_the_program_is_told_with_the_end_of_the_connection() -> None:
    with (
        peer(lambda sock: reads_all(sock, b"")) as port,
        Connection(port, 5, how_it_ended=lambda: "exit status 3") as it,
    ):
        with pytest.raises(Complaint) as caught:
            it.send(ASK).reply()
    assert caught.value.verdict is Verdict.CRASHED
    assert caught.value.finding.got.endswith("having answered nothing, and the program ended: exit status 3")


def test_after_some_hangs_less_is_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Patience()
    monkeypatch.setattr(connection, "PATIENCE", patience)
    assert patience.limit(5.0) == 5.0
    for _ in range(HANGS):
        patience.hung()
    assert (patience.limit(5.0), patience.limit(0.5)) == (SHORT_SECONDS, 0.5)
    with silent_peer() as port, Connection(port, 5) as client, pytest.raises(Complaint) as caught:
        client.send(ASK).reply()
    assert f"within {SHORT_SECONDS:g} s" in caught.value.finding.got


def test_what_comes_in_many_pieces_is_one_entry_of_the_transcript() -> None:
    TRANSCRIPT.clear()
    body = bytes(range(256)) * 4000
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with peer(lambda sock: reads_all(sock, reply)) as port, Connection(port, 5) as client:
        assert client.send(ASK).reply().body == body
    sent, got = TRANSCRIPT.exchanges
    assert (sent.way, got.way) == ("sent", "got")
    assert f"({len(reply)} bytes, the first " in got.text
    assert len(got.text) < 1000


def test_what_is_no_http_is_told_with_the_place() -> None:
    with (
        peer(lambda sock: reads_all(sock, b"HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n")) as port,
        Connection(port, 5) as client,
    ):
        with pytest.raises(Complaint) as caught:
            client.send(ASK).reply()
    finding = caught.value.finding
    assert "control characters" in finding.expected
    assert finding.caret is not None


def test_silence_is_a_timeout() -> None:
    done = threading.Event()

    def behave(_: socket.socket) -> None:
        done.wait(5)

    with peer(behave) as port, Connection(port, 0.1) as client:
        with pytest.raises(Complaint) as caught:
            client.send(ASK).reply()
        assert client.is_open(0.01)
        with pytest.raises(Complaint):
            client.rest()
        done.set()
    assert caught.value.verdict is Verdict.TIMEOUT
    assert "within 0.1 s" in caught.value.finding.got


def test_nobody_listening_is_a_complaint() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Complaint) as caught:
        Connection(port, 1)
    assert "refused" in caught.value.finding.got


def test_a_close_without_an_answer_can_be_expected() -> None:
    with peer(lambda sock: reads_all(sock, b"")) as port, Connection(port, 5) as client:
        assert client.send(ASK).reply_or_end() is None


def test_a_close_that_nobody_announced_is_told_with_the_answer_before_it() -> None:
    with peer(lambda sock: reads_all(sock, OK)) as port, Connection(port, 5) as client:
        assert client.send(ASK).reply().status == 200
        with pytest.raises(Complaint) as caught:
            client.send(ASK).reply()
    assert "for the last one (status 200) did not say Connection: close" in caught.value.finding.expected


def test_a_client_that_ends_its_side_is_not_kept_waiting_by_one_who_listens_on() -> None:
    def behave(sock: socket.socket) -> None:
        reads_all(sock, OK)
        while sock.recv(100):
            pass

    with peer(behave) as port, Connection(port, 2) as client:
        client.send(ASK).reply()
        with pytest.raises(Complaint):
            client.rest(0.05)
        assert client.end() == b""
