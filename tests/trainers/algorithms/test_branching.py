"""tree, vine and taught against brute force: every outcome of a small workflow is played out, and means are sums with exact chances."""

import importlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from trainers import algorithms
from trainers.credit import tree as forks_module
from trainers.credit.credit import Values, flatten, gae, rewards
from trainers.credit.tree import Tree, judged, neyman, pooled
from trainers.studies.choices import Logits, Player, Problem, TableCritic, exact_gradient, exact_values, gradient, softmax
from webgym.rollout.branch import Branch, fork_keys
from webgym.types import EpisodeKey, Trajectory, groups_of

SMALL = Problem(name="small", turns=3, things=1, places=2, spared=1)
TWO = SMALL.model_copy(update={"turns": 2, "spared": 0})
CHANCES = softmax(np.array([[0.4, -0.1]]))
Group = list[Trajectory]


class Script:
    """Random numbers that follow a list of choices, and ask for more where it ends."""

    class Ended(Exception):
        pass

    def __init__(self, choices: tuple[int, ...]) -> None:
        self._left = list(choices)

    def random(self, count: int) -> np.ndarray:
        if len(self._left) < count:
            raise Script.Ended
        found, self._left = self._left[:count], self._left[count:]
        return np.array(found) * 0.999999


def outcomes(problem: Problem, roots: int, forks: Callable[[Group], list[Branch]]) -> Iterator[tuple[float, Group]]:
    """Every group that can come, with its chance: what is forked may depend on the episodes."""
    waiting: list[tuple[int, ...]] = [()]
    while waiting:
        choices = waiting.pop()
        script = Script(choices)
        player = Player(problem, script)  # type: ignore[arg-type]
        player.set_policy(CHANCES)
        try:
            played = [player.play(EpisodeKey("small", 0, 1, 0, m), [0] * problem.turns) for m in range(roots)]
            keys = fork_keys(played, forks(played))
            group = played + [player.play(key, [0] * problem.turns, branch) for key, branch in keys.items()]
        except Script.Ended:
            waiting += [(*choices, 0), (*choices, 1)]
            continue
        yield float(np.prod([CHANCES[0, c] for c in choices])), group


def mean_gradient(
    problem: Problem, roots: int, forks: Callable[[Group], list[Branch]], factors: Callable[[Group], list[np.ndarray]]
) -> Logits:
    """E[Σ factor · ∇log π] per root, exactly."""
    pairs = outcomes(problem, roots, forks)
    return sum((p / roots * gradient(problem, CHANCES, group, factors(group)) for p, group in pairs), np.zeros((1, 2)))


def credited(name: str, values: Callable[[Group], list[np.ndarray]] | None = None, **options) -> Callable[[Group], list[np.ndarray]]:
    """Advantage times weight of an algorithm."""
    found = algorithms.get(name)
    config = found.Config(**options)

    def factors(group: Group) -> list[np.ndarray]:
        credit = found.credit([group], Values(values(group)) if values else None, config)
        return [a * w for a, w in zip(credit.advantages, credit.weights, strict=True)]

    return factors


def asked(name: str, values: Callable[[Group], list[np.ndarray]] | None = None, **options) -> Callable[[Group], list[Branch]]:
    """The forks that an algorithm asks for."""
    found = algorithms.get(name)
    plan = found.practice(found.Config(**options)).forks
    assert plan is not None
    return lambda group: plan(group, values(group) if values else None)


def known(problem: Problem) -> Callable[[Group], list[np.ndarray]]:
    """The exact V."""
    v = exact_values(problem, CHANCES)
    return lambda group: [np.array([v[t, turn.completion.prompt_ids[2]] for t, turn in enumerate(x.turns)]) for x in group]


def mistaken(group: Group) -> list[np.ndarray]:
    """A critic that is wrong everywhere."""
    return [np.array([0.9 - 0.3 * t + 0.2 * turn.completion.prompt_ids[2] for t, turn in enumerate(x.turns)]) for x in group]


@pytest.fixture(params=list(itertools.product((0, 1), repeat=2)), ids=str)
def lots(request, monkeypatch) -> dict[tuple[int, int], int]:
    """Turns 1 and 2 of member 0 are chosen (1) or not, in all four ways."""
    table = {(0, 1): request.param[0], (0, 2): request.param[1]}
    draw(monkeypatch, table)
    return table


