"""Packed forward passes against the same model run row by row with stock attention, and closed forms of the log-probabilities."""

import ast
import io
import json
import math
import re
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BloomConfig,
    BloomForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GraniteConfig,
    GraniteForCausalLM,
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

import trainers.models.model as model_module
from tests.trainers.chat_model import chat_model, chat_tokenizer
from trainers.batches.packing import pack
from trainers.batches.rows import Row, Span
from trainers.models.attention import flash, flash_fits
from trainers.models.model import Segments, check_rows_apart, context_of, end_ids, load, logprobs_at, packed_hidden, prepare
from trainers.models.tiny import build_model, build_tokenizer
from webgym.errors import UsageError

SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
ARCHITECTURES = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "mistral-window": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=5)),
    "gemma3-windows": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(**SIZES, head_dim=8, sliding_window=5, layer_types=["sliding_attention", "full_attention"])
    ),
    "granite-scaled": lambda: GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=3.0)),
    "cohere-scaled": lambda: CohereForCausalLM(CohereConfig(**SIZES, logit_scale=0.5, bos_token_id=1, eos_token_id=2)),
    "gemma-capped": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, head_dim=8, final_logit_softcapping=0.1)),
    "qwen3-experts": lambda: Qwen3MoeForCausalLM(
        Qwen3MoeConfig(**SIZES, head_dim=8, moe_intermediate_size=16, num_experts=4, num_experts_per_tok=2)
    ),
}


def some_rows():
    """Four rows, two of equal length, the first with two turns."""
    generator = torch.Generator().manual_seed(0)

    def ids(n):
        return tuple(torch.randint(0, 97, (n,), generator=generator).tolist())

    return [
        Row(0, 0, ids(17), (Span(0, 5, 6, 9, 0), Span(1, 12, 13, 17, 3))),
        Row(1, 2, ids(8), (Span(0, 3, 4, 8, 0),)),
        Row(2, 3, ids(17), (Span(0, 14, 15, 17, 0),)),
        Row(3, 4, ids(2), (Span(0, 0, 1, 2, 0),)),
    ]


def rowwise(model, rows, temperature):
    """Log-probabilities of all action tokens by the stock forward pass of each row alone."""
    model.set_attn_implementation("eager")
    parts = []
    for row in rows:
        logits = model(torch.tensor([row.ids]), use_cache=False).logits[0] / temperature
        table = torch.log_softmax(logits, -1)
        parts += [table[i - 1, row.ids[i]] for span in row.spans for i in range(span.start, span.end)]
    return torch.stack(parts)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_equals_row_by_row_with_gradients(architecture):
    torch.manual_seed(1)
    model, rows = ARCHITECTURES[architecture]().eval(), some_rows()
    coefficients = torch.linspace(-1.0, 2.0, 14)
    wanted = rowwise(model, rows, 0.7)
    (wanted * coefficients).sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    (batch,) = pack(rows, 1000)
    got = logprobs_at(prepare(model), packed_hidden(model, batch), batch, 0.7)
    (got * coefficients).sum().backward()
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, gradients[name], rtol=1e-4, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")


def test_a_row_cannot_see_its_neighbours():
    torch.manual_seed(2)
    model, rows = prepare(ARCHITECTURES["llama"]()), some_rows()
    (batch,) = pack(rows, 1000)
    with torch.no_grad():
        before = packed_hidden(model, batch)
        batch.ids[17:25] = (batch.ids[17:25] + 1) % 97  # the second row
        after = packed_hidden(model, batch)
    assert torch.equal(before[:17], after[:17]) and torch.equal(before[25:], after[25:])
    assert not torch.equal(before[17:25], after[17:25])


def test_blocks_of_logits_change_nothing(monkeypatch):
    torch.manual_seed(3)
    model = prepare(ARCHITECTURES["qwen2"]())
    (batch,) = pack(some_rows(), 1000)
    results = []
    for at_once in (1 << 20, 97 * 3):  # all at once, three positions at a time
        monkeypatch.setattr(model_module, "LOGITS_AT_ONCE", at_once)
        model.zero_grad()
        logprob, entropy = logprobs_at(model, packed_hidden(model, batch), batch, 1.3, entropy=True)
        (logprob.sum() + entropy.sum()).backward()
        results.append((logprob.detach(), entropy.detach(), model.lm_head.weight.grad.clone()))
    for whole, blocks in zip(*results, strict=True):
        torch.testing.assert_close(blocks, whole, rtol=0, atol=1e-5)


