"""Tasks by id: found by manifest, registered from outside, with words for what is not there."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import pytest

import webgym
from webgym.errors import TaskFileError, UnknownTaskError
from webgym.packs import registry
from webgym.packs import sets as task_sets
from webgym.task import PENDING, SUCCESS, Evidence, Start, Task
from webgym.types import Observation, Wait

ROOT = Path(__file__).parents[3]


def new_task(task_id):
    return Task(
        task_id, start=lambda seed: Start("http://mine.localhost/", "goal"), check=lambda evidence: PENDING, hosts=("mine.localhost",)
    )


class Mine:
    host = "mine.localhost"


@pytest.fixture
def clean():
    yield
    for task_id in list(registry._registered):
        registry._remove(task_id)
    registry._registered_sites.clear()


def test_ids_come_from_the_manifests():
    ids = registry.task_ids()
    assert len(ids) == len(set(ids)) and len([i for i in ids if i.startswith("miniwob.")]) == 128
    assert "miniwob.click-test-2" in ids and webgym.task_ids() == ids


def test_a_task_is_found_by_either_id():
    task = registry.task("miniwob.click-test-2")
    assert registry.task("webgym/miniwob.click-test-2-v0") is task
    assert (task.id, task.gym_id) == ("miniwob.click-test-2", "webgym/miniwob.click-test-2-v0")
    assert [site.host for site in registry.sites_of(task)] == ["miniwob.localhost"]


@pytest.mark.parametrize("wrong", ["miniwob.click-tset-2", "webgym/miniwob.click-tset-2-v0", "minwob.click-test-2"])
def test_unknown_task_says_what_was_meant(wrong):
    with pytest.raises(UnknownTaskError, match=r"there is no task .*did you mean .*'miniwob\.click-test-2'"):
        registry.task(wrong)


def test_unknown_task_that_is_near_nothing():
    with pytest.raises(UnknownTaskError, match=r"^there is no task 'zzz' \(`webgym tasks list` shows all\)$"):
        registry.task("zzz")


def test_patterns_in_registry_order_each_once():
    chosen = registry.select(["miniwob.click-test-*", "webgym/miniwob.click-test-v0", "miniwob.click-test-2"])
    expected = [i for i in registry.task_ids() if i.startswith("miniwob.click-test-")]
    assert chosen == [*expected, "miniwob.click-test"] and len(expected) >= 2
    with pytest.raises(UnknownTaskError, match=r"no task matches 'miniwob\.nothing-"):
        registry.select(["miniwob.nothing-*"])


def test_own_tasks_can_be_registered(clean):
    site = Mine()
    first = registry.register(new_task("mine.one"), [site])
    registry.register(new_task("mine.two"), [site])
    assert registry.task("mine.one") is first and registry.task_ids()[-2:] == ["mine.one", "mine.two"]
    assert registry.sites_of(first) == [site]
    assert gym.spec("webgym/mine.one-v0").kwargs == {"task_id": "mine.one"}
    assert registry.select(["mine.*"]) == ["mine.one", "mine.two"]
    with pytest.raises(TaskFileError, match=r"there is a task 'mine\.one' already"):
        registry.register(new_task("mine.one"))
    with pytest.raises(TaskFileError, match=r"there is a task 'miniwob\.click-test' already"):
        registry.register(new_task("miniwob.click-test"))
    with pytest.raises(TaskFileError, match="has no pack name"):
        registry.register(new_task("one"))


@pytest.fixture
def site_packages(tmp_path):
    """A folder for installed distributions: `install(name, module, **files)` puts one there with a `webgym.tasks` entry point."""

    def install(name, module, files):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[webgym.tasks]\n{name} = {module}\n")
        for path, text in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return install


def python(code, folder):
    """Standard output of the code with these distributions installed."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FOREIGN = {
    "acme/__init__.py": "",
    "acme/store/pack.toml": "[pack]\ntitle = 'Store'\nhosts = ['store.localhost']\n[tasks.buy]\n[tasks.lost]\n",
    "acme/store/__init__.py": """
from webgym.task import PENDING, Start, Task
class Store:
    host = "store.localhost"
def tasks():
    start = Start("http://store.localhost/", "Buy.")
    return {"buy": Task("store.buy", lambda seed: start, lambda evidence: PENDING, hosts=("store.localhost",))}
def sites():
    return (Store(),)
""",
}


