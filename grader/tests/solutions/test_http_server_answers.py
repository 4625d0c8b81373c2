"""What the model server answers in rare cases: validators, redirects, listings, names, and a locale without UTF-8."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from grader.tests.clients.socket_servers import SOLUTION

SERVER: dict[str, Any] = runpy.run_path(str(SOLUTION))
POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names, or no such locale")


def get(root: Path, target: str, *fields: tuple[str, str]) -> Any:
    """answer() for GET."""
    request = SERVER["Request"]("GET", target, (1, 1), [("host", "localhost"), *fields])
    return SERVER["answer"](SERVER["Site"](str(root.resolve())), request)


def field(response: Any, name: str) -> str | None:
    """A field of an answer."""
    return next((str(value) for key, value in response.fields if key == name), None)


def test_if_range_with_a_date_holds_only_when_that_second_is_over(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"0123456789")
    for modified, status in ((int(time.time()) - 5, 206), (int(time.time()) + 3600, 200)):
        os.utime(file, (modified, modified))
        known = field(get(tmp_path, "/a.txt"), "Last-Modified") or ""
        assert get(tmp_path, "/a.txt", ("range", "bytes=0-1"), ("if-range", known)).status == status


@pytest.mark.parametrize(
    ("value", "if_match", "if_none_match"),
    [
        ('"a"', 200, 304),
        (' , "x" ,,\t"a", ', 200, 304),
        ('W/"a"', 412, 304),
        ("*", 200, 304),
        ('w/"a"', 412, 200),
        ('x"a"', 412, 200),
        ('"x" "a"', 412, 200),
        ('"a", b', 412, 200),
        ('"a", *', 412, 200),
        (" " * 5000 + "," * 5000 + '"', 412, 200),
    ],
)
def test_only_a_whole_list_of_tags_counts(value: str, if_match: int, if_none_match: int) -> None:
    check = SERVER["check_conditions"]
    assert check([("if-match", value)], '"a"', 0) == if_match
    assert check([("if-none-match", value)], '"a"', 0) == if_none_match


def test_the_query_of_a_redirect_holds_nothing_that_a_uri_may_not(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    location = field(get(tmp_path, "/docs?a=\"<>{}|\\^`[]&b=%41%zz%&c=!$'()*+,;:@/?"), "Location")
    assert location == "/docs/?a=%22%3C%3E%7B%7D%7C%5C%5E%60%5B%5D&b=%41%25zz%25&c=!$'()*+,;:@/?"


def test_a_leap_second_is_a_date() -> None:
    assert SERVER["parse_http_date"]("Sat, 31 Dec 2033 23:59:60 GMT") == 2019686399
    for time_of_day in ("23:59:61", "23:60:00", "24:00:00"):
        assert SERVER["parse_http_date"](f"Sat, 31 Dec 2033 {time_of_day} GMT") is None


def test_last_modified_is_exact_for_every_nanosecond(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"")
    os.utime(file, ns=(0, 1_000_000_000_999_999_999))  # as a float that is a second more
    assert field(get(tmp_path, "/a.txt"), "Last-Modified") == SERVER["http_date"](1_000_000_000)


@POSIX_ONLY
def test_a_listing_has_working_links_and_valid_html_for_odd_names(tmp_path: Path) -> None:
    for name in ("bell\x07.txt", "back\\slash.txt", "plain.txt"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "dir.py").mkdir()
    (tmp_path / "dir.py" / "inside.txt").write_text("inside", encoding="utf-8")
    (tmp_path / "dir.py" / "x.py").write_text("secret", encoding="utf-8")
    page = get(tmp_path, "/").body.decode("utf-8")
    links = re.findall(r'<a href="\./([^"]*)">([^<]*)</a>', page)
    assert [text for _, text in links] == ["bell\ufffd.txt", "dir.py/", "plain.txt"]
    assert not re.search(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]", page)
    assert [get(tmp_path, "/" + href).status for href, _ in links] == [200, 200, 200]
    assert get(tmp_path, "/dir.py").status == 301
    assert get(tmp_path, "/dir.py/inside.txt").body == b"inside"
    assert get(tmp_path, "/dir.py/x.py").status == 403


@POSIX_ONLY
def test_names_are_utf_8_in_every_locale(tmp_path: Path) -> None:
    (tmp_path / "grüße").mkdir()
    (tmp_path / "grüße" / "ä.txt").write_text("found", encoding="utf-8")
    code = (
        "import os, runpy, sys\n"
        "server = runpy.run_path(sys.argv[1])\n"
        "for target in sys.argv[3:]:\n"
        "    request = server['Request']('GET', target, (1, 1), [('host', 'a')])\n"
        "    os.write(1, server['answer'](server['Site'](sys.argv[2]), request).body)\n"
    )
    targets = ["/gr%C3%BC%C3%9Fe/%C3%A4.txt", "/gr%C3%BC%C3%9Fe/"]
    command = [sys.executable, "-c", code, str(SOLUTION), str(tmp_path.resolve()), *targets]
    variables = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command, env=variables, capture_output=True, timeout=20, check=True)
    assert done.stdout.startswith(b"found<!DOCTYPE html>")
    assert '<a href="./%C3%A4.txt">ä.txt</a>'.encode() in done.stdout
