"""A sampler on a server: the samples and log-probabilities of the same model in this process, weights published by file."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.trainers.chat_model import chat_model, chat_tokenizer
from tests.webgym.model_server import Asked, model_server
from trainers.config import TrainConfig
from trainers.models.lora import LoraSettings, add_lora
from trainers.models.model import prepare
from trainers.samplers.local import LocalSampler
from trainers.samplers.openai import Config, OpenAISampler
from trainers.samplers.server_answers import Probe, check, check_drift, check_probe, check_renewed, check_sampled, scored
from trainers.samplers.settings import SamplerConfig
from trainers.training.trainer import Trainer
from webgym.errors import ConfigError, PolicyFault, UsageError
from webgym.policies.openai_client import Patience, Reply
from webgym.types import Sampling

SAMPLING = Sampling(max_tokens=6)
PROMPTS = [list(range(i, i + 20)) for i in range(5)]
HASTY = Patience(tries=1)


class Backend:
    """A server whose model is a sampler of this process; it loads the weights that it is told to, as vLLM and SGLang do."""

    def __init__(self, sampler: LocalSampler) -> None:
        self.sampler = sampler
        self.loaded: list[str] = []

    async def answer(self, asked: Asked):
        body = asked.body
        if asked.path == "/v1/models":
            return {"data": [{"id": "m"}]}
        if asked.path in ("/collective_rpc", "/update_weights_from_disk"):
            folder = body["kwargs"]["weights_path"] if "kwargs" in body else body["model_path"]
            weights = prepare(AutoModelForCausalLM.from_pretrained(folder))
            self.loaded.append(folder)
            self.sampler.set_weights(weights, len(self.loaded))
            return {"success": True}
        if asked.path == "/reset_prefix_cache":
            return (200, "")
        if asked.path != "/v1/completions":  # an older server, which neither pauses nor says a version
            return (404, {"detail": "Not Found"})
        sampling = Sampling(body["temperature"], max_tokens=body["max_tokens"])
        found = await self.sampler.generate(body["prompt"], body["seed"], sampling)
        logprobs = {"token_logprobs": found.logprobs}
        choice = {"text": found.text, "token_ids": found.ids, "prompt_token_ids": body["prompt"], "logprobs": logprobs}
        return {"model": body["model"], "choices": [choice]}


def drawn(sampler):
    futures = [sampler.submit(prompt, seed, SAMPLING) for seed, prompt in enumerate(PROMPTS)]
    return [(x.ids, x.logprobs, x.text) for x in (future.result(60) for future in futures)]


@pytest.mark.parametrize("reload", ["vllm", "sglang"])
def test_samples_and_published_weights_are_those_of_the_model(tmp_path: Path, reload):
    old, tokenizer, new = chat_model(0), chat_tokenizer(), chat_model(1)
    with LocalSampler(old, tokenizer) as behind, model_server(Backend(behind).answer) as server:
        config = Config(base_url=server.url, model="m", reload=reload)
        with OpenAISampler(config, old, tokenizer, tmp_path) as sampler, LocalSampler(old, tokenizer) as local:
            before = drawn(local)
            assert drawn(sampler) == before
            sampler.set_weights(new, 7)
            local.set_weights(new, 7)
            after = drawn(local)
            assert drawn(sampler) == after != before
            assert sampler.submit(PROMPTS[0], 0, SAMPLING).result(60).version == 7
            sampler.set_weights(old, 8)
            assert drawn(sampler) == before
            assert [x.name for x in tmp_path.iterdir()] == ["version-000008"]
            assert sampler.counters.completions == 16 and sampler.counters.busy_s > 0


def test_an_adapter_is_published_added_in(tmp_path: Path):
    model, tokenizer = chat_model(), chat_tokenizer()
    add_lora(model, LoraSettings(rank=2))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.1)
    with LocalSampler(chat_model(), tokenizer) as behind, model_server(Backend(behind).answer) as server:
        config = Config(base_url=server.url, model="m")
        with OpenAISampler(config, model, tokenizer, tmp_path) as sampler, LocalSampler(model, tokenizer) as local:
            sampler.set_weights(model, 1)
            assert drawn(sampler) == drawn(local)


def test_what_cannot_work_is_said(tmp_path: Path):
    model, tokenizer = chat_model(), chat_tokenizer()
    with model_server(lambda asked: {"data": [{"id": "other"}]}) as server, pytest.raises(ConfigError, match="has no model 'm'"):
        OpenAISampler(Config(base_url=server.url, model="m"), model, tokenizer, tmp_path)

    def refusing(asked: Asked):
        return {"data": []} if asked.method == "GET" else (400, {"message": "weights do not fit"})

    with (
        model_server(refusing) as server,
        OpenAISampler(Config(base_url=server.url, model="m"), model, tokenizer, tmp_path, patience=HASTY) as sampler,
    ):
        with pytest.raises(UsageError, match="weights do not fit"):
            sampler.set_weights(model, 1)
        with pytest.raises(UsageError, match="reads at most 8,192"):
            sampler.submit([1] * 9000, 0, SAMPLING)
        with pytest.raises(ConfigError, match="temperature"):
            sampler.submit([1], 0, Sampling(temperature=0.5)).result(60)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, r"^sampler\.kind=openai needs sampler\.model"),
        ({"model": "m"}, r"^no server is named: set sampler\.base_url, or set OPENAI_BASE_URL"),
        ({"model": "m", "base_url": "127.0.0.1:8000"}, r"^expected a server's address such as"),
    ],
)
def test_a_run_without_a_server_is_refused_before_its_folder_is_written(settings, words, tmp_path: Path, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ConfigError, match=words):
        Trainer.start(TrainConfig(sampler=SamplerConfig(kind="openai", **settings)), parent=tmp_path, name="mine")
    assert not list(tmp_path.iterdir())


def test_a_server_that_fails_is_a_fault(tmp_path: Path):
    with model_server(lambda asked: {"data": []} if asked.method == "GET" else (503, "busy")) as server:
        config = Config(base_url=server.url, model="m")
        with OpenAISampler(config, chat_model(), chat_tokenizer(), tmp_path, patience=HASTY) as sampler, pytest.raises(PolicyFault):
            sampler.submit([1], 0, SAMPLING).result(60)


# --- answers that cannot be right ----------------------------------------------------------------------------------------------


class Twisted(Backend):
    """A server whose answers are changed; `reloads` is false for one that answers the reload call and does nothing."""

    def __init__(self, sampler: LocalSampler, twist, reloads: bool = True) -> None:
        super().__init__(sampler)
        self.twist, self.reloads = twist, reloads

    async def answer(self, asked: Asked):
        if asked.path == "/collective_rpc" and not self.reloads:
            return {"success": True}
        found = await super().answer(asked)
        if not isinstance(found, dict) or "choices" not in found:
            return found
        choice: Any = found["choices"][0]  # type: ignore[index]
        choice["finish_reason"] = "stop" if choice["token_ids"][-1] == 256 else "length"
        return {"choices": [self.twist(choice)]}


def with_logprobs(change):
    return lambda choice: {**choice, "logprobs": {"token_logprobs": [change(p) for p in choice["logprobs"]["token_logprobs"]]}}


def with_ids(change):
    return lambda choice: {**choice, "token_ids": [change(i) for i in choice["token_ids"]]}


def cut_to(finish):
    """The first two tokens as if they were all."""

    def twist(choice):
        ids, logprobs = [97, 98], {"token_logprobs": choice["logprobs"]["token_logprobs"][:2]}
        return {**choice, "text": chat_tokenizer().decode(ids), "token_ids": ids, "logprobs": logprobs, "finish_reason": finish}

    return twist


def endless(choice):
    """A finished text without its end token."""
    kept = sum(i != 256 for i in choice["token_ids"])
    logprobs = {"token_logprobs": choice["logprobs"]["token_logprobs"][:kept]}
    return {**choice, "token_ids": choice["token_ids"][:kept], "logprobs": logprobs, "finish_reason": "stop"}


WRONG = {
    "ids out of the vocabulary": (with_ids(lambda i: i + 100_000), r"the token id 1000\d\d: expected 0 to 257"),
    "negative ids": (with_ids(lambda i: -1), "the token id -1: expected 0 to 257"),
    "wrong ids": (with_ids(lambda i: (i + 1) % 250), "token ids that spell .* beside the text"),
    "no token ids": (lambda c: {k: v for k, v in c.items() if k != "token_ids"}, "gives no token ids"),
    "no log-probabilities": (lambda c: {**c, "logprobs": None}, "gives no log-probabilities"),
    "one too few": (
        lambda c: {**c, "logprobs": {"token_logprobs": c["logprobs"]["token_logprobs"][1:]}},
        "token ids and .* expected one each",
    ),
    "null among them": (with_logprobs(lambda p: None), "token ids and 0 log-probabilities: expected one each"),
    "NaN": (with_logprobs(lambda p: float("nan")), "the log-probability nan: expected a number of at most 0"),
    "-9999": (with_logprobs(lambda p: -9999.0), "the log-probability -9999 of a token that it sampled"),
    "positive": (with_logprobs(lambda p: 1.0), "the log-probability 1: expected a number of at most 0"),
    "end left out": (endless, "expected the end token among the ids"),
    "goes on behind its end": (
        lambda c: {**c, "token_ids": [256, *c["token_ids"][1:]]},
        "more tokens behind the end token 256: expected a server that stops there",
    ),
    "no text": (lambda c: {**c, "text": ""}, "token ids that spell .* beside the text ''"),
    "no tokens": (lambda c: {**c, "token_ids": [], "logprobs": {"token_logprobs": []}}, "no token at all"),
    "another prompt": (lambda c: {**c, "prompt_token_ids": [1, *c["prompt_token_ids"]]}, "read another prompt than it was sent"),
    "cut early": (cut_to("length"), r"a text that is cut after 2 of 16 tokens \(finish_reason length\)"),
    "cut early without a word": (cut_to(None), r"a text that is cut after 2 of 16 tokens \(finish_reason null\)"),
    "tokens of others": (
        lambda c: {**c, "logprobs": {**c["logprobs"], "tokens": ["b"] * len(c["token_ids"])}},
        "the log-probability of the token 'b' beside the id",
    ),
    "drift": (with_logprobs(lambda p: 0.5 * p), r"and the learner disagree by \d\.\d\d nats a token"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_an_answer_that_cannot_be_right_is_refused_in_one_sentence(kind, tmp_path: Path):
    twist, words = WRONG[kind]
    tokenizer, model = chat_tokenizer(), chat_model()
    with (
        LocalSampler(model, tokenizer) as behind,
        model_server(Twisted(behind, twist).answer) as server,
        OpenAISampler(Config(base_url=server.url, model="m"), model, tokenizer, tmp_path, patience=HASTY) as sampler,
        pytest.raises(UsageError, match=words),
    ):
        sampler.set_weights(model, 0)
        sampler.submit(PROMPTS[0], 0, Sampling(max_tokens=12)).result(60)


@pytest.mark.parametrize(("text", "words"), [("text 0,-300", ""), (" text 0,-⌁", ""), (" text 0,-3", "spell 'text 0,-300' beside")])
def test_text_that_a_server_writes_token_by_token_may_lack_what_a_later_token_changes(text: str, words: str):
    """vLLM gave the second one for the sampled tokens ▁text ▁0 ,-⌁ ▁300 of webgym-tiny, whose decoder joins ⌁ and ▁."""
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    ids = tuple(tokenizer("text 0,-300")["input_ids"])
    with pytest.raises(UsageError, match=words) if words else nullcontext():
        check(
            Reply(text, ids=ids, logprobs=(-1.0,) * len(ids)), Sampling(max_tokens=len(ids)), 1535, frozenset({TINY_END}), tokenizer, "it"
        )


TINY = Path(__file__).parents[3] / "trainers/pretrained/webgym-tiny"
TINY_END, TINY_PAD = 1, 0


def tiny_ids(text: str, end: bool = True) -> tuple[int, ...]:
    return (*AutoTokenizer.from_pretrained(TINY)(text)["input_ids"], *([TINY_END] if end else []))


def judged(reply: Reply, words: str, max_tokens: int = 16, ends: frozenset[int] = frozenset({TINY_END})) -> None:
    """Check that webgym-tiny's reply is refused in these words, or taken where they are empty; log-probabilities are made up."""
    filled = replace(reply, logprobs=reply.logprobs or (-1.0,) * len(reply.ids))
    with pytest.raises(UsageError, match=words) if words else nullcontext():
        check(filled, Sampling(max_tokens=max_tokens), 1535, ends, AutoTokenizer.from_pretrained(TINY), "it")


