"""Samplers are found by name, by entry point and by path; a file outside of the repository trains and evaluates."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.trainers.text_runs import SMALL, finish, start, state, write_model
from trainers.config import resolve, with_settings
from trainers.models.policy_model import PolicyModel
from trainers.samplers import registry
from trainers.samplers.settings import SamplerConfig
from trainers.training.evaluation import assess_checkpoints, play, sampler_of
from trainers.training.kept import without_idle
from trainers.training.trainer import Trainer
from webgym.errors import ConfigError
from webgym.evaluation.assessment import Assessment
from webgym.record.store import load

ROOT = Path(__file__).parents[3]
WANTED = Assessment(("wizard.h3",), seeds=4, sessions=2, backend="text")

MINE = '''\
"""A sampler of somebody else: one request at a time, each token from a forward pass over all that stands before it."""

from concurrent.futures import Future
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from trainers.models.lora import plain_copy, plain_state
from trainers.models.model import end_ids
from trainers.samplers.sampler import Counters, Generated, Sampler, draw

LOG = Path(__file__).with_name("log.txt")


class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    slots: int = 1
    greeting: str = "hello"


class OneByOne(Sampler):
    def __init__(self, config, source, version):
        self.counters = Counters()
        self.config = config
        self.model, self.tokenizer = plain_copy(source.model).eval(), source.tokenizer
        self.model.set_attn_implementation("sdpa")
        self.ends = end_ids(source.model, source.tokenizer)
        self.version = version
        self.note("open")

    def note(self, words):
        with LOG.open("a") as file:
            file.write(f"{words} {self.version} {self.config.greeting} {self.config.slots}\\n")

    def submit(self, prompt_ids, seed, sampling, key=""):
        uniforms = np.random.Generator(np.random.Philox(key=seed)).random(sampling.max_tokens)
        ids, logprobs = [], []
        with torch.inference_mode():
            while len(ids) < sampling.max_tokens and not (ids and ids[-1] in self.ends):
                logits = self.model(input_ids=torch.tensor([[*prompt_ids, *ids]])).logits[0, -1].float()
                token, logprob = draw(logits, float(uniforms[len(ids)]), sampling)
                ids.append(token)
                logprobs.append(logprob)
        self.counters.completions += 1
        done = Future()
        text = self.tokenizer.decode(ids[:-1] if ids[-1] in self.ends else ids)
        done.set_result(Generated(tuple(ids), tuple(logprobs), text, self.version))
        return done

    def set_weights(self, weights, version):
        self.model.load_state_dict(plain_state(weights) if isinstance(weights, nn.Module) else weights)
        self.version = version
        self.note("weights")

    def close(self):
        self.note("close")


def open_sampler(config: Config, source, *, folder: Path, version: int) -> OneByOne:
    return OneByOne(config, source, version)
'''


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere/mine.py"
    path.parent.mkdir()
    path.write_text(MINE)
    return path


def same_episodes(first: list, second: list) -> bool:
    def told(played):
        return [[(t.completion.prompt_ids, t.completion.action_ids) for t in x.turns] for x in played]

    return told(first) == told(second)


def test_a_file_elsewhere_trains_and_evaluates(model: Path, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tokens are those of our sampler, so the run is ours but for the last bits of the log-probabilities."""
    monkeypatch.chdir(mine.parent)
    data = with_settings(
        {**SMALL, "model": str(model), "algo": "q_learning", "length": {"iterations": 1}},
        ["sampler.kind=./mine.py", "sampler.greeting=hey"],
    )
    trainer = finish(Trainer.start(resolve(data)[0], parent=tmp_path, name="mine"))
    log = mine.with_name("log.txt")
    assert log.read_text().splitlines() == ["open 0 hey 1", "weights 1 hey 1", "close 1 hey 1"]
    ours = finish(start(model, tmp_path, "ours", "q_learning", iterations=1))
    first, second = (tmp_path / name / "trajectories/iter-000001.jsonl" for name in ("mine", "ours"))
    assert same_episodes(load(first), load(second))
    for one, other in zip(state(trainer), state(ours), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)

    monkeypatch.chdir(tmp_path)  # the run keeps the absolute path
    resumed = finish(Trainer.resume(tmp_path / "mine", changes={"length": {"iterations": 2}, "sampler": {"kind": "elsewhere/mine.py"}}))
    assert resumed.config.sampler.kind == str(mine) and resumed.config.sampler.options == {"greeting": "hey"}
    assert log.read_text().splitlines()[3:] == ["open 1 hey 1", "weights 2 hey 1", "close 2 hey 1"]

    log.unlink()
    path = tmp_path / "mine"
    report, comparison = assess_checkpoints(
        WANTED, path, model, [f"sampler.kind={mine}", "sampler.slots=3"], greedy=True, temperature=1.0, seed=0
    )
    assert report.overall.episodes == 4 and comparison is not None
    assert log.read_text().splitlines() == ["open 0 hello 3", "close 0 hello 3"] * 2
    assert same_episodes(play(WANTED, path, sampler=SamplerConfig(kind=str(mine))), play(WANTED, path))


