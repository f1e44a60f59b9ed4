"""The configuration of a training run: TOML and `--set key=value` over defaults, validated once, written resolved into the run folder."""

import json
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from trainers import algorithms
from trainers.credit.algorithm import Algorithm, AlgorithmConfig, NeedsValues
from trainers.critics.settings import CriticConfig
from trainers.learning.learner import OptimConfig
from trainers.models.lora import LoraSettings
from trainers.rollouts.curriculum import CurriculumConfig
from trainers.rollouts.executor_settings import ExecutorConfig
from trainers.runs.keys import options, read, validated
from trainers.runs.memory import settings_in_words
from trainers.runs.moved_keys import FORMAT, MOVED, as_meant, moved
from trainers.samplers import registry as samplers
from trainers.samplers.settings import SHARED_KEYS, SamplerConfig, Several
from webgym.backends import known_backend
from webgym.errors import ConfigError, did_you_mean
from webgym.prompts.settings import PromptSettings


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """True and false are no numbers, though Python counts with them."""
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation in (int, float, int | None, float | None):
            raise ValueError("expected a number")
        return value


class LengthConfig(_Group):
    """Limits of a run's length. The first one that is reached ends the run."""

    iterations: int = Field(default=48, ge=1)
    """Collect-and-update rounds."""
    minutes: float | None = Field(default=None, gt=0)
    """Stop after the iteration in which this much time has passed."""
    steps: int | None = Field(default=None, ge=1)
    """Stop after the iteration in which this number of environment steps (turns) since the start is reached."""


class RolloutConfig(_Group):
    """Number and sampling of the training episodes."""

    groups: int = Field(default=40, ge=1)
    """Groups (a task with a seed) per iteration."""
    group_size: int = Field(default=4, ge=1)
    """Episodes per group."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature."""
    max_tokens: int = Field(default=16, ge=1)
    """Most tokens of one turn's completion."""
    episode_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of all completions of an episode; a turn behind them is given no answer, in words. None: no limit but that of turns."""
    grammar: bool = False
    """Constrain answers to the action syntax of the model's dialect and to the refs of the page (compact and call dialects, samplers in
    this process): each turn is an action, and log-probabilities are those among the tokens that the grammar allows."""
    overlap: bool = Field(default=False, validation_alias=AliasChoices("overlap", "async"))
    """Collect the next batch, with the weights as the last update left them, while this one is learned from; tokens are then weighed
    by min(π_old/μ, importance_cap), the algorithm's or 2. The run stays a function of its seed. Also called `async`."""
    staleness: int = Field(default=1, ge=1, le=8)
    """With overlap: updates by which the weights that collect a batch are behind those that learn from it. Up to so many batches are begun
    ahead, one after the other, so that a slow one need not hold the update up. Without overlap it is 0."""
    screenshots: int = Field(default=0, ge=0)
    """Groups of each iteration whose episodes are recorded with a screenshot of every turn (33 ms each), for `webgym view`."""


class UpdateConfig(_Group):
    """Update of the models on each batch."""

    epochs: int | None = Field(default=None, ge=1)
    """Passes over each batch: 2 unless given, and 1 for a plain policy gradient (−A log π), which holds for one step."""
    minibatches: int | None = Field(default=None, ge=1)
    """Optimiser steps per pass: 2 unless given, and 1 for a plain policy gradient."""
    token_budget: int = Field(default=8192, ge=64)
    """Tokens of one packed forward pass."""
    thinking: bool = True
    """Learn from the tokens of thinking blocks (<think> ... </think>) too; false leaves them out of the loss and of its divisor."""


class EvaluationConfig(_Group):
    """Evaluations in the course of a run, on seeds that are not trained on."""

    seeds: int = Field(default=40, ge=0)
    """Test seeds per task, evaluated before the first and after the last iteration; 0 leaves evaluation out."""
    every: int = Field(default=0, ge=0)
    """Iterations between evaluations on the validation seeds; 0 means never."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature."""


