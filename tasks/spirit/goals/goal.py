"""The forum's goals: reached when the database has changed as it was asked, and not otherwise."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from webgym.authoring.template import Goal, Instance
from webgym.sites.apps.changes import alike
from webgym.task import Evidence

from ..application.content import ME, TOPICS, Comment, Topic


def holds(instance: Instance, evidence: Evidence) -> bool:
    """True if the differences to the first state are those that the instance expects."""
    return alike(evidence.site_state["changes"], instance.expected)


def goal(name: str, draw: Callable[[random.Random], Instance]) -> Goal:
    """A goal that can be reached."""
    return Goal(name, draw, holds)


def due(values: Mapping[str, Any], **changes: Any) -> Instance:
    """An instance whose `changes`, by query, are expected."""
    return Instance(values, changes, path="/topic/private/")


def said(topic: str, text: str) -> dict[str, Any]:
    """A comment of the agent's, as a row that is added."""
    return {"topic": topic, "user": ME, "text": text, "removed": 0}


def someone(rng: random.Random) -> tuple[Topic, Comment]:
    """A comment that somebody else has written below a topic."""
    return rng.choice([(topic, comment) for topic in TOPICS for comment in topic.comments[1:] if comment.user != ME])
