"""Checks that are written down: what they accept, and the words with which they do not."""

import unicodedata
from datetime import date

import pytest
from pydantic import TypeAdapter, ValidationError

from webgym.authoring.answers import composed, read_date, read_items, read_number
from webgym.authoring.checks import AnswerCheck, AnyCheck, holds, probe, shown
from webgym.authoring.placeholders import fill, names_in
from webgym.echoes import CUT
from webgym.task import Evidence
from webgym.types import Node

VALUES = {"name": "Ann", "n": 3, "item": {"title": "Tea", "price": "4.50"}, "day": date(2026, 1, 5), "all": ["a", "b"]}
READ = TypeAdapter(AnyCheck)


def unmet(check, **evidence):
    return READ.validate_python(check).unmet(Evidence(**{"seed": 0, "url": "", **evidence}), VALUES)


def wrong(check):
    with pytest.raises(ValidationError) as caught:
        READ.validate_python(check)
    return caught.value.errors()[0]["msg"]


ORDERS = {"orders": [{"name": "Ann", "cups": "3", "tags": ["hot", "big"]}, {"name": "Bob", "cups": "1"}], "note": "green tea", "empty": []}


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({"path": "orders.0.name", "equals": "{name}"}, ""),
        ({"path": "orders.0.cups", "equals": "{n}"}, ""),  # a form's text for a number
        ({"path": "orders.-1.name", "equals": "Bob"}, ""),
        ({"path": "orders.1", "equals": {"name": "Bob", "cups": 1}}, ""),
        ({"path": "orders.1", "equals": {"name": "Bob"}}, 'expected {"name": "Bob"}'),
        ({"path": "orders.0.name", "equals": "Bob"}, "site state 'orders.0.name' is 'Ann', expected 'Bob'"),
        ({"path": "orders", "contains": {"name": "{name}", "cups": 3}}, ""),
        ({"path": "orders", "contains": {"name": "{name}", "cups": 1}}, "expected it to contain"),
        ({"path": "orders.0.tags", "contains": "hot"}, ""),
        ({"path": "orders.0.tags", "contains": "ho"}, "expected it to contain 'ho'"),
        ({"path": "note", "contains": "tea"}, ""),
        ({"path": "orders", "count": 2}, ""),
        ({"path": "orders", "count": "{n}"}, "expected 3 entries"),
        ({"path": "", "count": 3}, ""),
        ({"path": "note", "count": 9}, "expected 9 entries"),  # letters are no entries
        ({"path": "nothing", "count": 0}, ""),
        ({"path": "nothing", "count": 2}, "site state 'nothing': "),
        ({"path": "nothing", "exists": False}, ""),
        ({"path": "note", "exists": False}, "expected nothing there"),
        ({"path": "empty", "exists": True}, ""),
        ({"path": "order.0.name", "equals": "Ann"}, "there is no 'order' among the values; did you mean 'orders'?"),
        ({"path": "orders.2.name", "equals": "Ann"}, "there is no entry '2' in 'orders': it is a list of 2"),
    ],
)
def test_site_state(check, words):
    found = unmet({"site": check}, site_state=ORDERS)
    assert (words in found) if words else found == ""


@pytest.mark.parametrize(("found", "expected", "met"), [
    (True, True, True), (False, False, True), (True, False, False), (True, 1, False), (0, False, False), ("True", True, False),
    ("3", 3, True), ("03", 3, False), (3, "3", True),
])  # fmt: skip
def test_what_a_form_says_stands_for_a_number_and_never_for_yes_or_no(found, expected, met):
    assert (unmet({"site": {"path": "x", "equals": expected}}, site_state={"x": found}) == "") is met


@pytest.mark.parametrize(
    ("check", "met"),
    [
        ("/done", True),
        ("/don", False),
        ({"host": "shop.localhost", "query": {"id": "{n}"}}, True),
        ({"host": "other.localhost"}, False),
        ({"query": {"id": 4}}, False),
        ({"fragment": "end"}, True),
        ({"path": "/done", "fragment": "start"}, False),
    ],
)
def test_url(check, met):
    assert (unmet({"url": check}, url="http://shop.localhost/done?id=3&x=#end") == "") is met


