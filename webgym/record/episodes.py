"""The episodes of a run, listed without reading them whole: ten thousand are found in a second, one is read when it is looked at."""

import json
import math
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from webgym.record.lines import Lines
from webgym.record.store import decode
from webgym.types import Trajectory

Sort = Literal["newest", "oldest", "task", "reward", "turns", "errors"]
PAGE = 500  # most rows of one answer


@dataclass(frozen=True, slots=True)
class Episode:
    """Entry of an episode in the list. `name` is the trajectory file without its ending, `number` its line from 1."""

    name: str
    number: int
    place: int
    size: int
    task_id: str
    seed: int
    iteration: int
    group: int
    member: int
    goal: str
    kind: str
    reward: float | None
    turns: int
    errors: int
    pictures: int

    @property
    def id(self) -> str:
        """The episode's address within its run, such as `iter-000012/7`."""
        return f"{self.name}/{self.number}"

    def to_json(self) -> dict[str, Any]:
        """A row of the list."""
        return {
            "id": self.id,
            "task": self.task_id,
            "seed": self.seed,
            "iteration": self.iteration,
            "group": self.group,
            "member": self.member,
            "goal": self.goal[:240],
            "kind": self.kind,
            "reward": self.reward,
            "turns": self.turns,
            "errors": self.errors,
            "pictures": self.pictures,
        }


def glance(line: bytes, name: str, number: int, place: int) -> Episode:
    """Fields that the list needs of a line of a trajectory file. Raises ValueError, KeyError or TypeError for a line that is none.

    The turns are only counted. This is exact, because the store writes no spaces and a quotation mark within a text is escaped:
    `"completion":{` stands nowhere but at a turn's completion.
    """
    head, turns, rest = line.partition(b',"turns":[')
    if not turns:
        raise ValueError("no turns")
    try:
        record = json.loads(head.decode("utf-8", "surrogatepass") + "}")
    except RecursionError:
        raise ValueError("nested too deeply") from None
    task_id, *numbers = record["key"]
    goal, outcome = record["goal"], record["outcome"]
    reward, count = outcome["reward"], rest.count(b'"completion":{')
    if not rest.endswith(b"]}\n"):
        raise ValueError("cut")
    if not all(isinstance(text, str) for text in (task_id, goal, outcome["kind"])):
        raise TypeError("a text is none")
    if len(numbers) != 4 or not all(type(number) is int for number in numbers):
        raise TypeError("a number of the key is none")
    seed, iteration, group, member = numbers
    if reward is not None and not (type(reward) in (int, float) and math.isfinite(reward)):
        raise TypeError("the reward is no number")
    return Episode(
        name,
        number,
        place,
        len(line),
        task_id,
        seed,
        iteration,
        group,
        member,
        goal,
        outcome["kind"],
        reward,
        count,
        count - rest.count(b'"error":"",'),
        count - rest.count(b'"screenshot":"",'),
    )


