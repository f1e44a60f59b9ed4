"""Render mode human: a person sees the browser's window, or, where none can be shown, a picture in a file."""

import logging
import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from webgym.backends.browser import executable
from webgym.errors import BrowserMissingError

log = logging.getLogger(__name__)


def why_none(environ: Mapping[str, str], system: str, folders: Sequence[str] = executable.SYSTEM_FOLDERS) -> str:
    """The reason why no browser window can be shown here; "" where one can."""
    if system == "Linux" and not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    try:
        executable.find("full", environ=environ, system_folders=folders)
    except BrowserMissingError as error:
        return str(error).rstrip(".")
    return ""


class Window:
    """The view of one environment. `visible` says whether the browser shows its own window; else `picture` is the file to look at."""

    def __init__(self, turns_per_s: float, environ: Mapping[str, str] = os.environ) -> None:
        reason = why_none(environ, platform.system())
        self.visible = not reason
        self.picture: Path | None = None
        self._turn_s = 1 / turns_per_s
        self._shown_s = 0.0
        if reason:
            self._folder = tempfile.TemporaryDirectory(prefix="webgym-")
            self.picture = Path(self._folder.name) / "page.png"
            log.warning("no browser window is shown, since %s: look at %s, the latest turn's page", reason, self.picture)

    def show(self, pixels: np.ndarray | None) -> None:
        """Write the picture, or, where the window shows the turn already, leave it there long enough to be seen."""
        if self.picture is None:
            time.sleep(max(0.0, self._shown_s + self._turn_s - time.monotonic()))
            self._shown_s = time.monotonic()
        elif pixels is not None:
            from PIL import Image

            fresh = self.picture.with_name("next.png")
            Image.fromarray(pixels).save(fresh)
            fresh.replace(self.picture)  # a viewer never sees half a picture

    def close(self) -> None:
        """Remove the picture."""
        if self.picture is not None:
            self._folder.cleanup()
