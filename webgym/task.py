"""Tasks and sites. A task says where an episode starts, what its goal is, and when it is solved. A site answers the browser.

A task is data and pure functions; it never touches the browser. The environment opens `start(seed).url`, evaluates `page_script`
there (packs whose page draws its own problem return the goal from it), and after every turn hands `check` the :class:`Evidence`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from webgym import echoes
from webgym.types import Action, Node, Observation

Scope = dict[str, Any]
AsgiApp = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

SEEDS: Mapping[Split, range] = MappingProxyType(
    {"train": range(1_000_000), "valid": range(1_000_000, 1_100_000), "test": range(2_000_000, 2_100_000)}
)
"""The seeds of each split, the same for every task and never shared: what is learned on one is measured on instances it never saw."""


@dataclass(frozen=True)
class Splits:
    """Split of a task into training, validation and test: its seeds, and the wordings of its goal where they are written down.

    `templates` is empty where the page draws its own goal. A seed of no split may use every wording.

    >>> Splits().of(5), Splits().of(2_000_000), Splits().of(3_000_000)
    ('train', 'test', None)
    """

    seeds: Mapping[Split, range] = field(default_factory=lambda: SEEDS)
    templates: Mapping[Split, tuple[str, ...]] = field(default_factory=dict)

    def of(self, seed: int) -> Split | None:
        """The split that this seed belongs to, if any."""
        return next((split for split, seeds in self.seeds.items() if seed in seeds), None)

    def wordings(self, seed: int) -> tuple[str, ...]:
        """The goal's wordings that this seed may use, each once."""
        split = self.of(seed)
        chosen = [self.templates.get(split, ())] if split else self.templates.values()
        return tuple(dict.fromkeys(words for wordings in chosen for words in wordings))


@dataclass(frozen=True, slots=True)
class SignIn:
    """The way in which an episode begins signed in, before its first page: a form that is sent, or steps in the browser.

    The form (or JSON) goes to `path` of the start's site, with the hidden field `token` of `page`. `steps` gives an agent that acts on
    `page` (on the start's page unless given) until it returns None. Neither is recorded or counted.
    """

    path: str = ""
    form: Mapping[str, Any] = field(default_factory=dict, repr=False)
    json: Any = field(default=None, repr=False)
    token: str = ""
    page: str = ""
    steps: "Callable[[], Callable[[Observation], Action | None]] | None" = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Start:
    """Beginning of one episode.

    `goal` may be None when the page itself draws it: then `page_script`, evaluated in the page's own world after it loaded, must
    return `{goal: "..."}`, and the task's probe is read in that document only, since the episode is about it.

    `site_state` is handed to the site for this episode and comes back in the evidence. `files` are those that the agent may upload, by
    their plain names.

    `cookies` and `storage` (local storage) are there for the start's site before its first script runs. `headers` go with every request to
    a site in another process. `signed_in` says how the episode signs in first. None of the four is ever shown or recorded.
    """

    url: str
    goal: str | None = None
    page_script: str | None = None
    site_state: Any = None
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    storage: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    signed_in: SignIn | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence for a check. `ended` says how the agent ended the episode, if it did; `page_state` is the probe's result.

    `instance` is the application of the episode where it runs in another process: a :class:`webgym.sites.Instance`, whose methods are
    awaited, so that a check which asks it is a coroutine function. `pages` are the things on each page that the agent was shown in this
    episode; None where nobody kept them. `written` is what later pages may repeat of the agent's own (:mod:`webgym.echoes`).
    """

    seed: int
    url: str
    site_state: Any = None
    page_state: Any = None
    ended: Literal["", "stop", "infeasible"] = ""
    answer: str = ""
    messages: tuple[str, ...] = ()
    instance: Any = field(default=None, repr=False, compare=False)
    pages: Sequence[Sequence[Node]] | None = field(default=None, repr=False, compare=False)
    written: Sequence[tuple[int, str]] = field(default=(), repr=False, compare=False)

    def showed(self, text: str) -> bool:
        """True if a page of this episode had the text, white space and capitals aside: an answer that only visits show is no guess.

        What a page only repeats of the agent's own words, as in a search field, was not shown by it.
        """
        return self.pages is None or echoes.shown(self.pages, self.written, text)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A check's answer. `raw_reward` keeps a site's own score."""

    kind: Literal["pending", "success", "failure"]
    raw_reward: float = 0.0
    message: str = ""


PENDING = Verdict("pending")
SUCCESS = Verdict("success", 1.0)
FAILURE = Verdict("failure")

DIFFICULTIES = ("1-3", "4-6", "7-12", "13-20", "21-30")
"""Turns that a good agent needs, by difficulty 1 to 5; longer tasks have difficulty 5 too."""

Oracle = Callable[[Observation], Action]
"""A program that solves one episode: from each observation to the next action. It may keep state; it sees only what agents see.

One that raised is asked again, about the same page of a new attempt."""


class OracleEnded(LookupError):
    """An oracle has done all that it knows, and the episode is not over."""


Chances = Callable[[Sequence[tuple[Observation, Sequence[Action]]]], Sequence[Sequence[float]]]
"""A policy without memory: for each observation the chance of each of the actions beside it; what is left is for all other texts."""


