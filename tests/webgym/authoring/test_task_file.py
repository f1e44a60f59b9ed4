"""Tasks that are written down: what a seed gives, what the oracle may know, and errors with file, line and field."""

import json
import re
from datetime import date

import pytest

from webgym.authoring.task_file import read
from webgym.authoring.task_file.parameters import Choice, Day, Integer, Sample, read_goal
from webgym.authoring.task_file.steps import Step
from webgym.errors import TaskFileError
from webgym.task import Evidence, OracleEnded
from webgym.types import Click, Fill, Goto, Node, Observation, Select, Stop, Upload, Wait

HEAD = """\
pack: cafe
site: {pages: pages}
tasks:
"""
ORDER = """\
  - name: order
    start: /order.html
    goal: Order {count} {drink.title} for {name}.
    parameters:
      name: [Ann, Bob]
      count: {integer: [1, 9]}
      drink: [{title: Tea, price: 3}, {title: Hot milk, price: 4}]
    state: {price: "{drink.price}", count: "{count}"}
    check: {site: {path: order.0, equals: {name: "{name}", count: "{count}"}}}
    oracle: [{fill: [Name, "{name}"]}, {click: Order}]
"""


@pytest.fixture
def written(tmp_path):
    """Reads a task file with this text; the tasks by name."""
    (tmp_path / "pages").mkdir()

    def write(text, name="tasks.yaml"):
        (tmp_path / name).write_text(text, "utf-8")
        tasks, sites = read(tmp_path / name)
        write.sites = sites
        return {task.id.partition(".")[2]: task for task in tasks}

    write.folder = tmp_path
    return write


def error(written, text, name="tasks.yaml"):
    with pytest.raises(TaskFileError) as caught:
        written(text, name)
    return str(caught.value).replace(f"{written.folder}/", "")


# --- what a seed gives -----------------------------------------------------------------------------------------------------


def test_a_task_from_a_file(written):
    task = written(HEAD + ORDER)["order"]
    assert (task.id, task.hosts, task.ends, task.trust, task.max_turns) == ("cafe.order", ("cafe.localhost",), "success", "state", 10)
    assert [site.host for site in written.sites] == ["cafe.localhost"]
    start = task.start(0)
    assert start.url == "http://cafe.localhost/order.html" and start.page_script is None
    assert start == task.start(0)
    assert len({task.start(seed).goal for seed in range(40)}) > 15  # of 2 × 9 × 2
    state = start.site_state
    assert isinstance(state["price"], int) and f" {state['count']} " in start.goal


@pytest.mark.parametrize(
    ("clock", "clock_s"),
    [
        ("2026-03-05T09:00", 1_772_701_200.0),
        ("2026-03-05 09:00:00", 1_772_701_200.0),
        ("2026-03-05T10:00+01:00", 1_772_701_200.0),
        ("2026-03-05", 1_772_668_800.0),
    ],
)
def test_a_file_sets_the_time_of_its_pages_and_a_task_its_own(written, clock, clock_s):
    head = HEAD.replace("tasks:", f"clock: {clock}\nsettle_ms: 800\nstreams: [/poll]\ndeterministic: false\ntasks:")
    task = written(head + ORDER)["order"]
    assert (task.clock_s, task.settle_ms, task.streams, task.deterministic) == (clock_s, 800.0, ("/poll",), False)
    own = "    clock: 2030-01-01\n    settle_ms: 250\n    deterministic: true\n    streams: []\n    start:"
    task = written(head + ORDER.replace("    start:", own, 1))["order"]
    assert (task.clock_s, task.settle_ms, task.streams, task.deterministic) == (1_893_456_000.0, 250.0, (), True)
    task = written(HEAD + ORDER)["order"]
    assert (task.settle_ms, task.streams, task.deterministic) == (500.0, (), True)


@pytest.mark.parametrize(("field", "value"), [("clock", "soon"), ("settle_ms", "0"), ("streams", "[poll]"), ("deterministic", "perhaps")])
def test_a_wrong_time_is_an_error_with_its_place(written, field, value):
    assert field in error(written, HEAD + ORDER.replace("    start:", f"    {field}: {value}\n    start:", 1))


