"""Policies without a model: no-op, random, and each task's own oracle."""

import random
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence

from webgym.actions import goal_strings, render
from webgym.errors import JudgeFault, UsageError
from webgym.task import Oracle, Task
from webgym.types import Action, Click, Completion, EpisodeKey, Fill, Node, Observation, Press, Scroll, Select, Turn, Wait, seed_from


class NoopPolicy:
    """Waits, turn after turn: the floor that every task must hold at 0."""

    dialect = "call"

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        return Completion(render(Wait(), self.dialect))


class RandomPolicy:
    """Plays sensible actions at random: clicks, texts from the goal, options. Never stop or infeasible.

    Its success rate is that of a task before anything was learned (`Task.chance`).
    """

    dialect = "call"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        place = (key.task_id, key.seed, key.iteration, key.group, key.member, observation.turn)
        rng = random.Random(seed_from(self.seed, "random policy", *place))
        return Completion(render(random_action(observation, rng), self.dialect))


def random_action(observation: Observation, rng: random.Random) -> Action:
    """One of the actions that make sense on this page: each thing that can be acted on is equally likely."""
    options = _options(observation.nodes)
    chosen_through_box = {ref for owned in options.values() for ref, _ in owned}
    things = [n for n in observation.nodes if n.ref is not None and "disabled" not in n.states and n.ref not in chosen_through_box]
    if not things or rng.random() < 0.05:
        return Scroll(0.0, rng.choice((-300.0, 300.0)))
    node = rng.choice(things)
    return _on(node, [label for _, label in options.get(node.ref or 0, [])] if node.ref in options else [], observation, rng)


def _on(node: Node, labels: Sequence[str], observation: Observation, rng: random.Random) -> Action:
    """A sensible action on this thing."""
    ref = node.ref
    assert ref is not None
    if labels:
        return Select(ref, (rng.choice(labels),))
    if node.role == "slider":
        return Press(rng.choice(("ArrowLeft", "ArrowRight", "PageUp", "PageDown")), ref)
    if node.role in ("textbox", "searchbox", "combobox", "spinbutton") and "readonly" not in node.states:
        dice = rng.random()
        if dice < 0.75:
            return Fill(ref, rng.choice(_texts(observation.goal, node.role)))
        if dice < 0.85:
            return Press("Enter", ref)
    return Click(ref)


def _options(nodes: Sequence[Node]) -> dict[int, list[tuple[int, str]]]:
    """The options of each select box as (ref, label): the option nodes that stand right below it, one level deeper."""
    found: dict[int, list[tuple[int, str]]] = {}
    box: Node | None = None
    for node in nodes:
        if box is not None and box.ref is not None and node.role == "option" and node.depth > box.depth and node.ref is not None:
            found.setdefault(box.ref, []).append((node.ref, node.text))
        elif box is None or node.role != "group" or node.depth <= box.depth:  # else the label above some of its options
            box = node if node.role in ("combobox", "listbox") else None
    return found


def _texts(goal: str, role: str) -> list[str]:
    """Texts to type: the goal's numbers into a number field, its quoted strings, else its words."""
    if role == "spinbutton":
        return re.findall(r"\d+", goal) or ["1"]
    return [text for text in goal_strings(goal) if text] or re.findall(r"[\w@.'-]+", goal) or ["a"]


class OraclePolicy:
    """Plays each task's own oracle: the program that solves it from what an agent sees.

    One oracle per episode, made afresh at turn 0. `task` finds a task by its id. `dialect` is what the completions are written in.
    Raises UsageError for a task without an oracle; an oracle that fails is a JudgeFault, because the task is broken, not the agent.
    """

    def __init__(self, task: Callable[[str], Task], dialect: str = "call", remembered: int = 4096) -> None:
        self.dialect = dialect
        self._task = task
        self._remembered = remembered  # the end of an abandoned episode is not reported, so only the latest ones are kept
        self._oracles: OrderedDict[EpisodeKey, Oracle] = OrderedDict()

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        return Completion(render(self.action(observation, key), self.dialect))

    def action(self, observation: Observation, key: EpisodeKey) -> Action:
        """The oracle's next action in this episode."""
        oracle = self._fresh(key) if observation.turn == 0 else self._oracles.get(key)
        if oracle is None:
            raise JudgeFault(f"the oracle of {key.task_id} (seed {key.seed}) was not asked from the first turn on")
        self._oracles.move_to_end(key)
        try:
            return oracle(observation)
        except Exception as error:  # an oracle is a program of a task's author: any error it raises is the task's fault
            raise JudgeFault(
                f"the oracle of {key.task_id} failed on seed {key.seed}, turn {observation.turn}: {type(error).__name__}: {error}"
            ) from error

    def _fresh(self, key: EpisodeKey) -> Oracle:
        task = self._task(key.task_id)
        if task.oracle is None:
            raise UsageError(f"task {key.task_id} has no oracle; `webgym tasks list` shows which have one")
        self._oracles[key] = oracle = task.oracle()
        while len(self._oracles) > self._remembered:
            self._oracles.popitem(last=False)
        return oracle
