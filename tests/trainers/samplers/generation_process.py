"""The generation server of the tests with webgym-tiny in a process of its own, steered over HTTP.

    python -m tests.trainers.samplers.generation_process      prints its port, and serves until its standard input ends

POST /test {"set": {name: value}} sets attributes of :class:`GenerationServer`, {"restart": true} restarts it; the answer names what it
has done: {"calls", "version", "completions", "chunks"}.
"""

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from tests.trainers.samplers.generation_server import GenerationServer
from tests.webgym.model_server import Asked, model_server
from trainers.models.policy_model import PolicyModel

ROOT = Path(__file__).parents[3]
TINY = ROOT / "trainers/pretrained/webgym-tiny"


class Process:
    """A server in a process of its own."""

    def __init__(self) -> None:
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        program = [sys.executable, "-m", "tests.trainers.samplers.generation_process"]
        self._process = subprocess.Popen(program, env=environ, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = 0

    def wait(self) -> None:
        """Wait until it answers."""
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def tell(self, **message: Any) -> dict[str, Any]:
        """Steer it; what it has done."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/test", json.dumps(message).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


@contextmanager
def processes(count: int) -> Iterator[list[Process]]:
    """So many servers."""
    with ExitStack() as stack:
        found = [Process() for _ in range(count)]
        for process in found:
            stack.callback(process.end)
        for process in found:
            process.wait()
        yield found


def serve() -> None:
    """Serve in this process."""
    torch.set_num_threads(1)
    tiny = PolicyModel.load(TINY)
    behind = GenerationServer(model=tiny.model, tokenizer=tiny.tokenizer)

    async def answer(asked: Asked) -> Any:
        if asked.path != "/test":
            return await behind.answer(asked)
        for name, value in asked.body.get("set", {}).items():
            assert hasattr(behind, name), name
            setattr(behind, name, value)
        if asked.body.get("restart"):
            behind.restart()
        done = {"calls": behind.calls, "version": behind.version, "completions": behind.completions, "chunks": behind.chunks}
        return json.loads(json.dumps(done))

    with model_server(answer) as server:
        print(server.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    serve()
