"""Farewing's goals without a browser: what seeds draw, what goals say, and what the checks let pass."""

import importlib
import random
import tomllib
from pathlib import Path

import pytest

from webgym.authoring.placeholders import fill_text, names_in
from webgym.packs import registry
from webgym.task import SEEDS, Evidence
from webgym.types import digest

PACK = Path(__file__).parents[3] / "tasks/travel"
TASKS = [task_id for task_id in registry.task_ids() if task_id.startswith("travel.")]
registry.task(TASKS[0])
account, goals = (importlib.import_module(f"webgym_tasks.travel.{name}") for name in ("account", "goals"))
GOALS = {goal.name: goal for goal in goals.GOALS}
WORDINGS = tomllib.loads((PACK / "wordings.toml").read_text("utf-8"))
ANSWERS = {"trip-time", "direct-price", "cheapest-day", "cheapest-city", "refund-sum"}


def drawn(name, seed):
    return GOALS[name].draw(random.Random(seed))


def evidence(state, answer=""):
    return Evidence(0, "", state, ended="stop", answer=str(answer))


def began(instance):
    return account.shown(account.begin(0, instance.site_state))


def unfolded(essence):
    """A trip of the site's state with this essence."""
    people = essence["people"]
    return {key: value for key, value in essence.items() if key != "people"} | {
        "passengers": [person[:2] for person in people],
        "bags": [person[2] for person in people],
        "seats": [list(row) for row in zip(*(person[3] for person in people), strict=True)],
        "total": 1,
        "refunded": 1,
    }


def ended(name, instance):
    """The state and the answer that a goal should end with."""
    state = began(instance)
    if name in ANSWERS:
        return state, instance.expected
    expected = instance.expected
    if name.startswith("front-window"):
        mine, kept = expected
        expected = {"trips": {mine.reference: seated(mine, kept[0])}} if GOALS[name].feasible else {}
    expected = expected or {}
    trips = {reference: unfolded(essence) for reference, essence in expected.get("trips", {}).items()}
    booked = {f"NEWTRIP{number}": unfolded(essence) for number, essence in enumerate(expected.get("booked", ()))}
    state["trips"] = state["trips"] | trips | booked
    for part in ("alerts", "travellers"):
        if part in expected:
            state[part] = dict(enumerate(expected[part]))
    for part in ("preferences", "credit"):
        state[part] = expected.get(part, state[part])
    return state, ""


def seated(mine, seat):
    essence = importlib.import_module("webgym_tasks.travel.goals.goal").essence
    return essence(importlib.import_module("dataclasses").replace(mine, seats=((seat,),)))


@pytest.mark.parametrize("name", GOALS)
def test_500_seeds_draw(name):
    goal, told = GOALS[name], WORDINGS[GOALS[name].told_as]
    worlds, words = set(), set()
    for seed in range(500):
        instance = drawn(name, seed)
        words.add(fill_text(told["train"][0], instance.values))
        worlds.add(tuple(trip.reference for trip in instance.site_state.trips))
        if seed < 30:
            state, answer = ended(name, instance)
            assert goal.holds(instance, evidence(state, answer))
            assert not (goal.feasible and goal.holds(instance, evidence(began(instance)))), "nothing was done"
    assert len(worlds) == 500 and len(words) >= 40  # as many as there are cities


@pytest.mark.parametrize("name", GOALS)
def test_only_the_right_end_is_let_pass(name):
    goal = GOALS[name]
    for seed in range(10):
        instance, other = drawn(name, seed), drawn(name, seed + 1000)
        state, answer = ended(name, instance)
        if name in ANSWERS:
            wrong = other.expected if other.expected != answer else "12"
            assert not goal.holds(instance, evidence(state, wrong)) and not goal.holds(instance, evidence(state))
        trip = next(iter(state["trips"].values()))
        reference = next(iter(began(instance)["trips"]))
        known = began(instance)["trips"][reference]
        for side_effect in (
            {"trips": state["trips"] | {"ONEMORE": trip | {"status": "upcoming"}}},
            {"trips": {key: value for key, value in state["trips"].items() if key != reference}},
            {"trips": state["trips"] | {reference: known | {"status": "cancelled" if known["status"] == "upcoming" else "upcoming"}}},
            {"trips": state["trips"] | {reference: known | {"insurance": not known["insurance"]}}},
            {"alerts": state["alerts"] | {"more": ["Oslo", "Rome", 1]}},
            {"travellers": {}},
            {"preferences": ["1", *state["preferences"][1:]]},
            {"credit": state["credit"] + 1},
        ):
            assert not goal.holds(instance, evidence(state | side_effect, answer)), side_effect.keys()
        assert goal.holds(instance, evidence(state | {"draft": None}, answer)), "a booking that was only begun binds nobody"


