"""One checkpoint: models as HF folders, the rest of the state, and a manifest that proves that all of it is there.

A checkpoint is written to a hidden folder, synced, and renamed: under its name it is complete or absent. The manifest lists each
file's size and blake2b digest, so that a file cut or changed later is found before anything is loaded from it.
"""

import hashlib
import json
import math
import os
import pickle
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from trainers.runs.disk import disk_errors, sync_folder, write_atomically
from webgym.errors import CheckpointError, did_you_mean
from webgym.record.layout import MANIFEST, STATE
from webgym.record.whole import read_json

REMEDY = "delete that folder to use an earlier one"
FORMAT = 1  # of a checkpoint, in its manifest; raised when older readers would misread it


class AddedFile(CheckpointError):
    """A whole checkpoint with a file that somebody has put there since."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint on disk. `best` compares by `score` (higher is better), None where none was given."""

    path: Path
    iteration: int
    score: float | None

    @classmethod
    def open(cls, path: Path) -> "Checkpoint":
        """The checkpoint in this folder. Raises CheckpointError when its manifest is missing, cut or changed."""
        manifest = _manifest(path)
        return cls(path, manifest["iteration"], manifest.get("score"))

    def folder(self, name: str) -> Path:
        """The HF folder of this name (`policy`, `critic`). Raises CheckpointError when this checkpoint has none."""
        path = self.path / name
        if not path.is_dir():
            known = sorted(p.name for p in self.path.iterdir() if p.is_dir())
            raise CheckpointError(f"{self.path} holds no {name!r}, only {', '.join(known) or 'no model'}{did_you_mean(name, known)}.")
        return path

    def state(self, map_location: str = "cpu") -> dict[str, Any]:
        """The `state` that was given to `RunFolder.save`: tensors, numbers, strings, lists, dicts. Runs no code of the file's."""
        import torch

        try:
            return torch.load(self.path / STATE, map_location=map_location, weights_only=True)
        except FileNotFoundError as error:
            raise CheckpointError(f"{self.path} holds no {STATE}: it can be evaluated, but no run can go on from it.") from error
        except (
            pickle.UnpicklingError,
            RuntimeError,
            EOFError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:  # no state of ours
            raise CheckpointError(
                f"{self.path / STATE} is no state of a run: expected tensors and plain values, as a checkpoint has them; "
                f"got something else ({type(error).__name__}). Nothing of it was run."
            ) from error

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Turns what the state of another run makes of its readers into a CheckpointError: it may hold any plain values."""
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            if "out of memory" in str(error):  # PyTorch's own is a RuntimeError too
                raise
            raise CheckpointError(
                f"{self.path / STATE} is no state of this run ({type(error).__name__}: {str(error)[:200]}); {REMEDY}."
            ) from error

    def verify(self) -> None:
        """Raises CheckpointError, naming the file, if one is missing, cut, changed or added since the checkpoint was written.

        A file that was added could be read beside the model's own, such as another chat template. Hidden files are never read.
        """
        listed = _manifest(self.path)["files"]
        for file in sorted(self.path.rglob("*")):
            name = file.relative_to(self.path).as_posix()
            if not file.is_dir() and name not in listed and name != MANIFEST and not file.name.startswith("."):
                raise AddedFile(f"The checkpoint {self.path} holds {name!r}, which it was not written with: take the file away.")
        for name, expected in listed.items():
            file = self.path / name
            if not file.is_file():
                problem = "is missing"
            elif file.stat().st_size != expected["bytes"]:
                problem = f"has {file.stat().st_size} bytes instead of {expected['bytes']}"
            elif digest_of(file) != expected["blake2b"]:
                problem = "was changed (its digest differs)"
            else:
                continue
            raise CheckpointError(f"The checkpoint {self.path} is damaged: {name} {problem}; {REMEDY}.")


def count(value: object) -> int:
    """A count in a state. Raises TypeError for what is none."""
    if type(value) is not int or value < 0:
        raise TypeError(f"expected a count, got {value!r:.40}")
    return value


def check_format(found: object, known: int, path: Path) -> None:
    """Raises CheckpointError for files that a newer version wrote."""
    if found != known:
        raise CheckpointError(f"{path} has files of the format {found}, and this version reads {known}: use the version that wrote them.")


def _manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint. Its own digest guards it."""
    try:
        manifest = read_json(path / MANIFEST)
        intact = manifest.pop("digest") == _digest_of_json(manifest)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"The checkpoint {path} is damaged: {MANIFEST} cannot be read; {REMEDY}.") from error
    if not intact:
        raise CheckpointError(f"The checkpoint {path} is damaged: {MANIFEST} was changed; {REMEDY}.")
    check_format(manifest.get("format", 1), FORMAT, path)
    if (wrong := _not_ours(manifest)) is not None:
        raise CheckpointError(f"The checkpoint {path} is damaged: {MANIFEST} has no {wrong} that can be read; {REMEDY}.")
    return manifest


