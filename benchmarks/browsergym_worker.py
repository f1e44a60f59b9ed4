"""BrowserGym's half of `benchmarks/browsergym.py`: runs in BrowserGym's own virtual environment and plays what it is told, line by line.

One JSON object per line comes in and one goes out, with the seconds that `reset` or `step` took; everything else is outside of the clock.
"""

import json
import logging
import os
import sys
import time
import warnings
from typing import Any

OPTIONS: dict[str, dict[str, Any]] = {"default": {}, "tuned": {"slow_mo": 0, "pre_observation_delay": 0}}

# The element that another browser named by the nearest ancestor with an id and the way down from it, once it is there and has a place.
FIND = """([id, steps]) => {
  let el = id ? document.getElementById(id) : document.documentElement;
  for (const step of steps) el = el?.children[step];
  return el && el.getClientRects().length ? el : null;
}"""


class FixedSeed:
    """Stands in for the task's random generator: the page is seeded with the number it is told, as in the other environment."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def randint(self, low: int, high: int) -> int:
        return self.seed


class Worker:
    """Plays one episode after another, in one environment per mode, which like any user's is reset from episode to episode."""

    def __init__(self) -> None:
        self.envs: dict[str, Any] = {}
        self.env: Any = None

    def reset(self, mode: str, task: str, seed: int) -> dict[str, Any]:
        import gymnasium as gym

        made = gym.make(f"browsergym/miniwob.{task}", disable_env_checker=True, **OPTIONS[mode])  # starts nothing yet
        inner: Any = made.unwrapped
        make_task = inner.task_entrypoint

        def seeded(**options: Any) -> Any:
            new = make_task(**options)
            new.random = FixedSeed(seed)
            return new

        if mode not in self.envs:
            self.envs[mode] = made
            made.reset(seed=0)  # the first one has no browsers to close
        self.env = self.envs[mode]
        inner = self.env.unwrapped
        inner.task_entrypoint = seeded
        start = time.perf_counter()
        observation, _ = self.env.reset(seed=seed)
        return {"seconds": time.perf_counter() - start, "goal": observation["goal"], "version": inner.browser.version}

    def step(self, text: str, paths: "list[Any]") -> dict[str, Any]:
        try:
            action = text.format(*(self.bid(path) for path in paths))
        except Exception as error:  # the element never came, because an action before did not work
            return {"seconds": 0.0, "reward": 0.0, "done": False, "error": str(error)}
        start = time.perf_counter()
        observation, reward, done, _, _ = self.env.step(action)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "reward": float(reward), "done": bool(done), "error": observation["last_action_error"]}

    def bid(self, path: Any) -> str:
        """The bid of an element; one that came after the last observation is waited for and given one."""
        inner = self.env.unwrapped
        handle = inner.page.wait_for_function(FIND, arg=path).as_element()
        if handle.get_attribute("bid") is None:
            inner._get_obs()
        return handle.get_attribute("bid")

    def close(self) -> None:
        for env in self.envs.values():
            env.close()


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not stand between the answers
    import browsergym.miniwob  # noqa: F401  # pyright: ignore[reportMissingImports]

    worker = Worker()
    for line in sys.stdin:
        asked = json.loads(line)
        answer = getattr(worker, asked.pop("call"))(**asked)
        print(json.dumps(answer), file=out, flush=True)
    worker.close()


if __name__ == "__main__":
    main()