@pytest.mark.parametrize(("wanted", "query", "met"), [
    (3, "id=3", True), (3, "id=3&id=4", False), (3, "id=3&id=3", False), ([3, 4], "id=3&id=4", True), ([3, 4], "id=4&id=3", False),
    ([3], "id=3", True), (3, "ID=3", False), ("", "id=", True),
])  # fmt: skip
def test_a_query_with_several_values_is_no_choice_of_one(wanted, query, met):
    assert (unmet({"url": {"query": {"id": wanted}}}, url=f"http://shop.localhost/?{query}") == "") is met


PAGE = {
    "text": "Thank  you,\nAnn!",
    "found": {"li": [{"text": "Tea", "value": None}, {"text": "Cake", "value": None}], "#n": [{"text": "", "value": "3"}], ".no": []},
}


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("Thank you, {name}!", ""),
        ("Thank you, Bob", "the page does not say 'Thank you, Bob'"),
        ({"selector": "li"}, ""),
        ({"selector": ".no"}, "the page has no elements '.no'"),
        ({"selector": ".no", "count": 0}, ""),
        ({"selector": "li", "text": "{item.title}", "count": 1}, ""),
        ({"selector": "li", "count": 3}, "the page has 2 elements 'li', expected 3"),
        ({"selector": "#n", "value": "{n}"}, ""),
        ({"selector": "#n", "value": "4"}, "that hold '4'"),
    ],
)
def test_page(check, words):
    found = unmet({"page": check}, page_state=PAGE)
    assert (words in found) if words else found == ""


def test_page_that_could_not_be_read_is_not_met_and_a_bad_selector_is_the_judges_fault():
    assert unmet({"page": "x"}, page_state=None) == "the page could not be read"
    with pytest.raises(ValueError, match="the page cannot look for 'li\\['"):
        unmet({"page": {"selector": "li["}}, page_state={"text": "", "found": {"li[": "SyntaxError"}})


@pytest.mark.parametrize("check", [{"not": {"page": "x"}}, {"all": [{"not": {"any": [{"page": "x"}, {"url": "/"}]}}]}])
def test_what_a_page_must_not_say_is_not_met_while_it_cannot_be_read(check):
    assert unmet(check, page_state=None) == "the page could not be read"
    assert unmet(check, page_state=PAGE) == ""


def test_probe_asks_for_every_selector_once():
    checks = [
        READ.validate_python(c) for c in ({"all": [{"page": {"selector": "li"}}, {"not": {"page": {"selector": "b"}}}]}, {"page": "x"})
    ]
    script = probe([*checks, checks[0]])
    assert script is not None and script.count('"li"') == 1 and '["li", "b"]' in script
    assert probe([READ.validate_python({"url": "/"})]) is None


@pytest.mark.parametrize(
    ("check", "answer", "met"),
    [
        ({"exact": "{name}  Lee"}, " Ann Lee\n", True),
        ({"exact": "Ann"}, "ann", False),
        ({"exact": "Ann", "ignore_case": True}, "ann", True),
        ({"exact": ""}, "", True),
        ({"number": "{n}"}, "There are 3.", True),
        ({"number": "{n}"}, "3 of 4", False),
        ({"number": "{n}"}, "three", False),
        ({"number": "{item.price}"}, "$4.5", True),
        ({"number": 1234.5}, "1,234.50 crowns", True),
        ({"number": 10, "tolerance": 0.5}, "10.5", True),
        ({"number": 10, "tolerance": 0.5}, "10.6", False),
        ({"number": 0.3, "tolerance": 0.1}, "0.4", True),  # 0.4 - 0.3 is more than 0.1 in binary
        ({"number": 0}, "-0.0", True),
        ({"date": "{day}"}, "on January 5th, 2026", True),
        ({"date": "{day}"}, "2026-1-5", True),
        ({"date": "{day}"}, "5/1/2026", False),
        ({"date": "{day}"}, "5 January 2026 or 6 January 2026", False),
        ({"set": ["a", "b"]}, "b and a", True),
        ({"set": "{all}"}, '["b", "a"]', True),
        ({"set": "{all}"}, "a, b, a", False),
        ({"set": "{all}"}, "a, b, c", False),
        ({"set": "{all}"}, "a", False),
        ({"set": [1, 2]}, "2; 1", True),
    ],
)
def test_answer(check, answer, met):
    assert (unmet({"answer": check}, ended="stop", answer=answer) == "") is met


