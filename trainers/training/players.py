"""Players of a run's episodes: the policy, the choice of episodes, and their record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from trainers.batches.rows import sampling_temperature
from trainers.config import TrainConfig
from trainers.credit.algorithm import AlgorithmConfig, Practice, bootstraps
from trainers.credit.credit import learnable
from trainers.critics.valuer import Draw, Valuer
from trainers.models.policy_model import PolicyModel
from trainers.rollouts.best_of import BestOf
from trainers.rollouts.collection import in_rounds
from trainers.rollouts.curriculum import Curriculum
from trainers.rollouts.language_policy import LanguagePolicy
from trainers.rollouts.remote_policy import handle_of
from trainers.runs.disk import disk_errors
from trainers.runs.run_folder import RunFolder
from trainers.samplers.gateway import Gateway
from trainers.samplers.sampler import Generated, Sampler, picture_key
from trainers.training.observers import Observers
from webgym.packs import sets as task_sets
from webgym.policies.policy import Policy
from webgym.record.store import TrajectoryStore, load
from webgym.rollout.branch import Branch, Continuations, fork_keys
from webgym.rollout.contract import PolicyHandle, Record
from webgym.rollout.executor import Executor, play_in_order
from webgym.types import EpisodeKey, Sampling, Trajectory, Turn, groups_of, seed_from


@dataclass(frozen=True)
class Players:
    """A policy with its sampler, the executor that plays it, and the choice of episodes."""

    config: TrainConfig
    algorithm_config: AlgorithmConfig
    practice: Practice
    source: PolicyModel
    valuer: Valuer | None
    curriculum: Curriculum
    run: RunFolder
    observers: Observers
    executor: Executor
    sampler: Sampler

    @property
    def sampling(self) -> Sampling:
        """Sampling settings of training episodes."""
        return Sampling(self.config.rollout.temperature, max_tokens=self.config.rollout.max_tokens)

    def policy(self, sampling: Sampling, *, explore: bool = False) -> Policy | PolicyHandle:
        """The model as a policy, or the best of its proposals by Q where the algorithm asks for that; a handle where others play."""
        seed, best_of = self.config.seed, self.practice.best_of
        if isinstance(self.sampler, Gateway):
            seen_as, rollout = self.config.executor.gateway_url, self.config.rollout
            return handle_of(self.sampler, seen_as, sampling, seed, grammar=rollout.grammar, episode_tokens=rollout.episode_tokens)
        if best_of == 1 or self.valuer is None or self.valuer.best is None:
            return self._language(sampling, seed)
        exploring = self.practice.explore if explore else 0.0
        return BestOf.of(lambda s: self._language(sampling, s), best_of, self.valuer.best, exploring, seed)

    def _language(self, sampling: Sampling, seed: int) -> LanguagePolicy:
        rollout = self.config.rollout
        return LanguagePolicy(self.source, self.sampler, sampling, seed, grammar=rollout.grammar, episode_tokens=rollout.episode_tokens)

    def publish(self, weights: nn.Module | Mapping[str, Tensor], version: int) -> None:
        """Give the sampler new weights; the time that takes is a part of the iteration's (`time/publish_s`)."""
        with self.observers.timekeeper.during("publishing"):
            self.sampler.set_weights(weights, version)

    def collecting(self, iteration: int) -> Callable[[], list[Trajectory]]:
        """A function that collects and records the episodes of an iteration."""
        policy = self.policy(self.sampling, explore=True)

        def collect() -> list[Trajectory]:
            self.observers.monitor.phase("collecting", iteration)
            with self.run.trajectories(iteration) as store, disk_errors(store.path):
                record = Record(pictured_groups=self.config.rollout.screenshots, final_prompts=bootstraps(self.algorithm_config))

                def play(again: int, first: int, count: int) -> list[Trajectory]:
                    keys = self._keys(iteration, again, first, count)
                    trajectories = self._played(policy, keys, record, store)
                    forks = fork_keys(trajectories, self._branches(trajectories))
                    if not forks:
                        return trajectories
                    assert not isinstance(policy, PolicyHandle)  # no collector elsewhere plays forks (trainers.config.check)
                    trajectories += self._played(Continuations(policy, forks), list(forks), record, store)
                    return [x for group in groups_of(trajectories) for x in group]

                return in_rounds(play, self.config.rollout.groups, self.practice.resample)

        return collect

    def _played(
        self, policy: Policy | PolicyHandle, keys: Sequence[EpisodeKey], record: Record, store: TrajectoryStore
    ) -> list[Trajectory]:
        """The episodes of these keys, recorded."""
        hear, keep = self.observers.hear, store.save_screenshot
        trajectories = play_in_order(self.executor, policy, keys, record=record, on_event=hear, on_picture=keep)
        for trajectory in trajectories:
            store.append(trajectory)
        return trajectories

    def _branches(self, trajectories: Sequence[Trajectory]) -> list[Branch]:
        """The forks of these episodes that the algorithm asks for."""
        if self.practice.forks is None:
            return []
        episodes = [x for x in trajectories if learnable(x)]
        return self.practice.forks(episodes, self.valuer.turn_values(episodes) if self.valuer is not None else None)

    def _keys(self, iteration: int, again: int, first: int, groups: int) -> list[EpisodeKey]:
        config, seeds = self.config, task_sets.seeds_of("train")
        keys = []
        for group, task in enumerate(self.curriculum.draw(iteration, groups, again), start=first):
            seed = seeds[seed_from(config.seed, "episode", iteration, group) % len(seeds)]
            keys += [EpisodeKey(task, seed, iteration, group, member) for member in range(config.rollout.group_size)]
        return keys

    def earlier(self, iteration: int) -> list[Trajectory]:
        """The episodes of the iterations before that the algorithm reads again, from the run folder, oldest first.

        Those sampled at another temperature are left out, because log-probabilities are those at this run's.
        """
        first = max(1, iteration - self.practice.replay + 1)
        found = [x for i in range(first, iteration) for group in groups_of(load(self.run.trajectory_path(i))) for x in group]
        kept = [x for x in found if sampling_temperature([x]) == self.config.rollout.temperature or not len(x)]
        if len(kept) < len(found):
            self.observers.display.say(
                f"{len(found) - len(kept)} earlier episodes were sampled at another temperature and are not replayed"
            )
        return kept

    @property
    def draw(self) -> Draw:
        """Completions of prompts by the policy that the sampler holds, each with the limits of the turn's own.

        A turn that got no answer, because its prompt or its episode was too long, gets none here either.
        """

        def like(turn: Turn) -> Sampling:
            own = turn.completion.sampling
            return replace(self.sampling, grammar=own.grammar, max_tokens=own.max_tokens) if own else self.sampling

        def drawn(turn: Turn, seed: int) -> Callable[[], Generated]:
            asked = turn.completion
            if not asked.action_ids:
                return lambda: Generated((), (), asked.text, asked.policy_version)
            return self.sampler.submit(asked.prompt_ids, seed, like(turn), **picture_key(asked.key)).result

        def draw(turns: Sequence[Turn], seeds: Sequence[int]) -> list[Generated]:
            waiting = [drawn(turn, seed) for turn, seed in zip(turns, seeds, strict=True)]
            return [result() for result in waiting]

        return draw
