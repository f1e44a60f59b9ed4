"""Our tasks as BrowserGym's experiment loop plays them: made with its arguments, stepped with its texts, read by its keys."""

import gymnasium as gym
import pytest

from webgym.env.core import AsyncWebEnv
from webgym.errors import BrowserFault, ConfigError
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
