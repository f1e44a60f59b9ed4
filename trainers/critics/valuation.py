"""The critic's part of an iteration: values of its episodes by a critic that never saw their outcomes, and the fit to them.

`critic.values_from` chooses how values are held out: "earlier" costs nothing (the critic of the iterations before), "cross_fit" costs
one fit per fold, and "same" is the published order, kept to show its effect. Episodes that an algorithm replays were fitted when they
were new; their values are not held out, whichever is chosen, and no metric calls them so.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import nn

from trainers.batches.packing import PackedBatch, pack
from trainers.batches.rows import Row, final_rows, rows_of_all
from trainers.credit.algorithm import Algorithm, AlgorithmConfig, bootstraps, discount
from trainers.credit.credit import Values, cross_fit_folds, final_values, flatten, lambda_returns
from trainers.critics.critic import Critic
from trainers.critics.fit import CriticOptimizer, Packer, check_targets, first_tokens, fit, per_token, predict
from trainers.critics.settings import CriticConfig
from trainers.critics.valuer import Draw, Through, Valued
from trainers.learning.peers import Alone, Shards
from trainers.learning.shards import dealt_state, dealt_tensors, gathered, shard, weights_of, whole_state, whole_tensors
from trainers.models.policy_model import PolicyModel
from trainers.models.prompt_ids import Context
from trainers.runs.checkpoint import Checkpoint
from webgym.errors import ConfigError
from webgym.prompts.prompt import prompt_of
from webgym.types import Group, Node, Observation, Trajectory, seed_from

METRICS: Mapping[str, str] = {
    "critic/loss": "mean loss of the critic on this batch as it was fitted to it, each turn before the step that it is part of",
}


class Valuation:
    """A critic with its optimiser, for algorithms with V per turn or per token (:class:`trainers.critics.valuer.Valuer`)."""

    best = None  # V compares states, not actions

    def __init__(
        self,
        algorithm: Algorithm,
        algorithm_config: AlgorithmConfig,
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
        self._algorithm, self._algorithm_config, self._config, self._source = algorithm, algorithm_config, config, source
        self._seed, self._budget, self._device = seed, token_budget, device
        self._per_token = algorithm.needs_values(algorithm_config) == "token"
        self._bootstraps = bootstraps(algorithm_config)
        head = config.head.model_copy(update={"tail": prompt_tail(source)})
        self._set(Critic.of(source.model, head))

    def start_from(self, critic: nn.Module) -> None:
        """Go on with a critic that was fitted before (:func:`critic_of`)."""
        if not isinstance(critic, Critic):
            raise ConfigError(f"critic.start: expected a critic of states, got a {type(critic).__name__}: leave critic.start out")
        self._set(critic)

    def _set(self, critic: Critic) -> None:
        self.critic = critic
        self.optimizer = CriticOptimizer(critic, self._config.fit)

    # --- one iteration -----------------------------------------------------------------------------------------------------

    def values_and_fit(
        self, groups: Sequence[Group], trajectories: Sequence[Trajectory], rows: Sequence[Row], iteration: int, draw: Draw | None = None
    ) -> Valued:
        """Values of a batch and the fit to it. `groups` may have shaped rewards; `trajectories` are as recorded; `draw` is not used."""
        assert self._algorithm.targets is not None
        targets = self._algorithm.targets(groups, self._algorithm_config)
        faulted = [x.outcome.faulted for x in trajectories]
        flat = np.concatenate([np.full(len(t), np.nan) if bad else t for t, bad in zip(targets, faulted, strict=True)])
        if self.optimizer.steps == 0 and not self._config.start and np.isfinite(flat).any():
            self.critic.set_bias(float(np.nanmean(flat)))
        packed = self._packer(trajectories)
        late = self._config.values_from == "same"
        flat = self._ahead(groups, packed(rows), flat)
        check_targets(self._config.head, flat)
        held_out = None if late else self._held_out(groups, trajectories, rows, flat, iteration)
        seed = seed_from(self._seed, "critic", iteration)
        fitted = fit(self.critic, rows, flat, self.optimizer, packed, seed=seed, measured=False, peers=self._peers)
        values, final = held_out or self._read(trajectories, packed(rows), len(flat))
        found = Values(split(values, [len(t) for t in targets]), final.tolist() if self._bootstraps else None)
        return Valued(groups, trajectories, rows, found, {"critic/loss": fitted.loss})

    def _held_out(
        self,
        groups: Sequence[Group],
        trajectories: Sequence[Trajectory],
        rows: Sequence[Row],
        flat: np.ndarray,
        iteration: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """V of turns and of s_T by the critic before this batch, or of each fold of task groups by a clone fitted to the others."""
        packed = self._packer(trajectories)
        if self._config.values_from == "earlier":
            return self._read(trajectories, packed(rows), len(flat))
        folds = cross_fit_folds(groups, self._config.folds, seed_from(self._seed, "folds", iteration))
        fold_of = [fold for fold, group in zip(folds, groups, strict=True) for _ in group]
        values, final = np.full(len(flat), np.nan), np.full(len(trajectories), np.nan)
        for fold in sorted(set(fold_of)):
            inside = [row for row in rows if fold_of[row.trajectory] == fold]
            outside = [row for row in rows if fold_of[row.trajectory] != fold]
            with self.optimizer.averaged():
                critic = self.critic.clone()
            optimizer = CriticOptimizer(critic, self._config.fit)
            optimizer.load_state_dict(copy.deepcopy(self.optimizer.state_dict()))
            seed = seed_from(self._seed, "fold", iteration, int(fold))
            fit(critic, outside, flat, optimizer, packed, seed=seed, measured=False)
            with optimizer.averaged():
                found = predict(critic, packed(inside), len(flat))
                finals = self._finals(critic, trajectories)
            values[~np.isnan(found)] = found[~np.isnan(found)]
            members = np.array([f == fold for f in fold_of])
            final[members] = finals[members]
        return values, final

    def _read(self, trajectories: Sequence[Trajectory], batches: Sequence[PackedBatch], turns: int) -> tuple[np.ndarray, np.ndarray]:
        """V of turns and of s_T by the current critic."""
        with self.optimizer.averaged():
            return predict(self.critic, batches, turns, self._peers), self._finals(self.critic, trajectories)

    def _finals(self, critic: Critic, trajectories: Sequence[Trajectory]) -> np.ndarray:
        """V(s_T) of the trajectories that kept the prompt behind their last turn, [n]; NaN of the others, or without bootstrapping."""
        if not self._bootstraps:
            return np.full(len(trajectories), np.nan)
        rows, places = final_rows(trajectories)
        batches = [batch.to(self._device) for batch in pack(rows, self._budget)]
        return predict(critic, batches, sum(len(x) + 1 for x in trajectories), self._peers)[places]

    def _ahead(self, groups: Sequence[Group], batches: Sequence[PackedBatch], flat: np.ndarray) -> np.ndarray:
        """The targets, with the current critic where it is used ahead: V(s_T) at the turn limit where the algorithm bootstraps there, and
        λ-returns at `critic.target_lam` below 1."""
        trajectories, gamma, lam = flatten(groups), discount(self._algorithm_config), self._config.target_lam
        final = None
        if self._bootstraps:
            with self.optimizer.averaged():
                final = final_values(Values([], self._finals(self.critic, trajectories).tolist()), trajectories)
        if lam < 1:
            with self.optimizer.averaged():
                values = split(predict(self.critic, batches, len(flat), self._peers), [len(x) for x in trajectories])
            ahead = np.concatenate(lambda_returns(trajectories, values, gamma, lam, final))
        elif final is not None:
            tails = [end * gamma ** np.arange(len(x), 0, -1) for x, end in zip(trajectories, final, strict=True)]
            ahead = flat + np.concatenate(tails)
        else:
            return flat
        return np.where(np.isnan(flat), np.nan, ahead)

    def _packer(self, trajectories: Sequence[Trajectory]) -> Packer:
        """Packs rows of these trajectories for the device, with a value per turn or per token."""
        starts = first_tokens(trajectories) if self._per_token else None

        def packed(rows: Sequence[Row]) -> list[PackedBatch]:
            batches = [batch.to(self._device) for batch in pack(rows, self._budget)]
            return batches if starts is None else [per_token(batch, starts) for batch in batches]

        return packed

    def turn_values(self, trajectories: Sequence[Trajectory]) -> list[np.ndarray]:
        """V(s_t) of any trajectories under the current critic, [T_i] each; a critic of tokens is read at each turn's last prompt token."""
        lengths = [len(x) for x in trajectories]
        batches = [batch.to(self._device) for batch in pack(rows_of_all(trajectories), self._budget)]
        with self.optimizer.averaged():
            return split(predict(self.critic, batches, sum(lengths), self._peers), lengths)

    # --- checkpoints -------------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Write the critic's folder of a checkpoint."""
        with self.optimizer.averaged():
            if isinstance(self._peers, Shards):
                layers = gathered(self.critic, self._peers, weights_of)
                self.critic.save_layers(layers, folder) if self._peers.rank == 0 else list(layers)
            else:
                self.critic.save_pretrained(folder)

    def state_dict(self) -> dict[str, Any]:
        """State that :meth:`restore` needs beside the folder."""
        state, peers = self.optimizer.state_dict(), self._peers
        if not isinstance(peers, Shards):
            return state
        return {**state, "adamw": whole_state(state["adamw"], peers), "newest": whole_tensors(state["newest"], peers)}

    def restore(self, folder: Path, state: dict[str, Any]) -> None:
        """Go on where `save` and `state_dict` were taken."""
        self._set(Critic.load(folder, policy=self._source.model, device=self._home))
        self.optimizer.load_state_dict(state)

    def shard(self, peers: Shards, through: Through) -> None:
        """Leave each process its part of the critic of the first one; all call this together.

        `through` computes with the policy's decoder, which is sharded by now.
        """
        state = self.optimizer.state_dict()
        self.optimizer.settle()  # a saved state belongs to a critic that holds the mean of its weights
        shard(self.critic, peers, self._device)
        self.critic.through, self._peers = through, peers
        self.optimizer = CriticOptimizer(self.critic, self._config.fit)
        adamw, newest = dealt_state(state["adamw"], peers), dealt_tensors(state["newest"], peers)
        self.optimizer.load_state_dict({"steps": peers.alike(state["steps"]), "adamw": adamw, "newest": newest})


