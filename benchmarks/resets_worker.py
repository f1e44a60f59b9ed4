"""One side of `benchmarks.resets`: plays episodes of one tree of this project, as it is told over its standard streams.

A line of JSON comes in for each episode, `[task, seed, turns]`, and one goes out, `[reset_ms, steps_ms]`. It uses nothing that trees of
other commits do not have. With `fresh` as its argument, every episode gets a browser context of its own, opened while the last one is
played.
"""

import json
import sys
import time
from typing import Any

from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.packs import registry


async def episode(env: AsyncWebEnv, task_id: str, seed: int, turns: int) -> tuple[float, list[float]]:
    """Milliseconds of the reset, and of so many steps of the oracle."""
    task = registry.task(task_id)
    assert task.oracle is not None
    choose, steps = task.oracle(), []
    begun = time.perf_counter()
    page = await env.reset(task_id, seed)
    reset_ms = 1e3 * (time.perf_counter() - begun)
    for _ in range(turns):
        action = choose(page)
        begun = time.perf_counter()
        step = await env.step(action)
        steps.append(1e3 * (time.perf_counter() - begun))
        page = step.observation
        if step.kind:
            break
    return reset_ms, steps


def main(fresh: bool) -> None:
    """Answer line by line."""
    if fresh:
        from webgym.backends.browser import profile

        profile.EPISODES = 1
    env: Any = AsyncWebEnv()
    for line in sys.stdin:
        print(json.dumps(loop_thread().run(episode(env, *json.loads(line)))), flush=True)
    loop_thread().run(env.close())


if __name__ == "__main__":
    main("fresh" in sys.argv[1:])
