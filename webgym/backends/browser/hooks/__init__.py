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


def worker_hook(clock_s: float, seed: int) -> str:
    """The script that fixes what a worker takes for the time (`clock_s`, Unix seconds) and for chance, before its own script runs."""
    return f"{ROOT}({_settings(clock_s, seed, ('', ''))}, [{PARTS}]);\n"


def document_hooks(names: tuple[str, str]) -> str:
    """The script that brings all hooks into a document and leaves them to :func:`begun`. Every episode has the same, compiled once.

    `names` are two secret names of events by which the reader asks it which elements listen (listeners.js).
    """
    ask, answer = map(json.dumps, names)
    begin = f"(settings) => {{ delete globalThis[{ask}]; {ROOT}(settings, [{PARTS}]);\n{LISTENERS}({ask}, {answer}); }}"
    return f"Object.defineProperty(globalThis, {ask}, {{ configurable: true, value: {begin} }});"


def begun(clock_s: float, seed: int, names: tuple[str, str]) -> str:
    """The script that comes next, before any of the page's own: it runs the hooks for an episode, without a `clock_s` none."""
    ask = f"globalThis[{json.dumps(names[0])}]"
    return f"{ask}?.({_settings(clock_s, seed, names)});" if clock_s else f"delete {ask};"


def _settings(clock_s: float, seed: int, names: tuple[str, str]) -> str:
    return json.dumps({"clock": clock_s * 1000, "seed": seed & 0xFFFFFFFF, "ask": names[0], "answer": names[1]})