def critic_of(checkpoint: Checkpoint, config: CriticConfig, source: PolicyModel, device: str) -> Critic:
    """The critic of a checkpoint, to start from. Raises CheckpointError, or ConfigError where it is of another kind."""
    path, critic = checkpoint.path, Critic.load(checkpoint.folder("critic"), policy=source.model, device=device)
    words = source.model.get_input_embeddings().num_embeddings  # type: ignore[union-attr]
    if critic.vocabulary != words:
        raise ConfigError(f"critic.start: the critic in {path} reads a vocabulary of {critic.vocabulary}, the policy one of {words}")
    wanted = config.head.model_copy(update={"tail": prompt_tail(source)})
    if differ := [key for key, x in wanted.model_dump().items() if getattr(critic.config, key) != x]:
        said = ", ".join(f"{key} = {getattr(critic.config, key)!r}" for key in differ)
        raise ConfigError(f"critic.start: the critic in {path} has {said} where critic.head says otherwise: set critic.head to what it has")
    return critic


def prompt_tail(source: PolicyModel) -> int:
    """Number of tokens with which every prompt of this policy ends, whatever the page: the generation prompt after the observation."""
    pages = [(Node("button", "ok", 0),), (Node("heading", "a day in may"), Node("textbox", "", 1))]
    seen = [Observation("press ok", "http://page", "page", nodes, turns_left=3) for nodes in pages]
    one, other = (Context(source.tokenizer, source.prompts).first(prompt_of(o, (), source.prompts)) for o in seen)
    same = 0
    while same < min(len(one), len(other)) and one[-1 - same] == other[-1 - same]:
        same += 1
    return same


def split(flat: np.ndarray, lengths: Sequence[int]) -> list[np.ndarray]:
    """A flat array as one array per trajectory."""
    ends = np.cumsum(lengths)
    return [flat[end - n : end] for end, n in zip(ends, lengths, strict=True)]
