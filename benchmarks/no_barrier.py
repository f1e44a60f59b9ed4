"""No barrier: the collector against a loop that steps all sessions and waits for all, on the same latencies.

    python benchmarks/no_barrier.py [--episodes 1000] [--sessions 64] [--scale 0.05] [--json FILE]

Pages and policy take log-normal times (mean 1 s, σ 1, scaled by 1/20), drawn once for each turn of each episode of 3 to 30 turns.
The collector really runs, against sessions that sleep. The two schedules it is measured by are computed from the same draws, with
no overhead at all, which favours them:

- naive: a vector of sessions; every round asks the policy for all (as long as the slowest), then steps all (as long as the
  slowest); a session whose episode ended begins the next one in the next round.
- greedy: each of the K workers plays the next episode as soon as it is free; nothing can start episodes in this order earlier.
"""

import argparse
import asyncio
import heapq
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from webgym.rollout.collector import collect
from webgym.types import Action, Completion, EpisodeKey, InvalidAction, Observation, Step, Turn, seed_from

SIGMA = 1.0
MEAN_S = 1.0


@dataclass(frozen=True)
class Draws:
    """Latencies of one episode in seconds: `reset_s`, and for each turn the policy's and the page's."""

    reset_s: float
    policy_s: np.ndarray  # [T]
    page_s: np.ndarray  # [T]

    @property
    def total_s(self) -> float:
        return self.reset_s + float(self.policy_s.sum() + self.page_s.sum())


def draw(episodes: int, scale: float, seed: int = 0) -> list[Draws]:
    """Log-normal latencies of mean `MEAN_S` times `scale`; a reset costs one page."""
    drawn = []
    for episode in range(episodes):
        rng = np.random.default_rng(seed_from("no barrier", seed, episode))
        turns = int(rng.integers(3, 31))
        times = MEAN_S * scale * rng.lognormal(-(SIGMA**2) / 2, SIGMA, 2 * turns + 1)
        drawn.append(Draws(float(times[0]), times[1 : turns + 1], times[turns + 1 :]))
    return drawn


class SleepingEnv:
    """A session that answers after the drawn time; the seed names the episode."""

    def __init__(self, draws: Sequence[Draws]) -> None:
        self.draws = draws

    deterministic = True

    async def reset(self, task_id: str, seed: int) -> Observation:
        self.episode, self.turn = self.draws[seed], 0
        await asyncio.sleep(self.episode.reset_s)
        return self._observation()

    async def step(self, action: Action | InvalidAction) -> Step:
        await asyncio.sleep(float(self.episode.page_s[self.turn]))
        self.turn += 1
        over = self.turn == len(self.episode.page_s)
        return Step(self._observation(), float(over), over, False, "success" if over else "")

    async def screenshot(self) -> np.ndarray:
        return np.zeros((1, 1, 3), np.uint8)

    async def close(self) -> None:
        return None

    def _observation(self) -> Observation:
        left = len(self.episode.page_s) - self.turn
        return Observation("wait", "http://fake.test/", "fake", (), turn=self.turn, turns_left=left)


class SleepingPolicy:
    """A policy that answers after the drawn time."""

    dialect = "call"

    def __init__(self, draws: Sequence[Draws]) -> None:
        self.draws = draws

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        await asyncio.sleep(float(self.draws[key.seed].policy_s[observation.turn]))
        return Completion("wait()")


def greedy_s(draws: Sequence[Draws], sessions: int) -> float:
    """When the last episode ends if each worker plays the next one as soon as it is free."""
    free = [0.0] * sessions
    for episode in draws:
        heapq.heappush(free, heapq.heappop(free) + episode.total_s)
    return max(free)


def naive_s(draws: Sequence[Draws], sessions: int) -> float:
    """When the last episode ends if every round waits for all sessions, first for the policy and then for the pages."""
    waiting = list(reversed(draws))
    running: list[tuple[Draws, int]] = []  # episode and the turn that comes next; -1 is the reset
    clock = 0.0
    while waiting or running:
        while waiting and len(running) < sessions:
            running.append((waiting.pop(), -1))
        clock += max((float(d.policy_s[turn]) for d, turn in running if turn >= 0), default=0.0)
        clock += max(d.reset_s if turn < 0 else float(d.page_s[turn]) for d, turn in running)
        running = [(d, turn + 1) for d, turn in running if turn + 1 < len(d.page_s)]
    return clock


async def collector_s(draws: Sequence[Draws], sessions: int) -> float:
    """What the collector takes on the running loop's clock."""
    start = asyncio.get_running_loop().time()
    envs = [SleepingEnv(draws) for _ in range(sessions)]
    keys = [EpisodeKey("fake.task", episode) for episode in range(len(draws))]
    trajectories = await collect(envs, SleepingPolicy(draws), keys)
    assert [len(t) for t in trajectories] == [len(d.page_s) for d in draws] and all(t.outcome.success for t in trajectories)
    return asyncio.get_running_loop().time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--sessions", type=int, default=64)
    parser.add_argument("--scale", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    draws = draw(arguments.episodes, arguments.scale, arguments.seed)
    cpu = time.process_time()
    measured = asyncio.run(collector_s(draws, arguments.sessions))
    cpu = time.process_time() - cpu
    naive, greedy = naive_s(draws, arguments.sessions), greedy_s(draws, arguments.sessions)
    turns = sum(len(d.page_s) for d in draws)
    figures = {
        "episodes": arguments.episodes,
        "sessions": arguments.sessions,
        "turns": turns,
        "collector_s": round(measured, 3),
        "naive_s": round(naive, 3),
        "greedy_s": round(greedy, 3),
        "times_naive": round(naive / measured, 3),
        "share_of_greedy": round(greedy / measured, 4),
        "cpu_ms_per_turn": round(1000 * cpu / turns, 3),
        "passed": naive / measured >= 4 and greedy / measured >= 0.9,
    }
    print(f"{arguments.episodes} episodes, {turns} turns, {arguments.sessions} sessions, latencies × {arguments.scale:g}\n")
    print(f"{'schedule':<12}{'seconds':>10}{'turns/s':>10}")
    for name, seconds in (("naive", naive), ("collector", measured), ("greedy", greedy)):
        print(f"{name:<12}{seconds:>10.2f}{turns / seconds:>10.1f}")
    print(f"\n{naive / measured:.2f}× the naive loop (bar: 4), {100 * greedy / measured:.1f}% of the greedy schedule (bar: 90)\n")
    print(json.dumps(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