def draw(monkeypatch: pytest.MonkeyPatch, table: Mapping[tuple[int, int], int]) -> None:
    """Lots by member and turn: at 1 a turn is chosen, at 0 and where nothing is said it is not."""
    for name in ("tree", "vine", "taught"):
        module = importlib.import_module(f"trainers.algorithms.{name}")
        monkeypatch.setattr(module, "lot", lambda key, t: 0.0 if table.get((key.member, t)) else 0.9999)


def over_lots(monkeypatch: pytest.MonkeyPatch, places: Sequence[tuple[int, int]], p: float, mean: Callable[[], Logits]) -> Logits:
    """The mean over which of these turns are chosen, each with chance p."""
    found = np.zeros((1, 2))
    for chosen in itertools.product((0, 1), repeat=len(places)):
        with monkeypatch.context() as patch:
            draw(patch, dict(zip(places, chosen, strict=True)))
            found += np.prod([p if c else 1 - p for c in chosen]) * mean()
    return found


# --- the workflow itself ---------------------------------------------------------------------------------------------------


def test_values_and_gradient_of_the_table_are_those_of_its_episodes() -> None:
    pairs = list(outcomes(SMALL, 1, lambda group: []))
    assert sum(p for p, _ in pairs) == pytest.approx(1.0)
    success = sum(p * group[0].outcome.reward for p, group in pairs)
    assert exact_values(SMALL, CHANCES)[0, 0] == pytest.approx(success)
    found = mean_gradient(SMALL, 1, lambda group: [], lambda group: [np.full(3, group[0].outcome.reward)])
    assert exact_gradient(SMALL, CHANCES) == pytest.approx(found)


# --- unbiased, and what it takes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("problem", "options"), [(SMALL, {"most": 1}), (TWO, {"most": 1, "children": 3})])
def test_a_tree_has_the_exact_gradient_in_the_mean(problem: Problem, options: dict) -> None:
    found = mean_gradient(problem, 2, asked("tree", every=1, **options), credited("tree", every=1, **options))
    assert found == pytest.approx(exact_gradient(problem, CHANCES), abs=1e-12)


def test_a_tree_with_two_forks_a_trunk_has_the_exact_gradient() -> None:
    """Of one root, so without turn 0, where it has nothing to be compared with, and without a baseline where nothing was forked."""
    options = {"every": 1, "most": 2}
    first = mean_gradient(SMALL, 1, lambda group: [], lambda group: [np.array([group[0].outcome.reward, 0.0, 0.0])])
    found = mean_gradient(SMALL, 1, asked("tree", **options), _without_turn_0(credited("tree", **options)))
    assert found == pytest.approx(exact_gradient(SMALL, CHANCES) - first, abs=1e-12)


def _without_turn_0(factors: Callable[[Group], list[np.ndarray]]) -> Callable[[Group], list[np.ndarray]]:
    return lambda group: [f * (np.arange(len(f)) > 0) for f in factors(group)]


def test_turns_that_are_shared_and_trained_once_a_leaf_are_biased() -> None:
    """The conditions bite: without path weights, or with forks chosen by the outcome, the mean is another."""
    exact = exact_gradient(SMALL, CHANCES)

    def weightless(group: Group) -> list[np.ndarray]:
        return Tree.of(group).advantages()

    def failures(group: Group) -> list[Branch]:
        return [Branch(x, 1) for x in group if not x.outcome.success]

    for forks, factors in ((asked("tree", every=1, most=1), weightless), (failures, credited("tree"))):
        found = mean_gradient(SMALL, 2, forks, factors)
        assert np.abs(found - exact).max() > 0.02 * np.abs(exact).max()