@dataclass(frozen=True, slots=True)
class ExactValue:
    """V^π of a state, and Q^π by the action in the `call` dialect ("" for any action or text that is none of the others).

    `visits` is the chance that an episode of the policy comes through the state. `question` is the place of what the policy was shown
    there among the questions that its :data:`Chances` were asked; states that look alike to it share one.
    """

    v: float
    q: Mapping[str, float]
    visits: float = 0.0
    question: int = -1

    def of(self, action: str) -> float:
        """Q of a recorded action; to stop and to give up are worth the same with any words."""
        verb = action.partition("(")[0]
        if verb in ("stop", "infeasible"):
            return next(worth for known, worth in self.q.items() if known.startswith(verb))
        return self.q.get(action, self.q[""])


ExactValues = Mapping[tuple[str, int], ExactValue]
"""By state hash and turn."""


@dataclass(frozen=True)
class Task:
    """A family of episodes, one per seed.

    `ends`: "success" checks after every turn; "stop" checks once, when the agent says `stop(...)` or `infeasible(...)`.
    `trust`: "state" when success is decided from state that no agent action can write; "page" when the page is its own judge.
    `probe`: a JavaScript expression read in the page's own world after each turn for `Evidence.page_state`.
    `chance`: the success rate that a random policy may reach at most.
    `splits`: which seeds and goal wordings are for training, validation and test.
    `deterministic`: False where the answers of a site depend on the wall clock. A retry then checks the outcome and not every page.
    `streams`: paths of requests that sites leave unanswered, such as long polls: the pages' time never waits for them.
    `exact`: the exact values of a policy on a seed, with a discount per turn, where they can be computed; no agent ever sees them.
    """

    id: str  # "<pack>.<task>", e.g. "miniwob.click-test-2"
    start: Callable[[int], Start] = field(repr=False)
    check: Callable[[Evidence], Verdict | Awaitable[Verdict]] = field(repr=False)  # a coroutine function where it may wait
    max_turns: int = 10
    ends: Literal["success", "stop"] = "success"
    trust: Literal["state", "page"] = "state"
    probe: str | None = field(default=None, repr=False)
    oracle: Callable[[], Oracle] | None = field(default=None, repr=False)  # a fresh oracle for one episode
    hosts: tuple[str, ...] = ()  # hosts that the episode may reach
    viewport: tuple[int, int] = (1280, 720)
    clock_s: float = 1_767_600_000.0  # what the pages' clock says at the start: 2026-01-05 08:00 UTC, in Unix seconds
    settle_ms: float = 500.0  # virtual time that pages get after every action
    deterministic: bool = True
    streams: tuple[str, ...] = ()
    chance: float = 0.0
    difficulty: int = 1  # 1..5 by required turns: 1-3, 4-6, 7-12, 13-20, 21-30
    description: str = ""
    splits: Splits = field(default=Splits(), repr=False, hash=False)
    exact: Callable[[int, Chances, float], ExactValues] | None = field(default=None, repr=False)
    backend: str = ""  # the only backend that can play it, which is chosen by itself
    twin: str = ""  # the id of the task with the same wordings that is feasible where this one is not, or the other way round

    @property
    def gym_id(self) -> str:
        return f"webgym/{self.id}-v0"

    @property
    def turns(self) -> str:
        """The turns that a good agent needs, as the difficulty says, such as "4-6"."""
        return DIFFICULTIES[self.difficulty - 1]


class PythonTask(Protocol):
    """A task written as a class, for :func:`webgym.register`. A method `oracle(self, page: Observation) -> Action` may come with it."""

    def start(self, seed: int) -> Start: ...

    def check(self, evidence: Evidence) -> Verdict | Awaitable[Verdict]: ...


@runtime_checkable
class Site(Protocol):
    """A web application that the gateway serves under `host`.

    An episode leases a state of the site, reads it once a turn, and releases it in the end. The gateway calls `app` as ASGI, with
    `scope["webgym.state"]` set to the leased state. A lease may take its time, because it is awaited: other sessions go on meanwhile. So
    a site whose state lives elsewhere (its own process and database) resets it in `lease`, and must not block the loop that it is
    called on.

    A site may have three more attributes. `plain` is true where its pages can be read without a browser (:mod:`webgym.backends.text`).
    `external` is true where its state lives in another process: then it is read only where a check is due, and enters the state hash
    only there. `also` names more hosts under which the same leased state is served.
    """

    host: str

    async def lease(self, seed: int, site_state: Any) -> Any:
        """A fresh state for one episode; raise SiteFault if it cannot be had. A lease that fails holds nothing."""
        ...

    def snapshot(self, state: Any) -> Any:
        """The JSON-able state that checks and state hashes see; written as `async def` where it must be asked for."""
        ...

    async def release(self, state: Any) -> None:
        """Give the state back after the episode."""
        ...

    @property
    def app(self) -> AsgiApp: ...


def hosts_of(site: Site) -> tuple[str, ...]:
    """The hosts under which a site is served: its own, and those that it has `also`."""
    return (site.host, *getattr(site, "also", ()))


class Pack(Protocol):
    """A folder of tasks (or any module): `tasks()` by name and the sites they run on."""

    def tasks(self) -> Mapping[str, Task]: ...

    def sites(self) -> tuple[Site, ...]: ...
