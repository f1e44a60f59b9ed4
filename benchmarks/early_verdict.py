"""Cells that a study must play until its verdict is settled, by the order in which it plays them: `python -m benchmarks.early_verdict`.

Runs are drawn, not played: the grid's deciding tasks, seeds and budgets, GRPO's median at half of each budget, the contender's at a stated
ratio of it, log-normal spread, as many tokens a step for all. The verdict is the study's own (:mod:`trainers.studies.verdict`).
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from trainers.studies.learning import LEARNING, Cell, cells, decides, read_grid
from trainers.studies.verdict import verdict

CASES = {
    "1.0 on all": (1.0, 1.0),
    "learnN 0.3, others 1.0": (0.3, 1.0),
    "learnN 0.5, others 1.0": (0.5, 1.0),
    "learnN 0.8, others 1.0": (0.8, 1.0),
}
SPREAD = 0.4
TOKENS = 5.0


def drawn(cell: Cell, yardstick: str, ratios: tuple[float, float], rng: np.random.Generator) -> dict[str, Any]:
    """The row of a cell that was not played."""
    ratio = 1.0 if cell.label == yardstick else ratios[0 if "learn" in cell.task else 1]
    steps = cell.steps / 2 * ratio * rng.lognormal(0, SPREAD)
    reached = steps if steps <= cell.steps else None
    own = {"task": cell.task, "label": cell.label, "seed": cell.seed, "steps": cell.steps, "steps_to_goal": reached}
    return own | {"curve": [{"steps": reached or cell.steps, "tokens": TOKENS * (reached or cell.steps)}]}


def orders(found: Sequence[Cell], yardstick: str) -> Iterator[tuple[str, list[Cell], bool]]:
    """Name, cells in order, and True where cells of tasks that no longer matter are left out."""
    yield "seed after seed, tasks that matter (the study's)", list(found), True
    yield "seed after seed", list(found), False
    yield f"{yardstick} first", sorted(found, key=lambda cell: cell.label != yardstick), False
    yield "task after task, cheapest first", sorted(found, key=lambda cell: (cell.steps, cell.task)), False


def settled(order: Sequence[Cell], rows: dict[Cell, dict[str, Any]], names: tuple[str, str], skips: bool, every: int) -> list[Cell]:
    """The cells that are played until the verdict is known; it is looked at after each `every` cells."""
    runs = {cell.task: 1 + max(x.seed for x in order if x.task == cell.task) for cell in order}
    played: list[Cell] = []
    matters = set(runs)
    for cell in order:
        if skips and cell.task not in matters:
            continue
        played.append(cell)
        if len(played) % every == 0:
            found = verdict([rows[x] for x in played], *names, runs)
            if len(found["open"]) == 1:
                break
            matters = {task["task"] for task in found["tasks"] if task["matters"]}
    return played


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=5, help="drawn studies of each case")
    parser.add_argument("--every", type=int, default=8, help="cells from one look at the verdict to the next")
    options = parser.parse_args()
    grid = read_grid(LEARNING.with_name("corner.toml"))
    assert grid.question is not None
    names = (grid.question.label, grid.question.yardstick)
    found = [x for x in cells(grid, "measure", {x.label: 0 for x in grid.contenders}) if decides(grid, x)]
    print(f"{len(found)} deciding cells, {sum(x.steps for x in found):,} steps")
    print("\n| true ratios | order | cells | steps, millions |\n|---|---|---|---|")
    for case, ratios in CASES.items():
        for name, order, skips in orders(found, names[1]):
            played = []
            for seed in range(options.studies):
                rng = np.random.default_rng(seed)
                rows = {cell: drawn(cell, names[1], ratios, rng) for cell in found}
                played.append(settled(order, rows, names, skips, options.every))
            steps = np.mean([sum(x.steps for x in study) for study in played]) / 1e6
            print(f"| {case} | {name} | {np.mean([len(x) for x in played]):.0f} | {steps:.2f} |", flush=True)


if __name__ == "__main__":
    main()
