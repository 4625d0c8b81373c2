"""`python -m grader serve PATH EXERCISE`: run an implementation, open it in a browser, watch every byte."""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from grader.arguments import port
from grader.byhand.gateway import Gateway
from grader.byhand.program import WEBROOT, Program
from grader.byhand.relay import Connect, Relay, listen
from grader.byhand.wirelog import WireLog
from grader.byhand.workplace import Workplace, workplace
from grader.course import load_course
from grader.names import find_exercise
from grader.submission import find_submission
from grader.target.ports import LOOPBACK

LOOK_SECONDS = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `serve` takes: a folder, an exercise, and a port."""
    parser.add_argument("path", help="the folder to run from: exercises, solutions, or one of that shape")
    parser.add_argument("exercise", help="for example cgi_calculator")
    parser.add_argument("--port", type=port, metavar="N", help="listen there (default: a free port from 8000 up)")


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C (0), or until the program ends by itself (1)."""
    course = load_course()
    exercise = find_exercise(course, options.exercise)
    submission = find_submission(Path(options.path), course)
    log = WireLog()
    with _interruptible(), listen(options.port) as listener, workplace(submission, exercise) as place:
        try:
            return _serve_cgi(place, listener, log) if exercise.kind == "cgi" else _serve(place, listener, log)
        except KeyboardInterrupt:
            log.note("stopped")
            return 0


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """A polite request to end (SIGTERM) is handled as Ctrl-C is, so that no process stays behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _watched(listener: socket.socket, connect: Connect, log: WireLog) -> Iterator[None]:
    relay = Relay(listener, connect, log)
    try:
        yield
    finally:
        relay.close()


def _greet(place: Workplace, listener: socket.socket, log: WireLog, path: str, changes: str) -> None:
    main = place.submission.shown_path(place.exercise, place.exercise.main)
    log.note(f"{main} is at http://{LOOPBACK}:{listener.getsockname()[1]}{path}")
    log.note(f"> is what the client sends, < what comes back, | what the program prints. {changes} Ctrl-C stops.")


def _serve_cgi(place: Workplace, listener: socket.socket, log: WireLog) -> int:
    with Gateway(place, int(listener.getsockname()[1]), log.program) as gateway:
        threading.Thread(target=gateway.serve_forever, daemon=True).start()
        try:
            with _watched(listener, lambda: socket.create_connection(gateway.address), log):
                _greet(place, listener, log, gateway.script_name, "The next request uses the file as it then is.")
                # A bounded wait, because an unbounded one cannot be interrupted on Windows.
                while not threading.Event().wait(LOOK_SECONDS):
                    pass
        finally:
            gateway.shutdown()
    return 0


def _serve(place: Workplace, listener: socket.socket, log: WireLog) -> int:
    program = Program(place, WEBROOT, log.program, shown_port=int(listener.getsockname()[1]))
    told = False
    try:
        with _watched(listener, program.connect, log):
            _greet(place, listener, log, "/", "After a change: Ctrl-C, and start again.")
            while (end := program.wait(LOOK_SECONDS)) is None:
                if place.changed and not told:
                    log.note("the files have changed; what runs is the old program. Ctrl-C, and start again.")
                    told = True
    finally:
        program.end()
    log.note(f"the program has ended: {end}")
    return 1
