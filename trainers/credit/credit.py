"""Credit assignment: pure functions on one trajectory, on a group, and on a batch of groups.

Notation (Schulman et al. 2016 for GAE; Zhou et al. 2024 for turns): turns t = 0..T−1 with states s_t, rewards r_t, values
v_t = V(s_t), and `discount_t`, the discount from turn t to turn t+1: γ, or 0 after termination. `final_value` is V(s_T). It is 0
without bootstrapping, also at the turn limit, because the limit is part of the task and seen by the agent.
Everything is float64 numpy, because these arrays are short and precision should not be lost here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from trainers.credit.calibration import calibration_error, explained_variance, explained_variance_within
from webgym.errors import ConfigError
from webgym.types import Group, Trajectory, digest

Turns = Float[np.ndarray, " t"]
"""One number per turn of a trajectory."""

Ragged = Float[np.ndarray, " _"]
"""The same in a list of trajectories, each of its own length."""

ROUNDING = 1e-9
"""Returns nearer to each other count as equal, because 0.1 + 0.2 − 0.3 divided by its own std would be an advantage of 1."""

METRICS: Mapping[str, str] = {
    "rollout/return": "mean undiscounted return of this iteration's episodes that did not fault, as the environment gave it; "
    "forks are left out",
    "rollout/faults": "episodes of this iteration that nothing is learned from, because the machinery failed",
    "rollout/groups": "groups of this iteration with at least one episode that did not fault",
    "rollout/groups_dropped": "groups of the batch that teach nothing, since all their episodes had the same return, penalties included",
    "rollout/imitated": "turns of the batch, replayed ones included, that passed an algorithm's filters and are imitated",
    "rollout/advantage_std": "standard deviation of the advantage over the turns of the batch, replayed ones included, before whitening",
    "critic/held_out_ev": "1 − Var(G − V)/Var(G) over the turns of this iteration's episodes, replayed ones left out; V comes from a "
    "critic that never saw these outcomes (with critic.values_from=same it did); 1 is perfect",
    "critic/held_out_ev_within": "the same once the mean of each task and turn is taken off: what V knows beyond which task and turn it is",
    "critic/calibration_error": "held out, in ten bins of V: mean distance of V from the returns that came",
    "critic/bias": "mean of V − G over turns, held out",
    "critic/residual_variance": "Var(G − V) over turns, held out",
    "critic/baseline_variance": "Var(G − b) over turns, with b the leave-one-out group mean",
    "critic/gate": "1 while the critic beats the group mean and a constant; while it is 0, a gated algorithm uses the group mean instead",
}
"""Meaning of the stats of a Credit; stats of a single algorithm are explained in its file."""


@dataclass(frozen=True, eq=False)
class Values:
    """A critic's V(s_t), one array [T_i] per trajectory, in order of the flattened groups (or [n_i] before each sampled token).

    They are held out for the trajectories of the newest iteration: from a critic that never saw their outcomes (an earlier one, or
    cross-fitted). Trajectories that are replayed were fitted when they were new, so the values of theirs may hold their outcomes.
    `final` is V(s_T) per trajectory, needed only to bootstrap at the turn limit. `actions` is Q(s_t, a_t), from a critic of actions.
    `memory` is what the credit of the iteration before wants to be remembered.
    """

    turns: Sequence[Ragged]
    final: Sequence[float] | None = None
    memory: Mapping[str, float] = field(default_factory=dict)
    actions: Sequence[Ragged] | None = None


@dataclass(frozen=True, eq=False)
class Credit:
    """Credit of each trajectory, in order of the flattened groups; arrays [T_i] per turn (or [n_i] per token).

    `weights` 0 keeps a turn out of the loss and of every divisor. `targets` are the predictions wanted of a critic at each turn.
    `stats` go to the metrics. `memory` comes back with the next iteration's `Values`, and is kept in checkpoints. `per_token` says that
    arrays are per token even where a trajectory has as many tokens as turns.
    """

    advantages: list[np.ndarray]
    weights: list[np.ndarray]
    targets: list[np.ndarray] | None = None
    stats: dict[str, float] = field(default_factory=dict)
    memory: Mapping[str, float] = field(default_factory=dict)
    per_token: bool = False


# --- one trajectory ------------------------------------------------------------------------------------------------------


def rewards(trajectory: Trajectory) -> Turns:
    """r_t, [T]; all 0 for a faulted episode, whose reward is unknown and which must be masked."""
    if trajectory.outcome.faulted:
        return np.zeros(len(trajectory))
    return np.array([turn.reward for turn in trajectory.turns], dtype=np.float64)


def learnable(trajectory: Trajectory) -> bool:
    """True for a trajectory to learn from: it has turns, and it did not end in a fault."""
    return len(trajectory) > 0 and not trajectory.outcome.faulted


def turn_sizes(trajectory: Trajectory) -> list[int]:
    """Sampled tokens of each turn, [T]."""
    return [len(turn.completion.action_ids) for turn in trajectory.turns]


def turn_starts(trajectory: Trajectory) -> Int[np.ndarray, " t"]:
    """Position of each turn's first token among the sampled tokens of the trajectory, [T]; the state there is the turn's.

    A turn without sampled tokens has the position of the next token, at the end of the trajectory n.
    """
    return np.cumsum([0, *turn_sizes(trajectory)], dtype=np.int64)[: len(trajectory)]


def token_rewards(trajectory: Trajectory, gamma: float) -> Ragged:
    """The reward of each turn at its last sampled token, 0 at the others, [n].

    A turn without sampled tokens is a step of the environment too. Its reward, discounted by γ per turn, goes to the last token before
    it; where there is none, no token earned it.
    """
    r = np.zeros(sum(turn_sizes(trajectory)))
    last, discount = -1, 1.0
    for size, reward in zip(turn_sizes(trajectory), rewards(trajectory), strict=True):
        last, discount = (last + size, 1.0) if size else (last, discount * gamma)
        if last >= 0:
            r[last] += discount * reward
    return r


def token_discounts(trajectory: Trajectory, gamma: float, token_gamma: float) -> Ragged:
    """The discount from each sampled token to the next, [n]: `token_gamma` inside a turn, γ per turn that lies between, 0 at the end."""
    d = np.full(sum(turn_sizes(trajectory)), token_gamma, dtype=np.float64)
    last, discount = -1, 1.0
    for size in turn_sizes(trajectory):
        if last >= 0:
            d[last] = discount
        last, discount = (last + size, gamma) if size else (last, discount * gamma)
    d[-1:] = 0.0
    return d


def at_turns(trajectory: Trajectory, tokens: Ragged) -> Turns:
    """An array over sampled tokens at the first token of each turn, [T]; a turn without tokens has the next one's, or the last."""
    if not len(tokens):
        return np.zeros(len(trajectory))
    return tokens[np.minimum(turn_starts(trajectory), len(tokens) - 1)]