@pytest.mark.parametrize(
    ("finish", "end", "left", "words"),
    [
        ("stop", True, 9, ""),
        ("", True, 9, ""),
        ("stop", True, 0, ""),
        ("length", True, 0, ""),  # vLLM and SGLang look at the number of tokens first
        ("length", False, 0, ""),
        ("", False, 0, ""),
        ("stop", False, 0, "a finished text whose last token id is"),
        ("length", False, 9, r"is cut after \d+ of \d+ tokens \(finish_reason length\): expected an end token \(1\) or max_tokens"),
        ("", False, 9, r"is cut after \d+ of \d+ tokens \(finish_reason null\)"),
        ("length", True, 9, r"the end token 1 after \d+ of \d+ tokens with finish_reason length: expected finish_reason stop"),
    ],
)
def test_how_an_answer_ends_must_fit_its_tokens(finish: str, end: bool, left: int, words: str):
    ids = tiny_ids("click #3", end)
    judged(Reply("click #3", finish=finish, ids=ids), words, max_tokens=len(ids) + left)


@pytest.mark.parametrize(
    ("spelled", "text"),
    [("click *3", "click #3"), ("type #3 -5", "type #3 5"), ("type #3 5", "type #3 -5"), ("click #3", "click #3!"), ("a", "")],
)
def test_each_character_of_the_text_must_be_that_of_the_ids(spelled: str, text: str):
    judged(Reply(text, ids=tiny_ids(spelled)), "token ids that spell .* beside the text")
    judged(Reply(spelled, ids=tiny_ids(spelled)), "")


