"""Suites in the form of WebArena-Infinity: a Python server for each application, whose page pushes its state to it.

An application is a folder with `server.py` (`--port`; `POST /api/reset`; `/api/state`) and lists of tasks `*tasks.json`, each with `id`,
`instruction`, `difficulty` and `verify`, a Python file with `verify(server_url) -> (bool, words)`. The folder of a suite has one
application, or several in it or in its folder `apps`. Because the page itself writes the state that is judged, these tasks are
`trust: page`.

Source: WebArena-Infinity's CLAUDE.md, section "Environment Protocol".
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from webgym.authoring import programs as loaded
from webgym.authoring.suites.suite import VERIFY_S, Found, Settings, folders_with, json_of, name_of
from webgym.errors import JudgeFault, TaskFileError
from webgym.sites.apps import Post, Server
from webgym.sites.apps.calls import in_thread
from webgym.task import FAILURE, PENDING, SUCCESS, Evidence, Start, Task, Verdict

TITLE: str = "WebArena-Infinity's form"
SERVE = ("python3", "server.py", "--port", "{port}")
DIFFICULTIES = {"easy": 2, "medium": 3, "hard": 4}
ANSWERS = ("*tasks.json", "*tasks", "sanity_check*", "results*", "*.md", "tasks.yaml")
"""Files of an application that its process must not have, because it serves all files of its folder to pages."""


class Row(BaseModel):
    """A task of a list; what else it says is not used."""

    id: str
    instruction: str
    verify: str
    difficulty: str = ""


def programs(folder: Path, settings: Settings) -> list[str]:
    """Parts of the suite that run programs: the servers, and the verifiers."""
    return [f"{app.name}/server.py and its verifiers" for app in applications(folder)]


def applications(folder: Path) -> list[Path]:
    """The folders of the applications."""
    return [app for app in folders_with(folder, "*", "apps/*") if (app / "server.py").is_file() and any(app.glob("*tasks.json"))]


def read(folder: Path, settings: Settings) -> Found:
    """The tasks of all applications. Raises TaskFileError."""
    found, apps = Found(), applications(folder)
    for app in apps:
        pack = settings.pack if settings.pack and len(apps) == 1 else name_of(app.name)
        site = Server(
            f"http://{pack}.localhost/",
            command=settings.serve or SERVE,
            folder=app,
            withheld=[path for pattern in ANSWERS for path in app.glob(pattern)],
            reset=[Post("/api/reset")],
            private=["/api/reset"],
            clock_s=settings.clock_s,
        )
        found.sites.append(site)
        for file in sorted(app.glob("*tasks.json")):
            prefix = file.stem.removesuffix("tasks").strip("-_")
            for row in _rows(file):
                if not (app / row.verify).is_file():
                    found.left_out[f"without its verifier ({app.name}/{file.name})"] += 1
                    continue
                name = "-".join(part for part in (prefix, name_of(row.id.removeprefix("task_"))) if part)
                found.tasks.append(_task(f"{pack}.{name}", app, row, site, settings))
    return found


def _rows(file: Path) -> list[Row]:
    entries = json_of(file)
    if isinstance(entries, dict):  # some lists stand under a key
        entries = entries.get("tasks", [])
    try:
        return [Row.model_validate(entry) for entry in entries]
    except (ValidationError, TypeError) as error:
        raise TaskFileError(f"{file}: expected a list of tasks with id, instruction and verify: {error}") from error


def _task(task_id: str, app: Path, row: Row, site: Server, settings: Settings) -> Task:
    return Task(
        id=task_id,
        start=lambda seed: Start(site.url, row.instruction),
        check=Verifier(app, row.verify).check,
        max_turns=settings.max_turns,
        ends="stop",
        trust="page",
        hosts=site.hosts,
        difficulty=DIFFICULTIES.get(row.difficulty, 3),
        description=row.instruction,
        **settings.time,
    )


@dataclass(frozen=True)
class Verifier:
    """A suite's own verdict: `verify(server_url)` of a file below the application's folder."""

    folder: Path
    path: str

    async def check(self, evidence: Evidence) -> Verdict:
        """The verdict at the end of an episode, from a thread. Raises JudgeFault."""
        if not evidence.ended:
            return PENDING
        return await in_thread(self._asked, evidence, timeout_s=VERIFY_S)

    def _asked(self, evidence: Evidence) -> Verdict:
        try:
            found: Any = loaded.function_in(self.folder, self.path, "verify")(evidence.instance.url)
        except TaskFileError as error:
            raise JudgeFault(f"{error}{_advice(error)}") from error
        except Exception as error:  # a program of the suite's author
            raise JudgeFault(f"{self.path} failed: {error!r}") from error
        if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], bool)):
            raise JudgeFault(f"{self.path}: expected verify(server_url) to return (True or False, words); got {found!r}")
        return SUCCESS if found[0] else Verdict(FAILURE.kind, message=str(found[1])[:500])


def _advice(error: TaskFileError) -> str:
    return "; install what the verifiers need: pip install 'webgym[webapps]'" if "requests" in str(error) else ""
