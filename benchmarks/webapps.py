"""Costs of the applications that packs play on, and the trust in their packs: installation, memory, resets, steps, adversaries, crowds.

    make webapps
    python -m benchmarks.webapps costs [--episodes 6]
    python -m benchmarks.webapps trust [--seeds 20] [--sessions 2] [--minutes 60]
    python -m benchmarks.webapps crowd [--sessions 16]

Each command takes `--only NAME` for one application, keeps what it finds in `--kept` (docs/webapps.jsonl), goes on from there when it is
run again, and with `--write docs/applications.md` puts all that is kept into its table there. What is kept counts while the files of its
pack are what they were.

`costs`: the oracles of a pack play, one task after the other.

- install_s, bytes, prepare_s: seconds and size of its environment, and seconds of its first data, as `webgym sites install` kept them
- start_ms: from the request for a process to its first answer; resident_mb: the memory of the process and its children after the episodes
- own_reset_ms: p50 of the reset alone, without a browser; reset_ms: p50 of an environment's reset, to the first observation
- step_ms: p50 and 90th percentile of a step

`trust`: the oracle of each task, and the adversaries no-op, guess and random (:mod:`webgym.trust`) on so many seeds of the splits in turn;
random has seeds of its own. Given are the episodes that were won.

`crowd`: so many sessions of one application at the same time, each with a process and an episode of its own that the oracle plays. Given
are the processes, the episodes that were won, those that were begun again, the seconds in all, and the memory of all processes of the
application.
"""

import argparse
import hashlib
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console

from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.packs import applications, registry
from webgym.policies.scripted import OraclePolicy
from webgym.rollout.arena import Arena
from webgym.rollout.contract import Record
from webgym.sites.apps.recipe import InstalledServer
from webgym.trust import audit, audit_seeds
from webgym.types import EpisodeKey, digest

POLICIES = ("oracle", "no-op", "guess", "random")
Say = Callable[[str], None]


def _tasks_of(name: str) -> list[str]:
    return [task_id for task_id in registry.task_ids() if task_id.startswith(f"{name}.")]


def _site_of(name: str) -> InstalledServer:
    (site,) = registry.sites_of(registry.task(_tasks_of(name)[0]))
    assert isinstance(site, InstalledServer)
    return site


async def measured(name: str, episodes: int) -> dict[str, Any]:
    """The figures of one application."""
    task_ids, site = _tasks_of(name), _site_of(name)
    begun = time.perf_counter()
    lease = await site.lease(0, None)
    start_ms = 1e3 * (time.perf_counter() - begun)
    await site.release(lease)
    own = []
    for _ in range(5):
        begun = time.perf_counter()
        lease = await site.lease(0, None)
        own.append(1e3 * (time.perf_counter() - begun))
        await site.release(lease)
    env, resets, steps = AsyncWebEnv(), [], []
    try:
        for number in range(episodes):
            task_id = task_ids[number % len(task_ids)]
            oracle = registry.task(task_id).oracle
            assert oracle is not None
            begun, act = time.perf_counter(), oracle()
            page = await env.reset(task_id, number)
            resets.append(1e3 * (time.perf_counter() - begun))
            ended = ""
            while not ended:
                action, begun = act(page), time.perf_counter()
                step = await env.step(action)
                steps.append(1e3 * (time.perf_counter() - begun))
                page, ended = step.observation, step.kind
            if ended != "success":
                raise SystemExit(f"{task_id}: the oracle's episode {number} ended with {ended}")
        lease = await site.lease(0, None)
        memory = _resident_mb(lease.plain.folder.parent)
        await site.release(lease)
    finally:
        await env.close()
        site.stop()
    return {
        "tasks": len(task_ids), "episodes": episodes, **site.recipe.figures, "start_ms": start_ms, "resident_mb": memory,
        "own_reset_ms": statistics.median(own), "reset_ms": statistics.median(resets[1:] or resets),  # the first starts a browser
        "step_ms": statistics.median(steps), "step_p90_ms": statistics.quantiles(steps, n=10)[-1], "steps": len(steps),
    }  # fmt: skip


