"""Runs with sharded weights on two processes: begun, resumed bit for bit, and gone on with by other numbers of processes."""

import json
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file

from tests.trainers.chat_model import chat_model, chat_tokenizer
from tests.trainers.learning.test_shards import in_processes
from tests.trainers.samplers.generation_server import generation_servers
from tests.trainers.text_runs import SMALL, timeless, write_model
from tests.trainers.training.test_followers import run
from trainers.config import resolve
from trainers.learning.losses import LossSpec
from trainers.learning.peers import Alone, Peers, Shards
from trainers.models.lora import plain_state, served_state
from trainers.models.policy_model import PolicyModel
from trainers.runs.keys import merged
from trainers.runs.run_folder import open_checkpoint
from trainers.training.begin import load_policy
from trainers.training.followers import follow
from trainers.training.sharded import ShardedUpdate, check_shards
from trainers.training.trainer import Trainer
from webgym.errors import ConfigError
from webgym.prompts.settings import PromptSettings
from webgym.record.store import load

Config = dict[str, Any]

SHARD: Config = {"machine": {"shard": True}}
PPO: Config = {
    "algo": "ppo",
    "algorithm": {"loss": {"kl": "k3", "kl_coef": 0.05}},
    "update": {"token_budget": 512},
    "critic": {"warmup_iterations": 0},
}
REINFORCE: Config = {"algo": "reinforce", "algorithm": {"loss": {"entropy_coef": 0.01}}, "update": {"token_budget": 256, "epochs": 1}}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


def config(model: Path, *changes: Config, iterations: int = 2) -> Config:
    """A small run of so many iterations."""
    found = merged(SMALL, {"model": str(model), "length": {"iterations": iterations}, "rollout": {"groups": 2, "group_size": 2}})
    for change in changes:
        found = merged(found, change)
    return found


def weights(run: Path, part: str = "policy") -> dict[str, torch.Tensor]:
    """All weights in the folder of a run's newest checkpoint."""
    folder = open_checkpoint(run).folder(part)
    return {f"{file.parent.name}.{name}": x for file in folder.rglob("*.safetensors") for name, x in load_file(file).items()}


def moments(run: Path) -> list[torch.Tensor]:
    """The policy's moments in a run's newest checkpoint."""
    state = open_checkpoint(run).state()["learner"]["optimiser"]["state"]
    return [entry[name] for _, entry in sorted(state.items()) for name in sorted(entry)]


def test_a_resumed_run_is_the_run_that_was_not_interrupted(model: Path, tmp_path: Path) -> None:
    settings = config(model, SHARD, PPO)
    run(2, config=settings, parent=str(tmp_path), name="whole")
    run(2, config=merged(settings, {"length": {"iterations": 1}}), parent=str(tmp_path), name="parts")
    first = {part: weights(tmp_path / "parts", part) for part in ("policy", "critic")}
    run(2, resume=str(tmp_path / "parts"), iterations=2)
    assert timeless(tmp_path / "parts" / "metrics.jsonl") == timeless(tmp_path / "whole" / "metrics.jsonl")
    for part, before in first.items():
        found, expected = weights(tmp_path / "parts", part), weights(tmp_path / "whole", part)
        assert found.keys() == expected.keys() and all(torch.equal(x, expected[name]) for name, x in found.items())
        assert any(not torch.equal(x, before[name]) for name, x in found.items()), "both iterations learned"
    assert all(map(torch.equal, moments(tmp_path / "parts"), moments(tmp_path / "whole")))


