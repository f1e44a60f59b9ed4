"""The time of an iteration on many machines, by a small simulation of queues; for choosing how many of which.

An episode alternates between two stations until its turns are over: the processors of the collectors, and the generation servers. Each
station serves all who are there at once. One alone runs at full speed; where more are there than it has places for, all slow down alike:

    page          page_s seconds a turn alone, of which the processors work cpu_s: places = cores × page_s / cpu_s
    generation    new prompt tokens × 2 N / F + answer × token_s seconds a turn alone, with N parameters, F floating-point operations a
                  second, and token_s the time of a decoding step, in which all weights are read once (N b / bandwidth + step_s);
                  places = token_s × F / 2 N for each server: that many decode at once before arithmetic binds

The update takes (6 × epochs + 2) N a token at F a learner. Batches follow one another as the trainer has them (`rollout.staleness`).
Sessions wait for the last episode of a batch. Rates are measured ones: a run's own where one is given (:meth:`Rates.of_run`), else those of
`webgym bench step` on two cores, and for GPUs the makers' figures by `GPU_PART`, which no run of many GPUs has confirmed.
"""

import heapq
import math
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from webgym.errors import ConfigError

GPU_FLOPS, GPU_BANDWIDTH = 990e12, 3.35e12
"""An H100's operations a second in 16 bits, and bytes a second from its memory (NVIDIA's data sheet)."""
GPU_PART = 0.33
"""Part of both that a program gets."""
SPREAD = 0.35
"""Standard deviation of the logarithm of an episode's number of turns."""
ITERATIONS = 8
"""Iterations that are simulated; the mean of the second half counts."""
MOST_TURNS = 10_000_000
"""Turns that are simulated at most, which take a minute or two."""
MOST = {
    "parameters": 1e14, "generators": 1e5, "learners": 1e5, "cores": 1e7, "sessions": 1e7, "groups": 1e6, "group_size": 1e6, "turns": 1e4,
    "prompt": 1e7, "answer": 1e7,
}  # fmt: skip
"""The largest figures of a fleet."""
PAGE_S, CPU_S, SESSION_MB = 0.0196, 0.031, 22.4
"""Wall and processor seconds of a turn with one session, and memory of one of 32 (docs/lab-notes/environment-speed.md, 27 November)."""


@dataclass(frozen=True)
class Rates:
    """Speeds of the machines. `flops` and `bandwidth` are those of one GPU, or of the processors where there is none."""

    page_s: float = PAGE_S
    cpu_s: float = CPU_S
    session_mb: float = SESSION_MB
    flops: float = GPU_FLOPS * GPU_PART
    bandwidth: float = GPU_BANDWIDTH * GPU_PART
    step_s: float = 0.003  # of a decoding step besides reading weights: launches and sampling
    publish_s: float = 2.0  # of new weights besides their bytes
    network: float = 1e9  # bytes a second of weights on their way to the servers
    alone: tuple[float, float] | None = None  # seconds of a turn's generation alone, and its places, where a run has told them
    update_token_s: float | None = None  # seconds of the update for each token, where a run has told them

    @classmethod
    def of_run(cls, rows: Sequence[Mapping[str, float]], prompt: float, answer: float, sessions: int, cores: int) -> "Rates":
        """The rates of a run that was played with one session: nothing waits there, so its seconds are those of one alone.

        `rows` are its metrics. Its stations are taken for ones with as many places as cores. Raises ConfigError for another run.
        """
        rows = [row for row in rows if "time/iteration_s" in row]
        if not rows or sessions != 1:
            raise ConfigError(f"expected a run with machine.sessions=1, whose turns wait for nothing; got {sessions} and {len(rows)} rows")
        turns = sum(row["rollout/turns"] * row["rollout/episodes"] for row in rows)
        page_s, generation_s = (sum(row[name] for row in rows) / turns for name in ("time/browser_s", "time/sampling_s"))
        tokens = turns * (prompt + answer)
        publish_s = statistics.fmean(row.get("time/publish_s", 0.0) for row in rows)
        update_s = sum(row["time/update_s"] + row.get("time/critic_s", 0.0) for row in rows)
        return cls(
            page_s=page_s, cpu_s=page_s, publish_s=publish_s, network=math.inf, alone=(generation_s, float(cores)),
            update_token_s=update_s / tokens,
        )  # fmt: skip


