"""The listener without a browser: a proxy that serves one episode at a time, over http, tunnels and TLS."""

import asyncio
import base64
import hashlib
import os
import ssl
from contextlib import suppress

import pytest

from tests.webgym.sites.counter import Counter
from webgym.errors import SiteFault
from webgym.sites.certificates import Certificate
from webgym.sites.gate import Gate
from webgym.sites.gateway import Gateway
from webgym.sites.listener import Listener

WIRES: list["Wire"] = []
HOSTS = ("count.localhost", "localhost:8001", "https://app.example")


def serve(test, *sites):
    """Run `test(listener, episode, gateway)` while an episode of the sites is served."""

    async def main():
        gateway, listener = Gateway(), await Listener.open(Certificate())
        for site in sites:
            gateway.add_site(site)
        episode = await gateway.open("a", tuple(site.host for site in sites), 1, None)
        listener.serve(episode)
        try:
            await asyncio.wait_for(test(listener, episode, gateway), 60)
        finally:
            await listener.close()
            while WIRES:
                await WIRES.pop().close()

    asyncio.run(main())


class Wire:
    """A connection to the listener, as a browser makes it."""

    def __init__(self, reader, writer, password):
        self.reader, self.writer = reader, writer
        self._key = f"Proxy-Authorization: Basic {base64.b64encode(f'webgym:{password}'.encode()).decode()}"

    @classmethod
    async def to(cls, listener, password=None):
        WIRES.append(cls(*await asyncio.open_connection("127.0.0.1", listener.port), password or listener.password))
        return WIRES[-1]

    async def close(self):
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    async def head(self, *lines):
        """The status of the answer to these lines; 0 where the connection was closed without one."""
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0
        self.headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        return int(head.split()[1])

    async def get(self, target, host, *headers, method="GET"):
        """Status and body."""
        status = await self.head(f"{method} {target} HTTP/1.1", f"Host: {host}", self._key, *headers)
        body = await self.reader.readexactly(int(self.headers.get("content-length", 0))) if status else b""
        return status, body.decode()

    async def connect(self, authority):
        return await self.head(f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", self._key)

    async def secure(self, name):
        """Speak TLS from now on; the key of the certificate, as browsers name it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        await self.writer.start_tls(context, server_hostname=name)


def test_a_request_in_absolute_form_goes_to_the_site_of_its_address():
    sites = Counter("count.localhost"), Counter("localhost:8001")

    async def test(listener, episode, gateway):
        wire = await Wire.to(listener)
        assert await wire.get("http://count.localhost/p%20q/%3Fx?a=b&c", "count.localhost", "Proxy-Connection: keep-alive") == (
            200,
            "1 None",
        )
        assert await wire.get("http://localhost:8001/", "localhost:8001") == (200, "1 None")  # on the same connection
        (scope,) = sites[0].scopes
        assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/p q/?x", b"/p%20q/%3Fx", b"a=b&c")
        assert scope["headers"] == [(b"host", b"count.localhost")] and scope["scheme"] == "http"
        assert {key for key in scope if key.startswith("webgym")} == {"webgym.state"} and scope["state"] == {}
        assert await gateway.snapshot("a") == {"count.localhost": 1, "localhost:8001": 1}

    serve(test, *sites)


REFUSED = [
    "/",  # to the listener itself, as any other program would ask
    "/http://count.localhost/",
    "http://count.localhost:81/",
    "http://other.localhost/",
    "http://127.0.0.1/",
    "http://localhost/",
    "https://count.localhost/",
    "ftp://count.localhost/",
    "http://",
    "http:///",
    "http://count.localhost@other/",
    "http://count.localhost:x/",
]


@pytest.mark.parametrize("target", REFUSED)
def test_what_is_not_let_in(target):
    site = Counter("count.localhost")

    async def test(listener, episode, gateway):
        wire = await Wire.to(listener)
        assert await wire.get(target, "count.localhost") == (0, "")
        assert site.scopes == []

    serve(test, site)


def test_who_does_not_know_the_password_is_not_let_in():
    site, other = Counter("count.localhost"), []

    async def test(listener, episode, gateway):
        other.append(await Listener.open(listener.certificate))
        guesses = ["x", listener.password[:-1], listener.password.swapcase(), other[0].password, "\0"]
        for guess in guesses:
            assert (await (await Wire.to(listener, guess)).get("http://count.localhost/", "count.localhost"))[0] == 407
            assert await (await Wire.to(listener, guess)).connect("count.localhost:80") == 407, (guess, listener.password)
        for lines in (["GET http://count.localhost/ HTTP/1.1", "Host: count.localhost"], ["CONNECT count.localhost:80 HTTP/1.1"]):
            wire = await Wire.to(listener)
            assert await wire.head(*lines) == 407 and wire.headers["proxy-authenticate"] == 'basic realm="webgym"'
        assert site.scopes == [] and not listener.refused.is_set() and listener.password not in str(episode.__dict__)
        assert (await (await Wire.to(listener)).get("http://door.webgym/", "door.webgym", "Content-Length: 0"))[0] == 204
        await other[0].close()

    serve(test, site)


@pytest.mark.parametrize(
    "authority", ["other.localhost:80", "count.localhost:443", "count.localhost", "127.0.0.1:80", "x", ":80", "[::1]:80"]
)
def test_a_tunnel_to_no_site_is_refused(authority):
    async def test(listener, episode, gateway):
        assert await (await Wire.to(listener)).connect(authority) == 403

    serve(test, Counter("count.localhost"))


def test_tls_where_the_site_has_https_and_none_where_it_has_not():
    sites = [Counter(host) for host in HOSTS]

    async def test(listener, episode, gateway):
        wire = await Wire.to(listener)
        assert await wire.connect("app.example:443") == 200
        await wire.secure("app.example")
        assert await wire.get("/secret?x=1", "app.example") == (200, "1 None")
        assert (sites[2].scopes[0]["scheme"], sites[2].scopes[0]["path"]) == ("https", "/secret")
        plain = await Wire.to(listener)
        assert await plain.connect("localhost:8001") == 200
        assert await plain.get("/plain", "localhost:8001") == (200, "1 None")
        assert sites[1].scopes[0]["scheme"] == "http"

    serve(test, *sites)


def test_certificates_differ_and_load_and_name_their_key():
    one, other = Certificate(), Certificate()
    assert one.key_hash != other.key_hash and len(base64.b64decode(one.key_hash)) == 32

    async def test():
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=one.context)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1], ssl=client)
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        server.close()
        key = der[der.index(bytes.fromhex("3059301306072a8648ce3d0201")) :][: 0x59 + 2]  # the public key, with its own head
        assert base64.b64encode(hashlib.sha256(key).digest()).decode() == one.key_hash

    asyncio.run(test())


def frame(text: str) -> bytes:
    """A client's WebSocket frame."""
    mask, body = os.urandom(4), text.encode()
    return bytes([0x81, 0x80 | len(body)]) + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))


