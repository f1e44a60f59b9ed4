"""Coverage of reading: every control of Chrome's accessibility tree that can be acted on has a ref, or a reason of a closed list."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.pages.ours import Ours
from benchmarks.pages.tree import ACTED_ON, AxNode, Element, can_act

REASONS = {
    "ref": "it has a ref",
    "disabled": "it is disabled, so that nothing can be done with it",
    "hidden": "the browser lays out no box of it, or does not paint it",
    "transparent": "its opacity is 0, or, of a field, that of what it is in",
    "inert": "it, or what it is in, is inert",
    "clipped": "no point of it can be seen: it has no size, or is cut off",
    "out of reach": "it lies where no scrolling leads",
    "covered": "every point of it lies under something else",
    "frame unseen": "the frame that it is in is hidden, transparent, covered or out of reach",
    "label": "its label has a ref, and a click on that is a click on it",
    "host": "it is the host of a control that has a ref",
    "part": "the browser drew it as a part of a control, which is judged in its stead",
    "twin": "an element around or inside it has a ref, the same name, or the same words where it has none, and nothing else to act on",
    "box": "it has nothing to act on but what it holds: it scrolls, or is a dialog or a composite widget or item whose parts have refs",
    "idle": "only a script can focus it; it has no role of a control, no listener and no words of its own",
    "cut": "the observation was cut at its limit",
}
"""The closed list: by reason, in words."""
KEYS = frozenset(("keydown", "keyup", "keypress"))
BOXES = frozenset(re.findall(r"\w+", (
    "dialog alertdialog tablist menu menubar radiogroup listbox tree treegrid grid toolbar table group rowgroup region "
    "application tooltip"
)))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Control:
    """A control of the accessibility tree, and the reason found for it: "ref", another of :data:`REASONS`, or "" where there is none."""

    node: AxNode
    element: Element
    reason: str
    why: str = ""  # the measures, where there is no reason
    text: str | None = None  # the ref's text, where it has one


async def controls(ours: Ours, refs: Mapping[int, int], elements: Mapping[int, Element], nodes: Sequence[AxNode]) -> list[Control]:
    """The controls of the page that is shown. `refs` are elements by ref."""
    with_ref = {element: ref for ref, element in refs.items()}
    texts = {node.ref: node.text for node in ours.observation.nodes if node.ref is not None}
    found: list[Control] = []
    for node in nodes:
        element = elements.get(node.id)
        if not can_act(node) or element is None or (element.tag in ("HTML", "BODY") and node.role not in ("textbox",)):
            continue
        if node.id in with_ref:
            found.append(Control(node, element, "ref", text=texts.get(with_ref[node.id])))
            continue
        reason = _relative(node, element, with_ref) or ("disabled" if node.disabled else "")
        why = ""
        if not reason and await _twin(ours, node, element, with_ref, texts):
            reason = "twin"
        if not reason and node.role == "generic" and not element.text and any(e.id in with_ref for e in element.below):
            reason = "" if await ours.listens(element.id, KEYS) and not element.attributes.get("tabindex", "0").startswith("-") else "box"
        parts = node.role == "treeitem" and not element.text and sum(e.id in with_ref for e in element.below) > 1
        if not reason and parts and not await ours.listens(element.id):
            reason = "box"
        if not reason:
            reason, why = await _unseen(ours, element, node)
        if not reason and any("page is long" in notice for notice in ours.observation.notices):
            reason = "cut"
        found.append(Control(node, element, reason, why))
    return found


def _relative(node: AxNode, element: Element, with_ref: Mapping[int, int]) -> str:
    """A reason that lies in an element that has a ref."""
    if element.native:
        return "part"
    inside = [e for e in element.below if e.id in with_ref]
    if node.role in ("dialog", "alertdialog") and element.attributes.get("tabindex", "-1").startswith("-"):
        return "box"
    if inside and (node.role in BOXES or node.role in ("row", "gridcell", "columnheader", "rowheader")) and not element.text:
        return "box"
    label = element.label
    if label is not None and label.id in with_ref:
        return "label"
    if element.tag == "LABEL" and len(inside) == 1:
        return "label"
    if any(e.path[: len(element.path) + 1] == (*element.path, "S") for e in inside) and len(inside) == 1:
        return "host"  # a host of one control, to which it hands its focus
    return ""


async def _twin(ours: Ours, node: AxNode, element: Element, with_ref: Mapping[int, int], texts: Mapping[int, str]) -> bool:
    """True if another element has a ref and the same name, and a click on that is a click on this one."""
    inside = [e for e in element.below if e.id in with_ref]
    if len(inside) == 1 and texts.get(with_ref[inside[0].id]) == node.name and not _own(element):
        return True
    above = next((e for e in element.around if e.id in with_ref), None)
    if above is None or inside or texts.get(with_ref[above.id]) != (node.name or element.words):
        return False
    seen = await ours.sight(above.id)

    def on_it(name: str) -> bool:
        return name == element.name or name.startswith((f"{element.name}/", f"{element.name}^"))

    return on_it(seen.get("middle", "")) or (bool(seen.get("tops")) and all(map(on_it, seen["tops"])))


def _own(element: Element) -> bool:
    """True for what does something of its own: a native control, or one that listens."""
    attributes = element.attributes
    native = element.tag in ("INPUT", "SELECT", "TEXTAREA", "BUTTON", "SUMMARY") or (element.tag == "A" and "href" in attributes)
    return native or any(name.startswith("on") for name in attributes)


async def _unseen(ours: Ours, element: Element, node: AxNode) -> tuple[str, str]:
    """A reason that lies in what can be seen of the element itself; "" and the measures where there is none."""
    for above in element.around:
        if above.tag in ("IFRAME", "FRAME", "OBJECT", "EMBED") and _of_sight(await ours.sight(above.id)):
            return "frame unseen", ""
    seen = await ours.sight(element.id)
    reason = _of_sight(seen)
    label = element.label if reason in ("hidden", "transparent", "clipped", "out of reach") and not seen["disabled"] else None
    if label is not None and not _of_sight(await ours.sight(label.id)):
        return "", f"itself {reason}, but its label can be clicked"
    if reason:
        return reason, f"by {seen['by']}" if reason == "covered" else ""
    if (
        node.role in ("generic", "none", "region", "")
        and "tabindex" not in element.attributes
        and "contenteditable" not in element.attributes
    ):
        return "box", ""
    silent = node.role not in ACTED_ON and element.attributes.get("tabindex", "0").startswith("-") and not element.text
    if silent and not await ours.listens(element.id):
        return "idle", ""
    return "", ", ".join(f"{name} {value}" for name, value in seen.items() if name not in ("name", "tops"))


def _of_sight(seen: Mapping[str, object]) -> str:
    if not seen:
        return ""
    if seen.get("inert"):
        return "inert"
    if not seen["shown"]:
        return "hidden"
    if not seen["opacity"]:
        return "transparent"
    if seen.get("clipped"):
        return "clipped"
    if seen["hit"]:
        return ""
    if not seen["box"]:
        return "clipped"
    if seen.get("covered"):
        return "covered"
    return "out of reach" if seen["out"] and not seen["over"] else "clipped"


def naming(control: Control) -> str:
    """The name of a ref beside Chrome's: equal, more or less of the same words, empty, or other."""
    ours, theirs = " ".join((control.text or "").split()).lower(), " ".join(control.node.name.split()).lower()
    if ours == theirs:
        return "equal"
    if not ours or not theirs:
        return "empty" if theirs else "given"
    return "part" if ours in theirs or theirs in ours else "other"
