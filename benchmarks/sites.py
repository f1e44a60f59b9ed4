"""What the sites cost and hold: many episodes at once, resets, page loads, the server's share of a step, and the size of pages.

    python -m benchmarks.sites [--tasks 'shop.*' ...] [--at-once 64] [--seeds 3] [--pages 8] [--json FILE] [--write docs/sites.md]

Oracles play. Times are of a busy or quiet machine as it is; the parts run one after the other.

- together: so many episodes at once on one server, each in a session of its own, against the same episodes one after the other: what
  differs (the site's final state, or any page on the way) is cross-talk
- reset: milliseconds of a reset of one session, while all those episodes are open
- load: milliseconds from a request to DOMContentLoaded, of the addresses that oracles visit, in a page on real time; `empty` are the
  loads of an empty page in between: what browser and server cost without any site, on this machine as busy as it was
- server: share of a step that the site itself takes (its pages, its snapshots)
- tokens: of page texts, in compact mode by webgym-tiny's tokenizer and in full mode by SmolLM2's (characters / 4 where it is not there:
  `make smollm2`); median and 95th percentile over all turns of all oracle episodes
- templates: a line each, with the median of the oracle's turns; `--write` puts them into a Markdown file, between its two marks
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer

from benchmarks import marks
from webgym.backends.browser.pool import shared_pool
from webgym.backends.browser.profile import LISTENERS, show_password
from webgym.env.core import AsyncWebEnv
from webgym.errors import UsageError
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.packs import sets as task_sets
from webgym.prompts.page import page_text
from webgym.prompts.prompt import prompt_text
from webgym.prompts.settings import COMPACT
from webgym.sites.certificates import certificate
from webgym.sites.episode import Episode
from webgym.sites.listener import Listener
from webgym.task import Site, Task
from webgym.trust import audit_seeds
from webgym.types import Observation, digest

ROOT = Path(__file__).parents[1]
SITES = ("shop.*", "mail.*", "travel.*")
BARS = {
    "reset_p50_ms": 50,
    "reset_p95_ms": 100,
    "load_p50_ms": 25,
    "server_share": 0.15,
    "full_p50": 1500,
    "full_p95": 4000,
    "compact_p50": 400,
}
MARKS = ("<!-- templates: written by `make bench-sites` -->", "<!-- end of templates -->")


@dataclass
class Played:
    """One oracle episode: the hash of every page and of the site's state in the end, its pages, and milliseconds."""

    task: str
    seed: int
    success: bool = False
    hashes: list[str] = field(default_factory=list)
    state: str = ""
    pages: list[Observation] = field(default_factory=list)
    steps_ms: list[float] = field(default_factory=list)
    server_ms: float = 0.0


class Timed:
    """A site with a watch: the seconds that it takes itself, for all episodes together."""

    def __init__(self, site: Site, watch: list[float]) -> None:
        self.host, self._site, self._watch = site.host, site, watch

    async def lease(self, seed: int, site_state: Any) -> Any:
        return await self._site.lease(seed, site_state)

    def snapshot(self, state: Any) -> Any:
        begun = time.perf_counter()
        found = self._site.snapshot(state)
        self._watch[0] += time.perf_counter() - begun
        return found

    async def release(self, state: Any) -> None:
        await self._site.release(state)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """The site's own pages. What waits for the network is little here: answers are small and the browser is on this machine."""
        begun = time.perf_counter()
        await self._site.app(scope, receive, send)
        self._watch[0] += time.perf_counter() - begun


class Empty:
    """A site of one empty page."""

    host = "empty.localhost"

    async def lease(self, seed: int, site_state: Any) -> Any:
        return None

    def snapshot(self, state: Any) -> Any:
        return None

    async def release(self, state: Any) -> None:
        return None

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html"), (b"cache-control", b"no-store")]}
        )
        await send({"type": "http.response.body", "body": b"<!doctype html><title>empty</title>"})


# --- playing ---------------------------------------------------------------------------------------------------------------


