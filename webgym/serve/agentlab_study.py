"""AgentLab's studies over our tasks: `StudyArgs` in place of its `EnvArgs`, and a `Benchmark` of them. It wants AgentLab (0.4.2).

    from webgym.serve.agentlab_study import benchmark
    make_study(agent_args, benchmark(["mail.*"], seeds=range(5))).run(n_jobs=4)

A study may run its episodes in other processes, by joblib or Ray. What is pickled for them is :class:`StudyArgs`, which makes the task
known wherever it is unpickled.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentlab.experiments.loop import EnvArgs  # pyright: ignore[reportMissingImports]
from bgym import Benchmark, HighLevelActionSetArgs  # pyright: ignore[reportMissingImports]

import webgym
from webgym.packs import registry
from webgym.serve.agentlab import PREFIX, register

SUBSETS = ("chat", "infeas", "bid", "nav", "tab")
"""Subsets of BrowserGym's actions that an agent is told of; our parser reads their calls."""


@dataclass
class StudyArgs(EnvArgs):
    """Arguments of one episode. `source` is the name by which another process finds the task, such as the path of a task file."""

    source: str = ""

    def make_env(self, *arguments: Any, **others: Any) -> Any:
        """The environment, as AgentLab's own arguments make theirs."""
        register([self.source or self.task_name.removeprefix(PREFIX)])
        return super().make_env(*arguments, **others)


class WebGymBenchmark(Benchmark):
    """Episodes of our tasks."""

    def get_version(self) -> str:
        """The version that a study writes down."""
        return webgym.__version__


def benchmark(
    tasks: Iterable[str], seeds: Iterable[int], max_steps: int | None = None, *, name: str = "webgym", subsets: Iterable[str] = SUBSETS
) -> WebGymBenchmark:
    """A benchmark of each seed of each task (ids, sets, patterns or files). `max_steps` is a limit besides the tasks' own."""
    names = register(tasks)
    sources = {name: f"{file}#{task}" if (file := registry.file_of(task := name.removeprefix(PREFIX))) else "" for name in names}
    return WebGymBenchmark(
        name=name,
        high_level_action_set_args=HighLevelActionSetArgs(tuple(subsets), multiaction=False),
        is_multi_tab=True,
        supports_parallel_seeds=True,
        env_args_list=[
            StudyArgs(task_name=each, task_seed=seed, max_steps=max_steps, source=sources[each]) for seed in seeds for each in names
        ],
        backends=[],
    )


def results(study: Any) -> list[dict[str, Any]]:
    """Task, seed, reward, terminated, truncated and error of each episode of a study that has run; the reward is None for an error."""
    from agentlab.analyze.inspect_results import yield_all_exp_results  # pyright: ignore[reportMissingImports]

    found = []
    for each in yield_all_exp_results(savedir_base=Path(study.dir), progress_fn=None):
        ended = each.summary_info
        args = each.exp_args.env_args
        found.append(
            {
                "task": args.task_name.removeprefix(PREFIX),
                "seed": args.task_seed,
                "reward": None if ended.get("err_msg") else ended["cum_reward"],
                "terminated": ended.get("terminated"),
                "truncated": ended.get("truncated"),
                "error": ended.get("err_msg") or "",
            }
        )
    return sorted(found, key=lambda row: (row["task"], row["seed"]))
