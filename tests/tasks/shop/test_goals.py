"""The shop's tasks without a browser: what seeds draw, what goals say, and what the checks let pass."""

import importlib
import inspect
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from webgym.packs import registry
from webgym.packs.rehearsal import rehearse
from webgym.task import SEEDS, Evidence
from webgym.types import digest

ROOT = Path(__file__).parents[3]
TASKS = [task_id for task_id in registry.task_ids() if task_id.startswith("shop.")]
registry.task(TASKS[0])
MODULES = [importlib.import_module(f"webgym_tasks.shop.goals.{name}") for name in ("finding", "buying", "orders")]
draws = importlib.import_module("webgym_tasks.shop.goals.draws")
world = importlib.import_module("webgym_tasks.shop.world")


def all_draws():
    """Every draw of every module by name; those that draw twins, once for each."""
    for module in MODULES:
        for name, made in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("draw_") and made.__module__ == module.__name__:
                twins = "feasible" in inspect.signature(made).parameters
                yield from ((f"{name}-{feasible}", made(feasible)) for feasible in (True, False)) if twins else [(name, made)]


DRAWS = dict(all_draws())


def evidence(state, answer):
    return Evidence(0, "", state, ended="stop", answer=answer)


def answered(instance):
    return "" if instance.expected.answer is None else str(instance.expected.answer)


def begun(instance):
    return world.World(instance.site_state).shown()


@pytest.mark.parametrize("name", DRAWS)
def test_500_seeds_draw_what_the_shop_can_do(name):
    """A draw plays its own goal on a world, so one that asks for what the shop would refuse raises."""
    seen = set()
    for seed in range(500):
        instance = DRAWS[name](random.Random(seed))
        assert draws.holds(instance, evidence(instance.expected.state, answered(instance)))
        seen.add(digest([repr(instance.values), repr(instance.expected)]))
    assert len(seen) > 100


@pytest.mark.parametrize("name", DRAWS)
def test_only_the_right_end_is_let_pass(name):
    changes = 0
    for seed in range(20):
        instance, other = DRAWS[name](random.Random(seed)), DRAWS[name](random.Random(seed + 1000))
        right = instance.expected
        if right.state != world.outcome(begun(instance)):
            changes += 1
            assert not draws.holds(instance, evidence(begun(instance), answered(instance))), "nothing was done"
        if answered(instance) != answered(other):
            assert not draws.holds(instance, evidence(right.state, answered(other))), "another seed's answer"
        if right.answer is not None:
            assert not draws.holds(instance, evidence(right.state, ""))
        for side_effect in (
            {"wishes": [*right.state["wishes"], "one-more"]},
            {"cart": [*right.state["cart"], {"product": "one-more", "variant": "Red", "quantity": 1}]},
            {"addresses": right.state["addresses"][1:]},
            {"orders": [*right.state["orders"], {"lines": [], "status": "Processing"}]},
            {"reviews": [{"product": "one-more"}]},
        ):
            assert not draws.holds(instance, evidence({**right.state, **side_effect}, answered(instance))), "and a second thing"
    assert changes in (0, 20)


@pytest.mark.parametrize("task_id", TASKS)
def test_goals_are_filled_and_told_in_held_out_words(task_id):
    task = registry.task(task_id)
    wordings = task.splits.templates
    assert len(set(wordings["train"])) >= 5 and len(set(wordings["test"])) >= 2
    assert not set(wordings["train"]) & set(wordings["test"])
    # Oracles, and models that point, read the quoted strings in order: every wording has them all, in the same one.
    order = {tuple(re.findall(r'"([^"]*)"', words)) for words in (*wordings["train"], *wordings["test"])}
    assert len(order) == 1, order
    for seed in (*SEEDS["train"][:60], *SEEDS["test"][:20]):
        goal = task.start(seed).goal
        assert goal and not re.search(r"[{}]|None|Spec\(|Variant\(", goal)


def test_seeds_draw_the_same_in_every_process():
    """The catalogue and every draw depend on nothing but the seed: not on the process's own hashes, nor on what was drawn before."""
    code = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from webgym.packs import registry
from webgym.types import digest
print(digest([(task_id, seed, repr(registry.task(task_id).start(seed).goal)) for task_id in {TASKS!r} for seed in (1, 2)]))
"""
    told = [
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
        for seed in ("1", "2")
    ]
    assert told[0].stdout == told[1].stdout and len(told[0].stdout.strip()) == 32


def test_twins_have_the_same_goals_and_other_worlds():
    pairs = registry.twins(TASKS)
    assert len(pairs) == 3
    for first, second in pairs:
        one, other = registry.task(first), registry.task(second)
        for seed in (*range(40), *SEEDS["test"][:10]):
            assert one.start(seed).goal == other.start(seed).goal
            assert one.start(seed).site_state != other.start(seed).site_state


def test_all_can_begin():
    rehearse(TASKS)


def test_the_levels_are_all_there():
    levels = [registry.task(task_id).difficulty for task_id in TASKS]
    assert len(TASKS) >= 15 and set(levels) == {1, 2, 3, 4, 5}
    assert sum(level >= 4 for level in levels) >= 10 and sum(level == 5 for level in levels) >= 4


def test_an_answer_is_a_number_or_words():
    (item,) = draws.products(random.Random(0), 1)
    price = draws.due(world.Opening(), {}, answer=12.5)
    for answer, right in (
        ("$12.50", True),
        ("It costs $12.50.", True),
        ("12.5", True),
        ("12.51", False),
        ("12.50 or 13", False),
        ("", False),
    ):
        assert draws.holds(price, evidence(begun(price), answer)) is right, answer
    name = draws.due(world.Opening(), {}, answer=item.name)
    for answer, right in ((item.name, True), (f" {item.name.upper()}. ", True), (item.brand, False)):
        assert draws.holds(name, evidence(begun(name), answer)) is right, answer


def test_the_order_of_things_and_the_numbers_of_orders_do_not_count():
    first, second = (world.Line(item.id, item.variants[0]) for item in draws.products(random.Random(3), 2))
    one, other = world.World(world.Opening(cart=(first, second))), world.World(world.Opening(cart=(second, first)))
    assert one.shown() != other.shown() and world.outcome(one.shown()) == world.outcome(other.shown())
    for shop, numbers in ((one, (5000,)), (other, (6000, 7000))):
        terms = draws.Terms("Home", "express", "card-4417")
        terms.place(shop)
        shop.orders = {number: next(iter(shop.orders.values())) for number in numbers}
    assert world.outcome(one.shown()) != world.outcome(other.shown()), "two orders are not one"
    other.orders.popitem()
    assert world.outcome(one.shown()) == world.outcome(other.shown())
