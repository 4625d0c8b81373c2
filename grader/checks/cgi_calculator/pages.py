"""Reading a page of the calculator the way a browser does, whatever markup the student chose.

reply --read_page--> Page --text("result")--> "18"
                         --kept()--> what the form still shows
                         --fill(...)--> the fields that a browser would send
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin

from grader.engine import expect
from grader.target.cgi import CgiReply

VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])
# A start tag that ends an open <p>, whose end tag may be left out (HTML Living Standard, section 13.1.2.4).
ENDS_P = frozenset({
    "address", "article", "aside", "blockquote", "details", "dialog", "div", "dl", "fieldset", "figcaption",
    "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "main", "menu", "nav", "ol",
    "p", "pre", "section", "table", "ul",
})  # fmt: skip
# html.parser takes these for space in a tag; in HTML only tab, line feed, form feed, carriage return and space are.
# Beside them stand characters for private use, which take their place while a page is read.
NO_SPACE = {ord(space): chr(0xF0000 + ord(space)) for space in map(chr, range(0x3001)) if space.isspace()}
for _space in "\t\n\f\r ":
    del NO_SPACE[ord(_space)]
NO_SPACE_BACK = {ord(private): chr(space) for space, private in NO_SPACE.items()}
NEVER_SENT = ("button", "reset", "file")
SUBMITS = ("submit", "image")


@dataclass(eq=False)
class Element:
    """A start tag with its attributes (names in lower case), its source, and the text up to its end tag.

    What is inert stands in a <template>: it is neither shown nor sent.
    """

    tag: str
    attributes: dict[str, str]
    source: str = ""
    inert: bool = False
    text: str = ""

    def get(self, name: str, default: str = "") -> str:
        """The value of an attribute, `default` when it is not there."""
        return self.attributes.get(name, default)


@dataclass
class Control:
    """A field or button: its name, the value a browser would send now, and the values that could be chosen.

    It belongs to the form around it, or to the one whose id its attribute `form` names.
    """

    name: str
    kind: str
    value: str = ""
    form: Element | None = None
    choices: list[str] = field(default_factory=list)
    chosen: str | None = None


@dataclass
class Page:
    """What matters of a page. `elements` are in the order of their start tags, `controls` are those of all forms."""

    elements: list[Element]
    all_controls: list[Control]

    def all(self, tag: str) -> list[Element]:
        """Every element with this tag that a browser would show, in order."""
        return [element for element in self.elements if element.tag == tag and not element.inert]

    def by_id(self, identity: str) -> Element | None:
        """The first element with this id that a browser would show."""
        found = (element for element in self.elements if element.get("id") == identity and not element.inert)
        return next(found, None)

    def text(self, identity: str) -> str:
        """The text of the element with this id, without space around it; "" when there is none."""
        element = self.by_id(identity)
        return element.text.strip() if element else ""

    @property
    def form(self) -> Element | None:
        """The calculator's form: the first that has a field called "operand"; else the first."""
        with_operands = (control.form for control in self.all_controls if control.name == "operand" and control.form)
        return next(with_operands, None) or next(iter(self.all("form")), None)

    @property
    def controls(self) -> list[Control]:
        """The fields and buttons of the calculator's form that are not disabled."""
        form = self.form
        return [control for control in self.all_controls if control.form is form] if form else []

    def values(self, name: str) -> list[str]:
        """The values of the text inputs of this name, in order."""
        others = ("select", "radio", *SUBMITS)
        return [control.value for control in self.controls if control.name == name and control.kind not in others]

    @property
    def operation(self) -> Control | None:
        """The choice called "operation": a select, or all radio buttons of that name as one."""
        return next((control for control in self.controls if control.name == "operation" and control.choices), None)

    @property
    def can_be_sent(self) -> bool:
        """Whether the form has a button that sends it."""
        return any(control.kind in SUBMITS for control in self.controls)

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
        """The (name, value) pairs that a browser sends once a person has filled in the form and pressed its button.

        Of several buttons it is the first, as with the enter key.
        """
        pairs, left = [], list(operands)
        button = next((control for control in self.controls if control.kind in SUBMITS), None)
        for control in self.controls:
            value = control.chosen if control.kind in ("select", "radio") else control.value
            if control is button and control.kind == "image":
                place = f"{control.name}." if control.name else ""
                pairs += [(f"{place}x", "0"), (f"{place}y", "0")]  # where it was pressed
                value = None
            elif (control.kind in SUBMITS and control is not button) or not control.name:
                value = None
            elif control is button:
                pass
            elif control.name == "operand":
                value = left.pop(0) if left else ""
            elif control.name in ("user", "operation"):
                value = user if control.name == "user" else operation
            if value is not None:
                pairs.append((control.name, value))
        return pairs


def sent_to(page: Page, document: str) -> str:
    """The address that the calculator's form is sent to; `document` is the page's own. "" when it is none."""
    base = next((element.get("href") for element in page.all("base")), "")
    action = page.form.get("action").strip() if page.form else ""
    try:
        return urljoin(urljoin(document, base), action)
    except ValueError:
        return ""


def encoded(page: Page, pairs: list[tuple[str, str]]) -> str:
    """The pairs as a browser encodes them: in UTF-8, unless the form asks for another charset."""
    charset = next(iter(page.form.get("accept-charset").split() if page.form else []), "utf-8")
    if not charset.lower().startswith("utf"):  # to a browser UTF-16 means UTF-8 here
        with contextlib.suppress(LookupError, ValueError):
            return urlencode(pairs, encoding=charset, errors="xmlcharrefreplace")
    return urlencode(pairs)


