"""The peers of the conformance suite: each plays one episode over its protocol and says what its trainer would learn from."""

import asyncio
import functools
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import wsproto
from wsproto import events as ws

from webgym.actions import parse, render
from webgym.errors import Fault
from webgym.serve.client import Here, Remote
from webgym.serve.nemo_gym import Episodic
from webgym.serve.trl import environment_factory


@dataclass
class Played:
    """An episode as a trainer sees it. `reward` is None where there is nothing to learn from; `hashes` are those of its observations."""

    reward: float | None = None
    terminated: bool = False
    truncated: bool = False
    hashes: list[str] = field(default_factory=list)


class WebSocket:
    """A WebSocket client without a library of its own, so that every byte on the wire is the test's."""

    def __init__(self, url: str, headers: Sequence[tuple[bytes, bytes]] = (), host: str = "") -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=60)
        self._ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        asked = ws.Request(host=host or parts.netloc, target=f"{parts.path}/ws", extra_headers=list(headers))
        self._socket.sendall(self._ws.send(asked))
        self.status = 101
        event = self._next()
        if isinstance(event, ws.RejectConnection):
            self.status = event.status_code

    def _next(self) -> ws.Event:
        while True:
            for event in self._ws.events():
                if isinstance(event, ws.Ping):
                    self._socket.sendall(self._ws.send(event.response()))
                    continue
                return event
            data = self._socket.recv(1 << 16)
            self._ws.receive_data(data or None)

    def ask(self, message: Any) -> dict[str, Any]:
        self._socket.sendall(self._ws.send(ws.TextMessage(message if isinstance(message, str) else json.dumps(message))))
        return self.answer()

    def answer(self) -> dict[str, Any]:
        parts: list[str] = []
        while True:
            event = self._next()
            if not isinstance(event, ws.TextMessage):
                return {"type": "closed", "event": type(event).__name__}
            parts.append(event.data)
            if event.message_finished:
                return json.loads("".join(parts))

    def close(self) -> None:
        self._socket.close()


def over_episodes(session: Here | Remote, task: str, seed: int, actions: Sequence[str], **options: Any) -> Played:
    """An episode over our own face of episodes."""
    played = Played()
    with session:
        try:
            turned = session.begin(task, seed, **options)
            played.hashes.append(turned.observation.observation_hash)
            for action in actions:
                turned = session.act(action)
                played.hashes.append(turned.observation.observation_hash)
        except Fault:
            return played
    played.reward, played.terminated, played.truncated = turned.reward, turned.terminated, turned.truncated
    return played


def over_openenv(url: str, task: str, seed: int, actions: Sequence[str], **options: Any) -> Played:
    """An episode over OpenEnv's wire."""
    played = Played()
    client = WebSocket(url)
    try:
        answer = client.ask({"type": "reset", "data": {"task": task, "seed": seed, **options}})
        for action in [*actions, None]:
            if answer["type"] == "error":
                assert answer["data"]["code"] == "EXECUTION_ERROR", answer
                return played
            seen = answer["data"]["observation"]
            played.hashes.append(seen["observation_hash"])
            if action is not None:
                answer = client.ask({"type": "step", "data": {"action": action}})
        played.reward, played.terminated, played.truncated = answer["data"]["reward"], seen["terminated"], seen["truncated"]
        assert answer["data"]["done"] == (played.terminated or played.truncated)
    finally:
        client.close()
    return played


def over_openenv_client(url: str, task: str, seed: int, actions: Sequence[str], **options: Any) -> Played:
    """An episode over OpenEnv's own client, where it is installed."""
    client = pytest.importorskip("webgym.serve.openenv_client", exc_type=ImportError)
    played = Played()
    with client.WebGymEnv(url).sync() as env:
        try:
            result = env.reset(task=task, seed=seed, **options)
            played.hashes.append(result.observation.observation_hash)
            assert (env.state().task, env.state().seed, env.state().step_count) == (task, seed, 0)
            for action in actions:
                result = env.step(client.WebGymAction(action=action))
                played.hashes.append(result.observation.observation_hash)
        except RuntimeError as error:
            assert "EXECUTION_ERROR" in str(error)
            return played
    seen = result.observation
    played.reward, played.terminated, played.truncated = result.reward, seen.terminated, seen.truncated
    return played


def over_trl(url: str, backend: str, task: str, seed: int, actions: Sequence[str]) -> Played:
    """An episode as TRL's GRPOTrainer plays it: columns of a row, tools by name, and the reward at the end."""
    if backend == "openenv":
        client = pytest.importorskip("webgym.serve.openenv_client", exc_type=ImportError)
        environment = environment_factory(connect=functools.partial(client.OverOpenEnv, url))()
    else:
        environment = environment_factory(url, backend=backend)()
    played = Played()
    environment.reset(task=task, seed=seed, prompt=[{"role": "user", "content": ""}])
    played.hashes += [environment._last.observation.observation_hash] if environment._last else []
    for action in actions:
        called = json.loads(render(parse(action, "call"), "json"))  # pyright: ignore[reportArgumentType]
        getattr(environment, called["name"])(**called["arguments"])
    played.reward = environment.get_reward()
    if environment._last is not None and played.reward is not None:
        played.terminated, played.truncated = environment._last.terminated, environment._last.truncated
    if environment._session is not None:
        environment._session.close()
    return played


def over_nemo_gym(backend: str, task: str, seed: int, actions: Sequence[str]) -> Played:
    """An episode as NeMo Gym's Gymnasium server plays it."""
    episodic, played = Episodic(backend), Played()

    async def play() -> None:
        _, info = await episodic.reset({"task": task, "seed": seed}, "session")
        played.hashes.append(info["observation_hash"])
        for action in actions:
            _, played.reward, played.terminated, played.truncated, _ = await episodic.step(f"I act.\n{action}", "session")

    try:
        asyncio.run(play())
    except Fault:
        return Played(hashes=played.hashes)
    finally:
        asyncio.run(episodic.close("session"))
    return played
