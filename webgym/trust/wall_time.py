"""Wall time: a task whose pages differ when the same actions are played slowly has a site whose answers depend on the real clock.

Such a site breaks retries and replays, which expect the same pages. The task has to say so: `deterministic: false`.
"""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.task import Task
from webgym.types import Node, Observation, Wait

WAIT_S = 1.2  # between two turns of a slow play, so that a clock that shows seconds shows another one
TURNS = 2


def _difference(fast: Sequence[Observation], slow: Sequence[Observation]) -> str:
    """The first difference between two plays, with the site that shows it; "" where there is none."""
    for turn, (one, two) in enumerate(zip(fast, slow, strict=False)):
        if (one.hash, one.state_hash) == (two.hash, two.state_hash):
            continue
        lines = ((_words(a), _words(b)) for a, b in zip(one.nodes, two.nodes, strict=False))
        first = next((f"{a!r} and {b!r}" for a, b in lines if a != b), "other states")
        return f"{urlsplit(one.url).netloc}: turn {turn} shows {first}"
    return "" if len(fast) == len(slow) else f"{urlsplit(fast[-1].url).netloc}: one episode ends at turn {min(len(fast), len(slow)) - 1}"


def _words(node: Node) -> str:
    return " ".join(f"{node.text} {node.value or ''}".split())[:80]


def wall_time(task_id: str, seed: int, wait_s: float = WAIT_S) -> str:
    """The problem that pages of the task differ by the wall clock, or by chance, in words; "" where they do not, or where it says so."""
    task = registry.task(task_id)
    return loop_thread().run(_wall_time(task, seed, wait_s)) if task.deterministic else ""


async def _wall_time(task: Task, seed: int, wait_s: float) -> str:
    env = AsyncWebEnv()
    try:
        fast, again = await _play(env, task, seed, 0.0), await _play(env, task, seed, 0.0)
        by_chance = _difference(fast, again)
        found = by_chance or _difference(fast, await _play(env, task, seed, wait_s))
    finally:
        await env.close()
    if not found:
        return ""
    why = "differ from one reset to the next" if by_chance else "depend on the wall clock"
    return (
        f"answers {why} at {found}; make them a function of seed and actions, or say `deterministic: false`, so that retries and replays "
        "check the outcome and not the pages"
    )


async def _play(env: AsyncWebEnv, task: Task, seed: int, wait_s: float) -> Sequence[Observation]:
    """Pages of an episode in which nothing is done, for as long as it goes on."""
    await asyncio.sleep(wait_s)
    pages = [await env.reset(task.id, seed)]
    for _ in range(TURNS):
        await asyncio.sleep(wait_s)
        step = await env.step(Wait())
        pages.append(step.observation)
        if step.kind:
            break
    return pages
