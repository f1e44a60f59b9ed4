"""Recipes and the defaults that follow a model."""

import json
import tomllib
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from cli import app
from tests.trainers.chat_model import chat_model, chat_tokenizer
from tests.trainers.text_runs import SMALL, write_model
from trainers.config import resolve, with_settings
from trainers.models.lora import LoraSettings, add_lora
from trainers.models.policy_model import SETTINGS_FILE, PolicyModel
from trainers.recipes import recipe as recipes
from trainers.recipes.defaults import about, chosen, imitation
from trainers.recipes.estimate import GIB, Shape, estimate
from trainers.runs.keys import merged
from trainers.training.trainer import Trainer
from webgym.errors import ConfigError, DivergenceError, UsageError
from webgym.prompts.settings import PromptSettings


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Path:
    """A model that was not made here: it has a chat template and no prompt settings of ours."""
    folder = tmp_path_factory.mktemp("stranger")
    PolicyModel(chat_model(), chat_tokenizer(), PromptSettings()).save(folder)
    (folder / SETTINGS_FILE).unlink()
    return folder


# --- recipes -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_is_a_configuration_with_an_estimate(name):
    recipe = recipes.get(name)
    config, _ = resolve(recipe.config)
    assert recipe.about and recipe.machine and config.model
    assert all(value >= 0 for value in recipe.estimate.bytes.values()) and len(recipe.estimate.lines()) == 2
    promised = [int(word) for word in recipe.machine.split() if word.isdigit()]
    assert not promised or recipe.estimate.gib < promised[0] * 1e9 / GIB, f"{recipe.estimate.gib:.0f} GiB do not fit in {recipe.machine}"
    if name != "webgym-tiny":
        assert config.optim.first_step_kl and config.optim.lr <= 1e-4 and config.rollout.max_tokens >= 64


def test_a_recipe_that_there_is_not_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean '8b-lora'"):
        recipes.get("8b-lra")


