"""The calculator's solution, unmodified, under lighttpd's mod_cgi and in the hands of real clients."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import html5lib
import pytest
import requests

from grader.tests.clients.browser import DESKTOP, PHONE, chromium
from grader.tests.clients.lighttpd import lighttpd
from grader.tests.clients.programs import require_program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SOLUTION = Path(__file__).parents[3] / "solutions" / "cgi_calculator"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with lighttpd(SOLUTION, tmp_path_factory.mktemp("lighttpd")) as address:
        yield f"{address}/cgi-bin/cgi_calc.py"


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        # A proxy variable must not get between a test and its own machine.
        session.trust_env = False
        yield session


def result_of(html: str) -> str | None:
    return text_of("result", html)


def text_of(identity: str, html: str) -> str | None:
    document = html5lib.parse(html, namespaceHTMLElements=False)
    element = document.find(f".//*[@id='{identity}']")
    return None if element is None else "".join(element.itertext()).strip()


# --- curl -------------------------------------------------------------------------------------


def curl(*arguments: str) -> str:
    command = [require_program("curl"), "--silent", "--show-error", "--noproxy", "*", "--max-time", "20"]
    return subprocess.run([*command, *arguments], capture_output=True, check=True, timeout=30).stdout.decode()


def test_curl_gets_the_result_of_a_query(url: str) -> None:
    assert result_of(curl(f"{url}?user=jdoe&operand=11&operand=7&operation=sub")) == "4"


def test_curl_sends_a_form(url: str) -> None:
    data = ["user=jdoe", "operand=0.1", "operand=0.2", "operation=add"]
    arguments = [argument for pair in data for argument in ("--data-urlencode", pair)]
    assert result_of(curl(*arguments, url)) == "0.3"


def test_curl_asks_for_the_headers_alone(url: str) -> None:
    head, _, body = curl("--head", url).partition("\r\n\r\n")
    assert re.match(r"HTTP/1\.1 200 ", head)
    assert "content-type: text/html; charset=utf-8" in head.lower()
    assert body == ""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        pytest.param(["?operand=1&operand=0&operation=div"], "400", id="division by zero"),
        pytest.param(["?operand=1&operand=%zz&operation=add"], "400", id="malformed escape"),
        pytest.param(["", "--request", "PUT", "--data", "x"], "405", id="PUT"),
        pytest.param(["", "--form", "operand=1"], "415", id="multipart"),
        pytest.param(["", "--data", "operand=" + "1" * 9000], "413", id="too large"),
    ],
)
def test_curl_sees_the_status_of_a_mistake(url: str, arguments: list[str], status: str) -> None:
    query, *options = arguments
    head, _, body = curl("--include", *options, url + query).rpartition("\r\n\r\n")
    assert f"HTTP/1.1 {status} " in head
    assert text_of("error", body)


# --- requests ---------------------------------------------------------------------------------


def test_requests_gets_and_posts_the_same_answer(url: str, session: requests.Session) -> None:
    fields = [("user", "Zo\u00eb & co"), ("operand", "1"), ("operand", "4"), ("operation", "div")]
    replies = [session.get(url, params=fields, timeout=20), session.post(url, data=fields, timeout=20)]
    assert [reply.status_code for reply in replies] == [200, 200]
    assert [result_of(reply.text) for reply in replies] == ["0.25", "0.25"]
    assert all(reply.encoding == "utf-8" for reply in replies)


def test_the_allow_header_comes_through(url: str, session: requests.Session) -> None:
    reply = session.delete(url, timeout=20)
    assert reply.status_code == 405
    assert reply.headers["Allow"] == "GET, HEAD, POST"


def test_a_body_that_stops_short_does_not_hang_the_server(url: str, session: requests.Session) -> None:
    """The client leaves in the middle of its body; the next one is served all the same."""
    host, port = url.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(
            b"POST /cgi-bin/cgi_calc.py HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\noperand=1"
        )
    assert session.get(url, timeout=20).status_code == 200


def test_many_clients_at_once_get_their_own_answers(url: str) -> None:
    urls = [f"{url}?operand={number}&operand=1000&operation=mul" for number in range(20)]
    pages = curl("--parallel", "--parallel-max", "4", *urls)
    assert sorted(map(int, re.findall(r'id="result">(\d+)<', pages))) == [n * 1000 for n in range(20)]


# --- the page ---------------------------------------------------------------------------------

NASTY = "\"'><script>alert(1)</script><!--&amp;</form>"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="empty form"),
        pytest.param({"user": "jdoe", "operand": ["11", "7"], "operation": "div"}, id="result"),
        pytest.param({"user": NASTY, "operand": [NASTY, NASTY], "operation": NASTY}, id="error, nasty"),
        pytest.param({"user": "\u00e9\U0001f600\u202e", "operand": ["9" * 100] * 10, "operation": "mul"}, id="long"),
        pytest.param({"user": "\x85\ufffe", "operand": ["\x9f\U0001ffff"], "operation": "add"}, id="unprintable"),
    ],
)
def test_the_page_is_valid_html(url: str, session: requests.Session, fields: dict[str, Any]) -> None:
    reply = session.get(url, params=fields, timeout=20)
    html5lib.HTMLParser(strict=True).parse(reply.text)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def visitor(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = browser.new_page(viewport=request.param)
    page.set_default_timeout(20_000)
    yield page
    page.close()


def fits(page: Page) -> bool:
    """Nothing sticks out to the right, so a phone need not scroll sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_a_person_calculates_in_the_browser(visitor: Page, url: str) -> None:
    visitor.goto(url)
    assert visitor.locator("#result, #error").count() == 0
    assert fits(visitor)
    visitor.get_by_label("Your name").fill("Zo\u00eb")
    for box, text in enumerate(["10", "4", "-0.5"]):
        visitor.locator("[name=operand]").nth(box).fill(text)
    visitor.get_by_label("div").check()
    visitor.get_by_role("button").click()
    assert visitor.locator("#result").inner_text() == "-5"
    assert visitor.get_by_label("Your name").input_value() == "Zo\u00eb"
    assert visitor.get_by_label("div").is_checked()
    assert fits(visitor)


def test_a_person_mends_a_mistake_in_the_browser(visitor: Page, url: str) -> None:
    visitor.goto(url)
    visitor.locator("[name=operand]").nth(0).fill("<b>7")
    visitor.locator("[name=operand]").nth(1).fill("5")
    visitor.get_by_label("mul").check()
    visitor.keyboard.press("Enter")
    assert "<b>7" in visitor.get_by_role("alert").inner_text()
    visitor.locator("[name=operand]").nth(0).fill("7")
    visitor.get_by_role("button").click()
    assert visitor.locator("#result").inner_text() == "35"
    assert visitor.locator("#error").count() == 0


def test_a_very_long_result_fits_on_a_phone(visitor: Page, url: str) -> None:
    visitor.goto(url + "?operation=mul" + "&operand=1e100" * 10 + "&user=" + "W" * 100)
    assert visitor.locator("#result").inner_text() == "1" + "0" * 1000
    assert fits(visitor)


def test_a_script_in_a_field_stays_text(visitor: Page, url: str) -> None:
    visitor.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    visitor.goto(f"{url}?user=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert visitor.get_by_label("Your name").input_value() == '"><script>alert(1)</script>'
    assert visitor.locator("script").count() == 0
