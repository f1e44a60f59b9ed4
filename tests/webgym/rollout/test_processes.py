"""Worker processes that are killed, hang and lose their pipe: the batch is the one that a single calm process plays."""

import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from webgym.commands.processes import descendants
from webgym.errors import Fault, UnknownTaskError, UsageError
from webgym.policies.scripted import RandomPolicy
from webgym.rollout import worker
from webgym.rollout.arena import Arena
from webgym.rollout.contract import Counts, Event, PolicyHandle, Record, Retries
from webgym.rollout.executor import play_in_order
from webgym.rollout.processes import ProcessExecutor
from webgym.types import EpisodeKey, Times, Trajectory, group_keys

TASK = "wizard.h4-x1-late1-undo-slack4"
KEYS = list(group_keys([(TASK, seed) for seed in range(4)], 2, iteration=5))
RANDOM = PolicyHandle("webgym.policies.scripted:RandomPolicy", {"seed": 1})
ORACLE = PolicyHandle("webgym.evaluation.assessment:model_free", {"name": "oracle"})
QUICK = Retries(limit=1, backoff_s=0.0)

STRANGER = '''
import gc, os, signal, socket, time
from multiprocessing.connection import Connection
from pathlib import Path
from webgym.policies.scripted import RandomPolicy


class Harmful(RandomPolicy):
    """Plays at random. In episodes of the group `group` something goes wrong at turn 2, once where `once` names a file to remember it."""

    def __init__(self, harm, group, once=""):
        super().__init__(1)
        self.harm, self.group, self.once = harm, group, once

    async def act(self, observation, history, key):
        if key.group == self.group and observation.turn == 2 and not (self.once and Path(self.once).exists()):
            if self.once:
                Path(self.once).touch()
            {"dies": dies, "hangs": hangs, "shuts": shuts, "errs": errs}[self.harm]()
        return await super().act(observation, history, key)


def dies():
    os.kill(os.getpid(), signal.SIGKILL)


def hangs():
    time.sleep(1e6)


def shuts():
    pipe = next(x for x in gc.get_objects() if isinstance(x, Connection))
    socket.socket(fileno=os.dup(pipe.fileno())).shutdown(socket.SHUT_RDWR)
    time.sleep(1e6)


def errs():
    raise ZeroDivisionError("a bug of the policy")


def unmade():
    os._exit(3)
'''


def without_times(trajectory: Trajectory) -> Trajectory:
    return replace(trajectory, turns=tuple(replace(turn, times=Times()) for turn in trajectory.turns))


def plain(trajectories: list[Trajectory]) -> list[Trajectory]:
    return [without_times(x) for x in trajectories]


@pytest.fixture(scope="module")
def alone() -> list[Trajectory]:
    """The batch as a session of this process plays it."""
    with Arena(1, backend="text") as arena:
        return plain(arena.collect(RandomPolicy(1), KEYS))


@pytest.fixture(scope="module")
def pair() -> Iterator[ProcessExecutor]:
    with ProcessExecutor(2, backend="text") as found:
        yield found


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside of the repository with a module of somebody's own."""
    (tmp_path / "stranger.py").write_text(STRANGER, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def harmful(harm: str, group: int = 1, once: Path | None = None) -> PolicyHandle:
    return PolicyHandle("stranger:Harmful", {"harm": harm, "group": group, "once": str(once or "")})


class Killer:
    """Hears of a batch and once kills the process that plays the episode with the third turn."""

    def __init__(self, executor: ProcessExecutor, signal_number: int = signal.SIGKILL) -> None:
        self.executor, self.signal_number = executor, signal_number
        self.heard: list[Event] = []
        self.killed = 0

    def __call__(self, event: Event) -> None:
        self.heard.append(event)
        if not self.killed and sum(e.kind == "turn" for e in self.heard) == 3:
            self.killed = self.executor.process_ids[event.session]
            subprocess.run(["kill", f"-{int(self.signal_number)}", str(self.killed)], check=True)


# --- the same batch ------------------------------------------------------------------------------------------------------


def test_two_processes_play_what_one_session_plays(pair: ProcessExecutor, alone: list[Trajectory]) -> None:
    first = pair.process_ids
    assert plain(play_in_order(pair, RANDOM, KEYS)) == alone
    assert os.getpid() not in pair.process_ids and len({*pair.process_ids}) == 2
    ids = pair.process_ids
    assert all(x.outcome.success for x in play_in_order(pair, ORACLE, KEYS))
    assert pair.process_ids == ids and first in ([], ids), "processes live from batch to batch"
    assert play_in_order(pair, RANDOM, []) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.slow)])
