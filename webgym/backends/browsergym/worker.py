"""BrowserGym's side: plays its environments for another process. Run by the Python that has BrowserGym; it imports nothing of ours.

One JSON object a line comes in, and one goes out. `list` gives the ids of all tasks of the installed benchmarks, `reset` begins an episode,
`step` performs a call of BrowserGym's actions, and `screenshot` gives the pixels of the last observation. An answer with `broken` is a
failure of the environment, which no agent causes. What libraries print goes to standard error.
"""

import base64
import importlib
import json
import os
import pkgutil
import sys
from typing import Any

NOT_BENCHMARKS = {"core", "experiments", "utils"}
SKIPPED = {"none", "InlineTextBox", "LineBreak", "RootWebArea", "ListMarker"}
CONTAINERS = {"generic", "paragraph", "LabelText", "group", "Section", "MenuListPopup", "list", "table", "row", "rowgroup", "form", "main",
              "navigation", "region", "banner", "contentinfo", "article", "LayoutTable", "LayoutTableRow", "LayoutTableCell"}  # fmt: skip
"""Roles that are shown only where they can be acted on, or have a name of their own."""
ROLES = {"StaticText": "text", "Iframe": "iframe", "LayoutTableCell": "cell", "DisclosureTriangle": "button", "gridcell": "cell"}
ACTED_ON = {"button", "link", "textbox", "searchbox", "combobox", "listbox", "option", "checkbox", "radio", "switch", "slider",
            "spinbutton", "menuitem", "menuitemcheckbox", "menuitemradio", "tab", "treeitem", "gridcell"}  # fmt: skip
STATES = ("checked", "selected", "expanded", "disabled", "required", "pressed", "readonly", "invalid")
VALUED = {"textbox", "searchbox", "combobox", "spinbutton", "slider"}


def benchmarks() -> list[str]:
    """The installed packages of BrowserGym that register tasks, imported. What cannot be imported is said on standard error."""
    import browsergym  # pyright: ignore[reportMissingImports]

    found = []
    for module in pkgutil.iter_modules(browsergym.__path__):
        if module.name not in NOT_BENCHMARKS:
            try:
                importlib.import_module(f"browsergym.{module.name}")
                found.append(module.name)
            except Exception as error:
                print(f"browsergym.{module.name} cannot be imported: {error!r}", file=sys.stderr)
    return found


def ids() -> list[str]:
    """The names of all tasks, without `browsergym/`."""
    import gymnasium as gym

    benchmarks()
    return sorted(name.removeprefix("browsergym/") for name in gym.registry if name.startswith("browsergym/"))


def rows(tree: Any, properties: Any) -> list[list[Any]]:
    """The nodes of Chrome's accessibility tree in reading order: [role, name, bid or None, value or None, states, depth]."""
    nodes = {node["nodeId"]: node for node in tree["nodes"]}
    children = {child for node in tree["nodes"] for child in node.get("childIds", ())}
    found: list[list[Any]] = []
    waiting = [(node["nodeId"], 0) for node in reversed(tree["nodes"]) if node["nodeId"] not in children]
    while waiting:
        key, depth = waiting.pop()
        node = nodes.get(key)
        if node is None:
            continue
        row = _row(node, properties, depth)
        if row is not None and not (row[0] == "text" and found and found[-1][1] == row[1] and found[-1][5] < depth):
            found.append(row)
        below = depth + (row is not None)
        waiting += [(child, below) for child in reversed(node.get("childIds", ()))]
    return _named(found)


def _named(rows: "list[list[Any]]") -> "list[list[Any]]":
    """The rows, with the words in a thing that has a ref and no name as its name."""
    found: list[list[Any]] = []
    for row in rows:
        holder = next((each for each in reversed(found) if each[5] < row[5]), None)
        if row[0] == "text" and holder and holder[0] == "clickable" and not holder[1] and holder[5] == row[5] - 1:
            holder[1] = row[1]
            continue
        found.append(row)
    return found


