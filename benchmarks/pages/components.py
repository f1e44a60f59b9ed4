"""Pages of component libraries (`components/src`), built by `components/build.mjs`, and walks on them by both sides."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.pages import aim, equality
from benchmarks.pages.equality import Comparison, Deed
from benchmarks.pages.generator import HOST, Documents, script
from benchmarks.pages.referee import Finding, Referee, of_control, of_deed, read
from benchmarks.pages.reference import TIMEOUTS_MS, Seen, seen
from benchmarks.pages.tree import Element

FOLDER = Path(__file__).parent / "components"
ROWS = ("row-index", "aria-rowindex", "data-index", "aria-posinset")
"""Attributes by which lists that draw only what is in view number their rows: the same element may be another row on the other side."""
PLACES = "(e, names) => names.map(name => e.closest(`[${name}]`)?.getAttribute(name) ?? null)"
WAIT_S = 0.5  # after each action of the reference, as long as WebGym gives its page


def names() -> list[str]:
    """The pages that are there, by name of their library."""
    return sorted(file.stem for file in (FOLDER / "src").iterdir() if file.suffix in (".js", ".jsx") and "-parts" not in file.stem)


def documents(name: str) -> Documents:
    """The documents of a page. Raises FileNotFoundError where it was not built."""
    build = FOLDER / "build"
    style = build / f"{name}.css"
    link = f"<link rel=stylesheet href=/c/{name}.css>" if style.exists() else ""
    page = f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{name}</title>{script('recorder.js')}{link}</head>"
    page += f"<body><div id=app></div><script type=module src=/c/{name}.js></script></body></html>"
    found = {(HOST, f"/c/{name}"): page, (HOST, f"/c/{name}.js"): (build / f"{name}.js").read_text("utf-8")}
    return found | ({(HOST, f"/c/{name}.css"): style.read_text("utf-8")} if link else {})


class Walks:
    """Walks on one page: the same actions by both sides, one after the other, until they differ."""

    def __init__(self, referee: Referee, name: str) -> None:
        self._ours, self._reference, self._name = referee.ours, referee.reference, name
        self._documents, self._path = documents(name), f"/c/{name}"
        self._known: set[str] = set()
        self.findings: list[Finding] = []

    async def walk(self, rng: random.Random, steps: int) -> None:
        """One walk from a fresh copy on both sides."""
        await asyncio.gather(self._ours.show(self._documents, self._path), self._show_there())
        await self._ours.seen()
        before: list[Deed] = []
        for _ in range(steps):
            by_ref = await self._read()
            deed = self._draw(rng, by_ref)
            if deed is None:
                return
            comparison = await self._step(deed, before)
            about = {"control": self._name, "after": " > ".join(map(str, before))}
            self.findings.append(of_deed(0, deed, comparison, about))
            before.append(deed)
            if comparison.verdict not in ("equal", "both refuse"):
                return

    async def _show_there(self) -> None:
        await self._reference.show(self._documents, self._path)
        await self._reference.settle(WAIT_S)
        await seen(self._reference.page)

    async def _read(self) -> dict[int, Element]:
        by_ref, controls = await read(self._ours)
        for control in controls:
            finding = of_control(0, control, {"control": self._name})
            if finding.what not in self._known:
                self._known.add(finding.what)
                self.findings.append(finding)
        return by_ref

    def _draw(self, rng: random.Random, by_ref: dict[int, Element]) -> Deed | None:
        disabled = {node.ref for node in self._ours.observation.nodes if "disabled" in node.states}
        refs = [ref for ref in by_ref if ref not in disabled]
        rng.shuffle(refs)
        for ref in refs:
            if possible := equality.deeds(rng, ref, by_ref[ref], by_ref):
                return rng.choice(possible)
        return None

    async def _step(self, deed: Deed, before: Sequence[Deed]) -> Comparison:
        copy = await self._reference.element(deed.element.path)
        named = "e => globalThis.referee ? referee.name(e) : 'in a frame that records nothing'"
        tag = await copy.evaluate(named) if copy is not None else ""
        if tag != deed.element.name:
            return Comparison("no copy", f"{deed.element.name} is {tag or 'not there'} on the other copy")
        if copy is not None and await copy.evaluate(PLACES, ROWS) != _places(deed.element):
            return Comparison("no copy", f"{deed.element.name} is a part of another row on the other copy")
        (our_error, ours), (their_error, theirs) = await asyncio.gather(self._act(deed), self._act_there(deed))
        told = equality.compare(deed, our_error, ours, their_error, theirs)
        if told.verdict in ("differs", "wrong target") and aim.missed(deed, theirs):
            return await self._aimed(deed, before, ours, told)
        return told

    async def _aimed(self, deed: Deed, before: Sequence[Deed], ours: Seen, told: Comparison) -> Comparison:
        """As the referee's own: the walk again on a fresh copy of the reference, its last deed by the referee's aim."""
        await self._show_there()
        for earlier in before:
            await self._act_there(earlier)
        if not await aim.press(self._reference, deed):
            return told
        await self._reference.settle(WAIT_S)
        return aim.judged(deed, ours, await seen(self._reference.page), told)

    async def _act(self, deed: Deed) -> tuple[str, Seen]:
        return await self._ours.act(deed.action()), await self._ours.seen()

    async def _act_there(self, deed: Deed) -> tuple[str, Seen]:
        self._reference.page.set_default_timeout(TIMEOUTS_MS[1] / 3)
        error = await equality.theirs(self._reference, deed)
        await self._reference.settle(WAIT_S)
        return "too long" if error is None else error, await seen(self._reference.page)


def _places(element: Element) -> list[str | None]:
    """The numbers of the rows that an element is in (:data:`ROWS`)."""
    return [next((e.attributes[name] for e in (element, *element.around) if name in e.attributes), None) for name in ROWS]


async def judge(wanted: Sequence[str], seed: int, walks: int, steps: int, tell: Any) -> list[Finding]:
    """The findings on these pages."""
    referee = await Referee.open()
    findings: list[Finding] = []
    try:
        for name in wanted:
            tour = Walks(referee, name)
            for number in range(walks):
                await tour.walk(random.Random(f"{seed} {name} {number}"), steps)
            findings.extend(tour.findings)
            bad = [f for f in tour.findings if f.verdict not in ("ref", "equal", "part")]
            tell(f"{name}: {len(tour.findings)} findings, {len(bad)} of note")
    finally:
        await referee.close()
    return findings