@pytest.mark.parametrize("text", ["click #3", "click #3<|end|>", " click  #3 ", "click#3"])
def test_special_tokens_and_spaces_may_stand_in_the_text_or_not(text: str):
    judged(Reply(text, ids=tiny_ids("click #3")), "")


def test_a_character_that_was_cut_may_be_left_out():
    ids = tiny_ids("click é", end=False)[:-1]  # é is two byte tokens
    for text in ("click", "click \ufffd"):
        judged(Reply(text, ids=ids), "", max_tokens=len(ids))
    judged(Reply("click é", ids=ids), "token ids that spell", max_tokens=len(ids))


def test_an_end_that_is_no_special_token_may_be_left_out():
    ids = tiny_ids("click #3", end=False)
    end = frozenset({ids[-1]})
    judged(Reply("click #3", ids=ids), "", ends=end)
    judged(Reply(AutoTokenizer.from_pretrained(TINY).decode(ids[:-1]), ids=ids), "", ends=end)


@pytest.mark.parametrize(
    ("ids", "words"), [((0, 0, 0, 1), r"3 pad tokens \(0\) and no text"), ((0, 0), "pad tokens"), ((0, 1), ""), ((1,), "")]
)
def test_an_answer_of_pads_is_none(ids: tuple[int, ...], words: str):
    judged(Reply("", ids=ids), words, max_tokens=max(2, len(ids)))


