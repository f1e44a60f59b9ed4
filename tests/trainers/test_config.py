"""Configurations: groups of keys given in part, and mistakes told in one sentence."""

import json
import warnings
from pathlib import Path

import pytest

import cli
from trainers import studies
from trainers.config import read_train, remarks, resolve, scored_by_sampler, with_settings
from trainers.credit.algorithm import discount
from trainers.runs.keys import merged
from trainers.runs.moved_keys import MOVED
from trainers.studies.learning import cells, read_grid, settings_of
from trainers.studies.truth import own_discount
from trainers.training.begin import _changed
from trainers.training.kept import as_kept, without_idle
from webgym.errors import ConfigError
from webgym.prompts.settings import PromptSettings

STUDIES = Path(studies.__file__).parent


def test_a_key_of_a_group_leaves_the_others_as_the_run_has_them() -> None:
    whole, _ = resolve({})
    config, _ = resolve(with_settings({"algo": "archer"}, ["optim.lr=1e-5", "critic.fit.epochs=3"]))
    assert config.optim == whole.optim.model_copy(update={"lr": 1e-5}) and config.optim.warmup_steps == 12
    assert config.critic.fit == whole.critic.fit.model_copy(update={"epochs": 3}) and config.critic.fit.lr == 5e-4


def test_an_algorithm_keeps_the_rest_of_its_own_groups() -> None:
    _, own = resolve(with_settings({"algo": "q_learning"}, ["q.candidates=8"]))
    assert (own.q.candidates, own.q.backup) == (8, "optimality")
    _, own = resolve(with_settings({"algo": "grpo"}, ["loss.kl=k3", "loss.kl_coef=0.1"]))
    assert (own.loss.kl, own.loss.clip_high) == ("k3", 0.28)
    assert resolve(with_settings({"algo": "q_learning"}, []))[0].algorithm["q"]["backup"] == "optimality"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["algo=archr"], "no algorithm is called 'archr'; did you mean 'archer'"),
        (["group_sise=4"], "unknown key 'group_sise'; did you mean 'rollout.group_size'"),
        (["optim.lrr=4"], r"unknown key 'optim.lrr'; did you mean 'lr'\? \(known in optim: lr, betas"),
        (["critic.fit.epoch=4"], r"unknown key 'critic.fit.epoch'; did you mean 'epochs'\? \(known in critic.fit: epochs"),
        (["loss.clip_hihg=4"], "algorithm grpo: unknown key 'loss.clip_hihg'; did you mean 'clip_high'"),
        (["lam=0.9"], "algorithm grpo: unknown key 'lam'"),
        (["rollout.groups=0"], "rollout.groups: input should be greater than or equal to 1, got 0"),
        (["groups"], "--set wants key=value"),
        (["optim.lr=Infinity"], "optim.lr: input should be a finite number"),
        (["loss.entropy_coef=NaN"], "loss.entropy_coef: input should be a finite number"),
        (["optim.betas=[0.9, 1.5]"], "optim.betas.1: input should be less than 1"),
        (["lora=16"], "lora: expected a group of keys, such as lora.rank, got 16"),
        (["lora=16", "lora.rank=4"], "lora is 16 already and no group of keys"),
        (["prompts.errors=no"], "prompt setting errors: expected true or false, got 'no'"),
        (["prompts.history=many"], "prompt setting history: expected a whole number, got 'many'"),
    ],
)
def test_mistakes_are_told_in_one_sentence(settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve(with_settings({}, settings))


def test_keys_of_before_are_read_with_a_warning_that_names_the_new_ones() -> None:
    with pytest.warns(FutureWarning, match=r"iterations is now length\.iterations, async is now rollout\.overlap.*for one release"):
        config, _ = resolve({"iterations": 3, "async": True, "rollout": {"groups": 5}})
    assert (config.length.iterations, config.rollout.overlap, config.rollout.groups) == (3, True, 5)
    assert config.rollout.group_size == resolve({})[0].rollout.group_size
    with pytest.raises(ConfigError, match=r"length\.iterations is 4 and by its old name iterations 3: leave iterations out"):
        resolve({"iterations": 3, "length": {"iterations": 4}})


def test_one_name_is_a_list_of_one() -> None:
    sampler = ["sampler.kind=openai", "sampler.model=m", "sampler.servers=http://a/v1"]
    config, _ = resolve(with_settings({}, ["tasks=wizard.h3", "trackers=wandb", *sampler]))
    assert (config.tasks, config.trackers, config.sampler.options["servers"]) == (("wizard.h3",), ("wandb",), ["http://a/v1"])


def test_targets_of_a_critic_are_discounted_as_the_algorithm_is() -> None:
    for algo, options, gamma in (
        ("ppo", {}, 0.99),
        ("ppo", {"level": "trajectory"}, 1.0),
        ("archer", {"gamma": 0.5}, 0.5),
        ("grpo", {}, 1.0),
    ):
        assert discount(resolve({"algo": algo, "algorithm": options})[1]) == gamma
    assert [own_discount(resolve({"algo": algo})[1]) for algo in ("archer_q", "archer", "grpo")] == [0.95, 0.99, 1.0]


def test_what_a_run_had_and_has_no_effect_is_left_out_when_it_goes_on() -> None:
    kept = {"algo": "archer", "critic": {"head": {"tail": 3, "loss": "mse"}}, "evaluation": {"seeds": 0, "every": 5}, "seed": 3}
    found = without_idle(kept)
    assert found == {"algo": "archer", "critic": {"head": {"loss": "mse"}}, "evaluation": {"seeds": 0}, "seed": 3}
    assert resolve(found)[0].seed == 3


@pytest.mark.parametrize(
    ("algo", "kept", "change"),
    [
        ("grpo_positive", {"algorithm": {"loss": {"dual_clip": 3.0}}}, {"algorithm": {"loss": {"dual_clip": None}}}),
        ("grpo_positive", {"algorithm": {"loss": {"kl_coef": 0.04}}}, {}),
        ("grpo_published", {"algorithm": {"loss": {"kl": "none", "kl_coef": 0.1}}}, {}),
        ("reinforce", {"algorithm": {"loss": {"clip_high": 0.3}}}, {}),
        ("grpo_positive", {"rollout": {"group_size": 1}}, {"rollout": {"group_size": 4}}),
    ],
)
def test_a_run_goes_on_with_settings_that_are_refused_by_now(algo: str, kept: dict, change: dict) -> None:
    """What does nothing is dropped, and what contradicts itself can be changed: only what the run becomes is judged."""
    whole = merged(resolve({"algo": algo})[0].model_dump(mode="json"), kept)
    with pytest.raises(ConfigError):
        resolve(whole)
    assert as_kept(whole, Path("run"))[0].algo == algo
    assert _changed(whole, change).algo == algo


def test_settings_that_do_nothing_are_refused() -> None:
    for data, words in (
        ({"algo": "archer", "rollout": {"groups": 1, "group_size": 1}}, "rollout.groups to 2 or more"),
        ({"algo": "ppo", "critic": {"head": {"readout": "mean"}}}, "which values every token"),
        ({"algo": "taught", "algorithm": {"lam": 0.5, "low": 0.1}}, "not chosen by the judge"),
        ({"algo": "archer_q", "algorithm": {"q": {"backup": "optimality"}}}, "makes V the best action's"),
        ({"executor": {"kind": "ray", "nodes": ["http://127.0.0.1:8400"]}}, "executor.kind=ray"),
        ({"tasks": []}, "tasks is empty"),
        ({"length": 5, "iterations": 3}, "expected the keys of a group"),
        ({"seed": 2**64}, "seed"),
        ({"seed": True}, "seed: .*expected a number, got True"),
        ({"rollout": {"groups": True}}, r"rollout\.groups: .*expected a number"),
        ({"length": {"minutes": False}}, r"length\.minutes: .*expected a number"),
        ({"prompts": {"context": "conversation", "history": 3}}, r"prompts\.history=3 has no effect with prompts\.context=conversation"),
        ({"prompts": {"style": "chat", "marks": True}}, r"prompts\.marks=True has no effect with prompts\.style=chat"),
    ):
        with pytest.raises(ConfigError, match=words), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            resolve(data)


def test_overlap_is_also_called_async_in_its_group() -> None:
    assert resolve(with_settings({}, ["rollout.async=true"]))[0].rollout.overlap
    assert resolve({"rollout": {"async": True, "groups": 3}})[0].rollout.overlap
    with pytest.raises(ConfigError, match=r"rollout\.async is another name of rollout\.overlap, which stands there too: leave one"):
        resolve({"rollout": {"async": True, "overlap": False}})


def test_an_evaluation_that_never_comes_is_remarked_on() -> None:
    found = remarks(resolve({"length": {"iterations": 10}, "evaluation": {"every": 50}})[0])
    assert any("no evaluation falls into the run" in line for line in found)


def test_a_critic_that_trains_the_policy_s_trunk_has_the_learner_score_the_batch() -> None:
    def scored(rate: float) -> bool:
        return scored_by_sampler(resolve({"algo": "archer", "critic": {"head": {"backbone": "trunk", "trunk_lr": rate}}})[0])

    assert scored(0.0) and not scored(0.1)


def test_a_run_that_learns_less_than_it_looks_is_told() -> None:
    (told,) = remarks(resolve({"algo": "archer", "length": {"iterations": 2}})[0])
    assert told == "the policy learns nothing: all 2 iterations warm the critic up (critic.warmup_iterations=2)"
    (told,) = remarks(resolve({"length": {"iterations": 2}})[0])
    assert told == "optim.lr is never reached: optim.warmup_steps=12, and the run has 8 optimiser steps"
    critic = {"head": {"backbone": "bigrams"}, "fit": {"lr": 2e-3}, "warmup_iterations": 0}
    (told,) = remarks(resolve({"critic": critic})[0])
    assert told == "grpo has no critic as it is set, so these keys have no effect: critic.head.backbone, critic.fit.lr"
    assert remarks(resolve({"algo": "archer", "critic": critic})[0]) == remarks(resolve({})[0]) == []


def test_keys_of_a_policy_that_stays_as_it_is_are_remarked_on() -> None:
    """One file may serve several algorithms, and one of these learns by its critic alone."""
    idle = ["optim.lr=1e-5", "update.epochs=1", "update.thinking=false", "critic.warmup_iterations=0", "length.iterations=2"]
    (told,) = remarks(resolve(with_settings({"algo": "q_learning"}, idle))[0])
    assert told == (
        "q_learning as it is set leaves the policy as it is, so these keys have no effect: optim.lr, update.epochs, update.thinking, "
        "critic.warmup_iterations"
    )
    assert remarks(resolve({"algo": "q_learning"})[0]) == remarks(resolve({"algo": "q_learning", "length": {"iterations": 2}})[0]) == []
    assert remarks(resolve(with_settings({"algo": "q_learning", "algorithm": {"form": "digiq"}}, idle[:2]))[0]) == []


def test_every_moved_key_leads_to_a_key() -> None:
    whole = resolve({})[0].model_dump()
    for path in MOVED.values():
        group, _, key = path.partition(".")
        assert key in whole[group], path


def test_the_command_line_lists_every_key_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    cli.show_config("archer", as_json=True)
    listed = {entry["key"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert {*MOVED.values(), "optim.lr", "critic.fit.epochs", "lam"} <= listed.keys()
    assert listed["length.iterations"]["default"] == 48 and all(entry["means"] for entry in listed.values())


@pytest.mark.parametrize(
    ("algo", "settings", "words"),
    [
        ("grpo", ["loss.kl_coef=0.04"], r"loss.kl_coef=0.04 weighs no KL while loss.kl=none: set loss.kl to k1, k2 or k3"),
        ("grpo", ["loss.kl=k3"], r"loss.kl=k3 has no weight while loss.kl_coef=0: set loss.kl_coef above 0, or loss.kl=none"),
        ("grpo_published", ["loss.kl_coef=0"], r"loss.kl=k3 has no weight"),
        ("grpo_published", ["loss.kl=none"], r"loss.kl_coef=0.04 weighs no KL"),
        ("filtered_bc", ["loss.kl=k1", "loss.kl_coef=0.1"], "loss.kl=k1 has no effect with episodes that are chosen by their outcome"),
        ("grpo_positive", ["loss.dual_clip=3"], "loss.dual_clip=3.0 has no effect with negative=0"),
        ("grpo_positive", ["loss.clip_low=0.1"], "loss.clip_low=0.1 has no effect with negative=0"),
        ("reinforce", ["loss.clip_high=0.3"], "loss.clip_high=0.3 has no effect with loss.policy=reinforce"),
        ("rloo", ["loss.ratio_level=sequence"], "loss.ratio_level=sequence has no effect with loss.policy=reinforce"),
        ("dapo", ["loss.tokens_per_trajectory=50"], "loss.tokens_per_trajectory=50.0 has no effect with loss.divisor=tokens"),
        ("archer", ["published_td=true", "lam=0.5"], "lam=0.5 has no effect with published_td=true"),
        ("ppo", ["level=trajectory", "gamma=0.9"], "gamma=0.9 has no effect with level=trajectory"),
        ("digirl", ["form=code", "lam=0.9"], "lam=0.9 has no effect with form=code"),
        ("gigpo", ["omega=0", "gamma=0.5"], "gamma=0.5 has no effect with omega=0"),
        ("q_learning", ["margin=0.2"], "margin=0.2 has no effect with form=rerank"),
        ("q_learning", ["loss.kl=k3", "loss.kl_coef=0.1"], "loss.kl=k3 has no effect with form=rerank"),
        ("q_learning", ["form=digiq", "explore=0.5"], "explore=0.5 has no effect with form=digiq"),
        ("q_learning", ["q.candidates=1"], "form=rerank has nothing to choose from with q.candidates=1"),
        ("q_learning", ["form=digiq", "q.backup=optimality"], "form=digiq learns nothing with q.backup=optimality"),
        ("archer_q", ["critic.fit.epochs=3"], "critic.fit.epochs=3 has no effect with archer_q, which values actions"),
        ("archer", ["critic.folds=3"], "critic.folds=3 has no effect with critic.values_from=earlier"),
        ("archer", ["critic.head.trunk_lr=0.1"], "critic.head.trunk_lr=0.1 has no effect with critic.head.backbone=copy"),
        ("ppo", ["critic.target_lam=0.5"], "critic.target_lam below 1 looks ahead by turns"),
        ("grpo", ["lora.alpha=8"], "lora.alpha=8.0 has no effect with lora.rank=0"),
        ("grpo", ["curriculum.adaptive=false", "curriculum.floor=0.5"], "curriculum.floor=0.5 has no effect"),
        ("archer", ["critic.head.tail=3"], "critic.head.tail=3 has no effect with prompts whose end a run finds out itself"),
        (
            "archer",
            ["loss.kl=k1", "loss.kl_coef=0.1"],
            "loss.kl=k1 takes the KL off the rewards, and critic.head.loss=bce wants returns in",
        ),
        ("archer", ["critic.fit.epochs=0"], "critic.fit.epochs=0 never fits the critic"),
        ("archer", ["critic.values_from=cross_fit", "rollout.groups=1"], "rollout.groups=1 has none: set it to 2 or more"),
        ("grpo", ["evaluation.seeds=0", "evaluation.every=3"], "evaluation.every=3 has no effect with evaluation.seeds=0"),
        ("grpo", ["machine.backend=text", "rollout.screenshots=2"], "rollout.screenshots=2 has no effect with machine.backend=text"),
        ("grpo", ['executor.nodes=["http://127.0.0.1:9"]'], "executor.nodes=.* has no effect with executor.kind=local"),
        ("grpo", ["sampler.base_url=http://127.0.0.1:9/v1"], "sampler.base_url has no effect with sampler.kind=local"),
        ("grpo", ["sampler.kind=openai", "sampler.slots=8"], "sampler.slots has no effect with sampler.kind=openai"),
        ("grpo", ["sampler.kind=openai"], r"^sampler\.kind=openai needs sampler\.model, the model's name on the server$"),
        (
            "grpo",
            ["sampler.kind=openai", "sampler.model=m", "sampler.base_url=http://a/v1", "sampler.servers=http://b/v1"],
            r"^sampler\.base_url has no effect with sampler\.servers",
        ),
        (
            "grpo",
            ["sampler.kind=openai", "sampler.model=m", "sampler.transport=nccl", "sampler.reload=sglang"],
            r"^sampler\.transport=nccl speaks vLLM's calls only",
        ),
        ("grpo", ["sampler.kind=openai", "sampler.model=m", "sampler.transfer_chunk_mb=7"], r"^sampler\.transfer_chunk_mb has no effect"),
        ("reinforce", ["rollout.groups=1", "rollout.group_size=1"], "it learns nothing with rollout.groups=1 and rollout.group_size=1"),
        ("reinforce", ["update.epochs=2", "loss.importance_cap=null"], "takes 2 optimiser steps of −A log π on one batch"),
        (
            "rloo",
            ["machine.dtype=bfloat16", "loss.importance_cap=null"],
            "loss.importance_cap=null has no effect where sampler and",
        ),
        ("rloo", ["rollout.overlap=true", "loss.importance_cap=null"], "the weight is capped at 2 there"),
    ],
)
def test_settings_that_contradict_or_do_nothing_are_refused(algo: str, settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve(with_settings({"algo": algo}, settings))


@pytest.mark.parametrize("algo", ["grpo", "grpo_positive", "grpo_published", "dr_grpo", "dapo", "gspo", "gigpo", "rloo"])
def test_a_group_of_one_has_nothing_to_compare(algo: str) -> None:
    with pytest.raises(ConfigError, match=rf"{algo} compares the episodes of a group.* set rollout.group_size to 2 or more"):
        resolve({"algo": algo, "rollout": {"group_size": 1}})


def test_a_plain_gradient_takes_one_step_or_is_corrected() -> None:
    for algo in ("reinforce", "rloo", "actor_critic", "archer_q", "tree", "vine"):
        config, own = resolve({"algo": algo})
        assert (config.update.epochs, config.update.minibatches) == (1, 1)
        config, own = resolve({"algo": algo, "update": {"epochs": 2, "minibatches": 2}})
        assert (config.update.epochs, config.update.minibatches, own.loss.importance_cap) == (2, 2, 2.0)
    for algo in ("grpo", "ppo", "archer", "filtered_bc", "digirl"):
        config, own = resolve({"algo": algo})
        assert (config.update.epochs, config.update.minibatches, own.loss.importance_cap) == (2, 2, None)


def test_digiq_looks_ahead_by_expectation() -> None:
    assert resolve({"algo": "q_learning", "algorithm": {"form": "digiq"}})[1].q.backup == "expectation"


# --- the name grpo, before and now -----------------------------------------------------------------------------------------


def test_a_file_of_before_means_the_positive_form_by_grpo(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('algo = "grpo"\nseed = 3\n', "utf-8")
    with pytest.warns(FutureWarning, match=r"mine.toml: `grpo` .* goes on as `grpo_positive`.* write format = 2"):
        config, own = resolve(read_train(file))
    assert (config.algo, config.seed, own.negative) == ("grpo_positive", 3, 0.0)
    file.write_text('algo = "grpo"\n[algorithm]\nnegative = 0.5\n', "utf-8")
    with pytest.warns(FutureWarning, match="grpo_positive"):
        assert resolve(read_train(file))[1].negative == 0.5
    for text in ('algo = "grpo"\n[algorithm]\nnegative = 1.0\n', 'algo = "grpo"\nformat = 2\n'):
        file.write_text(text, "utf-8")
        config, own = resolve(read_train(file))
        assert (config.algo, config.format, own.negative) == ("grpo", 2, 1.0)


def test_the_command_line_and_the_default_mean_the_new_one() -> None:
    for data in ({}, {"algo": "grpo"}):
        config, own = resolve(data)
        assert (config.algo, own.negative, own.std) == ("grpo", 1.0, False)


@pytest.mark.parametrize("grid", sorted(STUDIES.glob("*.toml")), ids=lambda x: x.stem)
def test_the_grids_of_the_studies_say_what_they_mean(grid: Path) -> None:
    if grid.stem in ("critic", "estimators", "forks"):
        return
    found = read_grid(grid)
    assert found.format == 2
    first = {cell.label: cell for cell in reversed(list(cells(found, "measure", dict.fromkeys((x.label for x in found.contenders), 0))))}
    for cell in first.values():
        algo, positive = settings_of(found, cell)["algo"], "positive" in cell.label
        assert (algo == "grpo_positive") == positive, "a contender is called by the algorithm that it was played with"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"optim": 3}, "optim: expected a group of keys, such as optim.lr, got 3"),
        ({"trackers": 1}, "trackers: expected a list, got 1"),
        ({"seed": -1}, "seed: input should be greater than or equal to 0, got -1"),
        ({"prompts": {"style": "chatt"}}, "prompt style 'chatt': expected chat or compact; did you mean 'chat' or 'compact'?"),
    ],
)
def test_values_of_a_wrong_kind_say_what_is_expected(data, words):
    with pytest.raises(ConfigError) as error:
        config, _ = resolve(data)
        PromptSettings.from_json(config.prompts)
    assert str(error.value) == words


def test_one_task_is_a_list_of_one():
    assert resolve({"tasks": "wizard.h1"})[0].tasks == ("wizard.h1",)


@pytest.mark.parametrize("content", [b"algo = " + b"[" * 50_000, b"\xff\xfe", b"algo = 'grpo", b"a = 1\n[a]\n"])
def test_a_file_that_is_no_toml_is_told_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"c\.toml is not valid TOML: "):
        read_train(tmp_path / "c.toml")


@pytest.mark.parametrize("value", ["[" * 50_000, "9" * 5000, "\ud800", "{", "\0", "nan"])
def test_a_value_that_is_no_json_is_text_and_refused_in_one_sentence(value: str) -> None:
    with pytest.raises(ConfigError, match=r"rollout\.groups"):
        resolve(with_settings({}, [f"rollout.groups={value}"]))


@pytest.mark.parametrize(
    "key", ["", ".", "..", "a.", ".a", "__class__", "algorithm.__class__", "\ud800", "rollout.groups.x", "rollout..groups", "="]
)
def test_a_key_that_is_none_is_refused_in_one_sentence(key: str) -> None:
    with pytest.raises(ConfigError):
        resolve(with_settings({}, [f"{key}=1"]))


def test_an_address_with_a_password_is_refused() -> None:
    for setting in ("sampler.base_url=http://user:key@h/v1", 'sampler.servers=["http://user:key@h/v1"]'):
        with pytest.raises(ConfigError, match="expected an address without a name and password") as error:
            resolve(with_settings({}, ["sampler.kind=openai", setting]))
        assert "user:key" not in str(error.value)
