"""Display of a running run: a live panel on a terminal, plain lines elsewhere."""

import io
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from trainers.training.clock import split_in_words
from trainers.training.progress import Display, Progress
from webgym.evaluation.statistics import Report
from webgym.record import layout
from webgym.rollout.contract import Event

if TYPE_CHECKING:
    from trainers.training.trainer import Trainer

MANY_INVALID = 0.5  # share of turns without an action, from which on it is told
BARS = "▁▂▃▄▅▆▇█"


def display_for(console: Console) -> Display:
    """The live panel where the console is a terminal, else plain lines; and the lines in the run folder in both cases."""
    return Logged(LivePanel(console) if console.is_terminal else Lines(console))


class Logged(Display):
    """Another display, and the lines of a run in its `train.log`, which a terminal does not keep."""

    def __init__(self, shown: Display) -> None:
        self.shown = shown
        self._file: TextIO | None = None
        self._lines = Lines(Console(file=io.StringIO()))

    def begin(self, trainer: "Trainer") -> None:
        self._file = (trainer.run.path / layout.LOG).open("a", encoding="utf-8", errors="replace", buffering=1)
        self._lines = Lines(Console(file=self._file, width=120))
        for display in (self.shown, self._lines):
            display.begin(trainer)

    def collecting(self, event: Event) -> None:
        self.shown.collecting(event)

    def iterated(self, progress: Progress) -> None:
        for display in (self.shown, self._lines):
            display.iterated(progress)

    def evaluated(self, report: Report, title: str) -> None:
        for display in (self.shown, self._lines):
            display.evaluated(report, title)

    def say(self, words: str) -> None:
        for display in (self.shown, self._lines):
            display.say(words)

    def end(self) -> None:
        self.shown.end()
        self._lines = Lines(Console(file=io.StringIO()))
        if self._file is not None:
            self._file.close()


def sparkline(values: list[float], width: int = 40) -> str:
    """The last `width` values as bars between 0 and 1; a missing value is a blank.

    >>> sparkline([0.0, 0.5, 1.0, float("nan")])
    '▁▅█ '
    """
    return "".join(" " if math.isnan(v) else BARS[min(len(BARS) - 1, int(max(0.0, v) * len(BARS)))] for v in values[-width:])


def counted(number: int, noun: str) -> str:
    """The number with its noun.

    >>> counted(1, "task"), counted(3, "task")
    ('1 task', '3 tasks')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Lines(Display):
    """One line per iteration."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def begin(self, trainer: "Trainer") -> None:
        config = trainer.config
        self.console.print(
            f"{trainer.run.algo} on {counted(len(trainer.tasks), 'task')}, "
            f"{counted(config.rollout.groups, 'group')} of {counted(config.rollout.group_size, 'episode')} an iteration, "
            f"{counted(config.length.iterations, 'iteration')}, seed {config.seed}; run folder {trainer.run.path}",
            soft_wrap=True,
        )

    def iterated(self, progress: Progress) -> None:
        self.console.print(line(progress), soft_wrap=True)

    def evaluated(self, report: Report, title: str) -> None:
        self.console.print(report.table(title))

    def say(self, words: str) -> None:
        self.console.print(words, soft_wrap=True)


def line(progress: Progress) -> str:
    """An iteration in one line."""
    row = progress.row
    resampled = f" resampled {row['rollout/groups_resampled']:.0f}" if row.get("rollout/groups_resampled") else ""
    parts = [
        f"{progress.iteration:>4}/{progress.iterations}",
        f"success {row['rollout/success']:.3f} [{row['rollout/success_low']:.2f} {row['rollout/success_high']:.2f}]",
        f"turns {row['rollout/turns']:.1f}",
        f"dropped {row.get('rollout/groups_dropped', 0):.0f}{resampled}",
    ]
    if row.get("rollout/invalid", 0.0) >= MANY_INVALID:
        parts.append(f"no action in {row['rollout/invalid']:.0%} of the turns")
    for name, label, form in (
        ("loss/kl_to_behaviour", "kl", ".4f"),
        ("loss/entropy", "entropy", ".2f"),
        ("loss/clip_fraction", "clip", ".3f"),
        ("critic/held_out_ev", "critic EV", ".2f"),
    ):
        if name in row and not math.isnan(row[name]):
            parts.append(f"{label} {row[name]:{form}}")
    if row.get("rollout/faults"):
        parts.append(f"faults {row['rollout/faults']:.0f}")
    parts.append(
        f"{row['time/iteration_s']:.1f} s (collect {row['time/collect_s']:.1f}, update {row['time/update_s'] + row['time/critic_s']:.1f}, "
        f"unaccounted {row['time/unaccounted']:.0%})"
    )
    return "  ".join(parts)


