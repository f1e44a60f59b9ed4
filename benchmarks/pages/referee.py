"""The referee: shows generated pages to WebGym and to plain Playwright, and tells where they differ."""

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Error as PlaywrightError

from benchmarks.pages import aim, coverage, equality
from benchmarks.pages.equality import Deed
from benchmarks.pages.generator import Documents, Page, draw, kinds, render, smaller
from benchmarks.pages.ours import Ours
from benchmarks.pages.reference import TIMEOUTS_MS, Reference, seen
from benchmarks.pages.tree import Element
from webgym.commands.processes import tree_cpu_s
from webgym.errors import Fault

log = logging.getLogger(__name__)
DISABLED_SHARE = 0.1  # of the disabled things that are acted on like the others, because both sides only refuse


@dataclass(frozen=True)
class Finding:
    """One thing of one page: an unexplained control, or a deed with its verdict. `kinds` says what it is and what is around it."""

    seed: int
    sort: str  # control or deed
    verdict: str
    what: str
    detail: str
    kinds: Mapping[str, str]
    verb: str = ""
    ours: Sequence[str] = ()
    theirs: Sequence[str] = ()
    role: str = ""
    naming: str = ""


@dataclass
class Result:
    """All findings of a run, good ones too."""

    findings: list[Finding] = field(default_factory=list)
    pages: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: float | None = None  # of both browsers and their drivers; None where there is no /proc


class Referee:
    """One browser of each side. Use :meth:`open`, then :meth:`close`."""

    def __init__(self, reference: Reference, sample: int | None) -> None:
        self.ours, self.reference, self._sample = Ours(), reference, sample

    @classmethod
    async def open(cls, sample: int | None = 2) -> "Referee":
        return cls(await Reference.open(), sample)

    async def close(self) -> None:
        await self.ours.close()
        await self.reference.close()

    async def judge(self, page: Page) -> list[Finding]:
        """The findings on one page."""
        name = f"p{page.seed}"
        documents, path = render(page, name), f"/{name}"
        await self.ours.show(documents, path)
        by_ref, found = await read(self.ours)
        findings = [of_control(page.seed, control, kinds(page, key_of(control.element))) for control in found]
        for deed in self._deeds(random.Random(page.seed), by_ref):
            findings.append(await self._deed(page, documents, path, deed))
        return findings

    def _deeds(self, rng: random.Random, by_ref: Mapping[int, Element]) -> list[Deed]:
        if self._sample is None:
            every = [deed for ref, element in by_ref.items() for deed in equality.deeds(rng, ref, element, by_ref)]
            return list({(deed.verb, deed.ref): deed for deed in every}.values())
        disabled = {node.ref for node in self.ours.observation.nodes if "disabled" in node.states}
        refs = [ref for ref in by_ref if ref not in disabled or rng.random() < DISABLED_SHARE]
        possible = [equality.deeds(rng, ref, by_ref[ref], by_ref) for ref in rng.sample(refs, min(self._sample, len(refs)))]
        return [rng.choice(deeds) for deeds in possible if deeds]

    async def _deed(self, page: Page, documents: Documents, path: str, deed: Deed) -> Finding:
        sides = self._act(documents, path, deed), self._act_there(documents, path, deed)
        (our_error, ours), (their_error, theirs) = await asyncio.gather(*sides)
        told = equality.compare(deed, our_error, ours, their_error, theirs)
        doubtful = aim.astray if told.verdict == "equal" else aim.missed  # both may have missed alike
        if told.verdict in ("equal", "differs", "wrong target") and doubtful(deed, theirs):
            told = await self._aimed(documents, path, deed, ours, told)
        return of_deed(page.seed, deed, told, kinds(page, key_of(deed.element)))

    async def _aimed(self, documents: Documents, path: str, deed: Deed, ours: Any, told: equality.Comparison) -> equality.Comparison:
        """The comparison with the deed at a point that the referee has found, where Playwright has missed; `told` where there is none."""
        await self.reference.show(documents, path)
        if not await aim.press(self.reference, deed):
            return told
        await self.reference.settle()
        return aim.judged(deed, ours, await seen(self.reference.page), told)

    async def _act(self, documents: Documents, path: str, deed: Deed) -> tuple[str, Any]:
        if self.ours.touched:
            await self.ours.show(documents, path)
        await self.ours.seen()  # what loading made is not compared
        return await self.ours.act(deed.action()), await self.ours.seen()

    async def _act_there(self, documents: Documents, path: str, deed: Deed) -> tuple[str, Any]:
        error = None
        for timeout_ms in TIMEOUTS_MS:
            await self.reference.show(documents, path)
            self.reference.page.set_default_timeout(timeout_ms)
            error = await equality.theirs(self.reference, deed)
            if error is not None:
                break
        await self.reference.settle()
        return "too long" if error is None else error, await seen(self.reference.page)

    async def shrink(self, page: Page, finding: Finding, limit: int = 60) -> Page:
        """A smaller page with the same kind of finding."""
        tries = 0
        while tries < limit:
            for smaller_page in smaller(page):
                tries += 1
                if tries >= limit:
                    break
                if await self._still(smaller_page, finding):
                    page = smaller_page
                    break
            else:
                break
        return page

    async def _still(self, page: Page, finding: Finding) -> bool:
        """True if the page has the same kind of finding."""
        try:
            found = await self.judge(page) if finding.sort == "control" else await self._all_deeds(page, finding)
        except (Fault, PlaywrightError):
            return False
        wanted = (finding.sort, finding.verdict, finding.verb, finding.kinds.get("control"))
        return any((f.sort, f.verdict, f.verb, f.kinds.get("control")) == wanted for f in found)

    async def _all_deeds(self, page: Page, finding: Finding) -> list[Finding]:
        """The findings on all deeds of the finding's kind."""
        name = f"p{page.seed}"
        documents, path = render(page, name), f"/{name}"
        await self.ours.show(documents, path)
        by_ref, _ = await read(self.ours)
        alike = {r: e for r, e in by_ref.items() if kinds(page, key_of(e)).get("control") == finding.kinds.get("control")}
        possible = [equality.deeds(random.Random(page.seed), ref, element, by_ref) for ref, element in alike.items()]
        chosen = [next((deed for deed in deeds if deed.verb == finding.verb), None) for deeds in possible]
        return [await self._deed(page, documents, path, deed) for deed in chosen if deed is not None]


