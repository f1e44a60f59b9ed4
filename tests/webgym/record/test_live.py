"""The monitor: what sessions do, from a collector's events to the file that viewers read."""

import json
import os
from pathlib import Path

from webgym.record import layout, live
from webgym.record.live import Monitor
from webgym.rollout.contract import Counts, Event
from webgym.types import EpisodeKey, Outcome, Trajectory

KEY = EpisodeKey("demo.task", 7, 3, 2, 1)


def told(monitor: Monitor, *kinds: str, session: int = 0, message: str = "", outcome: Outcome | None = None) -> dict:
    """The session's cell after these events."""
    for kind in kinds:
        trajectory = Trajectory(KEY, "", (), outcome) if kind == "end" and outcome else None
        monitor.hear(Event(kind, KEY, Counts(done=5), trajectory, message, session))  # type: ignore[arg-type]
    return monitor.to_json()["cells"][session]


def test_a_cell_follows_its_session(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path / layout.LIVE, 2)
    assert told(monitor)["state"] == "idle"
    assert told(monitor, "begin")["state"] == "browser"
    cell = told(monitor, "thinking")
    assert (cell["state"], cell["task_id"], cell["seed"], cell["group"], cell["member"], cell["turn"]) == (
        "policy",
        "demo.task",
        7,
        2,
        1,
        0,
    )
    cell = told(monitor, "acting", "turn", "thinking")
    assert (cell["state"], cell["turn"]) == ("policy", 1)
    cell = told(monitor, "retry", message="the browser is gone")
    assert (cell["state"], cell["retries"], cell["message"]) == ("retry", 1, "the browser is gone")
    assert told(monitor, "end", outcome=Outcome("success", 1.0))["state"] == "done"
    cell = told(monitor, "begin")
    assert (cell["state"], cell["turn"], cell["retries"], cell["outcome"], cell["episodes"]) == ("browser", 0, 0, "success", 1)
    cell = told(monitor, "end", outcome=Outcome("fault", float("nan"), message="no answer"))
    assert (cell["state"], cell["outcome"], cell["message"], cell["episodes"]) == ("fault", "fault", "no answer", 2)
    assert told(monitor, session=1)["state"] == "idle", "the other session saw nothing of it"


def test_the_file_is_whole_and_says_when_its_writer_is_gone(tmp_path: Path) -> None:
    assert live.read(tmp_path) is None
    with Monitor(tmp_path / layout.LIVE, 512) as monitor:
        monitor.phase("collecting", 4)
        told(monitor, "begin", "thinking", session=511)
        while (found := live.read(tmp_path)) is None or found["cells"][511]["state"] != "policy":
            pass
        assert found["lives"] and found["iteration"] == 4 and found["counts"]["done"] == 5 and len(found["cells"]) == 512
    found = live.read(tmp_path)
    assert found is not None and found["phase"] == "over" and not found["lives"]
    assert os.listdir(tmp_path) == [layout.LIVE]

    killed = {**found, "phase": "collecting", "written": found["written"] - 2 * live.SILENT_S}
    (tmp_path / layout.LIVE).write_text(json.dumps(killed))
    found = live.read(tmp_path)
    assert found is not None and not found["lives"] and found["age_s"] > live.SILENT_S
    (tmp_path / layout.LIVE).write_text('{"written": 1')
    assert live.read(tmp_path) is None


def test_what_cannot_be_written_stops_nobody(tmp_path: Path, caplog) -> None:
    with Monitor(tmp_path / "missing" / layout.LIVE, 1) as monitor:
        told(monitor, "begin")
    assert "cannot be written" in caplog.text
