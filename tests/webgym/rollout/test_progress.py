"""What a terminal shows while episodes run, over a collection of fake ones."""

import asyncio
import io
import itertools
import re

import pytest
from rich.console import Console

from benchmarks.no_barrier import SleepingEnv, SleepingPolicy, draw
from webgym.rollout.collector import collect
from webgym.rollout.progress import shown
from webgym.types import EpisodeKey


def run(console, **settings):
    draws = draw(6, scale=1e-4)
    heard = []
    with shown(6, console, **settings) as listener:

        def hear(event):
            listener(event)
            heard.append(event.counts)

        keys = [EpisodeKey("fake.task", episode) for episode in range(6)]
        asyncio.run(collect([SleepingEnv(draws), SleepingEnv(draws)], SleepingPolicy(draws), keys, on_event=hear))
        return heard


@pytest.mark.parametrize("width", [80, 150])
def test_a_terminal_shows_live_counts(width):
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    counts = run(console)
    assert counts[-1].done == 6 and max(each.running for each in counts) == 2
    text = console.file.getvalue()
    assert "6/6" in text and "0:00:00" in text
    assert ("0 running (0 wait for the policy, 0 for the browser), 6 won, 0 not" in text) == (width == 150)


def test_a_pipe_gets_a_line_now_and_then():
    console = Console(file=io.StringIO(), width=80)
    seconds = itertools.count(0.0, 20.0)
    counts = run(console, every_s=30.0, clock=lambda: next(seconds))
    lines = console.file.getvalue().splitlines()
    assert len(lines) == len(counts) // 2  # every other event is 40 s after the last line
    assert re.fullmatch(r"episodes \d/6(, about \d+ (s|min) left)?: \d running \(.*\), \d won, 0 not", lines[-1])


def test_a_short_collection_writes_nothing_to_a_pipe():
    console = Console(file=io.StringIO())
    run(console)
    assert console.file.getvalue() == ""
