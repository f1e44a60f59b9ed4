"""Evaluation of checkpoints: one, or two compared on the same episodes."""

import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from trainers import algorithms
from trainers.config import resolve_sampler, with_settings
from trainers.critics.q_critic import HEADS_FILE, QCritic
from trainers.critics.q_valuation import best_action
from trainers.models.model import BUILT_IN
from trainers.models.policy_model import PolicyModel
from trainers.rollouts.best_of import BestOf
from trainers.rollouts.language_policy import LanguagePolicy
from trainers.runs.keys import validated
from trainers.runs.run_folder import RunFolder, open_checkpoint
from trainers.samplers import registry as samplers
from trainers.samplers.sampler import Sampler
from trainers.samplers.settings import SamplerConfig
from trainers.training import named
from webgym.errors import CheckpointError, ConfigError
from webgym.evaluation.assessment import Assessment
from webgym.evaluation.statistics import Comparison, Report, compare
from webgym.policies.policy import Policy
from webgym.prompts.settings import PromptSettings
from webgym.record import layout
from webgym.types import Sampling, Trajectory


def model_folder(path: Path) -> Path:
    """The policy's folder in a run folder, a checkpoint or a plain model folder. Raises CheckpointError."""
    return path if _is_model(path) else open_checkpoint(path).folder(layout.POLICY)


def _is_model(path: Path) -> bool:
    return (path / "config.json").is_file() or (path / "adapter_config.json").is_file()


def run_of(path: Path) -> Path | None:
    """The run folder that this run folder, checkpoint or model folder belongs to; None for a model of no run."""
    folder = path.resolve()
    return next((candidate for candidate in (folder, *folder.parents[:3]) if layout.is_run(candidate)), None)


def run_config(path: Path) -> dict[str, Any] | None:
    """The configuration of the run that this path belongs to; None for a model of no run."""
    folder = run_of(path)
    if folder is None:
        return None
    with RunFolder.open(folder, write=False) as run:
        return run.config


def tasks_of(path: Path) -> tuple[str, ...]:
    """The tasks that a run was trained on; the default set for a model that belongs to no run."""
    config, run = run_config(path), run_of(path)
    if config is None or run is None:
        return ("default",)
    named.require(run, {"tasks": config["tasks"]})
    return tuple(config["tasks"])


def max_tokens_of(path: Path, prompts: PromptSettings) -> int:
    """The longest answer that a run's policy was trained to give; for a model of no run, one that its style of prompts asks for."""
    config = run_config(path)
    if config is not None:
        return int(config["rollout"]["max_tokens"])
    return 16 if prompts.style == "compact" else 256


def grammar_of(path: Path) -> bool:
    """True if a run's policy was constrained to a grammar in training; false for a model of no run."""
    config = run_config(path)
    return bool(config and config["rollout"].get("grammar"))


def policy_of(path: Path, source: PolicyModel, sampler: Sampler, sampling: Sampling, seed: int, grammar: bool = False) -> Policy:
    """Policy of `path`: its model, or as in training the best of the model's proposals by Q, where the run's algorithm acts so.

    Greedy proposals are all the same, so then the model plays alone. It also does when `path` is the model's own folder.
    """

    config = run_config(path)
    episode_tokens = config["rollout"].get("episode_tokens") if config else None

    def proposer(seed: int) -> LanguagePolicy:
        return LanguagePolicy(source, sampler, sampling, seed, grammar=grammar, episode_tokens=episode_tokens)

    if config is None or not path.is_dir() or _is_model(path):
        return proposer(seed)
    critic = open_checkpoint(path).path / layout.CRITIC
    if not (critic / HEADS_FILE).is_file():
        return proposer(seed)
    named.require(run_of(path) or path, {"algo": config["algo"]})
    algorithm = algorithms.get(config["algo"])
    device = str(source.model.device)
    best_of = algorithm.practice(validated(algorithm.Config, config["algorithm"], f"algorithm {config['algo']}: ")).best_of
    if best_of == 1 or sampling.greedy:
        return proposer(seed)
    q = QCritic.load(critic, policy=source.model, device=device)
    best = partial(best_action, q, token_budget=config["update"]["token_budget"], device=device)
    return BestOf.of(proposer, best_of, best, run_seed=seed)


