"""From a target to a Response: files, folders, conditions, ranges and scripts."""

import calendar
import html
import os
import re
import signal
import subprocess
import sys
import time
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

from messages import Refuse, Response

TYPES = {
    ".html": "text/html",
    ".htm": "text/html",
    ".txt": "text/plain",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".webp": "image/webp",
    ".pdf": "application/pdf",
    ".xml": "application/xml",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
    ".zip": "application/zip",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
}
METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"}
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def read_date(text):
    for pattern in (
        r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<d>\d\d) (?P<m>\w{3}) (?P<y>\d{4}) (?P<t>\d\d:\d\d:\d\d) GMT",
        r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?P<d>\d\d)-(?P<m>\w{3})-(?P<y>\d\d) (?P<t>\d\d:\d\d:\d\d) GMT",
        r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?P<m>\w{3}) (?P<d>[ \d]\d) (?P<t>\d\d:\d\d:\d\d) (?P<y>\d{4})",
    ):
        got = re.fullmatch(pattern, text, re.ASCII)
        if not got or got["m"] not in MONTHS:
            continue
        year = int(got["y"])
        if len(got["y"]) == 2:
            now = time.gmtime().tm_year
            year += now - now % 100
            if year > now + 50:
                year -= 100
        hour, minute, second = map(int, got["t"].split(":"))
        day, month = int(got["d"]), MONTHS.index(got["m"]) + 1
        if hour > 23 or minute > 59 or second > 60 or not 1 <= day <= calendar.monthrange(max(year, 1), month)[1]:
            return None
        return calendar.timegm((year, month, day, hour, minute, second))
    return None