def test_values_follow_from_task_parameter_and_seed_alone(written):
    """Another parameter, or another task of the file, changes no value that was there."""
    before = [written(HEAD + ORDER)["order"].start(seed).site_state for seed in range(20)]
    more = ORDER.replace("      name: [Ann, Bob]\n", "      extra: [1, 2]\n      name: [Ann, Bob]\n")
    assert [written(HEAD + more)["order"].start(seed).site_state for seed in range(20)] == before


def test_the_values_of_a_seed_are_fixed_for_good(written):
    """Recorded once: a change here is a change of every task's results."""
    task = written(HEAD + ORDER)["order"]
    assert [task.start(seed).goal for seed in (0, 1, 2_000_000)] == RECORDED


RECORDED = ["Order 8 Hot milk for Ann.", "Order 9 Tea for Bob.", "Order 6 Hot milk for Bob."]


def verdict(task, **evidence):
    found = task.check(Evidence(**{"seed": 0, "url": "", **evidence}))
    return found.kind, found.message


def test_the_check_knows_the_values_of_the_seed(written):
    task = written(HEAD + ORDER)["order"]
    for seed in range(5):
        goal = task.start(seed).goal.removesuffix(".").split(" ")
        order = {"name": goal[-1], "count": goal[1]}
        assert verdict(task, seed=seed, site_state={"order": [order]}) == ("success", "")
        kind, words = verdict(task, seed=seed, site_state={"order": [{**order, "name": "Eve"}]})
        assert kind == "pending" and "expected" in words
        assert verdict(task, seed=seed, site_state={}, ended="stop")[0] == "failure"


def test_never_and_decided(written):
    extra = "    never: {site: {path: order.1, exists: true}}\n    decided: {site: {path: order, exists: true}}\n    ends: success\n"
    task = written(HEAD + ORDER + extra)["order"]
    name, count = task.start(0).goal.removesuffix(".").split(" ")[-1], task.start(0).goal.split(" ")[1]
    right = {"name": name, "count": count}
    assert verdict(task, site_state={})[0] == "pending"
    assert verdict(task, site_state={"order": [right]})[0] == "success"
    assert verdict(task, site_state={"order": [{}]})[0] == "failure"
    kind, words = verdict(task, site_state={"order": [right, right]})
    assert kind == "failure" and "this must never be" in words and "order.1" in words


def test_what_must_never_be_on_a_page_is_not_known_while_it_cannot_be_read(written):
    task = written(HEAD + ORDER.replace("path: order.0, equals: {name: \"{name}\", count: \"{count}\"}", "path: order, exists: true")
                   + "    never: {page: oops}\n")["order"]  # fmt: skip
    done = {"site_state": {"order": [{}]}, "ended": "stop"}
    assert verdict(task, **done) == ("failure", "the page could not be read")  # while a dialog is open
    assert verdict(task, **done, page_state={"text": "fine", "found": {}})[0] == "success"


def test_files_to_upload(written):
    extra = '    files: {order.txt: "{name}: {count}"}\n'
    before, steps = ORDER.split("    oracle:")[0], "    oracle: [{upload: [List, order.txt]}]\n"
    task = written(HEAD + before + extra + steps)["order"]
    count, name = re.search(r"(\d) .* for (\w+)", task.start(0).goal).groups()
    assert task.start(0).files == {"order.txt": f"{name}: {count}"}
    page = Observation(task.start(0).goal, "", "", (Node("file", "List", 4),))
    assert task.oracle()(page) == Upload(4, ("order.txt",))
    with pytest.raises(TaskFileError, match=r"tasks\.0\.files\.a/b.*: expected text of the form"):
        written(HEAD + before + "    files: {a/b: x}\n" + steps)


@pytest.mark.parametrize(
    ("change", "ends", "trust"),
    [
        ("", "success", "state"),
        ("    never: {site: {path: x, exists: true}}\n", "stop", "state"),
        ("    never: {page: oops}\n    ends: success\n", "success", "page"),
        ("    decided: {any: [{url: /x}, {site: {path: x, count: 1}}]}\n", "success", "page"),
        ("    decided: {answer: {number: 1}}\n", "stop", "state"),
    ],
)
def test_how_a_task_ends_and_what_it_is_decided_from(written, change, ends, trust):
    task = written(HEAD + ORDER + change)["order"]
    assert (task.ends, task.trust) == (ends, trust)
    assert (task.probe is not None) == ("page:" in change)


