"""Episodes of an evaluation on disk as they end, so that an evaluation that was cut off goes on where it stopped."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from webgym.errors import UsageError
from webgym.record.store import TrajectoryStore
from webgym.record.whole import read_json, replace_text
from webgym.types import EpisodeKey, Trajectory

ABOUT = "evaluation.json"
EPISODES = "episodes.jsonl"


class KeptEpisodes:
    """The episodes in a folder, all played by one policy; a context manager.

    `played_by` describes the policy as plain data. Raises UsageError where the folder holds the episodes of another one, or something else.
    """

    def __init__(self, folder: Path, played_by: Mapping[str, Any]) -> None:
        self._store = TrajectoryStore(folder / EPISODES)
        about = folder / ABOUT
        try:
            if not about.exists():
                if folder.exists() and any(folder.iterdir()):
                    raise UsageError(f"{folder} is no folder of an evaluation: expected one that is empty, or not there yet")
                folder.mkdir(parents=True, exist_ok=True)
                replace_text(about, json.dumps(dict(played_by), indent=2))
            known = read_json(about)
        except NotADirectoryError:
            raise UsageError(f"{folder} is a file: expected a folder for the episodes of an evaluation") from None
        except ValueError as error:
            raise UsageError(f"{about} is no JSON ({error}): delete the folder to begin anew") from None
        if not isinstance(known, dict):
            raise UsageError(f"{about} says nothing of a policy: delete the folder to begin anew")
        wanted = json.loads(json.dumps(dict(played_by)))
        for key in sorted({*wanted, *known}):
            was, now = known.get(key), wanted.get(key)
            if was != now:
                raise UsageError(
                    f"{folder} holds episodes of another policy: its {key} was {was!r}, now it is {now!r}; take another folder"
                )

    def found(self) -> dict[EpisodeKey, Trajectory]:
        """The episodes that are there. Those in which the machinery failed are left out, to be played again."""
        return {x.key: x for x in self._store if x.outcome.kind != "fault"} if self._store.path.exists() else {}

    def add(self, trajectory: Trajectory) -> None:
        """Write an episode; it is in the file when this returns."""
        self._store.append(trajectory)

    def __enter__(self) -> "KeptEpisodes":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._store.close()
