import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tests.trainers.episodes import Table, trajectory, turn
from tests.trainers.stranger import SIGNS
from trainers import algorithms
from trainers.batches import packing
from trainers.batches import rows as r
from trainers.config import resolve, with_settings
from trainers.credit import credit as c
from trainers.critics.q_critic import QSpec
from trainers.learning import learner as ln
from trainers.learning.losses import LossSpec
from trainers.training.metrics import METRICS
from webgym.errors import ConfigError
from webgym.types import Trajectory

ALL = algorithms.names()
ROOT = Path(__file__).parents[3]
FIRST, GOOD, BAD, LAST = 0, 1, 2, 3  # states of the two-step problem, as tokens
ARMS = 4


FAMILY = {
    "actor_critic", "archer", "archer_q", "dapo", "digirl", "dr_grpo", "filtered_bc", "gigpo", "grpo", "grpo_positive", "grpo_published",
    "gspo", "ppo", "q_learning", "reinforce", "rloo",
}  # fmt: skip


def test_the_folder_is_the_registry() -> None:
    assert set(ALL) >= FAMILY and set(ALL) == set(algorithms.discover())
    with pytest.raises(ConfigError, match=r"no algorithm is called 'archr'; did you mean 'archer' or 'archer_q'\?"):
        algorithms.get("archr")


def test_a_file_that_lacks_a_part_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "half.py").write_text("Config = dict\n")
    monkeypatch.setattr(algorithms, "__path__", [*algorithms.__path__, str(tmp_path)])
    with pytest.raises(ConfigError, match=r"half\.py: expected it to define a docstring, needs_values, credit"):
        algorithms.get("half")


@pytest.mark.parametrize("name", ALL)
def test_config_is_frozen_closed_and_documented(name: str) -> None:
    found = algorithms.get(name)
    config = found.Config()
    assert found.summary.endswith(".") and isinstance(config.loss, LossSpec)  # type: ignore[attr-defined]
    assert all(f.description for f in type(config).model_fields.values())
    assert all(f.description for f in LossSpec.model_fields.values())
    assert type(config).model_validate(config.model_dump()) == config
    with pytest.raises(ValidationError):
        type(config).model_validate({"gama": 0.9})
    with pytest.raises(ValidationError):
        type(config).model_validate({"loss": {"clip_hihg": 0.3}})
    with pytest.raises(ValidationError):
        config.loss = LossSpec()  # type: ignore[attr-defined]


