"""The audit finds what is wrong with a task, in words. Played in the browser on tasks that are wrong in one way each."""

import asyncio
import itertools
import re

import pytest

from webgym import trust
from webgym.errors import UsageError
from webgym.packs import registry
from webgym.policies.scripted import NoopPolicy
from webgym.rollout.arena import Arena
from webgym.task import PENDING, Start, Task
from webgym.trust import adversaries, auditing
from webgym.types import EpisodeKey, Observation, Stop

PAGE = """<!doctype html><title>Order</title><form method="post" action="/order.html">
<label>Name <input name="name"></label><button>Order</button></form>"""

GOOD = {
    "goal": "Order for {name}.",
    "parameters": "{name: [Ann, Bob, Cleo, Dan]}",
    "check": '{site: {path: order.0.name, equals: "{name}"}}',
    "oracle": '[{fill: [Name, "{name}"]}, {click: Order}]',
    "chance": "0.6",
    "max_turns": "4",
}


@pytest.fixture(scope="module")
def arena():
    with Arena(2) as found:
        yield found


@pytest.fixture
def audited(arena, tmp_path):
    """Audits the good task with these fields changed (None: left out); the same adversaries as always unless named."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/order.html").write_text(PAGE, "utf-8")
    file = tmp_path / "tasks.yaml"

    def run(adversaries=("no-op", "stop"), seeds=(0, 1_000_000, 2_000_000), page=PAGE, **changes):
        (tmp_path / "pages/order.html").write_text(page, "utf-8")
        start = changes.pop("start", "/order.html")
        fields = "".join(f"    {name}: {value}\n" for name, value in {**GOOD, **changes}.items() if value is not None)
        file.write_text(f"pack: audited\nsite: {{pages: pages}}\ntasks:\n  - name: order\n    start: {start}\n{fields}", "utf-8")
        return trust.audit(registry.load(file)[0], arena, seeds, adversaries)

    yield run
    if file in registry._loaded:
        for task_id in registry._loaded.pop(file)[1]:
            registry._remove(task_id)


def test_a_good_task_is_trusted_against_all_adversaries(audited):
    audit = audited(adversaries=None)
    assert audit.trusted and audit.problems == ()
    assert {trial.name: len(trial.wins) for trial in audit.trials if trial.name not in ("random", "guess")} == {
        "oracle": 3, "no-op": 0, "stop": 0, "infeasible": 0, "parrot": 0, "eager": 0, "wrong target": 0, "direct": 0, "other seed": 0,
        "tampering": 0,
    }  # fmt: skip
    assert len(next(trial for trial in audit.trials if trial.name == "random").trajectories) == 24
    assert audit.lines()[0] == "audited.order: can be trusted"
    assert audit.to_json()["tried"]["oracle"] == {"wins": 3, "episodes": 3, "expected": "all"}


def test_an_oracle_that_fails_is_told_with_seed_and_reason(audited):
    audit = audited(
        parameters="{name: [Ann, Bob, Cleo, Dan], who: [Ann]}", oracle='[{fill: [Name, "Ann"]}, {click: Order}, {wait_ms: 1}, {wait_ms: 1}]'
    )
    assert not audit.trusted
    wrong = [t for t in audit.trials[0].trajectories if not t.outcome.success]
    more = sum(int(n) for problem in audit.problems for n in re.findall(r"on seed \d+ \(and (\d+) more\): ", problem))
    assert wrong and len({*audit.problems}) == len(audit.problems) == len(wrong) - more
    words = audit.problems[0]
    assert words.startswith(f"the oracle fails on seed {wrong[0].key.seed}")
    assert ": it is not done after all 4 turns; site state 'order.0.name' is 'Ann', expected " in words
    assert audit.lines()[0] == "audited.order: cannot be trusted" and any("problem: the oracle" in line for line in audit.lines())


def test_an_oracle_that_loses_finds_nothing_or_does_what_does_not_work(audited):
    decided = {"decided": "{site: {path: order, exists: true}}"}
    assert "it loses at turn 1; site state" in audited(oracle="[{click: Order}]", seeds=(0,), **decided).problems[0]
    assert (
        "breaks down at turn 1; LookupError: step 1 of 1, click 'Buy': there is no thing that says 'Buy'"
        in (audited(oracle="[{click: Buy}]", seeds=(0,)).problems[0])
    )
    ended = audited(oracle="[{click: Order}]", seeds=(0,)).problems[0]
    assert "breaks down at turn 2; OracleEnded: all steps of the oracle are done and the episode is not over; site state" in ended
    assert "'order.0.name' is '', expected " in ended
    off = audited(page=PAGE.replace("<button>", "<button disabled>"), seeds=(0,)).problems[0]
    assert "breaks down at turn 3" in off and "all steps of the oracle are done" in off and "click('1') did not work" in off


def test_a_start_page_that_is_answered_with_an_error_is_the_one_problem(audited):
    assert audited(seeds=(0, 1), start="/nowhere").problems == ("the start page /nowhere was answered with status 404: not found",)


def test_a_task_without_an_oracle(audited):
    assert audited(oracle=None, seeds=(0,)).problems == ("there is no oracle, so nothing shows that the task can be solved: write one",)


def test_a_check_that_passes_at_the_start(audited):
    problems = audited(check="{not: {site: {path: refund, exists: true}}}", seeds=(7,)).problems
    assert problems[0] == "the check passes at the start: doing nothing wins on the first turn (seed 7)"
    assert problems[1].startswith("stopping at once wins 1 of 1 episodes, first on seed 7 at turn 1")


def test_a_page_that_solves_itself(audited):
    page = (
        PAGE + "<script>setTimeout(() => fetch('/order.html', {method: 'POST', body: new URLSearchParams({name: 'Ann'})}), 1800)</script>"
    )
    problems = audited(
        page=page, goal="Order for Ann.", parameters=None, check="{site: {path: order, count: 1}}", oracle=None, seeds=(0,)
    ).problems
    assert "doing nothing wins 1 of 1 episodes, first on seed 0 at turn 2; it must never win" in problems


def test_a_site_that_is_won_by_opening_an_address(audited):
    late = "setTimeout(() => fetch('/order.html', {method: 'POST', body: new URLSearchParams({name: 'Ann'})}), 900)"
    page = f"{PAGE}<a href='/order.html?yes'>go</a><script>if (location.search) {late}</script>"
    changes = {"goal": "Order for Ann.", "parameters": None, "check": "{site: {path: order, count: 1}}", "chance": "0"}
    audit = audited(adversaries=("direct",), page=page, oracle="[{click: go}, {wait_ms: 1000}]", seeds=(0,), **changes)
    assert audit.problems == (
        "opening the address at which the oracle ends wins 1 of 1 episodes, first on seed 0 at turn 2; "
        "that is more than the stated chance of 0 explains: state a higher chance, or ask for more",
    )


def test_a_check_that_does_not_look_at_what_the_seed_asks_for(audited):
    problems = audited(adversaries=("other seed",), check="{site: {path: order, exists: true}}", chance="0").problems
    assert len(problems) == 1 and problems[0].startswith("doing what is right for another seed wins ")


def test_an_answer_that_is_the_same_for_every_seed(audited):
    many = "{name: {integer: [1, 999999]}}"
    asked = {"goal": "Which key has {name}?", "parameters": many, "max_turns": "2", "chance": "0"}
    same = audited(adversaries=("shortcut",), check="{answer: {number: 17}}", oracle='[{stop: "17"}]', **asked)
    assert same.problems == (
        "answering at once what is right for most other seeds wins 3 of 3 episodes, first on seed 0 at turn 1; "
        "that is more than the stated chance of 0 explains: state a higher chance, or ask for more",
    )
    drawn = audited(adversaries=("shortcut",), check='{answer: {exact: "{name}"}}', oracle='[{stop: "{name}"}]', **asked)
    assert drawn.trusted and [trial.name for trial in drawn.trials] == ["oracle", "shortcut"]
    none = audited(adversaries=("shortcut",))
    assert none.trusted and [trial.name for trial in none.trials] == ["oracle"], "no answer is asked for"


def test_a_right_answer_without_a_visit_is_noted(audited):
    asked = {"goal": "Say {name}.", "max_turns": "2", "chance": "0.6"}
    audit = audited(adversaries=None, check='{answer: {exact: "{name}"}}', oracle='[{stop: "{name}"}]', **asked)
    assert "the right answer alone wins 3 of 3 episodes, without the visits that the goal needs" in " ".join(audit.notes)
    assert [trial.name for trial in audit.trials][-1] == "answer alone"


def test_a_check_that_believes_any_request(audited):
    page = {"page": PAGE, "oracle": "[{click: Order}]", "chance": "0"}
    problems = audited(adversaries=("tampering",), check="{site: {path: order, exists: true}}", **page).problems
    assert problems and problems[-1].startswith("changing page, storage and address by script, and sending claims wins ")
    assert audited(adversaries=("tampering",), chance="0").trusted


def test_more_wins_by_chance_than_stated(audited):
    page = PAGE.replace("<input", '<input value="x"')
    changes = {"page": page, "check": "{site: {path: order, exists: true}}", "oracle": "[{click: Order}]"}
    problems = audited(adversaries=("random", "eager"), chance="0.3", **changes).problems
    assert [words.partition(" wins ")[0] for words in problems] == [
        "acting at random",
        "pressing the last button of the page and nothing else",
    ]
    assert problems[0].endswith("that is more than the stated chance of 0.3 explains: state a higher chance, or ask for more")
    assert audited(adversaries=("random", "eager"), chance="1", **changes).trusted


def test_an_answer_that_stands_in_the_goal(audited):
    changes = {"goal": 'Say "{name}".', "check": '{answer: {exact: "{name}"}}', "oracle": '[{stop: "{name}"}]', "chance": "0"}
    assert audited(adversaries=("parrot",), **changes).problems[0].startswith("answering with words of the goal wins 3 of 3")


def test_a_goal_that_is_infeasible_may_be_called_so(audited):
    changes = {"check": "{infeasible: true}", "oracle": "[{infeasible: there is no such form}]"}
    audit = audited(adversaries=("infeasible", "stop"), **changes)
    assert audit.trusted and [trial.name for trial in audit.trials] == ["oracle", "stop"]
    assert "calling the goal infeasible at once wins" in audited(adversaries=("infeasible",), check="{infeasible: true}").problems[-1]


def test_a_site_that_breaks_is_told(audited):
    audit = audited(page=PAGE + "{{nobody}}", seeds=(0,))
    assert "the start page /order.html was answered with status 404" in audit.problems[0] and "there is no 'nobody'" in audit.problems[0]


def test_notes_are_no_problems(audited):
    audit = audited(
        goal="Order for Ann.",
        parameters=None,
        check="{site: {path: order.0.name, equals: Ann}}",
        oracle="[{fill: [Name, Ann]}, {click: Order}]",
        max_turns="2",
    )
    assert audit.trusted
    assert [note.partition(":")[0] for note in audit.notes] == [
        "the oracle needs all 2 turns on some seed",
        "every seed gives the same episode",
        "training and test goals have the same wordings",
    ]


UNEQUAL = "seed 5 does not always begin with the same page: nothing but the seed may decide it"


@pytest.mark.parametrize(
    ("deterministic", "by_clock", "expected"),
    [(True, "", (UNEQUAL,)), (True, "answers depend on the wall clock", ("answers depend on the wall clock",)), (False, "", ())],
)
def test_a_start_that_the_seed_does_not_fix(arena, monkeypatch, deterministic, by_clock, expected):
    monkeypatch.setattr(auditing, "wall_time", lambda task_id, seed: by_clock)
    counter = itertools.count()
    site = next(iter(registry.sites_of(registry.task("miniwob.click-test"))))
    task = registry.task("miniwob.click-test")

    def start(seed):
        return type(task.start(seed))(task.start(seed).url, f"goal {next(counter)}", f"{task.start(seed).page_script}")

    unsteady = Task("unsteady.one", start, task.check, max_turns=1, probe=task.probe, hosts=(site.host,), deterministic=deterministic)
    registry.register(unsteady)
    try:
        problems = trust.audit("unsteady.one", arena, (5,), ("no-op", "stop"), oracle=False, clock=True).problems
    finally:
        registry._remove("unsteady.one")
    assert problems == expected


def test_an_adversary_is_held_against_tasks_once_it_is_registered(audited, monkeypatch):
    monkeypatch.setattr(adversaries, "ADVERSARIES", {})
    trust.adversary("sleeper", "sleeping")(NoopPolicy)
    audit = audited(adversaries=None, check="{site: {path: order, count: 0}}", seeds=(0,))
    assert [trial.name for trial in audit.trials] == ["oracle", "sleeper"]
    assert "sleeping wins 1 of 1 episodes, first on seed 0 at turn 1; it must never win" in audit.problems


def test_a_task_that_cannot_begin_is_told_without_playing():
    task = registry.task("miniwob.click-test")
    registry.register(Task("lost.one", task.start, task.check, probe=task.probe, hosts=("lost.localhost",)))
    try:
        audit = trust.audit("lost.one", None, (5,))
    finally:
        registry._remove("lost.one")
    assert audit.problems == ("task lost.one: expected a site that serves 'lost.localhost', there is none",) and audit.trials == ()


def test_a_ledger_skips_what_was_trusted_as_it_is_now(tmp_path, monkeypatch):
    path = tmp_path / "runs/trust.jsonl"
    task = registry.task("miniwob.click-button")
    trust.Ledger(path).add(trust.Audit(task, (), ()), 20)
    trust.Ledger(path).add(trust.Audit(registry.task("miniwob.click-test"), (), ("the check passes at the start",)), 20)
    ledger = trust.Ledger(path)
    assert ledger.knows("miniwob.click-button", 20) and not ledger.knows("miniwob.click-button", 21)
    assert not ledger.knows("miniwob.click-test", 20), "it was not trusted"
    monkeypatch.setattr(auditing, "files_digest", lambda task_id: "of other files")
    assert not trust.Ledger(path).knows("miniwob.click-button", 20), "the pack has changed"


def test_a_checkout_elsewhere_has_the_same_digest(tmp_path):
    def checkout(name, pages):
        files = {"webgym/env/gym.py": "env", "webgym/view/page.js": name, "tasks/p/__pycache__/x.pyc": name, "tasks/p/a.html": pages}
        for file, text in files.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(text)
        return auditing._folders_digest(tmp_path / name / "tasks/p", tmp_path / name / "webgym")

    assert checkout("here", "tea") == checkout("there", "tea") != checkout("elsewhere", "milk")


@pytest.mark.parametrize(("goals", "told"), [(["Tidy up.", "Clean up."], ""), (['Buy "tea".', 'Get "tea".', 'Buy "milk".'], 'Buy "milk".')])
def test_the_wrong_target_is_another_thing_and_not_another_wording(goals, told):
    def start(seed):
        return Start("http://p.localhost/", goals[seed % len(goals)])

    heard = []

    def oracle(page):
        heard.append(page.goal)
        return Stop()

    registry.register(Task("mistaken.one", start, lambda evidence: PENDING, oracle=lambda: oracle))
    try:
        page = Observation(goals[0], "", "", ())
        said = asyncio.run(adversaries.Mistaken().act(page, (), EpisodeKey("mistaken.one", 0)))
    finally:
        registry._remove("mistaken.one")
    assert heard == ([told] if told else []) and said.text.startswith("stop" if told else "wait")


def test_a_ledger_that_was_cut_off_goes_on_and_another_file_is_refused(tmp_path):
    path = tmp_path / "ledger.jsonl"
    task = registry.task("miniwob.click-button")
    trust.Ledger(path).add(trust.Audit(task, (), ()), 20)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])  # killed in the middle of a line
    ledger = trust.Ledger(path)
    assert ledger.knows(task.id, 20)
    ledger.add(trust.Audit(task, (), ()), 5)
    assert path.read_bytes().startswith(whole) and trust.Ledger(path).knows(task.id, 5)
    for content in (b"\xca\xfe\n", b"[]\n", b'{"a": 1}\n'):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="is no ledger: expected lines that an audit wrote"):
            trust.Ledger(path)
    with pytest.raises(UsageError, match="is a folder: expected a file for the results"):
        trust.Ledger(tmp_path)
