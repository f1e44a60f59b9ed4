"""A chat model of no size: byte-level tokenizer with a ChatML template, and a Llama or any other architecture over it."""

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from trainers.models.model import prepare

CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chat_tokenizer() -> PreTrainedTokenizerFast:
    """Every byte a token, and the template and the end token of many chat models."""
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(sorted(ByteLevel.alphabet()))}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", clean_up_tokenization_spaces=False)
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})  # type: ignore[arg-type]
    fast.chat_template = CHATML
    return fast


def chat_model(seed: int = 0, **changes: Any) -> LlamaForCausalLM:
    """An untrained Llama over :func:`chat_tokenizer`'s ids, prepared for packed rows."""
    sizes = {"vocab_size": 258, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(seed)
    config = LlamaConfig(**{**sizes, "num_key_value_heads": 2, "max_position_embeddings": 8192, "eos_token_id": 256, **changes})
    return prepare(LlamaForCausalLM(config)).eval()  # type: ignore[return-value]
