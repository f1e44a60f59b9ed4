"""Memory and time of a run, by formulas. They are for choosing a machine: a run's own peak is within about a third of them.

Memory of the trainer's device in bytes, with N parameters, T of them trained, b bytes a number (4 for float32, 2 for 16 bits):

    weights       N b
    optimiser     12 T in float32 (gradient, two moments); 18 T with all weights in 16 bits (gradient, fp32 master, its gradient, moments)
    sampler       N b for its copy; 0 where the base of an adapter is shared; N b for the copy that is published to a server
    reference     N b where the loss has a KL to a reference
    critic        with an adapter 20 T' (weights, gradient, moments, running mean), without 20 N; 0 where the algorithm has none
    activations   tokens of a pack × layers × b (12 hidden + 3 intermediate + 2 (heads + 2 kv_heads) head_dim); with gradient checkpointing
                  tokens × (layers × b hidden + those of one layer)
    logits        three blocks of at most 1 GiB (64 MiB on the CPU)
    keys, values  slots × (prompt + answer) × layers × 2 kv_heads head_dim b, where completions are sampled in this process

An adapter of rank r has r (in + out) parameters for each linear layer. Time of an iteration, with E episodes of `turns` turns, P prompt and
S answer tokens a turn, F floating-point operations a second:

    sampling      E turns (2 N (P + S)) / F
    update        epochs × E turns (6 N (P + S)) / F;  4 N with an adapter, whose base gets no gradient; 2 N once more where a clipped
                  loss follows a server or 16-bit weights, because the learner scores π_old
"""

from dataclasses import dataclass

from trainers import algorithms
from trainers.config import TrainConfig, resolve, scored_by_sampler

GIB = 1 << 30
GPU_FLOPS = 300e12
"""A third of an H100's 990 TFLOP/s in bfloat16."""
CPU_FLOPS = 50e9
"""Two cores."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a model, and of the episodes that are assumed: tokens of a prompt, turns of an episode."""

    parameters: int
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    prompt: int = 1500
    turns: int = 6

    @property
    def linears(self) -> int:
        """Σ (in + out) over the linear layers of all blocks: the parameters of an adapter of rank 1."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return self.layers * (2 * (self.hidden + q) + 2 * (self.hidden + kv) + 3 * (self.hidden + self.intermediate))


@dataclass(frozen=True)
class Estimate:
    """Bytes by use, and seconds of an iteration by work."""

    bytes: dict[str, float]
    seconds: dict[str, float]

    @property
    def gib(self) -> float:
        """All memory in GiB."""
        return sum(self.bytes.values()) / GIB

    def lines(self) -> list[str]:
        """The estimate in words."""
        parts = ", ".join(f"{name} {value / GIB:.1f}" for name, value in self.bytes.items() if value >= GIB / 20)
        times = ", ".join(f"{name} {value:.0f} s" for name, value in self.seconds.items())
        return [f"memory: {self.gib:.1f} GiB ({parts})", f"an iteration: {sum(self.seconds.values()):.0f} s ({times}), browsers apart"]


def estimate(config: TrainConfig, shape: Shape) -> Estimate:
    """Memory of the trainer's device and time of an iteration; the formulas stand in the module's docstring."""
    algorithm, algorithm_config = algorithms.get(config.algo), resolve(config.model_dump())[1]
    n, b = shape.parameters, 4 if config.machine.dtype == "float32" else 2
    rank, gpu, server = config.lora.rank, config.machine.device != "cpu", config.sampler.kind == "openai"
    trained = rank * shape.linears if rank else n
    block = b * (12 * shape.hidden + 3 * shape.intermediate + 2 * (shape.heads + 2 * shape.kv_heads) * shape.head_dim)
    budget = config.update.token_budget
    slots = 0 if server else config.sampler.slots or 8
    shares = rank and b == 2 and not server
    kept = b * shape.hidden * shape.layers + block if config.machine.gradient_checkpointing else shape.layers * block
    needs = algorithm.needs_values(algorithm_config)
    found = {
        "weights": n * b,
        "optimiser": trained * (18 if b == 2 and not rank else 12),
        "sampler": 0 if shares else n * b,
        "reference": n * b if algorithm_config.loss.needs_reference else 0,
        "critic": 20 * trained if needs and config.critic.head.backbone == "copy" else 0,
        "activations": budget * kept,
        "logits": 3 * min(GIB if gpu else GIB // 16, budget * shape.vocabulary * 4),
        "keys and values": slots * (shape.prompt + config.rollout.max_tokens) * shape.layers * 2 * shape.kv_heads * shape.head_dim * b,
    }
    tokens = config.rollout.groups * config.rollout.group_size * shape.turns * (shape.prompt + config.rollout.max_tokens)
    speed = GPU_FLOPS if gpu else CPU_FLOPS
    scored = 2 if algorithm_config.loss.policy == "clip" and not scored_by_sampler(config) else 0
    update = ((config.update.epochs or 1) * (4 if rank else 6) + scored) * n * tokens / speed
    return Estimate({name: float(x) for name, x in found.items()}, {"sampling": 2 * n * tokens / speed, "update": update})
