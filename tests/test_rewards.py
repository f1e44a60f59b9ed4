"""Every place that writes a reward, listed: a new one must be looked at, and added here with its reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECORDS = {"Outcome": 1, "Step": 1, "Turn": 3}
"""Classes that hold a reward, by the place of the reward among their arguments."""

PLACES = {
    # Verdict to reward: the only place where an episode earns anything.
    ("webgym/env/core.py", "reward = 1.0 if kind == 'success' else 0.0"),
    ("webgym/env/core.py", "Step: reward"),
    # The same number goes on.
    ("webgym/rollout/episode.py", "Outcome: step.reward"),
    ("webgym/rollout/episode.py", "Turn: step.reward"),
    # Faults have no reward: NaN, which no trainer learns from.
    ("webgym/rollout/episode.py", "Outcome: math.nan"),
    ("webgym/rollout/processes.py", "Outcome: nan"),
    ("webgym/nodes/executor.py", "Outcome: nan"),
    # BrowserGym's own reward of its own episode, on the way to a verdict.
    ("webgym/backends/browsergym/worker.py", "self.observation, reward, terminated, truncated, _ = self.env.step(call)"),
    ("webgym/backends/browsergym/worker.py", "self.observation, reward, terminated, truncated, _ = self.env.step('noop()')"),
    ("webgym/authoring/suites/browsergym.py", "reward = float(found['reward'])"),
    # The same number on its way to other trainers and agents. A fault is an error there, with no reward.
    ("webgym/serve/messages.py", "cls: step.reward"),
    ("webgym/serve/openenv_client.py", "reward, done = (payload.get('reward'), payload.get('done', False))"),
    ("webgym/serve/openenv_client.py", "StepResult: reward"),
    ("webgym/serve/openenv_client.py", "Turned: result.reward"),
    ("webgym/serve/openenv_client.py", "WebGymObservation: reward"),
    ("webgym/serve/agentlab.py", "observation, reward, terminated, truncated, info = super().step(action)"),
    ("trainers/rollouts/trl_rollouts.py", "self.reward = turned.reward"),
    ("trainers/rollouts/trl_rollouts.py", "self.reward = None"),
    # A table of choices, a world of its own for studies of credit.
    ("trainers/studies/choices.py", "reward = float(mistakes + wrong <= problem.spared) if t == problem.turns - 1 else 0.0"),
    ("trainers/studies/choices.py", "reward = turns[-1].reward"),
    ("trainers/studies/choices.py", "Outcome: reward"),
    ("trainers/studies/choices.py", "Turn: reward"),
    ("trainers/studies/choices.py", "Turn: turn.reward"),
    # Files.
    ("webgym/record/store.py", "record['reward'] = _number(turn.reward)"),
    ("webgym/record/store.py", "fields['reward'] = _float(record['reward'])"),
    ("webgym/record/episodes.py", "reward, count = (outcome['reward'], rest.count(b'\"completion\":{'))"),
    # What a command prints.
    ("webgym/commands/replay.py", "end, reward = ('', 0.0)"),
    ("webgym/commands/replay.py", "observation, end, reward = (step.observation, step.kind, step.reward)"),
    # Another class of the name, without a reward.
    ("trainers/batches/packing.py", "Step: counts"),
    # Shaping and prompts behind the last turn, in the trainer.
    ("trainers/credit/credit.py", "replace: turn.reward - float(p)"),
    ("trainers/batches/rows.py", "Turn: 0.0"),
    ("trainers/critics/q_valuation.py", "reward = np.concatenate([np.zeros(0), *(rewards(x) for x in trajectories)])"),
}


def writes(tree: ast.AST) -> Iterator[str]:
    """Assignments to something called reward, and rewards given to the classes that hold one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = next((word.value for word in node.keywords if word.arg == "reward"), None)
            place = RECORDS.get(name, -1)
            if given is None and 0 <= place < len(node.args) and not any(isinstance(arg, ast.Starred) for arg in node.args):
                given = node.args[place]
            if given is not None:
                yield f"{name}: {ast.unparse(given)}"
        elif isinstance(node, ast.Assign | ast.AugAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                names = [ast.unparse(part) for part in ast.walk(target) if isinstance(part, ast.Name | ast.Attribute | ast.Subscript)]
                if any(name == "reward" or name.endswith((".reward", "['reward']")) for name in names):
                    yield ast.unparse(node)


def test_rewards_are_written_where_it_is_known() -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), written)
        for package in ("webgym", "trainers")
        for path in sorted((ROOT / package).rglob("*.py"))
        if not path.is_relative_to(ROOT / "webgym/authoring/starter")
        for written in writes(ast.parse(path.read_text("utf-8")))
    }
    assert found - PLACES == set(), "a reward is written in a new place"
    assert PLACES - found == set(), "a place of this list is gone"


def test_the_search_sees_what_it_is_for() -> None:
    hostile = "x.reward = 1\nx.reward += 1\nstep['reward'], y = 1, 2\nOutcome('success', 1.0)\nreplace(turn, reward=1)\nreward: float = 1"
    assert len(list(writes(ast.parse(hostile)))) == 5
