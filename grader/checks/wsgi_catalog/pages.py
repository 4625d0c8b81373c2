"""Reading the catalog's pages as a browser does, whatever markup the student chose.

reply -> read_page() -> Page: books(), total, turn("next"), form("add"), text("year-error"), links()
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import NoReturn
from urllib.parse import quote, quote_plus, unquote_to_bytes, urljoin, urlsplit

from grader.engine import because, expect
from grader.engine.expect import Reply

VOID = frozenset(re.findall(r"\w+", "area base br col embed hr img input link meta source track wbr"))
# Start tags that end an open element whose end tag may be left out (HTML Living Standard, section 13.1.2.4).
BLOCKS = re.findall(
    r"\w+",
    "address article aside blockquote details dialog div dl fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 "
    "header hr main menu nav ol p pre section table ul",
)
ENDED_BY: dict[str, tuple[str, ...]] = dict.fromkeys(BLOCKS, ("p",))
ENDED_BY |= {
    "li": ("li",),
    "dt": ("dt", "dd"),
    "dd": ("dt", "dd"),
    "tr": ("tr",),
    "td": ("td", "th"),
    "th": ("td", "th"),
}
# What an open element of ENDED_BY is looked for in, and no further out.
FENCES = frozenset(("ul", "ol", "dl", "table", "form", "main", "body"))
# Nobody is shown what stands in these (HTML Living Standard, section 4.12).
INERT = frozenset(("template", "script", "style"))
# Deeper than any page: browsers, too, stop nesting somewhere.
MAX_DEPTH = 200
# As a tag or an attribute of a page it can only come from text that was not escaped.
STRAY = "x-stray"
# Ends whatever it may have been put into, then makes a tag and attributes of that name.
HOSTILE = f"--></title></h1></a></script><{STRAY}>\"><{STRAY}>'><{STRAY}> \" {STRAY}=1 ' {STRAY}=1 &lt;"
ESCAPED = (
    'README, "The pages": whatever a client sent is escaped wherever it is shown, in messages too; '
    "a < of a stranger is a sign on the page, never the beginning of a tag"
)
WHOLE = (
    'README, "The pages": each page, also one that reports an error, has a charset, <!doctype html>, a <title> and a '
    "viewport; without them browsers guess, and telephones show it tiny"
)


@dataclass
class Element:
    """A start tag, its attributes (names in lower case), and what stands up to its end tag."""

    tag: str
    attributes: dict[str, str]
    content: list[Element | str] = field(default_factory=list)
    parent: Element | None = field(default=None, repr=False, compare=False)

    def get(self, name: str) -> str:
        """The value of an attribute, "" when it is not there."""
        return self.attributes.get(name, "")

    @property
    def classes(self) -> list[str]:
        """The words of its class attribute."""
        return self.get("class").split()

    @property
    def text(self) -> str:
        """All text inside, white space as a browser shows it: runs of it are one space, none at the ends."""
        return collapse(self._raw_text())

    def _raw_text(self) -> str:
        if self.tag in INERT:
            return ""
        return "".join(item if isinstance(item, str) else item._raw_text() for item in self.content)

    def all(self, tag: str = "", **attributes: str) -> Iterator[Element]:
        """Every element inside, in the order of their start tags, with these attributes ("class_" for a class)."""
        for item in self.content:
            if isinstance(item, Element):
                if (not tag or item.tag == tag) and item._has(attributes):
                    yield item
                if item.tag not in INERT:
                    yield from item.all(tag, **attributes)

    def _has(self, attributes: dict[str, str]) -> bool:
        for name, value in attributes.items():
            if name == "class_":
                if value not in self.classes:
                    return False
            elif self.attributes.get(name) != value:
                return False
        return True


@dataclass(frozen=True)
class ShownBook:
    """A book as a page shows it; `links` are the addresses in it, and of a link that it is or lies in."""

    title: str
    author: str
    year: str
    links: tuple[str, ...]


@dataclass
class Form:
    """A form: where it goes, and its fields as a browser would send them now."""

    method: str
    action: str
    fields: dict[str, str]
    labelled: frozenset[str]


class Page:
    """A page that came as an answer to `url`."""

    def __init__(self, root: Element, url: str) -> None:
        self.root, self.url = root, url
        base = next((element.get("href") for element in root.all("base") if element.get("href")), "")
        self._base = resolve(url, base)

    def text(self, identity: str) -> str | None:
        """The text of the element with this id; None where there is none, or nothing in it."""
        return next((element.text for element in self.root.all(id=identity)), "") or None

    def books(self) -> list[ShownBook]:
        """The elements of class "book". A part that is missing is ""."""
        return [self._shown(element) for element in self.root.all(class_="book")]

    def turn(self, relation: str) -> str | None:
        """The path and query of the link with this rel, None where there is none."""
        for element in self.root.all():
            if element.tag in ("a", "link") and relation in element.get("rel").lower().split():
                return self._local(element.get("href"))
        return None

    def links(self) -> list[str]:
        """Every address that the page sends somebody to, as path and query, if it is one of this site."""
        found = [element.get("href") for element in self.root.all("a") if "href" in element.attributes]
        found += [element.get("action") for element in self.root.all("form")]
        absolute = [resolve(self._base, address) for address in found]
        hosts = ("localhost", "localhost:80", urlsplit(self.url).netloc)
        return [self._local(address) for address in absolute if _host(address) in hosts]

    def strays(self) -> list[str]:
        """The tags that became of STRAY, or got an attribute of it: [] where all text is escaped."""
        return [
            f"<{element.tag}>"
            for element in self.root.all()
            if STRAY in element.tag or any(STRAY in name for name in element.attributes)
        ]

    def form(self, identity: str) -> Form | None:
        """The form with this id; for "" the first of all."""
        form = next(self.root.all("form", id=identity) if identity else self.root.all("form"), None)
        if form is None:
            return None
        controls = [*form.all("input"), *form.all("textarea")]
        outside = [*self.root.all("input"), *self.root.all("textarea")]
        controls += [control for control in outside if control.get("form") == identity and control not in controls]
        named = {control.get("name"): control for control in controls if control.get("name")}
        labels = list(self.root.all("label"))
        by_for = {label.get("for") for label in labels if label.text}
        around = {control.get("name") for label in labels if label.text for control in label.all("input")}
        labelled = {name for name, control in named.items() if name in around or control.get("id") in by_for - {""}}
        return Form(
            method=form.get("method").upper() or "GET",
            action=self._local(form.get("action") or self.url),
            fields={name: _value(control) for name, control in named.items()},
            labelled=frozenset(labelled),
        )

    def _local(self, address: str) -> str:
        try:
            parts = urlsplit(resolve(self._base, address))
        except ValueError:
            return address
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def _shown(self, element: Element) -> ShownBook:
        def part(name: str) -> str:
            return next((inner.text for inner in element.all(class_=name)), "")

        around: list[Element] = []
        outer: Element | None = element
        while outer is not None:
            around.append(outer)
            outer = outer.parent
        anchors = [*element.all("a"), *(item for item in around if item.tag == "a")]
        links = tuple(self._local(link.get("href")) for link in anchors if "href" in link.attributes)
        return ShownBook(part("title"), part("author"), part("year"), links)


def resolve(url: str, address: str) -> str:
    """What an address on the page `url` means (RFC 3986 section 5); the address itself where it means nothing."""
    try:
        return urljoin(url, address)
    except ValueError:
        return address


def _host(address: str) -> str:
    try:
        return urlsplit(address).netloc
    except ValueError:
        return ""


def path_and_query(address: str) -> tuple[bytes, str]:
    """PATH_INFO and QUERY_STRING when a browser goes to "/path?query": what is not ASCII is percent-encoded first."""
    path, _, query = address.partition("?")
    return unquote_to_bytes(path), quote(query, safe="!$%&'()*+,-./:;=?@[]_~")


def as_in_forms(text: str, raw: bool = False) -> str:
    """A value of a query or a form. `raw`: ; and letters beyond ASCII stand as they are, as some clients send them."""
    return "".join(letter if raw and (letter >= "\u00a1" or letter == ";") else quote_plus(letter) for letter in text)


def _value(control: Element) -> str:
    return control.get("value") if control.tag == "input" else "".join(map(str, control.content))


def collapse(text: str) -> str:
    """Runs of HTML's white space as one space, none at the ends."""
    return re.sub(r"[ \t\n\f\r]+", " ", text).strip(" ")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes: dict[str, str] = {}
        for name, value in attrs:
            attributes.setdefault(name, value or "")  # the first of two attributes counts
        for ended in ENDED_BY.get(tag, ()):
            for element in reversed(self._open):
                if element.tag == ended:
                    self.handle_endtag(ended)
                    break
                if element.tag in FENCES:
                    break
        element = Element(tag, attributes, parent=self._open[-1])
        self._open[-1].content.append(element)
        if tag not in VOID and len(self._open) < MAX_DEPTH:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # in HTML the slash of <b/> means nothing

    def handle_endtag(self, tag: str) -> None:
        if any(element.tag == tag for element in self._open):
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        self._open[-1].content.append(data)

    def parse_html_declaration(self, i: int) -> int:
        # Outside of SVG and MathML "<![" begins a comment, which the base class does not know of every word behind it.
        if self.rawdata.startswith("<![", i):
            return self.parse_bogus_comment(i)
        return super().parse_html_declaration(i)


