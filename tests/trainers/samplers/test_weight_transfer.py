"""Weights from memory to memory: real transfers over gloo between processes, and everything that can end one."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, MixtralConfig, PreTrainedModel, Qwen3Config

from tests.trainers.chat_model import chat_model, chat_tokenizer
from tests.trainers.samplers.generation_process import TINY, Process, processes
from tests.trainers.samplers.generation_server import generation_servers
from tests.trainers.text_runs import finish, start, state, timeless
from tests.webgym.model_server import model_server
from trainers.models.policy_model import PolicyModel
from trainers.samplers import replicas as module
from trainers.samplers.local import LocalSampler
from trainers.samplers.openai import Config, OpenAISampler
from trainers.samplers.replicas import Replicas
from trainers.samplers.transport import Published
from trainers.samplers.weight_transfer import TransferSettings, _Transfer, chunks, packed, saved_weights
from webgym.errors import ConfigError, PolicyFault, WebGymError
from webgym.policies.openai_client import Patience, Server
from webgym.record.store import load
from webgym.types import Sampling

SAMPLING = Sampling(max_tokens=6)
PROMPTS = [list(range(i, i + 20)) for i in range(12)]
QUICK = Patience(tries=1, timeout_s=30.0, give_up_s=60.0)
PHASES = ["/init_weight_transfer_engine", "/pause", "/start_weight_update", "/update_weights", "/finish_weight_update", "/resume"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", (0.05,))


@pytest.fixture(scope="module")
def running() -> Iterator[list[Process]]:
    with processes(2) as found:
        yield found


@pytest.fixture(scope="module")
def tiny() -> PolicyModel:
    return PolicyModel.load(TINY)


def changed(tiny: PolicyModel, seed: int) -> PreTrainedModel:
    """webgym-tiny with other weights in every tensor."""
    model, generator = deepcopy(tiny.model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator) * parameter.std()
    return model


def drawn(sampler: OpenAISampler | LocalSampler) -> list[tuple]:
    futures = [sampler.submit(prompt, seed, SAMPLING) for seed, prompt in enumerate(PROMPTS)]
    return [(x.ids, x.logprobs, x.version) for x in (future.result(120) for future in futures)]


def expected(tiny: PolicyModel, model: PreTrainedModel, version: int) -> list[tuple]:
    """What these weights write, in this process."""
    with LocalSampler(model, tiny.tokenizer) as local:
        local.set_weights(model, version)
        return drawn(local)


@contextmanager
def over(servers: list[Process], tiny: PolicyModel, folder: Path, **settings) -> Iterator[OpenAISampler]:
    """A sampler on servers that have just been started anew."""
    for server in servers:
        server.tell(set={"workers": 1, "stuck_after": -1, "killed_after": -1, "chunks": 0, "calls": []}, restart=True)
    config = Config(servers=tuple(x.url for x in servers), model="m", transport="nccl", **{"transfer_chunk_mb": 1, **settings})
    with OpenAISampler(config, tiny.model, tiny.tokenizer, folder, patience=QUICK) as sampler:
        yield sampler


def phases(server: Process) -> list[str]:
    """The calls of transfers, chunks that follow each other as one."""
    found = [call for call in server.tell()["calls"] if call in PHASES]
    return [call for at, call in enumerate(found) if at == 0 or found[at - 1] != call]


def let_in(sampler: OpenAISampler, server: Process, wanted: list[tuple]) -> None:
    """Ask until the server writes again; every completion of every batch must be of the weights that are wanted."""
    before = server.tell()["completions"]
    for _ in range(900):
        assert drawn(sampler) == wanted
        if server.tell()["completions"] > before + 20:  # more than its proof takes
            return
        time.sleep(0.1)  # at most for some of its deadlines
    pytest.fail("the server was never let in again")


# --- transfers ---------------------------------------------------------------------------------------------------------------


def test_two_servers_write_what_the_model_writes_after_each_version(running: list[Process], tiny: PolicyModel, tmp_path: Path) -> None:
    first, second = changed(tiny, 1), changed(tiny, 2)
    with over(running, tiny, tmp_path) as sampler:
        sampler.set_weights(first, 1)
        wanted = expected(tiny, first, 1)
        assert drawn(sampler) == wanted != expected(tiny, tiny.model, 1)
        sent = [server.tell()["chunks"] for server in running]
        assert sent[0] == sent[1] == len(list(chunks(saved_weights(first), 2**20))) > 3, "in chunks"
        sampler.set_weights(second, 2)
        assert drawn(sampler) == expected(tiny, second, 2)
        for server in running:
            assert phases(server) == [*PHASES, *PHASES[1:]], "one group for both versions"
            assert server.tell()["version"] == "v2"
    assert list(tmp_path.iterdir()) == [], "nothing on disk"


def test_a_run_over_memory_is_the_run_over_files(running: list[Process], tmp_path: Path) -> None:
    runs = []
    for transport in ("file", "nccl"):
        running[0].tell(restart=True)
        sampler = {"kind": "openai", "model": "m", "servers": [running[0].url], "transport": transport}
        runs.append(finish(start(TINY, tmp_path, transport, "grpo", sampler=sampler)))
        assert running[0].tell()["version"] == "v3"
    assert timeless(tmp_path / "file/metrics.jsonl") == timeless(tmp_path / "nccl/metrics.jsonl")
    for one, other in zip(*map(state, runs), strict=True):
        assert torch.equal(one, other)
    for iteration in (1, 2, 3):
        played = [load(tmp_path / name / f"trajectories/iter-{iteration:06d}.jsonl") for name in ("file", "nccl")]
        told = [[[t.completion for t in x.turns] for x in each] for each in played]
        assert told[0] == told[1] and {t.policy_version for x in told[1] for t in x} == {iteration - 1}


@pytest.mark.parametrize("when", ["before", "in the middle"])
def test_a_server_that_came_back_with_old_weights_joins_a_new_group(
    running: list[Process], tiny: PolicyModel, tmp_path: Path, when: str
) -> None:
    """Before a version is published, as a single server; in the middle of a batch, as one of two."""
    servers, first, second = running[:1] if when == "before" else running, changed(tiny, 1), changed(tiny, 2)
    with over(servers, tiny, tmp_path) as sampler:
        sampler.set_weights(first, 1)
        wanted = expected(tiny, first, 1)
        assert drawn(sampler) == wanted
        running[0].tell(restart=True)
        if when == "before":
            sampler._before.clear()
            sampler._run(sampler._replicas.settle())
            sampler._plain.load_state_dict(second.state_dict())
            sampler._run(sampler._replicas.publish(sampler._transport.write(sampler._plain, None, 2)))
            assert drawn(sampler) == expected(tiny, second, 2)
        else:
            assert drawn(sampler) == wanted, "neither its version nor its log-probabilities are the old ones"
            let_in(sampler, running[0], wanted)
        assert phases(running[0]).count("/init_weight_transfer_engine") == 2


# --- what ends a transfer ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_one_server_killed_in_the_middle_of_a_version_is_left_out(running: list[Process], tiny: PolicyModel, tmp_path: Path) -> None:
    with processes(1) as (doomed,), over([doomed, running[1]], tiny, tmp_path) as sampler:
        sampler.set_weights(tiny.model, 1)
        doomed.tell(set={"killed_after": doomed.tell()["chunks"] + 2})
        model = changed(tiny, 3)
        sampler.set_weights(model, 2)
        assert not doomed.alive
        assert drawn(sampler) == expected(tiny, model, 2)
        assert [replica.state for replica in sampler._replicas.replicas] == ["lost", "well"]


@pytest.mark.slow
def test_one_server_that_stops_in_the_middle_holds_up_nothing_beyond_the_deadline(
    running: list[Process], tiny: PolicyModel, tmp_path: Path
) -> None:
    """It keeps half a version, which never writes a token, and takes the whole one later."""
    with over(running, tiny, tmp_path, transfer_timeout_s=8.0) as sampler:
        sampler.set_weights(tiny.model, 1)
        running[0].tell(set={"stuck_after": running[0].tell()["chunks"] + 2})
        model = changed(tiny, 4)
        sampler.set_weights(model, 2)
        wanted = expected(tiny, model, 2)
        assert drawn(sampler) == wanted and sampler._replicas.replicas[0].state == "lost"
        assert "did not take version 2 within 8 s and broke off after" in sampler._replicas.replicas[0].reason
        assert running[0].tell()["version"] == "v1"
        running[0].tell(set={"stuck_after": -1})
        let_in(sampler, running[0], wanted)
        assert running[0].tell()["version"] == "v2"


def test_an_update_that_an_earlier_trainer_left_open_is_begun_anew(running: list[Process], tiny: PolicyModel, tmp_path: Path) -> None:
    with over(running[:1], tiny, tmp_path) as sampler:
        sampler._run(sampler._replicas.replicas[0].client.control("/pause?mode=keep", {}))
        sampler._run(sampler._replicas.replicas[0].client.control("/start_weight_update", {}))
        sampler.set_weights(tiny.model, 1)
        assert drawn(sampler) == expected(tiny, tiny.model, 1)


STOPS = {
    "killed": ({"killed_after": 2}, r"http\S+ cannot be reached \(.*\), 1 time$|the group for weights with http\S+ broke: "),
    "stuck": ({"stuck_after": 2}, r"^http\S+ did not take version 1 within 12 s and broke off after \d+ of its tensors$"),
    "more workers than join": (
        {"workers": 3},
        r"did not take version 1 within 3 s and its 3 worker\(s\) did not all join the group for weights \(a trainer on the CPU speaks "
        r"gloo, which vLLM does not\)$|no group for weights with http\S+: Timed out after .* 2/4 clients joined",
    ),
    "no workers": (
        {"workers": 0},
        r"does not say how many workers it has \(GET /get_world_size\): sampler\.transport=nccl needs vLLM 0\.28",
    ),
}


@pytest.mark.parametrize("stop", [pytest.param(stop, marks=pytest.mark.slow) if stop != "killed" else stop for stop in STOPS])
def test_a_single_server_that_fails_ends_in_one_sentence(running: list[Process], tiny: PolicyModel, tmp_path: Path, stop: str) -> None:
    set_, words = STOPS[stop]
    deadline_s = 3.0 if stop == "more workers than join" else 12.0  # what must happen before it takes a moment
    with processes(1) as servers, over(servers, tiny, tmp_path, transfer_timeout_s=deadline_s) as sampler:
        servers[0].tell(set=set_)
        with pytest.raises(WebGymError, match=words):
            sampler.set_weights(tiny.model, 1)
        assert sampler._transport._groups == {}  # type: ignore[attr-defined]


@pytest.mark.parametrize("late", [False, True])
def test_a_transfer_that_is_given_up_leaves_no_worker_in_the_middle_of_a_chunk(late: bool) -> None:
    """Unless its deadline has passed: then the worker is lost anyway."""

    class Client:
        server = Server("http://here/v1")
        received = "nothing"

        async def control(self, path, body, patience):
            self.received = "half"
            await arrived.wait()
            self.received = "all"

    class Group:
        def send(self, packed):
            return lambda: False

    async def scenario() -> str:
        transfer = _Transfer(Client(), chat_model(), TransferSettings())
        sending = asyncio.ensure_future(transfer._send(Group(), [("a", torch.ones(3))]))
        while transfer._client.received == "nothing":
            await asyncio.sleep(0.01)
        if late:
            transfer.deadline.expired = lambda: True
        sending.cancel()
        await asyncio.sleep(0.05)
        arrived.set()
        with pytest.raises(asyncio.CancelledError):
            await sending
        return transfer._client.received

    arrived = asyncio.Event()
    assert asyncio.run(scenario()) == ("half" if late else "all")


def test_the_group_stands_beside_the_process_group_of_an_update(tmp_path: Path) -> None:
    dist: Any = torch.distributed
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        model = chat_model(1)
        with generation_servers(1) as ((behind, served),):
            config = Config(base_url=served.url, model="m", transport="nccl")
            with OpenAISampler(config, model, chat_tokenizer(), tmp_path, patience=QUICK) as sampler:
                sampler.set_weights(model, 1)
            assert behind.version == "v1"
        total = torch.ones(2)
        dist.all_reduce(total)
        assert total.tolist() == [1.0, 1.0] and dist.get_world_size() == 1
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"hidden_size": 64}, r"status 500 .*model\.embed_tokens\.weight: loaded shape \[258, 32\] is not \[258, 64\]"),
        ({"num_hidden_layers": 1}, r"status 500 .*There is no module or parameter named 'model\.layers\.1\."),
    ],
)
def test_a_server_with_another_model_refuses_the_weights(tmp_path: Path, shape: dict[str, int], words: str) -> None:
    model = chat_model(1)
    with generation_servers(1, model=chat_model(0, **shape)) as ((_, served),):
        config = Config(base_url=served.url, model="m", transport="nccl")
        with (
            OpenAISampler(config, model, chat_tokenizer(), tmp_path, patience=QUICK) as sampler,
            pytest.raises(PolicyFault, match=words),
        ):
            sampler.set_weights(model, 1)


def test_a_server_without_the_calls_is_told_which_ones_it_lacks(tmp_path: Path) -> None:
    old = {"/v1/models": {"data": [{"id": "m"}]}}
    with model_server(lambda asked: old.get(asked.path, (404, {"detail": "Not Found"}))) as served:
        config = Config(base_url=served.url, model="m", transport="nccl")
        with (
            OpenAISampler(config, chat_model(), chat_tokenizer(), tmp_path, patience=QUICK) as sampler,
            pytest.raises(ConfigError, match=r"needs vLLM 0\.28 or newer, with VLLM_SERVER_DEV_MODE=1 and --weight-transfer-config"),
        ):
            sampler.set_weights(chat_model(), 1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"transport": "nccl", "reload": "sglang"}, r"^sampler\.transport=nccl speaks vLLM's calls only, got sampler\.reload=sglang"),
        ({"transfer_host": "10.0.0.1"}, r"^sampler\.transfer_host has no effect with sampler\.transport=file: leave it out"),
        ({"transport": "adapter", "transfer_chunk_mb": 7}, r"^sampler\.transfer_chunk_mb has no effect with sampler\.transport=adapter"),
        ({"transfer_timeout_s": 7}, r"^sampler\.transfer_timeout_s has no effect with sampler\.transport=file"),
        ({"transport": "nccl", "transfer_host": "192.0.2.7"}, r"^sampler\.transfer_host=192\.0\.2\.7: expected an IPv4 address of this"),
        ({"transport": "nccl", "base_url": ""}, r"^no server is named"),
    ],
)
def test_settings_that_contradict_are_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict, words: str
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with generation_servers(1) as ((_, served),), pytest.raises(ConfigError, match=words):
        config = Config(**{"base_url": served.url, "model": "m", **settings})
        with OpenAISampler(config, chat_model(), chat_tokenizer(), tmp_path, patience=QUICK) as sampler:
            sampler.set_weights(chat_model(), 1)


def test_a_lost_server_that_hangs_does_not_hold_up_the_next_version() -> None:
    """Its own load is ended before the weights change, and begins anew beside what follows."""

    class Hanging:
        named, loads = False, []

        async def load(self, client, published):
            self.loads.append((client.name, published.version))
            if client.name == "bad":
                await asyncio.Event().wait()

        async def version(self, client, published):
            return published.name

        async def unload(self, client, published): ...
        def release(self, client): ...

    class Client:
        def __init__(self, name: str) -> None:
            self.name, self.server = name, self

        shown = "http://here"

    async def proven(replica, published): ...

    async def scenario() -> list[tuple[str, int]]:
        replicas = Replicas([Client("good"), Client("bad")], Hanging(), patience=Patience(give_up_s=1.0), check=None, prove=proven)  # type: ignore
        replicas.assume(Published(0, "", "m", assumed=True), replicas.replicas)
        replicas.published = Published(1, "", "m")
        replicas._lose(replicas.replicas[1], "it hangs")
        while not Hanging.loads:
            await asyncio.sleep(0.01)
        for version in (2, 3):
            await replicas.settle()
            await asyncio.wait_for(replicas.publish(Published(version, "", "m")), 60)
        await replicas.settle()
        return Hanging.loads

    loads = asyncio.run(scenario())
    assert loads[0] == ("bad", 1) and [load for load in loads if load[0] == "good"] == [("good", 2), ("good", 3)]


# --- names and chunks --------------------------------------------------------------------------------------------------------


SMALL = {"vocab_size": 258, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2}  # fmt: skip
MODELS = {
    "llama": lambda: chat_model(),
    "tied": lambda: chat_model(tie_word_embeddings=True),
    "qwen3": lambda: AutoModelForCausalLM.from_config(Qwen3Config(**SMALL, head_dim=8)),
    "a mixture, whose experts transformers keeps in one tensor": lambda: AutoModelForCausalLM.from_config(
        MixtralConfig(**SMALL, num_local_experts=3)
    ),
    "bfloat16": lambda: chat_model().bfloat16(),
}


@pytest.mark.parametrize("kind", MODELS)
def test_names_shapes_and_values_are_those_of_a_saved_model(kind: str, tmp_path: Path) -> None:
    model = MODELS[kind]()
    model.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
    found = list(saved_weights(model))
    assert sorted(name for name, _ in found) == sorted(saved), "each once"
    for name, tensor in found:
        assert tensor.dtype == saved[name].dtype and torch.equal(tensor, saved[name]), name
    if kind == "tied":
        assert "lm_head.weight" not in saved
    if kind.startswith("a mixture"):
        assert {name for name, _ in found} != set(model.state_dict())


def test_a_chunk_is_one_broadcast_of_vllm_whatever_its_tensors() -> None:
    """vLLM ends a broadcast with the tensor that exceeds the buffer; a chunk must never be cut there."""
    generator = torch.Generator().manual_seed(0)
    sizes = torch.randint(1, 400, (200,), generator=generator).tolist()
    weights = [(str(at), torch.arange(size, dtype=torch.int16)) for at, size in enumerate(sizes)]
    for most in (2, 100, 256, 512, 4096, 10**6):
        found = list(chunks(weights, most))
        assert [name for chunk in found for name, _ in chunk] == [name for name, _ in weights]
        for chunk in found:
            before_last = sum(x.nbytes for _, x in chunk[:-1])
            assert before_last <= most and (len(chunk) == 1 or before_last + chunk[-1][1].nbytes <= most)


def test_packed_bytes_are_the_tensors_one_after_the_other() -> None:
    tensors = [torch.arange(6.0).reshape(2, 3).T, torch.tensor(7, dtype=torch.int64), torch.ones(2, dtype=torch.bfloat16)]
    found = packed(tensors)
    assert found.dtype == torch.uint8 and len(found) == 24 + 8 + 4
    assert found[:24].view(torch.float32).tolist() == [0.0, 3.0, 1.0, 4.0, 2.0, 5.0], "in the order of its rows, not of its memory"
    assert found[24:32].view(torch.int64).tolist() == [7] and found[32:].view(torch.bfloat16).tolist() == [1.0, 1.0]
