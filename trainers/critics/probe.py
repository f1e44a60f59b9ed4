"""The probe set: a few trajectories of the first iteration, valued again at every checkpoint, to show how credit develops."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainers.credit.credit import learnable
from trainers.credit.record import identity, rounded
from webgym.record.store import load
from webgym.types import Trajectory

LIMIT = 64


def probe_set(path: Path, limit: int = LIMIT) -> list[Trajectory]:
    """At most `limit` trajectories of a file: the first member of every group, then the second ...; faulted ones are left out."""
    found = [x for x in load(path) if learnable(x)]
    return sorted(found, key=lambda x: (x.key.member, x.key.group))[:limit]


def probe_rows(probe: Sequence[Trajectory], values: Sequence[np.ndarray], version: int) -> Iterator[dict[str, Any]]:
    """Rows of values.jsonl, one per trajectory: its identity, V(s_t) under the current critic, and its outcome.

    `version` is that of the policy which the checkpoint holds; the trajectory's own iteration says which policy played it.
    """
    for x, v in zip(probe, values, strict=True):
        yield {"policy_version": version, **identity(x), "values": rounded(v), "reward": x.outcome.reward}