def test_an_algorithm_is_one_new_file(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """A file in the folder is all it takes to be found, configured by key=value, and to learn."""
    (tmp_path / "signs.py").write_text(SIGNS)
    monkeypatch.setattr(algorithms, "__path__", [*algorithms.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "trainers.algorithms.signs", raising=False)
    assert "signs" in algorithms.names()
    config, algorithm_config = resolve(with_settings({"algo": "signs"}, ["loss.clip_high=0.3"]))
    assert config.algo == "signs" and config.algorithm["loss"]["clip_high"] == algorithm_config.loss.clip_high == 0.3
    with pytest.raises(ConfigError, match="algorithm signs: unknown key 'lam'"):
        resolve({"algo": "signs", "algorithm": {"lam": 1}})
    assert bandit_solved("signs", tmp_path) > 0.9
    assert len(SIGNS.splitlines()) < 100


# --- files elsewhere -----------------------------------------------------------------------------------------------------


def test_a_file_elsewhere_is_found_by_its_path(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(SIGNS)
    monkeypatch.chdir(tmp_path)
    config, _ = resolve(with_settings({"algo": "./mine.py"}, ["scale=2"]))
    assert config.algo == str(tmp_path / "mine.py"), "a run is resumed from anywhere"
    assert config.algorithm["scale"] == 2.0 and with_settings({}, ["algo=mine.py", "scales=3"])["algo"] == config.algo
    found = algorithms.get("mine.py")
    assert (found.name, found.key) == ("mine", config.algo) and found is algorithms.get(config.algo)
    assert "mine" not in sys.modules and "mine" not in algorithms.names()
    with pytest.raises(ConfigError, match="algorithm mine: unknown key 'scal'; did you mean 'scale'"):
        resolve({"algo": "mine.py", "algorithm": {"scal": 2}})
    (tmp_path / "mine.py").write_text(SIGNS.replace("scale: float = 1.0", "scale: float = 0.25"))
    assert algorithms.get("mine.py").Config().scale == 0.25, "a file that has changed is read anew"  # type: ignore[attr-defined]


def test_an_option_like_one_of_the_run_goes_to_the_algorithm_that_has_it(tmp_path) -> None:
    """`group` is near `groups`, and would be taken for a slip where the file were not looked into."""
    (tmp_path / "mine.py").write_text(SIGNS.replace("scale:", "group:").replace("config.scale", "config.group"))
    assert with_settings({"algo": str(tmp_path / "mine.py")}, ["group=2"])["algorithm"] == {"group": 2}
    assert with_settings({}, [f"algo={tmp_path / 'mine.py'}", "group=2"])["algorithm"] == {"group": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\nimport no_such_module", "at line 2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = 1\n\ndef f(:\n", "at line 3: SyntaxError: invalid syntax"),
        ("def f():\n    return open('/no/such/file')\nf()", r"at line 2: FileNotFoundError: .*'/no/such/file'"),
        ("import json\njson.loads('{')", "at line 2: JSONDecodeError: Expecting property name"),
    ],
)
def test_a_file_that_cannot_be_imported_names_its_line(tmp_path, text: str, words: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ConfigError, match=rf"^algorithm file {tmp_path / 'mine.py'} cannot be imported {words}[^\n]*$"):
        algorithms.get(str(tmp_path / "mine.py"))


def test_paths_that_are_no_algorithms(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"none\.py: there is no such file; a run finds it where it was when it was started"):
        algorithms.get(str(tmp_path / "none.py"))
    with pytest.raises(ConfigError, match=r"that is no Python file \(\.py\)"):
        algorithms.get(f"{tmp_path}/")
    with pytest.raises(ConfigError, match=r"no algorithm is called 'mine'.* \(there are .*; a file elsewhere is given by its path"):
        algorithms.get("mine")


def installed(tmp_path, code: str, **modules: str) -> str:
    """Standard output of the code where a distribution offers these modules, each as an algorithm of its name."""
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    entries = "".join(f"{name} = acme.{name}\n" for name in modules)
    (info / "entry_points.txt").write_text(f"[webgym.algorithms]\n{entries}")
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme/__init__.py").write_text("")
    for name, text in modules.items():
        (tmp_path / f"acme/{name}.py").write_text(text)
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_algorithms_of_other_distributions_come_by_entry_point(tmp_path) -> None:
    """They are listed without importing them, one that is broken harms no other, and none takes a name of ours."""
    code = """
import sys, warnings
from trainers import algorithms
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(*[(x.summary, x.entry_point) for x in algorithms.listed() if x.name in ("signs", "broken")], sep="|")
    print("signs" in algorithms.names(), "acme" in sys.modules, "torch" in sys.modules)
    found = algorithms.discover()
    print("signs" in found, "broken" in found, found["grpo"].Config.__module__)
print(*[warning.message for warning in caught], sep="|")
from trainers.config import resolve, with_settings
config, algorithm_config = resolve(with_settings({"algo": "signs"}, ["scale=3"]))
print(config.algo, algorithm_config.scale, sys.modules["acme.signs"].Config is type(algorithm_config))
from trainers.training.metrics import explanations
print(explanations(algorithms.get("signs"))["rollout/right"])
"""
    warned = "import warnings\nwarnings.simplefilter('ignore')\n"
    broken = '"""Broken: no more."""\nimport no_such_module\n'
    lines = installed(tmp_path, code + warned, signs=SIGNS, broken=broken, grpo=SIGNS).splitlines()
    assert lines[0] == (
        "('Broken: no more.', 'acme.broken')|('Signs: what ended well is right in every turn, what did not is wrong.', 'acme.signs')"
    )
    assert lines[1] == "True False False"
    assert lines[2] == "True False trainers.algorithms.grpo"
    taken, left_out = lines[3].split("|")
    assert taken == "the algorithm 'grpo' (entry point 'acme.grpo') is left out: there is one already"
    assert left_out == (
        "algorithm broken (entry point 'acme.broken') cannot be imported at line 2: "
        "ModuleNotFoundError: No module named 'no_such_module'; it is left out"
    )
    assert lines[4:] == ["signs 3.0 True", "share of turns that are called right"]


# --- what holds of all ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_metric_is_explained_once(name: str) -> None:
    assert not algorithms.get(name).metrics.keys() & METRICS.keys()


@pytest.mark.parametrize("name", ALL)
def test_an_algorithm_is_short(name: str) -> None:
    assert len(Path(str(sys.modules[algorithms.get(name).credit.__module__].__file__)).read_text("utf-8").splitlines()) < 110


# --- each algorithm learns -----------------------------------------------------------------------------------------------


@dataclass
class Chooser:
    """Acts by the table, or by the best of N of its proposals where the algorithm asks for that. States are tokens."""

    table: Table
    best_of: int
    q: "Means"

    def __call__(self, prompt: tuple[int, ...], rng: np.random.Generator) -> tuple[int, float]:
        """An action token and its log-probability under the whole table."""
        logprobs = torch.log_softmax(self.table.table.detach()[prompt[-1]], -1).double().numpy()
        reached = np.exp(logprobs).cumsum()
        drawn = np.searchsorted(reached, rng.random(self.best_of) * reached[-1], side="right").tolist()
        token = max(drawn, key=lambda a: self.q.value(*prompt, a)) if self.best_of > 1 else drawn[0]
        return token, float(logprobs[token])

    def solved(self, prompt: tuple[int, ...], action: int) -> float:
        """How often it takes this action, of the times that the action is proposed to it."""
        rng = np.random.default_rng(1)
        chance = torch.softmax(self.table.table.detach()[prompt[-1]], -1)[action].item()
        taken = np.mean([self(prompt, rng)[0] == action for _ in range(400)])
        return float(taken) / (1 - (1 - chance) ** self.best_of if self.best_of > 1 else 1.0)


def bandit(act: Chooser, seed: int, rng: np.random.Generator) -> Trajectory:
    """One turn, four arms that pay with probability 0.1, 0.3, 0.5 and 0.9."""
    arm, logprob = act((FIRST,), rng)
    reward = float(rng.random() < (0.1, 0.3, 0.5, 0.9)[arm])
    return trajectory([turn([FIRST], [arm], reward, [logprob], state="first")], seed=seed)


def two_steps(act: Chooser, seed: int, rng: np.random.Generator) -> Trajectory:
    """The first action decides which state comes next; only from GOOD does the second action count, and the third is noise.

    The third prompt shows how the second went, so that the problem is Markov; the table cannot see that.
    """
    first, p_first = act((FIRST,), rng)
    state = GOOD if first == 1 else BAD
    second, p_second = act((state,), rng)
    shown = (GOOD if first == 1 and second == 2 else BAD, LAST)
    third, p_third = act(shown, rng)
    reward = float(rng.random() < (0.9 if shown[0] == GOOD else 0.1))
    turns = [
        turn([FIRST], [first], 0.0, [p_first], state="first"),
        turn([state], [second], 0.0, [p_second], state=f"second {state}"),
        turn(shown, [third], reward, [p_third], state=f"third {shown}"),
    ]
    return trajectory(turns, seed=seed)


class Means:
    """Tabular critics fitted on earlier batches: V(s) and Q(s, a) are averages of what was seen there, 0.5 before any."""

    def __init__(self) -> None:
        self.seen: dict[tuple[int, ...], tuple[int, float]] = {}

    def value(self, *place: int) -> float:
        return self.seen.get(place, (0, 0.5))[1]

    def add(self, place: tuple[int, ...], target: float) -> None:
        count, mean = self.seen.get(place, (0, 0.0))
        self.seen[place] = (count + 1, mean + (target - mean) * max(1 / (count + 1), 0.005))

    def values(self, trajectories: Sequence[Trajectory]) -> c.Values:
        return c.Values([np.array([self.value(*t.completion.prompt_ids) for t in x.turns]) for x in trajectories])

    def token_values(self, trajectories: Sequence[Trajectory]) -> c.Values:
        return c.Values([np.array([self.value(*place) for place in _token_states(x)]) for x in trajectories])

    def fit(self, trajectories: Sequence[Trajectory], targets: Sequence[np.ndarray]) -> None:
        for x, g_t in zip(trajectories, targets, strict=True):
            per_turn = [t.completion.prompt_ids for t in x.turns]
            for place, g in zip(per_turn if len(g_t) == len(x) else _token_states(x), g_t, strict=True):
                self.add(place, g)

    def look_ahead(self, act: Chooser, spec: QSpec, trajectories: Sequence[Trajectory]) -> None:
        """Q(s, a) towards r + γ V(s')."""
        for x in trajectories:
            for t, this in enumerate(x.turns):
                ahead = self.state(act, spec, x.turns[t + 1].completion.prompt_ids) if t + 1 < len(x) else 0.0
                self.add((*this.completion.prompt_ids, *this.completion.action_ids), this.reward + spec.gamma * ahead)

    def state(self, act: Chooser, spec: QSpec, prompt: tuple[int, ...]) -> float:
        """V(s): the policy's mean of Q, or its best action's, as the spec says."""
        q = np.array([self.value(*prompt, a) for a in range(ARMS)])
        policy = torch.softmax(act.table.table.detach()[prompt[-1]], -1).double().numpy()
        return float(q.max() if spec.backup == "optimality" else q @ policy)

    def valued(self, act: Chooser, spec: QSpec, trajectories: Sequence[Trajectory]) -> c.Values:
        q = [np.array([self.value(*t.completion.prompt_ids, *t.completion.action_ids) for t in x.turns]) for x in trajectories]
        v = [np.array([self.state(act, spec, t.completion.prompt_ids) for t in x.turns]) for x in trajectories]
        return c.Values(v, actions=q)


def _token_states(trajectory: Trajectory) -> list[tuple[int, ...]]:
    """What was there before each sampled token."""
    each = [t.completion for t in trajectory.turns]
    return [(*x.prompt_ids, *x.action_ids[:k]) for x in each for k in range(len(x.action_ids))]


def fresh(chooser: Chooser, groups: Sequence[Sequence[Trajectory]], count: int, rng: np.random.Generator) -> list[list[Trajectory]]:
    """The same states with the best of `count` new actions in them."""
    best_of = replace(chooser, best_of=count)

    def again(x: Trajectory) -> Trajectory:
        drawn = [best_of(t.completion.prompt_ids, rng) for t in x.turns]
        pairs = zip(x.turns, drawn, strict=True)
        turns = [replace(t, completion=replace(t.completion, action_ids=(a,), behaviour_logprobs=(p,))) for t, (a, p) in pairs]
        return replace(x, turns=tuple(turns))

    return [[again(x) for x in group] for group in groups]


Play = Callable[[Chooser, int, np.random.Generator], Trajectory]


def train(name: str, episode: Play, iterations: int, tmp_path) -> Chooser:
    """The whole way: sample, credit, rows, pack, two optimiser steps, with the algorithm's default Config."""
    found, table, critic, rng = algorithms.get(name), Table(ARMS), Means(), np.random.default_rng(0)
    config = found.Config()
    practice, needs = found.practice(config), found.needs_values(config)
    chooser = Chooser(table, practice.best_of, critic)
    learner = ln.Learner(table.parameters(), table, ln.OptimConfig(lr=0.1), failed_batch=tmp_path / "failed.pt")
    played: list[list[list[Trajectory]]] = []
    for iteration in range(iterations):
        played.append([[episode(chooser, g, rng) for _ in range(8)] for g in range(8)])
        groups = [group for batch in played[-practice.replay :] for group in batch]
        values = None
        if needs == "action":
            critic.look_ahead(chooser, config.q, c.flatten(played[-1]))  # type: ignore[attr-defined]
            groups = fresh(chooser, groups, config.q.candidates, rng) if practice.fresh else groups  # type: ignore[attr-defined]
            values = critic.valued(chooser, config.q, c.flatten(groups))  # type: ignore[attr-defined]
        elif needs:
            values = critic.token_values(c.flatten(groups)) if needs == "token" else critic.values(c.flatten(groups))
        credit = found.credit(groups, values, config)
        if found.targets is not None:
            critic.fit(c.flatten(played[-1]), found.targets(played[-1], config))
        spec: LossSpec = config.loss  # type: ignore[attr-defined]
        flat = c.flatten(groups)
        streams = r.streams_of(flat, credit.advantages, credit.weights)
        if spec.needs_reference:
            uniform = [np.full(len(b), -math.log(ARMS), dtype=np.float32) for b in streams.behaviour_logprob]
            streams = replace(streams, reference_logprob=uniform)
        keep = spec.acts_on_every_turn
        steps = packing.plan(r.rows_of_all(flat), streams, 64, minibatches=2, seed=iteration, whole=spec.whole, keep_zero_advantage=keep)
        learner.update(steps, spec)
    return chooser


def bandit_solved(name: str, tmp_path) -> float:
    return train(name, bandit, 40, tmp_path).solved((FIRST,), 3)


LONG = {"archer_q", "filtered_bc", "q_learning", "digirl", "dapo", "dr_grpo", "grpo_published", "gspo", "vine"}
"""Algorithms whose problem of two steps takes long, or is near to that of another: these solve the bandit first, the others two steps."""


def first_of(first: Sequence[str], names: Sequence[str] = ALL) -> list[Any]:
    """All `names`, those that are not asked `first` marked slow."""
    return [name if name in first else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", first_of(sorted(LONG)))
def test_solves_a_bandit(name: str, tmp_path) -> None:
    assert bandit_solved(name, tmp_path) > 0.9


@pytest.mark.parametrize("name", first_of(sorted({*ALL} - LONG)))
def test_solves_a_two_step_credit_problem(name: str, tmp_path) -> None:
    chooser = train(name, two_steps, 60, tmp_path)
    assert chooser.solved((FIRST,), 1) > 0.9 and chooser.solved((GOOD,), 2) > 0.9


@pytest.mark.parametrize("name", ALL)
def test_credit_fits_ragged_groups_with_faults_and_explains_its_stats(name: str) -> None:
    found, rng, table = algorithms.get(name), np.random.default_rng(1), Chooser(Table(ARMS), 1, Means())
    broken = trajectory([turn([FIRST], [1]), turn([GOOD], [2], math.nan)], "fault", seed=0)
    never = trajectory([], "fault", seed=1)
    groups = [[two_steps(table, 0, rng), broken, two_steps(table, 0, rng)], [never, bandit(table, 1, rng)], [never]]
    flat = c.flatten(groups)
    config = found.Config()
    values = replace(Means().values(flat), actions=Means().values(flat).turns)
    credit = found.credit(groups, values, config)
    for arrays in (credit.advantages, credit.weights, credit.targets or credit.weights):
        assert [len(a) for a in arrays] == [len(x) for x in flat]
        known = [a for a, x in zip(arrays, flat, strict=True) if arrays is not credit.targets or c.learnable(x)]
        assert np.isfinite(np.concatenate(known)).all()  # a target of NaN is none: that of an episode that failed
    for x, w, a in zip(flat, credit.weights, credit.advantages, strict=True):
        assert c.learnable(x) or (not w.any() and not a.any())
    assert set(credit.stats) <= {*c.METRICS, *found.metrics} and credit.stats["rollout/faults"] == 3
    if found.targets is not None and found.needs_values(config):
        for mine, theirs in zip(credit.targets or [], found.targets(groups, config), strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", ALL)
def test_credit_of_nothing_is_nothing(name: str) -> None:
    found = algorithms.get(name)
    credit = found.credit([], c.Values([], actions=[]), found.Config())
    assert credit.advantages == [] and credit.weights == []