class CheckpointsConfig(_Group):
    """Checkpoints of a run."""

    every: int = Field(default=5, ge=1)
    """Iterations between checkpoints."""
    keep: int = Field(default=2, ge=1)
    """Newest checkpoints that are kept, beside the best."""


class MachineConfig(_Group):
    """Machine on which a run is played and learned."""

    backend: Annotated[str, AfterValidator(known_backend)] = "browser"
    """Backend that plays episodes: "browser", or "text" for the text twin of packs with plain pages (thousands of turns a second)."""
    sessions: int = Field(default=8, ge=1)
    """Browser sessions that collect at the same time."""
    device: str = "cpu"
    """Device on which the policy and the critic are trained."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the policy."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them. It takes less memory and a third more time."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Threads of the update; results depend on it bit by bit. One is safe on a busy machine, because two wait for each other."""
    shard: bool = False
    """With several processes (torchrun): each holds a part of every weight, gradient and moment, and layers are gathered where they
    compute (FSDP2). Without it each holds all."""

    @property
    def home(self) -> str:
        """Device on which models are loaded; those that are sharded leave the CPU a layer at a time."""
        return "cpu" if self.shard else self.device


class TrainConfig(_Group):
    """Everything that determines a run. With the seed it determines all but the times."""

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    """Format of the configuration. A file without it is of format 1, in which `grpo` means `grpo_positive`."""

    # what is learned
    algo: str = "grpo"
    """Name of an algorithm (`webgym algos`), or the path of a Python file with one."""
    algorithm: dict[str, Any] = Field(default_factory=dict)
    """The algorithm's own options (its Config), for example {"lam": 0.9}."""
    model: str = "webgym-tiny"
    """Built-in name, local folder or hub name of a causal language model."""
    lora: LoraSettings = LoraSettings()
    """Train a low-rank adapter instead of all weights: lora.rank above 0."""
    tasks: Several = ("default",)
    """Task sets (tasks/sets.toml), task ids or patterns such as "miniwob.click-*"."""
    prompts: dict[str, Any] = Field(default_factory=dict)
    """Changes to the model's prompt settings, such as {"history": 0, "errors": false} for a policy without memory."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the run: sampling, task choice, minibatches."""

    # from which episodes, and how
    rollout: RolloutConfig = RolloutConfig()
    """Training episodes."""
    curriculum: CurriculumConfig = CurriculumConfig()
    """Choice of the tasks to practise."""
    sampler: SamplerConfig = SamplerConfig()
    """Sampler that generates completions."""
    executor: ExecutorConfig = ExecutorConfig()
    """Executor that plays the episodes."""
    update: UpdateConfig = UpdateConfig()
    """Update of the models on each batch."""
    optim: OptimConfig = OptimConfig(lr=1e-3, warmup_steps=12, final=0.05)
    """The policy's optimiser."""
    critic: CriticConfig = CriticConfig()
    """The critic, where the algorithm has one."""

    # how long, and what is kept
    length: LengthConfig = LengthConfig()
    """Limits of the run's length."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Evaluations in the course of the run."""
    checkpoints: CheckpointsConfig = CheckpointsConfig()
    """Checkpoints."""
    trackers: Several = ("tensorboard",)
    """Trackers that receive metrics besides metrics.jsonl: tensorboard, wandb, trackio."""

    # where it runs
    machine: MachineConfig = MachineConfig()
    """Backend, sessions, device and threads."""

    @model_validator(mode="before")
    @classmethod
    def _by_old_names(cls, data: Any) -> Any:
        return moved(data, warn=True) if isinstance(data, Mapping) else data


def resolve(data: Mapping[str, Any]) -> tuple[TrainConfig, AlgorithmConfig]:
    """The validated configuration and the algorithm's own Config. Raises ConfigError naming the key, the value and what was expected."""
    config = validated(TrainConfig, moved(data, warn=True))
    PromptSettings.from_json(config.prompts)
    algorithm = algorithms.get(config.algo)
    algorithm_config = validated(algorithm.Config, config.algorithm, f"algorithm {algorithm.name}: ")
    algorithms.check(algorithm, algorithm_config)
    sampler = resolve_sampler(config.sampler, grammar=config.rollout.grammar)
    changes = {"algo": algorithm.key, "algorithm": algorithm_config.model_dump(), "sampler": sampler, "format": FORMAT}
    config = config.model_copy(update=changes | {"update": steps_of(config.update, algorithm, algorithm_config)})
    check(config, algorithm, algorithm_config)
    return config, algorithm_config