async def play(env: AsyncWebEnv, task_id: str, seed: int, watch: list[float]) -> Played:
    """One episode by its oracle."""
    task, found, gateway = registry.task(task_id), Played(task_id, seed), (await shared_pool()).gateway
    assert task.oracle is not None
    choose, page = task.oracle(), await env.reset(task_id, seed)
    while True:
        found.hashes.append(page.hash)
        found.pages.append(page)
        action = choose(page)
        served, begun = watch[0], time.perf_counter()
        step = await env.step(action)
        found.steps_ms.append(1e3 * (time.perf_counter() - begun))
        found.server_ms += 1e3 * (watch[0] - served)
        page = step.observation
        if step.kind:
            found.success = step.kind == "success"
            found.hashes.append(page.hash)
            found.state = digest(await gateway.snapshot(env._token))
            return found


@contextlib.asynccontextmanager
async def timed_server() -> AsyncIterator[list[float]]:
    """A watch that every site of this process's server is measured by meanwhile."""
    gateway, watch = (await shared_pool()).gateway, [0.0]
    add = gateway.add_site
    gateway.add_site = lambda site: add(Timed(site, watch))  # type: ignore[method-assign]
    try:
        yield watch
    finally:
        gateway.add_site = add  # type: ignore[method-assign]


async def alone(pairs: Sequence[tuple[str, int]], watch: list[float], tell: Callable[[str], None]) -> list[Played]:
    """All episodes, one after the other, in one session."""
    env, found = AsyncWebEnv(), []
    try:
        await play(env, *pairs[0], watch)  # the browser starts, pages are cached
        for number, (task_id, seed) in enumerate(pairs):
            tell(f"alone: {number} of {len(pairs)} episodes")
            found.append(await play(env, task_id, seed, watch))
    finally:
        await env.close()
    return found


async def together(pairs: Sequence[tuple[str, int]], watch: list[float], resets: int = 3) -> tuple[list[Played], list[float]]:
    """All episodes at once, each in a session of its own; and milliseconds of resets while all sessions are open."""
    envs = [AsyncWebEnv() for _ in pairs]
    try:
        for env, (task_id, seed) in zip(envs, pairs, strict=True):  # sessions open one after the other, episodes run together
            await env.reset(task_id, seed)
        asked = [play(env, task_id, seed, watch) for env, (task_id, seed) in zip(envs, pairs, strict=True)]
        found = await asyncio.gather(*asked)
        times = []
        for number in range(resets):
            for env, (task_id, seed) in zip(envs, pairs, strict=True):
                begun = time.perf_counter()
                await env.reset(task_id, seed + number)
                times.append(1e3 * (time.perf_counter() - begun))
        return list(found), times
    finally:
        for env in envs:
            await env.close()


async def loads(found: Sequence[Played], most: int) -> dict[str, list[float]]:
    """Milliseconds from request to DOMContentLoaded by pack, for up to `most` addresses that oracles visited in each task."""
    pool = await shared_pool()
    browser = await pool.browser()
    times: dict[str, list[float]] = defaultdict(list)
    for number, played in enumerate({one.task: one for one in found}.values()):
        task = registry.task(played.task)
        token = f"load-{number}"
        pool.serve(registry.sites_of(task))
        pool.serve([Empty()])
        site = await pool.gateway.open(token, task.hosts, played.seed, task.start(played.seed).site_state)
        empty = await pool.gateway.open(f"{token}-empty", (Empty.host,), 0, None)
        addresses = list(dict.fromkeys(page.url for page in played.pages))[:most]
        times[task.id.partition(".")[0]] += await _loads_of(browser, site, addresses)
        times["empty"] += await _loads_of(browser, empty, [f"http://{Empty.host}/"] * len(addresses))
        await pool.gateway.end(token)
        await pool.gateway.end(f"{token}-empty")
    return times


async def _loads_of(browser: Browser, episode: Episode, addresses: Sequence[str]) -> list[float]:
    listener = await Listener.open(certificate())
    listener.serve(episode)
    context = await browser.new_context(proxy={"server": f"http://{LISTENERS}:{listener.port}"})
    page, times = await context.new_page(), []
    await show_password(context, page, listener)
    await page.goto(addresses[0])  # its styles are cached then, as they are after an episode's first page
    for address in addresses:
        await page.goto(address)
        times.append(
            await page.evaluate(
                "(() => { const t = performance.getEntriesByType('navigation')[0]; return t.domContentLoadedEventEnd - t.requestStart; })()"
            )
        )
    await context.close()
    await listener.close()
    return times


