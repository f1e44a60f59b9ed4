"""Play by a person: their clicks and typing in the browser's window become the actions that an agent would write. Where no window can be
shown, a page with the live screenshot stands in for it.

The person is a policy like any other, so the collector records the episode, and what it records is a demonstration for `webgym sft`.
"""

import asyncio
import json
import logging
import os
import platform
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from webgym import types as t
from webgym.actions import parse
from webgym.backends.browser.hands import Hands
from webgym.backends.browser.session import in_browser
from webgym.backends.browser.tab import Tab
from webgym.backends.browser.window import why_none
from webgym.errors import UsageError
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.prompts.prompt import demonstration, prompt_text
from webgym.prompts.settings import COMPACT, PromptSettings
from webgym.record import layout
from webgym.record.store import TrajectoryStore, png
from webgym.record.whole import read_as, replace_text
from webgym.rollout.arena import Arena
from webgym.rollout.contract import Deadlines
from webgym.types import Completion, EpisodeKey, Observation, Trajectory, Turn
from webgym.view.app import asset, guarded, new_token
from webgym.view.server import Server, open_browser

log = logging.getLogger(__name__)

ENDS = {
    "success": "Success",
    "failure": "Failed for good",
    "stopped": "Stopped, and it was not solved",
    "infeasible": "It could have been done",
    "truncated": "Out of turns",
}
PATIENCE_S = 24 * 3600.0  # a person may think