async def dial(listener, authority, secured=False):
    wire = await Wire.to(listener)
    assert await wire.connect(authority) == 200
    if secured:
        await wire.secure("x")
    lines = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13"]
    assert await wire.head("GET /ws HTTP/1.1", f"Host: {authority}", *lines) == 101
    return wire


@pytest.mark.parametrize(("host", "authority"), [("localhost:8001", "localhost:8001"), ("https://app.example", "app.example:443")])
def test_websockets_come_in_a_tunnel(host, authority):
    site = Counter(host)

    async def test(listener, episode, gateway):
        wire = await dial(listener, authority, host.startswith("https"))
        wire.writer.write(frame("hi"))
        assert await wire.reader.readexactly(4) == b"\x81\x02HI"
        (open_one,) = episode.unanswered()
        assert (open_one.kind, open_one.method) == ("websocket", "WEBSOCKET") and site.scopes[0]["scheme"] in ("ws", "wss")
        wire.writer.close()
        while episode.unanswered():
            await asyncio.sleep(0.001)
        assert await gateway.snapshot("a") == 1

    serve(test, site)


def test_a_site_that_writes_to_a_page_which_left_is_no_fault_and_one_that_breaks_is():
    class Ticker(Counter):
        async def _talk(self, receive, send):
            await receive()
            await send({"type": "websocket.accept"})
            if (await receive())["text"] == "break":
                raise RuntimeError("no")
            while True:
                await send({"type": "websocket.send", "text": "tick"})
                await asyncio.sleep(0.001)

    async def test(listener, episode, gateway):
        wire = await dial(listener, "count.localhost:80")
        wire.writer.write(frame("go"))
        await wire.reader.readexactly(6)
        wire.writer.transport.abort()
        while episode.unanswered():
            await asyncio.sleep(0.001)
        await gateway.snapshot("a")
        wire = await dial(listener, "count.localhost:80")
        wire.writer.write(frame("break"))
        await wire.reader.read()
        with pytest.raises(SiteFault, match="RuntimeError"):
            await gateway.snapshot("a")

    serve(test, Ticker("count.localhost"))


