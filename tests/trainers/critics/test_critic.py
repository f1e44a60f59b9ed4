"""The critic: closed forms of its head and losses, learning, and exact resumption."""

import json
import math
from copy import deepcopy
from functools import partial
from statistics import NormalDist

import numpy as np
import pytest
import torch
from transformers import AutoModel

from tests.trainers.episodes import trajectory, turn
from trainers.batches.packing import pack
from trainers.batches.rows import Row, Span, rows_of_all
from trainers.config import resolve
from trainers.credit.calibration import explained_variance
from trainers.critics.critic import Critic, HeadConfig
from trainers.critics.fit import CriticOptimizer, FitConfig, check_targets, first_tokens, fit, measure, per_token, predict
from trainers.models.model import packed_hidden, prepare
from trainers.models.tiny import Shape, build_model, build_tokenizer
from webgym.errors import CheckpointError, ConfigError, UsageError

LOSSES = ("mse", "bce", "hl-gauss")

packed = partial(pack, token_budget=240)


@pytest.fixture(scope="module")
def policy():
    tokenizer = build_tokenizer(["ok"] * 3, vocab_size=1000)
    return prepare(build_model(tokenizer, Shape(hidden=32, layers=2, heads=2, mlp=64, context=64)))


def good_and_bad_states(count, seed=0):
    """Rows of one turn whose prompt holds tokens 100 (good, target 0.9) or 101 (bad, target 0.1) at its end."""
    generator = np.random.default_rng(seed)
    rows, targets = [], []
    for i in range(count):
        ids = generator.integers(0, 90, 12)
        good = bool(generator.integers(2))
        ids[6:10] = 100 if good else 101
        rows.append(Row(i, i, tuple(int(x) for x in ids), (Span(0, 9, 10, 12, 0),)))
        targets.append(0.9 if good else 0.1)
    return rows, np.array(targets)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_untrained_critic_says_its_bias_everywhere(policy, loss):
    critic = Critic.of(policy, HeadConfig(loss=loss))
    rows, _ = good_and_bad_states(5)
    for bias in (0.5, 0.13, 0.92):
        critic.set_bias(bias)
        np.testing.assert_allclose(predict(critic, pack(rows, 30), 5), bias, atol=1e-5)


def test_values_are_read_at_the_last_prompt_token_of_each_turn(policy):
    critic = Critic.of(policy, HeadConfig(loss="mse"))
    with torch.no_grad():
        critic.head.weight.normal_()
    row = Row(0, 0, tuple(range(20)), (Span(0, 4, 5, 8, 0), Span(1, 13, 14, 20, 3)))
    other = Row(1, 2, tuple(range(30, 36)), (Span(0, 2, 3, 6, 0),))
    (batch,) = pack([row, other], 100)
    hidden = packed_hidden(policy, batch)  # the critic's backbone is still a copy of the policy's
    wanted = (hidden @ critic.head.weight[0] + critic.head.bias)[[4, 13, 20 + 2]]
    torch.testing.assert_close(critic.values(batch), wanted)
    again = predict(critic, pack([row, other], 20), 4)  # packed otherwise, and a fourth turn that no batch holds
    np.testing.assert_allclose(again[:3], wanted.detach().numpy(), atol=1e-5)
    assert math.isnan(again[3])


def test_the_critic_shares_nothing_with_the_policy(policy):
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    rows, targets = good_and_bad_states(8)
    critic = Critic.of(policy)
    fit(critic, rows, targets, CriticOptimizer(critic, FitConfig(epochs=2)), packed)
    assert all(torch.equal(tensor, before[name]) for name, tensor in policy.state_dict().items())


def test_losses_by_hand(policy):
    outputs = torch.tensor([[0.0], [math.log(3.0)]])  # sigmoid: 1/2, 3/4
    targets = torch.tensor([0.25, 1.0])
    assert Critic.of(policy, HeadConfig(loss="mse")).losses(outputs, targets).tolist() == pytest.approx([0.0625, (math.log(3) - 1) ** 2])
    assert Critic.of(policy, HeadConfig(loss="bce")).losses(outputs, targets).tolist() == pytest.approx([math.log(2), -math.log(0.75)])


