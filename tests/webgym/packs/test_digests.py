"""The version of a policy: the files of its package that it runs, and the libraries by which pages become prompt ids."""

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from webgym.packs import digests

REMOTE = "trainers.rollouts.remote_policy:remote_policy"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose module `policy` imports three others, each in another way, and not `apart`."""
    folder = tmp_path / "stranger_policies"
    (folder / "deep").mkdir(parents=True)
    for name, content in {
        "__init__.py": "",
        "policy.py": "import json\nfrom stranger_policies import plain\n\ndef make():\n    from .deep import late\n",
        "plain.py": "from .deep.inner import x\n",
        "deep/__init__.py": "raise ImportError('nobody imports this')\n",
        "deep/inner.py": "x = 1\n",
        "deep/late.py": "from ..plain import x\n",
        "apart.py": "y = 1\n",
    }.items():
        (folder / name).write_text(content, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def found(factory: str = "stranger_policies.policy:make") -> dict[str, str]:
    digests.policy_of.cache_clear()
    return digests.policy_of(factory)


@pytest.mark.parametrize("file", ["__init__.py", "policy.py", "plain.py", "deep/__init__.py", "deep/inner.py", "deep/late.py"])
def test_a_policy_is_another_one_when_a_module_changes_that_it_runs(package: Path, file: str) -> None:
    before = found()
    assert list(before) == ["stranger_policies"] and found() == before
    (package / file).write_text((package / file).read_text("utf-8") + "# changed\n", "utf-8")
    assert found() != before
    assert not [name for name in sys.modules if name.startswith("stranger_policies")], "nothing is imported"


def test_a_policy_is_the_same_one_when_another_module_changes(package: Path) -> None:
    before = found()
    (package / "apart.py").write_text("y = 2\n", "utf-8")
    assert found() == before


def test_libraries_count_where_a_module_imports_one(package: Path) -> None:
    (package / "plain.py").write_text("from transformers.models import auto\n", "utf-8")
    assert {name: x for name, x in found().items() if name != "stranger_policies"} == {name: version(name) for name in digests.LIBRARIES}


@pytest.mark.parametrize("factory", ["webgym.policies.scripted:RandomPolicy", "nowhere.at_all:make", "nowhere:make"])
def test_webgyms_own_policies_and_unknown_ones_have_no_version_of_their_own(factory: str) -> None:
    assert found(factory) == {}


def test_the_gateways_policy_is_all_that_makes_prompt_ids_and_no_learning() -> None:
    files, others = digests._modules(REMOTE.partition(":")[0])
    assert {f"trainers.models.{name}" for name in ("reader", "prompt_ids", "chat_template", "token_grammar")} < set(files)
    assert "trainers.rollouts.language_policy" in files and {"transformers", "tokenizers"} <= others
    assert not any(name.startswith(("trainers.algorithms", "trainers.learning", "trainers.training", "trainers.config")) for name in files)
    assert set(found(REMOTE)) == {"trainers", *digests.LIBRARIES}
