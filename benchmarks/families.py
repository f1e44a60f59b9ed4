"""Do models of many families train here? A table of families and checks, with small random models and tokenizers of their kind.

    make families                                      # writes the table in docs/models.md
    python -m benchmarks.families [--only gemma3 ...] [--write docs/models.md] [--json]

Each family is a configuration of transformers of two layers, random weights, and a small BPE that has the family's special tokens,
beginning of text, end token and chat template (benchmarks/templates/, with their sources). Every check trains the model for two optimiser
steps, and compares with something that shares none of its code: transformers' own forward pass row by row, `apply_chat_template` of the
whole conversation, `from_pretrained`.

A check ends in one of three ways: it holds, it is refused in one sentence (a UsageError), or it is wrong.
"""

import argparse
import copy
import json
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from trainers.batches.packing import pack, plan
from trainers.batches.rows import Row, Span, Streams
from trainers.critics.critic import Critic, HeadConfig
from trainers.critics.fit import CriticOptimizer, FitConfig, fit
from trainers.learning.learner import Learner, OptimConfig
from trainers.learning.losses import LossSpec
from trainers.models.lora import LoraSettings, add_lora, plain_copy
from trainers.models.model import action_logprobs, check_rows_apart, end_ids, prepare
from trainers.models.policy_model import PolicyModel
from trainers.models.prompt_ids import Context
from trainers.recipes import recipe as recipes
from trainers.recipes.estimate import GIB
from trainers.samplers.batched import BatchedSampler
from trainers.samplers.local import LocalSampler
from webgym.errors import WebGymError
from webgym.prompts.parts import Message, Prompt, TextPart
from webgym.prompts.settings import PromptSettings
from webgym.types import Completion, Sampling, Turn

TEMPLATES = Path(__file__).with_name("templates")
MARKS = "<!-- {}: written by `make families` -->", "<!-- end of {} -->"
SIZES: Mapping[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}
WORDS = (
    "You are an agent that operates a web browser. Each turn you see the page; end with exactly one action on its own line.",
    "Goal: press OK.\nTurns left: 3\nPage 'A' at http://a.localhost/:\n[0] button \"OK\"\n[1] link 'home'\n click('0') fill('1', 'text')",
)


@dataclass(frozen=True)
class Family:
    """A family: the settings of its configuration, and its tokenizer. `end` is the token with which its turns end."""

    kind: str  # transformers' model_type
    end: str
    template: str = ""
    special: tuple[str, ...] = ()  # beside eos and bos
    tags: tuple[str, ...] = ()  # added tokens that the tokenizer calls not special
    eos: str = ""  # where it is not `end`
    bos: str = ""
    begins: bool = False  # the tokenizer puts the beginning before any text
    pieces: bool = False  # SentencePiece's kind: spaces are ▁, unknown letters are bytes
    strips: bool = False  # control tokens of turns take the space behind them
    system: bool = True  # the template has a role for it
    settings: Mapping[str, Any] = field(default_factory=dict)


