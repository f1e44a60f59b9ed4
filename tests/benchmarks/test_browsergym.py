"""The comparison with BrowserGym: what is computed and what is sent; its run needs BrowserGym's own virtual environment."""

import doctest
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import browsergym
from benchmarks.browsergym import BARS, WORKER, Move, Theirs, Times, play_ours, rehearse, row, tables, with_holes
from webgym import types as t
from webgym.actions import parse
from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread


@pytest.mark.parametrize(
    "action",
    [
        t.Click(3),
        t.Fill(12, "a {b} '3' \\ \n"),
        t.Select(4, ("x", "y")),
        t.Press("Enter", 5),
        t.Press("Enter"),
        t.Drag(6, 16),
        t.Type("{}"),
    ],
)
def test_an_action_with_its_refs_put_back_is_the_action(action):
    text, refs = with_holes(action)
    assert parse(text.format(*refs), "call") == action


def test_ratios_are_of_medians():
    theirs = Times([0.4, 0.6, 9.0], [2.0])
    found = row({"ours": Times([0.01, 0.02, 5.0], [0.05, 0.05]), "default": theirs, "tuned": Times([0.3], [1.0])})
    assert (found["steps"], found["resets"]) == (3, 2)
    assert (found["step_default"], found["step_tuned"], found["reset_default"], found["reset_tuned"]) == (30.0, 15.0, 40.0, 20.0)


class FakeEnv:
    """Pays `reward` at its second step."""

    def __init__(self, reward):
        self.reward, self.asked = reward, []

    def reset(self, *, seed):
        self.asked = [seed]

    def step(self, text):
        self.asked.append(text)
        return {"error": "stale", "page": "the last page"}, self.reward if len(self.asked) == 3 else 0.0, False, False, {}


def test_an_episode_counts_only_where_it_is_solved():
    moves = [Move("click('1')", "", ()), Move("click('2')", "", ())]
    times, solved = Times(), FakeEnv(1.0)
    assert play_ours(solved, 9, moves, times) == "" and solved.asked == [9, "click('1')", "click('2')"]
    assert (len(times.reset), len(times.step), times.unsolved) == (1, 2, 0)
    words = play_ours(FakeEnv(0.0), 9, moves, times)
    assert "seed 9" in words and "stale on\nthe last page" in words
    assert (len(times.reset), len(times.step), times.unsolved) == (1, 2, 1)


def test_tables_show_every_ratio_and_which_bar_is_missed():
    good, bad = ({f"{kind}_{name}": ratio for kind in ("step", "reset") for name in ("default", "tuned")} for ratio in (77.0, 0.5))
    shared = {"steps": 1, "resets": 1} | {f"{n}_{k}_p50_ms": 1.0 for n in ("ours", "default", "tuned") for k in ("step", "reset")}
    shown = tables({"tasks": {"good": shared | good, "bad": shared | bad}})
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    for each in shown:
        console.print(each)
    text = console.file.getvalue()
    assert text.count("77.0") == 4 and text.count("\x1b[31m0.5") == len(BARS) and text.count("\x1b[32m77.0") == 4


def test_a_rehearsal_names_elements_from_their_nearest_id():
    env = AsyncWebEnv()

    async def rehearsed():
        try:
            return await rehearse(env, "miniwob.enter-text", 7)
        finally:
            await env.close()

    goal, (fill, click) = loop_thread().run(rehearsed())
    wanted = goal.split('"')[1]
    assert fill.theirs == f"fill('{{}}', '{wanted}')" and fill.paths == (["tt", []],)
    assert click.theirs == "click('{}')" and click.paths == (["subbtn", []],)


def test_the_worker_says_what_it_lacks_where_there_is_no_browsergym():
    """Isolated from this folder, whose own browsergym.py must not be taken for BrowserGym."""
    code = f"import sys, runpy; sys.modules['browsergym'] = None; runpy.run_path({str(WORKER)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-I", "-c", code], input=json.dumps({"call": "close"}), capture_output=True, text=True)
    assert done.returncode == 1 and "browsergym" in done.stderr and done.stdout == ""


def test_docstring_examples():
    results = doctest.testmod(browsergym)
    assert results.attempted and not results.failed


def test_a_worker_that_hangs_is_replaced_and_its_episode_counted(tmp_path, monkeypatch):
    silent = tmp_path / "silent.py"
    silent.write_text("import sys\nfor line in sys.stdin: pass\n")
    monkeypatch.setattr(browsergym, "link_browser", lambda *_: None)
    monkeypatch.setattr(browsergym, "WORKER", silent)
    monkeypatch.setattr(browsergym, "HANG_S", 0.01)
    times = Times()
    with Theirs(Path(sys.executable), tmp_path / "browser") as theirs:
        first = theirs._process
        theirs.play("default", "click-link", 1, "the goal", [Move("", "", ())], times)
        assert first.poll() is not None and theirs._process is not first and theirs._process.poll() is None
    assert (times.unsolved, times.reset, times.step) == (1, [], [])