def test_the_pieces_beside_log_probabilities_are_those_of_the_ids():
    tokenizer, ids = AutoTokenizer.from_pretrained(TINY), tiny_ids("click é #3")
    whole, raw = tuple(tokenizer.decode([i]) for i in ids), tuple(tokenizer.convert_ids_to_tokens(ids))
    joined = tuple("é" if "\ufffd" in piece else piece for piece in whole)  # as vLLM writes the last part of a character
    for pieces in ((), whole, raw, joined, (*whole[:-1], "")):
        judged(Reply("click é #3", ids=ids, pieces=pieces), "")
    judged(Reply("click é #3", ids=ids, pieces=("type", *whole[1:])), "the log-probability of the token 'type' beside the id")


def test_log_probabilities_of_exactly_zero_are_left_to_the_drift_check():
    """A model that is sure of a short action has them in 32 bits too."""
    ids = tiny_ids("click #3")
    judged(Reply("click #3", ids=ids, logprobs=(0.0,) * len(ids)), "")
    with pytest.raises(UsageError, match=r"disagree by 1\.00 nats"):
        check_probe(Probe(Reply("", ids=ids, logprobs=(0.0,) * len(ids)), (-1.0,) * len(ids)), "it")


def test_drift_on_the_tokens_of_an_iteration_is_refused_by_its_mean():
    check_drift([0.02] * 99 + [9.0], "it")  # 16 bits, and one token that hardly ever comes
    check_drift([3.0] * 15, "it")  # too few to say
    with pytest.raises(UsageError, match=r"it and the learner disagree by 3\.00 nats a token over 16 tokens of this iteration"):
        check_drift([3.0] * 16, "it")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": {"message": "the engine is dead"}}, r"choices: Field required \(the engine is dead\)"),
        ((200, 'data: {"choices": []}\n\ndata: [DONE]\n\n'), r"Invalid JSON: .* \(data: "),
        ({"choices": []}, "Tuple should have at least 1 item"),
    ],
)
def test_an_error_that_says_all_is_well_is_a_fault_in_its_own_words(answer, words, tmp_path: Path):
    with model_server(lambda asked: {"data": []} if asked.method == "GET" else answer) as server:
        config = Config(base_url=server.url, model="m")
        with (
            OpenAISampler(config, chat_model(), chat_tokenizer(), tmp_path, patience=HASTY) as sampler,
            pytest.raises(PolicyFault, match=words),
        ):
            sampler.submit([1], 0, SAMPLING).result(60)