def steps_of(update: UpdateConfig, algorithm: Algorithm, algorithm_config: AlgorithmConfig) -> UpdateConfig:
    """The update with its number of optimiser steps: one a batch for a plain policy gradient, two passes of two for any other loss."""
    default = 1 if _plain_gradient(algorithm, algorithm_config) else 2
    return update.model_copy(update={"epochs": update.epochs or default, "minibatches": update.minibatches or default})


def scored_by_sampler(config: TrainConfig) -> bool:
    """True where log-probabilities that the sampler recorded are those of the learner, up to rounding.

    A critic that trains the policy's trunk moves the policy before its update.
    """
    own = samplers.get(config.sampler.kind).as_learner and config.machine.dtype == "float32"
    head = config.critic.head
    return own and not config.rollout.overlap and not (head.backbone == "trunk" and head.trunk_lr > 0)


def check(config: TrainConfig, algorithm: Algorithm, algorithm_config: AlgorithmConfig) -> None:
    """Raises ConfigError where settings contradict each other, or one has no effect as the others are set."""
    practice, rollout, name = algorithm.practice(algorithm_config), config.rollout, algorithm.name
    steps = (config.update.epochs or 1) * (config.update.minibatches or 1)
    if steps > 1 and _plain_gradient(algorithm, algorithm_config) and algorithm_config.loss.importance_cap is None:
        raise ConfigError(
            f"{name} takes {steps} optimiser steps of −A log π on one batch, which holds for the first: "
            "set update.epochs=1 and update.minibatches=1, or loss.importance_cap=2, which corrects the later ones"
        )
    capped = type(algorithm_config).model_fields["loss"].default.importance_cap
    if algorithm_config.loss.importance_cap is None and capped and not scored_by_sampler(config) and not practice.imitates:
        raise ConfigError(
            "loss.importance_cap=null has no effect where sampler and learner may differ, as they may here: the weight is capped at "
            f"{capped:g} there; leave it out, or give a cap that no weight reaches, such as 1e9"
        )
    if rollout.group_size < practice.members:
        raise ConfigError(
            f"{name} compares the episodes of a group, so it learns nothing with rollout.group_size={rollout.group_size}: "
            f"set rollout.group_size to {practice.members} or more"
        )
    if config.executor.kind != "local" and practice.best_of > 1:
        raise ConfigError(
            f"executor.kind={config.executor.kind} cannot go with {name}, which chooses its actions by values that no collector has: "
            "take executor.kind=local"
        )
    if config.executor.kind != "local" and practice.forks:
        raise ConfigError(
            f"executor.kind={config.executor.kind} cannot go with {name} as it is set, whose forks begin in episodes that no collector "
            "has: take executor.kind=local"
        )
    if rollout.groups * rollout.group_size < practice.episodes:
        raise ConfigError(
            f"{name} as it is set compares the episodes of an iteration, so it learns nothing with rollout.groups={rollout.groups} and "
            f"rollout.group_size={rollout.group_size}: set rollout.groups to {practice.episodes} or more"
        )
    if not config.tasks:
        raise ConfigError("tasks is empty, so there is nothing to practise: give task sets, task ids or patterns, such as default")
    if rollout.staleness > 1 and algorithm.needs_values(algorithm_config) == "action":
        raise ConfigError(
            f"rollout.staleness={rollout.staleness} cannot go with {name}, whose critic asks the policy for proposals beside the update, "
            "while other weights collect: take rollout.staleness=1"
        )
    valued_forks = practice.forks and algorithm.needs_values(algorithm_config)
    if rollout.overlap and (practice.best_of > 1 or valued_forks):
        chosen = "forks" if valued_forks else "actions"
        raise ConfigError(
            f"rollout.overlap=true cannot go with {name}, which chooses its {chosen} by the values that the update is changing: "
            "leave it out"
        )
    if valued_forks and config.critic.values_from != "earlier":
        raise ConfigError(
            f"critic.values_from={config.critic.values_from} cannot go with {name}, which corrects for its forks by the very values that "
            "chose them: leave it out (it is earlier by default)"
        )
    if algorithm.needs_values(algorithm_config) == "token":
        if config.critic.head.backbone == "bigrams":
            raise ConfigError(f"critic.head.backbone=bigrams values turns, and {name} as it is set values tokens: take another backbone")
        if config.critic.target_lam < 1:
            raise ConfigError(f"critic.target_lam below 1 looks ahead by turns, and {name} as it is set values tokens: set it to 1")
    needs = algorithm.needs_values(algorithm_config)
    if needs in ("turn", "token") and config.critic.values_from == "cross_fit" and rollout.groups < 2:
        raise ConfigError("critic.values_from=cross_fit fits on the other groups, and rollout.groups=1 has none: set it to 2 or more")
    if needs in ("turn", "token") and algorithm_config.loss.kl == "k1" and config.critic.head.loss != "mse":
        raise ConfigError(
            f"loss.kl=k1 takes the KL off the rewards, and critic.head.loss={config.critic.head.loss} wants returns in [0, 1]: "
            "set critic.head.loss=mse, or loss.kl=k3"
        )
    prompts = PromptSettings.from_json(config.prompts)
    for key, where, why in (("history", "context", "conversation"), ("marks", "style", "chat")):
        if config.prompts.get(key) and getattr(prompts, where) == why:
            raise ConfigError(f"prompts.{key}={config.prompts[key]!r} has no effect with prompts.{where}={why}: leave one of the two out")
    if needs in ("turn", "token") and config.critic.fit.epochs == 0 and not config.critic.start:
        raise ConfigError("critic.fit.epochs=0 never fits the critic: set it to 1 or more, or critic.start to one that was fitted before")
    _refuse_idle(config, idle_keys(config, name, needs))


