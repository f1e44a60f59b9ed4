"""An executor of collectors that Ray places: on this machine, or on the machines of a Ray cluster.

Ray starts a collector's process again when it ends; what it had is played by others meanwhile, as with any executor of nodes.
"""

import asyncio
import contextlib
import importlib
import logging
import math
import os
import uuid
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from webgym.errors import ConfigError, Fault, UsageError
from webgym.nodes import wire
from webgym.nodes.client import Lost, Refused
from webgym.nodes.executor import Limits, NodesExecutor
from webgym.nodes.link import GREET_S, Link
from webgym.nodes.ray_actor import CollectorActor, options
from webgym.packs.sets import is_path
from webgym.rollout.contract import NodeListener

T = TypeVar("T")

END_S = 10.0
STORE_BYTES = 256 << 20  # of the object store of a Ray of this process; lines are small


class RayExecutor(NodesExecutor):
    """So many collectors of `sessions` sessions each, as actors of Ray; a context manager.

    `address` is that of a Ray cluster ("auto": the one that this machine belongs to); without it, a Ray of this process is started on this
    machine. `labels` selects machines by Ray's labels. `tasks` are files and packs of tasks that the actors load, `allow` factories of
    policies beside the usual ones. Raises UsageError where Ray is not installed, ConfigError where there is no such cluster.
    """

    def __init__(
        self,
        collectors: int,
        sessions: int,
        *,
        address: str = "",
        cpus: float = 1.0,
        labels: Mapping[str, str] | None = None,
        backend: str = "browser",
        headless: bool = True,
        tasks: Sequence[str] = (),
        allow: Sequence[str] = (),
        limits: Limits = Limits(),  # noqa: B008
        on_nodes: NodeListener | None = None,
    ) -> None:
        super().__init__(backend, limits, on_nodes)
        if collectors < 1 or sessions < 1:
            raise ConfigError(f"expected at least one collector with one session, got {collectors} with {sessions}")
        self._ray = _imported()
        self._own = not self._ray.is_initialized()
        if self._own:
            _begin(self._ray, address, math.ceil(collectors * cpus))
        made = self._ray.remote(CollectorActor).options(**options(cpus, sessions, labels or {}))
        settings = {"headless": headless, "tasks": [_absolute(name) for name in tasks], "allow": list(allow)}
        self._actors = {f"ray:{number}": made.remote(sessions, backend, **settings) for number in range(collectors)}

    @property
    def spread(self) -> bool:
        """True where the cluster has more than one machine."""
        return sum(node["Alive"] for node in self._ray.nodes()) > 1

    def _wanted(self) -> tuple[str, ...]:
        return tuple(self._actors)

    def _link(self, address: str) -> Link:
        return RayLink(self._ray, address, self._actors[address], self._limits.silence_s)

    def close(self) -> None:
        """End the actors, and Ray where it was started here."""
        super().close()
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.wait([actor.close.remote() for actor in self._actors.values()], num_returns=len(self._actors), timeout=END_S)
        for actor in self._actors.values():
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.kill(actor)
        self._actors.clear()
        if self._own:
            self._ray.shutdown()


class _Silent(Lost):
    """An actor did not answer in time."""


class RayLink:
    """A collector that is an actor. One that is silent for `silence_s` is ended, so that Ray starts it anew."""

    def __init__(self, ray: Any, name: str, actor: Any, silence_s: float) -> None:
        self._ray, self._name, self._actor, self._silence_s = ray, name, actor, silence_s

    async def hello(self, terms: wire.Terms) -> wire.Hello:
        """The collector's answer to the terms."""
        status, content = await self._heard(self._actor.hello.remote(terms.model_dump_json()), min(self._silence_s, GREET_S))
        if status == 200:
            try:
                return wire.Hello.model_validate_json(content)
            except ValidationError as error:
                raise Refused(f"{self._name} answered in another form than the protocol's: {wire.problem(error)}") from None
        raise Refused(f"{self._name} refused (status {status}): {wire.Refusal.model_validate_json(content).error}")

    async def play(self, asked: wire.Asked) -> AsyncGenerator[bytes, None]:
        """The lines of its answer."""
        run = uuid.uuid4().hex
        stream = self._actor.play.options(num_returns="streaming").remote(run, asked.model_dump_json())
        try:
            while True:
                try:
                    piece = await self._heard(await self._heard(anext(stream), self._silence_s), self._silence_s)
                except StopAsyncIteration:
                    return
                except _Silent:
                    with contextlib.suppress(self._ray.exceptions.RayError):
                        self._ray.kill(self._actor, no_restart=False)
                    raise
                for line in piece.removesuffix(b"\n").split(b"\n"):
                    yield line
        finally:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._actor.leave.remote(run)

    async def picture(self, name: str) -> bytes:
        """A picture by its name."""
        content = await self._heard(self._actor.picture.remote(name), self._silence_s)
        if not content:
            raise Refused(f"{self._name} refused: there is no such picture")
        return content

    async def _heard(self, waiting: Awaitable[T], timeout_s: float) -> T:
        """The answer of an actor. Raises Lost where it has ended or is silent."""
        try:
            return await asyncio.wait_for(_awaited(waiting), timeout_s)
        except TimeoutError:
            raise _Silent(f"{self._name} was silent for {timeout_s:g} s") from None
        except self._ray.exceptions.RayError as error:
            raise Lost(f"{self._name}: {_first_line(error)}") from error

    async def close(self) -> None:
        """Nothing: the executor ends its actors."""


async def _awaited(waiting: Awaitable[T]) -> T:
    return await waiting


def _absolute(name: str) -> str:
    """The name, as an absolute path where it is that of a file or folder: an actor runs elsewhere."""
    path, mark, task_id = name.partition("#")
    return f"{Path(path).absolute()}{mark}{task_id}" if is_path(path) else name


def _first_line(error: Exception) -> str:
    """The name of an error and the first line of its words."""
    return f"{type(error).__name__}: {' '.join(str(error).strip().splitlines()[:1])}".rstrip(": ")[:300]


def _imported() -> Any:
    """The module `ray`. Raises UsageError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone unless it is asked for
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError:
        raise UsageError("collectors as actors need Ray: pip install 'webgym-rl[ray]', or take executor.kind=http") from None


def _begin(ray: Any, address: str, cpus: int) -> None:
    """Join the cluster at an address, or start Ray on this machine alone. Raises ConfigError where there is no such cluster."""
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    if not address:
        here = {"num_cpus": max(cpus, os.cpu_count() or 1), "num_gpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        try:
            ray.init(address="local", **here, **settings)
        except Exception as error:  # Ray raises the plainest one where its own processes are not up within 30 s
            ray.shutdown()
            raise Fault(
                f"Ray did not start on this machine ({_first_line(error)}): try again when it is less busy, or take executor.kind=http"
            ) from error
        return
    try:
        ray.init(address=address, **settings)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"executor.address={address}: no Ray cluster was found there ({_first_line(error)}): `ray start` begins one"
        ) from None
