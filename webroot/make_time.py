"""A CGI script: says what time it is, as plain text, in UTC."""

import os
import sys
import time


def main() -> None:
    """Write header, empty line and text; bytes, so that no platform changes the line ends."""
    text = time.strftime("It is %H:%M:%S on %A, %d %B %Y (UTC).\n", time.gmtime())
    name = os.environ.get("QUERY_STRING", "")
    if name:
        text += f"You asked with the query {name}\n"
    body = text.encode("utf-8")
    sys.stdout.buffer.write(b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + body)


if __name__ == "__main__":
    main()
