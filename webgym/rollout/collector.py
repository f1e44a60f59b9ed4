"""The collector: K browser sessions, one policy, no barrier between turns or episodes.

Each session pulls the next episode as soon as it is free. When the machinery fails (:class:`~webgym.errors.Fault`, or a call that
runs past its deadline), the episode begins again in a fresh session with the same task and seed, and the recorded actions are
performed again without asking the policy; each observation must then be the one that was recorded. A second failure at the same
action is `agent_caused`; too many failures at all are a `fault`. Both have the reward NaN: nothing may learn from them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from webgym.errors import UsageError
from webgym.policies.policy import Policy
from webgym.rollout.contract import Deadlines, Env, Listener, PictureTaker, PromptReader, Record, Retries
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
    on_picture: PictureTaker | None = None,
) -> list[Trajectory]:
    """The trajectories of all episodes, in the order of `keys`; `envs` are used at once and stay open.

    `keys` is drawn from lazily, one key whenever a session is free. A Fault never leaves; a UsageError (an unknown task) and any
    error that is no WebGymError do: then all sessions stop at once.
    """
    played: dict[int, Trajectory] = {}
    await play_all(
        envs,
        policy,
        keys,
        played.__setitem__,
        deadlines=deadlines,
        retries=retries,
        record=record,
        on_event=on_event,
        on_picture=on_picture,
    )
    return [played[index] for index in sorted(played)]


async def play_all(
    envs: Sequence[Env],
    policy: Policy,
    keys: Iterable[EpisodeKey],
    on_end: Callable[[int, Trajectory], None],
    *,
    deadlines: Deadlines,
    retries: Retries,
    record: Record,
    on_event: Listener | None,
    on_picture: PictureTaker | None,
) -> None:
    """Play like :func:`collect`, but give `on_end` each trajectory as it ends, with its key's place among `keys`."""
    if not envs:
        raise ValueError("collect needs at least one environment")
    must_read_prompts(policy, record)
    board = Board(on_event)
    queue = enumerate(keys)

    async def work(env: Env, session: int) -> None:
        for index, key in queue:
            on_end(index, await Episode(key, env, policy, board.of(session), deadlines, retries, record, on_picture).play())

    await _all([work(env, session) for session, env in enumerate(envs)])


def must_read_prompts(policy: Policy, record: Record) -> None:
    """Raises UsageError where the record wants final prompts and the policy has none to tell."""
    if record.final_prompts and not isinstance(policy, PromptReader):
        raise UsageError(
            f"the record asks for final_prompts, but {type(policy).__name__} has no method prompt_ids: take a language model's policy, "
            "or leave final_prompts off"
        )


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
