"""What one episode leaves for the next in the same session, and what the tokens and states of other episodes are worth."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import PropertyMock, patch

from benchmarks.hacks.matrix import hack, without
from benchmarks.hacks.world import HOST, agent, run
from benchmarks.traps import KINDS, Trap, task_of
from webgym.backends.browser.changeover import Changeover
from webgym.backends.browser.clipboard import Clipboard
from webgym.backends.browser.pool import shared_pool
from webgym.backends.browser.session import Session, in_browser
from webgym.env.core import AsyncWebEnv
from webgym.errors import Fault, SiteFault
from webgym.sites.gateway import Gateway
from webgym.sites.listener import Listener
from webgym.types import Click, Press, Wait

HOLDING = ("plain", "worker of sync requests", "event stream", "request that waits")  # nothing to try, or they keep their own page busy
CLOSED = ("socket", "socket again and again", "popup that is left")  # the browser itself closes them with their page


@contextmanager
def no_changeover(silent: bool = False) -> Iterator[None]:
    """The barrier between episodes, removed: the next page is opened over the last one, which is emptied before where `silent`."""

    async def leave(self: Any, tab: Any) -> None:
        await tab.forget_history()
        if silent:
            await self._silence(tab)

    async def arrive(self: Any, tab: Any, url: str, hosts: Any) -> None:
        return

    async def undisturbed(self: Any, work: Any) -> None:
        await work

    def begin(self: Any, url: str, hosts: Any, shown: str) -> None:
        return

    def admit(self: Any, episode: Any, url: str, cookies: Any = ()) -> None:
        self._played = episode
        self._listener.serve(episode)

    removed = {
        "leave": leave,
        "arrive": arrive,
        "undisturbed": undisturbed,
        "begin": begin,
        "admit": admit,
        "_must_be_quiet": lambda self: None,
    }
    remains, spent = PropertyMock(return_value=""), PropertyMock(return_value=False)
    with patch.multiple(Changeover, **removed), patch.object(Changeover, "remains", remains), patch.object(Session, "spent", spent):
        yield


_traps: list[tuple[Trap, AsyncWebEnv]] = []


def _trap() -> tuple[Trap, AsyncWebEnv]:
    if not _traps:
        tasks = {task_of(kind).id: task_of(kind) for kind in KINDS}
        _traps.append((Trap(), AsyncWebEnv(find=tasks.__getitem__)))
        run(shared_pool()).serve([_traps[0][0]])
    return _traps[0]


def left(kind: str) -> str:
    """What the next episode gets of a page of this kind."""
    trap, env = _trap()
    run(env.close())  # what an earlier row left is no business of this one
    page = run(env.reset(task_of(kind).id, 0))
    run(env.step(Click(next(node.ref for node in page.nodes if node.text == "press"))))
    run(env.step(Wait(50)))
    trap.foreign.clear()
    try:
        run(env.reset(task_of("plain").id, 0))
        run(env.step(Wait(300)))
    except Fault as fault:
        return f"the next episode cannot begin: {fault}"
    return ", ".join(f"{what} ({count})" for what, count in trap.foreign.items())


for _kind in KINDS:
    if _kind not in HOLDING + CLOSED:
        _removed = partial(no_changeover, silent=_kind.startswith("awake: ") and _kind != "awake: stores")
        hack("left for the next episode", _kind, "the barrier between episodes, or a context of its own", _removed)(
            lambda kind=_kind: left(kind)
        )


@hack(
    "left for the next episode", "text on the clipboard", "each episode begins with an empty clipboard",
    without((Clipboard, "clear", lambda self: None)),
)  # fmt: skip
def clipboard() -> str:
    """Copies in one episode and pastes in the next."""
    agent().open("<input aria-label=a value=COPIED>")
    for keys in ("Control+a", "Control+c"):
        agent().do(Press(keys, 0))
    agent().open("<input aria-label=a>")
    agent().do(Press("Control+v", 0))
    return str(agent().js("document.querySelector('input').value"))


# --- tokens and states of other episodes -------------------------------------------------------------------------------------


def _asked(headers: str = "", first: str = f"GET http://{HOST}/ HTTP/1.1") -> str:
    """What another program of this machine gets from the listener of an episode."""
    agent().open("<h1>PRIVATE</h1>")
    port = in_browser(agent().env.session)._profile.listener.port
    with socket.create_connection(("127.0.0.1", port), timeout=5) as wire:
        wire.sendall(f"{first}\r\nhost: {HOST}\r\n{headers}connection: close\r\n\r\n".encode())
        answer = b""
        while b"PRIVATE" not in answer and b"200 connected" not in answer and (part := wire.recv(65_536)):
            answer += part
    return "the page of a running episode" if b"PRIVATE" in answer else "a tunnel" if b"200 connected" in answer else ""


_open_door = without((Listener, "knows", lambda self, headers: True))
_PASSWORDS = {
    "no password": "",
    "an empty password": "proxy-authorization: Basic d2ViZ3ltOg==\r\n",
    "another scheme": "proxy-authorization: Bearer x\r\n",
    "the password as an ordinary one": "authorization: Basic d2ViZ3ltOng=\r\n",
}
for _name, _header in _PASSWORDS.items():
    hack("other episodes", f"another program asks the listener's port with {_name}", "a listener's password", _open_door)(
        lambda header=_header: _asked(header)
    )
hack("other episodes", "another program opens a tunnel through the listener", "a listener's password", _open_door)(
    lambda: _asked(first=f"CONNECT {HOST}:80 HTTP/1.1")
)


@contextmanager
def _nothing_ends() -> Iterator[None]:
    """The end of episodes, removed: their states are kept under their tokens."""

    async def end(self: Gateway, token: str) -> None:
        return

    with patch.object(Gateway, "end", end):
        yield


@hack("other episodes", "the token of an episode that has ended", "an ended episode is forgotten with its token", _nothing_ends)
def old_token() -> str:
    """Asks for the state of the last episode in the present one."""
    agent().open("<p>one")
    token = agent().env._token
    agent().open("<p>two")
    try:
        return json.dumps(run(run(shared_pool()).gateway.snapshot(token)))
    except (SiteFault, KeyError):
        return ""


@contextmanager
def _tokens_in_sight() -> Iterator[None]:
    """The listener strips its own headers from requests: removed."""
    with patch("webgym.sites.episode.OWN", ()):
        yield


@hack(
    "other episodes", "a site reads the listener's password from its requests", "the listener's own headers are stripped", _tokens_in_sight
)
def headers() -> str:
    """A site that keeps the headers which it gets."""
    seen: list[bytes] = []
    agent().open("<p>x")
    site = next(iter(run(shared_pool()).gateway.episode(agent().env._token).sites.values()))
    inner = getattr(site, "site", site)
    original = type(inner)._answer

    async def answer(self: Any, scope: Any, receive: Any, send: Any) -> None:
        seen.extend(name for name, _ in scope["headers"])
        await original(self, scope, receive, send)

    with patch.object(type(inner), "_answer", answer):
        agent().open("<p>y")
    return "proxy-authorization" if b"proxy-authorization" in seen else ""