# --- splits ----------------------------------------------------------------------------------------------------------------

SPLIT_GOAL = '{train: ["Get {name} {count} {drink.title}.", "{count} {drink.title}, {name}"], valid: ["V {name} {count} {drink.title}"], test: ["T {name} {count} {drink.title}"]}'  # noqa: E501


def test_wordings_of_the_splits_never_mix_and_are_recorded(written):
    task = written(HEAD + ORDER.replace("Order {count} {drink.title} for {name}.", SPLIT_GOAL))["order"]
    assert task.splits.templates["test"] == ("T {name} {count} {drink.title}",)
    goals = {split: [task.start(seed).goal for seed in seeds[:40]] for split, seeds in task.splits.seeds.items()}
    assert all(goal.startswith("T ") for goal in goals["test"]) and all(goal.startswith("V ") for goal in goals["valid"])
    assert {goal.startswith("Get ") for goal in goals["train"]} == {True, False}
    of_no_split = {task.start(seed).goal[0] for seed in range(3_000_000, 3_000_080)}
    assert {"G", "V", "T"} <= of_no_split


def test_a_wording_in_two_splits_is_refused(written):
    both = SPLIT_GOAL.replace("V {name}", "T {name}")
    words = error(written, HEAD + ORDER.replace("Order {count} {drink.title} for {name}.", both))
    assert "tasks.yaml:6: tasks.0.goal: expected wordings that differ between the splits; valid and test both have 'T {name}" in words


# --- the oracle ------------------------------------------------------------------------------------------------------------


def page(goal, *nodes, text=()):
    return Observation(goal, "", "", (*nodes, *(Node("text", words) for words in text)))


def test_an_oracle_reads_goal_and_page(written):
    steps = """\
    oracle:
      - see: "Menu  of"
      - read: {price: '{drink.title}: (\\d{1,2})', size: 'size (\\w+)'}
      - fill: [name, "{name} {price}{size}"]
      - {click: Go, role: button, number: 2}
      - select: [Size, "{size}"]
      - goto: "/{name}"
      - wait_ms: 5
      - stop: "{drink.price}"
"""
    task = written(HEAD + ORDER.partition("    oracle:")[0] + steps)["order"]
    nodes = [
        Node("link", "Go", 0),
        Node("button", "Go", 1),
        Node("textbox", "Name", 2),
        Node("button", "Go", 3),
        Node("combobox", "Size", 4),
    ]
    shown = page("Order 3 Hot milk for Bob.", *nodes, text=("Menu of today", "Tea: 9", "Hot milk: 42", "size big"))
    oracle = task.oracle()
    acted = [oracle(shown) for _ in range(6)]
    assert acted == [Fill(2, "Bob 42big"), Click(3), Select(4, ("big",)), Goto("/Bob"), Wait(5), Stop("4")]
    with pytest.raises(LookupError, match="all steps of the oracle are done"):
        oracle(shown)
    assert task.oracle()(shown) == Fill(2, "Bob 42big")  # begins afresh


def test_a_step_that_failed_is_asked_again_on_the_next_page(written):
    long = "Create a new order for the whole table of today"
    steps = f"    oracle: [{{click: Menu}}, {{read: {{price: 'Tea: (.+)'}}}}, {{see: Tea}}, {{click: {long}}}, {{stop: '{{price}}'}}]"
    oracle = written(HEAD + ORDER.partition("    oracle:")[0] + steps)["order"].oracle()
    early = page("Order 3 Tea for Bob.", Node("link", "Menu", 0), text=("Tea: 9",))
    late = page("Order 3 Tea for Bob.", Node("link", long, 7), text=("Tea: 8",))
    assert oracle(early) == Click(0)
    for _ in range(3):
        with pytest.raises(LookupError) as caught:
            oracle(early)
        assert str(caught.value).startswith("step 4 of 5, click 'Create a new order for the whole table …': there is no thing that says ")
    assert [oracle(late), oracle(late)] == [Click(7), Stop("8")]
    with pytest.raises(OracleEnded):
        oracle(late)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"fill": ("Name", "Ann")}, "fill 'Name'"),
        ({"read": {"price": "Tea: (.+)"}}, "read 'price'"),
        ({"back": True}, "back"),
        ({"wait_ms": 5}, "wait_ms 5"),
        ({"read": {"a": "A (.)", "b": "B (.)"}}, "read 'a, b'"),
        ({"stop": ""}, "stop"),
    ],
)
def test_a_step_in_words(step, words):
    assert Step(**step).words == words


