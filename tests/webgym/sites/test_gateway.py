"""The gateway and its episodes without a browser: which site answers, what it sees, and what becomes of a site that fails."""

import asyncio

import pytest

from tests.webgym.sites.counter import Counter, ask
from webgym.errors import ConfigError, SiteFault
from webgym.sites.gateway import Gateway


def serve(test, *sites):
    """Run `test(gateway)` with the sites served."""
    gateway = Gateway()
    for site in sites:
        gateway.add_site(site)
    asyncio.run(test(gateway))


def test_each_token_has_a_state_of_its_own():
    site = Counter()

    async def test(gateway):
        one = await gateway.open("a", ("count.localhost",), 1, "x")
        other = await gateway.open("b", ("count.localhost",), 2, "y")
        assert one is gateway.episode("a") and other is gateway.episode("b")
        for _ in range(3):
            assert (await ask(one))[::2] == (200, "1 x")
        assert (await ask(other))[::2] == (200, "2 y")
        assert (await gateway.snapshot("a"), await gateway.snapshot("b"), gateway.open_episodes) == (3, 1, 2)
        await gateway.end("a")
        await gateway.end("a")
        assert site.closed == [1] and gateway.open_episodes == 1
        assert (await ask(one))[0] == 403 and (await ask(other))[0] == 200
        with pytest.raises(SiteFault, match="no episode is open under this token"):
            gateway.episode("a")

    serve(test, site)