def saved(peers: Shards, out: Path) -> dict[str, Any]:
    """What a sharded policy gives a sampler and a checkpoint, beside what the whole one gave them."""
    found = {}
    for name, changes in {
        "full": {},
        "adapter": {"lora": {"rank": 2}},
        "16 bits": {"lora": {"rank": 2}, "machine": {"dtype": "bfloat16"}},
    }.items():
        settings = resolve(config(out / "model", SHARD, REINFORCE, cast(Config, changes)))[0]
        source = load_policy(settings.model, settings)
        with torch.no_grad():
            for parameter in source.model.parameters():
                if parameter.requires_grad:
                    parameter.normal_(0, 0.1, generator=torch.Generator().manual_seed(parameter.numel()))
        whole = {key: x.detach().clone() for key, x in served_state(source.model).items()}
        for folder in (out / f"{name}-whole", out / f"{name}-sharded"):
            folder.mkdir(exist_ok=True)
        source.save(out / f"{name}-whole")
        update = ShardedUpdate(settings, LossSpec(), source, out / "failed", peers=peers)
        update.all_shard(None)
        served = update.all_served()
        update.all_save(str(out / f"{name}-sharded"))
        equal = served.keys() == whole.keys() and all(torch.equal(x, whole[key]) for key, x in served.items())
        found[name] = {"equal": equal, "names": len(served)}
    return found