def test_a_resumed_run_may_take_another_sampler(model: Path, mine: Path, tmp_path: Path) -> None:
    """Its own options stay with the sampler that they were for, whose file may be gone."""
    sampler = {"kind": str(mine), "greeting": "hey"}
    finish(start(model, tmp_path, "run", "grpo", iterations=1, sampler=sampler))
    mine.unlink()
    with pytest.raises(ConfigError, match="expected a Python file there, found none"):
        Trainer.resume(tmp_path / "run", changes={"length": {"iterations": 2}})
    resumed = Trainer.resume(tmp_path / "run", changes={"sampler": {"kind": "local"}})
    with resumed.run:
        assert resumed.config.sampler == SamplerConfig(slots=8), "the default"


CODE = """
import sys
from pathlib import Path
from tests.trainers.text_runs import finish, start
from trainers.samplers import registry
from trainers.samplers.settings import SamplerConfig
from trainers.training.evaluation import play
from webgym.evaluation.assessment import Assessment
from webgym.record.store import load
model, folder = map(Path, sys.argv[1:])
assert "lab.sampling" not in sys.modules and registry.names()[-1] == "lab"
run = finish(start(model, folder, "run", "grpo", iterations=1, sampler={"kind": "lab"})).run.path
played = play(Assessment(("wizard.h3",), seeds=2, sessions=2, backend="text"), run, sampler=SamplerConfig(kind="lab"))
print(len(played), sys.modules["lab.sampling"].LOG.read_text().count("open"))
"""