@pytest.mark.parametrize(
    ("goal", "text", "words"),
    [
        ("Do something.", (), "the goal 'Do something.' fits none of the task's wordings"),
        ("Order 3 Tea for Bob.", (), "there is no thing that says 'Name' on the page (there: 'Order')"),
    ],
)
def test_an_oracle_says_what_it_misses(written, goal, text, words):
    task = written(HEAD + ORDER)["order"]
    with pytest.raises(LookupError) as caught:
        task.oracle()(page(goal, Node("button", "Order", 0), text=text))
    assert words in str(caught.value)


def test_the_goal_tells_values_back():
    parameters = {
        "n": Integer(integer=(1, 20)),
        "day": Day(date=(date(2026, 1, 1), date(2026, 12, 31))),
        "city": Sample(sample=["York", "New York", "Rome"], count=2),
        "item": Choice(choice=[{"title": "A (b)", "code": "x"}, {"title": "A", "code": "x"}]),
    }
    wordings = ["{{x}} {n} {day.long} {city.1} {item.title}", "{day} {city.0} to {city.1}", "code {item.code}"]
    said = read_goal("{x} 12 5 March 2026 New York A (b)", wordings, parameters)
    assert said == {"n": 12, "day": date(2026, 3, 5), "city": [None, "New York"], "item": {"title": "A (b)", "code": "x"}}
    assert read_goal("2026-03-05 York to Rome", wordings, parameters) == {"day": date(2026, 3, 5), "city": ["York", "Rome"]}
    with pytest.raises(LookupError, match="may be several of the options"):
        read_goal("code x", wordings, parameters)


def test_every_drawn_goal_can_be_read_back(written):
    task = written(HEAD + ORDER)["order"]
    for seed in range(50):
        start = task.start(seed)
        assert task.oracle()(page(start.goal, Node("textbox", "Name", 0))) == Fill(0, start.goal.removesuffix(".").split(" ")[-1])


