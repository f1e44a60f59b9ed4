"""Pages that try to reach the next episode of their session, and a site that notices it.

Every page knows the mark of its episode and puts it on all that it sends and stores. The site counts the requests whose mark is that of
another episode, and each first page reports what it finds stored by others.
"""

# ruff: noqa: E501
import json
from itertools import count
from typing import Any
from urllib.parse import unquote

from webgym.sites.static import reply
from webgym.task import PENDING, AsgiApp, Start, Task

HOST = "trap.localhost"

SEND = "const at = w => location.origin + '/sent?mark=' + mark + '&' + w; const go = w => fetch(at(w), {method: 'POST', keepalive: true})"
LOOP = "(async () => { for (;;) await fetch(URL, {method: 'POST'}).catch(() => 0) })()"
AWAKE = "const one = new BroadcastChannel('c'), two = new BroadcastChannel('c'); two.onmessage = () => { tick(); one.postMessage(0) }; one.postMessage(0)"
EMPTIED = "!document.body || !document.body.childElementCount"

KINDS = {
    "plain": "",
    "fetch loop": "(async () => { for (;;) await go('loop').catch(() => 0) })()",
    "xhr loop": "const again = () => { const x = new XMLHttpRequest(); x.open('POST', at('xhr')); x.onloadend = again; x.send() }; again()",
    "worker": "work(`${LOOP}`)",
    "worker of sync requests": "work(`for (;;) { const x = new XMLHttpRequest(); x.open('POST', URL, false); try { x.send() } catch {} }`)",
    "nested worker": "work(`new Worker('/worker.js?' + encodeURIComponent(${JSON.stringify(filled(LOOP))}))`)",
    "worker of a blob": "new Worker(window.URL.createObjectURL(new Blob([filled(LOOP)])))",
    "worker that stores": "work(`(async () => { for (;;) await (await caches.open('m' + MARK)).put('/x', new Response('')) })()`)",
    "shared worker": "new SharedWorker('/worker.js?' + encodeURIComponent(filled(LOOP)))",
    "shared worker of a blob": "new SharedWorker(window.URL.createObjectURL(new Blob([filled(LOOP)])))",
    "service worker": "navigator.serviceWorker.register('/worker.js?' + encodeURIComponent(filled(`oninstall = () => skipWaiting(); ${LOOP}`)))",
    "beacons on leaving": "for (const e of LEAVES) addEventListener(e, () => navigator.sendBeacon(at(e), 'x'))",
    "keepalive on leaving": "for (const e of LEAVES) addEventListener(e, () => go(e))",
    "fetch later": "for (let i = 0; i < 3; i++) fetchLater(at('later'), {method: 'POST', activateAfter: 60000})",
    "frames that are left": "frame(`onpagehide = onunload = () => { parent.go('frame'); document.cookie = 'm=' + parent.mark }`)",
    "frame that loops": "frame(`(async () => { for (;;) await parent.go('frame').catch(() => 0) })()`)",
    "socket": "const s = new WebSocket(at('socket').replace('http', 'ws')); s.onopen = () => s.send('x'); s.onmessage = () => s.send('x')",
    "socket again and again": "const dial = () => { new WebSocket(at('dial').replace('http', 'ws')).onclose = dial }; dial()",
    "event stream": "new EventSource(at('stream'))",
    "request that waits": "go('hang'); go('hang')",
    "popup that is left": "onclick = () => open('/popup?mark=' + mark)",
    "awake: sends when silenced": f"let n = 0; const tick = () => {{ if ({EMPTIED} && n++ < 3) go('silenced') }}; {AWAKE}",
    "awake: sends later": f"let n = 0; const tick = () => {{ if ({EMPTIED} && ++n === 40) go('later') }}; {AWAKE}",
    "awake: worker when silenced": f"let n = 0; const tick = () => {{ if ({EMPTIED} && !n++) work(`${{LOOP}}`) }}; {AWAKE}",
    "awake: stores": f"const tick = () => {{ document.cookie = 'm=' + mark; localStorage.m = sessionStorage.m = name = mark }}; {AWAKE}",
    "awake: stores when silenced": f"const tick = () => {{ if ({EMPTIED}) {{ document.cookie = 'm=' + mark; indexedDB.open('m' + mark) }} }}; {AWAKE}",
    "stores on leaving": "for (const e of LEAVES) addEventListener(e, () => { document.cookie = 'm=' + mark; localStorage.m = name = mark })",
    "stores": "document.cookie = 'm=' + mark + '; max-age=999'; localStorage.m = sessionStorage.m = name = mark; caches.open('m' + mark)",
    "history": "history.pushState(mark, '', '/?pushed'); history.replaceState(mark, '', '/')",
}
"""Scripts of pages, by what they try. They may use all that the page defines before them."""

