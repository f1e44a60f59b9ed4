"""The processes beside the first one where several share the update (`torchrun --nproc-per-node 2 -m webgym train ...`).

The first process is the run: it collects, values and writes. The others hold the same policy and optimiser and take the same steps, each
on its part of the micro-batches. A checkpoint does not depend on their number. Where weights are sharded, :mod:`trainers.training.sharded`
says what the others do.
"""

import signal
import threading
from pathlib import Path

import torch

from trainers.config import TrainConfig, remedy, resolve
from trainers.learning.learner import Learner
from trainers.learning.peers import Group
from trainers.models.token_grammar import TokenGrammar
from trainers.runs.memory import memory_errors
from trainers.training.begin import load_policy
from trainers.training.messages import Begin, End, State, Update, forward_of
from trainers.training.sharded import follow_shards


def follow(group: Group) -> None:
    """Take part in the updates of the first process until its run is over.

    Raises Fault where that process is lost, DivergenceError where it does, and UsageError where this one's memory is full. Ctrl-C is the
    first process's to hear.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    begin = group.hear()
    if not isinstance(begin, Begin):
        return
    config: TrainConfig = resolve(begin.config)[0]
    torch.set_num_threads(config.machine.threads)
    with memory_errors(config.machine.device, remedy(config)):
        _follow(group, begin, config)


def _follow(group: Group, begin: Begin, config: TrainConfig) -> None:
    source = load_policy(config.model, config)
    if config.machine.shard:
        follow_shards(group.sharded(), begin, config, source)
        return
    grammar = TokenGrammar.of(source.model, source.tokenizer) if config.rollout.grammar else None
    forward = forward_of(source.model, config.rollout.temperature, grammar)
    failed = Path(begin.failed_batch).with_suffix(f".{group.rank}.pt")
    learner = Learner(source.model.parameters(), forward, config.optim, failed_batch=failed, device=config.machine.device, peers=group)
    source.model.train()
    while not isinstance(message := group.hear(), End):
        match message:
            case State(weights, state):
                with torch.no_grad():
                    for name, parameter in source.model.named_parameters():
                        if name in weights:
                            parameter.copy_(weights[name])
                learner.load_state_dict(state)
            case Update(steps, spec, done):
                learner.update(steps, spec, done)
