"""What a visitor's text has become on a page, where it should be text and nothing else.

The texts that the checks send carry two marks: a tag or attribute called `kit-mark`, and a call of kit(). A page may
hold both as text, in the value of a field, or inside the quotes of a script; intruders() finds what is more than that.
"""

from __future__ import annotations

import re

from grader.checks.cgi_calculator.pages import Element, Page

# The first ends an attribute without quotes, those with either kind of them, and a comment; the second a form.
MARKUP = ("a kit-mark=b \"><kit-mark>'><kit-mark>--><kit-mark>", "</form><script>kit()</script>&lt;kit-mark&gt;<!--")
# Where no field is: a method, a media type, a length.
ELSEWHERE = "'\"><kit-mark>"
# The first ends a quotation of either kind; the second runs as soon as a link that it begins is followed.
SCRIPTS = ("'\");kit();//", "javascript:kit()")
LINK_AND_QUOTES = "//".join(reversed(SCRIPTS))

_LINKS = ("href", "src", "action", "formaction", "data")
# Strings and comments of JavaScript, in which nothing runs.
_QUOTED = re.compile(
    r'"(?:\\.|[^"\\\n])*"' r"|'(?:\\.|[^'\\\n])*'" r"|`(?:\\.|[^`\\])*`" r"|//[^\n]*|/\*.*?\*/", re.DOTALL
)


def intruders(page: Page) -> list[str]:
    """The tags, attributes, scripts and links that came of a visitor's text, as they stand in the page."""
    found = []
    for element in page.elements:
        marked = any("kit-mark" in name for name in (element.tag, *element.attributes))
        if marked or any(map(_calls, _code(element))):
            found.append(element.source + (element.text if element.tag == "script" else ""))
    return found


def _calls(code: str) -> bool:
    """Whether kit() stands in a script outside of all quotes."""
    return "kit(" in _QUOTED.sub('""', code)


def _code(element: Element) -> list[str]:
    """What a browser would run of an element: scripts, event handlers, links that begin with javascript:."""
    code = [value for name, value in element.attributes.items() if name.startswith("on")]
    for name in _LINKS:
        scheme, _, rest = element.get(name).lstrip().partition(":")
        if scheme.lower() == "javascript":
            code.append(rest)
    kind = element.get("type").lower()
    if element.tag == "script" and (kind in ("", "module") or "javascript" in kind):
        code.append(element.text)
    return code
