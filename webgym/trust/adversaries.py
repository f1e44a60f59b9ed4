"""Policies that must not win, with which every task is attacked."""

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from webgym.actions import goal_strings, parse, render
from webgym.errors import JudgeFault
from webgym.packs import registry
from webgym.policies.policy import Policy
from webgym.policies.scripted import OraclePolicy, random_action
from webgym.prompts.compact import goal_names
from webgym.task import Task
from webgym.types import Action, Click, Completion, EpisodeKey, Goto, Infeasible, Observation, Stop, Trajectory, Turn, Wait, seed_from

RANDOM_SEEDS = range(3_000_000, 3_000_024)  # of no split: nothing is tuned on what is reported


def never(task: Task) -> float:
    """The success rate 0: it must not win at all."""
    return 0.0


def on_trusted_pages(task: Task) -> float:
    """The success rate 0, or 1 where the task's own page or address decides, which any agent can open."""
    return 1.0 if task.trust == "page" else 0.0


def by_chance(task: Task) -> float:
    """The success rate that the task states for random actions."""
    return task.chance


@dataclass(frozen=True)
class Adversary:
    """A policy that must not win, the success rate that it may reach, and its own seeds where it needs many.

    The policy of an `informed` one is made of the oracle's episodes on the same seeds.
    """

    name: str
    what: str  # what it does, for the sentence "WHAT wins ..."
    policy: Callable[..., Policy]
    most: Callable[[Task], float] = never
    seeds: Sequence[int] = ()
    informed: bool = False


F = TypeVar("F", bound=Callable[..., Policy])  # a factory of policies
ADVERSARIES: dict[str, Adversary] = {}


def adversary(
    name: str, what: str, most: Callable[[Task], float] = never, seeds: Sequence[int] = (), informed: bool = False
) -> Callable[[F], F]:
    """Registers a factory of policies as an adversary of all tasks. That of an `informed` one takes the oracle's episodes."""

    def add(policy: F) -> F:
        ADVERSARIES[name] = Adversary(name, what, policy, most, seeds, informed)
        return policy

    return add


class Reflex:
    """A policy that looks at the present page only."""

    dialect = "call"

    def __init__(self, choose: Callable[[Observation, random.Random], Action]) -> None:
        self._choose = choose

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        """Its action on this page, fixed by the episode and the turn."""
        rng = random.Random(seed_from("reflex", key.task_id, key.seed, observation.turn))
        return Completion(render(self._choose(observation, rng), self.dialect))


@adversary("stop", "stopping at once")
def stops_at_once() -> Policy:
    return Reflex(lambda page, rng: Stop())


@adversary("infeasible", "calling the goal infeasible at once")
def gives_up_at_once() -> Policy:
    return Reflex(lambda page, rng: Infeasible("it cannot be done"))


@adversary("parrot", "answering with words of the goal", by_chance)
def parrot() -> Policy:
    """Stops with a quoted string, number or word of the goal as its answer."""

    def say(page: Observation, rng: random.Random) -> Action:
        said = [*goal_strings(page.goal), *re.findall(r"\d+(?:\.\d+)?", page.goal)]
        return Stop(rng.choice(said or page.goal.split() or [""]))

    return Reflex(say)


@adversary("eager", "pressing the last button of the page and nothing else", by_chance)
def eager() -> Policy:
    """Sends every form as it is."""

    def press(page: Observation, rng: random.Random) -> Action:
        buttons = [n.ref for n in page.nodes if n.role == "button" and n.ref is not None and "disabled" not in n.states]
        return Click(buttons[-1]) if buttons else Wait()

    return Reflex(press)


@adversary("guess", "acting at random and stopping with words of the page", by_chance)
def guesses() -> Policy:
    """Wanders, and sooner or later says that it is done; its answer is a word or line that it sees."""

    def act(page: Observation, rng: random.Random) -> Action:
        if page.turns_left > 1 and rng.random() > 0.3:
            return random_action(page, rng)
        said = [node.text for node in page.nodes if node.text] + [word for node in page.nodes for word in node.text.split()]
        return Stop(rng.choice(["", *said]))

    return Reflex(act)