@dataclass(frozen=True)
class Fleet:
    """Machines and batches. `generators` and `learners` are GPUs; with none at all, the processors of one machine do everything."""

    parameters: float
    generators: int = 1
    learners: int = 1
    cores: int = 16
    sessions: int = 64
    groups: int = 16
    group_size: int = 8
    turns: float = 15.0
    prompt: float = 1500.0
    fresh: float = 0.3  # part of a prompt's tokens that no prefix cache holds
    answer: float = 64.0
    epochs: int = 2
    staleness: int = 0
    rates: Rates = field(default_factory=Rates)

    def __post_init__(self) -> None:
        """Raises ConfigError for a figure that no fleet has."""
        for name, most in MOST.items():
            value, least = getattr(self, name), 0 if name in ("generators", "learners") else 1
            if not least <= value <= most:
                raise ConfigError(f"expected {name} to be a number from {least} to {most:,.0f}, got {value!r:.40}")

    @property
    def generation(self) -> tuple[float, float]:
        """Seconds of a turn's generation alone, and the places of all generators together."""
        if self.rates.alone is not None:
            return self.rates.alone
        token_s = self.rates.step_s + 2 * self.parameters / self.rates.bandwidth
        read_s = 2 * self.parameters / self.rates.flops
        return self.prompt * self.fresh * read_s + self.answer * token_s, self.generators * max(1.0, token_s / read_s)

    @property
    def update_s(self) -> float:
        """Seconds of the update of a batch."""
        tokens = self.groups * self.group_size * self.turns * (self.prompt + self.answer)
        if self.rates.update_token_s is not None:
            return tokens * self.rates.update_token_s
        return tokens * (6 * self.epochs + 2) * self.parameters / (self.rates.flops * self.learners)

    @property
    def publish_s(self) -> float:
        """Seconds of new weights on their way."""
        return self.rates.publish_s + 2 * self.parameters / self.rates.network


@dataclass(frozen=True)
class Forecast:
    """The simulated figures of an iteration. Shares are of its time."""

    iteration_s: float
    collect_s: float
    update_s: float
    publish_s: float
    turns_per_s: float
    tokens_per_s: float
    generators_idle: float
    learners_idle: float
    cores_idle: float
    sessions_mb: float

    def lines(self) -> list[str]:
        """The forecast in words."""
        return [
            f"an iteration: {self.iteration_s:.0f} s (collecting {self.collect_s:.0f}, update {self.update_s:.0f}, "
            f"weights {self.publish_s:.1f})",
            f"{self.turns_per_s:.0f} turns/s and {self.tokens_per_s:,.0f} sampled tokens/s while it collects; sessions take "
            f"{self.sessions_mb / 1000:.1f} GB",
            f"idle: generators {self.generators_idle:.0%}, learners {self.learners_idle:.0%}, collectors' processors {self.cores_idle:.0%}",
        ]


class _Station:
    """Serves all jobs at once: each at full speed, or, above its places, at an equal part of them."""

    def __init__(self, places: float) -> None:
        self._places = places
        self._jobs: list[tuple[float, int]] = []  # by the own time at which they end
        self._own = 0.0  # time of a job that has always been here
        self.busy = 0.0  # places × seconds that were used

    @property
    def _speed(self) -> float:
        return min(1.0, self._places / len(self._jobs))

    def enter(self, job: int, work_s: float) -> None:
        heapq.heappush(self._jobs, (self._own + work_s, job))

    @property
    def next_s(self) -> float:
        """Seconds until the next job ends."""
        return (self._jobs[0][0] - self._own) / self._speed if self._jobs else math.inf

    def pass_s(self, seconds: float) -> None:
        if self._jobs:
            self.busy += seconds * min(len(self._jobs), self._places)
            self._own += seconds * self._speed

    def leave(self) -> int:
        return heapq.heappop(self._jobs)[1]


def collected(fleet: Fleet, turns: Sequence[int]) -> tuple[float, float, float]:
    """Seconds in which episodes of these numbers of turns are played, and the shares of processors and generators that work."""
    alone_s, places = fleet.generation
    page_places = max(1e-9, fleet.cores * fleet.rates.page_s / fleet.rates.cpu_s)
    page, generation = _Station(page_places), _Station(places)
    left = list(turns)
    waiting = list(range(len(turns)))[::-1]
    now, under_way = 0.0, 0
    while waiting or under_way:
        while waiting and under_way < fleet.sessions:
            generation.enter(waiting.pop(), alone_s)
            under_way += 1
        first, other = (generation, page) if generation.next_s <= page.next_s else (page, generation)
        step_s = first.next_s
        other.pass_s(step_s)
        first.pass_s(step_s)
        now += step_s
        job = first.leave()
        if first is generation:
            page.enter(job, fleet.rates.page_s)
            continue
        left[job] -= 1
        if left[job]:
            generation.enter(job, alone_s)
        else:
            under_way -= 1
    return now, page.busy / (now * page_places), generation.busy / (now * places)


