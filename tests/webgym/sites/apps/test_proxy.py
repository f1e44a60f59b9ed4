"""The proxy before an application in a process of its own: what passes, in which form, and what never does."""

import asyncio
import json

import pytest

from tests.webgym.sites.apps.asking import HOST, Answer, ask, playing, scope, shelf
from webgym.errors import SiteFault


def test_requests_pass_with_their_path_query_body_and_headers():
    async def test(site, lease):
        parts = [b"a" * 70_000, b"", b"b" * 200_000]
        found = json.loads((await ask(site, lease, "/echo/a%20b//c", "POST", parts, {"x-own": "1", "te": "x"}, query=b"q=%2F&r")).body)
        assert (found["path"], found["query"], found["size"]) == ("/echo/a%20b//c", "q=%2F&r", 270_000)
        headers = [name for name, _ in found["headers"]]
        assert dict(found["headers"])["host"] == HOST and dict(found["headers"])["x-own"] == "1"
        assert "te" not in headers and headers.count("host") == 1

    playing(test, shelf())


def test_what_belongs_to_one_connection_stays_there():
    async def test(site, lease):
        answer = await ask(site, lease, "/odd/plain", headers={"connection": "keep-alive, x-mine", "x-mine": "1", "x-original-url": "/api"})
        assert answer.status == 200 and answer.body == b"plain"
        assert not answer.header("date") and not answer.header("connection") and not answer.header("transfer-encoding")
        assert answer.header("set-cookie") == ["x=1"]
        found = json.loads(
            (await ask(site, lease, "/echo/", headers={"connection": "x-mine", "x-mine": "1", "x-original-url": "/api"})).body
        )
        assert {"x-mine", "x-original-url"} & {name for name, _ in found["headers"]} == set()

    playing(test, shelf())


def test_an_application_hears_the_host_that_it_takes_itself_for():
    async def test(site, lease):
        own = f"127.0.0.1:{lease.plain.address.port}"
        sent = {"origin": f"http://{HOST}", "referer": f"http://{HOST}/a?b", "x": f"http://{HOST}"}
        found = dict(json.loads((await ask(site, lease, "/echo/", headers=sent)).body)["headers"])
        assert (found["host"], found["origin"], found["referer"]) == (own, f"http://{own}", f"http://{own}/a?b")
        assert found["x"] == f"http://{HOST}"
        other = dict(json.loads((await ask(site, lease, "/echo/", headers={"origin": f"http://{HOST}.evil"})).body)["headers"])
        assert other["origin"] == f"http://{HOST}.evil", "an origin of somebody else stays so"
        assert (await ask(site, lease, "/odd/away")).header("location") == [f"http://{HOST}/books?x=1"]
        assert (await ask(site, lease, "/odd/own-port")).header("location") == [f"http://{HOST}/login"]
        assert f"Domain={HOST}" in (await ask(site, lease, "/odd/cookie")).header("set-cookie")[0]

    playing(test, shelf(host_header="127.0.0.1:{port}"))


def test_a_site_with_more_addresses_is_one_application():
    async def test(site, lease):
        assert site.also == ("localhost:8001",)
        there = json.loads((await ask(site, lease, "/echo/", host="localhost:8001")).body)
        assert dict(there["headers"])["host"] == "localhost:8001"
        assert (await ask(site, lease, "/odd/own-port", host="localhost:8001")).header("location") == ["http://localhost:8001/login"]

    playing(test, shelf(also=["http://localhost:8001"]))


def test_private_paths_are_not_there_for_pages_however_they_are_spelled():
    spellings = (
        "/api/reset", "/api/reset/", "/api//reset", "/API/Reset", "/api/./reset", "/x/../api/reset", "/api/%72eset", "/api/%2572eset",
        "/api;a=b/reset;c", "/api%2freset", "/api\\reset", "/api/reset%00", "/api/reset%20", "/api/reset/deeper", "/api/reset.json",
    )  # fmt: skip

    async def test(site, lease):
        await lease.instance.post("/api/reset")
        await ask(site, lease, "/books", "POST", b"title=Persuasion", {"content-type": "application/x-www-form-urlencoded"})
        for path in spellings:
            for method in ("GET", "POST", "OPTIONS"):
                assert (await ask(site, lease, path, method)).status == 404, path
        assert await lease.instance.get("/api/state") == {"books": ["Emma", "Persuasion"]}, "it is open to resets, readers and verifiers"
        assert (await ask(site, lease, "/api/state")).status == 200
        assert (await ask(site, lease, "/echo/reset")).status == 200

    playing(test, shelf(private=["/api/reset"]))


def test_private_websockets_are_refused():
    async def test(site, lease):
        said, _ = await talking(site, lease, [])
        assert [message["type"] for message in said] == ["websocket.close"]

    playing(test, shelf(private=["/talk"]))


