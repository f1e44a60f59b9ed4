"""Every place of webgym/ and trainers/ that writes a file is listed, with what a full disk makes of it, and played on a disk that is full.

The disk is a tmpfs of half a megabyte that is filled to the last byte, so that the error is the system's own.
"""

import ast
import asyncio
import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.chaos import small_disk
from trainers.runs.disk import disk_errors, replace_files
from trainers.runs.run_folder import RunFolder
from trainers.training.display import Lines, Logged
from webgym import trust
from webgym.authoring import consent
from webgym.commands import play
from webgym.env.core import AsyncWebEnv, system_errors
from webgym.errors import CheckpointError, DiskFault, UsageError
from webgym.evaluation.kept import KeptEpisodes
from webgym.packs import registry
from webgym.prompts.settings import COMPACT
from webgym.record import layout
from webgym.record.live import Monitor
from webgym.record.notes import Note
from webgym.record.notes import write as write_note
from webgym.record.store import TrajectoryStore, load
from webgym.record.whole import append_line, replace_text
from webgym.types import Completion, EpisodeKey, Outcome, Trajectory, Turn
from webgym.view.export import export

ROOT = Path(__file__).parents[1]
TURN = Turn(Completion("click #0", "p" * 9000, (1,), (2,), (-0.5,)), "click('0')", "", 0.0, True, False, "h", "s", page="[0] button")
LONG = Trajectory(EpisodeKey("miniwob.click-button", 1, 1, 0, 0), "Press.", (TURN,), Outcome("success", 1.0))
BIG = "x" * 9000
NOISE = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)

WRITERS = {
    # A trainer's own files: CheckpointError in one sentence, and what was saved before is whole.
    "trainers/runs/checkpoint.py": "played", "trainers/runs/journal.py": "played", "trainers/runs/run_folder.py": "played",
    "trainers/runs/disk.py": "played", "trainers/training/display.py": "played", "trainers/training/trainer.py": "through run_folder.py",
    "trainers/samplers/transports.py": "under disk_errors", "trainers/learning/learner.py": "played in tests/trainers/learning",
    "trainers/imitation/demos_to_model.py": "played as replace_files", "trainers/runs/trackers.py": "under disk_errors of the run",
    # Parts of a checkpoint or a model folder, written under the above.
    "trainers/critics/backbone.py": "part of a checkpoint", "trainers/critics/critic.py": "part of a checkpoint",
    "trainers/critics/q_critic.py": "part of a checkpoint", "trainers/critics/q_valuation.py": "part of a checkpoint",
    "trainers/critics/valuation.py": "part of a checkpoint", "trainers/models/policy_model.py": "part of a checkpoint",
    "trainers/models/layered_folder.py": "part of a checkpoint", "trainers/training/update.py": "part of a checkpoint",
    "trainers/models/reader.py": "a temporary folder of a command", "trainers/models/smollm2.py": "renamed when whole",
    "trainers/studies/cells.py": "through write_atomically", "trainers/studies/plots.py": "the output of a command",
    "trainers/studies/fork_figures.py": "the output of a command",
    # Records.
    "webgym/record/store.py": "played", "webgym/record/whole.py": "played", "webgym/record/live.py": "played",
    "webgym/record/notes.py": "played",
    "webgym/evaluation/kept.py": "played", "webgym/trust/auditing.py": "played", "webgym/view/export.py": "played",
    "webgym/rollout/episode.py": "through store.py",
    # What an episode needs: a fault, and it is played again.
    "webgym/env/core.py": "played", "webgym/sites/apps/process.py": "SiteFault of a lease",
    "webgym/sites/apps/clock.py": "SiteFault of a lease",
    "webgym/sites/apps/files.py": "SiteFault of a lease", "webgym/sites/apps/sqlite.py": "SiteFault of a lease",
    "webgym/sites/apps/pool.py": "SiteFault of a lease", "webgym/sites/apps/serve_wsgi.py": "in the application's process",
    "webgym/sites/certificates.py": "DiskFault of a reset", "webgym/authoring/suites/webharbor.py": "JudgeFault of a check",
    "webgym/backends/browser/chromium.py": "BrowserFault of a reset",
    # Commands: an OSError, which the command line says in one sentence.
    "webgym/authoring/consent.py": "played", "webgym/authoring/starter/__init__.py": "a command",
    "webgym/authoring/suites/__init__.py": "a command", "webgym/authoring/suites/browsergym.py": "asked again the next time",
    "webgym/backends/browser/window.py": "a window for people", "webgym/commands/film.py": "a command", "webgym/commands/play.py": "played",
    "webgym/commands/new_application.py": "a command", "webgym/commands/record_demos.py": "through whole.py and store.py",
    "webgym/sites/apps/recipe.py": "a command",
    # Into memory.
    "webgym/env/gym.py": "a picture in memory", "webgym/policies/openai.py": "a picture in memory",
}  # fmt: skip

