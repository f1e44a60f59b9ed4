"""PACK: a to-do list. Try the tasks after each change: `webgym tasks validate FOLDER`."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from webgym.task import PENDING, SUCCESS, AsgiApp, Evidence, Site, Start, Task, Verdict
from webgym.types import Action, Click, Fill, Observation

HOST = "PACK.localhost"
THINGS = ("Buy milk", "Call the bank", "Water the plants", "Pay the rent", "Wash the car")
PAGE = Path(__file__).with_name("page.html").read_text("utf-8")


# --- the site: a small web application, whose state belongs to one episode ---


@dataclass
class Todos:
    """The state of one episode."""

    entries: list[str] = field(default_factory=list)


class TodoSite:
    """Implements webgym.task.Site."""

    host = HOST

    def __init__(self) -> None:
        self._app = Starlette(routes=[Route("/", show), Route("/add", add, methods=["POST"])])

    async def lease(self, seed: int, site_state: Any) -> Todos:
        """The state that an episode begins with; `site_state` is what the task's start gave."""
        return Todos(list(site_state))

    def snapshot(self, state: Todos) -> Any:
        """The state as the check sees it."""
        return {"entries": list(state.entries)}

    async def release(self, state: Todos) -> None:
        """Do nothing, because no resources are held."""

    @property
    def app(self) -> AsgiApp:
        return self._app


async def show(request: Request) -> Response:
    todos: Todos = request.scope["webgym.state"]
    return HTMLResponse(PAGE.replace("ENTRIES", "".join(f"<li>{escape(entry)}</li>" for entry in todos.entries)))


async def add(request: Request) -> Response:
    todos: Todos = request.scope["webgym.state"]
    sent = (await request.body()).decode()
    todos.entries.append(dict(parse_qsl(sent)).get("entry", ""))
    return RedirectResponse("/", status_code=303)


# --- the task: how an episode begins, when it is won, and a program that wins it ---


def start(seed: int) -> Start:
    """Begin an episode that the seed alone decides."""
    already, new = random.Random(seed).sample(THINGS, 2)
    return Start(f"http://{HOST}/", f'Put "{new}" on the list.', site_state=[already])


def check(evidence: Evidence) -> Verdict:
    """Success when the list holds what the seed asks for, once, after what was there."""
    wanted = start(evidence.seed)
    new = (wanted.goal or "").split('"')[1]
    return SUCCESS if evidence.site_state["entries"] == [*wanted.site_state, new] else PENDING


def oracle(page: Observation) -> Action:
    """Act on what an agent sees: the goal and the page."""
    entry = page.goal.split('"')[1]
    box = next(node for node in page.nodes if node.role == "textbox")
    button = next(node for node in page.nodes if node.role == "button" and node.text == "Add")
    assert box.ref is not None and button.ref is not None
    return Click(button.ref) if box.value == entry else Fill(box.ref, entry)


def tasks() -> Mapping[str, Task]:
    """The tasks by name, as pack.toml lists them."""
    return {
        "add": Task(
            id="PACK.add",
            start=start,
            check=check,
            oracle=lambda: oracle,
            hosts=(HOST,),
            max_turns=6,
            chance=0.55,  # the success that random actions may reach
            description="Put something on a to-do list.",
        )
    }


def sites() -> tuple[Site, ...]:
    """The sites that serve the tasks' hosts."""
    return (TodoSite(),)
