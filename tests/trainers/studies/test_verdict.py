"""The rule of a verdict, by hand, and what it is while cells are missing."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from trainers.studies.learning import LEARNING, Study, cells, decides, read_grid
from trainers.studies.verdict import table, verdict
from webgym.errors import ConfigError

TASKS = ("a", "b", "c", "d")
ONE = dict.fromkeys(TASKS, 1)
CORNER = LEARNING.with_name("corner.toml")


def rows(label: str, steps: list[float | None], tokens: float = 2.0, budget: int = 10_000, task: str = "a") -> list[dict]:
    """Measured cells, seeds from 0 on, that reached the goal after these steps; none: not within the budget."""
    own = {"label": label, "task": task, "steps": budget}
    return [
        {**own, "seed": n, "steps_to_goal": s, "curve": [{"steps": s or budget, "tokens": tokens * (s or budget), "success": 1.0}]}
        for n, s in enumerate(steps)
    ]


def answer(found: list[dict], runs: dict[str, int] | None = None) -> tuple[str, list[str]]:
    given = verdict(found, "taught", "grpo", runs or ONE)
    return given["verdict"], given["open"]


def test_the_rule_that_was_fixed_beforehand() -> None:
    steps: list[float | None] = [1000.0, 1100.0, 900.0, 1050.0, 950.0] * 4
    grpo = [row for task in TASKS for row in rows("grpo", steps, task=task)]

    def said(*factors: float, tokens: float = 2.0) -> str:
        pairs = zip(TASKS, factors, strict=True)
        taught = [row for task, f in pairs for row in rows("taught", [f * (s or 0) for s in steps], tokens, task=task)]
        found, still = answer([*grpo, *taught], dict.fromkeys(TASKS, 20))
        assert still == [found], "all is played"
        return found

    assert said(0.3, 0.3, 0.9, 0.9) == "half"
    assert said(0.3, 0.9, 0.9, 0.9) == "undecided"
    assert said(0.9, 0.9, 0.9, 1.2) == "refuted"
    assert said(0.3, 0.3, 0.3, 0.3, tokens=6.0) == "refuted", "tokens count as well"


def test_what_is_missing_keeps_verdicts_open_in_closed_form() -> None:
    """With one run of each an interval is a number: 0.4 is shown, 0.6 is missed."""

    def after(*ratios: float) -> tuple[str, list[str]]:
        return answer(
            [x for t, r in zip(TASKS, ratios, strict=False) for x in rows("grpo", [1000], task=t) + rows("taught", [1000 * r], task=t)]
        )

    assert after() == ("undecided", ["half", "refuted", "undecided"])
    assert after(0.6) == ("undecided", ["half", "refuted", "undecided"])
    assert after(0.4) == ("undecided", ["half", "undecided"])
    assert after(0.4, 0.4) == ("half", ["half"]), "nothing that is left can undo it"
    assert after(0.6, 0.6, 0.6) == ("refuted", ["refuted", "undecided"]), "three tasks count, and the fourth may still differ"
    assert after(0.6, 0.6, 0.4) == ("undecided", ["half", "undecided"])
    assert after(0.6, 0.6, 0.6, 0.6) == ("refuted", ["refuted"]) and after(0.6, 0.6, 0.6, 0.4) == ("undecided", ["undecided"])
    # on one side only, a task stays open; and with two left, half is still possible
    assert answer(rows("grpo", [1000])) == ("undecided", ["half", "refuted", "undecided"])


def test_a_task_that_cannot_change_the_verdict_does_not_matter() -> None:
    """Task a can no longer be shown: it matters as long as all may be missed, and not once b is shown."""
    a = rows("grpo", [1000, 1000]) + rows("taught", [6000])
    b = rows("grpo", [1000, 1000], task="b") + rows("taught", [200, 200], task="b")

    def matters(found: list[dict]) -> dict[str, bool]:
        return {x["task"]: x["matters"] for x in verdict(found, "taught", "grpo", dict.fromkeys(TASKS, 2))["tasks"]}

    assert verdict(a, "taught", "grpo", {"a": 2})["tasks"][0]["possible"] == ["between", "missed"]
    assert matters(a) == dict.fromkeys(TASKS, True)
    assert matters(a + b) == {"a": False, "b": False, "c": True, "d": True}


def test_one_run_of_twenty_is_no_verdict() -> None:
    few = [x for task in TASKS for x in rows("grpo", [1000], task=task) + rows("taught", [900], task=task)]
    assert answer(few, dict.fromkeys(TASKS, 20)) == ("undecided", ["half", "refuted", "undecided"])
    shown = table(verdict(few, "taught", "grpo", dict.fromkeys(TASKS, 20)))
    assert shown.row_count == 4 and "still possible: half, refuted, undecided" in str(shown.title)


def test_a_run_that_stalls_proves_nothing() -> None:
    """A yardstick without the goal cannot refute; a contender without it cannot be half; each can still do the other."""

    def all_tasks(grpo: float | None, taught: float | None) -> dict:
        return verdict([x for t in TASKS for x in rows("grpo", [grpo], task=t) + rows("taught", [taught], task=t)], "taught", "grpo", ONE)

    assert all_tasks(None, None)["verdict"] == "undecided", "two budgets are no ratio"
    assert all_tasks(None, 6000.0)["verdict"] == "undecided" and all_tasks(None, 4000.0)["verdict"] == "half"
    assert all_tasks(9000.0, None)["verdict"] == "refuted" and all_tasks(9000.0, 6000.0)["verdict"] == "refuted"
    task = all_tasks(9000.0, None)["tasks"][0]
    assert task["C1"]["high"] is None and task["C1"]["low"] == pytest.approx(10 / 9)


def test_an_early_verdict_is_that_of_every_completion() -> None:
    """Random studies of four tasks and six runs, cut anywhere: the final verdict is among the open ones, and a settled one is it."""
    rng, runs, settled = np.random.default_rng(0), 6, 0
    for study in range(6):
        ratios = rng.choice([0.2, 1.0], size=4) if study % 3 else np.full(4, 1.0 if study % 2 else 0.2)
        whole = [
            x
            for seed, (task, ratio) in itertools.product(range(runs), zip(TASKS, ratios, strict=True))
            for label, mean in (("grpo", 2000), ("taught", 2000 * ratio))
            for x in [rows(label, [None if rng.random() < 0.1 else mean * rng.lognormal(0, 0.1)], task=task)[0] | {"seed": seed}]
        ]
        final, still = answer(whole, dict.fromkeys(TASKS, runs))
        assert still == [final]
        for played in (24, 36, 42, 46):
            so_far = verdict(whole[:played], "taught", "grpo", dict.fromkeys(TASKS, runs))
            assert final in so_far["open"] and (len(so_far["open"]) > 1 or so_far["verdict"] == final)
            settled += len(so_far["open"]) == 1
            idle = [task["task"] for task in so_far["tasks"] if not task["matters"]]
            other = [row | {"steps_to_goal": rng.choice([100.0, 9000.0])} if row["task"] in idle else row for row in whole[played:]]
            assert answer([*whole[:played], *other], dict.fromkeys(TASKS, runs)) == (final, [final])
    assert settled > 2, "some are settled before their end"


# --- the study -------------------------------------------------------------------------------------------------------------


def test_the_cells_that_decide_come_first() -> None:
    grid = read_grid(CORNER)
    assert grid.question is not None and (grid.question.label, grid.question.yardstick, grid.question.half) == ("taught", "grpo", 0.5)
    for stage, count in (("tune", 48), ("measure", 160)):
        found = cells(grid, stage, {contender.label: 0 for contender in grid.contenders})
        assert [decides(grid, cell) for cell in found] == [True] * count + [False] * (len(found) - count)
    assert [(x.label, x.seed) for x in found[:10]] == [(label, 0) for _ in range(4) for label in ("grpo", "taught")] + [
        ("grpo", 1),
        ("taught", 1),
    ]


def test_a_question_whose_cells_are_not_in_the_grid_is_refused(tmp_path: Path) -> None:
    text = CORNER.read_text("utf-8")
    asked = 'contenders = ["grpo", "taught"]\ntasks = { "wizard.h12-k4'
    assert text.count(asked) == 1
    (tmp_path / "grid.toml").write_text(text.replace(asked, asked.replace('"grpo", ', "")), "utf-8")
    with pytest.raises(ConfigError, match=r"expected as many runs of taught and grpo on the deciding task wizard.h12-k4-.*, got \[20\]"):
        read_grid(tmp_path / "grid.toml")


def test_a_study_ends_when_its_verdict_is_settled(tmp_path: Path) -> None:
    """Rows are written as another process would have written them, in the order of the study; `taught` needs a fifth of GRPO's steps."""
    study, said = Study(CORNER, tmp_path), []
    written = 0
    for stage in ("tune", "measure"):
        for cell in study.todo(stage, deciding=True):
            assert study.answer()["open"] != ["half"] and cell.label in ("grpo", "taught")
            (row,) = rows(cell.label, [1000.0 if cell.label == "taught" else 5000.0], budget=cell.steps, task=cell.task)
            study._cells.keep(cell.name, row | {"seed": cell.seed, "candidate": cell.candidate, "area": 0.5, "final": 0.8})
            written += 1
            if study.answer()["open"] == ["half"]:
                break
    assert 48 + 8 < written < 48 + 160
    assert study.run(say=said.append) == 0, "nothing more is played"
    assert said == ["the verdict is half: no cell that is left can change it (--only '*/*' plays them all the same)"]
    assert study.plan()[1] == "  48 of them decide and come first, 624,000 environment steps; 48 are done"
    assert study.plan()[-1] == "verdict: half; still possible: half"
    assert study.todo("measure", ["grpo/*"], deciding=True) and study.todo("tune", ["no-forks/*"]), "the rest can be asked for"
