"""How far is `webgym plan` from what runs take? Runs on this machine, forecast by the rates of two of them.

    python -m benchmarks.plan [--iterations 3] [--write docs/scaling.md] [--json FILE]

For each backend, a run with one session tells the rates of a turn alone (:meth:`trainers.recipes.plan.Rates.of_run`), and one with eight
how many completions are served at once. Then other runs are forecast before they are played: other numbers of sessions, longer episodes,
and batches that are collected beside the update. The error is that of an iteration's seconds.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import marks
from trainers.config import resolve, with_settings
from trainers.models.model import no_progress_bars
from trainers.recipes.plan import Fleet, Rates, forecast
from trainers.training.trainer import Trainer
from webgym.record import layout
from webgym.record.store import load

COMMON = ("rollout.groups=6", "rollout.group_size=4", "evaluation.seeds=0", "trackers=[]", "length.minutes=null", "checkpoints.every=1000")
WHERE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "text": ("text", ("wizard.h3", "wizard.h8")),
    "browser": ("browser", ("miniwob.click-button", "wizard.h3")),
}
CORES = 1  # what one interpreter uses: turns and completions of a run in one process share it
BEGIN, END = "<!-- plan: begin -->", "<!-- plan: end -->"


def measured(parent: Path, name: str, backend: str, task: str, sessions: int, overlap: bool, iterations: int) -> dict[str, Any]:
    """A run's rows, its mean turns and tokens, and the seconds of an iteration, the first one left out."""
    settings = [*COMMON, f"machine.sessions={sessions}", f"length.iterations={iterations + 1}", f"rollout.overlap={str(overlap).lower()}"]
    data = with_settings({"algo": "grpo", "tasks": [task], "machine": {"backend": backend}}, settings)
    trainer = Trainer.start(resolve(data)[0], parent=parent, name=name)
    with trainer.run:
        trainer.train()
    path = parent / name
    rows = [row for row in map(json.loads, (path / layout.METRICS).read_text().splitlines()) if "time/iteration_s" in row][1:]
    turns = [turn for n in range(2, iterations + 2) for x in load(layout.trajectory_file(path, n)) for turn in x.turns]
    return {
        "rows": rows,
        "turns": statistics.fmean(row["rollout/turns"] for row in rows),
        "prompt": statistics.fmean(len(turn.completion.prompt_ids) for turn in turns),
        "answer": statistics.fmean(len(turn.completion.action_ids) for turn in turns),
        "iteration_s": statistics.fmean(row["time/iteration_s"] for row in rows),
    }


def fleet_of(run: Mapping[str, Any], rates: Rates, sessions: int, overlap: bool) -> Fleet:
    """The fleet that a run in one process is."""
    return Fleet(
        1.0, cores=CORES, sessions=sessions, groups=6, group_size=4, turns=run["turns"], prompt=run["prompt"], answer=run["answer"],
        staleness=int(overlap), rates=rates,
    )  # fmt: skip


def fitted(rates: Rates, run: Mapping[str, Any], sessions: int) -> Rates:
    """The rates with as many places for completions as make the forecast of a run its own seconds."""
    assert rates.alone is not None
    low, high = 0.25, float(sessions)
    for _ in range(24):
        middle = (low + high) / 2
        found = forecast(fleet_of(run, replace(rates, alone=(rates.alone[0], middle)), sessions, False)).iteration_s
        low, high = (middle, high) if found > run["iteration_s"] else (low, middle)
    return replace(rates, alone=(rates.alone[0], high))


def compared(where: str, parent: Path, iterations: int) -> list[dict[str, Any]]:
    """Forecast and measured seconds of the runs on a backend."""
    backend, (task, longer) = WHERE[where]
    one = measured(parent, f"{where}-one", backend, task, 1, False, iterations)
    rates = Rates.of_run(one["rows"], one["prompt"], one["answer"], 1, CORES)
    eight = measured(parent, f"{where}-eight", backend, task, 8, False, iterations)
    rates = fitted(rates, eight, 8)
    found = []
    for number, (name, sessions, overlap) in enumerate(
        [(task, 2, False), (task, 4, False), (task, 8, True), (longer, 1, False), (longer, 4, False)]
    ):
        run = measured(parent, f"{where}-{number}", backend, name, sessions, overlap, iterations)
        expected = forecast(fleet_of(run, rates, sessions, overlap)).iteration_s
        error = expected / run["iteration_s"] - 1
        found.append({"where": where, "task": name, "sessions": sessions, "overlap": overlap, "turns": run["turns"],
                      "forecast_s": expected, "measured_s": run["iteration_s"], "error": error})  # fmt: skip
        print(found[-1], flush=True)
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """The comparison in Markdown."""
    lines = ["| backend, task | sessions | forecast s | measured s | error |", "|---|---|---|---|---|"]
    for row in rows:
        name = f"{row['where']}, `{row['task']}`" + (", beside the update" if row["overlap"] else "")
        lines.append(f"| {name} | {row['sessions']} | {row['forecast_s']:.1f} | {row['measured_s']:.1f} | {row['error']:+.0%} |")
    errors = [abs(row["error"]) for row in rows]
    return "\n".join([*lines, "", f"The error is {statistics.median(errors):.0%} in the median and {max(errors):.0%} at most."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(WHERE), choices=list(WHERE))
    parser.add_argument("--iterations", type=int, default=3, help="of each run, besides a first one that is not counted")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--write", type=Path, help="put the table into this page")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    no_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for where in arguments.only for row in compared(where, Path(folder), arguments.iterations)]
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.write:
        marks.put(arguments.write, BEGIN, END, f"\n{table(rows)}\n")


if __name__ == "__main__":
    main()