def test_an_adapter_of_the_estimate_is_as_large_as_a_real_one():
    """And so is the model: a Llama of the recipe's sizes, on no device."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = recipes.get("smollm2-135m").shape
    with torch.device("meta"):
        config = LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            tie_word_embeddings=True,
        )
        model = LlamaForCausalLM(config)
        assert sum(p.numel() for p in model.parameters()) == shape.parameters
    small = LlamaForCausalLM(LlamaConfig(vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4))
    add_lora(small, LoraSettings(rank=3))
    own = Shape(0, 2, 32, 48, 4, 4, 8, 50)
    assert sum(p.numel() for p in small.parameters() if p.requires_grad) == 3 * own.linears


def test_what_takes_memory_is_in_the_estimate():
    shape, base = recipes.get("0.6b-lora").shape, recipes.get("0.6b-lora").config

    def gib(**changes):
        return estimate(resolve(merged(base, changes))[0], shape).bytes

    plain = gib()
    assert plain["weights"] == shape.parameters * 2 and plain["sampler"] == 0 and plain["critic"] == plain["reference"] == 0
    assert gib(lora={"rank": 0})["optimiser"] == shape.parameters * 18
    assert gib(machine={"dtype": "float32"})["weights"] == 2 * plain["weights"] and gib(machine={"dtype": "float32"})["sampler"] > 0
    assert gib(machine={"gradient_checkpointing": True})["activations"] < plain["activations"] / 5
    assert gib(algo="archer")["critic"] == 20 * 16 * shape.linears
    assert gib(update={"token_budget": 8192})["activations"] == plain["activations"] / 2


# --- defaults ----------------------------------------------------------------------------------------------------------------


def test_a_strangers_model_gets_an_adapter_and_small_steps(stranger):
    settings, line = chosen({"model": str(stranger)})
    assert settings == {"lora": {"rank": 16}, "optim": {"lr": 1e-4, "first_step_kl": 0.1}, "rollout": {"max_tokens": 64}}
    assert chosen({"model": str(stranger), "algo": "archer"})[0] == {**settings, "critic": {"fit": {"lr": 1e-4}}}
    assert line.startswith(f"{stranger} is a pretrained model (0.0 M parameters): ") and "optim.lr=0.0001" in line and "\n" not in line
    assert chosen({"model": str(stranger), "algo": "q_learning"})[0].keys() == {"lora", "rollout", "critic"}, "its policy takes no steps"
    on_gpu = chosen({"model": str(stranger), "machine": {"device": "cuda"}})[0]
    assert on_gpu["machine"] == {"dtype": "bfloat16"}


def test_what_is_said_is_not_changed(stranger):
    settings, line = chosen({"model": str(stranger), "lora": {"rank": 0}, "rollout": {"max_tokens": 24}})
    assert settings == {"optim": {"lr": 1e-5, "first_step_kl": 0.1}}
    assert chosen({"model": str(stranger), "lora": {"alpha": 8}})[0]["lora"] == {"rank": 16}
    assert "max_tokens" not in line and "lora" not in line
    assert chosen({"model": str(stranger), "prompts": {"thinking": "on"}})[0]["rollout"]["max_tokens"] == 1024


def test_a_model_made_here_is_trained_as_webgym_tiny_is(tmp_path):
    assert chosen({}) == chosen({"model": "webgym-tiny"}) == ({}, "")
    assert chosen({"model": str(write_model(tmp_path))}) == ({}, "") and not about(str(tmp_path)).pretrained


def test_an_adapter_brings_its_own(stranger, tmp_path):
    PolicyModel.load(stranger, lora=LoraSettings(rank=2)).save(tmp_path)
    assert about(str(tmp_path)).adapter and "lora" not in chosen({"model": str(tmp_path)})[0]
    assert about(str(tmp_path)).parameters == about(str(stranger)).parameters


def test_imitation_of_a_strangers_model_is_gentle_too(stranger):
    settings, line = imitation(str(stranger), {"epochs": 2})
    assert settings == {"lora": {"rank": 16}, "optimizer": "adamw", "lr": 5e-4} and "lora.rank=16" in line
    assert imitation(str(stranger), {"lora": {"rank": 0}, "lr": 1e-5})[0] == {"optimizer": "adamw"}
    assert imitation(str(stranger), {"lora": {"rank": 0}})[0]["lr"] == 2e-5
    assert imitation(str(stranger), {"lora": {"alpha": 8}})[0] == {"lora": {"rank": 16}, "optimizer": "adamw", "lr": 5e-4}
    assert imitation("", {}) == imitation("webgym-tiny", {}) == ({}, "")


@pytest.mark.parametrize("data", [{"lora": 16}, {"lora": {"rank": "many"}}, {"machine": "cuda"}, {"prompts": 3}])
def test_settings_of_another_form_are_refused_before_the_model_is_looked_at(data, stranger):
    with pytest.raises(ConfigError, match=rf"^{next(iter(data))}"):
        chosen({"model": str(stranger), **data})


def test_a_name_that_is_no_model_is_refused_at_once():
    with pytest.raises(UsageError, match=r"did you mean 'webgym-tiny'.* hub name"):
        about("webgym-tny")


# --- the command line --------------------------------------------------------------------------------------------------------


def run(*words):
    result = CliRunner().invoke(app, list(words))
    return result.output, result


def small_settings(**changes):
    return with_settings({}, []) | merged(SMALL, changes)


def test_train_says_what_it_chose_and_keeps_it(stranger, tmp_path):
    import tomli_w

    config = {**small_settings(length={"iterations": 1}, rollout={"groups": 1, "group_size": 2}), "prompts": {"max_nodes": 5}}
    config.pop("optim")
    (tmp_path / "run.toml").write_text(tomli_w.dumps(config))
    out, result = run("train", "--config", str(tmp_path / "run.toml"), "--model", str(stranger), "--out", str(tmp_path), "--name", "a")
    assert result.exit_code == 0, out
    assert f"{stranger} is a pretrained model" in out.replace("\n", "")
    kept = json.loads((tmp_path / "a" / "run.json").read_text())["chosen"]
    resolved = tomllib.loads((tmp_path / "a" / "config.toml").read_text())
    assert "lora.rank=16" in kept and resolved["lora"]["rank"] == 16 and resolved["optim"]["lr"] == 1e-4
    assert resolved["rollout"]["max_tokens"] == 4, "what was said stays"


def test_a_learning_rate_that_would_destroy_the_model_stops_the_run(stranger, tmp_path):
    """Groups whose episodes differ are rare with a random model, so credit comes by hand."""
    from dataclasses import replace

    import numpy as np

    data = small_settings(optim={"lr": 0.1, "first_step_kl": 0.1}, rollout={"groups": 1, "group_size": 2}, prompts={"max_nodes": 5})
    trainer = Trainer.start(resolve({**data, "model": str(stranger), "algo": "reinforce"})[0], parent=tmp_path, name="b")
    before = [p.detach().clone() for p in trainer.source.model.parameters()]
    whole = trainer.algorithm.credit

    def credit(groups, values, config):
        found = whole(groups, values, config)
        return replace(found, advantages=[np.full_like(x, 1.0 - 2 * (i % 2)) for i, x in enumerate(found.advantages)])

    trainer.algorithm = replace(trainer.algorithm, credit=credit)
    with trainer.run, pytest.raises(DivergenceError, match=r"optim\.lr=0\.1 is too high for this model.* start again with optim\.lr="):
        trainer.train()
    assert all(torch.equal(p, was) for p, was in zip(trainer.source.model.parameters(), before, strict=True))


def test_recipes_are_listed_and_shown():
    out, result = run("recipes", "list")
    assert result.exit_code == 0 and all(name in out for name in recipes.names())
    out, result = run("recipes", "show", "8b-lora-server")
    assert result.exit_code == 0 and "vllm serve" in out and "memory:" in out
    assert resolve(tomllib.loads(out[out.index("algo = ") :]))[0].sampler.kind == "openai"
    assert json.loads(run("recipes", "show", "4b-full", "--json")[0])["estimate"]["bytes"]["optimiser"] > 70e9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "cuda"], "device='cuda' cannot be used here"),
        (["--set", "machine.device=gpu"], "device='gpu' cannot be used here"),
        (["--device", "mps"], "with arguments from the 'MPS' backend): expected cpu, or cuda where torch sees a GPU"),
        (["--model", "nope"], "there is no model 'nope'"),
        (
            ["--model", "https://huggingface.co/Qwen/Qwen3-0.6B/tree/main"],
            "did you mean 'Qwen/Qwen3-0.6B'?",
        ),
        (["--model", "Qwen/Qwen3 0.6B"], "'Qwen/Qwen3 0.6B' is no name of a model on the hub"),
        (["--model", "a/b/c"], "'a/b/c' is no name of a model on the hub"),
        (["--set", "lr=1e-3"], "unknown key 'lr'; did you mean 'optim.lr'?"),
        (["--set", "trackers=foo"], "only tensorboard, wandb, trackio"),
        (["--recipe", "smollm"], "did you mean 'smollm2-135m"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_what_cannot_work_is_one_sentence(words, message, tmp_path):
    _, result = run("train", "--backend", "text", "--tasks", "wizard.h3", "--out", str(tmp_path), *words)
    assert isinstance(result.exception, UsageError) and message in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_imitation_overwrites_no_model(tmp_path):
    from trainers.imitation.demos_to_model import sft

    (tmp_path / "demos").mkdir()
    (tmp_path / "demos" / "demos.jsonl").write_text("")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_text("weights")
    for place in ("model", "model/model.safetensors"):
        with pytest.raises(UsageError, match="exists already and is not an empty folder"):
            sft(tmp_path / "demos", tmp_path / place)


@pytest.mark.parametrize(
    ("model", "setting", "words"),
    [
        (True, "shape.layers=2", "shape has no effect with --model .*, which has its size and its tokenizer: leave it out$"),
        (True, "vocab_size=400", "vocab_size has no effect with --model"),
        (False, "lora.rank=4", "lora has no effect with a model that is built from scratch: leave it out, or give --model"),
        (False, "dtype=bfloat16", "dtype has no effect with a model that is built from scratch"),
        (True, "dtype=float64", "dtype: input should be 'float32', 'bfloat16' or 'float16', got 'float64'"),
        (True, "lora=3", "lora: .*, got 3"),
        (False, "shape.hidden=30", "shape.hidden=30 gives 4 heads no even width"),
        (False, "vocab_size=1", "vocab_size: input should be greater than or equal to 300"),
        (False, "lr=Infinity", "lr: input should be a finite number"),
        (False, "lrr=1", "unknown key 'lrr'; did you mean 'lr'"),
        (False, "rollout=1", "unknown key 'rollout'"),
    ],
)
def test_settings_of_imitation_that_do_nothing_or_cannot_work_are_refused(model, setting, words, stranger, tmp_path):
    from trainers.imitation.demos_to_model import sft

    (tmp_path / "demos.jsonl").write_text("")
    with pytest.raises(ConfigError, match=words):
        sft(tmp_path, tmp_path / "model", model=str(stranger) if model else "", settings=[setting])
    assert not (tmp_path / "model").exists()
