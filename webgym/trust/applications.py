"""Examination of an application before its tasks are tried: in words, what an author must know of it."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from webgym.env import AsyncWebEnv
from webgym.errors import WebGymError
from webgym.packs import registry
from webgym.task import Site, Task
from webgym.types import Observation

LATER_S = 2.2  # of real time, after which a page that shows it differs
MOST_SHOWN = 4  # lines, requests or hosts


@dataclass(frozen=True)
class Examination:
    """Findings about one application. `problems` stop tasks from working; `notes` are worth knowing."""

    url: str
    notes: tuple[str, ...]
    problems: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The findings for a terminal."""
        found = [f"{self.url}: {'works' if not self.problems else 'does not work yet'}"]
        return found + [f"  problem: {words}" for words in self.problems] + [f"  {words}" for words in self.notes]


def applications(task_ids: Sequence[str]) -> dict[str, Task]:
    """A task for each application in another process, by the address that pages see."""
    found: dict[str, Task] = {}
    for task_id in task_ids:
        task = registry.task(task_id)
        for site in registry.sites_of(task):
            if getattr(site, "external", False) and task.hosts[0] in (site.host, *getattr(site, "also", ())):
                found.setdefault(getattr(site, "url", site.host), task)
    return found


async def examine(url: str, task: Task) -> Examination:
    """Begin the task's first episode a few times, and say what happens."""
    env = AsyncWebEnv()
    try:
        return await _examined(env, url, task)
    except WebGymError as error:
        return Examination(url, (), (str(error),))
    finally:
        await env.close()


async def _examined(env: AsyncWebEnv, url: str, task: Task) -> Examination:
    site = next(site for site in registry.sites_of(task) if getattr(site, "url", site.host) == url)
    notes, problems = [], []
    notes.append(await _started(site))
    begun = time.monotonic()
    first = await env.reset(task.id, 0)
    seconds = [time.monotonic() - begun]
    notes += _open_and_refused(env)
    first_state = await _state(env)
    begun = time.monotonic()
    second = await env.reset(task.id, 0)
    seconds.append(time.monotonic() - begun)
    differs = _differences(first, second)
    if differs:
        problems.append(f"two resets do not give the same first page: {_shown(differs)}; reset what it keeps, or give it a fixed start")
    else:
        notes.append(f"two resets give the same first page (in {seconds[0]:.2f} and {seconds[1]:.2f} s)")
    if (second_state := await _state(env)) != first_state:
        problems.append(f"two resets do not give the same state: {_shown(_changed(first_state, second_state))}")
    await asyncio.sleep(LATER_S)
    third = await env.reset(task.id, 0)
    later = [pair for pair in _differences(second, third) if pair not in differs]
    if later and not differs:
        notes.append(
            f"changes with real time: {_shown(later)}; give it a clock (`clock:` needs libfaketime), or keep such texts out of checks"
        )
    elif not differs:
        notes.append(f"nothing on the first page changes within {LATER_S:g} s of real time")
    return Examination(url, tuple(notes), tuple(problems))


async def _started(site: Any) -> str:
    """How the application starts, in words. Raises SiteFault where it does not."""
    begun = time.monotonic()
    lease = await site.lease(0, None)
    took = time.monotonic() - begun
    await site.release(lease)
    where = f"runs at {site.at}" if site.at else "starts and is reset"
    clock = getattr(site, "clock_note", "")
    return f"{where} ({took:.2f} s)" + (f"; {clock}" if clock else "")


def _open_and_refused(env: AsyncWebEnv) -> list[str]:
    """The requests that stay open after the first page has come to rest, and the hosts that the page was refused."""
    episode = getattr(env.session, "episode", None)
    held = sorted({f"{each.method} {each.address}" for each in episode.unanswered()}) if episode is not None else []
    elsewhere = sorted(getattr(env.session, "elsewhere", ()))
    notes = [f"stay open: {_listed(held)}" if held else "no request stays open on the first page"]
    if elsewhere:
        notes.append(f"refused, because the task does not declare them: {_listed(elsewhere)}; say `also:` for those that it serves itself")
    return notes


async def _state(env: AsyncWebEnv) -> Any:
    return await env.site_state()


def _differences(one: Observation, other: Observation) -> list[tuple[str, str]]:
    """The lines that differ between two pages, side by side."""
    before, after = ([f"{node.role} {node.text} {node.value or ''}".strip() for node in page.nodes] for page in (one, other))
    pairs = [(a, b) for a, b in zip(before, after, strict=False) if a != b]
    if len(before) != len(after):
        pairs.append((f"{len(before)} lines", f"{len(after)} lines"))
    if one.url != other.url:
        pairs.append((one.url, other.url))
    return pairs


def _changed(one: Any, other: Any) -> list[tuple[str, str]]:
    if isinstance(one, dict) and isinstance(other, dict):
        return [(f"{key}: {one.get(key)}", f"{key}: {other.get(key)}") for key in {**one, **other} if one.get(key) != other.get(key)]
    return [(str(one), str(other))]


def _shown(pairs: Sequence[tuple[str, str]]) -> str:
    cut = [(a[:80], b[:80]) for a, b in pairs[:MOST_SHOWN]]
    more = f" (and {len(pairs) - MOST_SHOWN} more)" if len(pairs) > MOST_SHOWN else ""
    return ", ".join(f"{a!r} became {b!r}" for a, b in cut) + more


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - MOST_SHOWN} more" if len(texts) > MOST_SHOWN else ""
    return ", ".join(texts[:MOST_SHOWN]) + more


__all__ = ["Examination", "Site", "applications", "examine"]
