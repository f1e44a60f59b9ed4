"""`webgym demos`: oracles play, and demonstrations are written as their episodes end, so that a stop costs the episodes under way only.

The file holds the episodes in the order of their keys, whatever the order in which they ended. So it is a function of the settings, and
its last episode says how far the recording had come.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from webgym.errors import UsageError
from webgym.evaluation.statistics import Report, report
from webgym.packs import sets as task_sets
from webgym.packs.rehearsal import rehearse
from webgym.policies.demonstrator import Demonstrator, demo_keys
from webgym.prompts.settings import PromptSettings
from webgym.record import layout
from webgym.record.store import TrajectoryStore, read
from webgym.record.whole import read_as, replace_text
from webgym.rollout.arena import Arena
from webgym.rollout.contract import Listener
from webgym.types import EpisodeKey, Trajectory

Shown = Callable[[int], AbstractContextManager[Listener | None]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that determines a folder of demonstrations."""

    tasks: tuple[str, ...]
    prompts: PromptSettings
    episodes: int = 100
    slips: float = 0.0
    seed: int = 0
    backend: str = "browser"

    def to_json(self) -> dict[str, object]:
        """The plan as plain data."""
        return json.loads(json.dumps(asdict(self)))


class Recording:
    """A folder of demonstrations that is written, or gone on with. `kept` counts the demonstrations in it, `found` is what was played."""

    def __init__(self, out: Path, plan: Plan, *, resume: bool = False) -> None:
        self.path = out / layout.DEMOS
        self.plan = plan
        self.found: list[Trajectory] = []
        self.kept = 0
        self._keys = demo_keys(plan.tasks, plan.episodes, task_sets.seeds_of("train"), plan.seed)
        if resume:
            self._go_on(out)
            return
        if self.path.exists():
            raise UsageError(f"{self.path} exists already: go on with --resume, give another --out, or remove it")
        rehearse(plan.tasks, plan.backend)
        out.mkdir(parents=True, exist_ok=True)
        replace_text(out / layout.DEMO_PROMPTS, json.dumps(plan.prompts.to_json(), indent=2) + "\n")
        replace_text(out / layout.DEMO_PLAN, json.dumps(plan.to_json(), indent=2) + "\n")

    def _go_on(self, out: Path) -> None:
        """Leave out what was played before. Raises UsageError where the folder was recorded with other settings."""
        file = out / layout.DEMO_PLAN
        if not file.is_file():
            raise UsageError(f"{out} holds no {layout.DEMO_PLAN}: there is nothing to go on with; leave --resume out")
        old, new = read_as(file, dict, "plan of demonstrations"), self.plan.to_json()
        if changed := [name for name in new if old.get(name) != new[name]]:
            name = changed[0]
            raise UsageError(
                f"{out} was recorded with {name}={old.get(name)!r}, asked for is {new[name]!r}: --resume wants the same settings"
            )
        if self.path.exists():
            last = EpisodeKey("", 0)
            for trajectory in read(self.path):
                self.kept, last = self.kept + 1, trajectory.key
            self._keys = self._keys[self._keys.index(last) + 1 :] if self.kept else self._keys

    def play(self, sessions: int, shown: Shown = lambda _: nullcontext()) -> Report:
        """Play what is left and write what is worth keeping. Returns the figures of the episodes that were played."""
        policy = Demonstrator(self.plan.prompts, self.plan.slips, self.plan.seed)
        with (
            TrajectoryStore(self.path) as store,
            Arena(sessions, backend=self.plan.backend) as arena,
            shown(len(self._keys)) as listener,
        ):
            for trajectory in _in_order(arena.play(policy, self._keys, on_event=listener), self._keys):
                self.found.append(trajectory)
                if trajectory.outcome.success or (self.plan.slips and not trajectory.outcome.faulted):
                    store.append(trajectory)
                    self.kept += 1
        return report(self.found)


def _in_order(played: Iterable[tuple[EpisodeKey, Trajectory]], keys: list[EpisodeKey]) -> Iterator[Trajectory]:
    """The trajectories in the order of the keys, each as soon as those before it have come."""
    waiting: dict[EpisodeKey, Trajectory] = {}
    order = iter(keys)
    wanted = next(order, None)
    for key, trajectory in played:
        waiting[key] = trajectory
        while wanted in waiting:
            yield waiting.pop(wanted)
            wanted = next(order, None)
