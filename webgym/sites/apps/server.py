"""An application in a process of its own as a site: leased to one episode at a time, reset between them, read when a check is due."""

import asyncio
import atexit
import re
import shlex
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from webgym.errors import ConfigError, SiteFault, UsageError
from webgym.sites.apps import clock
from webgym.sites.apps.calls import GaveUp, called, in_thread
from webgym.sites.apps.exchange import Address
from webgym.sites.apps.headers import origins
from webgym.sites.apps.instance import Instance, PlainInstance, Wrong
from webgym.sites.apps.logs import log_folder
from webgym.sites.apps.pool import Command, Elsewhere, Processes, Running
from webgym.sites.apps.proxy import Proxy
from webgym.sites.apps.requests import kept
from webgym.sites.apps.resets import Copy, Get, Reader, Reset, Sqlite, in_words
from webgym.sites.apps.secrets import redacted
from webgym.task import AsgiApp

RESET_S, READ_S = 30.0, 25.0  # that one step of a reset may take, and one reader
LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")
R = TypeVar("R", bound=Callable[..., Any])
_servers: "weakref.WeakSet[Server]" = weakref.WeakSet()


@dataclass(eq=False)
class Lease:
    """One episode's application. `headers` are added to every request of the episode; they are never shown."""

    running: Running
    seed: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    well: bool = True

    @property
    def instance(self) -> Instance:
        """The application for coroutines."""
        return Instance(self.running.plain)

    @property
    def plain(self) -> PlainInstance:
        """The application for plain functions."""
        return self.running.plain


