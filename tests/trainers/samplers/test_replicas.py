"""Several generation servers: one that stalls, dies or comes back with old weights writes no token of a batch."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainers.chat_model import chat_model, chat_tokenizer
from tests.trainers.samplers.generation_server import GenerationServer, generation_servers
from trainers.models.lora import LoraSettings, add_lora, plain_state
from trainers.samplers import replicas as module
from trainers.samplers.local import LocalSampler
from trainers.samplers.openai import Config, OpenAISampler
from trainers.samplers.replicas import Replica, Replicas, blocks_of
from webgym.errors import ConfigError, PolicyFault, UsageError
from webgym.policies.openai_client import Patience
from webgym.types import Sampling

SAMPLING = Sampling(max_tokens=6)
PROMPTS = [list(range(i, i + 20)) for i in range(12)]
QUICK = Patience(tries=1, timeout_s=3.0, give_up_s=20.0)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", (0.05,))
    monkeypatch.setattr(module, "PROBE_S", 0.2)
    monkeypatch.setattr(module, "PROBE_TIMEOUT_S", 0.5)


def drawn(sampler: OpenAISampler | LocalSampler) -> list[tuple]:
    futures = [sampler.submit(prompt, seed, SAMPLING) for seed, prompt in enumerate(PROMPTS)]
    return [(x.ids, x.logprobs, x.version) for x in (future.result(60) for future in futures)]


@contextmanager
def pair(folder: Path, model=None, **settings) -> Iterator[tuple[GenerationServer, GenerationServer, OpenAISampler]]:
    """Two servers and the sampler on them, the model's weights published as version 1."""
    model = model or chat_model(1)
    with generation_servers(2, says_version=settings.pop("says_version", True)) as ((one, first), (two, second)):
        config = Config(servers=(first.url, second.url), model="m", **settings)
        with OpenAISampler(config, model, chat_tokenizer(), folder, patience=QUICK) as sampler:
            sampler.set_weights(model, 1)
            yield one, two, sampler


@pytest.fixture(scope="module")
def expected() -> list[tuple]:
    """What the published weights write, in this process."""
    with LocalSampler(chat_model(1), chat_tokenizer()) as local:
        local.set_weights(chat_model(1), 1)
        return drawn(local)


def adapted():
    model = chat_model(0)
    add_lora(model, LoraSettings(rank=2))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.1)
    return model


def test_both_servers_write_what_one_model_writes_and_name_the_version_to_the_cache(tmp_path: Path, expected: list[tuple]) -> None:
    with pair(tmp_path) as (one, two, sampler):
        before = [one.completions, two.completions]
        assert drawn(sampler) == expected
        parts = [one.completions - before[0], two.completions - before[1]]
        assert min(parts) > 0 and sum(parts) == len(PROMPTS)
        assert set(one.salts) == {"v1"} and one.calls[:1] == ["/v1/models"]
        for server in (one, two):
            order = [call for call in server.calls if call in ("/pause", "/collective_rpc", "/update_weight_version", "/resume")]
            assert order == ["/pause", "/collective_rpc", "/update_weight_version", "/resume"]
        sampler.set_weights(chat_model(0), 2)
        assert {version for _, _, version in drawn(sampler)} == {2} and set(one.salts[-3:]) == {"v2"}


@pytest.mark.parametrize("fault", ["dies", "breaks_off", "stalls", "deaf"])
def test_a_server_that_fails_is_left_out_and_let_in_again(tmp_path: Path, expected: list[tuple], fault: str) -> None:
    with pair(tmp_path) as (one, _, sampler):
        setattr(one, fault, 1 if fault in ("dies", "breaks_off") else True)
        assert drawn(sampler) == expected
        one.stalls = one.deaf = False
        one.dies = one.breaks_off = 0
        before = one.completions
        for _ in range(100):
            assert drawn(sampler) == expected
            if one.completions > before:
                return
        pytest.fail("the server was never let in again")


@pytest.mark.parametrize("transport", ["file", "adapter"])
def test_no_token_of_a_server_that_came_back_with_old_weights_enters_a_batch(tmp_path: Path, transport: str) -> None:
    model = adapted()
    with LocalSampler(model, chat_tokenizer()) as local, LocalSampler(chat_model(0), chat_tokenizer()) as base:
        local.set_weights(model, 1)
        new, old = drawn(local), drawn(base)
    assert all(x[1] != y[1] for x, y in zip(new, old, strict=True)), "log-probabilities tell the weights apart"
    with pair(tmp_path, model, transport=transport) as (one, _, sampler):
        assert drawn(sampler) == new
        one.restart()
        before = one.completions
        assert drawn(sampler) == new, "neither its version nor its log-probabilities are the old ones"
        written = one.completions  # before it was noticed; these were thrown away
        for _ in range(200):
            assert drawn(sampler) == new
            if one.completions > written:
                break
        assert one.completions > written >= before, "it is asked again once it has the weights"
        assert one.version == "v1" or one.adapters == ["m-v1"]


