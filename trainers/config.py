"""The configuration of a training run: TOML and `--set key=value` over defaults, validated once, written resolved into the run folder."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from trainers import algorithms
from trainers.critics.settings import CriticConfig
from trainers.learning.learner import OptimConfig
from trainers.models.lora import LoraSettings
from trainers.rollouts.curriculum import CurriculumConfig
from trainers.runs.memory import settings_in_words
from trainers.samplers.settings import SamplerConfig
from webgym.backends import known_backend
from webgym.errors import ConfigError, did_you_mean

M = TypeVar("M", bound=BaseModel)


class TrainConfig(BaseModel):
    """Everything that decides a run. The seed and this decide all but the times."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    algo: str = "grpo"
    """Name of a file in trainers/algorithms/."""
    algorithm: dict[str, Any] = Field(default_factory=dict)
    """The algorithm's own options (its Config), for example {"lam": 0.9}."""
    model: str = "webgym-tiny"
    """Built-in name, local folder or hub name of a causal language model."""
    tasks: tuple[str, ...] = ("default",)
    """Task sets (tasks/sets.toml), task ids or patterns such as "miniwob.click-*"."""
    backend: Annotated[str, AfterValidator(known_backend)] = "browser"
    """Where episodes are played: "browser", "text" for the twin of packs with plain pages (thousands of turns a second), or another backend."""
    prompts: dict[str, Any] = Field(default_factory=dict)
    """Changes to the model's prompt settings, such as {"history": 0, "errors": false} for a policy without memory."""
    seed: int = 0
    """Seed of the run: sampling, task choice, minibatches."""
    iterations: int = Field(default=48, ge=1)
    """Collect-and-update rounds."""
    minutes: float | None = Field(default=14.0, gt=0)
    """Stop after the iteration in which this much time has passed, if that comes first."""
    steps: int | None = Field(default=None, ge=1)
    """Stop after the iteration in which so many environment steps (turns) have been taken since the start, if that comes first."""
    groups: int = Field(default=40, ge=1)
    """Groups (a task with a seed) per iteration."""
    group_size: int = Field(default=4, ge=1)
    """Episodes per group."""
    sessions: int = Field(default=8, ge=1)
    """Browser sessions that collect at the same time."""
    overlap: bool = Field(default=False, validation_alias=AliasChoices("overlap", "async"))
    """Collect the next batch, with the weights as the last update left them, while this one is learned from; tokens are then weighed
    by min(π_old/μ, importance_cap), the algorithm's or 2. The run stays a function of its seed. Also called `async`."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature of training episodes."""
    eval_temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature of evaluations."""
    max_tokens: int = Field(default=16, ge=1)
    """Most tokens of one turn's completion."""
    grammar: bool = False
    """Hold answers to the action syntax of the model's dialect and to the refs of the page (compact and call dialects, samplers in this
    process): each turn is an action, and log-probabilities are those among the tokens that the grammar allows."""
    screenshots: int = Field(default=0, ge=0)
    """Groups of each iteration whose episodes are recorded with a screenshot of every turn (33 ms each), for `webgym view`."""
    epochs: int = Field(default=2, ge=1)
    """Passes over each batch."""
    minibatches: int = Field(default=2, ge=1)
    """Optimiser steps per pass."""
    token_budget: int = Field(default=8192, ge=64)
    """Tokens of one packed forward pass."""
    optim: OptimConfig = OptimConfig(lr=1e-3, warmup_steps=12, final=0.05)
    """The policy's optimiser."""
    critic: CriticConfig = CriticConfig()
    """The critic, where the algorithm has one."""
    curriculum: CurriculumConfig = CurriculumConfig()
    """Which tasks to practise."""
    eval_seeds: int = Field(default=40, ge=0)
    """Held-out seeds per task, evaluated before the first and after the last iteration; 0 leaves evaluation out."""
    eval_every: int = Field(default=0, ge=0)
    """Evaluate on the validation seeds every so many iterations too; 0: never."""
    checkpoint_every: int = Field(default=5, ge=1)
    """Iterations between checkpoints."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Newest checkpoints that are kept, beside the best."""
    sampler: SamplerConfig = SamplerConfig()
    """Where completions are generated."""
    device: str = "cpu"
    """Where the policy and the critic are trained."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the policy."""
    lora: LoraSettings = LoraSettings()
    """Train a low-rank adapter instead of all weights: lora.rank above 0."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, a third more time."""
    threads: int = Field(default=1, ge=1)
    """Threads of the update; results depend on it bit by bit. One is the safe choice on a busy machine: two wait for each other."""
    trackers: tuple[str, ...] = ("tensorboard",)
    """Where metrics go besides metrics.jsonl: tensorboard, wandb, trackio."""


