"""WebGym's tasks for verifiers, which finds a taskset by the name of a module: `vf-eval webgym_taskset`."""

from webgym.serve.verifiers import WebGymEnv, WebGymTaskset

__all__ = ["WebGymEnv", "WebGymTaskset"]
