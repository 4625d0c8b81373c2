"""Folders: as functions, then over the wire."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

from hypothesis import strategies as st

from grader.checks.socket_server.wire import VISIBLE, expect_allow, file_names, last, percent, whole
from grader.engine import check, expect, fuzz
from grader.target.function import Module
from grader.target.socket import SocketTarget
from grader.target.webroot import CANARY, HTML_FOLDER, ODD_FOLDER


@dataclass
class _Links(HTMLParser):
    """The links of a page, as (href, text)."""

    links: list[tuple[str, str]] = field(default_factory=list)
    inside: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.links.append((href.strip(), ""))
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "a"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.links[-1] = (self.links[-1][0], self.links[-1][1] + data)


def links_of(page: str) -> list[tuple[str, str]]:
    """Every <a href> of a page with its text, in order."""
    parser = _Links()
    parser.feed(page)
    parser.close()
    return parser.links


def leads_to(base: str, href: str) -> str:
    """The path that a browser asks for when it follows a link of the page at `base` (still encoded)."""
    parts = urlsplit(urljoin("http://host" + base, href))
    return parts.path if (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("http", "host", "", "") else href


def shows(path: str, names: list[str], page: object) -> bool:
    """Whether a page is the listing of these names: texts and links, a link to ../ apart. Blanks around do not show."""
    if not isinstance(page, str) or (path != "/") != any(href == "../" for href, _ in links_of(page)):
        return False
    links = [link for link in links_of(page) if link[0] != "../"]
    if [text.strip() for _, text in links] != names:
        return False
    return all(unquote(leads_to(percent(path, "/"), href)) == path + name for href, name in links)


# Blanks at the ends of a name would get lost between a page and its reader.
shown_names = file_names.filter(lambda name: name.strip() == name)


@check("folders/location", points=1, source="kit rule")
@fuzz(share=0.3, names=st.lists(shown_names, min_size=1, max_size=3), query=st.text(VISIBLE, max_size=6))
def test_where_a_folder_is(module: Module, names: list[str], query: str) -> None:
    """folder_location() writes the folder's path with a slash, escaped again, and the query.

    The docstring of folder_location(). A Location is a URI: what is no plain character has to be escaped again.
    """
    path = "/" + "/".join(names)
    expected = percent(path, "/") + "/" + (f"?{query}" if query else "")
    expect(module.call("folder_location", path, query)).returns(expected)


@check("folders/page", points=1, source="kit rule")
@fuzz(share=0.5, folder=shown_names, names=st.lists(shown_names, max_size=4, unique=True), top=st.booleans())
def test_a_listing_shows_and_links_every_name(module: Module, folder: str, names: list[str], top: bool) -> None:
    """listing_page() shows each name as the text of a link that leads exactly there, whatever the name.

    The docstring of listing_page(): names are escaped for HTML where they are read, and for URIs where they lead.
    """
    path = "/" if top else f"/{folder}/"
    listed = [*names, "a:b", "x?y#z", "<b>&\"'", "100%41", "sub/"]
    called = module.call("listing_page", path, listed)
    expected = f"HTML with links to {listed!r} below {path!r}" + ("" if top else ", and one to ../")
    expect(called).returns_that(lambda page: shows(path, listed, page), expected)


@check("folders/redirect", points=1, source="kit rule", needs=("serve/file",))
def test_a_folder_without_its_slash_is_a_redirect(server: SocketTarget) -> None:
    """A folder without the slash at its end gets 301 to the address with it, on the same site, query included.

    README, "Folders": relative links in /docs lead elsewhere than in /docs/. And //docs/ would lead to a host
    called docs.
    """
    odd = percent(ODD_FOLDER)
    targets = {
        "/docs": "/docs/",
        "/docs/chapters": "/docs/chapters/",
        "/docs?a=%26b+c%3Dd": "/docs/?a=%26b+c%3Dd",
        "//docs": "/docs/",
    }
    for target, expected in {**targets, f"/odd/{odd}": f"/odd/{odd}/"}.items():
        reply = server.exchange(last(target))
        if target.startswith("//") and reply.status in (400, 404):
            continue
        location = reply.headers.get("Location") or ""
        expect(reply).status(301, 308).header("Location")
        got = f"Location: {location}"
        plain = re.fullmatch("[!-~]*", location) is not None
        expect(reply).that(plain, expected="Location with a URI: ASCII without spaces, all else escaped", got=got)
        parts = urlsplit(urljoin(f"http://localhost{target if target[1] != '/' else '/'}", location))
        same = parts.netloc.partition(":")[0] in ("localhost", "127.0.0.1")
        path, _, query = expected.partition("?")
        # An empty segment may stay: //docs and /docs are one folder here, under two addresses.
        leads = unquote(parts.path) in (unquote(path), "/" * target.startswith("//") + unquote(path))
        leads = leads and (parts.query, parts.fragment) == (query, "")
        expect(reply).that(same and leads, expected=f"a Location field that leads to {expected}", got=got)
    reply = server.exchange(last("/docs", method="OPTIONS"))
    expect(reply).status(200, 204)
    expect_allow(reply, "GET", "HEAD")


@check("folders/index", points=1, source="kit rule", needs=("serve/file",))
def test_the_index_of_a_folder_is_served(server: SocketTarget) -> None:
    """A folder with an index.html is answered with that file; so is / itself.

    README, "Folders": index.html is what a visitor of the folder should see.
    """
    for target, name in (("/", "index.html"), ("/gallery/", "gallery/index.html"), ("/?x=1", "index.html")):
        reply = server.exchange(last(target))
        expect(reply).status(200).body((server.webroot.root / name).read_bytes())
        expect(reply).header_that("Content-Type", lambda value: value.lower().startswith("text/html"), "text/html")


@check("folders/listing", points=2, source="kit rule", needs=("serve/file",))
def test_a_folder_without_index_is_listed(server: SocketTarget) -> None:
    """A folder without index.html is listed: HTML with a working link for every file and folder in it.

    README, "Folders": all that may be asked for is listed, and each link works, whatever is in the name.
    """
    for folder in ("docs", "names", "odd", f"odd/{ODD_FOLDER}", f"odd/{HTML_FOLDER}"):
        base = f"/{percent(folder, '/')}/"
        if folder.endswith(HTML_FOLDER) and not (server.webroot.root / folder).is_dir():
            continue  # Windows has no such names
        reply = whole(server, base)
        expect(reply).status(200).header_that(
            "Content-Type", lambda value: value.lower().startswith("text/html"), "text/html"
        )
        here = server.webroot.root / folder
        names = sorted(path.name + "/" * path.is_dir() for path in here.iterdir())
        links = [link for link in links_of(reply.text) if not base.startswith(leads_to(base, link[0]))]  # not upwards
        found = [(href, text.strip()) for href, text in links]
        texts = sorted(text for _, text in found)
        expect(reply).that(texts == names, expected="links to " + ", ".join(names), got=", ".join(texts) or "none")
        for href, text in found:
            path = leads_to(base, href)
            if not text.lower().endswith((".py", "/")):
                content = (here / text).read_bytes()
                expect(server.exchange(last(path))).status(200).body(content)


@check("folders/hidden", points=1, source="kit rule", needs=("serve/file",))
def test_a_listing_keeps_secrets(server: SocketTarget) -> None:
    """A listing names no hidden file and no link that leads out of the root, and no such link is an index.

    README, "Folders": hidden files and links that lead out are not listed; README, "Files": nor are they served.
    """
    root = server.webroot.root
    plain = root / "index.html"
    moved = root / "docs" / ".index.html"
    plain.rename(moved)
    try:
        reply = server.exchange(last("/"))
    finally:
        moved.rename(plain)
    names = [text.strip() for _, text in links_of(reply.text)]
    expect(reply).status(200).body_lacks(CANARY, b".hidden.txt", b".git")
    expect(reply).that("notes.txt" in names, expected="a link to notes.txt")
    expect(reply).that("outside.txt" not in names, expected="no link to outside.txt, which leads out of the root")
    expect(server.exchange(last("/docs/"))).body_lacks(b".index.html")
    expect(server.exchange(last("/trap/"))).status(200, 403, 404).body_lacks(CANARY)
