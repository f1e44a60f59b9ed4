"""The control of a training run: its time, spent on more imitation of the same demonstrations instead.

    python -m benchmarks.control --run runs/latest --demos demos/tiny [--minutes M] [--seeds 40] [--set lr=1e-3] [--json FILE]

The model that the run started from goes on imitating for as long as the run's iterations took (or `--minutes`), packed and stepped as
`webgym sft` does it. Then all three, start, run and control, play the same held-out episodes, sampled and greedy, and are compared
seed by seed. The run must gain more than twice what the control gains for reinforcement to be what taught it.
Both are given the machine as it is; on a busy one say so beside the figures.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from trainers.imitation.demos_to_model import sft
from trainers.models.model import no_progress_bars
from trainers.runs.run_folder import RunFolder
from trainers.training.evaluation import play, run_config
from webgym.errors import UsageError
from webgym.evaluation.assessment import Assessment
from webgym.evaluation.statistics import Comparison, Report, compare
from webgym.record import layout
from webgym.types import Trajectory


@dataclass(frozen=True)
class Contest:
    """Start, run and control on the same episodes, decoded in one way."""

    decoding: str
    reports: dict[str, Report]
    run_gain: Comparison
    control_gain: Comparison
    run_over_control: Comparison

    @classmethod
    def of(cls, decoding: str, wanted: Assessment, played: dict[str, list[Trajectory]]) -> "Contest":
        """From the episodes of `start`, `run` and `control`."""
        start, run, control = (played[name] for name in ("start", "run", "control"))
        reports = {name: wanted.report(episodes) for name, episodes in played.items()}
        return cls(decoding, reports, compare(start, run), compare(start, control), compare(control, run))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        comparisons = {name: getattr(self, name).to_json() for name in ("run_gain", "control_gain", "run_over_control")}
        return {"decoding": self.decoding, **{name: report.to_json()["overall"] for name, report in self.reports.items()}, **comparisons}

    def lines(self) -> list[str]:
        """The contest in words."""
        rows = [(name, report.overall) for name, report in self.reports.items()]
        return [
            f"{self.decoding}: "
            + ", ".join(f"{name} {row.success:.1%} [{row.interval.low:.1%}, {row.interval.high:.1%}]" for name, row in rows),
            f"  run:     {self.run_gain.sentence()}",
            f"  control: {self.control_gain.sentence()}",
            f"  run over control: {self.run_over_control.sentence()}",
        ]


def minutes_of(run: Path) -> float:
    """How long the iterations of a run took, evaluations left out. Raises UsageError where it has none."""
    with RunFolder.open(run, write=False) as folder:
        rows = [json.loads(line) for line in (folder.path / layout.METRICS).read_text("utf-8").splitlines()]
    seconds = sum(row.get("time/iteration_s") or 0.0 for row in rows)
    if not seconds:
        raise UsageError(f"{run} has had no iteration yet: train first")
    return seconds / 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run folder")
    parser.add_argument("--demos", type=Path, required=True, help="what the run's model was taught with")
    parser.add_argument("--minutes", type=float, help="budget of the control; the run's own unless given")
    parser.add_argument("--out", type=Path, default=Path("models/control"), help="folder for the control's model")
    parser.add_argument("--seeds", type=int, default=40, help="test seeds of each task")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="key=value of `webgym sft`")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    no_progress_bars()
    try:
        result = control(arguments)
    except UsageError as error:
        parser.error(str(error))
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result) + "\n")


def control(arguments: argparse.Namespace) -> dict[str, Any]:
    """Imitate, play, compare; prints on the way. Raises UsageError."""
    console, config = Console(soft_wrap=True), run_config(arguments.run)
    if config is None:
        raise UsageError(f"{arguments.run} is no run folder")
    imitation = _imitate(arguments, config["model"], console.print)
    wanted = Assessment(tuple(config["tasks"]), "test", arguments.seeds, backend=config["machine"]["backend"])
    contests = [
        Contest.of(decoding, wanted, _played(wanted, arguments.run, config["model"], arguments.out, decoding == "greedy"))
        for decoding in ("sampled", "greedy")
    ]
    for contest in contests:
        console.print("\n".join(contest.lines()))
    return {**imitation, "contests": [contest.to_json() for contest in contests]}


def _imitate(arguments: argparse.Namespace, model: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Make the control's model, unless it is there; what it had."""
    if (arguments.out / "config.json").is_file():
        say(f"{arguments.out} is there already and is taken as the control; remove it to make it anew")
        return {}
    minutes = arguments.minutes or minutes_of(arguments.run)
    say(f"{model} imitates {arguments.demos} for {minutes:.1f} minutes more")
    settings = [f"minutes={minutes}", "epochs=1000", "batch_tokens=2048", *arguments.settings]
    final = sft(arguments.demos, arguments.out, model=model, settings=settings, threads=arguments.threads, say=say).final
    return {"minutes": minutes, "tokens": final.tokens, "epochs": round(final.epoch, 2), "exact": final.exact}


def _played(wanted: Assessment, run: Path, model: str, out: Path, greedy: bool) -> dict[str, list[Trajectory]]:
    players: Sequence[tuple[str, Path]] = (("start", Path(model)), ("run", run), ("control", out))
    return {name: play(wanted, path, greedy=greedy) for name, path in players}


if __name__ == "__main__":
    main()
