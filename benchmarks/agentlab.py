"""AgentLab's GenericAgent on our tasks: a study of five tasks to its end, against an OpenAI server whose answers are the oracles'.

    make agentlab
    python -m benchmarks.agentlab [--jobs 2] [--keep FOLDER]

It runs in an environment of its own (`make agentlab` says which versions). The server speaks the chat completions of OpenAI over a real
socket. It knows an episode by its goal and answers with the oracle's next action, on the first seed of each task. On the second seed it
gives up. So the rewards must be 1 and 0, all by termination, and no episode may end in an error. The agent, its prompts, the parsing of
its answers and the loop are AgentLab's.
"""

import argparse
import contextlib
import http.server
import importlib.metadata
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TASKS = ("miniwob.click-button", "miniwob.login-user", "miniwob.enter-text", "wizard.h3", "mail.star")
SOLVED, GIVEN_UP = 3, 4
PACKAGES = ("agentlab", "browsergym-experiments", "browsergym-core", "playwright", "openai", "gymnasium")
MODEL = "scripted"


def rehearsed() -> dict[str, list[str]]:
    """The answers of the model by the goal of the episode."""
    from webgym.actions import render
    from webgym.env.core import AsyncWebEnv
    from webgym.loop_thread import loop_thread
    from webgym.packs import registry
    from webgym.policies.scripted import OraclePolicy
    from webgym.types import EpisodeKey

    async def play(task: str, seed: int) -> tuple[str, list[str]]:
        env, policy, texts = AsyncWebEnv(), OraclePolicy(registry.task), []
        observation = await env.reset(task, seed)
        goal, over = observation.goal, False
        while not over and seed == SOLVED:
            action = policy.action(observation, EpisodeKey(task, seed))
            texts.append(render(action, "call"))
            step = await env.step(action)
            observation, over = step.observation, bool(step.kind)
        await env.close()
        return goal, texts or ["report_infeasible('I give up.')"]

    answers = dict(loop_thread().run(play(task, seed)) for task in TASKS for seed in (SOLVED, GIVEN_UP))
    if len(answers) < 2 * len(TASKS):
        sys.exit("two episodes have one goal: choose other seeds")
    return answers


@contextlib.contextmanager
def scripted(answers: dict[str, list[str]]) -> Iterator[str]:
    """The address of a server of chat completions that gives each goal's answers in turn."""
    left = {goal: iter(texts) for goal, texts in answers.items()}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            prompt = json.dumps(asked["messages"], ensure_ascii=False)
            goal = max((goal for goal in left if json.dumps(goal, ensure_ascii=False)[1:-1] in prompt), key=len)
            text = f"<think>\nThe script says so.\n</think>\n<action>\n{next(left[goal])}\n</action>"
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            body = json.dumps({"id": "x", "object": "chat.completion", "created": 0, "model": MODEL, "choices": [choice], "usage": usage})
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()


def studied(folder: Path, jobs: int) -> list[dict[str, Any]]:
    """The episodes of the study, as AgentLab wrote them down."""
    from agentlab.agents.generic_agent.agent_configs import FLAGS_CUSTOM  # pyright: ignore[reportMissingImports]
    from agentlab.agents.generic_agent.generic_agent import GenericAgentArgs  # pyright: ignore[reportMissingImports]
    from agentlab.experiments.study import make_study  # pyright: ignore[reportMissingImports]
    from agentlab.llm.chat_api import OpenAIModelArgs  # pyright: ignore[reportMissingImports]

    from webgym.serve.agentlab_study import benchmark, results

    model = OpenAIModelArgs(model_name=MODEL, max_total_tokens=40_000, max_input_tokens=39_000, max_new_tokens=1000)
    study = make_study(GenericAgentArgs(model, FLAGS_CUSTOM), benchmark(TASKS, (SOLVED, GIVEN_UP)))
    study.run(n_jobs=jobs, parallel_backend="joblib", n_relaunch=1, exp_root=folder)
    return results(study)


def main() -> None:
    """Run the study, print its episodes, and end with 1 where one is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes of the study")
    parser.add_argument("--keep", type=Path, help="folder for the study; a temporary one unless given")
    arguments = parser.parse_args()
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES))
    answers = rehearsed()
    with scripted(answers) as url, tempfile.TemporaryDirectory(prefix="webgym-agentlab-") as folder:
        os.environ.update(OPENAI_BASE_URL=url, OPENAI_API_KEY="none", AGENTLAB_EXP_ROOT=folder)
        found = studied(arguments.keep or Path(folder), arguments.jobs)
    for row in found:
        print(f"{row['task']:<24} seed {row['seed']}: reward {row['reward']}, terminated {row['terminated']} {row['error'][:300]}")
    wanted = {(task, seed): 1.0 if seed == SOLVED else 0.0 for task in TASKS for seed in (SOLVED, GIVEN_UP)}
    met = {(row["task"], row["seed"]): row["reward"] for row in found if row["terminated"]} == wanted
    print(f"{'met   ' if met else 'MISSED'} GenericAgent finished a study of {len(TASKS)} tasks, with the rewards of its answers")
    raise SystemExit(not met)


if __name__ == "__main__":
    main()
