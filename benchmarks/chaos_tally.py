"""The figures of a run of chaos, in a file of one JSON line a round, so that a run which is cut off goes on from there."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from webgym.record.lines import Records
from webgym.record.whole import append_line
from webgym.types import Trajectory


@dataclass
class Tally:
    """The figures of some rounds of chaos. `wrong` says what must not be, in words."""

    blows: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)  # there was no victim
    episodes: int = 0
    hostile: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    seconds: float = 0.0
    longest_s: float = 0.0  # of ten episodes, with all that befell them
    wrong: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The figures as plain data."""
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Tally":
        """The figures of :meth:`to_json`."""
        counters = ("blows", "missed", "outcomes", "faults")
        given: dict[str, Any] = {one.name: Counter(data[one.name]) if one.name in counters else data[one.name] for one in fields(cls)}
        return cls(**given)

    def add(self, other: "Tally") -> None:
        """Add the figures of other rounds."""
        for name in ("blows", "missed", "outcomes", "faults"):
            getattr(self, name).update(getattr(other, name))
        for name in ("episodes", "hostile", "retries", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest_s = max(self.longest_s, other.longest_s)
        self.wrong += other.wrong

    def note(self, found: Sequence[Trajectory]) -> None:
        """Count the outcomes."""
        for trajectory in found:
            self.outcomes[trajectory.outcome.kind] += 1
            self.faults.update(trajectory.outcome.faults)
            self.retries += trajectory.outcome.retries
            if trajectory.outcome.faulted and trajectory.outcome.reward == trajectory.outcome.reward:
                self.wrong.append(f"{trajectory.key}: a fault with the reward {trajectory.outcome.reward}")

    @property
    def struck(self) -> int:
        """The blows that hit."""
        return sum(self.blows.values())


class Ledger:
    """The rounds that were played, by the part of the suite; kept in memory alone without a path."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        rows = [] if path is None else Records(path).refresh()  # but for the line in which a writer was killed
        self._rounds = [(row["part"], Tally.of(row["tally"])) for row in rows]

    def add(self, part: str, tally: Tally) -> None:
        """Write a round down; it has left the process when this returns."""
        self._rounds.append((part, tally))
        if self._path is not None:
            append_line(self._path, json.dumps({"part": part, "tally": tally.to_json()}))

    def __len__(self) -> int:
        return len(self._rounds)

    def has(self, part: str) -> bool:
        """True if this part was played."""
        return any(name == part for name, _ in self._rounds)

    def total(self, part: str) -> Tally:
        """The figures of all rounds of a part."""
        whole = Tally()
        for name, tally in self._rounds:
            if name == part:
                whole.add(tally)
        return whole
