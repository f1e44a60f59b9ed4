"""Meaning of the metrics of a row, and the metrics of its episodes."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from trainers.credit.algorithm import Algorithm
from trainers.credit.credit import METRICS as CREDIT_METRICS
from trainers.credit.credit import rollout_stats
from trainers.critics.valuation import METRICS as VALUATION_METRICS
from trainers.learning.learner import METRICS as LEARNER_METRICS
from trainers.training.clock import IDLE as IDLE_METRICS
from trainers.training.clock import METRICS as CLOCK_METRICS
from webgym.errors import FAULTS
from webgym.evaluation.statistics import wilson
from webgym.types import Trajectory

STALENESS = range(9)
"""Updates that a batch may be behind: rollout.staleness is at most the last of them."""

METRICS: Mapping[str, str] = {
    **CREDIT_METRICS,
    **LEARNER_METRICS,
    **VALUATION_METRICS,
    **CLOCK_METRICS,
    **IDLE_METRICS,
    "rollout/episodes": "episodes of this iteration",
    "rollout/episodes_total": "episodes since the start, those of the critic's warm-up and faulted ones included",
    "rollout/turns_total": "environment steps since the start; turns that a fork copies are no steps",
    "rollout/replayed_total": "turns of forks that were performed again to come to their state, since the start",
    "rollout/tokens_total": "tokens sampled since the start",
    "rollout/forks": "episodes that continue another one from one of its turns on",
    "rollout/success": "success of the training episodes without faults and forks, sampled, over the tasks as the curriculum drew them",
    "rollout/success_low": "lower end of its 95% Wilson interval",
    "rollout/success_high": "upper end of its 95% Wilson interval",
    "rollout/turns": "mean turns per episode, forks left out",
    "rollout/invalid": "share of sampled turns whose text was no action",
    "rollout/entropy": "mean of −log μ over all tokens that the sampler drew in this iteration, in nats per token: an estimate of the "
    "policy's entropy on its own episodes, whatever an algorithm learns from",
    "rollout/groups_resampled": "groups that were played besides, in place of others without spread (an algorithm's option `resample`)",
    "rollout/retries": "times that an episode was played again because the machinery failed",
    **{
        f"rollout/faults_{kind}": f"failures of the kind {kind} (docs/faults.md), mended or not; none where the row lacks it"
        for kind in FAULTS
    },
    "eval/success": "success on held-out seeds, every task alike, sampled at eval_temperature",
    "rollout/staleness": "mean number of updates by which the weights that sampled a token are behind those that begin to learn from it: 0 "
    "in lockstep, at most rollout.staleness with overlap=true",
    **{
        f"rollout/staleness_{n}": f"share of the sampled tokens that are {n} updates behind; none where the row lacks it" for n in STALENESS
    },
    "time/publish_s": "seconds in which new weights were on their way to the sampler or its servers, in this iteration",
    "time/iteration_s": "seconds from the row before to this one: the iteration, and the checkpoint before it; evaluations left out",
    "time/collect_s": "seconds of collecting: browser and sampling overlap in it; with overlap=true, of waiting for the batch",
    "time/browser_s": "seconds that sessions spent in the browser or waited for a place in it, summed over sessions, in this iteration",
    "time/sampling_s": "seconds that the sampler was busy",
    "time/checkpoint_s": "seconds of the checkpoint before it",
    "time/critic_s": "seconds of reading and fitting the critic",
    "time/update_s": "seconds of packing and optimiser steps of the policy",
}
"""The meaning of each metric that rows of any algorithm have."""


def explanations(algorithm: Algorithm) -> dict[str, str]:
    """The meaning of each metric that a run of this algorithm logs: the shared ones, and those of its own file."""
    return {**METRICS, **algorithm.metrics}


def fresh_turns(trajectories: Sequence[Trajectory]) -> int:
    """Environment steps that were sampled: turns that are no copies."""
    return sum(len(x) - x.forked_at for x in trajectories)


def sampled_tokens(trajectories: Sequence[Trajectory]) -> int:
    """Tokens of the turns that are no copies."""
    return sum(len(turn.completion.action_ids) for x in trajectories for turn in x.turns[x.forked_at :])


def staleness(trajectories: Sequence[Trajectory], iteration: int) -> dict[str, float]:
    """The histogram of the updates by which the tokens of an iteration's episodes are behind the policy that it begins with."""
    counts: Counter[int] = Counter()
    for turn in (turn for x in trajectories for turn in x.turns[x.forked_at :]):
        counts[iteration - 1 - turn.completion.policy_version] += len(turn.completion.action_ids)
    tokens = counts.total()
    if not tokens:
        return {}
    mean = sum(behind * count for behind, count in counts.items()) / tokens
    return {"rollout/staleness": mean, **{f"rollout/staleness_{behind}": count / tokens for behind, count in sorted(counts.items())}}


def rollout_metrics(trajectories: Sequence[Trajectory], groups: int) -> dict[str, float]:
    """The metrics of an iteration's episodes; groups numbered from `groups` on were played in place of others."""
    counted = [x for x in trajectories if not x.outcome.faulted and not x.forked_at]
    wins = sum(x.outcome.success for x in counted)
    interval = wilson(wins, len(counted))
    turns = [turn for x in trajectories if not x.outcome.faulted for turn in x.turns if not turn.copied]
    logprobs = [p for turn in turns for p in turn.completion.behaviour_logprobs]
    by_group = [list(members) for _, members in groupby(trajectories, key=lambda x: (x.key.iteration, x.key.group))]
    met = Counter(kind for x in trajectories for kind in x.outcome.faults)
    return {
        **rollout_stats(by_group),
        "rollout/episodes": len(trajectories),
        "rollout/success": wins / len(counted) if counted else math.nan,
        "rollout/success_low": interval.low,
        "rollout/success_high": interval.high,
        "rollout/turns": sum(map(len, counted)) / len(counted) if counted else math.nan,
        "rollout/forks": sum(x.forked_at > 0 for x in trajectories),
        "rollout/invalid": sum(not turn.action for turn in turns) / len(turns) if turns else math.nan,
        "rollout/entropy": -sum(logprobs) / len(logprobs) if logprobs else math.nan,
        "rollout/retries": sum(x.outcome.retries for x in trajectories),
        "rollout/groups_resampled": len({x.key.group for x in trajectories if x.key.group >= groups}),
        **{f"rollout/faults_{kind}": float(count) for kind, count in sorted(met.items())},
    }