class Site:
    def __init__(self, root, timeout):
        self.root, self.timeout = Path(root).resolve(), timeout
        self.address = ("127.0.0.1", 8080)

    # Paths.

    def split_target(self, request):
        target = request.target
        got = re.match(r"https?://[^/?#]+", target, re.I)
        if got:
            target = target[got.end() :]
            if not target.startswith("/"):
                target = "/" + target
        if not target.startswith("/") or "#" in target:
            raise Refuse(400, close=False)
        path, mark, query = target.partition("?")
        return path, mark + query

    def decode(self, path):
        if re.search(r"%(?![0-9A-Fa-f]{2})", path):
            raise Refuse(400, close=False)
        raw = re.sub(rb"%(..)", lambda m: bytes([int(m[1], 16)]), path.encode())
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise Refuse(400, close=False) from None
        if re.search(r"[\x00-\x1f\x7f\\]", text):
            raise Refuse(404, close=False)
        out = []
        pieces = text.split("/")[1:]
        for i, piece in enumerate(pieces):
            last = i == len(pieces) - 1
            if piece in (".", ".."):
                if piece == ".." and out:
                    out.pop()
                if last:
                    out.append("")
            else:
                out.append(piece)
        return out

    def inside(self, path):
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            return None
        if real != self.root and self.root not in real.parents:
            return None
        if any(part.startswith(".") for part in real.relative_to(self.root).parts):
            return None
        return real

    def find(self, pieces):
        """The real path; for a script also the pieces of its name, and those after it."""
        here = self.root
        names = [p for p in pieces if p]
        if any(n.startswith(".") for n in names):
            raise Refuse(404, close=False)
        for i, name in enumerate(pieces):
            if not name:
                continue
            here = here / name
            real = self.inside(here)
            if real is None:
                raise Refuse(404, close=False)
            if real.is_file():
                if real.suffix.lower() == ".py" or name.lower().endswith(".py"):
                    return real, pieces[: i + 1], pieces[i + 1 :]
                if i + 1 < len(pieces):
                    raise Refuse(404, close=False)
                return real, None, None
        return self.inside(here), None, None

    # Answer.

    def answer(self, request, peer):
        if request.method not in METHODS:
            raise Refuse(501, close=False)
        if request.target == "*" and request.method == "OPTIONS":
            return Response(200, Allow="GET, HEAD, OPTIONS")
        if request.method == "CONNECT":
            raise Refuse(405, close=True, Allow="GET, HEAD, OPTIONS")
        path, query = self.split_target(request)
        pieces = self.decode(path)
        real, script, info = self.find(pieces)
        if script is not None:
            return self.script(request, peer, real, script, info, query[1:])
        if request.method == "OPTIONS":
            return Response(200, Allow="GET, HEAD, OPTIONS")
        if request.method not in ("GET", "HEAD"):
            raise Refuse(405, close=False, Allow="GET, HEAD, OPTIONS")
        if real.is_dir():
            if pieces[-1] != "":
                where = "/" + "/".join(quote(p) for p in pieces if p) + "/" + query
                return Response.page(301, "It moved.", Location=where)
            index = self.inside(real / "index.html")
            if index is None or not index.is_file():
                return self.listing(real, pieces)
            real = index
        return self.file(request, real)

    def listing(self, folder, pieces):
        rows = []
        for entry in sorted(os.listdir(folder)):
            if entry.startswith("."):
                continue
            real = self.inside(folder / entry)
            if real is None:
                continue
            slash = "/" if real.is_dir() else ""
            href = "/" + "/".join(quote(os.fsencode(p), safe="") for p in [*filter(None, pieces), entry]) + slash
            text = html.escape(entry.encode("utf-8", "replace").decode() + slash)
            rows.append(
                f'<tr><td><a class="entry" title="{text}" href="{html.escape(href)}">{text}</a></td>'
                f"<td>{os.path.getsize(real)}</td></tr>"
            )
        page = (
            "<!DOCTYPE html>\n<html><head><meta charset=utf-8><title>Folder</title></head><body><table>\n"
            + "\n".join(rows)
            + "\n</table></body></html>\n"
        )
        return Response(200, page.encode(), Content_Type="text/html; charset=utf-8")

    def file(self, request, real):
        if real.suffix.lower() == ".py":
            raise Refuse(403, close=False)
        stream = open(real, "rb")
        try:
            return self.open_file(request, real, stream)
        except BaseException:
            stream.close()
            raise

    def open_file(self, request, real, stream):
        stat = os.fstat(stream.fileno())
        tag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
        mtime = int(stat.st_mtime)
        kind = TYPES.get(real.suffix.lower(), "application/octet-stream")
        if kind.startswith("text/"):
            kind += "; charset=utf-8"
        common = dict(ETag=tag, Last_Modified=formatdate(mtime, usegmt=True))
        verdict = self.conditions(request, tag, mtime)
        if verdict == 304:
            stream.close()
            return Response(304, **common)
        if verdict == 412:
            stream.close()
            return Response.page(412, "Not this one.")
        size, full = (
            stat.st_size,
            Response(200, stream=stream, length=stat.st_size, Content_Type=kind, Accept_Ranges="bytes", **common),
        )
        header = request.all("range")
        if request.method != "GET" or len(header) != 1:
            return full
        if_range = request.one("if-range")
        if if_range is not None and if_range != tag and read_date(if_range) != mtime:
            return full
        unit, _, spec = header[0].partition("=")
        if unit.strip().lower() != "bytes":
            return full
        wanted, valid = [], 0
        for member in spec.split(","):
            member = member.strip(" \t")
            if not member:
                continue
            got = re.fullmatch(r"(\d*)-(\d*)", member, re.ASCII)
            if not got or not (got[1] or got[2]) or len(member) > 60:
                return full if not got or len(member) < 60 else self.unsatisfiable(stream, size)
            if got[1] and got[2] and int(got[2]) < int(got[1]):
                return full
            valid += 1
            if got[1]:
                first, last = int(got[1]), min(int(got[2] or size), size - 1)
            else:
                first, last = max(0, size - int(got[2])), size - 1
                if int(got[2]) == 0:
                    continue
            if first < size:
                wanted.append((first, last))
        if not valid:
            return full
        if not wanted:
            return self.unsatisfiable(stream, size)
        if len(wanted) == 1:
            first, last = wanted[0]
            stream.seek(first)
            return Response(
                206,
                stream=stream,
                length=last - first + 1,
                Content_Type=kind,
                Content_Range=f"bytes {first}-{last}/{size}",
                **common,
            )
        if len(wanted) > 8:
            return full
        body = b""
        for first, last in wanted:
            stream.seek(first)
            part = f"\r\n--SEP_{mtime}\r\nContent-Type: {kind}\r\nContent-Range: bytes {first}-{last}/{size}\r\n\r\n"
            body += part.encode() + stream.read(last - first + 1)
        stream.close()
        body += f"\r\n--SEP_{mtime}--\r\n".encode()
        return Response(206, body, Content_Type=f"multipart/byteranges; boundary=SEP_{mtime}", **common)

    def unsatisfiable(self, stream, size):
        stream.close()
        return Response(416, Content_Range=f"bytes */{size}")

    def conditions(self, request, tag, mtime):
        def tags(name):
            return re.findall(r'(W/)?("[^"]*")', ",".join(request.all(name)))

        if request.all("if-match"):
            if request.one("if-match") != "*" and ("", tag) not in tags("if-match"):
                return 412
        elif request.all("if-unmodified-since"):
            date = read_date(request.one("if-unmodified-since"))
            if date is not None and mtime > date:
                return 412
        if request.all("if-none-match"):
            if request.one("if-none-match") == "*" or tag in [t for _, t in tags("if-none-match")]:
                return 304
        elif request.all("if-modified-since"):
            date = read_date(request.one("if-modified-since"))
            if date is not None and mtime <= date:
                return 304
        return None

    # Scripts.

    def script(self, request, peer, real, script, info, query):
        places = (self.root, self.root / "cgi-bin")
        asked = self.root / "/".join(filter(None, script[:-1]))
        if (
            real.parent not in places
            or asked not in places
            or real.suffix.lower() != ".py"
            or not script[-1].lower().endswith(".py")
        ):
            raise Refuse(403, close=False)
        if request.method not in ("GET", "HEAD", "POST"):
            raise Refuse(405, close=False, Allow="GET, HEAD, POST")
        environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            "GATEWAY_INTERFACE": "CGI/1.1",
            "QUERY_STRING": query,
            "REMOTE_ADDR": peer[0],
            "REMOTE_HOST": peer[0],
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "/" + "/".join(filter(None, script)),
            "SERVER_NAME": self.address[0],
            "SERVER_PORT": str(self.address[1]),
            "SERVER_SOFTWARE": "Typewriter/1.0",
            "SERVER_PROTOCOL": "HTTP/%d.%d" % request.version,
        }
        host = request.one("host")
        if host:
            environ["SERVER_NAME"] = re.sub(r":\d*$", "", host)
        environ["PATH_INFO"] = "/" + "/".join(info) if info else ""
        if info:
            environ["PATH_TRANSLATED"] = str(self.root) + environ["PATH_INFO"]
        if request.all("content-length") or request.all("transfer-encoding"):
            environ["CONTENT_LENGTH"] = str(len(request.body))
        if request.one("content-type"):
            environ["CONTENT_TYPE"] = request.one("content-type")
        for name, _ in request.fields:
            if name in ("proxy", "content-length", "content-type", "transfer-encoding", "connection") or "_" in name:
                continue
            environ["HTTP_" + name.upper().replace("-", "_")] = ("; " if name == "cookie" else ", ").join(
                request.all(name)
            )
        child = subprocess.Popen(
            [sys.executable, str(real)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=real.parent,
            env=environ,
            start_new_session=True,
        )
        try:
            out, _ = child.communicate(request.body, timeout=self.timeout)
        except subprocess.TimeoutExpired:
            raise Refuse(504, close=False) from None
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except OSError:
                pass
            child.wait()
            child.stdout.close()
            try:
                child.stdin.close()
            except OSError:
                pass
        got = re.match(rb"((?:[^\r\n]+\r?\n)+)\r?\n", out)
        if not got:
            raise Refuse(502, close=False)
        fields, status = {}, None
        for line in got[1].splitlines():
            name, colon, value = line.decode("latin-1").partition(":")
            value = value.strip(" \t")
            if (
                not colon
                or not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", name)
                or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value)
            ):
                raise Refuse(502, close=False)
            low = name.lower()
            if low == "status":
                if not re.fullmatch(r"[1-5]\d\d( .*)?", value) or value[0] == "1":
                    raise Refuse(502, close=False)
                status = int(value[:3])
            elif low == "set-cookie":
                fields.setdefault(low, []).append(value)
            elif low not in ("content-length", "connection", "transfer-encoding", "keep-alive", "date"):
                fields[low] = value
        if status is None:
            status = 302 if "location" in fields else 200
        response = Response(status, out[got.end() :])
        if status in (204, 304):
            response.body, response.length = b"", 0
        response.fields = {k.title(): v for k, v in fields.items()}
        return response
