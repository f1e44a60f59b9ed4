"""The run folder: all files of a training run, written so that a `kill -9` at any moment breaks none of them.

:mod:`webgym.record.layout` names and explains the files. Iterations count from 1: checkpoint 12 holds the state after iteration 12, and
checkpoint 0 the start. Resuming from checkpoint 12 drops the rows and trajectories of later iterations, so none is there twice.
"""

import json
import logging
import math
import os
import platform
import re
import shutil
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import tomli_w

from trainers.runs.checkpoint import AddedFile, Checkpoint, check_format, remove_folder, write_checkpoint
from trainers.runs.disk import disk_errors, sync_file, write_atomically
from trainers.runs.journal import Journal, finite
from trainers.runs.moved_keys import as_meant, moved
from trainers.runs.trackers import Tracker
from webgym.errors import CheckpointError, did_you_mean
from webgym.record import layout
from webgym.record.whole import read_json, read_small

if TYPE_CHECKING:
    from webgym.record.store import TrajectoryStore

log = logging.getLogger(__name__)

RUNS = Path("runs")
PASSWORD = re.compile(r"://[^/?#\s@]*@")
"""The name and password in an address, which no file of a run may hold."""
FORMAT = 1  # of a run folder's files, in run.json; raised when older readers would misread them. Folders of before say none.
RECORDED_VERSIONS = ("webgym-rl", "torch", "transformers", "tokenizers", "numpy", "gymnasium", "playwright", "miniwob")


