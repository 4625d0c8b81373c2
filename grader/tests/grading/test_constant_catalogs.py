"""A catalog that always says the same earns next to nothing: what must not happen is graded behind what must."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.course import Selection, load_course
from grader.grade import grade
from grader.model import Settings
from grader.tests.grading.specimens import submit

CATALOG = next(exercise for exercise in load_course() if exercise.id == "wsgi_catalog")

CONSTANT = """
import argparse
from wsgiref.simple_server import make_server

PAGE = b'''{page}'''


def application(environ, start_response):
    start_response("{status}", {headers})
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [PAGE]


def create_application(db, seed):
    return application


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("host", "port", "db", "seed"):
        parser.add_argument("--" + name)
    options = parser.parse_args()
    server = make_server(options.host, int(options.port), application)
    print(f"http://{{options.host}}:{{options.port}}/", flush=True)
    server.serve_forever()
"""

HTML = [("Content-Type", "text/html; charset=utf-8"), ("Vary", "Accept"), ("Allow", "GET, HEAD")]
JSON = [("Content-Type", "application/json"), ("Vary", "Accept"), ("Location", "/books/1")]
FORMS = """<!doctype html><meta name="viewport" content="x"><title>Books</title>
<p id="form-error">no</p><p id="year-error">no</p><p id="title-error">no</p>
<p id="author-error">no</p><p id="total">45</p>
<form id="search" action="/books/search"><label>t <input name="title"></label><label>a <input name="author"></label>
<label>y <input name="year"></label></form>
<form id="add" method="post" action="/books"><label>t <input name="title"></label><label>a <input name="author"></label>
<label>y <input name="year"></label></form>"""
OBJECT = '{"id": 1, "title": "a", "author": "b", "year": 1, "error": "no", "errors": {"year": "no"}}'
LIST = '{"books": [], "page": 1, "pages": 1, "per_page": 20, "total": 0, "error": "no", "errors": {"form": "no"}}'


@pytest.mark.parametrize(
    ("status", "headers", "page"),
    [
        pytest.param("200 OK", HTML, FORMS, id="the forms, always"),
        pytest.param("200 OK", JSON, LIST, id="an empty list, always"),
        pytest.param("404 Not Found", HTML, FORMS, id="always 404"),
        pytest.param("400 Bad Request", JSON, LIST, id="always 400"),
        pytest.param("422 Unprocessable Content", HTML, FORMS, id="always 422"),
        pytest.param("303 See Other", JSON, OBJECT, id="always 303"),
    ],
)
def test_a_constant_earns_less_than_a_quarter(
    tmp_path: Path, status: str, headers: list[tuple[str, str]], page: str
) -> None:
    source = CONSTANT.format(page=page, status=status, headers=headers)
    settings = Settings(effort="quick", jobs=1)
    card = grade(submit(tmp_path, source, CATALOG), (Selection(CATALOG, CATALOG.checks),), settings)
    assert card.broken == ()
    assert card.points < 25