def _resident_mb(home: Path) -> float:
    """The memory of the processes that run in a process's folder."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").resolve().is_relative_to(home) and b"launcher.py" not in (entry / "cmdline").read_bytes():
                total += int((entry / "statm").read_text().split()[1]) * 4096
        except (OSError, IndexError):
            continue
    return total / 1e6


def crowd(name: str, sessions: int) -> dict[str, Any]:
    """The figures of `sessions` episodes at the same time."""
    task_ids, site = _tasks_of(name), _site_of(name)
    keys = [EpisodeKey(task_ids[number % len(task_ids)], number, group=number) for number in range(sessions)]
    begun = time.perf_counter()
    try:
        with Arena(sessions) as arena:
            found = arena.collect(OraclePolicy(registry.task), keys, record=Record(prompts=False, pages=False))
        seconds, processes = time.perf_counter() - begun, [running.process for running in site.processes if running.process is not None]
        memory = sum(_resident_mb(process.home) for process in processes)
    finally:
        site.stop()
    won, retries = sum(one.outcome.success for one in found), sum(one.outcome.retries for one in found)
    return {
        "sessions": sessions, "processes": len(processes), "won": won, "retries": retries, "seconds": seconds, "resident_mb": memory,
    }  # fmt: skip


# --- what is kept, and the tables of it -------------------------------------------------------------------------------------


class Kept:
    """File of findings, one JSON line each, in which newer lines stand for older ones of the same application, kind and name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        self.found = {(entry["application"], entry["kind"], entry["name"]): entry for entry in map(json.loads, lines)}

    def knows(self, application: str, kind: str, name: str, **same: Any) -> bool:
        """True if this was found with the pack's files of now, and with these values."""
        entry = self.found.get((application, kind, name), {})
        return entry.get("files") == _digest(application) and all(entry.get(key) == value for key, value in same.items())

    def add(self, application: str, kind: str, name: str, **values: Any) -> None:
        """Write a finding down."""
        entry = {"application": application, "kind": kind, "name": name, "files": _digest(application), **values}
        self.found[application, kind, name] = entry
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def of(self, application: str, kind: str) -> list[dict[str, Any]]:
        """The findings of one kind about an application as it is now."""
        known = [entry for (name, sort, _), entry in self.found.items() if (name, sort) == (application, kind)]
        return [entry for entry in known if entry["files"] == _digest(application)]


@cache
def _digest(application: str) -> str:
    """A digest of the files of a pack."""
    folder = registry.folder_of(application)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    return digest([[path.relative_to(folder).as_posix(), hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()] for path in files])


def cost_rows(kept: Kept, names: Sequence[str]) -> list[Sequence[str]]:
    """The table of costs."""
    return [
        (
            row["application"], str(row["tasks"]), f"{row['install_s']:.0f} s, {row['bytes'] / 1e6:.0f} MB", f"{row['prepare_s']:.1f} s",
            f"{row['start_ms'] / 1e3:.1f} s", f"{row['resident_mb']:.0f} MB", f"{row['own_reset_ms']:.0f} ms", f"{row['reset_ms']:.0f} ms",
            f"{row['step_ms']:.0f} / {row['step_p90_ms']:.0f} ms",
        )
        for name in names for row in kept.of(name, "costs")
    ]  # fmt: skip


def trust_rows(kept: Kept, names: Sequence[str]) -> list[Sequence[str]]:
    """The table of won episodes."""
    found = []
    for name in names:
        trials = kept.of(name, "trust")
        cells = []
        for policy in POLICIES:
            of_policy = [trial for trial in trials if trial["policy"] == policy]
            won, episodes = (sum(trial[key] for trial in of_policy) for key in ("won", "episodes"))
            cells.append(f"{won} of {episodes}, {len(of_policy)} tasks" if of_policy else "not yet")
        found.append((name, str(len(_tasks_of(name))), *cells))
    return found


def crowd_rows(kept: Kept, names: Sequence[str]) -> list[Sequence[str]]:
    """The table of crowds."""
    return [
        (
            name, *(str(row[key]) for key in ("sessions", "processes", "won", "retries")), f"{row['seconds']:.0f} s",
            f"{row['resident_mb']:.0f} MB",
        )
        for name in names for row in kept.of(name, "crowd")
    ]  # fmt: skip


TABLES = {
    "costs": (("application", "tasks", "install", "first data", "start", "memory", "its reset", "reset", "step, p50 / p90"), cost_rows),
    "trust": (("application", "tasks", *POLICIES), trust_rows),
    "crowd": (("application", "sessions", "processes", "won", "begun again", "in all", "memory"), crowd_rows),
}  # fmt: skip


