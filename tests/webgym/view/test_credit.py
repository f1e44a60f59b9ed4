"""The credit sheet's arithmetic, as the page runs it, against the trainers' own."""

from pathlib import Path

import numpy as np

from tests.trainers.episodes import trajectory, turn
from tests.webgym.view.runs import run_folder
from trainers.algorithms import archer, grpo, reinforce
from trainers.credit import credit as c


def test_every_estimator_gives_what_its_algorithm_gives(viewer, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cases, wanted = [], []
    for number in range(40):
        gamma = 1.0 if number % 2 else 0.9
        group = [[float(rng.normal()) for _ in range(rng.integers(1, 7))] for _ in range(rng.integers(1, 5))]
        if rng.random() < 0.2:
            group = [[1.0], [0.0, 1.0]]  # no spread
        me, lam, std = int(rng.integers(len(group))), float(rng.random()), bool(rng.random() < 0.5)
        values = [rng.normal(size=len(rewards)) for rewards in group]
        made = [trajectory([turn([1], [2], r) for r in rewards], "failure") for rewards in group]
        held = c.Values(values)

        def of(algorithm, config, made=made, held=held, me=me):
            return algorithm.credit([made], held, config).advantages[me].tolist()

        plain = {"whiten": False, "gate": False, "gamma": gamma}
        returns = [c.discounted_returns(c.rewards(x), c.discounts(len(x), gamma)) for x in made]
        wanted.append(
            {
                "reinforce": of(reinforce, reinforce.Config(baseline="none", gamma=gamma)),
                "grpo": of(grpo, grpo.Config(std=std, negative=1.0)),
                "leave_one_out": (returns[me] - c.group_baseline(returns)[me]).tolist(),
                "td": of(archer, archer.Config(lam=0.0, **plain)),
                "gae": of(archer, archer.Config(lam=lam, **plain)),
                "archer": of(archer, archer.Config(published_td=True, **plain)),
            }
        )
        cases.append(
            {"rewards": group[me], "group": group, "me": me, "values": values[me].tolist(), "gamma": gamma, "lam": lam, "std": std}
        )
    with viewer(run_folder(tmp_path / "run", iterations=1)) as v:
        v.go("").wait_for_selector("h1")
        got = v.page.evaluate("cases => cases.map(x => Object.fromEntries(webgymCredit.estimators(x).map(row => [row.key, row.a])))", cases)
        blind = v.page.evaluate("x => webgymCredit.estimators({...x, values: null}).map(row => [row.key, row.a !== null])", cases[0])
    for mine, theirs in zip(got, wanted, strict=True):
        assert mine.keys() == theirs.keys()
        for key in theirs:
            np.testing.assert_allclose(mine[key], theirs[key], atol=1e-12, err_msg=key)
    assert dict(blind) == {"reinforce": True, "grpo": True, "leave_one_out": True, "td": False, "gae": False, "archer": False}
