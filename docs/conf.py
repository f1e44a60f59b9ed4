"""Sphinx: the pages of this folder and the reference of the API, which is read from the sources without importing them."""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))

import api_pages  # noqa: E402  # its folder is on the path now

project = "WebGym"
author = copyright = "The WebGym authors"
release = version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"WebGym {release}"
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
suppress_warnings = ["docutils", "misc.highlighting_failure", "ref.python"]

default_role = "code"

_OUTSIDE = re.compile(r"\[([^\]\n]+)\]\(\.\./(?!docs/)([^)#\s]+)(?:#[^)\s]*)?\)")


def _files_of_the_repository(app: Any, name: str, source: list[str]) -> None:
    """Name the repository's own files instead of linking to them, because the site does not hold them."""
    source[0] = _OUTSIDE.sub(lambda link: f"`{link[2]}`" if link[1] == link[2] else f"{link[1]} (`{link[2]}`)", source[0])


def setup(app: Any) -> None:
    """Write the pages of the API, and register the hook."""
    api_pages.write()
    app.connect("source-read", _files_of_the_repository)
