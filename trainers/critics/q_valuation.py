"""The critic's part of an iteration for algorithms with Q(s, a): newly drawn proposals, the critic's passes, values of actions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from trainers.batches.packing import PackedBatch, pack
from trainers.batches.rows import Row, Span, rows_of_all
from trainers.credit.algorithm import Algorithm
from trainers.credit.credit import Values, flatten, rewards
from trainers.critics.q_critic import (
    ActionValueConfig,
    QCritic,
    Transitions,
    action_targets,
    fit_pass,
    move_target,
    read,
    state_targets,
)
from trainers.critics.settings import CriticConfig
from trainers.critics.valuation import split
from trainers.critics.valuer import Draw, Through, Valued
from trainers.learning.learner import load_moments
from trainers.learning.masters import Masters
from trainers.learning.peers import Alone, Shards
from trainers.learning.shards import dealt_state, gathered, shard, weights_of, whole_state
from trainers.models.lora import sharing_copy
from trainers.models.policy_model import PolicyModel
from trainers.samplers.sampler import Generated
from webgym.errors import ConfigError
from webgym.types import Group, Trajectory, Turn, seed_from


@dataclass(frozen=True, eq=False)
class Proposals:
    """Actions drawn anew in every turn; `place[turn, n]` is the position of the n-th one among the different ones."""

    drawn: Sequence[Generated]  # [turns · n], turn after turn
    place: np.ndarray  # [turns, n] int64
    rows: Sequence[Row]  # each different pair of prompt and action once; global turn id = its place

    @classmethod
    def draw(cls, turns: Sequence[Turn], count: int, draw: Draw, seed: int) -> "Proposals":
        """`count` proposals per turn; equal ones are read once."""
        asked = [turn for turn in turns for _ in range(count)]
        prompts = [(turn.completion.prompt_ids, turn.completion.key) for turn in asked]
        drawn = draw(asked, [seed_from(seed, "proposal", k) for k in range(len(prompts))])
        known: dict[tuple[tuple[int, ...], str, tuple[int, ...]], int] = {}
        place = [known.setdefault((*p, d.ids), len(known)) for p, d in zip(prompts, drawn, strict=True)]
        return cls(drawn, np.array(place, dtype=np.int64).reshape(len(turns), count), [_row(k, p, a) for k, (p, _, a) in enumerate(known)])


def _row(place: int, prompt: tuple[int, ...], action: tuple[int, ...]) -> Row:
    return Row(place, place, prompt + action, (Span(0, len(prompt) - 1, len(prompt), len(prompt) + len(action), 0),))


class QValuation:
    """A critic of actions with its target copy and optimiser (:class:`trainers.critics.valuer.Valuer`)."""

    def __init__(
        self,
        algorithm: Algorithm,
        algorithm_config: ActionValueConfig,
        config: CriticConfig,
        source: PolicyModel,
        *,
        seed: int,
        token_budget: int,
        device: str,
        home: str | None = None,
    ) -> None:
        """`home`: the device of models on disk, which a critic that is sharded leaves later; `device` unless given."""
        self._home, self._peers = home or device, cast(Alone | Shards, Alone())
        self._spec = algorithm_config.q
        practice = algorithm.practice(algorithm_config)
        self._fresh, self._best = practice.fresh, practice.imitates
        self._config, self._source, self._seed, self._budget, self._device = config, source, seed, token_budget, device
        self._set(QCritic.of(source.model), None)

    def _set(self, critic: QCritic, target: QCritic | None) -> None:
        self.critic = critic
        self.target = (target or sharing_copy(critic)).requires_grad_(False)
        self._started = target is not None
        self._optimise()

    def _optimise(self) -> None:
        fit = self._config.fit
        self._masters = Masters(self.critic.parameters())
        self.optimizer = torch.optim.AdamW(self._masters.parameters, lr=fit.lr, weight_decay=fit.weight_decay, betas=(0.9, 0.99))

    def start_from(self, critic: nn.Module) -> None:
        """Raises ConfigError, because a critic of actions cannot go on from a critic of states."""
        raise ConfigError("critic.start: this algorithm values actions and has no critic of states; leave critic.start out")

    # --- one iteration -----------------------------------------------------------------------------------------------------

    def values_and_fit(
        self, groups: Sequence[Group], trajectories: Sequence[Trajectory], rows: Sequence[Row], iteration: int, draw: Draw
    ) -> Valued:
        """Fits the critic to the batch, then values its actions, or those that take their place (:class:`Practice` `fresh`).

        Those are drawn after the fit: V was fitted to Q of the first draws, so that it would know a little of which were drawn.
        """
        shaped, seed = flatten(groups), seed_from(self._seed, "q", iteration)
        turns = [turn for x in shaped for turn in x.turns]
        if not self._started and turns:
            self._start(shaped)
        proposals = Proposals.draw(turns, self._spec.candidates, draw, seed)
        loss = self._fit(_transitions(shaped), rows, proposals, seed)
        q, v = (x.min(1) for x in self._read(self.critic, self._batches(rows), len(turns)))
        if self._fresh:
            anew = Proposals.draw(turns, self._spec.candidates, draw, seed_from(seed, "actor"))
            found = self._read(self.critic, self._batches(anew.rows), len(anew.rows))[0].min(1)[anew.place]  # [turns, n]
            first = np.zeros(len(turns), dtype=np.int64)  # one of the policy's own, of which the mean advantage is 0
            best = found.argmax(1) if self._best and len(turns) else first
            q = found[np.arange(len(turns)), best]
            chosen = [anew.drawn[turn * self._spec.candidates + int(n)] for turn, n in enumerate(best)]
            groups = _with_actions(groups, chosen)
            trajectories = _with_actions([trajectories], chosen)[0]
            rows = rows_of_all(trajectories)
        lengths = [len(x) for x in trajectories]
        return Valued(groups, trajectories, rows, Values(split(v, lengths), actions=split(q, lengths)), {"critic/loss": loss})

    def _start(self, trajectories: Sequence[Trajectory]) -> None:
        returns = [float(rewards(x).sum()) for x in trajectories if not x.outcome.faulted]
        for critic in (self.critic, self.target):
            critic.set_bias(float(np.mean(returns)) if returns else 0.5)
        self._started = True

    def _fit(self, turns: Transitions, rows: Sequence[Row], proposals: Proposals, seed: int) -> float:
        batches, proposed = self._batches(rows), self._batches(proposals.rows)
        loss = float("nan")
        for epoch in range(self._spec.epochs):
            state = self._read(self.target, batches, len(turns.reward))[1]
            ahead = self._read(self.target, proposed, len(proposals.rows))[0][proposals.place]  # [turns, n, 2]
            v = state_targets(ahead, self._spec.backup)
            q_known, v_known = (np.where(turns.known[:, None], t, np.nan) for t in (action_targets(turns, state, v, self._spec), v))
            loss = fit_pass(
                self.critic,
                rows,
                (q_known, v_known),
                self.optimizer,
                self._batches,
                turns_per_step=self._config.fit.turns_per_step,
                grad_clip=self._config.fit.grad_clip,
                seed=seed_from(seed, "pass", epoch),
                masters=self._masters,
                peers=self._peers,
            )
            move_target(self.target, self.critic, self._spec.tau)
        return loss

    def _read(self, critic: QCritic, batches: Sequence[PackedBatch], turns: int) -> tuple[np.ndarray, np.ndarray]:
        return read(critic, batches, turns, self._peers)

    def _batches(self, rows: Sequence[Row]) -> list[PackedBatch]:
        return [batch.to(self._device) for batch in pack(rows, self._budget)]

    def turn_values(self, trajectories: Sequence[Trajectory]) -> list[np.ndarray]:
        """V(s_t) of any trajectories under the current critic, [T_i] each: the smaller of the two."""
        lengths = [len(x) for x in trajectories]
        return split(self._read(self.critic, self._batches(rows_of_all(trajectories)), sum(lengths))[1].min(1), lengths)

    def best(self, prompt: tuple[int, ...], actions: Sequence[tuple[int, ...]]) -> int:
        """:func:`best_action` by the current critic."""
        return best_action(self.critic, prompt, actions, self._budget, self._device)

    # --- checkpoints -------------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Write the critic's folder of a checkpoint, its target copy inside."""
        for critic, place in ((self.critic, folder), (self.target, folder / "target")):
            if isinstance(self._peers, Shards):
                layers = gathered(critic, self._peers, weights_of)
                critic.save_layers(layers, place) if self._peers.rank == 0 else list(layers)
            else:
                critic.save_pretrained(place)

    def state_dict(self) -> dict[str, Any]:
        """State that :meth:`restore` needs beside the folder."""
        state, peers = self.optimizer.state_dict(), self._peers
        return {"started": self._started, "adamw": whole_state(state, peers) if isinstance(peers, Shards) else state}

    def restore(self, folder: Path, state: dict[str, Any]) -> None:
        """Go on where `save` and `state_dict` were taken."""
        self._set(*(QCritic.load(place, policy=self._source.model, device=self._home) for place in (folder, folder / "target")))
        self._started = bool(state["started"])
        load_moments(self.optimizer, state["adamw"])

    def shard(self, peers: Shards, through: Through) -> None:
        """Leave each process its part of the critic and the target copy of the first one; all call this together."""
        state = self.optimizer.state_dict()
        for critic in (self.critic, self.target):
            shard(critic, peers, self._device)
        self._optimise()
        load_moments(self.optimizer, dealt_state(state, peers))
        self._started, self._peers = peers.alike(self._started), peers


