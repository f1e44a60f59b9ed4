"""Goals about the plan: components, versions, milestones."""

import random

from webgym.authoring.template import Instance

from ..application.content import PEOPLE
from .goal import changed, due, goal, open_ticket

NEW_COMPONENTS = ("ferries", "lanterns", "parking", "radio", "divers")
NEW_VERSIONS = ("2.1", "2.2", "3.0", "3.1")
NEW_MILESTONES = ("Autumn races", "Dry dock", "Harbour day", "Ice watch")


def draw_component(rng: random.Random) -> Instance:
    component, person, ticket = rng.choice(NEW_COMPONENTS), rng.choice(PEOPLE), open_ticket(rng)
    values = {"component": component, "person": person, "summary": ticket.summary}
    # The owner of a new ticket follows its component, as in Trac itself.
    fields = changed(ticket, component=component, **({"owner": person} if ticket.status == "new" else {}))
    return due(values, components={"added": [{"name": component, "owner": person}]}, tickets={"changed": fields})


def draw_version(rng: random.Random) -> Instance:
    version, ticket = rng.choice(NEW_VERSIONS), open_ticket(rng)
    values = {"version": version, "summary": ticket.summary}
    return due(values, versions={"added": [{"name": version}]}, tickets={"changed": changed(ticket, version=version)})


def draw_milestone(rng: random.Random) -> Instance:
    milestone, ticket = rng.choice(NEW_MILESTONES), open_ticket(rng)
    values = {"milestone": milestone, "summary": ticket.summary}
    added = [{"name": milestone, "due": 0, "completed": 0, "description": ""}]
    return due(values, milestones={"added": added}, tickets={"changed": changed(ticket, milestone=milestone)})


GOALS = [
    goal("new-component", draw_component),
    goal("new-version", draw_version),
    goal("new-milestone", draw_milestone),
]
