"""A server of OpenAI's chat completions whose answers are the oracles', for agents and trainers of others: they play, the script decides.

It speaks over a real socket and knows an episode by its goal, which stands in the prompt. Each goal has its answers in order, once for each
episode that is played with it. Who asks for more is told to give up.
"""

import contextlib
import http.server
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from webgym.actions import render
from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.policies.scripted import OraclePolicy
from webgym.types import EpisodeKey

MODEL = "scripted"
GIVES_UP = "report_infeasible('I give up.')"


async def _played(task: str, seed: int, backend: str, solve: bool) -> tuple[str, list[str]]:
    env, policy, texts = AsyncWebEnv(backend=backend), OraclePolicy(registry.task), []
    observation = await env.reset(task, seed)
    goal, over = observation.goal, False
    while not over and solve:
        action = policy.action(observation, EpisodeKey(task, seed))
        texts.append(render(action, "call"))
        step = await env.step(action)
        observation, over = step.observation, bool(step.kind)
    await env.close()
    return goal, texts or [GIVES_UP]


def rehearsed(tasks: Sequence[str], solved: int, given_up: int, backend: str = "browser") -> dict[str, list[str]]:
    """The answers by goal: the oracle's on the seed `solved` of each task, and giving up at once on the seed `given_up`."""
    pairs = [(task, seed) for task in tasks for seed in (solved, given_up)]
    answers = dict(loop_thread().run(_played(task, seed, backend, seed == solved)) for task, seed in pairs)
    if len(answers) < len(pairs):
        sys.exit("two episodes have one goal: choose other seeds")
    return answers


@contextlib.contextmanager
def scripted(answers: Mapping[str, Sequence[str]], form: Callable[[str], str] = str) -> Iterator[str]:
    """The address of the server. `form` makes the model's text of an action."""
    left = {goal: iter(texts) for goal, texts in answers.items()}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            prompt = json.dumps(asked["messages"], ensure_ascii=False)
            goal = max((goal for goal in left if json.dumps(goal, ensure_ascii=False)[1:-1] in prompt), key=len)
            message = {"role": "assistant", "content": form(next(left[goal], GIVES_UP))}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            answer = {"id": "x", "created": 0, "model": MODEL, "usage": usage}
            end = {"index": 0, "finish_reason": "stop"}
            if asked.get("stream"):
                said = {**answer, "object": "chat.completion.chunk", "choices": [{**end, "delta": message}]}
                self._write(f"data: {json.dumps(said)}\n\ndata: [DONE]\n\n", "text/event-stream")
            else:
                self._send({**answer, "object": "chat.completion", "choices": [{**end, "message": message}]})

        def _send(self, data: Any) -> None:
            self._write(json.dumps(data), "application/json")

        def _write(self, text: str, kind: str) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
