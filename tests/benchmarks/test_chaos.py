"""The ledger of chaos outlives a kill, and its figures add up."""

import random
import signal
import subprocess
import sys
from pathlib import Path

from benchmarks import chaos
from benchmarks.chaos_tally import Ledger, Tally
from webgym.types import EpisodeKey, Outcome, Trajectory


def tally(**given):
    found = Tally(**given)
    found.blows["kill a browser"] += 2
    return found


def test_a_ledger_goes_on_after_a_torn_line(tmp_path):
    path = tmp_path / "chaos.jsonl"
    Ledger(path).add("collection", tally(episodes=8, seconds=2.0, longest_s=2.0))
    with path.open("a") as file:
        file.write('{"part": "collection", "tal')  # killed here
    ledger = Ledger(path)
    assert len(ledger) == 1 and ledger.has("collection") and not ledger.has("training")
    ledger.add("collection", tally(episodes=9, seconds=1.0, longest_s=1.0, wrong=["x"]))
    ledger.add("training", tally())
    total = Ledger(path).total("collection")
    assert (total.episodes, total.struck, total.seconds, total.longest_s, total.wrong) == (17, 4, 3.0, 2.0, ["x"])
    assert "| faults injected | 4 | 2 |" in chaos.table({name: ledger.total(name) for name in chaos.PARTS}, ["a clock"])
    assert chaos.table({name: ledger.total(name) for name in chaos.PARTS}, ["a clock"]).endswith("Skipped: a clock.")


def test_all_hostile_pages_come_in_turn():
    names = {key.task_id for key in chaos._keys(0, 8 * 4 * len(chaos.HOSTILE)) if "hostile" in key.task_id}
    assert len(names) == len(chaos.HOSTILE)
    assert {key.task_id for key in chaos._keys(16, 8) if "hostile" not in key.task_id} == set(chaos.CALM_TASKS)


def test_a_fault_with_a_reward_and_another_ending_are_wrong():
    found = Tally()
    lost = Trajectory(EpisodeKey("a.b", 0), "", (), Outcome("fault", 0.0, faults=("hang",)))
    found.note([lost, Trajectory(EpisodeKey("a.b", 0), "", (), Outcome("fault", float("nan"), faults=("hang",)))])
    assert len(found.wrong) == 1 and "a fault with the reward 0.0" in found.wrong[0] and found.faults["hang"] == 2
    won = Trajectory(EpisodeKey("chaos.hostile-1", 0), "", (), Outcome("success", 1.0))
    chaos._judge(won, {}, found)
    other = Trajectory(EpisodeKey("a.b", 5), "", (), Outcome("failure", 0.0))
    chaos._judge(other, {("a.b", 5): ("success", 1.0, [])}, found)
    assert found.wrong[1:] == ["chaos.hostile-1 was won", "a.b (seed 5) ended as failure, not as on a calm day, after ()"]


def test_a_blow_finds_its_victim_and_none_where_there_is_none(monkeypatch):
    monkeypatch.setattr(chaos, "PROCESSES", {"sleeper": (b"sleep-of-chaos",)})
    assert not chaos.strike(chaos.os.getpid(), "sleeper", signal.SIGKILL, random.Random(0))
    with subprocess.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", "sleep-of-chaos"], stdout=-1) as sleeper:
        assert sleeper.stdout is not None and sleeper.stdout.readline()
        assert chaos.strike(chaos.os.getpid(), "sleeper", signal.SIGKILL, random.Random(0))
        assert sleeper.wait(20) == -signal.SIGKILL


def test_only_a_disk_of_its_own_is_filled(tmp_path):
    assert not chaos._fill(tmp_path, random.Random(0)) and list(Path(tmp_path).iterdir()) == []
    with chaos.small_disk(1) as disk:
        if disk is not None:
            assert chaos._fill(disk, random.Random(0)) and list(disk.iterdir()) == []