def discounts(turns: int, gamma: float, last: float = 0.0) -> Turns:
    """γ after every turn but the last, which has `last`: 0, or γ to bootstrap there; [T]."""
    d = np.full(turns, gamma, dtype=np.float64)
    d[-1:] = last
    return d


def discounted_returns(r_t: Turns, discount_t: Turns, final_value: float = 0.0) -> Turns:
    """G_t = r_t + discount_t · G_{t+1}, G_T = final_value; [T].

    With r = R at T−1 only, this is G_t = γ^{T−1−t} R.
    """
    _same_length(r_t, discount_t)
    g_t = np.zeros(len(r_t))
    g = final_value
    for t in reversed(range(len(r_t))):
        g = r_t[t] + discount_t[t] * g
        g_t[t] = g
    return g_t


def gae(r_t: Turns, discount_t: Turns, v_t: Turns, lam: float, final_value: float = 0.0) -> Turns:
    """Generalised advantages (Schulman et al. 2016, arXiv 1506.02438, eq. 16), [T]:

        δ_t = r_t + discount_t · v_{t+1} − v_t,    v_T = final_value
        A_t = δ_t + discount_t · λ · A_{t+1},      A_T = 0

    λ=0 is the TD(0) residual, λ=1 the return minus v_t. The ArCHer-PPO text leaves γ out of the residual: λ=0, discount_t=1.
    """
    _same_length(r_t, discount_t, v_t)
    v_tp1 = np.append(v_t[1:], final_value)[: len(v_t)]
    delta_t = r_t + discount_t * v_tp1 - v_t
    return discounted_returns(delta_t, discount_t * lam)


def _same_length(*arrays: np.ndarray) -> None:
    if len({a.shape for a in arrays}) > 1 or arrays[0].ndim != 1:
        raise ValueError(f"expected one number per turn in each array, got shapes {[list(a.shape) for a in arrays]}")


# --- a group -------------------------------------------------------------------------------------------------------------


