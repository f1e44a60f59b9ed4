"""The task that a record names: a file of another's run is data, so no code is loaded because a line of it says so."""

from pathlib import Path

from webgym.authoring import consent
from webgym.errors import UnknownTaskError
from webgym.packs import registry
from webgym.task import Task


def recorded_task(task_id: str, folder: Path) -> Task:
    """The task with this id out of a record in `folder`. A Python file or module is asked only where this process knows it already, or the
    user has named it or trusts the folder. Raises UnknownTaskError, TaskFileError.
    """
    source = registry.code_of(task_id, path=False) if isinstance(task_id, str) else ""
    if source and (strange := consent.unnamed([source], folder)):
        raise UnknownTaskError(
            f"the record names {strange[0]}, which would run here as code, and you began no run with it: look at it, then say "
            f"--trust {folder}"
        )
    return registry.task(task_id)