# --- errors ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "start: /order.html",
            "strat: /order.html",
            "tasks.yaml:5: tasks.0.strat: there is no field 'strat'; did you mean 'state' or 'start'",
        ),
        ("    start: /order.html\n", "", "tasks.yaml:4: tasks.0.start: is missing"),
        ("start: /order.html", "start: order.html", "tasks.yaml:5: tasks.0.start: expected a path that begins with / or an address"),
        ("name: order", "name: My order", "tasks.yaml:4: tasks.0.name: expected text of the form ^[a-z0-9][a-z0-9-]*$, got 'My order'"),
        (
            "for {name}.",
            "for {nam}.",
            "tasks.yaml:6: tasks.0.goal: there is no parameter 'nam'; did you mean 'name'? (there: name, count, drink)",
        ),
        ("{drink.title}", "{drink.tilte}", "tasks.yaml:6: tasks.0.goal: there is no 'tilte' among the values; did you mean 'title'"),
        (
            "{drink.title}",
            "{drink title}",
            "tasks.yaml:6: tasks.0.goal: expected a placeholder such as {name} or {item.price} at '{drink title}",
        ),
        (
            "integer: [1, 9]",
            "integer: [9, 1]",
            "tasks.yaml:9: tasks.0.parameters.count: expected [first, last] in rising order; got [9, 1]",
        ),
        ("integer: [1, 9]", "integer: [1, x]", "tasks.yaml:9: tasks.0.parameters.count.integer.1: expected a whole number, got 'x'"),
        (
            "integer: [1, 9]",
            "intger: [1, 9]",
            "tasks.yaml:9: tasks.0.parameters.count: expected a list to choose from, or a mapping with one",
        ),
        ("{integer: [1, 9]}", "{sample: [a, b], count: 3}", "tasks.0.parameters.count: expected a count of at most 2"),
        ("{integer: [1, 9]}", "{date: [2026-01-01, soon]}", "parameters.count.date.1: expected a date such as 2026-01-05, got 'soon'"),
        ("[Ann, Bob]", "[]", "tasks.yaml:8: tasks.0.parameters.name.choice: expected at least 1 of them, got none"),
        (
            "check: {site: {path",
            "check: {site: {pth",
            "tasks.yaml:12: tasks.0.check.site.pth: there is no field 'pth'; did you mean 'path'",
        ),
        ("check: {site:", "check: {sight:", "tasks.yaml:12: tasks.0.check: expected a check, a mapping with one of the keys site"),
        ('name: "{name}"', 'name: "{nme}"', "tasks.yaml:12: tasks.0.check.site.equals.name: there is no parameter 'nme'"),
        ("click: Order", "clik: Order", "tasks.yaml:13: tasks.0.oracle.1.clik: there is no field 'clik'; did you mean 'click'"),
        ("{click: Order}", "{click: Order, stop: x}", "tasks.0.oracle.1: expected exactly one of click, fill"),
        ("{click: Order}", "{read: {a: '(x'}}", "tasks.yaml:13: tasks.0.oracle.1.read: a: expected a regular expression, got '(x'"),
        ("{click: Order}", "{read: {a: 'x'}}", "a: expected a regular expression with one group for the value, got 0"),
        ("{click: Order}", "{stop: '{total}'}", "there is no parameter 'total'"),
        ("{click: Order}", "{fill: [Name]}", "tasks.yaml:13: tasks.0.oracle.1.fill.1: is missing"),
        ("pages: pages", "pages: web", "tasks.yaml:2: site.pages: expected a folder of pages beside the file, got 'web'"),
        ("pages: pages", "pages: pages, host: cafe.com", "tasks.yaml:2: site.host: expected text of the form"),
        (
            "site: {pages: pages}\n",
            "",
            "tasks.yaml:4: tasks.0.start: expected an address, since the file has no site of its own; got '/order.html'",
        ),
        ("pack: cafe", "pack: Cafe!", "tasks.yaml:1: pack: expected text of the form"),
        ("pack: cafe", "packs: cafe", "tasks.yaml:1: packs: there is no field 'packs'; did you mean 'pack'"),
        ("    start:", "    max_turns: 0\n    start:", "tasks.yaml:5: tasks.0.max_turns: expected at least 1, got 0"),
        ("    start:", "    max_turns: many\n    start:", "tasks.yaml:5: tasks.0.max_turns: expected a whole number, got 'many'"),
        ("    start:", "    ends: never\n    start:", "tasks.yaml:5: tasks.0.ends: expected 'success' or 'stop', got 'never'"),
        ("    start:", "    name: order\n    start:", "tasks.yaml:5: name: this key is there twice in one mapping: keep one of them"),
        ("    start:", "  start:", "tasks.yaml:5: not valid YAML"),
        ("tasks:\n", "tasks: []\nx:\n", "tasks.yaml:1: tasks: expected a list of tasks, got none"),
    ],
)
def test_mistakes_are_told_with_file_line_and_field(written, old, new, words):
    assert old in HEAD + ORDER
    assert words in error(written, (HEAD + ORDER).replace(old, new, 1))


def test_an_oracle_may_not_know_what_the_goal_does_not_say(written):
    words = error(written, HEAD + ORDER.replace(" for {name}.", ".", 1))
    assert "tasks.yaml:13: tasks.0.oracle.0.fill.1: the oracle sees what an agent sees, and 'Order {count} {drink.title}.'" in words


def test_several_mistakes_are_told_together(written):
    text = (HEAD + ORDER).replace("[1, 9]", "[1, x]").replace("    state:", "    max_turns: no\n    difficulty: 9\n    state:")
    assert [line.partition(": ")[0] for line in error(written, text).splitlines()] == ["tasks.yaml:9", "tasks.yaml:11", "tasks.yaml:12"]


def test_a_task_that_is_there_twice(written):
    assert "tasks.yaml:14: tasks.1.name: there is a task 'order' already" in error(written, HEAD + ORDER + ORDER)


@pytest.mark.parametrize(
    ("text", "words"), [("", "got nothing"), ("- a", "got list"), ("tasks: 3", "got int"), ("a: b: c", "not valid YAML")]
)
def test_files_that_are_none(written, text, words):
    assert words in error(written, text)


