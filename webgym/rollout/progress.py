"""Progress of a collection for people: a bar with live counts on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from webgym.rollout.contract import Counts, Event, Listener

EVERY_S = 30.0
"""Seconds between two lines where there is no terminal."""


def words(counts: Counts) -> str:
    """The counts of a collection in one line.

    >>> words(Counts(thinking=3, acting=5, done=40, successes=31, faults=1, retries=2, turns=420))
    '8 running (3 wait for the policy, 5 for the browser), 31 won, 8 not, 1 failed, 2 tried again'
    >>> words(Counts(acting=1))
    '1 running (0 wait for the policy, 1 for the browser), 0 won, 0 not'
    """
    parts = [
        f"{counts.running} running ({counts.thinking} wait for the policy, {counts.acting} for the browser)",
        f"{counts.successes} won",
        f"{counts.done - counts.successes - counts.faults} not",
    ]
    parts += [f"{counts.faults} failed"] if counts.faults else []
    parts += [f"{counts.retries} tried again"] if counts.retries else []
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Seconds in words, as coarse as they are many.

    >>> duration(42.2), duration(150), duration(8000)
    ('42 s', '2 min', '2.2 h')
    """
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


@contextmanager
def shown(
    total: int, console: Console, what: str = "episodes", every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic
) -> Iterator[Listener]:
    """The listener of a collection of `total` episodes, which draws a bar, or writes a line every `every_s` where there is no terminal."""
    if not console.is_terminal:
        yield _lines(total, console, what, every_s, clock)
        return
    columns = (
        TextColumn(what),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[words]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as bars:
        bar = bars.add_task(what, total=total, words="")

        def hear(event: Event) -> None:
            bars.update(bar, completed=event.counts.done, words=words(event.counts))

        yield hear


def _lines(total: int, console: Console, what: str, every_s: float, clock: Callable[[], float]) -> Listener:
    """A listener that writes a line at the first event `every_s` after the last line."""
    begun = last = clock()

    def hear(event: Event) -> None:
        nonlocal last
        now, done = clock(), event.counts.done
        if now - last < every_s:
            return
        last = now
        left = f", about {duration((now - begun) * (total - done) / done)} left" if done else ""
        console.print(f"{what} {done}/{total}{left}: {words(event.counts)}", soft_wrap=True, highlight=False)

    return hear
