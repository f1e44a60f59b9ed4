"""Exact values against closed forms, and against episodes played on the text twin."""

import math
import random
from statistics import NormalDist

import pytest

from webgym.packs import registry
from webgym.policies.scripted import RandomPolicy
from webgym.rollout.arena import Arena
from webgym.types import Click, Completion, EpisodeKey, Infeasible, Stop

PACK = registry._pack("wizard")
truth = PACK.truth
Truth, State, NOTHING, GIVE_UP, BACK = truth.Truth, truth.State, truth.NOTHING, truth.GIVE_UP, truth.BACK
START = State(truth.Progress())


def of(name, seed=0, gamma=1.0):
    return Truth(truth.draw(truth.Wizard.named(name), seed), gamma)


# --- closed forms ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "decisive"), [("h1", 1), ("h6", 6), ("h12-late12", 12), ("h12-x6-late3", 6), ("h5-k2", 5)])
def test_final_mistakes_multiply(name, decisive):
    for gamma in (1.0, 0.9):
        found = of(name, gamma=gamma)
        horizon = found.workflow.wizard.horizon
        v = found.of(truth.right_with(found, 0.8)).v
        assert v[START] == pytest.approx(0.8**decisive * gamma ** (horizon - 1))
        assert found.optimal().v[START] == pytest.approx(gamma ** (horizon - 1))


def test_mistakes_that_show_at_once_and_can_be_mended_are_a_race_against_the_limit():
    found, p = of("h6-undo-slack5"), 0.7
    v = found.of(truth.right_with(found, p)).v[START]
    in_time = sum(math.comb(6 + late - 1, late) * p**6 * (1 - p) ** late for late in range(6))  # negative binomial
    assert v == pytest.approx(in_time)


def test_mistakes_that_are_spared_are_counted_out():
    found, p = of("h6-late6-spare2-learn9"), 0.7
    v = found.of(truth.right_with(found, p)).v[START]
    assert v == pytest.approx(sum(math.comb(6, wrong) * (1 - p) ** wrong * p ** (6 - wrong) for wrong in range(3)))


def test_the_stated_chance_of_spared_mistakes_is_a_binomial_one():
    """On six decisive pages with four options, a scroll now and then but turns enough."""
    p = 1 / 4
    at_most_two_wrong = sum(math.comb(6, wrong) * (1 - p) ** wrong * p ** (6 - wrong) for wrong in range(3))
    assert registry.task("wizard.h8-x2-late8-spare2-learn9-slack40").chance == math.ceil(100 * at_most_two_wrong) / 100


def test_mistakes_are_seen_only_where_pages_say_so():
    hidden, shown = of("h3-late3-spare1"), of("h3-late3-seen-spare1")
    one, none = (State(truth.Progress(1, mistakes=count), 1) for count in (1, 0))
    assert hidden.seen(one) == hidden.seen(none)
    assert shown.seen(one) != shown.seen(none)


def test_turns_that_do_nothing_are_paid_for():
    found = of("h4-slack2")

    def idle(state):
        return {found.workflow.pages[state.progress.page].right: 0.5, NOTHING: 0.5}

    assert found.of(idle).v[START] == pytest.approx(sum(math.comb(6, n) for n in range(4, 7)) / 2**6)


def test_the_best_move_is_the_right_option_and_giving_up_is_worth_nothing():
    found = of("h6-x2-late2-undo")
    best = found.optimal()
    for state in found.states:
        right = found.workflow.pages[state.progress.page].right
        assert best.q[state][GIVE_UP] == 0.0
        if state.turn == state.progress.page and state.progress.wrong is None and right is not None:
            assert right in best.best(state) and best.v[state] == 1.0
    late = [state for state in found.states if state.progress.wrong is not None and state.turn == found.limit - 1]
    assert late and all(best.v[state] == 0.0 for state in late)  # one turn left, and something to mend


def test_v_is_the_mean_of_q_and_what_is_seen_is_the_mean_of_what_is_hidden():
    found = of("h6-late3-undo")
    policy = truth.right_with(found, 0.6)
    values, seen = found.of(policy), found.seen_values(policy)
    for state in found.states:
        assert values.v[state] == pytest.approx(sum(p * values.q[state][move] for move, p in policy(state).items()))
    assert seen[found.seen(START)] == pytest.approx(values.v[START])
    clear, mistaken = State(truth.Progress(2), 2), State(truth.Progress(2, wrong=1), 2)
    assert values.v[mistaken] < seen[2, False, False, 0, 2] < values.v[clear]


def test_a_visible_mistake_changes_what_can_be_seen_and_no_value():
    hidden, visible = of("h6-late6"), of("h6-late6-seen")
    policies = [truth.right_with(found, 0.6) for found in (hidden, visible)]
    assert hidden.of(policies[0]).v[START] == pytest.approx(visible.of(policies[1]).v[START])
    seen = visible.seen_values(policies[1])
    assert seen[3, False, True, 0, 3] == 0.0 and seen[3, False, False, 0, 3] == pytest.approx(0.6**3), (
        "what is seen is all there is to know"
    )
    assert hidden.seen_values(policies[0])[3, False, False, 0, 3] == pytest.approx(0.6**6)