_IM = ("<|im_start|>",)
_THINKS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
_LONG = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "short_factor": [1.0] * 4,
    "long_factor": [6.0] * 4,
}
FAMILIES: Mapping[str, Family] = {
    "Llama-3.2": Family("llama", "<|eot_id|>", "llama3_2", ("<|start_header_id|>", "<|end_header_id|>", "<|end_of_text|>"),
                        bos="<|begin_of_text|>", begins=True, settings={"tie_word_embeddings": True, "rope_parameters": {
                            "rope_type": "llama3", "rope_theta": 5e5, "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                            "original_max_position_embeddings": 1024}}),
    "Qwen2.5": Family("qwen2", "<|im_end|>", "qwen2_5", ("<|im_start|>", "<|endoftext|>"), _THINKS[2:]),
    "Qwen3": Family("qwen3", "<|im_end|>", "qwen3", ("<|im_start|>", "<|endoftext|>"), _THINKS, settings={"head_dim": 16}),
    "Gemma-2": Family("gemma2", "<end_of_turn>", "gemma", ("<start_of_turn>",), eos="<eos>", bos="<bos>", begins=True, pieces=True,
                      system=False, settings={"head_dim": 8, "sliding_window": 16}),
    "Gemma-3": Family("gemma3_text", "<end_of_turn>", "gemma3", ("<start_of_turn>", "<start_of_image>"), eos="<eos>", bos="<bos>",
                      begins=True, pieces=True,
                      settings={"head_dim": 8, "sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}),
    "Mistral": Family("mistral", "</s>", "mistral", ("[INST]", "[/INST]"), bos="<s>", begins=True, pieces=True, system=False,
                      settings={"sliding_window": 16}),
    "Phi-3.5": Family("phi3", "<|end|>", "phi3_5", ("<|system|>", "<|user|>", "<|assistant|>"), eos="<|endoftext|>", bos="<s>", pieces=True,
                      strips=True,
                      settings={"rope_parameters": _LONG, "original_max_position_embeddings": 1024, "pad_token_id": 0, "resid_pdrop": 0.1}),
    "Phi-4-mini": Family("phi3", "<|end|>", "phi4_mini", ("<|system|>", "<|user|>", "<|assistant|>"), eos="<|endoftext|>",
                         settings={"rope_parameters": {**_LONG, "partial_rotary_factor": 0.75, "short_factor": [1.0] * 3,
                                                       "long_factor": [6.0] * 3},
                                   "original_max_position_embeddings": 1024, "pad_token_id": 0}),
    "SmolLM2": Family("llama", "<|im_end|>", "smollm2", (*_IM, "<|endoftext|>"), bos="<|im_start|>",
                      settings={"tie_word_embeddings": True}),
    "SmolLM3": Family("smollm3", "<|im_end|>", "smollm3", (*_IM, "<|end_of_text|>"), _THINKS,
                      settings={"no_rope_layers": [1, 0], "pad_token_id": 0}),
    "Granite": Family("granite", "<|end_of_text|>", "granite", ("<|start_of_role|>", "<|end_of_role|>"),
                      settings={"logits_scaling": 8.0, "attention_multiplier": 0.1, "residual_multiplier": 0.3,
                                "embedding_multiplier": 2.0}),
    "OLMo-2": Family("olmo2", "<|endoftext|>", "olmo2", bos="<|endoftext|>"),
    "GPT-2": Family("gpt2", "<|endoftext|>", settings={"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 2048}),
    "Mamba": Family("mamba", "<|endoftext|>"),
}  # fmt: skip


# --- models and tokenizers -------------------------------------------------------------------------------------------------


def tokenizer_of(family: Family) -> PreTrainedTokenizerFast:
    """A small BPE with the family's special tokens and template."""
    named = dict.fromkeys(token for token in (family.bos, family.end, family.eos, *family.special) if token)
    if family.pieces:
        inner = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
        inner.normalizer = normalizers.Replace(" ", "▁")
        inner.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        first = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
        trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=first, show_progress=False)
    else:
        inner = Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    inner.train_from_iterator(WORDS * 4, trainer)
    if family.pieces:  # trained as special so that they come first; they are pieces of text
        settings = json.loads(inner.to_str())
        settings["added_tokens"] = []
        inner = Tokenizer.from_str(json.dumps(settings))
    turns = (family.end, *family.special) if family.strips else ()
    inner.add_special_tokens([AddedToken(token, special=True, normalized=False, rstrip=token in turns) for token in named])
    inner.add_tokens([AddedToken(token, special=False, normalized=False) for token in family.tags])
    if family.begins:
        ids = [(family.bos, inner.token_to_id(family.bos))]
        inner.post_processor = processors.TemplateProcessing(single=f"{family.bos} $A", special_tokens=ids)
    names = {"eos_token": family.eos or family.end, **({"bos_token": family.bos} if family.bos else {})}
    fast = PreTrainedTokenizerFast(tokenizer_object=inner, clean_up_tokenization_spaces=False, **names)
    if family.template:
        fast.chat_template = (TEMPLATES / f"{family.template}.jinja").read_text("utf-8")
    return fast


def model_of(family: Family, tokenizer: Any, seed: int = 0) -> Any:
    """A random model of the family, as `from_pretrained` would give it. Weights are larger than at birth, so that rows differ."""
    sizes = {} if family.kind in ("gpt2", "mamba") else SIZES
    if family.kind == "mamba":
        sizes = {"hidden_size": 32, "num_hidden_layers": 2}
    config = AutoConfig.for_model(family.kind, vocab_size=len(tokenizer), **copy.deepcopy({**sizes, **family.settings}))
    config.eos_token_id, config.bos_token_id = tokenizer.eos_token_id, tokenizer.bos_token_id
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3)
    return model


def source_of(family: Family, seed: int = 0) -> PolicyModel:
    """The family's model, ready for packed rows, as training gets it."""
    tokenizer = tokenizer_of(family)
    model = prepare(model_of(family, tokenizer, seed))
    check_rows_apart(model)
    return PolicyModel(model, tokenizer, PromptSettings())


# --- checks ----------------------------------------------------------------------------------------------------------------


def said(*texts: str) -> Prompt:
    """A prompt of a system message and a user message, or of the latter alone."""
    roles = ("system", "user")[-len(texts) :]
    return Prompt(tuple(Message(role, (TextPart(text),)) for role, text in zip(roles, texts, strict=True)))  # type: ignore[arg-type]


def rows_of(source: PolicyModel, count: int = 4) -> list[Row]:
    """Rows of different lengths, longer than a sliding window."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        n = 24 + 9 * i
        ids = tuple(int(x) for x in rng.integers(0, len(source.tokenizer), n))
        rows.append(Row(i, i, ids, (Span(0, n - 7, n - 6, n, 0),)))
    return rows


def stock_logprobs(model: Any, rows: list[Row]) -> torch.Tensor:
    """log π of the rows' actions by transformers' own forward pass, a row at a time. `model` is an unprepared one."""
    parts = []
    for row in rows:
        table = torch.log_softmax(model(torch.tensor([row.ids]), use_cache=False).logits[0].float(), -1)
        parts += [table[i - 1, row.ids[i]] for span in row.spans for i in range(span.start, span.end)]
    return torch.stack(parts)


def learner_of(model: Any, folder: Path) -> Learner:
    """A learner of the model's trainable weights."""
    forward = lambda batch, *, entropy=False: action_logprobs(model, batch, entropy=entropy)  # noqa: E731
    return Learner(model.parameters(), forward, OptimConfig(lr=1e-3), failed_batch=folder / "failed.pt")


def step(model: Any, learner: Learner, rows: list[Row], budget: int) -> None:
    """One optimiser step of −A log π on the rows, in packs of at most this number of tokens."""
    sizes = [sum(span.size for span in row.spans) for row in rows]
    streams = Streams(
        [np.full(n, 1.0 if i % 2 else -0.5, np.float32) for i, n in enumerate(sizes)],
        [np.ones(n, np.float32) for n in sizes],
        [np.full(n, -6.0, np.float32) for n in sizes],
    )
    model.train()
    learner.update(plan(rows, streams, budget), LossSpec(policy="reinforce"))
    model.eval()


def near(one: torch.Tensor, other: torch.Tensor, atol: float = 2e-4) -> None:
    """Raises AssertionError where they are apart."""
    apart = float((one.double() - other.double()).abs().max())
    assert apart <= atol, f"{apart:.1e} apart"


def stock_twin(source: PolicyModel, family: Family) -> Any:
    """An unprepared model of the family with the same weights."""
    twin = model_of(family, source.tokenizer)
    twin.set_attn_implementation("eager")
    twin.load_state_dict(source.model.state_dict())
    return twin


def packed(source: PolicyModel, family: Family, folder: Path) -> None:
    """Two steps on packed rows and on single rows give the same weights, and stock log-probabilities agree with ours after them."""
    rows, models_ = rows_of(source), [source.model, copy.deepcopy(source.model)]
    for model, budget in zip(models_, (4096, 64), strict=True):
        learner = learner_of(model, folder)
        for _ in range(2):
            step(model, learner, rows, budget)
    with torch.no_grad():
        found = [action_logprobs(model, pack(rows, 4096)[0])[0] for model in models_]
        near(*found, atol=2e-3)  # Adam turns a gradient's rounding around zero into whole steps
        near(found[0], stock_logprobs(stock_twin(source, family), rows))


def sampler(source: PolicyModel, family: Family, folder: Path) -> None:
    """Log-probabilities of sampled tokens are the learner's; keys and values kept change nothing; both samplers of this process."""
    learner, rows = learner_of(source.model, folder), rows_of(source)
    for _ in range(2):
        step(source.model, learner, rows, 4096)
    prompt = Context(source.tokenizer, source.prompts).first(said(*WORDS))
    kinds: dict[str, Callable[[], Any]] = {
        "local": lambda: LocalSampler(source.model, source.tokenizer, slots=2),
        "in blocks": lambda: LocalSampler(source.model, source.tokenizer, slots=2, block=16),
        "batched": lambda: BatchedSampler(source.model, source.tokenizer, slots=2),
    }
    for opened in kinds.values():
        with opened() as sampler:
            for seed in (1, 2, 3):
                drawn = sampler.submit(prompt, seed, Sampling(max_tokens=20)).result(120)
                ids = (*prompt, *drawn.ids)
                row = Row(0, 0, ids, (Span(0, len(prompt) - 1, len(prompt), len(ids), 0),))
                with torch.no_grad():
                    near(torch.tensor(drawn.logprobs), action_logprobs(source.model, pack([row], 4096)[0])[0])


def adapter(source: PolicyModel, family: Family, folder: Path) -> None:
    """An adapter begins as nothing, learns in two steps, leaves the base alone, and is the same model added in."""
    rows = rows_of(source)
    with torch.no_grad():
        before = action_logprobs(source.model, pack(rows, 4096)[0])[0]
    add_lora(source.model, LoraSettings(rank=2))
    frozen = {name: p.clone() for name, p in source.model.named_parameters() if not p.requires_grad}
    learner = learner_of(source.model, folder)
    with torch.no_grad():
        near(action_logprobs(source.model, pack(rows, 4096)[0])[0], before, atol=1e-5)
    for _ in range(2):
        step(source.model, learner, rows, 4096)
    with torch.no_grad():
        after = action_logprobs(source.model, pack(rows, 4096)[0])[0]
        assert float((after - before).abs().max()) > 1e-4, "nothing was learned"
        near(action_logprobs(plain_copy(source.model), pack(rows, 4096)[0])[0], after)
    assert all(torch.equal(p, frozen[name]) for name, p in source.model.named_parameters() if not p.requires_grad), "the base moved"


def critics(source: PolicyModel, family: Family, folder: Path) -> None:
    """A copy and low-rank matrices as critics: two steps lower the loss, and what is saved is what is loaded."""
    rows, targets = rows_of(source), np.array([0.0, 1.0, 0.0, 1.0])
    for backbone in ("copy", "adapter"):
        critic = Critic.of(source.model, HeadConfig(backbone=backbone))
        fitted = [fit(critic, rows, targets, CriticOptimizer(critic, FitConfig(epochs=2, lr=3e-3, average=0.0)), lambda r: pack(r, 4096))]
        report = fitted[0]
        assert report.train_after and report.train_before and report.train_after.loss < report.train_before.loss, "the loss did not fall"
        critic.save_pretrained(folder / backbone)
        again = Critic.load(folder / backbone, policy=source.model)
        with torch.no_grad():
            batch = pack(rows, 4096)[0]
            near(again.eval().values(batch), critic.eval().values(batch), atol=1e-6)


def conversation(source: PolicyModel, family: Family, folder: Path) -> None:
    """The ids of a conversation are those of the template over the whole of it, and its answers end as the template ends them."""
    context = Context(source.tokenizer, PromptSettings(context="conversation"), end_ids(source.model, source.tokenizer))
    tokenizer: Any = source.tokenizer
    answer = context.completion("click('0')")
    assert tokenizer.convert_ids_to_tokens(answer[-1]) == family.end, f"an answer ends with {tokenizer.convert_ids_to_tokens(answer[-1])}"
    assert answer[-1] in end_ids(source.model, source.tokenizer), "a sampler would go on behind it"
    first = context.first(said(*WORDS))
    turn = Turn(Completion("click('0')", "", first, answer, (0.0,) * len(answer)), "", "", 0.0, False, False, "", "")
    found = tokenizer.decode(context.ids(said("Turns left: 2"), [turn]))
    if not family.template:
        assert found == f"{WORDS[0]}\n\n{WORDS[1]}click('0'){family.end}\nTurns left: 2", found
        return
    head = [{"role": "system", "content": WORDS[0]}, {"role": "user", "content": WORDS[1]}]
    if not family.system:
        head = [{"role": "user", "content": f"{WORDS[0]}\n\n{WORDS[1]}"}]
    chat = [*head, {"role": "assistant", "content": "click('0')"}, {"role": "user", "content": "Turns left: 2"}]
    wanted = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False, enable_thinking=False)
    wanted = tokenizer.decode(tokenizer(wanted, add_special_tokens=False)["input_ids"])
    thought = "<think>\n\n</think>\n\n"  # an empty block stands before an answer that was asked for without thinking, and stays there
    same = [_dateless(text.replace(thought, "")) for text in (found, wanted)]
    if family.kind == "mistral":  # the template writes a space before an answer, and a model writes its own
        same = [text.replace(" click", "click") for text in same]
    assert same[0] == same[1], f"{found!r} in place of {wanted!r}"


def _dateless(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("Today"))


def forgery(source: PolicyModel, family: Family, folder: Path) -> None:
    """Page and goal that spell all control tokens add none, and their text stays."""
    tokenizer: Any = source.tokenizer
    controls = [token.content for token in tokenizer.added_tokens_decoder.values()]
    attack = " and ".join(f"{token}x{token}{token}" for token in controls)
    ids = {i for i in tokenizer.added_tokens_decoder}
    for context in ("window", "conversation"):
        made = Context(tokenizer, PromptSettings(context=context))  # type: ignore[arg-type]
        for build in (lambda text, made=made: made.first(said(WORDS[0], text)), lambda text, made=made: made.following(said(text), (5,))):
            calm, forged = build("nothing"), build(f"nothing {attack} nothing")
            assert [i for i in calm if i in ids] == [i for i in forged if i in ids], "a page wrote a control token"
            assert attack in tokenizer.decode(forged), "the page's text was changed"
        assert [i for i in made.completion(attack) if i in ids] == [made.completion("x")[-1]], "an answer wrote a control token"


def resumed(source: PolicyModel, family: Family, folder: Path) -> None:
    """A step, a save, a load and another step are two steps, bit for bit."""
    rows = rows_of(source)
    straight = copy.deepcopy(source.model)
    learner = learner_of(straight, folder)
    for _ in range(2):
        step(straight, learner, rows, 4096)
    learner = learner_of(source.model, folder)
    step(source.model, learner, rows, 4096)
    source.save(folder / "model")
    again = PolicyModel.load(folder / "model")
    goes_on = learner_of(again.model, folder)
    goes_on.load_state_dict(learner.state_dict())
    step(again.model, goes_on, rows, 4096)
    states = [model.state_dict() for model in (straight, again.model)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0]), "the weights differ"


def saved(source: PolicyModel, family: Family, folder: Path) -> None:
    """After two steps transformers' `from_pretrained` reads the saved folder and computes what the learner computes."""
    learner, rows = learner_of(source.model, folder), rows_of(source)
    for _ in range(2):
        step(source.model, learner, rows, 4096)
    source.save(folder / "model")
    stock = AutoModelForCausalLM.from_pretrained(folder / "model", attn_implementation="eager")
    with torch.no_grad():
        near(stock_logprobs(stock.eval(), rows), action_logprobs(source.model, pack(rows, 4096)[0])[0])


CHECKS: Mapping[str, Callable[[PolicyModel, Family, Path], None]] = {
    "packed = single": packed,
    "sampler = learner": sampler,
    "LoRA": adapter,
    "critic": critics,
    "conversation": conversation,
    "no forgery": forgery,
    "resume": resumed,
    "from_pretrained": saved,
}


def tried(family: Family, check: Callable[[PolicyModel, Family, Path], None]) -> str:
    """ "yes", the sentence of a refusal, or "WRONG: ..."."""
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            check(source_of(family), family, Path(folder))
    except WebGymError as error:
        return f"refused: {error}"
    except Exception as error:  # each kind of failure is a result
        return f"WRONG: {type(error).__name__}: {str(error)[:300]}"
    return "yes"


def table(found: Mapping[str, Mapping[str, str]]) -> str:
    """The results as a Markdown table, refusals below it."""
    lines = [f"| family | {' | '.join(CHECKS)} |", f"|---|{'---|' * len(CHECKS)}"]
    notes: dict[str, list[str]] = {}
    for name, results in found.items():
        cells = []
        for result in results.values():
            if result.startswith("refused"):
                notes.setdefault(result.removeprefix("refused: "), []).append(name)
            cells.append("✓" if result == "yes" else "🟡 refused" if result.startswith("refused") else "🔴 wrong")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    said = [f"- {', '.join(dict.fromkeys(names))}: {words}." for words, names in notes.items()]
    refusals = [textwrap.fill(words, 138, subsequent_indent="  ", break_on_hyphens=False) for words in said]
    return "\n".join([*lines, *(["", "Refused, in these words:", "", *refusals] if refusals else [])])


def recipes_table() -> str:
    """The recipes' estimates as a Markdown table."""
    lines = ["| recipe | machine | memory of the trainer's device, GiB | largest parts |", "|---|---|---|---|"]
    for name in recipes.names():
        recipe = recipes.get(name)
        largest = sorted(recipe.estimate.bytes.items(), key=lambda item: -item[1])[:3]
        parts = ", ".join(f"{use} {size / GIB:.1f}" for use, size in largest)
        lines.append(f"| `{name}` | {recipe.machine} | {recipe.estimate.gib:.1f} | {parts} |")
    return "\n".join(lines)


def write(path: Path, name: str, text: str) -> None:
    """Puts the text between the two marks of this name in a Markdown file."""
    begin, end = (mark.format(name) for mark in MARKS)
    before, found, rest = path.read_text("utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise SystemExit(f"{path} lacks the marks {begin} and {end}")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(FAMILIES), help="families")
    parser.add_argument("--write", type=Path, help="put the table into this Markdown file")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    found: dict[str, dict[str, str]] = {}
    for name in asked.only:
        found[name] = {}
        for check, function in CHECKS.items():
            found[name][check] = tried(FAMILIES[name], function)
            if found[name][check] != "yes":
                print(f"{name}, {check}: {found[name][check]}", file=sys.stderr, flush=True)
    print(json.dumps(found, indent=2) if asked.json else table(found))
    if asked.write:
        write(asked.write, "families", table(found))
        write(asked.write, "recipes", recipes_table())
    if any(result.startswith("WRONG") for results in found.values() for result in results.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
