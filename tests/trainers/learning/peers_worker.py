"""One process of an update in float64, for the test of several: `python -m tests.trainers.learning.peers_worker OUT CASE`."""

import sys
from pathlib import Path

import torch

from tests.trainers.episodes import Table
from tests.trainers.learning.test_learner import VOCABULARY, batch_of_8, steps_of
from trainers.learning.learner import Learner, OptimConfig
from trainers.learning.losses import LossSpec
from trainers.learning.peers import Group, peers
from webgym.errors import DivergenceError

BUDGETS = {"many": 1, "one": 10_000, "bounded": 1, "diverges": 1}


def main(out: Path, case: str) -> None:
    """Three optimiser steps; the summed gradients, the weights and the metrics go to a file."""
    with peers() as group:
        table = Table(VOCABULARY, seed=1)
        many, advantages = batch_of_8(table)
        if case == "diverges":
            advantages[0][:] = float("nan")  # in a micro-batch of one process only
        table = table.double()
        (step,) = steps_of(many, advantages, BUDGETS[case])
        gradients: list[torch.Tensor] = []
        clip = torch.nn.utils.clip_grad_norm_

        def seen(parameters, most):
            gradients.append(table.table.grad.clone())
            return clip(parameters, most)

        torch.nn.utils.clip_grad_norm_ = seen
        config = OptimConfig(lr=0.1, max_step_kl=0.01 if case == "bounded" else None)
        learner = Learner(table.parameters(), table, config, failed_batch=out.with_suffix(f".failed{group.rank}"), peers=group)
        spec, error, metrics = LossSpec(divisor="tokens"), "", []
        try:
            metrics = [learner.update([step], spec) for _ in range(3)]
        except DivergenceError as diverged:
            error = str(diverged)
        kept = {"gradients": gradients, "weights": table.table.detach(), "metrics": metrics, "error": error}
        torch.save(kept, out.with_suffix(f".{group.rank}"))
        assert isinstance(group, Group) == (group.size > 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
