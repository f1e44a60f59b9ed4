"""Every task of every pack, found by discovery: its oracle earns 1, and whoever wants the reward without the work does not.

One seed each, of the first split and of the second in turn; `make trust` plays 20 of all splits.
"""

import pytest

from webgym import trust
from webgym.packs import applications, registry
from webgym.rollout.arena import Arena

TASKS = registry.task_ids()
SEEDS = (3, 1_000_003)
LONG = "wizard.h50"  # fifty pages; its relatives have three to thirty
AT_ONCE = ("stop", "infeasible", "parrot")  # they need one turn


@pytest.fixture(scope="module")
def arena():
    with Arena(2) as found:
        yield found


def problems(task_id, arena, adversaries, oracle=False):
    if reason := applications.missing(task_id):
        pytest.skip(reason)
    seed = SEEDS[TASKS.index(task_id) % len(SEEDS)]
    return trust.audit(task_id, arena, [seed], adversaries, oracle=oracle).problems


@pytest.mark.parametrize("task_id", [pytest.param(x, marks=pytest.mark.slow) if x == LONG else x for x in TASKS])
def test_the_oracle_earns_one_and_doing_nothing_nothing(arena, task_id):
    task = registry.task(task_id)
    idle = "stop" if task.ends == "stop" else "no-op"  # one that is judged at its end only need not wait for all its turns
    assert problems(task_id, arena, (idle,), oracle=task.oracle is not None) == ()


@pytest.mark.parametrize("task_id", [x for x in TASKS[::9] if x != LONG])
def test_saying_so_earns_nothing(arena, task_id):
    """The oracle plays too, since it says where giving up is right."""
    assert problems(task_id, arena, AT_ONCE, oracle=registry.task(task_id).oracle is not None) == ()


@pytest.mark.slow
@pytest.mark.parametrize("task_id", TASKS)
def test_no_adversary_wins_more_than_the_task_allows(arena, task_id):
    assert problems(task_id, arena, None) == ()


def test_most_tasks_have_an_oracle():
    assert sum(registry.task(task_id).oracle is not None for task_id in TASKS) >= 100
