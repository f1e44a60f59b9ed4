"""A full memory in words: what was being done, and which settings take less."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from trainers.config import TrainConfig
from webgym.errors import UsageError


@contextmanager
def memory_errors(config: TrainConfig) -> Iterator[None]:
    """Turns a full memory of the accelerator or the machine into a UsageError that names the settings to change."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise UsageError(_words(config, str(error))) from error
    except RuntimeError as error:  # torch on the CPU has no error class of its own for it
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        raise UsageError(_words(config, str(error))) from error


def _words(config: TrainConfig, said: str) -> str:
    knobs = [f"token_budget={max(64, config.token_budget // 2)} (now {config.token_budget})"]
    if not config.gradient_checkpointing:
        knobs.append("gradient_checkpointing=true")
    if not config.lora.rank:
        knobs.append("lora.rank=16")
    if config.dtype == "float32":
        knobs.append("dtype=bfloat16")
    if config.sampler.kind == "local":
        knobs.append(f"sampler.slots={max(1, config.sampler.slots // 2)}")
    first = said.strip().partition("\n")[0][:200] or "no further words"
    return f"the memory of {config.device} is full ({first}): go on with --resume and --set {' or --set '.join(knobs)}"
