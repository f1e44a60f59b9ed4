"""A person plays in the page; the test is the person."""

import asyncio
import json
import re
import threading
import time
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import sync_playwright

from webgym.backends.browser import executable
from webgym.commands.play import Deed, Person, create_app, play, save
from webgym.commands.replay import replay
from webgym.errors import UsageError
from webgym.loop_thread import loop_thread
from webgym.prompts.settings import COMPACT, PromptSettings
from webgym.record.store import load
from webgym.rollout.arena import Arena
from webgym.types import Click, Drag, EpisodeKey, Fill, Press, Select


def test_deeds_are_actions() -> None:
    assert Deed(page=1, verb="click", ref=3).action() == Click(3)
    assert Deed(page=1, verb="fill", ref=3, text="ann").action() == Fill(3, "ann")
    assert Deed(page=1, verb="select", ref=3, text="blue").action() == Select(3, ("blue",))
    assert Deed(page=1, verb="drag", ref=3, target=4).action() == Drag(3, 4)
    assert Deed(page=1, verb="press", text="Enter").action() == Press("Enter")


def test_a_deed_on_a_page_that_is_gone_is_refused() -> None:
    assert "look again" in Person(COMPACT).do(Deed(page=3, verb="click"))


@pytest.mark.parametrize("after", ["", "x", "²", "①", "9" * 5000])
def test_a_page_number_that_is_none_is_the_first(after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    person = Person(COMPACT)
    monkeypatch.setattr(person, "state", lambda after: {"after": after})
    app = create_app(person, threading.Event(), "token")

    async def asked() -> dict:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return (await client.get("/token/state", params={"after": after})).json()

    assert asyncio.run(asked()) == {"after": 0}


def test_demonstrations_of_other_prompts_are_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "prompt.json").write_text('{"style": "chat"}')
    with pytest.raises(UsageError, match="other prompt settings"):
        play("miniwob.login-user", out=tmp_path, window=False)


def test_a_window_that_cannot_be_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webgym.commands.play.why_none", lambda environ, system: "there is no display")
    with pytest.raises(UsageError, match="no window can be shown: there is no display"):
        play("miniwob.login-user", out=tmp_path, window=True)


def test_clicks_and_typing_become_a_demonstration(tmp_path: Path) -> None:
    """A form is filled in and sent by mouse and keyboard on the picture; then the next seed begins."""
    said: list[str] = []
    addressed = threading.Event()

    def say(words: str) -> None:
        said.append(words)
        addressed.set()

    thread = threading.Thread(
        target=lambda: play("miniwob.login-user", out=tmp_path / "demos", browse=False, window=False, say=say), name="person", daemon=True
    )
    thread.start()
    assert addressed.wait(60)
    [address] = re.findall(r"http://\S+", said[0])
    found = executable.find()
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=str(found.path), chromium_sandbox=executable.sandbox(found.path).enabled)
        page = browser.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(address)
        name, password = re.findall(r'"([^"]*)"', page.locator("h1").inner_text(timeout=60_000))
        for field, text in (("Username", name), ("Password", password)):
            x, y, width, height = next(
                n["box"] for n in page.evaluate("fetch('state?after=0').then(x => x.json())")["nodes"] if field.lower() in n["text"].lower()
            )
            image = page.locator(".screen img")
            zoom = image.evaluate("x => x.clientWidth / x.naturalWidth")
            image.click(position={"x": (x + width / 2) * zoom, "y": (y + height / 2) * zoom})
            page.get_by_label(re.compile("write into")).fill(text)
            page.keyboard.press("Enter")
            page.locator("ol code", has_text=text).wait_for()
        page.get_by_role("button", name="button Login").click()
        page.get_by_role("status").get_by_text("Success").wait_for()
        page.get_by_role("button", name="next episode").click()
        page.get_by_text("turn 1, ").wait_for()
        assert page.locator("h1").inner_text() and wrong == []
        browser.close()

    [demo] = load(tmp_path / "demos/demos.jsonl")
    assert demo.outcome.success and demo.key == EpisodeKey("miniwob.login-user", 0)
    assert [turn.action.partition("(")[0] for turn in demo.turns] == ["fill", "fill", "click"]
    assert demo.turns[0].completion.prompt.startswith("goal: ") and demo.turns[0].completion.text.startswith("type ")
    assert PromptSettings.from_json(json.loads((tmp_path / "demos/prompt.json").read_text())) == COMPACT


def test_what_is_done_in_the_window_is_told_and_done_once(tmp_path: Path) -> None:
    """The same form in the browser's own page: input of the kind that a window gives, which must reach the page only as actions."""
    run, said = loop_thread().run, threading.Event()
    with Arena(1) as arena:
        tab = lambda: arena.envs[0].session.tab  # noqa: E731
        person, found = Person(COMPACT, tab, said), []
        key = EpisodeKey("miniwob.login-user", 0)
        run(arena.envs[0].reset(key.task_id, key.seed))
        run(person.enter())
        thread = threading.Thread(target=lambda: found.extend(arena.collect(person, [key])), daemon=True)
        thread.start()

        def turn(after: int) -> dict:
            state = person.state(after, 60)
            while not run(tab().ask("!!globalThis.webgymHands?.turn")):
                time.sleep(0.01)
            return state

        def click(state: dict, role: str, number: int = 0) -> None:
            x, y, width, height = [n["box"] for n in state["nodes"] if n["role"] == role][number]
            run(tab().pointer.click(x + width / 2, y + height / 2))

        state = turn(0)
        user, password = re.findall(r'"([^"]*)"', state["goal"])
        run(tab().page_value("void (window.heard = [], addEventListener('click', e => heard.push(e.target.id), true))"))
        click(state, "textbox")
        run(tab().page.keyboard.type(user + "xx"))
        for key_name in ("Backspace", "Backspace"):
            run(tab().page.keyboard.press(key_name))
        assert run(tab().page_value("document.querySelector('#username').value")) == ""
        run(tab().page.keyboard.press("Enter"))
        state = turn(state["page"])
        assert run(tab().page_value("document.querySelector('#username').value")) == user
        assert run(tab().ask("!document.querySelector('#wrap webgym-hands')"))
        click(state, "textbox", 1)
        run(tab().page.keyboard.type(password))
        click(state, "button")  # beside the field: what was written goes in, and the button is not pressed
        state = turn(state["page"])
        assert run(tab().page_value("heard")) == [], "the page heard nothing but an agent's actions"
        click(state, "button")
        thread.join(60)
        [trajectory] = found
        person.finish(trajectory, save(trajectory, tmp_path, COMPACT))
        run(person.show_end())
        run(tab().page.keyboard.press("Enter"))
        assert said.wait(10), "Enter asks for the next episode"
        assert not person.left
    assert [turn.action for turn in trajectory.turns] == [f"fill('0', '{user}')", f"fill('1', '{password}')", "click('2')"]
    assert trajectory.outcome.success
    assert replay(load(tmp_path / "demos.jsonl")[0]).same
