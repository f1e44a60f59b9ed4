"""Newcomers: the commands and programs of the site's pages, run as they stand there, each goal in an empty folder outside of the checkout.

    make newcomers [ARGS='--goals tutorial algorithm']
    python -m benchmarks.newcomers [--goals ...] [--python PYTHON] [--minutes 10] [--keep FOLDER]

A goal is what somebody new wants: to follow the tutorial, an application of their own, a task, an algorithm, a model, an agent written for
BrowserGym, the notebook, a client of the server. Commands are read from the pages. Beside them lie a `tasks/` and a `cli.py` of the user's
own, which must not be taken for ours. A command that ends with another status than 0 and a goal that takes longer than `--minutes` end
this with 1.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOREIGN = "raise SystemExit('the wrong file was imported')\n"
SERVERS = ("webgym view", "webgym serve", "webgym watch")

IN_A_KERNEL = """
import ast, asyncio, json, sys

async def cells():
    names = {"__name__": "__main__"}
    for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        body = ast.parse("".join(cell["source"]))
        last = body.body.pop() if isinstance(body.body[-1], ast.Expr) else None
        exec(compile(body, cell["id"], "exec"), names)
        if last is not None:
            shown = eval(compile(ast.Expression(last.value), cell["id"], "eval"), names)
            rich = getattr(shown, "_repr_html_", None)
            print(f"[{cell['id']}] {len(rich())} characters of HTML" if rich else f"[{cell['id']}] {shown!r}")

