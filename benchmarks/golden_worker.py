"""Half of `benchmarks/golden.py`: plays one episode of every task with the modules of one tree, and writes down all that was seen.

    PYTHONPATH=TREE python -P benchmarks/golden_worker.py TREE FOLDER

Oracles play where a task has one, a random policy plays the others; tasks with plain pages are played on the text twin too. A module
is looked for where it is now, then where the tree before kept it.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

SEED = 2_000_003
"""One of the test seeds."""
SESSIONS = 4
HOMES = {
    "task_ids": ("webgym.packs.registry", "webgym.registry"),
    "task": ("webgym.packs.registry", "webgym.registry"),
    "sites_of": ("webgym.packs.registry", "webgym.registry"),
    "OraclePolicy": ("webgym.policies.scripted", "webgym.policy"),
    "RandomPolicy": ("webgym.policies.scripted", "webgym.policy"),
    "Arena": ("webgym.rollout.arena", "webgym.arena"),
    "TrajectoryStore": ("webgym.record.store", "webgym.store"),
    "EpisodeKey": ("webgym.types",),
}
"""The modules that have each name, the newest first."""


def found(name: str) -> Any:
    """What has this name in the tree. Raises ModuleNotFoundError where none of its modules is there."""
    for home in HOMES[name]:
        try:
            return getattr(importlib.import_module(home), name)
        except ModuleNotFoundError as error:
            if not home.startswith(error.name or "?"):  # the module is there, and lacks one itself
                raise
    raise ModuleNotFoundError(f"{name} is in none of {', '.join(HOMES[name])}")


def why_no_twin() -> Any:
    """The function of a task and its sites that is "" for what the text twin can play."""
    try:
        return importlib.import_module("webgym.backends.text").BACKEND.can_play
    except ModuleNotFoundError:
        return importlib.import_module("webgym.text.session").why_no_twin


def installed(task_ids: list[str]) -> list[str]:
    """Those that can be played here: the applications of the others are not installed."""
    try:
        return list(importlib.import_module("webgym.packs.applications").playable(task_ids)[0])
    except ModuleNotFoundError:
        return task_ids  # the tree has no applications


def play(folder: Path) -> None:
    """One file of trajectories for each backend and policy."""
    task, key = found("task"), found("EpisodeKey")
    tasks = [task(task_id) for task_id in installed(found("task_ids")())]
    with_oracle = [x.id for x in tasks if x.oracle is not None]
    others = [x.id for x in tasks if x.oracle is None]
    reason = why_no_twin()
    plain = [x.id for x in tasks if x.oracle is not None and not reason(x, found("sites_of")(x))]
    oracle, random = found("OraclePolicy")(task), found("RandomPolicy")(0)
    for backend, games in {
        "browser": {"oracle": (oracle, with_oracle), "random": (random, others)},
        "text": {"oracle": (oracle, plain), "random": (random, plain)},
    }.items():
        with found("Arena")(SESSIONS, backend=backend) as arena:
            for name, (policy, ids) in games.items():
                with found("TrajectoryStore")(folder / f"{backend}-{name}.jsonl") as store:
                    for trajectory in arena.collect(policy, [key(task_id, SEED) for task_id in ids]):
                        store.append(trajectory)


def main() -> None:
    tree, folder = map(Path, sys.argv[1:])
    webgym = importlib.import_module("webgym")
    if not Path(str(webgym.__file__)).resolve().is_relative_to(tree.resolve()):
        raise SystemExit(f"expected the webgym of {tree}, got {webgym.__file__}")
    play(folder)


if __name__ == "__main__":
    main()