def best_action(critic: QCritic, prompt: tuple[int, ...], actions: Sequence[tuple[int, ...]], token_budget: int, device: str) -> int:
    """Position of the action with the highest Q (the smaller of each pair) after this prompt; the first of equals."""
    different = list(dict.fromkeys(actions))
    if len(different) == 1:
        return 0
    batches = [batch.to(device) for batch in pack([_row(k, prompt, a) for k, a in enumerate(different)], token_budget)]
    return actions.index(different[int(read(critic, batches, len(different))[0].min(1).argmax())])


def _transitions(trajectories: Sequence[Trajectory]) -> Transitions:
    last = [t + 1 == len(x) for x in trajectories for t in range(len(x))]
    known = [not x.outcome.faulted for x in trajectories for _ in x.turns]
    reward = np.concatenate([np.zeros(0), *(rewards(x) for x in trajectories)])
    return Transitions(reward, np.array(last, dtype=bool), np.array(known, dtype=bool))


def _with_actions(groups: Sequence[Group], chosen: Sequence[Generated]) -> list[list[Trajectory]]:
    """The same states with other actions, turn after turn. Rewards and outcomes stay, but no longer belong to the actions."""
    actions = iter(chosen)
    return [[replace(x, turns=tuple(_with_action(turn, next(actions)) for turn in x.turns)) for x in group] for group in groups]


def _with_action(turn: Turn, drawn: Generated) -> Turn:
    completion = replace(
        turn.completion, text=drawn.text, action_ids=drawn.ids, behaviour_logprobs=drawn.logprobs, policy_version=drawn.version
    )
    return replace(turn, completion=completion)
