import pytest

from webgym.authoring.template import Instance, templated
from webgym.task import SEEDS, Evidence


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