def test_an_ended_episode_is_over_for_every_connection():
    site = Counter("count.localhost")

    async def test(listener, episode, gateway):
        used, idle, talking = await Wire.to(listener), await Wire.to(listener), await dial(listener, "count.localhost:80")
        assert (await used.get("http://count.localhost/", "count.localhost"))[0] == 200
        waiting = await Wire.to(listener)
        hanging = asyncio.create_task(waiting.head("GET http://count.localhost/hang HTTP/1.1", "Host: count.localhost", waiting._key))
        while len(episode.unanswered()) < 2:
            await asyncio.sleep(0.001)
        await gateway.end("a")
        assert listener.episode is None and not listener.refused.is_set()
        assert (await used.get("http://count.localhost/late", "count.localhost"))[0] == 0 and listener.refused.is_set()
        listener.refuse()
        assert await hanging in (0, 500) and await talking.reader.read(1) in (b"", b"\x88")
        for wire in (idle, await Wire.to(listener)):
            with pytest.raises((ConnectionError, AssertionError)):
                assert (await wire.get("http://count.localhost/late", "count.localhost"))[0]
        assert await (await Wire.to(listener)).connect("count.localhost:80") == 403
        fresh = await gateway.open("b", ("count.localhost",), 2, None)
        listener.serve(fresh)
        assert not listener.refused.is_set()
        assert await (await Wire.to(listener)).get("http://count.localhost/", "count.localhost") == (200, "2 None")
        assert [scope["path"] for scope in site.scopes] == ["/ws", "/", "/hang", "/"]

    serve(test, site)


def test_a_listener_that_was_closed_serves_nothing():
    async def test(listener, episode, gateway):
        await listener.close()
        with pytest.raises(SiteFault, match="the session's listener has stopped"):
            listener.serve(episode)
        with pytest.raises(ConnectionError):
            await Wire.to(listener)

    serve(test, Counter("count.localhost"))


def test_a_barrier_is_answered_once_and_by_no_site():
    site = Counter("count.localhost")

    async def test(listener, episode, gateway):
        for _ in range(2):
            address = listener.barrier("http://count.localhost")
            assert not listener.passed
            assert (await (await Wire.to(listener)).get(address, "count.localhost"))[0] == 404
            assert listener.passed
        assert (await (await Wire.to(listener)).get(address, "count.localhost"))[0] == 200  # a page's address, as any other
        assert len(site.scopes) == 1

    serve(test, site)


OPENED, ASKED = "Sec-Fetch-Site: none", "Sec-Fetch-Site: same-origin"
PASSING = [
    ("GET", "/first?x=1", (OPENED,), 200),
    ("GET", "/first?x=1", (), 200),  # of a host that is no secure context
    ("GET", "/first?x=1", (ASKED,), 0),
    ("GET", "/first?x=2", (), 0),
    ("POST", "/first?x=1", (OPENED,), 0),
    ("GET", "/first?x=1", (OPENED, "Cookie: a=1"), 0),
    ("GET", "/first?x=1", (OPENED, "Cookie: given=1"), 200),
    ("GET", "/first?x=1", (OPENED, "Cookie: given=1; given=2"), 0),
    ("GET", "/webgym-blank", (ASKED,), 200),
]


@pytest.mark.parametrize(("method", "path", "headers", "status"), PASSING)
def test_a_gate_lets_the_first_page_through_and_nothing_else(method, path, headers, status):
    site = Counter("count.localhost")

    async def test(listener, episode, gateway):
        listener.serve(episode, Gate("http://count.localhost/first?x=1#part", ["given=1"]))
        wire = await Wire.to(listener)
        found, _ = await wire.get(f"http://count.localhost{path}", "count.localhost", *headers, method=method)
        assert (found, listener.refused.is_set()) == (status, status == 0)
        assert await (await Wire.to(listener)).connect("count.localhost:80") == 403

    serve(test, site)


def test_a_gate_follows_redirects_and_the_cookies_that_they_set():
    class Leading(Counter):
        async def app(self, scope, receive, send):
            lead = [(b"location", b"second"), (b"set-cookie", b"mine=1; path=/")] if scope["path"] == "/first" else []
            headers = [(b"content-length", b"0"), *lead]
            await send({"type": "http.response.start", "status": 302 if lead else 200, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

    async def test(listener, episode, gateway):
        listener.serve(episode, gate := Gate("http://count.localhost/first"))
        wire = await Wire.to(listener)
        assert (await wire.get("http://count.localhost/first", "count.localhost"))[0] == 302
        assert (await wire.get("http://count.localhost/second", "count.localhost", "Cookie: mine=1"))[0] == 200
        assert gate.cookies == {"mine=1"} and not listener.refused.is_set()
        assert (await wire.get("http://count.localhost/first", "count.localhost"))[0] == 0

    serve(test, Leading("count.localhost"))
