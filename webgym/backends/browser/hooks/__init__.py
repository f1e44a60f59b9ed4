"""Hooks: the scripts that run before a page's own, and before those of its workers, in their own world."""

import importlib.resources
import json

ORDER = ("inside", "clock", "chance", "motion", "drawing", "storage", "streams", "wire", "history", "outside")
"""Parts in the order in which they run: later ones build on what earlier ones put into the kit."""


def _read(name: str) -> str:
    """The expression of a part, without the comment before it."""
    text = importlib.resources.files(__name__).joinpath(f"{name}.js").read_text("utf-8")
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if not line.startswith("//"))
    return "\n".join(lines[first:])


ROOT, PARTS = _read("root"), ", ".join(f"\n{_read(name)}" for name in ORDER)
LISTENERS = importlib.resources.files("webgym.backends.browser").joinpath("listeners.js").read_text("utf-8")


def hook(clock_s: float, seed: int, names: tuple[str, str] = ("", "")) -> str:
    """The script that fixes what a document takes for the time (`clock_s`, Unix seconds) and for chance, before its scripts run.

    `names` are two secret names of events by which the reader asks it which elements listen (listeners.js). A worker needs none.
    """
    settings = {"clock": clock_s * 1000, "seed": seed & 0xFFFFFFFF, "ask": names[0], "answer": names[1]}
    heard = f"{LISTENERS}({', '.join(map(json.dumps, names))});\n" if names[0] else ""
    return f"{ROOT}({json.dumps(settings)}, [{PARTS}]);\n{heard}"
