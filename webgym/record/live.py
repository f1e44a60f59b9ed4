"""Live state of every session of a collection, in a small file beside the run. The collector writes it, viewers read it.

One cell per session. The file is replaced as a whole, so a reader never sees half of it; a writer that was killed leaves a file
that grows old, and its age says so.
"""

import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from webgym.record import layout
from webgym.record.whole import read_json, replace_text

if TYPE_CHECKING:  # reading the file needs no collector
    from webgym.rollout.contract import Event, NodeHealth

log = logging.getLogger(__name__)

EVERY_S = 0.5  # between two writings while something happens
HEARTBEAT_S = 2.0  # between two writings while nothing does
MOST_CELLS = 4096  # sessions that are shown
SILENT_S = 15.0  # a file older than this was left by a writer that is gone

State = Literal["idle", "browser", "policy", "retry", "done", "fault"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One session: its episode, what it waits for, and since when (Unix seconds)."""

    state: State = "idle"
    since: float = 0.0
    task_id: str = ""
    seed: int = 0
    group: int = 0
    member: int = 0
    turn: int = 0
    retries: int = 0
    outcome: str = ""  # of the episode that ended last here
    message: str = ""  # of the last retry or fault
    episodes: int = 0  # that ended here


class Monitor:
    """Listens to a collection (:meth:`hear`) and keeps the file up to date from a thread of its own; a context manager.

    It gives up with a warning where it cannot write, because watching must never stop a run.
    """

    def __init__(self, path: Path, sessions: int) -> None:
        from webgym.rollout.contract import Counts

        self._path = path
        self._cells = [Cell() for _ in range(sessions)]
        self._nodes: list[dict[str, Any]] = []
        self._counts = Counts()
        self._phase, self._iteration = "starting", 0
        self._changed, self._over = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Monitor":
        self._over.clear()
        self._thread = threading.Thread(target=self._write_on, name="webgym-monitor", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join()
        self._phase = "over"
        self._write()

    def phase(self, name: str, iteration: int) -> None:
        """Say what the run does: collecting, updating, evaluating."""
        self._phase, self._iteration = name, iteration
        self._changed.set()

    def hear(self, event: "Event") -> None:
        """A collector's event."""
        more = event.session + 1 - len(self._cells)  # a collector that came later brings sessions along
        self._cells += [Cell() for _ in range(min(more, MOST_CELLS - len(self._cells)))]
        if event.session < len(self._cells):
            self._cells[event.session] = _after(self._cells[event.session], event)
        self._counts = event.counts
        self._changed.set()

    def hear_nodes(self, nodes: "Sequence[NodeHealth]") -> None:
        """Collectors on other machines, as they do now."""
        self._nodes = [asdict(node) for node in nodes]
        self._changed.set()

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        return {
            "written": time.time(),
            "phase": self._phase,
            "iteration": self._iteration,
            "counts": asdict(self._counts),
            "cells": [asdict(cell) for cell in self._cells],
            "nodes": self._nodes,
        }

    def _write_on(self) -> None:
        while not self._over.is_set():
            self._changed.wait(HEARTBEAT_S)
            self._changed.clear()
            if not self._write():
                return
            self._over.wait(EVERY_S)

    def _write(self) -> bool:
        try:
            replace_text(self._path, json.dumps(self.to_json(), separators=(",", ":")))
        except OSError as error:
            log.warning("%s cannot be written, so `webgym watch` shows nothing: %s", self._path, error)
            return False
        return True


def _after(cell: Cell, event: "Event") -> Cell:
    """The cell after an event."""
    key, now = event.key, time.time()
    match event.kind:
        case "begin":
            return Cell("browser", now, key.task_id, key.seed, key.group, key.member, outcome=cell.outcome, episodes=cell.episodes)
        case "thinking":
            return replace(cell, state="policy", since=now)
        case "acting":
            return replace(cell, state="browser", since=now)
        case "turn":
            return replace(cell, turn=cell.turn + 1)
        case "retry":
            return replace(cell, state="retry", since=now, retries=cell.retries + 1, message=event.message[:300])
    if event.trajectory is None:
        return cell
    outcome = event.trajectory.outcome
    state: State = "fault" if outcome.faulted else "done"
    words = outcome.message[:300] or cell.message
    return replace(cell, state=state, since=now, outcome=outcome.kind, message=words, episodes=cell.episodes + 1)


def read(path: Path) -> dict[str, Any] | None:
    """The file of a run folder, with `age_s` and whether a writer still `lives`; None where there is none or it cannot be read."""
    try:
        found = _checked(read_json(path / layout.LIVE))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
    age_s = max(0.0, time.time() - found["written"])
    return {**found, "age_s": age_s, "lives": age_s < SILENT_S and found["phase"] != "over"}


_HEAD: Mapping[str, Any] = {"written": 0.0, "phase": "", "iteration": 0}
_CELL: Mapping[str, Any] = asdict(Cell())
_COUNTS: dict[str, Any] = dict.fromkeys(("thinking", "acting", "done", "successes", "faults", "retries", "turns"), 0)
_NODE: Mapping[str, Any] = {
    "address": "", "state": "", "since": 0.0, "sessions": 0, "playing": 0, "episodes": 0, "losses": 0, "episode_s": 0.0, "reason": "",
}  # fmt: skip


def _checked(found: dict[str, Any]) -> dict[str, Any]:
    """The content of the file, each value of its kind; what is missing, as in older files, has its default.

    Raises TypeError, KeyError, ValueError or AttributeError for a file that another program wrote.
    """
    cells = [_typed(cell, _CELL) for cell in found["cells"][:MOST_CELLS]]
    nodes = [_typed(node, _NODE) for node in found.get("nodes", [])[:MOST_CELLS]]
    return {**_typed(found, _HEAD), "counts": _typed(found["counts"], _COUNTS), "cells": cells, "nodes": nodes}


def _typed(given: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The known entries of a table. Raises TypeError for a value of another type than its default, ValueError for no finite number."""
    found: dict[str, Any] = {}
    for name, default in known.items():
        value = given.get(name, default)
        if type(value) is not type(default) and not (type(default) is float and type(value) is int):
            raise TypeError(f"{name}: expected {type(default).__name__}, got {type(value).__name__}")
        if not isinstance(value, str) and not abs(value) < 1e18:
            raise ValueError(f"{name} is no number of a run")
        found[name] = value
    return found
