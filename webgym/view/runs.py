"""Runs as the viewer sees them: configuration, curves, values and episodes of each, read from disk and never written.

Everything is read with patience, because a run may be empty, may be written to at this moment, or may hold a damaged line. Problems
are listed in `problems` and the rest is shown.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from webgym.errors import UsageError, did_you_mean
from webgym.evaluation.statistics import wilson
from webgym.record import layout, live, notes
from webgym.record.episodes import Episode, Episodes
from webgym.record.lines import Records
from webgym.record.whole import plain, read_json, read_small
from webgym.types import Trajectory, Turn, digest
from webgym.view.tokens import Tokens

TEXT = 60_000  # characters of a page or a prompt that the episode page is sent; the rest can be had as plain text

Probe = tuple[str, int, int, int, int]
"""task, seed, iteration, group and member: names a trajectory of a run in values.jsonl and truth.jsonl."""


class Run:
    """One run folder, or one trajectory file with nothing beside it."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.folder = path if path.is_dir() else path.parent
        self.episodes = Episodes(path if path.is_file() else _trajectories(path))
        self._metrics = Records(self.folder / layout.METRICS)
        self._values = Records(self.folder / layout.VALUES)
        self._truth = Records(self.folder / layout.TRUTH)

    @cached_property
    def about(self) -> dict[str, Any]:
        """The content of run.json; {} without one."""
        try:
            found = read_json(self.folder / layout.ABOUT)
        except (OSError, ValueError):
            return {}
        return plain(found) if isinstance(found, dict) else {}

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration; {} without one."""
        try:
            return plain(tomllib.loads(read_small(self.folder / layout.CONFIG).decode("utf-8")))
        except (OSError, ValueError, RecursionError):
            return {}

    @cached_property
    def tokens(self) -> Tokens:
        """The run's token ids as text, by its policy's tokenizer."""
        return Tokens.of(self.folder)

    def refresh(self) -> None:
        """Look for what was written since."""
        self.episodes.refresh()
        self._metrics.refresh()

    # --- what the pages show ---------------------------------------------------------------------------------------------------

    def card(self) -> dict[str, Any]:
        """A line in the list of runs. Runs of one `family` differ in their seed only."""
        every = self._metrics.refresh()
        rows = [row for row in every if "rollout/success" in row]
        note, tasks = notes.read(self.folder), self.config.get("tasks", [])
        return {
            "name": self.name,
            "algo": _words(self.about.get("algo")),
            "seed": self.about["seed"] if _is_number(self.about.get("seed")) else None,
            "family": self.family,
            "model": str(self.config.get("model", "")),
            "tasks": ", ".join(map(str, tasks)) if isinstance(tasks, list) else str(tasks),
            "started": _words(self.about.get("started")),
            "iterations": len(rows),
            "turns": next((row["rollout/turns_total"] for row in reversed(rows) if _is_number(row.get("rollout/turns_total"))), None),
            "seconds": sum(row["time/iteration_s"] for row in rows if _is_number(row.get("time/iteration_s"))),
            "success": [row["rollout/success"] for row in rows if _is_number(row["rollout/success"])],
            "held_out": held_out(every),
            "note": note.text,
            "tags": list(note.tags),
            **_life(self.folder),
        }

    @cached_property
    def family(self) -> str:
        """A short name of the configuration without its seed; "" where there is none."""
        rest = {key: value for key, value in self.config.items() if key != "seed"}
        return digest({"algo": self.about.get("algo", ""), **rest})[:12] if rest else ""

    def pulse(self) -> dict[str, Any]:
        """Numbers that change with everything new to show."""
        self.refresh()
        now = live.read(self.folder)
        return {
            "rows": len(self._metrics.rows),
            "episodes": len(self.episodes),
            "phase": now["phase"] if now else "",
            "iteration": now["iteration"] if now else 0,
            **_life(self.folder),
        }

    def overview(self) -> dict[str, Any]:
        """The run page but for its task table."""
        self.refresh()
        rows = self._metrics.rows
        training = [row for row in rows if not any(key.startswith("eval/") for key in row) and _is_number(row.get("iteration"))]
        names = sorted({key for row in training for key, value in row.items() if _is_number(value)} - {"iteration"})
        return {
            "name": self.name,
            "family": self.family,
            "about": {key: value for key, value in self.about.items() if key != "metrics"},
            "glossary": {name: _words(what) for name, what in _table(self.about.get("metrics")).items()},
            "note": asdict(notes.read(self.folder)),
            "config": self.config,
            "iterations": [row["iteration"] for row in training],
            "metrics": {name: [row.get(name) if _is_number(row.get(name)) else None for row in training] for name in names},
            "evaluations": [row for row in rows if any(key.startswith("eval/") for key in row)],
            "held_out": held_out(rows),
            "episodes": len(self.episodes),
            "problems": self._metrics.problems + self.episodes.problems + self._values.problems + self._truth.problems,
            "pulse": self.pulse(),
        }

    def tasks(self) -> list[dict[str, Any]]:
        """The task table: success over the run, in its first and in its last third, and by iteration."""
        self.episodes.refresh()
        found: dict[str, list[Episode]] = {}
        for episode in self.episodes:
            found.setdefault(episode.task_id, []).append(episode)
        iterations = sorted({episode.iteration for table in found.values() for episode in table})
        third = max(1, len(iterations) // 3)
        first, last = set(iterations[:third]), set(iterations[-third:])
        return [_task_row(task, found[task], iterations, first, last) for task in sorted(found)]

    def episode(self, name: str, number: int, text_limit: int = TEXT) -> dict[str, Any]:
        """The episode page, its long texts cut. Raises KeyError."""
        episode = self._find(name, number)
        before, after = self.episodes.neighbours(episode)
        algorithm = _table(self.config.get("algorithm"))
        return {
            **self._whole(episode, self.episodes.load(episode), text_limit),
            "siblings": [_brief(x, whole) for x, whole in self._loaded(self.episodes.siblings(episode))],
            "values": self._of_probe(self._values.refresh(), episode),
            "truth": self._of_probe(self._truth.refresh(), episode),
            "used": self._used(episode),
            "gamma": algorithm.get("gamma", 0.99),
            "lam": algorithm.get("lam", 0.95),
            "algo": _words(self.about.get("algo")),
            "before": before,
            "after": after,
        }

    def group(self, name: str, number: int) -> dict[str, Any]:
        """The group page: every sibling of the episode that can be read, turn by turn. Raises KeyError."""
        episode = self._find(name, number)
        values = self._values.refresh()
        members = [
            {**self._whole(x, whole, text_limit=0), "values": self._of_probe(values, x)[-1:]}
            for x, whole in self._loaded(self.episodes.siblings(episode))
        ]
        return {"id": episode.id, "members": members}

    def readable(self, episodes: Iterable[Episode]) -> list[Episode]:
        """Those of the episodes whose lines are whole: the list reads no more of a line than its beginning."""
        return [episode for episode, _ in self._loaded(episodes)]

    def _loaded(self, episodes: Iterable[Episode]) -> Iterator[tuple[Episode, Trajectory]]:
        """The episodes with their trajectories, without those whose lines are damaged: such a line costs itself."""
        for episode in episodes:
            try:
                yield episode, self.episodes.load(episode)
            except KeyError:
                continue

    def text(self, name: str, number: int, turn: int, part: str) -> str:
        """The whole text of a turn: page, prompt or text (the completion). Raises KeyError."""
        turns = self.episodes.load(self._find(name, number)).turns
        if not 0 <= turn < len(turns):
            raise KeyError(f"{name}/{number} has no turn {turn}")
        it = turns[turn]
        return {"page": it.page, "prompt": it.completion.prompt, "text": it.completion.text}[part]

    def _find(self, name: str, number: int) -> Episode:
        """The episode of this address, which may have been written just now. Raises KeyError."""
        self.episodes.refresh()
        return self.episodes.find(name, number)

    def _whole(self, episode: Episode, trajectory: Trajectory, text_limit: int) -> dict[str, Any]:
        """A trajectory as the pages want it; long texts are cut to `text_limit`, with their whole length beside them."""
        turns = []
        for turn in trajectory.turns:
            completion = turn.completion
            turns.append(
                {
                    "action": turn.action,
                    "thing": thing(turn),
                    "error": turn.error,
                    "reward": _finite(turn.reward),
                    "url": turn.url,
                    "page": _cut(turn.page, text_limit),
                    "prompt": _cut(completion.prompt, text_limit),
                    "text": _cut(completion.text, max(text_limit, 400)),
                    "tokens": self.tokens.pieces(completion.action_ids) if text_limit else [],
                    "logprobs": [_finite(x) for x in completion.behaviour_logprobs],
                    "prompt_tokens": len(completion.prompt_ids),
                    "version": completion.policy_version,
                    "screenshot": turn.screenshot if self.episodes.picture(turn.screenshot) else "",
                    "box": turn.box,
                    "policy_s": turn.times.policy_s,
                    "browser_s": turn.times.browser_s,
                    "state": turn.state_hash,
                    "observation": turn.observation_hash,
                    "copied": turn.copied,
                }
            )
        outcome = trajectory.outcome
        return {
            **episode.to_json(),
            "goal": trajectory.goal,
            "message": outcome.message,
            "raw_reward": _finite(outcome.raw_reward),
            "forked_at": trajectory.forked_at,
            "retries": outcome.retries,
            "final": trajectory.final_hash,
            "turns": turns,
        }

    def _of_probe(self, rows: Iterable[dict[str, Any]], episode: Episode) -> list[dict[str, Any]]:
        """The rows that speak of this episode, by iteration of the checkpoint."""
        probe = (episode.task_id, episode.seed, episode.iteration, episode.group, episode.member)
        return sorted(
            (row for row in rows if _probe(row) == probe), key=lambda row: row["iteration"] if _is_number(row.get("iteration")) else 0
        )

    def _used(self, episode: Episode) -> dict[str, Any] | None:
        """V(s_t) and the advantages that the episode was trained with in its own iteration; None where none were written."""
        rows = Records(layout.credit_file(self.folder, episode.iteration)).refresh()
        return next(iter(self._of_probe(rows, episode)), None)

    def probed(self) -> list[dict[str, Any]]:
        """The episodes that values.jsonl or truth.jsonl speaks of."""
        self.episodes.refresh()
        named = {_probe(row) for row in (*self._values.refresh(), *self._truth.refresh())}
        return [x.to_json() for x in self.episodes if (x.task_id, x.seed, x.iteration, x.group, x.member) in named]


class Library:
    """The runs that can be chosen from; `focus` is the one that was asked for, "" where it was a folder of several."""

    def __init__(self, runs: Sequence[Run], focus: str = "") -> None:
        self.runs = {run.name: run for run in runs}
        self.focus = focus

    @classmethod
    def open(cls, path: Path | str) -> "Library":
        """The runs at `path`: a run folder (its neighbours can be laid over it), a folder of run folders, or a trajectory file.

        Raises UsageError where there is none of these.
        """
        path = Path(path)
        if path.is_file() and path.suffix == ".jsonl":
            return cls([Run(path.resolve(), path.stem)], path.stem)
        path = path.resolve()
        if path.is_file():
            raise UsageError(f"{path} is a file: expected a run folder, a folder of run folders, or a file of trajectories (.jsonl)")
        if not path.is_dir():
            near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            raise UsageError(f"there is no run folder {path}{did_you_mean(path.name, near)}")
        if _is_run(path):
            neighbours = [x for x in _run_folders(path.parent) if x != path]
            return cls([Run(x, x.name) for x in (path, *neighbours)], path.name)
        folders = _run_folders(path)
        if not folders:
            raise UsageError(
                f"{path} holds no run: expected a folder written by `webgym train`, a folder of such folders, or a file of trajectories"
            )
        return cls([Run(x, x.name) for x in folders], folders[0].name if len(folders) == 1 else "")

    def run(self, name: str) -> Run:
        """The run of this name. Raises KeyError."""
        return self.runs[name]


def held_out(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Success on seeds that are not trained on: the newest evaluation, beside the first of the same split. None before any."""
    found = [row for row in rows if _is_number(row.get("eval/success"))]
    if not found:
        return None
    tests = [row for row in found if row.get("eval/split") == "test"]
    newest = found[-1] if len(tests) < 2 else tests[-1]
    first = next(row for row in found if row.get("eval/split") == newest.get("eval/split"))
    return {
        "success": newest["eval/success"],
        "split": newest.get("eval/split", ""),
        "iteration": newest.get("iteration"),
        "before": first["eval/success"] if first is not newest else None,
    }