class RunFolder:
    """A run on disk. Made by `create` or `open`; a context manager. One writer at a time: a second one is refused."""

    def __init__(self, path: Path, *, write: bool, trackers: Sequence[Tracker] = ()) -> None:
        about = _about(path / layout.ABOUT)
        check_format(about.get("format", 1), FORMAT, path)
        self.path = path
        self.seed: int = about["seed"]
        self.versions: dict[str, str] = about["versions"]
        written = moved(_toml_file(path / layout.CONFIG))
        self.config: dict[str, Any] = as_meant(written, path, warn=write)
        renamed = self.config.get("algo") != written.get("algo")
        self.algo: str = self.config["algo"] if renamed else about["algo"]
        self.metrics = Journal(path / layout.METRICS)
        self.values = Journal(path / layout.VALUES)
        self._trackers = list(trackers)
        self._lock = _lock(path) if write else None

    @classmethod
    def create(
        cls,
        algo: str,
        config: Mapping[str, Any],
        seed: int,
        *,
        parent: Path | str = RUNS,
        name: str | None = None,
        versions: Mapping[str, str] | None = None,
        chosen: str = "",
        metrics: Mapping[str, str] | None = None,
        trackers: Callable[[Path], Sequence[Tracker]] = lambda path: (),
    ) -> Self:
        """A new folder `parent/<algo>-<date>-<n>`, or `parent/name`, and the link `parent/latest` to it.

        `algo` is the algorithm's name.
        `config` is the resolved configuration as plain data; None stands for "not set" and is left out, because TOML has none.
        `versions` adds to those of the packages (the browser's). `chosen` is the line that says which settings followed from the model,
        `metrics` has the meaning of each metric, for the viewer. Raises CheckpointError if `name` exists or the disk is full.
        """
        parent = Path(parent)
        with disk_errors(parent):
            parent.mkdir(parents=True, exist_ok=True)
            path = _new_folder(parent, algo, name)
            try:
                _begin(path, algo, config, seed, versions or {}, chosen, metrics or {})
            except BaseException:
                shutil.rmtree(path, ignore_errors=True)  # a folder that is no run would keep its name from the next try
                raise
            _point(parent / layout.LATEST, path)
        return cls(path, write=True, trackers=trackers(path))

    @classmethod
    def open(cls, path: Path | str, *, write: bool = True, trackers: Callable[[Path], Sequence[Tracker]] = lambda path: ()) -> Self:
        """An existing run folder. With `write` it is locked against other trainers and cleared of half-written checkpoints.

        Raises CheckpointError if it is no run folder (did you mean) or another trainer writes to it.
        """
        path = Path(path).resolve()
        if not path.is_dir():
            raise CheckpointError(_no_folder(path, "run folder"))
        if not layout.is_run(path):
            raise CheckpointError(f"{path} is no run folder: {layout.ABOUT} is missing.")
        if write:
            _check_own(path)
        run = cls(path, write=write)
        if write:
            run._sweep()
            run._trackers += trackers(path)
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the trackers and give up the lock."""
        trackers, self._trackers = self._trackers, []
        try:
            for tracker in trackers:
                tracker.close()
        finally:  # a tracker that cannot write its last rows does not keep the run locked
            if self._lock:
                self._lock.close()
                self._lock = None

    def log(self, iteration: int, metrics: Mapping[str, Any]) -> None:
        """Add a row to metrics.jsonl and hand it to the trackers."""
        self.metrics.append(iteration, metrics)
        for tracker in self._trackers:
            tracker.log(iteration, metrics)

    def keep_credit(self, iteration: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the values and advantages that an iteration was trained with, one row per episode."""
        path = layout.credit_file(self.path, iteration)
        lines = [json.dumps(finite(row), allow_nan=False, separators=(",", ":")) + "\n" for row in rows]
        with disk_errors(path):
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, "".join(lines).encode())

    # --- trajectories ---

    def trajectory_path(self, iteration: int) -> Path:
        """Path of the trajectories of this iteration."""
        return layout.trajectory_file(self.path, iteration)

    def trajectories(self, iteration: int) -> "TrajectoryStore":
        """The store of this iteration's trajectories."""
        from webgym.record.store import TrajectoryStore

        return TrajectoryStore(self.trajectory_path(iteration))

    # --- checkpoints ---

    def save(
        self,
        iteration: int,
        folders: Mapping[str, Callable[[Path], object]],
        state: dict[str, Any] | None = None,
        *,
        score: float | None = None,
        keep: int = 2,
    ) -> Checkpoint:
        """Write checkpoint `iteration`, then delete all but the newest `keep` and the best.

        `folders`: by name (`policy`, `critic`), a function that saves into the folder it is given. `state`: the rest that a resumed run
        needs, of tensors, numbers, strings, None, lists, tuples and dicts only, so that loading it runs no code.
        Raises CheckpointError when the disk is full; the checkpoints before are then untouched. Raises TypeError for other state.
        """
        score = float(score) if score is not None and math.isfinite(score) else None
        self._sync()
        checkpoint = write_checkpoint(self._checkpoints / layout.iteration_name(iteration), iteration, folders, state, score)
        self._prune(keep)
        return checkpoint

    def _sync(self) -> None:
        """Let what was written beside the checkpoints outlive a power cut, before a checkpoint says that it is there."""
        since = max((layout.iteration_of(path.name) for path in self._folders()), default=-1)
        written = [path for path in layout.trajectory_files(self.path) if layout.iteration_of(path.stem) > since]
        with disk_errors(self.path):
            for path in (self.metrics.path, self.values.path, *written):
                if path.is_file():
                    sync_file(path)

    def _folders(self) -> list[Path]:
        """The folders of checkpoints, the oldest first."""
        return sorted(path for path in self._checkpoints.glob(layout.ITERATIONS) if path.is_dir() and layout.is_iteration(path.name))

    def checkpoints(self) -> list[Checkpoint]:
        """All complete checkpoints by iteration. A damaged manifest raises CheckpointError."""
        return sorted((Checkpoint.open(path) for path in self._folders()), key=lambda checkpoint: checkpoint.iteration)

    def latest(self) -> Checkpoint:
        """The newest checkpoint that is whole, verified. A damaged one is passed over with a warning.

        Raises CheckpointError if there is none, or none is whole.
        """
        first: CheckpointError | None = None
        for folder in reversed(self._folders()):
            try:
                checkpoint = Checkpoint.open(folder)
                checkpoint.verify()
            except AddedFile:
                raise  # what is written in it is whole, and is not dropped
            except CheckpointError as error:
                first = first or error
                continue
            if first is not None:
                log.warning("%s The one before it, %s, is whole and is taken.", first, folder.name)
            return checkpoint
        if first is not None:
            raise first
        raise CheckpointError(f"{self.path} holds no checkpoint yet: it was stopped before the first; start it anew.")

    def best(self) -> Checkpoint:
        """The checkpoint with the highest score, the earliest of equals, verified; the newest where none has a score."""
        best = _best(self.checkpoints())
        if best is None:
            return self.latest()
        best.verify()
        return best

    def resume(self) -> Checkpoint:
        """The newest whole checkpoint, ready to go on from: rows, trajectories and damaged checkpoints of later iterations are dropped.

        Raises CheckpointError as `latest` does, and then drops nothing.
        """
        checkpoint = self.latest()
        for folder in self._folders():
            if layout.iteration_of(folder.name) > checkpoint.iteration:
                remove_folder(folder)
        for journal in (self.metrics, self.values):
            journal.truncate(checkpoint.iteration)
        last = layout.iteration_name(checkpoint.iteration)
        for folder in (layout.TRAJECTORIES, layout.CREDIT):
            for path in (self.path / folder).glob(layout.ITERATIONS):
                if path.name[: len(last)] > last:  # a file, or a folder of screenshots beside it
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for tracker in self._trackers:
            tracker.resume(checkpoint.iteration)
        return checkpoint

    @property
    def _checkpoints(self) -> Path:
        return self.path / layout.CHECKPOINTS

    def _prune(self, keep: int) -> None:
        checkpoints = self.checkpoints()
        kept = checkpoints[-max(keep, 1) :]
        for checkpoint in checkpoints:
            if checkpoint not in kept and checkpoint != _best(checkpoints):
                remove_folder(checkpoint.path)

    def _sweep(self) -> None:
        """Remove the leftovers of a killed writer: hidden folders and files. No complete checkpoint is ever hidden."""
        for path in [*self._checkpoints.glob(".*"), *self.path.glob(".*.tmp")]:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _check_own(run: Path) -> None:
    """Raises CheckpointError for a link in a run folder: what is written and removed there would be elsewhere."""
    for path in [*run.iterdir(), *(run / layout.CHECKPOINTS).glob("*")]:
        if path.is_symlink():
            raise CheckpointError(
                f"{path} is a link, and a run writes and removes files of its own folder only: put there what it leads to, or remove it"
            )


