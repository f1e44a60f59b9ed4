"""A demonstrator slips and goes on; an oracle that fails before any slip is broken."""

from dataclasses import replace

import pytest

from webgym.authoring.oracle import remembering
from webgym.errors import JudgeFault
from webgym.policies import demonstrator as demos
from webgym.prompts.settings import COMPACT
from webgym.task import FAILURE, Start, Task
from webgym.types import Back, Click, EpisodeKey, Node, Observation, Stop

PAGE = Observation("Press Go.", "", "", (Node("button", "Go", 0), Node("button", "Stay", 1)))
LOST = Observation("Press Go.", "", "", (Node("button", "Back", 0),), turn=1)


def demonstrator(oracle, slips, monkeypatch):
    task = Task("p.go", start=lambda seed: Start(""), check=lambda evidence: FAILURE, oracle=lambda: oracle)
    found = demos.Demonstrator(COMPACT, slips)
    monkeypatch.setattr(found, "_task", lambda task_id: task)
    return found


def press(page):
    return Click(next(node.ref for node in page.nodes if node.text == "Go"))


def test_slips_are_a_function_of_the_episode(monkeypatch):
    found = demonstrator(press, 0.5, monkeypatch)
    keys = [EpisodeKey("p.go", seed) for seed in range(200)]
    actions = [found._chosen(PAGE, key) for key in keys]
    assert actions == [found._chosen(PAGE, key) for key in keys]
    assert 20 < sum(action != Click(0) for action in actions) < 100  # half of them slip, and some of those press Go all the same


def test_after_a_slip_the_demonstrator_may_be_lost(monkeypatch):
    found = demonstrator(press, 1.0, monkeypatch)
    found._chosen(PAGE, EpisodeKey("p.go", 0))
    found._chosen(LOST, EpisodeKey("p.go", 0))


@pytest.mark.parametrize("slips", [0.0, 1e-9])
def test_an_oracle_that_fails_by_itself_is_a_fault_of_the_task(monkeypatch, slips):
    found = demonstrator(press, slips, monkeypatch)
    key = EpisodeKey("p.go", 0)
    assert found._chosen(PAGE, key) == Click(0)
    with pytest.raises(JudgeFault, match="StopIteration"):
        found._chosen(LOST, key)


def test_an_oracle_that_remembers_is_led_back_to_where_it_slipped(monkeypatch):
    first = Observation("", "http://s/1", "", (Node("button", "Go", 0), Node("link", "Away", 1)))
    second, away = (Observation("", f"http://s/{name}", "", (Node("button", "Done", 0),), turn=1) for name in ("2", "away"))

    def program(page):
        page = yield press(page)
        yield Stop(page.url)

    found = demonstrator(press, 1.0, monkeypatch)
    monkeypatch.setattr(
        found, "_task", lambda task_id: Task("p.go", lambda seed: Start(""), lambda e: FAILURE, oracle=remembering(program))
    )
    key = EpisodeKey("p.go", 0)
    monkeypatch.setattr(demos, "random_action", lambda page, rng: Click(1))
    assert found._chosen(first, key) == Click(1)
    found._slips = 1e-9
    played = [found._chosen(replace(page, turn=turn), key) for turn, page in enumerate((away, first, second), 1)]
    assert played == [Back(), Click(0), Stop("http://s/2")]