def forecast(fleet: Fleet, seed: int = 0) -> Forecast:
    """The figures of an iteration, by simulation of some. Raises ConfigError where these are too large to be simulated."""
    _check_turns(fleet, 1)
    drawn, episodes = random.Random(seed), fleet.groups * fleet.group_size
    mean = math.log(fleet.turns) - SPREAD**2 / 2
    batches = [[max(1, round(drawn.lognormvariate(mean, SPREAD))) for _ in range(episodes)] for _ in range(ITERATIONS)]
    played = [collected(fleet, turns) for turns in batches]
    iteration_s = _pipelined([s for s, _, _ in played], fleet.update_s, fleet.publish_s, fleet.staleness)
    collect_s, cores, generators = (statistics.fmean(column) for column in zip(*played, strict=True))
    per_batch = statistics.fmean(map(sum, batches))
    return Forecast(
        iteration_s,
        collect_s,
        fleet.update_s,
        fleet.publish_s,
        per_batch / collect_s,
        per_batch * fleet.answer / collect_s,
        max(0.0, 1 - generators * collect_s / iteration_s),
        max(0.0, 1 - fleet.update_s / iteration_s),
        max(0.0, 1 - cores * collect_s / iteration_s),
        min(fleet.sessions, episodes) * fleet.rates.session_mb,
    )


def _pipelined(collect_s: Sequence[float], update_s: float, publish_s: float, staleness: int) -> float:
    """Mean seconds between the ends of two updates, where batch n may begin when update n − k begins (with k = 0, when n − 1 has ended)."""
    collected_at, begun, ended = [0.0], [0.0], [0.0]
    for number, seconds in enumerate(collect_s, 1):
        allowed = begun[max(0, number - staleness)] if staleness else ended[number - 1]
        collected_at.append(max(collected_at[-1], allowed) + publish_s + seconds)
        begun.append(max(collected_at[-1], ended[-1]))
        ended.append(begun[-1] + update_s)
    half = len(collect_s) // 2
    return (ended[-1] - ended[half]) / (len(ended) - 1 - half)


def split(fleet: Fleet, gpus: int) -> Fleet:
    """The fleet with this number of GPUs shared between generators and learners so that an iteration is shortest.

    Raises ConfigError for fewer than two, because one GPU that does both in turn is a run on one machine (docs/gpu.md), and where there are
    too many shares to be simulated.
    """
    if gpus < 2:
        raise ConfigError(f"expected at least two GPUs, one that generates and one that learns, got {gpus}: for one see docs/gpu.md")
    _check_turns(fleet, gpus - 1)
    choices = [replace(fleet, generators=n, learners=gpus - n) for n in range(1, gpus)]
    return min(choices, key=lambda choice: forecast(choice).iteration_s)


def _check_turns(fleet: Fleet, shares: int) -> None:
    """Raises ConfigError where the simulation for so many shares of the GPUs takes too long."""
    turns = ITERATIONS * fleet.groups * fleet.group_size * fleet.turns * shares
    if turns > MOST_TURNS:
        ways = f", for {shares:,} ways to share the GPUs" if shares > 1 else ""
        raise ConfigError(
            f"expected at most {MOST_TURNS:,} turns to simulate, got {turns:,.0f} ({ITERATIONS} iterations of {fleet.groups:,} × "
            f"{fleet.group_size:,} episodes of {fleet.turns:g} turns{ways}): take a part of the fleet, with as much less of groups, gpus, "
            "cores and sessions"
        )


def parameters(model: str) -> float:
    """The number of parameters of a size such as 4b, 135m or 0.6B. Raises ConfigError.

    >>> parameters("4b"), parameters("135M")
    (4000000000.0, 135000000.0)
    """
    units = {"m": 1e6, "b": 1e9}
    try:
        found = float(model[:-1]) * units[model[-1:].lower()]
    except (ValueError, KeyError):
        found = 0.0
    if not 0 < found < math.inf:
        raise ConfigError(f"expected a size of model such as 4b or 135m, got {model!r}")
    return found