def markdown(kept: Kept, names: Sequence[str]) -> dict[str, str]:
    """The tables as Markdown, by their name."""
    found = {}
    for name, (head, rows_of) in TABLES.items():
        lines = [head, ("---",) * len(head), *rows_of(kept, names)]
        found[name] = "\n".join(f"|{'|'.join(cells)}|" if cells[0] == "---" else f"| {' | '.join(cells)} |" for cells in lines)
    return found


def write(path: Path, tables: Mapping[str, str]) -> None:
    """Put each table between its marks in a file."""
    text = path.read_text("utf-8")
    for name, table in tables.items():
        begin, end = f"<!-- begin: benchmarks.webapps {name} -->", f"<!-- end: benchmarks.webapps {name} -->"
        before, found, rest = text.partition(begin)
        _, also, after = rest.partition(end)
        if not found or not also:
            raise SystemExit(f"{path} has no marks {begin} and {end}")
        text = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    path.write_text(text, "utf-8")


# --- the commands -----------------------------------------------------------------------------------------------------------


def all_costs(kept: Kept, names: Sequence[str], episodes: int, say: Say) -> None:
    """Measure what is not known."""
    for name in names:
        if kept.knows(name, "costs", "", episodes=episodes):
            say(f"{name}: known")
            continue
        kept.add(name, "costs", "", **loop_thread().run(measured(name, episodes)))


def all_trust(kept: Kept, names: Sequence[str], seeds: int, sessions: int, minutes: float, say: Say) -> bool:
    """Try what is not known, policy by policy, until the time is over. True if no task has a problem."""
    until, problems = time.monotonic() + 60 * minutes, 0
    with Arena(sessions) as arena:
        for policy, name in ((policy, name) for policy in POLICIES for name in names):
            for task_id in _tasks_of(name):
                if kept.knows(name, "trust", f"{task_id} {policy}", seeds=seeds):
                    continue
                if time.monotonic() > until:
                    say(f"the time is over at {task_id}, {policy}: run this again to go on")
                    return False
                adversaries = () if policy == "oracle" else (policy,)
                found = audit(task_id, arena, audit_seeds(seeds), adversaries, oracle=policy == "oracle")
                problems += len(found.problems)
                won, episodes = (sum(map(len, parts)) for parts in zip(*((t.wins, t.trajectories) for t in found.trials), strict=True))
                say(f"{task_id:<28} {policy:<8} {won:>3} of {episodes:<3} {'; '.join(found.problems)}")
                if not found.problems:
                    kept.add(name, "trust", f"{task_id} {policy}", policy=policy, seeds=seeds, won=won, episodes=episodes)
    return not problems


def all_crowds(kept: Kept, names: Sequence[str], sessions: int, say: Say) -> None:
    """Play what is not known."""
    for name in names:
        if kept.knows(name, "crowd", "", sessions=sessions):
            say(f"{name}: known")
            continue
        kept.add(name, "crowd", "", **crowd(name, sessions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=sorted(TABLES))
    parser.add_argument("--only", action="append", default=[], help="an application; all that are installed unless given")
    parser.add_argument("--episodes", type=int, default=6, help="costs: episodes of each application")
    parser.add_argument("--seeds", type=int, default=20, help="trust: seeds for each policy")
    parser.add_argument("--sessions", type=int, help="trust: browser sessions at once (2); crowd: sessions of one application (16)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="trust: no new trial begins later")
    parser.add_argument("--kept", type=Path, default=Path("docs/webapps.jsonl"), help="the file of what was found")
    parser.add_argument("--write", type=Path, help="put the tables into this Markdown file")
    arguments = parser.parse_args()
    console, kept, names = Console(stderr=True, soft_wrap=True), Kept(arguments.kept), []
    for name, recipe in applications.recipes().items():
        if recipe.missing:
            console.print(f"left out: {recipe.missing}")
        elif not arguments.only or name in arguments.only:
            names.append(name)
    well = True
    if arguments.what == "costs":
        all_costs(kept, names, arguments.episodes, console.print)
    elif arguments.what == "trust":
        well = all_trust(kept, names, arguments.seeds, arguments.sessions or 2, arguments.minutes, console.print)
    else:
        all_crowds(kept, names, arguments.sessions or 16, console.print)
    tables = markdown(kept, list(applications.recipes()))
    print(tables[arguments.what])
    if arguments.write:
        write(arguments.write, {arguments.what: tables[arguments.what]})
    raise SystemExit(not well)


if __name__ == "__main__":
    main()
