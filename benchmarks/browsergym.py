"""Our environment beside BrowserGym 0.14.3: what a step and a reset cost on the same tasks, seeds, actions and Chromium, in one run.

    make bench-browsergym [ARGS='--episodes 5']
    python -m benchmarks.browsergym --python VENV/bin/python [--episodes 5] [--minutes 60] [--tasks click-test-2,...] [--strict]

BrowserGym lives in a virtual environment of its own (it wants playwright 1.44) and is measured twice: at its defaults, and tuned, with
`slow_mo=0` and `pre_observation_delay=0`. The three take turns episode by episode, and who begins changes. Our oracles say what is
done, beforehand; the worker finds the same elements in its own page. A table goes to standard error and JSON to standard output;
`--strict` exits with 1 where a bar is missed.

What is measured is one call of `env.step` or `env.reset` of an environment from `gym.make` that is reset from episode to episode; the
first reset, which opens what stays open, is not counted. Ours gives the page as text. BrowserGym gives its trees; that they are not
flattened to text, and that it reads its pages from files (as it documents) while ours come over HTTP, is in its favour; that it also
takes a screenshot is not, but it cannot be told not to. Times of episodes in which it hangs or its clicks time out, or in which
ours does not end as rehearsed, are left out and counted as unsolved.
"""

import argparse
import json
import os
import select
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import gymnasium as gym
from rich.console import Console
from rich.table import Table

import webgym
from webgym import types as t
from webgym.actions import render
from webgym.backends.browser import executable
from webgym.backends.browser.session import in_browser
from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.prompts.page import page_text

TASKS = ("click-test-2", "click-checkboxes", "enter-text", "email-inbox", "login-user", "use-autocomplete")
WORKER = Path(__file__).with_name("browsergym_worker.py")
BARS = {"step_default": 40.0, "step_tuned": 15.0, "reset_default": 20.0}
HANG_S = 90.0  # no call of BrowserGym's takes longer, but one that never ends

# An element as the nearest ancestor with an id ("" for the document) and the way down from it.
PATH = """((el) => {
  const steps = [];
  for (; el.parentElement && !el.id; el = el.parentElement) steps.unshift([...el.parentElement.children].indexOf(el));
  return [el.id, steps];
})(webgym.element(%d))"""


@dataclass(frozen=True)
class Move:
    """An action: as our text, and as BrowserGym's with a `{}` for each bid and the elements' paths."""

    ours: str
    theirs: str
    paths: tuple[Any, ...]


@dataclass
class Times:
    """Seconds of one contestant on one task."""

    step: list[float] = field(default_factory=list)
    reset: list[float] = field(default_factory=list)
    unsolved: int = 0  # episodes, whose times are left out


def with_holes(action: t.Action) -> tuple[str, tuple[int, ...]]:
    """The action as text with `{}` in place of its refs, and the refs.

    >>> with_holes(t.Fill(3, "{x}"))
    ("fill('{}', '{{x}}')", (3,))
    >>> with_holes(t.Press("Enter"))
    ("keyboard_press('Enter')", ())
    """
    refs = tuple(getattr(action, name) for name in ("ref", "source", "target") if getattr(action, name, None) is not None)
    text = render(action, "call").replace("{", "{{").replace("}", "}}")
    for ref in refs:
        text = text.replace(f"'{ref}'", "'{}'", 1)
    return text, refs


async def rehearse(env: AsyncWebEnv, task: str, seed: int) -> tuple[str, list[Move]]:
    """The goal, and what our oracle does from reset to success."""
    oracle = registry.task(task).oracle
    assert oracle is not None
    choose, moves = oracle(), []
    observation = await env.reset(task, seed)
    goal = observation.goal
    while True:
        try:
            action = choose(observation)
        except Exception as error:  # an oracle is a program of a task's author
            page = page_text(observation.nodes)
            raise SystemExit(f"our own oracle failed on {task}, seed {seed} ({goal}): {error!r} on the page\n{page}") from error
        text, refs = with_holes(action)
        paths = [await in_browser(env.session).tab.ask(PATH % ref) for ref in refs]
        moves.append(Move(render(action, "call"), text, tuple(paths)))
        done = await env.step(action)
        if done.kind:
            if done.kind != "success":
                raise SystemExit(f"our own oracle failed on {task}, seed {seed}: {done.kind}")
            return goal, moves
        observation = done.observation