def test_samplers_and_checkpoints_get_what_they_get_without_shards(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    first, second = in_processes(2, saved, tmp_path)
    for name, found in first.items():
        assert found["equal"] and found["names"] > 5 and second[name]["names"] == 0
        folders = [tmp_path / f"{name}-{form}" for form in ("whole", "sharded")]
        plain, sharded = ({key: x for file in folder.glob("*.safetensors") for key, x in load_file(file).items()} for folder in folders)
        assert plain.keys() == sharded.keys() and all(torch.equal(x, sharded[key]) for key, x in plain.items())
        for file in ("config.json", "generation_config.json", "adapter_config.json", "webgym_prompt.json"):
            texts = [(folder / file).read_text() for folder in folders if (folder / file).is_file()]
            assert len(texts) in (0, 2) and len({json.dumps(json.loads(text), sort_keys=True) for text in texts}) <= 1, file
        loaded = [plain_state(PolicyModel.load(folder).model) for folder in folders]
        assert all(torch.equal(x, loaded[1][key]) for key, x in loaded[0].items())


REFUSED: dict[str, tuple[Config, int, str]] = {
    "one process": ({}, 1, "there is one: start several with `torchrun --nproc-per-node 2 -m webgym train"),
    "values on demand": ({"algo": "q_learning"}, 2, "whose sessions ask the critic for values at any time"),
    "cross-fitting": ({"algo": "ppo", "critic": {"values_from": "cross_fit"}}, 2, "copies the whole critic for each fold"),
    "a critic inside the policy": ({"algo": "ppo", "critic": {"head": {"backbone": "adapter"}}}, 2, "inside the policy's layers"),
    "weights from a GPU": (
        {"machine": {"device": "cuda"}, "sampler": {"kind": "openai", "base_url": "http://127.0.0.1:1", "model": "m", "transport": "nccl"}},
        2,
        "publishes weights from the CPU's memory",
    ),
    "the whole policy on a GPU": ({"machine": {"device": "cuda"}}, 2, "would put the whole policy on the first GPU"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_needs_whole_weights_is_refused_in_a_sentence(model: Path, what: str) -> None:
    changes, size, words = REFUSED[what]
    settings = resolve(config(model, SHARD, changes))[0]
    with pytest.raises(ConfigError, match=words):
        check_shards(settings, cast(Peers, SimpleNamespace(rank=0, size=size)))
    check_shards(resolve(config(model, changes))[0], Alone())  # without shards nothing is refused


def test_a_run_that_cannot_be_sharded_writes_no_folder(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is one: start several"):
        Trainer.start(resolve(config(model, SHARD))[0], parent=tmp_path, name="run")
    assert not list(tmp_path.iterdir())


KINDS: dict[str, Config] = {
    "adapter": {**REINFORCE, "lora": {"rank": 2}},
    "adapter on 16 bits": {**REINFORCE, "lora": {"rank": 2}, "machine": {"dtype": "bfloat16"}},
    "16 bits": {**REINFORCE, "machine": {"dtype": "bfloat16"}},
    "overlap": {**REINFORCE, "rollout": {"overlap": True}},
    "bounded": {**REINFORCE, "optim": {"max_step_kl": 1e-4}},
    "recomputed": {**REINFORCE, "machine": {"gradient_checkpointing": True}},
    "penalties": {"algo": "reinforce", "algorithm": {"loss": {"kl": "k1", "kl_coef": 0.05}}, "update": {"token_budget": 256}},
    "critic of actions": {"algo": "archer_q", "update": {"token_budget": 256}, "critic": {"warmup_iterations": 0}},
    "critic and adapter": merged(PPO, {"lora": {"rank": 2}}),
    "bigrams": {**REINFORCE, "algo": "archer", "algorithm": {}, "critic": {"head": {"backbone": "bigrams"}, "warmup_iterations": 0}},
    "shared trunk": merged(PPO, {"critic": {"head": {"backbone": "trunk", "trunk_lr": 0.5}}}),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_a_sharded_run_is_the_run_of_one_process_but_for_rounding(model: Path, tmp_path: Path, kind: str) -> None:
    for size, name, changes in ((1, "alone", {}), (2, "shards", SHARD)):
        run(size, config=config(model, KINDS[kind], changes), parent=str(tmp_path), name=name)
    for found, expected in zip(
        timeless(tmp_path / "shards" / "metrics.jsonl"), timeless(tmp_path / "alone" / "metrics.jsonl"), strict=True
    ):
        assert {k: x for k, x in found.items() if x is not None} == pytest.approx(
            {k: x for k, x in expected.items() if x is not None}, rel=2e-3, abs=1e-4
        )
    run(2, resume=str(tmp_path / "shards"), iterations=3)
    assert open_checkpoint(tmp_path / "shards").iteration == 3


def served(transport: str, peers: Shards, out: Path) -> dict[str, Any]:
    """A sharded run whose completions come from a server: the versions that wrote them, and the calls that the server got."""
    if peers.rank:
        follow(peers)
        return {}
    with generation_servers(1) as ((server, behind),):
        sampler = {"kind": "openai", "servers": [behind.url], "model": "m", "transport": transport}
        changes = merged(REINFORCE, {"sampler": sampler, "lora": {"rank": 2 if transport == "adapter" else 0}})
        settings = merged(config(out / "model", SHARD, changes), {"prompts": {}})
        trainer = Trainer.start(resolve(settings)[0], parent=out, name="run", peers=peers)
        with trainer.run:
            trainer.train()
        versions = [{turn.completion.policy_version for x in load(trainer.run.trajectory_path(i)) for turn in x.turns} for i in (1, 2)]
        return {"versions": versions, "calls": server.calls, "adapters": server.adapters}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("transport", ["file", "adapter"])
def test_a_server_gets_the_weights_of_a_sharded_run(tmp_path: Path, transport: str) -> None:
    PolicyModel(chat_model(0), chat_tokenizer(), PromptSettings()).save(tmp_path / "model")
    first, _ = in_processes(2, partial(served, transport), tmp_path)
    assert first["versions"] == [{0}, {1}]
    assert first["adapters"] == (["m-v2"] if transport == "adapter" else []) and len(first["calls"]) > 5


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_goes_on_sharded_or_whole_in_any_number_of_processes(model: Path, tmp_path: Path) -> None:
    """Two iterations of one run, the second one by others; all end near the same weights and moments."""
    ends = {}
    for begin, (size, shard) in {"shards": (2, True), "whole": (1, False)}.items():
        run(size, config=config(model, PPO, {"machine": {"shard": shard}}, iterations=1), parent=str(tmp_path), name=begin)
        start = weights(tmp_path / begin)
        for end, (size, shard) in {"one": (1, False), "two": (2, False), "two shards": (2, True), "three shards": (3, True)}.items():
            folder = tmp_path / f"{begin}, {end}"
            shutil.copytree(tmp_path / begin, folder, symlinks=True)
            run(size, resume=str(folder), iterations=2, changes={"machine": {"shard": shard}})
            ends[begin, end] = folder
            assert max(float((x - start[name]).abs().max()) for name, x in weights(folder).items()) > 1e-4
    reference = ends["whole", "one"]
    for folder in ends.values():
        for part in ("policy", "critic"):
            found, expected = weights(folder, part), weights(reference, part)
            assert max(float((x - expected[name]).abs().max()) for name, x in found.items()) < 2e-5
        for found, expected in zip(moments(folder), moments(reference), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
