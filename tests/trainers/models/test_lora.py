"""Adapters: the start is the model, only they learn, the sampler has them added in, and a saved one finds its base."""

from copy import deepcopy

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.trainers.chat_model import chat_model, chat_tokenizer
from trainers.batches.packing import pack
from trainers.batches.rows import Row, Span
from trainers.critics.critic import Critic
from trainers.models.lora import LoraSettings, add_lora, has_lora, plain_copy, plain_state, served_copy
from trainers.models.model import load, logprobs_at, packed_hidden, prepare
from trainers.models.policy_model import PolicyModel
from trainers.samplers.local import LocalSampler
from webgym.errors import UsageError
from webgym.prompts.settings import PromptSettings
from webgym.types import Sampling

(BATCH,) = pack([Row(0, 0, tuple(range(40)), (Span(0, 19, 20, 40, 0),))], 100)


def logprobs(model):
    return logprobs_at(model, packed_hidden(model, BATCH), BATCH)


def stirred(model):
    """The model with an adapter that has learned something."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(len(name)))
    return model


@pytest.fixture
def adapted():
    model = chat_model()
    add_lora(model, LoraSettings(rank=4))
    return model


def test_it_starts_at_the_model_and_learns_only_the_adapter(adapted):
    torch.testing.assert_close(logprobs(adapted), logprobs(chat_model()))
    learned = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert len(learned) == 2 * 7 * 2 and all("lora_" in name for name in learned)
    before = {name: p.detach().clone() for name, p in adapted.named_parameters()}
    optimizer = torch.optim.SGD([p for p in adapted.parameters() if p.requires_grad], lr=1.0)
    (-logprobs(adapted).mean()).backward()
    optimizer.step()
    changed = {name for name, p in adapted.named_parameters() if not torch.equal(p, before[name])}
    assert changed and all("lora_B" in name for name in changed)  # A gets no gradient while B is zero


def test_equal_seeds_draw_equal_adapters():
    drawn = []
    for seed in (1, 1, 2):
        model = chat_model()
        add_lora(model, LoraSettings(rank=2), seed)
        drawn.append(model.get_parameter("model.layers.0.self_attn.q_proj.lora_A.default.weight"))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_added_in_it_is_a_plain_model_with_the_same_outputs(adapted):
    plain = plain_copy(stirred(adapted))
    assert has_lora(adapted) and not has_lora(plain)
    assert plain_state(adapted).keys() == chat_model().state_dict().keys()
    torch.testing.assert_close(logprobs(plain), logprobs(adapted), rtol=0, atol=1e-5)
    assert (logprobs(plain) - logprobs(chat_model())).abs().max() > 0.01


def test_the_sampler_samples_from_what_the_learner_has(adapted):
    tokenizer = chat_tokenizer()
    with LocalSampler(adapted, tokenizer) as sampler:
        sampler.set_weights(stirred(adapted), 1)
        found = sampler.submit(range(40), 3, Sampling(max_tokens=8)).result(60)
    n = len(found.ids)
    (batch,) = pack([Row(0, 0, (*range(40), *found.ids), (Span(0, 39, 40, 40 + n, 0),))], 100)
    with torch.no_grad():
        wanted = logprobs_at(adapted, packed_hidden(adapted, batch), batch)
    torch.testing.assert_close(torch.tensor(found.logprobs), wanted, rtol=0, atol=2e-5)


def test_a_saved_adapter_finds_its_base_and_goes_on(tmp_path):
    base, folder = tmp_path / "base", tmp_path / "adapter"
    PolicyModel(chat_model(), chat_tokenizer(), PromptSettings(max_nodes=7)).save(base)
    source = PolicyModel.load(base, lora=LoraSettings(rank=4))
    assert source.prompts.max_nodes == 7
    stirred(source.model)
    source.save(folder)
    assert (folder / "adapter_model.safetensors").stat().st_size < (base / "model.safetensors").stat().st_size
    again = PolicyModel.load(folder)
    assert again.prompts == source.prompts
    torch.testing.assert_close(logprobs(again.model), logprobs(source.model), rtol=0, atol=0)
    assert {n for n, p in again.model.named_parameters() if p.requires_grad} == {
        n for n, _ in again.model.named_parameters() if "lora_" in n
    }


def test_an_adapter_of_a_bf16_model_is_fp32():
    model = chat_model().to(torch.bfloat16)
    add_lora(model, LoraSettings(rank=2, targets=("q_proj",)))
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert torch.isfinite(logprobs(model)).all()


@pytest.mark.parametrize("targets", [("q_prog",), ("v_proj", "q_prog"), ("self_attn.q_proj", "mlp.q_prog")])
def test_targets_that_fit_nothing_are_named(targets):
    with pytest.raises(UsageError, match=r"no layer of LlamaForCausalLM is called '(mlp\.)?q_prog'.*there: .*q_proj"):
        add_lora(chat_model(), LoraSettings(rank=2, targets=targets))


@pytest.mark.parametrize(
    ("targets", "adapted"),
    [("q_proj", {"q_proj"}), ("self_attn.v_proj", {"v_proj"}), (r"model\.layers\.\d+\..*\.(up|down)_proj", {"up_proj", "down_proj"})],
)
def test_one_text_is_a_name_or_an_expression(targets, adapted):
    model = chat_model()
    add_lora(model, LoraSettings(rank=2, targets=targets))
    assert {n.split(".lora_")[0].rpartition(".")[2] for n, p in model.named_parameters() if p.requires_grad} == adapted
    add_lora(model, LoraSettings(rank=2, targets=targets))  # the same adapter goes on


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ("q_prog", r"is called 'q_prog'; did you mean 'q_proj'.*\? \(there: q_proj, "),
        (".*q_prog", r"lora\.targets: '\.\*q_prog' fits no whole name such as 'lm_head' \(there: q_proj, "),
        ("(q_proj", r"lora\.targets: expected names of layers or a regular expression, got '\(q_proj': "),
    ],
)
def test_a_text_that_fits_nothing_is_named(targets, words):
    with pytest.raises(UsageError, match=words):
        add_lora(chat_model(), LoraSettings(rank=2, targets=targets))


def test_a_rank_that_no_layer_can_have_is_refused():
    model = chat_model()
    widest = max(min(p.shape) for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n)
    with pytest.raises(UsageError, match=rf"^lora\.rank={widest + 1}: expected at most {widest}, .* 0 trains all weights$"):
        add_lora(model, LoraSettings(rank=widest + 1))
    add_lora(model, LoraSettings(rank=widest))


def test_gradient_checkpointing_gives_the_same_gradients(tmp_path):
    PolicyModel(chat_model(), chat_tokenizer(), PromptSettings()).save(tmp_path)
    gradients = []
    for checkpointing in (False, True):
        model = PolicyModel.load(tmp_path, gradient_checkpointing=checkpointing).model.train()
        assert model.is_activation_checkpointing == checkpointing
        logprobs(model).sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


def test_a_copy_of_a_plain_model_is_that_model():
    model = chat_model()
    assert torch.equal(logprobs(plain_copy(model)), logprobs(model)) and torch.equal(logprobs(prepare(deepcopy(model))), logprobs(model))


def test_load_refuses_a_model_whose_rows_would_mix(tmp_path):
    from transformers import MambaConfig, MambaForCausalLM

    MambaForCausalLM(MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=1)).save_pretrained(tmp_path)
    chat_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"MambaForCausalLM (carries state|has attention of its own)"):
        load(tmp_path)


# --- adapters from elsewhere -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    PolicyModel(chat_model(), chat_tokenizer(), PromptSettings()).save(folder)
    return folder


def written(base, folder, **settings):
    """The folder of an adapter that somebody else trained with peft."""
    import peft

    torch.manual_seed(1)
    adapted = prepare(AutoModelForCausalLM.from_pretrained(base))
    adapted.add_adapter(peft.LoraConfig(r=4, lora_alpha=8, **{"target_modules": ["q_proj", "down_proj"], **settings}))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    adapted.save_pretrained(folder)
    chat_tokenizer().save_pretrained(folder)
    return logprobs(adapted.eval())


@pytest.mark.parametrize(
    "settings",
    [{"use_rslora": True}, {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"down_proj": 32}}, {"lora_dropout": 0.5}],
    ids=["rslora", "patterns", "dropout"],
)
def test_an_adapter_from_elsewhere_is_sampled_saved_and_valued_as_it_is_learned(settings, base, tmp_path):
    wanted = written(base, tmp_path / "given", **settings)
    source = PolicyModel.load(tmp_path / "given")
    same = dict(rtol=0, atol=2e-5)
    torch.testing.assert_close(logprobs(source.model.train()), wanted, **same)
    torch.testing.assert_close(logprobs(served_copy(source.model)), wanted, **same)
    source.save(tmp_path / "again")
    torch.testing.assert_close(logprobs(PolicyModel.load(tmp_path / "again").model), wanted, **same)
    critic = Critic.of(source.model)
    critic.save_pretrained(tmp_path / "critic")
    for policy in (source.model, None):
        loaded = Critic.load(tmp_path / "critic", policy=policy)
        torch.testing.assert_close(packed_hidden(loaded, BATCH), packed_hidden(critic, BATCH), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"modules_to_save": ["lm_head"]}, r"an adapter with modules_to_save=.*merge it into its base first"),
        ({"use_dora": True}, "an adapter with use_dora=True"),
        ({"bias": "all"}, "an adapter with bias=all"),
        ({"trainable_token_indices": [1]}, "an adapter with trainable_token_indices="),
    ],
)
def test_an_adapter_that_is_more_than_one_of_linear_layers_is_refused(settings, words, base, tmp_path):
    written(base, tmp_path, **settings)
    with pytest.raises(UsageError, match=words):
        PolicyModel.load(tmp_path)


def test_settings_for_another_adapter_than_the_given_one_are_refused(base, tmp_path):
    written(base, tmp_path)
    for same in (LoraSettings(), LoraSettings(rank=4), LoraSettings(rank=4, alpha=8, targets=("down_proj", "q_proj"))):
        PolicyModel.load(tmp_path, lora=same)
    for other, words in (
        (LoraSettings(rank=8), r"lora\.rank=8 asks for another adapter than the model brings along, whose rank is 4"),
        (LoraSettings(rank=4, alpha=4), r"lora\.alpha=4\.0 .* whose alpha is 8"),
        (LoraSettings(rank=4, targets=("q_proj",)), r"lora\.targets="),
    ):
        with pytest.raises(UsageError, match=words):
            PolicyModel.load(tmp_path, lora=other)


@pytest.mark.parametrize("end", ["lm_head", "embed_tokens"])
def test_the_ends_of_a_model_get_no_adapter(end):
    with pytest.raises(UsageError, match=rf"an adapter on .*{end} of LlamaForCausalLM cannot be trained here"):
        add_lora(chat_model(), LoraSettings(rank=2, targets=(end,)))


def test_a_mixture_of_experts_gets_an_adapter_on_its_linear_layers():
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    sizes = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = Qwen3MoeConfig(**sizes, head_dim=8, moe_intermediate_size=16, num_experts=4, num_experts_per_tok=2)
    model = prepare(Qwen3MoeForCausalLM(config).eval())
    add_lora(model, LoraSettings(rank=2))
    assert {name.partition(".lora_")[0].rpartition(".")[2] for name, p in model.named_parameters() if p.requires_grad} == {
        "q_proj", "k_proj", "v_proj", "o_proj",
    }  # fmt: skip
    torch.testing.assert_close(logprobs(plain_copy(stirred(model))), logprobs(model), rtol=0, atol=1e-4)
    for targets in (("experts",), ("gate_proj",)):
        with pytest.raises(UsageError, match=r"lora\.targets") as refused:
            add_lora(prepare(Qwen3MoeForCausalLM(config)), LoraSettings(rank=2, targets=targets))
        assert "\n" not in str(refused.value)