def test_hl_gauss_targets(policy):
    critic = Critic.of(policy, HeadConfig(loss="hl-gauss", bins=5, smear=0.75))
    targets = torch.tensor([0.5, 0.3, 0.0])
    smeared = critic.smeared(targets)
    torch.testing.assert_close(smeared.sum(-1), torch.ones(3))
    normal = NormalDist(0.3, 0.75 / 5)
    assert float(smeared[1, 2]) == pytest.approx((normal.cdf(0.6) - normal.cdf(0.4)) / (normal.cdf(1) - normal.cdf(0)), rel=1e-5)
    torch.testing.assert_close(critic.read(smeared.log())[0], torch.tensor(0.5))  # the mean of a symmetric target is the target
    perfect, shifted = critic.losses(smeared.log(), targets), critic.losses(smeared.log().roll(1, 0), targets)
    torch.testing.assert_close(perfect, torch.special.entr(smeared).sum(-1))  # cross-entropy with itself is the entropy, its minimum
    assert (shifted > perfect).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_fitting_explains_held_out_turns(policy, loss):
    rows, targets = good_and_bad_states(160)
    critic = Critic.of(policy, HeadConfig(loss=loss))
    optimizer = CriticOptimizer(critic, FitConfig(epochs=12, lr=3e-3))
    report = fit(critic, rows[:120], targets, optimizer, packed, held_out=rows[120:])
    assert report.held_out_before and report.held_out_after
    assert report.held_out_before.explained_variance == pytest.approx(0.0, abs=1e-6)
    assert report.held_out_after.explained_variance > 0.8
    assert abs(report.held_out_after.bias) < 0.1
    assert (report.train_after.turns, report.held_out_after.turns) == (120, 40)
    assert report.train_after.loss < report.train_before.loss


def test_turns_without_a_target_count_for_nothing(policy):
    rows, targets = good_and_bad_states(6)
    holes = targets.copy()
    holes[[1, 4]] = np.nan
    kept = [row for i, row in enumerate(rows) if i not in (1, 4)]
    results = []
    for some, wanted in ((rows, holes), (kept, targets)):
        critic = Critic.of(policy)
        report = fit(critic, some, wanted, CriticOptimizer(critic, FitConfig()), packed)
        results.append((report.train_before, critic))
    assert results[0][0].turns == 4 and results[0][0].loss == pytest.approx(results[1][0].loss)
    for holed, whole in zip(results[0][1].parameters(), results[1][1].parameters(), strict=True):
        torch.testing.assert_close(holed, whole, rtol=0, atol=1e-5)


def test_one_step_of_many_batches_equals_one_of_one(policy):
    rows, targets = good_and_bad_states(9)
    critics = []
    for token_budget in (1000, 25):
        critic = Critic.of(policy)
        optimizer = CriticOptimizer(critic, FitConfig(turns_per_step=9))
        assert fit(critic, rows, targets, optimizer, partial(pack, token_budget=token_budget)).steps == 1
        critics.append(critic)
    with torch.no_grad():
        values = [predict(critic, pack(rows, 1000), 9) for critic in critics]
    np.testing.assert_allclose(values[0], values[1], atol=1e-4)


def test_steps_have_so_many_turns_whatever_the_budget(policy):
    rows, targets = good_and_bad_states(9)
    long = Row(9, 9, tuple(range(30)), tuple(Span(t, 5 * t + 2, 5 * t + 3, 5 * t + 5, 2 * t) for t in range(6)))  # more turns than a step
    targets = np.append(targets, np.ones(6))
    for token_budget in (12, 4000):
        critic = Critic.of(policy)
        optimizer = CriticOptimizer(critic, FitConfig(turns_per_step=3, epochs=2))
        report = fit(critic, [*rows, long], targets, optimizer, partial(pack, token_budget=token_budget), measured=False)
        assert 2 * 4 <= report.steps <= 2 * 5  # the row of six turns is a step, and may cut another one short
        assert report.tokens == 2 * (9 * 12 + 30)


