"""What a terminal shows while episodes run, over a collection of fake ones."""

import asyncio
import io

from rich.console import Console

from benchmarks.no_barrier import SleepingEnv, SleepingPolicy, draw
from webgym.rollout.collector import collect
from webgym.rollout.progress import shown
from webgym.types import EpisodeKey


def run(console):
    draws = draw(6, scale=1e-4)
    heard = []
    with shown(6, console) as listener:
        if listener is None:
            return heard

        def hear(event):
            listener(event)
            heard.append(event.counts)

        keys = [EpisodeKey("fake.task", episode) for episode in range(6)]
        asyncio.run(collect([SleepingEnv(draws), SleepingEnv(draws)], SleepingPolicy(draws), keys, on_event=hear))
        return heard


def test_a_terminal_shows_live_counts():
    console = Console(file=io.StringIO(), force_terminal=True, width=150)
    counts = run(console)
    assert counts[-1].done == 6 and max(each.running for each in counts) == 2
    text = console.file.getvalue()
    assert "6/6" in text and "0 running (0 wait for the policy, 0 for the browser), 6 won, 0 not" in text


def test_nothing_is_written_where_nobody_looks():
    console = Console(file=io.StringIO())
    assert run(console) == [] and console.file.getvalue() == ""
