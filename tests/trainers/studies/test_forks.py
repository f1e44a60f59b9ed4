"""The study of forks at its smallest, the table of choices against the workflows that it stands for, and theory against measurement."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from trainers.studies.choices import Player, Problem, exact_values, softmax
from trainers.studies.forks import FORKS, Contender, ForkStudy, Signal, measure_signal, read_grid, tables
from webgym.errors import ConfigError
from webgym.packs import registry
from webgym.types import EpisodeKey

SMALL = """
[signal]
seeds = 2
groups = 12
problems = [{ name = "t4", turns = 4, things = 2, spared = 1, accuracy = 0.6 }]
[[signal.estimators]]
label = "rloo"
algo = "rloo"
[[signal.estimators]]
label = "taught"
algo = "taught"
algorithm = { lam = 0.0, whiten = false }
critic = "learned"
[learning]
seeds = 2
tuning_seeds = [100]
most = 2000
problems = [{ name = "l4", turns = 4, things = 4, spared = 2 }]
[[learning.contenders]]
label = "grpo"
algo = "grpo"
rates = [20.0, 40.0]
[[learning.contenders]]
label = "taught"
algo = "taught"
algorithm = { whiten = false }
critic = "learned"
rates = [20.0]
variants = [{ chance = 0.1 }, { chance = 0.3 }]
"""


def test_the_smallest_study_is_tuned_measured_and_resumed(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(SMALL)
    study = ForkStudy(tmp_path / "grid.toml", tmp_path / "out")
    with pytest.raises(ConfigError, match="grpo is not tuned yet on l4"):
        study.cells("measure")
    said: list[str] = []
    assert study.run(most=3, say=said.append) == 3 and len(said) == 3
    again = ForkStudy(tmp_path / "grid.toml", tmp_path / "out")
    assert again.run(say=said.append) == 2 + 4 + 4 - 3 and again.run(say=said.append) == 0
    assert all(line.endswith("are done") for line in again.plan())
    report = again.report()
    first, other = report["signal"]
    assert first["ratio_C1"]["mean"] == first["ratio_C2"]["mean"] == 1.0 and other["ratio_C2"]["mean"] < other["ratio_C1"]["mean"]
    assert {"slope", "judge"} <= other.keys() and "slope" not in first
    grpo, taught = report["learning"]
    assert grpo["reached"] == taught["reached"] == 2 and taught["steps_C2"] > taught["steps_C1"] and grpo["steps_C1"] == grpo["steps_C2"]
    assert len(tables(report)) == 2
    with pytest.raises(ConfigError, match="holds rows of another grid"):
        (tmp_path / "grid.toml").write_text(SMALL.replace("groups = 12", "groups = 13"))
        ForkStudy(tmp_path / "grid.toml", tmp_path / "out")


def test_grids_that_would_not_be_fair_are_refused(tmp_path: Path) -> None:
    for old, new, words in (
        ("tuning_seeds = [100]", "tuning_seeds = [1]", "seed 1 is tuned on and measured"),
        ("rates = [20.0, 40.0]", "rates = [20.0]", "as many candidates"),
        ('critic = "learned"\n[learning]', "[learning]", "contender taught: expected a critic just where taught needs values"),
        ("lam = 0.0", "lamda = 0.0", "contender taught: unknown key 'lamda'"),
    ):
        (tmp_path / "grid.toml").write_text(SMALL.replace(old, new))
        with pytest.raises(ConfigError, match=words):
            read_grid(tmp_path / "grid.toml")
    published = read_grid(FORKS)
    assert {len(x.candidates) for x in published.learning.contenders} == {6} and published.learning.seeds == 10


def test_the_table_is_the_workflow_that_it_stands_for() -> None:
    """Success of any choices, and the mistakes on the way, as `wizard` has them."""
    registry.task("wizard.h1")  # loads the pack
    workflow = sys.modules["webgym_tasks.wizard.workflow"]
    wizard = workflow.Wizard(6, choices=4, delay=6, visible=True, lessons=24, spared=2)
    problem, rng = Problem(name="w", turns=6, things=24, spared=2), np.random.default_rng(0)
    player = Player(problem, rng)
    player.set_policy(softmax(rng.normal(size=(24, 4))))
    number = {thing: n for n, thing in enumerate(workflow.THINGS)}
    for seed in range(30):
        flow = workflow.draw(wizard, seed)
        episode = player.play(EpisodeKey("w", seed), [number[page.field] for page in flow.pages])
        at = workflow.Progress()
        for page, turn in zip(flow.pages, episode.turns, strict=True):
            mistakes = at.mistakes + (at.wrong is not None)
            assert turn.completion.prompt_ids[2] == min(mistakes, 3)
            right = turn.completion.action_ids[0] == turn.completion.prompt_ids[1] % 4
            at = workflow.chosen(flow, at, page.right if right else (page.right + 1) % 4)
        assert episode.outcome.success == (at.status == "done")


def test_signal_to_noise_agrees_with_theory() -> None:
    """Unbiased estimators have signal 1; the exact TD(0)'s noise is that of its closed form; the judge's slope is the critic's."""
    problem = Problem(name="t8", turns=8, things=1, places=2, spared=3, accuracy=0.6)
    chances = softmax(problem.start())
    estimators = (
        Contender(label="rloo", algo="rloo"),
        Contender(label="tree", algo="tree", algorithm={"every": 4, "most": 1}),
        Contender(label="td0", algo="actor_critic", algorithm={"gamma": 1.0, "lam": 0.0, "whiten": False}, critic="exact"),
        Contender(label="taught", algo="taught", algorithm={"lam": 0.0, "whiten": False, "memory": 0.99999}, critic="exact"),
    )
    found = measure_signal(Signal(problems=(problem,), seeds=2, groups=500, estimators=estimators), problem, 0)["estimators"]
    for label in ("rloo", "tree", "td0", "taught"):
        assert found[label]["signal"] == pytest.approx(1.0, abs=5 * np.sqrt(found[label]["noise"] / 500))
    # the exact TD(0) of one episode, over all of its outcomes; members of a group are independent there
    v, first, second = exact_values(problem, chances), 0.0, 0.0
    for wrong in itertools.product((0, 1), repeat=8):
        path = np.minimum(np.cumsum([0, *wrong]), 4)
        gain = np.diff([v[t, m] for t, m in enumerate(path)]) @ np.array([0.4 if w == 0 else -0.6 for w in wrong])
        p = np.prod([0.4 if w else 0.6 for w in wrong])
        first, second = first + p * gain, second + p * gain**2
    assert found["td0"]["noise"] == pytest.approx((second / first**2 - 1) / 4, rel=0.25)
    assert found["td0"]["noise"] < found["tree"]["noise"] < found["rloo"]["noise"]
    assert found["taught"]["slope"] == pytest.approx(1.0) and found["taught"]["judge"] == pytest.approx(1.0, abs=0.35)
