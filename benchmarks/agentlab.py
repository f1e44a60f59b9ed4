"""AgentLab's GenericAgent on our tasks: a study of five tasks to its end, against an OpenAI server whose answers are the oracles'.

    make agentlab
    python -m benchmarks.agentlab [--jobs 2] [--keep FOLDER]

It runs in an environment of its own (`make agentlab` says which versions). The server (`benchmarks/scripted_model.py`) answers with the
oracle's next action on the first seed of each task, and gives up on the second. So the rewards must be 1 and 0, all by termination, and no
episode may end in an error. The agent, its prompts, the parsing of its answers, the processes and the loop are AgentLab's.
"""

import argparse
import importlib.metadata
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.scripted_model import MODEL, rehearsed, scripted
from webgym.actions import parse, render
from webgym.types import Message, Stop

TASKS = ("miniwob.click-button", "miniwob.login-user", "miniwob.enter-text", "wizard.h3", "mail.star")
SOLVED, GIVEN_UP = 3, 4
PACKAGES = ("agentlab", "browsergym-experiments", "browsergym-core", "playwright", "openai", "gymnasium")


def as_generic_agent_reads_it(action: str) -> str:
    """An answer of the model. BrowserGym's actions have no `stop`: a message to the user ends a task (:mod:`webgym.serve.agentlab`)."""
    if isinstance(said := parse(action, "call"), Stop):
        action = render(Message(said.answer or "It is done."), "call")
    return f"<think>\nThe script says so.\n</think>\n<action>\n{action}\n</action>"


def studied(folder: Path, jobs: int) -> list[dict[str, Any]]:
    """The episodes of the study, as AgentLab wrote them down."""
    from agentlab.agents.generic_agent.agent_configs import FLAGS_CUSTOM  # pyright: ignore[reportMissingImports]
    from agentlab.agents.generic_agent.generic_agent import GenericAgentArgs  # pyright: ignore[reportMissingImports]
    from agentlab.experiments.study import make_study  # pyright: ignore[reportMissingImports]
    from agentlab.llm.chat_api import OpenAIModelArgs  # pyright: ignore[reportMissingImports]

    from webgym.serve.agentlab_study import benchmark, results

    model = OpenAIModelArgs(model_name=MODEL, max_total_tokens=40_000, max_input_tokens=39_000, max_new_tokens=1000)
    study = make_study(GenericAgentArgs(chat_model_args=model, flags=FLAGS_CUSTOM), benchmark(TASKS, (SOLVED, GIVEN_UP)))
    study.run(n_jobs=jobs, parallel_backend="joblib", n_relaunch=1, exp_root=folder)
    return results(study)


def main() -> None:
    """Run the study, print its episodes, and end with 1 where one is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes of the study")
    parser.add_argument("--keep", type=Path, help="folder for the study; a temporary one unless given")
    arguments = parser.parse_args()
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES))
    answers = rehearsed(TASKS, SOLVED, GIVEN_UP)
    with scripted(answers, as_generic_agent_reads_it) as url, tempfile.TemporaryDirectory(prefix="webgym-agentlab-") as folder:
        os.environ.update(OPENAI_BASE_URL=url, OPENAI_API_KEY="none", AGENTLAB_EXP_ROOT=folder, HF_HUB_OFFLINE="1")
        found = studied(arguments.keep or Path(folder), arguments.jobs)
    for row in found:
        print(f"{row['task']:<24} seed {row['seed']}: reward {row['reward']}, terminated {row['terminated']} {row['error'][:300]}")
    wanted = {(task, seed): 1.0 if seed == SOLVED else 0.0 for task in TASKS for seed in (SOLVED, GIVEN_UP)}
    met = {(row["task"], row["seed"]): row["reward"] for row in found if row["terminated"]} == wanted
    print(f"{'met   ' if met else 'MISSED'} GenericAgent finished a study of {len(TASKS)} tasks, with the rewards of its answers")
    raise SystemExit(not met)


if __name__ == "__main__":
    main()
