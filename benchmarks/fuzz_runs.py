"""Fuzzing of the files of a run that a stranger hands over: what the viewer, `webgym watch` and a trainer make of them.

One file of a good run is changed: by its values (a number becomes a list, a text a table, a list a hundred lists in each other), then by
its letters. Every page of the viewer must have an answer in JSON, the terminal a picture, and a trainer an error of its own kind.
"""

# ruff: noqa: E501
import io
import json
import math
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from trainers.runs.checkpoint import Checkpoint, _digest_of_json
from trainers.runs.run_folder import RunFolder
from webgym.commands.console import PlainConsole
from webgym.errors import CheckpointError, ConfigError
from webgym.record import layout, live, notes
from webgym.record.live import Monitor
from webgym.record.notes import Note
from webgym.record.store import TrajectoryStore
from webgym.types import Completion, EpisodeKey, Outcome, Trajectory, Turn
from webgym.view.app import answered
from webgym.view.runs import Library
from webgym.view.terminal import picture

CREDITED, PLAYED = (str(file(Path(), 1)) for file in (layout.credit_file, layout.trajectory_file))
DEEP = "a place for something deep"
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**70, 1e308, math.nan, math.inf, "", "\ud800", "<img src=x onerror=alert(1)>", "../../x", "a\0b", "x" * 5000, [], {}, [[]],
    {"a": {}}, [1, "a", None], DEEP, "1e999", "[/bold]", "\x1b[2J",
)  # fmt: skip
ROW = {
    "task_id": "a.b",
    "seed": 1,
    "trajectory_iteration": 1,
    "group": 0,
    "member": 0,
    "iteration": 1,
    "values": [0.5],
    "advantages": [0.1],
}
ABOUT = {"format": 1, "algo": "grpo", "seed": 3, "started": "2026-01-31T10:00:00+0000", "command": ["webgym"], "versions": {"torch": "2"},
         "metrics": {"rollout/success": "share"}}  # fmt: skip
METRICS = {
    "iteration": 1,
    "rollout/success": 0.5,
    "rollout/turns_total": 9,
    "time/iteration_s": 1.5,
    "eval/success": 0.4,
    "eval/split": "test",
}
CONFIG = 'algo = "grpo"\nmodel = "webgym-tiny"\ntasks = ["a.b"]\nlength.iterations = 3\n[algorithm]\ngamma = 0.9\n'


def run_folder(folder: Path) -> Path:
    """A good run with one episode and a checkpoint."""
    path = folder / "run"
    (path / layout.TRAJECTORIES).mkdir(parents=True)
    (path / layout.CREDIT).mkdir()
    (path / layout.CONFIG).write_text(CONFIG)
    for name, row in ((layout.METRICS, METRICS), (layout.VALUES, ROW), (layout.TRUTH, ROW), (CREDITED, ROW)):
        (path / name).write_text(json.dumps(row) + "\n")
    (path / layout.ABOUT).write_text(json.dumps(ABOUT))
    notes.write(path, Note("good", ("base",)))
    with Monitor(path / layout.LIVE, 2) as monitor:
        monitor.phase("collecting", 1)
    with TrajectoryStore(layout.trajectory_file(path, 1)) as store:
        turn = Turn(Completion("click #0", "goal: x", (1,), (2,), (-0.5,)), "click('0')", "", 0.0, True, False, "h", "s", page="[0] button")
        store.append(Trajectory(EpisodeKey("a.b", 1, 1, 0, 0), "Press.", (turn,), Outcome("failure", 0.0)))
    checkpoint = path / layout.CHECKPOINTS / layout.iteration_name(1)
    checkpoint.mkdir(parents=True)
    (checkpoint / "a").write_text("a")
    return path


