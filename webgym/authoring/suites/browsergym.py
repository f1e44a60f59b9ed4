"""BrowserGym's benchmarks: MiniWoB, WebArena, WorkArena and others, played by the user's own BrowserGym and judged by its own code.

A folder with a file `tasks.yaml`; `serve` is the command of the Python that has BrowserGym, `sites` are environment variables for it::

    suite: browsergym
    serve: [/home/me/browsergym/bin/python]
    only: ["miniwob-*", "webarena-3*"]
    sites: {MINIWOB_URL: "http://localhost:8080/miniwob/"}

The list of tasks is asked once and kept beside it in `tasks.txt`; remove that to ask again. The tasks' ids are BrowserGym's with a hyphen
for each dot, behind the pack's name. An episode succeeds where BrowserGym's reward comes to 1 at its end; `raw_reward` keeps it. The clock
is the real one there, so that the tasks are `deterministic: false`, and because MiniWoB's pages judge themselves, they are `trust: page`.
"""

import contextlib
import json
import os
import subprocess
from pathlib import Path

from webgym.authoring.suites.suite import Found, Settings, name_of
from webgym.backends.browsergym import SCHEME
from webgym.backends.browsergym.place import PROBE, WORKER, Place
from webgym.errors import TaskFileError
from webgym.sites.apps.secrets import public
from webgym.task import FAILURE, PENDING, SUCCESS, Evidence, Start, Task, Verdict

TITLE: str = "BrowserGym's benchmarks"
SERVE = ("python3",)
LIST = "tasks.txt"
LIST_S = 120.0


def programs(folder: Path, settings: Settings) -> list[str]:
    """Parts of the suite that run programs: BrowserGym."""
    return ["the Python of BrowserGym"]


def read(folder: Path, settings: Settings) -> Found:
    """The tasks of all benchmarks that are installed there. Raises TaskFileError."""
    found, pack = Found(), settings.pack or name_of(folder.name)
    command = tuple(settings.serve or SERVE)
    for name in _names(folder, command, settings):
        found.tasks.append(_task(f"{pack}.{name_of(name)}", Place(name, command, settings.sites), settings))
    return found


def _names(folder: Path, command: tuple[str, ...], settings: Settings) -> list[str]:
    kept = folder / LIST
    if kept.is_file():
        return kept.read_text("utf-8").split()
    try:
        asked, variables = json.dumps({"ask": "list"}) + "\n", {**public(os.environ), **settings.sites}
        done = subprocess.run([*command, str(WORKER)], input=asked, capture_output=True, text=True, timeout=LIST_S, env=variables)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TaskFileError(f"BrowserGym could not be asked for its tasks: {error}; say its Python with `serve: [PATH]`") from error
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        said = " ".join(done.stderr.split())[-500:]
        raise TaskFileError(f"BrowserGym's Python gave no list of tasks (exit status {done.returncode}): {said}") from error
    if "broken" in answer:
        raise TaskFileError(f"{command[0]} has no BrowserGym ({answer['broken']}): say the Python that has it with `serve: [PATH]`")
    names = [str(name) for name in answer["ids"]]
    if not names:
        raise TaskFileError(f"{command[0]} has BrowserGym and none of its benchmarks: install some there, such as browsergym-miniwob")
    with contextlib.suppress(OSError):  # else it is asked again the next time
        kept.write_text("\n".join(names) + "\n", "utf-8")
    return names


def _task(task_id: str, place: Place, settings: Settings) -> Task:
    return Task(
        id=task_id,
        start=lambda seed: Start(place.url),
        check=judged,
        max_turns=settings.max_turns,
        trust="page",
        probe=PROBE,
        deterministic=False,
        difficulty=3,
        description=f"BrowserGym's {place.name}",
        backend=SCHEME,
    )


def judged(evidence: Evidence) -> Verdict:
    """BrowserGym's own verdict on the episode: pending until it says that the episode is over."""
    found = evidence.page_state
    if not isinstance(found, dict) or not (found["done"] or found["cut"]):
        return PENDING
    reward = float(found["reward"])
    return SUCCESS if reward >= 1.0 and found["done"] else Verdict(FAILURE.kind, reward)
