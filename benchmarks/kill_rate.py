"""Episodes a second while something is killed once a minute, beside those of calm minutes.

    python -m benchmarks.kill_rate [--pairs 15] [--seconds 60] [--sessions 4] [--seed 0]
        [--ledger FILE] [--write docs/faults.md] [--json FILE]

Oracles play MiniWoB++, a site with state and an application in a process of its own. A pair plays the same episodes twice, once calmly and
once with SIGKILL for one process every minute, drawn by seed: the browser, a renderer, its graphics process, the driver, the
application. Which comes first changes from pair to pair. All episodes must end as they do on a calm day. The bar: the lower end of the 95%
interval of the ratio, over pairs drawn anew, is at least 0.8. With a ledger, a run that was cut off goes on where it was.
"""

import argparse
import json
import logging
import os
import random
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks import marks
from benchmarks.chaos import CALM_TASKS, PROCESSES, shape, strike, tasks
from webgym.packs import registry
from webgym.policies.scripted import OraclePolicy
from webgym.record.lines import Records
from webgym.record.whole import append_line
from webgym.rollout.arena import Arena
from webgym.types import EpisodeKey, Trajectory

BEGIN, END = "<!-- kills: begin -->", "<!-- kills: end -->"
MINUTE_S = 60.0
BAR = 0.8


@dataclass(frozen=True)
class Pair:
    """The same episodes, calm and struck."""

    episodes: int
    calm_s: float
    struck_s: float
    killed: Mapping[str, int]
    retries: int
    faults: int
    """Episodes that came to no end, calm ones too."""
    other: int
    """Episodes that came to another end than on a calm day."""
    differences: Sequence[str] = ()
    """What these differ in."""

    @property
    def ratio(self) -> float:
        """Episodes a second when struck, in units of those when calm."""
        return self.calm_s / self.struck_s


def keys(begin: int, count: int) -> list[EpisodeKey]:
    """Episodes of all tasks in turn."""
    return [EpisodeKey(CALM_TASKS[n % len(CALM_TASKS)], 100 + n % 97, group=n) for n in range(begin, begin + count)]


@contextmanager
def struck(rng: random.Random, killed: Counter[str]) -> Iterator[None]:
    """Kill one process below this one in each minute, at a moment drawn at random."""
    over = threading.Event()

    def work() -> None:
        while True:
            moment = rng.uniform(0.0, MINUTE_S)
            if over.wait(moment):
                return
            for kind in rng.sample(sorted(PROCESSES), len(PROCESSES)):
                if strike(os.getpid(), kind, signal.SIGKILL, rng):
                    killed[kind] += 1
                    break
            if over.wait(MINUTE_S - moment):
                return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def pair(arena: Arena, number: int, count: int, rng: random.Random) -> Pair:
    """Play the same episodes calmly and struck."""
    policy, seconds, found, killed = OraclePolicy(registry.task), {}, {}, Counter[str]()
    for calm in (True, False) if number % 2 else (False, True):
        begun = time.monotonic()
        with nullcontext() if calm else struck(rng, killed):
            found[calm] = arena.collect(policy, keys(number * count, count))
        seconds[calm] = time.monotonic() - begun
    both: list[Sequence[Trajectory]] = [found[True], found[False]]
    others = [(a, b) for a, b in zip(*both, strict=True) if not (a.outcome.faulted or b.outcome.faulted) and shape(a) != shape(b)]
    return Pair(
        episodes=count,
        calm_s=seconds[True],
        struck_s=seconds[False],
        killed=dict(killed),
        retries=sum(one.outcome.retries for one in found[False]),
        faults=sum(one.outcome.faulted for half in both for one in half),
        other=len(others),
        differences=[difference(*two) for two in others],
    )


