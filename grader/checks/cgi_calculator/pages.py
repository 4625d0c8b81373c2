"""Reading a page of the calculator the way a browser does, whatever markup the student chose.

reply --read_page--> Page --text("result")--> "18"
                         --kept()--> what the form still shows
                         --fill(...)--> the fields that a browser would send
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from html.parser import HTMLParser

from grader.engine import expect
from grader.target.cgi import CgiReply

VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])
# A start tag that ends an open <p>, whose end tag may be left out (HTML Living Standard, section 13.1.2.4).
ENDS_P = frozenset({
    "address", "article", "aside", "blockquote", "details", "dialog", "div", "dl", "fieldset", "figcaption",
    "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "main", "menu", "nav", "ol",
    "p", "pre", "section", "table", "ul",
})  # fmt: skip


@dataclass
class Element:
    """A start tag with its attributes (names in lower case) and the text up to its end tag."""

    tag: str
    attributes: dict[str, str]
    text: str = ""

    def get(self, name: str, default: str = "") -> str:
        return self.attributes.get(name, default)


@dataclass
class Control:
    """A field of the form: its name, the value a browser would send now, and the values that could be chosen."""

    name: str
    kind: str
    value: str = ""
    choices: list[str] = field(default_factory=list)
    chosen: str | None = None


@dataclass
class Page:
    """What matters of a page. `elements` are in the order of their start tags."""

    doctype: str
    elements: list[Element]
    controls: list[Control]

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    def by_id(self, identity: str) -> Element | None:
        return next((element for element in self.elements if element.get("id") == identity), None)

    def text(self, identity: str) -> str:
        """The text of the element with this id, without space around it; "" when there is none."""
        element = self.by_id(identity)
        return element.text.strip() if element else ""

    def values(self, name: str) -> list[str]:
        """The values of the text inputs of this name, in order."""
        return [control.value for control in self.controls if control.name == name and not control.choices]

    @property
    def operation(self) -> Control | None:
        """The choice called "operation": a select, or all radio buttons of that name as one."""
        return next((control for control in self.controls if control.name == "operation" and control.choices), None)

    def kept(self) -> tuple[str, list[str], str | None]:
        """(user, operands that are not blank, operation) as the form shows them now."""
        operands = [value.strip(" ") for value in self.values("operand")]
        choice = self.operation
        return (
            "".join(self.values("user")).strip(" "),
            [value for value in operands if value],
            choice.chosen if choice else None,
        )

    def fill(self, user: str, operands: list[str], operation: str) -> list[tuple[str, str]]:
        """The (name, value) pairs that a browser sends once a person has filled in the form."""
        pairs, left = [], list(operands)
        for control in self.controls:
            value = control.chosen if control.choices else control.value
            if control.name == "operand":
                value = left.pop(0) if left else ""
            elif control.name in ("user", "operation"):
                value = user if control.name == "user" else operation
            if value is not None:
                pairs.append((control.name, value))
        return pairs


class _Reader(HTMLParser):
    """Collects elements and controls. Unknown or stray end tags are ignored, as browsers do."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page("", [], [])
        self._open: list[Element] = []
        self._select: Control | None = None
        self._option: Element | None = None
        self._option_chosen = False

    def handle_decl(self, decl: str) -> None:
        if not self.page.elements:
            self.page.doctype = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes: dict[str, str] = {}
        for name, value in attrs:
            attributes.setdefault(name, value or "")  # the first of two attributes counts
        if tag in ENDS_P and any(element.tag == "p" for element in self._open):
            self.handle_endtag("p")
        if tag in ("option", "optgroup"):
            self._finish_option()
        element = Element(tag, attributes)
        self.page.elements.append(element)
        if tag not in VOID:
            self._open.append(element)
        self._add_control(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # in HTML the slash of <b/> means nothing

    def handle_endtag(self, tag: str) -> None:
        if tag in ("option", "select"):
            self._finish_option()
        if tag == "select":
            self._select = None
        if any(element.tag == tag for element in self._open):
            while (closed := self._open.pop()).tag != tag:
                pass
            if tag == "textarea" and closed.get("name"):
                self.page.controls.append(Control(closed.get("name"), "textarea", closed.text))

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def _add_control(self, element: Element) -> None:
        name = element.get("name")
        if element.tag == "select":
            self._select = Control(name, "select")
            self.page.controls.append(self._select)
        elif element.tag == "option" and self._select is not None:
            self._option, self._option_chosen = element, "selected" in element.attributes
        elif element.tag == "input" and name:
            self._add_input(name, element)

    def _add_input(self, name: str, element: Element) -> None:
        kind = element.get("type", "text").lower()
        checked = "checked" in element.attributes
        if kind == "radio":
            group = next((c for c in self.page.controls if c.name == name and c.kind == "radio"), None)
            if group is None:
                group = Control(name, "radio")
                self.page.controls.append(group)
            group.choices.append(element.get("value", "on"))
            if checked:
                group.chosen = element.get("value", "on")
        elif kind not in ("submit", "button", "reset", "image", "file") and (kind != "checkbox" or checked):
            self.page.controls.append(Control(name, kind, element.get("value")))

    def _finish_option(self) -> None:
        if self._option is None or self._select is None:
            return
        value = self._option.get("value", self._option.text.strip())
        self._select.choices.append(value)
        # Without a choice of the page's own a browser shows the first.
        if self._option_chosen or self._select.chosen is None:
            self._select.chosen = value
        self._option = None


def parse_page(html: str) -> Page:
    """The page in a text. Never fails: a browser would show something, too."""
    reader = _Reader()
    # Some versions of html.parser raise it at "<![word[", which has no meaning in HTML.
    with contextlib.suppress(AssertionError):
        reader.feed(html)
        reader.close()
    return reader.page


def read_page(reply: CgiReply) -> Page:
    """The page in a reply. Raises Complaint when its bytes are not UTF-8."""
    try:
        return parse_page(reply.body.decode("utf-8"))
    except UnicodeDecodeError as error:
        bad = reply.body[error.start : error.start + 1]
        expect(reply).that(False, expected=f"a page in UTF-8; byte {error.start} of it is {bad!r}")
        raise


def is_html_in_utf_8(value: str) -> bool:
    """Whether a Content-Type means an HTML page in UTF-8: any case, quotes or none (RFC 9110 section 8.3)."""
    media, *parameters = (part.strip().lower() for part in value.split(";"))
    charsets = [part.partition("=")[2].strip('"') for part in parameters if part.startswith("charset=")]
    return media == "text/html" and charsets == ["utf-8"]


def expect_result(reply: CgiReply, result: str) -> Page:
    """Status 200, and a page whose result is this text and which shows no error."""
    expect(reply).status(200)
    page = read_page(reply)
    expect(reply).that(
        page.text("result") == result,
        expected=f'an element with id="result" whose text is {result}',
        got=_describe(page, "result"),
    )
    expect(reply).that(not page.text("error"), expected="no error beside the result", got=_describe(page, "error"))
    return page


def expect_arrival(reply: CgiReply) -> Page:
    """Status 200, and a page with the form but neither result nor error."""
    expect(reply).status(200)
    page = read_page(reply)
    for identity in ("result", "error"):
        expect(reply).that(
            not page.text(identity),
            expected=f'a page without a text in an element with id="{identity}"',
            got=_describe(page, identity),
        )
    return page


def expect_kept(reply: CgiReply, user: str, operands: list[str], operation: str | None) -> Page:
    """The form shows these fields; operation None means any."""
    page = read_page(reply)
    found = page.kept()
    wanted = (user, operands, operation if operation is not None else found[2])
    expect(reply).that(
        found == wanted, expected=f"a form with {_fields(*wanted)}", got=f"a form with {_fields(*found)}"
    )
    return page


def _fields(user: str, operands: list[str], operation: str | None) -> str:
    return f"user {user!r}, operands {operands!r}, operation {operation!r}"


def _describe(page: Page, identity: str) -> str:
    element = page.by_id(identity)
    if element is None:
        error = page.text("error")
        also = f' (the error says: "{error}")' if error else ""
        return f'no element with id="{identity}"{also}'
    return f'<{element.tag} id="{identity}"> with the text {element.text.strip()!r}'
