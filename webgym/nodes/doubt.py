"""The reason to doubt a trajectory that came from another machine: something in it that no honest collector says.

Trajectories are learned from, so all that can be told without the browser is looked at before anyone sees them.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from webgym.nodes import wire
from webgym.types import Completion, Sampling, Trajectory, Turn

ABOVE_ZERO = 1e-3  # that a log-probability may be by rounding


def doubt(trajectory: Trajectory, asked: wire.Asked) -> str:
    """The first thing of the trajectory that no honest collector says, in words; "" where there is none."""
    if found := _of_outcome(trajectory, asked):
        return found
    for number, turn in enumerate(trajectory.turns):
        if found := _of_turn(turn, asked):
            return f"{found} in turn {number}"
    return ""


def _of_outcome(trajectory: Trajectory, asked: wire.Asked) -> str:
    """As :func:`doubt`, of the end: the reward is 1 for a success and else 0, it comes with the last turn, and a fault has none."""
    outcome, turns = trajectory.outcome, trajectory.turns
    if not 0 <= outcome.retries <= asked.retries.limit:
        return f"{outcome.retries} retries, where {asked.retries.limit} were allowed"
    if any(x < 0 for x in trajectory.final_prompt_ids):
        return "a last prompt with a token id below 0"
    if outcome.faulted:
        return "" if math.isnan(outcome.reward) else f"the reward {outcome.reward:g} for a fault"
    if outcome.reward != float(outcome.success):
        return f"the reward {outcome.reward:g} for the outcome {outcome.kind}"
    if not turns:
        return f"the outcome {outcome.kind} without any turn"
    cut = outcome.kind == "truncated"
    ends = [(turn.reward, turn.terminated, turn.truncated) for turn in turns]
    if ends != [(0.0, False, False)] * (len(turns) - 1) + [(outcome.reward, not cut, cut)]:
        return f"turns whose rewards and ends do not lead to the outcome {outcome.kind}"
    return ""


def _of_turn(turn: Turn, asked: wire.Asked) -> str:
    """As :func:`doubt`, of one turn."""
    completion = turn.completion
    if turn.screenshot and not asked.pictures:
        return "a picture that nobody asked for"
    if not all(math.isfinite(x) and x >= 0 for x in (turn.times.policy_s, turn.times.browser_s)):
        return "times that no clock gives"
    if len(completion.behaviour_logprobs) != len(completion.action_ids):
        return f"{len(completion.behaviour_logprobs)} log-probabilities for {len(completion.action_ids)} tokens"
    if any(x < 0 for x in (*completion.prompt_ids, *completion.action_ids)):
        return "a token id below 0"
    if not all(math.isfinite(x) and x <= ABOVE_ZERO for x in completion.behaviour_logprobs):
        return "a log-probability that is none"
    if completion.origin is not None:
        return "a completion of another episode"
    if completion.policy_version < 0:
        return f"the policy's version {completion.policy_version}"
    return _of_gateway(completion, asked.policy.settings) if asked.policy.factory == wire.REMOTE_POLICY else ""


def _of_gateway(completion: Completion, settings: Mapping[str, Any]) -> str:
    """As :func:`doubt`, of a completion by a gateway: it is drawn as the handle says, from the weights that the handle names."""
    wanted, drawn = Sampling(**settings["sampling"]), completion.sampling
    if drawn is None or replace(drawn, max_tokens=wanted.max_tokens, grammar="") != wanted or drawn.max_tokens > wanted.max_tokens:
        return f"the sampling {drawn}, where {wanted} was asked for"
    if drawn.grammar and not settings.get("grammar"):
        return "a grammar that nobody asked for"
    if completion.policy_version != settings["version"] and (completion.action_ids or completion.policy_version):
        return f"the policy's version {completion.policy_version}, where {settings['version']} was asked for"
    return ""  # an answer of no token may say version 0, since no weights wrote it