def test_uniform_and_hand_computed_distributions():
    head = torch.nn.Linear(1, 3, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[0.0], [0.0], [math.log(2.0)]]))
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace())
    model = cast(Any, SimpleNamespace(get_output_embeddings=lambda: head, config=config))
    at = SimpleNamespace(action_index=torch.tensor([0, 1, 1]), action_ids=torch.tensor([1, 2, 0]), held=())
    hidden = torch.tensor([[0.0], [1.0]])  # uniform, then chances 1/4, 1/4, 1/2
    logprob, entropy = logprobs_at(model, hidden, at, entropy=True)
    torch.testing.assert_close(logprob.exp(), torch.tensor([1 / 3, 1 / 2, 1 / 4]))
    torch.testing.assert_close(entropy, torch.tensor([math.log(3), 1.5 * math.log(2), 1.5 * math.log(2)]))
    cold = logprobs_at(model, hidden, at, 0.5)  # squares the chances: 1/6, 1/6, 4/6
    torch.testing.assert_close(cold.exp(), torch.tensor([1 / 3, 2 / 3, 1 / 6]))


def test_no_actions_give_no_logprobs():
    model = prepare(ARCHITECTURES["llama"]())
    at = SimpleNamespace(action_index=torch.zeros(0, dtype=torch.long), action_ids=torch.zeros(0, dtype=torch.long), held=())
    assert logprobs_at(model, torch.zeros(4, 32), at).shape == (0,)


def test_saved_model_loads_with_its_tokenizer(tmp_path):
    tokenizer = build_tokenizer(["goal: press ok.\nbutton ok #0\ndo:"] * 3)
    model = build_model(tokenizer)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, again = load(tmp_path)
    assert context_of(loaded) == 1024 and end_ids(loaded, again) == (tokenizer.eos_token_id,)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True))


def test_no_such_model_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="webgym-tiny"):
        load(tmp_path / "nothing")


def test_stock_forward_of_a_prepared_model_is_refused():
    with pytest.raises(UsageError, match="packed_hidden"):
        prepare(ARCHITECTURES["llama"]())(torch.tensor([[1, 2, 3]]))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rows_of_attention_models_are_apart(architecture):
    check_rows_apart(prepare(ARCHITECTURES[architecture]().eval()))


def test_models_whose_rows_would_mix_are_refused():
    torch.manual_seed(0)
    with pytest.raises(UsageError, match="carries state from one row"):
        check_rows_apart(prepare(Lfm2ForCausalLM(Lfm2Config(**SIZES, layer_types=["conv", "full_attention"])).eval()))
    with pytest.raises(UsageError, match="BloomForCausalLM has attention of its own"):
        prepare(BloomForCausalLM(BloomConfig(vocab_size=97, hidden_size=32, n_layer=1, n_head=4)))