class Server:
    """An application in a process of its own, served to pages under `url`; implements :class:`webgym.task.Site`.

    `command` starts it: `{port}` is the port that it must listen on, on 127.0.0.1, and `{folder}` the process's own folder. Each episode
    has a process of its own meanwhile; between episodes it is reset and used again. `folder` is the application's folder: a copy of it is
    the process's own, in which it runs. In place of a command, `at` is the address of an application that runs already; then one episode
    at a time plays, unless `instances` is "shared".

    `reset` brings it back: :class:`Sqlite`, :class:`Copy`, :class:`Get`, :class:`Post`, :class:`Command`, `restart`, or a function of the
    instance. `readers` say its state by name, as does the decorator :meth:`state`. `private` paths are refused to pages. `also` are more
    addresses under which pages see it. `same_for_all` paths are the same for every episode, so that browsers keep them. `streams` are
    paths that stay open, for which no page waits. `host_header` is what the application takes itself for. `withheld` names files of the
    folder that are not copied, such as those that hold answers.
    """

    external = True

    def __init__(
        self,
        url: str,
        *,
        command: Sequence[str] | str = "",
        at: str = "",
        folder: str | Path | None = None,
        cwd: str | Path | None = None,
        withheld: Sequence[Path] = (),
        environment: Mapping[str, str] | None = None,
        ready: str = "/",
        reset: Sequence[Reset] | Reset = (),
        readers: Mapping[str, Reader] | None = None,
        also: Sequence[str] = (),
        private: Sequence[str] = (),
        same_for_all: Sequence[str] = (),
        streams: Sequence[str] = (),
        host_header: str = "",
        log: str = "",
        clock_s: float | None = None,
        instances: Literal["per session", "shared"] = "per session",
        remote: bool = False,
    ) -> None:
        if bool(command) == bool(at):
            raise ConfigError(f"the site {url}: expected either a command that starts it or `at`, the address where it runs already")
        if instances == "shared" and not at:
            raise ConfigError(f"the site {url}: only an application that runs already (`at`) can be shared by sessions")
        self.url, self.host, self.also = url, _host_of(url), tuple(_host_of(more) for more in also)
        self.private, self.same_for_all, self.streams = (
            _paths(url, key, paths) for key, paths in (("private", private), ("same_for_all", same_for_all), ("streams", streams))
        )
        steps = (reset,) if isinstance(reset, str) or callable(reset) or isinstance(reset, (Sqlite, Copy)) else tuple(reset)
        self._restarts = "restart" in steps
        self._steps: tuple[Any, ...] = tuple(step for step in steps if step != "restart")
        self._readers: dict[str, Reader] = dict(readers or {})
        self.clock_s = clock_s
        self._command, self.at = command, at
        _words_of(url, command)
        if log and (Path(log).is_absolute() or ".." in Path(log).parts):
            raise ConfigError(f"the site {url}: log: expected a path inside of the application's folder, got {log!r}")
        if re.search(r"[/\s@]", host_header):
            raise ConfigError(
                f"the site {url}: host_header: expected a host and perhaps a port, such as 127.0.0.1:{{port}}, got {host_header!r}"
            )
        source = None if folder is None else Path(folder).resolve()
        self._pool: Processes | Elsewhere
        if at:
            if self._restarts:
                raise ConfigError(f"the site {url}: an application that runs already (`at`) cannot be restarted: reset it in another way")
            if bare := next((step for step in self._steps if isinstance(step, (Sqlite, Copy)) and step.source is None), None):
                raise ConfigError(f"the site {url}: {bare.path} of an application that runs already: say which file it becomes (`from`)")
            address = _address(at, remote)
            self._pool = Elsewhere(
                lambda: PlainInstance(address, source, host=_own_host(host_header, address)), ready, instances == "shared", self._keep_first
            )
        else:
            where = Path(cwd).resolve() if cwd is not None else None
            started = Command(command, source, [path.resolve() for path in withheld], where, environment or {}, ready, log, clock_s)
            self._pool = Processes(started, host_header, self._keep_first)
        self._proxy = Proxy(origins([url, *also]), host_header, self.private, self.same_for_all)
        _servers.add(self)

    # --- what authors use --------------------------------------------------------------------------------------------------

    def state(self, reader: R) -> R:
        """Decorator: the function, of the instance, is a reader of the state under its own name."""
        name = getattr(reader, "__name__", "")
        if name in self._readers:
            raise ConfigError(f"the site {self.url} has a reader {name!r} already: give this one another name")
        self._readers[name] = reader
        return reader

    @property
    def readers(self) -> tuple[str, ...]:
        """The names of the state's readers."""
        return tuple(self._readers)

    @property
    def processes(self) -> tuple[Running, ...]:
        """The processes that run now, lent or idle; none of an application that runs already."""
        return self._pool.running if isinstance(self._pool, Processes) else ()

    @property
    def resets(self) -> bool:
        """True where anything is done between two episodes."""
        return self._restarts or bool(self._steps)

    def removed(self, lease: Lease) -> list[str]:
        """The paths that a reset removes, because nothing was there when the process had just started."""
        process = lease.running.process
        copies = [step for step in self._steps if isinstance(step, Copy) and step.source is None]
        return [step.path for step in copies if process is not None and not (process.born / step.path).exists()]

    @property
    def hosts(self) -> tuple[str, ...]:
        """All hosts under which pages see it."""
        return (self.host, *self.also)

    @property
    def clock_note(self) -> str:
        """A note on the clock of its processes, "" where there is none."""
        if self.clock_s is None or self.at or clock.library() is not None:
            return ""
        return clock.MISSING

    def set_clock(self, clock_s: float) -> None:
        """Let its processes see this time at the beginning of each episode. Raises ConfigError where they see another one already."""
        if self.clock_s not in (None, clock_s):
            raise ConfigError(f"the site {self.url} has another clock already: all its tasks must have the same")
        self.clock_s = clock_s
        if isinstance(self._pool, Processes):
            self._pool.command = replace(self._pool.command, clock_s=clock_s)

    # --- what the gateway uses ---------------------------------------------------------------------------------------------

    async def lease(self, seed: int, site_state: Any) -> Lease:
        """An application in its first state. Raises SiteFault, with the end of its log."""
        running = await self._pool.take()
        lease = Lease(running, seed)
        try:
            if self._restarts and running.used:
                await self._pool.give_back(running, well=False)
                lease.running = running = await self._pool.take()
            running.plain.seed, running.plain.site_state, running.plain.requests = seed, site_state, []
            if running.process is not None:
                running.process.shorten_log()
                if self.clock_s is not None:
                    clock.set_clock(running.process.home / "clock", self.clock_s)
            for step in self._steps:
                await self._reset(lease, step)
            running.used = True
        except BaseException:
            await self._pool.give_back(running, well=False)
            raise
        return lease

    async def _reset(self, lease: Lease, step: Any) -> None:
        try:
            if isinstance(step, (Sqlite, Copy)):
                process = lease.running.process
                born = process.born if process is not None else Path("/nowhere")
                await in_thread(step.put_back, lease.plain, born, timeout_s=RESET_S)
            else:
                await called(step, lease.plain, lease.instance, timeout_s=RESET_S)
        except TimeoutError as error:
            raise self._fault(lease, f"its reset by {in_words(step)} took longer than {RESET_S:g} s") from error
        except (Wrong, GaveUp) as error:
            raise self._fault(lease, f"its reset failed: {error}") from error
        except UsageError:
            raise
        except Exception as error:
            raise self._fault(lease, f"its reset by {in_words(step)} failed: {error!r}") from error

    async def snapshot(self, state: Lease) -> dict[str, Any]:
        """The state as the readers say it, by name, all asked at once. Raises SiteFault."""
        if how := state.running.ended:
            raise self._fault(state, f"its process is gone: {how}")
        names = list(self._readers)
        found = await asyncio.gather(*(self._read(state, name) for name in names), return_exceptions=True)
        for error in found:
            if isinstance(error, BaseException):
                raise error
        return dict(zip(names, found, strict=True))

    async def _read(self, lease: Lease, name: str) -> Any:
        try:
            reader = self._readers[name]
            read = reader.state if isinstance(reader, Get) else reader
            return await called(read, lease.plain, lease.instance, timeout_s=READ_S)
        except TimeoutError as error:
            raise self._fault(lease, f"its state {name!r} was not read within {READ_S:g} s") from error
        except (Wrong, GaveUp) as error:
            raise self._fault(lease, f"its state {name!r} could not be read: {error}") from error
        except UsageError:
            raise
        except Exception as error:
            raise self._fault(lease, f"its state {name!r} could not be read: {error!r}") from error

    async def release(self, state: Lease) -> None:
        """Give the application back."""
        state.headers = {}
        again = state.well and not (self._restarts and state.running.process is not None)
        await self._pool.give_back(state.running, well=again)
        if not again and state.well and isinstance(self._pool, Processes):
            self._pool.start_ahead()

    @property
    def app(self) -> AsgiApp:
        """The ASGI application that answers the browser."""
        return self._answer

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        lease: Lease = scope["webgym.state"]
        receive, send = kept(scope, receive, send, lease.plain.requests)
        if words := await self._proxy.answer(lease.plain.address, lease.headers, self._gone(lease), scope, receive, send):
            raise self._fault(lease, words)

    def _gone(self, lease: Lease) -> Callable[[], str]:
        return lambda: lease.running.ended

    def _fault(self, lease: Lease, words: str) -> SiteFault:
        """A fault of the application, with the end of its log, which is kept."""
        lease.well = False
        said, kept = lease.running.log_tail(), None
        if lease.running.process is not None and said:
            kept = lease.running.process.keep_log(log_folder())
        log = f"; its log ends with:\n{said}\n" + (f"(kept in {kept})" if kept else "") if said else ""
        return SiteFault(redacted(f"the application at {self.url}: {words}{log}"))

    def _keep_first(self, running: Running) -> None:
        """Keep what a process has just after its start, to go back to."""
        running.plain.seed, running.plain.site_state = 0, None
        if running.process is None:
            return
        for step in self._steps:
            if isinstance(step, (Sqlite, Copy)):
                try:
                    step.keep(running.plain, running.process.born)
                except (Wrong, OSError) as error:
                    raise SiteFault(f"the application at {self.url}: {step.path} could not be kept for resets: {error}") from error

    async def close(self) -> None:
        """End all processes of this application."""
        await in_thread(self._pool.close, timeout_s=10)

    def stop(self) -> None:
        """End all processes of this application, and wait for it."""
        self._pool.close()