def test_a_file_that_is_no_text(written):
    (written.folder / "tasks.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TaskFileError, match="expected UTF-8 text"):
        read(written.folder / "tasks.yaml")


def test_plain_values_of_yaml_are_not_guessed_at(written):
    options = "[no, 12:30, 007, 2026-01-05, 1.5, 3, on]"
    task = written(HEAD + ORDER.replace("[Ann, Bob]", options).replace('"{drink.price}"', '"{name}"'))["order"]
    drawn = {task.start(seed).site_state["price"] for seed in range(200)}
    assert drawn == {"no", "12:30", "007", "2026-01-05", 1.5, 3, "on"}


# --- JSON ------------------------------------------------------------------------------------------------------------------

ENTRY = {"name": "one", "start": "/", "goal": "Go.", "check": {"url": "/done"}}


def lines(*entries):
    return "\n".join(json.dumps(entry) for entry in entries) + "\n\n"


def test_one_task_a_line(written):
    tasks = written(lines({"pack": "many", "site": {"pages": "pages"}}, ENTRY, {**ENTRY, "name": "two"}), "x.jsonl")
    assert [task.id for task in tasks.values()] == ["many.one", "many.two"]


def test_a_file_without_a_header_is_named_after_itself(written):
    tasks = written(lines({**ENTRY, "start": "http://miniwob.localhost/x.html"}), "quiz.jsonl")
    assert tasks["one"].id == "quiz.one" and tasks["one"].hosts == ("miniwob.localhost",) and written.sites == ()


def test_mistakes_in_lines_are_told(written):
    header = {"site": {"pages": "pages"}}
    assert "x.jsonl:3: tasks.1.gaol: there is no field 'gaol'; did you mean 'goal'" in error(
        written, lines(header, ENTRY, {"gaol": 1}), "x.jsonl"
    )
    assert "x.jsonl:2: expected one JSON object on the line" in error(written, '{"name": "a"}\n{"name":\n', "x.jsonl")
    assert "x.jsonl:1: expected one JSON object on the line, got list" in error(written, "[]", "x.jsonl")
    assert "x.jsonl:1: expected a task on each line, got none" in error(written, lines(header), "x.jsonl")


def test_json_is_read_as_well(written):
    tasks = written(json.dumps({"pack": "j", "site": {"pages": "pages"}, "tasks": [ENTRY]}), "j.json")
    assert list(tasks) == ["one"]


def test_a_file_whose_name_is_no_pack_name(written):
    assert "pack: is missing, and 'My Tasks', after the file, is no pack name" in error(written, lines(ENTRY), "My Tasks.jsonl")


# --- files that reach too far ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pages", ["..", "/", "../beside", "pages/../..", "link"])
def test_pages_lie_in_the_files_own_folder(written, pages):
    folder = written.folder / "own"
    folder.mkdir()
    (folder / "pages").mkdir()
    (written.folder / "beside").mkdir()
    (folder / "link").symlink_to(written.folder / "beside")
    (folder / "tasks.yaml").write_text(f"pack: cafe\nsite: {{pages: '{pages}'}}\ntasks:\n{ORDER}", "utf-8")
    with pytest.raises(TaskFileError, match=rf"tasks.yaml:2: site.pages: .*got '{re.escape(pages)}', which lies outside"):
        read(folder / "tasks.yaml")


def test_the_file_itself_is_not_served(written):
    written(HEAD.replace("pages: pages", "pages: .") + ORDER)
    (written.folder / "index.html").write_text("<p>hello", "utf-8")
    (written.folder / "copy.yaml").symlink_to(written.folder / "tasks.yaml")
    (site,) = written.sites
    assert site._read("/index.html") is not None
    assert site._read("/tasks.yaml") is None and site._read("/copy.yaml") is None and site._read("/./tasks.yaml") is None


def test_aliases_that_stand_for_more_than_a_reader_can_hold(written):
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert "its aliases stand for" in error(written, "\n".join(bomb) + "\n" + HEAD + ORDER)
    assert "holds itself" in error(written, "a: &a [*a]\n" + HEAD + ORDER)


@pytest.mark.parametrize("depth", [100, 3000])
def test_deep_nesting_is_refused_in_words(written, depth):
    assert "lists and mappings within each other" in error(written, f"a: {'[' * depth}{']' * depth}\n" + HEAD + ORDER)
    line = '{"name": "x", "check": ' + '{"all": [' * 50 * depth + "]}" * 50 * depth + "}"
    assert error(written, line, "deep.jsonl").startswith("deep.jsonl:1: ")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("9" * 5000, "expected a value of the kind int, got '999"),
        ("1e999", "expected a value of the kind float, got '1e999'"),
        ("!!int x", "expected a value of the kind int, got 'x'"),
        ('!!float ""', "expected a value of the kind float, got ''"),
        ("!!bool maybe", "expected a value of the kind bool, got 'maybe'"),
        ("!!set {a, b}", "could not determine a constructor for the tag 'tag:yaml.org,2002:set'"),
        ("!!timestamp 2026-01-05", "could not determine a constructor for the tag"),
        ("!!binary aGk=", "could not determine a constructor for the tag"),
        (r'"\ud800"', r"expected a value of the kind str, got '\ud800'"),
    ],
)
def test_a_value_that_json_has_no_word_for_is_refused_with_its_line(written, value, words):
    said = error(written, HEAD + ORDER.replace('price: "{drink.price}"', f"price: {value}"))
    assert said.startswith("tasks.yaml:11: not valid YAML: ") and words in said