def test_an_adapter_has_a_new_name_each_time_on_every_server_and_old_ones_are_unloaded(tmp_path: Path) -> None:
    model = adapted()
    with pair(tmp_path, model, transport="adapter") as (one, two, sampler):
        assert one.adapters == two.adapters == ["m-v1"]
        sampler.set_weights(model, 2)
        assert one.adapters == two.adapters == ["m-v2"]
        assert [x.name for x in tmp_path.iterdir()] == ["version-000002"]
        with pytest.raises(UsageError, match=r"rollout\.overlap gives whole weights"):
            sampler.set_weights(plain_state(model), 3)
        sampler.set_weights({name: x for name, x in model.state_dict().items() if "lora_" in name}, 4)
        assert one.adapters == ["m-v4"], "an adapter that comes by itself"


def test_servers_that_say_no_version_are_used_without(tmp_path: Path, expected: list[tuple]) -> None:
    with pair(tmp_path, says_version=False) as (_, _, sampler):
        assert drawn(sampler) == expected


def test_one_server_that_says_no_version_is_loaded_again_after_its_connections_failed(tmp_path: Path, expected: list[tuple]) -> None:
    with generation_servers(1, says_version=False) as ((server, where),):
        config = Config(base_url=where.url, model="m")
        with OpenAISampler(config, chat_model(1), chat_tokenizer(), tmp_path, patience=replace(QUICK, tries=6, base_s=0.01)) as sampler:
            sampler.set_weights(chat_model(1), 1)
            assert drawn(sampler) == expected
            loads = server.calls.count("/collective_rpc")
            server.restart()
            server.dies = 1  # as a connection of its that was under way
            assert drawn(sampler) == expected, "what it wrote by the weights that it began with was thrown away"
            assert server.calls.count("/collective_rpc") > loads
            assert sampler._replicas.replicas[0].discarded > 0
            loads, server.dies = server.calls.count("/collective_rpc"), 6  # as often as it is asked
            with pytest.raises(PolicyFault, match="cannot be reached"):
                sampler.submit(PROMPTS[0], 0, SAMPLING).result(60)
            server.restart()
            assert drawn(sampler) == expected and server.calls.count("/collective_rpc") > loads


def test_an_adapter_is_published_to_a_server_that_was_started_anew_before(tmp_path: Path) -> None:
    model = adapted()
    with generation_servers(1) as ((server, where),):
        config = Config(base_url=where.url, model="m", transport="adapter")
        with OpenAISampler(config, model, chat_tokenizer(), tmp_path, patience=QUICK) as sampler:
            sampler.set_weights(model, 1)
            written = drawn(sampler)
            server.restart()
            sampler.set_weights(model, 2)
            assert server.adapters == ["m-v2"] and [x[:2] for x in drawn(sampler)] == [x[:2] for x in written]


def test_a_server_that_reads_other_token_ids_ends_the_run_in_one_sentence(tmp_path: Path) -> None:
    with pair(tmp_path) as (one, two, sampler):
        one.other_ids = two.other_ids = True
        with pytest.raises(UsageError, match="read another prompt than it was sent"):
            drawn(sampler)


def test_what_cannot_work_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set lora\.rank"), pair(tmp_path, chat_model(0), transport="adapter"):
        pass
    with pytest.raises(ConfigError, match="speaks vLLM's calls only"), pair(tmp_path, adapted(), transport="adapter", reload="sglang"):
        pass
    with pair(tmp_path) as (one, two, sampler):
        one.deaf = two.deaf = True
        sampler._replicas._patience = replace(QUICK, give_up_s=1.0)
        with pytest.raises(PolicyFault, match=r"no generation server holds the present weights: .*; http"):
            sampler.submit(PROMPTS[0], 0, SAMPLING).result(60)


# --- routing -------------------------------------------------------------------------------------------------------------


def test_a_prompt_goes_where_its_beginning_was_read_until_that_server_has_far_more_to_do() -> None:
    async def routed() -> None:
        one, two = Replica(client=None), Replica(client=None)  # type: ignore[arg-type]
        servers = Replicas([], None, patience=Patience(give_up_s=1.0), check=None, prove=None)  # type: ignore[arg-type]
        servers.replicas = [one, two]
        one.state = two.state = "well"
        first = list(range(100, 164))
        two.remember(blocks_of(first, "v1"))
        longer = blocks_of([*first, *range(40)], "v1")
        assert servers._route(longer) is two
        assert servers._route(blocks_of([*first, *range(40)], "v2")) is one, "other weights have another cache"
        assert servers._route(blocks_of(range(64), "v1")) is one
        two.outstanding = module.SPILL
        assert servers._route(longer) is two
        two.outstanding += 1
        assert servers._route(longer) is one
        one.state = "lost"
        assert servers._route(longer) is two
        two.state = "lost"
        assert servers._route(longer) is None

    asyncio.run(routed())
