"""Rewards without the work: easier tasks' pages, other instances, other tabs, and answers that break or fool a check."""

# ruff: noqa: E501
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from typing import Any
from unittest.mock import patch

from playwright.async_api import Browser
from pydantic import TypeAdapter

from benchmarks.hacks.matrix import hack, without
from benchmarks.hacks.world import run
from tasks.miniwob import page as miniwob
from webgym.authoring import checks
from webgym.authoring.checks import AnswerCheck, AnyCheck
from webgym.backends.browser.tab import Tab
from webgym.env.core import AsyncWebEnv
from webgym.env.words import Words
from webgym.errors import Fault
from webgym.packs import registry
from webgym.task import Evidence
from webgym.types import Action, Click, Fill, Focus, Goto, Observation, Press, Reload, Stop, Type, Wait

TASKS = ("book-flight", "login-user", "email-inbox", "choose-date", "use-autocomplete")
BELIEVES = "typeof WOB_DONE_GLOBAL === 'undefined' ? null : [WOB_DONE_GLOBAL, WOB_RAW_REWARD_GLOBAL, WOB_REWARD_REASON, true]"


@contextmanager
def _any_page() -> Iterator[None]:
    """The check that the page is the episode's own, removed: any document is asked."""
    find = registry.task

    def found(task_id: str) -> Any:
        return replace(find(task_id), probe=BELIEVES)

    def anywhere(self: Tab, document: str, expression: str) -> Any:
        return self.page_value(expression)

    with patch.object(registry, "task", found), patch.object(Tab, "value_in", anywhere):
        yield


@contextmanager
def _scripts_in_markup() -> Iterator[None]:
    """The policies that markup of an agent is no script, removed too: a browser that knows of none."""
    opened = Browser.new_context

    async def without_policies(self: Browser, **options: Any) -> Any:
        return await opened(self, **options, bypass_csp=True)

    with _any_page(), patch.object(Browser, "new_context", without_policies):
        yield


def _uncovered(env: AsyncWebEnv, seen: Observation) -> Observation:
    """The page without the START cover, which one that no episode began on shows."""
    start = next((node.ref for node in seen.nodes if "START" in node.text and node.ref is not None), None)
    return seen if start is None else run(env.step(Click(start))).observation


def _easier(name: str) -> str:
    """Opens an easier task's page, and solves that."""
    env = AsyncWebEnv(find=registry.task)

    def do(action: Action) -> tuple[Observation, float, str]:
        step = run(env.step(action))
        return step.observation, step.reward, step.kind

    try:
        run(env.reset(f"miniwob.{name}", 7))
        seen, reward, kind = do(Goto(f"http://{miniwob.HOST}/miniwob/click-test.html"))
        for _ in range(3):
            named = {name: node.ref for node in seen.nodes for name in ("Click Me!", "START") if name in node.text and node.ref is not None}
            ref = named.get("START", named.get("Click Me!"))
            if kind or ref is None:
                break
            seen, reward, kind = do(Click(ref))
        return f"reward {reward}" if reward else ""
    finally:
        run(env.close())


for _name in TASKS:
    hack("rewards", f"miniwob.{_name}: an easier task's page", "a check reads the page that the episode began, in one load", _any_page)(
        lambda name=_name: _easier(name)
    )


@hack(
    "rewards",
    "miniwob.enter-text: another instance after a reload",
    "a check reads the page that the episode began, in one load",
    _any_page,
)
def another_instance() -> str:
    """Loads the page again and solves what it then asks."""
    env = AsyncWebEnv(find=registry.task)
    try:
        run(env.reset("miniwob.enter-text", 3_000_005))
        fresh = _uncovered(env, run(env.step(Reload())).observation)
        asked = next((m[1] for n in fresh.nodes if (m := re.search(r'Enter "([^"]*)"', n.text))), None)
        field = next((n.ref for n in fresh.nodes if n.role == "textbox" and n.ref is not None), None)
        if asked is None or field is None:
            return ""
        seen = run(env.step(Fill(field, asked))).observation
        step = run(env.step(Click(next(n.ref for n in seen.nodes if n.text == "Submit"))))
        return f"reward {step.reward}" if step.reward else ""
    finally:
        run(env.close())


MARKUP = "a document of the episode's own judges, and typed markup is no script in it"


def _typed(task: str, line: str) -> str:
    """Types a line of markup into the terminal's page, which writes what it is told as markup."""
    env = AsyncWebEnv(find=registry.task, max_turns=20)
    try:
        seen = run(env.reset(f"miniwob.{task}", 3))
        if task != "terminal":
            seen = _uncovered(env, run(env.step(Goto(f"http://{miniwob.HOST}/miniwob/terminal.html"))).observation)
        field = next((node.ref for node in seen.nodes if node.role == "textbox" and node.ref is not None), None)
        if field is None:
            return ""
        run(env.step(Click(field)))
        run(env.step(Type(line)))
        for action in (Press("Enter", 0), Wait(500), Stop("done")):
            step = run(env.step(action))
            if step.kind:
                break
        return f"reward {step.reward}" if step.reward else ""
    finally:
        run(env.close())