def remarks(config: TrainConfig) -> list[str]:
    """Sentences on settings that do less than they look, which may be meant: one file may serve several algorithms."""
    algorithm = algorithms.get(config.algo)
    own = validated(algorithm.Config, config.algorithm)
    needs = algorithm.needs_values(own)
    warming, rounds = config.critic.warmup_iterations if needs else 0, config.length.iterations
    steps = max(0, rounds - warming) * (config.update.epochs or 1) * (config.update.minibatches or 1)
    found = []
    if not needs and (given := [key for key, value, _ in options(config.critic) if value != attrgetter(key)(CriticConfig())]):
        idle = ", ".join(f"critic.{key}" for key in given if key != "warmup_iterations")
        found += [f"{algorithm.name} has no critic as it is set, so these keys have no effect: {idle}"] if idle else []
    if (every := config.evaluation.every) and every > rounds:
        found.append(f"no evaluation falls into the run: evaluation.every={every}, and it has {rounds} iterations")
    if policy_stays(own):
        plain = TrainConfig(update=steps_of(UpdateConfig(), algorithm, own))
        of_steps = ("update.epochs", "update.minibatches", "update.thinking", "critic.warmup_iterations")
        keys = (*(f"optim.{key}" for key, _, _ in options(config.optim)), *of_steps)
        idle = ", ".join(key for key in keys if attrgetter(key)(config) != attrgetter(key)(plain))
        found += [f"{algorithm.name} as it is set leaves the policy as it is, so these keys have no effect: {idle}"] if idle else []
    elif warming >= rounds:
        found.append(f"the policy learns nothing: all {rounds} iterations warm the critic up (critic.warmup_iterations={warming})")
    elif config.optim.warmup_steps > steps:
        found.append(f"optim.lr is never reached: optim.warmup_steps={config.optim.warmup_steps}, and the run has {steps} optimiser steps")
    return found


def policy_stays(algorithm_config: AlgorithmConfig) -> bool:
    """True where no loss moves the policy, so that only the critic learns."""
    return "loss.policy" in algorithm_config.idle()


