"""The visible loop: collect → credit → update → publish, with the critic first where there is one.

One iteration, top to bottom, is :meth:`Trainer.iterate`. Everything random in it is a function of the run's seed and the iteration,
so a run resumed from a checkpoint is the run that was never interrupted, bit for bit on CPU (times excepted).
"""

import contextlib
import copy
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from types import FrameType
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from trainers import algorithms
from trainers.batches.packing import PackedBatch, pack, plan
from trainers.batches.rows import Row, check_context, rows_of_all, sampling_temperature, streams_of
from trainers.config import TrainConfig, merged, remedy, resolve
from trainers.credit.algorithm import bootstraps
from trainers.credit.credit import Credit, Values, kl_penalties, with_penalties
from trainers.critics.probe import probe_rows, probe_set
from trainers.critics.q_valuation import Draw, QValuation
from trainers.critics.valuation import Valuation, critic_of
from trainers.learning.learner import Learner, score
from trainers.models.lora import plain_state
from trainers.models.model import action_logprobs, context_of, folder_of
from trainers.models.policy_model import PolicyModel
from trainers.models.token_grammar import TokenGrammar
from trainers.rollouts.best_of import BestOf
from trainers.rollouts.collection import Collection, in_rounds
from trainers.rollouts.curriculum import Curriculum
from trainers.rollouts.language_policy import LanguagePolicy
from trainers.runs.checkpoint import Checkpoint
from trainers.runs.disk import disk_errors
from trainers.runs.memory import memory_errors
from trainers.runs.run_folder import RunFolder, open_checkpoint, restore_rng, rng_state
from trainers.samplers.batched import in_this_process
from trainers.samplers.local import Generated, LocalSampler
from trainers.samplers.openai import OpenAISampler
from trainers.training.clock import Laps, Timekeeper, shares, split, split_in_words
from trainers.training.metrics import rollout_metrics
from trainers.training.progress import Display, Progress
from webgym import backends
from webgym.actions.grammar import grammar_name
from webgym.errors import ConfigError
from webgym.evaluation.assessment import Assessment
from webgym.packs import sets as task_sets
from webgym.packs.rehearsal import rehearse
from webgym.policies.policy import Policy
from webgym.prompts.settings import PromptSettings
from webgym.record import live
from webgym.record.live import Monitor
from webgym.record.store import load
from webgym.rollout.arena import Arena
from webgym.rollout.contract import Event, Record
from webgym.types import EpisodeKey, Group, Sampling, Trajectory, Turn, seed_from

log = logging.getLogger(__name__)


