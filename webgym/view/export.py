"""A run as one HTML file: page, curves, chosen episodes and their screenshots, with nothing to load from anywhere."""

import base64
import gzip
import hashlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webgym.errors import UsageError
from webgym.record.episodes import Episode
from webgym.record.whole import replace_bytes
from webgym.view.app import STATIC, as_json
from webgym.view.runs import Library, Run

LIMIT = 20_000_000  # bytes of a report, which a mail or a chat still takes
OTHERS = 8  # runs whose curves come along


@dataclass(frozen=True, slots=True)
class Detail:
    """Limits on the detail of a report: characters of a text, WebP quality, widest picture."""

    text: int
    quality: int
    width: int


DETAILS = (Detail(20_000, 80, 1280), Detail(8_000, 60, 960), Detail(3_000, 45, 640), Detail(1_000, 30, 400))
"""Tried in this order until the report is small enough."""


def export(path: Path, file: Path, episodes: int = 100, say: Callable[[str], None] = print) -> None:
    """Write the report of the run at `path` with about so many episodes (whole groups). Raises UsageError."""
    library = Library.open(path)
    name = library.focus or next(iter(library.runs))
    run = library.run(name)
    run.refresh()
    chosen = choose(run, episodes)
    if not chosen and not run.overview()["iterations"]:
        damaged = "; ".join(run.overview()["problems"][:1])
        raise UsageError(f"{path} holds neither an episode nor an iteration to show{f' ({damaged})' if damaged else ''}")
    html = b""
    for detail in DETAILS:
        html = page(report(library, run, chosen, detail))
        if len(html) <= LIMIT:
            break
    try:
        replace_bytes(file, html)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from None
    say(f"{file}: {name} with {len(chosen)} of {len(run.episodes)} episodes, {len(html) / 1e6:.1f} MB")


def choose(run: Run, episodes: int) -> list[Episode]:
    """Whole groups: first those that a critic was probed on, then those with pictures, the newest first; in the run's order.

    Episodes whose lines are damaged are left out.
    """
    everything = list(run.episodes)
    probed = {row["id"] for row in run.probed()}
    groups: dict[tuple[Any, ...], list[Episode]] = {}
    for episode in everything:
        groups.setdefault((episode.name, episode.task_id, episode.seed, episode.group), []).append(episode)
    order = sorted(
        groups.values(),
        key=lambda group: (any(x.id in probed for x in group), any(x.pictures for x in group), group[0].iteration),
        reverse=True,
    )
    chosen: list[Episode] = []
    for group in order:
        if len(chosen) + len(group) <= episodes or not chosen:
            chosen += run.readable(group)
    kept = {x.id for x in chosen}
    return [x for x in everything if x.id in kept]


def report(library: Library, run: Run, chosen: list[Episode], detail: Detail) -> dict[str, Any]:
    """Data that the page would have asked the server for, by path, and the pictures as data URLs."""
    at = f"run/{run.name}"
    others = [x for x in list(library.runs.values())[: OTHERS + 1] if x is not run]
    rows = [x.to_json() for x in chosen]
    listed = run.episodes.query(limit=1)
    paths: dict[str, Any] = {
        "library": {"focus": run.name, "runs": [{**x.card(), "lives": False, "gone": False} for x in (run, *others)]},
        f"{at}/pulse": {**run.pulse(), "lives": False, "gone": False},
        f"{at}/tasks": run.tasks(),
        f"{at}/probed": [row for row in run.probed() if row["id"] in {x.id for x in chosen}],
        f"{at}/episodes": {**listed, **facets(rows), "total": len(rows), "matching": len(rows), "rows": rows},
        **{f"run/{x.name}/tasks": x.tasks() for x in others},
        **{f"run/{x.name}": {**x.overview(), "pulse": {"lives": False, "gone": False}} for x in (run, *others)},
    }
    shots: dict[str, str] = {}
    grouped: dict[tuple[Any, ...], str] = {}
    for place, episode in enumerate(chosen):
        whole = run.episode(episode.name, episode.number, text_limit=detail.text)
        whole["before"] = chosen[place - 1].id if place else ""
        whole["after"] = chosen[place + 1].id if place + 1 < len(chosen) else ""
        paths[f"{at}/episode/{episode.id}"] = whole
        key = (episode.name, episode.task_id, episode.seed, episode.group)
        group = f"{at}/group/{episode.id}"
        if key in grouped:
            paths[group] = {"same": grouped[key], "id": episode.id}
        else:
            grouped[key] = group
            paths[group] = run.group(episode.name, episode.number)
        for turn in whole["turns"]:
            if turn["screenshot"]:
                shots[f"{run.name}/{turn['screenshot']}"], turn["scale"] = picture(run, turn["screenshot"], detail)
    for path in grouped.values():
        for member in paths[path]["members"]:
            own = paths.get(f"{at}/episode/{member['id']}")
            for turn, full in zip(member["turns"], own["turns"] if own else [], strict=False):
                turn["scale"] = full.get("scale")
    return {"paths": paths, "shots": shots}


def facets(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Values by which the list of chosen episodes can be narrowed."""
    counts: dict[str, dict[str, int]] = {"task": {}, "kind": {}}
    for row in rows:
        for key, table in counts.items():
            table[row[key]] = table.get(row[key], 0) + 1
    return {"tasks": counts["task"], "kinds": counts["kind"], "iterations": sorted({row["iteration"] for row in rows})}


def picture(run: Run, name: str, detail: Detail) -> tuple[str, float]:
    """A screenshot as a WebP data URL, and how many pixels of the page one of its pixels is. ("", 1) for one that is damaged."""
    from PIL import Image

    path = run.episodes.picture(name)
    assert path is not None
    try:
        with warnings.catch_warnings(action="error"):  # a picture of too many pixels, of which Pillow warns
            image = Image.open(path).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "", 1.0
    scale = max(1.0, image.width / detail.width)
    if scale > 1:
        image = image.resize((round(image.width / scale), round(image.height / scale)))
    out = io.BytesIO()
    image.save(out, "WEBP", quality=detail.quality, method=4)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}", scale


def page(data: dict[str, Any]) -> bytes:
    """The file. With any data, its policy lets only this script and this style run, and loads nothing."""
    script, style = (STATIC.joinpath(name).read_text("utf-8") for name in ("app.js", "app.css"))
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    packed = gzip.compress(as_json(data), 6)
    html = STATIC.joinpath("index.html").read_text("utf-8")
    html = html.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n<meta http-equiv="content-security-policy" content="{policy}">')
    html = html.replace('<link rel="stylesheet" href="app.css">', f"<style>{style}</style>")
    before, after = html.split('<script src="app.js"></script>')
    data_block = f'<script type="application/gzip" id="report">{base64.b64encode(packed).decode()}</script>'
    return f"{before}{data_block}\n<script>{script}</script>{after}".encode()


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
