"""The processes of one application: started when they are needed, lent to one episode at a time, and used again."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from webgym.errors import SiteFault
from webgym.sites.apps import clock
from webgym.sites.apps.calls import in_thread
from webgym.sites.apps.exchange import Address, Broken, Exchange, Refused
from webgym.sites.apps.instance import PlainInstance
from webgym.sites.apps.process import Process
from webgym.sites.apps.secrets import public, with_secrets

START_S = 40.0  # until an application must answer; a site's lease must be over in 45 s
AT_ONCE = max(2, os.cpu_count() or 2)  # starts at a time: more would only make each slower
NOT_YET = (502, 503, 504)  # what an application answers, or a server before it, that is still starting
HOSTS = ("127.0.0.1", "::1")  # `localhost`, on which many servers listen by themselves, is either
SHELL = ("&&", "||", "|", ";", ">", ">>", "<", "&", "cd", "export", "source")
IN_USE = ("address already in use", "eaddrinuse", "port is already", "only one usage of each socket")


@dataclass(frozen=True)
class Command:
    """The way in which a process is started and known to be ready. `{port}` and `{folder}` in command and environment are filled in."""

    command: Sequence[str] | str
    source: Path | None  # copied for each process; it runs in the copy
    withheld: Sequence[Path]  # what of the source is not copied
    cwd: Path | None  # where it runs unless there is a source
    environment: Mapping[str, str]
    ready: str
    log: str = ""
    clock_s: float | None = None

    def arguments(self, port: int, folder: Path) -> list[str]:
        """The command, filled in."""
        words = shlex.split(self.command) if isinstance(self.command, str) else self.command
        return [_filled(word, port, folder) for word in words]

    def variables(self, port: int, folder: Path, clock_file: Path) -> dict[str, str]:
        """The environment of the process: that of this one without secrets, what makes runs alike, and what the author says."""
        temporary = str(clock_file.with_name("tmp"))
        alike = {"TZ": "UTC", "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0", "PORT": str(port), "TMPDIR": temporary}
        faked = clock.environment(clock_file) if self.clock_s is not None else {}
        own = {name: _filled(value, port, folder) for name, value in self.environment.items()}
        return {**public(os.environ), **alike, **faked, **own}

    @property
    def of_a_shell(self) -> str:
        """The part of the command that only a shell would understand, "" where there is none."""
        words = shlex.split(self.command) if isinstance(self.command, str) else list(self.command)
        if not words or words[0].rpartition("/")[2] in ("sh", "bash", "zsh", "dash", "env"):
            return ""
        if isinstance(self.command, str) and "=" in words[0]:
            return words[0]
        return next((word for word in words if word in SHELL or word.startswith(("$", "~/", "`"))), "")

    @property
    def shown(self) -> str:
        """The command in an error message; secrets stand there by their names."""
        return self.command if isinstance(self.command, str) else shlex.join(self.command)


@dataclass(eq=False)
class Running:
    """An application that runs: its own process, or one that somebody else started (`process` is None)."""

    plain: PlainInstance
    process: Process | None = None
    used: bool = False
    lock: int | None = field(default=None, repr=False)

    @property
    def ended(self) -> str:
        """The end of the process, in words; "" while it runs."""
        return self.process.ended if self.process is not None else ""

    def log_tail(self) -> str:
        """The last lines of the log, "" where there is none."""
        return self.process.log_tail() if self.process is not None else ""


class Pool(Protocol):
    """Places where an episode's application comes from."""

    async def take(self) -> Running:
        """An application for one episode. Raises SiteFault."""
        ...

    async def give_back(self, running: Running, *, well: bool) -> None:
        """Take it back; one that is not `well` is never lent again."""
        ...

    def close(self) -> None:
        """End all that was started."""
        ...


