"""More that one episode can leave for the next: answers in caches, and pages made ahead."""

# ruff: noqa: E501
import json
from itertools import count
from typing import Any

from benchmarks.hacks.episodes import no_changeover
from benchmarks.hacks.matrix import hack
from benchmarks.hacks.world import run
from webgym.backends.browser.pool import shared_pool
from webgym.env.core import AsyncWebEnv
from webgym.errors import Fault
from webgym.sites.static import reply
from webgym.task import PENDING, AsgiApp, Start, Task
from webgym.types import Click, Goto, Wait

HOST = "leftovers.localhost"
FIND = """(async () => {
  const found = [];
  const note = (what, value) => { if (value !== undefined && value !== null && String(value) !== String(mark)) found.push(what + ' ' + value) };
  const text = async path => (await (await fetch(path)).text()).trim();
  note('cached', await text('/cached'));
  note('moved', await text('/moved'));
  note('varied', await (await fetch('/varied', {headers: {'x-a': '1'}})).text());
  const files = await navigator.storage.getDirectory();
  for await (const name of files.keys()) note('file', name);
  if (navigator.storageBuckets) for (const name of await navigator.storageBuckets.keys()) note('bucket', name);
  if (window.cookieStore) for (const c of await cookieStore.getAll()) note('cookie', c.value);
  if (performance.getEntriesByType('navigation')[0].activationStart) note('prerendered', 'page');
  if (navigator.userActivation.hasBeenActive) note('activation', 'kept');
  const locks = await navigator.locks.query(); for (const l of [...locks.held, ...locks.pending]) note('lock', l.name);
  await fetch('/seen?mark=' + mark, {method: 'POST', body: JSON.stringify(found)});
})()"""
"""What each first page looks for, after it has asked for all that can be cached."""

SCRIPTS = {
    "an answer that may be cached for a day": "fetch('/cached')",
    "an answer that varies": "fetch('/varied', {headers: {'x-a': '1'}})",
    "a page made ahead": "rules({prerender: [{source: 'list', urls: ['/'], eagerness: 'immediate'}]})",
}
"""What the page of the last episode does, by what it leaves."""

PAGE = """<!doctype html><title>{mark}</title><body><button>press</button><script>
const mark = {mark};
const rules = what => document.head.append(Object.assign(document.createElement('script'), {{type: 'speculationrules', textContent: JSON.stringify(what)}}));
{find}.then(() => {{ {script} }});
document.querySelector('button').onclick = () => {{ document.title = 'pressed' }};
</script>"""


class Leftovers:
    """The site: each episode has a mark, and what bears another one is counted."""

    host = HOST

    def __init__(self) -> None:
        self.marks, self.foreign, self.seen = count(1), [], 0

    async def lease(self, seed: int, site_state: Any) -> dict[str, Any]:
        return {"mark": next(self.marks), "script": SCRIPTS.get(site_state, "")}

    def snapshot(self, state: dict[str, Any]) -> Any:
        return None

    async def release(self, state: dict[str, Any]) -> None:
        return None

    @property
    def app(self) -> AsgiApp:
        return self._answer

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        state, path, query = scope["webgym.state"], scope["path"], scope["query_string"].decode()
        mark = str(state["mark"])
        if query.startswith("mark=") and query.removeprefix("mark=").partition("&")[0] != mark:
            self.foreign.append(query.partition("&")[2] or query)
        if path == "/seen":
            self.seen += 1
            self.foreign += json.loads((await receive()).get("body", b"[]") or b"[]")
        report = f'main="/sent?mark={mark}&report"'
        policy = f"img-src 'self'; report-to main; report-uri /sent?mark={mark}&report"
        extra = {
            "/cached": "max-age=86400",
            "/moved": "max-age=86400",
            "/varied": "max-age=86400",
            "/stale": "max-age=0, stale-while-revalidate=86400",
        }
        headers = [(b"cache-control", extra.get(path, "no-store").encode())]
        if path == "/moved":
            return await reply(send, 301, b"text/plain", mark.encode(), extra=((b"location", f"/mark?{mark}".encode()), *headers))
        if path == "/varied":
            headers.append((b"vary", b"x-a"))
        if path == "/":
            headers = [
                (b"cache-control", b"max-age=86400"),
                (b"reporting-endpoints", report.encode()),
                (b"content-security-policy", policy.encode()),
            ]
            headers.append((b"nel", b'{"report_to": "main", "max_age": 86400, "success_fraction": 1.0}'))
            body = PAGE.format(mark=mark, find=FIND, script=state["script"])
            return await reply(send, 200, b"text/html", body.encode(), extra=tuple(headers))
        await reply(send, 200, b"text/plain", query.encode() if path == "/mark" else mark.encode(), extra=tuple(headers))


_world: list[tuple[Leftovers, AsyncWebEnv]] = []


def _task(kind: str) -> Task:
    start = Start(f"http://{HOST}/", "Look.", site_state=kind)
    return Task(
        f"leftovers.{[*SCRIPTS, ''].index(kind)}", start=lambda seed: start, check=lambda evidence: PENDING, hosts=(HOST,), max_turns=9
    )


def left(kind: str) -> str:
    """What the next episode gets of a page of this kind."""
    if not _world:
        tasks = {_task(kind).id: _task(kind) for kind in [*SCRIPTS, ""]}
        _world.append((Leftovers(), AsyncWebEnv(find=tasks.__getitem__)))
        run(shared_pool()).serve([_world[0][0]])
    site, env = _world[0]
    run(env.close())
    page = run(env.reset(_task(kind).id, 0))
    run(env.step(Click(next(node.ref for node in page.nodes if node.text == "press" and node.ref is not None))))
    run(env.step(Wait(400)))
    site.foreign.clear()
    seen = site.seen
    try:
        run(env.reset(_task("").id, 0))
        run(env.step(Wait(1500)))
        run(env.step(Goto(f"http://{HOST}/")))
        run(env.step(Wait(500)))
    except Fault as fault:
        return f"the next episode cannot begin: {fault}"
    return ", ".join(dict.fromkeys(site.foreign)) or ("" if site.seen > seen else "its first page did not report")


for _kind in SCRIPTS:
    hack("left for the next episode", _kind, "the barrier between episodes, or a context of its own", no_changeover)(
        lambda kind=_kind: left(kind)
    )
