"""The end of an episode as it should be, and how the site that is left is compared with it."""

from collections.abc import Mapping
from dataclasses import dataclass

from webgym.authoring.template import Instance
from webgym.task import Evidence


@dataclass(frozen=True)
class Due:
    """The end of an episode as it should be: who has borrowed what, and the answer where one is asked for."""

    loans: Mapping[str, str]
    answer: str = ""


def holds(instance: Instance, evidence: Evidence) -> bool:
    """True if the site was left as it is due, with nothing else changed, and the answer is right and stood on a page that was shown."""
    due: Due = instance.expected
    answered = not due.answer or evidence.answer.strip(" .").casefold() == due.answer.casefold()
    shown = not due.answer or evidence.showed(due.answer)
    return evidence.site_state["loans"] == due.loans and answered and shown
