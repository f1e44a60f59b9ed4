"""The exact values of a workflow: V*, Q* and the best policy; V^π and Q^π of any policy, a language model's among them.

A state is the site's progress and the turn. Its moves are the options, the button that goes back (where mistakes are reversible), giving
up, and everything else, which changes only the turn. The horizon is finite, so backward induction over turns is exact:

    V(s) = Σ_a π(a | s) Q(s, a),    Q(s, a) = 1 where a completes the registration,
                                              0 where it ends the episode otherwise (refused, given up, turn limit),
                                              γ V(s') else

so that V(s_t) = E[γ^{T−1−t} R], the target of :func:`trainers.credit.credit.monte_carlo_targets`. An agent never sees any of it, because
the hidden mistakes in `Progress.wrong` and `Progress.mistakes` are part of the state, not of the page (:meth:`Truth.seen`).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache

from webgym.actions import render
from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.task import Chances, ExactValue, ExactValues, Task
from webgym.types import Action, Click, Infeasible, Observation, Stop

from .pages.steps import address
from .site import HOST
from .workflow import Progress, Wizard, Workflow, chosen, draw, gone_back

Move = int | str
"""The number of an option, or one of the three others."""

BACK, NOTHING, GIVE_UP = "back", "nothing", "give up"


@dataclass(frozen=True, slots=True)
class State:
    """State of an episode: the site's progress, and the number of turns taken."""

    progress: Progress
    turn: int = 0


Seen = tuple[int, bool, bool, int, int]
"""Visible part of a state: page, true if a mistake has just shown itself, true if the page says that there is one, number of forgiven
mistakes (0 where no page shows it), and turn."""

TabularPolicy = Callable[[State], Mapping[Move, float]]
"""The chance of each move; a missing move has chance 0."""


@dataclass(frozen=True)
class Values:
    """V of every state that can be reached, and Q of every move there."""

    v: Mapping[State, float]
    q: Mapping[State, Mapping[Move, float]]

    def best(self, state: State) -> list[Move]:
        """The moves of the highest Q."""
        most = max(self.q[state].values())
        return [move for move, q in self.q[state].items() if math.isclose(q, most, abs_tol=1e-12)]


@dataclass(frozen=True)
class Truth:
    """The decision process of one seed's workflow; `gamma` is the discount per turn."""

    workflow: Workflow
    gamma: float = 1.0
    max_turns: int = 0  # 0: the workflow's own limit

    @property
    def limit(self) -> int:
        """Turns of an episode."""
        return self.max_turns or self.workflow.wizard.max_turns

    def seen(self, state: State) -> Seen:
        """Visible part of a state."""
        at = state.progress
        return at.page, at.told, at.flagged, at.mistakes if self.workflow.wizard.visible else 0, state.turn

    def moves(self, state: State) -> list[Move]:
        """All moves of a state."""
        wizard = self.workflow.wizard
        can_go_back = wizard.reversible and state.progress.page > 0
        return [*range(wizard.choices), *([BACK] if can_go_back else []), NOTHING, GIVE_UP]

    def after(self, state: State, move: Move) -> State | float:
        """The next state, or the reward of the move that ends the episode."""
        progress = state.progress
        if move == GIVE_UP:
            return 0.0
        if isinstance(move, int):
            progress = chosen(self.workflow, progress, move)
        elif move == BACK:
            progress = gone_back(progress)
        if progress.status != "open":
            return float(progress.status == "done")
        return State(progress, state.turn + 1) if state.turn + 1 < self.limit else 0.0

    @cached_property
    def states(self) -> list[State]:
        """All states that can be reached, by turn."""
        found: list[State] = []
        layer = {State(Progress()): None}
        while layer:
            found += layer
            nexts = (self.after(state, move) for state in layer for move in self.moves(state))
            layer = dict.fromkeys(state for state in nexts if isinstance(state, State))
        return found

    def optimal(self) -> Values:
        """V* and Q*."""
        return self._induction(lambda state, q: max(q.values()))

    def of(self, policy: TabularPolicy) -> Values:
        """V^π and Q^π. Raises ValueError where the chances of a state do not sum to 1 or are of no move there."""

        def expected(state: State, q: Mapping[Move, float]) -> float:
            chances = _checked(policy(state), q)
            return math.fsum(chance * q[move] for move, chance in chances.items())

        return self._induction(expected)

    def _induction(self, choose: Callable[[State, Mapping[Move, float]], float]) -> Values:
        v: dict[State, float] = {}
        q: dict[State, Mapping[Move, float]] = {}
        for state in reversed(self.states):
            q[state] = {move: self._worth(self.after(state, move), v) for move in self.moves(state)}
            v[state] = choose(state, q[state])
        return Values(v, q)

    def _worth(self, then: State | float, v: Mapping[State, float]) -> float:
        return self.gamma * v[then] if isinstance(then, State) else then

    def visits(self, policy: TabularPolicy) -> dict[State, float]:
        """The chance that an episode of the policy comes through each state."""
        found = {State(Progress()): 1.0}
        for state in self.states:
            for move, chance in policy(state).items():
                then = self.after(state, move)
                if isinstance(then, State) and found.get(state):
                    found[then] = found.get(then, 0.0) + found[state] * chance
        return found

    def seen_values(self, policy: TabularPolicy) -> dict[Seen, float]:
        """E[V^π | what is seen], over the episodes of the policy: the best values of a critic, which does not see hidden mistakes."""
        v, mass, worth = self.of(policy).v, {}, {}
        for state, chance in self.visits(policy).items():
            what = self.seen(state)
            mass[what] = mass.get(what, 0.0) + chance
            worth[what] = worth.get(what, 0.0) + chance * v[state]
        return {what: worth[what] / mass[what] for what in mass if mass[what] > 0}


