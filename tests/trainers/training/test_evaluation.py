"""A checkpoint is evaluated as it was trained: who acts by a critic in training acts by it in an evaluation."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from cli import app
from tests.trainers.samplers.test_openai import Backend
from tests.trainers.text_runs import finish, start, write_model
from tests.webgym.model_server import model_server
from trainers.models.model import prepare
from trainers.models.policy_model import PolicyModel
from trainers.models.tiny import Shape, build_model
from trainers.rollouts.best_of import BestOf
from trainers.rollouts.language_policy import LanguagePolicy
from trainers.samplers.local import LocalSampler
from trainers.samplers.openai import PROBES
from trainers.samplers.settings import SamplerConfig
from trainers.training.evaluation import assess_checkpoints, max_tokens_of, play, policy_of, tasks_of
from webgym.errors import ConfigError, WebGymError
from webgym.evaluation.assessment import Assessment
from webgym.policies.policy import Policy
from webgym.rollout.arena import Arena
from webgym.rollout.contract import PolicyHandle
from webgym.types import Sampling


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


def test_q_learning_is_evaluated_with_its_choice_among_proposals(model: Path, tmp_path: Path) -> None:
    trainer = finish(start(model, tmp_path, "run", "q_learning", iterations=2))
    path, sampling = trainer.run.path, Sampling(1.0, max_tokens=4)
    wanted = Assessment(("wizard.h3",), seeds=6, sessions=2, backend="text")
    with LocalSampler(trainer.source.model, trainer.source.tokenizer) as sampler, Arena(1, backend="text") as arena:
        policies: Sequence[Policy | PolicyHandle] = (
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


def test_temperature_0_is_greedy(model: Path) -> None:
    arguments = ["eval", "--checkpoint", str(model), "--tasks", "wizard.h3", "--backend", "text", "--seeds", "3", "--json"]
    shown = [CliRunner().invoke(app, [*arguments, *how]) for how in (["--greedy"], ["--temperature", "0"])]
    assert [one.exit_code for one in shown] == [0, 0] and shown[0].stdout == shown[1].stdout != ""


def test_a_model_knows_the_run_that_it_belongs_to(model: Path, tmp_path: Path) -> None:
    path = finish(start(model, tmp_path, "run", "archer", iterations=1)).run.path
    prompts = PolicyModel.load(model).prompts
    for place in (path, path / "checkpoints/iter-000001", path / "checkpoints/iter-000001/policy"):
        assert (tasks_of(place), max_tokens_of(place, prompts)) == (("wizard.h3",), 4)
    assert (tasks_of(model), max_tokens_of(model, prompts)) == (("default",), 16)


def test_a_server_evaluates_a_checkpoint(model: Path, tmp_path: Path) -> None:
    """It is given the checkpoint's weights first, whatever it was started with."""
    trainer = finish(start(model, tmp_path, "run", "archer", iterations=1))
    path, tokenizer = trainer.run.path, trainer.source.tokenizer
    wanted = Assessment(("wizard.h3",), seeds=4, sessions=2, backend="text")

    other = prepare(build_model(tokenizer, Shape(hidden=32, layers=1, heads=2, mlp=64), seed=7))
    with LocalSampler(other, tokenizer) as behind, model_server(Backend(behind).answer) as server:
        sampler = SamplerConfig(kind="openai", model="m", base_url=server.url)
        played = play(wanted, path, sampler=sampler)
        asked = [x for x in server.asked if x.path == "/v1/completions"]
        assert len(asked) - PROBES == sum(len(x.turns) for x in played) > 4, "the first ones ask whether the server samples as it should"
        loaded, trained = behind.model.state_dict(), trainer.source.model.state_dict()
        assert loaded.keys() == trained.keys() and all(torch.equal(x, trained[name]) for name, x in loaded.items())
        asked = [x.body["kwargs"]["weights_path"] for x in server.asked if x.path == "/collective_rpc"]
        assert len(asked) == 1 and Path(asked[0]).is_relative_to(path) and not Path(asked[0]).parent.exists()

        settings = ["sampler.kind=openai", "sampler.model=m", f"sampler.base_url={server.url}"]
        arguments = ["eval", "--checkpoint", str(path), "--against", str(model), "--seeds", "4", "--backend", "text", "--json"]
        shown = CliRunner().invoke(app, [*arguments, *(word for text in settings for word in ("--set", text))])
        assert shown.exit_code == 0, shown.output
        assert json.loads(shown.stdout)["overall"]["episodes"] == 4
        assert sum(x.path == "/collective_rpc" for x in server.asked) == 3

        with pytest.raises(ConfigError, match=r"the sampler openai cannot hold answers to a grammar.*--no-grammar.*kind=batched or local"):
            play(wanted, path, sampler=sampler, grammar=True)


def test_settings_go_with_a_checkpoint() -> None:
    result = CliRunner().invoke(app, ["eval", "--policy", "noop", "--set", "sampler.kind=openai"])
    assert isinstance(result.exception, WebGymError) and "expected --checkpoint beside it" in str(result.exception)
