"""The books as a site: a Fava of its own for each session, on a copy of the ledger."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from webgym.sites import Copy
from webgym.sites.apps import PlainInstance, Wrong
from webgym.sites.apps.changes import between
from webgym.sites.apps.recipe import InstalledServer, Recipe

HOST, LEDGER = "fava.localhost", "ledger.beancount"
RECIPE = Recipe("fava", Path(__file__).with_name("application"))


def changes(instance: PlainInstance) -> dict[str, Any]:
    """All that differs from the first state, by kind, as Beancount reads the ledger. Raises Wrong."""
    printed = instance.command([str(RECIPE.python), "-m", "project.state"])
    try:
        after = json.loads(printed)
    except ValueError as error:
        raise Wrong(f"the state of the ledger is no data: {error}") from error
    before = _first(RECIPE.snapshot / "first.json")
    return {kind: found for kind in before if (found := between(before[kind], after[kind]))}


@cache
def _first(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


@cache
def site() -> InstalledServer:
    """The books."""
    return RECIPE.site(
        f"http://{HOST}/",
        ["{python}", "{wsgi}", "project.wsgi:application", "{port}"],
        ready="/bakery/income_statement/",
        reset=[Copy("project"), Copy(LEDGER), Copy("documents"), Copy("incoming"), Copy("clock.txt")],
        readers={"changes": changes},
        same_for_all=["/static/*"],
    )
