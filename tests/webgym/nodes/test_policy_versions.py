"""Collectors whose policy is another one than the trainer's are refused before the first episode, in one sentence."""

import pytest

from tests.webgym.nodes.collectors import collector
from webgym.errors import UsageError
from webgym.nodes import wire
from webgym.nodes.collector import Collector, Refusing
from webgym.nodes.executor import HttpExecutor, Limits
from webgym.packs import digests
from webgym.rollout.contract import PolicyHandle, Request
from webgym.rollout.executor import play_in_order
from webgym.types import group_keys

TASK = "wizard.h3"
KEYS = tuple(group_keys([(TASK, 0)], 1))
REMOTE = "trainers.rollouts.remote_policy:remote_policy"


def terms(factory: str, **versions: str) -> wire.Terms:
    found = wire.Terms.here("text", (TASK,), factory)
    return found.model_copy(update={"policy": {**found.policy, **versions}})


@pytest.fixture(scope="module")
def node() -> Collector:
    return Collector(1, backend="text")


def test_the_same_policy_is_welcome(node: Collector) -> None:
    assert set(terms(REMOTE).policy) == {"trainers", "jinja2", "tokenizers", "transformers"}
    assert node.greet(terms(REMOTE)).sessions == 1
    assert node.greet(terms("webgym.policies.scripted:RandomPolicy")).sessions == 1


@pytest.mark.parametrize("name", ["trainers", "jinja2", "tokenizers", "transformers"])
def test_another_version_of_what_makes_prompts_is_refused(node: Collector, name: str) -> None:
    words = rf"^the collector plays the policy with {name} [0-9a-f.]+, the trainer with 0\.0\.1: install the same one on both$"
    with pytest.raises(Refusing, match=words):
        node.greet(terms(REMOTE, **{name: "0.0.1"}))


def test_a_request_without_the_versions_of_its_policy_is_refused(node: Collector) -> None:
    asked = wire.Asked.of(wire.Terms.here("text", (TASK,)), Request(KEYS, PolicyHandle(REMOTE, {})), events=False)
    with pytest.raises(Refusing, match=r"names a policy of 'trainers\.rollouts\.remote_policy:remote_policy' and no version"):
        node.playing(asked)


def test_a_factory_that_is_not_on_the_list_is_refused_before_a_file_is_read(node: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "policy_of", lambda factory: pytest.fail("a file was read"))
    asked = wire.Terms(**{**wire.Terms.here("text", (TASK,)).model_dump(), "factory": "os:system", "policy": {"os": "1"}})
    with pytest.raises(Refusing, match="makes no policy by the factory 'os:system'"):
        node.greet(asked)


def test_a_trainer_names_the_policy_in_its_greeting(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = iter([{"tokenizers": "1"}, *[{"tokenizers": "2"}] * 9])
    monkeypatch.setattr(digests, "policy_of", lambda factory: next(versions))
    limits, words = Limits(silence_s=3.0, wait_s=10.0), "plays the policy with tokenizers 2, the trainer with 1"
    handle = PolicyHandle("webgym.policies.scripted:RandomPolicy", {"seed": 1})
    with (
        collector(1) as node,
        HttpExecutor([node.url], backend="text", limits=limits) as nodes,
        pytest.raises(UsageError, match=words),
    ):
        play_in_order(nodes, handle, list(KEYS))
