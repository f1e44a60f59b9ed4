"""The pages that people read, held against what happens: their Python blocks print what stands below them."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def printed(code: str, name: str) -> str:
    """What a block of Python prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, name, "exec"), {})
    return out.getvalue()


def session(page: str) -> tuple[Any, Any]:
    """The first Python block of a page that is followed by its output: what it prints, and what the page shows."""
    shown = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    assert shown, f"{page} has no Python block with its output"
    return printed(shown[1], page), shown[2]


def prose(page: str) -> list[str]:
    """The lines of a page outside of code blocks and tables."""
    lines, code = [], False
    for line in (ROOT / page).read_text("utf-8").splitlines():
        if line.startswith("```"):
            code = not code
        elif not code and not line.lstrip().startswith("|"):
            lines.append(line)
    return lines
