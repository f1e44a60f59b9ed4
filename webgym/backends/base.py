"""The seam between the environment and what shows pages and performs actions: a :class:`Backend` opens a :class:`Pool`, which opens
:class:`Session` s, each of which gives a :class:`View` of the page that it shows.

A backend of your own implements these four and nothing else. Its gateway (:class:`webgym.sites.gateway.Gateway`) has the tasks' sites. An
episode of it is an ASGI application that answers all requests of the episode, over a loopback port or called in this process. The backend
is given to `AsyncWebEnv(backend=...)` and `Arena(backend=...)` as an object, or found by its name (:mod:`webgym.backends`).
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from webgym.task import Site, Task
from webgym.types import Action, Node

if TYPE_CHECKING:  # the names of backends must be known without loading a web server
    import numpy as np

    from webgym.sites.gateway import Gateway


class View(Protocol):
    """A page as an observation shows it; the fields are those of :class:`webgym.types.Observation`.

    A view may have a `top` and a `dialog`, too, as :class:`PageView` has.
    """

    @property
    def url(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def nodes(self) -> tuple[Node, ...]: ...
    @property
    def tabs(self) -> tuple[str, ...]: ...
    @property
    def focus(self) -> int | None: ...
    @property
    def notices(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class PageView:
    """A :class:`View`, as our own backends give it."""

    url: str
    title: str
    nodes: tuple[Node, ...]
    tabs: tuple[str, ...]
    focus: int | None
    notices: tuple[str, ...] = ()
    top: int = 0  # of `nodes`, the first that is in view
    dialog: str = ""  # the kind of the dialog that waits for an answer: confirm or prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """The beginning of an episode. What is not told here is told of the field of the same name of :class:`webgym.task.Task`.

    The gateway has the episode under its `token` (`gateway.episode(token)`, an ASGI application), and all requests go there.
    """

    url: str  # of the first page
    token: str
    hosts: tuple[str, ...]
    seed: int
    clock_s: float
    settle_ms: float
    viewport: tuple[int, int]  # pixels, width and height
    page_script: str | None = None
    one_document: bool = False  # the probe is read in the document that `page_script` began, and in no other
    folder: Path | None = None  # with the files that may be uploaded
    # There before the page's first script: cookies, and the local storage of the page's site. They may be secret.
    cookies: Sequence[Mapping[str, Any]] = field(default=(), repr=False)  # :data:`webgym.sites.sign_in.Cookie`
    storage: Mapping[str, str] = field(default_factory=dict, repr=False)


class Session(Protocol):
    """One agent's place on the web, which plays one episode after another. Every method may raise a Fault.

    A session whose own judge listens may have a coroutine method `hear(said)`: it gets each Message, Stop and Infeasible of the agent
    before the page is looked at.
    """

    @property
    def alive(self) -> bool:
        """False where the session can play no further episode; then it is closed and replaced."""
        ...

    @property
    def spent(self) -> bool:
        """True where a new session should play the next episode, so that what this one holds is freed."""
        ...

    @property
    def url(self) -> str:
        """The address of the current page."""
        ...

    async def begin(self, start: Beginning) -> Mapping[str, object] | None:
        """Clear all traces of the last episode, open the first page, and return the value of its `page_script`, None without one."""
        ...

    async def start_here(self) -> None:
        """Let the current page be the episode's first one: nothing leads back, and there are no notices."""
        ...

    async def act(self, action: Action) -> str:
        """Perform the action and let the page come to rest; "", or the reason in words why the action did not work."""
        ...

    async def view(self) -> View:
        """The current page."""
        ...

    async def page_state(self, probe: str) -> object:
        """The value of a task's probe on its page; None where the page was left or is broken. Asked at the same time as :meth:`view`."""
        ...

    async def screenshot(self) -> "np.ndarray":
        """The pixels of the current page, [height, width, 3] uint8."""
        ...

    async def close(self) -> None:
        """Give back all that the session holds; it may be dead already."""
        ...


class Pool(Protocol):
    """The sessions of one process, and the gateway that serves them."""

    @property
    def gateway(self) -> "Gateway": ...

    def serve(self, sites: Iterable[Site]) -> None:
        """Let the gateway answer for these sites; they may be known already."""
        ...

    def turn(self) -> AbstractAsyncContextManager[None]:
        """A place among the sessions that act, held while a page is reset, acted on or read, and never while a site is waited for."""
        ...

    async def session(self) -> Session:
        """A new session."""
        ...


class Backend(Protocol):
    """A way to play episodes: a browser, or anything else that can show a task's pages and act on them."""

    def can_play(self, task: Task, sites: Sequence[Site]) -> str:
        """The reason why this task on these sites cannot be played here, in one sentence; "" where it can."""
        ...

    async def pool(self, *, headless: bool = True) -> Pool:
        """The pool that a new environment plays on: one for all, or one of its own. It is called on the loop of the sessions."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Versions that decide how pages look, by the name of what has them; a run folder records them."""
        ...