def test_two_escapes_of_json_are_one_character(written):
    assert r"\ud83d" in json.dumps("😀")
    assert written(HEAD + ORDER.replace("for {name}.", r"for {name}. \ud83d\ude00").replace("goal: Order", 'goal: "Order').replace(
        r"\ude00", r'\ude00"'))["order"].start(0).goal.endswith("😀")  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("start: /order.html", "start: 'http://['", "tasks.0.start: expected an address: Invalid IPv6 URL"),
        ("start: /order.html", "viewport: [0, 9]\n    start: /order.html", "tasks.0.viewport.0: expected at least 1, got 0"),
        ("start: /order.html", 'files: {"a\\0": x}\n    start: /order.html', "expected text of the form"),
        ("pages: pages", f"pages: {'a' * 5000}", "site.pages: expected a folder of pages beside the file"),
        ("pages: pages", "pages: pages, host: a..localhost", "site.host: expected text of the form"),
        ("goal: Order {count} {drink.title} for {name}.", "goal: ['', b]", "tasks.0.goal.0: expected text, got ''"),
        ("{click: Order}", "{read: {a: '(x{99999999999})'}}", "a: expected a regular expression"),
        ("check: {site: {path: order.0, equals:", "check: {answer: {number: abc}} #", "expected a number or a placeholder; got 'abc'"),
        ("check: {site: {path: order.0, equals:", "check: {answer: {date: soon}} #", "expected a date or a placeholder; got 'soon'"),
        ("check: {site: {path: order.0, equals:", "check: {answer: {set: Ann}} #", "expected a list or a placeholder; got 'Ann'"),
        ("check: {site: {path: order.0, equals:", "check: {answer: {number: 1, tolerance: nan}} #", "Input should be a finite number"),
    ],
)
def test_what_would_end_an_episode_is_told_when_the_file_is_read(written, old, new, words):
    assert old in HEAD + ORDER
    assert words in error(written, (HEAD + ORDER).replace(old, new))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('"chance": NaN', "NaN is no number of JSON"),
        ('"chance": 1e999', "1e999 is no number of JSON"),
        ('"name": "two"', "name: this key is there twice in one mapping: keep one of them"),
        (r'"description": "\ud800"', "surrogates not allowed"),
        (f'"state": {{"a": {"[" * 300}{"]" * 300}}}', "lists and mappings within each other"),
    ],
)
def test_lines_of_json_are_as_strict(written, more, words):
    said = error(written, lines({"pack": "x", "site": {"pages": "pages"}}, ENTRY).rstrip()[:-1] + f", {more}}}", "x.jsonl")
    assert said.startswith("x.jsonl:2: ") and words in said


def test_a_line_of_json_may_hold_other_line_breaks(written):
    text = json.dumps({**ENTRY, "start": "http://miniwob.localhost/", "goal": "a\u2028b"}, ensure_ascii=False)
    assert written(text, "x.jsonl")[ENTRY["name"]].start(0).goal == "a\u2028b"
