"""Trees of a page as the browser has them, read over a connection of the referee's own: its elements, and its accessibility tree.

Nothing here is shared with the reader that is judged.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import CDPSession
from playwright.async_api import Error as PlaywrightError

Step = int | str
"""Of a path: a child's number among the elements, "S" into a shadow root, "F" into a frame's document."""


@dataclass(slots=True, eq=False)
class Element:
    """An element of the page. `path` leads to it from the page's root element; `native` says that the browser drew it inside a control."""

    id: int  # the browser's own: backendNodeId
    tag: str
    attributes: Mapping[str, str]
    path: tuple[Step, ...]
    parent: "Element | None" = None
    native: bool = False
    children: list["Element"] = field(default_factory=list)
    text: str = ""  # directly in it, white space collapsed

    @property
    def key(self) -> str:
        """The key that the generator gave it, or ""."""
        return self.attributes.get("data-k", "")

    @property
    def around(self) -> Iterator["Element"]:
        """What it is in, from the inside, over the bounds of shadow roots and frames."""
        above = self.parent
        while above is not None:
            yield above
            above = above.parent

    @property
    def below(self) -> Iterator["Element"]:
        for child in self.children:
            yield child
            yield from child.below

    @property
    def words(self) -> str:
        """All text in it, white space collapsed."""
        return " ".join(e.text for e in (self, *self.below) if e.text)

    @property
    def label(self) -> "Element | None":
        """The label around it or for it."""
        near = next((above for above in self.around if above.tag == "LABEL"), None)
        wanted = self.attributes.get("id")
        if near is not None or not wanted:
            return near
        *_, top = (self, *self.around)
        return next((e for e in top.below if e.tag == "LABEL" and e.attributes.get("for") == wanted), None)

    @property
    def name(self) -> str:
        """The name that the page's recorder gives it: its key, or its place below the nearest thing that has one."""
        if self.key:
            return self.key
        above = self.parent
        if above is None or "F" in self.path[-1:]:
            return "html"
        if self.tag == "BODY" and above.tag == "HTML":
            return "body"
        root = "^" if self.path[-2:-1] == ("S",) else ""
        alike = [e for e in above.children if e.tag == self.tag and (e.path[-2:-1] == ("S",)) == bool(root)]
        return f"{above.name}{root}/{self.tag.lower()}{alike.index(self) if len(alike) > 1 else ''}"


@dataclass(frozen=True, slots=True)
class AxNode:
    """A thing of the accessibility tree that is not ignored."""

    id: int  # of its element
    role: str
    name: str
    properties: Mapping[str, Any]

    @property
    def disabled(self) -> bool:
        return bool(self.properties.get("disabled"))


ACTED_ON = frozenset(re.findall(r"\w+", (
    "button link textbox searchbox combobox checkbox radio switch slider spinbutton listbox option menuitem "
    "menuitemcheckbox menuitemradio tab treeitem ColorWell Date DateTime InputTime DisclosureTriangle "
    "DisclosureTriangleGrouped PopUpButton MenuListOption ListBoxOption ComboBoxSelect ComboBoxMenuButton "
    "TextFieldWithComboBox ToggleButton"
)))  # fmt: skip
"""Roles that say by themselves that a thing can be acted on; others can where they take the focus."""
NEVER = frozenset(("RootWebArea", "Iframe", "IframePresentational", "WebArea"))


def can_act(node: AxNode) -> bool:
    """True for a control: by its role, or because it takes the focus."""
    if node.role in NEVER:
        return False
    return node.role in ACTED_ON or bool(node.properties.get("focusable"))


async def elements(cdp: CDPSession) -> dict[int, Element]:
    """All elements of the page, over all frames of its process and all shadow roots, by the browser's id."""
    root = (await cdp.send("DOM.getDocument", {"depth": -1, "pierce": True}))["root"]
    found: dict[int, Element] = {}
    html = next((child for child in root.get("children", ()) if child["nodeType"] == 1), None)
    if html is not None:
        _collect(html, None, (), False, found)
    return found


def _collect(raw: Mapping[str, Any], parent: Element | None, path: tuple[Step, ...], native: bool, found: dict[int, Element]) -> None:
    flat = raw.get("attributes", [])
    element = Element(raw["backendNodeId"], raw["nodeName"].upper(), dict(zip(flat[::2], flat[1::2], strict=True)), path, parent, native)
    element.text = " ".join("".join(c["nodeValue"] for c in raw.get("children", ()) if c["nodeType"] == 3).split())
    found[element.id] = element
    if parent is not None:
        parent.children.append(element)
    for i, child in enumerate(c for c in raw.get("children", ()) if c["nodeType"] == 1):
        _collect(child, element, (*path, i), native, found)
    for root in raw.get("shadowRoots", ()):
        inner = native or root["shadowRootType"] == "user-agent"
        for i, child in enumerate(c for c in root.get("children", ()) if c["nodeType"] == 1):
            _collect(child, element, (*path, "S", i), inner, found)
    if document := raw.get("contentDocument"):
        html = next((child for child in document.get("children", ()) if child["nodeType"] == 1), None)
        if html is not None:
            _collect(html, element, (*path, "F"), native, found)
    for pseudo in raw.get("pseudoElements", ()):
        found[pseudo["backendNodeId"]] = element


async def accessibility(cdp: CDPSession) -> list[AxNode]:
    """The nodes of the accessibility trees of all frames that are not ignored, in their order."""
    tree = (await cdp.send("Page.getFrameTree"))["frameTree"]
    frames = list(_frames(tree))
    answers = await asyncio.gather(
        *(cdp.send("Accessibility.getFullAXTree", {"frameId": frame}) for frame in frames), return_exceptions=True
    )
    nodes: list[AxNode] = []
    for answer in answers:
        if isinstance(answer, PlaywrightError):
            continue  # of another process, or gone meanwhile
        if isinstance(answer, BaseException):
            raise answer
        nodes.extend(_node(raw) for raw in answer["nodes"] if not raw.get("ignored") and "backendDOMNodeId" in raw)
    return nodes


def _node(raw: Mapping[str, Any]) -> AxNode:
    properties = {p["name"]: p["value"].get("value") for p in raw.get("properties", ())}
    return AxNode(raw["backendDOMNodeId"], raw.get("role", {}).get("value", ""), raw.get("name", {}).get("value") or "", properties)


def _frames(tree: Mapping[str, Any]) -> Iterator[str]:
    yield tree["frame"]["id"]
    for child in tree.get("childFrames", ()):
        yield from _frames(child)
