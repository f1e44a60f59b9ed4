"""The mailbox's goals without a browser: what seeds draw, what counts as reached, and how goals are worded."""

import random
import re

import pytest

from tests.tasks.mail.account import Account, module
from webgym.packs import registry
from webgym.task import SEEDS, Evidence
from webgym.types import seed_from

TASKS = [task_id for task_id in registry.task_ids() if task_id.startswith("mail.")]
FEASIBLE = [task_id for task_id in TASKS if not task_id.endswith(("-cancelled", "-missing"))]
TWINS = registry.twins(TASKS)
DRAWS = 500
GOALS = {f"mail.{goal.name}": goal for goal in module("goals").GOALS}


def drawn(task_id, seed):
    """The world of a seed, and what the task wants of it."""
    twin = registry.task(task_id).twin
    stream = min(task_id, twin) if twin else task_id
    return GOALS[task_id].draw(random.Random(seed_from(stream, seed)))


def judged(task_id, seed, changes, ended="stop", answer=""):
    return registry.task(task_id).check(Evidence(seed, "", changes, ended=ended, answer=answer)).kind


@pytest.mark.parametrize("task_id", TASKS)
def test_every_seed_draws_a_world_that_opens_with_a_goal_that_says_all(task_id):
    task = registry.task(task_id)
    goals = set()
    for seed in [*range(DRAWS - 20), *SEEDS["test"][:20]]:
        start = task.start(seed)
        assert "{" not in start.goal and start.goal[0] in '"ABCDEFGHIJKLMNOPQRSTUVWXYZ'
        goals.add(start.goal)
    assert len(goals) > DRAWS * 0.5
    assert module("catalogue").open_mailbox(task.start(0).site_state).changes() == {}


@pytest.mark.parametrize("task_id", TASKS)
def test_a_seed_is_always_the_same_episode(task_id):
    one, other = drawn(task_id, 11), drawn(task_id, 11)
    assert one == other == drawn(task_id, 11) and one != drawn(task_id, 12)
    assert registry.task(task_id).start(11).site_state == one.site_state


@pytest.mark.parametrize(("first", "second"), TWINS)
def test_twins_have_the_same_goals_and_different_worlds(first, second):
    for seed in range(60):
        one, other = registry.task(first).start(seed), registry.task(second).start(seed)
        assert one.goal == other.goal and one.site_state != other.site_state


def test_there_are_three_pairs_of_twins():
    assert len(TWINS) == 3 and len(TASKS) >= 20


@pytest.mark.parametrize("task_id", FEASIBLE)
def test_what_is_wanted_wins_and_nothing_beside_it(task_id):
    for seed in range(5):
        wanted = drawn(task_id, seed).expected
        other = next(expected for n in range(1, 9) if (expected := drawn(task_id, seed + n).expected) != wanted)
        assert judged(task_id, seed, wanted.changes, answer=wanted.answer) == "success"
        assert judged(task_id, seed, {**wanted.changes, "seen": ["2"]}, answer=wanted.answer) == "success"
        assert judged(task_id, seed, wanted.changes, "infeasible", wanted.answer) == "failure"
        assert judged(task_id, seed, other.changes, answer=other.answer) == "failure"
        assert judged(task_id, seed, {**wanted.changes, "drafts": {"added": [{}]}}, answer=wanted.answer) == "failure"
        assert judged(task_id, seed, {**wanted.changes, "labels": {"removed": ["later"]}}, answer=wanted.answer) == "failure"
        assert judged(task_id, seed, {}) == "failure"
        if wanted.answer:
            assert judged(task_id, seed, {}, answer=f"It is {wanted.answer}") == "failure"


@pytest.mark.parametrize("task_id", [task_id for task_id in TASKS if task_id not in FEASIBLE])
def test_where_it_cannot_be_done_nothing_may_be_changed(task_id):
    assert judged(task_id, 3, {}, "infeasible") == "success"
    assert judged(task_id, 3, {"drafts": {"added": [{}]}}, "infeasible") == "success"
    assert judged(task_id, 3, {"sent": [{}]}, "infeasible") == "failure"
    assert judged(task_id, 3, drawn(registry.task(task_id).twin, 3).expected.changes) == "failure"