# --- figures ---------------------------------------------------------------------------------------------------------------


def tokenizers() -> tuple[Callable[[str], int], Callable[[str], int], str]:
    """How to count tokens of compact and of full pages, and by whose tokenizer the latter are counted."""
    tiny = Tokenizer.from_file(str(ROOT / "trainers/pretrained/webgym-tiny/tokenizer.json"))
    try:
        from trainers.models.smollm2 import folder

        large = Tokenizer.from_file(str(folder() / "tokenizer.json"))
    except UsageError:
        return (lambda text: len(tiny.encode(text).ids)), (lambda text: len(text) // 4), "characters / 4"
    return (lambda text: len(tiny.encode(text).ids)), (lambda text: len(large.encode(text).ids)), "SmolLM2"


def compact_page(page: Observation) -> str:
    """The page as webgym-tiny's prompt has it."""
    return prompt_text(page, (), COMPACT).partition("page:\n")[2].removesuffix("\ndo:")


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))] if values else float("nan")


def rows(found: Sequence[Played]) -> tuple[list[dict[str, Any]], str]:
    """A row for each template with the sizes of its pages, by difficulty within its pack; and whose tokens they are."""
    compact, full, whose = tokenizers()
    by_task: dict[str, list[Played]] = defaultdict(list)
    for played in found:
        by_task[played.task].append(played)
    listed = []
    for task_id, episodes in by_task.items():
        task, pages = registry.task(task_id), [page for played in episodes for page in played.pages]
        sizes = {"compact": [compact(compact_page(page)) for page in pages], "full": [full(page_text(page.nodes)) for page in pages]}
        tokens = {
            f"{mode}_{name}": percentile(counts, share) for mode, counts in sizes.items() for name, share in (("p50", 0.5), ("p95", 0.95))
        }
        listed.append({**_about(task), "turns": statistics.median(len(played.steps_ms) for played in episodes), **tokens, "sizes": sizes})
    order = {pack: at for at, pack in enumerate(dict.fromkeys(row["task"].partition(".")[0] for row in listed))}
    return sorted(listed, key=lambda row: (order[row["task"].partition(".")[0]], row["turns"], row["task"])), whose


def _about(task: Task) -> dict[str, Any]:
    return {
        "task": task.id,
        "difficulty": task.difficulty,
        "max_turns": task.max_turns,
        "twin": task.twin,
        "what": task.description,
    }


def crosstalk(solo: Sequence[Played], at_once: Sequence[Played]) -> list[str]:
    """What differs between an episode alone and the same among others, a sentence each."""
    known = {(played.task, played.seed): played for played in solo}
    wrong = []
    for played in at_once:
        same = known[played.task, played.seed]
        name = f"{played.task} (seed {played.seed})"
        if not played.success:
            wrong.append(f"{name}: its oracle fails among others")
        if played.state != same.state:
            wrong.append(f"{name}: the site's final state differs from that of the episode alone")
        elif played.hashes != same.hashes:
            turn = next(turn for turn, (a, b) in enumerate(zip(played.hashes, same.hashes, strict=False)) if a != b)
            wrong.append(f"{name}: the page of turn {turn} differs from that of the episode alone")
    return wrong


