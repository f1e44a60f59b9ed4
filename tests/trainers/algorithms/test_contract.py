"""The whole contract is checked when an algorithm's file is read, and one sentence says what is missing or wrong."""

import pytest

from tests.trainers.stranger import SIGNS
from trainers import algorithms
from trainers.config import resolve
from webgym.errors import ConfigError

VALUES = '''"""Values: an algorithm with a critic of states."""
from trainers.credit import credit as c
from trainers.credit.algorithm import AlgorithmConfig, Bootstrapped, Discounted, Practice
from trainers.critics.q_critic import ActionValueConfig, QSpec
class Config(Discounted, Bootstrapped):
    per: str = "turn"
def needs_values(config): return config.per
def targets(groups, config): return c.monte_carlo_targets(c.flatten(groups), config.gamma)
def credit(groups, values, config): return c.Credit(values.turns, values.turns)
def practice(config): return Practice()
'''
TARGETS = "def targets(groups, config): return c.monte_carlo_targets(c.flatten(groups), config.gamma)\n"


def written(tmp_path, text: str, *changes: tuple[str, str]) -> str:
    """The path of the text with the changes in it."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "mine.py").write_text(text, "utf-8")
    return str(tmp_path / "mine.py")


def test_a_file_that_keeps_the_contract_is_read(tmp_path) -> None:
    found = algorithms.get(written(tmp_path, VALUES))
    assert (found.name, found.key, found.summary) == ("mine", str(tmp_path / "mine.py"), "Values: an algorithm with a critic of states.")
    assert found.metrics == {} and found.Config().model_dump()["bootstrap_at_limit"] is False


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"""Signs', 'x = """Signs', "expected it to define a docstring$"),
        ("class Config", "class Options", r"NameError: name 'Config' is not defined$"),
        ("def credit", "def credits", "expected it to define credit$"),
        ("def needs_values", "def needs", "expected it to define needs_values$"),
        ("class Config(AlgorithmConfig)", "class Config(dict)", r"to derive from AlgorithmConfig \(.*\), got a dict$"),
        ("scale: float = 1.0", "scale: float", "expected each option of Config to have a default, scale has none"),
        ("    scale:", "    model_config = {'extra': 'ignore'}\n    scale:", "expected Config to stay frozen with extra='forbid'"),
        ("scale: float = 1.0", "gamma: float = 1.0", "Config has an option gamma, .* derive Config from Discounted"),
        ("scale: float = 1.0", "bootstrap_at_limit: bool = True", "option bootstrap_at_limit, .* derive Config from Bootstrapped"),
        ("scale: float = 1.0", "q: int = 1", r"option q, .* derive Config from ActionValueConfig \(trainers\.critics\.q_critic\)"),
        ("scale: float = 1.0", "loss: object = None", "expected Config.loss to be a LossSpec, got None"),
        ("credit(groups: Sequence[Group], values: c.Values | None, config", "credit(groups: list, config",
         r"expected credit\(groups, values, config\), got credit\(groups, config\)"),
        ("(config: Config) -> L", "(own: Config) -> L", r"expected needs_values\(config\), got needs_values\(own\)"),
        ("(config: Config) -> L", "(config: Config, *more: int) -> L", r"needs_values\(config\), got needs_values\(config, \*more\)"),
        ("METRICS = {", "targets = 3\nMETRICS = {", r"expected a function targets\(groups, config\), got 3"),
        ("METRICS = {", "def targets(groups): ...\nMETRICS = {", r"expected targets\(groups, config\), got targets\(groups\)"),
        ("METRICS = {", "def practice(): ...\nMETRICS = {", r"expected practice\(config\), got practice\(\)"),
        ("METRICS = {", "def practice(config): ...\nMETRICS = {", r"expected practice\(config\) to return a Practice, got None"),
        ('return ""', 'return "turns"', r"expected needs_values\(config\) to be one of '', 'turn', 'token', 'action', got 'turns'"),
        ('Literal[""]', 'Literal["", "turn"]', r"to define targets\(groups, config\), because needs_values\(config\) can be 'turn'"),
        ('return ""', 'return "token"', r"expected it to define targets\(groups, config\), because needs_values\(config\) can be 'token'"),
        ('Literal[""]', 'Literal["", "action"]', r"derive from ActionValueConfig \(trainers\..*\), because .* can be 'action'"),
        ("METRICS = {", "METRICS = 3 #{", "expected METRICS to be a dict of names and what they mean, got 3"),
        ('"rollout/right":', '"right":', "expected names in METRICS that begin with rollout/, .*, got 'right'"),
        ('"share of turns that are called right"', '""', "expected METRICS to say in words what rollout/right means, got ''"),
        ("scale: float = 1.0", "scale: float = Field(default=-1.0, ge=0, validate_default=True)",
         "the defaults of Config are refused: Input should be greater than or equal to 0"),
    ],
)  # fmt: skip
def test_each_missing_or_wrong_part_is_named(tmp_path, old: str, new: str, words: str) -> None:
    text = SIGNS.replace("import numpy as np\n", "import numpy as np\nfrom pydantic import Field\n")
    path = written(tmp_path, text, (old, new))
    with pytest.raises(ConfigError, match=words) as raised:
        algorithms.get(path)
    assert str(raised.value).startswith(f"algorithm file {path}") and "\n" not in str(raised.value)


def test_what_one_configuration_asks_for_is_checked_with_it(tmp_path) -> None:
    """An answer that no annotation and no default tells is met when a run asks for it."""
    path = written(tmp_path, VALUES, (TARGETS, ""), ('per: str = "turn"', 'per: str = ""'))
    assert resolve({"algo": path})[0].algorithm["per"] == ""
    for per, part in (("turn", r"targets\(groups, config\)"), ("action", ""), ("page", "'page'")):
        with pytest.raises(ConfigError, match=f"^algorithm mine: expected .*{part}"):
            resolve({"algo": path, "algorithm": {"per": per}})


@pytest.mark.parametrize("asked", ["best_of=2", "fresh=True"])
def test_a_choice_of_actions_needs_a_critic_of_actions(tmp_path, asked: str) -> None:
    path = written(tmp_path, VALUES, ("return Practice()", f"return Practice({asked})"))
    with pytest.raises(ConfigError, match=rf"practice\(config\) asks for {asked}, .* but needs_values\(config\) is 'turn'"):
        algorithms.get(path)
    path = written(
        tmp_path,
        VALUES,
        ("return Practice()", f"return Practice({asked})"),
        ("Config(Discounted, Bootstrapped)", "Config(ActionValueConfig)"),
        ('per: str = "turn"', "q: QSpec = QSpec(candidates=2)"),
        ("return config.per", 'return "action"'),
    )
    assert algorithms.get(path).practice(algorithms.get(path).Config()).replay == 1
