"""Nodes that answer for the right key with what no honest collector plays: they are not asked any more, and nothing of it is kept."""

import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import numpy as np
import pytest

from tests.webgym.nodes.links import MODEL, RANDOM, Honest, LinkExecutor, ended, episode, keys, played
from webgym.errors import UsageError
from webgym.evaluation.assessment import model_free
from webgym.nodes import wire
from webgym.nodes.collector import FACTORIES
from webgym.nodes.doubt import doubt
from webgym.policies.scripted import RandomPolicy
from webgym.record.store import encode, png
from webgym.rollout.arena import Arena
from webgym.rollout.contract import PolicyHandle, Request
from webgym.types import EpisodeKey, Trajectory

Record = dict[str, Any]


class Changed(Honest):
    """A node whose trajectories are changed on their way."""

    def __init__(self, change: Callable[[Record], object]) -> None:
        super().__init__()
        self.change = change

    async def lines(self, asked: wire.Asked) -> AsyncGenerator[bytes, None]:
        for number, key in enumerate(asked.keys):
            first, second = ended(number, self.trajectory(EpisodeKey(*key)))
            record = json.loads(second)
            self.change(record)
            yield first
            yield json.dumps(record).encode()


def of_outcome(**changes: Any) -> Callable[[Record], object]:
    return lambda record: record["outcome"].update(changes)


def of_turn(**changes: Any) -> Callable[[Record], object]:
    return lambda record: record["turns"][0].update(changes)


def of_completion(**changes: Any) -> Callable[[Record], object]:
    return lambda record: record["turns"][0]["completion"].update(changes)


LIES = {
    "a reward that no judge gives": (of_outcome(reward=1e9), "the reward 1e\\+09 for the outcome success"),
    "a success without a reward": (of_outcome(reward=None), "the reward nan for the outcome success"),
    "a failure with a reward": (of_outcome(kind="failure"), "the reward 1 for the outcome failure"),
    "a fault with a reward": (of_outcome(kind="agent_caused"), "the reward 1 for a fault"),
    "another kind": (of_outcome(kind="won"), "expected an outcome of the kinds success, failure"),
    "fewer retries than none": (of_outcome(retries=-7), "-7 retries"),
    "more retries than allowed": (of_outcome(retries=9), "9 retries, where 3 were allowed"),
    "no turns": (lambda record: record.update(turns=[]), "the outcome success without any turn"),
    "a reward before the end": (of_turn(reward=1.0), "turns whose rewards and ends do not lead to the outcome success"),
    "two ends": (of_turn(terminated=True), "turns whose rewards and ends"),
    "a last prompt that is none": (lambda record: record.update(final_prompt_ids=[-1]), "a last prompt with a token id below 0"),
    "a picture": (of_turn(screenshot="../../secret"), "a picture that nobody asked for in turn 0"),
    "times": (of_turn(times=[None, 0.0]), "times that no clock gives"),
    "no log-probabilities": (of_completion(behaviour_logprobs=[]), "0 log-probabilities for 1 tokens"),
    "a log-probability above 0": (of_completion(behaviour_logprobs=[9.0]), "a log-probability that is none"),
    "a log-probability that is no number": (of_completion(behaviour_logprobs=[None]), "a log-probability that is none"),
    "a token id": (of_completion(action_ids=[-5]), "a token id below 0"),
    "an origin": (of_completion(origin=["a.b", 1, 1, 1, 1]), "a completion of another episode"),
    "a version in words": (of_completion(policy_version="seven"), "expected int, got str"),
    "another version": (of_completion(policy_version=3), "the policy's version 3, where 4 was asked for"),
    "greedy sampling": (of_completion(sampling=[1.0, 1.0, 0, 64, True]), "the sampling .*greedy=True.*, where .*greedy=False"),
    "no sampling": (of_completion(sampling=None), "the sampling None"),
    "sampling in words": (of_completion(sampling=[1.0, 1.0, 0, "many", False]), "expected int, got str"),
    "a grammar": (of_completion(sampling=[1.0, 1.0, 0, 64, False, "compact"]), "a grammar that nobody asked for"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_no_honest_collector_plays_is_thrown_away_and_its_node_with_it(lie: str) -> None:
    change, words = LIES[lie]
    with LinkExecutor({"liar": Changed(change)}) as nodes, pytest.raises(UsageError, match=words):
        played(nodes, keys(1), MODEL)
    with LinkExecutor({"liar": Changed(change), "honest": Honest(takes_s=0.01)}) as nodes:
        assert played(nodes, keys(4), MODEL) == [episode(key) for key in keys(4)]
        assert [x.state for x in nodes.health] == ["expelled", "well"]


def test_honest_trajectories_are_never_in_doubt() -> None:
    with Arena(1, backend="text") as arena:
        found = arena.collect(RandomPolicy(1), keys(4)) + arena.collect(model_free("oracle"), keys(4))
    asked = wire.Asked.of(wire.Terms.here("text", ()), Request(tuple(keys(1)), RANDOM), events=False)
    assert [doubt(x, asked) for x in found] == [""] * 8 and {x.outcome.kind for x in found} == {"truncated", "success"}
    model = wire.Asked.of(asked.terms, Request(tuple(keys(1)), MODEL), events=False)
    assert doubt(episode(keys(1)[0]), model) == doubt(episode(keys(1)[0], "fault"), model) == ""


def test_an_answer_of_no_token_says_no_version() -> None:
    def change(record: Record) -> None:
        record["turns"][0]["completion"].update(action_ids=[], behaviour_logprobs=[], policy_version=0)

    with LinkExecutor({"honest": Changed(change)}) as nodes:
        assert played(nodes, keys(1), MODEL)[0].turns[0].completion.policy_version == 0


class Pictured(Honest):
    """A node whose pictures are these bytes."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.content = content

    def trajectory(self, key: EpisodeKey) -> Trajectory:
        return episode(key, screenshot=wire.picture_name(self.content))

    async def picture(self, name: str) -> bytes:
        return self.content


@pytest.mark.parametrize("content", [b"garbage", png(np.zeros((4, 4, 3), np.uint8))[:30]], ids=["no picture", "a cut one"])
def test_a_picture_that_cannot_be_read_is_a_lie(content: bytes) -> None:
    well = Pictured(png(np.zeros((4, 4, 3), np.uint8)))
    with LinkExecutor({"liar": Pictured(content)}) as nodes, pytest.raises(UsageError, match="gave a picture that cannot be read"):
        played(nodes, keys(1), on_picture=lambda *_: "kept.png")
    with LinkExecutor({"liar": Pictured(content), "honest": well}) as nodes:
        found = played(nodes, keys(4), on_picture=lambda *_: "kept.png")
    assert all(x.turns[0].screenshot == "kept.png" for x in found)


def test_the_remote_policy_is_the_one_that_collectors_make() -> None:
    from trainers.rollouts.remote_policy import FACTORY

    assert FACTORY == wire.REMOTE_POLICY and FACTORY in FACTORIES
    handle = PolicyHandle(FACTORY, dict(MODEL.settings))
    assert handle == MODEL and b'"policy_version":4' in encode(episode(keys(1)[0]))
