"""The referee: shows generated pages to WebGym and to plain Playwright, and tells where they differ."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.pages import coverage, equality
from benchmarks.pages.equality import Comparison, Deed
from benchmarks.pages.generator import Page, draw, kinds, render, smaller
from benchmarks.pages.ours import Ours
from benchmarks.pages.reference import TIMEOUTS_MS, Reference, seen
from benchmarks.pages.tree import Element
from webgym.errors import Fault

log = logging.getLogger(__name__)
BAD = ("wrong target", "silent miss", "differs", "refused")


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
    key: str = ""
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
    unreadable: int = 0


class Referee:
    """One browser of each side. Use :meth:`open`, then :meth:`close`."""

    def __init__(self, reference: Reference, sample: int = 3) -> None:
        self.ours, self.reference, self._sample = Ours(), reference, sample

    @classmethod
    async def open(cls, sample: int = 3) -> "Referee":
        return cls(await Reference.open(), sample)

    async def close(self) -> None:
        await self.ours.close()
        await self.reference.close()

    async def judge(self, page: Page, only: tuple[str, str] | None = None) -> list[Finding]:
        """The findings on one page; `only` names the verb and key of the one deed to try."""
        name = f"p{page.seed}"
        documents, path = render(page, name), f"/{name}"
        await self.ours.show(documents, path)
        by_ref, elements, nodes = await self._read()
        found = await coverage.controls(self.ours, {ref: e.id for ref, e in by_ref.items()}, elements, nodes)
        findings = [self._control(page, control) for control in found]
        rng = random.Random(page.seed)
        for deed in self._deeds(rng, by_ref, only):
            findings.append(await self._deed(page, documents, path, deed))
        return findings

    async def _read(self) -> tuple[dict[int, Element], dict[int, Element], Any]:
        refs, (elements, nodes) = await asyncio.gather(self.ours.elements_of_refs(), self.ours.trees())
        return {ref: elements[element] for ref, element in refs.items() if element in elements}, elements, nodes

    def _deeds(self, rng: random.Random, by_ref: Mapping[int, Element], only: tuple[str, str] | None) -> list[Deed]:
        if only is not None:
            rng_free = [deed for ref, e in by_ref.items() for deed in equality.deeds(rng, ref, e, by_ref) if e.name == only[1]]
            return [deed for deed in rng_free if deed.verb == only[0]][:1] or rng_free[:1]
        disabled = {node.ref for node in self.ours.observation.nodes if "disabled" in node.states}
        refs = [ref for ref in by_ref if ref not in disabled or rng.random() < 0.1]
        drawn = rng.sample(refs, min(self._sample, len(refs)))
        chosen = []
        for ref in drawn:
            possible = equality.deeds(rng, ref, by_ref[ref], by_ref)
            if possible:
                chosen.append(rng.choice(possible))
        return chosen

    def _control(self, page: Page, control: coverage.Control) -> Finding:
        element, node = control.element, control.node
        key = _key(element)
        named = coverage.naming(control) if control.reason == "ref" else ""
        detail = control.why or (f"{control.text!r}, Chrome says {node.name!r}" if named in ("empty", "other", "part") else "")
        return Finding(page.seed, "control", control.reason or "unexplained", f"{node.role} {node.name!r} {element.name}", detail,
                       kinds(page, key), key=key, role=node.role, naming=named)  # fmt: skip

    async def _deed(self, page: Page, documents: Any, path: str, deed: Deed) -> Finding:
        (our_error, ours), (their_error, theirs) = await asyncio.gather(self._act(documents, path, deed), self._act_there(documents, path, deed))
        comparison: Comparison = equality.compare(deed, our_error, ours, their_error, theirs)
        key = _key(deed.element)
        return Finding(page.seed, "deed", comparison.verdict, str(deed), comparison.detail, kinds(page, key), deed.verb, deed.element.name,
                       comparison.ours, comparison.theirs)  # fmt: skip

    async def _act(self, documents: Any, path: str, deed: Deed) -> tuple[str, Any]:
        await self.ours.show(documents, path)
        await self.ours.seen()
        return await self.ours.act(deed.action()), await self.ours.seen()

    async def _act_there(self, documents: Any, path: str, deed: Deed) -> tuple[str, Any]:
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
        for found in await self.judge(page) if finding.sort == "control" else await self._all_deeds(page, finding):
            same = found.verdict == finding.verdict and found.sort == finding.sort and found.kinds.get("control") == finding.kinds.get("control")
            if same and (finding.sort == "control" or found.verb == finding.verb):
                return True
        return False

    async def _all_deeds(self, page: Page, finding: Finding) -> list[Finding]:
        name = f"p{page.seed}"
        documents, path = render(page, name), f"/{name}"
        await self.ours.show(documents, path)
        by_ref, _, _ = await self._read()
        findings = []
        for ref, element in by_ref.items():
            if kinds(page, _key(element)).get("control") != finding.kinds.get("control"):
                continue
            for deed in equality.deeds(random.Random(page.seed), ref, element, by_ref):
                if deed.verb == finding.verb:
                    findings.append(await self._deed(page, documents, path, deed))
                    break
        return findings


def _key(element: Element) -> str:
    """The key of the element, or of the nearest thing around it that has one."""
    return next((e.key for e in (element, *element.around) if e.key), "")


async def judge_all(seeds: Sequence[int], sample: int, tell: Callable[[str], None], limit_s: float = 1e9) -> Result:
    """The findings on the pages of all seeds."""
    referee = await Referee.open(sample)
    result, begun = Result(), time.monotonic()
    try:
        for i, seed in enumerate(seeds):
            try:
                result.findings.extend(await referee.judge(draw(seed)))
            except Fault as error:
                result.faults.append(f"page {seed}: {error}")
            result.pages += 1
            result.seconds = time.monotonic() - begun
            if i % 20 == 19:
                tell(f"{i + 1} of {len(seeds)} pages, {result.pages / result.seconds:.1f} a second")
            if result.seconds > limit_s:
                break
    finally:
        await referee.close()
    return result