def read_page(reply: Reply, url: str = "http://localhost/") -> Page:
    """The page of an HTML answer. Complaint when it is not HTML, or not in UTF-8."""
    kind = media_type(reply)
    shown = f"Content-Type: {reply.headers.get('Content-Type') or '(none)'}"
    expect(reply).that(kind == "text/html", expected="Content-Type: text/html; charset=utf-8", got=shown)
    try:
        text = reply.body.decode("utf-8")
    except UnicodeDecodeError as error:
        expect(reply).that(False, expected="a page in UTF-8", got=f"bytes that are not UTF-8 ({error.reason})")
    return Page(parse(text), url)


def read_whole_page(reply: Reply, url: str = "http://localhost/") -> Page:
    """The page of an answer, be it an error, with all that each page must have, and no tag that a client sent."""
    page = read_page(reply, url)
    with because(ESCAPED):
        strays = page.strays()
        expect(reply).that(not strays, expected="no tag of what was sent", got=shown_strays(reply, strays))
    with because(WHOLE):
        shown = f"Content-Type: {reply.headers.get('Content-Type')}"
        expect(reply).that(charset(reply) == "utf-8", expected="Content-Type: text/html; charset=utf-8", got=shown)
        start = reply.body.lstrip().lower().startswith(b"<!doctype html>")
        expect(reply).that(
            start, expected="<!doctype html> at the beginning", got=repr(reply.body[:60].decode("utf-8", "replace"))
        )
        titled = any(title.text for title in page.root.all("title"))
        expect(reply).that(titled, expected="a <title> with text")
        viewport = any(item.get("content") for item in page.root.all("meta", name="viewport"))
        expect(reply).that(viewport, expected='<meta name="viewport" content="..."> in this page')
    return page


def media_type(reply: Reply) -> str:
    """The type in Content-Type, in lower case and without parameters; "" where there is none."""
    return (reply.headers.get("Content-Type") or "").split(";")[0].strip().lower()


def charset(reply: Reply) -> str:
    """The charset parameter of Content-Type, in lower case; "" where there is none."""
    for parameter in (reply.headers.get("Content-Type") or "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""


def parse(text: str) -> Element:
    """A root element around some HTML. Complaint where no reader of HTML gets through."""
    reader = _Reader()
    try:
        reader.feed(text)
        reader.close()
    except (ValueError, AssertionError) as error:
        _unreadable(error)
    return reader.root


def shown_strays(reply: Reply, strays: list[str]) -> str:
    """The tags that should not be there, and the place of the first in what was sent."""
    place = reply.body.lower().find(f"<{STRAY}".encode())
    if place < 0:
        place = reply.body.lower().find(STRAY.encode())
    around = reply.body[max(0, place - 60) : place + 60].decode("utf-8", "replace")
    return f"the tags {', '.join(strays[:3])}, here: ...{around}..."


def _unreadable(error: Exception) -> NoReturn:
    expect.fail(expected="HTML that can be read", got=f"{type(error).__name__}: {error}")