def test_foreign_packs_come_by_entry_point_and_are_imported_when_asked_for(site_packages):
    folder = site_packages("store", "acme.store", FOREIGN)
    code = """
import sys, gymnasium, webgym
from webgym.packs import registry
assert "webgym/store.buy-v0" in gymnasium.registry and "store.buy" in webgym.task_ids() and "acme" not in sys.modules
task = registry.task("store.buy")
print(task.id, [site.host for site in registry.sites_of(task)], "acme.store" in sys.modules)
try:
    registry.task("store.lost")
except webgym.errors.TaskFileError as error:
    print(error)
"""
    said = python(code, folder).splitlines()
    assert said[0] == "store.buy ['store.localhost'] True"
    assert said[1] == "the manifest of the pack 'store' has a task 'lost', but the tasks() of its module do not"


def test_a_foreign_pack_that_cannot_be_imported_harms_no_other(site_packages):
    broken = {**FOREIGN, "acme/store/__init__.py": "import no_such_module"}
    folder = site_packages("store", "acme.store", broken)
    code = """
import webgym
print(webgym.task("miniwob.click-test").id)
try:
    webgym.task("store.buy")
except webgym.errors.TaskFileError as error:
    print(error)
"""
    said = python(code, folder).splitlines()
    assert said[0] == "miniwob.click-test"
    assert said[1].startswith("the pack 'store' (entry point 'acme.store') cannot be loaded: ModuleNotFoundError")


@pytest.mark.parametrize(
    ("module", "manifest", "words"),
    [
        ("acme.store", None, "expected a pack's manifest there"),
        ("acme.store", "[tasks", "not valid TOML"),
        ("acme.store", "title = 'Store'", "expected a table [tasks.NAME] for each task"),
        ("nowhere.store", "", "there is no package 'nowhere.store'"),
    ],
)
def test_a_foreign_pack_without_a_good_manifest_is_left_out_with_a_warning(site_packages, module, manifest, words):
    files = {**FOREIGN, "acme/store/pack.toml": manifest}
    folder = site_packages("store", module, {name: text for name, text in files.items() if text is not None})
    code = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import webgym, gymnasium
print(*[warning.message for warning in caught], "store.buy" in webgym.task_ids(), "miniwob.click-test" in webgym.task_ids())
"""
    said = python(code, folder)
    assert "the pack 'store' (entry point" in said and "is left out" in said and words in said
    assert said.split()[-2:] == ["False", "True"]


def test_gymnasium_knows_the_tasks_whichever_is_imported_first():
    """Those of our packs, and those that were registered before Gymnasium was there."""
    register = "webgym.register(webgym.task('miniwob.click-test').__class__('mine.early', lambda seed: None, lambda evidence: None))"
    known = "[gymnasium.spec(f'webgym/{i}-v0').kwargs['task_id'] for i in ('miniwob.click-test', 'mine.early')]"
    for order in (f"import webgym; {register}; import gymnasium", f"import gymnasium, webgym; {register}"):
        code = f"{order}; print(*{known}, len([i for i in gymnasium.registry if i.startswith('webgym/')]) == len(webgym.task_ids()))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
        assert done.stdout.split() == ["miniwob.click-test", "mine.early", "True"], order


def test_a_class_with_three_methods_is_a_task(clean):
    site = Mine()

    @webgym.register("mine.count", sites=[site], max_turns=7, chance=0.5)
    class Count:
        """Remembers, for the length of an episode, how often its oracle was asked."""

        def __init__(self):
            self.asked = 0

        def start(self, seed):
            return Start("http://mine.localhost/", f"Count to {seed}.")

        def check(self, evidence):
            return SUCCESS if evidence.site_state == evidence.seed else PENDING

        def oracle(self, page):
            self.asked += 1
            return Wait(self.asked)

    task = webgym.task("mine.count")
    assert (task.id, task.max_turns, task.chance, task.hosts) == ("mine.count", 7, 0.5, ("mine.localhost",))
    assert task.start(3).goal == "Count to 3."
    assert task.check(Evidence(seed=3, url="", site_state=3)) == SUCCESS and task.check(Evidence(seed=3, url="")) == PENDING
    page = Observation("", "", "", ())
    first = task.oracle()
    assert [first(page), first(page), task.oracle()(page)] == [Wait(1), Wait(2), Wait(1)]
    assert registry.sites_of(task) == [site] and "webgym/mine.count-v0" in gym.registry
    assert Count().asked == 0  # the decorator returns the class


def test_a_class_without_an_oracle(clean):
    @webgym.register("mine.plain", sites=[Mine()])
    class Plain:
        def start(self, seed): ...

        def check(self, evidence): ...

    assert webgym.task("mine.plain").oracle is None


def test_the_decorator_says_what_is_wrong(clean):
    with pytest.raises(TaskFileError, match=r"there is no option 'max_turn'; did you mean 'max_turns'"):
        webgym.register("mine.one", max_turn=3)(type("One", (), {"start": 1, "check": 1}))
    with pytest.raises(TaskFileError, match="expected the class One to have a method 'check', it has none"):
        webgym.register("mine.one")(type("One", (), {"start": lambda self, seed: None}))
    with pytest.raises(TaskFileError, match="expected no options beside a Task"):
        webgym.register(new_task("mine.one"), max_turns=3)
    assert "mine.one" not in webgym.task_ids()


def test_one_host_has_one_site(clean):
    registry.register(new_task("mine.one"), [Mine()])
    with pytest.raises(TaskFileError, match=r"another site has the host 'mine\.localhost' already"):
        registry.register(new_task("mine.two"), [Mine()])


def test_broken_manifest_is_named(tmp_path, monkeypatch):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/pack.toml").write_text("[tasks")
    monkeypatch.setattr(registry, "PACKS_FOLDER", tmp_path)
    with pytest.raises(TaskFileError, match=r"bad/pack\.toml: not valid TOML"):
        registry.manifests.__wrapped__()


# --- from files ------------------------------------------------------------------------------------------------------------

TASK_FILE = """\
site: {pages: .}
tasks:
  - {name: one, start: /page.html, goal: Go to the end., check: {url: /end.html}, oracle: [{goto: "http://HOST.localhost/end.html"}]}
