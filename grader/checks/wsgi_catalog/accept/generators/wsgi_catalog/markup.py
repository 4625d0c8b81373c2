"""The HTML of the catalog: templates, and generators that fill them in.

Everything here takes and gives text that is not escaped yet, except for what has "markup" in its name. HTML lets
many end tags (and the tags html, head and body) be left out, and so do we.
"""

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from string import Template
from typing import Any

HEAD = Template("""<!DOCTYPE HTML>
<html lang=en>
<meta charset=utf-8>
<meta content='width=device-width' name=viewport>
<title>$title</title>
<p><a href='$home'>Find a book</a> | <a href='$books'>The whole shelf</a> | <a href='$new'>A new book</a>
<h1>$title</h1>
""")

PARAGRAPH = Template("<p>$text\n")

INPUT = Template("""<p><label>$label <input name='$name' value='$value'></label>
<em id='$name-error' role=alert>$message</em>
""")

SEARCH = Template("""<form action='$action' id=search>
<p id=form-error>$message
$inputs_markup<input type=submit value=Find>
</form>
""")

ADD = Template("""<form action='$action' id=add method=POST>
$inputs_markup<input type=submit value='Put it on the shelf'>
</form>
""")

TABLE = Template("""<table>
<caption>Found: <output id=total>$total</output></caption>
<tr><th>Title<th>Author<th>Year
""")

ROW = Template("""<tr class='one book'>
<td class=title><a href='$link'>$title</a>
<td class=author>$author
<td class=year>$year
""")

BOOK = Template("""<dl class=book>
<dt>Title
<dd class=title>$title
<dt>Author
<dd class=author>$author
<dt>Year
<dd class=year>$year
</dl>
""")

TURN = Template("<p><a href='$link' rel='nofollow $rel'>$text</a>\n")


def fill(template: Template, **values: Any) -> str:
    """Fill in a template. What is not called markup gets escaped, so that no text becomes a tag."""
    return template.substitute(
        {
            name: value if name.endswith("_markup") else escape(str(value)).replace("\r", "&#13;")
            for name, value in values.items()
        }
    )


def head(title: str, link: Any) -> str:
    return fill(HEAD, title=title, home=link("/"), books=link("/books"), new=link("/books/new"))


def inputs(values: Mapping[str, Any], errors: Mapping[str, str]) -> str:
    return "".join(
        fill(INPUT, name=name, label=label, value=values.get(name, ""), message=errors.get(name, ""))
        for name, label in {"title": "Its title", "author": "Who wrote it", "year": "Written in"}.items()
    )


def search_form(link: Any, values: Mapping[str, Any], errors: Mapping[str, str]) -> str:
    message = errors.get("form", "")
    return fill(SEARCH, action=link("/books/search"), message=message, inputs_markup=inputs(values, errors))


def add_form(link: Any, values: Mapping[str, Any], errors: Mapping[str, str]) -> str:
    return fill(ADD, action=link("/books"), inputs_markup=inputs(values, errors))


def home(link: Any) -> Iterator[str]:
    yield head("A shelf of books", link)
    yield search_form(link, {}, {})


def new(link: Any) -> Iterator[str]:
    yield head("A new book", link)
    yield add_form(link, {}, {})


def listing(link: Any, path: str, asked: Mapping[str, str] | None, found: Mapping[str, Any]) -> Iterator[str]:
    """A page of books; of those that were searched for, if `asked` is not None."""
    title = "The whole shelf" if asked is None else "What was found"
    yield head(f"{title}: page {found['page']} of {found['pages']}", link)
    if asked is not None:
        yield search_form(link, asked, {})
    yield fill(TABLE, total=found["total"])
    for book in found["books"]:
        yield fill(ROW, link=link(f"/books/{book['id']}"), **book)
    yield "</table>\n"
    query = {name: value for name, value in (asked or {}).items() if value.strip()}
    if found["page"] > 1:
        yield fill(TURN, rel="prev", text="Back", link=link(path, page=found["page"] - 1, **query))
    if found["page"] < found["pages"]:
        yield fill(TURN, rel="next", text="Onward", link=link(path, page=found["page"] + 1, **query))


def book(link: Any, one: Mapping[str, Any]) -> Iterator[str]:
    yield head(one["title"], link)
    yield fill(BOOK, **one)


def refusal(link: Any, message: str, form_markup: str = "") -> Iterator[str]:
    yield head("Sorry", link)
    yield fill(PARAGRAPH, text=message)
    yield form_markup


def chunks(pieces: Iterable[str], size: int = 100) -> Iterator[bytes]:
    """The bytes of some text, in chunks; a letter may well begin in one of them and end in the next."""
    rest = b""
    for piece in pieces:
        rest += piece.encode("utf-8")
        while len(rest) > size:
            yield rest[:size]
            rest = rest[size:]
    yield rest
