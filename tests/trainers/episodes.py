"""Hand-made trajectories, and a softmax table in place of a language model."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainers.batches.packing import PackedBatch
from webgym.types import Completion, EpisodeKey, Outcome, OutcomeKind, Sampling, Trajectory, Turn


def turn(
    prompt: Sequence[int],
    action: Sequence[int],
    reward: float = 0.0,
    logprobs: Sequence[float] = (),
    sampling: Sampling | None = None,
    state: str = "",
    key: str = "",
) -> Turn:
    """One turn; log-probabilities default to −1 each. `state` is its state hash, `key` that of its pictures."""
    given = tuple(logprobs) or (-1.0,) * len(action)
    completion = Completion("", "", tuple(prompt), tuple(action), given, sampling, key=key)
    return Turn(completion, "", "", reward, False, False, "", state, url="http://page")


def trajectory(turns: Sequence[Turn], kind: OutcomeKind | None = None, *, task: str = "pack.task", seed: int = 0) -> Trajectory:
    """An episode of these turns; its kind follows from the last reward where it is not given."""
    reward = turns[-1].reward if turns else 0.0
    kind = kind or ("success" if reward == 1.0 else "failure")
    return Trajectory(EpisodeKey(task, seed), "", tuple(turns), Outcome(kind, reward))


def episode(final_reward: float, turns: int, kind: OutcomeKind | None = None, *, tokens: int = 1, seed: int = 0) -> Trajectory:
    """An episode of so many turns of `tokens` sampled tokens, with a reward at its end."""
    rewards = [0.0] * (turns - 1) + [final_reward] * (turns > 0)
    return trajectory([turn([t + 1], [7] * tokens, r) for t, r in enumerate(rewards)], kind, seed=seed)


class Table(torch.nn.Module):
    """A policy whose next token depends on the last one only: logits = table[last token]."""

    def __init__(self, vocabulary: int, *, seed: int | None = None, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        start = torch.zeros(vocabulary, vocabulary, dtype=dtype)
        if seed is not None:
            start = torch.randn(vocabulary, vocabulary, generator=torch.Generator().manual_seed(seed), dtype=dtype)
        self.table = torch.nn.Parameter(start)

    def logits(self, batch: PackedBatch) -> Tensor:
        return self.table[batch.ids[batch.action_index]]

    def forward(self, batch: PackedBatch, *, entropy: bool = False) -> tuple[Tensor, Tensor | None]:
        logprobs = torch.log_softmax(self.logits(batch), -1)
        chosen = logprobs.gather(1, batch.action_ids[:, None])[:, 0]
        return chosen, -(logprobs.exp() * logprobs).sum(-1) if entropy else None
