"""The calculator in another style: a class, the decimal module, urllib's decoder, a form that POSTs, a select.

Its replies have "\n" line ends, lower-case names, Content-Type before Status, no Status with 200, other reason
phrases, extra headers.
"""

import decimal
import html
import os
import re
import urllib.parse

WORDS = {"add": "plus", "sub": "minus", "mul": "times", "div": "divided by"}
EXACT = decimal.Context(prec=6000, Emax=10**6, Emin=-(10**6))


class FormError(Exception):
    def __init__(self, code, text, **extra):
        super().__init__(text)
        self.code, self.text, self.extra = code, text, extra


class Calculator:
    def __init__(self, environment):
        self.env = environment
        self.fields = {"user": [], "operand": [], "operation": []}
        self.answer = None

    def run(self):
        code, problem, extra = 200, None, {}
        try:
            self.read()
            if self.fields["operand"] or self.fields["operation"]:
                self.answer = self.calculate()
        except FormError as error:
            code, problem, extra = error.code, error.text, error.extra
        lines = ["content-type:text/html;charset=UTF-8", "x-powered-by: a student"]
        if code != 200:
            lines.append(f"status: {code} Oh No")
        lines += [f"{name.lower()}: {value}" for name, value in extra.items()]
        head = "\n".join(lines) + "\n\n"
        page = "" if self.env.get("REQUEST_METHOD") == "HEAD" else self.page(problem)
        return (head + page).encode()

    def read(self):
        method = self.env.get("REQUEST_METHOD", "GET")
        if method not in {"GET", "HEAD", "POST"}:
            raise FormError(405, f"I do not know how to {method}.", Allow="POST,HEAD,GET")
        query = self.env.get("QUERY_STRING", "").encode("utf-8", "surrogateescape")
        raw = self.body() if method == "POST" else query
        if re.search(rb"%(?![0-9a-fA-F]{2})", raw):
            raise FormError(400, "There is a lonely percent sign.")
        for part in raw.split(b"&"):
            name, _, value = part.partition(b"=")
            self.store(self.decode(name), self.decode(value).strip(" "))
        for name in ("user", "operation"):
            if len(self.fields[name]) > 1:
                values, self.fields[name] = self.fields[name], []
                raise FormError(400, f"{len(values)} times {name}?")
        if len("".join(self.fields["user"])) > 100:
            raise FormError(400, "What a long name.")

    def store(self, name, value):
        if name in self.fields and value:
            self.fields[name].append(value)

    @staticmethod
    def decode(raw):
        try:
            text = urllib.parse.unquote_to_bytes(raw.replace(b"+", b" ")).decode()
        except UnicodeDecodeError:
            raise FormError(400, "Please speak UTF-8.") from None
        if any(ord(character) < 32 or ord(character) == 127 for character in text):
            raise FormError(400, "No control characters, please.")
        return text

    def body(self):
        kind = self.env.get("CONTENT_TYPE", "").split(";")[0].strip().casefold()
        length = self.env.get("CONTENT_LENGTH", "")
        if kind != "application/x-www-form-urlencoded":
            raise FormError(415, "Only forms, please.")
        if length == "":
            raise FormError(411, "How long is it?")
        if not all(digit in "0123456789" for digit in length):
            raise FormError(400, "That is no length.")
        if len(length) > 100 or int(length) > 8192:
            raise FormError(413, "That is too much for me.")
        data, missing = b"", int(length)
        while missing:
            piece = os.read(0, missing)
            if not piece:
                raise FormError(400, "The form has no end.")
            data, missing = data + piece, missing - len(piece)
        return data

    @staticmethod
    def number(text):
        match = re.fullmatch(r"(?a:[+-]?(?=\d|\.\d)\d*\.?\d*([eE][+-]?\d+)?)", text)
        if not match or len(text) > 100 or abs(int((match[1] or "e0")[1:])) > 100:
            raise FormError(400, f"Sorry, {text} is no number that I know.")
        return decimal.Decimal(text)

    def calculate(self):
        operation = "".join(self.fields["operation"])
        numbers = [self.number(text) for text in self.fields["operand"]]
        if operation not in WORDS:
            raise FormError(400, "What am I to do with these numbers?")
        if not 2 <= len(numbers) <= 10:
            raise FormError(400, "From two to ten numbers, please.")
        first, *rest = numbers
        with decimal.localcontext(EXACT):
            if operation == "add":
                return self.plain(sum(rest, first))
            if operation == "sub":
                return self.plain(first - sum(rest))
            product = decimal.Decimal(1)
            for number in rest:
                product *= number
            if operation == "mul":
                return self.plain(first * product)
            if not product:
                raise FormError(400, "Nobody can divide by zero.")
            context = decimal.getcontext()
            context.clear_flags()
            quotient = first / product
            if context.flags[decimal.Inexact]:
                context.prec = 30
                quotient = first / product
            return self.plain(quotient)

    @staticmethod
    def plain(number):
        text = f"{number:f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        return "0" if text in ("-0", "") else text

    def page(self, problem):
        user = html.escape("".join(self.fields["user"]))
        operands = [html.escape(text) for text in self.fields["operand"]]
        chosen = "".join(self.fields["operation"])
        said = ""
        if self.answer is not None:
            said = f'<section><h2>Result</h2><b id="result">\n  {self.answer}\n</b></section>'
        options = "".join(
            f'<option value="{key}"{" selected" if key == chosen else ""}>{word}</option>'
            for key, word in WORDS.items()
        )
        boxes = "".join(f"<li><input name=operand value='{text}'></li>" for text in ["", *operands, "", ""])
        return f"""
<!doctype html>
<html><head><meta charset="utf-8"><meta content="initial-scale=1, width=device-width" name="viewport">
<title>{user or "Somebody"} calculates</title></head>
<body><div role="alert" id="error">{html.escape(problem or "")}</div>{said}<div id="result2"></div>
<form method="POST" action="">
<p>Name <input type="text" name="user" value="{user}" />
<ol>{boxes}</ol>
<p><select name="operation">{options}</select>
<p><input type="submit" name="go" value="Go!">
</form></body></html>
"""


if __name__ == "__main__":
    os.write(1, Calculator(os.environ).run())