class Processes:
    """Pool of processes: one for each episode at a time. `prepared` is called with each new one, in a thread, before its first episode."""

    def __init__(self, command: Command, host: str, prepared: Callable[[Running], None]) -> None:
        self.command, self._host, self._prepared = command, host, prepared
        self._idle: list[Running] = []
        self._all: set[Running] = set()
        self._starting: set[asyncio.Task[Running]] = set()
        self._ahead: list[asyncio.Task[Running]] = []  # starts that nobody waits for yet
        self._places: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None

    async def take(self) -> Running:
        """A process that answers: an idle one, one that was started ahead, or a new one. Raises SiteFault."""
        while True:
            while self._idle:
                running = self._idle.pop()
                if not running.ended:
                    return running
                self._drop(running)
            task = self._next_ahead() or self._begin()
            try:
                running = await asyncio.shield(task)
            except asyncio.CancelledError:  # who asked is gone: the next one finds it
                self._ahead.append(task)
                raise
            if not running.ended:
                return running
            self._drop(running)

    @property
    def running(self) -> tuple[Running, ...]:
        """All processes, lent or idle."""
        return tuple(self._all)

    def start_ahead(self) -> None:
        """Start a process that the next episode finds ready."""
        self._ahead.append(self._begin())

    def _begin(self) -> "asyncio.Task[Running]":
        task = asyncio.create_task(self._start())
        self._starting.add(task)
        task.add_done_callback(self._begun)
        return task

    def _begun(self, task: "asyncio.Task[Running]") -> None:
        self._starting.discard(task)
        if not task.cancelled():
            task.exception()  # it was looked at: whoever waits for it hears of it

    def _next_ahead(self) -> "asyncio.Task[Running] | None":
        """A start that nobody waits for: one of this loop, or one that has succeeded."""
        while self._ahead:
            task = self._ahead.pop(0)
            here = task.get_loop() is asyncio.get_running_loop()
            if (task.done() and not task.cancelled() and task.exception() is None) or (here and not task.done()):
                return task if here else _done(task.result())
        return None

    async def give_back(self, running: Running, *, well: bool) -> None:
        """Keep a process for the next episode, or end it."""
        if well and not running.ended and running in self._all:
            self._idle.append(running)
        else:
            self._drop(running)

    def _drop(self, running: Running) -> None:
        self._all.discard(running)
        if running.process is not None:
            running.process.stop()

    def close(self) -> None:
        """End all processes."""
        for task in tuple(self._starting):  # they go on in their loop meanwhile
            with contextlib.suppress(RuntimeError):  # its loop is closed
                task.get_loop().call_soon_threadsafe(task.cancel)
        ending = list(self._all)
        for running in ending:
            self._drop(running)
        self._idle.clear()
        self._ahead.clear()
        for running in ending:
            if running.process is not None:
                running.process.wait(3.0)

    async def _start(self) -> Running:
        loop = asyncio.get_running_loop()
        if self._places is None or self._places[0] is not loop:
            self._places = (loop, asyncio.Semaphore(AT_ONCE))
        async with self._places[1]:
            try:
                return await self._started()
            except _PortTaken:
                return await self._started()

    async def _started(self) -> Running:
        process = Process(self.command.log)
        port = process.port.number
        try:
            if self.command.clock_s is not None:
                clock.set_clock(process.home / "clock", self.command.clock_s)
            arguments = with_secrets(self.command.arguments(port, process.folder))
            variables = with_secrets(self.command.variables(port, process.folder, process.home / "clock"))
            where = None if self.command.source is not None else self.command.cwd
            given = (self.command.source, self.command.withheld, arguments, where, variables)
            await in_thread(process.start, *given, timeout_s=START_S)
            address = await self._until_ready(process, port)
            plain = PlainInstance(address, process.folder, host=self._host.replace("{port}", str(port)), environment=variables)
            running = Running(plain, process)
            await in_thread(self._prepared, running, timeout_s=START_S)
        except BaseException as error:
            process.stop()
            if isinstance(error, (OSError, TimeoutError)):
                raise SiteFault(
                    f"the application could not be started with `{self.command.shown}`: {error or 'it took too long'}"
                ) from error
            raise
        self._all.add(running)
        return running

    async def _until_ready(self, process: Process, port: int) -> Address:
        """The address at which the process answers, with anything but that it is still starting. Raises SiteFault."""
        pause, last = 0.01, ""
        try:
            async with asyncio.timeout(START_S):
                while True:
                    if how := process.ended:
                        tail = process.log_tail()
                        if any(words in tail.lower() for words in IN_USE):
                            raise _PortTaken(self._not_started(process, how))
                        raise SiteFault(self._not_started(process, how))
                    for host in HOSTS:
                        address = Address("http", host, port)
                        try:
                            status = await _asked(address, self.command.ready)
                        except (Refused, Broken) as error:
                            last = last or str(error)
                            continue
                        if status not in NOT_YET:
                            return address
                        last = f"it answered with status {status}"
                    await asyncio.sleep(pause)
                    pause = min(0.1, pause * 1.3)
        except TimeoutError as error:
            raise SiteFault(
                self._not_started(process, f"it did not answer at {self.command.ready} within {START_S:g} s ({last})")
            ) from error

    def _not_started(self, process: Process, how: str) -> str:
        said = process.log_tail()
        advice = (
            f"a command runs without a shell, which {part} would need: use `in:` and `env:`, or run it by sh -c"
            if (part := self.command.of_a_shell)
            else "run the command by hand with a port of your own; it must stay in the foreground and listen on 127.0.0.1:{port}"
            if "{port}" in f"{self.command.command}{self.command.environment}"
            else "the command does not name {port}, the port that it must listen on (it is also in the environment variable PORT)"
        )
        return f"the application did not start: {how}; it was run as `{self.command.shown}`; {_printed(said)}; {advice}"


