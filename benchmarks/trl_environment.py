"""TRL's GRPOTrainer on our tasks: two iterations through `environment_factory` and through `rollout_func`, here or over a server.

    python -m benchmarks.trl_environment [--over here http openenv rollout] [--task wizard.h1] [--iterations 2] [--json FILE]

`here`, `http` and `openenv` are `environment_factory` in this process and over a server of each protocol; `rollout` is `rollout_func` in
this process. The policy is a Qwen3 of a few thousand random weights with a vocabulary in which a whole action is one token, and only
those are sampled. So it acts from the first turn on, on a CPU. The run shows the plumbing, not learning: the members of each group saw one
instance (the hash of their first observation), rewards differ within groups, losses are finite and gradients are not 0.
"""

import argparse
import contextlib
import functools
import json
import math
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from webgym.prompts.prompt import system_text
from webgym.serve.client import Episodes, Here
from webgym.serve.messages import Turned
from webgym.serve.server import Server
from webgym.serve.trl import BrowserTask, rows

REFS = 6
TOOL_CALLS = [f"<tool_call>\n{json.dumps({'name': 'click', 'arguments': {'ref': str(ref)}})}\n</tool_call>" for ref in range(REFS)]
TEXTS = [f"click('{ref}')" for ref in range(REFS)]
GROUP = 4


def build(folder: Path, texts: list[str], actions: list[str]) -> None:
    """Write the policy: a byte-level tokenizer trained on the texts, actions as single tokens, TRL's Qwen3 template, random weights."""
    import torch
    import trl
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    bytes_ = ByteLevelBPETokenizer()
    bytes_.train_from_iterator(texts, vocab_size=1200, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytes_._tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.add_tokens(actions)
    tokenizer.chat_template = (Path(trl.__file__).parent / "chat_templates/qwen3.jinja").read_text("utf-8")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        head_dim=16, max_position_embeddings=8192,
        eos_token_id=tokenizer.get_vocab()["<|im_end|>"], pad_token_id=tokenizer.get_vocab()["<|endoftext|>"],
    )  # fmt: skip
    Qwen3ForCausalLM(config).save_pretrained(folder)


class Watched(Episodes):
    """A session that remembers seed and first observation of its episode."""

    def __init__(self, connect: Callable[[], Episodes]) -> None:
        self._session = connect()
        self.begun: tuple[int, str] = (0, "")

    def begin(self, task: str, seed: int | None = None, **options: Any) -> Turned:
        turned = self._session.begin(task, seed, **options)
        self.begun = (turned.observation.seed, turned.observation.observation_hash)
        return turned

    def act(self, text: str) -> Turned:
        return self._session.act(text)

    def close(self) -> None:
        self._session.close()


Seen = list[tuple[int, str, float | None]]
"""Seed, hash of the first observation and reward of each episode."""


def by_tools(connect: Callable[[], Episodes], task: str, seeds: range, seen: Seen) -> dict[str, Any]:
    """Arguments of a GRPOTrainer that plays through `environment_factory`. `seen` gets what its environments saw."""

    class Recorded(BrowserTask):
        """The environment, with what it began with and earned kept."""

        def get_reward(self) -> float | None:
            """The environment's own reward."""
            assert isinstance(self._session, Watched)
            seen.append((*self._session.begun, super().get_reward()))
            return seen[-1][2]

    return {
        "environment_factory": functools.partial(Recorded, functools.partial(Watched, connect)),
        "train_dataset": _dataset(rows([task], seeds)),
    }


def by_rollouts(connect: Callable[[], Episodes], task: str, seeds: range, seen: Seen) -> dict[str, Any]:
    """Arguments of a GRPOTrainer that plays through `rollout_func`. `seen` gets what its episodes saw."""
    from trainers.rollouts.trl_rollouts import Rollouts, episode_reward, rollout_rows

    rollouts = Rollouts(connect=functools.partial(Watched, connect), turn_tokens=4)

    def recorded(prompts: list[str], trainer: Any) -> dict[str, Any]:
        found = rollouts(prompts, trainer)
        seen.extend((*session.begun, reward) for session, reward in zip(rollouts._sessions, found["reward"], strict=True))  # type: ignore[attr-defined]
        return found

    return {"rollout_func": recorded, "reward_funcs": episode_reward, "train_dataset": _dataset(rollout_rows([task], seeds))}


