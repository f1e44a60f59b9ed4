"""verifiers (v1, 0.4): our tasks as a taskset, whose environment plays the user of a conversation.

    pip install ./examples/verifiers
    vf-eval webgym_taskset --env.taskset.tasks wizard.h3 'mail.*' --env.taskset.seeds 20 -m MODEL --client.base-url URL

verifiers finds a taskset by the name of a module at top level, which the small package in `examples/verifiers` is. Each reply of the model
is an action, the next page comes back as the user's turn, and the end is the reward, with terminated and truncated as metrics. A fault
raises, which verifiers records as an error of the trace: no reward, and nothing to train on.
"""

from collections.abc import Iterator

import verifiers.v1 as vf  # pyright: ignore[reportMissingImports]
from pydantic import Field

from webgym.packs import sets
from webgym.prompts.prompt import system_text
from webgym.serve.client import Here


class WebGymData(vf.TaskData):
    """Data of a task: its id and the seed of its instance."""

    task: str
    seed: int


class WebGymConfig(vf.TasksetConfig):
    """Tasks (ids, sets or patterns), seeds of each from the split, and where they are played."""

    tasks: list[str] = Field(default_factory=lambda: ["default"])
    split: str = "train"
    seeds: int = 100
    backend: str = "browser"
    most: int = 400


class WebGymTask(vf.Task[WebGymData]):
    """A task; its environment scores it."""


class WebGymEnvConfig(vf.EnvConfig):
    """Configuration of the environment: the one agent that plays. It only answers, so that it needs no program and no sandbox."""

    player: vf.AgentConfig = vf.AgentConfig.model_validate({"harness": {"id": "null"}, "runtime": {"type": "subprocess"}})


class WebGymEnv(vf.Env[WebGymEnvConfig]):
    """One episode is one conversation."""

    async def run(self, task, agents) -> None:  # verifiers' own types
        """Play the episode. A Fault leaves the trace without a reward."""
        config = self.taskset.config
        session = Here(config.backend)
        try:
            turned = await session.begin_async(task.data.task, task.data.seed)
            async with agents.player.interaction(task) as interaction:
                segment = await interaction.turn(turned.observation.text(goal=True, most=config.most))
                while not segment.terminated:
                    turned = await session.act_async(segment.last_reply)
                    if turned.done:
                        break
                    segment = await interaction.turn(turned.observation.text(most=config.most))
            trace = interaction.trace
            if trace.has_error:
                return  # the agent's model or its harness failed: the trace says so, and has no reward
            trace.record_reward("success", float(turned.reward or 0.0))
            trace.record_metrics({"terminated": float(turned.terminated), "truncated": float(turned.truncated)})
        finally:
            await session.close_async()


class WebGymTaskset(vf.Taskset[WebGymTask, WebGymConfig]):
    """Each seed of each task."""

    def load(self) -> Iterator[WebGymTask]:
        """The tasks, the seeds taking turns."""
        config = self.config
        seeds = sets.seeds_of(config.split)[: config.seeds]  # type: ignore[arg-type]
        for seed in seeds:
            for task in sets.choose(config.tasks):
                data = WebGymData(name=f"{task}#{seed}", id=f"{task}#{seed}", system_prompt=system_text("call"), task=task, seed=seed)
                yield WebGymTask(data, config.task)


__all__ = ["WebGymEnv", "WebGymTaskset"]