class Episodes:
    """The index of one trajectory file or of a folder of them. Methods may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[Path, Lines] = {}
        self._found: dict[Path, list[Episode]] = {}
        self._numbers: Counter[Path] = Counter()
        self._damaged: dict[Path, list[int]] = {}
        self._lock = threading.RLock()

    def refresh(self) -> None:
        """Look for what was written since."""
        with self._lock:
            for path in self._paths():
                self._read(path)

    def _paths(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        found = sorted(self.path.glob("*.jsonl"))
        for gone in self._files.keys() - set(found):
            for table in (self._files, self._found, self._damaged):
                table.pop(gone, None)
        return found

    def _read(self, path: Path) -> None:
        lines = self._files.setdefault(path, Lines(path))
        generation = lines.generation
        for place, line in lines.fresh():
            if lines.generation != generation:
                generation = lines.generation
                self._found[path], self._damaged[path], self._numbers[path] = [], [], 0
            self._numbers[path] += 1
            number = self._numbers[path]
            try:
                self._found.setdefault(path, []).append(glance(line, path.stem, number, place))
            except (ValueError, KeyError, TypeError):
                self._damaged.setdefault(path, []).append(number)

    @property
    def problems(self) -> list[str]:
        """One sentence for each damaged line."""
        with self._lock:
            return [f"{path.name}, line {number} is damaged and left out" for path, lines in self._damaged.items() for number in lines]

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._found.values()))

    def __iter__(self) -> Iterator[Episode]:
        """All episodes, in the order of their files and lines."""
        with self._lock:
            tables = [list(self._found[path]) for path in sorted(self._found)]
        return (episode for table in tables for episode in table)

    def find(self, name: str, number: int) -> Episode:
        """The episode of this address. Raises KeyError."""
        with self._lock:
            path = self._path_of(name)
            table = self._found.get(path, [])
            start = max(0, number - 1 - len(self._damaged.get(path, [])))  # no line is earlier in the table than this
            for episode in table[start:]:
                if episode.number == number:
                    return episode
        raise KeyError(f"{name}/{number}")

    def load(self, episode: Episode) -> Trajectory:
        """The whole trajectory. Raises KeyError where the file no longer has it."""
        path = self._path_of(episode.name)
        try:
            with path.open("rb") as file:
                file.seek(episode.place)
                return decode(file.read(episode.size))
        except (OSError, ValueError, TypeError) as error:
            raise KeyError(f"{episode.id} cannot be read: {error}") from None

    def _path_of(self, name: str) -> Path:
        with self._lock:
            return next((path for path in self._files if path.stem == name), self.path / f"{name}.jsonl")

    def picture(self, name: str) -> Path | None:
        """The file of a screenshot by its name in the trajectory; None for one that is missing or lies elsewhere."""
        folder = self.path.parent if self.path.is_file() else self.path
        try:
            path = (folder / name).resolve()
            return path if path.suffix == ".png" and path.is_relative_to(folder.resolve()) and path.is_file() else None
        except (OSError, ValueError):  # no file has such a name
            return None

    def siblings(self, episode: Episode) -> list[Episode]:
        """The group that the episode belongs to, itself included, by member."""
        path = self._path_of(episode.name)
        same = (episode.group, episode.task_id, episode.seed, episode.iteration)
        with self._lock:
            found = [x for x in self._found.get(path, []) if (x.group, x.task_id, x.seed, x.iteration) == same]
        return sorted(found, key=lambda x: (x.member, x.number))

    def neighbours(self, episode: Episode) -> tuple[str, str]:
        """The addresses of the episodes before and after it; "" where there is none."""
        table = list(self)
        place = next((i for i, x in enumerate(table) if x.id == episode.id), 0)
        before = table[place - 1].id if place > 0 else ""
        return before, table[place + 1].id if place + 1 < len(table) else ""

    def query(
        self,
        *,
        task: str = "",
        kind: str = "",
        iteration: int | None = None,
        words: str = "",
        sort: str = "newest",
        offset: int = 0,
        limit: int = 100,
    ) -> dict[str, Any]:
        """A page of the list, with how many match and what there is to choose from."""
        everything = list(self)
        wanted = words.casefold().split()
        matching = [
            x
            for x in everything
            if (not task or x.task_id == task)
            and (not kind or x.kind == kind)
            and (iteration is None or x.iteration == iteration)
            and (not wanted or _holds(x, wanted))
        ]
        matching = _sorted(matching, sort)
        rows = matching[max(0, offset) : max(0, offset) + min(max(1, limit), PAGE)]
        answer: dict[str, Any] = {"total": len(everything), "matching": len(matching), "rows": [x.to_json() for x in rows]}
        if not offset:
            answer["tasks"] = dict(sorted(Counter(x.task_id for x in everything).items()))
            answer["kinds"] = dict(sorted(Counter(x.kind for x in everything).items()))
            answer["iterations"] = sorted({x.iteration for x in everything})
        return answer


def _holds(episode: Episode, words: Sequence[str]) -> bool:
    text = f"{episode.task_id} {episode.goal} {episode.seed} {episode.kind}".casefold()
    return all(word in text for word in words)


def _sorted(episodes: list[Episode], sort: str) -> list[Episode]:
    match sort:
        case "oldest":
            return episodes
        case "task":
            return sorted(episodes, key=lambda x: (x.task_id, x.iteration))
        case "reward":
            return sorted(episodes, key=lambda x: -1.0 if x.reward is None else -x.reward)
        case "turns":
            return sorted(episodes, key=lambda x: -x.turns)
        case "errors":
            return sorted(episodes, key=lambda x: -x.errors)
    return episodes[::-1]