def test_a_server_is_told_where_answers_end_and_its_broken_ones_are_faults(tmp_path: Path):
    model, tokenizer, asked = chat_model(), chat_tokenizer(), []

    class Aborting(Backend):
        async def answer(self, request: Asked):
            found: Any = await super().answer(request)
            if request.path == "/v1/completions":
                asked.append(request.body["stop_token_ids"])
                found["choices"][0]["finish_reason"] = "abort"
            return found

    with (
        LocalSampler(model, tokenizer) as behind,
        model_server(Aborting(behind).answer) as server,
        OpenAISampler(Config(base_url=server.url, model="m"), model, tokenizer, tmp_path, patience=HASTY) as sampler,
        pytest.raises(PolicyFault, match=r"broke an answer off .finish_reason 'abort'."),
    ):
        sampler.submit(PROMPTS[0], 0, SAMPLING).result(60)
    assert asked == [[256]]


def test_a_server_that_never_loads_weights_is_found_out(tmp_path: Path):
    old, new, tokenizer = chat_model(0), chat_model(0), chat_tokenizer()
    for parameter in new.parameters():
        parameter.data += 0.003 * parameter.data.sign()
    with (
        LocalSampler(old, tokenizer) as behind,
        model_server(Twisted(behind, lambda c: c, reloads=False).answer) as server,
        OpenAISampler(Config(base_url=server.url, model="m"), old, tokenizer, tmp_path, patience=HASTY) as sampler,
    ):
        sampler.set_weights(old, 0)
        sampler.submit(PROMPTS[0], 0, SAMPLING).result(60)
        with pytest.raises(UsageError, match=r"still has the ones before: its log-probabilities moved by 0\.0e\+00"):
            sampler.set_weights(new, 1)


