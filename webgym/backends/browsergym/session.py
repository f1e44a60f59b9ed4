"""Sessions that play BrowserGym's environments, each in a process of its own: its pages as views, our actions as its calls."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from typing import IO, Any

import numpy as np

from webgym import types as t
from webgym.actions import render
from webgym.backends.base import Beginning, PageView
from webgym.backends.browsergym.place import WORKER, Place
from webgym.errors import BrowserFault, HangFault, SiteFault
from webgym.sites.apps.secrets import public, redacted, with_secrets
from webgym.sites.gateway import Gateway
from webgym.task import Site

RESET_S = 180.0  # BrowserGym starts a browser for each episode, and some benchmarks set an application up
STEP_S = 90.0
LARGEST = 1 << 28  # bytes of an answer


class Process:
    """The process of a worker, asked one thing at a time. It goes, with its browser, when it is stopped or this process ends."""

    def __init__(self, process: asyncio.subprocess.Process, log: IO[bytes]) -> None:
        self._process, self._log = process, log

    @staticmethod
    async def start(place: Place) -> "Process":
        """A new one, which gets of secrets what its place names. Raises BrowserFault where its command cannot be run, UsageError."""
        environment = {**public(os.environ), **with_secrets(place.environment)}
        log = tempfile.TemporaryFile()  # noqa: SIM115  (open as long as the process)
        try:
            return Process(
                await asyncio.create_subprocess_exec(
                    *place.command, str(WORKER), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                    stderr=log, env=environment, limit=LARGEST, start_new_session=True,
                ),
                log,
            )  # fmt: skip
        except OSError as error:
            log.close()
            raise BrowserFault(f"BrowserGym's Python {place.command[0]!r} could not be run: {error.strerror}") from error

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self._process.returncode is None

    async def ask(self, timeout_s: float, **question: Any) -> dict[str, Any]:
        """The answer. Raises SiteFault where BrowserGym failed, BrowserFault where the process is gone, HangFault."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            async with asyncio.timeout(timeout_s):
                self._process.stdin.write(json.dumps(question).encode() + b"\n")
                await self._process.stdin.drain()
                line = await self._process.stdout.readline()
        except TimeoutError:
            await self.stop()
            raise HangFault(f"BrowserGym did not answer within {timeout_s:g} s ({question['ask']})") from None
        except (OSError, ValueError) as error:  # the second for an answer that is too long
            await self.stop()
            raise BrowserFault(f"BrowserGym's process could not be asked: {error!r}") from error
        except BaseException:  # the answer to a question that was given up must not be taken for the next one's
            await self.stop()
            raise
        if not line:
            said = self._last_words()
            await self.stop()
            raise BrowserFault(f"BrowserGym's process is gone (exit status {self._process.returncode}): {said}")
        answer = json.loads(line)
        if "broken" in answer:
            raise SiteFault(f"BrowserGym failed: {redacted(str(answer['broken']))}")
        return answer

    async def stop(self) -> None:
        """End it and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        self._log.close()

    def _last_words(self) -> str:
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 500))
        return redacted(" ".join(self._log.read().decode("utf-8", "replace").split())) or "it said nothing"


class BrowserGymPool:
    """Sessions of BrowserGym. Implements :class:`webgym.backends.base.Pool`."""

    def __init__(self, headless: bool) -> None:
        self.gateway = Gateway()
        self._headless = headless

    def turn(self) -> AbstractAsyncContextManager[None]:
        """A place without waiting, because each session has a process of its own."""
        return nullcontext()

    def serve(self, sites: Iterable[Site]) -> None:
        """Do nothing, because BrowserGym's benchmarks bring their own pages."""

    async def session(self) -> "BrowserGymSession":
        """A new session."""
        return BrowserGymSession(self._headless)