def test_values_are_those_of_the_mean_of_the_weights(policy):
    rows, targets = good_and_bad_states(12)
    critic = Critic.of(policy)
    critic.set_bias(0.3)
    optimizer = CriticOptimizer(critic, FitConfig(average=0.5, turns_per_step=12))
    with optimizer.averaged():  # before the first step there is nothing to average
        np.testing.assert_allclose(predict(critic, packed(rows), 12), 0.3, atol=1e-5)
    passed = []
    for _ in range(4):
        fit(critic, rows, targets, optimizer, packed, measured=False)
        passed.append([p.detach().clone() for p in critic.parameters()])
    mean = passed[0]
    for share, weights in zip((1 / 2, 1 / 2, 1 / 2), passed[1:], strict=True):
        mean = [torch.lerp(a, b, share) for a, b in zip(mean, weights, strict=True)]
    with optimizer.averaged():
        assert all(torch.allclose(p, m, atol=1e-6) for p, m in zip(critic.parameters(), mean, strict=True))
    assert all(torch.equal(p, newest) for p, newest in zip(critic.parameters(), passed[-1], strict=True))
    optimizer.settle()
    assert all(torch.allclose(p, m, atol=1e-6) for p, m in zip(critic.parameters(), mean, strict=True))


def test_saved_critic_goes_on_bitwise(policy, tmp_path):
    rows, targets = good_and_bad_states(12)
    straight = Critic.of(policy)
    config = FitConfig(epochs=2, turns_per_step=4)
    optimizer = CriticOptimizer(straight, config)
    fit(straight, rows, targets, optimizer, packed, seed=1)
    with optimizer.averaged():
        straight.save_pretrained(tmp_path)
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    fit(straight, rows, targets, optimizer, packed, seed=2)
    resumed = Critic.load(tmp_path)
    again = CriticOptimizer(resumed, config)
    again.load_state_dict(torch.load(tmp_path / "optimizer.pt"))
    report = fit(resumed, rows, targets, again, packed, seed=2)
    for _ in ("newest", "mean"):
        assert all(torch.equal(a, b) for a, b in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True))
        optimizer.settle()
        again.settle()
    assert report.steps == optimizer.steps
    assert type(AutoModel.from_pretrained(tmp_path)).__name__ == "LlamaModel"


def test_a_folder_without_a_critic_is_refused(policy, tmp_path):
    with pytest.raises(CheckpointError, match=r"value_head\.safetensors"):
        Critic.load(tmp_path)


def test_measures_by_hand(policy):
    assert explained_variance(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0])) == 1.0
    assert explained_variance(np.array([1.0, 2.0, 3.0]), np.array([7.0, 7.0, 7.0])) == 0.0
    assert explained_variance(np.array([0.0, 2.0]), np.array([3.0, 1.0])) == 1 - 4.0 / 1.0
    assert math.isnan(explained_variance(np.array([1.0, 1.0]), np.array([1.0, 2.0])))
    rows, _ = good_and_bad_states(2)
    quality = measure(Critic.of(policy, HeadConfig(loss="mse")), pack(rows, 100), torch.tensor([0.0, 0.8]))
    assert (quality.turns, quality.loss, quality.bias) == (2, pytest.approx((0.25 + 0.09) / 2), pytest.approx(0.1))


def test_targets_outside_the_unit_interval_need_mse():
    check_targets(HeadConfig(loss="mse"), np.array([-1.0, 2.0]))
    check_targets(HeadConfig(loss="bce"), np.array([0.0, 1.0, np.nan]))
    with pytest.raises(UsageError, match="-1 to 2"):
        check_targets(HeadConfig(loss="hl-gauss"), np.array([-1.0, 2.0]))
    assert json.loads(HeadConfig().model_dump_json())["loss"] == "bce"


# --- what it stands on, and where it reads -------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [HeadConfig(backbone="adapter", rank=4), HeadConfig(backbone="trunk")], ids=lambda c: c.backbone)
def test_a_borrowed_backbone_is_never_moved_and_gets_no_gradient(config):
    tokenizer = build_tokenizer(["ok"] * 3, vocab_size=1000)
    model = prepare(build_model(tokenizer, Shape(hidden=32, layers=2, heads=2, mlp=64, context=64), seed=3))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rows, targets = good_and_bad_states(160)
    hidden = packed_hidden(model, pack(rows, 4000)[0])
    critic = Critic.of(model, config)
    report = fit(critic, rows[:120], targets, CriticOptimizer(critic, FitConfig(epochs=12, lr=1e-2)), packed, held_out=rows[120:])
    assert report.held_out_after and report.held_out_after.explained_variance > 0.6
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    torch.testing.assert_close(packed_hidden(model, pack(rows, 4000)[0]), hidden, rtol=0, atol=0)  # the policy never sees the adapter
    assert not any(name.startswith("backbone") for name in critic.state_dict())


