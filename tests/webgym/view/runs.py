"""Run folders for the viewer's tests, written by the store and in the trainer's formats."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from webgym.record.store import TrajectoryStore
from webgym.types import Completion, EpisodeKey, Outcome, OutcomeKind, Sampling, Times, Trajectory, Turn

CONFIG = """algo = "archer"
model = "webgym-tiny"
iterations = 10
groups = 5

[algorithm]
gamma = 0.9
lam = 0.8

[optim]
lr = {lr}
"""


def trajectory(
    key: EpisodeKey,
    rewards: Sequence[float],
    *,
    kind: OutcomeKind = "success",
    goal: str = "Press Pay.",
    actions: Sequence[str] = (),
    page: str = '[0] textbox "Name"\n[1] button "Pay"',
    url: str = "http://shop.localhost/",
    pictures: TrajectoryStore | None = None,
) -> Trajectory:
    """An episode of one turn per reward."""
    turns = []
    for number, reward in enumerate(rewards):
        action = actions[number] if actions else "click('1')"
        screenshot = ""
        if pictures is not None:
            pixels = np.random.default_rng([key.iteration, key.group, number]).integers(0, 256, (12, 16, 3), np.uint8)
            screenshot = pictures.save_screenshot(key, number, pixels.repeat(18, 0).repeat(20, 1))
        text = action or "I would rather not"
        completion = Completion(text, f"goal: {goal}\npage:\n{page}", (1, 2, 3), (7, 8), (-0.05, -2.0), Sampling(), key.iteration)
        error = "" if action else "this is no action"
        state, seen = f"s{number}-{'-'.join(actions[:number])}", f"o{number}-{'-'.join(actions[:number])}"
        turns.append(
            Turn(
                completion, action, error, reward, number == len(rewards) - 1, False, seen, state, url, page, screenshot,
                Times(0.2, 0.01), (20.0, 36.0, 80.0, 36.0) if action else None,
            )
        )  # fmt: skip
    reward = float("nan") if kind == "fault" else float(sum(rewards))
    return Trajectory(key, goal, tuple(turns), Outcome(kind, reward, message="the browser is gone" if kind == "fault" else ""), "end")


def run_folder(path: Path, iterations: int = 6, groups: int = 5, size: int = 4, *, pictures: bool = False, lr: float = 1e-4) -> Path:
    """A finished run of `archer` with values of a critic that learns, in the formats of trainers.runs.run_folder."""
    start(path, lr)
    for iteration in range(1, iterations + 1):
        add_iteration(path, iteration, groups, size, pictures=pictures)
    return path


def start(path: Path, lr: float = 1e-4) -> None:
    """A run that has not done anything yet."""
    (path / "trajectories").mkdir(parents=True)
    (path / "config.toml").write_text(CONFIG.format(lr=lr))
    about = {"algo": "archer", "seed": 3, "started": "2026-01-31T10:00:00+0000", "command": ["webgym"], "versions": {"torch": "2.13.0"}}
    (path / "run.json").write_text(json.dumps(about))


def add_iteration(path: Path, iteration: int, groups: int = 5, size: int = 4, *, pictures: bool = False) -> None:
    """One more iteration: its trajectories, its row of metrics, and values of the first iteration's episodes."""
    won = 0
    with TrajectoryStore(path / f"trajectories/iter-{iteration:06d}.jsonl") as store:
        for group in range(groups):
            for member in range(size):
                key = EpisodeKey(f"shop.task-{group % 7}", 40 + group, iteration, group, member)
                success = (iteration + group + member) % 3 == 0
                won += success
                store.append(
                    trajectory(
                        key,
                        [0.0, 0.0, float(success)],
                        kind="success" if success else "failure",
                        goal=f"Order number {group} of {iteration}.",
                        actions=["fill('0', 'ann')", "click('0')" if member % 2 else "", "click('1')"],
                        pictures=store if pictures else None,
                    )
                )
    rate = won / (groups * size)
    row = {
        "iteration": iteration, "rollout/episodes": groups * size, "rollout/success": rate, "rollout/success_low": max(0, rate - 0.1),
        "rollout/success_high": min(1, rate + 0.1), "rollout/return": rate, "rollout/turns": 3.0, "rollout/faults": 0,
        "rollout/invalid": 0.1, "rollout/retries": 0, "critic/held_out_ev": 0.1 * iteration, "loss/entropy": 1 / iteration,
        "loss/kl_to_behaviour": 0.002, "loss/clip_fraction": 0.01, "optim/grad_norm": None, "time/iteration_s": 5.0,
        "time/collect_s": 3.0, "time/critic_s": 1.0, "time/update_s": 1.0,
    }  # fmt: skip
    _append(path / "metrics.jsonl", row)
    for group in range(min(groups, 3)):
        value = {
            "iteration": iteration, "policy_version": iteration, "task_id": f"shop.task-{group % 7}", "seed": 40 + group, "group": group,
            "member": 0, "trajectory_iteration": 1, "values": [0.3, 0.3 + 0.1 * iteration / 6, 0.3 + 0.4 * iteration / 6], "reward": 1.0,
        }  # fmt: skip
        _append(path / "values.jsonl", value)


def add_truth(path: Path) -> None:
    """Measured values of the first episode, its middle turn not asked for."""
    row = {
        "iteration": 6, "task_id": "shop.task-0", "seed": 40, "group": 0, "member": 0, "trajectory_iteration": 1, "continuations": 32,
        "values": [0.25, None, 0.75], "standard_errors": [0.05, None, 0.05], "advantages": [0.5, None, -0.25],
        "advantage_standard_errors": [0.1, None, 0.1], "exact": None, "reward": 1.0,
    }  # fmt: skip
    _append(path / "truth.jsonl", row)


def _append(path: Path, row: dict) -> None:
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
