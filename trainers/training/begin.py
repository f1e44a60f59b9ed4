"""The beginning of a run: a new one from its configuration, or one that goes on from a checkpoint."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, get_args

import torch
from pydantic import BaseModel

from trainers import algorithms
from trainers.config import LengthConfig, TrainConfig, remarks, resolve
from trainers.credit.algorithm import Algorithm, AlgorithmConfig
from trainers.critics.backbone import check_copy
from trainers.critics.critic import Critic
from trainers.critics.q_critic import ActionValueConfig
from trainers.critics.q_valuation import QValuation
from trainers.critics.valuation import Valuation, critic_of
from trainers.critics.valuer import Valuer
from trainers.models.model import check_device, folder_of
from trainers.models.policy_model import PolicyModel
from trainers.models.prompt_ids import Context
from trainers.models.token_grammar import TokenGrammar
from trainers.runs.checkpoint import Checkpoint
from trainers.runs.keys import merged, validated
from trainers.runs.moved_keys import FORMAT, moved
from trainers.runs.run_folder import RunFolder, open_checkpoint, package_versions
from trainers.runs.trackers import trackers
from trainers.samplers import registry as samplers
from trainers.training import named
from trainers.training.kept import changed, without_idle
from trainers.training.metrics import explanations
from webgym import backends
from webgym.actions.grammar import grammar_name
from webgym.errors import CheckpointError, ConfigError
from webgym.packs import sets as task_sets
from webgym.packs.rehearsal import rehearse
from webgym.prompts.settings import PromptSettings
from webgym.record import layout

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Beginning:
    """A run before its first iteration in this process. It resumes from `checkpoint`; the critic of a new run starts from `critic`."""

    config: TrainConfig
    run: RunFolder
    source: PolicyModel
    critic: Critic | None = None
    checkpoint: Checkpoint | None = None


def new_run(config: TrainConfig, *, parent: Path | str, name: str | None, chosen: str = "") -> Beginning:
    """A new run with its folder. Raises UsageError and its kin before the first file is written where the configuration cannot work."""
    resolved, algorithm_config = resolve(config.model_dump())
    check_device(resolved.machine.device)
    _check_playing(resolved)
    if Path(resolved.model).is_dir():  # a run has other checkpoints tomorrow, and `latest` is another run
        resolved = resolved.model_copy(update={"model": str(folder_of(resolved.model))})
    for remark in remarks(resolved):
        log.warning(remark)
    source = load_policy(resolved.model, resolved)
    source = replace(source, prompts=PromptSettings.from_json({**source.prompts.to_json(), **resolved.prompts}))
    _check_answers(resolved, source)
    needs = algorithms.get(resolved.algo).needs_values(algorithm_config)
    if needs == "action":
        check_copy(source.model)
    elif needs:
        Critic.check(source.model, resolved.critic.head)
    checkpoint = _critic_checkpoint(resolved)
    if checkpoint is not None:  # `latest` is another run tomorrow
        start = str(checkpoint.path.resolve())
        resolved = resolved.model_copy(update={"critic": resolved.critic.model_copy(update={"start": start})})
    critic = None if checkpoint is None else critic_of(checkpoint, resolved.critic, source, resolved.machine.home)
    run = RunFolder.create(
        algorithms.get(resolved.algo).name,
        resolved.model_dump(mode="json"),
        resolved.seed,
        parent=parent,
        name=name,
        chosen=chosen,
        versions=backends.get(resolved.machine.backend).versions(),
        metrics=explanations(algorithms.get(resolved.algo)),
        trackers=trackers(resolved.trackers),
    )
    named.remember(run.config)
    return Beginning(resolved, run, source, critic=critic)


@contextlib.contextmanager
def resumed_run(path: Path | str, changes: Mapping[str, Any]) -> Iterator[Beginning]:
    """The run in `path` as its newest checkpoint left it; the folder is closed again where the block raises.

    Raises ConfigError for a change that the checkpoint does not fit, CheckpointError for a checkpoint that is none or damaged.
    """
    with RunFolder.open(path, write=False) as first:
        if "algo" not in first.config:
            raise CheckpointError(f"{first.path / layout.CONFIG} is no configuration of a run: it names no algo")
        now = moved(changes)
        named.require(first.path, merged(moved(first.config), now), given=now)
        config = _changed(first.config, changes)
        if other := _other_versions(first.versions, {**package_versions(), **backends.get(config.machine.backend).versions()}):
            log.warning("%s was trained with other versions: %s. It goes on, but not bit for bit as it would have there", first.path, other)
    if changes:
        _check_playing(config)
        for remark in remarks(config):
            log.warning(remark)
    run = RunFolder.open(path, trackers=trackers(config.trackers))
    try:
        checkpoint = run.resume()
        source = load_policy(checkpoint.folder("policy"), config)
        _check_answers(config, replace(source, prompts=PromptSettings.from_json({**source.prompts.to_json(), **config.prompts})))
        yield Beginning(config, run, source, checkpoint=checkpoint)
    except BaseException:
        run.close()
        raise


def _check_playing(config: TrainConfig) -> None:
    """Raises ConfigError and its kin where the tasks or the sampler cannot be had."""
    samplers.check_here(config.sampler)
    rehearse(task_sets.choose(config.tasks), config.machine.backend)


def _check_answers(config: TrainConfig, source: PolicyModel) -> None:
    """Raises ConfigError where the answers of the policy cannot be as they are wanted."""
    context = Context(source.tokenizer, source.prompts)
    if not config.update.thinking:
        context.check_thinking("update.thinking=false", "set it to true")
    if config.rollout.grammar:
        TokenGrammar.of(source.model, source.tokenizer).start(grammar_name(source.prompts.dialect, "", 0), config.rollout.max_tokens)


def _other_versions(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The versions that differ, in words; "" where none does.

    >>> _other_versions({"torch": "2.9.0", "numpy": "2.1"}, {"torch": "2.13.0", "numpy": "2.1"})
    'torch 2.9.0, now 2.13.0'
    """
    return ", ".join(f"{name} {then[name]}, now {now[name]}" for name in then if name in now and then[name] != now[name])


