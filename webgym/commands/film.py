"""Film of an episode: one picture a turn, with the thing that is acted on marked and the action written below."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from webgym.errors import UsageError

PICTURES = (".webp", ".gif")  # animated pictures, which every browser plays
VIDEOS = (".webm", ".mp4")  # these need ffmpeg
TURN_S = 1.2
CAPTION = 26  # pixels
MARK = (224, 33, 138)


class Film:
    """Frames of one episode, written to `path` at the end. Raises UsageError for an ending that cannot be written here."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._frames: list[Any] = []
        kind = path.suffix.lower()
        if kind not in PICTURES + VIDEOS:
            raise UsageError(f"{path.name} is no film: expected a name that ends in {', '.join(PICTURES + VIDEOS)}")
        if kind in VIDEOS and shutil.which("ffmpeg") is None:
            raise UsageError(
                f"{kind} needs ffmpeg, which is not installed: install it, or give a name that ends in {' or '.join(PICTURES)}"
            )

    def add(self, pixels: np.ndarray, caption: str, box: tuple[float, float, float, float] | None) -> None:
        """A frame: the page [height, width, 3] uint8, `box` (x, y, width, height) marked, and words below it."""
        from PIL import Image, ImageDraw, ImageFont

        height, width = pixels.shape[:2]
        frame = Image.new("RGB", (width + width % 2, height + CAPTION + height % 2), (24, 26, 30))  # videos want even sides
        frame.paste(Image.fromarray(pixels), (0, 0))
        draw = ImageDraw.Draw(frame)
        if box is not None:
            x, y, w, h = box
            draw.rectangle((x - 3, y - 3, x + w + 3, y + h + 3), outline=MARK, width=2)
        draw.text((8, height + 6), caption, fill=(235, 235, 235), font=ImageFont.load_default(13))
        self._frames.append(frame)

    def write(self) -> None:
        """Write the file. Raises UsageError where it cannot be written."""
        try:
            if self.path.suffix.lower() in PICTURES:
                first, *rest = self._frames
                first.save(self.path, save_all=True, append_images=rest, duration=int(1000 * TURN_S), loop=0, quality=80)
            else:
                self._encode()
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error}") from None

    def _encode(self) -> None:
        with tempfile.TemporaryDirectory(prefix="webgym-") as folder:
            for number, frame in enumerate(self._frames):
                frame.save(Path(folder) / f"{number:05d}.png")
            command = ["ffmpeg", "-y", "-loglevel", "error", "-framerate", f"{1 / TURN_S:.4f}", "-i", f"{folder}/%05d.png"]
            done = subprocess.run([*command, "-r", "10", "-pix_fmt", "yuv420p", str(self.path)], capture_output=True, text=True)
        if done.returncode:
            raise OSError((done.stderr.strip().splitlines() or ["ffmpeg failed"])[-1])
