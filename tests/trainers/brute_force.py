"""Advantages and losses from the papers' equations: loops over groups, members, turns and tokens, and one plain forward pass a turn.

Nothing here uses `trainers`. Batches are ragged: a group without spread, a member that faulted with turns and one without, truncated ones.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from webgym.types import Completion, EpisodeKey, Group, Outcome, Sampling, Trajectory, Turn

VOCABULARY = 61
Rows = list[list[float]]


def llama(seed: int = 0) -> LlamaForCausalLM:
    """A small model in float64, sharp enough that its distributions are not uniform."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=512, tie_word_embeddings=False, eos_token_id=1, bos_token_id=0,
    )  # fmt: skip
    model = LlamaForCausalLM(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0)
    return model


def near(model: LlamaForCausalLM, scale: float, seed: int) -> LlamaForCausalLM:
    """A model nearby: every weight moved by noise of `scale` times the mean size of its matrix."""
    other, generator = llama(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for mine, its in zip(other.parameters(), model.parameters(), strict=True):
            mine.copy_(its + scale * its.abs().mean() * torch.randn(its.shape, generator=generator, dtype=torch.float64))
    return other


def logprobs(model: LlamaForCausalLM, prompt: Sequence[int], action: Sequence[int], temperature: float) -> Tensor:
    """log π of each action token, by one forward pass over this turn alone."""
    if not action:
        return torch.zeros(0, dtype=torch.float64)
    logits = model(input_ids=torch.tensor([[*prompt, *action]]), use_cache=False).logits[0].double() / temperature
    table = torch.log_softmax(logits, -1)
    return torch.stack([table[len(prompt) - 1 + k, token] for k, token in enumerate(action)])


def episodes(behaviour: LlamaForCausalLM, temperature: float, *, conversation: bool, seed: int = 0, groups: int = 4) -> list[Group]:
    """Groups of episodes with the behaviour policy's log-probabilities; in a conversation most prompts go on from the turn before."""
    rng = np.random.default_rng(seed)

    def ids(low: int, high: int, first: int = 2) -> tuple[int, ...]:
        return tuple(int(x) for x in rng.integers(first, VOCABULARY, rng.integers(low, high)))

    found: list[Group] = []
    for g in range(groups):
        members = []
        for i in range(int(rng.integers(3, 6))):
            turns: list[Turn] = []
            prompt, action, last = ids(3, 9), (), int(rng.integers(0, 5))
            for t in range(last + 1):
                if t:
                    prompt = prompt + action + ids(2, 7) if conversation and rng.random() < 0.7 else ids(2, 7)
                action = ids(1, 6, first=1)
                with torch.no_grad():
                    given = tuple(logprobs(behaviour, prompt, action, temperature).tolist())
                reward = float(g == 1 or rng.random() < 0.5) if t == last else 0.0
                state = f"s{int(rng.integers(0, 3))}"
                completion = Completion("", "", prompt, action, given, Sampling(temperature=temperature))
                turns.append(Turn(completion, "", "", reward, False, False, "", state))
            kind = "success" if turns[-1].reward == 1.0 else ("truncated" if rng.random() < 0.5 else "failure")
            faulted = (g, i) in ((2, 1), (3, 0))
            outcome = Outcome("fault", math.nan) if faulted else Outcome(kind, turns[-1].reward)
            kept = () if (g, i) == (3, 0) else tuple(turns)
            members.append(Trajectory(EpisodeKey(f"task{g % 2}", g, 1, g, i), "", kept, outcome))
        found.append(members)
    return found


def flat(groups: Sequence[Group]) -> list[Trajectory]:
    return [x for group in groups for x in group]


def good(x: Trajectory) -> bool:
    return len(x.turns) > 0 and x.outcome.kind != "fault"


def total(x: Trajectory) -> float:
    return sum(turn.reward for turn in x.turns)


def sizes(x: Trajectory) -> list[int]:
    return [len(turn.completion.action_ids) for turn in x.turns]


# --- advantages: one row per trajectory, a number per turn or per token -----------------------------------------------------


def of_groups(groups: Sequence[Group], *, std: bool, negative: float = 1.0) -> Rows:
    found: Rows = []
    for group in groups:
        scores = [total(x) for x in group if good(x)]
        mean = sum(scores) / len(scores)
        deviation = math.sqrt(sum((r - mean) ** 2 for r in scores) / len(scores))
        for x in group:
            a = 0.0 if not good(x) or max(scores) - min(scores) < 1e-9 else (total(x) - mean) / (deviation if std else 1.0)
            found.append([a * (negative if a < 0 else 1.0)] * len(x.turns))
    return found


def alive(groups: Sequence[Group], *, drop: bool = False) -> list[float]:
    """A weight per trajectory: 0 where it faulted, and with `drop` where its group has no spread."""
    return [
        float(good(x) and not (drop and max(map(total, filter(good, group))) - min(map(total, filter(good, group))) < 1e-9))
        for group in groups
        for x in group
    ]


def leave_one_out(groups: Sequence[Group]) -> Rows:
    found: Rows = []
    for group in groups:
        for x in group:
            others = [total(y) for y in group if good(y) and y is not x]
            found.append([total(x) - sum(others) / len(others) if good(x) and others else 0.0] * len(x.turns))
    return found


def returns(x: Trajectory, gamma: float) -> list[float]:
    n = len(x.turns)
    return [sum(gamma ** (k - t) * x.turns[k].reward for k in range(t, n)) if good(x) else 0.0 for t in range(n)]


def minus_batch_mean(groups: Sequence[Group], gamma: float) -> Rows:
    every = flat(groups)
    g = [returns(x, gamma) for x in every]
    found: Rows = []
    for i, x in enumerate(every):
        row = []
        for t in range(len(x.turns)):
            others = [j for j, y in enumerate(every) if j != i and good(y)]
            same = [g[j][t] for j in others if len(g[j]) > t] or [v for j in others for v in g[j]]
            row.append(g[i][t] - sum(same) / len(same) if good(x) else 0.0)
        found.append(row)
    return found


def minus_values(groups: Sequence[Group], values: Sequence[np.ndarray], gamma: float) -> Rows:
    rows = zip(flat(groups), values, strict=True)
    return [[(g - v if good(x) else 0.0) for g, v in zip(returns(x, gamma), vs, strict=True)] for x, vs in rows]


def turn_gae(groups: Sequence[Group], values: Sequence[np.ndarray], gamma: float, lam: float) -> Rows:
    """A_t = Σ_k (γλ)^k δ_{t+k}, by its definition as a sum."""
    found: Rows = []
    for x, v in zip(flat(groups), values, strict=True):
        n = len(x.turns)
        delta = [x.turns[t].reward + (gamma * v[t + 1] if t + 1 < n else 0.0) - v[t] for t in range(n)]
        found.append([sum((gamma * lam) ** (k - t) * delta[k] for k in range(t, n)) if good(x) else 0.0 for t in range(n)])
    return found


def token_gae(groups: Sequence[Group], values: Sequence[np.ndarray], gamma: float, token_gamma: float, lam: float) -> Rows:
    found: Rows = []
    for x, v in zip(flat(groups), values, strict=True):
        r = [reward for turn, n in zip(x.turns, sizes(x), strict=True) for reward in [0.0] * (n - 1) + [turn.reward]]
        d = [d for n in sizes(x) for d in [token_gamma] * (n - 1) + [gamma]]
        n = len(r)
        d[n - 1 :] = [0.0] * (n > 0)
        delta = [r[k] + (d[k] * v[k + 1] if k + 1 < n else 0.0) - v[k] for k in range(n)]
        sums = [sum(math.prod(d[j] * lam for j in range(k, m)) * delta[m] for m in range(k, n)) for k in range(n)]
        found.append(sums if good(x) else [0.0] * n)
    return found


def in_groups_of_states(groups: Sequence[Group], gamma: float, omega: float) -> Rows:
    """GiGPO: R − mean of the group, plus ω (G_t − mean of the turns of the group taken from the same state)."""
    found: Rows = []
    for group in groups:
        scores = [total(x) for x in group if good(x)]
        cells: dict[str, list[float]] = {}
        for x in filter(good, group):
            for turn, g in zip(x.turns, returns(x, gamma), strict=True):
                cells.setdefault(turn.state_hash, []).append(g)
        for x in group:
            row = []
            for turn, g in zip(x.turns, returns(x, gamma), strict=True):
                same = cells.get(turn.state_hash, [g])
                row.append(total(x) - sum(scores) / len(scores) + omega * (g - sum(same) / len(same)) if good(x) else 0.0)
            found.append(row)
    return found


def divided(rows: Rows, weights: Sequence[float]) -> Rows:
    """Over the standard deviation of all numbers of trajectories with weight."""
    live = [a for row, w in zip(rows, weights, strict=True) if w for a in row]
    mean = sum(live) / len(live)
    deviation = math.sqrt(sum((a - mean) ** 2 for a in live) / len(live))
    return [[a / deviation for a in row] for row in rows]


# --- the loss --------------------------------------------------------------------------------------------------------------


def loss(
    groups: Sequence[Group],
    advantages: Rows,
    weights: Sequence[float] | Rows,
    policy: Sequence[Sequence[Tensor]],
    spec: Any,
    *,
    old: Sequence[Sequence[Tensor]] | None = None,
    reference: Sequence[Sequence[Tensor]] | None = None,
) -> Tensor:
    """The loss of one optimiser step. `policy`, `old` and `reference` are log-probabilities by trajectory and turn.

    `weights` is a number per trajectory, or one per turn of each. `spec` is read for its settings only.
    """
    every = flat(groups)
    turn_weights = [w if isinstance(w, list) else [w] * len(x.turns) for x, w in zip(every, weights, strict=True)]
    size = [sum(n for n, w in zip(sizes(x), ws, strict=True) if w) for x, ws in zip(every, turn_weights, strict=True)]
    divisor = {
        "constant": sum(n > 0 for n in size) * spec.tokens_per_trajectory,
        "tokens": sum(size),
        "turns": sum(w > 0 for ws in turn_weights for w in ws),
        "trajectories": sum(n > 0 for n in size),
    }[spec.divisor]
    found = torch.zeros((), dtype=torch.float64)
    for i, x in enumerate(every):
        places, at = [], 0
        for t, n in enumerate(sizes(x)):
            per_token = len(advantages[i]) != len(x.turns)
            a = advantages[i][at : at + n] if per_token else [advantages[i][t]] * n
            places += [(t, a, n)] if turn_weights[i][t] else []
            at += n
        if not places:
            continue
        pi = torch.cat([policy[i][t] for t, _, _ in places])
        mu = torch.cat([torch.tensor(x.turns[t].completion.behaviour_logprobs, dtype=torch.float64) for t, _, _ in places])
        start = mu if old is None else torch.cat([old[i][t] for t, _, _ in places])
        a = torch.tensor([v for _, row, _ in places for v in row], dtype=torch.float64)
        if spec.policy == "reinforce":
            term = -a * pi
            leads_to = pi.detach()
        else:
            ratio = torch.exp((pi - start).mean()) if spec.ratio_level == "sequence" else torch.exp(pi - start)
            term = -torch.minimum(ratio * a, torch.clamp(ratio, 1 - spec.clip_low, 1 + spec.clip_high) * a)
            leads_to = start
        if spec.importance_cap is not None:
            term = term * torch.clamp(torch.exp(leads_to - mu), max=spec.importance_cap)
        if spec.kl in ("k2", "k3"):
            assert reference is not None
            d = torch.cat([reference[i][t] for t, _, _ in places]) - pi
            term = term + spec.kl_coef * (torch.exp(d) - d - 1 if spec.kl == "k3" else d.square() / 2)
        share = torch.tensor([float(n if spec.divisor == "turns" else 1) for _, _, n in places for _ in range(n)], dtype=torch.float64)
        found = found + (term / share).sum() / (divisor * (size[i] if spec.divisor == "trajectories" else 1))
    return found
