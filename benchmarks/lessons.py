"""What is a turn-level critic worth where each turn must be learned by itself? Asked of a table of choices, in place of a language model.

    python -m benchmarks.lessons [--things 120 480] [--seeds 3] [--json FILE]

The workflows are those of `wizard.h12-k4-late12-seen-learnN-spare7`: twelve pages, each shows one of N things, and seven wrong places are
forgiven. The policy is a softmax over the places of each thing, starting at chance, and takes one plain gradient step per 16 episodes
(groups of 4 of one seed). Every estimator has the best of its own learning rates. Printed are the episodes until 96 in a row have 80%
of successes, as a ratio to GRPO's:

    grpo            A_t = R − mean of the group
    gae(λ)          residuals of V(page, mistakes), a running mean of outcomes that is learned on the way, γ = 1
    td(0), known    the same with λ = 0 and the exact V of the policy as it is: the limit
"""

import argparse
import json
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from rich.console import Console
from rich.table import Table

from trainers.credit.credit import gae
from webgym.packs import registry

registry.task("wizard.h1")  # loads the pack
workflow = sys.modules["webgym_tasks.wizard.workflow"]

PAGES, PLACES, SPARED = 12, 4, 7
GROUPS, MEMBERS = 4, 4
GOAL, WINDOW, MEMORY = 0.8, 96, 60
NUMBER = {thing: number for number, thing in enumerate(workflow.THINGS)}
RATES = (20.0, 50.0, 100.0, 200.0)
Values = Float[np.ndarray, "pages_and_end mistakes"]


@dataclass(frozen=True)
class Played:
    """One episode: things and places taken by turn, mistakes before each turn and at the end, and the reward."""

    things: Int[np.ndarray, " t"]
    taken: Int[np.ndarray, " t"]
    mistakes: Int[np.ndarray, " t_and_end"]
    reward: float


def play(wizard, seed: int, logits: Float[np.ndarray, "things places"], rng: np.random.Generator) -> Played:
    """An episode of the policy on the workflow of this seed."""
    flow = workflow.draw(wizard, seed)
    things = np.array([NUMBER[page.field] for page in flow.pages])
    taken = np.array([rng.choice(PLACES, p=softmax(logits[thing])) for thing in things])
    at, mistakes = workflow.Progress(), [0]
    for choice in taken:
        at = workflow.chosen(flow, at, int(choice))
        mistakes.append(at.mistakes + (at.wrong is not None))
    return Played(things, taken, np.array(mistakes), float(at.status == "done"))


def softmax(logits: Float[np.ndarray, "*n places"]) -> Float[np.ndarray, "*n places"]:
    """Chances along the last axis."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def exact(logits: Float[np.ndarray, "things places"], right: Int[np.ndarray, " things"]) -> Values:
    """V(page, mistakes) of the policy, before the thing of the page is seen."""
    chance = softmax(logits)[np.arange(len(right)), right].mean()
    v = np.zeros((PAGES + 1, SPARED + 2))
    v[PAGES, : SPARED + 1] = 1.0
    for page in reversed(range(PAGES)):
        v[page, :-1] = chance * v[page + 1, :-1] + (1 - chance) * v[page + 1, 1:]
    return v


class Running:
    """V(page, mistakes) as a mean of the outcomes seen there, in which the newest weighs 1/60 at least."""

    def __init__(self) -> None:
        self.v = np.full((PAGES + 1, SPARED + 2), 0.1)
        self._seen = np.zeros_like(self.v)

    def learn(self, episodes: list[Played]) -> None:
        """Take these outcomes in."""
        for episode in episodes:
            for place in zip(range(PAGES), episode.mistakes[:-1], strict=True):
                self._seen[place] = min(self._seen[place] + 1, MEMORY)
                self.v[place] += (episode.reward - self.v[place]) / self._seen[place]


def turn_credit(episode: Played, v: Values, lam: float) -> Float[np.ndarray, " t"]:
    """GAE at γ = 1 on a table of values."""
    rewards = np.zeros(PAGES)
    rewards[-1] = episode.reward
    return gae(rewards, np.ones(PAGES), v[np.arange(PAGES), episode.mistakes[:-1]], lam)


def episodes_to_goal(things: int, lam: float | None, known: bool, rate: float, seed: int, most: int) -> int:
    """Episodes until the goal, or `most`; without λ it is GRPO."""
    wizard = workflow.Wizard(PAGES, choices=PLACES, delay=PAGES, visible=True, lessons=things, spared=SPARED)
    right = np.array([workflow.PLACES.index(workflow.place_of(thing, PLACES)) for thing in workflow.THINGS[:things]])
    rng, logits, running = np.random.default_rng(seed), np.zeros((things, PLACES)), Running()
    newest: deque[float] = deque(maxlen=WINDOW)
    played = 0
    while played < most:
        groups = [[play(wizard, int(s), logits, rng) for _ in range(MEMBERS)] for s in rng.integers(1_000_000, size=GROUPS)]
        values = exact(logits, right) if known else running.v
        gradient = np.zeros_like(logits)
        for group in groups:
            mean = np.mean([episode.reward for episode in group])
            for episode in group:
                credit = np.full(PAGES, episode.reward - mean) if lam is None else turn_credit(episode, values, lam)
                toward = np.eye(PLACES)[episode.taken] - softmax(logits[episode.things])
                np.add.at(gradient, episode.things, credit[:, None] * toward)
        logits += rate * gradient / (GROUPS * MEMBERS)
        all_played = [episode for group in groups for episode in group]
        running.learn(all_played)
        newest.extend(episode.reward for episode in all_played)
        played += len(all_played)
        if len(newest) == WINDOW and np.mean(newest) >= GOAL:
            return played
    return most


ESTIMATORS = {
    "grpo": (None, False),
    "gae(0.95)": (0.95, False),
    "gae(0.5)": (0.5, False),
    "td(0)": (0.0, False),
    "td(0), known": (0.0, True),
}


def compare(things: int, seeds: int, most: int, say: Callable[[str], None] = lambda _: None) -> dict[str, dict[str, float]]:
    """By estimator: median episodes to the goal at its best rate, that rate, and the ratio to GRPO."""
    found: dict[str, dict[str, float]] = {}
    for name, (lam, known) in ESTIMATORS.items():
        by_rate = {
            rate: float(np.median([episodes_to_goal(things, lam, known, rate, seed, most) for seed in range(seeds)])) for rate in RATES
        }
        rate = min(by_rate, key=by_rate.__getitem__)
        found[name] = {"episodes": by_rate[rate], "rate": rate}
        say(f"{things} things, {name}: {by_rate[rate]:,.0f} episodes")
    return {name: {**row, "ratio": row["episodes"] / found["grpo"]["episodes"]} for name, row in found.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="what turn-level credit is worth to a table of choices")
    parser.add_argument("--things", type=int, nargs="+", default=[120, 480])
    parser.add_argument("--seeds", type=int, default=3, help="the median of so many runs counts")
    parser.add_argument("--most", type=int, default=4000, help="episodes after which a run is given up")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    console = Console()
    found = {things: compare(things, given.seeds, given.most, lambda words: console.print(words)) for things in given.things}
    table = Table("estimator", *(f"{things} things" for things in found), title="episodes to 80% (learning rate), ratio to GRPO")
    for name in ESTIMATORS:
        cells = (found[things][name] for things in found)
        table.add_row(name, *(f"{x['episodes']:,.0f} ({x['rate']:g}), {x['ratio']:.2f}" for x in cells))
    console.print(table)
    print(json.dumps(found))
    if given.json:
        given.json.write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main()