async def read(ours: Ours) -> tuple[dict[int, Element], list[coverage.Control]]:
    """The elements of the refs, and the controls, of the page that WebGym shows."""
    refs, (elements, nodes) = await asyncio.gather(ours.elements_of_refs(), ours.trees())
    controls = await coverage.controls(ours, refs, elements, nodes)
    return {ref: elements[element] for ref, element in refs.items() if element in elements}, controls


def of_control(seed: int, control: coverage.Control, about: Mapping[str, str]) -> Finding:
    """The finding on a control."""
    element, node = control.element, control.node
    naming = coverage.naming(control) if control.reason == "ref" else ""
    names = f"{control.text!r}, Chrome says {node.name!r}" if naming in ("empty", "other", "part") else ""
    what = f"{node.role} {node.name!r} {element.name}"
    return Finding(seed, "control", control.reason or "unexplained", what, control.why or names, about, role=node.role, naming=naming)


def of_deed(seed: int, deed: Deed, told: equality.Comparison, about: Mapping[str, str]) -> Finding:
    """The finding on a deed."""
    return Finding(seed, "deed", told.verdict, str(deed), told.detail, about, deed.verb, told.ours, told.theirs)


def key_of(element: Element) -> str:
    """The key of the element, or of the nearest thing around it that has one."""
    return next((e.key for e in (element, *element.around) if e.key), "")


async def judge_all(seeds: Sequence[int], sample: int, tell: Callable[[str], None], limit_s: float = float("inf")) -> Result:
    """The findings on the pages of all seeds, or of as many as `limit_s` allows."""
    referee = await Referee.open(sample)
    if seeds:
        await referee.judge(draw(seeds[0]))  # both browsers are there
    result, begun, spent = Result(), time.monotonic(), tree_cpu_s(os.getpid())
    try:
        for i, seed in enumerate(seeds):
            try:
                result.findings.extend(await referee.judge(draw(seed)))
            except (Fault, PlaywrightError) as error:
                result.faults.append(f"page {seed}: {str(error).splitlines()[0]}")
            result.pages += 1
            result.seconds = time.monotonic() - begun
            if result.seconds > limit_s:
                break
            if i % 20 == 19:
                tell(f"{i + 1} of {len(seeds)} pages, {result.pages / result.seconds:.1f} a second")
        result.cpu_s = tree_cpu_s(os.getpid()) - spent or None
    finally:
        await referee.close()
    return result
