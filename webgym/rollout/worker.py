"""A worker process of :class:`webgym.rollout.processes.ProcessExecutor`: plays the episodes that come over a pipe, ends with its parent.

The main thread reads the pipe; episodes run on the process's loop. From there a beat is sent every second, so that a loop that hangs is
silent. The pipe closes when the parent ends, however it ends; where something else holds it open, the parent's process id tells.
(A signal at the parent's death would come with the death of the thread that spawned this process.)
"""

import asyncio
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.policies.policy import Policy
from webgym.rollout.collector import must_read_prompts
from webgym.rollout.contract import EventKind, PictureTaker, PolicyHandle, Request
from webgym.rollout.episode import Board, Episode
from webgym.types import EpisodeKey, Trajectory

if TYPE_CHECKING:
    import numpy as np

BEAT_S = 1.0
END_S = 10.0  # longest time to end in order


@dataclass(frozen=True, slots=True)
class Stage:
    """The sessions of a worker: how many, and where they play."""

    sessions: int
    backend: str
    headless: bool
    screenshots: bool


# --- what goes through the pipe: an Assignment or None (end) to the worker, the others to its parent --------------------------


@dataclass(frozen=True, slots=True)
class Assignment:
    """One episode for one of the worker's sessions. `number` names it in all that is told of it; `path` is where modules are found."""

    number: int
    path: tuple[str, ...]
    session: int
    request: Request  # of one key


@dataclass(frozen=True, slots=True)
class Beat:
    """The worker's loop lives; the first one says that it is ready."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event of an episode, with its changes of the counts."""

    number: int
    kind: EventKind
    message: str
    changes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Pictured:
    """The pixels that a turn was decided on."""

    number: int
    turn: int
    pixels: "np.ndarray"


@dataclass(frozen=True, slots=True)
class Ended:
    """An episode's trajectory, with its last changes of the counts."""

    number: int
    trajectory: Trajectory
    changes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Failed:
    """An error that is the caller's to see."""

    error: Exception


Report = Beat | Told | Pictured | Ended | Failed


# --- the process ---------------------------------------------------------------------------------------------------------


class _Relay(Board):
    """The board of an assignment: what is told on it is told to the parent; the end's changes are kept for the report of it."""

    def __init__(self, worker: "Worker", number: int) -> None:
        super().__init__(None)
        self._worker, self._number = worker, number
        self.last: dict[str, int] = {}

    def tell(self, session: int, kind: EventKind, key: EpisodeKey, trajectory: Trajectory | None, message: str, **changes: int) -> None:
        if kind == "end":
            self.last = changes
        else:
            self._worker.report(Told(self._number, kind, message, changes))


class Worker:
    """The sessions of this process, and the policy that was asked for last."""

    def __init__(self, pipe: Connection, stage: Stage) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()
        self._envs = [
            AsyncWebEnv(screenshots=stage.screenshots, backend=stage.backend, headless=stage.headless) for _ in range(stage.sessions)
        ]
        self._made: tuple[PolicyHandle, Policy] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def report(self, report: Report) -> None:
        """Send it to the parent; where that is gone, the pipe's end is seen elsewhere."""
        try:
            with self._sending:
                self._pipe.send(report)
        except OSError:
            pass

    def serve(self) -> None:
        """Play what is asked for until the parent wants no more or is gone."""
        loop_thread().start(self._beat())
        while (assignment := _received(self._pipe)) is not None:
            try:
                request = assignment.request
                sys.path[:] = assignment.path
                for file in request.task_files:
                    registry.load(file)
                policy = self._policy(request.policy)
                must_read_prompts(policy, request.record)
            except Exception as error:
                self.report(Failed(_portable(error)))
            else:
                loop_thread().start(self._play(assignment, policy))

    def close(self) -> None:
        """Give up the episodes under way and the sessions."""
        loop_thread().run(self._close())

    def _policy(self, handle: PolicyHandle) -> Policy:
        if self._made is None or self._made[0] != handle:
            self._made = handle, handle.make()
        return self._made[1]

    async def _beat(self) -> None:
        while True:
            self.report(Beat())
            await asyncio.sleep(BEAT_S)

    async def _play(self, assignment: Assignment, policy: Policy) -> None:
        task = asyncio.ensure_future(self._episode(assignment, policy))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait({task})

    async def _episode(self, assignment: Assignment, policy: Policy) -> None:
        number, request = assignment.number, assignment.request
        board = _Relay(self, number)
        episode = Episode(
            request.keys[0],
            self._envs[assignment.session],
            policy,
            board.of(assignment.session),
            request.deadlines,
            request.retries,
            request.record,
            self._taker(number) if request.pictures else None,
        )
        try:
            trajectory = await episode.play()
        except Exception as error:
            self.report(Failed(_portable(error)))
        else:
            self.report(Ended(number, trajectory, board.last))

    def _taker(self, number: int) -> PictureTaker:
        def take(key: EpisodeKey, turn: int, pixels: "np.ndarray") -> str:
            self.report(Pictured(number, turn, pixels))
            return "sent"  # the parent puts the file's name in its place

        return take

    async def _close(self) -> None:
        for task in [*self._tasks]:
            task.cancel()
        for env in self._envs:
            await env.close()


def _received(pipe: Connection) -> Assignment | None:
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return None


def _portable(error: Exception) -> Exception:
    """The error with where it was raised, in a form that pickles."""
    import pickle

    where = "".join(traceback.format_exception(error))
    try:
        error.add_note(f"In a worker process:\n{where}")
        pickle.loads(pickle.dumps(error))
    except Exception:  # pickling an error of another package may raise any error
        return RuntimeError(f"{type(error).__name__} in a worker process: {error}\n{where}")
    return error


def _end_with(parent: int) -> None:
    """End this process if its parent is gone and it does not end by itself."""
    while os.getppid() == parent:
        time.sleep(BEAT_S)
    time.sleep(END_S)
    os._exit(1)


def main(handle: int, parent: int) -> None:
    """Serve the pipe of this file descriptor for the parent with this process id."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear
    os.set_inheritable(handle, False)
    pipe = Connection(handle)
    threading.Thread(target=_end_with, args=(parent,), name="webgym-parent", daemon=True).start()
    try:
        worker = Worker(pipe, pipe.recv())
    except (EOFError, OSError):
        return  # the parent is gone already
    worker.serve()
    alarm = threading.Timer(END_S, os._exit, (1,))  # what hangs at the end must not keep the process
    alarm.daemon = True
    alarm.start()
    worker.close()
