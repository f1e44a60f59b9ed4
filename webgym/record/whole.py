"""Small files that are replaced as a whole, so that nobody reads half of one."""

import os
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) in place of what `path` holds. Raises OSError."""
    fresh = path.with_name(f".{path.name}.tmp")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)
