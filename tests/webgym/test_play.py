"""A person plays in the page; the test is the person."""

import json
import re
import threading
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from webgym.browser import executable
from webgym.errors import UsageError
from webgym.play import Deed, Person, play
from webgym.prompt import COMPACT, PromptSettings
from webgym.store import load
from webgym.types import Click, Drag, EpisodeKey, Fill, Press, Select


def test_deeds_are_actions() -> None:
    assert Deed(page=1, verb="click", ref=3).action() == Click(3)
    assert Deed(page=1, verb="fill", ref=3, text="ann").action() == Fill(3, "ann")
    assert Deed(page=1, verb="select", ref=3, text="blue").action() == Select(3, ("blue",))
    assert Deed(page=1, verb="drag", ref=3, target=4).action() == Drag(3, 4)
    assert Deed(page=1, verb="press", text="Enter").action() == Press("Enter")


def test_a_deed_on_a_page_that_is_gone_is_refused() -> None:
    assert "look again" in Person(COMPACT).do(Deed(page=3, verb="click"))


def test_demonstrations_of_other_prompts_are_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "prompt.json").write_text('{"style": "chat"}')
    with pytest.raises(UsageError, match="other prompt settings"):
        play("miniwob.login-user", out=tmp_path)


def test_clicks_and_typing_become_a_demonstration(tmp_path: Path) -> None:
    """A form is filled in and sent by mouse and keyboard on the picture; then the next seed begins."""
    said: list[str] = []
    addressed = threading.Event()

    def say(words: str) -> None:
        said.append(words)
        addressed.set()

    thread = threading.Thread(
        target=lambda: play("miniwob.login-user", out=tmp_path / "demos", browse=False, say=say), name="person", daemon=True
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
