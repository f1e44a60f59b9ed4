"""Collectors for tests: as processes that can be killed and stopped, and in this process, where what they say can be changed."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from webgym.loop_thread import loop_thread
from webgym.nodes.collector import FACTORIES, Collector
from webgym.nodes.listening import Listening
from webgym.types import Outcome, Times, Trajectory

ROOT = Path(__file__).parents[3]


class CollectorProcess:
    """`webgym collector` in a process of its own, and in a group that can be killed with its browser."""

    def __init__(self, sessions: int = 1, backend: str = "text", *options: str, port: int = 0, token: str = "", path: str = "") -> None:
        self.arguments = ["--sessions", str(sessions), "--backend", backend, *options]
        self.environ = {**os.environ, "WEBGYM_TOKEN": token, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), path]))}
        self.port = port
        self.start()

    def start(self) -> None:
        """Start it, at the port that it had, and wait until it listens."""
        program = [sys.executable, "-m", "cli", "collector", "--listen", f"127.0.0.1:{self.port}", *self.arguments]
        self.process = subprocess.Popen(
            program, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.match(r"http://127\.0\.0\.1:(\d+)", line)
        assert found, f"the collector did not begin: {line!r}"
        self.port = int(found[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def signal(self, number: int) -> None:
        """Send a signal to it and all below it."""
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """End it by force."""
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def processes(count: int, *arguments: Any, **settings: Any) -> Iterator[list[CollectorProcess]]:
    """So many collector processes, which are ended at the end."""
    found: list[CollectorProcess] = []
    try:
        for _ in range(count):
            found.append(CollectorProcess(*arguments, **settings))
        yield found
    finally:
        for each in found:
            each.kill()


Said = Callable[[bytes], bytes]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@contextmanager
def collector(
    sessions: int = 1,
    *,
    backend: str = "text",
    token: str = "",
    factories: Sequence[str] = FACTORIES,
    says: Said | None = None,
    wrap: Any = None,
) -> Iterator[Listening]:
    """A collector in this process. `says` changes each piece of its answers to /play; `wrap` makes another ASGI app of its app."""
    made = Collector(sessions, backend=backend, token=token, factories=factories)

    async def changed(scope: Any, receive: Any, send: Send) -> None:
        async def changing(message: dict[str, Any]) -> None:
            if says is not None and scope["path"] == "/play" and message["type"] == "http.response.body":
                message = {**message, "body": says(message["body"])}
            await send(message)

        await made.app(scope, receive, changing)

    with Listening(wrap(changed) if wrap else changed, "127.0.0.1", 0) as listening:
        yield listening
    loop_thread().run(made.close())


def plain(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    """The trajectories without what may differ: times and retries."""
    return [replace(x, turns=tuple(replace(turn, times=Times()) for turn in x.turns), outcome=bare(x.outcome)) for x in trajectories]


def bare(outcome: Outcome) -> Outcome:
    return replace(outcome, retries=0)