@adversary("wrong target", "doing the right thing to another seed's target", by_chance)
class Mistaken:
    """The oracle, told the goal of another seed that names something else; where none does, or the page draws its own goal, it waits."""

    dialect = "call"

    def __init__(self) -> None:
        self._oracle = OraclePolicy(registry.task)

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        task = registry.task(key.task_id)
        goals = (task.start(key.seed + other).goal for other in range(1, 9))
        named = set(goal_names(observation.goal))  # another wording alone is no other target
        other = next((goal for goal in goals if goal is not None and set(goal_names(goal)) != named), None)
        if task.oracle is None or other is None:
            return Completion(render(Wait(), self.dialect))
        try:
            return await self._oracle.act(replace(observation, goal=other), history, key)
        except JudgeFault:  # what it looks for is not there
            return Completion(render(Stop(), self.dialect))


@adversary("direct", "opening the address at which the oracle ends", on_trusted_pages, informed=True)
class Direct:
    """Knows where the oracle's episodes end: it opens that address at once, waits there, and stops."""

    dialect = "call"

    def __init__(self, solved: Sequence[Trajectory]) -> None:
        self._ends = {found.key.seed: found.turns[-1].url for found in solved if found.turns}

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        actions: tuple[Action, ...] = (Goto(self._ends.get(key.seed, observation.url)), Wait(), Stop())
        return Completion(render(actions[min(observation.turn, 2)], self.dialect))


def answers_of(solved: Sequence[Trajectory]) -> dict[int, str]:
    """The answer that is right, by seed; none of an episode that the oracle does not win by an answer."""
    found = {}
    for one in solved:
        said = parse(one.turns[-1].action, "call") if one.turns and one.outcome.success else None
        if isinstance(said, Stop) and said.answer:
            found[one.key.seed] = said.answer
    return found


class Answers:
    """Gives the answer of each seed at once, without a visit. `told` are the seeds whose first page says it."""

    dialect = "call"

    def __init__(self, answers: Mapping[int, str]) -> None:
        self._answers = answers
        self.told: set[int] = set()

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        answer = self._answers[key.seed].casefold()
        if any(answer in f"{node.text} {node.value or ''}".casefold() for node in observation.nodes):
            self.told.add(key.seed)
        return Completion(render(Stop(self._answers[key.seed]), self.dialect))


@adversary("shortcut", "answering at once what is right for most other seeds", by_chance, informed=True)
class Shortcut:
    """Knows which answers the task has, and visits no page: it answers at once what is right for most of the other seeds.

    Where answers are drawn per seed, this wins no more often than chance. It waits where no answer is asked for.
    """

    dialect = "call"

    def __init__(self, solved: Sequence[Trajectory]) -> None:
        self._answers = answers_of(solved)

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        others = Counter(answer for seed, answer in self._answers.items() if seed != key.seed)
        action: Action = Stop(others.most_common(1)[0][0]) if others else Wait()
        return Completion(render(action, self.dialect))


@adversary("other seed", "doing what is right for another seed", by_chance, informed=True)
class Elsewhere:
    """Repeats the oracle's actions of another seed whose goal names something else, to the letter; where there is none, it waits."""

    dialect = "call"

    def __init__(self, solved: Sequence[Trajectory]) -> None:
        self._solved = [found for found in solved if found.outcome.success]

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        named = set(goal_names(observation.goal))
        other = next((found for found in self._solved if found.key.seed != key.seed and set(goal_names(found.goal)) != named), None)
        actions = [turn.action for turn in other.turns if turn.action] if other is not None else []
        text = actions[observation.turn] if observation.turn < len(actions) else render(Wait(), self.dialect)
        return Completion(text)
