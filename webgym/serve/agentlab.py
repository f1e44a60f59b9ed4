"""AgentLab and BrowserGym's experiment loop: our tasks under `browsergym/webgym.` ids, played by their agents unchanged.

    names = register(["mail.*"])                           # then EnvArgs(task_name=names[0], task_seed=5), as for BrowserGym's own
    study = make_study(agent_args, agentlab_study.benchmark(["mail.*"], seeds=range(5)))      # webgym/serve/agentlab_study.py

The ids begin with `webgym.`, because BrowserGym's loop imports its own packages for names such as `miniwob...`. An agent's action set must
write BrowserGym's calls as text, which our parser reads; its mapping to Python is not used, because nothing that an agent writes is
executed. A fault raises: the loop records an error, not a reward. On tasks that end with an answer, a message to the user is the answer,
as in WebArena.
"""

import time
from collections.abc import Iterable
from typing import Any, SupportsFloat

import gymnasium as gym

from webgym.actions import parse, render
from webgym.browsergym import BrowserGymEnv
from webgym.errors import ConfigError
from webgym.packs import sets
from webgym.types import Message, Stop

PREFIX = "webgym."


class Chat:
    """The chat that the loop writes an agent's thoughts to."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def add_message(self, role: str, msg: str) -> None:
        """Keep a message."""
        self.messages.append({"role": role, "timestamp": time.time(), "message": msg})


class StudyEnv(BrowserGymEnv):
    """A task as BrowserGym's loop makes, steps and times it. Raises ConfigError for an argument that cannot be heeded."""

    def __init__(
        self,
        task_id: str,
        *,
        headless: bool = True,
        wait_for_user_message: bool = False,
        action_mapping: Any = None,
        use_raw_page_output: bool = False,
        max_turns: int | None = None,
        **others: Any,
    ) -> None:
        refused = [name for name, value in others.items() if value is not None]
        refused += ["wait_for_user_message"] * wait_for_user_message + ["use_raw_page_output"] * use_raw_page_output
        if refused:
            raise ConfigError(f"{task_id}: expected none of BrowserGym's {', '.join(refused)}, which these tasks have no place for")
        super().__init__(task_id, max_turns=max_turns, headless=headless)
        self.chat = Chat()

    def step(self, action: str) -> tuple[dict[str, Any], SupportsFloat, bool, bool, dict[str, Any]]:
        """Perform one action, given as text, with the times and the raw reward that the loop reads in the info."""
        begun = time.time()
        if self.task.ends == "stop" and isinstance(said := parse(action, "call"), Message):
            action = render(Stop(said.text), "call")
        observation, reward, terminated, truncated, info = super().step(action)
        info |= {"action_exec_start": begun, "action_exec_stop": time.time(), "action_exec_timeout": 0.0}
        return observation, reward, terminated, truncated, info | {"RAW_REWARD_GLOBAL": info["task_info"]["raw_reward"]}


def register(tasks: Iterable[str] = ("*",)) -> list[str]:
    """Make tasks (ids, sets or patterns) known to Gymnasium as `browsergym/webgym.<pack>.<task>`; the names without `browsergym/`."""
    names = []
    for task_id in sets.choose(tasks):
        names.append(PREFIX + task_id)
        if f"browsergym/{names[-1]}" not in gym.registry:
            gym.register(f"browsergym/{names[-1]}", entry_point="webgym.serve.agentlab:StudyEnv", kwargs={"task_id": task_id})
    return names


def env_args(tasks: Iterable[str], seeds: Iterable[int], max_steps: int | None = None) -> list[Any]:
    """BrowserGym's `EnvArgs` of each seed of each task. `max_steps` is a limit besides the tasks' own."""
    from browsergym.experiments.loop import EnvArgs  # pyright: ignore[reportMissingImports]

    names = register(tasks)
    return [EnvArgs(task_name=name, task_seed=seed, max_steps=max_steps) for seed in seeds for name in names]
