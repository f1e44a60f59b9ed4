"""Equal pages, whatever the real clock does: generated pages with motion, observers, streams, workers, storage and records of times.

Pages stand on two hosts in turn, and some go over to the other one. Each is played four times with the same actions: by a policy that
thinks for 0 ms and by one that thinks for 500 ms, alone and beside 15 other sessions. All hashes of observations and states must be equal.
Seeds are drawn when it runs, and are printed.

    python -m benchmarks.determinism --pages 200 --json figures.json
"""

import argparse
import asyncio
import json
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from webgym.backends.browser.pool import shared_pool
from webgym.env.core import AsyncWebEnv
from webgym.errors import WebGymError
from webgym.loop_thread import loop_thread
from webgym.task import PENDING, AsgiApp, Start, Task
from webgym.types import Action, Click, Observation, Wait

HOSTS, TASK = ("generated.localhost", "also-generated.localhost"), "generated.page"
THINKS_S = (0.0, 0.5)
SESSIONS = (1, 16)
PARTS_OF_A_PAGE = (3, 5)
TURNS = 5

Part = Callable[[random.Random, str], str]
"""A piece of a page under a name of its own: markup and script. `say(words)` writes to the page's log, `acts` are what buttons do."""


def transition(rng: random.Random, name: str) -> str:
    ms, prop, to = (
        rng.choice([80, 200, 350, 700]),
        *rng.choice([("opacity", "0"), ("width", "9px"), ("margin-left", "40px"), ("visibility", "hidden")]),
    )
    return (
        f"<style>#{name}{{width:90px;transition:{prop} {ms}ms}}#{name}.on{{{prop}:{to}}}</style><div id={name}>{name}</div>"
        f"<script>{name}.addEventListener('transitionend', e => say('{name} ' + e.propertyName)); "
        f"acts.push(() => {name}.classList.toggle('on'))</script>"
    )


def animation(rng: random.Random, name: str) -> str:
    ms, times = rng.choice([60, 150, 400]), rng.choice(["1", "2", "infinite"])
    return (
        f"<style>@keyframes k{name}{{from{{opacity:.1}}}}#{name}.on{{animation:k{name} {ms}ms {times}}}</style><div id={name}>{name}</div>"
        f"<script>{name}.onanimationstart = () => say('{name} starts'); {name}.onanimationend = () => "
        f"{{ {name}.className = ''; say('{name} ends') }};"
        f"acts.push(() => {name}.className = 'on')</script>"
    )


def scripted_motion(rng: random.Random, name: str) -> str:
    ms = rng.choice([100, 300, 900])
    return (
        f"<div id={name}>{name}</div><script>acts.push(async () => "
        f"{{ const a = {name}.animate([{{opacity: 0}}, {{opacity: 1}}], {ms}); await a.finished;"
        f" say('{name} finished'); setTimeout(() => say('{name} later'), {rng.choice([20, 120])}) }})</script>"
    )


def observers(rng: random.Random, name: str) -> str:
    return (
        f"<div id={name} hidden style='height:{rng.choice([20, 60])}px'>{name}</div><script>"
        f"new IntersectionObserver(e => say('{name} ' + e.at(-1).isIntersecting)).observe({name});"
        f"new ResizeObserver(e => say('{name} ' + Math.round(e.at(-1).contentRect.height))).observe({name}); "
        f"acts.push(() => {name}.hidden = !{name}.hidden)</script>"
    )


def scrolling(rng: random.Random, name: str) -> str:
    how = rng.choice(["smooth", "auto"])
    return (
        f"<div id={name} style='height:40px;overflow:auto'><p style='height:{rng.choice([400, 1500])}px'>{name}</div>"
        f"<script>{name}.onscrollend = () => say('{name} at ' + Math.round({name}.scrollTop)); acts.push(() => "
        f"{name}.scrollBy({{top: {rng.choice([90, 300])}, behavior: '{how}'}}))</script>"
    )


