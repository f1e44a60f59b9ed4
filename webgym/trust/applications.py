"""Examination of an application before its tasks are tried: in words, what an author must know of it."""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from webgym.env import AsyncWebEnv
from webgym.errors import WebGymError
from webgym.packs import registry
from webgym.task import Task
from webgym.trust.start_page import refused

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
    notes, problems = await _started(site), []
    looks = [await _look(env, task)]
    problems += [words] if (words := refused(env, task, 0)) else []
    notes += _open_and_refused(env)
    looks.append(await _look(env, task))
    await asyncio.sleep(LATER_S)
    looks.append(await _look(env, task))
    by_time, otherwise = _differences(looks)
    if otherwise and task.deterministic:
        problems.append(
            f"two resets do not give the same first page: {_shown(otherwise)}; let the reset put back what it keeps, fix its seed, or say "
            "`deterministic: false`"
        )
    elif otherwise:
        notes.append(f"two resets do not give the same first page, as `deterministic: false` says: {_shown(otherwise)}")
    else:
        seconds = " and ".join(f"{look.took:.2f}" for look in looks[:2])
        notes.append(f"two resets give the same first page (in {seconds} s)")
        clock = "; give it a clock (`clock:`, with libfaketime), or say `deterministic: false` and keep such texts out of checks"
        advice = clock if task.deterministic else ""
        notes.append(
            f"changes with real time: {_shown(by_time)}{advice}" if by_time else f"nothing on it changes within {LATER_S:g} s of real time"
        )
    if changed := _changed(looks[0].state, looks[1].state):
        problems.append(f"two resets do not give the same state: {_shown(changed)}; let the reset put back what it keeps")
    return Examination(url, tuple(notes), tuple(problems))


@dataclass(frozen=True)
class _Look:
    """A first page: its lines, the state beside it, when it was seen, and how long its reset took."""

    lines: tuple[str, ...]
    state: Any
    at: float
    took: float


async def _look(env: AsyncWebEnv, task: Task) -> _Look:
    begun = time.monotonic()
    page = await env.reset(task.id, 0)
    seen = time.monotonic()
    lines = tuple(f"{node.role} {node.text} {node.value or ''}".strip() for node in page.nodes)
    return _Look((page.url, *lines), await env.site_state(), seen, seen - begun)


async def _started(site: Any) -> list[str]:
    """Sentences on the start of the application and on its resets. Raises SiteFault where it does not start."""
    begun = time.monotonic()
    lease = await site.lease(0, None)
    took = time.monotonic() - begun
    removed = site.removed(lease)
    await site.release(lease)
    where = f"runs at {site.at}" if site.at else "starts and is reset" if site.resets else "starts"
    clock = getattr(site, "clock_note", "")
    notes = [f"{where} ({took:.2f} s)" + (f"; {clock}" if clock else "")]
    if not site.resets:
        notes.append("has no reset: what an episode writes is there for the next")
    return notes + [f"there is no {path!r} once the application has started: a reset removes it" for path in removed]


def _open_and_refused(env: AsyncWebEnv) -> list[str]:
    """The requests that stay open after the first page has come to rest, and the hosts that the page was refused."""
    episode = getattr(env.session, "episode", None)
    held = sorted({f"{each.method} {each.address}" for each in episode.unanswered()}) if episode is not None else []
    elsewhere = sorted(episode.elsewhere) if episode is not None else []
    notes = [f"stay open: {_listed(held)}" if held else "no request stays open on the first page"]
    if elsewhere:
        notes.append(f"refused, because the task does not declare them: {_listed(elsewhere)}; say `also:` for those that it serves itself")
    return notes


def _differences(looks: Sequence[_Look]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The lines that go on with real time, and those that differ otherwise, side by side."""
    first, second, third = looks
    if not len(first.lines) == len(second.lines) == len(third.lines):
        return [], [(f"{len(first.lines)} lines", f"{max(len(second.lines), len(third.lines))} lines")]
    by_time, otherwise = [], []
    for texts in zip(first.lines, second.lines, third.lines, strict=True):
        if len(set(texts)) == 1:
            continue
        pair = texts[:2] if texts[0] != texts[1] else texts[1:]
        (by_time if _goes_on(texts, [look.at for look in looks]) else otherwise).append(pair)
    return by_time, otherwise


def _goes_on(texts: Sequence[str], at: Sequence[float]) -> bool:
    """True if the texts differ by numbers only, none of which moves by more than the seconds between them."""
    if len({re.sub(r"[0-9]+", "0", text) for text in texts}) > 1:
        return re.sub(r"[0-9]+", "", texts[0]) == texts[0] and texts[0] == texts[1]  # "just now" and later "a moment ago"
    numbers = [[int(number) for number in re.findall(r"[0-9]+", text)] for text in texts]
    steps = [[b - a for a, b in zip(one, other, strict=True)] for one, other in pairwise(numbers)]
    most = [later - before + 1 for before, later in pairwise(at)]
    return all(abs(step) <= limit or abs(step) in (59, 23) for row, limit in zip(steps, most, strict=True) for step in row)


def _changed(one: Any, other: Any) -> list[tuple[str, str]]:
    """The parts of a state that differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [(f"{key}: {one.get(key)}", f"{key}: {other.get(key)}") for key in {**one, **other} if one.get(key) != other.get(key)]
    return [] if one == other else [(str(one), str(other))]


def _shown(pairs: Sequence[tuple[str, str]]) -> str:
    cut = [(a[:80], b[:80]) for a, b in pairs[:MOST_SHOWN]]
    more = f" (and {len(pairs) - MOST_SHOWN} more)" if len(pairs) > MOST_SHOWN else ""
    return ", ".join(f"{a!r} became {b!r}" for a, b in cut) + more


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - MOST_SHOWN} more" if len(texts) > MOST_SHOWN else ""
    return ", ".join(texts[:MOST_SHOWN]) + more
