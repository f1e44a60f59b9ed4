"""Evaluation of checkpoints: one, or two compared on the same episodes."""

from dataclasses import replace
from pathlib import Path

from trainers.model import BUILT_IN
from trainers.policy import LanguagePolicy, PolicyModel
from trainers.run import RunFolder, open_checkpoint
from trainers.samplers.batched import in_this_process
from webgym.assess import Assessment
from webgym.errors import CheckpointError
from webgym.evaluate import Comparison, Report, compare
from webgym.prompt import PromptSettings
from webgym.types import Sampling, Trajectory


def model_folder(path: Path) -> Path:
    """The policy's folder in a run folder, a checkpoint or a plain model folder. Raises CheckpointError."""
    if (path / "config.json").is_file() or (path / "adapter_config.json").is_file():
        return path
    return open_checkpoint(path).folder("policy")


def tasks_of(path: Path) -> tuple[str, ...]:
    """The tasks that a run was trained on; the default set for a model that belongs to no run."""
    folder = path.resolve()
    for candidate in (folder, *folder.parents[:2]):
        if (candidate / "run.json").is_file():
            with RunFolder.open(candidate, write=False) as run:
                return tuple(run.config["tasks"])
    return ("default",)


def max_tokens_of(path: Path, prompts: PromptSettings) -> int:
    """The longest answer that a run's policy was trained to give; for a model of no run, one that its style of prompts asks for."""
    folder = path.resolve()
    for candidate in (folder, *folder.parents[:2]):
        if (candidate / "run.json").is_file():
            with RunFolder.open(candidate, write=False) as run:
                return int(run.config["max_tokens"])
    return 16 if prompts.style == "compact" else 256


def assess_checkpoints(
    wanted: Assessment, path: Path, against: Path | None, *, greedy: bool, temperature: float, seed: int, device: str = "cpu"
) -> tuple[Report, Comparison | None]:
    """The report on `path`, and how it compares with `against` where one is given. Raises CheckpointError."""
    if not wanted.tasks:
        wanted = replace(wanted, tasks=tasks_of(path))
    first = _play(wanted, path, greedy, temperature, seed, device)
    if against is None:
        return wanted.report(first), None
    return wanted.report(first), compare(_play(wanted, against, greedy, temperature, seed, device), first)


def _play(wanted: Assessment, path: Path, greedy: bool, temperature: float, seed: int, device: str) -> list[Trajectory]:
    if not path.is_dir() and str(path) not in BUILT_IN:
        names = " or ".join(BUILT_IN)
        raise CheckpointError(f"there is no folder {path}: expected a run folder, a checkpoint, a model folder, or {names}")
    dtype = "float32" if device == "cpu" else "bfloat16"
    source = PolicyModel.load(model_folder(path) if path.is_dir() else str(path), device=device, dtype=dtype)
    sampling = Sampling(temperature, greedy=greedy, max_tokens=max_tokens_of(path, source.prompts))
    slots = 8 if device == "cpu" else wanted.sessions
    with in_this_process(source.model, source.tokenizer, block=source.read_in_blocks_of, slots=slots) as sampler:
        return wanted.play(LanguagePolicy(source, sampler, sampling, seed))