def load_policy(model: str | Path, config: TrainConfig) -> PolicyModel:
    """The policy to train: `model` with the configuration's adapter, precision and memory settings."""
    source = PolicyModel.load(
        model,
        device=config.machine.home,
        dtype=config.machine.dtype,
        lora=config.lora,
        seed=config.seed,
        gradient_checkpointing=config.machine.gradient_checkpointing,
    )
    if any(p.dtype == torch.float16 for p in source.model.parameters() if p.requires_grad):
        raise ConfigError(
            "machine.dtype=float16 cannot train all weights, because small gradients become 0 in it: take machine.dtype=bfloat16, whose "
            "weights have fp32 masters, or an adapter (lora.rank=16)"
        )
    return source


def valuer_of(algorithm: Algorithm, algorithm_config: AlgorithmConfig, config: TrainConfig, source: PolicyModel) -> Valuer | None:
    """The critic that the algorithm asks for; None for one without values."""
    needs = algorithm.needs_values(algorithm_config)
    if not needs:
        return None
    seed, budget, machine = config.seed, config.update.token_budget, config.machine
    places = {"device": machine.device, "home": machine.home}
    if needs == "action":
        assert isinstance(algorithm_config, ActionValueConfig)  # the registry has checked it
        return QValuation(algorithm, algorithm_config, config.critic, source, seed=seed, token_budget=budget, **places)
    return Valuation(algorithm, algorithm_config, config.critic, source, seed=seed, token_budget=budget, **places)


def _changed(kept: Mapping[str, Any], changes: Mapping[str, Any]) -> TrainConfig:
    """The configuration of a resumed run. Raises ConfigError where its checkpoint cannot go on with it."""
    changes = moved(changes, warn=True)
    for name in ("algo", "model", "seed"):  # first of all: what follows would speak of keys that the other algorithm lacks
        _check_same(name, kept.get(name), changes.get(name, kept.get(name)))
    kept = without_idle(_with_nones(kept))
    new = resolve(changed(kept, changes))[0]
    old = validated(TrainConfig, kept, kept=True)
    for name in ("lora", "critic.head"):
        _check_same(name, *(attrgetter(name)(config).model_dump() for config in (old, new)))
    _check_same("prompts", old.prompts, new.prompts)  # they are part of the model
    _check_same("the critic", _critic_in_words(old), _critic_in_words(new))
    _check_same("critic.start", old.critic.start, new.critic.start)
    return new


def _with_nones(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run folder with the options that were set to none, which are not there because TOML has no None."""
    kept = merged({"length": _nones(LengthConfig)}, kept)
    own = algorithms.get(kept["algo"]).Config
    if kept.get("format", 1) >= FORMAT:
        return merged({"algorithm": _nones(own)}, kept)
    loss = own().loss
    if loss.policy == "reinforce" and loss.importance_cap and "importance_cap" not in kept.get("algorithm", {}).get("loss", {}):
        warnings.warn(
            f"{kept['algo']} was started when nothing corrected its later optimiser steps on a batch; "
            f"it goes on with loss.importance_cap={loss.importance_cap:g}, its default now",
            FutureWarning,
            stacklevel=2,
        )
    return kept


def _nones(model: type[BaseModel]) -> dict[str, Any]:
    """None for each option of a model, and of the groups in it, that can be set to none."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found[name] = _nones(field.annotation)
        elif type(None) in get_args(field.annotation):
            found[name] = None
    return found


def _critic_in_words(config: TrainConfig) -> str:
    """The kind of critic that the algorithm has as it is set."""
    algorithm = algorithms.get(config.algo)
    needs = algorithm.needs_values(validated(algorithm.Config, config.algorithm, kept=True))
    return f"one of {needs}s" if needs else "none"


def _check_same(name: str, was: object, now: object) -> None:
    if was != now:
        raise ConfigError(
            f"{name} cannot change in a run that is resumed (it is {was!r}, asked for is {now!r}): start a new run; "
            "with --model RUN it begins with this run's policy"
        )


def _critic_checkpoint(config: TrainConfig) -> Checkpoint | None:
    """The checkpoint of the critic to start from. Raises CheckpointError, ConfigError where the algorithm has no critic of states."""
    if not config.critic.start:
        return None
    algorithm, algorithm_config = algorithms.get(config.algo), resolve(config.model_dump())[1]
    if algorithm.needs_values(algorithm_config) not in ("turn", "token"):
        raise ConfigError(
            f"critic.start: {algorithm.name} as it is set has no critic of states; leave it out, or take archer or actor_critic"
        )
    return open_checkpoint(Path(config.critic.start))