def _plain_gradient(algorithm: Algorithm, algorithm_config: AlgorithmConfig) -> bool:
    """True for −A log π on actions of the policy's own, whose gradient holds for the policy that sampled them."""
    return algorithm_config.loss.policy == "reinforce" and not algorithm.practice(algorithm_config).imitates


def idle_keys(config: TrainConfig, name: str, needs: NeedsValues) -> dict[str, str]:
    """Keys that have no effect as the others are set: key → the reason."""
    critic, head = config.critic, config.critic.head
    of_states = ("values_from", "target_lam", "fit.epochs", "fit.average", *(f"head.{x}" for x in type(head).model_fields))
    found: dict[str, str] = {}
    if needs == "action":
        found = dict.fromkeys((*of_states, "folds"), f"{name}, which values actions")
    elif needs:
        found = {"head.tail": "prompts whose end a run finds out itself"}
        if needs == "token":
            found["head.readout"] = f"{name} as it is set, which values every token"
        if critic.values_from != "cross_fit":
            found["folds"] = f"critic.values_from={critic.values_from}"
        parts = {"bigrams": ("buckets",), "adapter": ("rank",), "trunk": ("trunk_lr",)}
        others = [f"head.{x}" for backbone, keys in parts.items() if backbone != head.backbone for x in keys]
        found |= dict.fromkeys(others, f"critic.head.backbone={head.backbone}")
        if head.loss != "hl-gauss":
            found |= dict.fromkeys(("head.bins", "head.smear"), f"critic.head.loss={head.loss}")
    idle = {f"critic.{key}": why for key, why in found.items()}
    if not config.curriculum.adaptive:
        idle |= dict.fromkeys(("curriculum.memory", "curriculum.floor"), "curriculum.adaptive=false")
    if not config.rollout.overlap:
        idle["rollout.staleness"] = "rollout.overlap=false"
    if config.lora.rank == 0:
        idle |= dict.fromkeys(("lora.alpha", "lora.targets"), "lora.rank=0")
    if config.evaluation.seeds == 0:
        idle |= dict.fromkeys(("evaluation.every", "evaluation.temperature"), "evaluation.seeds=0")
    if config.machine.backend == "text":
        idle["rollout.screenshots"] = "machine.backend=text, which draws no page"
    of_kinds = {"http": ("nodes", "nodes_file"), "ray": ("collectors", "address", "cpus", "labels")}
    for key in type(config.executor).model_fields:
        whose = next((kind for kind, keys in of_kinds.items() if key in keys), "")
        if key != "kind" and (config.executor.kind == "local" or whose not in ("", config.executor.kind)):
            idle[f"executor.{key}"] = f"executor.kind={config.executor.kind}"
    return idle


def _refuse_idle(config: TrainConfig, idle: Mapping[str, str]) -> None:
    defaults = TrainConfig()
    for key, why in idle.items():
        value, default = attrgetter(key)(config), attrgetter(key)(defaults)
        if value != default:
            raise ConfigError(f"{key}={value} has no effect with {why}: leave {key} out (it is {default} by default)")


def resolve_sampler(config: SamplerConfig, *, grammar: bool = False) -> SamplerConfig:
    """The sampler's configuration with all its keys, a path made absolute. Raises ConfigError, also where it cannot hold to a `grammar`."""
    kind = samplers.get(config.kind)
    if idle := [name for name in samplers.SHARED_KEYS if getattr(config, name) is not None and name not in kind.Config.model_fields]:
        raise ConfigError(f"sampler.{idle[0]} has no effect with sampler.kind={config.kind}: leave it out, or take another sampler.kind")
    if grammar and not kind.holds_grammar:
        able = " or ".join(samplers.holding_grammar())
        raise ConfigError(f"rollout.grammar=true needs sampler.kind={able}: the sampler {config.kind} cannot hold answers to our grammar")
    return kind.resolved(config, validated(kind.Config, kind.keys(config), f"sampler {config.kind}: "))