def leave_one_out_mean(x: Float[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
    """Mean of the *other* members (RLOO, Kool et al. 2019). A single member gets its own value, so it is neither good nor bad."""
    return x.copy() if len(x) < 2 else (x.sum() - x) / (len(x) - 1)


def group_standardise(x: Float[np.ndarray, " g"], std: bool) -> Float[np.ndarray, " g"]:
    """x − mean(x), over the population std of the group if asked (GRPO, arXiv 2402.03300, section 4.1.2); 0 without spread."""
    if not spread(x):
        return np.zeros_like(x)
    centred = x - x.mean()
    return centred / x.std() if std else centred


def teaches(group: Group) -> bool:
    """True if the returns of the learnable members differ. Without spread a group's own statistics give every member advantage 0."""
    return spread(np.array([rewards(x).sum() for x in group if learnable(x)]))


def spread(x: Float[np.ndarray, " g"]) -> bool:
    """True if members differ by more than rounding; groups without spread give no gradient."""
    return len(x) > 1 and float(x.max() - x.min()) > ROUNDING


def group_baseline(returns: Sequence[Ragged]) -> list[Ragged]:
    """b_t for each member: the mean of the others' G_t at the same turn, [T_i] each.

    Only others that reached turn t count. Where none did, it is the mean over all the others' turns. Where there are no others, it is
    the member's own G_t. It never depends on the member's own actions from t on, so it is a valid baseline.
    """
    others = [[g for j, g in enumerate(returns) if j != i and len(g)] for i in range(len(returns))]
    return [_baseline_of(own, rest) for own, rest in zip(returns, others, strict=True)]


def _baseline_of(own: Turns, others: Sequence[Ragged]) -> Turns:
    if not others:
        return own.copy()
    pooled = float(np.concatenate(others).mean())
    running = ([g[t] for g in others if len(g) > t] for t in range(len(own)))
    return np.array([np.mean(g) if g else pooled for g in running])


# --- a batch -------------------------------------------------------------------------------------------------------------


def flatten(groups: Sequence[Group]) -> list[Trajectory]:
    """All trajectories, group after group: the order of Credit and Values."""
    return [trajectory for group in groups for trajectory in group]


def group_baselines(groups: Sequence[Group], returns: Sequence[Ragged]) -> list[Ragged]:
    """:func:`group_baseline` of each trajectory among its group's learnable members, in flattened order.

    One that is alone in its group is compared with the learnable trajectories of all other groups. A faulted one gets its own G_t.
    """
    trajectories = flatten(groups)
    group_of = [number for number, group in enumerate(groups) for _ in group]
    good = [i for i, x in enumerate(trajectories) if learnable(x)]
    result = [g.copy() for g in returns]
    for i in good:
        others = [j for j in good if j != i and group_of[j] == group_of[i]] or [j for j in good if j != i]
        result[i] = _baseline_of(returns[i], [returns[j] for j in others])
    return result


def turn_weights(trajectories: Sequence[Trajectory]) -> list[Ragged]:
    """1 for each turn of a learnable trajectory, 0 for each turn of a faulted one and for copied turns of forks."""
    return [np.array([float(learnable(x) and not turn.copied) for turn in x.turns]) for x in trajectories]


def monte_carlo_targets(trajectories: Sequence[Trajectory], gamma: float, final: Sequence[float] | None = None) -> list[Ragged]:
    """G_t = γ^{T−1−t} R + γ^{T−t} V(s_T) for each trajectory, the targets of ArCHer's critic; `final` is V(s_T), 0 unless given.

    A faulted trajectory gets 0 and must be masked.
    """
    ends = [0.0] * len(trajectories) if final is None else final
    return [discounted_returns(rewards(x), discounts(len(x), gamma, last=gamma), end) for x, end in zip(trajectories, ends, strict=True)]


def whiten(advantages: Sequence[np.ndarray], weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Advantages divided by their std over all turns with weight > 0, not centred: A/σ keeps the sign of every A.

    Each turn counts once, however many tokens it has. Without spread they are returned unchanged.
    """
    sigma = live_std(advantages, weights)
    return [a / sigma for a in advantages] if sigma > ROUNDING else [a.copy() for a in advantages]


class Gate(NamedTuple):
    """Verdict on using a critic: `open` if it is worth it, and the two variances that decide."""

    open: bool
    residual_variance: float
    baseline_variance: float


def critic_gate(
    targets: Sequence[np.ndarray], values: Sequence[np.ndarray], baselines: Sequence[np.ndarray], weights: Sequence[np.ndarray]
) -> Gate:
    """Open when Var(G − V) is less than Var(G − b) and Var(G) over the turns with weight > 0, V held out, b the leave-one-out group mean.

    Explained variance above 0 alone would only prove that the critic learned which tasks are hard, and the group mean knows that too.
    The comparison with Var(G) is needed because the mean of a few others is noisy: an ignorant critic, a constant, can beat it.
    """
    g, v, b = _live(targets, weights), _live(values, weights), _live(baselines, weights)
    if not len(g):
        return Gate(False, 0.0, 0.0)
    residual, baseline = float(np.var(g - v)), float(np.var(g - b))
    return Gate(residual < min(baseline, float(np.var(g)) - ROUNDING), residual, baseline)


def lambda_returns(
    trajectories: Sequence[Trajectory], values: Sequence[Ragged], gamma: float, lam: float, final: Sequence[float] | None = None
) -> list[Ragged]:
    """G^λ_t = V(s_t) + A_t with A the GAE at λ: targets between r_t + γ V(s_{t+1}) (λ=0) and the Monte Carlo return (λ=1).

    `final` is V(s_T), 0 unless given.
    """
    return [v + a for v, a in zip(values, turn_advantages(trajectories, values, gamma, lam, final), strict=True)]


def turn_advantages(
    trajectories: Sequence[Trajectory], values: Sequence[Ragged], gamma: float, lam: float, final: Sequence[float] | None = None
) -> list[Ragged]:
    """:func:`gae` of each trajectory over its turns; `final` is V(s_T), 0 unless given."""
    ends = [0.0] * len(trajectories) if final is None else final
    rows = zip(trajectories, values, ends, strict=True)
    return [gae(rewards(x), discounts(len(x), gamma, last=gamma), v, lam, end) for x, v, end in rows]


def critic_stats(
    trajectories: Sequence[Trajectory],
    targets: Sequence[np.ndarray],
    values: Sequence[np.ndarray],
    baselines: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
) -> dict[str, float]:
    """The critic's stats by the names of METRICS, the gate's verdict among them; all arrays are [T_i] per turn.

    They are over the newest iteration's trajectories, the only ones whose values are held out under replay.
    """
    weights = [w * new for w, new in zip(weights, _newest(trajectories), strict=True)]
    gate = critic_gate(targets, values, baselines, weights)
    g, v = _live(targets, weights), _live(values, weights)
    return {
        "critic/held_out_ev": explained_variance(g, v),
        "critic/held_out_ev_within": explained_variance_within(g, v, _live(task_turn_cells(trajectories), weights).astype(np.int64)),
        "critic/calibration_error": calibration_error(g, v),
        "critic/bias": float(np.mean(v - g)) if len(g) else float("nan"),
        "critic/residual_variance": gate.residual_variance,
        "critic/baseline_variance": gate.baseline_variance,
        "critic/gate": float(gate.open),
    }


def task_turn_cells(trajectories: Sequence[Trajectory]) -> list[np.ndarray]:
    """One number for each pair of task and turn, [T_i] each: the cells of the explained variance within."""
    known: dict[tuple[str, int], int] = {}
    return [np.array([known.setdefault((x.key.task_id, t), len(known)) for t in range(len(x))], dtype=np.float64) for x in trajectories]


def _newest(trajectories: Sequence[Trajectory]) -> list[bool]:
    """True for each trajectory of the newest iteration, False for one that is replayed."""
    newest = max((x.key.iteration for x in trajectories), default=0)
    return [x.key.iteration == newest for x in trajectories]


def turn_values(values: Values | None, trajectories: Sequence[Trajectory]) -> list[Ragged]:
    """V(s_t) of each trajectory, [T_i]. Raises ValueError where there are none, or not one per turn."""
    return _checked(None if values is None else values.turns, [len(x) for x in trajectories], "turns")


def token_values(values: Values | None, trajectories: Sequence[Trajectory]) -> list[Ragged]:
    """V before each sampled token of each trajectory, [n_i]. Raises ValueError where there are none, or not one per token."""
    return _checked(None if values is None else values.turns, [sum(turn_sizes(x)) for x in trajectories], "sampled tokens")


def action_values(values: Values | None, trajectories: Sequence[Trajectory]) -> list[Ragged]:
    """Q(s_t, a_t) of each trajectory, [T_i]. Raises ValueError where there are none, or not one per turn."""
    return _checked(None if values is None else values.actions, [len(x) for x in trajectories], "turns")


def _checked(values: Sequence[Ragged] | None, wanted: list[int], what: str) -> list[Ragged]:
    if values is None:
        raise ValueError("expected a critic's values, got none: this configuration needs_values")
    if (found := [len(v) for v in values]) != wanted:
        raise ValueError(f"expected values for {wanted} {what}, got {found}")
    return [np.asarray(v, dtype=np.float64) for v in values]


def final_values(values: Values | None, trajectories: Sequence[Trajectory]) -> list[float]:
    """V(s_T) where the turn limit ended the episode, else 0. Raises ConfigError where it was not read."""
    final = None if values is None else values.final
    read = [np.nan] * len(trajectories) if final is None else final
    found = [float(v) if x.outcome.kind == "truncated" else 0.0 for v, x in zip(read, trajectories, strict=True)]
    if final is None or np.isnan(found).any():
        raise ConfigError(
            "bootstrapping at the turn limit needs V(s_T), which was not read of every episode; set bootstrap_at_limit to false"
        )
    return found


def cross_fit_folds(groups: Sequence[Group], folds: int, seed: int = 0) -> Int[np.ndarray, " groups"]:
    """A fold 0..folds−1 for each group, balanced and fixed by `seed`; groups of one task and one task seed share a fold.

    The critic that values a group is fitted on the other folds, so that it cannot have memorised the group's outcomes.
    """
    names = [(group[0].key.task_id, group[0].key.seed) if len(group) else ("", -1) for group in groups]
    order = sorted(set(names), key=lambda name: digest([seed, *name]))
    fold_of = {name: place % folds for place, name in enumerate(order)}
    return np.array([fold_of[name] for name in names], dtype=np.int64)


def with_penalties(trajectories: Sequence[Trajectory], penalties: Sequence[Ragged]) -> list[Trajectory]:
    """The trajectories with `penalties[i][t]` subtracted from each turn's reward: for invalid actions, or β·k1 of the turn's tokens.

    The environment's own reward stays in `outcome`; shaping belongs to the trainer.
    """
    shaped = []
    for trajectory, penalty in zip(trajectories, penalties, strict=True):
        turns = (replace(turn, reward=turn.reward - float(p)) for turn, p in zip(trajectory.turns, penalty, strict=True))
        shaped.append(replace(trajectory, turns=tuple(turns)))
    return shaped


def kl_penalties(trajectories: Sequence[Trajectory], reference_logprobs: Sequence[np.ndarray], kl_coef: float) -> list[Ragged]:
    """β·k1 in the reward: β Σ_l (log μ − log π_ref) over the sampled tokens of each turn, for :func:`with_penalties`.

    `reference_logprobs` has one number per sampled token of each trajectory, in order of turns.
    """
    penalties = []
    for trajectory, reference in zip(trajectories, reference_logprobs, strict=True):
        k1 = np.array([p for turn in trajectory.turns for p in turn.completion.behaviour_logprobs]) - reference
        ends = np.cumsum([len(turn.completion.action_ids) for turn in trajectory.turns], dtype=np.int64)
        penalties.append(np.array([kl_coef * part.sum() for part in np.split(k1, ends[:-1])][: len(trajectory)]))
    return penalties


def outcome_known(trajectories: Sequence[Trajectory], weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The weights with 0 for trajectories that the turn limit ended: with V(s_T) in their place, their returns are no outcomes."""
    return [w * (x.outcome.kind != "truncated") for w, x in zip(weights, trajectories, strict=True)]


def masked(advantages: Sequence[np.ndarray], weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Advantages with 0 where the weight is 0."""
    return [np.where(w > 0, a, 0.0) for a, w in zip(advantages, weights, strict=True)]


def rollout_stats(groups: Sequence[Group]) -> dict[str, float]:
    """The stats that every algorithm reports, by the names of METRICS; trajectories that are replayed are left out."""
    new = iter(_newest(flatten(groups)))
    groups = [[x for x in group if next(new)] for group in groups]
    trajectories = flatten(groups)
    returns = [float(rewards(x).sum()) for x in trajectories if learnable(x) and not x.forked_at]
    return {
        "rollout/return": float(np.mean(returns)) if returns else float("nan"),
        "rollout/faults": float(sum(x.outcome.faulted for x in trajectories)),
        "rollout/groups": float(sum(any(map(learnable, group)) for group in groups)),
    }


def live_mean(x: Sequence[np.ndarray], weights: Sequence[np.ndarray]) -> float:
    """Mean over all turns with weight > 0; 0 when there are none."""
    live = _live(x, weights)
    return float(live.mean()) if len(live) else 0.0


def live_std(advantages: Sequence[np.ndarray], weights: Sequence[np.ndarray]) -> float:
    """Standard deviation over all turns with weight > 0; 0 when there are none."""
    live = _live(advantages, weights)
    return float(live.std()) if len(live) else 0.0


def _live(x: Sequence[np.ndarray], weights: Sequence[np.ndarray]) -> Float[np.ndarray, " n"]:
    keep: Sequence[Bool[np.ndarray, " t"]] = [w > 0 for w in weights]
    return np.concatenate([a[k] for a, k in zip(x, keep, strict=True)]) if len(keep) else np.zeros(0)
