"""The tracker as a site: a Trac of its own for each session."""

import itertools
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path

from webgym.sites import Copy, Sqlite
from webgym.sites.apps import PlainInstance
from webgym.sites.apps.changes import Changes
from webgym.sites.apps.recipe import InstalledServer, Recipe

HOST, DATABASE = "trac.localhost", "db/trac.db"
RECIPE = Recipe("trac", Path(__file__).with_name("application"))
FIELDS = ("type", "summary", "component", "priority", "milestone", "version", "owner", "reporter", "status", "resolution", "keywords", "cc")
COLUMNS = ", ".join(f"coalesce({name}, '') as {name}" for name in FIELDS)
QUERIES = {
    "tickets": f"select id as key, {COLUMNS}, replace(description, char(13), '') as description from ticket",
    "comments": "select ticket || '/' || time as key, ticket, author, replace(newvalue, char(13), '') as text from ticket_change "
    "where field = 'comment' and newvalue != ''",
    "pages": "select name as key, name, replace(text, char(13), '') as text from wiki "
    "where version = (select max(version) from wiki as other where other.name = wiki.name)",
    "milestones": "select name as key, name, due / 1000000 as due, completed > 0 as completed, coalesce(description, '') as description "
    "from milestone",
    "components": "select name as key, name, owner from component",
    "versions": "select name as key, name from version",
    "lists": "select type || '/' || name as key, type, name, value from enum",
    "rights": "select username || '/' || action as key, username, action from permission",
}
_generations = itertools.count(1_000)


def forget_caches(instance: PlainInstance) -> None:
    """Let the process read again what it keeps of the database: the generation of each cache becomes one that it has never seen."""
    with closing(sqlite3.connect(instance.path(DATABASE), timeout=10)) as live, live:
        live.execute("update cache set generation = ?", (next(_generations),))


@cache
def site() -> InstalledServer:
    """The tracker."""
    return RECIPE.site(
        f"http://{HOST}/",
        ["{python}", "{wsgi}", "trac.web.main:dispatch_request", "{port}"],
        environment={"TRAC_ENV": "{folder}"},
        ready="/about",
        private=["/admin/general/*", "/admin/versioncontrol/*"],  # they write files and load programs; no goal needs them
        reset=[Sqlite(DATABASE), Copy("clock.txt"), Copy("conf"), Copy("files"), forget_caches],
        readers={"changes": Changes(DATABASE, RECIPE.snapshot / DATABASE, QUERIES)},
        same_for_all=["/chrome/*"],
    )
