"""An executor of processes of this machine: a process that dies or hangs takes no episode with it.

Each worker has a loop and sessions of its own and is handed one episode per free session. What a worker had when it ended, hung or lost
its pipe is played again by a fresh one, from the start. Where several episodes were under way, any of them may be to blame, so each is
then played alone; one that brings down more workers in a row than may be tried again ends as a fault.
"""

import contextlib
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import nan
from multiprocessing import Pipe
from types import TracebackType

from webgym.backends import known_backend
from webgym.errors import Fault, UsageError, WorkerFault
from webgym.packs import registry
from webgym.policies.policy import Policy
from webgym.rollout.contract import Deadlines, Listener, PictureTaker, PolicyHandle, Record, Request, Retries
from webgym.rollout.episode import Board
from webgym.rollout.executor import Played
from webgym.rollout.worker import END_S, Assignment, Ended, Failed, Pictured, Report, Stage, Told
from webgym.types import EpisodeKey, Outcome, Trajectory

log = logging.getLogger(__name__)

START_S = 180.0  # longest time until a process is ready, or a policy made
FAILED_STARTS = 3  # in a row; then the processes cannot work at all
LOOK_S = 0.5  # between two looks for processes that hang


@dataclass(eq=False)
class _Part:
    """One episode of a batch, wherever it stands."""

    number: int
    key: EpisodeKey
    losses: int = 0  # workers that ended in a row while they played it alone
    suspect: bool = False  # a worker ended while it played this one
    session: int = 0
    running: dict[str, int] = field(default_factory=dict)  # its share of the counts of what runs
    pictures: dict[int, str] = field(default_factory=dict)  # names of files by turn

    def begin_again(self) -> None:
        self.suspect = True
        self.running, self.pictures = {}, {}


class _Batch:
    """The episodes of one call that are not being played yet: those that come again first, but each of them alone."""

    def __init__(self, keys: Iterable[EpisodeKey]) -> None:
        self._fresh = enumerate(keys)
        self._again: deque[_Part] = deque()
        self._exhausted = False

    @property
    def over(self) -> bool:
        return self._exhausted and not self._again

    def give_back(self, part: _Part) -> None:
        part.begin_again()
        self._again.append(part)

    def next(self, alone: bool) -> _Part | None:
        """The next part for a worker that plays nothing (`alone`) or something; None where there is none for it."""
        if alone and self._again:
            return self._again.popleft()
        if self._exhausted:
            return None
        for number, key in self._fresh:
            return _Part(number, key)
        self._exhausted = True
        return self._again.popleft() if alone and self._again else None


Mail = queue.SimpleQueue["tuple[_Process, Report | None]"]