class Trainer:
    """One run: a policy, its sampler, a critic where the algorithm wants one, and a run folder. Use :meth:`start` or :meth:`resume`."""

    def __init__(self, config: TrainConfig, run: RunFolder, source: PolicyModel, display: Display | None = None) -> None:
        torch.set_num_threads(config.threads)
        self.config, self.own = resolve(config.model_dump())
        self.run, self.source = run, source
        self.display = display or Display()
        self.monitor = Monitor(run.path / live.FILE, config.sessions)
        self.algorithm = algorithms.get(config.algo)
        self.tasks = task_sets.choose(config.tasks)
        self.iteration = 0
        self.episodes = self.turns = self._turns_before = 0
        self.curriculum = Curriculum(self.tasks, config.curriculum, config.seed)
        self.learner = Learner(
            source.model.parameters(), self._forward, config.optim, failed_batch=run.path / "failed_batch.pt", device=config.device
        )
        self.practice = self.algorithm.practice(self.own)
        self.valuation: Valuation | QValuation | None = None
        if needs := self.algorithm.needs_values(self.own):
            kind = QValuation if needs == "action" else Valuation
            self.valuation = kind(
                self.algorithm, self.own, config.critic, source, seed=config.seed, token_budget=config.token_budget, device=config.device
            )
        self._grammar = TokenGrammar.of(source.model, source.tokenizer) if config.grammar else None  # replayed over the action ids
        self._behaviour: dict[str, Any] | None = None  # with overlap, the weights that collect, and their version
        self._probe: list[Trajectory] | None = None
        self._reference = copy.deepcopy(source.model).requires_grad_(False) if self.own.loss.needs_reference else None
        self._collection = Collection()
        self.keeper = Timekeeper()
        self._rows: list[dict[str, float]] = []  # of this process's iterations
        self._rng: dict[str, Any] | None = None  # of the checkpoint that the run goes on from
        self._stop = False
        self._score: float | None = None  # success on the validation seeds, of the newest evaluation

    # --- starting and resuming ---------------------------------------------------------------------------------------------

    @classmethod
    def start(
        cls, config: TrainConfig, *, parent: Path | str = "runs", name: str | None = None, display: Display | None = None
    ) -> "Trainer":
        """A new run with its folder. Raises UsageError and its kin before anything is written where the configuration cannot work."""
        from trainers.runs.trackers import trackers

        resolved, _ = resolve(config.model_dump())
        rehearse(task_sets.choose(resolved.tasks), resolved.backend)
        if Path(resolved.model).is_dir():  # a run has other checkpoints tomorrow, and `latest` is another run
            resolved = resolved.model_copy(update={"model": str(folder_of(resolved.model))})
        source = _load(resolved.model, resolved)
        source = replace(source, prompts=PromptSettings.from_json({**source.prompts.to_json(), **resolved.prompts}))
        checkpoint = _critic_checkpoint(resolved)
        if checkpoint is not None:  # `latest` is another run tomorrow
            start = str(checkpoint.path.resolve())
            resolved = resolved.model_copy(update={"critic": resolved.critic.model_copy(update={"start": start})})
        critic = None if checkpoint is None else critic_of(checkpoint, resolved.critic, source, resolved.device)
        if resolved.grammar:
            TokenGrammar.of(source.model, source.tokenizer).start(grammar_name(source.prompts.dialect, "", 0), resolved.max_tokens)
        run = RunFolder.create(
            resolved.algo,
            resolved.model_dump(mode="json"),
            resolved.seed,
            parent=parent,
            name=name,
            versions=dict(backends.get(resolved.backend).versions()),
            trackers=trackers(resolved.trackers),
        )
        trainer = cls(resolved, run, source, display)
        if critic is not None and isinstance(trainer.valuation, Valuation):
            trainer.valuation.start_from(critic)
        return trainer

    @classmethod
    def resume(cls, path: Path | str, *, display: Display | None = None, changes: Mapping[str, Any] | None = None) -> "Trainer":
        """The run in `path`, as its newest checkpoint left it. `changes` replaces configuration keys (more iterations, say).

        Raises ConfigError for a change that the checkpoint does not fit, CheckpointError for a checkpoint that is none or damaged.
        """
        from trainers.runs.trackers import trackers

        with RunFolder.open(path, write=False) as first:
            config = _changed(first.config, changes or {})
        run = RunFolder.open(path, trackers=trackers(config.trackers))
        try:
            checkpoint = run.resume()
            trainer = cls(config, run, _load(checkpoint.folder("policy"), config), display)
            trainer._restore(checkpoint.state(), checkpoint)
        except BaseException:
            run.close()
            raise
        return trainer

    def _restore(self, state: Mapping[str, Any], checkpoint: Any) -> None:
        self.iteration, self.episodes, self.turns = state["iteration"], state["episodes"], state["turns"]
        self.learner.load_state_dict(state["learner"])
        self.curriculum.load_state_dict(state["curriculum"])
        self._behaviour, self._score = state.get("behaviour"), state.get("score")
        self._rng = state.get("rng")
        if self.valuation is not None:
            self.valuation.restore(checkpoint.folder("critic"), state["critic_optimizer"])
        if self._reference is not None:
            self._reference = PolicyModel.load(self.config.model, device=self.config.device, dtype=self.config.dtype).model.requires_grad_(
                False
            )

    def save(self) -> None:
        """Write a checkpoint of this iteration."""
        folders: dict[str, Callable[[Path], object]] = {"policy": self.source.save}
        state: dict[str, Any] = {
            "iteration": self.iteration,
            "episodes": self.episodes,
            "turns": self.turns,
            "learner": self.learner.state_dict(),
            "curriculum": self.curriculum.state_dict(),
            "rng": rng_state(),
            "score": self._score,
        }
        if self._behaviour is not None:
            state["behaviour"] = self._behaviour
        if self.valuation is not None:
            folders["critic"] = self.valuation.save
            state["critic_optimizer"] = self.valuation.state_dict()
            self._probe_values(self.valuation)
        with self.keeper.during("saving"):
            self.run.save(self.iteration, folders, state, score=self._score, keep=self.config.keep_checkpoints)

    def _probe_values(self, valuation: Valuation | QValuation) -> None:
        """V per turn on the probe set, for the viewer; the set is fixed by the first iteration and there before it."""
        if self._probe is None and self.iteration:
            self._probe = probe_set(self.run.trajectory_path(1))
        for row in probe_rows(self._probe or [], valuation.turn_values(self._probe or []), self.iteration):
            self.run.values.append(self.iteration, row)

    # --- the run -----------------------------------------------------------------------------------------------------------

    def train(self) -> None:
        """Iterate to the end, evaluating and saving on the way. Ctrl-C ends it after the iteration under way; twice, at once."""
        self.display.begin(self)
        try:
            with (
                memory_errors(self.config.device, remedy(self.config)),
                self._interruptible(),
                Arena(self.config.sessions, backend=self.config.backend) as arena,
                self._sampler() as sampler,
                self.monitor,
                self._collection,
            ):
                self._train(arena, sampler)
        finally:
            self.display.end()

    def _train(self, arena: Arena, sampler: LocalSampler | OpenAISampler) -> None:
        config, started = self.config, time.monotonic()
        if self._rng is None:  # last of all before the first iteration: building models draws from it too
            torch.manual_seed(seed_from(config.seed, "torch"))
        else:
            restore_rng(self._rng)
        if self.iteration == 0:
            if config.eval_seeds:
                self._evaluate(arena, sampler, "test", config.eval_seeds, "before training")
            self.save()
        self.keeper.seconds()  # what lies before is no part of an iteration
        while not self.done and not self._stop:
            row = self.iterate(arena, sampler)
            if config.eval_every and self.iteration % config.eval_every == 0:
                self._evaluate(arena, sampler, "valid", max(1, config.eval_seeds // 2), f"after iteration {self.iteration}")
            elapsed_s = time.monotonic() - started
            over = config.minutes is not None and elapsed_s > 60 * config.minutes
            self.display.iterated(Progress(self.iteration, config.iterations, row, elapsed_s, self._left_s(row, elapsed_s)))
            if over or self._stop or self.done or self.iteration % config.checkpoint_every == 0:
                self.save()
            if over:
                self.display.say(f"stopped after {config.minutes:g} minutes, as asked")
                break
        if self._rows:
            self.display.say(
                f"time of the iterations, by what was done in it (several things at once): {split_in_words(split(self._rows))}"
            )
        if self._stop:
            self.display.say(f"interrupted and saved; `webgym train --resume {self.run.path}` goes on")
        elif config.eval_seeds:
            self._evaluate(arena, sampler, "test", config.eval_seeds, "after training")

    @property
    def done(self) -> bool:
        """Whether the run has had all its iterations or environment steps."""
        config = self.config
        return self.iteration >= config.iterations or (config.steps is not None and self.turns >= config.steps)

    def _progress(self) -> float:
        """How much of the run lies behind it before this iteration's update, 0 to 1: what the learning rate falls by."""
        by_iterations = (self.iteration - 1) / max(1, self.config.iterations - 1)
        return max(by_iterations, min(1.0, self.turns / self.config.steps)) if self.config.steps else by_iterations

    def iterate(self, arena: Arena, sampler: LocalSampler | OpenAISampler) -> dict[str, float]:
        """One iteration; returns the row that was logged."""
        config, clock = self.config, Laps()
        self.iteration += 1

        # collect: groups of episodes with one policy version
        busy = sampler.counters.busy_s
        sampling = Sampling(config.temperature, max_tokens=config.max_tokens)
        trajectories = self._collection.take(self._collecting(arena, sampler, sampling, self.iteration))
        clock.lap("collect")
        self.keeper.doing("training", True)
        self.curriculum.update(trajectories)
        if config.overlap:
            self._begin_next(arena, sampler, sampling, trajectories)
        self.monitor.phase("updating", self.iteration)

        sampling_temperature(trajectories)  # refuses what no ratio can be computed for
        batch = [*self._earlier(), *trajectories]
        rows = rows_of_all(batch)
        check_context(rows, batch, context_of(self.source.model))
        reference = self._reference_logprobs(rows, len(batch))
        rewarded = batch
        if reference is not None and self.own.loss.kl == "k1":  # a KL that belongs into the reward
            rewarded = with_penalties(batch, kl_penalties(batch, reference, self.own.loss.kl_coef))
        groups: Sequence[Group] = [list(group) for _, group in groupby(rewarded, key=lambda x: (x.key.iteration, x.key.group))]

        # the critic: values that never saw these outcomes, then the fit to them
        values: Values | None = None
        fitted: dict[str, float] = {}
        if self.valuation is not None:
            valued = self.valuation.values_and_fit(groups, batch, rows, self.iteration, self._draw(sampler, sampling))
            groups, batch, rows, values, fitted = valued.groups, valued.trajectories, valued.rows, valued.values, valued.metrics
        clock.lap("critic")

        # credit, and the policy's update
        credit = self.algorithm.credit(groups, values, self.own)
        warming = self.valuation is not None and self.iteration <= config.critic.warmup_iterations
        learned = {} if warming else self._update(batch, rows, credit, reference)
        if not config.overlap:
            sampler.set_weights(self.source.model, self.iteration)
        clock.lap("update")
        self.keeper.doing("training", False)

        self.episodes += len(trajectories)
        self._turns_before, self.turns = self.turns, self.turns + sum(map(len, trajectories))
        row = {**rollout_metrics(trajectories, config.groups), **credit.stats, **fitted, **learned, **clock.row()}
        row["time/browser_s"] = sum(turn.times.browser_s for x in trajectories for turn in x.turns)
        row["time/sampling_s"] = sampler.counters.busy_s - busy
        row |= {"rollout/episodes_total": self.episodes, "rollout/turns_total": self.turns, **self._time_metrics()}
        self.run.log(self.iteration, row)
        self._rows.append(row)
        return row

    def _collecting(
        self, arena: Arena, sampler: LocalSampler | OpenAISampler, sampling: Sampling, iteration: int
    ) -> Callable[[], list[Trajectory]]:
        """What collects the episodes of an iteration and writes them down."""
        policy = self._policy(sampler, sampling, explore=True)
        final = self._language(sampler, sampling, self.config.seed).prompt_ids if bootstraps(self.own) else None

        def collect() -> list[Trajectory]:
            self.monitor.phase("collecting", iteration)
            with self.run.trajectories(iteration) as store, disk_errors(store.path):
                record = Record(
                    screenshot=store.save_screenshot, pictured=lambda key: key.group < self.config.screenshots, final_prompt=final
                )

                def play(again: int, first: int, count: int) -> list[Trajectory]:
                    keys = self._keys(iteration, again, first, count)
                    trajectories = arena.collect(policy, keys, record=record, on_event=self._hear)
                    for trajectory in trajectories:
                        store.append(trajectory)
                    return trajectories

                return in_rounds(play, self.config.groups, self.practice.resample)

        return collect

    def _begin_next(self, arena: Arena, sampler: LocalSampler | OpenAISampler, sampling: Sampling, taken: Sequence[Trajectory]) -> None:
        """Publish the weights as the last update left them and collect the next iteration's episodes with them, beside this update."""
        config, turns = self.config, self.turns + sum(map(len, taken))
        weights = {name: x.detach().cpu().clone() for name, x in plain_state(self.source.model).items()}
        self._behaviour = {"version": self.iteration - 1, "weights": weights}  # a checkpoint keeps them, to collect this batch again
        sampler.set_weights(weights, self.iteration - 1)
        if self.iteration >= config.iterations or (config.steps is not None and turns >= config.steps):
            return
        self._collection.begin(self._collecting(arena, sampler, sampling, self.iteration + 1))

    def _policy(self, sampler: LocalSampler | OpenAISampler, sampling: Sampling, explore: bool = False) -> Policy:
        """Who plays: the model, or the best of its proposals by Q where the algorithm asks for that."""
        seed, best_of = self.config.seed, self.practice.best_of
        if best_of == 1 or not isinstance(self.valuation, QValuation):
            return self._language(sampler, sampling, seed)
        return BestOf.of(
            lambda s: self._language(sampler, sampling, s),
            best_of,
            self.valuation.best,
            self.own.explore if explore else 0.0,
            seed,
        )

    def _language(self, sampler: LocalSampler | OpenAISampler, sampling: Sampling, seed: int) -> LanguagePolicy:
        return LanguagePolicy(self.source, sampler, sampling, seed, grammar=self.config.grammar)

    def _earlier(self) -> list[Trajectory]:
        """The episodes of the iterations before that the algorithm reads again, from the run folder, oldest first."""
        first = max(1, self.iteration - self.practice.replay + 1)
        return [x for i in range(first, self.iteration) for x in load(self.run.trajectory_path(i))]

    @staticmethod
    def _draw(sampler: LocalSampler | OpenAISampler, sampling: Sampling) -> Draw:
        """Completions of prompts by the policy that the sampler holds."""

        def like(turn: Turn) -> Sampling:
            return replace(sampling, grammar=turn.completion.sampling.grammar if turn.completion.sampling else "")

        def draw(turns: Sequence[Turn], seeds: Sequence[int]) -> list[Generated]:
            asked = zip(turns, seeds, strict=True)
            waiting = [sampler.submit(turn.completion.prompt_ids, seed, like(turn)) for turn, seed in asked]
            return [future.result() for future in waiting]

        return draw

    def _keys(self, iteration: int, again: int, first: int, groups: int) -> list[EpisodeKey]:
        config, seeds = self.config, task_sets.seeds_of("train")
        keys = []
        for group, task in enumerate(self.curriculum.draw(iteration, groups, again), start=first):
            seed = seeds[seed_from(config.seed, "episode", iteration, group) % len(seeds)]
            keys += [EpisodeKey(task, seed, iteration, group, member) for member in range(config.group_size)]
        return keys

    def _update(
        self, trajectories: Sequence[Trajectory], rows: Sequence[Row], credit: Credit, reference: Sequence[np.ndarray] | None
    ) -> dict[str, float]:
        """The policy's optimiser steps on one batch."""
        config, spec = self.config, self.own.loss
        streams = replace(streams_of(trajectories, credit.advantages, credit.weights), reference_logprob=reference)
        if config.overlap:  # the sampler is one update behind: the ratio starts from our own log-probabilities
            old = score(self._forward, pack(rows, config.token_budget), len(trajectories), config.device)
            streams, spec = replace(streams, old_logprob=old), spec.model_copy(update={"importance_cap": spec.importance_cap or 2.0})
        steps = []
        for epoch in range(config.epochs):
            seed = seed_from(config.seed, "minibatches", self.iteration, epoch)
            steps += plan(
                rows,
                streams,
                config.token_budget,
                minibatches=config.minibatches,
                seed=seed,
                whole=spec.whole,
                keep_zero_advantage=spec.acts_on_every_turn,
            )
        self.source.model.train()
        return self.learner.update(steps, spec, self._progress())

    def _reference_logprobs(self, rows: Sequence[Row], trajectories: int) -> list[np.ndarray] | None:
        """log π_ref of every sampled token, one array per trajectory; None where the loss has no reference."""
        reference = self._reference
        if reference is None:
            return None

        def forward(batch: PackedBatch, *, entropy: bool = False) -> tuple[Tensor, Tensor | None]:
            return action_logprobs(reference, batch, self.config.temperature, grammar=self._grammar)

        return score(forward, pack(rows, self.config.token_budget), trajectories, self.config.device)

    def _forward(self, batch: PackedBatch, *, entropy: bool = False) -> tuple[Tensor, Tensor | None]:
        return action_logprobs(self.source.model, batch, self.config.temperature, entropy=entropy, grammar=self._grammar)

    # --- evaluation, metrics, interruption ---------------------------------------------------------------------------------

    def _sampler(self) -> LocalSampler | OpenAISampler:
        source, behind, config = self.source, self._behaviour, self.config.sampler
        if config.kind == "openai":
            sampler = OpenAISampler(config, source.model, source.tokenizer, self.run.path / "weights", version=self.iteration)
            sampler.set_weights(source.model, self.iteration)  # whatever the server was started with
        else:
            sampler = in_this_process(
                source.model,
                source.tokenizer,
                block=source.read_in_blocks_of,
                version=self.iteration,
                slots=config.slots,
                batched=config.kind == "batched",
            )
        sampler.counters.watch = lambda works: self.keeper.doing("sampling", works)
        if behind is not None:  # resumed: the next batch comes from the weights that had begun to collect it
            sampler.set_weights(behind["weights"], behind["version"])
        return sampler

    def _evaluate(self, arena: Arena, sampler: LocalSampler | OpenAISampler, split: task_sets.Split, seeds: int, title: str) -> None:
        sampling = Sampling(self.config.eval_temperature, max_tokens=self.config.max_tokens)
        if self.config.overlap:
            self._collection.wait()
            sampler.set_weights(self.source.model, self.iteration)
        policy = self._policy(sampler, sampling)
        self.monitor.phase("evaluating", self.iteration)
        assessment = Assessment(tuple(self.tasks), split, seeds)
        found = assessment.report(assessment.play(policy, arena, self._hear))
        self.run.log(self.iteration, {"eval/success": found.overall.success, "eval/split": split, "eval/seeds": seeds})
        if split == "valid":
            self._score = found.overall.success
        self.display.evaluated(found, title)
        self.keeper.seconds()

    def _hear(self, event: Event) -> None:
        self.keeper.doing("browser", event.counts.acting > 0)
        self.monitor.hear(event)
        self.display.collecting(event)

    def _time_metrics(self) -> dict[str, float]:
        seconds = self.keeper.seconds()
        return {"time/iteration_s": seconds["all"], "time/checkpoint_s": seconds["saving"], **shares(seconds)}

    def _left_s(self, row: Mapping[str, float], elapsed_s: float) -> float:
        """About how long the run will go on, by its last iteration and whichever limit comes first."""
        config = self.config
        rounds = float(config.iterations - self.iteration)
        if config.steps is not None:
            turns = self.turns - self._turns_before
            rounds = min(rounds, max(0, config.steps - self.turns) / max(1, turns))
        left_s = rounds * row["time/iteration_s"]
        return left_s if config.minutes is None else min(left_s, max(0.0, 60 * config.minutes - elapsed_s))

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Turns the first Ctrl-C into an orderly stop; the second raises KeyboardInterrupt."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(signum: int, frame: FrameType | None) -> None:
            self._stop = True
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self.display.say("stopping after this iteration (Ctrl-C again stops at once)")

        old = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, old)


def _changed(kept: Mapping[str, Any], changes: Mapping[str, Any]) -> TrainConfig:
    """The configuration of a resumed run. Raises ConfigError where its checkpoint cannot go on like that."""
    optional = {name: None for name, field in TrainConfig.model_fields.items() if type(None) in get_args(field.annotation)}
    kept = {**optional, **kept}  # TOML has no None: what was set to none is not there
    for name in ("algo", "model", "seed"):  # first of all: what follows would speak of keys that the other algorithm lacks
        _check_same(name, kept.get(name), changes.get(name, kept.get(name)))
    old, new = resolve(kept)[0], resolve(merged(kept, changes))[0]
    for name in ("lora", "critic.head"):
        _check_same(name, *(attrgetter(name)(config).model_dump() for config in (old, new)))
    _check_same("critic.start", old.critic.start, new.critic.start)
    return new


def _check_same(name: str, was: object, now: object) -> None:
    if was != now:
        raise ConfigError(
            f"{name} cannot change in a run that is resumed (it is {was!r}, asked for is {now!r}): start a new run; "
            "with --model RUN it begins with this run's policy"
        )


def _critic_checkpoint(config: TrainConfig) -> Checkpoint | None:
    """Of the critic that the configuration starts from. Raises CheckpointError, ConfigError where the algorithm has none of states."""
    if not config.critic.start:
        return None
    algorithm, own = algorithms.get(config.algo), resolve(config.model_dump())[1]
    if algorithm.needs_values(own) not in ("turn", "token"):
        raise ConfigError(f"critic.start: {config.algo} as it is set has no critic of states; leave it out, or take archer or actor_critic")
    return open_checkpoint(Path(config.critic.start))


def _load(model: str | Path, config: TrainConfig) -> PolicyModel:
    """The policy to train: `model` with what the configuration says of adapters, precision and memory."""
    return PolicyModel.load(
        model,
        device=config.device,
        dtype=config.dtype,
        lora=config.lora,
        seed=config.seed,
        gradient_checkpointing=config.gradient_checkpointing,
    )