class Theirs:
    """BrowserGym in its own interpreter; a context manager."""

    def __init__(self, python: Path, browser: Path) -> None:
        home = python.parent.parent / "browsers"
        miniwob = find_spec("miniwob")  # finds it without importing it
        assert miniwob is not None and miniwob.submodule_search_locations
        pages = Path(miniwob.submodule_search_locations[0]) / "html/miniwob"
        environ = {**os.environ, "PLAYWRIGHT_BROWSERS_PATH": str(home), "MINIWOB_URL": f"{pages.as_uri()}/"}
        link_browser(python, browser, environ)
        # -I: the folder of the worker, which has a file named like its import, stays off the path
        self._command, self._environ = [str(python), "-I", str(WORKER)], environ
        self._process = self._start()
        self.version = ""

    def _start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._environ, start_new_session=True
        )

    def __enter__(self) -> "Theirs":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._kill()
        self._process.stdout.close()

    def _kill(self) -> None:
        """End the worker and all that it started."""
        assert self._process.stdin and self._process.stdout
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def play(self, mode: str, task: str, seed: int, goal: str, moves: Sequence[Move], times: Times) -> None:
        """One episode, timed; one that hangs, or that the same actions do not solve (its clicks time out after 0.5 s), is only counted.

        Raises SystemExit where its page shows another problem.
        """
        begun: Any = None
        try:
            begun = self._ask(call="reset", mode=mode, task=task, seed=seed)
            self.version = begun["version"]
            if plain(begun["goal"]) != plain(goal):
                raise SystemExit(f"{task}, seed {seed}: BrowserGym shows another problem: {begun['goal']!r}, not {goal!r}")
            done = [self._ask(call="step", text=move.theirs, paths=move.paths) for move in moves]
        except TimeoutError:
            self._kill()
            self._process = self._start()
            done = []
        if not done or not (done[-1]["done"] and done[-1]["reward"] > 0):
            times.unsolved += 1
            return
        times.reset.append(begun["seconds"])
        times.step += [each["seconds"] for each in done]

    def _ask(self, **asked: Any) -> dict[str, Any]:
        """The worker's answer. Raises TimeoutError where none comes within HANG_S."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], HANG_S)[0]:
            raise TimeoutError
        if not (line := self._process.stdout.readline()):
            raise SystemExit(f"BrowserGym's process ended on {asked}: its own words stand above")
        return json.loads(line)


def link_browser(python: Path, browser: Path, environ: dict[str, str]) -> None:
    """Let the path where that Playwright expects its Chromium lead to `browser`: BrowserGym's chat window takes no other."""
    code = "from playwright.sync_api import sync_playwright as s\nwith s() as p: print(p.chromium.executable_path)"
    asked = subprocess.run([str(python), "-I", "-c", code], env=environ, capture_output=True, text=True)
    if asked.returncode:
        raise SystemExit(f"{python} has no working Playwright, run `make bench-browsergym`: {asked.stderr.strip()[-300:]}")
    place = Path(asked.stdout.strip())
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(browser)


def prepared(python: Path) -> dict[str, str]:
    """Variables with which that Python's BrowserGym plays MiniWoB++ on the browser that is found here."""
    miniwob = find_spec("miniwob")
    assert miniwob is not None and miniwob.submodule_search_locations
    pages = Path(miniwob.submodule_search_locations[0]) / "html/miniwob"
    places = {"PLAYWRIGHT_BROWSERS_PATH": str(python.absolute().parent.parent / "browsers"), "MINIWOB_URL": f"{pages.as_uri()}/"}
    link_browser(python, executable.find("shell").path, places)
    return places


def plain(goal: str) -> str:
    return " ".join(goal.split())


def play_ours(env: gym.Env[Any, Any], seed: int, moves: Sequence[Move], times: Times) -> str:
    """One episode, timed; where the rehearsed actions do not solve it, it is only counted, and the words say what the last page said."""
    start = perf_counter()
    env.reset(seed=seed)
    reset_s, steps_s = perf_counter() - start, []
    reward, seen = 0.0, {}
    for move in moves:
        start = perf_counter()
        seen, reward, *_ = env.step(move.ours)
        steps_s.append(perf_counter() - start)
    if reward != 1.0:
        times.unsolved += 1
        return f"ours, seed {seed}: the rehearsed actions did not solve it this time; {seen['error'] or 'no error'} on\n{seen['page']}"
    times.reset.append(reset_s)
    times.step += steps_s
    return ""


