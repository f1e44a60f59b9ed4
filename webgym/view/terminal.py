"""`webgym watch`: a training run in the terminal, from the files it writes: curve, figures, and one block per session."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from webgym.errors import UsageError
from webgym.record import live
from webgym.view.app import create_app, new_token
from webgym.view.runs import Library, Run
from webgym.view.server import Server

BARS = "▁▂▃▄▅▆▇█"
STYLES = {
    "browser": ("blue", "in the browser"),
    "policy": ("magenta", "waiting for the policy"),
    "retry": ("yellow", "again after a fault"),
    "done": ("green", "done"),
    "fault": ("red", "fault"),
    "idle": ("bright_black", "idle"),
}
FIGURES = (
    ("success", "rollout/success", "{:.3f}"),
    ("turns", "rollout/turns", "{:.1f}"),
    ("KL", "loss/kl_to_behaviour", "{:.4f}"),
    ("entropy", "loss/entropy", "{:.3f}"),
    ("critic EV", "critic/held_out_ev", "{:.2f}"),
    ("groups dropped", "rollout/groups_dropped", "{:.0f}"),
    ("faults", "rollout/faults", "{:.0f}"),
    ("iteration", "time/iteration_s", "{:.1f} s"),
)


def watch(
    path: Path, console: Console, *, page: bool = True, port: int = 0, once: bool = False, clock: Callable[[], float] = time.time
) -> None:
    """Show the run until it is over or Ctrl-C, or (`once`) as it is now; with `page`, in a browser page too. Raises UsageError."""
    library = Library.open(path)
    if not library.focus:
        raise UsageError(f"{path} holds several runs: give one of {', '.join(library.runs)}")
    run = library.run(library.focus)
    if once:
        console.print(picture(run, console.width, clock()))
        return
    token = new_token()
    with Server(create_app(library, token), port) as server:
        if page:
            console.print(f"in a page: http://127.0.0.1:{server.port}/{token}/#/run/{run.name}/live", soft_wrap=True, highlight=False)
        with Live(console=console, auto_refresh=False) as shown:

            def draw() -> bool:
                shown.update(picture(run, console.width, clock()), refresh=True)
                found = live.read(run.folder)
                return found is not None and found["phase"] == "over"

            server.wait(draw)


def picture(run: Run, width: int, now: float) -> RenderableType:
    """The run as it is: curve and figures of the last iteration, then the sessions."""
    overview = run.overview()
    found = live.read(run.folder)
    parts: list[RenderableType] = []
    if successes := overview["metrics"].get("rollout/success"):
        parts.append(Text.assemble(("success  ", "dim"), sparkline(successes, max(10, width - 20)), f"  {successes[-1] or 0:.3f}"))
        parts.append(_figures(overview["metrics"]))
    if found:
        parts += _sessions(found, width, now if found["lives"] else found["written"])
    else:
        parts.append(Text("nothing is known of its sessions yet", style="dim"))
    return Panel(Group(*parts), title=f"{run.name}: {_phase(overview, found)}", title_align="left")


def sparkline(values: list[float | None], width: int) -> str:
    """The last `width` values between 0 and 1 as bars.

    >>> sparkline([0.0, None, 1.0], 40)
    '▁ █'
    """
    return "".join(" " if v is None else BARS[min(7, int(max(0.0, v) * 8))] for v in values[-width:])


def _phase(overview: dict[str, Any], found: dict[str, Any] | None) -> str:
    done = (
        f"{overview['iterations'][-1]} of {overview['config'].get('iterations', '?')} iterations"
        if overview["iterations"]
        else "no iteration yet"
    )
    if found is None:
        return done
    if found["lives"]:
        return f"{found['phase']} (iteration {found['iteration']}), {done}"
    return f"over, {done}" if found["phase"] == "over" else f"silent for {found['age_s']:.0f} s, {done}"


def _figures(metrics: dict[str, list[float | None]]) -> RenderableType:
    cells = [(label, form.format(metrics[name][-1])) for label, name, form in FIGURES if name in metrics and metrics[name][-1] is not None]
    return Text.assemble(*[part for label, value in cells for part in ((f"{label} ", "dim"), f"{value}   ")])


def _sessions(found: dict[str, Any], width: int, now: float) -> list[RenderableType]:
    cells, counts = found["cells"], found["counts"]
    states = Counter(cell["state"] for cell in cells)
    legend = Text.assemble(
        *[part for state, (style, words) in STYLES.items() for part in (("■ ", style), (f"{states[state]} {words}   ", ""))]
    )
    wide = 2 if len(cells) <= 4 * (width - 4) else 1
    blocks = Text(no_wrap=False)
    for cell in cells:
        style, _ = STYLES.get(cell["state"], STYLES["idle"])
        blocks.append("■ " if wide == 2 else "■", style)
    total = Text(
        f"{counts['done']} episodes done, {counts['successes']} solved, {counts['turns']} turns, "
        f"{counts['retries']} retries, {counts['faults']} faults"
    )
    return [Text(""), legend, blocks, total, *_nodes(found.get("nodes", []), now), _longest(cells, now)]


def _nodes(nodes: list[dict[str, Any]], now: float) -> list[RenderableType]:
    """One line for each collector on another machine; none where there are none."""
    if not nodes:
        return []
    table = Table.grid(padding=(0, 2))
    for node in nodes:
        style = "green" if node["state"] == "well" else "yellow" if node["state"] == "new" else "red"
        table.add_row(
            node["address"],
            Text(f"{node['state']} for {max(0.0, now - node['since']):.0f} s", style=style),
            f"{node['playing']} under way, {node['episodes']} done, {node['episode_s']:.2f} s each",
            f"lost {node['losses']} times" if node["losses"] else "",
            node["reason"][:80],
        )
    return [table]


def _longest(cells: list[dict[str, Any]], now: float) -> RenderableType:
    """The sessions that wait longest, and what went wrong last."""
    busy = [(now - cell["since"], i, cell) for i, cell in enumerate(cells) if cell["state"] in ("browser", "policy", "retry")]
    table = Table.grid(padding=(0, 2))
    for age, session, cell in sorted(busy, key=lambda x: -x[0])[:5]:
        style, words = STYLES[cell["state"]]
        table.add_row(
            f"session {session}",
            Text(f"{words} for {age:.1f} s", style=style),
            cell["task_id"],
            f"turn {cell['turn'] + 1}",
            cell["message"][:60],
        )
    return table