PAGE = """<!doctype html><title>{mark}</title><body><p>Page {mark}</p><button>press</button><script>
const mark = {mark}, LEAVES = ['pagehide', 'unload', 'beforeunload', 'visibilitychange'], LOOP = {loop};
{send};
Object.assign(window, {{go, mark}});
const filled = code => code.replaceAll('URL', JSON.stringify(at('worker'))).replaceAll('MARK', mark);
const work = code => new Worker('/worker.js?' + encodeURIComponent(filled(code)));
const frame = code => document.body.append(Object.assign(document.createElement('iframe'), {{srcdoc: '<script>' + code + '<' + '/script>'}}));
(async () => {{
  const found = [document.cookie, name, localStorage.m, sessionStorage.m, history.state, document.referrer,
    ...await caches.keys(), ...(await indexedDB.databases()).map(db => db.name)].filter(x => x && !String(x).endsWith('m=' + mark));
  if (!location.search) fetch('/seen', {{method: 'POST', body: JSON.stringify(found)}}).then(() => {{ {script} }});
}})();
</script>"""


class Trap:
    """The site: of each episode it keeps the mark, and it counts what reaches an episode from others, by what it is."""

    host = HOST

    def __init__(self) -> None:
        self.marks = count(1)
        self.foreign: dict[str, int] = {}
        self.own = 0  # requests of pages that came to their own episode
        self.seen = 0  # first pages that reported

    async def lease(self, seed: int, site_state: Any) -> dict[str, Any]:
        return {"mark": next(self.marks), "script": KINDS[site_state]}

    def snapshot(self, state: dict[str, Any]) -> Any:
        return None

    async def release(self, state: dict[str, Any]) -> None:
        state["mark"] = None

    def note(self, what: str) -> None:
        """Count something of another episode."""
        self.foreign[what] = self.foreign.get(what, 0) + 1

    @property
    def app(self) -> AsgiApp:
        return self._answer

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        state, path, query = scope["webgym.state"], scope["path"], scope["query_string"].decode()
        given = dict(part.split("=", 1) if "=" in part else (part, "") for part in query.split("&")) if path == "/sent" else {}
        if "mark" in given:
            mine = given["mark"] == str(state["mark"])
            self.own += mine
            if not mine:
                self.note(query.partition("&")[2])
        if scope["type"] == "websocket":
            return await _echo(receive, send)
        if path == "/seen":
            self.seen += 1
            for found in json.loads((await receive()).get("body", b"[]") or b"[]"):
                self.note(f"stored: {str(found)[:30]}")
        if path == "/sent" and ("hang" in given or "stream" in given):
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        kind, body = b"text/html", b""
        if path in ("/", "/popup"):
            body = PAGE.format(mark=state["mark"], send=SEND, loop=json.dumps(LOOP), script=state["script"]).encode()
        elif path == "/worker.js":
            kind, body = b"text/javascript", unquote(query).encode()
        await reply(send, 200, kind, body, extra=((b"cache-control", b"no-store"),))


async def _echo(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text") or ""})


def task_of(kind: str) -> Task:
    """A task that begins on a page of this kind."""
    start = Start(f"http://{HOST}/", "Look.", site_state=kind)
    return Task(f"trap.{list(KINDS).index(kind)}", start=lambda seed: start, check=lambda evidence: PENDING, hosts=(HOST,), max_turns=9)
