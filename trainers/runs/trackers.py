"""Trackers of metrics besides metrics.jsonl: TensorBoard, and by extra Weights & Biases and trackio. Imported when asked for."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from webgym.errors import ConfigError, did_you_mean
from webgym.record import layout


class Tracker(Protocol):
    """Receives the rows of a run as they are made."""

    def log(self, iteration: int, metrics: Mapping[str, Any]) -> None:
        """Take one row; entries that are no numbers are ignored."""
        ...

    def resume(self, iteration: int) -> None:
        """Rows after this iteration will be made again."""
        ...

    def close(self) -> None: ...


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The entries that can be drawn as a curve."""
    return {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}


class TensorBoard:
    """Event files in `run/tensorboard`; look at them with `tensorboard --logdir runs`."""

    def __init__(self, run: Path) -> None:
        self._folder = run / layout.TENSORBOARD
        self._writer = self._open(None)

    def _open(self, purge_step: int | None) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self._folder), purge_step=purge_step)

    def log(self, iteration: int, metrics: Mapping[str, Any]) -> None:
        for name, value in numbers(metrics).items():
            self._writer.add_scalar(name, value, iteration)
        self._writer.flush()

    def resume(self, iteration: int) -> None:
        """TensorBoard hides values that an earlier writer logged at later steps."""
        self._writer.close()
        self._writer = self._open(iteration + 1)

    def close(self) -> None:
        self._writer.close()


class Hosted:
    """Weights & Biases or trackio, which share these three calls; each takes its own settings from the environment."""

    def __init__(self, module: Any, run: Path, **settings: Any) -> None:
        self._module = module
        module.init(project="webgym", name=run.name, **settings)

    def log(self, iteration: int, metrics: Mapping[str, Any]) -> None:
        self._module.log(numbers(metrics), step=iteration)

    def resume(self, iteration: int) -> None:
        """Nothing to do: rows made again carry the same steps."""

    def close(self) -> None:
        self._module.finish()


def _hosted(name: str, **settings: Any) -> Callable[[Path], Tracker]:
    def make(run: Path) -> Tracker:
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            raise ConfigError(f"The tracker {name!r} is not installed: run `pip install 'webgym-rl[{name}]'`.") from error
        return Hosted(module, run, **settings)

    return make


TRACKERS: dict[str, Callable[[Path], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": _hosted("wandb", resume="allow"),
    "trackio": _hosted("trackio", resume="allow"),
}


def trackers(names: Sequence[str]) -> Callable[[Path], list[Tracker]]:
    """A function from a run folder to its open trackers, as `RunFolder` takes it. Raises ConfigError for an unknown name."""
    for name in names:
        if name not in TRACKERS:
            raise ConfigError(f"There is no tracker {name!r}, only {', '.join(TRACKERS)} (none: trackers=[]){did_you_mean(name, TRACKERS)}")
    return lambda run: [TRACKERS[name](run) for name in names]
