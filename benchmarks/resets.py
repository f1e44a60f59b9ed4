"""What a reset costs, and what of an ended episode reaches the next one.

    make bench-resets [ARGS='--before ../main --resets 60 --attack 500']
    python -m benchmarks.resets [--before TREE] [--resets 60] [--packs shop mail] [--attack 500] [--sessions 4] [--ledger FILE]
        [--json FILE] [--strict]

Resets: one process for each side plays the same episodes, one after another in turns, so that all sides see the same machine. The sides
are `reused` (this tree: a context is used again where nothing can go over), `fresh` (this tree with a context for each episode, opened
while the last one is played) and, with `--before`, the tree of another commit. `ratio` is the median, over episodes, of a side's time over
that of the first side, `before` or else `reused`, with its 95% interval over episodes drawn anew. The bar is 1.1: it is met by the upper
end, missed by the lower one, and undecided in between. Packs take turns, so that half of the resets go to another host, which takes about
twice as long: both kinds have rows of their own.

Attack: sessions play pages of `benchmarks.traps` at the same time, and one plain page in four. Each page tries to reach the next episode
of its session by requests or by what it stores. `foreign` counts what came, by what it is (bar: 0), `renewed` the resets that needed
another context, by the reason. With a ledger, the attack is kept in parts of 250 resets, and one that was cut off goes on where it was.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.traps import KINDS, Trap, task_of
from webgym.env.core import AsyncWebEnv
from webgym.errors import Fault
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.record.lines import Records
from webgym.record.whole import append_line
from webgym.types import Click, Wait

ROOT = Path(__file__).parents[1]
PACKS = {"miniwob": 12, "shop": 2, "mail": 2, "travel": 2, "wizard": 2}  # tasks of each, drawn by the seed
OTHER, SAME = "(another host)", "(the same host)"
PART = 250  # resets of an attack that are kept together
TURNS = 3  # of an episode between two resets
BAR = 1.1


# --- resets ----------------------------------------------------------------------------------------------------------------


class Side:
    """A process that plays episodes of one tree."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._pack = ""  # of the last episode
        self.resets: dict[str, list[float]] = {}  # milliseconds by pack, and by whether the host is another one
        self.steps: list[float] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, tree: Path, *arguments: str) -> AsyncIterator["Side"]:
        """A side of one's own; it ends with the context."""
        script, pipe = ROOT / "benchmarks/resets_worker.py", asyncio.subprocess.PIPE
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(script), *arguments, cwd=tree, env=environment, stdin=pipe, stdout=pipe
        )
        try:
            yield cls(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()

    async def play(self, task_id: str, seed: int, kept: bool) -> None:
        """One episode, whose times are `kept`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([task_id, seed, TURNS]).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a side ended while it played {task_id}, seed {seed}")
        reset_ms, steps = json.loads(line)
        pack = task_id.partition(".")[0]
        if kept:
            for kind in (pack, OTHER if pack != self._pack else SAME):
                self.resets.setdefault(kind, []).append(reset_ms)
            self.steps += steps
        self._pack = pack


def drawn(seed: int, packs: Sequence[str]) -> list[str]:
    """Tasks with oracles of these packs."""
    rng, chosen = random.Random(seed), []
    for pack in packs:
        known = [found for found in registry.task_ids() if found.startswith(f"{pack}.") and registry.task(found).oracle is not None]
        chosen += rng.sample(known, min(PACKS[pack], len(known)))
    return chosen


async def compare(before: Path | None, resets: int, seed: int, packs: Sequence[str], tell: Callable[[str], None]) -> dict[str, Any]:
    """Figures of resets by side."""
    wanted: dict[str, tuple[Path, tuple[str, ...]]] = {"reused": (ROOT, ()), "fresh": (ROOT, ("fresh",))}
    if before is not None:
        wanted = {"before": (before.resolve(), ()), **wanted}
    async with contextlib.AsyncExitStack() as stack:
        sides = {name: await stack.enter_async_context(Side.started(tree, *more)) for name, (tree, more) in wanted.items()}
        tasks = drawn(seed, packs)
        for task_id in tasks:  # the browsers start, the first host of each pack is opened
            for side in sides.values():
                await side.play(task_id, 0, kept=False)
        for number in range(resets):
            tell(f"resets: {number} of {resets} rounds")
            names = list(sides)
            for task_id in tasks:
                names = names[1:] + names[:1]
                for name in names:
                    await sides[name].play(task_id, 1 + number, kept=True)
    return summed(sides)


def summed(sides: dict[str, Side]) -> dict[str, Any]:
    """p50, p90 and ratios by side and pack."""
    first = next(iter(sides.values()))
    found: dict[str, Any] = {}
    for name, side in sides.items():
        packs = {kind: _figures(times, first.resets[kind]) for kind, times in sorted(side.resets.items())}
        every, all_first = ([ms for kind in (OTHER, SAME) for ms in one.resets.get(kind, ())] for one in (side, first))
        found[name] = {"resets_ms": {**packs, "all": _figures(every, all_first)}, "steps_ms": _figures(side.steps, first.steps)}
    return found


def _figures(times: Sequence[float], first: Sequence[float]) -> dict[str, Any]:
    p50, p90 = np.quantile(times, (0.5, 0.9))
    found = {"p50": round(float(p50), 2), "p90": round(float(p90), 2), "n": len(times)}
    if len(times) != len(first):
        raise RuntimeError(f"sides that play the same episodes have as many times: expected {len(first)}, got {len(times)}")
    drawn = np.random.default_rng(0).integers(len(times), size=(2000, len(times)))
    ratios = np.array(times) / np.array(first)
    low, high = np.quantile(np.median(ratios[drawn], axis=1), (0.025, 0.975))
    return {**found, "ratio": round(float(np.median(ratios)), 3), "low": round(float(low), 3), "high": round(float(high), 3)}


# --- attack ----------------------------------------------------------------------------------------------------------------


class Reasons(logging.Handler):
    """Counts why episodes got another context, as the session logs it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.counts: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg.startswith("an episode gets another profile"):
            self.counts[str(record.args[0]) if isinstance(record.args, tuple) else ""] += 1


def attacked(resets: int, sessions: int, seed: int, ledger: Path | None, tell: Callable[[str], None]) -> dict[str, Any]:
    """What reached an episode that was not its own, over so many resets, those of a ledger included."""
    kept = [] if ledger is None else Records(ledger).refresh()
    parts = [part for part in kept if (part["sessions"], part["seed"]) == (sessions, seed)]
    while (begin := sum(part["resets"] for part in parts)) < resets:
        count = min(PART, resets - begin)
        parts.append(loop_thread().run(attack(range(begin, begin + count), sessions, seed, tell)))
        if ledger is not None:
            append_line(ledger, json.dumps(parts[-1]))
    counts = {name: dict(sum((Counter(part[name]) for part in parts), Counter())) for name in ("foreign", "faults", "renewed")}
    sums = {name: sum(part[name] for part in parts) for name in ("resets", "own", "reported")}
    times = [ms for part in parts for ms in part["times"]]
    return {**sums, **counts, "sessions": sessions, "resets_ms": _figures(times, times)}


async def attack(
    numbers: range, sessions: int, seed: int, tell: Callable[[str], None], kinds: Sequence[str] = tuple(KINDS)
) -> dict[str, Any]:
    """What reached an episode that was not its own, in the resets of these numbers."""
    trap, reasons, left = Trap(), Reasons(), iter(numbers)
    tasks = {kind: task_of(kind) for kind in KINDS}
    registry.register(tasks["plain"], sites=[trap])
    by_id = {task.id: task for task in tasks.values()}
    logger = logging.getLogger("webgym.backends.browser.session")
    logger.addHandler(reasons)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    times: list[float] = []
    faults: Counter[str] = Counter()

    async def play(number: int) -> None:
        rng, env = random.Random(f"{seed} {numbers.start} {number}"), AsyncWebEnv(find=by_id.__getitem__)
        for done in left:
            kind = "plain" if rng.random() < 0.25 else rng.choice(kinds)
            if not done % 50:
                tell(f"attack: reset {done}, {sum(trap.foreign.values())} foreign since {numbers.start}")
            begun = time.perf_counter()
            try:
                page = await env.reset(tasks[kind].id, done)
                times.append(1e3 * (time.perf_counter() - begun))
                button = next((node.ref for node in page.nodes if node.text == "press"), None)
                if button is not None and rng.random() < 0.7:
                    await env.step(Click(button))
                await env.step(Wait(rng.choice((1, 100))))
            except Fault as fault:
                faults[f"{kind}: {fault}"[:120]] += 1
                await env.close()
            await asyncio.sleep(rng.choice((0, 0, 0.05)))  # a policy thinks
        await env.close()

    try:
        await asyncio.gather(*(play(number) for number in range(sessions)))
    finally:
        registry._remove(tasks["plain"].id)
        logger.removeHandler(reasons)
        logger.setLevel(level)
    return {
        "resets": len(numbers), "sessions": sessions, "seed": seed, "foreign": trap.foreign, "own": trap.own, "reported": trap.seen,
        "faults": dict(faults), "renewed": dict(reasons.counts), "times": [round(ms, 1) for ms in times],
    }  # fmt: skip


# --- figures ---------------------------------------------------------------------------------------------------------------


def tables(found: dict[str, Any]) -> list[Table]:
    """The figures, for people."""
    shown = []
    if "sides" in found:
        table = Table("side", "pack", "p50 ms", "p90 ms", "ratio", "n", title="Resets")
        for name, figures in found["sides"].items():
            rows = {**figures["resets_ms"], "(a step)": figures["steps_ms"]}
            for pack, of in rows.items():
                between = f"{of['ratio']:.2f} [{of['low']:.2f}, {of['high']:.2f}]"
                table.add_row(name, pack, f"{of['p50']:.1f}", f"{of['p90']:.1f}", between, str(of["n"]))
        shown.append(table)
    if "attack" in found:
        table = Table("", "", title="Attack")
        for key, value in found["attack"].items():
            table.add_row(key, json.dumps(value) if isinstance(value, dict) else str(value))
        shown.append(table)
    return shown


def missed(found: dict[str, Any]) -> list[str]:
    """The bars that were missed, in words."""
    words = []
    if "before" in found.get("sides", {}):
        side = found["sides"]["reused"]
        rows = {**{f"resets of {pack}": of for pack, of in side["resets_ms"].items()}, "steps": side["steps_ms"]}
        for name, of in rows.items():
            if of["high"] > BAR:
                judged = "missed" if of["low"] > BAR else "undecided"
                words.append(f"{name}: {of['low']:.2f} to {of['high']:.2f} times as long as before, bar {BAR}: {judged}")
    if "attack" in found and found["attack"]["foreign"]:
        words.append(f"an ended episode reached another one: {found['attack']['foreign']}")
    if "attack" in found and not (found["attack"]["own"] and found["attack"]["reported"]):
        words.append("the attack did not take place: no page sent anything to its own episode")
    return words


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="what a reset costs, and what of an ended episode reaches the next one")
    parser.add_argument("--before", type=Path, help="a tree of another commit, to compare with")
    parser.add_argument("--resets", type=int, default=10, help="rounds of resets over all tasks; 0 for none")
    parser.add_argument("--packs", nargs="+", choices=PACKS, default=list(PACKS), help="packs whose resets are compared")
    parser.add_argument("--attack", type=int, default=300, help="resets under attack; 0 for none")
    parser.add_argument("--sessions", type=int, default=4, help="sessions that are attacked at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ledger", type=Path, help="a file of the parts of the attack: one that was cut off goes on")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a bar is missed")
    given = parser.parse_args()
    console = Console(stderr=True)
    found: dict[str, Any] = {}
    with console.status("") as status:
        if given.resets:
            found["sides"] = asyncio.run(compare(given.before, given.resets, given.seed, given.packs, status.update))
        if given.attack:
            found["attack"] = attacked(given.attack, given.sessions, given.seed, given.ledger, status.update)
    found["missed"] = missed(found)
    for table in tables(found):
        Console(width=140).print(table)
    for words in found["missed"]:
        console.print(words)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2), "utf-8")
    if given.strict and found["missed"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