class Sharper(Backend):
    """A server that samples at another temperature than it is asked to, and gives the log-probabilities of the right one."""

    def __init__(self, sampler: LocalSampler, model, factor: float, greedy: bool = False) -> None:
        super().__init__(sampler)
        self.model, self.factor, self.greedy = model, factor, greedy

    async def answer(self, asked: Asked):
        body = asked.body
        if asked.path != "/v1/completions":
            return await super().answer(asked)
        sampling = Sampling(self.factor * body["temperature"], max_tokens=body["max_tokens"], greedy=self.greedy)
        found = await self.sampler.generate(body["prompt"], body["seed"], sampling)
        logprobs = {"token_logprobs": scored(self.model, body["prompt"], found.ids, body["temperature"])}
        return {"choices": [{"text": found.text, "token_ids": found.ids, "logprobs": logprobs}]}


@pytest.mark.parametrize(("factor", "greedy", "words"), [(1.0, True, "likelier"), (2.0, False, "less likely"), (1.0, False, "")])
def test_a_server_that_samples_otherwise_than_asked_is_found_out_by_its_tokens(factor, greedy, words, tmp_path: Path):
    model, tokenizer = sharp(), chat_tokenizer()
    with (
        LocalSampler(model, tokenizer) as behind,
        model_server(Sharper(behind, model, factor, greedy).answer) as server,
        OpenAISampler(Config(base_url=server.url, model="m"), model, tokenizer, tmp_path, patience=HASTY) as sampler,
        pytest.raises(UsageError, match=rf"does not sample as it was asked to: \d+ tokens are \d\.\d\d nats a token {words}")
        if words
        else nullcontext(),
    ):
        sampler.set_weights(model, 0)


@pytest.mark.parametrize("seed", [0, 7])
def test_a_server_that_gives_every_seed_the_same_sample_is_found_out(seed: int, tmp_path: Path):
    """A group of equal episodes teaches nothing, and no figure of the run would say why."""

    class Deaf(Sharper):
        async def answer(self, asked: Asked):
            return await super().answer(replace(asked, body={**asked.body, "seed": seed}) if asked.path == "/v1/completions" else asked)

    model, tokenizer = chat_model(3), chat_tokenizer()
    with (
        LocalSampler(model, tokenizer) as behind,
        model_server(Deaf(behind, model, 1.0).answer) as server,
        OpenAISampler(Config(base_url=server.url, model="m"), model, tokenizer, tmp_path, patience=HASTY) as sampler,
        pytest.raises(UsageError, match="gives the same answer to 16 seeds: expected a sample of its own for each"),
    ):
        sampler.set_weights(model, 0)


def sharp():
    """A model that is sure of some tokens."""
    model = chat_model()
    with torch.no_grad():
        model.lm_head.weight.mul_(50.0)
    return model


def test_a_rare_token_is_no_proof():
    table = torch.log_softmax(torch.tensor([[9.0, 0.0, 0.0]]), -1)
    mean = float((table.exp() * table).sum())
    variance = float((table.exp() * table.square()).sum() - mean**2)
    check_sampled([Probe(Reply("", ids=(1,)), (float(table[0, 1]),), (mean,), (variance,))], "it")


def test_a_probe_tells_noise_from_drift():
    reply = Reply("ab", ids=(1, 2), logprobs=(-1.0, -2.0))
    check_probe(Probe(reply, (-1.1, -1.9)), "it")
    with pytest.raises(UsageError, match=r"disagree by 0\.30 nats"):
        check_probe(Probe(reply, (-1.3, -1.7)), "it")
    same, moved = Probe(reply, (-1.0, -2.0)), Probe(Reply("ab", ids=(1, 2), logprobs=(-1.2, -2.0)), (-1.2, -2.0))
    check_renewed(same, moved, (-1.2, -2.0), "it")
    check_renewed(same, same, (-1.0, -2.0), "it")  # the weights did not change
    with pytest.raises(UsageError, match="still has the ones before"):
        check_renewed(same, same, (-1.2, -2.0), "it")