class _Reader(HTMLParser):
    """Collects elements and controls. Unknown or stray end tags are ignored, as browsers do."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page([], [])
        self._open: list[Element] = []
        self._form: Element | None = None
        self._elsewhere: list[tuple[Control, str]] = []
        self._select: Control | None = None
        self._option: Element | None = None
        self._settled = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes: dict[str, str] = {}
        for name, value in attrs:
            attributes.setdefault(name, (value or "").translate(NO_SPACE_BACK))  # the first of two attributes counts
        if tag in ENDS_P and any(element.tag == "p" for element in self._open):
            self.handle_endtag("p")
        if tag in ("option", "optgroup"):
            self._finish_option()
        inert = any(element.tag == "template" for element in self._open)
        source = (self.get_starttag_text() or f"<{tag}>").translate(NO_SPACE_BACK)
        element = Element(tag, attributes, source, inert)
        self.page.elements.append(element)
        if tag == "form" and self._form is None and not inert:
            self._form = element  # a form in a form is none
        if not inert:
            self._add_control(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # in HTML the slash of <b/> means nothing

    def handle_endtag(self, tag: str) -> None:
        if tag in ("option", "select"):
            self._finish_option()
        if tag == "select":
            self._select = None
        if tag == "form" and not any(element.tag == "template" for element in self._open):
            self._form = None
        if any(element.tag == tag for element in self._open):
            while (closed := self._open.pop()).tag != tag:
                pass
            if tag == "textarea" and closed.get("name") and not closed.inert and not self._is_disabled(closed):
                self._add(Control(closed.get("name"), "textarea", closed.text), closed)

    def handle_data(self, data: str) -> None:
        data = data.translate(NO_SPACE_BACK)
        in_template = any(element.tag == "template" for element in self._open)
        for element in self._open:
            if element.inert or not in_template:
                element.text += data

    def finish(self) -> Page:
        """The page, once all of it has been read: only now every form is known."""
        self._finish_option()
        for control, identity in self._elsewhere:
            form = self.page.by_id(identity)
            control.form = form if form and form.tag == "form" else None
        return self.page

    def _is_disabled(self, element: Element) -> bool:
        """Whether a field, or the fieldset around it, is disabled (its legend is not)."""
        for place, around in enumerate(self._open):
            inside = self._open[place + 1].tag if place + 1 < len(self._open) else ""
            if around.tag == "fieldset" and "disabled" in around.attributes and inside != "legend":
                return True
        return "disabled" in element.attributes

    def _add(self, control: Control, element: Element) -> None:
        control.form = self._form
        if "form" in element.attributes:
            self._elsewhere.append((control, element.get("form")))
        self.page.all_controls.append(control)

    def _add_control(self, element: Element) -> None:
        name, kind = element.get("name"), element.get("type").lower()
        if element.tag == "select":
            self._select, self._settled = Control(name, "select"), False
            if not self._is_disabled(element):
                self._add(self._select, element)
        elif element.tag == "option":
            self._option = element
        elif element.tag == "button" and kind not in NEVER_SENT and not self._is_disabled(element):
            self._add(Control(name, "submit", element.get("value")), element)
        elif element.tag == "input" and kind not in NEVER_SENT and not self._is_disabled(element):
            self._add_input(name, kind or "text", element)

    def _add_input(self, name: str, kind: str, element: Element) -> None:
        checked = "checked" in element.attributes
        if kind == "radio":
            owner = element.get("form") or self._form
            known = (c for c in self.page.all_controls if c.name == name and c.kind == "radio")
            group = next((c for c in known if self._owner(c) == owner), None)
            if group is None:
                group = Control(name, "radio")
                self._add(group, element)
            group.choices.append(element.get("value", "on"))
            if checked:
                group.chosen = element.get("value", "on")
        elif (name or kind in SUBMITS) and (kind != "checkbox" or checked):
            self._add(Control(name, kind, element.get("value")), element)

    def _owner(self, control: Control) -> Element | str | None:
        return next((identity for item, identity in self._elsewhere if item is control), control.form)

    def _finish_option(self) -> None:
        if self._option is None or self._select is None:
            return
        value = self._option.get("value", self._option.text.strip())
        disabled = "disabled" in self._option.attributes
        if not disabled:
            self._select.choices.append(value)
        # Without a choice of the page's own a browser shows the first that is not disabled.
        if "selected" in self._option.attributes:
            self._select.chosen, self._settled = None if disabled else value, True
        elif not disabled and not self._settled and self._select.chosen is None:
            self._select.chosen = value
        self._option = None


def parse_page(html: str) -> Page:
    """The page in a text. Never fails: a browser would show something, too."""
    reader = _Reader()
    # Some versions of html.parser raise it at "<![word[", which has no meaning in HTML.
    with contextlib.suppress(AssertionError):
        reader.feed(html.translate(NO_SPACE))
        reader.close()
    return reader.finish()


def read_page(reply: CgiReply) -> Page:
    """The page in a reply. Raises Complaint when its bytes are not UTF-8."""
    try:
        return parse_page(reply.body.decode("utf-8"))
    except UnicodeDecodeError as error:
        bad = reply.body[error.start : error.start + 1]
        expect(reply).that(False, expected=f"a page in UTF-8; byte {error.start} of it is {bad!r}")
        raise