@pytest.mark.parametrize("name", [name for name, goal in GOALS.items() if "book" in name or name == "rebook"])
def test_every_part_of_a_booking_counts(name):
    goal = GOALS[name]
    if not goal.feasible:
        pytest.skip("nothing is booked")
    for seed in range(10):
        instance = drawn(name, seed)
        state, _ = ended(name, instance)
        (key,) = (key for key in state["trips"] if key.startswith("NEWTRIP"))
        right = state["trips"][key]
        legs, people = right["legs"], right["passengers"]
        for wrong in (
            {"legs": [[legs[0][0], "2026-12-31"], *legs[1:]]},
            {"legs": [["NV 100", legs[0][1]], *legs[1:]]},
            {"fare": "Flex" if right["fare"] == "Light" else "Light"},
            {"passengers": [["Someone Else", people[0][1]], *people[1:]]},
            {"passengers": [[people[0][0], "XX000000"], *people[1:]]},
            {"bags": [9, *right["bags"][1:]]},
            {"seats": [["99Z"] * len(people) for _ in legs]},
            {"insurance": not right["insurance"]},
            {"paid_by": "Cash"},
            {"status": "cancelled"},
        ):
            assert not goal.holds(instance, evidence(state | {"trips": state["trips"] | {key: right | wrong}})), wrong
        turned = {part: right[part][::-1] for part in ("passengers", "bags")} | {"seats": [row[::-1] for row in right["seats"]]}
        assert goal.holds(instance, evidence(state | {"trips": state["trips"] | {key: right | turned}})), "in no order"


@pytest.mark.parametrize("name", WORDINGS)
def test_wordings_tell_the_same(name):
    told = WORDINGS[name]
    assert len(told["train"]) >= 5 and len(told["test"]) >= 2 and len({*told["train"], *told["test"]}) == len(told["train"] + told["test"])
    assert set(told) == {"train", "test"} and name in GOALS
    placeholders = [sorted(set(names_in(words))) for words in told["train"] + told["test"]]
    assert all(found == placeholders[0] for found in placeholders)


def test_twins_ask_the_same_of_different_worlds():
    pairs = [(goal.name, goal.twin) for goal in GOALS.values() if not goal.feasible]
    assert len(pairs) >= 2
    for name, twin in pairs:
        one, other = registry.task(f"travel.{name}"), registry.task(f"travel.{twin}")
        assert (one.twin, other.twin) == (other.id, one.id) and one.splits == other.splits and one.max_turns == other.max_turns
        for seed in (*range(20), *SEEDS["test"][:20]):
            here, there = one.start(seed), other.start(seed)
            assert (here.goal, here.url) == (there.goal, there.url) and here.site_state != there.site_state
            assert digest(account.shown(account.begin(0, here.site_state))["credit"]) == digest(
                account.shown(account.begin(0, there.site_state))["credit"]
            )


def test_infeasible_is_right_only_where_it_is():
    for name, twin in ((goal.name, goal.twin) for goal in GOALS.values() if not goal.feasible):
        for task_id, kind in ((f"travel.{name}", "success"), (f"travel.{twin}", "failure")):
            task = registry.task(task_id)
            state = account.shown(account.begin(3, task.start(3).site_state))
            assert task.check(Evidence(3, "", state, ended="infeasible")).kind == kind
            assert task.check(Evidence(3, "", state, ended="stop")).kind == "failure"
            assert task.check(Evidence(3, "", state)).kind == "pending"


def test_levels_and_limits():
    tasks = [registry.task(task_id) for task_id in TASKS]
    assert len(tasks) >= 18 and {task.difficulty for task in tasks} == {1, 2, 3, 4, 5}
    assert all(task.oracle and task.ends == "stop" and task.trust == "state" and task.max_turns <= 45 for task in tasks)
    assert sum(task.difficulty == 5 for task in tasks) >= 4


@pytest.mark.parametrize("left", [0, 1])
def test_a_zone_without_two_free_seats_is_no_place_for_a_pair(left, monkeypatch):
    timetable, worlds = (importlib.import_module(f"webgym_tasks.travel.{name}") for name in ("timetable", "worlds"))
    seats = {zone: [seat for seat in timetable.SEATS if timetable.zone_of(seat) == zone] for zone in timetable.ZONES}
    full = frozenset(seat for zone in ("front", "middle") for seat in seats[zone][left:])
    monkeypatch.setattr(worlds, "taken_seats", lambda number, day: full)
    for seed in range(20):
        two = drawn("book-pair", seed).values["seats"]
        assert len(set(two)) == 2 and set(two) <= set(seats["rear"])