@pytest.mark.parametrize(
    ("check", "answer", "words"),
    [
        ({"set": ["a", "b"]}, "a", "the answer 'a' lacks ['b']"),
        ({"set": ["a", "b"]}, "a, c", "the answer 'a, c' lacks ['b'] and has ['c'] too many"),
        ({"set": ["a", "b"]}, "a, b, a", "the answer 'a, b, a' names an item twice"),
        ({"number": 10}, "9", "the answer is 9, expected 10"),
        ({"number": 10, "tolerance": 0.5}, "9", "the answer is 9, expected 10 within 0.5"),
    ],
)
def test_what_an_answer_lacks_is_said(check, answer, words):
    assert unmet({"answer": check}, ended="stop", answer=answer) == words


def test_only_a_stop_answers():
    assert "must stop with one" in unmet({"answer": {"exact": ""}})
    assert "must stop with one" in unmet({"answer": {"exact": "x"}}, ended="infeasible", answer="x")
    assert unmet({"infeasible": True}, ended="infeasible") == ""
    assert "did not say so" in unmet({"infeasible": True}, ended="stop")


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({"number": "{name}"}, "expected a number to compare the answer with, got 'Ann'"),
        ({"date": "{name}"}, "expected a date to compare"),
        ({"set": "{name}"}, "expected a list"),
    ],
)
def test_a_gold_answer_of_the_wrong_kind_is_the_judges_fault(check, message):
    with pytest.raises(ValueError, match=message):
        unmet({"answer": check}, ended="stop", answer="1")


def test_combinations():
    yes, no = {"url": "/a"}, {"url": "/b"}
    at = {"url": "http://x.localhost/a"}
    assert unmet({"all": [yes, yes]}, **at) == "" and "expected '/b'" in unmet({"all": [yes, no]}, **at)
    assert unmet({"any": [no, yes]}, **at) == "" and unmet({"any": [no, no]}, **at).count("expected '/b'") == 2
    assert unmet({"not": no}, **at) == "" and "must not be" in unmet({"not": yes}, **at)
    assert unmet({"not": {"all": [yes, {"any": [no, {"not": yes}]}]}}, **at) == ""


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({"answr": {"exact": "x"}}, "got answr; did you mean 'answer'"),
        ({"url": "/", "answr": {"exact": "x"}}, "got answr; did you mean 'answer'"),
        ({"url": "/", "page": "x"}, "got url and page; combine several with all or any"),
        ("url", "expected a check, a mapping with one of the keys site, url"),
        ({"answer": {"exact": "x", "number": 1}}, "expected exactly one of exact, number, date, set; got exact and number"),
        ({"answer": {"number": True}}, "expected a number or a placeholder"),
        ({"site": {"path": "x"}}, "expected exactly one of equals, contains, count, exists; got none"),
        ({"site": {"path": "x", "equal": 1}}, "there is no field 'equal'; did you mean 'equals'"),
        ({"page": {"count": 1}}, "expected text or a selector"),
        ({"page": {"text": "x", "count": 1}}, "expected a selector beside value or count"),
        ({"all": []}, "at least 1 item"),
        ({"not": {"pge": "x"}}, "did you mean 'page'"),
    ],
)
def test_mistakes_are_told(check, words):
    assert words in wrong(check)


def test_what_is_short_is_told_whole_and_what_is_not_is_not_told():
    assert wrong({}).endswith("got none") and "within" not in unmet({"answer": {"number": 10}}, ended="stop", answer="11")
    assert shown({"a": "é"}) == '{"a": "é"}' and shown("a") == "'a'" and len(shown("a" * 198)) == 200
    assert shown("a" * 300) == "'" + "a" * 198 + "…"


def test_a_check_that_is_one_already_is_taken():
    check = READ.validate_python({"url": "/a"})
    assert READ.validate_python(check) is check


@pytest.mark.parametrize(
    ("found", "part", "held"),
    [("tea", "t", True), ("tea 3", 3, False), ({"a": 1, "b": 2}, {"a": 1}, True), ({"a": 1}, {"a": 2}, False), ({"a": 1}, {"b": 1}, False),
     ({"a": 1}, "a", False), ([{"a": {"b": 1}}], {"a": {"b": 1}}, True), ([["x"]], "x", False), (3, 3, False)],
)  # fmt: skip
def test_what_holds_what(found, part, held):
    assert holds(found, part) is held