NAMES = {
    "write_text", "write_bytes", "save_pretrained", "save_file", "savefig", "symlink_to", "copytree", "copyfile", "copy2",
    "NamedTemporaryFile",
    "TemporaryDirectory", "mkdtemp", "FileIO", "SummaryWriter", "backup", "replace_text", "replace_bytes", "append_line",
    "write_atomically",
    "replace_files", "save",
}  # fmt: skip


def writes(tree: ast.AST) -> Iterator[str]:
    """The calls that write to files."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [
            x.value for x in [*node.args, *(word.value for word in node.keywords if word.arg == "mode")] if isinstance(x, ast.Constant)
        ]
        mode = any(isinstance(x, str) and x and set(x) <= set("rwaxbt+") and set(x) & set("wax+") for x in given)
        if name in NAMES or (name == "open" and (mode or "O_RDWR" in ast.unparse(node))):
            yield ast.unparse(node.func)


def test_writers_are_where_it_is_known() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for package in ("webgym", "trainers")
        for path in sorted((ROOT / package).rglob("*.py"))
        if list(writes(ast.parse(path.read_text("utf-8"))))
    }
    assert found - set(WRITERS) == set(), "a file is written in a new place: say what a full disk makes of it"
    assert set(WRITERS) - found == set(), "a place of this list is gone"


def test_the_search_sees_what_it_is_for() -> None:
    hostile = "p.write_text(x)\nopen(p, 'w')\np.open('ab')\nos.open(p, os.O_RDWR)\ntorch.save(x, p)\nopen(p)\np.open('rb')\np.read_text()"
    assert len(list(writes(ast.parse(hostile)))) == 5


# --- each on a disk that is full -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """A small disk of its own."""
    with small_disk(1) as found:
        if found is None:
            pytest.skip("this user cannot mount a small disk")
        yield found


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """No byte is left on the disk for as long as this goes on."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 16)):
            pass
    with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
        while file.write(b"x"):
            pass
    assert os.statvfs(disk).f_bfree == 0
    try:
        yield
    finally:
        filler.unlink()


