"""Pages made from a seed: trees of layouts, veils, frames and shadow roots around controls, rendered to the documents of two hosts.

A page is data, so that a failing one can be written to a file, shrunk (:func:`smaller`) and run again alone.
"""

import html
import importlib.resources
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any

from benchmarks.pages import parts as p

HOST, OTHER = "page.localhost", "other.localhost"
Documents = Mapping[tuple[str, str], str]
"""HTML by host and path."""


@dataclass(frozen=True)
class Part:
    """One part of a page: a control, or what is around others. `kind` is control, layout, veil, frame or shadow."""

    kind: str
    name: str
    children: tuple["Part", ...] = ()
    label: str = ""
    listener: str = ""
    veil: str = ""  # an attribute of the control itself: disabled or aria-disabled

    def all(self) -> Iterator["Part"]:
        """The part and all below it."""
        yield self
        for child in self.children:
            yield from child.all()


@dataclass(frozen=True)
class Page:
    """A page as it was drawn. `quirks` leaves the document type out."""

    seed: int
    blocks: tuple[Part, ...]
    quirks: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> "Page":
        """Raises ValueError, KeyError or TypeError where the text is no page."""
        raw = json.loads(text)
        return Page(raw["seed"], tuple(map(_part, raw["blocks"])), raw.get("quirks", False))


def _part(raw: Mapping[str, Any]) -> Part:
    return Part(**{**raw, "children": tuple(_part(child) for child in raw["children"])})


# --- drawing ---------------------------------------------------------------------------------------------------------------


def draw(seed: int) -> Page:
    """The page of a seed."""
    rng = random.Random(seed)
    rare = rng.random() < 0.12
    blocks = [_block(rng, depth=0) for _ in range(rng.choice((1, 2, 2, 3)))]
    if rare:
        inside = tuple(_control(rng) for _ in range(rng.choice((1, 2))))
        blocks.append(Part("layout", rng.choice(sorted(p.RARE_LAYOUTS)), inside))
    return Page(seed, tuple(blocks), quirks=rng.random() < 0.04)


def _block(rng: random.Random, depth: int) -> Part:
    if rng.random() < 0.3 and depth < 3:
        inside: tuple[Part, ...] = (_block(rng, depth + 1),)
    else:
        inside = tuple(_control(rng) for _ in range(rng.choice((1, 1, 2, 3))))
    if rng.random() < 0.35:
        inside = (Part("veil", rng.choice(sorted(p.VEILS)), inside), *((_control(rng),) if rng.random() < 0.3 else ()))
    if rng.random() < 0.75:
        inside = (Part("layout", rng.choice([name for name in p.LAYOUTS if name not in p.RARE_LAYOUTS]), inside),)
    chance = rng.random()
    if chance < 0.25:
        inside = (Part("frame", rng.choice(sorted(p.FRAMES)), inside),)
    elif chance < 0.45:
        inside = (Part("shadow", rng.choice(p.SHADOWS), inside),)
    return inside[0] if len(inside) == 1 else Part("layout", "flow", inside)


def _control(rng: random.Random) -> Part:
    name = rng.choice(list(p.CONTROLS))
    control = p.CONTROLS[name]
    labels = {"content": p.CONTENT_LABELS, "field": p.FIELD_LABELS}.get(control.kind, ("",))
    return Part(
        "control",
        name,
        label=rng.choice(labels),
        listener=rng.choice(p.LISTENERS) if control.listens else "",
        veil=rng.choice(p.OWN_VEILS) if rng.random() < 0.06 else "",
    )


# --- rendering -------------------------------------------------------------------------------------------------------------


@cache
def script(name: str) -> str:
    """A script of this folder as an element."""
    return f"<script>{importlib.resources.files('benchmarks.pages').joinpath(name).read_text('utf-8')}</script>"


