"""The submission under test, as pytest fixtures. Started on first use, kept between checks, ended with the judge."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grader.job import Job
from grader.model import Exercise
from grader.sandbox.spawn import Site
from grader.target.cgi import CgiTarget
from grader.target.function import Module


class SubmissionFixtures:
    """Fixtures for one exercise of one submission."""

    def __init__(self, job: Job, exercise: Exercise, site: Site) -> None:
        self._job, self._exercise, self._site = job, exercise, site

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
