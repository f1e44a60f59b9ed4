"""A task in words: what `webgym tasks show` prints."""

from typing import Any

from webgym.task import Task
from webgym.types import Observation


def card(task: Task, seeds: int = 2) -> dict[str, Any]:
    """Facts about a task that need no browser, as plain data. `goals` are of each split's first seeds, where the page draws none."""
    splits: dict[str, Any] = {}
    for split, range_ in task.splits.seeds.items():
        begun = [task.start(seed) for seed in range_[:seeds]]
        goals = [{"seed": seed, "goal": start.goal} for seed, start in zip(range_, begun, strict=False) if start.goal is not None]
        splits[split] = {"seeds": [range_.start, range_.stop], "wordings": list(task.splits.templates.get(split, ())), "goals": goals}
    return {
        "id": task.id,
        "gym_id": task.gym_id,
        "description": task.description,
        "start": task.start(0).url,
        "hosts": list(task.hosts),
        "max_turns": task.max_turns,
        "ends": task.ends,
        "trust": task.trust,
        "chance": task.chance,
        "difficulty": task.difficulty,
        "viewport": list(task.viewport),
        "oracle": task.oracle is not None,
        "splits": splits,
    }


ENDS = {"success": "when the goal is reached", "stop": "when the agent says stop or infeasible"}
TRUST = {"state": "decided from state that no action of the agent can write", "page": "decided from what the page says"}


def lines(task: Task) -> list[str]:
    """The card for a terminal."""
    known = card(task)
    told = {
        "gym id": known["gym_id"],
        "start": known["start"],
        "hosts": ", ".join(known["hosts"]),
        "turns": f"at most {known['max_turns']}; difficulty {known['difficulty']} of 5",
        "ends": ENDS[task.ends],
        "success": TRUST[task.trust],
        "by chance": f"random actions reach at most {task.chance:.0%}",
        "viewport": f"{task.viewport[0]} × {task.viewport[1]}",
        "oracle": "yes" if known["oracle"] else "none",
    }
    found = [f"{task.id}: {task.description}", *(f"  {name:<10} {value}" for name, value in told.items())]
    for split, entry in known["splits"].items():
        first, end = entry["seeds"]
        found.append(f"  {split:<10} seeds {first:,} to {end - 1:,}")
        found += [f"             wording: {words}" for words in entry["wordings"]]
        found += [f"             seed {begun['seed']}: {begun['goal']}" for begun in entry["goals"]]
    return found


def first_page(task_id: str, seed: int) -> Observation:
    """The first observation of an episode, in a browser of its own."""
    from webgym.env.core import AsyncWebEnv
    from webgym.loop_thread import loop_thread

    async def begin() -> Observation:
        env = AsyncWebEnv()
        try:
            return await env.reset(task_id, seed)
        finally:
            await env.close()

    return loop_thread().run(begin())