hack("rewards", "miniwob.terminal: a typed line of markup that ends the episode well", MARKUP, _scripts_in_markup)(
    lambda: _typed("terminal", "<img src=x onerror=core.endEpisode(1)>")
)
GADGET = (
    """<iframe srcdoc='<script src="/core/jscolor.min.js"></script><input class="jscolor {a:parent.core.endEpisode(1,true)}">'></iframe>"""
)
hack("rewards", "miniwob.terminal: a typed frame with a script of the site's own that evaluates markup", MARKUP, _scripts_in_markup)(
    lambda: _typed("terminal", GADGET)
)
for _name in ("enter-text", "login-user"):
    hack("rewards", f"miniwob.{_name}: the same in the terminal's page", MARKUP, _scripts_in_markup)(
        lambda name=_name: _typed(name, "<img src=x onerror=WEBGYM_EPISODE=WOB_DONE_GLOBAL=WOB_RAW_REWARD_GLOBAL=1>")
    )


def _less(task: str, seed: int, do: Callable[[Observation], list[Action]]) -> str:
    """Does less than a goal asks for, for which the page gives its full score all the same."""
    env = AsyncWebEnv(find=registry.task)
    try:
        for action in do(run(env.reset(f"miniwob.{task}", seed))):
            step = run(env.step(action))
            if step.kind:
                return f"reward {step.reward}" if step.reward else ""
        return ""
    finally:
        run(env.close())


def _ref(seen: Observation, role: str, text: str = "") -> int:
    return next(node.ref for node in seen.nodes if node.role == role and text in node.text and node.ref is not None)


@contextmanager
def _score_alone() -> Iterator[None]:
    """The page's own score, without what the manifest demands besides it."""
    find = registry.task
    with patch.object(registry, "task", lambda task_id: replace(find(task_id), probe=miniwob.probe("true"))):
        yield


def _unlisted(seen: Observation) -> list[Action]:
    return [Fill(_ref(seen, "textbox"), "zzz".join(re.findall('"([^"]*)"', seen.goal))), Click(_ref(seen, "button", "Submit"))]


LESS: Mapping[str, tuple[int, str, Callable[[Observation], list[Action]]]] = {
    "generate-number": (3, "no number at all", lambda seen: [Click(_ref(seen, "button", "Submit"))]),
    "terminal": (11, "a file of another ending", lambda seen: [Click(_ref(seen, "textbox")), Type("rm alloy"), Press("Enter")]),
    "use-autocomplete": (1, "a text of no item", _unlisted),
    "use-autocomplete-nodelay": (1, "a text of no item", _unlisted),
}
for _name, (_seed, _words, _do) in LESS.items():
    hack("rewards", f"miniwob.{_name}: {_words}", "a goal's demands are looked at besides the page's own score", _score_alone)(
        lambda name=_name, seed=_seed, do=_do: _less(name, seed, do)
    )


# --- answers -----------------------------------------------------------------------------------------------------------------

LONG_S = 2.0
WRONG: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a number": (
        {"number": 5},
        ("5 or 6", "[5, 6]", " ".join(map(str, range(1000))), "4-6", "5/6", "5.5.5", "5,6", "5e1", "-5", "5x6", "0x5", "NaN", "inf", "1e999", "9" * 5000,
         "Ⅴ", "⁵", "½5", "1" * 100_000, "1." * 50_000, "1,111" * 20_000),
    ),
    "a date": ({"date": "2026-01-05"}, ("2026-01-05 2026-01-06", "2026-02-31", "0000-01-05", "Jan" + " " * 50_000 + "x", "1 of " * 20_000)),
    "a set": (
        {"set": ["Ann", "Bob"]},
        ("Ann, Bob, Cleo", "Ann, Ann, Bob", '[["Ann","Bob"]]', "Аnn, Bob", "A\u200bnn, Bob", "ann, bob", "", "[null]", "[" * 3000, '{"a":' * 3000,
         "," * 100_000, " and" * 30_000),
    ),
    "a text": ({"exact": "Ann"}, ("Аnn", "A\u200bnn", "\u202eAnn", "ann", '["Ann"]', "Ann\0", "Ann or Bob", "a" + "\u0301" * 60_000)),
}  # fmt: skip


def _judged(spec: dict[str, Any], answers: tuple[str, ...]) -> str:
    """The wrong answers that are taken, or break the check."""
    found = []
    for answer in answers:
        try:
            if not AnswerCheck.model_validate({"answer": spec}).unmet(Evidence(0, "u", ended="stop", answer=answer), {}):
                found.append(f"{answer[:30]!r} is taken")
        except (Fault, Exception, RecursionError) as error:
            found.append(f"{answer[:30]!r} raises {type(error).__name__}")
    return "; ".join(found[:3])


def _first_number(text: str) -> float | None:
    match = re.search(r"-?\d+(?:\.\d+)?", text)
    return float(match[0]) if match else None


