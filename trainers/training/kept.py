"""The configuration of a run that was begun before, perhaps by an earlier version."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainers import algorithms
from trainers.config import TrainConfig, idle_keys
from trainers.credit.algorithm import AlgorithmConfig
from trainers.runs.keys import merged, validated
from trainers.runs.moved_keys import moved
from trainers.samplers import registry as samplers
from trainers.training import named


def as_kept(config: Mapping[str, Any], run: Path) -> tuple[TrainConfig, AlgorithmConfig]:
    """The configuration of the run in a folder and its algorithm's, as they were: what is refused of a new run was no problem then.

    Raises CheckpointError where it names code that this user has not named.
    """
    config = moved(config)
    named.require(run, config)
    kept = validated(TrainConfig, config, kept=True)
    return kept, validated(algorithms.get(kept.algo).Config, kept.algorithm, f"algorithm {kept.algo}: ", kept=True)


def without_idle(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run without keys that have no effect in it, which an earlier version did not refuse."""
    config, found = validated(TrainConfig, kept, kept=True), json.loads(json.dumps(kept))
    algorithm = algorithms.get(config.algo)
    algorithm_config = validated(algorithm.Config, config.algorithm, f"algorithm {algorithm.name}: ", kept=True)
    needs = algorithm.needs_values(algorithm_config)
    keys = samplers.get(config.sampler.kind).Config.model_fields if config.sampler.kind in samplers.names() else samplers.SHARED_KEYS
    of_others = {f"sampler.{name}" for name in samplers.SHARED_KEYS if name not in keys}  # which every run of an early version has
    of_algorithm = (f"algorithm.{name}" for name in algorithm_config.all_idle())
    for key in (*idle_keys(config, algorithm.name, needs), *of_others, *of_algorithm):
        *groups, name = key.split(".")
        place = found
        for group in groups:
            place = place.get(group, {})
        place.pop(name, None)
    loss = algorithm_config.loss
    if loss.kl == "none" and loss.kl_coef:
        found["algorithm"]["loss"]["kl_coef"] = 0.0  # it weighed no KL
    return found


def changed(kept: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run with `changes`; a sampler of another kind begins without the options of the one before.

    >>> changed({"seed": 1, "sampler": {"kind": "./a.py", "options": {"port": 9}}}, {"sampler": {"kind": "local"}})
    {'seed': 1, 'sampler': {'kind': 'local'}}
    """
    sampler = dict(kept.get("sampler", {}))
    asked = changes.get("sampler", {})
    kind = asked.get("kind") if isinstance(asked, Mapping) else None
    if kind is not None and samplers.absolute(str(kind)) != sampler.get("kind"):
        kept = {**kept, "sampler": {}}
    return merged(kept, changes)
