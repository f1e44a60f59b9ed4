"""The wheel as a stranger has it: a fresh environment outside of this checkout, next to a folder with a `tasks/` and a `cli.py` of its own.

    python -m benchmarks.wheel [--torch 'torch==2.13.0 --index-url ...']

Installs dist/*.whl with its dependencies, then runs commands there, each of which must end with 0, and with that installation the tutorial
and the notebook as `benchmarks/newcomers.py` does.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOREIGN = "raise SystemExit('the wrong file was imported')\n"
COMMANDS = (
    "webgym --version",
    "python -m webgym tasks list -t quick",
    "python -c \"import importlib.util as u; assert not u.find_spec('cli') or 'site-packages' not in u.find_spec('cli').origin\"",
    "webgym tasks show miniwob.click-button",
    "webgym demos --out demos/mine -t wizard.h1 --backend text --episodes 20",
    "webgym sft --demos demos/mine --out models/mine --set epochs=1 --threads 1",
    "webgym eval --checkpoint models/mine -t wizard.h1 --backend text --seeds 4",
    "webgym train --algo grpo -t wizard.h1 --backend text --set length.iterations=1 --set rollout.groups=2 --set evaluation.seeds=2",
    "webgym eval --policy oracle -t miniwob.click-test --seeds 2",
    "webgym view runs/latest --export run.html",
    "webgym tasks new my-shop",
)


def main() -> None:
    """Install and run; ends with 1 at the first command that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", default="torch", help="Arguments of pip for torch, which is installed first.")
    arguments = parser.parse_args()
    wheel = max((ROOT / "dist").glob("webgym_rl-*.whl"), key=lambda path: path.stat().st_mtime)
    with tempfile.TemporaryDirectory(prefix="webgym-wheel-") as folder:
        place = Path(folder)
        venv.create(place / "venv", with_pip=True)
        python = place / "venv/bin/python"
        for words in (shlex.split(arguments.torch), [str(wheel)]):
            subprocess.run([python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *words], check=True)
        user = place / "user"
        (user / "tasks").mkdir(parents=True)
        (user / "tasks/__init__.py").write_text(FOREIGN)
        (user / "cli.py").write_text(FOREIGN)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["PATH"] = f"{python.parent}:{environment['PATH']}"
        for command in COMMANDS:
            print(f"$ {command}", flush=True)
            if code := subprocess.run(shlex.split(command), cwd=user, env=environment).returncode:
                sys.exit(f"{command}: ended with {code}")
        newcomers = [sys.executable, "-m", "benchmarks.newcomers", "--python", str(python), "--goals", "tutorial", "notebook"]
        if code := subprocess.run(newcomers, cwd=ROOT, env=environment).returncode:
            sys.exit(code)
    print(f"{len(COMMANDS)} commands of {wheel.name}, the tutorial and the notebook ran outside of the checkout")


if __name__ == "__main__":
    main()