@pytest.mark.parametrize("train_continuations", [True, False])
def test_a_vine_is_unbiased_whatever_its_critic(monkeypatch, train_continuations: bool) -> None:
    """With a critic that is wrong everywhere the gradient is exact in the mean; with the critic alone it is far from that."""
    options = {"k": 1, "chance": 0.3, "fallback": "critic", "train_continuations": train_continuations}
    monkeypatch.setattr("trainers.algorithms.vine.neyman", lambda v, chance: chance)
    factors, forks = credited("vine", mistaken, **options), asked("vine", mistaken, **options)
    exact = exact_gradient(TWO, CHANCES)
    found = over_lots(monkeypatch, [(0, 1), (1, 1)], 0.3, lambda: mean_gradient(TWO, 2, forks, factors))
    assert found == pytest.approx(exact, abs=1e-12)
    alone = mean_gradient(TWO, 2, lambda group: [], credited("actor_critic", mistaken, gamma=1.0, whiten=False))
    assert np.abs(alone - exact).max() > 0.1 * np.abs(exact).max()


def test_a_vine_looks_at_both_states_of_a_turn(lots) -> None:
    """Each state is forked once, and with the exact critic the gradient is exact whichever turns were chosen."""
    options = {"k": 1, "chance": 0.4, "fallback": "critic"}
    forks, factors = asked("vine", known(SMALL), **options), credited("vine", known(SMALL), **options)
    episode = next(group for _, group in outcomes(SMALL, 1, lambda group: []))
    wanted = {(0, 0): [], (0, 1): [2], (1, 0): [1, 2], (1, 1): [1, 2]}
    assert [b.at for b in forks(episode)] == wanted[lots[0, 1], lots[0, 2]]
    if lots[0, 1] and not lots[0, 2]:
        assert mean_gradient(SMALL, 2, forks, factors) == pytest.approx(exact_gradient(SMALL, CHANCES), abs=1e-12)


def test_a_vine_without_a_critic_has_the_exact_gradient(monkeypatch) -> None:
    """VinePPO's form: continuations are played from both states of turn 1 and not trained."""
    draw(monkeypatch, {(0, 1): 1})
    options = {"k": 1, "chance": 0.4, "train_continuations": False}
    found = mean_gradient(SMALL, 2, asked("vine", **options), credited("vine", **options))
    assert found == pytest.approx(exact_gradient(SMALL, CHANCES), abs=1e-12)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_taught_with_the_exact_critic_has_the_exact_gradient(lots, lam: float) -> None:
    """Whichever turns fork: their chance needs no correction, because path weights undo the copies."""
    forks = asked("taught", known(SMALL), chance=0.3)
    factors = credited("taught", known(SMALL), chance=0.3, lam=lam, whiten=False)
    assert mean_gradient(SMALL, 1, forks, factors) == pytest.approx(exact_gradient(SMALL, CHANCES), abs=1e-12)


def test_the_judge_has_the_exact_product_in_the_mean(monkeypatch) -> None:
    """Siblings, weighted by the known chance to fork, give Σ A δ of any critic over the turns of the episodes."""
    exact = known(SMALL)

    def product(group: Group) -> float:
        values = mistaken(group)
        delta = [gae(rewards(x), np.ones(len(x)), v, 0.0) for x, v in zip(group, values, strict=True)]
        return judged(Tree.of(group), delta, lambda node: 0.3)["product"]

    def truth(group: Group) -> float:
        (x,), (v,), (u,) = group, exact(group), mistaken(group)
        true, delta = (gae(rewards(x), np.ones(len(x)), values, 0.0) for values in (v, u))
        return float(true[1:] @ delta[1:])

    forks = asked("taught", mistaken, chance=0.3)
    found = over_lots(
        monkeypatch, [(0, 1), (0, 2)], 0.3, lambda: sum(p * product(group) for p, group in outcomes(SMALL, 1, forks)) * np.ones((1, 2))
    )
    assert found[0, 0] == pytest.approx(sum(p * truth(group) for p, group in outcomes(SMALL, 1, lambda group: [])), abs=1e-12)


# --- taught: critic and judge ----------------------------------------------------------------------------------------------