def difference(calm: Trajectory, struck: Trajectory) -> str:
    """The first thing in which two episodes of one key differ."""
    where = f"{calm.key.task_id} {calm.key.seed}"
    for number, (one, other) in enumerate(zip(calm.turns, struck.turns, strict=False)):
        if one.page != other.page:
            lines = [set(turn.page.splitlines()) for turn in (one, other)]
            return f"{where}, page {number}: {sorted(lines[0] - lines[1])} and {sorted(lines[1] - lines[0])}"
        for name in ("observation_hash", "state_hash", "action", "error"):
            if getattr(one, name) != getattr(other, name):
                return f"{where}, turn {number}, {name}: {getattr(one, name)!r} and {getattr(other, name)!r}"
    ends = [f"{one.outcome.kind} after {len(one.turns)} turns with the faults {one.outcome.faults}" for one in (calm, struck)]
    return f"{where}: {ends[0]}, and {ends[1]}"


def interval(pairs: Sequence[Pair]) -> tuple[float, float, float]:
    """The median ratio, and the ends of its 95% interval over pairs drawn anew."""
    ratios = np.array([one.ratio for one in pairs])
    drawn = np.random.default_rng(0).integers(0, len(ratios), (10_000, len(ratios)))
    low, high = np.quantile(np.median(ratios[drawn], axis=1), (0.025, 0.975))
    return float(np.median(ratios)), float(low), float(high)


def table(pairs: Sequence[Pair], sessions: int) -> str:
    """The figures in Markdown."""
    median, low, high = interval(pairs)
    killed = sum((Counter(one.killed) for one in pairs), Counter[str]())
    verdict = "met" if low >= BAR else "missed" if high < BAR else "undecided"
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(killed.items()))
    lines = [
        "| what | figure |",
        "|---|---|",
        f"| pairs, sessions | {len(pairs)}, {sessions} |",
        f"| episodes of each half | {sum(one.episodes for one in pairs)} |",
        f"| seconds calm, struck (median of a pair) | {statistics.median(one.calm_s for one in pairs):.0f}, "
        f"{statistics.median(one.struck_s for one in pairs):.0f} |",
        f"| processes killed | {killed.total()}: {kinds} |",
        f"| episodes begun again | {sum(one.retries for one in pairs)} |",
        f"| faults, other ends than on a calm day | {sum(one.faults for one in pairs)}, {sum(one.other for one in pairs)} |",
        f"| episodes a second, struck / calm | {median:.2f} [{low:.2f}, {high:.2f}] |",
        f"| bar: lower end at least {BAR} | {verdict} |",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=60.0, help="about the length of the calm half of a pair")
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ledger", type=Path, help="a file of the pairs that were played: a run that was cut off goes on from there")
    parser.add_argument("--write", type=Path, help="put the table into this page")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    ledger: Path | None = arguments.ledger
    pairs = [] if ledger is None else [Pair(**row) for row in Records(ledger).refresh()]
    rng = random.Random(f"{arguments.seed} {len(pairs)}")
    with tasks(), Arena(arguments.sessions) as arena:
        policy, warm = OraclePolicy(registry.task), 8 * arguments.sessions
        arena.collect(policy, keys(0, warm))
        begun = time.monotonic()
        arena.collect(policy, keys(0, warm))
        count = max(warm, round(warm * arguments.seconds / (time.monotonic() - begun)))
        for number in range(len(pairs) + 1, arguments.pairs + 1):
            pairs.append(pair(arena, number, count, rng))
            if ledger is not None:
                append_line(ledger, json.dumps(asdict(pairs[-1])))
            print(f"pair {number}: {pairs[-1]}, ratio {pairs[-1].ratio:.2f}", file=sys.stderr, flush=True)
    written = table(pairs, arguments.sessions)
    print(written)
    result = {"pairs": [asdict(one) for one in pairs], "ratio": interval(pairs), "sessions": arguments.sessions}
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.write:
        marks.put(arguments.write, BEGIN, END, f"\n{written}\n")
    raise SystemExit(bool(sum(one.faults + one.other for one in pairs)))


if __name__ == "__main__":
    main()
