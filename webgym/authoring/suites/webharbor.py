"""Suites in the form of WebHarbor: a Flask application with its SQLite file for each site, and tasks with a deterministic verifier.

A site is a folder with `app.py`, whose object `app` is a WSGI application, its database `instance/NAME.db` (the first one in
`instance_seed/NAME.db`, where there is one) and `tasks.jsonl`, each line with `id`, `ques` and `verifier_path`. The folder of a suite has
one site, or several in its folder `sites`. A verifier is a program: it is run with `--run_dir` (a folder with `trajectory.json`: the pages
that were opened, and the answer), `--initial_db`, `--after_db` and `--no_llm true`; status 0 is success, 1 is failure.

No screenshots are taken, so a verifier that wants them says no. Tasks with a rubric alone need a language model, and are left out.

Source: WebHarbor's CONTRIBUTING.md and the README of a site's `verify` folder.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from webgym.authoring.suites.suite import VERIFY_S, Found, Settings, folders_with, name_of
from webgym.errors import JudgeFault, TaskFileError
from webgym.sites.apps import PlainInstance, Server, Sqlite, sqlite
from webgym.sites.apps.calls import in_thread
from webgym.sites.apps.files import inside
from webgym.sites.apps.logs import without_escapes
from webgym.task import FAILURE, PENDING, SUCCESS, Evidence, Start, Task, Verdict

TITLE: str = "WebHarbor's form"
SERVE = ("python3", "-m", "flask", "--app", "app", "run", "--no-debugger", "--host", "127.0.0.1", "--port", "{port}")
ANSWERS = ("tasks.jsonl", "tasks.yaml", "verify", "*.md")
PASSED, FAILED = 0, 1


class Row(BaseModel):
    """A line of `tasks.jsonl`; what else it says is not used."""

    id: str
    ques: str
    web: str = ""
    verifier_path: str = ""


def programs(folder: Path, settings: Settings) -> list[str]:
    """Parts of the suite that run programs: the applications, and the verifiers."""
    return [f"{site.name}/app.py and its verifiers" for site in applications(folder)]


def applications(folder: Path) -> list[Path]:
    """The folders of the sites."""
    return [site for site in folders_with(folder, "sites/*") if (site / "app.py").is_file() and (site / "tasks.jsonl").is_file()]


def read(folder: Path, settings: Settings) -> Found:
    """The tasks of all sites that have a verifier. Raises TaskFileError."""
    found, apps = Found(), applications(folder)
    for app in apps:
        pack = settings.pack if settings.pack and len(apps) == 1 else name_of(app.name)
        databases = {path.name: path for path in sorted((app / "instance").glob("*.db")) + sorted((app / "instance_seed").glob("*.db"))}
        if len(databases) != 1:
            raise TaskFileError(f"{app}: expected one database in instance/ or instance_seed/, got {', '.join(databases) or 'none'}")
        ((name, seed),) = databases.items()
        live = f"instance/{name}"
        site = Server(
            f"http://{pack}.localhost/",
            command=settings.serve or SERVE,
            folder=app,
            withheld=[path for pattern in ANSWERS for path in app.glob(pattern)],
            reset=[Sqlite(live, seed)],
            same_for_all=["/static/*"],
            clock_s=settings.clock_s,
        )
        found.sites.append(site)
        for row in _rows(app / "tasks.jsonl"):
            verifier = _verifier(folder, app, row)
            if verifier is None:
                found.left_out["judged by a language model with a rubric" if not row.verifier_path else "without its verifier"] += 1
                continue
            task_id = f"{pack}.{name_of(row.id.rpartition('--')[2])}"
            found.tasks.append(_task(task_id, row, Verifier(verifier, seed, live, row.web), site, settings))
    return found


def _rows(file: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        try:
            rows += [Row.model_validate_json(line)] if line.strip() else []
        except ValidationError as error:
            raise TaskFileError(f"{file}:{number}: expected a task with id and ques: {error}") from error
    return rows


def _verifier(folder: Path, app: Path, row: Row) -> Path | None:
    """The verifier's file: below the suite's folder as its path says, or in the site's own."""
    for base, path in ((folder, row.verifier_path), (app, f"verify/{Path(row.verifier_path).name}")):
        try:
            if row.verifier_path and (found := inside(base, path)).is_file():
                return found
        except ValueError:
            continue
    return None


def _task(task_id: str, row: Row, verifier: "Verifier", site: Server, settings: Settings) -> Task:
    return Task(
        id=task_id,
        start=lambda seed: Start(site.url, row.ques),
        check=verifier.check,
        max_turns=settings.max_turns,
        ends="stop",
        hosts=site.hosts,
        difficulty=3,
        description=row.ques,
        **settings.time,
    )


@dataclass(frozen=True)
class Verifier:
    """A suite's own verdict, by a program. `web` is the address under which the suite knows the site."""

    file: Path
    seed: Path
    live: str
    web: str

    async def check(self, evidence: Evidence) -> Verdict:
        """The verdict at the end of an episode, from a thread. Raises JudgeFault."""
        if not evidence.ended:
            return PENDING
        return await in_thread(self._asked, evidence, timeout_s=VERIFY_S + 5)

    def _asked(self, evidence: Evidence) -> Verdict:
        instance: PlainInstance = evidence.instance.plain
        with tempfile.TemporaryDirectory(prefix="webgym-verify-") as name:
            run = Path(name)
            (run / "screenshots").mkdir()
            (run / "trajectory.json").write_text(json.dumps(self._trajectory(instance, evidence)), "utf-8")
            sqlite.copy_database(instance.path(self.live), run / "after.db")
            options = ["--run_dir", name, "--initial_db", str(self.seed), "--after_db", str(run / "after.db"), "--no_llm", "true"]
            try:
                done = subprocess.run(
                    [sys.executable, str(self.file), *options],
                    cwd=self.file.parent,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=VERIFY_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise JudgeFault(f"{self.file.name} did not end within {VERIFY_S:g} s") from error
        said = done.stdout.decode("utf-8", "replace").strip()
        if done.returncode not in (PASSED, FAILED) or not said:
            complaint = without_escapes(done.stderr.decode("utf-8", "replace")).strip()[-300:]
            raise JudgeFault(f"{self.file.name} gave no verdict: status {done.returncode}, {complaint or 'no words'}")
        return SUCCESS if done.returncode == PASSED else Verdict(FAILURE.kind, message=said[-300:])

    def _trajectory(self, instance: PlainInstance, evidence: Evidence) -> dict[str, Any]:
        """The pages that were opened and the answer, as WebHarbor's own agents record them."""
        pages = [self._known_as(request.url) for request in instance.requests if request.document]
        steps = [{"action": "open", "url": url} for url in pages] + [{"action": "done", "url": self._known_as(evidence.url)}]
        return {
            "start_url": self.web, "steps": steps, "final_answer": evidence.answer, "terminated": True, "termination_reason": "agent_done",
        }  # fmt: skip

    def _known_as(self, url: str) -> str:
        parts = urlsplit(url)
        return f"{self.web.rstrip('/')}{parts.path}" + (f"?{parts.query}" if parts.query else "")
