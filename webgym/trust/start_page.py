"""Start pages: one that is answered with an error is why nothing that follows can work."""

from webgym.env import entering
from webgym.env.core import AsyncWebEnv
from webgym.errors import WebGymError
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.task import Task


def start_page(task_id: str, seed: int) -> str:
    """The problem that the task's start page is answered with an error, in words; "" where it is not, or does not open at all."""
    return loop_thread().run(_start_page(registry.task(task_id), seed))


async def _start_page(task: Task, seed: int) -> str:
    env = AsyncWebEnv()
    try:
        await env.reset(task.id, seed)
        return refused(env, task, seed)
    except WebGymError:
        return ""  # which the episodes say
    finally:
        await env.close()


def refused(env: AsyncWebEnv, task: Task, seed: int) -> str:
    """The problem that the page with which this episode has just begun is an error's, in words; "" where it is not."""
    return entering.refused(env.session, task.start(seed).url, env.pages[0])
