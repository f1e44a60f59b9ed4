import pytest

from webgym.authoring.template import Goal, Instance, tasks_of, templated
from webgym.errors import TaskFileError
from webgym.task import SEEDS, Evidence
from webgym.types import Observation, Stop


def draw(rng):
    wanted = rng.choice(("tea", "milk", "rice"))
    return Instance({"what": wanted}, expected=wanted, site_state={"begun": wanted}, path="/list")


def buy(name="p.buy", **changes):
    return templated(
        name,
        host="p.localhost",
        draw=draw,
        holds=lambda instance, evidence: evidence.site_state == [instance.expected],
        train=("Buy {what}.", "Get me {what}."),
        test=("Order {what}.",),
        **changes,
    )


def wanted(task, seed):
    return task.start(seed).site_state["begun"]


def test_the_seed_decides_goal_state_and_address():
    task = buy()
    start = task.start(5)
    assert start == buy().start(5)
    assert start.url == "http://p.localhost/list" and start.goal.rstrip(".").endswith(wanted(task, 5))
    assert {task.start(seed).goal.split()[0] for seed in range(40)} == {"Buy", "Get"}
    assert {task.start(seed).goal.split()[0] for seed in SEEDS["test"][:40]} == {"Order"}
    assert len({wanted(task, seed) for seed in range(40)}) == 3


def test_won_when_the_agent_stopped_and_the_site_is_as_asked():
    task, seed = buy(), 3
    right, wrong = [wanted(task, seed)], ["a bicycle"]
    assert task.check(Evidence(seed, "", right, ended="stop")).kind == "success"
    assert task.check(Evidence(seed, "", wrong, ended="stop")).kind == "failure"
    assert task.check(Evidence(seed, "", right, ended="infeasible")).kind == "failure"
    assert task.check(Evidence(seed, "", right)).kind == "pending"
    assert buy(ends="success").check(Evidence(seed, "", right)).kind == "success"


def test_twins_share_goals_and_differ_in_what_is_right():
    task, impossible = buy(twin="p.impossible"), buy("p.impossible", twin="p.buy", feasible=False)
    assert [task.start(seed).goal for seed in range(20)] == [impossible.start(seed).goal for seed in range(20)]
    assert [task.start(seed).goal for seed in range(20)] != [buy("p.other").start(seed).goal for seed in range(20)]
    right = [wanted(task, 1)]
    assert impossible.check(Evidence(1, "", right, ended="infeasible")).kind == "success"
    assert impossible.check(Evidence(1, "", right, ended="stop")).kind == "failure"


def test_test_wordings_are_held_out():
    with pytest.raises(ValueError, match=r"p\.buy: expected wordings for training and others for test"):
        templated("p.buy", host="p.localhost", draw=draw, holds=lambda i, e: True, train=("Buy.",), test=("Buy.",))


# --- the tasks of a pack ---------------------------------------------------------------------------------------------------

MANIFEST = "[tasks.buy]\nmax_turns = 7\nchance = 0.25\nviewport = [800, 600]\n\n[tasks.sold-out]\nmax_turns = 5\n"
WORDINGS = "[buy]\ntrain = ['Buy {what}.', 'Get me {what}.']\ntest = ['Order {what}.']\n"


def bought(instance, evidence):
    return evidence.site_state == [instance.expected]


def program(page):
    yield Stop(page.goal)


GOALS = (Goal("buy", draw, bought, twin="sold-out"), Goal("sold-out", draw, bought, feasible=False, twin="buy"))


def pack(folder, manifest=MANIFEST, wordings=WORDINGS, goals=GOALS, oracles=None):
    (folder / "pack.toml").write_text(manifest, "utf-8")
    (folder / "wordings.toml").write_text(wordings, "utf-8")
    return tasks_of("p", folder, "p.localhost", goals, {"buy": program} if oracles is None else oracles)


def test_goals_become_tasks_with_their_limits_wordings_and_oracles(tmp_path):
    found = pack(tmp_path)
    assert list(found) == ["buy", "sold-out"]
    task, impossible = found["buy"], found["sold-out"]
    assert (task.id, task.max_turns, task.chance, task.viewport, task.hosts) == ("p.buy", 7, 0.25, (800, 600), ("p.localhost",))
    assert (task.twin, impossible.twin, impossible.max_turns) == ("p.sold-out", "p.buy", 5)
    assert task.splits == impossible.splits and task.splits.templates["test"] == ("Order {what}.",)
    assert [task.start(seed) for seed in range(20)] == [buy(twin="p.sold-out").start(seed) for seed in range(20)]
    assert task.start(3).goal == impossible.start(3).goal
    right = [wanted(task, 3)]
    assert task.check(Evidence(3, "", right, ended="stop")).kind == "success"
    assert impossible.check(Evidence(3, "", right, ended="infeasible")).kind == "success"
    assert impossible.oracle()(Observation("Buy tea.", "", "", ())) == Stop("Buy tea.")
    assert task.oracle() is not task.oracle()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"goals": GOALS + GOALS[:1]}, "the pack 'p' has two goals named 'buy': give one of them another name"),
        ({"oracles": {"by": program}}, "the pack 'p' has no oracle for the goal 'buy': add one under this name; did you mean 'by'?"),
        ({"manifest": "[tasks.buy]\nmax_turns = 7\n"}, "pack.toml: expected a table [tasks.sold-out] for this goal, got none: add one"),
        ({"manifest": MANIFEST.replace("chance", "chanse")}, "[tasks.buy] has a field 'chanse' that no task has; did you mean 'chance'"),
        ({"wordings": "[by]\ntrain = ['Buy.']\n"}, "expected a table [buy] with the lists train and test for this goal, got none"),
        ({"wordings": "[buy]\ntrain = ['Buy.']\n"}, "expected a table [buy] with the lists train and test for this goal, got train"),
        ({"wordings": "[buy]\n"}, "with the lists train and test for this goal, got an empty one"),
    ],
)
def test_what_a_goal_lacks_is_one_sentence(tmp_path, changes, words):
    with pytest.raises(TaskFileError) as wrong:
        pack(tmp_path, **changes)
    assert words in str(wrong.value)
