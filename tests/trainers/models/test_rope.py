"""Rotary positions that depend on the length: a row beside longer ones has the hidden states that it has alone."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from trainers.batches.packing import pack
from trainers.batches.rows import Row, Span
from trainers.models.model import context_of, packed_hidden, prepare
from trainers.models.rope import border, companies

SIZES = {"vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
KINDS = {
    "dynamic": (64, {"factor": 4.0}),
    "longrope": (256, {"factor": 4.0, "short_factor": [1.0] * 4, "long_factor": [8.0] * 4, "original_max_position_embeddings": 64}),
}


def model_of(kind):
    limit, settings = KINDS[kind]
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES, max_position_embeddings=limit)
    config.rope_parameters = {"rope_type": kind, "rope_theta": 1e4, **settings}
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_each_row_of_a_pack_is_as_transformers_reads_it_alone(kind):
    lengths = (20, 120, 30, 90)
    rows = [Row(i, i, tuple((7 * i + j) % 97 for j in range(n)), (Span(0, n - 2, n - 1, n, 0),)) for i, n in enumerate(lengths)]
    with torch.no_grad():
        alone = [model_of(kind).model(torch.tensor([row.ids])).last_hidden_state[0] for row in rows]  # a new model for each: it remembers
        packed = packed_hidden(prepare(model_of(kind)), pack(rows, 4096)[0])
        some = packed_hidden(prepare(model_of(kind)), pack(rows, 4096)[0], torch.tensor([5, 140]))
    torch.testing.assert_close(packed, torch.cat(alone), rtol=0, atol=2e-5)
    torch.testing.assert_close(some, packed[[5, 140]])


def test_the_context_ends_where_the_frequencies_change():
    assert [context_of(model_of(kind)) for kind in KINDS] == [64, 64]
    plain = LlamaConfig(**SIZES, max_position_embeddings=64)
    assert border(plain) is None and companies(plain, [1000, 1]) is None
    assert companies(model_of("longrope").config, [64, 65, 3]) == [[0, 2], [1]]
    assert companies(model_of("longrope").config, [64, 3]) is None