# --- done on the site, by hand ---------------------------------------------------------------------------------------------


def changed(wanted, table="threads"):
    """The only record of a table that is to change."""
    (found,) = wanted.changes[table]["changed"]
    return found


@pytest.mark.parametrize("seed", range(4))
def test_starring_the_mail_that_is_meant_wins(seed):
    instance = drawn("mail.star", seed)
    account = Account(instance.site_state)
    account.post(f"/thread/{changed(instance.expected)}/do", do="star")
    assert judged("mail.star", seed, account.changes) == "success"
    account.post(f"/thread/{account.thread('archive').id}/do", do="to-inbox")
    assert judged("mail.star", seed, account.changes) == "failure"


@pytest.mark.parametrize("seed", range(4))
def test_answering_once_wins_and_twice_does_not(seed):
    instance = drawn("mail.reply", seed)
    account, (sent,) = Account(instance.site_state), instance.expected.changes["sent"]
    form = {"do": "send", "kind": "reply", "thread": sent["thread"], "to": sent["to"][0], "subject": sent["subject"], "body": sent["body"]}
    account.post("/compose", **form)
    assert judged("mail.reply", seed, account.changes) == "success"
    account.post("/compose", **form)
    assert judged("mail.reply", seed, account.changes) == "failure"


@pytest.mark.parametrize("seed", range(4))
def test_a_wrong_answer_to_an_invitation_can_be_mended(seed):
    instance = drawn("mail.respond", seed)
    account, event = Account(instance.site_state), changed(instance.expected, "events")
    right = instance.expected.changes["events"]["changed"][event]["answer"]
    for answer in ("yes", "no", "maybe"):
        account.post(f"/event/{event}/answer", answer=answer)
        assert judged("mail.respond", seed, account.changes) == ("success" if answer == right else "failure")
    account.post(f"/event/{event}/answer", answer=right)
    assert judged("mail.respond", seed, account.changes) == "success"


def test_a_filter_with_its_work_wins():
    instance = drawn("mail.filter", 2)
    account, (rule,) = Account(instance.site_state), instance.expected.changes["rules"]["added"]
    account.post("/settings/filters/new", sender=rule["sender"], folder=rule["folder"])
    assert judged("mail.filter", 2, account.changes) == "failure"
    (made,) = account.state.rules
    account.post(f"/settings/filters/{made.id}", sender=rule["sender"], folder=rule["folder"], apply="1")
    assert judged("mail.filter", 2, account.changes) == "success"


# --- wordings --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task_id", TASKS)
def test_every_wording_names_the_same_things_in_the_same_order(task_id):
    """So that an oracle, or a small model, can tell by its place what a quoted string stands for."""
    templates = registry.task(task_id).splits.templates
    named = {tuple(dict.fromkeys(re.findall(r'"\{(\w+)\}"', wording))) for split in ("train", "test") for wording in templates[split]}
    assert len(named) == 1
    assert len(templates["train"]) >= 5 and len(templates["test"]) >= 2


ON_TOP = ("look-up", "star", "respond", "respond-cancelled", "tidy", "file-under", "reply", "invitations", "handover")


@pytest.mark.parametrize("name", ON_TOP)
def test_new_mail_that_a_goal_is_about_stands_on_the_inboxs_first_page(name):
    per_page = module("pages.form").PER_PAGE
    for seed in range(150):
        world = drawn(f"mail.{name}", seed).site_state
        inbox = [thread for thread in module("catalogue").open_mailbox(world).threads if thread.folder == "inbox"]
        first = sorted(inbox, key=lambda thread: thread.last.sent, reverse=True)[:per_page]
        fresh = [t for t in world.threads if t.folder == "inbox" and t.last.sent > module("mailbox").NOW.replace(day=4, hour=11)]
        assert fresh and {t.id for t in fresh} <= {t.id for t in first}, seed
