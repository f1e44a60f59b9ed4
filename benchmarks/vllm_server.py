"""A real vLLM behind a run: are its log-probabilities the learner's, do new weights arrive, and what does a restart of it change?

    python -m benchmarks.vllm_server --python .venv-vllm/bin/python [--parts file adapter nccl restart] [--iterations 10] [--write FILE]

file      A GRPO run over one server, weights by `sampler.transport=file`. Every sampled token of every iteration is scored by the
          checkpoint that should have written it: the distance of the log-probabilities, and the mean of the ratio learner / server.
adapter   The same with an adapter (`lora.rank`) by `sampler.transport=adapter`.
nccl      The same with weights from memory to memory by `sampler.transport=nccl`, in chunks of 1 MiB. NCCL needs GPUs: the server's engine
          has gloo in its place (`benchmarks/gloo_in_vllm.py`), and all else is vLLM's.
restart   The same over two servers, one of which is killed (SIGKILL) after the first iteration and started again with the weights that it
          began with: every token must still be its checkpoint's, and the run's success that of a run in one process.

The server runs on the CPU in a virtual environment of its own, which `make vllm` makes. Turns are played on the text twin.

The model is webgym-tiny with a head of its own. vLLM 0.32 on the CPU packs the head's weights when it starts
(vllm/model_executor/layers/vocab_parallel_embedding.py), and a head that is tied to the embeddings is not packed again when they change.
"""

import argparse
import json
import math
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import textwrap
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks import marks
from benchmarks.collectors import ROOT
from trainers.config import resolve, with_settings
from trainers.models.model import no_progress_bars
from trainers.models.policy_model import PolicyModel
from trainers.samplers.server_answers import scored
from trainers.training.trainer import Trainer
from webgym.errors import WebGymError
from webgym.evaluation.statistics import wilson
from webgym.record import layout
from webgym.record.store import load
from webgym.types import Trajectory

TINY = ROOT / "trainers/pretrained/webgym-tiny"
MODEL = "model"  # its folder, below that of the benchmark
NAME = "policy"
UP_S = 900.0  # longest time until a server answers
RUN = ("machine.backend=text", "machine.sessions=8", "rollout.groups=8", "rollout.group_size=8", "evaluation.seeds=0", "trackers=[]",
       "length.minutes=null", "checkpoints.every=1", "checkpoints.keep=1000")  # fmt: skip
OPTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "adapter": (("--enable-lora", "--max-lora-rank", "16", "--max-loras", "2"), ("lora.rank=4",)),
    "nccl": (
        ("--weight-transfer-config", '{"backend": "gloo"}', "--worker-extension-cls", "benchmarks.gloo_in_vllm.Extension"),
        ("sampler.transfer_chunk_mb=1",),
    ),
}
"""Options of the server and settings of the run, for parts over one server that need some."""
LAST = 3  # iterations whose episodes count for the success of a run
BARS = {"logprob": 1e-4, "ratio": 1e-3, "tokens": 1000}
BEGIN, END = "<!-- vllm: begin -->", "<!-- vllm: end -->"


def untied(parent: Path) -> Path:
    """webgym-tiny with a head of its own, in a folder below `parent`."""
    if not (folder := parent / MODEL).exists():
        source = PolicyModel.load(TINY)
        model: Any = source.model
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
        model.config.tie_word_embeddings = False
        model.all_tied_weights_keys = {}
        source.save(folder)
    return folder


