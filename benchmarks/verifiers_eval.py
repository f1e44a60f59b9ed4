"""verifiers' own evaluation on our tasks: two tasks, two seeds each, against a scripted OpenAI server.

    make verifiers
    python -m benchmarks.verifiers_eval [--tasks wizard.h1 wizard.h3] [--backend text]

It runs in the environment of `make verifiers`, with verifiers 0.4 and the package of `examples/verifiers`. The server answers as the oracle
acts on the first seed, and gives up on the second. So the rewards must be 1 and 0, and no trace may have an error.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.scripted_model import MODEL, rehearsed, scripted
from webgym.packs import sets


def traces(folder: Path) -> list[dict[str, Any]]:
    """The episodes that verifiers has written."""
    files = list(folder.rglob("traces.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]


def main() -> None:
    """Run the evaluation, print the rewards, and end with 1 where they are not the script's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=["wizard.h1", "wizard.h3"])
    parser.add_argument("--backend", default="text", choices=["browser", "text"])
    given = parser.parse_args()
    solved, given_up = sets.seeds_of("train")[:2]
    answers = rehearsed(given.tasks, solved, given_up, backend=given.backend)
    with scripted(answers) as url, tempfile.TemporaryDirectory(prefix="webgym-verifiers-") as folder:
        command = [str(Path(sys.executable).parent / "vf-eval"), "webgym_taskset", "-m", MODEL, "--client.base-url", url]
        command += ["--env.taskset.tasks", *given.tasks, "--env.taskset.seeds", "2", "--env.taskset.backend", given.backend]
        environment = {**os.environ, "PRIME_API_KEY": "none"}
        done = subprocess.run([sys.executable, *command, "--no-push", "-o", folder], env=environment, cwd=folder)
        episodes = traces(Path(folder))
    found = {}
    for episode in episodes:
        (trace,) = episode["traces"]
        rewards = {name: reward["score"] for name, reward in trace["rewards"].items()}
        found[episode["task"]["data"]["name"]] = (rewards, bool(episode["errors"]))
    wanted = {f"{task}#{seed}": ({"success": float(seed == solved)}, False) for task in given.tasks for seed in (solved, given_up)}
    for name, (rewards, failed) in sorted(found.items()):
        print(f"{name}: {rewards}{', an error' if failed else ''}")
    print("met    all rewards are the script's" if found == wanted and not done.returncode else f"MISSED expected {wanted}")
    if found != wanted or done.returncode:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
