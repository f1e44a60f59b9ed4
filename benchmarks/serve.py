"""Steps per second over OpenEnv beside the same episodes in this process, at 1, 8 and 32 sessions, in one run.

    make bench-serve [ARGS='--episodes 96']
    python -m benchmarks.serve [--sessions 1 8 32] [--episodes 96] [--repeats 3] [--peer FOLDER --peer-python PYTHON] [--strict]

The oracles of the default set say beforehand what is done. Then the same episodes are played in this process (sessions on one loop, as a
collector has them) and by clients of `webgym serve --protocol openenv`, which runs in a process of its own. The two take turns, the first
round is not counted, and the figures are medians. Turns are counted and resets are part of the time.

OpenEnv's own BrowserGym environment is in no wheel. `--peer` is the folder `envs` of a checkout of OpenEnv, and `--peer-python` a Python
with openenv, browsergym-core and browsergym-miniwob. It is measured at its defaults and with its two sleeps at 0, on one task, because a
server of it has one task. Its clients send `noop(0)`, which waits for nothing else. Without the folder its rows say "not run".
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import wsproto
from rich.table import Table
from wsproto import events

from benchmarks.browsergym import prepared
from webgym.actions import parse, render
from webgym.commands.console import PlainConsole
from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.packs import registry, sets
from webgym.policies.scripted import OraclePolicy
from webgym.types import EpisodeKey

BAR_HERE, BAR_PEER = 0.7, 5.0  # of the rate in this process; times the peer's with its sleeps at 0, at 8 sessions
PEER_TASK, PEER_TURNS = "click-test-2", 12


@dataclass(frozen=True, slots=True)
class Play:
    """One episode and what the oracle does in it."""

    task: str
    seed: int
    actions: tuple[str, ...]


class Socket:
    """A client of one OpenEnv session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)

    @classmethod
    async def open(cls, url: str) -> "Socket":
        """A socket whose handshake is over."""
        parts = urlsplit(url)
        self = cls(*await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 24))
        self._writer.write(self._ws.send(events.Request(host=parts.netloc, target=f"{parts.path.rstrip('/')}/ws")))
        await anext(self._events())
        return self

    async def ask(self, kind: str, **data: Any) -> dict[str, Any]:
        """The data of the server's answer. An error of the server ends the benchmark."""
        self._writer.write(self._ws.send(events.TextMessage(json.dumps({"type": kind, "data": data}))))
        text = ""
        async for event in self._events():
            if isinstance(event, events.TextMessage):
                text += event.data
                if event.message_finished:
                    break
        answer = json.loads(text)
        if answer["type"] == "error":
            sys.exit(f"the server answered {answer['data']}")
        return answer["data"]

    async def close(self) -> None:
        """Drop the connection."""
        self._writer.close()
        await self._writer.wait_closed()

    async def _events(self) -> AsyncIterator[events.Event]:
        while True:
            for event in self._ws.events():
                if isinstance(event, events.Ping):
                    self._writer.write(self._ws.send(event.response()))
                else:
                    yield event
            if not (data := await self._reader.read(1 << 20)):
                sys.exit("the server closed a connection")
            self._ws.receive_data(data)


Player = Callable[[Play], Awaitable[int]]
"""Plays an episode in a session of its own; the number of its turns."""


async def rehearsed(tasks: list[str], episodes: int) -> list[Play]:
    """The episodes, as the oracles play them."""
    policy, env, plays = OraclePolicy(registry.task), AsyncWebEnv(), []
    seeds = sets.seeds_of("train")
    for index in range(episodes):
        task, seed = tasks[index % len(tasks)], seeds[index]
        observation, key, texts = await env.reset(task, seed), EpisodeKey(task, seed), []
        while True:
            texts.append(render(action := policy.action(observation, key), "call"))
            step = await env.step(action)
            if step.kind:
                break
            observation = step.observation
        plays.append(Play(task, seed, tuple(texts)))
    await env.close()
    return plays


async def here(env: AsyncWebEnv, play: Play) -> int:
    """An episode in this process."""
    await env.reset(play.task, play.seed)
    for text in play.actions:
        await env.step(parse(text, "call", env.goal))
    return len(play.actions)


async def over(socket: Socket, play: Play) -> int:
    """An episode over OpenEnv."""
    await socket.ask("reset", task=play.task, seed=play.seed)
    for text in play.actions:
        await socket.ask("step", action=text)
    return len(play.actions)


async def at_peer(socket: Socket, play: Play) -> int:
    """An episode of the peer: as many turns as it takes to measure them."""
    await socket.ask("reset", seed=play.seed)
    for _ in range(PEER_TURNS):
        await socket.ask("step", action_str="noop(0)")
    return PEER_TURNS


async def rate(players: list[Player], plays: list[Play]) -> float:
    """Turns per second of these sessions, each of which takes the next episode when it is free."""
    waiting, turns = iter(plays), 0

    async def session(player: Player) -> None:
        nonlocal turns
        for play in waiting:
            played = await player(play)  # first: what is added to is read before what is awaited
            turns += played

    begun = perf_counter()
    await asyncio.gather(*(session(player) for player in players))
    return turns / (perf_counter() - begun)