class Server:
    """A vLLM process that serves webgym-tiny."""

    def __init__(self, python: Path, log: Path, *options: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        self._program = [
            str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(untied(log.parent)), "--served-model-name", NAME,
            "--host", "127.0.0.1", "--port", str(self.port), "--dtype", "float32", "--max-model-len", "1024", "--max-num-seqs", "16",
            "--enforce-eager", "--logprobs-mode", "processed_logprobs", *options,
        ]  # fmt: skip
        self._environ = {
            **os.environ, "VLLM_SERVER_DEV_MODE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
            "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process at its port, without waiting for it."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._program, env=self._environ, cwd=self._log.parent, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> float:
        """Wait until it answers; the seconds that took. Raises WebGymError where it ends instead."""
        begun = time.monotonic()
        while time.monotonic() - begun < UP_S:
            if self.process is None or self.process.poll() is not None:
                break
            if self.told("/v1/models") is not None:
                return time.monotonic() - begun
            time.sleep(0.5)
        self.kill()
        raise WebGymError("vLLM did not begin: " + " | ".join(self._log.read_text(errors="replace").splitlines()[-5:]))

    def told(self, path: str) -> str | None:
        """What it says at a path; None where it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, OSError):
            return None

    @property
    def generated(self) -> float:
        """Tokens that it has generated since it was started."""
        lines = (self.told("/metrics") or "").splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("vllm:generation_tokens_total"))

    def kill(self) -> None:
        """End it and all below it by force."""
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def servers(count: int, python: Path, folder: Path, *options: str) -> Iterator[list[Server]]:
    """So many servers that answer."""
    with ExitStack() as stack:
        found = [Server(python, folder / f"vllm-{number}.log", *options) for number in range(count)]
        for server in found:
            stack.callback(server.kill)
            server.start()
        for server in found:
            print(f"vLLM answers after {server.wait():.0f} s at {server.url}", flush=True)
        yield found


def trained(parent: Path, name: str, tasks: Sequence[str], iterations: int, running: Sequence[Server] = (), *settings: str) -> Path:
    """The folder of a run over these servers, or in this process."""
    start = {"algo": "grpo", "tasks": list(tasks), "model": str(untied(parent))}
    data = with_settings(start, [*RUN, f"length.iterations={iterations}", *settings])
    if running:
        sampler = {"kind": "openai", "model": NAME, "servers": [f"{server.url}/v1" for server in running], "logprobs": "processed"}
        data["sampler"] = {**sampler, **data.get("sampler", {})}
    trainer = Trainer.start(resolve(data)[0], parent=parent, name=name)
    with trainer.run:
        trainer.train()
    return parent / name


def distances(run: Path, iterations: int) -> dict[str, Any]:
    """The distance of each token's log-probability from that of the checkpoint whose version its turn says, and from the first one's."""
    apart, ratios, old, versions, batch_ratios = [], [], [], True, []
    first = PolicyModel.load(_policy(run, 0)).model.eval()
    for iteration in range(1, iterations + 1):
        model = PolicyModel.load(_policy(run, iteration - 1)).model.eval()
        mine = []
        for turn in (turn for x in load(layout.trajectory_file(run, iteration)) for turn in x.turns):
            said = turn.completion
            versions &= said.policy_version == iteration - 1
            expected = scored(model, said.prompt_ids, said.action_ids, 1.0)
            apart += [abs(a - b) for a, b in zip(expected, said.behaviour_logprobs, strict=True)]
            mine += [math.exp(a - b) for a, b in zip(expected, said.behaviour_logprobs, strict=True)]
            if iteration == iterations:
                old += [
                    abs(a - b) for a, b in zip(scored(first, said.prompt_ids, said.action_ids, 1.0), said.behaviour_logprobs, strict=True)
                ]
        ratios += mine
        batch_ratios.append(statistics.fmean(mine))
    return {
        "tokens": len(apart),
        "versions_right": versions,
        "largest": max(apart),
        "mean": statistics.fmean(apart),
        "ratio": max(batch_ratios, key=lambda ratio: abs(ratio - 1)),
        "from_first": statistics.fmean(old),
    }


def _policy(run: Path, iteration: int) -> Path:
    return run / layout.CHECKPOINTS / layout.iteration_name(iteration) / layout.POLICY


def success(run: Path, iterations: int) -> tuple[int, int]:
    """Successes and episodes of a run's last iterations."""
    episodes: list[Trajectory] = []
    for iteration in range(max(1, iterations - LAST + 1), iterations + 1):
        episodes += [x for x in load(layout.trajectory_file(run, iteration)) if not x.outcome.faulted]
    return sum(x.outcome.success for x in episodes), len(episodes)


def seconds(run: Path) -> dict[str, float]:
    """Means over the iterations of a run: seconds of one, and the share of them in which the sampler worked."""
    rows = [row for row in map(json.loads, (run / layout.METRICS).read_text().splitlines()) if "time/iteration_s" in row]
    return {
        name: statistics.fmean(row[key] for row in rows)
        for name, key in {"s": "time/iteration_s", "sampling": "time/sampling_share"}.items()
    }


def over_one(part: str, python: Path, parent: Path, tasks: Sequence[str], iterations: int) -> dict[str, Any]:
    """Figures of a run over one server."""
    options, settings = OPTIONS.get(part, ((), ()))
    with servers(1, python, parent, *options) as running:
        run = trained(parent, part, tasks, iterations, running, f"sampler.transport={part}", *settings)
    return distances(run, iterations) | {"iterations": iterations, **seconds(run)}


def restarted(python: Path, parent: Path, tasks: Sequence[str], iterations: int) -> dict[str, Any]:
    """Figures of a run over two servers, one of which is killed and comes back with its first weights, and of a run in one process."""
    with servers(2, python, parent) as running:
        over, times = threading.Event(), {}

        def harm() -> None:
            journal = parent / "restart" / layout.METRICS
            while not (journal.exists() and journal.read_text().strip()):
                if over.wait(0.2):
                    return
            running[0].kill()
            running[0].start()
            times["up"] = running[0].wait()

        thread = threading.Thread(target=harm)
        thread.start()
        try:
            run = trained(parent, "restart", tasks, iterations, running)
        finally:
            over.set()
            thread.join()
        generated = running[0].generated
    alone = trained(parent, "alone", tasks, iterations)
    here, there = (wilson(*success(path, iterations)) for path in (alone, run))
    found = distances(run, iterations) | {
        "iterations": iterations,
        **seconds(run),
        "restart_up_s": times.get("up"),
        "generated_after": generated,
    }
    rates = {name: _share(*success(path, iterations)) for name, path in (("success", run), ("success_alone", alone))}
    return found | rates | {"within": here.overlaps(there), "alone_s": seconds(alone)["s"]}


def _share(successes: int, episodes: int) -> str:
    interval = wilson(successes, episodes)
    return f"{successes / max(1, episodes):.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def passed(found: Mapping[str, Any]) -> bool:
    """True if a part keeps its bars."""
    near = found["largest"] <= BARS["logprob"] and abs(found["ratio"] - 1) <= BARS["ratio"] and found["tokens"] >= BARS["tokens"]
    return near and found["versions_right"] and found.get("within", True) and found.get("generated_after", 1) > 0


def table(result: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures as a table in Markdown."""
    lines = [
        "| run over vLLM | tokens | largest distance | mean distance | mean ratio learner / server | from the first weights | "
        "seconds an iteration |",
        "|---|---|---|---|---|---|---|",
    ]
    titles = {
        "file": "one server, `file`",
        "adapter": "one server, `adapter`",
        "nccl": "one server, `nccl` over gloo",
        "restart": "two servers, one killed and restarted, `file`",
    }
    for part, found in result.items():
        cells = (
            f"{titles[part]}, {found['iterations']} iterations", f"{found['tokens']:,}", f"{found['largest']:.1e}", f"{found['mean']:.1e}",
            f"{found['ratio']:.6f}", f"{found['from_first']:.2f}", f"{found['s']:.1f}",
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    if found := result.get("restart"):
        words = (
            f"Success of the last {LAST} iterations over the two servers: {found['success']}; of the same run in one process: "
            f"{found['success_alone']} (95% Wilson intervals). The killed server answered again after {found['restart_up_s']:.0f} s "
            f"and wrote {found['generated_after']:,.0f} more tokens, all by the present weights."
        )
        lines += ["", *textwrap.wrap(words, 140)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, required=True, help="Python of the virtual environment that has vLLM")
    parser.add_argument("--parts", nargs="+", default=["file", "adapter", "nccl", "restart"])
    parser.add_argument("--tasks", nargs="+", default=["wizard.h3"])
    parser.add_argument("--iterations", type=int, default=10, help="of the run with a restart; the others take three")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--write", type=Path, help="put the table into this page")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    no_progress_bars()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in arguments.parts:
            where = (arguments.python.absolute(), Path(folder), arguments.tasks)
            result[part] = restarted(*where, arguments.iterations) if part == "restart" else over_one(part, *where, 3)
            print(f"{part}: {json.dumps(result[part])}", flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))
    if arguments.write:
        marks.put(arguments.write, BEGIN, END, f"\n{table(result)}\n")
    raise SystemExit(not all(map(passed, result.values())))


if __name__ == "__main__":
    main()