class _Process:
    """One worker process and what it plays. `inbox` gets what it reports, and None when its pipe closes."""

    def __init__(self, place: int, stage: Stage, inbox: Mail) -> None:
        self.place, self._stage = place, stage
        self.playing: dict[int, _Part] = {}
        self.ready = self.lost = self._closed = False
        self.heard = self._asked = time.monotonic()
        self._speaks = False
        self._begun: set[int] = set()
        ours, theirs = Pipe()
        self._pipe = ours
        handle = theirs.fileno()
        program = f"import sys; sys.path[:] = {sys.path!r}; from webgym.rollout.worker import main; main({handle}, {os.getpid()})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program], pass_fds=(handle,), stdin=subprocess.DEVNULL, start_new_session=True
        )
        theirs.close()
        self._reader = threading.Thread(target=self._read, args=(inbox,), name=f"webgym-worker-{place}", daemon=True)
        self._reader.start()
        with contextlib.suppress(OSError):  # it is gone already, as its reader says
            ours.send(stage)

    @property
    def id(self) -> int:
        return self._process.pid

    def _read(self, inbox: Mail) -> None:
        try:
            while True:
                report = self._pipe.recv()
                self.heard, self._speaks = time.monotonic(), True
                if isinstance(report, Told):
                    self._begun.add(report.number)
                inbox.put((self, report))
        except Exception as error:  # the pipe's end, or what a dying process left half written
            log.debug("the pipe of worker process %d closed: %r", self.id, error)
        self._closed = True
        inbox.put((self, None))

    def free_session(self) -> int | None:
        """A session that may be given an episode; none while a suspect plays, which must be alone."""
        if not self.ready or self._closed or any(part.suspect for part in self.playing.values()):
            return None
        taken = {part.session for part in self.playing.values()}
        return next((session for session in range(self._stage.sessions) if session not in taken), None)

    def give(self, part: _Part, session: int, request: Request) -> None:
        part.session = session
        self.playing[part.number] = part
        self._begun.discard(part.number)  # of an earlier batch
        self._asked = time.monotonic()
        file = registry.file_of(part.key.task_id)
        request = replace(request, keys=(part.key,), task_files=(file,) if file else ())
        try:
            self._pipe.send(Assignment(part.number, tuple(sys.path), session, request))
        except OSError:
            self.lost = True

    def trouble(self, silence_s: float) -> str:
        """The reason why the process must be given up; "" while it does well."""
        if self.lost:
            with contextlib.suppress(subprocess.TimeoutExpired):  # its pipe closes a moment before it has ended
                self._process.wait(LOOK_S)
            code = self._process.returncode
            return "its pipe closed" if code is None else f"it ended with signal {-code}" if code < 0 else f"it ended with status {code}"
        now = time.monotonic()
        waits = not self._speaks or not self.playing.keys() <= self._begun
        if waits and now - self._asked > START_S:
            return f"it was not ready within {START_S:g} s"
        if self.ready and now - self.heard > silence_s:
            return f"it was silent for {silence_s:g} s"
        return ""

    def end(self) -> None:
        """Ask it to end in order."""
        with contextlib.suppress(OSError):
            self._pipe.send(None)

    def kill(self, patience_s: float = 0.0) -> None:
        """Wait for its end so long, then end it by force."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if patience_s > 0:
                self._process.wait(patience_s)
        self._process.kill()
        self._process.wait()
        self._reader.join(1.0)
        if not self._reader.is_alive():  # a process below may hold the other end
            self._pipe.close()


class ProcessExecutor:
    """`processes` worker processes with `sessions` sessions each; a context manager. Implements :class:`webgym.rollout.executor.Executor`.

    Processes are spawned at the first batch and live until the end. One whose loop says nothing for `silence_s` is ended by force.
    Policies are handles, made once in each process.
    """

    def __init__(
        self,
        processes: int = 2,
        *,
        sessions: int = 1,
        screenshots: bool = False,
        backend: str = "browser",
        headless: bool = True,
        silence_s: float = 60.0,
    ) -> None:
        if processes < 1 or sessions < 1:
            raise UsageError(f"expected at least one process and one session, got {processes} and {sessions}")
        self._stage = Stage(sessions, known_backend(backend), headless, screenshots)
        self.silence_s = silence_s
        self._inbox: Mail = queue.SimpleQueue()
        self._count = processes
        self._processes: list[_Process] = []
        self._failed_starts = 0
        self._busy = False

    @property
    def process_ids(self) -> list[int]:
        """The ids of the living processes."""
        return [process.id for process in self._processes]

    def play(
        self,
        policy: Policy | PolicyHandle,
        keys: Iterable[EpisodeKey],
        *,
        record: Record = Record(),
        on_event: Listener | None = None,
        on_picture: PictureTaker | None = None,
        deadlines: Deadlines = Deadlines(),
        retries: Retries = Retries(),
    ) -> Iterator[Played]:
        """Each episode's key and trajectory as it ends; a worker gets its next one when the iterator is asked for more.

        See :class:`webgym.rollout.executor.Executor`. Raises UsageError for a policy that is no handle, Fault where no process can start.
        """
        if not isinstance(policy, PolicyHandle):
            raise UsageError(
                f"processes play policies by name, got the object {type(policy).__name__}: give a PolicyHandle('module:function', settings)"
            )
        request = Request((), policy, record, deadlines, retries, pictures=on_picture is not None)
        return self._play(request, _Batch(keys), Board(on_event), on_picture)

    def _play(self, request: Request, batch: _Batch, board: Board, on_picture: PictureTaker | None) -> Iterator[Played]:
        if self._busy:
            raise UsageError("these processes play a batch already: read it to its end or close its iterator, then begin the next")
        self._busy, self._failed_starts = True, 0
        try:
            places = set(range(self._count)) - {process.place for process in self._processes}
            self._processes += map(self._spawned, sorted(places))
            while True:
                self._hand_out(batch, request)
                if batch.over and not any(process.playing for process in self._processes):
                    return
                yield from self._heard(board, on_picture)
                yield from self._replaced(batch, board, request.retries)
        finally:
            self._busy = False
            for process in [process for process in self._processes if process.playing]:  # of a batch that is no longer wanted
                self._processes.remove(process)
                process.kill()

    def _spawned(self, place: int) -> _Process:
        return _Process(place, self._stage, self._inbox)

    def _hand_out(self, batch: _Batch, request: Request) -> None:
        """Give every free session an episode."""
        for process in self._processes:
            while (session := process.free_session()) is not None:
                part = batch.next(alone=not process.playing)
                if part is None:
                    break
                process.give(part, session, request)

    def _heard(self, board: Board, on_picture: PictureTaker | None) -> Iterator[Played]:
        """Wait for a report, and take in all that are there."""
        mails = []
        with contextlib.suppress(queue.Empty):
            mails.append(self._inbox.get(timeout=LOOK_S))
            while True:
                mails.append(self._inbox.get_nowait())
        for process, report in mails:
            if process in self._processes:  # else it is the last word of one that was given up
                yield from self._taken(process, report, board, on_picture)

    def _taken(self, process: _Process, report: Report | None, board: Board, on_picture: PictureTaker | None) -> Iterator[Played]:
        if report is None:
            process.lost = True
            return
        if not process.ready:
            process.ready, self._failed_starts = True, 0
        match report:
            case Told(number, kind, message, changes):
                part = process.playing[number]
                for name in ("acting", "thinking"):
                    part.running[name] = part.running.get(name, 0) + changes.get(name, 0)
                board.tell(self._session(process, part), kind, part.key, None, message, **changes)
            case Pictured(number, turn, pixels):
                part = process.playing[number]
                assert on_picture is not None
                part.pictures[turn] = on_picture(part.key, turn, pixels)
            case Ended(number, trajectory, changes):
                part = process.playing.pop(number)
                if part.pictures:
                    turns = tuple(replace(turn, screenshot=part.pictures.get(n, "")) for n, turn in enumerate(trajectory.turns))
                    trajectory = replace(trajectory, turns=turns)
                board.tell(self._session(process, part), "end", part.key, trajectory, "", **changes)
                yield part.key, trajectory
            case Failed(error):
                raise error

    def _session(self, process: _Process, part: _Part) -> int:
        return process.place * self._stage.sessions + part.session

    def _replaced(self, batch: _Batch, board: Board, retries: Retries) -> list[Played]:
        """Put a fresh process in place of each that is gone or hangs. Returns the episodes that end with it as faults."""
        faults: list[Played] = []
        for at, process in enumerate(self._processes):
            if not (reason := process.trouble(self.silence_s)):
                continue
            process.kill()
            log.warning("worker process %d is replaced: %s", process.id, reason)
            self._failed_starts += not process.ready
            if self._failed_starts >= FAILED_STARTS:
                raise Fault(f"{FAILED_STARTS} worker processes in a row could not begin: {reason}; their standard error says more")
            parts = list(process.playing.values())
            process.playing.clear()
            self._processes[at] = self._spawned(process.place)
            for part in parts:
                part.losses += len(parts) == 1
                session = self._session(process, part)
                undone = {name: -count for name, count in part.running.items()}
                if part.losses <= retries.limit:
                    board.tell(session, "retry", part.key, None, f"the worker process was lost: {reason}", retries=1, **undone)
                    batch.give_back(part)
                    continue
                message = f"{part.losses} worker processes in a row were lost while they played it, of the last one: {reason}"
                ended = Trajectory(
                    part.key, "", (), Outcome("fault", nan, 0.0, message, part.losses - 1, (WorkerFault.kind,) * part.losses)
                )
                board.tell(session, "end", part.key, ended, "", done=1, faults=1, **undone)
                faults.append((part.key, ended))
        return faults

    def close(self) -> None:
        """End the processes, in order where they can."""
        for process in self._processes:
            process.end()
        until = time.monotonic() + END_S
        for process in self._processes:
            process.kill(patience_s=max(0.0, until - time.monotonic()))
        self._processes = []

    def __enter__(self) -> "ProcessExecutor":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