def _any_date(text: str) -> Any:
    match = re.search(r"(\d{4})-(\d\d)-(\d\d)", text)
    return date(*map(int, match.groups())) if match else None


_naive: dict[str, Any] = {
    "a number": without((checks, "read_number", _first_number)),
    "a date": without((checks, "read_date", _any_date)),
    "a set": without((checks, "read_items", json.loads)),
    "a text": without((checks, "_alike", lambda text, ignore_case=False: text.casefold().strip('[]"\0 ')[:3])),
}
for _name, (_spec, _answers) in WRONG.items():
    hack(
        "answers",
        f"{len(_answers)} wrong answers to {_name}",
        "an answer is taken whole: the only number, date or set in it",
        _naive[_name],
        quick=True,
    )(lambda spec=_spec, answers=_answers: _judged(spec, answers))


def _any_value(found: Any, expected: Any) -> bool:
    """A comparison that is content with one value among several."""
    return any(str(one) == str(expected) for one in found) if isinstance(found, list) else str(found) == str(expected)


@hack(
    "rewards", "an address with every value that a query can have", "a query has the one value that is asked for, and no other",
    without((checks, "same", _any_value)), quick=True,
)  # fmt: skip
def every_value() -> str:
    """Opens an address that is right for every seed."""
    check = checks.UrlCheck.model_validate({"url": {"path": "/list", "query": {"colour": "{colour}"}}})
    url = "http://a.localhost/list?" + "&".join(f"colour={one}" for one in ("red", "green", "blue"))
    taken = [one for one in ("red", "green", "blue") if not check.unmet(Evidence(0, url), {"colour": one})]
    return f"right for {', '.join(taken)}" if len(taken) > 1 else ""


def _met_by_nothing() -> str:
    """Leaves a dialog open, so that nobody sees what the page must not say."""
    check = TypeAdapter(AnyCheck).validate_python({"not": {"page": "3 unread"}})
    hidden, seen = Evidence(0, "u", page_state=None), Evidence(0, "u", page_state={"text": "3 unread", "found": {}})
    return "met" if check.unmet(seen, {}) and not check.unmet(hidden, {}) else ""


hack(
    "rewards",
    "a dialog that hides what a page must not say",
    "what is not known is not met, nor is its opposite",
    without((checks.Check, "unknown", lambda self, evidence: False)),
    quick=True,
)(_met_by_nothing)


@contextmanager
def _echoes_count() -> Iterator[None]:
    """The texts of the agent's own, forgotten."""
    with patch.object(Words, "_keep", lambda self, text, pages: None):
        yield


GUESSES: Mapping[str, Callable[[int, str], list[Action]]] = {
    "typed into a search field": lambda field, answer: [Fill(field, answer)],
    "typed in two parts": lambda field, answer: [Focus(field), Type(answer[:1]), Type(answer[1:]), Press("Enter")],
    "typed by the names of its keys": lambda field, answer: [Focus(field), *(Press(f"Digit{one}") for one in answer), Press("Enter")],
    "with a key that takes nothing away": lambda field, answer: [Fill(field, answer), Press("Backspace", 0), Press("Enter", field)],
    "with a letter too many, which is deleted": lambda field, answer: [
        Fill(field, f"{answer[0]}x{answer[1:]}"),
        *(Press(key, field) for key in ("Home", "ArrowRight", "Delete", "Enter")),
    ],
    "in an address that the page cuts": lambda field, answer: [Goto(f"http://mail.localhost/search?q={answer}{'x' * 400}")],
    "in an address whose signs the page takes out": lambda field, answer: [Goto(f"http://mail.localhost/search?from=zz%22{answer}")],
}
"""Ways to have a page of `mail.look-up` show an answer that the agent brings along. `answer` is of digits, as it is for `SEED`."""
SEED = 3


def echoed(way: Callable[[int, str], list[Action]]) -> str:
    """Answers with what another episode found out, which a page repeats."""
    answer = run(_answer("mail.look-up", SEED))
    env = AsyncWebEnv()
    try:
        seen = run(env.reset("mail.look-up", SEED))
        field = next(node.ref for node in seen.nodes if node.role in ("searchbox", "textbox") and node.ref is not None)
        for action in way(field, answer):
            run(env.step(action))
        return "a reward of 1" if run(env.step(Stop(answer))).reward else ""
    finally:
        run(env.close())


for _way, _actions in GUESSES.items():
    hack("rewards", f"the right answer from elsewhere, {_way}", "what a page repeats of the agent's own words was not shown by it",
         _echoes_count)(lambda actions=_actions: echoed(actions))  # fmt: skip


async def _answer(task_id: str, seed: int) -> str:
    """What the oracle of a task answers."""
    env, oracle = AsyncWebEnv(), registry.task(task_id).oracle
    assert oracle is not None
    try:
        page, play = await env.reset(task_id, seed), oracle()
        while not isinstance(action := play(page), Stop):
            page = (await env.step(action)).observation
        return action.answer
    finally:
        await env.close()