def test_the_judge_sets_lambda_and_the_gate() -> None:
    found = algorithms.get("taught")
    config = found.Config(whiten=False)
    group = next(g for _, g in outcomes(SMALL, 2, lambda group: [Branch(group[0], 1)]) if len({x.outcome.reward for x in g}) > 1)
    values = mistaken(group)
    delta = [gae(rewards(x), np.ones(len(x)), v, 0.0) for x, v in zip(group, values, strict=True)]
    fresh = [(i, t) for i, x in enumerate(group) for t in range(x.forked_at, len(x))]

    def credit(**memory: float):
        return found.credit([group], Values(values, memory=memory), config)

    first = credit()
    assert (first.stats["critic/slope"], first.stats["critic/lambda"], first.stats["critic/gate"]) == (0.5, pytest.approx(0.5), 1.0)
    assert first.memory["pairs"] == 1 and first.memory["power"] > 0 and first.memory["spread"] == 0.5
    for slope, lam, gate in ((0.2, 1.0, 0.0), (0.5, 0.5, 1.0), (0.9, 0.0, 1.0)):
        sure = credit(product=slope * 4, power=4.0, leverage=0.0, spread=3.0, pairs=99.0)
        assert sure.stats["critic/slope"] == pytest.approx(slope) and sure.stats["critic/gate"] == gate
        assert sure.stats["critic/lambda"] == pytest.approx(lam)
        if not gate:
            assert all(np.array_equal(a, b) for a, b in zip(sure.advantages, Tree.of(group).advantages(), strict=True))
        if lam == 0.0:
            assert all(sure.advantages[i][t] == pytest.approx(delta[i][t]) for i, t in fresh)
        assert sure.memory["pairs"] == pytest.approx(0.9 * 99 + 1)
    # a standard error like the prior's: half way between them; nothing seen, or no fork at all: the prior
    half = credit(product=0.9 * 4, power=4.0, leverage=(0.25 * 4) ** 2 / 0.25, spread=0.25 * 9, pairs=9.0)
    assert half.stats["critic/slope"] == pytest.approx((0.9 + 0.5) / 2)
    assert half.memory["leverage"] == pytest.approx(0.81 * 4 + first.memory["leverage"])
    assert credit(power=4.0).stats["critic/slope"] == 0.5


def test_the_variance_of_the_judge_is_that_of_its_product() -> None:
    """leverage times the mean variance of Q, against the product's variance over all outcomes of one fork."""
    pairs = list(outcomes(TWO, 1, lambda group: [Branch(group[0], 1)]))
    sums = []
    for p, group in pairs:
        delta = [np.array([0.0, 0.3 * int(x.turns[1].action)]) for x in group]
        sums.append((p, judged(Tree.of(group), delta, lambda node: 0.5)))
    mean = sum(p * x["product"] for p, x in sums)
    variance = sum(p * (x["product"] - mean) ** 2 for p, x in sums)
    square = sum(p * x["product"] ** 2 for p, x in sums)
    assert variance <= square == pytest.approx(sum(p * x["leverage"] * x["spread"] for p, x in sums))


def test_a_state_is_taught_the_mean_below_it_once_for_each_leaf() -> None:
    pairs = (g for _, g in outcomes(SMALL, 1, lambda group: [Branch(group[0], 1), Branch(group[0], 2)]))
    group = next(g for g in pairs if [x.outcome.reward for x in g] == [0.0, 1.0, 1.0] and g[0].turns[1].action == g[1].turns[1].action)
    trunk, first, second = group
    tree = Tree.of(group)
    at_2 = (trunk.outcome.reward + second.outcome.reward) / 2
    at_1 = (at_2 + first.outcome.reward) / 2
    v = tree.state_values()
    assert v[0] == pytest.approx([at_1, at_1, at_2]) and v[1][:2] == pytest.approx([at_1, at_1]) and v[2] == pytest.approx(v[0])
    assert sum(turn.completion.prompt_ids == (0, 0, 0) for x in group for turn in x.turns) == 3  # a leaf each
    same = [x for x in group if x.turns[2].state_hash == trunk.turns[2].state_hash]
    nodes = {place for place in tree.children if place[1] == 2 and group[place[0]].turns[2].state_hash == trunk.turns[2].state_hash}
    assert len(same) == 3 and len(nodes) == 2
    assert pooled(tree)[0][2] == pytest.approx((at_2 + first.outcome.reward) / 2)
    critic = TableCritic(SMALL)
    critic.learn(group, algorithms.get("taught").targets([group], algorithms.get("taught").Config()))  # type: ignore[misc]
    assert critic.v[0, 0] == pytest.approx(at_1)


