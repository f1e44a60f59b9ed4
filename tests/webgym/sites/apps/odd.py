"""A server that answers in every odd way that real ones have been seen to: run as `python odd.py PORT [MODE...]`, standard library only.

Modes: `v6` listens on ::1 alone, `late` after a while, `starting` says 503 a few times, `stubborn` ignores SIGTERM and forks a child that
does, too.
"""

import gzip
import os
import signal
import socket
import socketserver
import struct
import sys
import time
from urllib.parse import parse_qs, urlsplit

OK = b"HTTP/1.1 200 OK\r\n"
BODY = b"tea and cake"
ANSWERS = {
    "/": OK + b"content-length: 2\r\n\r\nok",
    "/gzip": OK + b"content-encoding: gzip\r\ncontent-type: text/plain\r\n\r\n" + gzip.compress(BODY),
    "/gzip.json": OK + b"content-encoding: gzip\r\ncontent-type: application/json\r\n\r\n" + gzip.compress(b'{"tea": 1}'),
    "/gzip-broken": OK + b"content-encoding: gzip\r\n\r\n" + gzip.compress(BODY)[:-9],
    "/br": OK + b"content-encoding: br\r\n\r\n\x8b\x05\x80tea and cake\x03",
    "/one-zero": b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\n" + BODY,
    "/chunked": OK + b"transfer-encoding: chunked\r\n\r\n4;x=y\r\ntea \r\n8\r\nand cake\r\n0\r\nx-after: 1\r\n\r\n",
    "/hints": b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n" + OK + b"content-length: 12\r\n\r\n" + BODY,
    "/continue": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"content-length: 12\r\n\r\n" + BODY,
    "/bare": b"HTTP/1.1 200\ncontent-length: 12\n\n" + BODY,
    "/raw-name": OK + b"content-disposition: inline; filename=\xc3\xa9t\xc3\xa9.txt\r\ncontent-length: 12\r\n\r\n" + BODY,
    "/empty": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/closed": b"",
    "/half": b"HTTP/1.1 200 OK\r\ncontent-le",
    "/junk": b"220 mail.example ESMTP\r\n",
    "/cut-chunk": OK + b"transfer-encoding: chunked\r\n\r\n4\r\ntea \r\n8\r\nan",
    "/wide": OK + b"x-wide: " + b"w" * 400_000 + b"\r\n\r\n",
    "/bad.json": OK + b"content-type: application/json\r\ncontent-length: 9\r\n\r\n{'tea': 1",
    "/no.json": OK + b"content-type: application/json\r\ncontent-length: 0\r\n\r\n",
    "/for-members": b"HTTP/1.1 302 Found\r\nlocation: /login?next=/for-members\r\ncontent-length: 0\r\n\r\n",
    "/cut-once": OK + b"content-length: 2\r\n\r\nok",
    "/early": b"HTTP/1.1 413 Too Large\r\ncontent-length: 8\r\nconnection: close\r\n\r\ntoo much",
}
asked = {"times": 0}
cut: set[str] = set()


class Odd(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        method, target, _ = self.rfile.readline().decode("latin-1").split(" ", 2)
        length = 0
        while (line := self.rfile.readline().strip()) != b"":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        parts = urlsplit(target)
        asked["times"] += 1
        if "starting" in sys.argv and asked["times"] < 4:
            self.wfile.write(b"HTTP/1.1 503 Starting\r\ncontent-length: 0\r\n\r\n")
            return
        if parts.path == "/pid":
            body = str(os.getpid()).encode()
            self.wfile.write(OK + b"content-length: %d\r\n\r\n%s" % (len(body), body))
            return
        if parts.path == "/reload":
            self.wfile.write(ANSWERS["/"])
            self.wfile.close()
            self.server.socket.close()  # before the answer is whole: what comes now is refused, and not reset later
            self.connection.shutdown(socket.SHUT_RDWR)
            os.execv(sys.executable, [sys.executable, *sys.argv, "late"])
        if parts.path == "/cut-once" and method not in cut:  # as a connection that a server took before it reloaded itself
            cut.add(method)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if parts.path == "/environment":
            body = os.environ.get("TMPDIR", "").encode()
            self.wfile.write(OK + b"content-length: %d\r\n\r\n%s" % (len(body), body))
            return
        if parts.path == "/to":
            place = parse_qs(parts.query)["place"][0].replace("PORT", sys.argv[1])
            self.wfile.write(f"HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n".encode())
            return
        if method == "HEAD":
            self.wfile.write(OK + b"content-length: 12\r\n\r\n")
            return
        if parts.path != "/early":
            self.rfile.read(length)
        self.wfile.write(ANSWERS[parts.path])


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64


class V6(Server):
    address_family = socket.AF_INET6


if __name__ == "__main__":
    if "late" in sys.argv:
        time.sleep(0.7)
    if "stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
    kind, host = (V6, "::1") if "v6" in sys.argv else (Server, "127.0.0.1")
    with kind((host, int(sys.argv[1])), Odd) as server:
        server.serve_forever()