def test_what_is_the_same_for_all_episodes_may_be_kept():
    async def test(site, lease):
        kept = await ask(site, lease, "/static/a/b.css")
        assert kept.header("cache-control") == ["public, max-age=31536000, immutable"]
        assert not kept.header("vary") and not kept.header("set-cookie")
        assert (await ask(site, lease, "/static/../odd/plain")).header("cache-control") != kept.header("cache-control")
        assert (await ask(site, lease, "/odd/plain")).header("cache-control") == ["no-store"]
        assert "immutable" not in str((await ask(site, lease, "/static/b", "POST")).header("cache-control")), "it is no answer to keep"

    playing(test, shelf(same_for_all=["/static/*"]))


def test_answers_and_requests_are_streamed():
    async def test(site, lease):
        answer = await ask(site, lease, "/big")
        assert len(answer.body) == 64 * 65536 and len(answer.sent) > 10
        many = (b"y" * 65536 for _ in range(160))
        assert json.loads((await ask(site, lease, "/covers", "POST", many)).body) == {"size": 160 * 65536}

    playing(test, shelf())


def test_an_event_stream_comes_as_it_is_said_and_ends_with_its_page():
    async def test(site, lease):
        answer, left = Answer(), asyncio.Event()
        bodies = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive():
            if bodies:
                return bodies.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        asked = asyncio.create_task(site.app(scope(site, lease, "/events"), receive, answer.send))
        while answer.body.count(b"data") < 3:
            await asyncio.sleep(0.01)
        assert not asked.done() and answer.header("content-type")[0].startswith("text/event-stream")
        left.set()
        await asked
        while not (lease.plain.folder / "stream-ended").exists():
            await asyncio.sleep(0.01)

    playing(test, shelf())


async def talking(site, lease, messages, protocols=()):
    """What a WebSocket hears, and the queue by which its page speaks on."""
    heard, speech = [], asyncio.Queue()
    for message in [{"type": "websocket.connect"}, *messages]:
        speech.put_nowait(message)

    async def send(message):
        heard.append(message)

    sent = {"origin": f"http://{HOST}"}
    await site.app(scope(site, lease, "/talk", kind="websocket", headers=sent, subprotocols=list(protocols)), speech.get, send)
    return heard, speech


def test_websockets_pass_in_both_directions():
    async def test(site, lease):
        said = [{"type": "websocket.receive", "text": "tea"}, {"type": "websocket.receive", "bytes": b"abc"}]
        large = {"type": "websocket.receive", "text": "x" * 300_000}
        heard, _ = await talking(site, lease, [*said, large, {"type": "websocket.receive", "text": "bye"}], ["chat", "other"])
        assert heard[0]["type"] == "websocket.accept" and heard[0]["subprotocol"] == "chat"
        assert [message.get("text") or message.get("bytes") for message in heard[1:-1]] == [
            f"hello http://{HOST}", "TEA", b"cba", "X" * 300_000,
        ]  # fmt: skip
        assert heard[-1]["type"] == "websocket.close" and heard[-1]["code"] == 4001
        await talking(site, lease, [{"type": "websocket.disconnect", "code": 1005}])
        while not (lease.plain.folder / "talk-ended").exists():
            await asyncio.sleep(0.01)

    playing(test, shelf())


def test_a_websocket_that_the_application_refuses_is_refused():
    async def test(site, lease):
        heard = []

        async def send(message):
            heard.append(message["type"])

        async def receive():
            return {"type": "websocket.connect"}

        await site.app(scope(site, lease, "/echo/", kind="websocket", subprotocols=[]), receive, send)
        assert heard == ["websocket.close"]

    playing(test, shelf())


def test_an_application_that_answers_badly_is_not_at_fault():
    async def test(site, lease):
        assert (await ask(site, lease, "/odd/fail")).status == 500
        cut = await ask(site, lease, "/odd/cut")
        assert cut.status == 200 and not cut.done.is_set(), "the page sees that the answer is cut"
        assert (await ask(site, lease, "/echo/", headers={"x": "a\nb"})).status == 400
        assert await site.snapshot(lease) == {}

    playing(test, shelf())


def test_an_application_that_dies_is_a_fault_with_the_end_of_its_log():
    async def test(site, lease):
        with pytest.raises(SiteFault, match=r"(?s)shelf\.localhost/: its process went away .*signal 9.*about to die") as error:
            await ask(site, lease, "/odd/die")
        assert "kept in" in str(error.value)
        with pytest.raises(SiteFault, match="it takes no requests: it ended with signal 9"):
            await ask(site, lease, "/")
        with pytest.raises(SiteFault, match="its process is gone: it ended with signal 9"):
            await site.snapshot(lease)
        await site.release(lease)
        again = await site.lease(0, None)
        assert (await ask(site, again, "/login")).status == 200

    playing(test, shelf())
