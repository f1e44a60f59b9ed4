"""The executor of a run and, where collectors elsewhere play, the gateway through which they sample."""

from trainers.config import TrainConfig
from trainers.models.policy_model import PolicyModel
from trainers.samplers.gateway import Gateway
from trainers.samplers.sampler import Sampler
from webgym.errors import ConfigError
from webgym.nodes import wire
from webgym.nodes.executor import HttpExecutor, Limits, NodesExecutor
from webgym.rollout.arena import Arena
from webgym.rollout.contract import NodeListener


def open_executor(config: TrainConfig, on_nodes: NodeListener) -> Arena | NodesExecutor:
    """The run's executor; `on_nodes` hears of collectors elsewhere. Raises ConfigError."""
    settings, machine = config.executor, config.machine
    if settings.kind == "local":
        return Arena(machine.sessions, backend=machine.backend)
    limits = Limits(settings.silence_s, settings.episode_s, settings.wait_s)
    if settings.kind == "ray":
        return _over_ray(config, limits, on_nodes)
    return HttpExecutor(
        settings.nodes,
        file=settings.file,
        backend=machine.backend,
        token=wire.token(),
        limits=limits,
        on_nodes=on_nodes,
    )


def _over_ray(config: TrainConfig, limits: Limits, on_nodes: NodeListener) -> NodesExecutor:
    """Collectors that Ray starts. Raises ConfigError where those on other machines cannot reach the gateway."""
    from webgym.nodes.ray_executor import RayExecutor

    settings, machine = config.executor, config.machine
    executor = RayExecutor(
        settings.collectors,
        machine.sessions,
        address=settings.address,
        cpus=settings.cpus,
        labels=settings.labels,
        backend=machine.backend,
        tasks=config.tasks,
        limits=limits,
        on_nodes=on_nodes,
    )
    if executor.spread and not settings.gateway_url and wire.host_of(settings.gateway) in wire.LOOPBACK:
        executor.close()
        raise ConfigError(
            f"the Ray cluster has other machines, whose collectors cannot reach a gateway at {settings.gateway}: set "
            f"executor.gateway=THIS_HOST:PORT, and {wire.TOKEN} on all machines"
        )
    return executor


def opened_to_others(config: TrainConfig, sampler: Sampler, source: PolicyModel, version: int) -> Sampler:
    """The sampler, behind a gateway where collectors elsewhere ask it. Closes it where that cannot be opened."""
    if config.executor.kind == "local":
        return sampler
    try:
        return Gateway(sampler, source, config.executor.gateway, version=version, token=wire.token())
    except BaseException:
        sampler.close()
        raise
