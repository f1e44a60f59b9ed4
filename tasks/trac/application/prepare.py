"""Writes the tracker's environment into the current folder."""

import os
from datetime import UTC, datetime

import content
import time_machine
from trac.env import Environment
from trac.perm import PermissionSystem
from trac.ticket.model import Component, Milestone, Ticket, Version
from trac.wiki.model import WikiPage

OPTIONS = [
    ("project", "name", "Harbour"),
    ("project", "descr", "The harbour's tracker"),
    ("trac", "database", "sqlite:db/trac.db"),
    ("trac", "default_dateinfo_format", "absolute"),
    ("trac", "default_timezone", "UTC"),
    ("trac", "auto_preview_timeout", "0"),  # no requests while somebody types
    ("trac", "check_auth_ip", "disabled"),
    ("ticket", "default_component", ""),
    ("header_logo", "src", ""),
    ("logging", "log_type", "none"),
]
FIRST_S = content.CLOCK_S - 210 * content.DAY_S


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def main() -> None:
    with time_machine.travel(FIRST_S, tick=False):
        env = Environment(os.getcwd(), create=True, options=OPTIONS)
        for kind in (Component, Milestone, Version):
            for old in list(kind.select(env)):
                old.delete()
        for name, owner in content.COMPONENTS.items():
            component = Component(env)
            component.name, component.owner = name, owner
            component.insert()
        for name, days in content.MILESTONES.items():
            milestone = Milestone(env)
            milestone.name, milestone.due = name, moment(content.CLOCK_S + days * content.DAY_S)
            milestone.insert()
        for name in content.VERSIONS:
            version = Version(env)
            version.name = name
            version.insert()
        for page in content.PAGES:
            written = WikiPage(env, page.name)
            written.text = page.text
            written.save(page.author, "", moment(FIRST_S))
        for right in content.RIGHTS:
            PermissionSystem(env).grant_permission(content.ME, right)
        with env.db_transaction as db:
            db("insert into auth_cookie (cookie, name, ipnr, time) values (%s, %s, '127.0.0.1', %s)", (content.TOKEN, content.ME, FIRST_S))
    for entry in content.TICKETS:
        with time_machine.travel(entry.created_s, tick=False):
            ticket = Ticket(env)
            for name in (
                "summary", "type", "component", "priority", "milestone", "version", "owner", "reporter", "status", "resolution", "keywords",
                "description",
            ):  # fmt: skip
                ticket[name] = getattr(entry, name)
            assert ticket.insert(moment(entry.created_s)) == entry.id
    env.shutdown()
    with open("clock.txt", "w", encoding="ascii") as clock:
        clock.write(f"{content.CLOCK_S}\n")


main()