class Noisy(torch.nn.Module):
    """A layer with noise of its own in training."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.randn_like(x) if self.training else x


def test_a_model_that_computes_otherwise_in_training_is_refused():
    model = prepare(ARCHITECTURES["llama"]().eval())
    model.model.layers[0].mlp.act_fn = Noisy()
    with pytest.raises(UsageError, match="computes otherwise in training than in sampling"):
        check_rows_apart(model)


def test_a_model_of_no_numbers_is_refused():
    model = prepare(ARCHITECTURES["llama"]().eval())
    model.model.layers[0].mlp.up_proj.weight.data[0, 0] = math.nan
    with pytest.raises(UsageError, match="computes no finite numbers in float32"):
        check_rows_apart(model)


def test_noise_of_a_router_is_off_in_training():
    sizes = {**SIZES, "num_local_experts": 2, "num_experts_per_tok": 1}
    check_rows_apart(prepare(MixtralForCausalLM(MixtralConfig(**sizes, router_jitter_noise=0.5)).eval()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    chat_model(tie_word_embeddings=False).save_pretrained(folder)
    chat_tokenizer().save_pretrained(folder)
    return folder


def test_a_folder_without_a_tokenizer_is_refused_in_a_sentence(tmp_path):
    chat_model().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="has no tokenizer: copy the files of its base model's there"):
        load(tmp_path)


def test_a_model_without_its_head_is_refused(whole: Path, tmp_path: Path):
    """transformers would begin with a random one, and warn."""
    shutil.copytree(whole, tmp_path / "m")
    weights = load_file(tmp_path / "m" / "model.safetensors")
    weights.pop("lm_head.weight")
    save_file(weights, tmp_path / "m" / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match=r"lacks weights of a causal language model \(lm_head\.weight\)"):
        load(tmp_path / "m")


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
NO_TOKENIZER = "expected the tokenizer's files as save_pretrained writes them"
DAMAGED = {
    "a tokenizer that is empty": ("tokenizer.json", "", NO_TOKENIZER),
    "a tokenizer of an error page": ("tokenizer.json", "<html>404</html>", NO_TOKENIZER),
    "a tokenizer of another format": ("tokenizer.json", '{"model": {"type": "Other"}}', NO_TOKENIZER),
    "a tokenizer that was not fetched": ("tokenizer.json", POINTER, "tokenizer.json is a pointer of Git LFS"),
    "weights that were not fetched": ("model.safetensors", POINTER, "model.safetensors is a pointer of Git LFS"),
    "weights that are cut": ("model.safetensors", "half", "expected whole weights as safetensors, got a file that is cut"),
    "a configuration that is cut": ("config.json", "{", "expected the folder of a language model as save_pretrained writes it"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_folder_is_refused_by_the_file_that_is_wrong(name: str, whole: Path, tmp_path: Path):
    shutil.copytree(whole, tmp_path / "m")
    file, content, words = DAMAGED[name]
    (tmp_path / "m" / file).write_text(content)
    with pytest.raises(UsageError, match=words) as told:
        load(tmp_path / "m")
    assert "\n" not in str(told.value) and "reachable hub name" not in str(told.value)


def test_weights_that_are_not_there_or_of_other_sizes_are_refused(whole: Path, tmp_path: Path):
    """transformers would begin those of other sizes at random where it is told to go on."""
    shutil.copytree(whole, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps({**config, "vocab_size": config["vocab_size"] + 7}))
    with pytest.raises(UsageError, match=r"other sizes than its config.json says \(lm_head.weight: 258×\d+, not 265×\d+, and 1 more\)"):
        load(tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"expected its weights as safetensors beside config\.json, got none"):
        load(tmp_path / "m")


def test_a_model_of_another_purpose_is_refused(whole: Path, tmp_path: Path):
    shutil.copytree(whole, tmp_path / "m")
    sizes = {"vocab_size": 258, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 32}
    BertForMaskedLM(BertConfig(**sizes)).save_pretrained(tmp_path / "m")
    with pytest.raises(UsageError, match="holds a BertForMaskedLM: expected a causal language model"):
        load(tmp_path / "m")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.add_tokens(["strawberry"]), "writes 'strawberry' as 258, and the model embeds the ids 0 to 257 only"),
        (lambda t: t.add_special_tokens({"eos_token": "<|new|>"}), "writes '<|new|>' as 258"),
        (lambda t: t.add_special_tokens({"pad_token": "<|pad|>"}), ""),  # which nothing writes
    ],
)
def test_a_tokenizer_whose_ids_have_no_embedding_is_refused(change, words, whole: Path, tmp_path: Path):
    shutil.copytree(whole, tmp_path / "m")
    tokenizer = chat_tokenizer()
    change(tokenizer)
    if "new" in words:  # what ends an answer where there is no template
        tokenizer.chat_template = None
        (tmp_path / "m" / "chat_template.jinja").unlink()
    tokenizer.save_pretrained(tmp_path / "m")
    with pytest.raises(UsageError, match=re.escape(words)) if words else nullcontext():
        load(tmp_path / "m")


def test_rows_on_the_cpu_do_not_ask_for_the_gpu_kernel():
    x = torch.randn(1, 2, 6, 8).bfloat16()
    assert not flash_fits(x, x, x, {})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kv_heads", [1, 3, 9])
def test_one_kernel_computes_what_rows_one_by_one_do(kv_heads):
    """Outputs and gradients, for lengths from 1 to past the kernel's block."""
    lengths = [1, 300, 17, 2, 129]
    ends = torch.tensor([0, *lengths], device="cuda").cumsum(0).to(torch.int32)
    inputs = [torch.randn(1, h, sum(lengths), 64, device="cuda", dtype=torch.bfloat16, requires_grad=True) for h in (9, kv_heads, kv_heads)]
    assert flash_fits(*inputs, {})
    wanted = Segments(lengths).attend(torch.nn.Identity(), *inputs, scale=0.125)
    found = flash(*inputs, ends, max(lengths), 0.125)
    for one, other in zip(*(torch.autograd.grad((x.float() ** 2).sum(), inputs) for x in (wanted, found)), strict=True):
        torch.testing.assert_close(one, other, atol=0.2, rtol=0.05)
    torch.testing.assert_close(found, wanted, atol=0.02, rtol=0.02)


# --- models of strangers -----------------------------------------------------------------------------------------------------


def test_nothing_of_a_model_folder_is_ever_run():
    """Every call that loads a model says so itself: without the word, transformers asks on the terminal, and a yes runs the code."""
    calls = []
    for path in sorted(Path(model_module.__file__).parents[1].rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "from_pretrained":
                calls.append((path.name, {word.arg: getattr(word.value, "value", None) for word in node.keywords}))
    assert len(calls) >= 5
    assert [name for name, words in calls if words.get("trust_remote_code") is not False] == []


@pytest.mark.parametrize("answer", ["y\n", ""])
def test_a_folder_that_wants_its_code_run_is_refused(tmp_path, monkeypatch, answer):
    build_model(build_tokenizer(["a b c"])).save_pretrained(tmp_path)
    build_tokenizer(["a b c"]).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(
        json.dumps(config | {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModelForCausalLM": "mine.M"}})
    )
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    with pytest.raises(UsageError, match="cannot load a model"):
        load(tmp_path)
    assert not (tmp_path / "ran").exists()