def compare(python: Path, tasks: Sequence[str], episodes: int, minutes: float, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures per task, as plain data; of fewer episodes, or fewer tasks, where the minutes run out."""
    browser = executable.find("shell")
    times = {(task, name): Times() for task in tasks for name in ("ours", "default", "tuned")}
    rehearsal = AsyncWebEnv()
    with Theirs(python, browser.path) as theirs:
        envs = {task: gym.make(f"webgym/miniwob.{task}-v0", disable_env_checker=True) for task in tasks}
        for env in envs.values():  # its browser session opens at its first reset; later ones are what an episode costs
            env.reset(seed=0)
        end = perf_counter() + 60 * minutes
        for number in range(episodes):
            for task in tasks:
                if perf_counter() > end:
                    break
                seed = t.seed_from("browsergym", task, number) % 1_000_000
                goal, moves = loop_thread().run(rehearse(rehearsal, f"miniwob.{task}", seed))
                for turn in range(3):
                    name = ("ours", "default", "tuned")[(number + turn) % 3]
                    if name == "ours":
                        if words := play_ours(envs[task], seed, moves, times[task, name]):
                            say(f"{task}: {words}")
                    else:
                        theirs.play(name, task, seed, goal, moves, times[task, name])
                say(f"{task}: {number + 1} of {episodes} episodes")
        for env in envs.values():
            env.close()
        loop_thread().run(rehearsal.close())
        versions = {"webgym": webgym.__version__, "browsergym": "0.14.3", "chromium": [browser.version, theirs.version]}
    found = {task: {name: times[task, name] for name in ("ours", "default", "tuned")} for task in tasks}
    rows = {task: row(by_name) for task, by_name in found.items() if all(each.reset for each in by_name.values())}
    met = {bar: len(rows) == len(tasks) and all(r[bar] >= at for r in rows.values()) for bar, at in BARS.items()}
    met["ours_always_solved"] = all(times[task, "ours"].unsolved == 0 for task in tasks)
    return {"tasks": rows, "bars": BARS, "met": met, "missed": missed(rows, tasks), **versions}


def row(times: dict[str, Times]) -> dict[str, float]:
    """Medians in milliseconds, and how many times longer BrowserGym takes.

    >>> found = row({"ours": Times([0.01], [0.02]), "default": Times([0.5], [1.0]), "tuned": Times([0.2], [0.9])})
    >>> found["step_default"], found["step_tuned"], found["reset_default"], found["reset_tuned"]
    (50.0, 20.0, 50.0, 45.0)
    """
    found: dict[str, float] = {"steps": len(times["ours"].step), "resets": len(times["ours"].reset)}
    for name, given in times.items():
        found[f"{name}_unsolved"] = given.unsolved
        found[f"{name}_step_p50_ms"] = round(1e3 * statistics.median(given.step), 3)
        found[f"{name}_reset_p50_ms"] = round(1e3 * statistics.median(given.reset), 3)
    for kind in ("step", "reset"):
        for name in ("default", "tuned"):
            found[f"{kind}_{name}"] = round(found[f"{name}_{kind}_p50_ms"] / found[f"ours_{kind}_p50_ms"], 1)
    return found


def missed(rows: Mapping[str, Mapping[str, float]], tasks: Sequence[str]) -> list[str]:
    """Which ratio of which task is below its bar, a sentence each.

    >>> missed({"click-link": {"step_default": 41.0, "step_tuned": 14.5, "reset_default": 20.0}}, ["click-link", "click-tab"])
    ['click-link: step_tuned is 14.5, below its bar of 15', 'click-tab: nothing was measured']
    """
    words = []
    for task in tasks:
        if task not in rows:
            words.append(f"{task}: nothing was measured")
            continue
        words += [
            f"{task}: {name} is {rows[task][name]:.1f}, below its bar of {bar:g}" for name, bar in BARS.items() if rows[task][name] < bar
        ]
    return words


def tables(result: dict[str, Any]) -> list[Table]:
    """The figures as Rich tables, of steps and of resets; a ratio below its bar is red."""
    return [_table(result, "step", "steps"), _table(result, "reset", "resets")]


def _table(result: dict[str, Any], kind: str, count: str) -> Table:
    shown = Table(title=f"{kind}: medians in ms, and how many times longer BrowserGym takes", title_justify="left")
    for heading in ("task", count, "ours", "defaults", "×", "tuned", "×"):
        shown.add_column(heading, justify="left" if heading == "task" else "right")
    for task, r in result["tasks"].items():
        cells = [task, str(r[count]), f"{r[f'ours_{kind}_p50_ms']:.1f}"]
        for name in ("default", "tuned"):
            ratio, bar = r[f"{kind}_{name}"], BARS.get(f"{kind}_{name}", 0.0)
            cells += [f"{r[f'{name}_{kind}_p50_ms']:.0f}", f"[{'green' if ratio >= bar else 'red'}]{ratio:.1f}[/]"]
        shown.add_row(*cells)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, required=True, help="the interpreter of BrowserGym's virtual environment")
    parser.add_argument("--episodes", type=int, default=5, help="of each task")
    parser.add_argument("--minutes", type=float, default=60.0, help="no episode begins after them")
    parser.add_argument("--tasks", default=",".join(TASKS), help="MiniWoB++ names, separated by commas")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a bar is missed")
    given = parser.parse_args()
    console = Console(stderr=True)
    say = partial(console.print, style="dim")
    result = compare(given.python.absolute(), given.tasks.split(","), given.episodes, given.minutes, say)
    for shown in tables(result):
        console.print(shown)
    console.print("\n".join(result["missed"]) or "every ratio reaches its bar", soft_wrap=True, highlight=False)
    print(json.dumps(result, indent=2))
    if given.strict and not all(result["met"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
