"""The catalog's solution, unmodified, under four WSGI servers and in the hands of real clients."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import html5lib
import pytest
import requests

from grader.tests.clients.browser import DESKTOP, PHONE, chromium
from grader.tests.clients.programs import require_program
from grader.tests.clients.wsgi_servers import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[3]
SOLUTION = ROOT / "solutions" / "wsgi_catalog"
SEED = ROOT / "data" / "initial_books.json"
SEEDED = 98
AS_JSON = {"Accept": "application/json"}
MOMO = {"title": "Momo <i>oder</i>", "author": "Michael Ende", "year": "1973"}


def start(name: str, folder: Path) -> Iterator[str]:
    if name in ("waitress", "gunicorn"):
        pytest.importorskip(name)
    with serving(name, SOLUTION, folder / "catalog.json", SEED) as address:
        yield address


@pytest.fixture(params=["wsgiref", "validate", "waitress", "gunicorn"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield from start(request.param, tmp_path)


@pytest.fixture
def plain_url(tmp_path: Path) -> Iterator[str]:
    yield from start("wsgiref", tmp_path)


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        # A proxy variable must not get between a test and its own machine.
        session.trust_env = False
        yield session


def test_a_book_can_be_added_found_and_taken_away(url: str, session: requests.Session) -> None:
    assert session.get(f"{url}/books", headers=AS_JSON, timeout=10).json()["total"] == SEEDED
    added = session.post(f"{url}/books", data=MOMO, timeout=10, allow_redirects=False)
    assert (added.status_code, added.headers["Location"]) == (303, f"/books/{SEEDED + 1}")
    page = session.get(f"{url}{added.headers['Location']}", timeout=10)
    assert "Momo &lt;i&gt;oder" in page.text
    found = session.get(f"{url}/books/search", params={"title": "MOMO <"}, headers=AS_JSON, timeout=10).json()
    assert [book["id"] for book in found["books"]] == [SEEDED + 1]
    assert session.delete(f"{url}/books/{SEEDED + 1}", timeout=10).status_code == 204
    assert session.get(f"{url}/books/{SEEDED + 1}", timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        pytest.param("HEAD", "/books", {}, None, 200, id="HEAD"),
        pytest.param("GET", "/books/search?title=%ff", {}, None, 200, id="query that is not UTF-8"),
        pytest.param("GET", "/%e4%b8%ad", {}, None, 404, id="no such page"),
        pytest.param("PUT", "/books/1", {}, None, 405, id="no such method"),
        pytest.param("POST", "/books", {"Content-Type": "text/plain"}, b"x", 415, id="wrong type"),
        pytest.param("POST", "/books", {"Content-Type": "application/json"}, b"[" * 60_000, 400, id="deep JSON"),
        pytest.param("POST", "/books", {"Content-Type": "application/json"}, b"{}", 422, id="empty JSON"),
    ],
)
def test_every_server_passes_the_answer_on(
    url: str,
    session: requests.Session,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes | None,
    status: int,
) -> None:
    answer = session.request(method, f"{url}{path}", headers=headers, data=body, timeout=10)
    assert answer.status_code == status
    assert "Traceback" not in answer.text


def test_two_workers_and_eight_clients_lose_no_book(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    with serving("gunicorn", SOLUTION, tmp_path / "catalog.json", SEED) as url:

        def add(number: int) -> str:
            book = {"title": f"Volume {number}", "author": "Many Hands", "year": number}
            with requests.Session() as session:
                session.trust_env = False
                return session.post(f"{url}/books", json=book, timeout=20).headers["Location"]

        with ThreadPoolExecutor(8) as pool:
            addresses = list(pool.map(add, range(40)))
        assert len(set(addresses)) == 40
        found = requests.get(f"{url}/books/search?author=many+hands", headers=AS_JSON, timeout=10).json()
        assert found["total"] == 40


def test_curl_adds_a_book_and_follows_to_its_page(plain_url: str) -> None:
    data = [part for key, value in MOMO.items() for part in ("--data-urlencode", f"{key}={value}")]
    command = [require_program("curl"), "-sS", "--noproxy", "*", "--max-time", "20", "--location", *data]
    page = subprocess.run([*command, f"{plain_url}/books"], capture_output=True, check=True, timeout=30).stdout
    assert b'<span class="author">Michael Ende</span>' in page


NASTY = "\"'><script>alert(1)</script><!--&amp;</form>\x01\x85\ufffe\U0001ffff"


@pytest.mark.parametrize(
    "path", ["/", "/books", "/books?page=5", "/books/1", "/books/new", "/books/search", "/nothing"]
)
def test_the_pages_are_valid_html(plain_url: str, session: requests.Session, path: str) -> None:
    html5lib.HTMLParser(strict=True).parse(session.get(f"{plain_url}{path}", timeout=10).text)


def test_the_page_of_whatever_was_typed_is_valid_html(plain_url: str, session: requests.Session) -> None:
    wrong = session.post(f"{plain_url}/books", data={"title": NASTY, "author": NASTY, "year": NASTY}, timeout=10)
    right = session.post(f"{plain_url}/books", data={"title": "\ufffe", "author": "\ufdd0", "year": "1"}, timeout=10)
    asked = session.get(f"{plain_url}/books/search", params={"title": NASTY, "year": "soon"}, timeout=10)
    assert [reply.status_code for reply in (wrong, right, asked)] == [422, 200, 400]
    for reply in (wrong, right, asked, session.get(f"{plain_url}/books?page=5", timeout=10)):
        html5lib.HTMLParser(strict=True).parse(reply.text)


def test_the_page_of_a_broken_shelf_is_valid_html(tmp_path: Path, session: requests.Session) -> None:
    db = tmp_path / "catalog.json"
    with serving("wsgiref", SOLUTION, db, SEED) as url:
        db.write_bytes(b"")
        reply = session.get(f"{url}/books", timeout=10)
    assert reply.status_code == 500
    html5lib.HTMLParser(strict=True).parse(reply.text)


# --- Chromium ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(params=[pytest.param(DESKTOP, id="desktop"), pytest.param(PHONE, id="phone")])
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport=request.param)
    page.set_default_timeout(15_000)
    yield page
    page.close()


def shoot(page: Page, name: str) -> None:
    """Keep a picture where SCREENSHOTS names a folder: to look at, not to compare."""
    if folder := os.environ.get("SCREENSHOTS"):
        width = (page.viewport_size or DESKTOP)["width"]
        page.screenshot(path=str(Path(folder) / f"catalog-{name}-{width}.png"), full_page=True)


def fill(page: Page, **fields: str) -> None:
    for name, value in fields.items():
        page.locator(f"input[name={name}]").fill(value)


def test_a_visitor_searches_turns_pages_and_adds_a_book(plain_url: str, page: Page) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(plain_url)
    shoot(page, "home")

    fill(page, title="DER")
    page.get_by_role("button").click()
    titles = page.locator("li.book .title").all_inner_texts()
    assert "Der Zauberberg" in titles
    assert page.locator("input[name=title]").input_value() == "DER"
    shoot(page, "search")

    page.get_by_role("link", name="All books").click()
    assert page.locator("#total").inner_text() == str(SEEDED)
    page.locator("a[rel=next]").click()
    assert page.locator("li.book").count() == 20
    assert "page=2" in page.url
    shoot(page, "list")

    page.get_by_role("link", name="Add a book").click()
    fill(page, title='"Momo" & <b>die Zeit</b>', author="Michael Ende", year="soon")
    page.get_by_role("button").click()
    assert page.locator("#year-error").is_visible()
    assert page.locator("input[name=title]").input_value() == '"Momo" & <b>die Zeit</b>'
    shoot(page, "error")

    fill(page, year="1973")
    page.get_by_role("button").click()
    assert re.search(r"/books/[0-9]+$", page.url)
    assert page.locator("h1.title").inner_text() == '"Momo" & <b>die Zeit</b>'
    shoot(page, "book")
    page.reload()
    page.get_by_role("link", name="All books").first.click()
    assert page.locator("#total").inner_text() == str(SEEDED + 1)
    # 422 is what the page with the error is meant to be; Chromium notes it in its console.
    assert [text for text in complaints if "422" not in text] == []


def test_nothing_is_wider_than_a_phone(plain_url: str, page: Page) -> None:
    requests.post(f"{plain_url}/books", json={"title": "x" * 200, "author": "y" * 200, "year": 1}, timeout=10)
    for path in ("/", "/books", "/books?page=5", f"/books/{SEEDED + 1}", "/books/new", "/books/search"):
        page.goto(f"{plain_url}{path}")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path


def test_the_forms_can_be_used_without_seeing_them(plain_url: str, page: Page) -> None:
    page.goto(f"{plain_url}/books/new")
    page.get_by_role("button", name="Add the book").click()
    for label in ("Title", "Author", "Year"):
        field = page.get_by_label(label, exact=True)
        described = field.get_attribute("aria-describedby")
        assert field.get_attribute("aria-invalid") == "true"
        assert described
        assert page.locator(f"#{described}").inner_text()