def test_an_adapter_that_has_learned_nothing_changes_nothing(policy):
    rows, _ = good_and_bad_states(4)
    (batch,) = pack(rows, 100)
    plain, adapted = (Critic.of(policy, HeadConfig(loss="mse", backbone=b)) for b in ("copy", "adapter"))
    for critic in (plain, adapted):
        with torch.no_grad():
            critic.head.weight.fill_(0.1)
    torch.testing.assert_close(plain.values(batch), adapted.values(batch))
    with torch.no_grad():
        adapted.adapter.up[0].fill_(1.0)
    assert (plain.values(batch) - adapted.values(batch)).abs().min() > 1e-4


def test_a_shared_trunk_learns_with_the_head():
    tokenizer = build_tokenizer(["ok"] * 3, vocab_size=1000)
    model = prepare(build_model(tokenizer, Shape(hidden=32, layers=1, heads=2, mlp=64, context=64)))
    before = model.get_decoder().embed_tokens.weight.clone()
    rows, targets = good_and_bad_states(16)
    critic = Critic.of(model, HeadConfig(backbone="trunk", trunk_lr=0.5))
    optimizer = CriticOptimizer(critic, FitConfig(epochs=3, lr=1e-3))
    assert [group["lr"] for group in optimizer.adamw.param_groups] == [1e-3, 5e-4]
    twin = critic.clone()
    fit(critic, rows, targets, optimizer, packed)
    assert not torch.equal(model.get_decoder().embed_tokens.weight, before)
    assert torch.equal(twin.get_decoder().embed_tokens.weight, before)  # a clone's trunk is its own


def test_a_clone_of_an_adapter_shares_the_base_and_nothing_else(policy):
    rows, targets = good_and_bad_states(16)
    critic = Critic.of(policy, HeadConfig(backbone="adapter"))
    twin = critic.clone()
    fit(twin, rows, targets, CriticOptimizer(twin, FitConfig(epochs=2)), packed)
    assert twin.get_decoder() is policy.get_decoder()
    assert not critic.adapter.up[0].any() and twin.adapter.up[0].any()


@pytest.mark.parametrize("backbone", ["adapter", "trunk"])
def test_a_saved_borrowed_critic_needs_its_policy(policy, tmp_path, backbone):
    rows, targets = good_and_bad_states(12)
    critic = Critic.of(policy, HeadConfig(backbone=backbone))
    fit(critic, rows, targets, CriticOptimizer(critic, FitConfig(epochs=2)), packed)
    critic.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="load it with that policy"):
        Critic.load(tmp_path)
    again = Critic.load(tmp_path, policy=policy)
    np.testing.assert_array_equal(predict(again, pack(rows, 100), 12), predict(critic, pack(rows, 100), 12))
    assert not list(tmp_path.glob("model*"))


def test_readouts(policy):
    """Two turns that share a row: prompts 0..4 and 8..13, actions 5..7 and 14..19; and a row of its own, prompt 20..22, action 23..25."""
    rows = [
        Row(0, 0, tuple(range(20)), (Span(0, 4, 5, 8, 0), Span(1, 13, 14, 20, 3))),
        Row(1, 2, tuple(range(30, 36)), (Span(0, 2, 3, 6, 0),)),
    ]
    (batch,) = pack(rows, 100)
    hidden = packed_hidden(policy, batch)
    wanted = {
        "prompt": hidden[[4, 13, 22]],
        "observation": hidden[[0, 9, 20]],  # four tokens earlier, but not before the turn's own prompt
        "action": hidden[[7, 19, 25]],
        "mean": torch.stack([hidden[0:5].mean(0), hidden[8:14].mean(0), hidden[20:23].mean(0)]),
    }
    for readout, states in wanted.items():
        critic = Critic.of(policy, HeadConfig(loss="mse", readout=readout, tail=4))
        with torch.no_grad():
            critic.head.weight.copy_(torch.linspace(-1, 1, 32)[None])
        torch.testing.assert_close(critic.values(batch), critic.head(states)[:, 0])


def test_values_per_token_are_read_before_each_sampled_token(policy):
    """Global ids of tokens follow trajectories and turns, however the rows are packed."""
    many = [trajectory([turn([1, 2], [3, 4]), turn([5], [6, 7, 8])]), trajectory([turn([9, 10], [11])])]
    starts = first_tokens(many)
    assert starts.tolist() == [0, 2, 5, 6]
    critic = Critic.of(policy, HeadConfig(loss="mse"))
    with torch.no_grad():
        critic.head.weight.copy_(torch.linspace(-1, 1, 32)[None])
    found = [predict(critic, [per_token(b, starts) for b in pack(rows_of_all(many), budget)], 6) for budget in (4, 100)]
    alone = pack([Row(0, 0, (5, 6, 7, 8), (Span(0, 0, 1, 4, 0),))], 100)[0]
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    np.testing.assert_allclose(found[0][2:5], critic.head(packed_hidden(policy, alone)[:3]).detach()[:, 0], atol=1e-5)


