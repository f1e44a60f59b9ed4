"""Typed client of OpenEnv's protocol for a WebGym server (`webgym serve --protocol openenv`); it wants the extra `openenv`.

>>> env = WebGymEnv("http://127.0.0.1:8000").sync()                             # doctest: +SKIP
>>> with env:                                                                   # doctest: +SKIP
...     result = env.reset(task="miniwob.click-button", seed=3)
...     result = env.step(WebGymAction(action="click('0')"))
"""

from collections.abc import Callable
from typing import Any

from openenv.core.client_types import StepResult  # pyright: ignore[reportMissingImports]
from openenv.core.env_client import EnvClient  # pyright: ignore[reportMissingImports]
from openenv.core.env_server.types import Action, Observation, State  # pyright: ignore[reportMissingImports]

from webgym.errors import BrowserFault, UsageError
from webgym.serve.client import Episodes
from webgym.serve.messages import Seen, Turned, agents_text


class WebGymAction(Action):
    """Action of one turn: text in the dialect that the episode was begun with, such as `click('3')`."""

    action: str


class WebGymObservation(Observation):
    """Observation of a turn, as :class:`webgym.serve.openenv.Shown` says it. `screenshot` is a PNG file in base64."""

    task: str
    seed: int
    goal: str
    url: str
    title: str
    page: str
    tabs: tuple[str, ...] = ()
    focus: int | None = None
    turn: int = 0
    turns_left: int = 0
    error: str = ""
    notices: tuple[str, ...] = ()
    dialog: str = ""
    observation_hash: str = ""
    state_hash: str = ""
    screenshot: str = ""
    terminated: bool = False
    truncated: bool = False
    outcome: str = ""
    raw_reward: float = 0.0
    message: str = ""


class WebGymState(State):
    """State of a session: the episode that runs."""

    task: str = ""
    seed: int | None = None


class WebGymEnv(EnvClient[WebGymAction, WebGymObservation, WebGymState]):
    """Client of one session. `reset(task=..., seed=...)` begins an episode of any task. A fault of the machinery raises RuntimeError."""

    def _step_payload(self, action: WebGymAction) -> dict[str, Any]:
        return {"action": agents_text(action.action)}

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[WebGymObservation]:
        reward, done = payload.get("reward"), payload.get("done", False)
        observation = WebGymObservation(**payload["observation"], reward=reward, done=done)
        return StepResult(observation=observation, reward=reward, done=done)

    def _parse_state(self, payload: dict[str, Any]) -> WebGymState:
        return WebGymState(**payload)


class OverOpenEnv(Episodes):
    """A session on an OpenEnv server of WebGym, by our face of episodes, as the adapters take it."""

    def __init__(self, url: str) -> None:
        self._client = WebGymEnv(url).sync()

    def begin(self, task: str, seed: int | None = None, **options: Any) -> Turned:
        return self._turned(lambda: self._client.reset(task=task, seed=seed, **options))

    def act(self, text: str) -> Turned:
        return self._turned(lambda: self._client.step(WebGymAction(action=text)))

    def close(self) -> None:
        self._client.close()

    def _turned(self, ask: Callable[[], StepResult[WebGymObservation]]) -> Turned:
        try:
            result = ask()
        except RuntimeError as error:
            raise (BrowserFault if "EXECUTION_ERROR" in str(error) else UsageError)(str(error)) from error
        except (OSError, TimeoutError) as error:
            raise BrowserFault(f"the server does not answer: {error!r}") from error
        ends = {"terminated", "truncated", "outcome", "raw_reward", "message"}
        seen = result.observation.model_dump(exclude={*ends, "reward", "done", "metadata"})
        return Turned(observation=Seen(**seen), reward=result.reward, **result.observation.model_dump(include=ends))
