"""The decoder for updates against the model's own modules: hidden states, gradients, and who may use it."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from trainers.batches.packing import pack
from trainers.batches.rows import Row, Span
from trainers.models import small_llama
from trainers.models.lora import LoraSettings, add_lora
from trainers.models.model import action_logprobs, load, logprobs_at, packed_hidden, prepare


def llama(**changes):
    torch.manual_seed(0)
    sizes = {"vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = prepare(LlamaForCausalLM(LlamaConfig(**{**sizes, "num_key_value_heads": 2, **changes}))).train()
    for name, p in model.named_parameters():  # weights of norms begin at 1, which would hide a forgotten one
        if "norm" in name:
            nn.init.uniform_(p, 0.5, 1.5)
    return model


MODELS = {
    "webgym-tiny": lambda: load("webgym-tiny")[0].train(),
    "grouped keys": lambda: llama(),
    "one layer, tied": lambda: llama(num_hidden_layers=1, num_key_value_heads=4, tie_word_embeddings=True),
    "own width of heads, scaled rotation": lambda: llama(
        head_dim=12,
        rope_parameters={"rope_type": "yarn", "rope_theta": 5e5, "factor": 4.0, "original_max_position_embeddings": 64},
    ),
}


def batch_of(*lengths):
    """Rows of random ids of these lengths, each with actions at its fourth, fifth and last token."""
    generator = torch.Generator().manual_seed(1)
    rows = []
    for i, n in enumerate(lengths):
        ids = tuple(torch.randint(0, 97, (n,), generator=generator).tolist())
        rows.append(Row(i, 2 * i, ids, (Span(0, 2, 3, 5, 0), Span(1, n - 2, n - 1, n, 2))))
    (batch,) = pack(rows, 1 << 20)
    return batch


def both_ways(monkeypatch, model, run):
    """What `run` gives and the gradient of a sum over it: by the model's modules in float64, by ours in float64 and in fp32."""
    found = []
    monkeypatch.setattr(LlamaRMSNorm, "forward", lambda self, x: F.rms_norm(x, self.weight.shape, self.weight, self.variance_epsilon))
    for dtype, allowed in ((torch.float64, False), (torch.float64, True), (torch.float32, True)):
        monkeypatch.setattr(small_llama, "fits", lambda decoder, allowed=allowed: allowed)
        twin = deepcopy(model).to(dtype)
        out = run(twin)
        (out * torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in twin.parameters()]
        found.append((out.detach().double(), torch.cat([g.double().flatten() for g in gradients])))
    return found


def assert_the_same(found):
    """Equal formulas in float64, and fp32 within 1e-6 of them by its norm."""
    wanted, exact, rounded = found
    for right, lean64, lean32 in zip(wanted, exact, rounded, strict=True):
        assert (lean64 - right).norm() <= 1e-12 * right.norm()
        assert (lean32 - right).norm() <= 1e-6 * right.norm()


@pytest.mark.parametrize("name", MODELS)
def test_hidden_states_and_gradients_are_those_of_the_modules(name, monkeypatch):
    model, batch = MODELS[name](), batch_of(40, 9, 130, 9)
    assert_the_same(both_ways(monkeypatch, model, lambda model: packed_hidden(model, batch)))
    assert_the_same(both_ways(monkeypatch, model, lambda model: packed_hidden(model, batch, batch.action_index)))


def test_places_may_leave_rows_out_and_come_twice(monkeypatch):
    model, batch = llama(), batch_of(12, 9, 30, 8)
    at = torch.tensor([0, 11, 21, 21, 50])  # none of the second and the last row
    assert_the_same(both_ways(monkeypatch, model, lambda model: packed_hidden(model, batch, at)))
    nowhere = packed_hidden(model, batch, torch.zeros(0, dtype=torch.int64))
    assert nowhere.shape == (0, 32)
    nowhere.sum().backward()  # and nothing to learn there


@pytest.mark.parametrize("name", MODELS)
def test_log_probabilities_of_actions(name, monkeypatch):
    model, batch = MODELS[name](), batch_of(40, 9, 130, 9)
    assert small_llama.fits(model.get_decoder())
    got, entropies = action_logprobs(model, batch, 0.7, entropy=True)
    alone = action_logprobs(model, batch, 0.7)
    monkeypatch.setattr(small_llama, "fits", lambda decoder: False)
    wanted, wanted_entropies = logprobs_at(model, packed_hidden(model, batch), batch, 0.7, entropy=True)
    assert alone[1] is None and torch.equal(alone[0], got)
    torch.testing.assert_close(got, wanted, rtol=1e-6, atol=2e-5)  # logits of made-up ids reach 30
    torch.testing.assert_close(entropies, wanted_entropies, rtol=1e-6, atol=2e-5)


def test_places_of_other_models_are_cut_from_the_whole():
    model, batch = llama(attention_bias=True), batch_of(12, 9)
    assert not small_llama.fits(model.get_decoder())
    at = torch.tensor([3, 11, 12])
    torch.testing.assert_close(packed_hidden(model, batch, at), packed_hidden(model, batch)[at], rtol=0, atol=0)


def test_models_that_keep_their_own_modules(monkeypatch):
    assert small_llama.fits(llama().get_decoder())
    for changes in ({"attention_bias": True}, {"mlp_bias": True}, {"hidden_act": "gelu"}, {"attention_dropout": 0.1}):
        assert not small_llama.fits(llama(**changes).get_decoder()), changes
    assert small_llama.fits(llama(attention_dropout=0.1).eval().get_decoder())  # nothing is dropped outside training
    assert not small_llama.fits(llama().to(torch.bfloat16).get_decoder())
    with torch.autocast("cpu", torch.bfloat16):
        assert not small_llama.fits(llama().get_decoder())
    hooked = llama()
    hooked.model.layers[1].mlp.up_proj.register_forward_hook(lambda *_: None)
    assert not small_llama.fits(hooked.get_decoder())
    thrifty = llama()
    thrifty.activation_checkpointing_enable({"use_reentrant": False})
    assert not small_llama.fits(thrifty.get_decoder())
    monkeypatch.setattr(small_llama, "LARGEST", 10)
    assert not small_llama.fits(llama().get_decoder())


def test_an_adapter_keeps_the_modules():
    pytest.importorskip("peft")
    model = llama()
    add_lora(model, LoraSettings(rank=2))
    assert not small_llama.fits(model.get_decoder())