def test_bigrams_by_hand(policy):
    """Each turn sums the weights of the different pairs in its own prompt: not of what was sampled, nor of the turn before."""
    critic = Critic.of(policy, HeadConfig(backbone="bigrams", loss="mse"))
    with torch.no_grad():
        critic.head.weight.normal_()
    critic.set_bias(0.25)
    row = Row(0, 0, (1, 2, 1, 2, 3, 70, 71, 4, 5), (Span(0, 4, 5, 7, 0), Span(1, 8, 9, 9, 7)))
    other = Row(1, 2, (2, 1, 80), (Span(0, 1, 2, 3, 0),))
    (batch,) = pack([row, other], 100)

    def weight(a, b):
        return float(critic.head.weight.detach()[(a * 1_000_003 + b * 104_729) % (1 << 14), 0])

    wanted = [0.25 + weight(1, 2) + weight(2, 1) + weight(2, 3), 0.25 + weight(4, 5), 0.25 + weight(2, 1)]
    np.testing.assert_allclose(critic.values(batch).detach().numpy(), wanted, atol=1e-5)
    alone = Row(0, 0, (9, 70), (Span(0, 0, 1, 2, 0),))  # a prompt of one token has no pair
    np.testing.assert_allclose(predict(critic, pack([alone], 100), 1), 0.25, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_bigrams_learn_and_go_on_bitwise(policy, tmp_path, loss):
    rows, targets = good_and_bad_states(200)
    held_out, wanted = good_and_bad_states(40, seed=1)
    critic = Critic.of(policy, HeadConfig(backbone="bigrams", loss=loss))
    optimizer = CriticOptimizer(critic, FitConfig(epochs=20, lr=1e-2))
    fit(critic, rows, targets, optimizer, packed)
    with optimizer.averaged():
        assert explained_variance(wanted, predict(critic, packed(held_out), 40)) > 0.6
        critic.save_pretrained(tmp_path)
    again = Critic.load(tmp_path, policy=policy)
    resumed = CriticOptimizer(again, optimizer.config)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    for one, its in ((critic, optimizer), (again, resumed)):
        fit(one, rows, targets, its, packed, seed=5)
    assert all(torch.equal(a, b) for a, b in zip(critic.parameters(), again.parameters(), strict=True))
    assert critic.clone().vocabulary == again.vocabulary == policy.get_input_embeddings().num_embeddings
    with pytest.raises(CheckpointError, match="load it with that policy"):
        Critic.load(tmp_path)


def test_bigrams_read_whole_prompts_only():
    with pytest.raises(ValueError, match="leave out readout = 'action'"):
        HeadConfig(backbone="bigrams", readout="action")
    wide = {"algo": "ppo", "critic": {"head": {"backbone": "bigrams"}}}
    with pytest.raises(ConfigError, match="ppo as it is set values tokens"):
        resolve({**wide, "algorithm": {"level": "token"}})
    assert resolve({**wide, "algorithm": {"level": "trajectory"}})[0].critic.head.backbone == "bigrams"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("value_head.json", b""), ("value_head.json", b"[]"), ("value_head.json", b"[" * 100_000), ("value_head.json", b"9" * 5000),
        ("value_head.json", b'{"backbone": "zap"}'), ("value_head.json", b'{"bins": 1}'), ("value_head.json", b"\xff"),
        ("value_head.safetensors", b""), ("value_head.safetensors", b"\xff" * 50), ("value_head.safetensors", b"\2" + bytes(7) + b"{}"),
        ("model.safetensors", b"x" * 100), ("config.json", b"5"), ("config.json", b"{"),
    ],
)  # fmt: skip
def test_a_damaged_critic_is_told_in_one_sentence(policy, tmp_path, name, content):
    Critic.of(policy, HeadConfig()).save_pretrained(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read, or is one of another model") as told:
        Critic.load(tmp_path, policy=policy)
    assert "\n" not in str(told.value)
