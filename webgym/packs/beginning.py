"""The beginning of an episode: what a task's own program makes of a seed, within a limit of time.

Such a program often draws until something fits, and for some seed nothing may ever fit. It runs in a thread of its own, which is ended
when its time is over. So a task without an end costs its own episodes, and not the run.
"""

import asyncio
import ctypes
import threading
from concurrent.futures import Future
from pathlib import Path

from webgym.errors import Fault, JudgeFault, UsageError
from webgym.task import Start, Task
from webgym.types import well_formed

START_S = 30.0  # that a task's program may take
LONGEST_NAME = 255  # bytes that a file system takes


class _Over(SystemExit):
    """The time is over. A thread that ends by a SystemExit says nothing about it."""


class _Drawing(threading.Thread):
    """A task's program at work. `found` comes to be the beginning, or the error that was raised."""

    def __init__(self, task: Task, seed: int) -> None:
        super().__init__(name=f"{task.id} {seed}", daemon=True)
        self._task, self._seed = task, seed
        self.found: Future[Start | Exception] = Future()
        self.found.set_running_or_notify_cancel()  # so that nobody who stops waiting cancels it
        self.start()

    def run(self) -> None:
        try:
            self.found.set_result(self._task.start(self._seed))
        except _Over:
            return
        except BaseException as error:  # a result, because a future takes no StopIteration for an error
            self.found.set_result(error if isinstance(error, Exception) else RuntimeError(f"{error!r} was raised"))

    def end(self) -> None:
        """Raise `_Over` in the program, if it still runs. It comes between two steps of Python: a call of C ends first."""
        if not self.found.done():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident or 0), ctypes.py_object(_Over))


async def begun(task: Task, seed: int, seconds: float = START_S) -> Start:
    """The beginning of the episode that (task, seed) fixes. Raises JudgeFault where the task's program fails or does not come to an end,
    or gives a file a name that is none; a Fault or UsageError of the program itself as it is.
    """
    drawing = _Drawing(task, seed)
    try:
        done, _ = await asyncio.wait([asyncio.wrap_future(drawing.found)], timeout=seconds)
    finally:
        drawing.end()
    start = _whole(task, seed, done.pop().result() if done else _endless(task, seed, seconds))
    for name in start.files:
        if not name or name != Path(name).name or "\0" in name or name != well_formed(name) or len(name.encode()) > LONGEST_NAME:
            raise JudgeFault(f"task {task.id} gives a file the name {name!r}: expected a plain name such as 'letter.txt'")
    return start


def drawn(task: Task, seed: int, seconds: float = START_S) -> Start:
    """The beginning as the task's program gives it, from any thread but a loop's. Raises what the program raises, and JudgeFault where
    it does not come to an end.
    """
    drawing = _Drawing(task, seed)
    try:
        found = drawing.found.result(seconds)
    except TimeoutError:
        found = _endless(task, seed, seconds)
    finally:
        drawing.end()
    if isinstance(found, Exception):
        raise found
    return found


def _whole(task: Task, seed: int, found: Start | Exception) -> Start:
    if isinstance(found, Fault | UsageError):
        raise found
    if isinstance(found, Exception):
        raise JudgeFault(f"task {task.id} cannot begin with seed {seed}: {found!r}") from found
    return found


def _endless(task: Task, seed: int, seconds: float) -> JudgeFault:
    return JudgeFault(
        f"task {task.id} did not begin with seed {seed} within {seconds:g} s: expected its program to come to an end; "
        "look in it for a loop that draws until something fits"
    )