def _row(node: Any, properties: Any, depth: int) -> "list[Any] | None":
    role, name = _said(node, "role"), " ".join(_said(node, "name").split())
    bid = node.get("browsergym_id")
    clickable = bool(bid and (properties.get(bid) or {}).get("clickable"))
    if role in SKIPPED or (node.get("ignored") and not clickable):
        return None
    ref = bid if bid and (clickable or role in ACTED_ON) else None
    if ref is None and not name:
        return None
    if ref is None and role in CONTAINERS and role != "LayoutTableCell":
        return None
    told = {entry["name"]: entry.get("value", {}).get("value") for entry in node.get("properties", ())}
    states = sorted(state for state in STATES if told.get(state) not in (None, False, "false", ""))
    value = str(node["value"].get("value", "")) if "value" in node else "" if role in VALUED else None
    return ["clickable" if role in CONTAINERS else ROLES.get(role, role), name, ref, value, states, depth]


def _said(node: Any, key: str) -> str:
    return str(node.get(key, {}).get("value") or "")


class Worker:
    """Plays one episode after another. One environment lives at a time."""

    def __init__(self) -> None:
        self.env: Any = None
        self.observation: Any = None
        self.heard = 0

    def list(self) -> "dict[str, Any]":
        return {"ids": ids()}

    def reset(self, name: str, seed: int, headless: bool) -> "dict[str, Any]":
        import gymnasium as gym
        from browsergym.core.action.highlevel import HighLevelActionSet  # pyright: ignore[reportMissingImports]

        importlib.import_module(f"browsergym.{name.partition('.')[0]}")
        self.close()
        actions = HighLevelActionSet(subsets=["chat", "infeas", "bid", "coord", "nav", "tab"], strict=False, multiaction=False)
        self.env = gym.make(
            f"browsergym/{name}",
            disable_env_checker=True,
            headless=headless,
            action_mapping=actions.to_python_code,
        )
        self.observation, _ = self.env.reset(seed=seed)
        self.heard = len(self.observation.get("chat_messages", ()))
        return {**self._seen(), "goal": self.observation["goal"]}

    def step(self, call: str) -> "dict[str, Any]":
        failure = ""
        try:
            self.observation, reward, terminated, truncated, _ = self.env.step(call)
        except Exception as error:  # an agent must not void its episode: where the page can be read all the same, the action failed
            failure = f"{type(error).__name__}: {error}"
            self.observation, reward, terminated, truncated, _ = self.env.step("noop()")
        error = " ".join((failure or str(self.observation.get("last_action_error") or "")).split())[:1000]
        return {**self._seen(), "error": error, "reward": float(reward), "done": bool(terminated), "cut": bool(truncated)}

    def screenshot(self) -> "dict[str, Any]":
        pixels = self.observation["screenshot"]
        return {"shape": list(pixels.shape), "pixels": base64.b64encode(pixels.tobytes()).decode()}

    def close(self) -> None:
        if self.env is not None:
            self.env.close()
            self.env = None

    def _seen(self) -> "dict[str, Any]":
        seen = self.observation
        messages = [m for m in seen.get("chat_messages", ())[self.heard :] if m["role"] not in ("assistant", "infeasible")]
        self.heard = len(seen.get("chat_messages", ()))
        return {
            "url": seen["url"],
            "titles": list(seen["open_pages_titles"]),
            "tab": int(seen["active_page_index"][0]),
            "focus": seen.get("focused_element_bid") or "",
            "nodes": rows(seen["axtree_object"], seen.get("extra_element_properties") or {}),
            "notices": [f"{m['role']} says: {m['message']}" for m in messages],
        }


def main() -> None:
    """Answer until standard input ends."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]  # no file of ours is taken for a module of theirs
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = getattr(worker, asked.pop("ask"))(**asked)
        except Exception as error:
            answer = {"broken": f"{type(error).__name__}: {error}"[:2000]}
        print(json.dumps(answer), file=out, flush=True)
    worker.close()


if __name__ == "__main__":
    main()