# --- trees -----------------------------------------------------------------------------------------------------------------


def test_weights_values_and_baselines_by_hand() -> None:
    """Two roots; the first forks at turn 1, its fork and itself differ; the second root is alone."""
    group = next(g for _, g in outcomes(SMALL, 2, lambda group: [Branch(group[0], 1)]) if [x.outcome.reward for x in g] == [1.0, 0.0, 0.0])
    tree = Tree.of(group)
    assert [w.tolist() for w in tree.path_weights()] == [[1, 0.5, 0.5], [1, 1, 1], [0, 0.5, 0.5]]
    assert [q.tolist() for q in tree.values()] == [[0.5, 1, 1], [0, 0, 0], [0, 0, 0]]
    assert [a.tolist() for a in tree.advantages()] == [[0.5, 1, 1], [-0.5, -0.5, -0.5], [0, -1, -1]]
    assert tree.forked == [(0, 1)] and group[2].forked_at == 1
    assert group[2].turns[0].completion.origin == group[0].key and group[2].key.member == 2


def test_a_fork_of_a_fork_and_one_whose_episode_failed() -> None:
    group = next(g for _, g in outcomes(SMALL, 1, lambda group: [Branch(group[0], 1)]) if [x.outcome.reward for x in g] == [1.0, 0.0])
    trunk, fork = group
    player = Player(SMALL, np.random.default_rng(0))
    player.set_policy(CHANCES)
    (key,) = fork_keys(group, [Branch(fork, 2)])
    nested = player.play(key, [0] * 3, Branch(fork, 2))
    assert [turn.completion.origin for turn in nested.turns] == [trunk.key, fork.key, None]
    tree = Tree.of([*group, nested])
    assert [w.tolist() for w in tree.path_weights()] == [[1, 0.5, 0.5], [0, 0.5, 0.25], [0, 0, 0.25]]
    assert tree.children[1, 2] == [(1, 2), (2, 2)]
    lost = replace(trunk, outcome=replace(trunk.outcome, kind="fault", reward=float("nan")))
    alone = Tree.of([lost, fork, nested])
    assert not alone.node and all(not w.any() for w in alone.path_weights())
    assert groups_of([*group, nested]) == [[trunk, fork, nested]] and flatten([group]) == group


def test_the_choice_of_forks_looks_at_the_past_only() -> None:
    """Episodes that agree up to a turn agree in whether it forks, for every algorithm and whatever comes after."""
    problem = Problem(name="long", turns=8, things=3, spared=4)
    player = Player(problem, np.random.default_rng(1))
    player.set_policy(softmax(problem.start()))
    one, other = (player.play(EpisodeKey("long", 5, 0, 0, 0), [0, 1, 2, 0, 1, 2, 0, 1]) for _ in range(2))
    assert one.turns != other.turns
    rng = np.random.default_rng(0)
    v = [rng.random(8) for _ in range(2)]
    for name, options in (
        ("tree", {"every": 3}),
        ("tree", {"where": "uniform", "chance": 0.5}),
        ("vine", {"chance": 0.4}),
        ("vine", {"chance": 0.4, "fallback": "critic"}),
        ("taught", {"chance": 0.5}),
    ):
        plan = algorithms.get(name).practice(algorithms.get(name).Config(**options)).forks
        for t in range(1, 8):
            values = [np.concatenate([v[0][: t + 1], v[i][t + 1 :]]) for i in range(2)]
            found = [sorted(b.at for b in plan([x], [u]) if b.at <= t) for x, u in zip((one, other), values, strict=True)]
            assert found[0] == found[1], (name, options, t)


def test_neyman_chances() -> None:
    assert neyman(0.5, 0.2) == 0.2 and neyman(0.0, 0.2) == 0.02 and neyman(7.0, 0.2) == 0.02 and neyman(0.5, 1.0) == 1.0
    assert neyman(0.1, 0.2) == pytest.approx(0.12)
    draws = [forks_module.lot(EpisodeKey("a", n), 3) for n in range(400)]
    assert min(draws) >= 0 and max(draws) < 1 and np.mean(draws) == pytest.approx(0.5, abs=0.06)
