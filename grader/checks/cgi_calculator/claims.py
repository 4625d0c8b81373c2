"""What every page of the calculator owes its reader, said once; the evidence is the element in question."""

from __future__ import annotations

from grader.checks.cgi_calculator.pages import Element, Page, read_page
from grader.engine import expect
from grader.target.cgi import CgiReply

OPERATIONS = ("add", "sub", "mul", "div")
VIEWPORT = '<meta name="viewport" content="width=device-width, initial-scale=1">'


def is_html_in_utf_8(value: str) -> bool:
    """Whether a Content-Type means an HTML page in UTF-8: any case, quotes or none (RFC 9110 section 8.3)."""
    media, *parameters = (part.strip().lower() for part in value.split(";"))
    charsets = [part.partition("=")[2].strip('"') for part in parameters if part.startswith("charset=")]
    return media == "text/html" and charsets == ["utf-8"]


# --- the document -----------------------------------------------------------------------------------


def expect_document(reply: CgiReply) -> None:
    """The page begins with <!DOCTYPE html> and has a title."""
    page, text = read_page(reply), reply.text.lstrip()
    begins = text.lower().startswith("<!doctype html")
    got = f"a body that begins with {text[:60]!r}" if text else "an empty body"
    expect(reply).that(begins, expected="a body that begins with <!DOCTYPE html>", got=got)
    titles = page.all("title")
    expect(reply).that(
        any(title.text.strip() for title in titles),
        expected="a <title> with a text in it",
        got=_show(titles, "no <title>"),
    )


def expect_phone(reply: CgiReply) -> None:
    """A <meta name="viewport"> makes the page as wide as the screen."""
    metas = [meta for meta in read_page(reply).all("meta") if meta.get("name").lower() == "viewport"]
    wide = any("width=device-width" in meta.get("content").replace(" ", "").lower() for meta in metas)
    expect(reply).that(wide, expected=VIEWPORT, got=_show(metas, 'no <meta name="viewport">'))


def expect_form(reply: CgiReply) -> Page:
    """A form with one user, two or more operands, the four operations, and a button that sends it."""
    page = read_page(reply)
    if page.form is None:
        expect(reply).that(False, expected="a page with a <form>", got=_show(page.elements, "no <form>, no element"))
    users, operands = len(page.values("user")), len(page.values("operand"))
    expect(reply).that(users == 1, expected='one <input name="user"> in the form', got=f"{users} of them there")
    expect(reply).that(
        operands >= 2, expected='two or more <input name="operand"> in the form', got=f"{operands} of them there"
    )
    choices = [value for value in (page.operation.choices if page.operation else []) if value]
    expect(reply).that(
        sorted(choices) == sorted(OPERATIONS),
        expected='"operation" as a <select> or radio buttons with the values add, sub, mul, div',
        got=f"the values {', '.join(choices)}" if choices else "no <select> and no radio buttons of that name there",
    )
    buttons = [element for element in page.elements if element.tag == "button" or element.get("type") == "submit"]
    expect(reply).that(
        page.can_be_sent,
        expected="a button in the form that sends it, such as <button>Calculate</button>",
        got=_show(buttons, "no <button> and no <input type=submit> on the page"),
    )
    return page


# --- result and error -------------------------------------------------------------------------------


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


def expect_error(reply: CgiReply) -> str:
    """The page's error: a message in an element with id="error" and role="alert", and no result beside it."""
    page = read_page(reply)
    message, element = page.text("error"), page.by_id("error")
    expect(reply).that(
        bool(message), expected='an element with id="error" that holds a message', got=_describe(page, "error")
    )
    role = element.get("role") if element else ""
    expect(reply).that(
        role == "alert", expected='role="alert" on the element with id="error"', got=_describe(page, "error")
    )
    expect(reply).that(not page.text("result"), expected="no result beside the error", got=_describe(page, "result"))
    return message


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


def _show(elements: list[Element], nothing: str) -> str:
    """The start tags and texts of a few elements."""
    shown = [f"{element.source}{element.text.strip()[:60]}" for element in elements[:4]]
    return " ".join(shown + (["..."] if len(elements) > 4 else [])) or nothing


def _describe(page: Page, identity: str) -> str:
    element = page.by_id(identity)
    if element is None:
        error = page.text("error")
        also = f' (the error says: "{error}")' if error else ""
        return f'no element with id="{identity}"{also}'
    return f"{element.source} with the text {element.text.strip()!r}"
