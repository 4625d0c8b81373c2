"""The calculator in another style: functions and tables, integers only (a number is digits and a power of ten).

Its pages are as terse as HTML allows: capital tags, no quotes, end tags left out, references by number, radio
buttons after the numbers, texts around the result. Its headers have mixed case and mixed line ends.
"""

import sys
from os import environ

HEX = "0123456789abcdefABCDEF"
OPERATIONS = ["div", "mul", "sub", "add"]


def fail(text, status="400", more=""):
    raise ValueError(text, status, more)


def unquote(raw):
    out, at = bytearray(), 0
    while at < len(raw):
        character = raw[at]
        if character == "%":
            pair = raw[at + 1 : at + 3]
            if len(pair) < 2 or pair[0] not in HEX or pair[1] not in HEX:
                fail("bad escape")
            out.append(int(pair, 16))
            at += 2
        else:
            out.append(32 if character == "+" else ord(character))
        at += 1
    try:
        text = out.decode()
    except UnicodeDecodeError:
        fail("bad UTF-8")
    if min(text, default=" ") < " " or "\x7f" in text:
        fail("bad character")
    return text


def raw_form():
    method = environ.get("REQUEST_METHOD", "GET")
    if method not in ("GET", "HEAD", "POST"):
        fail("bad method", "405", "Allow: GET\nAllow: HEAD, POST\n")
    if method != "POST":
        return environ.get("QUERY_STRING", "").encode("utf-8", "surrogateescape").decode("latin-1")
    if environ.get("CONTENT_TYPE", "").lower().split(";")[0].rstrip() != "application/x-www-form-urlencoded":
        fail("bad type", "415")
    length = environ.get("CONTENT_LENGTH") or fail("no length", "411")
    if set(length) - set("0123456789"):
        fail("bad length")
    if len(length.lstrip("0")) > 4 or int(length) > 8192:
        fail("large", "413")
    body = sys.stdin.buffer.read(int(length))
    return body.decode("latin-1") if len(body) == int(length) else fail("short")


def number(text):
    """-1.50e3 -> (-150, 1): the digits as a whole number, and the power of ten."""
    if len(text) > 100:
        fail("long number: " + text)
    rest = text[1:] if text[:1] in ("+", "-") else text
    digits, mark, power = rest.replace("E", "e").partition("e")
    whole, _, part = digits.partition(".")
    sign = power[1:] if power[:1] in ("+", "-") else power
    for piece, needed in ((whole + part, True), (sign, bool(mark))):
        if set(piece) - set("0123456789") or (needed and not piece):
            fail("not a number: " + text)
    power = int(power or "0")
    if abs(power) > 100:
        fail("large exponent: " + text)
    return (-1 if text[0] == "-" else 1) * int(whole + part), power - len(part)


def calculate(operation, operands):
    if operation not in OPERATIONS:
        fail("which operation?")
    if not 1 < len(operands) < 11:
        fail("2 to 10 numbers!")
    top, power = operands[0]
    bottom = 1
    for value, exponent in operands[1:]:
        if operation in ("add", "sub"):
            low = min(power, exponent)
            value *= 10 ** (exponent - low) * (1 if operation == "add" else -1)
            top, power = top * 10 ** (power - low) + value, low
        elif operation == "mul":
            top, power = top * value, power + exponent
        else:
            bottom, power = bottom * value or fail("division by 0"), power - exponent
    if bottom < 0:
        top, bottom = -top, -bottom
    return write(abs(top) * 10 ** max(power, 0), bottom * 10 ** max(-power, 0), top < 0)


def write(top, bottom, negative):
    rest, places = bottom, 0
    divisor = top
    while rest:
        divisor, rest = rest, divisor % rest
    top, bottom = top // divisor, bottom // divisor
    rest = bottom
    for prime in (2, 5):
        count = 0
        while rest % prime == 0:
            rest, count = rest // prime, count + 1
        places = max(places, count)
    if rest > 1:
        places = 30 + len(str(bottom))
        longer = top * 10**places // bottom
        extra = len(str(longer)) - 30
        scaled, places = (longer + 5 * 10 ** (extra - 1)) // 10**extra, places - extra
    else:
        scaled = top * 10**places // bottom
    digits = str(scaled)
    if places <= 0:
        text = digits + "0" * -places
    else:
        digits = digits.zfill(places + 1)
        text = (digits[:-places] + "." + digits[-places:]).rstrip("0").rstrip(".")
    return "-" * (negative and scaled > 0) + text


def safe(text):
    return "".join(c if c.isalnum() or c in " .,-+" else f"&#{ord(c)};" for c in text)


def page(user, operands, operation, result, error):
    say = "<P ID=result>" + result if result else ""
    say += f"<P ROLE=alert ID=error>{safe(error)}" if error else ""
    boxes = "".join(f'<INPUT NAME=operand VALUE="{safe(text)}">' for text in [*operands, "", ""])
    radios = "".join(
        f"<INPUT TYPE=RADIO NAME=operation VALUE={name}{' CHECKED' * (name == operation)}>{name} "
        for name in OPERATIONS
    )
    return (
        "<!DOCTYPE HTML><META CHARSET=utf-8><META NAME=viewport CONTENT=width=device-width><TITLE>=</TITLE>"
        f'{say}<FORM><INPUT NAME=user VALUE="{safe(user)}">{boxes}{radios}<BUTTON>=</BUTTON></FORM>'
    )


def main():
    fields = {"user": [], "operand": [], "operation": []}
    status, more, result, error = "200 Fine", "", "", ""
    try:
        pairs = [piece.partition("=") for piece in raw_form().split("&") if piece]
        for name, _, value in pairs:
            value = unquote(value).strip(" ")
            fields.get(unquote(name), []).extend([value] if value else [])
        if len(fields["user"]) > 1 or len(fields["operation"]) > 1 or any(len(user) > 100 for user in fields["user"]):
            fields.update(user=[], operation=[])
            fail("one name, one operation")
        if fields["operand"] or fields["operation"]:
            result = calculate("".join(fields["operation"]), [number(text) for text in fields["operand"]])
    except ValueError as problem:
        error, status, more = problem.args
    head = f'STATUS: {status}\r\n{more}Content-type: Text/HTML; Charset="utf-8"\nExpires: 0\r\n\n'
    body = page("".join(fields["user"]), fields["operand"], "".join(fields["operation"]), result, error)
    sys.stdout.buffer.write((head + body * (environ.get("REQUEST_METHOD") != "HEAD")).encode())


main()
