"""The text twin against Chromium: the same actions lead to the same observations."""

import asyncio
import random

import pytest

from tests.webgym.pages import HOST, PageSite
from webgym.env.core import AsyncWebEnv
from webgym.errors import ConfigError
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.task import PENDING, Start, Task
from webgym.types import (
    Back,
    Clear,
    Click,
    CloseTab,
    Fill,
    Focus,
    FocusTab,
    Forward,
    Goto,
    Hover,
    InvalidAction,
    Message,
    MouseClick,
    NewTab,
    Press,
    Reload,
    Scroll,
    Select,
    Type,
    Upload,
    Wait,
)

PAGES = {
    "/": """<!doctype html><title>Home</title><body><h2>List <b>of</b><i>things</i></h2><p>Say <a href="/two">two</a>
            or <a href="three">three</a> again</p><ol><li>one <span>1</span></li><li><a href="two">second</a></li>
            <li>two<ul><li>deep &lt;tag&gt;</li></ul></li></ol>
            <form action="/two"><input type="hidden" name="q" value="a b&amp;c">
            <button name="go" value="1">Find <b>it</b></button></form>""",
    "/two": """<!doctype html><title>Two</title><body>Loose text<form method="post" action="/sent"><button>Send</button></form><hr>
            <a href="/">Home</a><a href="/two">Here</a>""",
    "/three": """<!doctype html><title>Three</title><body><header><p>Head</p></header><section>a<br>b</section>
            <p><a href="/two">On</a></p>""",
    "/sent": (303, {"location": "/two"}, ""),
}
PACES = ["wizard.h3", "wizard.h6-late6", "wizard.h4-undo-slack30", "wizard.h8-x3-late2-undo-slack30", "wizard.h5-noise60-undo"]


def plain_task():
    return Task(
        "plain.pages", lambda seed: Start(f"http://{HOST}/", "Look around.", site_state=PAGES), lambda e: PENDING, 60, hosts=(HOST,)
    )


@pytest.fixture
def served(monkeypatch):
    site = PageSite()
    site.plain = True
    monkeypatch.setattr(registry, "sites_of", lambda task: [site])
    return plain_task()


def anything(observation, rng, addresses):
    """Any action: half the time a click on something that is there."""
    refs = [node.ref for node in observation.nodes if node.ref is not None]
    ref = rng.choice([*refs, 7, 99])
    if refs and rng.random() < 0.5:
        return Click(rng.choice(refs))
    return rng.choice(
        [
            Click(ref), Scroll(0, 300), Scroll(0, -300, ref), Back(), Back(), Forward(), Reload(), Goto(rng.choice(addresses)),
            Press("Enter"), Press("Enter", ref), Press("Space", ref), Press("Escape"), Press("a", ref), Press("ArrowDown", ref), Focus(ref),
            Hover(ref),
            Fill(ref, "x y"), Clear(ref), Select(ref, ("a",)), Type("abc"), Wait(), Message("hi"), InvalidAction("what"), FocusTab(0),
            FocusTab(3), CloseTab(), Upload(ref, ("a",)), Goto("http://elsewhere.example/"),
        ]
    )  # fmt: skip


async def play(env, task_id, seed, addresses, oracle=None):
    """Actions and observations of one episode; with an oracle, it chooses four turns in five."""
    rng = random.Random(seed)
    seen, taken = [await env.reset(task_id, seed)], []
    while True:
        follow = oracle is not None and rng.random() < 0.8
        taken.append(oracle(seen[-1]) if follow else anything(seen[-1], rng, addresses))
        step = await env.step(taken[-1])
        seen.append(step.observation)
        if step.kind:
            return taken, seen


async def compare(tasks, seeds, addresses, find=registry.task):
    """Nothing where both backends agree on every observation; else the first difference."""
    browser, text = AsyncWebEnv(find=find), AsyncWebEnv(backend="text", find=find)
    try:
        for seed in seeds:
            task_id = tasks[seed % len(tasks)]
            oracle = find(task_id).oracle
            ways = [None, oracle() if oracle else None, oracle() if oracle else None]
            actions, wanted = await play(browser, task_id, seed, addresses, ways[1 if seed % 2 else 0])
            _, found = await play(text, task_id, seed, addresses, ways[2 if seed % 2 else 0])
            for turn, (a, b) in enumerate(zip(wanted, found, strict=True)):
                if (a.hash, a.state_hash) != (b.hash, b.state_hash):
                    return task_id, seed, actions[max(0, turn - 3) : turn], a, b
    finally:
        await browser.close()
    return None


WIZARD_ADDRESSES = ("wizard.localhost/step/2", "http://wizard.localhost/done", "wizard.localhost/nowhere")


def test_workflows_are_the_same_without_a_browser():
    assert loop_thread().run(compare(PACES, range(10), WIZARD_ADDRESSES)) is None


def test_any_plain_page_is_the_same_without_a_browser(served):
    addresses = (f"{HOST}/three", f"http://{HOST}/two?x=1", f"{HOST}/two")
    assert loop_thread().run(compare(["plain.pages"], range(3), addresses, find=lambda _: served)) is None


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_workflows_are_the_same_over_500_episodes():
    tasks = [*registry.select(["wizard.*"]), *PACES]
    assert loop_thread().run(compare(tasks, range(100, 600), WIZARD_ADDRESSES)) is None


def test_what_needs_a_browser_is_refused_in_words():
    async def look():
        env = AsyncWebEnv(backend="text")
        await env.reset("wizard.h6", 0)
        return [(await env.step(action)).observation.error for action in (NewTab(), MouseClick(1, 2), Press("Tab"))]

    errors = asyncio.run(look())
    assert all("without a browser there is no" in error for error in errors)


def test_packs_without_a_twin_are_refused_in_one_sentence():
    with pytest.raises(ConfigError, match=r"miniwob\.click-test has no text twin, because .*: play it in the browser"):
        asyncio.run(AsyncWebEnv(backend="text").reset("miniwob.click-test", 0))
    with pytest.raises(ConfigError, match="no backend 'txt': expected one of browser, browsergym, text"):
        AsyncWebEnv(backend="txt")
