"""All statistics of an evaluation: success with intervals, by task and over all, and paired comparisons.

Two rates are always given. `success` leaves out the episodes in which the machinery failed (`fault`); an episode that the agent's
own action killed twice (`agent_caused`) stays in, as no success, so that crashing a page is no way out of failing.
`success_strict` counts every episode, faults as failures.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from webgym.errors import UsageError
from webgym.types import Trajectory

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, Group
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds of a confidence interval."""

    low: float
    high: float

    def overlaps(self, other: "Interval") -> bool:
        return self.low <= other.high and other.low <= self.high


def wilson(successes: int, episodes: int, confidence: float = 0.95) -> Interval:
    """The score interval of a binomial proportion (Wilson 1927, no continuity correction); [0, 1] for no episodes.

    With p = successes/episodes and z the normal quantile: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n).

    >>> interval = wilson(81, 263)
    >>> f"{interval.low:.4f} {interval.high:.4f}"
    '0.2553 0.3662'
    """
    if not 0 <= successes <= episodes:
        raise ValueError(f"expected 0 <= successes <= episodes, got {successes} of {episodes}")
    if episodes == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p, shrink = successes / episodes, 1 + z * z / episodes
    centre = (p + z * z / (2 * episodes)) / shrink
    half = z * math.sqrt(p * (1 - p) / episodes + z * z / (4 * episodes**2)) / shrink
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == episodes else centre + half
    return Interval(low, high)


