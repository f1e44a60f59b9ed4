"""Vocabulary of the whole project: frozen, picklable, free of torch and of the browser.

One *episode* is a run of a task; its record is a *trajectory*: a sequence of *turns*. In turn t the policy is shown an
*observation*, writes a *completion*, the completion is parsed to an *action*, the browser performs it, and a *reward* follows
(0 until the end). A *group* is the trajectories of one task and one seed.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # half of what a short command costs, and only pixels need it
    import numpy as np

# --- what the agent sees -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Node:
    """One line of a page: a piece of text, or a thing that can be acted on (then it has a `ref`).

    `role` is the ARIA role in lower case (`button`, `textbox`, `checkbox`, `link`, `option`, `heading` ...) or `text`.
    `text` is the accessible name (or the text itself), white space collapsed. `value` is what a field holds now.
    `states` is a subset of checked, mixed, selected, disabled, expanded, collapsed, focused, the type of a field (date, time, month, week,
    datetime-local, color, password), required, readonly, invalid, draggable, scrollable, in this order. `box` is x, y, width, height in CSS
    pixels of the viewport; it is no part of any hash.
    `depth` is the nesting of groups around it.
    """

    role: str
    text: str
    ref: int | None = None
    value: str | None = None
    states: tuple[str, ...] = ()
    depth: int = 0
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Observation:
    """Everything that the agent sees at the start of a turn.

    `nodes` is the page in reading order (see :class:`Node`); refs are numbered per snapshot from 0 and are valid for the next
    action only. `error` tells in words why the last action did not work, else it is empty. `turn` counts from 0 and
    `turns_left` includes the coming one. `state_hash` identifies the state of site and page without history (URL, nodes, form
    values, site state), the anchor for step groups; `hash` covers everything the agent sees, but for pixels and boxes. `top` is the first
    of the `nodes` of a long page that was scrolled that is in view, from which on a prompt shows them; else 0.
    """

    goal: str
    url: str
    title: str
    nodes: tuple[Node, ...]
    tabs: tuple[str, ...] = ()
    focus: int | None = None
    turn: int = 0
    turns_left: int = 0
    error: str = ""
    notices: tuple[str, ...] = ()  # what happened besides: dialogs, downloads, popups, a cut page
    state_hash: str = ""
    dialog: str = ""  # the kind of the dialog that waits for an answer: confirm or prompt; a notice says what it asks
    screenshot: "np.ndarray | None" = field(default=None, compare=False, repr=False)  # [height, width, 3] uint8
    top: int = 0

    @cached_property
    def hash(self) -> str:
        """Digest of all that the agent sees but pixels: equal seeds and actions give equal hashes in any process."""
        nodes = [(n.role, n.text, n.ref, n.value, n.states, n.depth) for n in self.nodes]
        seen = [self.goal, self.url, self.title, nodes, self.tabs, self.focus, self.turn, self.turns_left, self.error, self.notices]
        return digest([*seen, self.top] if self.top else seen)

    def node(self, ref: int) -> Node | None:
        """The node that bears this ref, if any."""
        return next((n for n in self.nodes if n.ref == ref), None)


def digest(value: object) -> str:
    """32 hex digits of blake2b over the canonical JSON of `value`; equal in every process."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


# --- what the agent does -------------------------------------------------------------------------------------------------
# A ref names a thing of the snapshot that the agent was just shown. Coordinates are CSS pixels of the viewport.


@dataclass(frozen=True, slots=True)
class Click:
    ref: int
    button: Literal["left", "middle", "right"] = "left"
    count: int = 1
    modifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fill:
    """Replace what the field holds by `text`; a line break in it is text."""

    ref: int
    text: str


@dataclass(frozen=True, slots=True)
class Type:
    """Type `text` into what has the focus, key by key, keeping what is there; a line break is the Enter key."""

    text: str


@dataclass(frozen=True, slots=True)
class Press:
    """Press a key or chord (`Enter`, `Control+a`), on what has the focus or on `ref`."""

    keys: str
    ref: int | None = None


@dataclass(frozen=True, slots=True)
class Select:
    """Choose the options with these labels or values in a select box."""

    ref: int
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hover:
    ref: int


@dataclass(frozen=True, slots=True)
class Focus:
    ref: int


@dataclass(frozen=True, slots=True)
class Clear:
    ref: int


@dataclass(frozen=True, slots=True)
class Scroll:
    """Turn the wheel by pixels over the page or, with `ref`, over that thing: the nearest box that can still scroll that way does."""

    dx: float
    dy: float
    ref: int | None = None


@dataclass(frozen=True, slots=True)
class Drag:
    source: int
    target: int


