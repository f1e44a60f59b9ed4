"""Model families at no size: what `make families` tries of all of them at length, here in its quick part."""

import pytest

from benchmarks.families import CHECKS, FAMILIES, Family, rows_of, source_of, tokenizer_of, tried
from trainers.batches.packing import pack
from trainers.config import resolve
from trainers.critics.critic import Critic, HeadConfig
from trainers.models.chat_template import ChatTemplate
from trainers.models.model import context_of
from trainers.training.begin import new_run
from webgym.errors import UsageError

TRAIN = [name for name in FAMILIES if name != "Mamba"]


@pytest.mark.parametrize("check", ["conversation", "no forgery", "packed = single"])
@pytest.mark.parametrize("name", TRAIN)
def test_a_family_holds(name, check):
    assert tried(FAMILIES[name], CHECKS[check]) == "yes"


@pytest.mark.parametrize(("name", "check"), [("Phi-3.5", "sampler = learner"), ("Gemma-2", "sampler = learner"), ("GPT-2", "critic")])
def test_what_is_special_of_a_family_holds(name, check):
    assert tried(FAMILIES[name], CHECKS[check]) == "yes"


def test_a_family_whose_rows_would_mix_is_refused_in_a_sentence():
    with pytest.raises(UsageError, match="carries state from one row"):
        source_of(FAMILIES["Mamba"])


@pytest.mark.parametrize("name", TRAIN)
def test_the_system_text_is_shown_by_every_template(name):
    template = ChatTemplate(tokenizer_of(FAMILIES[name]))
    if template:
        shown = tokenizer_of(FAMILIES[name]).decode(template.first([("system", "Be brief."), ("user", "Press OK.")]))
        assert shown.index("Be brief.") < shown.index("Press OK.")


def test_longrope_is_read_up_to_where_its_frequencies_change():
    assert context_of(source_of(FAMILIES["Phi-3.5"]).model) == 1024
    assert context_of(source_of(FAMILIES["Llama-3.2"]).model) == 4096


EXPERTS = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "n_group": 1, "topk_group": 1}
LATENT = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8, "num_key_value_heads": 4}
WINDOWS = {"head_dim": 8, "sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"], "hidden_size_per_layer_input": 0}


def stranger(kind: str, **settings: object) -> Family:
    """A family beside those of the table."""
    return Family(kind, "<|im_end|>", "qwen2_5", ("<|im_start|>", "<|endoftext|>"), settings=settings)


@pytest.mark.parametrize("check", ["sampler = learner", "LoRA"])
def test_latent_attention_and_experts_hold(check):
    """DeepSeek's keys are wider than its values, and its first layer's linear layers are called as its experts are."""
    assert tried(stranger("deepseek_v3", first_k_dense_replace=1, **EXPERTS, **LATENT), CHECKS[check]) == "yes"


def test_a_router_that_draws_experts_in_training_computes_what_it_does_in_sampling():
    """Phi-MoE weighs the experts whose scores are near the best one's; its jitter is how near, and no noise."""
    family = stranger("phimoe", num_local_experts=4, num_experts_per_tok=2, router_jitter_noise=0.3, input_jitter_noise=0.2)
    assert tried(family, CHECKS["packed = single"]) == "yes"


@pytest.mark.parametrize(
    ("family", "words"),
    [
        (stranger("diffllama"), "does not attend once in each of its layers"),
        (stranger("gemma4_text", global_head_dim=16, **WINDOWS), "2 heads of 8, 2 heads of 16"),
        (stranger("gpt_oss"), "GptOssAttention needs s_aux in its attention, which packed rows do not support"),
        (stranger("stablelm"), "StableLmAttention is told nothing of the rows of a pack"),
        (stranger("llama4_text", head_dim=8, num_local_experts=2, intermediate_size_mlp=48), "has no decoder apart from its head"),
    ],
    ids=lambda x: getattr(x, "kind", ""),
)
def test_a_family_that_no_sampler_can_hold_is_refused_in_a_sentence(family, words):
    with pytest.raises(UsageError, match=words):
        source_of(family)


def test_a_critic_that_could_not_be_loaded_again_is_refused_at_the_start():
    found = tried(stranger("opt", word_embed_proj_dim=32, ffn_dim=48), CHECKS["critic"])
    assert "no model of its own on disk" in found and "critic.head.backbone=adapter" in found


@pytest.mark.parametrize("algo", ["archer", "archer_q"])
def test_a_run_with_such_a_critic_is_refused_before_a_folder_is_made(algo, tmp_path):
    source_of(stranger("opt", word_embed_proj_dim=32, ffn_dim=48)).save(tmp_path / "model")
    copies = {"critic": {"head": {"backbone": "copy"}}} if algo == "archer" else {}
    config = resolve({"algo": algo, "model": str(tmp_path / "model"), "tasks": ["wizard.h3"], "machine": {"backend": "text"}, **copies})[0]
    with pytest.raises(UsageError, match="no model of its own on disk"):
        new_run(config, parent=tmp_path / "runs", name=None)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("backbone", ["adapter", "trunk"])
def test_a_critic_reads_hidden_states_of_the_width_that_the_decoder_gives(backbone):
    """OPT-350M projects them to the width of its embeddings."""
    source = source_of(stranger("opt", word_embed_proj_dim=16, ffn_dim=48))
    critic = Critic.of(source.model, HeadConfig(backbone=backbone))
    assert critic.values(pack(rows_of(source), 4096)[0]).tolist() == pytest.approx([0.5] * 4)
