"""Our tasks as BrowserGym's experiment loop plays them: made with its arguments, stepped with its texts, read by its keys."""

import gymnasium as gym
import pytest

from tests.webgym.serve.test_conformance import oracle
from webgym.authoring import starter
from webgym.env.core import AsyncWebEnv
from webgym.errors import BrowserFault, ConfigError
from webgym.packs import registry
from webgym.serve import agentlab

# As EnvArgs.make_env of browsergym-experiments 0.14.3 calls gym.make.
GIVEN = {
    "disable_env_checker": True, "max_episode_steps": None, "headless": True, "wait_for_user_message": False,
    "action_mapping": str, "use_raw_page_output": False,
}  # fmt: skip


@pytest.fixture
def env():
    (name,) = agentlab.register(["miniwob.click-test-2"])
    assert name == "webgym.miniwob.click-test-2"
    made = gym.make(f"browsergym/{name}", **GIVEN)
    yield made
    made.close()


def test_an_episode_of_the_loop(env, monkeypatch):
    observation, _ = env.reset(seed=3)
    assert {"axtree_object", "dom_object", "goal_object", "last_action_error", "screenshot"} <= set(observation)
    ref = next(n["browsergym_id"] for n in observation["axtree_object"]["nodes"] if n["name"]["value"] == "ONE")
    env.unwrapped.chat.add_message(role="assistant", msg="I click.")
    _, reward, terminated, truncated, info = env.step(f"click('{ref}')")
    assert (reward, terminated, truncated) == (1.0, True, False) and info["RAW_REWARD_GLOBAL"] == 1.0
    assert info["action_exec_stop"] - info["action_exec_timeout"] >= info["action_exec_start"]

    async def fails(self, *_):
        raise BrowserFault("the browser died")

    env.reset(seed=3)
    monkeypatch.setattr(AsyncWebEnv, "step", fails)
    with pytest.raises(BrowserFault):  # which the loop records as an error
        env.step(f"click('{ref}')")


def test_arguments_without_a_place_are_refused():
    agentlab.register(["miniwob.click-test"])
    with pytest.raises(ConfigError, match="BrowserGym's viewport, which these tasks have no place for"):
        gym.make("browsergym/webgym.miniwob.click-test", **GIVEN, viewport={"width": 500})


def test_a_message_is_the_answer_where_the_task_asks_for_one(tmp_path):
    """The task comes from a file, as one of the user's own does."""
    starter.create("agentcafe", tmp_path / "agentcafe")
    registry.load(tmp_path / "agentcafe")
    (name,) = agentlab.register(["agentcafe.price"])
    assert registry.task("agentcafe.price").ends == "stop"
    (answer,) = oracle("agentcafe.price", 3, "browser")
    env = gym.make(f"browsergym/{name}", **GIVEN)
    try:
        for action, earned in (("send_msg_to_user('I do not know')", 0.0), (answer.replace("stop(", "send_msg_to_user("), 1.0)):
            env.reset(seed=3)
            _, reward, terminated, truncated, _ = env.step(action)
            assert (reward, terminated, truncated) == (earned, True, False)
    finally:
        env.close()
        registry.forget("agentcafe.price")
        registry.forget("agentcafe.order")
