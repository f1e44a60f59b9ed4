"""Critics of policies with an adapter: what learns, what is shared, and what comes back from disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainers.chat_model import chat_model, chat_tokenizer
from tests.trainers.text_runs import finish, start, state, write_model
from trainers.batches.packing import pack
from trainers.batches.rows import Row, Span
from trainers.critics import backbone
from trainers.critics.critic import Critic, HeadConfig
from trainers.critics.fit import CriticOptimizer, FitConfig, fit, predict
from trainers.critics.q_critic import QCritic
from trainers.models.lora import LoraSettings, add_lora, served_copy
from trainers.models.model import action_logprobs
from trainers.models.policy_model import PolicyModel
from trainers.samplers.local import LocalSampler
from trainers.training.trainer import Trainer
from webgym.errors import CheckpointError, ConfigError
from webgym.prompts.settings import PromptSettings
from webgym.types import Sampling

ROWS = [Row(i, i, tuple((11 * i + j) % 250 for j in range(20)), (Span(0, 14, 15, 20, 0),)) for i in range(4)]
TARGETS = np.array([0.0, 1.0, 1.0, 0.0])


def packed(rows):
    return pack(rows, 4096)


@pytest.fixture
def policy(tmp_path: Path):
    """A policy with an adapter, whose base lies on disk."""
    PolicyModel(chat_model(), chat_tokenizer(), PromptSettings()).save(tmp_path / "base")
    return PolicyModel.load(tmp_path / "base", lora=LoraSettings(rank=2)).model


def fitted(policy, **settings):
    critic = Critic.of(policy, HeadConfig(**settings))
    fit(critic, ROWS, TARGETS, CriticOptimizer(critic, FitConfig(epochs=6, lr=1e-2, average=0.0)), packed, measured=False)
    return critic


def test_a_copy_learns_an_adapter_of_its_own_on_the_shared_base(policy):
    before = {name: p.detach().clone() for name, p in policy.named_parameters()}
    critic = fitted(policy)
    assert all(torch.equal(p, before[name]) for name, p in policy.named_parameters()), "the policy is as it was"
    shared = {id(p) for p in policy.parameters()} & {id(p) for p in critic.parameters()}
    assert len(shared) == sum(not p.requires_grad for p in policy.get_decoder().parameters()), "the base takes no memory twice"
    assert {name.rpartition(".lora_")[1] for name, p in critic.named_parameters() if p.requires_grad and "head" not in name} == {".lora_"}
    own = critic.clone()
    assert {id(p) for p in own.own()} & {id(p) for p in critic.own()} == set()


@pytest.mark.parametrize("beside", [True, False], ids=["with its policy", "by itself"])
def test_a_saved_critic_comes_back_bit_for_bit(policy, beside, tmp_path):
    critic = fitted(policy)
    wanted = predict(critic, packed(ROWS), 4)
    critic.save_pretrained(tmp_path / "critic")
    again = Critic.load(tmp_path / "critic", policy=policy if beside else None)
    assert np.array_equal(predict(again, packed(ROWS), 4), wanted) and wanted.std() > 1e-3
    assert [n for n, p in again.named_parameters() if p.requires_grad] == [n for n, p in critic.named_parameters() if p.requires_grad]
    assert not list((tmp_path / "critic").glob("model*.safetensors")), "a checkpoint holds the adapter alone"


def test_a_critic_of_actions_comes_back_too(policy, tmp_path):
    critic = QCritic.of(policy)
    with torch.no_grad():
        for parameter in critic.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)), alpha=0.1)
        wanted = critic(packed(ROWS)[0])
        critic.save_pretrained(tmp_path / "critic")
        for given in (policy, None):
            found = QCritic.load(tmp_path / "critic", policy=given)(packed(ROWS)[0])
            assert all(torch.equal(a, b) for a, b in zip(wanted, found, strict=True))


def test_a_critic_whose_base_is_gone_is_refused_in_words(tmp_path):
    model = chat_model()  # made in memory: it lies nowhere
    add_lora(model, LoraSettings(rank=2))
    critic = Critic.of(model)
    critic.save_pretrained(tmp_path / "critic")
    Critic.load(tmp_path / "critic", policy=model)
    with pytest.raises(CheckpointError, match="an adapter on '', which cannot be loaded"):
        Critic.load(tmp_path / "critic")
    (tmp_path / "critic" / backbone.ADAPTER).unlink()
    with pytest.raises(CheckpointError, match=r"backbone_adapter\.safetensors missing"):
        Critic.load(tmp_path / "critic", policy=model)


# --- 16 bits -----------------------------------------------------------------------------------------------------------------


def test_the_critic_of_a_bf16_policy_is_fp32(tmp_path):
    """Its running mean moves by a fiftieth of a step at a time, which bfloat16 cannot tell."""
    critic = Critic.of(chat_model().to(torch.bfloat16))
    assert {p.dtype for p in critic.parameters()} == {torch.float32}
    critic.save_pretrained(tmp_path)
    assert {p.dtype for p in Critic.load(tmp_path).parameters()} == {torch.float32}
    assert {p.dtype for p in QCritic.of(chat_model().to(torch.bfloat16)).parameters()} == {torch.float32}
    with pytest.raises(ConfigError, match="trunk_lr above 0"):
        Critic.of(chat_model().to(torch.bfloat16), HeadConfig(backbone="trunk", trunk_lr=0.1))


@pytest.mark.parametrize("scale", [1e-4, 1e-3])
def test_a_small_adapter_of_a_bf16_model_is_sampled_from_as_it_is_learned(scale):
    """Added into 16-bit weights an adapter's first updates would round away."""
    model, base = chat_model().to(torch.bfloat16), chat_model().to(torch.bfloat16)
    add_lora(model, LoraSettings(rank=4))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, scale, generator=torch.Generator().manual_seed(1))
        learner, served, before = (action_logprobs(m, packed(ROWS)[0])[0] for m in (model, served_copy(model), base))
    assert torch.equal(learner, served) and not torch.equal(learner, before)
    with LocalSampler(base_with(model), chat_tokenizer()) as sampler:
        sampler.set_weights(model, 1)
        drawn = sampler.submit(range(30), 3, Sampling(max_tokens=8)).result(60)
    row = Row(0, 0, (*range(30), *drawn.ids), (Span(0, 29, 30, 30 + len(drawn.ids), 0),))
    with torch.no_grad():
        wanted = action_logprobs(model, packed([row])[0])[0]
    torch.testing.assert_close(torch.tensor(drawn.logprobs), wanted, rtol=0, atol=0.05)  # 16-bit products of other shapes


