"""A calculator behind CGI, as a handful of objects.

`Request` knows where the fields are, `Decoder` takes them apart, `Quotient` is an exact number, `Sum` calculates,
`Page` writes HTML, `Reply` writes to standard output, and `Calculator` sends one to the other.
"""

import math
import os
import re
import sys


class Refusal(Exception):
    """The request gets an error instead of a result."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status
        self.message = message


class Decoder:
    """Takes the bytes of a web form apart, with regular expressions only."""

    PIECE = re.compile(rb"([^&=]*)=?([^&]*)(?:&|\Z)")
    ESCAPE = re.compile(rb"\+|%([0-9A-Fa-f]{2})?")
    CONTROL = re.compile(r"[\x00-\x1f\x7f]")

    def __init__(self, raw):
        self.raw = raw

    def __iter__(self):
        """All pairs (name, value), in the order in which they were sent."""
        for piece in self.PIECE.finditer(self.raw):
            if piece[0].rstrip(b"&"):
                yield self.text(piece[1]), self.text(piece[2]).strip(" ")

    def text(self, encoded):
        try:
            decoded = self.ESCAPE.sub(self.one_byte, encoded).decode("utf-8")
        except UnicodeDecodeError:
            raise Refusal(400, "The form is not written in UTF-8.") from None
        if self.CONTROL.search(decoded):
            raise Refusal(400, "The form has control characters in it.")
        return decoded

    @staticmethod
    def one_byte(match):
        if match[0] == b"+":
            return b" "
        if match[1] is None:
            raise Refusal(400, "The form has a percent sign that escapes nothing.")
        return bytes([int(match[1], 16)])


class Quotient:
    """An exact number: one whole number divided by another that is positive, in lowest terms."""

    LONGEST = 100
    LARGEST_EXPONENT = 100
    SIGNIFICANT = 30
    SYNTAX = re.compile(r"([+-]?)(?=\.?[0-9])([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?")

    def __init__(self, above, below=1):
        common = math.gcd(above, below)
        if below < 0:
            common = -common
        self.above = above // common
        self.below = below // common

    @classmethod
    def typed(cls, text):
        if len(text) > cls.LONGEST:
            raise Refusal(400, f"A number is longer than {cls.LONGEST} characters.")
        match = cls.SYNTAX.fullmatch(text)
        if match is None:
            raise Refusal(400, f"This is not a number: {text}")
        sign, whole, fraction, exponent = match.groups()
        exponent = int(exponent or "0")
        if abs(exponent) > cls.LARGEST_EXPONENT:
            raise Refusal(400, f"An exponent is beyond {cls.LARGEST_EXPONENT}: {text}")
        coefficient = int(sign + whole + fraction)
        shift = exponent - len(fraction)
        return cls(coefficient * 10 ** max(0, shift), 10 ** max(0, -shift))

    def __add__(self, other):
        return Quotient(self.above * other.below + other.above * self.below, self.below * other.below)

    def __sub__(self, other):
        return Quotient(self.above * other.below - other.above * self.below, self.below * other.below)

    def __mul__(self, other):
        return Quotient(self.above * other.above, self.below * other.below)

    def __truediv__(self, other):
        if other.above == 0:
            raise Refusal(400, "A number cannot be divided by zero.")
        return Quotient(self.above * other.below, self.below * other.above)

    def __str__(self):
        # Ten operands of 100 characters make fewer than 4300 digits, the most that Python's str() writes of an int.
        twos, rest = self.without(self.below, 2)
        fives, rest = self.without(rest, 5)
        places = max(twos, fives) if rest == 1 else self.rounded_places()
        digits = str(self.shifted(places))
        if places > 0:
            digits = digits.zfill(places + 1)
            digits = (digits[:-places] + "." + digits[-places:]).rstrip("0").rstrip(".")
        else:
            digits += "0" * -places
        return "-" + digits if self.above < 0 else digits

    @staticmethod
    def without(number, prime):
        """How often the prime divides the number, and what is left of the number then."""
        times = 0
        while number % prime == 0:
            number //= prime
            times += 1
        return times, number

    def shifted(self, places):
        """The absolute value, times ten to the power of places, as the nearest whole number."""
        above = abs(self.above) * 10 ** max(0, places)
        below = self.below * 10 ** max(0, -places)
        return (2 * above + below) // (2 * below)

    def rounded_places(self):
        """How many places behind the point make 30 significant digits (less than none for a huge number)."""
        # The difference of the lengths gives the size of the quotient, or one power of ten too much.
        size = len(str(abs(self.above))) - len(str(self.below)) + 1
        if abs(self.above) * 10 ** max(0, 1 - size) < self.below * 10 ** max(0, size - 1):
            size -= 1
        return self.SIGNIFICANT - size


class Sum:
    """What one visitor wants to know: a name, an operation, and the numbers as they were typed."""

    OPERATIONS = {
        "add": ("plus", Quotient.__add__),
        "sub": ("minus", Quotient.__sub__),
        "mul": ("times", Quotient.__mul__),
        "div": ("divided by", Quotient.__truediv__),
    }
    FEWEST, MOST = 2, 10
    LONGEST_NAME = 100

    def __init__(self):
        self.user = None
        self.operation = None
        self.operands = []

    def fill(self, pairs):
        for name, value in pairs:
            if not value:
                continue
            if name == "operand":
                self.operands.append(value)
            elif name in ("user", "operation"):
                if getattr(self, name) is not None:
                    raise Refusal(400, f"The field {name} was sent twice.")
                setattr(self, name, value)
        if self.user is not None and len(self.user) > self.LONGEST_NAME:
            raise Refusal(400, f"A name is at most {self.LONGEST_NAME} characters long.")

    def answer(self):
        """The result as text, or None for somebody who has just arrived."""
        if not self.operands and self.operation is None:
            return None
        if self.operation is None:
            raise Refusal(400, "No operation was chosen.")
        if self.operation not in self.OPERATIONS:
            raise Refusal(400, f"There is no such operation here: {self.operation}")
        if len(self.operands) < self.FEWEST:
            raise Refusal(400, f"At least {self.FEWEST} numbers are needed.")
        if len(self.operands) > self.MOST:
            raise Refusal(400, f"More than {self.MOST} numbers are too many.")
        total, *others = [Quotient.typed(text) for text in self.operands]
        apply = self.OPERATIONS[self.operation][1]
        for other in others:
            total = apply(total, other)
        return str(total)


class Request:
    """The request, as the server tells it: in variables and on standard input."""

    METHODS = ("GET", "HEAD", "POST")
    LARGEST_BODY = 8192
    FORM = re.compile(r"\s*application/x-www-form-urlencoded\s*(;.*)?", re.ASCII | re.DOTALL | re.IGNORECASE)

    def __init__(self, variables, descriptor):
        self.variables = variables
        self.descriptor = descriptor
        self.method = variables.get("REQUEST_METHOD", "GET")

    def fields(self):
        if self.method not in self.METHODS:
            raise Refusal(405, "This page does not know that method.")
        return self.body() if self.method == "POST" else os.fsencode(self.variables.get("QUERY_STRING", ""))

    def body(self):
        if not self.FORM.fullmatch(self.variables.get("CONTENT_TYPE", "")):
            raise Refusal(415, "The body of the request is not a web form.")
        remaining = length = self.length()
        chunks = []
        while remaining:
            chunk = self.chunk(remaining)
            if not chunk:
                raise Refusal(400, f"The body ended {remaining} bytes before the announced {length}.")
            chunks.append(chunk)
            remaining -= len(chunk)
        return b"".join(chunks)

    def length(self):
        text = self.variables.get("CONTENT_LENGTH", "")
        if not text:
            raise Refusal(411, "The length of the body is missing.")
        if not re.fullmatch("[0-9]+", text):
            raise Refusal(400, "The length of the body is not a whole number.")
        # A number with thousands of digits is too large, whatever it is: int() never gets to see it.
        if re.fullmatch("0*[0-9]{1,4}", text) is None or int(text[-4:]) > self.LARGEST_BODY:
            raise Refusal(413, f"The body is larger than {self.LARGEST_BODY} bytes.")
        return int(text[-4:])

    def chunk(self, most):
        """Some bytes of the body, none at its end. Unbuffered, so that nothing behind the body is touched."""
        try:
            return os.read(self.descriptor, most)
        except OSError:
            return b""


class Page:
    """The page, in HTML with as few quotation marks as possible."""

    # Unsafe in a text or an attribute, or simply not ASCII. U+0080 to U+009F stay as they are: HTML takes their numbers
    # for those of other characters.
    SPECIAL = re.compile("[\"&'<=>`\u00a0-\U0010ffff]")
    PLAIN = re.compile("[A-Za-z0-9.+-]+")
    ROWS = 4

    def __init__(self, request_sum, result=None, error=None):
        self.sum = request_sum
        self.result = result
        self.error = error

    @classmethod
    def text(cls, text):
        return cls.SPECIAL.sub(lambda match: f"&#{ord(match[0])};", text)

    @classmethod
    def attribute(cls, value):
        """The value of an attribute, in quotation marks where it needs them."""
        return value if cls.PLAIN.fullmatch(value) else f'"{cls.text(value)}"'

    def lines(self):
        yield "<!DOCTYPE html>"
        yield "<html lang=en>"
        yield "<head>"
        yield "<meta charset=utf-8>"
        yield '<meta name=viewport content="width=device-width, initial-scale=1">'
        yield "<title>Exact calculator</title>"
        yield "</head>"
        yield "<body>"
        yield "<h1>Exact calculator</h1>"
        if self.error is not None:
            yield f"<div id=error role=alert>{self.text(self.error)}</div>"
        elif self.result is not None:
            yield f"<p>The result is <strong id=result>{self.text(self.result)}</strong></p>"
        yield from self.form()
        yield "</body>"
        yield "</html>"

    def form(self):
        yield "<form method=post>"
        yield f"<p><label>Name <input type=text name=user value={self.attribute(self.sum.user or '')}></label></p>"
        yield "<fieldset><legend>Numbers</legend>"
        blank = [""] * max(0, self.ROWS - len(self.sum.operands))
        for operand in self.sum.operands + blank:
            yield f"<p><input type=text name=operand aria-label=number value={self.attribute(operand)}></p>"
        yield "</fieldset>"
        yield "<fieldset><legend>Operation</legend>"
        newcomer = self.sum.operation is None and not self.sum.operands
        chosen = "add" if newcomer else self.sum.operation
        for value, (label, _) in self.sum.OPERATIONS.items():
            checked = " checked" if value == chosen else ""
            yield f"<label><input type=radio name=operation value={value}{checked}> {label}</label>"
        yield "</fieldset>"
        yield "<p><button type=submit>Calculate</button></p>"
        yield "</form>"


class Reply:
    """Writes a status, headers and perhaps a page to a binary stream, in lines that end with CRLF."""

    REASONS = {
        200: "OK",
        400: "Bad Request",
        405: "Method Not Allowed",
        411: "Length Required",
        413: "Content Too Large",
        415: "Unsupported Media Type",
    }

    def __init__(self, stream):
        self.stream = stream

    def line(self, text=""):
        self.stream.write(text.encode("utf-8"))
        self.stream.write(b"\r\n")

    def send(self, status, page, with_page):
        self.line(f"Status: {status} {self.REASONS[status]}")
        if status == 405:
            self.line("Allow: " + ", ".join(Request.METHODS))
        self.line("Content-Type: text/html; charset=utf-8")
        self.line()
        self.stream.flush()
        if with_page:
            for text in page.lines():
                self.line(text)
        self.stream.flush()


class Calculator:
    """Answers one request."""

    def __init__(self, request, reply):
        self.request = request
        self.reply = reply

    def run(self):
        wanted = Sum()
        try:
            wanted.fill(Decoder(self.request.fields()))
            status, page = 200, Page(wanted, result=wanted.answer())
        except Refusal as refusal:
            status, page = refusal.status, Page(wanted, error=refusal.message)
        self.reply.send(status, page, with_page=self.request.method != "HEAD")


if __name__ == "__main__":
    Calculator(Request(os.environ, descriptor=0), Reply(sys.stdout.buffer)).run()
    sys.exit(0)
