"""Starter packs that `webgym tasks new` writes: small, complete, and made to be changed into one's own."""

import re
from pathlib import Path
from typing import Literal

from webgym.authoring.task_file import NAME
from webgym.errors import TaskFileError
from webgym.packs.registry import manifests

PLACEHOLDER = "PACK"
Kind = Literal["written", "python", "templated"]
"""A task file; a Python package; a Python package with goals, oracles and wordings apart, as in the packs of this project."""


def create(name: str, folder: Path, kind: Kind = "written") -> list[Path]:
    """Writes a pack of this name and kind into a new folder; the files written.

    Raises TaskFileError when the name is none or the folder is there already.
    """
    if not re.fullmatch(NAME, name):
        raise TaskFileError(f"{name!r} is no name for a pack: expected small letters, digits and dashes, such as 'my-shop'")
    if name in manifests():
        raise TaskFileError(f"there is a pack {name!r} already, whose site and ids it would have: give another name")
    if folder.exists():
        raise TaskFileError(f"{folder} exists already: give another name or folder, or remove it")
    if kind != "written" and folder.name != name:
        raise TaskFileError(f"expected the folder of a Python pack to be called {name!r} like the pack, got {str(folder)!r}")
    source = Path(__file__).with_name(kind)
    written = []
    for file in sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        target = folder / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.read_text("utf-8").replace(PLACEHOLDER, name), "utf-8")
        written.append(target)
    return written
