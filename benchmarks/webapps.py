"""Costs of the applications that packs play on: installation, memory, resets, steps.

    make webapps
    python -m benchmarks.webapps [--episodes 6] [--write docs/applications.md]

Each installed application is played by the oracles of its pack, one task after the other. Given are:

- install_s, bytes, prepare_s: seconds and size of its environment, and seconds of its first data, as `webgym sites install` kept them
- start_ms: from the request for a process to its first answer; resident_mb: the memory of the process and its children after the episodes
- own_reset_ms: p50 of the reset alone, without a browser; reset_ms: p50 of an environment's reset, to the first observation
- step_ms: p50 and 90th percentile of a step

`--write` puts the table between its two marks into a Markdown file.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.packs import applications, registry
from webgym.sites.apps.recipe import InstalledServer

BEGIN, END = "<!-- begin: benchmarks.webapps -->", "<!-- end: benchmarks.webapps -->"
HEAD = ("application", "tasks", "install", "first data", "start", "memory", "its reset", "reset", "step, p50 / p90")


async def measured(name: str, episodes: int) -> dict[str, Any]:
    """The figures of one application."""
    task_ids = [task_id for task_id in registry.task_ids() if task_id.startswith(f"{name}.")]
    (site,) = registry.sites_of(registry.task(task_ids[0]))
    assert isinstance(site, InstalledServer)
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
        "application": name, "tasks": len(task_ids), **site.recipe.figures, "start_ms": start_ms, "resident_mb": memory,
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


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    for row in rows:
        cells = (
            row["application"], str(row["tasks"]), f"{row['install_s']:.0f} s, {row['bytes'] / 1e6:.0f} MB", f"{row['prepare_s']:.1f} s",
            f"{row['start_ms'] / 1e3:.1f} s", f"{row['resident_mb']:.0f} MB", f"{row['own_reset_ms']:.0f} ms", f"{row['reset_ms']:.0f} ms",
            f"{row['step_ms']:.0f} / {row['step_p90_ms']:.0f} ms",
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write(path: Path, text: str) -> None:
    """Put a text between the marks of a file."""
    before, begin, rest = path.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} has no marks {BEGIN} and {END}")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=6, help="episodes of each application")
    parser.add_argument("--write", type=Path, help="put the table into this Markdown file")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    console, rows = Console(stderr=True), []
    for name, recipe in applications.recipes().items():
        if recipe.missing:
            console.print(f"left out: {recipe.missing}")
            continue
        rows.append(loop_thread().run(measured(name, arguments.episodes)))
    print(table(rows))
    if arguments.write:
        write(arguments.write, table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
