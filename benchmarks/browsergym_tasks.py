"""BrowserGym's own MiniWoB as tasks of ours: its environments, in its own Python, played by our executor and judged by its code.

    make browsergym-tasks
    python -m benchmarks.browsergym_tasks --python .venv-browsergym/bin/python [--tasks click-test enter-text] [--seeds 2] [--sessions 2]

Our oracles of the same MiniWoB++ tasks play, on the pages as BrowserGym shows them, and so does a policy that does nothing. Bars: every
oracle's episode ends in BrowserGym's reward 1, none of the idle one's does, no episode is a fault, and no process is left.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.browsergym import prepared
from webgym.authoring.suites.suite import name_of
from webgym.packs import registry
from webgym.policies.scripted import NoopPolicy, OraclePolicy
from webgym.rollout.arena import Arena
from webgym.rollout.contract import Deadlines
from webgym.types import EpisodeKey

TASKS = ("click-test", "click-test-2", "click-button", "click-link", "click-checkboxes", "click-dialog", "click-option", "click-tab",
         "choose-list", "enter-text", "focus-text")  # fmt: skip
"""Tasks whose things have names or words that both ways of reading a page show; text fields without a name are told apart by ours alone."""
RESET_S = 240.0


def suite(folder: Path, python: Path, tasks: list[str]) -> list[str]:
    """The ids of the tasks, from a suite's file that is written into the folder."""
    only = [f"miniwob-{task}" for task in tasks]
    settings = {"suite": "browsergym", "pack": "bg", "serve": [str(python)], "sites": prepared(python), "only": only, "max_turns": 15}
    (folder / "tasks.yaml").write_text(yaml.safe_dump(settings))
    return registry.load(folder, trust=True)


def main() -> None:
    """Play, print the table, and end with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, required=True, help="the Python that has BrowserGym with its MiniWoB")
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), help="MiniWoB tasks by BrowserGym's names")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--sessions", type=int, default=2)
    arguments = parser.parse_args()
    ours = {f"bg.miniwob-{name_of(task)}": f"miniwob.{task}" for task in arguments.tasks}
    with tempfile.TemporaryDirectory(prefix="webgym-browsergym-") as folder:
        ids = suite(Path(folder), arguments.python.absolute(), arguments.tasks)
        keys = [EpisodeKey(task_id, seed) for task_id in ids for seed in range(arguments.seeds)]
        with Arena(arguments.sessions) as arena:
            patience = Deadlines(reset_s=RESET_S, step_s=RESET_S)
            solved = arena.collect(OraclePolicy(lambda task_id: registry.task(ours[task_id])), keys, deadlines=patience)
            idle = arena.collect(NoopPolicy(), keys, deadlines=patience)
    missed = report(ids, solved, idle)
    print(
        "\n".join(missed) or f"met: {len(solved)} of {len(solved)} episodes of the oracles, none of {len(idle)} without an action, no fault"
    )
    raise SystemExit(bool(missed))


def report(ids: list[str], solved: Any, idle: Any) -> list[str]:
    """Print the table; the bars that were missed, in words."""
    table = Table("task", "oracle", "no-op", "turns of the oracle", title="BrowserGym's MiniWoB, played as tasks of ours")
    for task_id in ids:
        mine, others = ([x for x in many if x.key.task_id == task_id] for many in (solved, idle))
        rewards = " ".join(f"{x.outcome.kind}" for x in mine)
        table.add_row(task_id, rewards, " ".join(x.outcome.kind for x in others), " ".join(str(len(x)) for x in mine))
    Console(width=120).print(table)
    missed = [f"missed: {x.key.task_id}, seed {x.key.seed}: {x.outcome}" for x in solved if x.outcome.reward != 1.0]
    return missed + [f"missed, no-op: {x.key.task_id}, seed {x.key.seed}: {x.outcome}" for x in idle if x.outcome.reward != 0.0]


if __name__ == "__main__":
    main()
