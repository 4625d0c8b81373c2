"""A calculator behind CGI, as a script that runs from top to bottom: read, calculate, print."""

import html
import os
import string
import sys

import mytools

# A closing tag that HTML lets us omit is omitted: p, li, dt, dd, option, head, body, html.
PAGE = string.Template("""\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sums for strangers</title>
<h1>Sums for strangers</h1>
$outcome
<form method="get">
<p><label>Your name <input name="user" value="$user"></label>
<ol>
$inputs
</ol>
<p><label>What to do with the numbers
<select name="operation">
$options
</select></label>
<p><button>Work it out</button>
</form>
""")
RESULT = string.Template('<dl>\n<dt>It makes\n<dd id="result">$text\n</dl>')
ERROR = string.Template('<p role="alert" id="error">$text')
INPUT = string.Template('<li><input name="operand" value="$value" aria-label="number $place">')
OPTION = string.Template('<option value="$value"$selected>$label')

OPERATIONS = {"add": "add them", "sub": "subtract", "mul": "multiply", "div": "divide"}
METHODS = ("POST", "HEAD", "GET")
FEWEST, MOST = 2, 10  # numbers
MOST_BYTES = 8192

# What the page shows. It is filled in as far as the request can be understood.
status = ""
result = ""
complaint = ""
user = ""
operation = ""
operands = []

method = os.environ.get("REQUEST_METHOD", "GET")

try:
    # Where are the fields?
    if method not in METHODS:
        raise mytools.Refusal("405 Not This Way", "This page can be fetched or sent a form, nothing else.")
    if method == "POST":
        if os.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
            raise mytools.Refusal("415 Not A Form", "Only an ordinary web form is read here.")
        length = os.environ.get("CONTENT_LENGTH", "")
        if not length:
            raise mytools.Refusal("411 How Long", "The form came without its length.")
        if not (length.isascii() and length.isdigit()):
            raise mytools.Refusal("400 Strange Length", "The length of the form is not a number of bytes.")
        length = length.lstrip("0") or "0"
        if len(length) > len(str(MOST_BYTES)) or int(length) > MOST_BYTES:
            raise mytools.Refusal("413 Too Much", f"A form may have {MOST_BYTES} bytes at most.")
        raw = mytools.take(int(length))
        if len(raw) < int(length):
            raise mytools.Refusal("400 Cut Short", "The form ended before its end.")
    else:
        raw = os.fsencode(os.environ.get("QUERY_STRING", ""))

    # Sort them. An empty value is the same as none.
    fields = [(name, value) for name, value in mytools.unpack(raw) if value]
    operands = [value for name, value in fields if name == "operand"]
    users = [value for name, value in fields if name == "user"]
    operations = [value for name, value in fields if name == "operation"]
    if len(users) > 1:
        raise mytools.Refusal("400 Two Names", "There is more than one name.")
    if len(operations) > 1:
        raise mytools.Refusal("400 Two Operations", "There is more than one operation.")
    user = "".join(users)
    operation = "".join(operations)
    if len(user) > mytools.LONGEST:
        raise mytools.Refusal("400 Long Name", f"A name may have {mytools.LONGEST} characters at most.")

    # Calculate, unless somebody has just arrived.
    if operands or operation:
        if not operation:
            raise mytools.Refusal("400 No Operation", "Please choose what to do with the numbers.")
        if operation not in OPERATIONS:
            raise mytools.Refusal("400 Unknown Operation", "I can add, subtract, multiply and divide, but not that.")
        if len(operands) < FEWEST:
            raise mytools.Refusal("400 Too Few Numbers", f"It takes {FEWEST} numbers or more.")
        if len(operands) > MOST:
            raise mytools.Refusal("400 Too Many Numbers", f"I can take {MOST} numbers at most.")
        numbers = [mytools.exact(text) for text in operands]
        total = numbers[0]
        for number in numbers[1:]:
            if operation == "add":
                total += number
            elif operation == "sub":
                total -= number
            elif operation == "mul":
                total *= number
            elif number == 0:
                raise mytools.Refusal("400 Division By Zero", "Nobody can divide by zero.")
            else:
                total /= number
        result = mytools.in_full(total)

except mytools.Refusal as refusal:
    status, complaint = refusal.args

# Print the reply. The system may have other ideas about encoding and line ends; the web has these.
sys.stdout.reconfigure(encoding="utf-8", newline="\n")
print("x-content-type-options: nosniff")
print("CACHE-CONTROL: no-store")
if method not in METHODS:
    print("aLLOW:", ",".join(METHODS))
print('content-TYPE: Text/HTML;Charset="UTF-8"')
print("Content-Security-Policy: default-src 'none'; form-action 'self'")
if status:
    print("STATUS:", status)
print()

if method != "HEAD":
    if complaint:
        outcome = ERROR.substitute(text=html.escape(complaint))
    elif result:
        outcome = RESULT.substitute(text=result)
    else:
        outcome = "<p>Type two numbers or more, up to ten. Lines left blank do not count."

    # Always at least two inputs, and room for two numbers more while they are allowed.
    lines = operands + [""] * min(2, max(0, MOST - len(operands)))
    inputs = [INPUT.substitute(value=html.escape(line), place=place) for place, line in enumerate(lines, start=1)]
    options = [
        OPTION.substitute(value=value, selected=" selected" if value == operation else "", label=label)
        for value, label in OPERATIONS.items()
    ]
    page = PAGE.substitute(
        outcome=outcome, user=html.escape(user), inputs="\n".join(inputs), options="\n".join(options)
    )
    print(page, end="")
