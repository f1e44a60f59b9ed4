"""NeMo Gym (0.7): our tasks behind its Gymnasium servers, whose steps keep terminated and truncated apart.

    from webgym.serve.nemo_gym import server      # app.py of a resources server, with allowed_agents: [gymnasium_agent]
    server().run_webserver()

A row names `task` and `seed` beside its `responses_create_params`. NeMo Gym wants Python 3.13.14 or newer, so :class:`Episodic` holds all
that is ours, over plain text, and is tested without it; :func:`server` only puts it under NeMo Gym's class. A fault raises, which its
server answers with HTTP 5xx: a rollout without a reward.
"""

from typing import Any

from webgym.errors import Fault, UsageError
from webgym.serve.client import Here

END = None
"""The observation of an episode that is over: nothing more is said to the model."""


class Episodic:
    """Sessions by NeMo Gym's session id, on the browser of this process."""

    def __init__(self, backend: str = "browser", most: int = 400) -> None:
        self._backend, self._most = backend, most
        self._sessions: dict[str, Here] = {}

    async def reset(self, metadata: dict[str, Any], session_id: str) -> tuple[str, dict[str, Any]]:
        """The first observation of a row's episode, and its info. Raises UsageError, Fault."""
        if not metadata.get("task") or metadata.get("seed") is None:
            raise UsageError(
                f"expected 'task' and 'seed' in every row beside responses_create_params, got {', '.join(metadata) or 'neither'}"
            )
        session = self._sessions.setdefault(session_id, Here(self._backend))
        turned = await session.begin_async(metadata["task"], int(metadata["seed"]))
        return turned.observation.text(goal=True, most=self._most), _info(turned)

    async def step(self, text: str, session_id: str) -> tuple[str | None, float, bool, bool, dict[str, Any]]:
        """Observation, reward, terminated, truncated and info of a turn. Raises UsageError, and Fault, which ends the session."""
        session = self._sessions.get(session_id)
        if session is None:
            raise UsageError("there is no episode in this session: call reset first")
        try:
            turned = await session.act_async(text)
        except Fault:
            await self.close(session_id)
            raise
        seen = END if turned.done else turned.observation.text(most=self._most)
        return seen, float(turned.reward or 0.0), turned.terminated, turned.truncated, _info(turned)

    async def close(self, session_id: str) -> None:
        """End the session; an unknown one is ended already."""
        if session := self._sessions.pop(session_id, None):
            await session.close_async()


def _info(turned: Any) -> dict[str, Any]:
    seen = turned.observation
    hashes = {"observation_hash": seen.observation_hash, "state_hash": seen.state_hash}
    return {"task": seen.task, "seed": seen.seed, "outcome": turned.outcome, "message": turned.message, **hashes}


def server(backend: str = "browser", most: int = 400) -> type:
    """The resources server: NeMo Gym's `GymnasiumServer` over :class:`Episodic`. It wants NeMo Gym's checkout on the path."""
    from resources_servers.gymnasium import GymnasiumServer, extract_text  # pyright: ignore[reportMissingImports]

    episodic = Episodic(backend, most)

    class WebGymServer(GymnasiumServer):
        ray_enabled = False

        async def reset(self, metadata: dict[str, Any], session_id: str | None = None) -> tuple[str | None, dict[str, Any]]:
            return await episodic.reset(metadata, session_id or "")

        async def step(
            self, action: Any, metadata: dict[str, Any], session_id: str | None = None
        ) -> tuple[str | None, float, bool, bool, dict[str, Any]]:
            return await episodic.step(extract_text(action), session_id or "")

        async def close_session(self, session_id: str | None) -> None:
            await episodic.close(session_id or "")
            await super().close_session(session_id)

    return WebGymServer