def clustered_bootstrap(
    clusters: Sequence[Sequence[float]], confidence: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval | None:
    """Percentile interval for the pooled mean when whole clusters (tasks) are drawn with replacement.

    It answers: how far would the rate move on other tasks of this kind? (Episodes of one task are not independent evidence.)
    None where it cannot tell: for fewer than two clusters, and when all have the same mean.
    """
    filled = [c for c in clusters if len(c)]
    if len(filled) < 2:
        return None
    if len({math.fsum(c) / len(c) for c in filled}) == 1:
        return None
    import numpy as np

    sums = np.array([math.fsum(c) for c in filled])
    sizes = np.array([len(c) for c in filled])
    picks = np.random.default_rng(seed).integers(len(filled), size=(draws, len(filled)))
    means = sums[picks].sum(1) / sizes[picks].sum(1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def mcnemar(wins: int, losses: int) -> float:
    """Two-sided exact p-value that wins and losses are equally likely (McNemar's test; the sign test). 1 when there are none.

    p = min(1, 2 Σ_{i ≤ min(wins, losses)} C(n, i) / 2ⁿ), n = wins + losses.
    """
    n = wins + losses
    tail = sum(math.comb(n, i) for i in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / 2**n)


# --- report --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one task (or of all). Means are over episodes without faults; NaN where there are none.

    `interval` is Wilson's for `success`, `strict_interval` for `success_strict`. `invalid_actions` is the share of turns whose text
    was no action, `failed_actions` the share whose action did not work (those included). `success_partial` also counts an episode to
    which the page gave a part of its score (`raw_reward` above 0), as figures published with BrowserGym do.
    """

    name: str
    episodes: int
    successes: int
    faults: int
    agent_caused: int
    success: float
    interval: Interval
    success_strict: float
    strict_interval: Interval
    success_partial: float
    partial_interval: Interval
    mean_reward: float
    mean_turns: float
    invalid_actions: float
    failed_actions: float
    retries: int
    faults_met: Mapping[str, int]  # by kind (webgym.errors.FAULTS), those that a retry mended included
    outcomes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Pair:
    """A task that can be done and its twin that cannot, on the same seeds and so with the same goals: solved where both are.

    A policy that always gives up solves half of the episodes and none of the pairs. `pairs` counts those without faults of the machinery;
    `interval` is Wilson's for `success`.
    """

    name: str
    pairs: int
    solved: int
    success: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class FaultReason:
    """Reason for faults: the episodes that it ended, and the message of the first. Neither seeds and turns nor logs tell reasons apart."""

    faults: int
    message: str

    @property
    def line(self) -> str:
        """The reason in a line."""
        return f"{self.faults} fault{'s' if self.faults > 1 else ''}: {_reason(self.message)}"


MOST_REASONS = 5
"""Reasons for faults below a table."""


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation: one row per task (or other group), one over all, the :func:`clustered_bootstrap` over tasks, and pairs of twins.

    `on_pages` names the rows whose success is decided by pages, which agents can write to (`trust: page`); they stand apart in the table.
    `by_trust` has the figures of both kinds, "state" and "page", where any task is of the second. `fault_reasons` come the most frequent
    first.
    """

    rows: tuple[Row, ...]
    overall: Row
    task_interval: Interval | None
    pairs: tuple[Pair, ...] = ()
    on_pages: frozenset[str] = frozenset()
    by_trust: tuple[Row, ...] = ()
    fault_reasons: tuple[FaultReason, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data; NaN as null."""
        return {
            "overall": _plain(asdict(self.overall)),
            "task_interval": None if self.task_interval is None else asdict(self.task_interval),
            "rows": [_plain(asdict(row)) for row in self.rows],
            "pairs": [_plain(asdict(pair)) for pair in self.pairs],
            "on_pages": sorted(self.on_pages),
            "by_trust": {row.name: _plain(asdict(row)) for row in self.by_trust},
            "fault_reasons": [asdict(reason) for reason in self.fault_reasons],
        }

    def table(self, title: str = "") -> "Group":
        """A Rich table, and below it the reasons for faults, a line each; print it with a Rich console."""
        from rich.console import Group
        from rich.text import Text

        lines = [reason.line for reason in self.fault_reasons[:MOST_REASONS]]
        if more := sum(reason.faults for reason in self.fault_reasons[MOST_REASONS:]):
            lines.append(f"{more} for other reasons")
        return Group(self._figures(title), *(Text(line, no_wrap=True, overflow="ellipsis") for line in lines))

    def _figures(self, title: str) -> "Table":
        """The table. Faults, and in brackets those that agents caused, are shown where there were any."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        faulted = self.overall.faults + self.overall.agent_caused > 0
        table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("task")
        for heading in ("episodes", "success", "95% interval", "turns", "invalid", *(("strict", "faults") if faulted else ())):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in (row for row in self.rows if row.name not in self.on_pages):
            table.add_row(*_cells(row, faulted))
        if self.on_pages:
            table.add_section()
            table.add_row(_Name("decided by pages (trust: page):"))
        for row in (row for row in self.rows if row.name in self.on_pages):
            table.add_row(*_cells(row, faulted))
        table.add_section()
        for row in self.by_trust if len(self.by_trust) > 1 else ():
            table.add_row(*_cells(replace(row, name=f"all of trust: {row.name}"), faulted))
        table.add_row(*_cells(self.overall, faulted), style="bold")
        if self.overall.success_partial != self.overall.success and not math.isnan(self.overall.success_partial):
            partial = self.overall
            table.add_row("with partial scores", "", _percent(partial.success_partial), _range(partial.partial_interval))
        if self.task_interval is not None:
            table.add_row("interval over tasks", "", "", _range(self.task_interval))
        if self.pairs:
            table.add_section()
        for pair in self.pairs:
            table.add_row(_Name(f"pair {pair.name}"), str(pair.pairs), _percent(pair.success), _range(pair.interval))
        return table


class _Name:
    """A task's name in a table, which is broken behind its hyphens, dots and spaces only, however narrow the table is."""

    def __init__(self, text: str) -> None:
        self._parts = re.findall(r"[^-. ]*[-. ]?", text)[:-1]

    def __rich_measure__(self, console: Any, options: Any) -> Any:
        from rich.measure import Measurement

        return Measurement(max(map(len, self._parts), default=0), sum(map(len, self._parts)))

    def __rich_console__(self, console: Any, options: "ConsoleOptions") -> Iterator[str]:
        line = ""
        for part in self._parts:
            if line and len(line + part) > options.max_width:
                yield line
                line = ""
            line += part
        yield line


def _cells(row: Row, faulted: bool) -> list[Any]:
    """A row of the table; what faults did is shown only where there were any."""
    faults = f"{row.faults + row.agent_caused}" + (f" ({row.agent_caused})" if row.agent_caused else "")
    return [
        _Name(row.name),
        str(row.episodes),
        _percent(row.success),
        _range(row.interval),
        "–" if math.isnan(row.mean_turns) else f"{row.mean_turns:.1f}",
        _percent(row.invalid_actions),
        *((_percent(row.success_strict), faults) if faulted else ()),
    ]


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f}%"


def _range(interval: Interval) -> str:
    return f"{100 * interval.low:.1f} … {100 * interval.high:.1f}%"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def report(
    trajectories: Iterable[Trajectory],
    *,
    by: Callable[[Trajectory], str] = lambda trajectory: trajectory.key.task_id,
    twins: Iterable[tuple[str, str]] = (),
    on_pages: Collection[str] = (),
    confidence: float = 0.95,
    seed: int = 0,
) -> Report:
    """The figures of an evaluation; `by` names the row of a trajectory (its task, its split ...), rows are sorted by name.

    `twins` are the ids of tasks that are scored in pairs (:class:`Pair`). `on_pages` are the ids of tasks whose pages decide, and a row
    with any of these is one of `Report.on_pages`. `seed` fixes the bootstrap. Tasks stay the clusters of the bootstrap for every `by`.
    """
    given = list(trajectories)
    named: dict[str, list[Trajectory]] = {}
    clusters: dict[str, list[float]] = {}
    for trajectory in given:
        named.setdefault(by(trajectory), []).append(trajectory)
        if trajectory.outcome.kind != "fault":
            clusters.setdefault(trajectory.key.task_id, []).append(float(trajectory.outcome.success))
    rows = tuple(row_of(name, named[name], confidence) for name in sorted(named))
    spread = clustered_bootstrap([clusters[task] for task in sorted(clusters)], confidence, seed=seed)
    pairs = tuple(pair_of(first, second, given, confidence) for first, second in twins)
    kinds = {"state": [t for t in given if t.key.task_id not in on_pages], "page": [t for t in given if t.key.task_id in on_pages]}
    by_trust = tuple(row_of(kind, found, confidence) for kind, found in kinds.items() if found) if kinds["page"] else ()
    apart = frozenset(by(trajectory) for trajectory in kinds["page"])
    return Report(rows, row_of("all", given, confidence), spread, pairs, apart, by_trust, fault_reasons(given))


def fault_reasons(trajectories: Iterable[Trajectory]) -> tuple[FaultReason, ...]:
    """The reasons why episodes ended in faults, the most frequent first."""
    messages: dict[str, list[str]] = {}
    for trajectory in trajectories:
        if trajectory.outcome.faulted and trajectory.outcome.message.strip():
            messages.setdefault(_reason(trajectory.outcome.message), []).append(trajectory.outcome.message)
    return tuple(FaultReason(len(found), found[0]) for found in sorted(messages.values(), key=len, reverse=True))


def _reason(message: str) -> str:
    """The first line of a fault's message, without seed and turn.

    >>> _reason("the oracle of a.b failed on seed 3, turn 2: LookupError: no Tea\\nits log: ...")
    'the oracle of a.b failed: LookupError: no Tea'
    """
    first = message.strip().splitlines()[0]
    return re.sub(r" (on seed \d+(, turn \d+)?|\(seed \d+\)|at turn \d+)", "", first)


def row_of(name: str, trajectories: Sequence[Trajectory], confidence: float = 0.95) -> Row:
    """The figures of these trajectories together."""
    outcomes = Counter(t.outcome.kind for t in trajectories)
    counted = len(trajectories) - outcomes["fault"]
    whole = [t for t in trajectories if not t.outcome.faulted]
    turns = [turn for t in trajectories for turn in t.turns]
    successes = outcomes["success"]
    partial = sum(t.outcome.success or (not t.outcome.faulted and t.outcome.raw_reward > 0) for t in trajectories)
    return Row(
        name=name,
        episodes=len(trajectories),
        successes=successes,
        faults=outcomes["fault"],
        agent_caused=outcomes["agent_caused"],
        success=_share(successes, counted),
        interval=wilson(successes, counted, confidence),
        success_strict=_share(successes, len(trajectories)),
        strict_interval=wilson(successes, len(trajectories), confidence),
        success_partial=_share(partial, counted),
        partial_interval=wilson(partial, counted, confidence),
        mean_reward=_share(math.fsum(t.outcome.reward for t in whole), len(whole)),
        mean_turns=_share(sum(len(t) for t in whole), len(whole)),
        invalid_actions=_share(sum(turn.action == "" for turn in turns), len(turns)),
        failed_actions=_share(sum(turn.error != "" for turn in turns), len(turns)),
        retries=sum(t.outcome.retries for t in trajectories),
        faults_met=dict(sorted(Counter(kind for t in trajectories for kind in t.outcome.faults).items())),
        outcomes=dict(sorted(outcomes.items())),
    )


def pair_of(first: str, second: str, trajectories: Iterable[Trajectory], confidence: float = 0.95) -> Pair:
    """Figures of two tasks that must both be solved on one seed. The n-th episode of one there goes with the n-th of the other.

    An episode in which the machinery failed takes its pair out; one that the agent's own action killed is not solved.
    """
    played: dict[str, dict[int, list[Trajectory]]] = {first: {}, second: {}}
    for trajectory in trajectories:
        if trajectory.key.task_id in played:
            played[trajectory.key.task_id].setdefault(trajectory.key.seed, []).append(trajectory)
    both = [pair for seed, found in played[first].items() for pair in zip(found, played[second].get(seed, ()), strict=False)]
    whole = [pair for pair in both if all(one.outcome.kind != "fault" for one in pair)]
    solved = sum(all(one.outcome.success for one in pair) for pair in whole)
    return Pair(f"{first} + {second}", len(whole), solved, _share(solved, len(whole)), wilson(solved, len(whole), confidence))


def _share(part: float, whole: int) -> float:
    return part / whole if whole else math.nan


# --- comparison ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two evaluations on the same (task, seed) pairs; `difference` is second minus first, over the pairs.

    Where a pair has several episodes on a side, its success there is their mean. `wins` are pairs on which the second is better.
    `interval` is the bootstrap's over tasks (over pairs when there is one task only, None where it cannot tell), `p_value` is
    McNemar's exact one. `dropped` counts pairs that one side lacks, or has only faults for.
    """

    pairs: int
    dropped: int
    first: float
    second: float
    difference: float
    interval: Interval | None
    wins: int
    losses: int
    p_value: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return _plain(asdict(self))

    def sentence(self) -> str:
        """The comparison in words."""
        low_high = self.interval and f", 95% interval {100 * self.interval.low:+.1f} … {100 * self.interval.high:+.1f}"
        change = f"{_percent(self.first)} → {_percent(self.second)} on {self.pairs} shared seeds"
        result = f"{self.wins} won, {self.losses} lost, p = {self.p_value:.3g}"
        return f"{change}: {100 * self.difference:+.1f} points{low_high or ''}; {result}"


def compare(first: Iterable[Trajectory], second: Iterable[Trajectory], *, confidence: float = 0.95, seed: int = 0) -> Comparison:
    """The paired comparison of two evaluations. Raises UsageError when they share no (task, seed)."""
    a, b = _by_instance(first), _by_instance(second)
    shared = sorted(a.keys() & b.keys())
    if not shared:
        raise UsageError("nothing to compare: the two evaluations share no task and seed without faults")
    differences = {key: b[key] - a[key] for key in shared}
    tasks: dict[str, list[float]] = {}
    for (task_id, _), difference in differences.items():
        tasks.setdefault(task_id, []).append(difference)
    clusters = list(tasks.values()) if len(tasks) > 1 else [[d] for d in differences.values()]
    wins = sum(d > 0 for d in differences.values())
    losses = sum(d < 0 for d in differences.values())
    return Comparison(
        pairs=len(shared),
        dropped=len(a.keys() | b.keys()) - len(shared),
        first=math.fsum(a[key] for key in shared) / len(shared),
        second=math.fsum(b[key] for key in shared) / len(shared),
        difference=math.fsum(differences.values()) / len(shared),
        interval=clustered_bootstrap(clusters, confidence, seed=seed),
        wins=wins,
        losses=losses,
        p_value=mcnemar(wins, losses),
    )


def _by_instance(trajectories: Iterable[Trajectory]) -> dict[tuple[str, int], float]:
    """Mean success for each (task, seed), machinery faults left out."""
    found: dict[tuple[str, int], list[bool]] = {}
    for t in trajectories:
        if t.outcome.kind != "fault":
            found.setdefault((t.key.task_id, t.key.seed), []).append(t.outcome.success)
    return {key: sum(successes) / len(successes) for key, successes in found.items()}