def open_checkpoint(path: Path | str) -> Checkpoint:
    """The checkpoint at `path`, verified: a checkpoint folder, or a run folder (`runs/latest`), which stands for its newest.

    Raises CheckpointError when there is none (did you mean), or a file of it is missing, cut or changed.
    """
    path = Path(path)
    if not path.is_dir():
        raise CheckpointError(_no_folder(path, "checkpoint or run folder"))
    if layout.is_run(path):
        with RunFolder.open(path, write=False) as run:
            return run.latest()
    if not (path / layout.MANIFEST).is_file() and path.parent.name != layout.CHECKPOINTS:
        raise CheckpointError(
            f"{path} is neither a checkpoint ({layout.MANIFEST} is missing) nor a run folder ({layout.ABOUT} is missing)."
        )
    checkpoint = Checkpoint.open(path)
    checkpoint.verify()
    return checkpoint


def _best(checkpoints: Iterable[Checkpoint]) -> Checkpoint | None:
    scored = [checkpoint for checkpoint in checkpoints if checkpoint.score is not None]
    return max(scored, key=lambda checkpoint: (checkpoint.score, -checkpoint.iteration), default=None)


def _begin(
    path: Path, algo: str, config: Mapping[str, Any], seed: int, versions: Mapping[str, str], chosen: str, metrics: Mapping[str, str]
) -> None:
    """Write the first files of a run into its folder."""
    (path / layout.CHECKPOINTS).mkdir()
    (path / layout.TRAJECTORIES).mkdir()
    write_atomically(path / layout.CONFIG, tomli_w.dumps(_without_none(config)).encode())
    about = {
        "format": FORMAT,
        "algo": algo,
        "seed": seed,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": [PASSWORD.sub("://***@", word) for word in sys.argv],
        "versions": {**package_versions(), **versions},
        **({"chosen": chosen} if chosen else {}),
        "metrics": dict(metrics),
    }
    write_atomically(path / layout.ABOUT, json.dumps(about, indent=2).encode())  # last: a folder without it is no run yet