def test_an_adapter_of_a_16_bit_model_comes_back_bit_for_bit(tmp_path):
    PolicyModel(chat_model().to(torch.bfloat16), chat_tokenizer(), PromptSettings()).save(tmp_path / "base")
    source = PolicyModel.load(tmp_path / "base", dtype="bfloat16", lora=LoraSettings(rank=2))
    with torch.no_grad():
        for name, parameter in source.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
    critic = Critic.of(source.model)
    source.save(tmp_path / "adapter")
    critic.save_pretrained(tmp_path / "critic")
    again = PolicyModel.load(tmp_path / "adapter", dtype="bfloat16")
    assert all(torch.equal(p, q) for p, q in zip(source.model.parameters(), again.model.parameters(), strict=True))
    for found in (Critic.load(tmp_path / "critic", policy=again.model), Critic.load(tmp_path / "critic")):
        assert all(torch.equal(p, q) for p, q in zip(critic.parameters(), found.parameters(), strict=True))


def base_with(model):
    """The same model with an adapter that has learned nothing."""
    fresh = chat_model().to(torch.bfloat16)
    add_lora(fresh, LoraSettings(rank=4))
    return fresh


# --- whole runs --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("algo", ["archer", "ppo", "archer_q"])
def test_a_run_with_an_adapter_and_a_critic_resumes_bitwise(algo: str, model: Path, tmp_path: Path) -> None:
    settings = {"lora": {"rank": 2}, "groups": 2, "group_size": 2}
    whole = finish(start(model, tmp_path, "whole", algo, **settings))
    finish(start(model, tmp_path, "part", algo, **{**settings, "iterations": 2}))
    resumed = finish(Trainer.resume(tmp_path / "part", changes={"length": {"iterations": 3}}))
    assert all(torch.equal(a, b) for a, b in zip(state(whole), state(resumed), strict=True))


def test_a_run_starts_from_the_critic_of_another_with_an_adapter(model: Path, tmp_path: Path) -> None:
    settings = {"lora": {"rank": 2}, "groups": 2, "group_size": 2, "iterations": 1, "critic": {"fit": {"lr": 1e-2}}}
    first = finish(start(model, tmp_path, "first", "archer", **settings))
    played = first.run.trajectory_path(1)
    from webgym.record.store import load

    wanted = np.concatenate(first.valuer.turn_values(load(played)))
    second = start(model, tmp_path, "second", "archer", **{**settings, "critic": {"start": str(tmp_path / "first")}})
    second.run.close()
    assert np.array_equal(np.concatenate(second.valuer.turn_values(load(played))), wanted)
