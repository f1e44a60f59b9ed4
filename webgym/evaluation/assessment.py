"""An evaluation: which tasks, which seeds of which split; played by any policy."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from webgym.backends.base import Backend
from webgym.evaluation.kept import KeptEpisodes
from webgym.evaluation.statistics import Report, report
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.packs import sets as task_sets
from webgym.packs.rehearsal import rehearse
from webgym.policies.demonstrator import Demonstrator
from webgym.policies.openai import OpenAIPolicy, View
from webgym.policies.openai_client import OpenAIClient, Server
from webgym.policies.policy import Policy
from webgym.policies.scripted import NoopPolicy, RandomPolicy
from webgym.prompts.settings import PromptSettings
from webgym.rollout.arena import Arena
from webgym.rollout.contract import Listener, PolicyHandle, Record
from webgym.rollout.executor import Executor, play_in_order
from webgym.types import EpisodeKey, Sampling, Trajectory

SPLITS: tuple[task_sets.Split, ...] = ("train", "valid", "test")


@dataclass(frozen=True)
class Assessment:
    """Assessment on `seeds` seeds of a split for every task (ids, sets or patterns): the same episodes for every policy.

    `shown` makes the listener of so many episodes while they are played (:func:`webgym.rollout.progress.shown`).
    `keep` is a folder for the episodes as they end: those that it holds already are not played again (:mod:`webgym.evaluation.kept`).
    """

    tasks: tuple[str, ...] = ("default",)
    split: task_sets.Split = "test"
    seeds: int = 40
    sessions: int = 8
    backend: Backend | str = "browser"
    keep: Path | None = None
    shown: Callable[[int], AbstractContextManager[Listener | None]] = field(default=lambda _: nullcontext(), repr=False, compare=False)

    def keys(self) -> list[EpisodeKey]:
        """One episode per task and seed, the tasks taking turns."""
        chosen = task_sets.seeds_of(self.split)[: self.seeds]
        pairs = [(task, seed) for seed in chosen for task in task_sets.choose(self.tasks)]
        return [EpisodeKey(task, seed, group=group) for group, (task, seed) in enumerate(pairs)]

    def play(
        self,
        policy: Policy | PolicyHandle,
        executor: Executor | None = None,
        on_event: Listener | None = None,
        played_by: Mapping[str, Any] | None = None,
    ) -> list[Trajectory]:
        """The episodes, without pages; in sessions of its own unless an executor is given.

        `played_by` describes the policy, for the folder `keep`, which holds the episodes of one policy. Raises UsageError or Fault before
        the first episode where a task cannot begin (:func:`webgym.packs.rehearsal.rehearse`), UsageError for a folder of another policy.
        """
        if executor is None:
            rehearse(task_sets.choose(self.tasks), self.backend)
            with Arena(self.sessions, backend=self.backend) as own:
                return self.play(policy, own, on_event, played_by)
        keys, record = self.keys(), Record(prompts=True, pages=False)
        if self.keep is None:
            with self.shown(len(keys)) as listener:
                return play_in_order(executor, policy, keys, record=record, on_event=on_event or listener)
        with KeptEpisodes(self.keep, {"split": self.split, **(played_by or {})}) as kept:
            found = kept.found()
            missing = [key for key in keys if key not in found]
            with self.shown(len(missing)) as listener:
                for key, trajectory in executor.play(policy, missing, record=record, on_event=on_event or listener):
                    kept.add(trajectory)
                    found[key] = trajectory
        return [found[key] for key in keys]

    def report(self, trajectories: Iterable[Trajectory]) -> Report:
        """The figures of these episodes: twins among the tasks in pairs, and tasks whose pages decide (`trust: page`) apart."""
        chosen = task_sets.choose(self.tasks)
        on_pages = frozenset(task_id for task_id in chosen if registry.task(task_id).trust == "page")
        return report(trajectories, twins=registry.twins(chosen), on_pages=on_pages)

    def of_model_free(self, name: str, seed: int = 0) -> Report:
        """Report on a policy without a model: oracle, random or noop. Raises UsageError for the oracle on a task that has none."""
        return self.report(self.play(model_free(name, seed), played_by={"policy": name, "seed": seed}))

    def of_server(
        self,
        server: Server,
        model: str,
        *,
        prompts: PromptSettings,
        sampling: Sampling,
        view: View = "text",
        tools: bool = False,
        extra: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> Report:
        """Report on a model behind an OpenAI-compatible server (see :class:`webgym.policies.openai.OpenAIPolicy`). Raises UsageError."""
        client = OpenAIClient(server)
        try:
            loop_thread().run(client.check(model))
            policy = OpenAIPolicy(client, model, prompts=prompts, sampling=sampling, view=view, tools=tools, extra=extra, run_seed=seed)
            with Arena(self.sessions, screenshots=view != "text", backend=self.backend) as arena:
                by = {"policy": model, "view": view, "tools": tools, "extra": dict(extra or {}), "seed": seed}
                return self.report(self.play(policy, arena, played_by={**by, "prompts": prompts.to_json(), "sampling": asdict(sampling)}))
        finally:
            loop_thread().run(client.close())


def model_free(name: str, seed: int = 0) -> Policy:
    """The policy of this name."""
    policies: dict[str, Callable[[], Policy]] = {
        "oracle": lambda: Demonstrator(PromptSettings()),
        "random": lambda: RandomPolicy(seed),
        "noop": NoopPolicy,
    }
    return policies[name]()
