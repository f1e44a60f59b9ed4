"""The collector: K browser sessions, one policy, no barrier between turns or episodes.

Each session pulls the next episode as soon as it is free. When the machinery fails (:class:`~webgym.errors.Fault`, or a call that
runs past its deadline), the episode begins again in a fresh session with the same task and seed, and the recorded actions are
performed again without asking the policy; each observation must then be the one that was recorded. A second failure at the same
action is `agent_caused`; too many failures at all are a `fault`. Both have the reward NaN: nothing may learn from them.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence

from webgym.policies.policy import Policy
from webgym.rollout.contract import Deadlines, Env, Listener, Record, Retries
from webgym.rollout.episode import Board, Episode
from webgym.types import (
    EpisodeKey,
    Trajectory,
)


async def collect(
    envs: Sequence[Env],
    policy: Policy,
    keys: Iterable[EpisodeKey],
    *,
    deadlines: Deadlines = Deadlines(),
    retries: Retries = Retries(),
    record: Record = Record(),
    on_event: Listener | None = None,
) -> list[Trajectory]:
    """The trajectories of all episodes, in the order of `keys`; `envs` are used at once and stay open.

    `keys` is drawn from lazily, one key whenever a session is free. A Fault never leaves; a UsageError (an unknown task) and any
    error that is no WebGymError do: then all sessions stop at once.
    """
    if not envs:
        raise ValueError("collect needs at least one environment")
    board = Board(on_event)
    found: dict[int, Trajectory] = {}
    queue = enumerate(keys)

    async def work(env: Env, session: int) -> None:
        for index, key in queue:
            found[index] = await Episode(key, env, policy, board.of(session), deadlines, retries, record).play()

    await _all([work(env, session) for session, env in enumerate(envs)])
    return [found[index] for index in sorted(found)]


async def _all(works: Sequence[Awaitable[None]]) -> None:
    """Wait for all; the first error stops the others and is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result