def _dataset(data: list[dict[str, Any]]) -> Any:
    from datasets import Dataset  # pyright: ignore[reportMissingImports]

    return Dataset.from_list(data)


def trained(folder: Path, connect: Callable[[], Episodes], task: str, iterations: int, rollout: bool = False) -> dict[str, Any]:
    """Losses, gradient norms and groups of a run of GRPOTrainer."""
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer  # type: ignore  # (benchmarks/trl.py is another)

    seen: Seen = []
    tokenizer = AutoTokenizer.from_pretrained(folder)
    allowed = {*tokenizer.convert_tokens_to_ids(TEXTS if rollout else TOOL_CALLS), tokenizer.eos_token_id}
    config = GRPOConfig(
        output_dir=str(folder / "out"), max_steps=iterations, per_device_train_batch_size=2 * GROUP, num_generations=GROUP,
        max_completion_length=3000, max_tool_calling_iterations=6, learning_rate=1e-3, report_to="none", use_cpu=True, bf16=False, beta=0.0,
        logging_steps=1, save_strategy="no", disable_tqdm=True, seed=0,
        generation_kwargs={"suppress_tokens": [i for i in range(len(tokenizer)) if i not in allowed]},
    )  # fmt: skip
    played = (by_rollouts if rollout else by_tools)(connect, task, range(2 * iterations), seen)
    trainer = GRPOTrainer(model=str(folder), args=config, processing_class=tokenizer, **played)
    trainer.train()
    steps = [row for row in trainer.state.log_history if "loss" in row]
    groups: dict[int, list[tuple[str, float | None]]] = {}
    for seed, found, reward in seen:
        groups.setdefault(seed, []).append((found, reward))
    return {
        "losses": [row["loss"] for row in steps],
        "gradients": [row["grad_norm"] for row in steps],
        "groups": [{"seed": s, "hashes": sorted({h for h, _ in found}), "rewards": [r for _, r in found]} for s, found in groups.items()],
    }


@contextlib.contextmanager
def connected(over: str) -> Iterator[Callable[[], Episodes]]:
    """A function that opens a session in this process, or on a server of a protocol, which runs as long."""
    if over in ("here", "rollout"):
        yield functools.partial(Here, "text")
        return
    with Server(over, backend="text") as server:  # pyright: ignore[reportArgumentType]
        if over == "http":
            from webgym.serve.client import Remote

            yield functools.partial(Remote, server.url)
        else:
            from webgym.serve.openenv_client import OverOpenEnv

            yield functools.partial(OverOpenEnv, server.url)


OVER = ["here", "http", "openenv", "rollout"]


def main() -> None:
    """Train over each, print what came, and end with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--over", nargs="+", default=OVER, choices=OVER)
    parser.add_argument("--task", default="wizard.h1", help="one that a random model solves now and then")
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    for over in arguments.over:
        with tempfile.TemporaryDirectory(prefix="webgym-trl-") as folder, connected(over) as connect:
            with connect() as session:
                page = session.begin(arguments.task, 0).observation.text(goal=True)
            rollout = over == "rollout"
            texts = [page, system_text("call"), *(str(tool.__doc__) for tool in vars(BrowserTask).values())]
            build(Path(folder), texts, TEXTS if rollout else TOOL_CALLS)
            found[over] = run = trained(Path(folder), connect, arguments.task, arguments.iterations, rollout)
        print(f"over {over}: losses {run['losses']}, gradients {run['gradients']}")
        for group in run["groups"]:
            print(f"  seed {group['seed']}: first observations {', '.join(group['hashes'])}; rewards {group['rewards']}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    runs = found.values()
    met = {
        "the members of each group saw one instance": all(len(g["hashes"]) == 1 and g["hashes"][0] for run in runs for g in run["groups"]),
        f"each run had {arguments.iterations} iterations": all(len(run["losses"]) == arguments.iterations for run in runs),
        "losses are finite": all(map(math.isfinite, (loss for run in runs for loss in run["losses"]))),
        "rewards differ within a group, and a gradient is not 0": all(
            any(len(set(g["rewards"])) > 1 for g in run["groups"]) and max(run["gradients"]) > 0 for run in runs
        ),
        "all protocols gave the same instances": len({str(sorted((g["seed"], *g["hashes"]) for g in run["groups"])) for run in runs}) == 1,
    }
    for bar, holds in met.items():
        print(f"{'met   ' if holds else 'MISSED'} {bar}")
    if not all(met.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
