"""Layout of an installed WebGym: the command line and the packs, which lie beside `webgym/` here, lie inside of it there.

So nothing stands at the top level of a user's environment but `webgym` and `trainers`, and their own `tasks/` and `cli.py` stay theirs.
An editable installation finds these two packages through links in `.editable/`, because a path to this folder would show all that is in it.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = ("webgym", "trainers")


class Layout(BuildHookInterface):
    """Hatchling's hook for the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the command line into the package, or, for an editable installation, link the packages."""
        if version != "editable":
            build_data["force_include"]["cli.py"] = "webgym/cli.py"
            return
        folder = Path(self.root, ".editable")
        folder.mkdir(exist_ok=True)
        for name in PACKAGES:
            link = folder / name
            if not link.is_symlink():
                link.symlink_to(Path("..", name), target_is_directory=True)
