"""Suites in the form of WebArena and WebArena-Verified: tasks as JSON, on sites whose addresses environment variables say.

The addresses are in `SHOPPING`, `SHOPPING_ADMIN`, `REDDIT`, `GITLAB`, `WIKIPEDIA`, `MAP` and `HOMEPAGE` (or `WA_SHOPPING` ...), or under
`sites:` of the suite's file. Tasks are entries of any `*.json` below the folder with `task_id`, `sites`, `intent` and `eval`; start pages
are in `start_url` (WebArena) or `start_urls` (WebArena-Verified). A `storage_state` that lies in the folder begins the episode signed in.

Verdicts are those that need no language model (:mod:`webgym.authoring.suites.verdicts`). The servers are the user's, and nothing resets
them between episodes.

Sources: WebArena's config files and `evaluation_harness/evaluators.py`; WebArena-Verified's data set and its pages on evaluation.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from webgym.authoring.suites import verdicts
from webgym.authoring.suites.suite import Found, Settings, json_of
from webgym.errors import TaskFileError
from webgym.sites.apps import Server
from webgym.sites.apps.files import inside
from webgym.sites.apps.server import LOOPBACK
from webgym.task import Start, Task

TITLE: str = "WebArena's and WebArena-Verified's form"
SITES = ("shopping", "shopping_admin", "reddit", "gitlab", "wikipedia", "map", "homepage")
MORE_THAN_ONE = " |AND| "


class Entry(BaseModel):
    """A task of a suite; what else it says is not used."""

    task_id: int | str
    sites: list[str]
    intent: str
    eval: Any
    start_url: str = ""
    start_urls: list[str] = []
    require_login: bool = False
    storage_state: str | None = None

    @property
    def starts(self) -> list[str]:
        """The start pages."""
        return self.start_urls or self.start_url.split(MORE_THAN_ONE)


def programs(folder: Path, settings: Settings) -> list[str]:
    """Parts of the suite that run programs: nothing, but tasks act on servers elsewhere, and on those that the suite's own file names."""
    of_environment = set(_known(Settings()).values())
    wanted = [url for url in _known(settings).values() if url not in of_environment or urlsplit(url).hostname not in LOOPBACK]
    return [f"tasks that act on {url}" for url in wanted]


def read(folder: Path, settings: Settings) -> Found:
    """The tasks whose sites are known and whose verdict needs no language model. Raises TaskFileError."""
    found, known = Found(), _known(settings)
    pack, servers = settings.pack or "webarena", dict[str, Server]()
    for entry in _entries(folder):
        if reason := _cannot(entry, folder, known):
            found.left_out[reason] += 1
            continue
        judge = verdicts.judge_of(entry.eval, known)
        if isinstance(judge, str):
            found.left_out[judge] += 1
            continue
        for name in entry.sites:
            servers.setdefault(_origin(known[name]), _server(known[name]))
        hosts = tuple(dict.fromkeys(host for name in entry.sites for host in servers[_origin(known[name])].hosts))
        found.tasks.append(_task(f"{pack}.{entry.task_id}", entry, judge, hosts, folder, known, settings))
    found.sites.extend(servers.values())
    return found


def _known(settings: Settings) -> dict[str, str]:
    """The addresses of the sites, by the suite's names."""
    of_environment = {name: os.environ.get(name.upper()) or os.environ.get(f"WA_{name.upper()}") or "" for name in SITES}
    return {name: url.rstrip("/") for name, url in {**of_environment, **settings.sites}.items() if url.startswith(("http://", "https://"))}


def _entries(folder: Path) -> Iterator[Entry]:
    """The tasks of all JSON files below the folder, each once; a link out of it is no such file. Raises TaskFileError."""
    seen = set()
    for file in sorted(folder.rglob("*.json")):
        if _within(folder, str(file.relative_to(folder))) is None:
            continue
        data = json_of(file)
        for row in data if isinstance(data, list) else [data]:
            if not isinstance(row, dict) or not {"task_id", "sites", "intent", "eval"} <= row.keys():
                continue
            try:
                entry = Entry.model_validate(row)
            except ValidationError as error:
                raise TaskFileError(f"{file}: task {row['task_id']}: {error}") from error
            if entry.task_id not in seen:
                seen.add(entry.task_id)
                yield entry


def _cannot(entry: Entry, folder: Path, known: Mapping[str, str]) -> str:
    """The reason why a task cannot begin, "" where it can."""
    if unknown := [name for name in entry.sites if name not in known]:
        return f"on a site whose address is not known (set {', '.join(name.upper() for name in unknown)})"
    if len(entry.starts) > 1 and len(set(entry.starts)) > 1:
        return "with more than one start page"
    if entry.require_login and entry.storage_state and _within(folder, entry.storage_state) is None:
        return "signed in by a storage state that is not in the folder"
    return ""


def _within(folder: Path, path: str) -> Path | None:
    """The file at a path below the folder; None where there is none, and where a name or a link leads out of the folder."""
    try:
        found = inside(folder, path)
        return found if found.is_file() else None
    except (ValueError, OSError):  # OSError: a name that is too long
        return None


def _task(
    task_id: str, entry: Entry, judge: verdicts.Judge, hosts: tuple[str, ...], folder: Path, known: Mapping[str, str], settings: Settings
) -> Task:
    url = verdicts.with_addresses(entry.starts[0], known)
    held = _held(inside(folder, entry.storage_state), url) if entry.require_login and entry.storage_state else {}
    goal = entry.intent + (f"\n\n{judge.advice}" if judge.advice else "")
    return Task(
        id=task_id,
        start=lambda seed: Start(url, goal, **held),
        check=judge.check,
        probe=judge.probe,
        max_turns=settings.max_turns,
        ends="stop",
        trust=judge.trust,
        hosts=hosts,
        difficulty=3,
        deterministic=False,
        description=entry.intent,
        **settings.time,
    )


def _server(url: str) -> Server:
    origin = _origin(url)
    parts = urlsplit(origin)
    return Server(f"{origin}/", at=origin, instances="shared", host_header=parts.netloc, remote=parts.hostname not in LOOPBACK, ready="/")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _held(file: Path, url: str) -> dict[str, Any]:
    """The cookies and the local storage of Playwright's storage state for the site of an address."""
    state, parts = json_of(file), urlsplit(url)
    host = parts.hostname or ""
    cookies = {
        cookie["name"]: cookie["value"]
        for cookie in state.get("cookies", [])
        if host == (domain := cookie.get("domain", "").lstrip(".")) or host.endswith(f".{domain}")
    }
    storage = {
        item["name"]: item["value"]
        for origin in state.get("origins", [])
        if origin.get("origin") == f"{parts.scheme}://{parts.netloc}"
        for item in origin.get("localStorage", [])
    }
    return {"cookies": cookies, "storage": storage}
