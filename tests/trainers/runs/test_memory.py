"""A full memory names the settings that take less, and only those that are not set already."""

import pytest
import torch

from trainers.config import TrainConfig, remedy, resolve
from trainers.runs.memory import memory_errors
from webgym.errors import UsageError


def watched(config: TrainConfig):
    return memory_errors(config.machine.device, remedy(config))


def test_a_full_accelerator_names_the_knobs():
    config = resolve({"machine": {"device": "cuda"}, "update": {"token_budget": 4096}})[0]
    wanted = r"of cuda is full.*token_budget=2048.*gradient_checkpointing=true.*lora\.rank=16"
    with pytest.raises(UsageError, match=wanted) as caught, watched(config):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")
    assert "Tried to allocate 2.00 GiB" in str(caught.value) and "GPU 0" not in str(caught.value)


def test_what_is_set_already_is_not_offered():
    settings = {
        "machine": {"gradient_checkpointing": True, "dtype": "bfloat16"},
        "lora": {"rank": 8},
        "sampler": {"kind": "openai", "model": "m"},
    }
    with pytest.raises(UsageError) as caught, watched(resolve(settings)[0]):
        torch.empty(1 << 60)
    assert "token_budget=4096" in str(caught.value) and "lora" not in str(caught.value) and "dtype" not in str(caught.value)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shapes"), watched(resolve({})[0]):
        raise RuntimeError("shapes differ")