"""


@pytest.fixture
def folder(tmp_path):
    """A folder `filed` with a task file and a page; what was loaded from it is forgotten in the end."""
    found = tmp_path / "filed"
    found.mkdir()
    (found / "tasks.yaml").write_text(TASK_FILE.replace("HOST", "filed"))
    (found / "page.html").write_text("<p>page")
    (found / "end.html").write_text("<p>end")
    yield found
    for source in [source for source in registry._loaded if source.is_relative_to(tmp_path)]:
        for task_id in registry._loaded.pop(source)[1]:
            registry._remove(task_id)


def test_a_file_is_loaded_by_its_folder_once(folder):
    assert registry.load(folder) == registry.load(folder / "tasks.yaml") == ["filed.one"]
    task = registry.task("filed.one")
    assert registry.task(f"{folder}#filed.one") is task and "filed.one" in registry.task_ids()
    assert [site.host for site in registry.sites_of(task)] == ["filed.localhost"]
    assert task_sets.choose([str(folder), "filed.*", f"{folder}/tasks.yaml", f"{folder}#filed.one"]) == ["filed.one"]


def test_a_file_that_has_changed_is_loaded_anew(folder):
    registry.load(folder)
    before = registry.task("filed.one")
    (folder / "tasks.yaml").write_text(TASK_FILE.replace("HOST", "filed").replace("name: one", "name: first"))
    assert registry.load(folder) == ["filed.first"]
    assert "filed.one" not in registry.task_ids() and "webgym/filed.one-v0" not in gym.registry
    assert before.hosts == registry.task("filed.first").hosts


def test_an_environment_of_a_file_is_made_in_another_process(folder):
    """The Gym spec alone, as a vector environment sends it to its workers, is enough."""
    registry.load(folder)
    spec = gym.spec("webgym/filed.one-v0").to_json()
    code = f"""
import gymnasium as gym, webgym
env = gym.make(gym.envs.registration.EnvSpec.from_json({spec!r}))
print(env.reset(seed=1)[0]["page"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "page\n", done.stderr


def test_a_task_may_start_on_the_site_of_a_known_pack(folder):
    (folder / "tasks.yaml").write_text(TASK_FILE.replace("/page.html", "http://miniwob.localhost/miniwob/click-test.html"))
    registry.load(folder)
    assert [site.host for site in registry.sites_of(registry.task("filed.one"))] == ["miniwob.localhost"]


PACK = """
from webgym.task import PENDING, Start, Task
def tasks():
    return {"a": Task("NAME.a", lambda seed: Start("http://py.localhost/", "Go."), lambda evidence: PENDING, hosts=("py.localhost",))}
def sites():
    return ()
"""


def test_a_python_pack_is_loaded_from_its_folder_under_a_private_name(folder):
    (folder / "tasks.yaml").unlink()
    (folder / "__init__.py").write_text("from .inner import sites, tasks")
    (folder / "inner.py").write_text(PACK.replace("NAME", "filed"))
    assert registry.load(folder) == ["filed.a"]
    assert registry.task("filed.a").max_turns == 10 and "filed" not in sys.modules


def test_a_changed_pack_brings_its_changed_modules(folder):
    (folder / "tasks.yaml").unlink()
    (folder / "__init__.py").write_text("from .inner import sites, tasks")
    (folder / "inner.py").write_text(PACK.replace("NAME", "filed"))
    registry.load(folder)
    (folder / "inner.py").write_text(PACK.replace("NAME", "filed").replace("hosts=(", "max_turns=25, hosts=("))
    (folder / "__init__.py").write_text("from .inner import tasks, sites  # changed")
    assert registry.load(folder) == ["filed.a"] and registry.task("filed.a").max_turns == 25


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"expected its __init__.py to have a function tasks\(\), it has none"),
        ("import no_such_module", r"^the pack 'filed' in .* cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'$"),
        (
            "def tasks(): return {}\ndef sites(): return [open('/no/such/pages')]",
            r"^the pack 'filed' in .* cannot be loaded: FileNotFoundError: .*'/no/such/pages'$",
        ),
        (PACK.replace("NAME", "other"), "expected the task 'a' to have the id 'filed.a', got 'other.a'"),
    ],
)
def test_python_packs_that_are_none(folder, text, words):
    (folder / "tasks.yaml").unlink()
    (folder / "__init__.py").write_text(text)
    with pytest.raises(TaskFileError, match=words):
        registry.load(folder)