class LivePanel(Lines):
    """A panel that is redrawn in place: success, its curve, rates, parts of the loss, split of the time, state of the sessions."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live: Live | None = None
        self._successes: list[float] = []
        self._progress: Progress | None = None
        self._counts: Any = None
        self._drawn = 0.0

    def begin(self, trainer: "Trainer") -> None:
        super().begin(trainer)
        self._successes = [row["rollout/success"] for row in trainer.run.metrics if row.get("rollout/success") is not None]
        self._live = Live(console=self.console, refresh_per_second=4, transient=False)
        self._live.start()

    def collecting(self, event: Event) -> None:
        self._counts = event.counts
        if time.monotonic() - self._drawn > 0.2:
            self._draw()

    def iterated(self, progress: Progress) -> None:
        self._progress = progress
        self._successes.append(progress.row["rollout/success"])
        self._draw()

    def evaluated(self, report: Report, title: str) -> None:
        (self._live.console if self._live else self.console).print(report.table(title))

    def say(self, words: str) -> None:
        (self._live.console if self._live else self.console).print(words, soft_wrap=True)

    def end(self) -> None:
        """Leave the last picture on the screen."""
        if self._live:
            self._counts = None  # nothing runs any more
            self._draw()
            self._live.stop()
            self._live = None

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        if self._live:
            self._live.update(Panel(Group(*self._parts()), title="webgym train", title_align="left"))

    def _parts(self) -> list[Any]:
        parts: list[Any] = []
        if self._progress:
            parts += [Text(f"success {sparkline(self._successes)}"), _figures(self._progress)]
        if (c := self._counts) is not None:
            parts.append(
                Text(
                    f"now: {c.done} episodes done, {c.successes} solved, {c.acting} in the browser, "
                    f"{c.thinking} waiting for the policy, {c.faults} faults"
                )
            )
        return parts or [Text("starting the browser ...")]


def _figures(progress: Progress) -> Table:
    row: Mapping[str, float] = progress.row
    seconds = max(row["time/iteration_s"], 1e-9)

    def shown(name: str, form: str) -> str:
        return "–" if math.isnan(row.get(name, math.nan)) else f"{row[name]:{form}}"

    cells = {
        "iteration": f"{progress.iteration}/{progress.iterations}, about {progress.left_s / 60:.0f} min left",
        "success": f"{row['rollout/success']:.3f} [{row['rollout/success_low']:.2f}, {row['rollout/success_high']:.2f}]",
        "turns/s": f"{row['rollout/episodes'] * row['rollout/turns'] / seconds:.0f}",
        "tokens/s": f"{row.get('optim/tokens_read', 0) / max(row['time/update_s'], 1e-9):,.0f} (update)",
        "KL": shown("loss/kl_to_behaviour", ".4f"),
        "entropy": shown("loss/entropy", ".3f"),
        "clipped": shown("loss/clip_fraction", ".3f"),
        "critic EV": shown("critic/held_out_ev", ".2f"),
        "groups dropped": f"{row.get('rollout/groups_dropped', 0):.0f}, played in their place {row['rollout/groups_resampled']:.0f}",
        "faults": f"{row.get('rollout/faults', 0):.0f}",
        "time": split_in_words(row),
        "seconds": f"collect {row['time/collect_s']:.1f} s, critic {row['time/critic_s']:.1f} s, update {row['time/update_s']:.1f} s",
    }
    table = Table.grid(padding=(0, 2))
    for name, value in cells.items():
        table.add_row(Text(name, style="dim"), value)
    return table
