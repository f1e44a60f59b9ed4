"""The visible loop: collect → credit → update → publish, with the critic first where there is one.

One iteration, top to bottom, is :meth:`Trainer.iterate`. Everything random in it is a function of the run's seed and the iteration,
so a run resumed from a checkpoint is the run that was never interrupted, bit for bit on CPU (times excepted).
Beside it: :mod:`trainers.training.begin` (new and resumed runs), `players` (episodes), `update` (optimiser steps), `observers`
(display, clock, live file) and `held_out` (evaluations).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from trainers import algorithms
from trainers.batches.rows import check_context, rows_of_all, sampling_temperature
from trainers.config import TrainConfig, remedy, resolve
from trainers.credit.credit import Values
from trainers.learning.peers import Alone, Peers
from trainers.models.model import context_of
from trainers.models.policy_model import PolicyModel
from trainers.models.prompt_ids import Context
from trainers.rollouts.collection import check_faults
from trainers.rollouts.curriculum import Curriculum
from trainers.rollouts.thinking import spoken
from trainers.runs.checkpoint import Checkpoint, count
from trainers.runs.disk import disk_errors
from trainers.runs.memory import memory_errors
from trainers.runs.run_folder import RunFolder, known_rng, restore_rng, rng_state
from trainers.samplers.registry import open_sampler
from trainers.samplers.sampler import Sampler
from trainers.training import begin
from trainers.training.ahead import Ahead
from trainers.training.clock import Laps
from trainers.training.executors import open_executor, opened_to_others
from trainers.training.held_out import evaluate
from trainers.training.metrics import fresh_turns, rollout_metrics, sampled_tokens, staleness
from trainers.training.observers import Observers
from trainers.training.players import Players
from trainers.training.progress import Display
from trainers.training.sharded import check_shards, update_kind
from webgym.packs import sets as task_sets
from webgym.record import layout
from webgym.rollout.executor import Executor
from webgym.task import Split
from webgym.types import Group, Trajectory, seed_from


class Trainer:
    """One run: a policy, its sampler, a critic where the algorithm wants one, and a run folder. Use :meth:`start` or :meth:`resume`."""

    def __init__(
        self,
        config: TrainConfig,
        run: RunFolder,
        source: PolicyModel,
        display: Display | None = None,
        peers: Peers = Alone(),  # noqa: B008
    ) -> None:
        torch.set_num_threads(config.machine.threads)
        self.config, self.algorithm_config = resolve(config.model_dump())
        self.run, self.source = run, source
        self.algorithm = algorithms.get(config.algo)
        self.practice = self.algorithm.practice(self.algorithm_config)
        self.tasks = task_sets.choose(config.tasks)
        self.curriculum = Curriculum(self.tasks, config.curriculum, config.seed)
        failed, imitates = run.path / layout.FAILED_BATCH, self.practice.imitates
        kind, shared = update_kind(self.config, peers)
        self.update = kind(self.config, self.algorithm_config.loss, source, failed, imitates=imitates, peers=shared)
        self.valuer = begin.valuer_of(self.algorithm, self.algorithm_config, config, source)
        self.observers = Observers(config, run, display or Display())
        self.iteration = self.episodes = self.turns = self.replayed = self.tokens = 0
        self._ahead = Ahead(config.rollout.staleness)
        self._rng: Mapping[str, Any] | None = None  # of the checkpoint that the run goes on from
        self._score: float | None = None  # success on the validation seeds, of the newest evaluation
        self._memory: Mapping[str, float] = {}  # of the algorithm's credit, from one iteration to the next

    # --- beginning, and checkpoints ----------------------------------------------------------------------------------------

    @classmethod
    def start(
        cls,
        config: TrainConfig,
        *,
        parent: Path | str = "runs",
        name: str | None = None,
        display: Display | None = None,
        chosen: str = "",
        peers: Peers = Alone(),  # noqa: B008
    ) -> "Trainer":
        """A new run with its folder; `chosen` says in a line which settings followed from the model.

        Raises UsageError and its kin before the first file is written where the configuration cannot work.
        """
        check_shards(config, peers)
        new = begin.new_run(config, parent=parent, name=name, chosen=chosen)
        trainer = cls(new.config, new.run, new.source, display, peers)
        if new.critic is not None and trainer.valuer is not None:
            trainer.valuer.start_from(new.critic)
        return trainer

    @classmethod
    def resume(
        cls,
        path: Path | str,
        *,
        display: Display | None = None,
        changes: Mapping[str, Any] | None = None,
        peers: Peers = Alone(),  # noqa: B008
    ) -> "Trainer":
        """The run in `path`, as its newest checkpoint left it. `changes` replaces configuration keys (more iterations, say).

        Raises ConfigError for a change that the checkpoint does not fit, CheckpointError for a checkpoint that is none or damaged.
        """
        with begin.resumed_run(path, changes or {}) as old:
            trainer = cls(old.config, old.run, old.source, display, peers)
            assert old.checkpoint is not None
            with old.checkpoint.restoring():
                trainer._restore(old.checkpoint)
        return trainer

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint."""
        state = checkpoint.state()
        self.iteration, self.episodes, self.turns = (count(state[name]) for name in ("iteration", "episodes", "turns"))
        self.replayed, self.tokens = (count(state.get(name, 0)) for name in ("replayed", "tokens"))
        self._memory = dict(state.get("memory", {}))
        self.update.restore(state["learner"], str(state.get("reference", "")))
        self.curriculum.load_state_dict(state["curriculum"])
        self._score = None if state.get("score") is None else float(state["score"])
        self._rng = known_rng(state.get("rng"))
        if self.config.rollout.overlap:  # else the next batch is collected with the newest weights
            self._ahead.load_state_dict(state.get("behaviour") or {}, self.iteration, state["curriculum"])
        if self.valuer is not None:
            self.valuer.restore(checkpoint.folder("critic"), state["critic_optimizer"])

    def save(self) -> None:
        """Write a checkpoint of this iteration."""
        folders: dict[str, Callable[[Path], object]] = {"policy": self.update.save}
        state: dict[str, Any] = {
            "iteration": self.iteration,
            "episodes": self.episodes,
            "turns": self.turns,
            "replayed": self.replayed,
            "tokens": self.tokens,
            "memory": dict(self._memory),
            "learner": self.update.learner_state(),
            "curriculum": self.curriculum.state_dict(),
            "rng": rng_state(),
            "score": self._score,
        }
        if self.update.reference_mark:
            state["reference"] = self.update.reference_mark
        if behaviour := self._ahead.state_dict():
            state["behaviour"] = behaviour
        if self.valuer is not None:
            folders["critic"] = self.valuer.save
            state["critic_optimizer"] = self.valuer.state_dict()
            self.observers.probe(self.valuer, self.iteration)
        with self.observers.timekeeper.during("saving"):
            self.run.save(self.iteration, folders, state, score=self._score, keep=self.config.checkpoints.keep)

    # --- the run -----------------------------------------------------------------------------------------------------------

    def train(self) -> None:
        """Iterate to the end, evaluating and saving on the way. Ctrl-C ends it after the iteration under way; twice, at once."""
        with (
            disk_errors(self.run.path),
            self.observers.shown(self),
            memory_errors(self.config.machine.device, remedy(self.config)),
            self.observers.interruptible(),
            self.update.leading(),
            open_executor(self.config, self.observers.monitor.hear_nodes) as executor,
            self._sampler() as sampler,
            self.observers.monitor,
            self._ahead,
        ):
            self.valuer = self.update.shard(self.valuer)
            self._train(self.players(executor, sampler))

    def _train(self, players: Players) -> None:
        config, watch, started = self.config, self.observers, time.monotonic()
        if self._rng is None:  # last of all before the first iteration: building models draws from it too
            torch.manual_seed(seed_from(config.seed, "torch"))
        else:
            restore_rng(self._rng)
        if self.iteration == 0:
            if config.evaluation.seeds:
                self._evaluate(players, "test", config.evaluation.seeds, "before training")
            self.save()
        self._ahead.resume(players, config.length.iterations)
        watch.timekeeper.seconds()  # what lies before is no part of an iteration
        while not self.done and not watch.interrupted:
            turns = self.turns
            row = self.iterate(players)
            if config.evaluation.every and self.iteration % config.evaluation.every == 0:
                self._evaluate(players, "valid", max(1, config.evaluation.seeds // 2), f"after iteration {self.iteration}")
            elapsed_s = time.monotonic() - started
            over = config.length.minutes is not None and elapsed_s > 60 * config.length.minutes
            watch.iterated(row, self.iteration, self.turns, self.turns - turns, elapsed_s)
            ends = over or watch.interrupted or self.done
            if ends or self.iteration % config.checkpoints.every == 0:
                self.save()
            if over:
                watch.display.say(
                    f"{self.iteration} of {config.length.iterations} iterations: the time limit (length.minutes={config.length.minutes:g}) "
                    f"was reached; `webgym train --resume {self.run.path}` goes on"
                )
                break
        watch.say_split()
        if watch.interrupted:
            watch.display.say(f"interrupted and saved; `webgym train --resume {self.run.path}` goes on")
        elif config.evaluation.seeds:
            self._evaluate(players, "test", config.evaluation.seeds, "after training")

    def iterate(self, players: Players) -> dict[str, float]:
        """One iteration; returns the row that was logged."""
        config, watch, clock = self.config, self.observers, Laps()
        self.iteration += 1

        # collect: groups of episodes with one policy version
        busy_s = players.sampler.counters.busy_s
        trajectories = self._ahead.take(players, self.iteration)
        check_faults(trajectories, self.iteration)
        clock.lap("collect")
        watch.timekeeper.doing("training", True)
        self.curriculum.update(x for x in trajectories if not x.forked_at)
        if config.rollout.overlap:
            self._begin_next(players, trajectories)
        watch.monitor.phase("updating", self.iteration)

        sampling_temperature(trajectories)  # refuses what no ratio can be computed for
        batch = [*players.earlier(self.iteration), *trajectories]
        rows = rows_of_all(batch)
        check_context(rows, batch, context_of(self.source.model))
        rewarded = self.update.rewarded(batch, rows)
        groups: Sequence[Group] = [list(group) for _, group in groupby(rewarded, key=lambda x: (x.key.iteration, x.key.group))]

        # the critic: values that never saw the new episodes' outcomes, then the fit to them
        values: Values | None = None
        fitted: dict[str, float] = {}
        if self.valuer is not None:
            valued = self.valuer.values_and_fit(groups, batch, rows, self.iteration, players.draw)
            groups, batch, rows, values, fitted = valued.groups, valued.trajectories, valued.rows, valued.values, valued.metrics
            values = replace(values, memory=self._memory)
        clock.lap("critic")

        # credit, and the policy's update
        credit = self.algorithm.credit(groups, values, self.algorithm_config)
        self._memory = credit.memory
        watch.credited(self.iteration, batch, values, credit)
        if not config.update.thinking:
            credit = spoken(credit, batch, Context(self.source.tokenizer, self.source.prompts))
        warming = self.valuer is not None and self.iteration <= config.critic.warmup_iterations
        learned = {} if warming else self.update(batch, rows, credit, iteration=self.iteration, done=self._progress())
        if not config.rollout.overlap:
            players.publish(self.update.served(), self.iteration)
        clock.lap("update")
        watch.timekeeper.doing("training", False)

        self.episodes, self.turns = self.episodes + len(trajectories), self.turns + fresh_turns(trajectories)
        self.replayed += sum(x.forked_at for x in trajectories)
        self.tokens += sampled_tokens(trajectories)
        row = {**credit.stats, **rollout_metrics(trajectories, config.rollout.groups), **fitted, **learned, **clock.row()}
        row |= staleness(trajectories, self.iteration)
        row["time/browser_s"] = sum(turn.times.browser_s for x in trajectories for turn in x.turns)
        row["time/sampling_s"] = players.sampler.counters.busy_s - busy_s
        row |= {"rollout/episodes_total": self.episodes, "rollout/turns_total": self.turns, **watch.time_metrics()}
        row["rollout/replayed_total"], row["rollout/tokens_total"] = self.replayed, self.tokens
        watch.log(self.iteration, row)
        return row

    def players(self, executor: Executor, sampler: Sampler) -> Players:
        """The run's players on this executor, with completions by this sampler."""
        return Players(
            self.config,
            self.algorithm_config,
            self.practice,
            self.source,
            self.valuer,
            self.curriculum,
            self.run,
            self.observers,
            executor,
            sampler,
        )

    @property
    def done(self) -> bool:
        """True once the run has had all its iterations or environment steps."""
        return self._done(self.turns)

    def _done(self, turns: int) -> bool:
        """True if this iteration, or this number of environment steps, is the run's last."""
        config = self.config
        return self.iteration >= config.length.iterations or (config.length.steps is not None and turns >= config.length.steps)

    def _progress(self) -> float:
        """Part of the run that lies behind before this iteration's update, 0 to 1; the learning rate falls by it."""
        by_iterations = (self.iteration - 1) / max(1, self.config.length.iterations - 1)
        return max(by_iterations, min(1.0, self.turns / self.config.length.steps)) if self.config.length.steps else by_iterations

    def _begin_next(self, players: Players, taken: Sequence[Trajectory]) -> None:
        """Have the next batches collected beside this update, with the weights as the last one left them."""
        weights = self.update.served_state()
        ends = self._done(self.turns + fresh_turns(taken))
        self._ahead.begin(players, self.iteration, weights, self.iteration if ends else self.config.length.iterations)

    def _evaluate(self, players: Players, split: Split, seeds: int, title: str) -> None:
        if self.config.rollout.overlap:
            self._ahead.wait()
            self._ahead.publish(players, self.update.served(), self.iteration)
        success = evaluate(players, tuple(self.tasks), split, seeds, title, self.iteration)
        self._score = success if split == "valid" else self._score

    def _sampler(self) -> Sampler:
        sampler = open_sampler(self.config.sampler, self.source, folder=self.run.path / "weights", version=self.iteration)
        sampler.counters.watch = lambda works: self.observers.timekeeper.doing("sampling", works)
        return opened_to_others(self.config, sampler, self.source, self.iteration)
