"""`webgym watch` in the terminal."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.webgym.view.runs import run_folder, start
from webgym.errors import UsageError
from webgym.record.layout import LIVE
from webgym.record.live import Monitor
from webgym.rollout.contract import Counts, Event
from webgym.types import EpisodeKey
from webgym.view.terminal import watch


def shown(path: Path, width: int = 100) -> str:
    out = io.StringIO()
    watch(path, Console(file=out, width=width), once=True)
    return out.getvalue()


def test_an_empty_run_and_a_finished_one(tmp_path: Path) -> None:
    start(tmp_path / "empty")
    assert "no iteration yet" in shown(tmp_path / "empty") and "nothing is known of its sessions" in shown(tmp_path / "empty")
    text = shown(run_folder(tmp_path / "run"))
    assert "6 of 10 iterations" in text and "critic EV 0.60" in text


def test_512_sessions_fit_and_the_oldest_is_named(tmp_path: Path) -> None:
    run_folder(tmp_path / "run", iterations=1)
    monitor = Monitor(tmp_path / "run" / LIVE, 512)  # without its thread, which would write as well
    monitor.phase("collecting", 2)
    for session in range(512):
        monitor.hear(Event("begin", EpisodeKey("shop.task-1", session), Counts(), None, "", session))
    monitor._write()
    text = shown(tmp_path / "run")
    assert "collecting (iteration 2)" in text and text.count("■") == 512 + 6 and "session 0" in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_one_run_is_watched(tmp_path: Path) -> None:
    run_folder(tmp_path / "one", iterations=1)
    run_folder(tmp_path / "two", iterations=1)
    with pytest.raises(UsageError, match="holds several runs"):
        watch(tmp_path, Console(file=io.StringIO()), once=True)