def test_a_process_killed_or_stopped_from_outside_loses_nothing(
    pair: ProcessExecutor, alone: list[Trajectory], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair, "silence_s", 60.0 if number == signal.SIGKILL else 5.0)
    killer = Killer(pair, number)
    assert plain(play_in_order(pair, RANDOM, KEYS, on_event=killer)) == alone
    assert killer.killed and killer.killed not in pair.process_ids and not Path(f"/proc/{killer.killed}").exists()
    kinds = Counter(event.kind for event in killer.heard)
    again = kinds["retry"]  # a slow machine may make others silent too, or the process may have ended its episode before the kill
    assert (number == signal.SIGSTOP or again <= 1) and kinds["end"] == len(KEYS)
    assert len(KEYS) <= kinds["begin"] <= len(KEYS) + again, "an episode that was given to a dead process never began there"
    last = killer.heard[-1].counts
    wins = sum(x.outcome.success for x in alone)
    assert replace(last, turns=0) == Counts(done=len(KEYS), successes=wins, retries=again) and last.turns >= sum(map(len, alone))
    ends = {event.key: without_times(event.trajectory) for event in killer.heard if event.kind == "end"}
    assert [ends[key] for key in KEYS] == alone


@pytest.mark.parametrize("harm", ["hangs", "shuts"])
def test_a_process_that_hangs_or_loses_its_pipe_is_replaced(
    pair: ProcessExecutor, alone: list[Trajectory], stranger: Path, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair, "silence_s", 5.0)
    policy = harmful(harm, once=stranger / "happened")
    assert plain(play_in_order(pair, policy, KEYS)) == alone
    assert (stranger / "happened").exists()


@pytest.mark.parametrize("sessions", [1, 3])
def test_an_episode_that_kills_every_process_is_a_fault_and_no_other_is(alone: list[Trajectory], stranger: Path, sessions: int) -> None:
    heard: list[Event] = []
    with ProcessExecutor(1, sessions=sessions, backend="text") as executor:
        played = dict(executor.play(harmful("dies"), [k for k in KEYS if k.member == 0], retries=QUICK, on_event=heard.append))
    assert len(played) == 4
    for key, x in played.items():
        if key.group == 1:
            assert (x.outcome.kind, x.turns, x.outcome.retries) == ("fault", (), 1) and math.isnan(x.outcome.reward)
            assert x.outcome.message.startswith("2 worker processes in a row were lost while they played it")
            assert x.outcome.message.endswith("it ended with signal 9")
        else:
            assert without_times(x) == alone[KEYS.index(key)]
    assert (heard[-1].counts.done, heard[-1].counts.faults, heard[-1].counts.running) == (4, 1, 0)


def test_pictures_come_back_and_are_named_here(pair: ProcessExecutor) -> None:
    taken: dict[tuple[EpisodeKey, int], np.ndarray] = {}

    def take(key: EpisodeKey, turn: int, pixels: np.ndarray) -> str:
        taken[key, turn] = pixels
        return f"{key.group}-{key.member}-{turn}.png"

    record = Record(prompts=False, pages=False, pictured_groups=1)
    far = plain([x for _, x in sorted(pair.play(RANDOM, KEYS[:4], record=record, on_picture=take), key=lambda it: KEYS.index(it[0]))])
    there = taken.copy()
    taken.clear()
    with Arena(1, backend="text") as arena:
        assert plain(play_in_order(arena, RANDOM, KEYS[:4], record=record, on_picture=take)) == far
    assert taken.keys() == there.keys() and all(np.array_equal(taken[at], there[at]) for at in taken)
    assert far[0].turns[1].screenshot == "0-0-1.png" and far[2].turns[1].screenshot == ""


# --- errors --------------------------------------------------------------------------------------------------------------


def test_errors_of_a_worker_are_raised_here_and_the_next_batch_works(
    pair: ProcessExecutor, alone: list[Trajectory], stranger: Path
) -> None:
    with pytest.raises(UnknownTaskError, match=r"there is no task 'wizzard\.h3'; did you mean 'wizard\.h3'") as caught:
        play_in_order(pair, RANDOM, [*KEYS, EpisodeKey("wizzard.h3", 0)])
    assert "In a worker process:" in caught.value.__notes__[0]
    with pytest.raises(ZeroDivisionError, match="a bug of the policy"):
        play_in_order(pair, harmful("errs"), KEYS)
    with pytest.raises(UsageError, match="does not take the settings"):
        play_in_order(pair, PolicyHandle("stranger:Harmful", {"harm": "dies"}), KEYS)
    with pytest.raises(UsageError, match="RandomPolicy has no method prompt_ids"):
        play_in_order(pair, RANDOM, KEYS, record=Record(final_prompts=True))
    assert plain(play_in_order(pair, RANDOM, KEYS)) == alone


