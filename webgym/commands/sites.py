"""Applications of packs: which there are, and their installation. `webgym sites list`, `webgym sites install`."""

from collections.abc import Callable, Sequence
from typing import Any

from webgym.packs import applications, registry


def listed() -> list[dict[str, Any]]:
    """All applications, as plain data."""
    found = []
    for name, recipe in applications.recipes().items():
        manifest = registry.manifests()[name]
        about = {key: manifest["pack"].get(key, "") for key in ("title", "source", "licence")}
        found.append({"name": name, **about, "tasks": len(manifest["tasks"]), "missing": recipe.missing, **recipe.figures})
    return found


def install(names: Sequence[str], say: Callable[[str], None]) -> None:
    """Install applications. Raises UsageError."""
    for recipe in [applications.recipe(name) for name in names]:
        if recipe.missing:
            recipe.install(say)
        figures = recipe.figures
        say(f"{recipe.name}: installed in {recipe.environment.parent} ({figures['bytes'] / 1e6:.0f} MB in {figures['install_s']:g} s)")
