"""The submission under test, as pytest fixtures. Started on first use, kept between checks, ended with the judge."""

from __future__ import annotations

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


class SubmissionFixtures:
    """Fixtures for one exercise of one submission."""

    def __init__(self, job: Job, exercise: Exercise, site: Site) -> None:
        self._job, self._exercise, self._site = job, exercise, site
        self._files = files_below(site.submission)  # before any of it has run

    @pytest.fixture(scope="session")
    def module(self) -> Iterator[Module]:
        """The main file as a module in a worker process."""
        module = Module(self._site, self._exercise.main)
        yield module
        module.close()

    @pytest.fixture(scope="session")
    def cgi(self) -> CgiTarget:
        """The main file as a CGI program."""
        return CgiTarget(self._site, self._exercise.main)

    @pytest.fixture(scope="session")
    def webroot(self) -> Webroot:
        """This run's copy of the files that servers serve."""
        return build_webroot(Path(self._job.kit) / "webroot", Path(self._job.scratch) / "served")

    @pytest.fixture(scope="session")
    def shared_server(self, webroot: Webroot) -> Iterator[SocketTarget]:
        """The main file as a socket server."""
        server = SocketTarget(self._site, self._exercise.main, webroot)
        yield server
        server.close()

    @pytest.fixture
    def server(self, shared_server: SocketTarget) -> Iterator[SocketTarget]:
        """The one server that the checks of an exercise share; a check after which it has ended has failed."""
        yield shared_server
        shared_server.check_alive()

    @pytest.fixture
    def fresh_server(self, webroot: Webroot) -> Iterator[SocketTarget]:
        """A server that no other check has used."""
        server = SocketTarget(self._site, self._exercise.main, webroot)
        yield server
        server.close()

    @pytest.fixture(scope="session")
    def impatient_server(self, webroot: Webroot) -> Iterator[SocketTarget]:
        """A server that waits half a second for its clients and scripts."""
        server = SocketTarget(self._site, self._exercise.main, webroot, ["--timeout", "0.5"])
        yield server
        server.close()

    @pytest.fixture(scope="session")
    def wsgi(self, module: Module) -> WsgiTarget:
        """The main file as a WSGI application, in the worker of `module`."""
        return WsgiTarget(module, self._site.submission, self._files)

    @pytest.fixture(scope="session")
    def site(self) -> SiteTarget:
        """The main file as a web server of its own, to be started and killed."""
        return SiteTarget(self._site, self._exercise.main)

    @pytest.fixture(scope="session")
    def folder(self) -> Path:
        """An empty folder that the submission can write to."""
        assert self._site.shared is not None
        return self._site.shared
