"""The fast decoder gives the bits of the model, or is not used."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from trainers.models import small_llama as module
from trainers.models.attention import Segments
from trainers.models.model import load, prepare
from trainers.samplers.small_llama import SmallLlamaDecoder


def llama(**changes):
    torch.manual_seed(0)
    sizes = {"vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return prepare(LlamaForCausalLM(LlamaConfig(**{**sizes, "num_key_value_heads": 2, **changes}))).eval()


def test_the_same_bits_as_the_model_or_none():
    for model in (
        load("webgym-tiny")[0].eval(),
        llama(),
        llama(num_key_value_heads=4, rope_parameters={"rope_type": "default", "rope_theta": 5e5}),
    ):
        fast = SmallLlamaDecoder.of(model)
        if fast is None:  # a processor whose joined products have other bits: then the model itself is used
            continue
        ids, positions = torch.arange(70)[None] % 97, torch.cat([torch.arange(30), torch.arange(40)])[None]
        wanted = model.get_decoder()(input_ids=ids, position_ids=positions, layout=Segments([30, 40]), use_cache=False).last_hidden_state
        assert torch.equal(fast(ids, positions, Segments([30, 40])), wanted)


def test_new_weights_need_a_refresh():
    model = llama()
    fast = SmallLlamaDecoder(model)
    before = fast(torch.arange(20)[None], torch.arange(20)[None], Segments([20]))
    with torch.no_grad():
        model.model.layers[0].self_attn.q_proj.weight.mul_(1.5)
        model.model.layers[1].mlp.up_proj.weight.mul_(0.5)
    fast.refresh()
    after = fast(torch.arange(20)[None], torch.arange(20)[None], Segments([20]))
    wanted = packed(model)
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, wanted, rtol=0, atol=1e-5)


def packed(model):
    ids = torch.arange(20)[None]
    return model.get_decoder()(input_ids=ids, position_ids=ids, layout=Segments([20]), use_cache=False).last_hidden_state


def test_other_models_keep_their_own_decoder(monkeypatch):
    assert SmallLlamaDecoder.of(llama(attention_bias=True)) is None
    assert SmallLlamaDecoder.of(llama(hidden_act="gelu")) is None
    assert SmallLlamaDecoder.of(llama().to(torch.bfloat16)) is None
    monkeypatch.setattr(module, "LARGEST", 10)
    assert SmallLlamaDecoder.of(llama()) is None


def test_a_decoder_with_other_bits_is_not_used(monkeypatch):
    monkeypatch.setattr(SmallLlamaDecoder, "_normed", lambda self, x, weight: x)
    assert SmallLlamaDecoder.of(llama()) is None