def no_space(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == errno.ENOSPC


def run_in(folder: Path) -> RunFolder:
    return RunFolder.create("archer", {"algo": "archer"}, 0, parent=folder, name="run", versions={})


def kept(folder: Path) -> Callable[[], object]:
    def act() -> None:
        with KeptEpisodes(folder / "kept", {"policy": "oracle"}) as found:
            found.add(LONG)

    act()
    return act


def exported(folder: Path) -> Callable[[], object]:
    with TrajectoryStore(folder / "t.jsonl") as store:
        store.append(LONG)
    replace_text(folder / "kept", "before")
    return lambda: export(folder / "t.jsonl", folder / "kept", say=lambda words: None)


def noted(folder: Path) -> Callable[[], object]:
    write_note(folder, Note("before"))
    return lambda: [write_note(folder, Note("é" * 2000, tuple(f"tag{i}" * 9 for i in range(90))))]


def trusted(folder: Path) -> Callable[[], object]:
    ledger = trust.Ledger(folder / "kept")
    audit = trust.Audit(registry.task("miniwob.click-button"), (), (), (BIG,))
    ledger.add(audit, 20)
    return lambda: ledger.add(audit, 21)


def stored(folder: Path) -> Callable[[], object]:
    def act() -> None:
        with TrajectoryStore(folder / "kept") as store:
            store.append(LONG)

    act()
    return act


RAW: dict[str, Callable[[Path], Callable[[], object]]] = {
    "a small file": lambda folder: (replace_text(folder / "kept", "before"), lambda: replace_text(folder / "kept", BIG))[1],
    "a line": lambda folder: (append_line(folder / "kept", BIG), lambda: append_line(folder / "kept", BIG))[1],
    "a trajectory": stored,
    "a picture": lambda folder: lambda: TrajectoryStore(folder / "t").save_screenshot(LONG.key, 0, NOISE),
    "an evaluation": kept,
    "a note": noted,
    "a ledger of audits": trusted,
    "a demonstration of play": lambda folder: lambda: play.save(LONG, folder / "demos", COMPACT),
}  # fmt: skip
"""Writers of webgym/, each prepared in a folder: a full disk is the system's error, which the command line says in one sentence."""


@pytest.mark.parametrize("name", RAW)
def test_what_was_there_stays_and_it_goes_on_once_there_is_space(disk, name) -> None:
    folder = disk / name.replace(" ", "-")
    folder.mkdir()
    act = RAW[name](folder)
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    with full(disk), pytest.raises(OSError) as error:
        act()
    assert no_space(error.value)
    after = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    assert all(after[path].startswith(content) for path, content in before.items()), "nothing that was there is lost"
    assert not [path.name for path in after if path.name.endswith(".tmp")], "no half file is left"
    act()
    assert all(len(load(path)) == 2 for path in folder.rglob("kept") if name == "a trajectory")
    assert name != "an evaluation" or len(load(folder / "kept/episodes.jsonl")) == 2
    assert name != "a ledger of audits" or trust.Ledger(folder / "kept").knows("miniwob.click-button", 21)


def test_a_report_of_before_stays(disk) -> None:
    folder = disk / "report"
    folder.mkdir()
    act = exported(folder)
    with full(disk), pytest.raises(UsageError, match="kept cannot be written: No space left on device"):
        act()
    assert (folder / "kept").read_text() == "before" and sorted(os.listdir(folder)) == ["kept", "t.jsonl"]


def logged(run: RunFolder) -> object:
    display = Logged(Lines(None))  # type: ignore[arg-type]
    with contextlib.ExitStack() as stack:
        file = stack.enter_context((run.path / layout.LOG).open("a", encoding="utf-8", buffering=1))
        display._file = file
        with disk_errors(run.path):
            file.write(BIG + "\n")


TRAINER: dict[str, Callable[[RunFolder], object]] = {
    "metrics": lambda run: run.log(1, {"words": BIG}),
    "values": lambda run: run.values.append(1, {"words": BIG}),
    "credit": lambda run: run.keep_credit(1, [{"words": BIG}]),
    "a checkpoint": lambda run: run.save(2, {"policy": lambda folder: (folder / "w").write_text(BIG)}, {"w": torch.zeros(9000)}),
    "the log": logged,
    "another run": lambda run: RunFolder.create("archer", {"words": BIG}, 0, parent=run.path.parent, name="other", versions={}).close(),
}


@pytest.mark.parametrize("name", TRAINER)
def test_a_run_ends_in_one_sentence_and_keeps_what_it_has(disk, name) -> None:
    folder = disk / f"run-{name.replace(' ', '-')}"
    folder.mkdir()
    with run_in(folder) as run:
        run.log(1, {"a": 1})
        run.save(1, {"policy": lambda to: (to / "w").write_text("w")}, {"a": 1})
        with (
            full(disk),
            pytest.raises(CheckpointError, match=r"The disk that holds .* is full \(0 MiB free\): nothing saved before is lost; free"),
        ):
            TRAINER[name](run)
    with RunFolder.open(folder / "run") as run:
        checkpoint = run.resume()
        assert checkpoint.iteration == 1 and checkpoint.state() == {"a": 1}
        assert [row["iteration"] for row in run.metrics] == [1]
        TRAINER[name](run)
    torn = [path.name for path in (folder / "run").rglob("*") if path.name.endswith(".tmp") or path.name.startswith(".writing")]
    assert not torn


def test_a_model_folder_of_before_stays(disk) -> None:
    folder = disk / "model"
    replace_files(folder, lambda to: (to / "weights").write_text("before"))
    with full(disk), pytest.raises(CheckpointError, match="is full"), disk_errors(folder, "try again"):
        replace_files(folder, lambda to: ((to / "config").write_text(""), (to / "weights").write_text(BIG)))
    assert (folder / "weights").read_text() == "before" and os.listdir(folder) == ["weights"]
    assert not list(disk.glob(".writing*"))


def test_watching_never_stops_a_run(disk, caplog) -> None:
    (disk / "live").mkdir()
    with full(disk), Monitor(disk / "live" / layout.LIVE, 500):
        pass
    assert "cannot be written, so `webgym watch` shows nothing" in caplog.text


def test_trust_that_cannot_be_kept_is_said(disk, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(disk / "config"))
    (disk / "config/webgym").mkdir(parents=True)
    (disk / "config/webgym/trusted.json").write_text(json.dumps({BIG: "x"}))
    with full(disk), pytest.raises(UsageError, match=r"could not be kept in .*: No space left on device"):
        consent.remember(tmp_path)


def test_the_files_of_an_episode_are_a_fault_of_the_disk(disk, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(disk))
    env = AsyncWebEnv()
    with (
        full(disk),
        pytest.raises(DiskFault, match=r"the reset of a\.b failed: \[Errno 28\] No space left on device"),
        system_errors("the reset of a.b"),
    ):
        env._keep({"letter.txt": BIG}, 0.0)
    asyncio.run(env.close())
