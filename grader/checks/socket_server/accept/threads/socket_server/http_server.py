"""An HTTP/1.1 server with a thread for each connection, in blocking calls that all have a deadline.

messages.py reads requests and writes responses; site_files.py knows what is there to send.
"""

import argparse
import io
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from messages import Gone, Refuse, Request, Response, SocketRaw
from site_files import Site

log = logging.getLogger("access")


class Connection(threading.Thread):
    def __init__(self, sock, peer, site):
        super().__init__(daemon=True)
        self.sock, self.peer, self.site = sock, peer, site
        self.raw = SocketRaw(sock)
        self.reader = io.BufferedReader(self.raw, 65536)

    def run(self):
        try:
            with self.sock:
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while self.once():
                    pass
                self.linger()
        except (OSError, Gone):
            pass

    def within(self, seconds):
        """From now on reading may take so many seconds in all."""
        self.raw.deadline = time.monotonic() + seconds

    def once(self):
        """One request and its answer; whether another may follow."""
        patience = self.site.timeout
        self.within(patience)
        try:
            if not self.reader.peek(1):
                return False
        except TimeoutError:
            return False
        request = Request()
        self.within(patience)
        body_read, keep = False, False
        try:
            request.read_head(self.reader)
            framing = request.framing()
            keep = not request.ambiguous
            wants = request.members("connection")
            if request.version == (1, 0):
                keep = keep and "keep-alive" in wants and "close" not in wants
            elif "close" in wants:
                keep = False
            self.within(patience)
            if framing and "100-continue" in request.members("expect") and request.version != (1, 0):
                self.sock.sendall(b"HTTP/1.1 100 Go on\r\n\r\n")
            request.read_body(self.reader, framing)
            body_read = True
            response = self.site.answer(request, self.peer)
        except Refuse as refusal:
            if refusal.close:
                keep = False
            response = Response.page(refusal.status, "Sorry.", **refusal.fields)
        except Gone:
            return False
        except TimeoutError:
            response, keep = Response.page(408, "You are too slow."), False
        except Exception:
            logging.exception("bug")
            response, keep = Response.page(500, "I am broken."), False
        if not body_read:
            keep = False
        response.fields["Connection"] = "keep-alive" if keep else "close"
        sent = self.send(request, response)
        stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
        line = request.line.replace("\\", "\\\\").replace('"', '\\"')
        line = "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in line)
        log.info('%s - - [%s] "%s" %d %s', self.peer[0], stamp, line, response.status, sent or "-")
        return keep

    def send(self, request, response):
        self.sock.settimeout(self.site.timeout)
        self.sock.sendall(response.head())
        sent = 0
        if request.method == "HEAD" or response.status in (204, 304):
            if response.stream:
                response.stream.close()
            return 0
        for data in response.chunks():
            view = memoryview(data)
            while view:
                count = self.sock.send(view)
                view = view[count:]
                sent += count
        return sent

    def linger(self):
        """A close with unread bytes would be a reset, which can overtake the answer."""
        self.sock.shutdown(socket.SHUT_WR)
        end = time.monotonic() + 2
        while (left := end - time.monotonic()) > 0:
            self.sock.settimeout(left)
            if not self.sock.recv(65536):
                break


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--root", default=str(Path(__file__).resolve().parents[2] / "webroot"))
    parser.add_argument("--timeout", type=float, default=10)
    args = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")

    def stop(*_):
        os._exit(0)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    site = Site(args.root, args.timeout)
    listener = socket.create_server((args.host, args.port), backlog=200)
    site.address = listener.getsockname()
    print("Serving %s at http://%s:%d/ - stop me with Ctrl+C" % (args.root, *site.address), flush=True)
    while True:
        sock, peer = listener.accept()
        Connection(sock, peer, site).start()


if __name__ == "__main__":
    main()