def test_chances_must_be_chances():
    found = of("h3")
    with pytest.raises(ValueError, match="sum to 1"):
        found.of(lambda state: {0: 0.5})
    with pytest.raises(ValueError, match="expected chances"):
        found.of(lambda state: {BACK: 1.0})


# --- brute force -----------------------------------------------------------------------------------------------------------


class Table:
    """A tabular policy that plays in the environment; it is told the hidden state by counting along."""

    dialect = "call"

    def __init__(self, found, policy):
        self.found, self.policy, self.at = found, policy, {}

    async def act(self, observation, history, key):
        state = START if not history else self.at[key]
        chances = self.policy(state)
        move = random.Random(f"{key}{len(history)}").choices(list(chances), list(chances.values()))[0]
        self.at[key] = self.found.after(state, move)
        refs = [node.ref for node in observation.nodes if node.ref is not None]
        acts = {NOTHING: "wait()", GIVE_UP: "stop('no')", BACK: f"click('{refs[-1]}')"}
        return Completion(acts.get(move, f"click('{move}')"))


def near(successes, episodes, v):
    """Whether as many successes are what V explains, at five standard deviations."""
    spread = math.sqrt(max(v * (1 - v), 1e-4) * episodes)
    return abs(successes - v * episodes) < 5 * spread


@pytest.mark.parametrize("name", ["h3-slack1", "h4-late2", "h5-x2-late1-undo-slack3", "h3-undo-k3", "h5-late5-seen-spare2"])
def test_values_are_what_episodes_come_to(name):
    found, episodes = of(name, seed=7), 400

    def policy(state):
        moves = found.moves(state)
        right = found.workflow.pages[state.progress.page].right or 0
        return {move: 0.7 if move == right else 0.3 / (len(moves) - 1) for move in moves}

    keys = [EpisodeKey(f"wizard.{name}", 7, member=member) for member in range(episodes)]
    with Arena(4, backend="text") as arena:
        played = arena.collect(Table(found, policy), keys)
    assert near(sum(x.outcome.success for x in played), episodes, found.of(policy).v[START])
    assert not any(x.outcome.faulted for x in played)


def test_the_stated_chance_is_that_of_random_actions():
    task, episodes = registry.task("wizard.h3-undo-k2-slack9"), 600
    keys = [EpisodeKey(task.id, 3_000_000 + seed) for seed in range(episodes)]
    with Arena(4, backend="text") as arena:
        wins = sum(x.outcome.success for x in arena.collect(RandomPolicy(), keys))
    assert task.chance > 0.5 and near(wins, episodes, task.chance)


# --- language models -------------------------------------------------------------------------------------------------------


def chances_of(observation, actions):
    """A policy that knows the goal half the time, and now and then gives up or writes nonsense (the 0.1 that is left).

    Where a page says that a mistake was made, it takes the first option.
    """
    if any(node.text == "Mistakes: 1 of 1" for node in observation.nodes):
        return [float(action == Click("0")) for action in actions]
    clicks = [action for action in actions if isinstance(action, Click)]
    agreed = [n.ref for n in observation.nodes if n.ref is not None and f'"{n.text}"' in observation.goal]
    return [
        {Stop: 0.02, Infeasible: 0.03}[type(action)]
        if not isinstance(action, Click)
        else 0.85 * (0.5 / len(clicks) + 0.5 * (action.ref in agreed if agreed else 1 / len(clicks)))
        for action in actions
    ]


class Writer:
    """The same policy in the environment."""

    dialect = "call"

    async def act(self, observation, history, key):
        clicks = [Click(node.ref) for node in observation.nodes if node.ref is not None]
        chances = chances_of(observation, [*clicks, Stop(), Infeasible()])
        texts = [*(f"click('{click.ref}')" for click in clicks), "stop('')", "infeasible('')", "no idea"]
        return Completion(random.Random(f"{key}{len(history)}").choices(texts, [*chances, 1 - sum(chances)])[0])


@pytest.mark.parametrize("name", ["h3", "h5-x2-late2-undo-slack4", "h4-late4-seen-learn20-spare1"])
def test_a_language_models_values_are_what_its_episodes_come_to(name):
    task, seed, episodes = registry.task(f"wizard.{name}"), 11, 600
    exact = task.exact(seed, lambda asked: [chances_of(*question) for question in asked], 1.0)
    keys = [EpisodeKey(task.id, seed, member=member) for member in range(episodes)]
    with Arena(4, backend="text") as arena:
        played = arena.collect(Writer(), keys)
    first = exact[played[0].turns[0].state_hash, 0]
    assert near(sum(x.outcome.success for x in played), episodes, first.v)
    for x in played[:50]:  # every state that was met is known, and where it leads is Q
        for turn, following in zip(range(len(x)), [*x.turns[1:], None], strict=True):
            here = exact[x.turns[turn].state_hash, turn]
            q = here.q.get(x.turns[turn].action, here.q[""])
            assert q == (pytest.approx(exact[following.state_hash, turn + 1].v) if following else x.outcome.reward)


def test_near_is_no_formality():
    assert NormalDist().cdf(-5) < 1e-6
    assert not near(300, 600, 0.7)