@contextlib.contextmanager
def served(command: list[str], **environment: str) -> Iterator[str]:
    """The address of a server that runs in a process of its own, which writes it first."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    assert process.stdout is not None
    try:
        line = process.stdout.readline().split()
        if not line:
            sys.exit(f"{' '.join(command)} did not start")
        yield line[0]
    finally:
        process.terminate()
        process.wait()


async def measured(url: str, sessions: int, plays: list[Play], repeats: int) -> tuple[list[float], list[float]]:
    """Rates in this process and over OpenEnv, taking turns; the first of each is left out."""
    envs = [AsyncWebEnv() for _ in range(sessions)]
    sockets = [await Socket.open(url) for _ in range(sessions)]
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats + 1):
        found[0].append(await rate([partial(here, env) for env in envs], plays))
        found[1].append(await rate([partial(over, socket) for socket in sockets], plays))
    await asyncio.gather(*(env.close() for env in envs), *(socket.close() for socket in sockets))
    return found[0][1:], found[1][1:]


async def measured_peer(url: str, sessions: int, episodes: int, repeats: int) -> list[float]:
    """Rates of the peer; the first is left out."""
    sockets = [await Socket.open(url) for _ in range(sessions)]
    plays = [Play(PEER_TASK, seed, ()) for seed in range(max(sessions, episodes // PEER_TURNS))]
    found = [await rate([partial(at_peer, socket) for socket in sockets], plays) for _ in range(repeats + 1)]
    await asyncio.gather(*(socket.close() for socket in sockets))
    return found[1:]


def peer(folder: Path, python: Path, sessions: int, sleeps: str) -> AbstractContextManager[str]:
    """The peer as a server (`benchmarks/serve_peer.py`); its address."""
    worker = Path(__file__).with_name("serve_peer.py")
    # -I: the folder of the worker, which has a file named like an import of the peer, stays off its path
    return served([str(python), "-I", str(worker), str(folder), PEER_TASK, str(sessions), sleeps], **prepared(python))


def peer_rows(arguments: argparse.Namespace) -> dict[str, dict[int, float] | None]:
    """Rates of OpenEnv's BrowserGym environment by sessions, at its defaults and without its sleeps; None for what was not run."""
    rows: dict[str, dict[int, float] | None] = {"peer": None, "peer without sleeps": None}
    if arguments.peer is None:
        return rows
    for name, sleeps in (("peer", "1"), ("peer without sleeps", "0")):
        with peer(arguments.peer, arguments.peer_python, max(arguments.sessions), sleeps) as url:
            rows[name] = {
                n: statistics.median(loop_thread().run(measured_peer(url, n, arguments.episodes, arguments.repeats)))
                for n in arguments.sessions
            }
    return rows


def main() -> None:
    """Measure, print a table, and end with 1 where a bar is missed and `--strict` was given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--episodes", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer", type=Path, help="folder envs of a checkout of OpenEnv")
    parser.add_argument("--peer-python", type=Path, default=Path(sys.executable))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--strict", action="store_true")
    arguments = parser.parse_args()
    plays = loop_thread().run(rehearsed(sets.choose(["default"]), arguments.episodes))
    rows: dict[str, dict[int, float] | None] = {"in this process": {}, "over OpenEnv": {}}
    most = str(2 * max(arguments.sessions))
    with served([sys.executable, "-m", "webgym", "serve", "--protocol", "openenv", "--sessions", most]) as url:
        for n in arguments.sessions:
            found = loop_thread().run(measured(url, n, plays, arguments.repeats))
            for name, rates in zip(("in this process", "over OpenEnv"), found, strict=True):
                rows[name][n] = statistics.median(rates)  # type: ignore[index]
    rows |= peer_rows(arguments)
    table = Table("turns/s", *(f"{n} sessions" for n in arguments.sessions), title=f"{arguments.episodes} episodes of the default set")
    for name, rates in rows.items():
        table.add_row(name, *(f"{rates[n]:.1f}" if rates else "not run" for n in arguments.sessions))
    PlainConsole().print(table)
    shares = {n: rows["over OpenEnv"][n] / rows["in this process"][n] for n in arguments.sessions}  # type: ignore[index]
    bars = {
        f"over OpenEnv at least {BAR_HERE} of the rate in this process ({n} sessions: {x:.2f})": x >= BAR_HERE for n, x in shares.items()
    }
    if (tuned := rows["peer without sleeps"]) and 8 in tuned:
        times = rows["over OpenEnv"][8] / tuned[8]  # type: ignore[index]
        bars[f"at least {BAR_PEER:g} times the peer without sleeps at 8 sessions ({times:.1f})"] = times >= BAR_PEER
    for bar, holds in bars.items():
        print(f"{'met   ' if holds else 'MISSED'} {bar}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"turns_per_s": rows, "bars": bars}, indent=2) + "\n", "utf-8")
    if arguments.strict and not all(bars.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