class BrowserGymSession:
    """One process that plays one episode after another. Implements :class:`webgym.backends.base.Session`."""

    spent = False

    def __init__(self, headless: bool) -> None:
        self._headless = headless
        self._process: Process | None = None
        self._place = Place("", (), {})
        self._seen: dict[str, Any] = {}
        self._refs: dict[str, int] = {}  # by BrowserGym's bid
        self._outcome: dict[str, Any] = {}

    @property
    def alive(self) -> bool:
        """True while its process runs, or before it was started."""
        return self._process is None or self._process.alive

    @property
    def url(self) -> str:
        """The address of the current page."""
        return self._seen["url"]

    async def begin(self, start: Beginning) -> Mapping[str, object]:
        """Begin the episode of the task that the address names, by BrowserGym's own seed; its goal. Raises Fault."""
        place = Place.of(start.url)
        if self._process is not None and (place.command, place.environment) != (self._place.command, self._place.environment):
            await self.close()
        if self._process is None:
            self._process = await Process.start(place)
        self._place, self._outcome = place, {}
        answer = await self._process.ask(RESET_S, ask="reset", name=place.name, seed=start.seed, headless=self._headless)
        self._take(answer)
        return {"goal": answer["goal"]}

    async def start_here(self) -> None:
        """Do nothing, because BrowserGym signs in by itself."""

    async def act(self, action: t.Action) -> str:
        """Perform the action as BrowserGym's call; "" or its words why it did not work. Raises Fault."""
        if isinstance(action, t.Reload | t.Dialog):
            return f"BrowserGym has no action {render(action, 'call')}"
        bids = list(self._refs)
        named = {name: ref for name in ("ref", "source", "target") if isinstance(ref := getattr(action, name, None), int)}
        if wrong := [ref for ref in named.values() if not 0 <= ref < len(bids)]:
            return f"there is no #{wrong[0]} on the page"
        return await self._call(_call(replace(action, **{name: bids[ref] for name, ref in named.items()})))

    async def hear(self, said: t.Message | t.Stop | t.Infeasible) -> None:
        """Hand on what the agent says to its user: BrowserGym's judges hear it. Raises Fault."""
        if isinstance(said, t.Infeasible):
            await self._call(f"report_infeasible({said.reason!r})")
        else:
            await self._call(f"send_msg_to_user({(said.answer if isinstance(said, t.Stop) else said.text)!r})")

    async def view(self) -> PageView:
        """The view of the last observation."""
        seen = self._seen
        nodes = tuple(
            t.Node(role, name, self._refs.get(bid), value, tuple(states), depth) for role, name, bid, value, states, depth in seen["nodes"]
        )
        tabs = tuple(f"{title} (current)" if number == seen["tab"] else title for number, title in enumerate(seen["titles"]))
        title = seen["titles"][seen["tab"]] if seen["tab"] < len(seen["titles"]) else ""
        return PageView(seen["url"], title, nodes, tabs, self._refs.get(seen["focus"]), tuple(seen["notices"]))

    async def page_state(self, probe: str) -> object:
        """BrowserGym's verdict: `reward`, `done` and `cut`; None before the first action."""
        return self._outcome or None

    async def screenshot(self) -> np.ndarray:
        """The pixels of the last observation, [height, width, 3] uint8. Raises Fault."""
        assert self._process is not None
        answer = await self._process.ask(STEP_S, ask="screenshot")
        return np.frombuffer(base64.b64decode(answer["pixels"]), np.uint8).reshape(answer["shape"])

    async def close(self) -> None:
        """End the process."""
        if self._process is not None:
            await self._process.stop()
            self._process = None

    async def _call(self, call: str) -> str:
        assert self._process is not None
        if self._outcome.get("done") or self._outcome.get("cut"):
            return ""  # BrowserGym's episode is over: it is judged as it ended
        answer = await self._process.ask(STEP_S, ask="step", call=call)
        self._outcome = {key: answer[key] for key in ("reward", "done", "cut")}
        self._take(answer)
        return answer["error"]

    def _take(self, answer: dict[str, Any]) -> None:
        self._seen = answer
        bids = dict.fromkeys(row[2] for row in answer["nodes"] if row[2] is not None)
        self._refs = {bid: ref for ref, bid in enumerate(bids)}


def _call(action: t.Action) -> str:
    """An action as one of BrowserGym's calls."""
    match action:
        case t.Wait(ms):
            return f"noop({ms})"
        case t.Scroll(dx, dy):
            return f"scroll({dx}, {dy})"  # over the page: BrowserGym has no wheel over a thing
    return render(action, "call")