HOSTS = ["count.localhost", "localhost:8001", "https://app.example:8443", "http://notes.example.com", "127.0.0.1:5000", "[::1]:5000"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_site_answers_at_its_own_scheme_host_and_port_and_nowhere_else(host):
    site = Counter(host)

    async def test(gateway):
        episode = await gateway.open("a", (host,), 1, None)
        scheme, _, named = host.rpartition("://")
        assert (await ask(episode, host=named, scheme=scheme or "http"))[0] == 200
        bare = named.rpartition(":")[0] if named.rpartition(":")[2].isdigit() else named
        elsewhere = (f"x.{bare}", "other.localhost", "", "localhost", "app.example")
        for wrong in (*elsewhere, *(f"{bare}:{port}" for port in ("81", "0", "x", "8²", "8" * 5000))):
            assert (await ask(episode, host=wrong, scheme=scheme or "http"))[0] == 403, wrong
        assert (await ask(episode, host=named, scheme="http" if scheme == "https" else "https"))[0] == 403
        assert len(site.scopes) == 1

    serve(test, site)


def test_a_host_may_be_written_in_any_way_that_means_the_same():
    async def test(gateway):
        episode = await gateway.open("a", ("HTTP://Count.localhost:80/",), 1, None)
        assert (await ask(episode))[0] == 200 and (await ask(episode, host="COUNT.localhost:80"))[0] == 200
        assert await gateway.snapshot("a") == 2

    serve(test, Counter("count.localhost"))


@pytest.mark.parametrize(
    "host", ["", "ftp://a.b", "a b", "http://", "a.localhost/path", "a:99999", "me@a.localhost", "a\\b", "bücher.example"]
)
def test_a_host_that_is_none_is_told_in_words(host):
    with pytest.raises(ConfigError, match=r"expected a host such as shop\.localhost"):
        Gateway().add_site(Counter(host))


def test_what_a_site_sees():
    site = Counter()

    async def test(gateway):
        episode = await gateway.open("secret", ("count.localhost",), 1, None)
        own = ((b"x-other", b"kept"), (b"proxy-connection", b"keep-alive"), (b"proxy-authorization", b"Basic x"))
        await ask(episode, "/p q?a=b", headers=own)
        (scope,) = site.scopes
        assert (scope["path"], scope["query_string"]) == ("/p q", b"a=b")
        assert scope["headers"] == [(b"host", b"count.localhost"), (b"x-other", b"kept")]
        assert "secret" not in str({key: value for key, value in scope.items() if key != "webgym.state"})

    serve(test, site)


def test_preflights_are_the_site_s_to_answer():
    site = Counter()

    async def test(gateway):
        episode = await gateway.open("a", ("count.localhost",), 1, None)
        asked = ((b"origin", b"http://a.localhost"), (b"access-control-request-headers", b"authorization"))
        status, headers, _ = await ask(episode, method="OPTIONS", headers=asked)
        assert (status, [scope["method"] for scope in site.scopes]) == (200, ["OPTIONS"])
        assert not [name for name in headers if name.startswith("access-control")]

    serve(test, site)


def test_site_that_fails_is_a_fault_of_its_episode_only(caplog):
    async def test(gateway):
        one = await gateway.open("a", ("count.localhost",), 1, None)
        await gateway.open("b", ("count.localhost",), 2, None)
        with pytest.raises(RuntimeError):
            await ask(one, "/broken")
        with pytest.raises(SiteFault, match=r"the site count\.localhost/broken failed while answering: RuntimeError"):
            await gateway.snapshot("a")
        assert await gateway.snapshot("b") == 0
        assert (await ask(one))[0] == 200
        assert "site count.localhost failed at /broken" in caplog.text

    serve(test, Counter())


def test_several_sites_and_what_cannot_be_opened():
    sites = Counter(), Counter("other.localhost:8001")

    async def test(gateway):
        episode = await gateway.open("a", ("count.localhost", "other.localhost:8001"), 1, None)
        await ask(episode, host="other.localhost:8001")
        assert await gateway.snapshot("a") == {"count.localhost": 0, "other.localhost:8001": 1}
        assert episode.traces.origins == {"http://other.localhost:8001"}
        with pytest.raises(
            SiteFault, match=r"no site is registered for host 'gone\.localhost'; known: count\.localhost, other\.localhost:8001"
        ):
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


def test_immutable_answers_are_asked_for_once_whatever_the_episode():
    site = Counter()

    async def test(gateway):
        for seed in (1, 2):
            episode = await gateway.open("a", ("count.localhost",), seed, None)
            assert (await ask(episode, "/same"))[2] == "1 None" and (await ask(episode, "/other"))[2] == f"{seed} None"
            await ask(episode, "/same?other", headers=((b"range", b"bytes=0-1"),))
            await gateway.end("a")
        assert [scope["path"] for scope in site.scopes] == ["/same", "/other", "/same", "/other", "/same"]
        other = Counter()
        gateway.add_site(other)  # in its place
        await ask(await gateway.open("a", ("count.localhost",), 3, None), "/same")
        assert len(other.scopes) == 1

    serve(test, site)


def test_an_episode_that_ends_lets_go_of_what_its_site_still_answers():
    site = Counter()

    async def test(gateway):
        episode = await gateway.open("a", ("count.localhost",), 1, None)
        waiting = asyncio.create_task(ask(episode, "/hang"))
        while not episode.unanswered():
            await asyncio.sleep(0)
        (exchange,) = episode.unanswered()
        assert (exchange.method, exchange.address, exchange.kind) == ("GET", "http://count.localhost/hang", "http")
        await gateway.end("a")
        assert waiting.cancelled() and site.cancelled == 1 and episode.unanswered() == () and site.closed == [1]

    serve(test, site)


def test_a_request_that_is_given_up_is_no_failure_of_the_site_and_others_go_on():
    class Careless(Counter):
        async def app(self, scope, receive, send):
            try:
                await super().app(scope, receive, send)
            except asyncio.CancelledError:
                raise RuntimeError("it was not my turn to end") from None

    async def test(gateway):
        episode = await gateway.open("a", ("count.localhost",), 1, None)
        waiting = asyncio.create_task(ask(episode, "/hang"))
        while not episode.unanswered():
            await asyncio.sleep(0)
        await episode.hang_up()
        assert episode.unanswered() == () and isinstance(waiting.exception(), RuntimeError)
        assert (await ask(episode))[0] == 200 and await gateway.snapshot("a") == 2

    serve(test, Careless())


ANSWERS = [
    ({}, 200, True, ""),
    ({"cache-control": "no-store"}, 200, False, ""),
    ({"Cache-Control": "public, max-age=9, Immutable"}, 200, False, ""),
    ({"cache-control": "max-age=9"}, 200, True, ""),
    ({"cache-control": "no-store", "Strict-Transport-Security": "max-age=9"}, 200, False, "the header strict-transport-security"),
    ({"cache-control": "no-store", "report-to": "{}"}, 200, False, "the header report-to"),
    ({"cache-control": "no-store", "www-authenticate": "Basic"}, 401, False, "HTTP credentials"),
]


@pytest.mark.parametrize(("headers", "status", "cached", "lasting"), ANSWERS)
def test_traces_that_an_answer_leaves_in_a_browser(headers, status, cached, lasting):
    class Answering(Counter):
        async def app(self, scope, receive, send):
            pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": status, "headers": pairs})
            await send({"type": "http.response.body", "body": b""})

    async def test(gateway):
        episode = await gateway.open("a", ("count.localhost",), 1, None)
        await ask(episode)
        assert (episode.traces.cached, episode.traces.lasting) == (cached, lasting)

    serve(test, Answering())


@pytest.mark.parametrize(
    ("name", "value", "lasting"),
    [(b"authorization", b"Basic YTpi", True), (b"authorization", b"Bearer x", False), (b"sec-purpose", b"prefetch", True)],
)
def test_traces_that_a_request_shows(name, value, lasting):
    async def test(gateway):
        episode = await gateway.open("a", ("count.localhost",), 1, None)
        await ask(episode, headers=((name, value),))
        assert bool(episode.traces.lasting) == lasting

    serve(test, Counter())
