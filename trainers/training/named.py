"""Names in a run of what is code, or is told keys: files of algorithms, samplers and tasks, addresses of servers and collectors.

A run folder of a colleague is data. So it is asked for none of these unless this user began a run that names the same, or says
`--trust RUN`.
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainers import algorithms
from webgym.authoring import consent
from webgym.errors import CheckpointError, UsageError
from webgym.packs import registry
from webgym.packs import sets as task_sets

log = logging.getLogger(__name__)
ADDRESSES = {"sampler": ("base_url", "servers"), "executor": ("nodes", "nodes_file", "address")}
"""Keys of servers and collectors, which are told OPENAI_API_KEY and WEBGYM_TOKEN."""


def remember(config: Mapping[str, Any]) -> None:
    """Let the runs of this user go on with what this configuration names, because the user has given it."""
    try:
        consent.remember_named(named(config))
    except UsageError as error:
        log.warning("%s; --resume will want --trust", error)


def require(run: Path, config: Mapping[str, Any], given: Mapping[str, Any] | None = None) -> None:
    """Raises CheckpointError unless this user has named what the configuration of a run names, or trusts the folder of the run.

    `given` is what the user names now.
    """
    known = set(named(given or {}))
    wanted = [name for name in named(config) if name not in known]
    if strange := consent.unnamed(wanted, run):
        raise CheckpointError(
            f"{run} names {', '.join(strange)}, which would run here as code or be told your keys, and you began no run with it: look at "
            f"it, then say --trust {run}"
        )


def named(config: Mapping[str, Any]) -> list[str]:
    """The files, modules and addresses of a configuration.

    >>> named({"algo": "grpo", "tasks": ["default", "my.pack:forum.*"], "sampler": {"options": {"base_url": "http://there:8000/v1"}}})
    ['my.pack:', 'http://there:8000/v1']
    """
    return list(dict.fromkeys([*_code(config), *_addresses(config)]))


def _code(config: Mapping[str, Any]) -> Iterator[str]:
    kind = _table(config, "sampler").get("kind")
    for name in (config.get("algo"), kind):
        if isinstance(name, str) and algorithms.is_path(name):
            yield algorithms.absolute(name)
    for name in _texts(config.get("tasks")):
        if source := registry.code_of(name, path=task_sets.is_path(name)):
            yield source


def _addresses(config: Mapping[str, Any]) -> Iterator[str]:
    for table, keys in ADDRESSES.items():
        both = {**_table(config, table), **_table(_table(config, table), "options")}
        for key in keys:
            yield from _texts(both.get(key))


def _table(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}


def _texts(value: Any) -> list[str]:
    """The texts of an option that is one or several, as a hostile file may have it."""
    several = value if isinstance(value, list | tuple) else [value]
    return [text for text in several if isinstance(text, str) and text]
