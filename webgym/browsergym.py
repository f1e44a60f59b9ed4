"""Our tasks with BrowserGym's observations, so that its agents, prompts and `flatten_axtree_to_str` work unchanged.

`dom_object` and `axtree_object` are not Chromium's own, because reading those takes several times as long as a step. They are the page
as our snapshot reads it, in Chromium's forms. So each thing that can be acted on has a bid and nothing else has, and the bids are the
refs that actions take. `docs/from-browsergym.md` lists the other differences. BrowserGym itself is not needed.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, SupportsFloat

import gymnasium as gym
import numpy as np

from webgym import types as t
from webgym.actions import parse
from webgym.env.core import AsyncWebEnv
from webgym.env.gym import counted, episode_seed, only
from webgym.env.spaces import ActionText, UnicodeText
from webgym.errors import ConfigError
from webgym.loop_thread import loop_thread
from webgym.packs import registry

GREETING = "Hi! I am your UI assistant, I can perform web tasks for you. What can I help you with?"
MAX_NESTING = 40  # of lists: BrowserGym's functions recurse
MAX_TABS, MAX_ELAPSED_S = 255, 1e9  # bounds of the spaces, out of reach

TEXTS = ("goal", "url", "focused_element_bid", "last_action", "last_action_error")
TUPLES = ("chat_messages", "goal_object", "open_pages_urls", "open_pages_titles")
DICTS = ("dom_object", "axtree_object", "extra_element_properties")


class PlainData(gym.Space[Any]):
    """Python data of one type: a dict, or a tuple of them. Its only sample is the empty one."""

    def __init__(self, kind: type) -> None:
        super().__init__()
        self.kind = kind

    def sample(self, mask: Any = None, probability: Any = None) -> Any:
        return self.kind()

    def contains(self, x: Any) -> bool:
        return isinstance(x, self.kind)

    @property
    def is_np_flattenable(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlainData) and self.kind is other.kind

    def __hash__(self) -> int:
        return hash((PlainData, self.kind))

    def __repr__(self) -> str:
        return f"PlainData({self.kind.__name__})"


class BrowserGymEnv(gym.Env[dict[str, Any], str]):
    """A task as a Gymnasium environment with BrowserGym's observation keys and actions.

    `screenshot=False` leaves that key out: a picture costs more than the step. Rewards, `terminated`, `truncated` and turn limits are
    ours. The times are the pages' own: `elapsed_time` is what the actions have granted them, in seconds.

    >>> env = BrowserGymEnv("miniwob.click-button")             # doctest: +SKIP
    >>> observation, info = env.reset(seed=0)                   # doctest: +SKIP
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, task_id: str, *, max_turns: int | None = None, screenshot: bool = True, headless: bool = True) -> None:
        counted("max_turns", max_turns)
        self.task = registry.task(task_id)
        self._screenshot = screenshot
        self._env = AsyncWebEnv(max_turns=max_turns, screenshots=screenshot, headless=headless)
        self._chat: list[dict[str, Any]] = []
        self._goal = self._last_action = ""
        self._elapsed_s = 0.0
        spaces: dict[str, gym.Space[Any]] = dict.fromkeys(TEXTS, UnicodeText())
        spaces |= dict.fromkeys(TUPLES, PlainData(tuple)) | dict.fromkeys(DICTS, PlainData(dict))
        spaces["active_page_index"] = gym.spaces.Box(0, MAX_TABS, (1,), np.int64)
        spaces["elapsed_time"] = gym.spaces.Box(0.0, MAX_ELAPSED_S, (1,), np.float64)
        if screenshot:
            width, height = self.task.viewport
            spaces["screenshot"] = gym.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.observation_space = gym.spaces.Dict(spaces)
        self.action_space = ActionText("call")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin the episode that `seed` fixes (without one, the next of this environment's own stream)."""
        only(options)
        super().reset(seed=seed)
        episode = episode_seed(seed, self.np_random)
        self._elapsed_s, self._last_action, self._chat = 0.0, "", []
        observation, tabs = loop_thread().run(self._begin(episode))
        self._goal = observation.goal
        self._say("assistant", GREETING)
        self._say("user", observation.goal)
        return self._dict(observation, tabs), self._info(observation, "", 0.0, "")

    def step(self, action: str) -> tuple[dict[str, Any], SupportsFloat, bool, bool, dict[str, Any]]:
        """Perform one action, given as text. Raises EpisodeStateError, Fault."""
        if not isinstance(action, str):
            raise ConfigError(f"an action is text such as \"click('12')\"; got {type(action).__name__}")
        done, tabs = loop_thread().run(self._act(parse(action, "call", self._goal)))
        self._last_action = action
        return (
            self._dict(done.observation, tabs),
            done.reward,
            done.terminated,
            done.truncated,
            self._info(done.observation, done.kind, done.raw_reward, done.message),
        )

    def close(self) -> None:
        """Give the browser session back."""
        loop_thread().run(self._env.close())

    async def _begin(self, seed: int) -> tuple[t.Observation, tuple[list[str], int]]:
        return await self._env.reset(self.task.id, seed), self._tabs()

    async def _act(self, action: t.Action | t.InvalidAction) -> Any:
        done = await self._env.step(action)
        match action:
            case t.Message(words) | t.Stop(words) if words:
                self._say("assistant", words)
            case t.Infeasible(reason):
                self._say("infeasible", reason)
            case t.InvalidAction() | t.Message() | t.Stop():
                pass
            case _:
                self._elapsed_s += (action.ms if isinstance(action, t.Wait) else self.task.settle_ms) / 1e3
        return done, self._tabs()

    def _tabs(self) -> tuple[list[str], int]:
        """The addresses of the open tabs, and which of them is current."""
        from webgym.backends.browser.session import in_browser

        current = in_browser(self._env.session).tab.page
        pages = current.context.pages
        return [page.url for page in pages], pages.index(current)

    def _say(self, role: str, words: str) -> None:
        self._chat.append({"role": role, "timestamp": self.task.clock_s + self._elapsed_s, "message": words})

    def _dict(self, observation: t.Observation, tabs: tuple[list[str], int]) -> dict[str, Any]:
        urls, active = tabs
        titles = [title.removesuffix(" (current)") if i == active else title for i, title in enumerate(observation.tabs)]
        seen: dict[str, Any] = {
            "chat_messages": tuple(dict(message) for message in self._chat),
            "goal": observation.goal,
            "goal_object": ({"type": "text", "text": observation.goal},),
            "open_pages_urls": tuple(urls),
            "open_pages_titles": tuple(titles),
            "active_page_index": np.array([active], np.int64),
            "url": observation.url,
            "dom_object": dom_object(observation),
            "axtree_object": axtree_object(observation),
            "extra_element_properties": extra_element_properties(observation.nodes, self.task.viewport),
            "focused_element_bid": "" if observation.focus is None else str(observation.focus),
            "last_action": self._last_action,
            "last_action_error": observation.error,
            "elapsed_time": np.array([self._elapsed_s], np.float64),
        }
        if self._screenshot:
            seen["screenshot"] = observation.screenshot
        return seen

    def _info(self, observation: t.Observation, kind: str, raw_reward: float, message: str) -> dict[str, Any]:
        return {
            "task_info": {"outcome": kind, "raw_reward": raw_reward, "message": message},
            "turns_left": observation.turns_left,
            "notices": observation.notices,
            "observation_hash": observation.hash,
            "state_hash": observation.state_hash,
        }


def register(patterns: Iterable[str] = ("*",)) -> list[str]:
    """Make tasks known to Gymnasium as `browsergym/<pack>.<task>`; the ids. Raises UnknownTaskError, ConfigError where one is taken.

    >>> register(["miniwob.click-test-2"])
    ['browsergym/miniwob.click-test-2']
    """
    ids = []
    for task_id in registry.select(patterns):
        ids.append(f"browsergym/{task_id}")
        known = gym.registry.get(ids[-1])
        if known is None:
            gym.register(ids[-1], entry_point="webgym.browsergym:BrowserGymEnv", kwargs={"task_id": task_id})
        elif known.entry_point != "webgym.browsergym:BrowserGymEnv":
            raise ConfigError(f"{ids[-1]} is BrowserGym's own already: import its tasks or register ours, not both")
    return ids


# --- the page in Chromium's forms --------------------------------------------------------------------------------------------


def _nested(nodes: Sequence[t.Node]) -> Iterator[tuple[int, t.Node, int]]:
    """(number, node, number of what it stands in; 0 for the page). Lists come as nodes of their own; options stand in their select box."""
    number = 0
    lists = [0]
    box: tuple[int, t.Node] | None = None
    for node in nodes:
        number += 1
        if box and node.role in ("option", "group") and node.depth > box[1].depth:  # a group is the label above some options
            yield number, node, box[0]
            continue
        depth = min(node.depth, MAX_NESTING)
        del lists[depth + 1 :]
        while len(lists) <= depth:
            yield number, t.Node("list", ""), lists[-1]
            lists.append(number)
            number += 1
        yield number, node, lists[-1]
        box = (number, node) if node.role in ("combobox", "listbox") else None


def axtree_object(observation: t.Observation) -> dict[str, Any]:
    """The page as an accessibility tree like that of CDP's `Accessibility.getFullAXTree`; refs are `browsergym_id`s.

    >>> page = t.Observation("", "", "Shop", (t.Node("text", "Sale"), t.Node("button", "Buy", ref=0)))
    >>> [(n["role"]["value"], n["name"]["value"], n.get("browsergym_id")) for n in axtree_object(page)["nodes"]]
    [('RootWebArea', 'Shop', None), ('generic', '', None), ('StaticText', 'Sale', None), ('button', 'Buy', '0')]
    """
    # All stands in a nameless node, because the flattening leaves out texts that the name right above them holds.
    tree = [_ax("root", "RootWebArea", observation.title), _ax("0", "generic", "", "root")]
    tree[0]["childIds"].append("0")
    by_id = {node["nodeId"]: node for node in tree}
    for number, node, parent in _nested(observation.nodes):
        made = _ax(str(number), "StaticText" if node.role == "text" else node.role, node.text, str(parent))
        if node.value:
            made["value"] = {"type": "string", "value": node.value}
        if node.ref is not None:
            made["browsergym_id"] = str(node.ref)
        made["properties"] = [{"name": name, "value": {"type": kind, "value": value}} for name, kind, value in _properties(node)]
        by_id[str(parent)]["childIds"].append(str(number))
        by_id[str(number)] = made
        tree.append(made)
    return {"nodes": tree}


def _ax(node_id: str, role: str, name: str, parent: str = "") -> dict[str, Any]:
    return {
        "nodeId": node_id,
        "ignored": False,
        "role": {"type": "role", "value": role},
        "name": {"type": "computedString", "value": name},
        "properties": [],
        "childIds": [],
        **({"parentId": parent} if parent else {}),
    }


def _properties(node: t.Node) -> Iterator[tuple[str, str, Any]]:
    """(name, type, value) of a node's states, as Chromium tells them; the states it has no word for are left as they are."""
    if node.role in ("checkbox", "radio", "switch", "menuitemcheckbox", "menuitemradio") or "checked" in node.states:
        yield "checked", "tristate", "true" if "checked" in node.states else "false"
    if node.role in ("option", "tab") or "selected" in node.states:
        yield "selected", "booleanOrUndefined", "selected" in node.states
    for state in node.states:
        match state:
            case "expanded" | "collapsed":
                yield "expanded", "booleanOrUndefined", state == "expanded"
            case "checked" | "selected":
                pass
            case _:
                yield state, "boolean", True


def extra_element_properties(nodes: Sequence[t.Node], viewport: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """Properties by bid: the share in the viewport (0 to 1), the box, that it can be clicked, and whether it would bear a mark.

    >>> extra_element_properties([t.Node("button", "Buy", ref=0, box=(90.0, 0.0, 20.0, 10.0))], (100, 100))["0"]
    {'visibility': 0.5, 'bbox': [90.0, 0.0, 20.0, 10.0], 'clickable': True, 'set_of_marks': True}
    """
    found = {}
    for node in nodes:
        if node.ref is not None:
            visibility = _share_inside(node.box, viewport)
            found[str(node.ref)] = {
                "visibility": visibility,
                "bbox": None if node.box is None else list(node.box),
                "clickable": "disabled" not in node.states,
                "set_of_marks": visibility > 0 and node.role != "option",  # an option has its select box's place
            }
    return found


def _share_inside(box: tuple[float, float, float, float] | None, viewport: tuple[int, int]) -> float:
    if box is None:
        return 0.0
    x, y, width, height = box
    inside = [max(0.0, min(start + size, end) - max(start, 0)) for start, size, end in ((x, width, viewport[0]), (y, height, viewport[1]))]
    return inside[0] * inside[1] / (width * height) if width * height > 0 else 0.0


TAGS = {"link": "a", "button": "button", "heading": "h2", "text": "span", "list": "ul", "option": "option"}
INPUTS = {
    "textbox": "text",
    "searchbox": "search",
    "spinbutton": "number",
    "slider": "range",
    "checkbox": "checkbox",
    "radio": "radio",
    "file": "file",
}

STATES = {
    **{state: (state, "") for state in ("checked", "selected", "disabled", "required", "readonly")},
    "expanded": ("aria-expanded", "true"),
    "collapsed": ("aria-expanded", "false"),
    "draggable": ("draggable", "true"),
}
"""States as HTML attributes."""


def dom_object(observation: t.Observation) -> dict[str, Any]:
    """The page as a document like that of CDP's `DOMSnapshot.captureSnapshot`, with plain elements; refs are their `bid` attributes."""
    document = _Document()
    html = document.add(1, "HTML", parent=document.add(9, "#document"))
    title = document.add(1, "TITLE", parent=document.add(1, "HEAD", parent=html))
    document.add(3, "#text", observation.title, parent=title)
    places = {0: document.add(1, "BODY", parent=html)}
    nodes = list(_nested(observation.nodes))
    with_options = {parent for _, node, parent in nodes if node.role == "option"}
    for number, node, parent in nodes:
        tag, attributes = _element(node, number in with_options)
        places[number] = document.add(1, tag.upper(), parent=places[parent], attributes=attributes, clickable=node.ref is not None)
        if node.text and "aria-label" not in attributes:
            document.add(3, "#text", node.text, parent=places[number])
    return document.snapshot()


def _element(node: t.Node, has_options: bool) -> tuple[str, dict[str, str]]:
    """A tag and its attributes for a node. What is named from outside of it is labelled; all else shows its text."""
    attributes = {} if node.ref is None else {"bid": str(node.ref)}
    if node.role in INPUTS:
        tag, attributes = "input", attributes | {"type": INPUTS[node.role]}
    elif node.role in ("combobox", "listbox") and has_options:
        tag, attributes = "select", attributes | ({"multiple": ""} if node.role == "listbox" else {})
    else:
        tag = TAGS.get(node.role, "div")
        attributes |= {} if node.role in TAGS or node.role == "clickable" else {"role": node.role}
    if tag in ("input", "select") and node.text:
        attributes["aria-label"] = node.text
    if node.value:
        attributes["value"] = node.value
    return tag, attributes | dict(STATES[state] for state in node.states if state in STATES)


class _Document:
    """Writes one document as parallel arrays over a table of strings."""

    def __init__(self) -> None:
        self._strings: dict[str, int] = {}
        self._columns: dict[str, list[Any]] = {
            key: [] for key in ("parentIndex", "nodeType", "nodeName", "nodeValue", "attributes", "backendNodeId")
        }
        self._clickable: list[int] = []

    def add(
        self,
        kind: int,
        name: str,
        value: str = "",
        *,
        parent: int = -1,
        attributes: dict[str, str] | None = None,
        clickable: bool = False,
    ) -> int:
        """The index of a new node."""
        index = len(self._columns["nodeType"])
        given = [self._string(word) for pair in (attributes or {}).items() for word in pair]
        row = (parent, kind, self._string(name), self._string(value) if value else -1, given, index)
        for column, cell in zip(self._columns.values(), row, strict=True):
            column.append(cell)
        if clickable:
            self._clickable.append(index)
        return index

    def _string(self, text: str) -> int:
        return self._strings.setdefault(text, len(self._strings))

    def snapshot(self) -> dict[str, Any]:
        nodes = {**self._columns, "contentDocumentIndex": {"index": [], "value": []}, "isClickable": {"index": self._clickable}}
        return {"documents": [{"nodes": nodes}], "strings": list(self._strings)}