class Deed(BaseModel):
    """Deed of the person on observation number `page`, as the page reports it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    page: int
    verb: Literal[
        "click", "double_click", "fill", "type", "press", "select", "hover", "scroll", "drag", "point", "back", "reload", "wait",
        "message", "stop", "infeasible",
    ]  # fmt: skip
    ref: int = 0
    target: int = 0
    text: str = ""
    x: float = 0.0
    y: float = 0.0

    def action(self) -> t.Action:
        """The action that it is."""
        match self.verb:
            case "click" | "double_click":
                return t.Click(self.ref, count=2 if self.verb == "double_click" else 1)
            case "fill":
                return t.Fill(self.ref, self.text)
            case "select":
                return t.Select(self.ref, (self.text,))
            case "hover":
                return t.Hover(self.ref)
            case "drag":
                return t.Drag(self.ref, self.target)
            case "scroll":
                return t.Scroll(self.x, self.y)
            case "point":
                return t.MouseClick(round(self.x), round(self.y))
        plain: dict[str, Callable[[], t.Action]] = {
            "type": lambda: t.Type(self.text),
            "press": lambda: t.Press(self.text),
            "back": t.Back,
            "reload": t.Reload,
            "wait": t.Wait,
            "message": lambda: t.Message(self.text),
            "stop": lambda: t.Stop(self.text),
            "infeasible": lambda: t.Infeasible(self.text),
        }
        return plain[self.verb]()


class Person:
    """The policy that asks a person. `state` is what the page shows; `do` hands it a deed; both may be called from any thread.

    With `tab`, which gives the tab that is looked at, the person acts in its window too, and `go_on` is set where they ask for the
    next episode there.
    """

    def __init__(self, prompts: PromptSettings, tab: Callable[[], Tab] | None = None, go_on: threading.Event | None = None) -> None:
        self._tab, self._go_on = tab, go_on
        self.left = False
        self._hands = Hands(self._hear, self.leave) if tab else None
        self.dialect = prompts.dialect
        self._prompts = prompts
        self._page = 0
        self._observation: Observation | None = None
        self._history: Sequence[Turn] = ()
        self._picture = b""
        self._answer: Future[t.Action] = Future()
        self._over: dict[str, Any] | None = None
        self._saved = ""
        self._changed = threading.Condition()

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        """The person's action, as the model with these prompt settings should have written it."""
        picture = png(observation.screenshot) if observation.screenshot is not None else b""
        with self._changed:
            self._page += 1
            self._observation, self._history, self._picture, self._over = observation, history, picture, None
            self._answer = Future()
            self._changed.notify_all()
        await self._turn_in_window()
        try:
            action = await asyncio.wrap_future(self._answer)
        finally:
            if self._hands:
                await self._hands.rest()
        return Completion(demonstration(action, observation, self._prompts), prompt_text(observation, history, self._prompts))

    @property
    def windowed(self) -> bool:
        """True if the person acts in the browser's window."""
        return self._hands is not None

    def do(self, deed: Deed) -> str:
        """Begin the deed. Returns "", or the reason in words why it cannot be done."""
        with self._changed:
            if deed.page != self._page or self._answer.done() or self._observation is None or self._over is not None:
                return "the page has changed meanwhile: look again"
            action = deed.action()
            written = demonstration(action, self._observation, self._prompts)
            if parse(written, self.dialect, self._observation.goal) != action:
                return f"this cannot be written as an action of the {self.dialect} dialect: {written}"
            self._answer.set_result(action)
        return ""

    async def enter(self) -> None:
        """Take the window, which shows a page already."""
        if self._hands and self._tab:
            await self._hands.enter(self._tab())

    async def _turn_in_window(self, error: str = "") -> None:
        if self._hands is None or self._tab is None or self._answer.done():
            return
        state = self.state(-1)
        focus = self._observation.focus if self._observation else None
        await self._hands.begin(self._tab(), {**state, "focus": focus, "error": error or state.get("error", ""), "over": None})

    def _hear(self, told: str) -> None:
        """Take in a message of the window: a deed, or the wish to go on to the next episode."""
        if told == "next":
            if self._go_on:
                self._go_on.set()
            return
        try:
            wrong = self.do(Deed.model_validate_json(told))
        except ValidationError as error:
            wrong = f"this is no deed: {error.errors()[0]['msg']}"
        if wrong:
            loop_thread().start(self._turn_in_window(wrong))

    def leave(self) -> None:
        """Note that the person has closed the window. A request for their action then raises EOFError."""
        with self._changed:
            asked = self._observation is not None and not self._answer.done()
            if not asked and self._over is None:
                return  # the machinery closed it
            self.left = True
            if asked:
                self._answer.set_exception(EOFError("the window was closed"))
        if self._go_on:
            self._go_on.set()

    async def show_end(self) -> None:
        """Say in the window how the episode ended."""
        if self._hands is None or self._tab is None or self._over is None:
            return
        kind = self._over["kind"]
        words = ENDS.get(kind, "The machinery failed")
        kept = f"Saved as a demonstration in {self._saved}." if self._saved else "Not saved: only successes are demonstrations."
        over = {"success": kind == "success", "words": words, "more": f"{kept} {self._over['message']} Enter: the next episode".strip()}
        turn = {"page": self._page, "nodes": [], "focus": None, "goal": "", "turn": 0, "turns_left": 0, "error": ""}
        await self._hands.begin(self._tab(), {**turn, "over": over})

    def finish(self, trajectory: Trajectory, saved: str) -> None:
        """Say how the episode ended, and where it was saved."""
        with self._changed:
            self._page += 1
            self._over = {"kind": trajectory.outcome.kind, "reward": trajectory.outcome.reward if not trajectory.outcome.faulted else None}
            self._over["message"] = trajectory.outcome.message
            self._saved, self._history = saved, trajectory.turns
            self._changed.notify_all()

    def state(self, after: int, wait_s: float = 20.0) -> dict[str, Any]:
        """The state to show; waits until there is something newer than page `after`."""
        with self._changed:
            self._changed.wait_for(lambda: self._page > after, wait_s)
            seen = self._observation
            if seen is None:
                return {"page": 0}
            nodes = [
                {"ref": n.ref, "role": n.role, "text": n.text, "value": n.value, "states": n.states, "box": n.box, "depth": n.depth}
                for n in seen.nodes
                if n.ref is not None
            ]
            return {
                "page": self._page,
                "window": self.windowed,
                "goal": seen.goal,
                "url": seen.url,
                "title": seen.title,
                "turn": seen.turn,
                "turns_left": seen.turns_left,
                "error": seen.error,
                "notices": seen.notices,
                "nodes": nodes,
                "done": [turn.action or "no action" for turn in self._history],
                "over": self._over,
                "saved": self._saved if self._over else "",
            }

    @property
    def picture(self) -> bytes:
        """The screenshot of the page that is shown."""
        return self._picture