def _not_ours(manifest: Mapping[str, Any]) -> str | None:
    """The entry of an intact manifest that no checkpoint of ours has so; None where all are right. Files lie in the checkpoint's folder."""
    score, files = manifest.get("score"), manifest.get("files")
    if type(manifest.get("iteration")) is not int:
        return "iteration"
    if score is not None and not (type(score) in (int, float) and math.isfinite(score)):
        return "score"
    if not isinstance(files, dict):
        return "files"
    for name, about in files.items():
        inside = name and not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts and "\0" not in name
        if not inside or not isinstance(about, dict) or type(about.get("bytes")) is not int or type(about.get("blake2b")) is not str:
            return "files"
    return None


def _digest_of_json(value: object) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()


def digest_of(file: Path) -> str:
    """32 hex digits of blake2b over the file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


# --- writing ---------------------------------------------------------------------------------------------------------------


def write_checkpoint(
    path: Path,
    iteration: int,
    folders: Mapping[str, Callable[[Path], object]],
    state: dict[str, Any] | None,
    score: float | None,
) -> Checkpoint:
    """Make the checkpoint `path`, whole or not at all.

    `folders`: by name, a function that saves into the folder it is given. `state`: tensors, numbers, strings, bytes, None, lists,
    tuples and dicts only, so that loading it runs no code. Raises TypeError for other state, CheckpointError when the disk is full.
    """
    if state is not None:
        _check_plain(state, "state")
    hidden = path.with_name(f".writing-{path.name}")
    shutil.rmtree(hidden, ignore_errors=True)
    try:
        with disk_errors(path.parent):
            hidden.mkdir(parents=True)
            _write_parts(hidden, folders, state)
            _write_manifest(hidden, iteration, score)
            _replace_folder(path, hidden)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return Checkpoint(path, iteration, score)


def _write_parts(hidden: Path, folders: Mapping[str, Callable[[Path], object]], state: dict[str, Any] | None) -> None:
    for name, save in folders.items():
        (hidden / name).mkdir()
        save(hidden / name)
    if state is not None:
        import torch

        with (hidden / STATE).open("wb") as file:  # given a path, torch hides the system's reason for a failed write
            torch.save(state, file)


def _write_manifest(folder: Path, iteration: int, score: float | None) -> None:
    """Syncs every file and lists it; the manifest comes last."""
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        files[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "blake2b": digest_of(path)}
    for path in (p for p in folder.rglob("*") if p.is_dir()):
        sync_folder(path)
    manifest = {"format": FORMAT, "iteration": iteration, "score": score, "files": files}
    write_atomically(folder / MANIFEST, json.dumps({**manifest, "digest": _digest_of_json(manifest)}, indent=1).encode())


def _replace_folder(final: Path, hidden: Path) -> None:
    """Give `hidden` its name. A folder that has it is removed first, so in between there is none, not half of one."""
    if final.exists():
        remove_folder(final)
    hidden.rename(final)
    sync_folder(final.parent)


def remove_folder(path: Path) -> None:
    """Hidden before it is emptied, so that a visible folder is always a whole one."""
    doomed = path.with_name(f".deleting-{path.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    path.rename(doomed)
    shutil.rmtree(doomed)


def _check_plain(value: Any, where: str) -> None:
    """Raises TypeError naming the first part of `value` that loading without running code could not give back."""
    import torch

    if type(value) in (dict, OrderedDict):
        for key, item in value.items():
            if type(key) not in (str, int):
                raise TypeError(f"{where} has the key {key!r}: keys must be strings or integers")
            _check_plain(item, f"{where}[{key!r}]")
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):
            _check_plain(item, f"{where}[{index}]")
    elif not (value is None or type(value) in (bool, int, float, str, bytes) or isinstance(value, torch.Tensor)):
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise TypeError(f"{where} is a {kind}: only tensors and plain data can be saved")