def test_null_is_a_value_that_can_be_asked_for():
    assert unmet({"site": {"path": "a", "equals": None}}, site_state={"a": None}) == ""
    assert "expected null" in unmet({"site": {"path": "a", "equals": None}}, site_state={"a": 1})


# --- reading answers, and placeholders -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [("-3.5e2", -350.0), ("−2", -2.0), ("1,2", None), ("3rd", None), ("", None), ("12,345,678", 12345678.0), ("3.", 3.0), ("$7!", 7.0)],
)
def test_numbers(text, number):
    assert read_number(text) == number


def test_dates_that_are_none():
    assert [read_date(text) for text in ("2026-02-31", "31 Februar 2026", "May 2026", "12026-01-05")] == [None] * 4
    assert read_date("the 3rd of May 2026") == date(2026, 5, 3)


def test_items_of_lines_may_have_commas():
    assert read_items("Lee, Ann\nRay, Bob") == ["Lee, Ann", "Ray, Bob"]
    assert read_items("salt, pepper, and oil") == ["salt", "pepper", "oil"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nam", "there is no 'nam' among the values; did you mean 'name'"),
        ("item.prise", "there is no 'prise' in 'item'; did you mean 'price'"),
        ("all.5", "it is a list of 2"),
        ("name.x", "it is str, not a mapping or list"),
        ("day.longer", "a date has no form 'longer': expected one of iso, long"),
    ],
)
def test_a_placeholder_without_a_value_says_what_there_is(path, words):
    with pytest.raises(LookupError, match=words.replace("(", r"\(")):
        fill(f"x {{{path}}}", VALUES)


@pytest.mark.parametrize("text", ["{first name}", "{", "a } b", "{3}", "{a..b}"])
def test_a_brace_that_is_no_placeholder_is_an_error(text):
    with pytest.raises(ValueError, match="expected a placeholder such as"):
        names_in(text)


def test_doubled_braces_are_braces():
    assert names_in("{{name}} {name}") == ["name"]
    assert fill("{{name}} {name}", VALUES) == "{name} Ann"


def test_an_answer_of_brackets_is_an_answer():
    assert read_items("[" * 100_000) == ["[" * 100_000]
    assert unmet({"answer": {"set": ["Ann", "Bob"]}}, ended="stop", answer="[" * 100_000)


def test_an_answer_from_elsewhere_does_not_count():
    check = AnswerCheck.model_validate({"answer": {"number": 17, "shown": "{name}'s key"}})
    pages = ((Node("heading", "Keys"), Node("text", "Bob's key: 3")), (Node("cell", "ANN'S  key"), Node("textbox", "No", value="17")))
    for seen, words in ((pages, ""), (pages[:1], 'no page that the agent was shown says "Ann\'s key"'), (None, "")):
        found = check.unmet(Evidence(0, "u", ended="stop", answer="17", pages=seen), {"name": "Ann"})
        assert found == words
    assert Evidence(0, "u", pages=pages).showed("no 17") and Evidence(0, "u", pages=pages).showed(" Keys \n Bob's")
    assert not Evidence(0, "u", pages=()).showed("x") and Evidence(0, "u", pages=()).showed("")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ((), True),
        (((0, "Ann Lee"),), False),  # it stands in the field, and in "no results for"
        (((1, "ann  LEE"),), False),
        (((2, "Ann Lee"),), True),  # a page had shown it before
        (((0, "Ann"),), True),  # a search for a part of it
        (((0, "Bob Ray"),), True),
    ],
)
def test_what_a_page_repeats_of_the_agents_words_was_not_shown_by_it(written, shown):
    pages = ((Node("heading", "Search"),), (Node("textbox", "Find", value="Ann Lee"), Node("text", "No results for Ann Lee")))
    assert Evidence(0, "u", pages=pages, written=written).showed("Ann Lee") is shown


def test_what_stands_in_two_fields_that_the_agent_filled_was_not_shown():
    pages = ((Node("textbox", "", value="Ann"), Node("textbox", "", value="Lee")),)
    assert Evidence(0, "u", pages=pages).showed("Ann Lee")
    for value in ("Ann Lee", "Bob"):
        pages += ((Node("textbox", "Name", value=value),),)
        assert not Evidence(0, "u", pages=pages, written=((0, "Ann "), (0, "Lee"))).showed("Ann Lee")