@dataclass(frozen=True, slots=True)
class Upload:
    """Give files of the episode's own folder to a file field, or to the page that asks for one."""

    ref: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MouseMove:
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class MouseClick:
    x: float
    y: float
    button: Literal["left", "middle", "right"] = "left"
    count: int = 1


@dataclass(frozen=True, slots=True)
class MouseDown:
    x: float
    y: float
    button: Literal["left", "middle", "right"] = "left"


@dataclass(frozen=True, slots=True)
class MouseUp:
    x: float
    y: float
    button: Literal["left", "middle", "right"] = "left"


@dataclass(frozen=True, slots=True)
class MouseDrag:
    from_x: float
    from_y: float
    to_x: float
    to_y: float


@dataclass(frozen=True, slots=True)
class Dialog:
    """Answer the dialog that waits: accept or decline it. `text` goes into a prompt; None leaves there what it proposes."""

    accept: bool
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Goto:
    url: str


@dataclass(frozen=True, slots=True)
class Back:
    pass


@dataclass(frozen=True, slots=True)
class Forward:
    pass


@dataclass(frozen=True, slots=True)
class Reload:
    pass


@dataclass(frozen=True, slots=True)
class NewTab:
    pass


@dataclass(frozen=True, slots=True)
class FocusTab:
    index: int


@dataclass(frozen=True, slots=True)
class CloseTab:
    pass


@dataclass(frozen=True, slots=True)
class Wait:
    """Let the page's time pass (virtual milliseconds)."""

    ms: float = 1000.0


@dataclass(frozen=True, slots=True)
class Message:
    """Say something to the user and go on."""

    text: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End the episode, with an answer where the task asks for one."""

    answer: str = ""


@dataclass(frozen=True, slots=True)
class Infeasible:
    """End the episode: the goal cannot be reached."""

    reason: str = ""


Action = (
    Click | Fill | Type | Press | Select | Hover | Focus | Clear | Scroll | Drag | Upload
    | MouseMove | MouseClick | MouseDown | MouseUp | MouseDrag | Dialog
    | Goto | Back | Forward | Reload | NewTab | FocusTab | CloseTab | Wait | Message | Stop | Infeasible
)  # fmt: skip
"""All that an agent can do. Parsed from text (:mod:`webgym.actions`), never executed as code."""


@dataclass(frozen=True, slots=True)
class InvalidAction:
    """Agent text that is no action; `error` says in words what was wrong and what was expected. Costs a turn."""

    error: str


# --- what is recorded ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sampling:
    """Settings with which a completion was drawn. `truncated_support` is true when top-k or top-p cut the distribution.

    `grammar` names the grammar that constrained the completion (:mod:`webgym.actions.grammar`), to be replayed over the action ids.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: no limit
    max_tokens: int = 64
    greedy: bool = False
    grammar: str = ""  # none

    @property
    def truncated_support(self) -> bool:
        return self.greedy or self.top_p < 1.0 or self.top_k > 0


@dataclass(frozen=True, slots=True)
class Completion:
    """Text that a policy wrote. Token fields are empty for a policy without a model.

    `action_ids` are exactly the sampled ids, the end-of-turn token included where it was sampled; `behaviour_logprobs` are their
    log-probabilities at the sampling temperature, one each, over the tokens that the grammar allowed where there was one. `key` says
    which pictures the model was shown beside the text (:mod:`webgym.prompts.parts`); two turns are the same question only where
    `prompt_ids` and `key` are equal. `origin` names the episode in which the text was sampled, where this is a copy in a fork of that
    episode (:mod:`webgym.rollout.branch`); None where it was sampled here.
    """

    text: str
    prompt: str = ""
    prompt_ids: tuple[int, ...] = ()
    action_ids: tuple[int, ...] = ()
    behaviour_logprobs: tuple[float, ...] = ()
    sampling: Sampling | None = None
    policy_version: int = 0
    key: str = ""  # no pictures
    origin: "EpisodeKey | None" = None