def test_a_policy_of_this_process_is_refused(pair: ProcessExecutor) -> None:
    with pytest.raises(UsageError, match="processes play policies by name, got the object RandomPolicy"):
        pair.play(RandomPolicy(1), KEYS)
    with pytest.raises(UsageError, match="at least one process"):
        ProcessExecutor(0)


def test_one_batch_at_a_time_and_a_closed_iterator_ends_it(pair: ProcessExecutor, alone: list[Trajectory]) -> None:
    playing = pair.play(RANDOM, (EpisodeKey(TASK, 0, group=n) for n in range(10_000)))
    next(playing)
    with pytest.raises(UsageError, match="play a batch already"):
        next(pair.play(RANDOM, KEYS))
    playing.close()  # type: ignore[attr-defined]
    assert plain(play_in_order(pair, RANDOM, KEYS)) == alone


def test_a_factory_that_ends_every_process_ends_as_faults(stranger: Path) -> None:
    with ProcessExecutor(1, backend="text") as executor:
        (x,) = play_in_order(_Impatient(executor), PolicyHandle("stranger:unmade"), KEYS[:1])
    assert x.outcome.kind == "fault" and "it ended with status 3" in x.outcome.message


class _Impatient:
    """The executor with the least patience."""

    def __init__(self, executor: ProcessExecutor) -> None:
        self._executor = executor

    def play(self, policy, keys, *, record=Record(), on_event=None, on_picture=None):
        return self._executor.play(policy, keys, record=record, on_event=on_event, on_picture=on_picture, retries=Retries(limit=0))


def test_processes_that_cannot_start_at_all_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with ProcessExecutor(1, backend="text") as executor, pytest.raises(Fault, match="3 worker processes in a row could not begin"):
        play_in_order(executor, RANDOM, KEYS)


def test_an_error_that_does_not_pickle_still_arrives() -> None:
    class Local(Exception):
        pass

    found = worker._portable(Local("of a closure"))
    assert type(found) is RuntimeError and "Local in a worker process: of a closure" in str(found)


# --- ends ----------------------------------------------------------------------------------------------------------------

PARENT = """
import sys
sys.path[:] = {path!r}
from webgym.rollout.contract import PolicyHandle
from webgym.rollout.processes import ProcessExecutor
from webgym.types import EpisodeKey
executor = ProcessExecutor(2, backend={backend!r})
keys = (EpisodeKey({task!r}, 0, group=n) for n in range(100_000))
for _ in executor.play(PolicyHandle("webgym.policies.scripted:RandomPolicy"), keys):
    print(*executor.process_ids, flush=True)
"""


def ended(processes: list[int], within_s: float = 30.0) -> bool:
    until = time.monotonic() + within_s
    while alive := [pid for pid in processes if _runs(pid)]:
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return not alive


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def parent_killed(backend: str, task: str) -> None:
    """Kill a parent while its workers play; all below it must end."""
    program = PARENT.format(path=sys.path, backend=backend, task=task)
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None and len(parent.stdout.readline().split()) == 2
        below = [pid for pid in descendants(parent.pid) if pid != parent.pid]
        assert len(below) >= 2 and all(_runs(pid) for pid in below)
        parent.kill()
    assert ended(below)


def test_processes_end_with_their_parent_however_it_ends() -> None:
    parent_killed("text", TASK)


def test_closing_ends_the_processes() -> None:
    with ProcessExecutor(2, backend="text") as executor:
        play_in_order(executor, RANDOM, KEYS[:1])
        ids = executor.process_ids
        assert all(_runs(pid) for pid in ids)
    assert not any(_runs(pid) for pid in ids) and executor.process_ids == []


# --- in Chromium -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_in_chromium_too_a_killed_process_loses_nothing() -> None:
    keys = list(group_keys([(task, 3) for task in ("miniwob.click-button", "miniwob.login-user", TASK)], 2))
    with Arena(2) as arena:
        alone = plain(arena.collect(RandomPolicy(1), keys))
    with ProcessExecutor(2, sessions=2) as executor:
        killer = Killer(executor)
        killer_by_session = lambda event: killer(replace(event, session=event.session // 2))  # noqa: E731
        assert plain(play_in_order(executor, RANDOM, keys, on_event=killer_by_session)) == alone
        assert killer.killed
        below = [pid for worker_id in executor.process_ids for pid in descendants(worker_id)]
        assert len(below) > 4, "browsers run below the workers"
    assert ended(below)


@pytest.mark.slow
def test_browsers_end_with_a_parent_that_is_killed() -> None:
    parent_killed("browser", "miniwob.click-button")
