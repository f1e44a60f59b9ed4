"""Suites in the form of WebArena and WebArena-Verified: tasks as JSON, servers that run already, verdicts without a language model."""

import http.server
import json
import re
import threading

import pytest

from webgym.authoring.suites import verdicts
from webgym.commands.import_suite import imported
from webgym.errors import TaskFileError
from webgym.packs import registry
from webgym.sites.apps.requests import Request
from webgym.task import Evidence
from webgym.types import Infeasible, Stop

HOME = "<h1>Shop</h1><a href='/lamp?id=3&sort=up'>Lamp</a>"
LAMP = "<h1>Lamp</h1><p class=price>12.50 &euro;</p><form method=post action=/cart><input type=hidden name=token value=t7><label>Pieces <input name=qty></label><button>Add</button></form>"  # noqa: E501


class Shop(http.server.BaseHTTPRequestHandler):
    """A server that runs already; a cookie says who is signed in."""

    def do_GET(self):
        who = "Ann" if "session=s1" in (self.headers["cookie"] or "") else "a guest"
        page = {"/": HOME, "/lamp": LAMP, "/cart": "<h1>Cart</h1>"}.get(self.path.partition("?")[0], "?")
        body = f"<!doctype html><link rel=icon href=data:,>{page}<p>You are {who}.</p>".encode()
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(302)
        self.send_header("location", "/cart")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def shop(monkeypatch):
    """The address of the server, which the environment says."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("SHOPPING", "SHOPPING_ADMIN", "REDDIT", "GITLAB", "WIKIPEDIA", "MAP", "HOMEPAGE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"WA_{name}", raising=False)
    monkeypatch.setenv("SHOPPING", f"http://127.0.0.1:{server.server_port}")
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def entry(number, eval_, **more):
    start = {"start_url": "__SHOPPING__"} if isinstance(eval_, dict) else {"start_urls": ["__SHOPPING__"]}
    return {"task_id": number, "sites": ["shopping"], "intent": f"Do {number}.", "eval": eval_, **start, **more}


def by_answer(**answers):
    return {"eval_types": ["string_match"], "reference_answers": answers, "reference_url": "", "program_html": []}


def by_page(url, **contents):
    target = {"url": url, "locator": "document.querySelector('.price').outerText", "required_contents": contents}
    return {"eval_types": ["program_html"], "reference_answers": None, "reference_url": "", "program_html": [target]}


def response(data, task_type="RETRIEVE", status="SUCCESS", schema=None):
    expected = {"task_type": task_type, "status": status, "retrieved_data": data, "error_details": None}
    return {"evaluator": "AgentResponseEvaluator", "expected": expected, "ordered": False, "results_schema": schema or {}}


def event(url, method="POST", status=302, **more):
    expected = {"url": url, "http_method": method, "response_status": status, "post_data": None, "query_params": None}
    return {"evaluator": "NetworkEventEvaluator", "expected": expected | more.pop("expected", {}), **more}


SAID = json.dumps({"task_type": "mutate", "status": "SUCCESS", "retrieved_data": None})


def test_a_suite_is_played_on_servers_that_run(write, play, shop):
    state = {"cookies": [{"name": "session", "value": "s1", "domain": "127.0.0.1"}], "origins": []}
    by_both = by_answer(must_include=["12.50"]) | {"eval_types": ["string_match", "url_match"], "reference_url": "__SHOPPING__/lamp?id=3"}
    added = [response(None, "MUTATE"), event("__SHOPPING__/cart", expected={"post_data": {"qty": "3"}})]
    tasks = [
        entry(0, by_both),
        entry(1, by_page("last", must_include=["12.50 |OR| 12,50"]), require_login=True, storage_state=".auth/shop.json"),
        entry(2, added),
        entry(3, by_answer(fuzzy_match=["Ann"])),
        entry(4, by_page("__SHOPPING__/orders", must_include=["x"])),
        entry(5, by_answer(exact_match="x"), sites=["shopping", "gitlab"]),
        entry(6, by_answer(exact_match="x"), require_login=True, storage_state=".auth/other.json"),
        entry(7, [{"evaluator": "PictureEvaluator"}]),
        entry(8, by_answer(exact_match="x"), start_url="__SHOPPING__ |AND| __SHOPPING__/lamp"),
        entry(9, by_answer(fuzzy_match="N/A")),
    ]
    folder = write("arena", **{"config__test_dot_json": json.dumps(tasks), "_dot_auth__shop_dot_json": json.dumps(state)})
    lines = imported("webarena", folder, trust=False)  # nothing runs, and the server is on this machine
    assert "4 tasks: 4 of webarena" in lines and "3 of them are judged by what pages write (trust: page)" in lines
    assert {line.removeprefix("left out: ") for line in lines if line.startswith("left out")} == {
        "1 judged by a language model",
        "1 judged by a page that is opened after the end",
        "1 on a site whose address is not known (set GITLAB)",
        "1 signed in by a storage state that is not in the folder",
        "1 judged by PictureEvaluator",
        "1 with more than one start page",
    }
    both, page, verified, none = registry.load(folder)
    assert registry.task(both).start(0).url == shop and registry.task(both).deterministic is False
    assert play(both, "Lamp", Stop("It costs 12.50 euros."))[0].kind == "success"
    assert play(both, Stop("It costs 12.50 euros."))[0].kind == "failure"
    last, pages = play(page, "Lamp", Stop())
    assert last.kind == "success" and any("You are Ann." in node.text for node in pages[0].nodes)
    assert play(page, Stop())[0].kind == "failure"
    assert "task_type" in registry.task(verified).start(0).goal
    assert play(verified, "Lamp", ("Pieces", "3"), "Add", Stop(SAID))[0].kind == "success"
    last, _ = play(verified, "Lamp", ("Pieces", "4"), "Add", Stop(SAID))
    assert last.kind == "failure" and "no request POST __SHOPPING__/cart" in last.message
    assert play(none, Infeasible("there is none"))[0].kind == "success" and play(none, Stop("Ann"))[0].kind == "failure"


@pytest.mark.parametrize("form", ["../outside.json", "{absolute}", "link.json", "linked/outside.json", "n" * 5000, "a\0b"])
def test_a_storage_state_outside_of_the_folder_is_not_read(write, shop, form, tmp_path):
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps({"cookies": [{"name": "session", "value": "s1", "domain": "127.0.0.1"}], "origins": []}))
    state = form.format(absolute=outside)
    tasks = [entry(0, by_answer(exact_match="x")), entry(1, by_answer(exact_match="x"), require_login=True, storage_state=state)]
    folder = write("arena", tasks_dot_json=json.dumps(tasks))
    (folder / "link.json").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path)
    assert "left out: 1 signed in by a storage state that is not in the folder" in imported("webarena", folder, trust=False)
    assert registry.load(folder) == ["webarena.0"]


def test_tasks_behind_a_link_out_of_the_folder_are_not_read(write, shop, tmp_path):
    (tmp_path / "outside.json").write_text(json.dumps([entry(1, by_answer(exact_match="x"))]))
    folder = write("arena", tasks_dot_json=json.dumps([entry(0, by_answer(exact_match="x"))]))
    (folder / "more.json").symlink_to(tmp_path / "outside.json")
    (folder / "same.json").symlink_to(folder / "tasks.json")
    imported("webarena", folder, trust=False)
    assert registry.load(folder) == ["webarena.0"]


def test_a_server_elsewhere_needs_consent(write, shop, monkeypatch):
    monkeypatch.setenv("SHOPPING", "http://shop.example.org")
    folder = write("arena", tasks_dot_json=json.dumps([entry(0, by_answer(exact_match="x"))]))
    with pytest.raises(TaskFileError, match=r"tasks that act on http://shop\.example\.org"):
        imported("webarena", folder, trust=False)
    assert "1 tasks: 1 of webarena" in imported("webarena", folder, trust=True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:2375", "http://staging.example.org"])
def test_a_server_that_the_suites_own_file_names_needs_consent(write, shop, url):
    more = entry(1, by_answer(exact_match="x"), sites=["reddit"], start_url="__REDDIT__")
    tasks = json.dumps([entry(0, by_answer(exact_match="x")), more])
    folder = write("arena", tasks_dot_json=tasks, tasks_dot_yaml=f"suite: webarena\nsites: {{reddit: '{url}', shopping: '{shop}'}}\n")
    with pytest.raises(TaskFileError, match=rf"runs programs \(tasks that act on {re.escape(url)}\)"):
        imported("webarena", folder, trust=False)
    assert "2 tasks: 2 of webarena" in imported("webarena", folder, trust=True)


@pytest.mark.parametrize(
    ("wanted", "answer", "right"),
    [  # as WebArena's own evaluator decides
        ({"exact_match": "Quest Lumaflex"}, " quest lumaflex ", True),
        ({"exact_match": "Quest Lumaflex"}, "'Quest Lumaflex'", True),
        ({"exact_match": "Quest Lumaflex"}, "It is Quest Lumaflex", False),
        ({"must_include": ["Ann", "Bob"]}, "bob and ann", True),
        ({"must_include": ["Ann", "Bob"]}, "ann", False),
        ({"must_include": ["3"]}, "There are 3.", True),
        ({"must_include": ["3"]}, "There are 13.", False),
        ({"must_include": ["13"]}, "There are 134.", True),
        ({"fuzzy_match": "N/A"}, "n/a", True),
        ({"fuzzy_match": "N/A"}, "None", False),
    ],
)
def test_answers_are_judged_as_in_webarena(wanted, answer, right):
    assert (verdicts.answer_unmet(wanted, Evidence(0, "", ended="stop", answer=answer)) == "") is right


@pytest.mark.parametrize(
    ("wanted", "url", "right"),
    [
        ("http://a/x", "http://a/x/", True),
        ("http://a/x", "http://a/x/y?q=1", True),  # GOLD in PRED
        ("http://a/x", "http://a/y", False),
        ("http://a/x |OR| http://a/y", "http://a/y", True),
        ("http://a/x?q=1", "http://a/x?q=1&z=2", True),
        ("http://a/x?q=1", "http://a/x?q=2", False),
        ("http://a/x?q=1 |OR| http://a/x?q=2", "http://a/x?q=2", True),
    ],
)
def test_addresses_are_judged_as_in_webarena(wanted, url, right):
    assert (verdicts.address_unmet(wanted, url) == "") is right


@pytest.mark.parametrize(
    ("contents", "text", "right"),
    [
        ({"exact_match": "5"}, " 5 ", True),
        ({"exact_match": "5"}, "15", False),
        ({"must_include": ["a & b"]}, "x a &amp; b", True),
        ({"must_include": ["no |OR| yes", "x"]}, "x YES", True),
        ({"must_include": ["no |OR| yes", "x"]}, "yes", False),
    ],
)
def test_contents_are_judged_as_in_webarena(contents, text, right):
    assert (verdicts.content_unmet(contents, text) == "") is right


ROWS = {"items": {"type": "object", "properties": {"name": {"type": "string"}, "count": {"type": "number"}}}}


@pytest.mark.parametrize(
    ("data", "schema", "given", "right"),
    [
        (["Ann", "Bob"], {"items": {"type": "string"}}, ["bob", " Ann"], True),
        (["Ann", "Bob"], {"items": {"type": "string"}}, ["Ann"], False),
        (["Ann"], {"items": {"type": "string"}}, ["Ann", "Bob"], False),
        ([12.5], {"items": {"type": "number"}}, ["$12.50"], True),
        ([[1, 2]], {"items": {"type": "number"}}, [2], True),  # alternatives
        ([{"name": "A", "count": 0}], ROWS, [{"name": "a", "count": "0", "more": 1}], True),
        ([{"name": "A", "count": 0}], ROWS, [{"name": "a"}], False),
        (["2022-01-05"], {"items": {"type": "string", "format": "date"}}, ["January 5, 2022"], True),
    ],
)
def test_data_of_a_response_is_compared_by_its_kind(data, schema, given, right):
    answer = json.dumps({"task_type": "RETRIEVE", "status": "SUCCESS", "retrieved_data": given})
    assert (verdicts.response_unmet(response(data, schema=schema), answer) == "") is right


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("42", "no|not one JSON object"),
        ('{"task_type": "MUTATE", "status": "SUCCESS", "retrieved_data": [1]}', "task_type"),
        ('{"task_type": "RETRIEVE", "status": "NOT_FOUND_ERROR", "retrieved_data": [1]}', "status"),
        ('{"task_type": "RETRIEVE", "status": "SUCCESS", "retrieved_data": [2]}', "data"),
    ],
)
def test_a_response_of_another_kind_is_wrong_in_words(answer, words):
    assert re.search(words, verdicts.response_unmet(response([1], schema={"items": {"type": "number"}}), answer))


ASKED = [
    Request("GET", "http://a/list?page=2&t=1", status=200, document=True),
    Request("GET", "http://a/logo.png", status=200),
    Request("POST", "http://a/cart", "application/x-www-form-urlencoded", 302, b"qty=3&token=x"),
    Request("POST", "http://a/api", "application/json", 201, b'{"name": "B"}'),
]


@pytest.mark.parametrize(
    ("evaluator", "right"),
    [
        (event("__A__/list?page=2", "GET", 200), True),
        (event("__A__/list", "GET", 200), True),
        (event("__A__/list?page=3", "GET", 200), False),
        (event("__A__/list", "GET", 200, expected={"query_params": {"page": ["2"]}}), True),
        (event("__A__/list?page=9", "GET", 200, ignored_query_params_patterns=["^page$"]), True),
        (event("^__A__/li.*t", "GET", 200), True),
        (event(["__A__/x", "__A__/list"], "GET", 200), True),
        (event("__A__/list", "GET", 404), False),
        (event("__A__/logo.png", "GET", 200), False),  # no page
        (event("__A__/cart", expected={"post_data": {"qty": "3"}}), False),  # not the last POST
        (event("__A__/cart", last_event_only=False, expected={"post_data": {"qty": "3"}}), True),
        (event("__A__/cart", last_event_only=False, expected={"post_data": {"qty": "4"}}), False),
        (event("__A__/api", status=201, expected={"post_data": {"name": "b"}}), True),
        (event("__A__/api", status=201, should_not_exist=True), False),
        (event("__A__/pay", should_not_exist=True), True),
    ],
)
def test_events_are_looked_for_among_the_requests(evaluator, right):
    assert (verdicts.event_unmet(evaluator, ASKED, {"a": "http://a"}) == "") is right
