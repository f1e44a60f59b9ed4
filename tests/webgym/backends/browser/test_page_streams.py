"""Pages that servers speak to as they please: event streams, long polls and WebSockets, by the page's own clock."""

import asyncio
import html
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.webgym.pages import Visitor, lines, pool, run, visitor
from webgym.backends.browser import flow
from webgym.backends.browser.hooks import PARTS
from webgym.env.core import AsyncWebEnv
from webgym.sites.streams import PATIENCE, Parcel, Streams
from webgym.task import PENDING, Start, Task
from webgym.types import Click, Observation, Wait

SAY = "<p id=log>log</p><script>const say = words => log.append(' ' + words)</script>"
HOST = "talk.localhost"


class Room:
    """One episode's state: what was said, and who waits to hear of it."""

    def __init__(self, page: str) -> None:
        self.page, self.said, self.changed, self.asked = page, list[str](), asyncio.Condition(), list[dict[str, str]]()

    async def say(self, words: str) -> None:
        async with self.changed:
            self.said.append(words)
            self.changed.notify_all()

    async def after(self, count: int) -> list[str]:
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.said) > count)
            return self.said[count:]


class TalkSite:
    """A page, what is said in it (`/say`), and three ways to hear it: `/events`, `/poll` and a WebSocket at `/talk`."""

    host = HOST

    def __init__(self) -> None:
        self.rooms: list[Room] = []

    async def lease(self, seed: int, site_state: Any) -> Room:
        self.rooms.append(Room(site_state))
        return self.rooms[-1]

    def snapshot(self, state: Room) -> Any:
        return state.said

    async def release(self, state: Room) -> None:
        return None

    @property
    def app(self) -> Any:
        return self._answer

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        room: Room = scope["webgym.state"]
        path, query = scope["path"], scope["query_string"].decode()
        if scope["type"] == "websocket":
            return await self._talk(room, receive, send)
        room.asked.append({"path": path, **{n.decode(): v.decode() for n, v in scope["headers"]}})
        if path == "/say":
            await room.say(query)
        if path == "/events":
            return await self._events(room, query, receive, send)
        if path.startswith("/late"):
            await asyncio.sleep(1.2)
        if path == "/stall":  # the head, and never the whole body
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"a part", "more_body": True})
            await room.after(9999)
        if path.startswith("/poll"):
            body = ",".join(await room.after(int(query))).encode()
        else:
            body = {"/": room.page, "/slow": "slow"}.get(path, "").encode()
        kind = b"text/html; charset=utf-8" if path == "/" else b"text/plain"
        await send({"type": "http.response.start", "status": 204 if path == "/none" else 200, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": b"" if path == "/none" else body})

    async def _events(self, room: Room, query: str, receive: Any, send: Any) -> None:
        head = b"text/plain" if query == "wrong" else b"text/event-stream; charset=utf-8"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", head)]})
        if query in ("once", "wrong"):
            text = (
                "\ufeff: a comment\nretry: 40\nid: 7\nevent: news\ndata: one\ndata: two\r\n\r\ndata:  "
                "spaced\rid\n\nid: 9\ndata: ü\n\ndata: cut"
            )
            return await send({"type": "http.response.body", "body": text.encode()})
        count = 0
        while True:
            for words in await room.after(count):
                count += 1
                await send({"type": "http.response.body", "body": f"data: {words}\n\n".encode(), "more_body": True})

    async def _talk(self, room: Room, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

        async def tell() -> None:
            count = 0
            while True:
                for words in await room.after(count):
                    count += 1
                    await send({"type": "websocket.send", "text": words})

        telling = asyncio.create_task(tell())
        try:
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": f"got {message['text']}"})
        finally:
            telling.cancel()


SITE = TalkSite()


class Talker(Visitor):
    """Plays episodes on a :class:`TalkSite`."""

    def begin(self, html: str, seed: int = 0, **task: Any) -> Observation:
        page = f"{SAY}{html}<button onclick='act()'>Go</button>"
        start = Start(f"http://{HOST}/", "the goal", site_state=page)
        self.task = Task("talk.test", start=lambda _: start, check=lambda _: PENDING, hosts=(HOST,), max_turns=1000, **task)
        self.observation = run(self.env.reset("talk.test", seed))
        return self.observation

    @property
    def room(self) -> Room:
        return SITE.rooms[-1]

    @property
    def log(self) -> str:
        return next(line for line in lines(self.observation) if "log" in line).removeprefix("text ")


@pytest.fixture(scope="module")
def at() -> Iterator[Talker]:
    with visitor() as found:
        run(found.env.close())
        talker = Talker()
        talker.env = AsyncWebEnv(find=lambda _: talker.task)
        pool().serve([SITE])
        try:
            yield talker
        finally:
            run(talker.env.close())


def worker(script: str) -> str:
    return f"<script>const w = new Worker(URL.createObjectURL(new Blob([`{script}`]))); w.onmessage = m => say(m.data)</script>"


HEARING = {
    "events": "<script>const e = new EventSource('/events'); e.onmessage = m => say(m.data)</script>",
    "poll": (
        "<script>let n = 0; (async () => "
        "{ for (;;) { for (const words of (await (await fetch('/poll?' + n)).text()).split(',')) { n++; "
        "say(words) } } })()</script>"
    ),
    "xhr poll": (
        "<script>let n = 0; const go = () => { const x = new XMLHttpRequest(); x.open('GET', '/poll?' + n); "
        "x.onload = () => { for (const words of x.response.split(',')) { n++; say(words) } go() }; "
        "x.send() }; go()</script>"
    ),
    "talk": (
        "<script>const w = new WebSocket('ws://' + location.host + '/talk'); w.onmessage = m => say(m.data); "
        "w.onopen = () => w.send('hello')</script>"
    ),
    "a worker's events": worker("new EventSource('http://talk.localhost/events').onmessage = m => postMessage(m.data)"),
    "a worker's poll": worker(
        "let n = 0; (async () => { for (;;) { const said = await (await fetch('http://talk.localhost/poll?' + n)).text(); "
        "for (const words of said.split(',')) { n++; postMessage(words) } } })()"
    ),
    "a worker's xhr poll": worker(
        "let n = 0; const go = () => { const x = new XMLHttpRequest(); x.open('GET', 'http://talk.localhost/poll?' + n); "
        "x.onload = () => { for (const words of x.response.split(',')) { n++; postMessage(words) } go() }; x.send() }; go()"
    ),
    "a worker's talk": worker(
        "const w = new WebSocket('ws://talk.localhost/talk'); w.onmessage = m => postMessage(m.data); w.onopen = () => w.send('hello')"
    ),
}
ACT = "<script>act = () => fetch('/say?clicked')</script>"


@pytest.mark.parametrize("kind", HEARING)
@pytest.mark.parametrize("declared", [False, True])
def test_it_holds_no_turn_and_is_heard_in_the_turn_that_causes_it(at, kind, declared):
    if declared and "poll" not in kind:
        pytest.skip("only long polls are declared")
    at.begin(HEARING[kind] + ACT, streams=("/poll",) if declared else ())
    at.do(Click(at.ref("Go")))
    at.do(Wait(10))
    assert at.log == ("log got hello clicked" if "talk" in kind else "log clicked")
    at.do(Click(at.ref("Go")))
    at.do(Wait(10))
    assert at.log.endswith("clicked clicked")


@pytest.mark.parametrize("kind", HEARING)
def test_what_is_said_between_turns_is_heard_at_the_next_one_in_order(at, kind):
    """However early or late it is said by the real clock: the pages, and so the hashes, are the same."""
    seen = []
    for pause_s in (0.0, 0.3):
        at.begin(HEARING[kind])
        hashes = [at.observation.hash]
        for number in range(3):
            time.sleep(pause_s)
            run(at.room.say(f"a{number}"))
            run(at.room.say(f"b{number}"))
            time.sleep(pause_s)
            hashes.append(at.do(Wait(200)).hash)
        seen.append((hashes, at.log))
    assert seen[0] == seen[1]
    assert seen[0][1].endswith("a0 b0 a1 b1 a2 b2")


@pytest.mark.parametrize("kind", HEARING)
def test_no_time_is_granted_before_it_is_heard(at, kind, monkeypatch):
    """However long it is on its way."""
    timed = HEARING[kind].replace("say(words)", "say(words + at())").replace("say(m.data)", "say(m.data + at())")
    at_once, seen = Streams.deliver, []

    async def later(streams: Streams, parcel: Parcel) -> None:
        asyncio.get_running_loop().call_later(0.05, lambda: on_the_way.append(asyncio.ensure_future(at_once(streams, parcel))))

    for way in (at_once, later):
        on_the_way: list[asyncio.Future[None]] = []
        at.begin("<script>const at = () => '@' + performance.now()</script>" + timed + ACT, streams=("/poll",))
        monkeypatch.setattr(Streams, "deliver", way)
        at.do(Click(at.ref("Go")))
        at.do(Wait(50))
        seen.append(at.log)
        monkeypatch.undo()
    assert seen[0] == seen[1] and "clicked@" in seen[0]


@pytest.mark.parametrize(
    "kinds", [("poll", "poll"), ("events", "events"), ("a worker's poll",) * 2, ("a worker's poll", "poll")], ids=" and ".join
)
@pytest.mark.parametrize("framed", [False, True])
def test_two_that_hear_the_same_are_not_waited_for_in_vain(at, kinds, framed, monkeypatch):
    """Either may be the one that hears what is handed on, and a browser may hold the second request for an address back."""
    monkeypatch.setattr(flow, "ARRIVES_TICKS", 10**6)
    monkeypatch.setattr(flow, "TAKEN_TICKS", 10**6)
    scripts = [f"<script>{{{HEARING[kind].removeprefix('<script>').removesuffix('</script>')}}}</script>" for kind in kinds]
    if framed:
        outer = [script.replace("say(", "parent.document.getElementById('log').append(' ' + ") for script in scripts]
        scripts = [f'<iframe srcdoc="{html.escape(script)}"></iframe>' for script in outer]
    at.begin("".join(scripts) + ACT, streams=("/poll",))
    for _ in range(2):
        at.do(Click(at.ref("Go")))
        at.do(Wait(10))
    assert at.log == "log clicked clicked clicked clicked"


TALK = "new WebSocket('ws://talk.localhost/talk')"
CLOCK = "<script>act = () => say(performance.now())</script>"
CLOSES = {
    "a worker's socket": worker(f"const w = {TALK}; w.onmessage = m => {{ postMessage(m.data); w.close() }}"),
    "a worker's events": worker(
        "const e = new EventSource('http://talk.localhost/events'); e.onmessage = m => { postMessage(m.data); e.close() }"
    ),
    "a worker": worker(f"{TALK}.onmessage = m => {{ postMessage(m.data); close() }}"),
    "the page": worker(f"{TALK}.onmessage = m => postMessage(m.data)").replace("say(m.data)", "(say(m.data), w.terminate())"),
}


@pytest.mark.parametrize("kind", CLOSES)
def test_who_hears_no_more_is_not_waited_for(at, kind, monkeypatch):
    monkeypatch.setattr("webgym.backends.browser.hooks.PARTS", PARTS.replace("MOST = 300000", "MOST = 1e9"))
    at.begin(CLOSES[kind])
    for words in "abcd":
        run(at.room.say(words))
    at.do(Wait(10))
    at.do(Wait(10))
    assert at.log.startswith("log a")


def test_what_is_said_often_takes_no_more_of_the_pages_time_than_the_turn_has(at):
    clocks = []
    for count in (0, 30):
        at.begin(worker(f"{TALK}.onmessage = {TALK}.onmessage = m => postMessage(1)").replace("say(m.data)", "0") + CLOCK)
        for number in range(count):
            run(at.room.say(str(number)))
        at.do(Wait(10))
        at.do(Click(at.ref("Go")))
        clocks.append(at.log)
    assert clocks[0] == clocks[1]


@pytest.mark.parametrize("sockets", [1, 3])
def test_turns_are_as_long_where_a_poll_is_found_while_workers_hear_something(at, sockets, monkeypatch):
    monkeypatch.setattr("webgym.sites.streams.PATIENCE", 40)
    hears = worker(f"for (let i = 0; i < {sockets}; i++) {TALK}.onmessage = m => postMessage(m.data)").replace("say(m.data)", "0")
    begins = "<script>setTimeout(() => { fetch('/poll?77'); fetch('/say?x') }, 520)</script>"
    at.begin(hears + begins + CLOCK)
    for _ in range(3):
        at.do(Click(at.ref("Go")))
    first, *more = [float(word) for word in at.log.removeprefix("log ").split()]
    assert [round(one - first) for one in more] == [500, 1000]


def test_a_nested_worker_is_waited_for_until_it_has_worked_on_what_it_heard(at):
    inner = f"{TALK}.onmessage = m => {{ for (let i = 0; i < 1e8; i++); postMessage(m.data) }}"
    outer = "new Worker(URL.createObjectURL(new Blob([${JSON.stringify(inner)}]))).onmessage = m => postMessage(m.data)"
    at.begin(f"<script>const inner = `{inner}`</script>" + worker(outer) + ACT)
    for count in (1, 2):
        at.do(Click(at.ref("Go")))
        assert at.log == "log" + " clicked" * count


def test_a_shared_worker_is_waited_for_by_the_page_that_came_last(at, monkeypatch):
    monkeypatch.setattr("webgym.backends.browser.hooks.PARTS", PARTS.replace("MOST = 300000", "MOST = 1e9"))
    shared = f"const all = []; onconnect = e => all.push(e.ports[0]); {TALK}.onmessage = m => all.forEach(one => one.postMessage(m.data))"
    frame = "const f = document.createElement('iframe'); document.body.append(f); f.contentWindow.eval(`new SharedWorker('${url}')`)"
    at.begin(
        f"<script>const url = URL.createObjectURL(new Blob([`{shared}`])); new SharedWorker(url).port.onmessage = m => say(m.data); "
        f"onload = () => {{ {frame}; setTimeout(() => f.remove(), 50) }}</script>" + ACT
    )
    for _ in range(2):
        at.do(Click(at.ref("Go")))
    at.do(Wait(10))
    assert at.log == "log clicked clicked"


def test_a_page_that_changes_how_arrays_are_written_is_heard_as_well(at):
    at.begin(HEARING["talk"] + "<script>Array.prototype.toJSON = () => 'none'</script>" + ACT)
    at.do(Click(at.ref("Go")))
    at.do(Wait(10))
    assert at.log == "log got hello clicked"


def test_messages_of_two_streams_are_heard_in_the_order_in_which_they_were_said(at):
    at.begin(
        HEARING["events"]
        + HEARING["talk"].replace("const w", "const v").replace("w.", "v.").replace("m => say(m.data)", "m => say('w' + m.data)")
    )
    for number in range(3):
        run(at.room.say(f"x{number}"))
        at.do(Wait(100))
    assert [word for word in at.log.split() if word[0] in "xw" and "x" in word] == ["x0", "wx0", "x1", "wx1", "x2", "wx2"]


def test_a_reply_over_a_socket_comes_in_the_turn(at):
    at.begin(HEARING["talk"] + "<script>act = () => w.send('now')</script>")
    assert at.log == "log got hello"
    at.do(Click(at.ref("Go")))
    assert at.log == "log got hello got now"


def test_requests_beside_a_stream_are_waited_for(at):
    """Time goes on without a long poll, and not without what else the page asks for."""
    page = (
        "<script>fetch('/poll?0').then(() => say('never')); let t = 0; setInterval(() => t++, 1); "
        "act = async () => { const t0 = t; await (await fetch('/slow')).text(); "
        "say('slow after ' + (t - t0 <= 200)) }</script>"
    )
    at.begin(page)
    at.do(Click(at.ref("Go")))
    assert at.log == "log slow after true"


# --- an EventSource, as the browser's own -------------------------------------------------------------------------------------


def test_an_answer_that_takes_its_time_is_no_stream(at, monkeypatch):
    """Applications have pages that count for a second or two: they are waited for, and no policy is quick enough to miss them."""
    monkeypatch.setattr("webgym.sites.streams.PATIENCE", PATIENCE)
    at.begin("<script>act = async () => { for (const n of [1, 2]) say((await fetch('/late')).status + ' ' + n) }</script>")
    at.do(Click(at.ref("Go")))
    assert at.log == "log 200 1 200 2"


def test_a_poll_that_is_answered_now_and_again_holds_nothing_for_long(at, monkeypatch):
    monkeypatch.setattr("webgym.sites.streams.PATIENCE", 200)
    at.begin(
        "<script>(async () => { for (let n = 1;; n++) { await fetch('/late'); say(n) } })(); act = () => fetch('/say?clicked')</script>"
    )
    begun = time.monotonic()
    for _ in range(3):
        at.do(Click(at.ref("Go")))
    assert time.monotonic() - begun < 3.6, "known by now: four polls would hold three turns for longer"


def test_sites_remember_their_polls(at, monkeypatch):
    """After two episodes: the third begins without waiting."""
    monkeypatch.setattr("webgym.sites.streams.PATIENCE", 150)
    page, seconds, hashes = HEARING["poll"].replace("/poll?", "/poll/of/mine?"), [], []
    for _ in range(3):
        begun = time.monotonic()
        at.begin(page)
        hashes.append(at.observation.hash)
        seconds.append(time.monotonic() - begun)
    assert seconds[2] < 1.5 <= min(seconds[:2]) and len(set(hashes)) == 1


def test_events_are_read_as_the_standard_says(at):
    at.begin(
        "<script>const e = new EventSource('/events?once'); e.onopen = () => say('open' + e.readyState); "
        "e.addEventListener('news', m => "
        "say(`${m.type}=${JSON.stringify(m.data)}#${m.lastEventId}@${m.origin}`)); e.onmessage = m => "
        "say(JSON.stringify(m.data) + '#' + m.lastEventId); e.onerror = () => { say('error' + e.readyState); "
        "if (++n === 2) e.close() }; let n = 0</script>"
    )
    round_trip = f'open1 news="one\\ntwo"#7@http://{HOST} " spaced"# "ü"#9 error0'
    assert at.log == f"log {round_trip} {round_trip}"
    asked = [request for request in at.room.asked if request["path"] == "/events"]
    assert [request.get("last-event-id") for request in asked] == [None, "9"]
    assert asked[0]["accept"] == "text/event-stream" and asked[0]["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/events?wrong", "/none"])
def test_an_answer_that_is_no_stream_ends_it_for_good(at, path):
    at.begin(f"<script>const e = new EventSource('{path}'); e.onerror = () => say('error' + e.readyState)</script>")
    at.do(Wait(10_000))
    assert at.log == "log error2"


def test_it_looks_like_the_browsers_own(at):
    at.begin("")
    asked = (
        "(() => { const e = new EventSource('/none'), f = () => 0; e.onmessage = f; "
        "const seen = [e instanceof EventTarget, e.url, e.withCredentials, e.onmessage === f, e.onopen, "
        "EventSource.CLOSED, e.OPEN, EventSource.name, String(e)]; e.close(); return [...seen, "
        "e.readyState] })()"
    )
    assert at.js(asked) == [True, f"http://{HOST}/none", False, True, None, 2, 1, "EventSource", "[object EventSource]", 2]
    assert at.js("(() => { try { new EventSource('http://[') } catch (e) { return e.name } })()") == "SyntaxError"


def test_a_worker_that_asks_without_end_does_not_hold_the_page(at):
    """Its requests follow each other so closely that one is always open, to the browser, which would wait for ever."""
    asks = "for (;;) { const x = new XMLHttpRequest(); x.open('POST', '/sent', false); x.send() }"
    at.open("<script>new Worker('/asks.js')</script><button onclick='document.title = 1'>go", {"/asks.js": asks, "/sent": ""})
    assert at.do(Click(at.ref("go"))).title == "1"


ASKS = {
    "fetch": "await (await fetch(url)).text()",
    "xhr": "await new Promise(done => { const x = new XMLHttpRequest(); x.open('GET', url); x.onload = () => done(x.response); x.send() })",
    "xhr at once": "(() => { const x = new XMLHttpRequest(); x.open('GET', url, false); x.send(); return x.response })()",
}


@pytest.mark.parametrize("how", ASKS)
def test_an_answer_to_a_worker_is_waited_for(at, how, monkeypatch):
    monkeypatch.setattr("webgym.sites.streams.PATIENCE", PATIENCE)
    script = f"const url = 'http://{HOST}/late/to/a/worker'; onmessage = async m => {{ {ASKS[how]}; postMessage('late ' + m.data) }}"
    at.begin(worker(script) + "<script>let n = 0; act = () => w.postMessage(++n)</script>")
    for _ in range(2):
        at.do(Click(at.ref("Go")))
    assert at.log == "log late 1 late 2"


@pytest.mark.parametrize("how", ["fetch('http://talk.localhost/poll?0')", "fetch('http://talk.localhost/stall').then(r => r.text())"])
def test_a_worker_with_a_poll_that_stays_open_answers_its_page_for_good(at, how):
    """Its timers run on, and the first turn is as long as it should be, whether or not the poll is known before."""
    script = f"{how}; let n = 0; onmessage = m => setTimeout(() => postMessage(m.data + ':' + ++n), 20)"
    seen = []
    for declared in ((), ("/poll", "/stall"), ("/poll", "/stall")):
        at.begin(worker(script) + "<script>act = () => w.postMessage(Math.floor(performance.now()))</script>", streams=declared)
        for _ in range(12):
            at.do(Click(at.ref("Go")))
        seen.append(at.log)
    assert seen[0] == seen[1] == seen[2]
    assert seen[0].split()[1:] == [f"{500 * n}:{n}" for n in range(1, 13)]


def test_jobs_that_a_worker_gets_all_at_once_are_all_done_in_the_turn(at):
    jobs = "onmessage = m => setTimeout(() => postMessage(m.data * 2), 30)"
    at.begin(worker(jobs) + "<script>act = () => { for (let n = 0; n < 20; n++) w.postMessage(n) }</script>")
    for _ in range(2):
        at.do(Click(at.ref("Go")))
    assert at.log.split()[1:] == [str(2 * n) for n in range(20)] * 2


def heard(at: Talker, words: str) -> None:
    """Wait until a worker that nobody waits for has said that."""
    for _ in range(200):
        at.do(Wait(100))
        if at.log == words:
            return
        time.sleep(0.05)
    raise AssertionError(at.log)


def test_a_worker_that_works_for_too_long_is_given_up_and_waited_for_again_once_it_is_heard(at, monkeypatch):
    monkeypatch.setattr("webgym.backends.browser.hooks.PARTS", PARTS.replace("MOST = 300000", "MOST = 3000"))
    run(pool()._profiles.close())  # those that wait have the hooks of before
    run(at.env.close())
    works = "onmessage = m => { if (m.data === 2) for (let i = 0; i < 2e9; i++); setTimeout(() => postMessage(m.data), 30) }"
    at.begin(worker(works) + "<script>let n = 0; act = () => w.postMessage(++n)</script>")
    for _ in range(2):
        at.do(Click(at.ref("Go")))
    assert at.log == "log 1"
    at.do(Click(at.ref("Go")))
    heard(at, "log 1 2 3")
    at.do(Click(at.ref("Go")))
    assert at.log == "log 1 2 3 4"


STOPS = {
    "xhr": "const x = new XMLHttpRequest(); x.open('GET', 'http://talk.localhost/poll?0', false); x.send()",
    "script": "try { importScripts('http://talk.localhost/poll?0') } catch {}",
}


@pytest.mark.parametrize("how", STOPS)
def test_a_worker_that_hears_nothing_until_a_poll_is_answered_goes_on_with_the_answer(at, how):
    script = f"let n = 0; onmessage = m => {{ if (++n === 2) {{ {STOPS[how]} }} setTimeout(() => postMessage(m.data), 20) }}"
    at.begin(worker(script) + "<script>let n = 0; act = () => w.postMessage(++n)</script>", streams=("/poll",))
    for _ in range(4):
        at.do(Click(at.ref("Go")))
    assert at.log == "log 1"
    run(at.room.say("0"))
    heard(at, "log 1 2 3 4")
