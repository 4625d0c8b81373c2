"""The submission under test, as pytest fixtures. Started on first use, kept between checks, ended with the judge."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.job import Job
from grader.model import Exercise
from grader.sandbox.spawn import Site
from grader.target.cgi import CgiTarget
from grader.target.function import Module
from grader.target.site import SiteTarget
from grader.target.socket import SocketTarget
from grader.target.webroot import Webroot, build_webroot
from grader.target.wsgi import WsgiTarget, files_below


class Staged:
    """One exercise of one submission, ready to run. Registered as a plugin it brings the fixtures below with it."""

    def __init__(self, job: Job, exercise: Exercise, site: Site) -> None:
        self.job, self.exercise, self.site = job, exercise, site
        self.files = files_below(site.submission)  # before any of it has run

    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[STAGED] = self
        config.pluginmanager.register(sys.modules[__name__])


STAGED = pytest.StashKey[Staged]()


@pytest.fixture(scope="session")
def staged(pytestconfig: pytest.Config) -> Staged:
    """What is under test."""
    return pytestconfig.stash[STAGED]


@pytest.fixture(scope="session")
def module(staged: Staged) -> Iterator[Module]:
    """The main file as a module in a worker process."""
    module = Module(staged.site, staged.exercise.main)
    yield module
    module.close()


@pytest.fixture(scope="session")
def cgi(staged: Staged) -> CgiTarget:
    """The main file as a CGI program."""
    return CgiTarget(staged.site, staged.exercise.main)


@pytest.fixture(scope="session")
def webroot(staged: Staged) -> Webroot:
    """This run's copy of the files that servers serve."""
    return build_webroot(Path(staged.job.kit) / "webroot", Path(staged.job.scratch) / "served")


@pytest.fixture(scope="session")
def shared_server(staged: Staged, webroot: Webroot) -> Iterator[SocketTarget]:
    """The main file as a socket server."""
    server = SocketTarget(staged.site, staged.exercise.main, webroot)
    yield server
    server.close()


@pytest.fixture
def server(shared_server: SocketTarget) -> Iterator[SocketTarget]:
    """The one server that the checks of an exercise share; a check after which it has ended has failed."""
    yield shared_server
    shared_server.check_alive()


@pytest.fixture
def fresh_server(staged: Staged, webroot: Webroot) -> Iterator[SocketTarget]:
    """A server that no other check has used."""
    server = SocketTarget(staged.site, staged.exercise.main, webroot)
    yield server
    server.close()


@pytest.fixture(scope="session")
def impatient_server(staged: Staged, webroot: Webroot) -> Iterator[SocketTarget]:
    """A server that waits half a second for its clients and scripts."""
    server = SocketTarget(staged.site, staged.exercise.main, webroot, ["--timeout", "0.5"])
    yield server
    server.close()


@pytest.fixture(scope="session")
def wsgi(staged: Staged, module: Module) -> WsgiTarget:
    """The main file as a WSGI application, in the worker of `module`."""
    return WsgiTarget(module, staged.site.submission, staged.files)


@pytest.fixture(scope="session")
def site(staged: Staged) -> SiteTarget:
    """The main file as a web server of its own, to be started and killed."""
    return SiteTarget(staged.site, staged.exercise.main)


@pytest.fixture(scope="session")
def folder(staged: Staged) -> Path:
    """An empty folder that the submission can write to."""
    assert staged.site.shared is not None
    return staged.site.shared