def test_paths_that_hold_no_tasks(folder):
    (folder / "tasks.yaml").rename(folder / "tasks.txt")
    with pytest.raises(TaskFileError, match=r"expected a task file, or a folder with tasks\.yaml .*; that folder has neither"):
        registry.load(folder)
    with pytest.raises(TaskFileError, match="there is nothing"):
        registry.load(folder / "none.yaml")
    with pytest.raises(TaskFileError, match=r"whose name ends in \.yaml, .*, got \.txt"):
        registry.load(folder / "tasks.txt")


def test_a_host_that_nobody_serves(folder):
    (folder / "tasks.yaml").write_text(TASK_FILE.replace("/page.html", "http://miniwbo.localhost/x.html"))
    with pytest.raises(
        TaskFileError, match=r"'filed\.one' starts at the host 'miniwbo\.localhost', which nothing serves: .*did you mean 'miniwob"
    ):
        registry.load(folder)
    assert "filed.one" not in registry.task_ids()


def test_a_pack_cannot_take_anothers_ids_or_host(folder):
    (folder / "tasks.yaml").write_text("pack: miniwob\n" + TASK_FILE.replace("name: one", "name: click-test"))
    with pytest.raises(
        TaskFileError, match=r"another site has the host 'miniwob\.localhost' already|there is a task 'miniwob\.click-test' already"
    ):
        registry.load(folder)
    (folder / "tasks.yaml").write_text("pack: miniwob\n" + TASK_FILE)
    with pytest.raises(TaskFileError, match=r"another site has the host 'miniwob\.localhost' already"):
        registry.load(folder)


def test_choose_takes_sets_ids_and_patterns():
    default = task_sets.choose(["default"])
    assert task_sets.choose(["default", default[0], "miniwob.click-test"]) == [*default, "miniwob.click-test"]
    with pytest.raises(UnknownTaskError, match=r"no task set is called 'defualt'; did you mean 'default'\? \(sets: default"):
        task_sets.choose(["defualt"])


# --- packs written in Python -----------------------------------------------------------------------------------------------


def test_names_in_one_option_are_said_to_want_an_option_each():
    names = ",".join(f"miniwob.task-{number}" for number in range(100))  # longer than a file's name may be
    with pytest.raises(UnknownTaskError, match=r"expected one name of tasks, got 'miniwob.*\.\.\.': .*--tasks A --tasks B"):
        task_sets.choose([names])


def named(task_id, **changes):
    return Task(task_id, lambda seed: Start("http://p.localhost/", "Go."), lambda evidence: PENDING, **changes)


def test_a_pack_that_gives_a_task_another_id(monkeypatch):
    monkeypatch.setattr(registry, "manifests", lambda: {"p": {"tasks": {"one": {}}}})
    monkeypatch.setattr(registry, "_pack", lambda name: SimpleNamespace(tasks=lambda: {"one": named("p.two")}))
    with pytest.raises(TaskFileError, match=r"the pack 'p' gives its task 'one' the id 'p\.two': expected 'p\.one'"):
        registry.task("p.one")


def test_twins_are_paired_where_both_are_chosen(clean):
    for task_id, twin in (("twins.a", "twins.b"), ("twins.b", "twins.a"), ("twins.c", "")):
        registry.register(named(task_id, twin=twin))
    assert registry.twins(["twins.b", "twins.c", "twins.a"]) == [("twins.a", "twins.b")]
    assert registry.twins(["twins.a", "twins.c"]) == []
