"""Split of a run's time: seconds of each kind of work, though several go on at once, and seconds without any."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, get_args

Work = Literal["browser", "sampling", "training", "publishing", "saving"]

METRICS: Mapping[str, str] = {
    "time/browser_share": "share of the iteration's time in which at least one session was in the browser; shares overlap",
    "time/sampling_share": "share of it in which the sampler worked",
    "time/training_share": "share of it in which critic or policy were read or fitted",
    "time/publishing_share": "share of it in which new weights were on their way to the sampler",
    "time/saving_share": "share of it in which a checkpoint was written",
    "time/unaccounted": "share of it in which none of these was done: waiting and overhead",
}
"""Meaning of the shares of a row. The iteration's time goes from the row before to this one, evaluations left out."""

IDLE: Mapping[str, str] = {
    "time/browser_idle": "share of the iteration's time in which no session was in the browser",
    "time/sampling_idle": "share of it in which the sampler had nothing to do: with servers, what their GPUs stand still",
    "time/training_idle": "share of it in which nothing was learned: what the learner's GPU stands still",
}
"""Meaning of the idle shares of a row, 1 minus the share of that work."""


class Timekeeper:
    """Times kinds of work, whose begin and end any thread may report; :meth:`seconds` gives the time of each since the last call.

    >>> now = iter([0.0, 1.0, 3.0, 4.0, 10.0])
    >>> keeper = Timekeeper(lambda: next(now))  # at 0
    >>> keeper.doing("browser", True)           # at 1
    >>> keeper.doing("sampling", True)          # at 3
    >>> keeper.doing("browser", False)          # at 4
    >>> seconds = keeper.seconds()              # at 10
    >>> seconds["all"], seconds["browser"], seconds["sampling"], seconds["nothing"]
    (10.0, 3.0, 7.0, 1.0)
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now, self._lock = now, threading.Lock()
        self._doing: set[Work] = set()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._last = now()

    def doing(self, work: Work, going_on: bool) -> None:
        """Report that this kind of work begins, or ends."""
        with self._lock:
            self._advance()
            (self._doing.add if going_on else self._doing.discard)(work)

    @contextmanager
    def during(self, work: Work) -> Iterator[None]:
        """Begins now and ends with the block."""
        self.doing(work, True)
        try:
            yield
        finally:
            self.doing(work, False)

    def seconds(self) -> dict[str, float]:
        """Seconds of each work, of `nothing` and of `all` since this was asked before."""
        with self._lock:
            self._advance()
            found = {name: self._seconds[name] for name in (*get_args(Work), "nothing", "all")}
            self._seconds.clear()
        return found

    def _advance(self) -> None:
        now = self._now()
        for name in (*(self._doing or ("nothing",)), "all"):
            self._seconds[name] += now - self._last
        self._last = now


def shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """The metrics of a row, by the names of METRICS, from :meth:`Timekeeper.seconds`.

    >>> row = shares({"all": 10.0, "nothing": 1.0, "browser": 3.0, "sampling": 7.0, "training": 0.0, "publishing": 0.0, "saving": 0.0})
    >>> row["time/unaccounted"], row["time/browser_idle"]
    (0.1, 0.7)
    """
    whole = max(seconds["all"], 1e-9)
    row = {f"time/{name}_share": seconds[name] / whole for name in get_args(Work)} | {"time/unaccounted": seconds["nothing"] / whole}
    return row | {name: 1 - row[name.replace("_idle", "_share")] for name in IDLE}


def split(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The shares of many rows together, each counted by its seconds; empty without rows."""
    rows = [row for row in rows if "time/unaccounted" in row]
    whole = sum(row["time/iteration_s"] for row in rows)
    return {name: sum(row[name] * row["time/iteration_s"] for row in rows) / whole for name in METRICS} if whole else {}


def split_in_words(shares: Mapping[str, float]) -> str:
    """One line of shares, those that are 0 left out.

    >>> split_in_words({"time/browser_share": 0.7, "time/sampling_share": 0.4, "time/saving_share": 0.0, "time/unaccounted": 0.03})
    'browser 70%, sampling 40%, unaccounted 3%'
    """
    named = {name.removeprefix("time/").removesuffix("_share"): share for name, share in shares.items() if name in METRICS}
    return ", ".join(f"{name} {share:.0%}" for name, share in named.items() if share > 0 or name == "unaccounted")


class Laps:
    """Seconds of the parts of an iteration, one after the other."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """Record the time since the last call as `name`."""
        now = time.perf_counter()
        self._laps[f"time/{name}_s"] = now - self._last
        self._last = now

    def row(self) -> dict[str, float]:
        """The metrics of the row."""
        return dict(self._laps)
