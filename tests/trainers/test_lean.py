"""The decoder for updates against the model's own modules: hidden states, gradients, and who may use it."""

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from trainers import lean
from trainers.lora import LoraSettings, add_lora
from trainers.model import action_logprobs, load, packed_hidden, prepare
from trainers.rows import Row, Span, pack


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
    """What `run` gives and its gradients by the model's modules and by the lean decoder."""
    found = []
    for allowed in (False, True):
        with monkeypatch.context() as patch:
            if not allowed:
                patch.setattr(lean, "fits", lambda decoder: False)
            assert lean.fits(model.get_decoder()) == allowed
            model.zero_grad()
            out = run()
            (out * torch.linspace(-1, 2, out.numel()).view_as(out)).sum().backward()
            found.append((out.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}))
    return found


def assert_close(found):
    """Outputs and the gradient as a whole agree to 1e-6 of their norms; single parameters, small sums of large terms, to 5e-6."""
    (wanted, gradients), (got, lean_gradients) = found
    assert (got - wanted).norm() <= 1e-6 * wanted.norm()
    assert lean_gradients.keys() == gradients.keys()
    apart = {name: (lean_gradients[name] - gradient).norm() for name, gradient in gradients.items()}
    sizes = {name: gradient.norm() for name, gradient in gradients.items()}
    assert torch.stack(list(apart.values())).norm() <= 1e-6 * torch.stack(list(sizes.values())).norm()
    assert all(apart[name] <= 5e-6 * sizes[name] for name in sizes), apart


@pytest.mark.parametrize("name", MODELS)
def test_log_probabilities_and_gradients_are_those_of_the_modules(name, monkeypatch):
    model, batch = MODELS[name](), batch_of(40, 9, 130, 9)
    assert_close(both_ways(monkeypatch, model, lambda: action_logprobs(model, batch, 0.7)[0]))


@pytest.mark.parametrize("name", MODELS)
def test_hidden_states_everywhere(name, monkeypatch):
    model, batch = MODELS[name](), batch_of(40, 9, 130, 9)
    assert_close(both_ways(monkeypatch, model, lambda: packed_hidden(model, batch)))


def test_places_may_leave_rows_out_and_come_twice(monkeypatch):
    model, batch = llama(), batch_of(12, 9, 30, 8)
    at = torch.tensor([0, 11, 21, 21, 50])  # none of the second and the last row
    assert_close(both_ways(monkeypatch, model, lambda: packed_hidden(model, batch, at)))
    nowhere = packed_hidden(model, batch, torch.zeros(0, dtype=torch.int64))
    assert nowhere.shape == (0, 32)
    nowhere.sum().backward()  # and nothing to learn there


def test_places_of_other_models_are_cut_from_the_whole():
    model, batch = llama(attention_bias=True), batch_of(12, 9)
    assert not lean.fits(model.get_decoder())
    at = torch.tensor([3, 11, 12])
    torch.testing.assert_close(packed_hidden(model, batch, at), packed_hidden(model, batch)[at], rtol=0, atol=0)


def test_models_that_keep_their_own_modules(monkeypatch):
    assert lean.fits(llama().get_decoder())
    for changes in ({"attention_bias": True}, {"mlp_bias": True}, {"hidden_act": "gelu"}, {"attention_dropout": 0.1}):
        assert not lean.fits(llama(**changes).get_decoder()), changes
    assert lean.fits(llama(attention_dropout=0.1).eval().get_decoder())  # nothing is dropped outside training
    assert not lean.fits(llama().to(torch.bfloat16).get_decoder())
    with torch.autocast("cpu", torch.bfloat16):
        assert not lean.fits(llama().get_decoder())
    hooked = llama()
    hooked.model.layers[1].mlp.up_proj.register_forward_hook(lambda *_: None)
    assert not lean.fits(hooked.get_decoder())
    thrifty = llama()
    thrifty.activation_checkpointing_enable({"use_reentrant": False})
    assert not lean.fits(thrifty.get_decoder())
    monkeypatch.setattr(lean, "LARGEST", 10)
    assert not lean.fits(llama().get_decoder())


def test_an_adapter_keeps_the_modules():
    pytest.importorskip("peft")
    model = llama()
    add_lora(model, LoraSettings(rank=2))
    assert not lean.fits(model.get_decoder())
