"""Messages about a run to its display."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webgym.evaluation.statistics import Report
from webgym.rollout.contract import Event

if TYPE_CHECKING:
    from trainers.training.trainer import Trainer


@dataclass(frozen=True)
class Progress:
    """Message to a display after each iteration (or evaluation) of a run."""

    iteration: int
    iterations: int
    row: Mapping[str, float]
    elapsed_s: float
    left_s: float


class Display:
    """Receiver of all messages about a run; this one shows nothing. See :mod:`trainers.training.display`."""

    def begin(self, trainer: "Trainer") -> None: ...
    def collecting(self, event: Event) -> None: ...
    def iterated(self, progress: Progress) -> None: ...
    def evaluated(self, report: Report, title: str) -> None: ...
    def say(self, words: str) -> None: ...
    def end(self) -> None: ...