def _life(folder: Path) -> dict[str, bool]:
    """`lives` while a trainer writes to the run; `gone` where one did and has not said that the run is over."""
    now = live.read(folder)
    return {"lives": bool(now and now["lives"]), "gone": bool(now and not now["lives"] and now.get("phase") != "over")}


def _trajectories(folder: Path) -> Path:
    """The folder of a run's trajectories: `trajectories/`, or (demonstrations) the folder itself."""
    inside = folder / layout.TRAJECTORIES
    return inside if inside.is_dir() or layout.is_run(folder) else folder


def _is_run(path: Path) -> bool:
    return layout.is_run(path) or (path / layout.TRAJECTORIES).is_dir() or (path / layout.DEMOS).is_file()


def _run_folders(folder: Path) -> list[Path]:
    """The run folders in it, the newest first; links (`latest`) are no runs of their own."""
    found = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink() and _is_run(path)]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _task_row(task: str, episodes: list[Episode], iterations: list[int], first: set[int], last: set[int]) -> dict[str, Any]:
    counted = [x for x in episodes if x.kind != "fault"]  # a crash that the agent caused is no success, as in every evaluation
    wins = sum(x.kind == "success" for x in counted)
    interval = wilson(wins, len(counted))
    early, late = _rate(x for x in counted if x.iteration in first), _rate(x for x in counted if x.iteration in last)
    return {
        "task": task,
        "episodes": len(episodes),
        "faults": len(episodes) - len(counted),
        "success": wins / len(counted) if counted else None,
        "low": interval.low,
        "high": interval.high,
        "first": early,
        "last": late,
        "change": None if early is None or late is None or first & last else late - early,
        "turns": sum(x.turns for x in counted) / len(counted) if counted else None,
        "trend": [_rate(x for x in counted if x.iteration == i) for i in iterations],
    }


