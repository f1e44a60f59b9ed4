"""A checkpoint is evaluated as it was trained: who acts by a critic in training acts by it in an evaluation."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.trainers.text_runs import finish, start, write_model
from trainers.models.policy_model import PolicyModel
from trainers.rollouts.best_of import BestOf
from trainers.rollouts.language_policy import LanguagePolicy
from trainers.samplers.local import LocalSampler
from trainers.training.evaluation import assess_checkpoints, max_tokens_of, policy_of, tasks_of
from webgym.evaluation.assessment import Assessment
from webgym.policies.policy import Policy
from webgym.rollout.arena import Arena
from webgym.types import Sampling


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


def test_q_learning_is_evaluated_with_its_choice_among_proposals(model: Path, tmp_path: Path) -> None:
    trainer = finish(start(model, tmp_path, "run", "q_learning", iterations=2))
    path, sampling = trainer.run.path, Sampling(1.0, max_tokens=4)
    wanted = Assessment(("wizard.h3",), seeds=6, sessions=2, backend="text")
    with LocalSampler(trainer.source.model, trainer.source.tokenizer) as sampler, Arena(1, backend="text") as arena:
        policies: Sequence[Policy] = (
            trainer.players(arena, sampler).policy(sampling),
            policy_of(path, trainer.source, sampler, sampling, 0),
            policy_of(path / "checkpoints/iter-000002", trainer.source, sampler, sampling, 0),
            LanguagePolicy(trainer.source, sampler, sampling, 0),
        )
        games = [[[t.completion.action_ids for t in x.turns] for x in wanted.play(policy)] for policy in policies]
        assert isinstance(policies[1], BestOf)
        assert games[0] == games[1] == games[2] != games[3]
        plain = [policy_of(p, trainer.source, sampler, sampling, 0) for p in (model, path / "checkpoints/iter-000002/policy")]
        plain.append(policy_of(path, trainer.source, sampler, Sampling(greedy=True), 0))
        assert all(isinstance(policy, LanguagePolicy) for policy in plain)
    report, comparison = assess_checkpoints(wanted, path, model, greedy=False, temperature=1.0, seed=0)
    assert report.overall.episodes == 6 and comparison is not None


def test_a_model_knows_the_run_that_it_belongs_to(model: Path, tmp_path: Path) -> None:
    path = finish(start(model, tmp_path, "run", "archer", iterations=1)).run.path
    prompts = PolicyModel.load(model).prompts
    for place in (path, path / "checkpoints/iter-000001", path / "checkpoints/iter-000001/policy"):
        assert (tasks_of(place), max_tokens_of(place, prompts)) == (("wizard.h3",), 4)
    assert (tasks_of(model), max_tokens_of(model, prompts)) == (("default",), 16)