def _new_folder(parent: Path, algo: str, name: str | None) -> Path:
    if name is not None:
        if name in ("", "..") or name != Path(name).name:
            raise CheckpointError(
                f"the name of a run is that of a folder in {parent}, without a path: got {name!r}; give the path with --out"
            )
        try:
            (parent / name).mkdir()
        except FileExistsError as error:
            raise CheckpointError(f"{parent / name} exists: choose another name, or go on from it with --resume.") from error
        return parent / name
    number = 0
    while True:
        number += 1
        path = parent / f"{algo}-{time.strftime('%Y-%m-%d')}-{number}"
        try:
            path.mkdir()
        except FileExistsError:
            continue  # mkdir decides, not a look beforehand: two runs may start at once
        return path


def _point(link: Path, target: Path) -> None:
    """Make `link` a relative symbolic link to `target`, in one step."""
    if link.exists() and not link.is_symlink():
        log.warning("%s is no link and was left as it is", link)
        return
    fresh = link.with_name(f".{link.name}-{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target.name)
    fresh.replace(link)


def _no_folder(path: Path, what: str) -> str:
    near = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
    return f"There is no {what} {path}{did_you_mean(path.name, near)}"


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list | tuple) else value


def _about(path: Path) -> dict[str, Any]:
    """The description of a run. Raises CheckpointError where it is none."""
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict) or type(found.get("seed")) is not int or not isinstance(found.get("versions"), dict):
        raise CheckpointError(f"{path} is no description of a run: expected a table with a seed and versions, as a trainer writes it")
    if not isinstance(found.get("algo"), str):
        raise CheckpointError(f"{path} names no algorithm: expected the text `algo`, as a trainer writes it")
    return found


def _toml_file(path: Path) -> dict[str, Any]:
    """The configuration of a run. Raises CheckpointError where it cannot be read."""
    try:
        return tomllib.loads(read_small(path).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {str(error)[:200]}") from error


def package_versions() -> dict[str, str]:
    """Versions of Python, the platform and the packages that can change a result; imports none of them."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in RECORDED_VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


# --- random number generators ----------------------------------------------------------------------------------------------


def rng_state() -> dict[str, Any]:
    """The state of torch's global generators, fit for `RunFolder.save`; a model with dropout draws from them.

    Python's own is left out, because no result depends on it and libraries draw from it at any time.
    """
    import torch

    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"torch": torch.get_rng_state(), "cuda": cuda}


def known_rng(state: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A result of `rng_state`, or None. Raises TypeError and its kin for what is none."""
    import torch

    if state is not None:
        for each in (state["torch"], *state["cuda"]):
            if not isinstance(each, torch.Tensor) or each.dtype is not torch.uint8:
                raise TypeError("expected the states of generators")
        torch.Generator().set_state(state["torch"])
    return state


def restore_rng(state: Mapping[str, Any]) -> None:
    """Put the global generators back to the result of `rng_state`."""
    import torch

    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])


def _lock(path: Path) -> IO[str]:
    """An open file that holds the lock; the system lets go of it when the process ends, however it ends."""
    import fcntl

    file = (path / layout.LOCK).open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise CheckpointError(f"Another trainer is writing to {path}: wait for it, or start a run of its own.") from error
    return file