def _rate(episodes: Iterable[Episode]) -> float | None:
    wins = [x.kind == "success" for x in episodes]
    return sum(wins) / len(wins) if wins else None


_REF = re.compile(r"\A\w+\('(\d+)'")


def thing(turn: Turn) -> str:
    """The thing that a turn's action touched, as the page names it; "" for an action that touched none.

    Of a turn recorded before targets were, the page is searched for it, where pages were kept.

    >>> from dataclasses import replace
    >>> from webgym.types import Completion, Node
    >>> before = Turn(Completion("click #4"), "click('4')", "", 0.0, False, False, "", "")
    >>> thing(replace(before, target=Node("button", "Pay now", ref=4, states=("focused",))))
    'button "Pay now"'
    >>> thing(replace(before, page='[3] link "Help"\\n  [4] button "Pay now" (focused)'))
    'button "Pay now"'
    """
    if turn.target is not None:
        return f'{turn.target.role} "{turn.target.text}"'[:120]
    ref = _REF.match(turn.action)
    line = ref and re.search(rf"^ *\[{ref[1]}\] (.{{0,120}})", turn.page, re.MULTILINE)
    return re.sub(r'(?<=") (?:value=|\().*', "", line[1]) if line else ""


def _brief(episode: Episode, trajectory: Trajectory) -> dict[str, Any]:
    rewards = [_finite(turn.reward) for turn in trajectory.turns]
    return {"id": episode.id, "member": episode.member, "kind": episode.kind, "rewards": rewards}


def _probe(row: dict[str, Any]) -> Probe | None:
    task_id, *numbers = (row.get(name) for name in ("task_id", "seed", "trajectory_iteration", "group", "member"))
    if not isinstance(task_id, str) or not all(type(number) is int for number in numbers):
        return None
    seed, iteration, group, member = (int(row[name]) for name in ("seed", "trajectory_iteration", "group", "member"))
    return task_id, seed, iteration, group, member


def _cut(text: str, limit: int) -> dict[str, Any]:
    text = text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate, which an agent can write, is no JSON for a browser
    return {"text": text[:limit], "chars": len(text)}


def _words(value: Any) -> str:
    """A text of a file as it is; another value as text."""
    return value if isinstance(value, str) else "" if value is None else str(value)[:200]


def _table(value: Any) -> dict[str, Any]:
    """A table of a file; an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _finite(value: float) -> float | None:
    return value if value == value and abs(value) != float("inf") else None