def play(
    task_id: str,
    *,
    seed: int = 0,
    out: Path = Path("demos/mine"),
    prompts: PromptSettings = COMPACT,
    port: int = 0,
    browse: bool = True,
    window: bool | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Let a person play episodes of a task, seed after seed, until Ctrl-C or until the window is closed; successes are added to `out`.

    They play in the browser's own window; without a display, or where `window` is False, in a page with the live screenshot. With the
    window, the page is still there, with the goal, everything that can be used and what was done. Raises UnknownTaskError, and
    UsageError where `out` holds demonstrations with other prompts, or where a `window` is wanted that cannot be.
    """
    task = registry.task(task_id)
    _check_prompts(out, prompts)
    reason = "" if window is False else why_none(os.environ, platform.system())
    if window and reason:
        raise UsageError(f"no window can be shown: {reason}; without --window you play in a page")
    windowed = window is not False and not reason
    go_on, token = threading.Event(), new_token()
    with Arena(1, screenshots=not windowed, headless=not windowed) as arena:
        person = Person(prompts, (lambda: in_browser(arena.envs[0].session).tab) if windowed else None, go_on)
        with Server(create_app(person, go_on, token), port) as server:
            address = f"http://127.0.0.1:{server.port}/{token}/"
            if reason:
                say(f"no window is shown, since {reason}: you play in a page")
            say(f"play {task.id} {'in its window; more at' if windowed else 'at'} {address}  (Ctrl-C ends it)")
            _play_on(arena, person, task.id, seed, out, prompts, go_on, address if browse else "", say)


def _play_on(
    arena: Arena,
    person: Person,
    task_id: str,
    seed: int,
    out: Path,
    prompts: PromptSettings,
    go_on: threading.Event,
    address: str,
    say: Callable[[str], None],
) -> None:
    if address:
        open_browser(address)
    try:
        if person.windowed:  # a page to come to, before the first one counts
            loop_thread().run(arena.envs[0].reset(task_id, seed))
            loop_thread().run(person.enter())
        while True:
            [trajectory] = arena.collect(person, [EpisodeKey(task_id, seed)], deadlines=Deadlines(policy_s=PATIENCE_S))
            saved = save(trajectory, out, prompts)
            person.finish(trajectory, saved)
            loop_thread().run(person.show_end())
            say(f"seed {seed}: {trajectory.outcome.kind} after {len(trajectory)} turns{f'; saved in {saved}' if saved else ''}")
            while not go_on.wait(0.5):
                pass
            if person.left:
                raise EOFError("the window was closed")
            go_on.clear()
            seed += 1
    except EOFError as error:
        say(str(error))
    except KeyboardInterrupt:
        say("")


def save(trajectory: Trajectory, out: Path, prompts: PromptSettings) -> str:
    """Add a success to the demonstrations in `out`; the file, or "" for an episode that did not succeed."""
    if not trajectory.outcome.success:
        return ""
    out.mkdir(parents=True, exist_ok=True)
    path = out / layout.DEMOS
    with TrajectoryStore(path) as store:
        store.append(trajectory)
    replace_text(out / layout.DEMO_PROMPTS, json.dumps(prompts.to_json(), indent=2) + "\n")
    return str(path)


def _check_prompts(out: Path, prompts: PromptSettings) -> None:
    path = out / layout.DEMO_PROMPTS
    if path.is_file() and read_as(path, PromptSettings.from_json, "prompt settings") != prompts:
        raise UsageError(f"{out} holds demonstrations with other prompt settings: give another --out, or the --style that they have")


def create_app(person: Person, go_on: threading.Event, token: str) -> Any:
    """The page's server: state, picture, and the person's deeds."""
    at = f"/{token}"

    def state(request: Request) -> Response:
        after = request.query_params.get("after", "0")
        return JSONResponse(person.state(int(after) if re.fullmatch(r"\d{1,9}", after, re.ASCII) else 0))

    async def act(request: Request) -> Response:
        try:
            deed = Deed.model_validate_json(await request.body())
        except ValidationError as error:
            return JSONResponse({"error": f"this is no deed: {error.errors()[0]['msg']}"}, 400)
        return JSONResponse({"error": person.do(deed)})

    def again(request: Request) -> Response:
        go_on.set()
        return JSONResponse({"error": ""})

    routes = [
        Route(f"{at}/", asset("play.html")),
        *(Route(f"{at}/{name}", asset(name)) for name in ("play.js", "play.css")),
        Route(f"{at}/state", state),
        Route(f"{at}/picture", lambda request: Response(person.picture, media_type="image/png")),
        Route(f"{at}/act", act, methods=["POST"]),
        Route(f"{at}/next", again, methods=["POST"]),
    ]
    return guarded(Starlette(routes=routes), methods=("GET", "HEAD", "POST"))