asyncio.run(cells())  # as in a kernel, an event loop runs
"""


class Failed(Exception):
    """A step did not do what its page says."""


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody with a folder, an environment and a shell."""

    folder: Path
    environment: Mapping[str, str]
    python: str

    def run(self, command: str, code: int = 0) -> None:
        """Run a command of a page in the folder, which must end with `code`. Raises Failed."""
        print(f"$ {command}", flush=True)
        if command.startswith(SERVERS):
            with self.served(command) as address, urllib.request.urlopen(address, timeout=60) as page:
                print(f"{page.status} {len(page.read())} bytes", flush=True)
            return
        done = subprocess.run(command, shell=True, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True)
        print("\n".join(done.stdout.splitlines()[-6:]), flush=True)
        if done.returncode != code:
            raise Failed(f"{command}: ended with {done.returncode}, expected {code}")

    def program(self, text: str, *arguments: str, name: str = "program.py") -> None:
        """Write a program and run it. Raises Failed."""
        (self.folder / name).write_text(text, "utf-8")
        self.run(shlex.join([self.python, name, *arguments]))

    @contextmanager
    def served(self, command: str) -> Iterator[str]:
        """The address that a server says first; then it is stopped as by Ctrl-C, and must end with 0 or 130. Raises Failed."""
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what runs in its background ignore it, and so would a server
        process = subprocess.Popen(
            shlex.split(command), cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not (found := re.search(r"http://\S+", line)):
                raise Failed(f"{command}: expected an address first, got {line!r}")
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(60)
        if code not in (0, 130):
            raise Failed(f"{command}: ended with {code} after Ctrl-C")


def blocks(page: str) -> list[tuple[str, str]]:
    """Kind and text of the code blocks of a page of docs/, in order."""
    return re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """The commands of a block; [] for one that shows output."""
    lines = [re.split(r"\s{2,}#", line)[0].strip() for line in text.splitlines()]
    return [line for line in lines if line.startswith("webgym ")]


def named(page: str) -> dict[str, str]:
    """The files that a page shows: Python and YAML blocks whose first line is `# NAME`."""
    shown = [text for kind, text in blocks(page) if kind in ("python", "yaml") and text.startswith("# ")]
    return {text.partition("\n")[0].removeprefix("# "): text for text in shown}


def tutorial(user: Newcomer) -> None:
    """The tutorial, from its second section on, and its program."""
    for kind, text in blocks("tutorial.md"):
        if kind == "python":
            user.program(text)
        for command in commands(text) if not kind else []:
            user.run(command)
    user.run("webgym eval --checkpoint runs/latest --tasks wizard.h3 --backend text --seeds 40 --fail-under 0.8")  # it has learned


def application(user: Newcomer) -> None:
    """An application of one's own, as the starter finds it, then with the page's task file."""
    files = named("your-app.md")
    mine = Newcomer(user.folder / "mine", user.environment, user.python)
    written = Newcomer(user.folder / "written", user.environment, user.python)
    for place in (mine, written):
        place.folder.mkdir()
        (place.folder / "app.py").write_text(files["app.py"], "utf-8")
    first, *_ = (text for kind, text in blocks("your-app.md") if not kind)
    for command in commands(first):  # the first page is a sign-in form: the question about it is not trusted
        mine.run(command, code=1 if "validate" in command else 0)
    (written.folder / "tasks.yaml").write_text(files["tasks.yaml"], "utf-8")
    written.run("webgym tasks validate . --trust . --seeds 2")
    written.run("webgym eval --policy oracle --tasks ./tasks.yaml --seeds 2 --fail-under 1")


def task(user: Newcomer) -> None:
    """A task of one's own, from the starter to an iteration of training."""
    first, *_ = (text for kind, text in blocks("writing-tasks.md") if not kind)
    for command in commands(first):
        user.run(command)
    user.run("webgym train --tasks ./cafe --set length.iterations=1 --set rollout.groups=4 --set evaluation.seeds=2")
    user.run("webgym eval --checkpoint runs/latest --tasks ./cafe --seeds 2")


def algorithm(user: Newcomer) -> None:
    """An algorithm of one's own."""
    (user.folder / "frugal.py").write_text(named("your-algorithm.md")["frugal.py"], "utf-8")
    first, *_ = (text for kind, text in blocks("your-algorithm.md") if not kind)
    for command in commands(first):
        user.run(command)
    user.run("webgym train --resume runs/latest --set length.iterations=4")


def model(user: Newcomer) -> None:
    """A model of one's own: a folder, imitation, reinforcement learning, evaluation."""
    user.program(named("your-model.md")["my_model.py"])
    first, *_ = (text for kind, text in blocks("your-model.md") if not kind)
    for command in commands(first):
        user.run(command)


def agent(user: Newcomer) -> None:
    """An agent written for BrowserGym."""
    (text,) = (text for kind, text in blocks("from-browsergym.md") if kind == "python")
    user.program(text)


def notebook(user: Newcomer) -> None:
    """The notebook from top to bottom, in a running event loop as a kernel has one."""
    shutil.copy(ROOT / "examples/first_steps.ipynb", user.folder)
    user.program(IN_A_KERNEL, "first_steps.ipynb")


def server(user: Newcomer) -> None:
    """A client of the server: the page's program, and an episode by HTTP alone."""
    (text,) = (text for kind, text in blocks("serving.md") if kind == "python")
    user.program(text)
    with user.served("webgym serve") as address:

        def ask(path: str, data: Mapping[str, object]) -> dict[str, object]:
            request = urllib.request.Request(f"{address}{path}", json.dumps(data).encode(), {"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)

        begun = ask("/sessions", {"task": "miniwob.click-test", "seed": 3})
        ended = ask(f"/sessions/{begun['session']}/step", {"action": "click('0')"})
        if ended["reward"] != 1.0 or not ended["terminated"]:
            raise Failed(f"the server said {ended}")


GOALS: Mapping[str, Callable[[Newcomer], None]] = {
    "tutorial": tutorial,
    "application": application,
    "task": task,
    "algorithm": algorithm,
    "model": model,
    "agent": agent,
    "notebook": notebook,
    "server": server,
}


def newcomer(folder: Path, python: str) -> Newcomer:
    """Somebody in this folder, with a `tasks/` and a `cli.py` of their own, and WebGym in the environment of `python`."""
    (folder / "tasks").mkdir(parents=True)
    (folder / "tasks/__init__.py").write_text(FOREIGN)
    (folder / "cli.py").write_text(FOREIGN)
    environment = {
        **os.environ,
        "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_CONFIG_HOME": str(folder / ".config"),
        "XDG_STATE_HOME": str(folder / ".state"),
    }
    return Newcomer(folder, environment, python)


def main() -> None:
    """Play the goals, print their times, and end with 1 where one was not reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--goals", nargs="+", choices=GOALS, default=list(GOALS))
    parser.add_argument("--python", default=sys.executable, help="Python of the environment that WebGym is installed in")
    parser.add_argument("--minutes", type=float, default=10.0, help="longest time of a goal")
    parser.add_argument("--keep", type=Path, help="folder for what is written; a temporary one unless given")
    arguments = parser.parse_args()
    said: list[str] = []
    reached = True
    with tempfile.TemporaryDirectory(prefix="webgym newcomer é ") as temporary:  # people's folders have spaces and accents
        for name in arguments.goals:
            print(f"\n=== {name}: {GOALS[name].__doc__}", flush=True)
            user, begun, why = newcomer((arguments.keep or Path(temporary)) / name, arguments.python), time.monotonic(), ""
            try:
                GOALS[name](user)
            except Failed as failure:
                why = f": {failure}"
            minutes = (time.monotonic() - begun) / 60
            well = not why and minutes <= arguments.minutes
            reached = reached and well
            said.append(f"{'reached' if well else 'MISSED '} {name:<12} {minutes:5.1f} minutes{why}")
    print("\n" + "\n".join(said))
    raise SystemExit(not reached)


if __name__ == "__main__":
    main()
