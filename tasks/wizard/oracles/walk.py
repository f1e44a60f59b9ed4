"""The oracle of the workflows: it takes the agreed option where there is one, by its spelling, and the first one where there is none.

Where nothing was agreed, it knows the rule of the house, which an agent must find out.
"""

from webgym.authoring.oracle import click, quoted, things
from webgym.types import Action, Node, Observation, Wait

from ..words import THINGS
from ..workflow import place_of


class Clerk:
    """Plays one episode. It remembers nothing but what it has tried on the page it was led back to."""

    def __call__(self, page: Observation) -> Action:
        options = [node for node in things(page, "button") if node.text != "Back"]
        if not options:
            return Wait()
        thing = page.title.partition(" | ")[0]
        wanted = [place_of(thing, len(options))] if thing in THINGS else quoted(page)
        return click(min(options, key=lambda node: self._distance(node, wanted)))

    @staticmethod
    def _distance(option: Node, wanted: list[str]) -> int:
        """Letters by which the option differs from the nearest agreed answer of its length; many where there is none."""
        same_length = [answer for answer in wanted if len(answer) == len(option.text)]
        return min((sum(a != b for a, b in zip(answer, option.text, strict=True)) for answer in same_length), default=99)
