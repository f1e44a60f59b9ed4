"""A colleague's run folder is data: what it names is not run, not asked and not told keys, unless the user has named or trusts it."""

import json
import shutil
import tarfile
import tomllib
from pathlib import Path

import pytest
import tomli_w

from trainers.runs.checkpoint import _write_manifest
from trainers.runs.run_folder import RunFolder, open_checkpoint
from trainers.training import named
from trainers.training.begin import resumed_run
from trainers.training.evaluation import HEADS_FILE, policy_of, tasks_of
from trainers.training.kept import as_kept
from webgym.authoring import consent
from webgym.errors import CheckpointError, TaskFileError, UnknownTaskError
from webgym.packs.recorded import recorded_task
from webgym.record import layout
from webgym.record.whole import replace_text

WRITTEN = sorted((Path(__file__).parents[1] / "runs/written").glob("*.tar.xz"))[-1]
ASKED = r"names .*(evil\.py|evil_module:|http://there:8000/v1).* say --trust "


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))


@pytest.fixture
def theirs(tmp_path) -> Path:
    """A run folder of a colleague, with a program in it that would leave a file behind."""
    with tarfile.open(WRITTEN) as packed:
        packed.extractall(tmp_path, filter="data")
    run = tmp_path / "run"
    (run / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    return run


def naming(run: Path, **changes: object) -> dict:
    config = {**tomllib.loads((run / "config.toml").read_text()), **changes}
    (run / "config.toml").write_text(tomli_w.dumps(config))
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**about, "algo": config["algo"]}))
    return config


CHANGES = {
    "algorithm": lambda run: {"algo": str(run / "evil.py")},
    "sampler": lambda run: {"sampler": {"kind": str(run / "evil.py")}},
    "tasks": lambda run: {"tasks": ["wizard.h3", str(run / "evil.py")]},
    "tasks of a file": lambda run: {"tasks": [f"{run / 'evil.py'}#x.y"]},
    "module": lambda run: {"tasks": ["evil_module:x.*"]},
    "server": lambda run: {"sampler": {"kind": "openai", "options": {"base_url": "http://there:8000/v1", "model": "x"}}},
    "servers": lambda run: {"sampler": {"kind": "openai", "options": {"servers": ["http://there:8000/v1"], "model": "x"}}},
    "collector": lambda run: {"executor": {"kind": "http", "nodes": ["http://there:8000/v1"]}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_run_names_is_asked_for(theirs, tmp_path, change):
    config = naming(theirs, **CHANGES[change](theirs))
    with pytest.raises(CheckpointError, match=ASKED), resumed_run(theirs, {"length": {"iterations": 9}}):
        pass
    with pytest.raises(CheckpointError, match=ASKED):
        as_kept(config, theirs)
    if ("tasks" in config and len(config["tasks"]) != 1) or change in ("tasks of a file", "module"):
        with pytest.raises(CheckpointError, match=ASKED):
            tasks_of(theirs)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("change", CHANGES)
def test_what_the_user_has_named_or_trusts_is_used(theirs, change, tmp_path):
    config = naming(theirs, **CHANGES[change](theirs))
    named.require(theirs, config, given=config)
    consent.remember(theirs)
    named.require(theirs, config)
    (theirs / "later.toml").write_text("a = 1")  # a run grows; what was trusted stays
    named.require(theirs, config)
    with pytest.raises(CheckpointError, match=r"another\.py"):
        named.require(theirs, {**config, "algo": str(theirs / "another.py")})


def test_a_run_of_ones_own_goes_on_with_what_it_names(theirs):
    config = naming(theirs, algo=str(theirs / "evil.py"))
    named.remember(config)
    named.require(theirs, config)


def test_the_runs_that_come_along_name_nothing(theirs):
    assert named.named(tomllib.loads((theirs / "config.toml").read_text())) == []


def test_an_algorithm_of_a_run_is_asked_for_where_it_would_choose(theirs, tmp_path):
    naming(theirs, algo=str(theirs / "evil.py"))
    sealed = open_checkpoint(theirs)
    heads = sealed.path / layout.CRITIC / HEADS_FILE  # a critic of actions, which their checkpoint lists
    heads.parent.mkdir(exist_ok=True)
    heads.touch()
    (sealed.path / layout.MANIFEST).unlink()
    _write_manifest(sealed.path, sealed.iteration, sealed.score)
    with pytest.raises(CheckpointError, match=ASKED):
        policy_of(theirs, None, None, None, 0)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["{run}/evil.py#x.y", "antigravity:x.y", "{run}/../run/evil.py#x.y"])
def test_a_record_runs_no_program(theirs, name, tmp_path):
    with pytest.raises(UnknownTaskError, match=r"^the record names .*(evil\.py|antigravity:), .* say --trust "):
        recorded_task(name.format(run=theirs), theirs)
    assert not (tmp_path / "ran").exists()


def test_a_record_of_a_pack_and_of_a_loaded_program_is_found(theirs):
    assert recorded_task("wizard.h3", theirs).id == "wizard.h3"
    with pytest.raises(TaskFileError, match="json registers no tasks"):
        recorded_task("json:x.y", theirs)  # a module that this process has


@pytest.mark.parametrize("name", ["checkpoints", "trajectories", "credit", "metrics.jsonl", "lock"])
def test_a_link_in_a_run_folder_leads_nowhere(theirs, tmp_path, name):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ".profile").write_text("mine")
    (outside / "iter-000999.jsonl").write_text("mine")
    kept = theirs / name
    shutil.rmtree(kept) if kept.is_dir() else kept.unlink(missing_ok=True)
    kept.symlink_to(outside)
    with pytest.raises(CheckpointError, match=rf"/run/{name} is a link, and a run writes and removes files of its own folder only"):
        RunFolder.open(theirs)
    assert sorted(path.name for path in outside.iterdir()) == [".profile", "iter-000999.jsonl"]


def test_a_link_among_checkpoints_leads_nowhere(theirs, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    (theirs / "checkpoints/.writing-x").symlink_to(outside)
    with pytest.raises(CheckpointError, match="is a link"):
        RunFolder.open(theirs)
    assert (outside / "mine").exists()


def test_a_temporary_file_is_never_written_through_a_link(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / ".note.json.tmp").symlink_to(victim)
    replace_text(tmp_path / "note.json", "hello")
    assert (tmp_path / "note.json").read_text() == "hello" and not (tmp_path / "note.json").is_symlink()
    assert victim.read_text() == "mine"
