import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from webgym.packs import registry
from webgym.task import Evidence, Verdict

PACK = registry._pack("miniwob")
TASKS = PACK.tasks()
PACKAGE = Path(find_spec("miniwob").submodule_search_locations[0])


def verdict(name, page_state, **ended):
    return TASKS[name].check(Evidence(seed=0, url="", page_state=page_state, **ended))


def test_manifest_is_the_package_registry():
    registered = re.findall(r'id="miniwob/([\w.-]+)-v1"', (PACKAGE / "registration.py").read_text("utf-8"))
    assert len(registered) == 128
    assert sorted(TASKS) == sorted(registered) == sorted(registry.manifests()["miniwob"]["tasks"])


def test_flags_are_those_of_the_package():
    entries = (PACKAGE / "registration.py").read_text("utf-8").split("register(\n")[1:]
    flagged = {re.search(r'id="miniwob/([\w.-]+)-v1"', e)[1] for e in entries if "nondeterministic=True" in e}
    assert len(flagged) == 25
    assert {name for name, entry in registry.manifests()["miniwob"]["tasks"].items() if "flagged" in entry} == flagged


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_its_page(name):
    task = TASKS[name]
    start = task.start(17)
    host, _, path = start.url.removeprefix("http://").partition("/")
    assert task.hosts == (host,)
    assert (PACK.sites()[0].directory / path).is_file()
    assert "Math.seedrandom(17)" in start.page_script and start.goal is None
    assert task.id == f"miniwob.{name}" and task.trust == "page" and task.description
    assert task.max_turns >= 2 and 1 <= task.difficulty <= 5


def test_no_score_but_the_full_one_is_success():
    assert verdict("click-checkboxes", [False, 0, None, None]) == Verdict("pending")
    assert verdict("click-checkboxes", [True, 1, None, True]) == Verdict("success", 1.0)
    assert verdict("click-checkboxes", [True, 0.5, "why", True]) == Verdict("failure", 0.5, "why")
    assert verdict("click-checkboxes", [True, -1, None, True]) == Verdict("failure", -1.0)
    for demanded in (False, None, 1):
        assert verdict("click-checkboxes", [True, 1, None, demanded]).kind == "failure"


def test_threshold_of_geometry():
    thresholds = {name: entry["threshold"] for name, entry in registry.manifests()["miniwob"]["tasks"].items() if "threshold" in entry}
    assert all(0.8 <= threshold < 1 for threshold in thresholds.values())
    assert verdict("circle-center", [True, thresholds["circle-center"], None, True]).kind == "success"
    assert verdict("circle-center", [True, thresholds["circle-center"] - 0.01, None, True]).kind == "failure"


@pytest.mark.parametrize("state", [None, [], {}, "page gone", [False, 0, None, None]])
def test_page_without_an_answer(state):
    assert verdict("click-test", state).kind == "pending"
    assert verdict("click-test", state, ended="stop").kind != "success"
    assert verdict("click-test", state, ended="infeasible").kind != "success"
