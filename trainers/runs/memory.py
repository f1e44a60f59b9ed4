"""A plain error for a full memory: the work under way, and the settings that take less."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from webgym.errors import UsageError


@contextmanager
def memory_errors(device: str, remedy: str) -> Iterator[None]:
    """Turns a full memory of the accelerator or the machine into a UsageError that ends with the remedy."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise UsageError(_words(device, remedy, str(error))) from error
    except RuntimeError as error:  # torch on the CPU has no error class of its own for it
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        raise UsageError(_words(device, remedy, str(error))) from error


def _words(device: str, remedy: str, said: str) -> str:
    first = said.strip().partition("\n")[0][:200] or "no further words"
    return f"the memory of {device} is full ({first}): {remedy}"


def settings_in_words(settings: Sequence[str]) -> str:
    """The settings as one types them.

    >>> settings_in_words(["update.token_budget=4096", "lora.rank=16"])
    '--set update.token_budget=4096 or --set lora.rank=16'
    """
    return f"--set {' or --set '.join(settings)}"