def storage(rng: random.Random, name: str) -> str:
    kinds = [
        (
            f"(async () => {{ const r = indexedDB.open('{name}', 1); r.onupgradeneeded = () => "
            f"r.result.createObjectStore('s', {{autoIncrement: true}}); r.onsuccess = () => "
            f"{{ const t = r.result.transaction('s', 'readwrite'); t.objectStore('s').add(at()); "
            "const c = t.objectStore('s').count(); t.oncomplete = () => "
            f"say('{name} ' + c.result + ' at ' + at()) }} }})()"
        ),
        (
            f"(async () => {{ const c = await caches.open('{name}'); await c.put('/k', "
            f"new Response(String(at()))); say('{name} ' + await (await c.match('/k')).text()) }})()"
        ),
        (
            f"(async () => {{ const f = await (await navigator.storage.getDirectory()).getFileHandle('{name}', "
            f"{{create: true}}), w = await f.createWritable(); await w.write('x' + at()); await w.close(); "
            f"say('{name} ' + await (await f.getFile()).text()) }})()"
        ),
    ]
    return f"<script>acts.push(() => {rng.choice(kinds)})</script>"


def worker(rng: random.Random, name: str) -> str:
    ms = rng.choice([30, 130, 600])
    source = rng.choice(["`/worker.js`", "window.URL.createObjectURL(new Blob([WORKER]))"])
    return (
        f"<script>{{ const w = new Worker({source}); w.onmessage = e => say('{name} ' + e.data + ' at ' + at());"
        f" acts.push(() => w.postMessage({ms})) }}</script>"
    )


def stream(rng: random.Random, name: str) -> str:
    hears = [
        f"new EventSource('/events').onmessage = m => say('{name} ' + m.data + ' at ' + at())",
        f"{{ const w = new WebSocket('ws://' + location.host + '/talk'); w.onmessage = m => say('{name} ' + m.data + ' at ' + at()) }}",
        (
            f"{{ let n = 0; (async () => {{ for (;;) {{ const t = await (await fetch('/poll?' + n)).text(); "
            f"n += t.split(',').length; say('{name} ' + t + ' at ' + at()) }} }})() }}"
        ),
    ]
    return f"<script>{rng.choice(hears)}; acts.push(() => fetch('/say?{name}'))</script>"


def timers(rng: random.Random, name: str) -> str:
    return (
        f"<script>setInterval(() => {name}.textContent = '{name} ' + at(), {rng.choice([90, 250])}); "
        f"requestIdleCallback(() => say('{name} idle'));"
        f"acts.push(() => requestAnimationFrame(() => say('{name} frame ' + Math.random().toFixed(3))))</script><p id={name}>{name}</p>"
    )


def records(rng: random.Random, name: str) -> str:
    shown = rng.choice(
        [
            "performance.getEntries().map(e => [e.entryType, e.startTime, e.duration])",
            "Object.entries(performance.timing.toJSON()).map(([k, v]) => v && v - performance.timeOrigin)",
            "[document.lastModified, new File([], 'f').lastModified, performance.measure('m').duration]",
            "[navigator.hardwareConcurrency, navigator.deviceMemory, performance.memory.usedJSHeapSize]",
        ]
    )
    return f"<script>acts.push(() => {{ performance.mark('{name}'); say('{name} ' + JSON.stringify({shown})) }})</script>"


def another_host(rng: random.Random, name: str) -> str:
    return f"<script>acts.push(() => {{ location.host = {json.dumps(HOSTS)}.find(h => h !== location.host) }})</script>"


PARTS: tuple[Part, ...] = (
    transition, animation, scripted_motion, observers, scrolling, storage, worker, stream, timers, records, another_host,
)  # fmt: skip
WORKER = "let n = 0; onmessage = e => setTimeout(() => postMessage(`${++n} ${Date.now() % 100000} ${Math.random().toFixed(3)}`), e.data)"
HEAD = (
    "<!doctype html><title>page</title><p id=log>log</p><script>const say = words => "
    "log.append(' | ' + words), at = () => performance.now(), acts = [],"
    f" WORKER = {json.dumps(WORKER)}</script>"
)
FOOT = (
    "<p id=buttons></p><script>acts.forEach((act, i) => { const b = document.createElement('button'); "
    "b.textContent = 'Do ' + i; b.onclick = () => act(); buttons.append(b) })</script>"
)