def _checked(chances: Mapping[Move, float], q: Mapping[Move, float]) -> Mapping[Move, float]:
    if chances.keys() - q.keys() or not math.isclose(math.fsum(chances.values()), 1.0, abs_tol=1e-6):
        raise ValueError(f"expected chances of {list(q)} that sum to 1, got {dict(chances)}")
    return chances


# --- policies without a model ----------------------------------------------------------------------------------------------


def at_random(truth: Truth) -> TabularPolicy:
    """:class:`webgym.policies.scripted.RandomPolicy` as a table: 5% scroll, which does nothing here, else any button."""

    def chances(state: State) -> Mapping[Move, float]:
        buttons = [move for move in truth.moves(state) if move not in (NOTHING, GIVE_UP)]
        return {**dict.fromkeys(buttons, 0.95 / len(buttons)), NOTHING: 0.05}

    return chances


def right_with(truth: Truth, chance: float) -> TabularPolicy:
    """Takes the right option with this chance and each of the others alike; any option where none is right. It never goes back."""

    def chances(state: State) -> Mapping[Move, float]:
        choices = truth.workflow.wizard.choices
        right = truth.workflow.pages[state.progress.page].right
        if right is None:
            return dict.fromkeys(range(choices), 1 / choices)
        return {option: chance if option == right else (1 - chance) / (choices - 1) for option in range(choices)}

    return chances


@lru_cache(256)
def chance(wizard: Wizard) -> float:
    """The exact success of random actions, rounded up to a hundredth. Seeds differ only by the positions of distractors."""
    truths = [Truth(draw(wizard, seed)) for seed in (range(4) if wizard.distractors else range(1))]
    exact = max(found.of(at_random(found)).v[State(Progress())] for found in truths)
    return math.ceil(exact * 100 - 1e-9) / 100


# --- language models -------------------------------------------------------------------------------------------------------


def of_language_model(wizard: Wizard, task: Task, seed: int, chances: Chances, gamma: float = 1.0) -> ExactValues:
    """V^π and Q^π of a policy without memory, by state hash and turn; Q by the action in the `call` dialect, "" for text without effect.

    The policy must choose from the page and the turns left alone. It is asked once for each page and turn that can be reached, for the
    clicks that are possible there, for stop and for infeasible; the rest of its chance goes to all other texts together, which count as
    one action that changes nothing (:data:`NOTHING`). Effects of unusual texts (go to an address, press a key) are left out.
    """
    truth = Truth(draw(wizard, seed), gamma)
    pages = observations(task, seed, {state.progress for state in truth.states})
    asked: dict[Seen, tuple[Observation, list[Action]]] = {}
    for state in truth.states:
        page = pages[state.progress]
        clicks: list[Action] = [Click(node.ref) for node in page.nodes if node.ref is not None]
        shown = replace(page, turn=state.turn, turns_left=truth.limit - state.turn)
        asked.setdefault(truth.seen(state), (shown, [*clicks, Stop(), Infeasible()]))
    answers = dict(zip(asked, chances(list(asked.values())), strict=True))

    def policy(state: State) -> Mapping[Move, float]:
        *clicks, stop, infeasible = answers[truth.seen(state)]
        moves = [move for move in truth.moves(state) if move not in (NOTHING, GIVE_UP)]
        rest = max(0.0, 1.0 - math.fsum((*clicks, stop, infeasible)))
        return {**dict(zip(moves, clicks, strict=True)), GIVE_UP: stop + infeasible, NOTHING: rest}

    values, visits = truth.of(policy), truth.visits(policy)
    place = {what: number for number, what in enumerate(asked)}
    found: dict[tuple[str, int], ExactValue] = {}
    for state in truth.states:
        _, actions = asked[truth.seen(state)]
        worth = list(values.q[state].values())  # clicks, nothing, give up
        clicked, nothing, given_up = worth[:-2], worth[-2], worth[-1]
        named = dict(zip((render(action, "call") for action in actions), [*clicked, given_up, given_up], strict=True))
        worth_of = {**named, "": nothing}
        found[pages[state.progress].state_hash, state.turn] = ExactValue(
            values.v[state], worth_of, visits.get(state, 0.0), place[truth.seen(state)]
        )
    return found


def observations(task: Task, seed: int, places: Iterable[Progress]) -> dict[Progress, Observation]:
    """The observation at each progress, read from the site itself, as the first turn of an episode that begins there."""
    begun = task.start(seed)

    def placed(progress: Progress) -> Task:
        state = {**begun.site_state, "progress": asdict(progress)}
        start = replace(begun, url=f"http://{HOST}{address(progress)}", site_state=state)
        return replace(task, start=lambda _: start)

    async def look() -> dict[Progress, Observation]:
        found = {}
        for progress in places:
            env = AsyncWebEnv(backend="text", find=lambda _, progress=progress: placed(progress))
            found[progress] = await env.reset(task.id, seed)
            await env.close()
        return found

    return loop_thread().run(look())
