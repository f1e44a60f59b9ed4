"""Progress of a collection for people: a bar with live counts on a terminal, nothing elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from webgym.rollout.contract import Counts, Event, Listener


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


@contextmanager
def shown(total: int, console: Console, what: str = "episodes") -> Iterator[Listener | None]:
    """The listener of a collection of `total` episodes; None where the console is no terminal."""
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task(what, total=total, words="")

        def hear(event: Event) -> None:
            bars.update(bar, completed=event.counts.done, words=words(event.counts))

        yield hear