async def measure(tasks: Sequence[str], at_once: int, seeds: int, pages: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """All figures as plain data."""
    pairs = [(task_id, seed) for seed in audit_seeds(seeds) for task_id in tasks]
    crowd = (pairs * (at_once // len(pairs) + 1))[:at_once] if len(pairs) < at_once else pairs[:: len(pairs) // at_once][:at_once]
    async with timed_server() as watch:
        solo = await alone(pairs, watch, tell)
        tell(f"{len(crowd)} episodes at once")
        among, resets = await together(crowd, watch)
    tell("page loads")
    load = await loads(solo, pages)
    templates, whose = rows(solo)
    every = [ms for pack, times in load.items() for ms in times if pack != "empty"]
    sizes = {mode: [n for row in templates for n in row["sizes"][mode]] for mode in ("compact", "full")}
    steps = [ms for played in solo for ms in played.steps_ms]
    figures = {
        "reset_p50_ms": percentile(resets, 0.5),
        "reset_p95_ms": percentile(resets, 0.95),
        "load_p50_ms": percentile(every, 0.5),
        "load_p95_ms": percentile(every, 0.95),
        "step_p50_ms": percentile(steps, 0.5),
        "server_share": sum(played.server_ms for played in solo) / sum(steps),
        **{f"{mode}_{name}": percentile(counts, share) for mode, counts in sizes.items() for name, share in (("p50", 0.5), ("p95", 0.95))},
    }
    failed = [f"{played.task} (seed {played.seed}): its oracle fails alone" for played in solo if not played.success]
    return {
        "figures": figures,
        "load_by_site": {pack: percentile(times, 0.5) for pack, times in load.items()},
        "episodes_at_once": len(among),
        "crosstalk": crosstalk(solo, among),
        "failed": failed,
        "missed": [f"{name} is {figures[name]:.3g}, bar {bar:g}" for name, bar in BARS.items() if figures[name] > bar],
        "full_tokens_by": whose,
        "templates": [{key: value for key, value in row.items() if key != "sizes"} for row in templates],
    }


# --- telling ---------------------------------------------------------------------------------------------------------------


def markdown(templates: Sequence[dict[str, Any]], whose: str) -> str:
    """The templates as a Markdown table."""
    lines = [
        f"| task | level | oracle's turns | limit | page tokens, compact | page tokens, full ({whose}) | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in templates:
        sizes = " | ".join(f"{row[f'{mode}_p50']} / {row[f'{mode}_p95']}" for mode in ("compact", "full"))
        lines.append(f"| `{row['task']}` | {row['difficulty']} | {row['turns']:g} | {row['max_turns']} | {sizes} | {row['what']} |")
    ten, twenty = (sum(row["turns"] >= least for row in templates) for least in (10, 20))
    pairs = len({tuple(sorted((row["task"], row["twin"]))) for row in templates if row["twin"]})
    told = f"{len(templates)} templates, {pairs} pairs of twins; {ten} need ten turns or more, {twenty} twenty or more."
    return "\n".join([*lines, "", f"{told} Turns are the oracle's median; tokens are of a page, median / 95th percentile."])


def write(path: Path, text: str) -> None:
    """Put the text between the marks of the file. Raises UsageError where it has none."""
    marks.put(path, *MARKS, f"\n{text}\n")


def summary(result: dict[str, Any]) -> Table:
    """The figures beside their bars."""
    shown = Table(title=f"sites: {result['episodes_at_once']} episodes at once", title_justify="left")
    for heading in ("figure", "measured", "bar"):
        shown.add_column(heading, justify="left" if heading == "figure" else "right")
    for name, value in result["figures"].items():
        shown.add_row(name, f"{value:.3g}", f"{BARS[name]:g}" if name in BARS else "")
    for pack, ms in result["load_by_site"].items():
        shown.add_row(f"load_p50_ms of {pack}", f"{ms:.3g}", "")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(SITES), help="patterns or sets of tasks that have oracles")
    parser.add_argument("--at-once", type=int, default=64, help="episodes at once")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each template")
    parser.add_argument("--pages", type=int, default=8, help="addresses of each template whose loads are timed")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--write", type=Path, help="put the table of templates into this Markdown file")
    arguments = parser.parse_args()
    console = Console()
    try:
        tasks = [task_id for task_id in task_sets.choose(arguments.tasks) if registry.task(task_id).oracle]
        with console.status("starting") as status:
            asked = measure(tasks, arguments.at_once, arguments.seeds, arguments.pages, status.update)
            result = loop_thread().run(asked)
        table = markdown(result["templates"], result["full_tokens_by"])
        if arguments.write:
            write(arguments.write, table)
    except UsageError as error:
        parser.error(str(error))
    console.print(table, summary(result), soft_wrap=True, markup=False)
    for problem in [*result["failed"], *result["crosstalk"], *result["missed"]]:
        print(problem)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    raise SystemExit(bool(result["failed"] or result["crosstalk"]))


if __name__ == "__main__":
    main()