def spoiled(seeds: Sequence[str], rng: random.Random) -> str:
    """A JSON text of which a few values are others, and sometimes a few letters."""
    value = json.loads(rng.choice(seeds))
    for _ in range(rng.randrange(1, 4)):
        places = list(_places(value))
        if not places:
            break
        inside, key = rng.choice(places)
        inside[key] = deepcopy(rng.choice(VALUES))  # a list among them may be spoiled next
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=rng.random() < 0.5)
    deep = rng.choice((60, 900, 5000))
    text = text.replace(f'"{DEEP}"', "[" * deep + "]" * deep)
    if rng.random() < 0.2:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(("", "\0", "}", "[", '"', "\n", "\ud800")) + text[at + rng.randrange(3) :]
    return text + rng.choice(("\n", "\n", ""))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every entry of a value's tables and lists, as (table or list, key)."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(inside):
        yield value, key
        yield from _places(item)


def shown(path: Path) -> str:
    """What the viewer or `webgym watch` cannot show of a run, in words."""
    run = Library.open(path).run("run")
    pages: dict[str, Callable[[], Any]] = {
        "card": run.card, "overview": run.overview, "pulse": run.pulse, "tasks": run.tasks, "probed": run.probed,
        "live": lambda: live.read(path), "episode": lambda: run.episode(layout.iteration_name(1), 1), "group": lambda: run.group(layout.iteration_name(1), 1),
        "list": run.episodes.query,
    }  # fmt: skip
    for name, page in pages.items():
        try:
            answered(page())
        except KeyError:  # 404: there is no such episode
            continue
        except Exception as error:
            return f"the page {name}: {type(error).__name__}: {str(error)[:100]}"
    card = run.card()
    if wrong := [name for name in ("algo", "started", "model", "tasks", "note") if not isinstance(card[name], str)]:
        return f"the card's {wrong[0]} is no text"
    PlainConsole(file=io.TextIOWrapper(io.BytesIO(), "utf-8"), width=100).print(picture(run, 100, 1e9))
    return ""


def trained(path: Path) -> str:
    """What a trainer that goes on from a run takes, or breaks at, in words."""
    try:
        with RunFolder.open(path, write=False) as run:
            run.checkpoints()
            list(run.metrics)
    except (CheckpointError, ConfigError):
        return ""
    return "" if isinstance(run.seed, int) and isinstance(run.algo, str) else "a seed or an algorithm of another kind"


def reader(name: str) -> tuple[str, Callable[[str], str]]:
    """The good text of a run's file, and what is wrong with what is made of another one."""
    top = tempfile.TemporaryDirectory(prefix="webgym-fuzz-")
    path = run_folder(Path(top.name))
    file = path / name
    good = file.read_text()

    def wrong(text: str) -> str:
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        return shown(path) or (trained(path) if name in (layout.ABOUT, layout.CONFIG, layout.METRICS) else "")

    wrong.folder = top  # type: ignore[attr-defined]  # it lives as long as the target
    return good, wrong


def manifest() -> tuple[str, Callable[[str], str]]:
    """A good manifest without its digest, and what is wrong with what is made of another one whose digest is right."""
    top = tempfile.TemporaryDirectory(prefix="webgym-fuzz-")
    path = run_folder(Path(top.name))
    file = path / layout.CHECKPOINTS / layout.iteration_name(1) / layout.MANIFEST
    good = json.dumps({"format": 1, "iteration": 1, "score": 0.5, "files": {"a": {"bytes": 1, "blake2b": "00"}}})

    def wrong(text: str) -> str:
        try:
            value = json.loads(text)
            value["digest"] = _digest_of_json(value)
            text = json.dumps(value)
        except (ValueError, RecursionError, TypeError):
            pass
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            checkpoint = Checkpoint.open(file.parent)
            checkpoint.verify()
        except CheckpointError:
            return ""
        found = json.loads(text)["files"]
        return "a file elsewhere is read" if any(".." in name or name.startswith("/") for name in found) else ""

    wrong.folder = top  # type: ignore[attr-defined]
    return good, wrong


JSON_FILES = (layout.ABOUT, layout.LIVE, layout.NOTE, layout.METRICS, layout.VALUES, layout.TRUTH, CREDITED,
              PLAYED)  # fmt: skip