@pytest.mark.parametrize(
    "text", ["", "plain", "Zoe\u0308", "한국", "q\u0307\u0323", "\u0301alone", "a\u0316\u0301" * 40, "e" + "\u0316\u0301" * 14]
)
def test_words_are_compared_as_they_are_seen(text):
    assert composed(text) == unicodedata.normalize("NFC", text)


def test_an_answer_of_endless_marks_is_read_in_pieces(monkeypatch):
    """To put the marks of one letter in order takes the square of their number: 40,000 of them held a step up for seconds."""
    whole, pieces = unicodedata.normalize, []
    monkeypatch.setattr(unicodedata, "normalize", lambda form, text: pieces.append(text) or whole(form, text))
    marks = "e" + "\u0301\u0316" * 20_000
    assert unmet({"answer": {"exact": "{name}"}}, ended="stop", answer=marks).endswith("expected 'Ann'")
    assert max(map(len, pieces)) <= 32 and "".join(pieces).startswith(marks)


SAID = "http://mail.localhost/search?q="


@pytest.mark.parametrize(
    ("wanted", "written", "page", "shown"),
    [
        ("32", ("3", "2"), "No results for 32", False),  # typed in parts, or key by key
        ("32", (SAID + "32" + "x" * 400,), "No results for 32" + "x" * 298 + "\u2026", False),  # cut by the page
        ("32", (SAID + 'zz"32',), "From zz\u201d32", False),
        ("32", (SAID + "32,xxx",), "To: 32", False),
        ("32", ("x3x2",), "32 pieces", False),  # a field of digits
        ("01/05/2026", (SAID + "01/05/2026",), "Results for 01/05/2026", False),
        ("Ann Lee", ("Ann", "-Lee"), "Ann Lee has nothing", False),
        ("berg", ("Annaberg x",), "Results for Annaberg", False),
        ("32", ("10432",), "Locker 32", True),  # the number of an order
        ("32", (SAID + "lockers",), "Locker 32", True),
        ("4", ("May 14",), "4 messages", True),
        ("berg", ("Anna",), "Annaberg", True),
    ],
)
def test_a_page_that_repeats_parts_of_the_agents_words_shows_nothing(wanted, written, page, shown):
    pages = ((), (Node("text", page),))
    found = Evidence(0, "u", pages=pages, written=tuple((1, words) for words in written))
    assert found.showed(wanted) is shown
    assert Evidence(0, "u", pages=pages, written=tuple((2, words) for words in written)).showed(wanted), "it was shown before"


@pytest.mark.parametrize(
    ("wanted", "written", "shown"),
    [
        ("4821", ("21", "48"), False),  # the second half first, then Home, then the first
        ("4821", ("1", "4", "2", "8"), False),  # key by key, the caret moved
        ("4821", ("21 zz", "48"), False),
        ("Ann Lee", ("Lee", "Ann "), False),
        ("4821", ("48x21", CUT), False),  # a letter taken away from within
        ("4821", ("x48", "21y", CUT), False),
        ("abcd", ("abxcd", CUT), False),
        ("abcd", ("abxcd",), True),  # nothing was taken away, so that a field would show all of it
        ("4821", ("4", "8", "2"), True),
        ("4821", ("2", "1", "8", "2", CUT), True),
        ("48", ("1948", CUT), True),  # two digits of an honest text, when something was deleted
    ],
)
def test_what_the_agent_put_together_in_a_field_or_had_repeated_was_not_shown(wanted, written, shown):
    for node in (Node("text", f"No results for {wanted}"), Node("textbox", "Find", value=wanted)):
        if node.value and wanted == "48":
            continue  # in a field it may be what is left of the agent's text
        found = Evidence(0, "u", pages=((), (node,)), written=tuple((1, words) for words in written))
        assert found.showed(wanted) is shown, node


def test_a_search_for_an_order_of_texts_ends():
    hard = Evidence(0, "u", pages=((Node("text", "a" * 60 + "b"),),), written=tuple((0, "a" * n) for n in range(1, 90)))
    assert not hard.showed("a" * 60 + "b"), "a search that does not end finds it"