def parts_of(seed: int) -> list[Part]:
    """The parts of the page of a seed."""
    rng = random.Random(seed)
    return rng.sample(PARTS, rng.randint(*PARTS_OF_A_PAGE))


def page_of(seed: int) -> str:
    """The page of a seed."""
    rng = random.Random(f"{seed} markup")
    return HEAD + "".join(part(rng, f"part{number}") for number, part in enumerate(parts_of(seed))) + FOOT


class Room:
    """One episode's state: what was said to the server so far."""

    def __init__(self, page: str) -> None:
        self.page, self.said, self.changed = page, list[str](), asyncio.Condition()

    async def say(self, words: str) -> None:
        async with self.changed:
            self.said.append(words)
            self.changed.notify_all()

    async def after(self, count: int) -> list[str]:
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.said) > count)
            return self.said[count:]


class GeneratedSite:
    """The page of the episode's seed, a worker's script, and a server that repeats what it is told in three ways."""

    def __init__(self, host: str) -> None:
        self.host = host

    async def lease(self, seed: int, site_state: Any) -> Room:
        return Room(page_of(seed))

    def snapshot(self, state: Room) -> Any:
        return state.said

    async def release(self, state: Room) -> None:
        return None

    @property
    def app(self) -> AsgiApp:
        return self._answer

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        room: Room = scope["webgym.state"]
        path, query = scope["path"], scope["query_string"].decode()
        if scope["type"] == "websocket":
            return await _talk(room, receive, send)
        kind, body = b"text/plain", b""
        if path == "/":
            kind, body = b"text/html; charset=utf-8", room.page.encode()
        elif path == "/worker.js":
            kind, body = b"text/javascript", WORKER.encode()
        elif path == "/say":
            await room.say(query)
        elif path == "/poll":
            body = ",".join(await room.after(int(query))).encode()
        elif path == "/events":
            kind = b"text/event-stream"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        count = 0
        while path == "/events":
            for words in await room.after(count):
                count += 1
                await send({"type": "http.response.body", "body": f"data: {words}\n\n".encode(), "more_body": True})
        await send({"type": "http.response.body", "body": body})


async def _talk(room: Room, receive: Any, send: Any) -> None:
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
        while (await receive())["type"] == "websocket.receive":
            pass
    finally:
        telling.cancel()


# --- playing -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Play:
    """Hashes of one play, or the fault that ended it; `texts` are its pages, to be compared by a person."""

    hashes: tuple[str, ...]
    texts: tuple[str, ...] = ()
    fault: str = ""


def _task(_: str) -> Task:
    def start(seed: int) -> Start:
        return Start(f"http://{HOSTS[seed % 2]}/", "press the buttons")

    return Task(TASK, start=start, check=lambda _: PENDING, hosts=HOSTS, max_turns=100)


def _actions(observation: Observation, seed: int, turn: int) -> Action:
    rng = random.Random(f"{seed} {turn}")
    buttons = [node.ref for node in observation.nodes if node.role == "button" and node.ref is not None]
    return Wait(rng.choice([100.0, 400.0])) if not buttons or rng.random() < 0.3 else Click(rng.choice(buttons))


async def play(env: AsyncWebEnv, seed: int, thinks_s: float) -> Play:
    """One play of a page."""
    hashes, texts = list[str](), list[str]()

    def see(observation: Observation) -> Observation:
        hashes.extend((observation.hash, observation.state_hash))
        texts.append("\n".join(f"{node.role} {node.text} {node.value or ''}" for node in observation.nodes))
        return observation

    try:
        observation = see(await env.reset(TASK, seed))
        for turn in range(TURNS):
            await asyncio.sleep(thinks_s)
            observation = see((await env.step(_actions(observation, seed, turn))).observation)
    except WebGymError as error:
        return Play(tuple(hashes), tuple(texts), f"{type(error).__name__}: {error}")
    return Play(tuple(hashes), tuple(texts))


