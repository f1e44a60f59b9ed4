"""The oracle of the workflows. It takes the agreed option where there is one, by its spelling, and the first one where there is none.

Where the place of a thing is a rule of the house, no page and no goal says it. An agent learns the rule over many episodes; the oracle
is given the rule.
"""

from collections.abc import Callable

from webgym.authoring.oracle import click, quoted, things
from webgym.types import Action, Node, Observation, Wait

Rule = Callable[[str, int], str]
"""The place of a thing, of this number of places."""


class Clerk:
    """Plays one episode. Its only memory is the `rule` that it was taught, which it has only where goals do not give the answers."""

    def __init__(self, rule: Rule | None = None) -> None:
        self._rule = rule

    def __call__(self, page: Observation) -> Action:
        options = [node for node in things(page, "button") if node.text != "Back"]
        if not options:
            return Wait()
        thing = page.title.partition(" | ")[0]
        wanted = [self._rule(thing, len(options))] if self._rule else quoted(page)
        return click(min(options, key=lambda node: self._distance(node, wanted)))

    @staticmethod
    def _distance(option: Node, wanted: list[str]) -> int:
        """Letters by which the option differs from the nearest agreed answer of its length; many where there is none."""
        same_length = [answer for answer in wanted if len(answer) == len(option.text)]
        return min((sum(a != b for a, b in zip(answer, option.text, strict=True)) for answer in same_length), default=99)
