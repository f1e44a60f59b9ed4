"""The gateway without a browser: who gets in, what a site sees, and what becomes of a site that fails."""

import asyncio

import pytest

from webgym.errors import SiteFault
from webgym.sites.gateway import TOKEN_HEADER, Gateway


class Counter:
    """Counts the requests of each episode; notes what it was asked; `/broken` raises."""

    def __init__(self, host="count.localhost"):
        self.host = host
        self.scopes, self.closed = [], []

    async def lease(self, seed, site_state):
        if seed == 13:
            raise ValueError("unlucky")
        if seed == 14:
            raise SiteFault("down")
        return {"seed": seed, "given": site_state, "count": 0}

    def snapshot(self, state):
        if state["seed"] == 15:
            raise KeyError("count")
        return state["count"]

    async def release(self, state):
        self.closed.append(state["seed"])

    async def app(self, scope, receive, send):
        self.scopes.append(scope)
        if scope["path"] == "/broken":
            raise RuntimeError("no")
        scope["webgym.state"]["count"] += 1
        body = f"{scope['webgym.state']['seed']} {scope['webgym.state']['given']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})


async def ask(gateway, path="/", host="count.localhost", token=None, method="GET", **headers):
    """Status, header lines and body of a raw request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{TOKEN_HEADER}: {token}"] if token is not None else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    status, *found = head.split("\r\n")
    return int(status.split()[1]), dict(line.lower().split(": ", 1) for line in found), body


def serve(test, *sites):
    """Run `test(gateway)` beside a running gateway."""

    async def main():
        gateway = Gateway()
        for site in sites:
            gateway.add_site(site)
        await gateway.start()
        try:
            await test(gateway)
        finally:
            await gateway.close()

    asyncio.run(main())


def test_each_token_has_a_state_of_its_own():
    site = Counter()

    async def test(gateway):
        await gateway.open("a", ("count.localhost",), 1, "x")
        await gateway.open("b", ("count.localhost",), 2, "y")
        for _ in range(3):
            assert (await ask(gateway, token="a"))[::2] == (200, "1 x")
        assert (await ask(gateway, token="b"))[::2] == (200, "2 y")
        assert (await gateway.snapshot("a"), await gateway.snapshot("b"), gateway.open_episodes) == (3, 1, 2)
        await gateway.end("a")
        await gateway.end("a")
        assert site.closed == [1] and gateway.open_episodes == 1
        assert (await ask(gateway, token="a"))[0] == 403

    serve(test, site)


def test_who_is_not_let_in():
    site, other = Counter(), Counter("other.localhost")

    async def test(gateway):
        await gateway.open("a", ("count.localhost",), 1, None)
        assert (await ask(gateway, token="b"))[0] == 403
        assert (await ask(gateway, token=""))[0] == 403
        assert (await ask(gateway))[0] == 403
        for host in ("other.localhost", "127.0.0.1", "localhost", "count.localhost:81", "x.count.localhost", "nowhere.localhost"):
            assert (await ask(gateway, host=host, token="a"))[0] == 403
        assert (await ask(gateway, token="a", method="OPTIONS"))[0] == 200  # an OPTIONS of the site's own
        assert len(site.scopes) == 1 and other.scopes == []

    serve(test, site, other)


def test_the_token_stops_here():
    site = Counter()

    async def test(gateway):
        await gateway.open("secret", ("count.localhost",), 1, None)
        await ask(gateway, "/p%20q?a=b", token="secret", x_other="kept")
        (scope,) = site.scopes
        assert (scope["path"], scope["query_string"]) == ("/p q", b"a=b")
        headers = dict(scope["headers"])
        assert headers[b"x-other"] == b"kept" and headers[b"host"] == b"count.localhost"
        assert "secret" not in str({key: value for key, value in scope.items() if key != "webgym.state"})

    serve(test, site)


def test_preflights_for_the_token_are_answered_here_and_others_are_not():
    site = Counter()
    asked = {"origin": "http://a.localhost", "access_control_request_method": "GET"}

    async def test(gateway):
        await gateway.open("a", ("count.localhost",), 1, None)
        status, headers, _ = await ask(gateway, method="OPTIONS", access_control_request_headers=TOKEN_HEADER, **asked)
        assert status == 204
        assert headers["access-control-allow-origin"] == "http://a.localhost"
        assert headers["access-control-allow-headers"] == TOKEN_HEADER
        status, *_ = await ask(gateway, method="OPTIONS", access_control_request_headers=f"x-own,{TOKEN_HEADER}", **asked)
        assert status == 403 and site.scopes == []  # it asks for more than the gateway may grant

    serve(test, site)


def test_site_that_fails_is_a_fault_of_its_episode_only(caplog):
    async def test(gateway):
        await gateway.open("a", ("count.localhost",), 1, None)
        await gateway.open("b", ("count.localhost",), 2, None)
        assert (await ask(gateway, "/broken", token="a"))[0] == 500
        with pytest.raises(SiteFault, match=r"the site count\.localhost/broken failed while answering: RuntimeError"):
            await gateway.snapshot("a")
        assert await gateway.snapshot("b") == 0
        assert (await ask(gateway, token="a"))[0] == 200
        assert "site count.localhost failed at /broken" in caplog.text

    serve(test, Counter())


def test_several_sites_and_what_cannot_be_opened():
    sites = Counter(), Counter("other.localhost")

    async def test(gateway):
        await gateway.open("a", ("count.localhost", "other.localhost"), 1, None)
        await ask(gateway, token="a", host="other.localhost")
        assert await gateway.snapshot("a") == {"count.localhost": 0, "other.localhost": 1}
        with pytest.raises(SiteFault, match=r"no site is registered for host 'gone\.localhost'; known: count\.localhost, other\.localhost"):
            await gateway.open("b", ("gone.localhost",), 1, None)
        with pytest.raises(SiteFault, match="could not open seed 13: ValueError"):
            await gateway.open("b", ("count.localhost",), 13, None)
        with pytest.raises(SiteFault, match=r"^down$"):
            await gateway.open("b", ("count.localhost",), 14, None)
        assert gateway.open_episodes == 1
        await gateway.open("c", ("count.localhost",), 15, None)
        with pytest.raises(SiteFault, match=r"site count\.localhost could not say its state: KeyError"):
            await gateway.snapshot("c")

    serve(test, *sites)


def test_a_server_that_has_stopped_is_told_before_an_episode():
    async def test(gateway):
        await gateway.close()
        with pytest.raises(SiteFault, match="the site server has stopped"):
            await gateway.open("a", ("count.localhost",), 1, None)

    serve(test, Counter())
