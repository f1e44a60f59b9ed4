"""Packs whose site is an application that is installed apart (`application = true` in the table [pack] of `pack.toml`)."""

from webgym.errors import UsageError, did_you_mean
from webgym.packs import registry
from webgym.sites.apps.recipe import Recipe

FOLDER = "application"
"""Folder of a pack with the recipe of its application."""


def recipes() -> dict[str, Recipe]:
    """The recipes of all packs that have one, by the pack's name."""
    packs = (name for name, manifest in registry.manifests().items() if manifest.get("pack", {}).get("application"))
    return {name: Recipe(name, registry.folder_of(name) / FOLDER) for name in packs}


def recipe(name: str) -> Recipe:
    """The recipe of an application. Raises UsageError (did you mean)."""
    known = recipes()
    if name not in known:
        raise UsageError(f"there is no application {name!r}{did_you_mean(name, known)} (there: {', '.join(known) or 'none'})")
    return known[name]


def missing(task_id: str) -> str:
    """The reason in one sentence why a task cannot be played here, "" where it can: the application of its pack is not installed."""
    pack = task_id.partition(".")[0]
    if pack not in registry.manifests() or not registry.manifests()[pack].get("pack", {}).get("application"):
        return ""
    return recipe(pack).missing


def playable(task_ids: list[str]) -> tuple[list[str], list[str]]:
    """The tasks that can be played here, and a sentence for each application that the others lack. Raises UsageError where all do."""
    lacks = {task_id: words for task_id in task_ids if (words := missing(task_id))}
    found = [task_id for task_id in task_ids if task_id not in lacks]
    notes = list(dict.fromkeys(lacks.values()))
    if task_ids and not found:
        raise UsageError("; ".join(notes))
    return found, notes
