"""The state of one episode at the site: its workflow and its progress."""

from dataclasses import dataclass
from typing import Any

from .workflow import Progress, Wizard, Workflow, draw


@dataclass
class Episode:
    """The site's state of one episode."""

    workflow: Workflow
    progress: Progress


def begin(seed: int, site_state: Any) -> Episode:
    """The state of an episode: `site_state` has the workflow's name, and the progress where it does not begin at the start."""
    return Episode(draw(Wizard.named(site_state["name"]), seed), Progress(**site_state.get("progress", {})))


def shown(state: Episode) -> Any:
    """The progress as plain data, for checks and hashes."""
    at = state.progress
    forgiven = {"mistakes": at.mistakes} if state.workflow.wizard.spared else {}
    return {"page": at.page, "wrong": at.wrong, "told": at.told, "status": at.status, **forgiven}
