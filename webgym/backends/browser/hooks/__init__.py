"""Hooks: the scripts that run before a page's own, and before those of its workers, in their own world."""

import json

from webgym.backends.browser.scripts import script

ORDER = (
    "inside", "noise", "clock", "timings", "machine", "chance", "motion", "files", "drawing", "storage", "streams", "wire", "history",
    "outside",
)  # fmt: skip
"""Parts in the order in which they run: later ones build on what earlier ones put into the kit."""

ROOT, PARTS = script("hooks/root.js"), ", ".join("\n" + script(f"hooks/{name}.js") for name in ORDER)
LISTENERS = script("listeners.js")


def hook(clock_s: float, seed: int, names: tuple[str, str] = ("", "")) -> str:
    """The script that fixes what a document takes for the time (`clock_s`, Unix seconds) and for chance, before its scripts run.

    `names` are two secret names of events by which the reader asks it which elements listen (listeners.js). A worker needs none.
    """
    settings = {"clock": clock_s * 1000, "seed": seed & 0xFFFFFFFF, "ask": names[0], "answer": names[1]}
    heard = f"{LISTENERS}({', '.join(map(json.dumps, names))});\n" if names[0] else ""
    return f"{ROOT}({json.dumps(settings)}, [{PARTS}]);\n{heard}"
