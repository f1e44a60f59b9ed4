"""The executor of a run and, where collectors elsewhere play, the gateway through which they sample."""

from trainers.config import TrainConfig
from trainers.models.policy_model import PolicyModel
from trainers.samplers.gateway import Gateway
from trainers.samplers.sampler import Sampler
from webgym.nodes import wire
from webgym.nodes.executor import HttpExecutor, Limits
from webgym.rollout.arena import Arena
from webgym.rollout.contract import NodeListener


def open_executor(config: TrainConfig, on_nodes: NodeListener) -> Arena | HttpExecutor:
    """The run's executor; `on_nodes` hears of collectors elsewhere. Raises ConfigError."""
    settings, machine = config.executor, config.machine
    if settings.kind == "local":
        return Arena(machine.sessions, backend=machine.backend)
    return HttpExecutor(
        settings.nodes,
        file=settings.file,
        backend=machine.backend,
        token=wire.token(),
        limits=Limits(settings.silence_s, settings.episode_s, settings.wait_s),
        on_nodes=on_nodes,
    )


def opened_to_others(config: TrainConfig, sampler: Sampler, source: PolicyModel, version: int) -> Sampler:
    """The sampler, behind a gateway where collectors elsewhere ask it. Closes it where that cannot be opened."""
    if config.executor.kind == "local":
        return sampler
    try:
        return Gateway(sampler, source, config.executor.gateway, version=version, token=wire.token())
    except BaseException:
        sampler.close()
        raise
