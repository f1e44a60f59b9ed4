"""Observers of a run: the display, the live file, the clock, the probe of the critic, and Ctrl-C."""

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from trainers.config import TrainConfig
from trainers.credit.credit import Credit, Values
from trainers.credit.record import credit_rows
from trainers.critics.probe import probe_rows, probe_set
from trainers.critics.valuer import Valuer
from trainers.runs.run_folder import RunFolder
from trainers.training.clock import Timekeeper, shares, split, split_in_words
from trainers.training.progress import Display, Progress
from webgym.record import layout
from webgym.record.live import Monitor
from webgym.rollout.contract import Event
from webgym.types import Trajectory

if TYPE_CHECKING:
    from trainers.training.trainer import Trainer


class Observers:
    """All observers of a run. They decide nothing in it, except by `interrupted`."""

    def __init__(self, config: TrainConfig, run: RunFolder, display: Display) -> None:
        self._config, self._run = config, run
        self.display = display
        self.monitor = Monitor(run.path / layout.LIVE, config.machine.sessions)
        self.timekeeper = Timekeeper()
        self.interrupted = False
        self._probe: list[Trajectory] | None = None
        self._rows: list[dict[str, float]] = []  # of this process's iterations

    @contextlib.contextmanager
    def shown(self, trainer: "Trainer") -> Iterator[None]:
        """Show the run for as long as it goes on."""
        self.display.begin(trainer)
        try:
            yield
        finally:
            self.display.end()

    def hear(self, event: Event) -> None:
        """An event of the collection."""
        self.timekeeper.doing("browser", event.counts.acting > 0)
        self.monitor.hear(event)
        self.display.collecting(event)

    def log(self, iteration: int, row: dict[str, float]) -> None:
        """Log the row of an iteration in the run folder, and keep it for the split of time."""
        self._run.log(iteration, row)
        self._rows.append(row)

    def time_metrics(self) -> dict[str, float]:
        """Seconds of this iteration and of its checkpoint, and the share of each kind of work."""
        seconds = self.timekeeper.seconds()
        spent = {"time/iteration_s": seconds["all"], "time/checkpoint_s": seconds["saving"], "time/publish_s": seconds["publishing"]}
        return {**spent, **shares(seconds)}

    def iterated(self, row: Mapping[str, float], iteration: int, turns: int, new_turns: int, elapsed_s: float) -> None:
        """Show an iteration and an estimate of the time that is left."""
        left_s = self._left_s(row, iteration, turns, new_turns, elapsed_s)
        self.display.iterated(Progress(iteration, self._config.length.iterations, row, elapsed_s, left_s))

    def _left_s(self, row: Mapping[str, float], iteration: int, turns: int, new_turns: int, elapsed_s: float) -> float:
        """Seconds that are left, by the last iteration and whichever limit comes first."""
        config = self._config
        rounds = float(config.length.iterations - iteration)
        if config.length.steps is not None:
            rounds = min(rounds, max(0, config.length.steps - turns) / max(1, new_turns))
        left_s = rounds * row["time/iteration_s"]
        return left_s if config.length.minutes is None else min(left_s, max(0.0, 60 * config.length.minutes - elapsed_s))

    def say_split(self) -> None:
        """Show the split of the time of this process's iterations."""
        if self._rows:
            shown = split_in_words(split(self._rows))
            self.display.say(f"time of the iterations, by what was done in it (several things at once): {shown}")

    def probe(self, valuer: Valuer, iteration: int) -> None:
        """Write V per turn on the probe set, for the viewer; the set is fixed by the first iteration and absent before it."""
        if self._probe is None and iteration:
            self._probe = probe_set(self._run.trajectory_path(1))
        for row in probe_rows(self._probe or [], valuer.turn_values(self._probe or []), iteration):
            self._run.values.append(iteration, row)

    def credited(self, iteration: int, trajectories: Sequence[Trajectory], values: Values | None, credit: Credit) -> None:
        """Write V(s_t) and the advantages of a batch as they are used, for the viewer."""
        self._run.keep_credit(iteration, credit_rows(trajectories, values, credit))

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Turn the first Ctrl-C into an orderly stop; the second raises KeyboardInterrupt."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(signum: int, frame: FrameType | None) -> None:
            self.interrupted = True
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self.display.say("stopping after this iteration (Ctrl-C again stops at once)")

        old = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, old)