@pytest.mark.slow  # the same by the other way of finding it
def test_an_installed_sampler_trains_and_evaluates(model: Path, tmp_path: Path) -> None:
    (tmp_path / "lab-1.0.dist-info").mkdir()
    (tmp_path / "lab-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    (tmp_path / "lab-1.0.dist-info/entry_points.txt").write_text("[webgym.samplers]\nlab = lab.sampling\nlocal = lab.nowhere\n")
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/__init__.py").write_text("")
    (tmp_path / "lab/sampling.py").write_text(MINE)
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run([sys.executable, "-c", CODE, str(model), str(tmp_path)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "2 2"
    assert "the sampler 'local' (entry point 'lab.nowhere') is left out: there is one of this name" in done.stderr


def test_ours_are_found_with_their_contract() -> None:
    assert [*registry.names()] == ["batched", "local", "openai"]
    assert registry.holding_grammar() == ["batched", "local"]
    for name in registry.names():
        kind = registry.get(name)
        assert kind.name == name and kind.summary.endswith((".", ":", "log-probabilities: vLLM or SGLang."))
        assert kind.Config(**({"model": "m"} if name == "openai" else {}))


PARTS = '''\
"""A sampler."""
from pydantic import BaseModel, ConfigDict
from trainers.samplers.sampler import Counters, Sampler
class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
class Mine(Sampler):
    def __init__(self): self.counters = Counters()
    def submit(self, prompt_ids, seed, sampling, key=""): ...
    def set_weights(self, weights, version): ...
    def close(self): ...
def open_sampler(config, source, *, folder, version) -> Mine:
    return Mine()
'''


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"""A sampler."""', "", "expected a docstring whose first line says what it is$"),
        ("class Config(", "class Confg(", r"expected a class Config of its settings, it has none; did you mean 'Confg'"),
        ("frozen=True, ", "", r'expected Config to have model_config = ConfigDict\(frozen=True, extra="forbid"\)$'),
        ("class Config(BaseModel):", "Config = 3\nclass C(BaseModel):", "expected Config to be a pydantic BaseModel, got 3"),
        ("def open_sampler(", "def open_samplr(", r"expected a function open_sampler\(config, source, .*none; did you mean 'open_samplr'"),
        ("*, folder, version", "*, version", r"expected open_sampler to take .* it takes \(config, source, \*, version\).*'folder'"),
        ("def set_weights(", "def set_weight(", "but a Mine has no set_weights; did you mean 'set_weight'"),
        ("def submit(self", "HOLDS_GRAMMAR = 1\n    def sumbit(self", "but a Mine has no submit; did you mean 'sumbit'"),
        ("class Mine(Sampler):", "class Mine:", "but a Mine has no generate and no __enter__ and no __exit__$"),
        ("def open_sampler", "HOLDS_GRAMMAR = 'yes'\ndef open_sampler", "expected HOLDS_GRAMMAR to be True or False, got 'yes'"),
        ('"""A sampler."""', "import no_such_module", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        ('"""A sampler."""', "def", r"cannot be loaded: SyntaxError: .*mine\.py, line 1"),
    ],
)
def test_a_wrong_file_says_what_is_missing(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "mine.py"
    assert PARTS.count(old) == 1
    path.write_text(PARTS.replace(old, new))
    with pytest.raises(ConfigError, match=rf"sampler file {path}.*{words}"):
        resolve({"sampler": {"kind": str(path)}})


def test_all_that_is_missing_is_said_at_once_and_a_mended_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import torch\n")
    with pytest.raises(ConfigError, match=r"expected a class Config .*; a function open_sampler.*; a docstring"):
        registry.get(str(path))
    path.write_text(PARTS)
    assert registry.get(str(path)).summary == "A sampler."


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            " -> Mine:\n    return Mine()",
            ":\n    return 3",
            "to return a Sampler, got a int that has no submit and no generate",
        ),
        ("self.counters = Counters()", "pass", r"got a Mine that has no counters \(trainers\.samplers\.sampler\.Counters\)"),
    ],
)
def test_what_is_opened_is_looked_at(model: Path, tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "mine.py"
    assert PARTS.count(old) == 1
    path.write_text(PARTS.replace(old, new))
    with pytest.raises(ConfigError, match=words):
        registry.open_sampler(SamplerConfig(kind=str(path)), PolicyModel.load(model), folder=tmp_path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["sampler.kind=opnai"], r"no sampler is called 'opnai'; did you mean 'openai'\? \(there are batched, local, openai; or give"),
        (["sampler.kind=./no.py"], r"sampler\.kind=\./no\.py: expected a Python file there, found none"),
        (["sampler.slost=4"], "sampler local: unknown key 'slost'; did you mean 'slots'"),
        (["sampler.options.slost=4"], "sampler local: unknown key 'slost'; did you mean 'slots'"),
        (["sampler.slots=0"], r"sampler\.slots: input should be greater than or equal to 1, got 0"),
        (["sampler.reload=trl"], r"sampler\.reload: input should be 'vllm' or 'sglang', got 'trl'"),
        (["sampler.options=3"], r"sampler\.options: input should be a valid dictionary, got 3"),
    ],
)
def test_mistakes_in_the_configuration_are_told_in_one_sentence(settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve(with_settings({}, settings))


def test_configurations_of_old_runs_still_read() -> None:
    """They have every key of every sampler of then, whichever was used."""
    old = {"slots": 16, "base_url": "", "model": "", "reload": "vllm", "logprobs": "raw"}
    assert resolve(without_idle({"sampler": {"kind": "local", **old}}))[0].sampler.slots == 16
    assert resolve(without_idle({"sampler": {"kind": "openai", **old, "model": "m"}}))[0].sampler.reload == "vllm"
    assert resolve({})[0].sampler == resolve(resolve({})[0].model_dump())[0].sampler == SamplerConfig(kind="local", slots=8)
    assert sampler_of(["sampler.kind=openai", "sampler.model=m"]) == SamplerConfig(kind="openai", model="m")
    with pytest.raises(ConfigError, match="unknown key 'group_size'"):
        resolve({"sampler": sampler_of(["group_size=3"]).model_dump()})


def test_a_grammar_needs_a_sampler_that_holds_it(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PARTS)
    with pytest.raises(ConfigError, match=rf"grammar=true needs sampler\.kind=batched or local: the sampler {path} cannot hold"):
        resolve({"rollout": {"grammar": True}, "sampler": {"kind": str(path)}})
    with pytest.raises(ConfigError, match=rf"the sampler {path} cannot hold answers to a grammar, which {model} .*--no-grammar"):
        play(WANTED, model, grammar=True, sampler=SamplerConfig(kind=str(path)))
    path.write_text(PARTS + "HOLDS_GRAMMAR = True\n")
    assert resolve({"rollout": {"grammar": True}, "sampler": {"kind": str(path)}})[0].rollout.grammar