def resolve(data: Mapping[str, Any]) -> tuple[TrainConfig, Any]:
    """The validated configuration and the algorithm's own Config. Raises ConfigError naming the key, the value and what was expected."""
    config = validated(TrainConfig, data)
    algorithm = algorithms.get(config.algo)
    own = validated(algorithm.Config, config.algorithm, f"algorithm {config.algo}: ")
    if config.grammar and config.sampler.kind == "openai":
        raise ConfigError("grammar=true needs sampler.kind=local or batched: a server cannot hold answers to our grammar")
    if config.critic.head.backbone == "bigrams" and algorithm.needs_values(own) == "token":
        raise ConfigError(f"critic.head.backbone=bigrams values turns, and {config.algo} as it is set values tokens: take another backbone")
    if config.overlap and algorithm.practice(own).best_of > 1:
        raise ConfigError(
            f"overlap=true cannot go with {config.algo}, which chooses its actions by the values that the update is changing: leave it out"
        )
    return config.model_copy(update={"algorithm": own.model_dump()}), own


def validated(model: type[M], data: Mapping[str, Any], where: str = "") -> M:
    """`data` as a `model`. Raises ConfigError with the first problem in one sentence, `where` before it.

    A group of keys that `data` gives in part keeps what the model says of the others: its own defaults, not those of the group's class.
    """
    defaults = {name: field.default.model_dump() for name, field in model.model_fields.items() if isinstance(field.default, BaseModel)}
    try:
        return model.model_validate({**data, **merged({name: x for name, x in defaults.items() if name in data}, data)})
    except ValidationError as error:
        raise ConfigError(_explain(error, model, where)) from None


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, which go into nested groups of keys instead of taking their place.

    >>> merged({"optim": {"lr": 1.0, "eps": 2.0}, "seed": 0}, {"optim": {"lr": 3.0}, "groups": 4})
    {'optim': {'lr': 3.0, 'eps': 2.0}, 'seed': 0, 'groups': 4}
    """
    found = dict(base)
    for key, value in changes.items():
        old = found.get(key)
        found[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return found


def read(path: Path, what: str = "configuration") -> dict[str, Any]:
    """A TOML file; `what` it is stands in errors. Raises ConfigError with the line where it is no TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the {what} {path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def with_settings(
    data: Mapping[str, Any], settings: Iterable[str], known: Iterable[str] = (), otherwise: str = "algorithm"
) -> dict[str, Any]:
    """`data` changed by `key=value` texts; keys may have dots, values are JSON or plain text.

    A key that is not `known` (by default: to TrainConfig) is put under `otherwise` if an algorithm has it or it is like none known.
    Raises ConfigError for a text without `=`.

    >>> with_settings({}, ["group_size=4", "optim.lr=1e-3", "lam=0.9"])
    {'group_size': 4, 'optim': {'lr': 0.001}, 'algorithm': {'lam': 0.9}}
    """
    changed = json.loads(json.dumps(data))
    names = list(known) or [*TrainConfig.model_fields, "async"]
    own = set() if known else {field for algorithm in algorithms.discover().values() for field in algorithm.Config.model_fields}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set wants key=value, such as --set group_size=4; got {setting!r}")
        path = key.strip().split(".")
        if path[0] not in names and (path[0] in own or not did_you_mean(path[0], names)):
            path = [otherwise, *path]
        place = changed
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = _value(text.strip())
    return changed


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _explain(error: ValidationError, model: type[BaseModel], where: str = "") -> str:
    """The first problem of a validation in one sentence."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        *groups, name = map(str, problem["loc"])
        known = list(_group(model, groups).model_fields)
        near = did_you_mean(name, known)
        return f"{where}unknown key {key!r}{near} (known{' in ' + '.'.join(groups) if groups else ''}: {', '.join(known)})"
    if not key:  # a rule over several keys says what to do
        return f"{where}{problem['msg'].removeprefix('Value error, ')}"
    return f"{where}{key}: {problem['msg'].lower()}, got {problem['input']!r}"


def _group(model: type[BaseModel], names: Iterable[str]) -> type[BaseModel]:
    """The model of a group of keys inside `model`; the outermost one that is known where a name leads to none."""
    for name in names:
        field = model.model_fields.get(name)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            break
        model = field.annotation
    return model


def remedy(config: TrainConfig) -> str:
    """With which settings a run takes less memory, those left out that it has already."""
    knobs = [f"token_budget={max(64, config.token_budget // 2)}"]
    if not config.gradient_checkpointing:
        knobs.append("gradient_checkpointing=true")
    if config.dtype == "float32":
        knobs.append("dtype=bfloat16")
    if config.sampler.kind != "openai":
        knobs.append(f"sampler.slots={max(1, config.sampler.slots // 2)}")
    anew = "" if config.lora.rank else ", or start anew with --set lora.rank=16"
    return f"go on with --resume and {settings_in_words(knobs)} (token_budget is {config.token_budget:,}){anew}"
