"""Recovery from a slip, for demonstrators with a memory: they restore the page on which they slipped, then do what they meant to do.

An oracle that remembers (:func:`webgym.authoring.oracle.remembering`) expects the page that follows its own action. After another action
that page does not come, so recovery must lead back, as people do: go back, put the fields right that were changed, and if what was
meant is still not to be seen, load the page again and repeat the clicks that had opened it. What a slip has done to the site itself (a
second product in the cart) is not taken back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from webgym.authoring.oracle import FIELDS
from webgym.types import Action, Back, Click, Drag, Fill, Goto, Node, Observation, Select

Name = tuple[str, str, int]  # role, text, and which one of those that share them


class Recovery:
    """Memory of an oracle's position in one episode. It is told of each turn that the oracle takes, and of each slip."""

    def __init__(self) -> None:
        self._clicks: list[tuple[Name, Action]] = []  # of the oracle, since its page was loaded
        self._address = ""
        self._slipped: tuple[Observation, Action] | None = None
        self._went_back = self._loaded = False
        self._again: list[tuple[Name, Action]] = []  # clicks to be repeated

    @property
    def needed(self) -> bool:
        """True while there is a way back to go."""
        return self._slipped is not None

    def took(self, page: Observation, action: Action) -> None:
        """Note that the oracle's action is done on this page."""
        if page.url != self._address:
            self._address, self._clicks = page.url, []
        if isinstance(action, Click):
            self._clicks.append((_name(page, action.ref), action))

    def slip(self, page: Observation, meant: Action) -> None:
        """Note that another action than `meant` is done on this page; during a way back, on any page."""
        self._slipped = self._slipped or (page, meant)
        self._went_back = self._loaded = False
        self._again = []

    def step(self, page: Observation) -> Action:
        """The next action of the way back, the last of which is the one that was meant. Raises LookupError where there is no way."""
        assert self._slipped is not None
        before, meant = self._slipped
        if page.url != before.url:
            return self._to(before.url, page.url)
        if self._again:
            return self._repeated(page)
        if action := _put_right(before, page):
            return action
        found = _pointed(before, meant, page)
        if found is not None:
            self._slipped = None
            return found
        if self._loaded:
            raise LookupError("the page on which it slipped does not come back")
        self._loaded, self._again = True, self._clicks_on(before)
        return Goto(before.url)

    def _to(self, address: str, now: str) -> Action:
        """A step towards the page of the slip: back once, then by its address."""
        if not self._went_back:
            self._went_back = True
            return Back()
        if self._loaded:
            raise LookupError(f"{address} leads to {now}")
        self._loaded = True
        return Goto(address)

    def _clicks_on(self, page: Observation) -> list[tuple[Name, Action]]:
        return list(self._clicks) if page.url == self._address else []

    def _repeated(self, page: Observation) -> Action:
        name, action = self._again.pop(0)
        ref = _refs(page).get(name)
        if ref is None:
            raise LookupError(f"{name[1]!r} is no more on the page")
        assert isinstance(action, Click)
        return replace(action, ref=ref)


def _named(page: Observation) -> Iterator[tuple[Name, Node]]:
    """The things that can be acted on, by names that outlive a snapshot's refs."""
    seen: dict[tuple[str, str], int] = {}
    for node in page.nodes:
        if node.ref is not None:
            place = seen[node.role, node.text] = seen.get((node.role, node.text), -1) + 1
            yield (node.role, node.text, place), node


def _refs(page: Observation) -> dict[Name, int]:
    return {name: node.ref for name, node in _named(page) if node.ref is not None}


def _name(page: Observation, ref: int) -> Name:
    return next(name for name, node in _named(page) if node.ref == ref)


def _put_right(before: Observation, now: Observation) -> Action | None:
    """An action that gives the first changed field its value again; None when all are as they were."""
    present = dict(_named(now))
    for name, was in _named(before):
        node = present.get(name)
        if node is None or node.ref is None or "disabled" in node.states:
            continue
        if was.value != node.value:
            if node.role in FIELDS and "readonly" not in node.states:
                return Fill(node.ref, was.value or "")
            if node.role == "combobox":
                return Select(node.ref, (was.value,)) if was.value else None
        ticked = "checked" in was.states, "checked" in node.states
        if (node.role == "checkbox" and ticked[0] != ticked[1]) or (node.role == "radio" and ticked == (True, False)):
            return Click(node.ref)
    return None


def _pointed(before: Observation, meant: Action, now: Observation) -> Action | None:
    """The action that was meant before, with the refs of the page as it is now; None where its target is not there."""
    refs = _refs(now)
    changed = {}
    for field in _targets(meant):
        old = getattr(meant, field)
        ref = refs.get(_name(before, old)) if old is not None else None
        if old is not None and ref is None:
            return None
        changed[field] = ref
    return replace(meant, **changed)


def _targets(action: Action) -> Sequence[str]:
    """The fields of an action that hold refs."""
    return ("source", "target") if isinstance(action, Drag) else ("ref",) if hasattr(action, "ref") else ()