@dataclass(frozen=True, slots=True)
class Mention:
    """A thing that agent text names by its ref, and the place of its line on the page, from 0: a cut page shows the first lines only."""

    node: Node
    line: int


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one turn: waiting for the policy's queue and its answer, and in the browser."""

    policy_s: float = 0.0
    browser_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One prompt → completion → action → outcome.

    Refs are of one page only, so what they name is recorded with the turn. `target` is the thing that the action touched, of a drag the
    thing that was taken. `mention` is the thing whose ref stands first in the text, by which later prompts name it: as a rule the target,
    but a text that is no action can mention a thing too, and one that goes on about another thing mentions that.
    """

    completion: Completion
    action: str  # the parsed action in the `call` dialect, or "" when the text was no action
    error: str  # why the action did not work, as the next observation says it
    reward: float
    terminated: bool
    truncated: bool
    observation_hash: str  # of the observation that was acted on
    state_hash: str
    url: str = ""
    page: str = ""  # the page as text, as the agent saw it
    screenshot: str = ""  # file name beside the trajectory file
    times: Times = Times()
    box: tuple[float, float, float, float] | None = None  # where that was, in pixels of the screenshot: the target's box, or a point
    target: Node | None = None
    mention: Mention | None = None

    @property
    def copied(self) -> bool:
        """True for a turn of a fork that was performed again, not sampled: no loss and no count of fresh steps includes it."""
        return self.completion.origin is not None


OutcomeKind = Literal["success", "failure", "stopped", "infeasible", "truncated", "fault", "agent_caused"]
"""success, failure (for good), stopped / infeasible (said so, wrongly), truncated (turn limit), fault (machinery), agent_caused
(the same action killed the machinery twice)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """End of an episode. A fault has no reward: `reward` is NaN and nothing may learn from it."""

    kind: OutcomeKind
    reward: float
    raw_reward: float = 0.0  # the site's own score, where it has one
    message: str = ""
    retries: int = 0  # how often the machinery failed and the episode was replayed
    faults: tuple[str, ...] = ()  # the kinds of all failures on its way, in their order (webgym.errors.FAULTS)

    @property
    def success(self) -> bool:
        return self.kind == "success"

    @property
    def faulted(self) -> bool:
        return self.kind in ("fault", "agent_caused")


@dataclass(frozen=True, slots=True)
class EpisodeKey:
    """Names one episode of a run. `seed` fixes the task instance; group and member its place in the batch."""

    task_id: str
    seed: int
    iteration: int = 0
    group: int = 0
    member: int = 0


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The record of an episode. Immutable; T = len(turns); turns may be empty when the first reset faulted.

    `final_prompt_ids` is what a model would have read next where the turn limit ended the episode and someone asked for it (s_T).
    """

    key: EpisodeKey
    goal: str
    turns: tuple[Turn, ...]
    outcome: Outcome
    final_hash: str = ""  # hash of the observation after the last turn
    final_prompt_ids: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.turns)

    @property
    def forked_at(self) -> int:
        """Number of copied turns, with which a fork begins; 0 for an episode of its own."""
        return next((t for t, turn in enumerate(self.turns) if not turn.copied), len(self.turns))


Group = Sequence[Trajectory]
"""The trajectories of one task and one seed."""


def well_formed(text: str) -> str:
    """The text with U+FFFD in place of each lone surrogate, because no encoder and no tokenizer takes one.

    >>> well_formed("half an emoji: \\ud83d") == "half an emoji: \\ufffd"
    True
    """
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


_SURROGATE = re.compile("[\ud800-\udfff]")


def seed_from(*parts: object) -> int:
    """A 63-bit seed from blake2b over the parts; the only source of random choices, so that any of them can be made again.

    >>> seed_from(0, "collect", 3) == seed_from(0, "collect", 3) != seed_from(0, "collect", 4)
    True
    """
    return int(digest([str(p) for p in parts])[:16], 16) >> 1


def to_json(value: object) -> dict:
    """A dataclass of this module as plain JSON data."""
    return asdict(value)  # type: ignore[call-overload]


@dataclass(frozen=True, slots=True)
class Step:
    """Result of a turn. `kind` is "" while the episode goes on."""

    observation: Observation
    reward: float
    terminated: bool
    truncated: bool
    kind: OutcomeKind | str = ""
    raw_reward: float = 0.0
    message: str = ""


def group_keys(episodes: Iterable[tuple[str, int]], size: int, iteration: int = 0) -> Iterator[EpisodeKey]:
    """The keys of one group after the other: `size` episodes of each (task id, seed).

    >>> [(k.seed, k.group, k.member) for k in group_keys([("a.b", 7), ("a.b", 8)], 2)]
    [(7, 0, 0), (7, 0, 1), (8, 1, 0), (8, 1, 1)]
    """
    for group, (task_id, seed) in enumerate(episodes):
        for member in range(size):
            yield EpisodeKey(task_id, seed, iteration, group, member)


def groups_of(trajectories: Iterable[Trajectory]) -> list[list[Trajectory]]:
    """The trajectories by iteration and group, in the order in which each group first appears; members in their given order.

    A group is of one task and one seed: the same group number with another task or seed is another group.
    """
    groups: dict[tuple[int, int, str, int], list[Trajectory]] = {}
    for trajectory in trajectories:
        key = trajectory.key
        groups.setdefault((key.iteration, key.group, key.task_id, key.seed), []).append(trajectory)
    return list(groups.values())