class EvaluationConfig(BaseModel):
    """The settings of an evaluation that `--set` changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    sampler: SamplerConfig = SamplerConfig()
    """Sampler that generates completions."""


def sampler_of(settings: Iterable[str]) -> SamplerConfig:
    """The sampler that `key=value` texts describe, such as `sampler.kind=openai`. Raises ConfigError."""
    return validated(EvaluationConfig, with_settings({}, settings, EvaluationConfig.model_fields, "sampler")).sampler


def assess_checkpoints(
    wanted: Assessment,
    path: Path,
    against: Path | None,
    settings: Iterable[str] = (),
    *,
    greedy: bool,
    temperature: float,
    seed: int,
    device: str = "cpu",
    grammar: bool | None = None,
) -> tuple[Report, Comparison | None]:
    """The report on `path`, and its comparison with `against` where one is given. Raises CheckpointError, ConfigError.

    `settings` are `key=value` texts such as `sampler.kind=openai`; :func:`play` has the other arguments.
    """
    for each in (path, against) if against else (path,):
        _must_hold_a_model(each)  # of both, before the first is played
    if not wanted.tasks:
        wanted = replace(wanted, tasks=tasks_of(path))
    sampler = sampler_of(settings)
    played = partial(play, greedy=greedy, temperature=temperature, seed=seed, device=device, grammar=grammar, sampler=sampler)
    first = played(wanted, path)
    if against is None:
        return wanted.report(first), None
    beside = replace(wanted, keep=wanted.keep and wanted.keep.with_name(f"{wanted.keep.name}-against"))
    return wanted.report(first), compare(played(beside, against), first)


def _must_hold_a_model(path: Path) -> None:
    """Raises CheckpointError for a path that is neither a folder with a model nor a built-in name."""
    if not path.is_dir() and str(path) not in BUILT_IN:
        names = " or ".join(BUILT_IN)
        raise CheckpointError(f"there is no folder {path}: expected a run folder, a checkpoint, a model folder, or {names}")
    if path.is_dir():
        model_folder(path)


def play(
    wanted: Assessment,
    path: Path,
    *,
    greedy: bool = False,
    temperature: float = 1.0,
    seed: int = 0,
    device: str = "cpu",
    grammar: bool | None = None,
    sampler: SamplerConfig = SamplerConfig(),  # noqa: B008
) -> list[Trajectory]:
    """The episodes of this evaluation, played by a run's newest checkpoint, a checkpoint, a model folder or a built-in model.

    `grammar` constrains answers to the action syntax; None means as in training. `sampler` generates; a server gets the
    weights first. Raises CheckpointError for a `path` with no model, ConfigError for a sampler that cannot do this.
    """
    _must_hold_a_model(path)
    constrained = grammar_of(path) if grammar is None else grammar
    if device != "cpu" and sampler.slots is None and "slots" in samplers.get(sampler.kind).Config.model_fields:
        sampler = sampler.model_copy(update={"slots": wanted.sessions})
    if constrained and not samplers.get(sampler.kind).holds_grammar:
        raise ConfigError(
            f"the sampler {sampler.kind} cannot hold answers to a grammar, which {path} was trained or is to be evaluated with: "
            f"leave the grammar out (--no-grammar), or take sampler.kind={' or '.join(samplers.holding_grammar())}"
        )
    sampler = resolve_sampler(sampler)
    dtype = "float32" if device == "cpu" else "bfloat16"
    source = PolicyModel.load(model_folder(path) if path.is_dir() else str(path), device=device, dtype=dtype)
    sampling = Sampling(temperature, greedy=greedy, max_tokens=max_tokens_of(path, source.prompts))
    folder = _weights_folder(path)
    try:
        with samplers.open_sampler(sampler, source, folder=folder) as opened:
            policy = policy_of(path, source, opened, sampling, seed, constrained)
            by = {"policy": str(model_folder(path).resolve() if path.is_dir() else path), "grammar": constrained, "seed": seed}
            return wanted.play(policy, played_by={**by, "sampling": asdict(sampling), "sampler": sampler.kind})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _weights_folder(path: Path) -> Path:
    """The place where a server is given the weights to evaluate, not there yet: in the run folder, which it sees in training too."""
    run = run_of(path)
    parent = run if run is not None and os.access(run, os.W_OK) else Path(tempfile.gettempdir())
    return parent / f"evaluated-weights-{os.getpid()}"