class _PortTaken(SiteFault):
    """Somebody else took the port between the choice and the start."""


class Elsewhere:
    """Pool of one application that runs already. One episode at a time has it, of all processes on this machine, unless it is `shared`."""

    def __init__(self, plain: Callable[[], PlainInstance], ready: str, shared: bool, prepared: Callable[[Running], None]) -> None:
        self._plain, self._ready, self._shared, self._prepared = plain, ready, shared, prepared
        self._known = False

    async def take(self) -> Running:
        """The application, once no other episode has it. Raises SiteFault."""
        running = Running(self._plain())
        if not self._shared:
            running.lock = await self._locked(running.plain.address)
        try:
            await _asked(running.plain.address, self._ready)
            if not self._known:
                await in_thread(self._prepared, running, timeout_s=START_S)
                self._known = True
        except BaseException as error:
            _unlock(running)
            if isinstance(error, (Refused, Broken)):
                raise SiteFault(f"nothing answers at {running.plain.url}{self._ready}: {error}; start the application first") from error
            raise
        return running

    async def _locked(self, address: Address) -> int:
        name = hashlib.blake2s(address.origin.encode(), digest_size=8).hexdigest()
        handle = os.open(Path(tempfile.gettempdir(), f"webgym-{os.getuid()}-{name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            async with asyncio.timeout(START_S):
                while True:
                    try:
                        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        return handle
                    except BlockingIOError:
                        await asyncio.sleep(0.02)
        except BaseException as error:
            os.close(handle)
            if isinstance(error, TimeoutError):
                raise SiteFault(
                    f"another session has had {address.origin} for {START_S:g} s, and only one at a time may: play with one session, "
                    "say `shared: true` if episodes cannot get in each other's way, or let WebGym start processes with `serve`"
                ) from error
            raise

    async def give_back(self, running: Running, *, well: bool) -> None:
        """Let the next episode have it."""
        _unlock(running)

    def close(self) -> None:
        """Nothing was started."""


def _done(running: Running) -> "asyncio.Task[Running]":
    async def given() -> Running:
        return running

    return asyncio.create_task(given())


def _unlock(running: Running) -> None:
    if running.lock is not None:
        os.close(running.lock)
        running.lock = None


async def _asked(address: Address, path: str) -> int:
    """The status of the answer to a GET request. Raises Refused, Broken."""
    async with Exchange(address) as exchange:
        host = address.origin.partition("://")[2].encode()
        await exchange.begin("GET", path.encode(), [(b"host", host), (b"accept", b"*/*"), (b"accept-encoding", b"identity")])
        exchange.end()
        return (await exchange.answer()).status


def _printed(said: str) -> str:
    return f"it printed last:\n{said}\n" if said else "it printed nothing"


def _filled(text: str, port: int, folder: Path) -> str:
    return text.replace("{port}", str(port)).replace("{folder}", str(folder))
