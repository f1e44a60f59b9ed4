"""What cannot begin is told in one sentence before the first episode."""

from dataclasses import replace

import pytest

from webgym.authoring.template import Instance, templated
from webgym.errors import JudgeFault, SiteFault, TaskFileError
from webgym.evaluation.assessment import Assessment
from webgym.packs import registry
from webgym.packs.rehearsal import rehearse
from webgym.policies.scripted import NoopPolicy

HOST = "stall.localhost"
STOCK = ("tea", "milk")


class Stall:
    """A site that can begin with what it has."""

    host = HOST

    async def lease(self, seed, site_state):
        return {"basket": [STOCK[STOCK.index(site_state)]]}

    def snapshot(self, state):
        return state

    async def release(self, state):
        return None

    async def app(self, scope, receive, send):
        raise RuntimeError("the stall is closed")


def bought(instance, evidence):
    return evidence.site_state["basket"] == [instance.expected]


@pytest.fixture
def stall():
    """Makes a task `stall.<name>` known, with these changes."""
    known = []

    def add(name="buy", values=None, begins="tea", holds=bought, twin="", sites=None, **changes):
        def draw(rng):
            return Instance({"what": "tea"} if values is None else values, expected="tea", site_state=begins)

        made = templated(
            f"stall.{name}", host=HOST, draw=draw, holds=holds, train=("Buy {what}.",), test=("Get {what}.",), twin=twin, max_turns=2
        )
        known.append(registry.register(replace(made, **changes), SITES if sites is None else sites).id)
        return known[-1]

    yield add
    for task_id in known:
        registry._remove(task_id)


SITES = (Stall(),)


def test_a_task_that_can_begin_is_let_by(stall):
    rehearse([stall(), "miniwob.click-button", "miniwob.login-user"])


def test_a_goal_about_what_was_not_drawn(stall):
    words = r"^task stall\.buy cannot begin with seed 0: there is no 'what' among the values; did you mean 'wat'\? \(there: wat\)$"
    with pytest.raises(TaskFileError, match=words):
        rehearse([stall(values={"wat": "tea"})])


def test_a_site_that_does_not_have_what_was_drawn(stall):
    with pytest.raises(SiteFault, match=r"^site stall\.localhost cannot open seed 0 of task stall\.buy: ValueError: .*not in tuple"):
        rehearse([stall(begins="coffee")])


def test_a_host_that_nothing_serves(stall):
    with pytest.raises(TaskFileError, match=r"^task stall\.buy: expected a site that serves 'stal\.localhost', there is none$"):
        rehearse([stall(hosts=("stal.localhost",))])


def test_a_check_that_raises(stall):
    task_id = stall(holds=lambda instance, evidence: evidence.site_state["order"] == 1)
    with pytest.raises(JudgeFault, match=r"^the check of task stall\.buy failed on seed 0, before anything was done: KeyError\('order'\)$"):
        rehearse([task_id])
    with pytest.raises(JudgeFault, match="before anything was done"):  # no browser was started for it
        Assessment((task_id,), seeds=1, sessions=1).play(NoopPolicy())


def test_twins_that_are_none(stall):
    one, other = stall("one", twin="stall.other"), stall("other")
    with pytest.raises(
        TaskFileError, match=r"^task stall\.one has the twin stall\.other: expected that one to have the twin stall\.one, got ''$"
    ):
        rehearse([one, other])
    third = stall("third", twin="stall.fourth", values={"what": "milk"})
    stall("fourth", twin="stall.third")
    with pytest.raises(TaskFileError, match=r"^task stall\.third and its twin stall\.fourth have different goals for seed 0"):
        rehearse([third])


def test_a_site_that_breaks_in_the_middle_is_a_fault_with_its_address(stall):
    (found,) = Assessment((stall(),), seeds=1, sessions=1).play(NoopPolicy())
    assert found.outcome.kind == "fault"
    assert found.outcome.message == "the site stall.localhost/ failed while answering: RuntimeError('the stall is closed')"