def listed_keys(algo: str) -> list[tuple[str, Any, str]]:
    """(key, default, meaning) of each configuration key, then of each option of the algorithm. Raises ConfigError."""
    config, algorithm_config = resolve({"algo": algo})
    keys = [(key, value, words) for key, value, words in options(config) if key != "algorithm"]
    return [*keys, *_sampler_keys(), *options(algorithm_config)]


def _sampler_keys() -> Iterator[tuple[str, Any, str]]:
    """Key, default and doc line of each key that only one sampler has, whose name stands before the words."""
    for kind in map(samplers.get, samplers.names()):
        for name, field in kind.Config.model_fields.items():
            if name not in SHARED_KEYS:
                default = None if field.is_required() else field.get_default(call_default_factory=True)
                yield f"sampler.{name}", default, f"{kind.name}: {field.description or ''}"


def read_train(path: Path) -> dict[str, Any]:
    """The TOML file of a training configuration, keys and algorithm by their present names. Raises ConfigError as :func:`read` does."""
    return as_meant(moved(read(path), warn=True), path, warn=True)


def with_settings(
    data: Mapping[str, Any], settings: Iterable[str], known: Iterable[str] = (), otherwise: str = "algorithm"
) -> dict[str, Any]:
    """`data` changed by `key=value` texts; keys may have dots, values are JSON or plain text.

    A key that is not `known` (by default: to TrainConfig) is put under `otherwise`, where there is that, if an algorithm has it or it
    resembles no known key.
    The path of an algorithm's file is made absolute. Raises ConfigError for a text without `=`.

    >>> with_settings({}, ["rollout.group_size=4", "optim.lr=1e-3", "lam=0.9"])
    {'rollout': {'group_size': 4}, 'optim': {'lr': 0.001}, 'algorithm': {'lam': 0.9}}
    """
    changed, settings = json.loads(json.dumps(data, default=str)), list(settings)  # TOML has dates, and no key takes one
    names = list(known) or [*TrainConfig.model_fields, *MOVED]
    theirs = set() if known else _options_of_algorithms(changed, settings)
    for setting in settings:
        key, equals, text = setting.partition("=")
        path = key.strip().split(".")
        if not equals or not all(path):
            raise ConfigError(f"--set wants key=value, such as --set rollout.group_size=4; got {setting!r}")
        if otherwise and path[0] not in names and (path[0] in theirs or not did_you_mean(path[0], names)):
            path = [otherwise, *path]
        place = changed
        for n, part in enumerate(path[:-1], start=1):
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigError(
                    f"--set {setting}: {'.'.join(path[:n])} is {place!r} already and no group of keys: leave one of the two out"
                )
        place[path[-1]] = _value(text.strip())
    if "algo" in changed and not known:
        changed["algo"] = algorithms.absolute(str(changed["algo"]))
    return changed


def _options_of_algorithms(data: Mapping[str, Any], settings: Iterable[str]) -> set[str]:
    """All options of algorithms: of the known ones, and of the one that is asked for, which may be a file elsewhere."""
    asked = [str(data.get("algo", "")), *(text.partition("=")[2].strip() for text in settings if text.partition("=")[0].strip() == "algo")]
    found = [*algorithms.discover().values(), *(algorithms.get(algo) for algo in asked[-1:] if algorithms.is_path(algo))]
    return {option for algorithm in found for option in algorithm.Config.model_fields}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # a number of some thousand digits; some thousand brackets
        return text


def remedy(config: TrainConfig) -> str:
    """Settings with which a run takes less memory, without those that it already has."""
    knobs = [f"update.token_budget={max(64, config.update.token_budget // 2)}"]
    if not config.machine.gradient_checkpointing:
        knobs.append("machine.gradient_checkpointing=true")
    if config.machine.dtype == "float32":
        knobs.append("machine.dtype=bfloat16")
    if "slots" in samplers.get(config.sampler.kind).Config.model_fields and config.sampler.slots is not None:
        knobs.append(f"sampler.slots={max(1, config.sampler.slots // 2)}")
    anew = "" if config.lora.rank else ", or start anew with --set lora.rank=16"
    return f"go on with --resume and {settings_in_words(knobs)} (update.token_budget is {config.update.token_budget:,}){anew}"
