"""Evaluation of checkpoints: one, or two compared on the same episodes."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from trainers import algorithms
from trainers.config import validated
from trainers.critics.q_critic import HEADS_FILE, QCritic
from trainers.critics.q_valuation import best_action
from trainers.models.model import BUILT_IN
from trainers.models.policy_model import PolicyModel
from trainers.rollouts.best_of import BestOf
from trainers.rollouts.language_policy import LanguagePolicy
from trainers.runs.run_folder import RunFolder, open_checkpoint
from trainers.samplers.batched import in_this_process
from trainers.samplers.sampler import Sampler
from webgym.errors import CheckpointError
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


def run_config(path: Path) -> dict[str, Any] | None:
    """The configuration of the run that this run folder, checkpoint or model folder belongs to; None for a model of no run."""
    folder = path.resolve()
    for candidate in (folder, *folder.parents[:3]):
        if layout.is_run(candidate):
            with RunFolder.open(candidate, write=False) as run:
                return run.config
    return None


def tasks_of(path: Path) -> tuple[str, ...]:
    """The tasks that a run was trained on; the default set for a model that belongs to no run."""
    config = run_config(path)
    return ("default",) if config is None else tuple(config["tasks"])


def max_tokens_of(path: Path, prompts: PromptSettings) -> int:
    """The longest answer that a run's policy was trained to give; for a model of no run, one that its style of prompts asks for."""
    config = run_config(path)
    if config is not None:
        return int(config["max_tokens"])
    return 16 if prompts.style == "compact" else 256


def grammar_of(path: Path) -> bool:
    """Whether a run's policy was held to a grammar when it was trained; a model of no run was not."""
    config = run_config(path)
    return bool(config and config.get("grammar"))


def policy_of(path: Path, source: PolicyModel, sampler: Sampler, sampling: Sampling, seed: int, grammar: bool = False) -> Policy:
    """Who plays `path`: its model, or as in training the best of the model's proposals by Q, where the run's algorithm acts so.

    Greedy proposals are all the same, so then the model plays alone; so it does when `path` is the model's own folder.
    """

    def proposer(seed: int) -> LanguagePolicy:
        return LanguagePolicy(source, sampler, sampling, seed, grammar=grammar)

    config = run_config(path)
    if config is None or not path.is_dir() or _is_model(path):
        return proposer(seed)
    critic = open_checkpoint(path).path / layout.CRITIC
    if not (critic / HEADS_FILE).is_file():
        return proposer(seed)
    algorithm = algorithms.get(config["algo"])
    device = str(source.model.device)
    best_of = algorithm.practice(validated(algorithm.Config, config["algorithm"], f"algorithm {config['algo']}: ")).best_of
    if best_of == 1 or sampling.greedy:
        return proposer(seed)
    best = partial(best_action, QCritic.load(critic, device=device), token_budget=config["token_budget"], device=device)
    return BestOf.of(proposer, best_of, best, run_seed=seed)


def assess_checkpoints(
    wanted: Assessment,
    path: Path,
    against: Path | None,
    *,
    greedy: bool,
    temperature: float,
    seed: int,
    device: str = "cpu",
    grammar: bool | None = None,
) -> tuple[Report, Comparison | None]:
    """The report on `path`, and how it compares with `against` where one is given. Raises CheckpointError.

    `grammar` says whether answers are held to the action syntax; None: as each was trained.
    """
    if not wanted.tasks:
        wanted = replace(wanted, tasks=tasks_of(path))
    settings: dict[str, Any] = {"greedy": greedy, "temperature": temperature, "seed": seed, "device": device, "grammar": grammar}
    first = play(wanted, path, **settings)
    return wanted.report(first), compare(play(wanted, against, **settings), first) if against else None


def play(
    wanted: Assessment,
    path: Path,
    *,
    greedy: bool = False,
    temperature: float = 1.0,
    seed: int = 0,
    device: str = "cpu",
    grammar: bool | None = None,
) -> list[Trajectory]:
    """The episodes of this evaluation, played by a run's newest checkpoint, a checkpoint, a model folder or a built-in model."""
    if not path.is_dir() and str(path) not in BUILT_IN:
        names = " or ".join(BUILT_IN)
        raise CheckpointError(f"there is no folder {path}: expected a run folder, a checkpoint, a model folder, or {names}")
    dtype = "float32" if device == "cpu" else "bfloat16"
    source = PolicyModel.load(model_folder(path) if path.is_dir() else str(path), device=device, dtype=dtype)
    sampling = Sampling(temperature, greedy=greedy, max_tokens=max_tokens_of(path, source.prompts))
    slots = 8 if device == "cpu" else wanted.sessions
    held = grammar_of(path) if grammar is None else grammar
    with in_this_process(source.model, source.tokenizer, block=source.read_in_blocks_of, slots=slots) as sampler:
        return wanted.play(policy_of(path, source, sampler, sampling, seed, held))