async def play_all(seeds: Sequence[int], sessions: int, thinks_s: float) -> dict[int, Play]:
    """One play of each page, by so many sessions at once."""
    found: dict[int, Play] = {}
    left = iter(seeds)

    async def one() -> None:
        env = AsyncWebEnv(find=_task)
        try:
            for seed in left:
                found[seed] = await play(env, seed, thinks_s)
        finally:
            await env.close()

    await asyncio.gather(*(one() for _ in range(sessions)))
    return found


async def measure(seeds: Sequence[int], sessions: Sequence[int] = SESSIONS, thinks_s: Sequence[float] = THINKS_S) -> dict[str, Any]:
    """Figures over the pages of the seeds, as plain data."""
    (await shared_pool()).serve([GeneratedSite(host) for host in HOSTS])
    ways = [(count, thinks) for count in sessions for thinks in thinks_s]
    plays: dict[tuple[int, float], dict[int, Play]] = {}
    times: dict[tuple[int, float], float] = {}
    for count, thinks in ways:
        start = time.perf_counter()
        plays[count, thinks] = await play_all(seeds, count, thinks)
        times[count, thinks] = time.perf_counter() - start
    first = plays[ways[0]]
    rows = [
        {
            "sessions": way[0],
            "thinks_ms": 1e3 * way[1],
            "pages": len(seeds),
            "same": sum(plays[way][seed].hashes == first[seed].hashes and not plays[way][seed].fault for seed in seeds),
            "faults": sum(bool(plays[way][seed].fault) for seed in seeds),
            "s": times[way],
        }
        for way in ways
    ]
    odd = {
        seed: ways[0] for seed in seeds if len({(plays[way][seed].hashes, plays[way][seed].fault) for way in ways}) > 1 or first[seed].fault
    }
    kinds = Counter(part.__name__ for seed in seeds for part in parts_of(seed))
    different = [
        {"seed": seed, "parts": [part.__name__ for part in parts_of(seed)], "differs": _difference([plays[way][seed] for way in ways])}
        for seed in odd
    ]
    return {"pages": len(seeds), "parts": dict(kinds), "ways": rows, "different": different}


def _difference(plays: Sequence[Play]) -> str:
    """The first line that is another one in another play."""
    for other in plays:
        if other.fault:
            return other.fault
        for turn, (one, two) in enumerate(zip(plays[0].texts, other.texts, strict=False)):
            for a, b in zip(one.splitlines(), two.splitlines(), strict=False):
                if a != b:
                    return f"turn {turn}: {a!r} and {b!r}"
    return "states"


def table(result: dict[str, Any]) -> Table:
    """The figures for a terminal."""
    found = Table(title=f"{result['pages']} generated pages, by their hashes", title_justify="left")
    for heading in ("sessions", "thinks ms", "same", "faults", "s"):
        found.add_column(heading, justify="right")
    for row in result["ways"]:
        found.add_row(
            str(row["sessions"]), f"{row['thinks_ms']:.0f}", f"{row['same']} of {row['pages']}", str(row["faults"]), f"{row['s']:.0f}"
        )
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=200, help="generated pages")
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="these pages instead, to see a difference again")
    parser.add_argument("--sessions", type=int, nargs="*", default=list(SESSIONS), help="sessions at once")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    seeds = given.seeds or [secrets.randbelow(1_000_000) for _ in range(given.pages)]
    result = loop_thread().run(measure(seeds, given.sessions))
    if given.json:
        given.json.write_text(json.dumps({**result, "seeds": seeds}, indent=2) + "\n")
    console = Console()
    console.print(table(result))
    for found in result["different"]:
        console.print(f"seed {found['seed']} ({', '.join(found['parts'])}): {found['differs']}", soft_wrap=True, markup=False)
    sys.exit(1 if result["different"] else 0)


if __name__ == "__main__":
    main()