@dataclass
class _Render:
    """A page in the making. `keys` counts its parts; `documents` are the finished ones."""

    name: str
    quirks: bool
    keys: int = 0
    documents: dict[tuple[str, str], str] = field(default_factory=dict)
    whole: bool = False  # whether a control of the document in the making is listened to by its document

    def key(self, letter: str = "k") -> str:
        self.keys += 1
        return f"{letter}{self.keys}"

    def document(self, children: tuple[Part, ...]) -> str:
        """A whole document that shows the parts."""
        outer, self.whole = self.whole, False
        body = "\n".join(map(self.part, children))
        whole, self.whole = self.whole, outer
        kind = "" if self.quirks else "<!doctype html>"
        listens = " data-on=delegate" if whole else ""
        head = f"<html lang=en><head><meta charset=utf-8><title>Page {self.name}</title>{script('recorder.js')}</head>"
        return f"{kind}{head}<body data-k={self.key('body')}{listens}>\n{body}\n{script('furnish.js')}</body></html>"

    def part(self, part: Part) -> str:
        match part.kind:
            case "control":
                return self.control(part)
            case "layout":
                return self.around(p.LAYOUTS[part.name], part.children)
            case "veil":
                return self.around(p.VEILS[part.name], part.children)
            case "frame":
                return self.frame(part)
            case "shadow":
                return self.shadow(part)
        raise ValueError(f"a part is a control, layout, veil, frame or shadow, not {part.kind!r}")

    def around(self, markup: str, children: tuple[Part, ...]) -> str:
        return markup.replace(
            "*", "\n".join(f"<div>{self.part(child)}</div>" if len(children) > 1 else self.part(child) for child in children)
        )

    def frame(self, part: Part) -> str:
        key, markup = self.key("f"), p.FRAMES[part.name]
        document = self.document(part.children)
        if "data-srcdoc" in markup:
            return markup.replace("#", f'data-k={key} srcdoc="{html.escape(document)}"')
        if "data-written" in markup:
            return markup.replace("#", f'data-k={key} data-html="{html.escape(document)}"')
        other = "data-other" in markup
        host, path = OTHER if other else HOST, f"/{self.name}/{key}"
        self.documents[host, path] = document
        address = f"http://{host}{path}"
        return markup.replace("#data", f'data-k={key} data="{address}"').replace("#", f'data-k={key} src="{address}"', 1)

    def shadow(self, part: Part) -> str:
        key = self.key("s")
        mode, _, slot = part.name.partition(" ")
        inside = "\n".join(map(self.part, part.children))
        if slot == "fallback":
            inner, light = f"<section><slot>{inside}</slot></section>", ""
        elif slot:
            given = " slot=here" if "named" in slot else ""
            inner, light = f"<section><h4>Slotted</h4><slot{' name=here' if given else ''}></slot></section>", f"<div{given}>{inside}</div>"
        else:
            inner, light = f"<section>{inside}</section>", ""
        return f'<x-host data-k={key} style="display:block" data-shadow={mode} data-html="{html.escape(inner)}">{light}</x-host>'

    def control(self, part: Part) -> str:
        control, key = p.CONTROLS[part.name], self.key()
        number = int(key[1:])
        words = f"{p.WORDS[number % len(p.WORDS)].capitalize()} {number}"
        attributes, shown, before, after = [f"data-k={key}"], words, "", ""
        match part.label:
            case "aria-label":
                attributes.append(f'aria-label="{words}"')
                shown = "×"
            case "title" | "placeholder":
                attributes.append(f'{part.label}="{words}"')
                shown = "×"
            case "labelledby":
                attributes.append(f"aria-labelledby=l{key}")
                shown, before = "×", f"<span id=l{key}>{words}</span> "
            case "for":
                attributes.append(f"id=i{key}")
                before = f"<label for=i{key} data-k={key}t>{words}</label> "
            case "wrap":
                before, after = f"<label data-k={key}t>{words} ", "</label>"
            case "before":
                before = f"{words} "
        match part.listener:
            case "direct" | "property" | "mousedown":
                attributes.append(f"data-on={part.listener}")
            case "inline":
                attributes.append('onclick="referee.act(this)"')
            case "container":
                attributes.append("data-act")
                before, after = f"<div data-on=delegate>{before}", f"{after}</div>"
            case "document":
                attributes.append("data-act")
                self.whole = True
        if part.veil:
            attributes.append("disabled" if part.veil == "disabled" else "aria-disabled=true")
        markup = control.markup.replace("{key}", key).replace("$", shown).replace("@", " ".join(attributes))
        return f"{before}{markup}{after}"


def render(page: Page, name: str) -> Documents:
    """The documents of a page; the first address is `http://page.localhost/<name>`."""
    making = _Render(name, page.quirks)
    making.documents[HOST, f"/{name}"] = making.document(page.blocks)
    return making.documents


# --- shrinking -------------------------------------------------------------------------------------------------------------


def smaller(page: Page) -> Iterator[Page]:
    """Pages that are a little smaller than this one: a part gone, a wrapper gone, a plainer label or listener."""
    if page.quirks:
        yield replace(page, quirks=False)
    for blocks in _fewer(page.blocks):
        if blocks:
            yield replace(page, blocks=blocks)


def _fewer(children: tuple[Part, ...]) -> Iterator[tuple[Part, ...]]:
    for i, child in enumerate(children):
        before, after = children[:i], children[i + 1 :]
        yield (*before, *after)
        if child.kind != "control":
            yield (*before, *child.children, *after)
            for inside in _fewer(child.children):
                yield (*before, replace(child, children=inside), *after)
        else:
            if child.veil:
                yield (*before, replace(child, veil=""), *after)
            if child.label not in ("", "aria-label", "content"):
                yield (*before, replace(child, label="aria-label"), *after)
            if child.listener not in ("", "direct"):
                yield (*before, replace(child, listener="direct"), *after)


def kinds(page: Page, key: str) -> dict[str, str]:
    """The control that bears `key` and what is around it, by kind; "" for a key of none. Keys are given in the order of rendering."""
    return _Keys().find(page.blocks, key)


class _Keys:
    """The same count of keys as :class:`_Render`'s."""

    def __init__(self) -> None:
        self.count = 0

    def find(self, children: tuple[Part, ...], key: str, around: tuple[Part, ...] = ()) -> dict[str, str]:
        wanted = "".join(c for c in key if c.isdigit())
        for child in children:
            if child.kind in ("control", "frame", "shadow"):
                self.count += 1
            if child.kind == "control" and str(self.count) == wanted:
                chain: dict[str, list[str]] = {}
                for part in around:
                    chain.setdefault(part.kind, []).append(part.name)
                found = {"control": child.name, "label": child.label, "listener": child.listener}
                return {**found, "veil": " > ".join([*chain.get("veil", []), *([child.veil] if child.veil else [])]),
                        **{kind: " > ".join(chain.get(kind, [])) for kind in ("layout", "frame", "shadow")}}  # fmt: skip
            if found := self.find(child.children, key, (*around, child)):
                return found
            if child.kind == "frame":
                self.count += 1  # its body
        return {}