def _host_of(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise ConfigError(f"expected the address that pages see, such as http://forum.localhost/, got {url!r}")
    return parts.netloc.lower() if parts.scheme == "http" else f"https://{parts.netloc.lower()}"


def _paths(url: str, key: str, paths: Sequence[str]) -> tuple[str, ...]:
    """Patterns of paths. Raises ConfigError for one that no path can fit, which would do nothing unseen."""
    paths = (paths,) if isinstance(paths, str) else paths
    if wrong := next((path for path in paths if not path.startswith(("/", "*"))), None):
        raise ConfigError(f"the site {url}: {key}: expected a path that begins with /, such as /{wrong.lstrip('/')}, got {wrong!r}")
    return tuple(paths)


def _words_of(url: str, command: Sequence[str] | str) -> None:
    """Raises ConfigError for a command that cannot be split into words."""
    try:
        if isinstance(command, str):
            shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"the site {url}: the command `{command}` cannot be split into words: {error}") from error


def _address(at: str, remote: bool) -> Address:
    parts = urlsplit(at)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"expected the address of an application that runs, such as http://localhost:8000, got {at!r}")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise ConfigError(
            f"expected the address of a whole host, such as {parts.scheme}://{parts.netloc.rpartition('@')[2]}, got {at!r}: "
            f"a path belongs to the `start` of each task, and a name and a password to `signed_in`"
        )
    if parts.hostname not in LOOPBACK and not remote:
        raise ConfigError(
            f"{at} is not on this machine: say `remote: true` (in Python remote=True) if agents may act on it and you may let them"
        )
    return Address.of(at)


def _own_host(host_header: str, address: Address) -> str:
    return host_header.replace("{port}", str(address.port))


def _end_all() -> None:
    for server in list(_servers):
        server.stop()


atexit.register(_end_all)
