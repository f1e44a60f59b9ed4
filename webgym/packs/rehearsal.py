"""Rehearsal of tasks: finds problems before a run spends its first episode, and reports each in one sentence.

A rehearsal draws a task on the first seed of each split, opens its sites with what was drawn, and asks its check. No browser is needed.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from inspect import isawaitable
from typing import Any

from webgym import backends
from webgym.backends.base import Backend
from webgym.errors import ConfigError, Fault, JudgeFault, SiteFault, TaskFileError, UsageError, did_you_mean
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.packs.beginning import drawn
from webgym.sites.gateway import LEASE_S
from webgym.sites.synchronous import leased
from webgym.task import SPLITS, Evidence, Site, Start, Task, hosts_of


def rehearse(task_ids: Iterable[str], backend: Backend | str = "browser") -> None:
    """Raises unless every task can begin: TaskFileError (what it draws, its hosts, its twin), SiteFault, JudgeFault (its check),
    ConfigError (it cannot be played on this backend).
    """
    for task_id in task_ids:
        task = registry.task(task_id)
        if reason := backends.of(task, backend).can_play(task, registry.sites_of(task)):
            raise ConfigError(reason)
        _has_its_twin(task)
        for split in SPLITS:
            seed = task.splits.seeds[split][0]
            loop_thread().run(_tried(task, seed, _drawn(task, seed)))


def _drawn(task: Task, seed: int) -> Start:
    try:
        return drawn(task, seed)
    except JudgeFault:
        raise
    except Exception as error:  # a program of the task's author
        raise TaskFileError(f"task {task.id} cannot begin with seed {seed}: {_words(error)}") from error


async def _tried(task: Task, seed: int, begun: Start) -> None:
    """Open the sites, ask the check about the state that they begin with, and release them."""
    served = {host: leased(site) for site in registry.sites_of(task) for host in hosts_of(site)}
    states: dict[str, object] = {}
    leases: list[tuple[Site, Any]] = []
    try:
        for host in task.hosts:
            if host not in served:
                raise TaskFileError(f"task {task.id}: expected a site that serves {host!r}, there is none{did_you_mean(host, served)}")
            if all(site is not served[host] for site, _ in leases):
                await _lease(task, seed, host, served[host], begun, leases)
                states[host] = await _state(task, seed, host, *leases[-1])
        instance = next((lease.instance for _, lease in leases if hasattr(lease, "instance")), None)
        await _can_be_judged(task, seed, begun, next(iter(states.values())) if len(states) == 1 else states, instance)
    finally:
        for site, lease in leases:
            await site.release(lease)


async def _lease(task: Task, seed: int, host: str, site: Site, begun: Start, leases: list[tuple[Site, Any]]) -> None:
    with _of_site(task, seed, host):
        async with asyncio.timeout(LEASE_S):
            leases.append((site, await site.lease(seed, begun.site_state)))


async def _state(task: Task, seed: int, host: str, site: Site, lease: Any) -> object:
    with _of_site(task, seed, host):
        async with asyncio.timeout(LEASE_S):
            found = site.snapshot(lease)
            return await found if isawaitable(found) else found


@contextmanager
def _of_site(task: Task, seed: int, host: str) -> Iterator[None]:
    """Errors of a site's own program are faults of the site."""
    try:
        yield
    except (Fault, UsageError):
        raise
    except Exception as error:
        raise SiteFault(f"site {host} cannot open seed {seed} of task {task.id}: {_words(error)}") from error


async def _can_be_judged(task: Task, seed: int, begun: Start, site_state: object, instance: Any) -> None:
    if task.probe is not None or task.trust == "page":
        return  # the page is its own judge, and there is none yet
    for ended in ("", "stop", "infeasible"):
        try:
            found = task.check(Evidence(seed, begun.url, site_state, ended=ended, instance=instance))
            if isawaitable(found):
                await found
        except Fault:
            raise
        except Exception as error:  # a program of the task's author
            raise JudgeFault(f"the check of task {task.id} failed on seed {seed}, before anything was done: {error!r}") from error


def _has_its_twin(task: Task) -> None:
    if not task.twin:
        return
    other = registry.task(task.twin)
    if other.twin != task.id:
        raise TaskFileError(f"task {task.id} has the twin {other.id}: expected that one to have the twin {task.id}, got {other.twin!r}")
    for split in SPLITS:
        seed = task.splits.seeds[split][0]
        if _drawn(task, seed).goal != _drawn(other, seed).goal:
            raise TaskFileError(f"task {task.id} and its twin {other.id} have different goals for seed {seed}: expected the same")


def _words(error: Exception) -> str:
    """The error in words. A LookupError raised by WebGym is a sentence; the text of any other error may be a bare key."""
    return str(error) if isinstance(error, LookupError) and " " in str(error) else f"{type(error).__name__}: {error}"
