"""Browsers, drivers, renderers and listeners that die or stop: each is a fault of its kind, and the next episode plays."""

import asyncio
import os
import signal
import tempfile
from pathlib import Path

import pytest

from tests.webgym.pages import lines, pool, run, visitor
from webgym.backends.browser import chromium, profile
from webgym.commands.processes import descendants
from webgym.errors import BrowserFault, HangFault, RendererFault, SiteFault
from webgym.rollout.arena import Arena
from webgym.rollout.contract import Retries
from webgym.types import Click, Completion, EpisodeKey, Wait

STRUCK = [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.slow)]  # a deadline has to pass for what only stops


@pytest.fixture
def at(monkeypatch, tmp_path):
    run(pool().close())  # the next one is started with a temporary folder of its own
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(chromium, "ANSWER_S", 2.0)
    monkeypatch.setattr(profile, "CLOSE_S", 1.0)
    with visitor() as found:
        found.open("<p>x")
        found.env.session.action_timeout_s = 3.0
        yield found


def driver_id(shared=None) -> int:
    return (shared or pool())._chromium._manager._client._transport._proc.pid


def renderers() -> list[int]:
    return processes(b"renderer")


def processes(*kinds: bytes) -> list[int]:
    """The living processes of these kinds below the browser."""
    found = {one: Path(f"/proc/{one}/cmdline").read_bytes() for one in descendants(run(pool().process_id()))}
    return [one for one, words in found.items() if any(b"--type=" + kind in words for kind in kinds)]


def gone(process: int) -> bool:
    """True for one that ended, waited for or not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("number", STRUCK, ids=["killed", "stopped"])
@pytest.mark.parametrize("whose", ["browser", "driver"])
def test_a_browser_or_driver_that_answers_no_more_is_replaced(at, whose, number, tmp_path):
    generation, [home] = pool().generation, tmp_path.glob("webgym-browser-*")
    browser, driver = run(pool().process_id()), driver_id()
    os.kill(browser if whose == "browser" else driver, number)
    with pytest.raises(BrowserFault):
        at.step(Wait(1))
    assert lines(at.open("<p>again")) == ["text again"]
    assert pool().generation == generation + 1
    assert gone(browser) and gone(driver)
    assert not home.exists() and len([*tmp_path.iterdir()]) == 1, "there is the folder of the new one, in place of the old one's"


def test_a_renderer_that_was_stopped_does_not_outlive_its_browser(at):
    stopped = renderers()
    for one in stopped:
        os.kill(one, signal.SIGSTOP)
    os.kill(run(pool().process_id()), signal.SIGKILL)
    with pytest.raises(BrowserFault):
        at.step(Wait(1))
    assert lines(at.open("<p>again")) == ["text again"]
    assert stopped and all(map(gone, stopped))


@pytest.mark.slow
def test_a_spare_of_a_browser_that_answers_no_more_is_not_used(at):
    profiles = pool()._profiles
    run(prepared(profiles))
    os.kill(run(pool().process_id()), signal.SIGSTOP)
    with pytest.raises(HangFault):
        at.step(Wait(1))
    assert lines(at.open("<p>again")) == ["text again"]


async def prepared(profiles) -> None:
    profiles.prepare()
    await profiles._spares[-1]


def test_a_renderer_that_is_killed_is_told_from_a_browser_that_is(at):
    generation = pool().generation
    for one in renderers():
        os.kill(one, signal.SIGKILL)
    with pytest.raises(RendererFault):
        at.step(Wait(1))
    assert lines(at.open("<p>again")) == ["text again"]
    assert pool().generation == generation


def test_nothing_that_a_page_asks_for_or_keeps_is_lost_without_a_fault(at):
    """A helper that the browser starts again by itself must not be one that holds the page's requests or cookies."""
    asks = "fetch('/').then(() => this.textContent = document.cookie)"
    at.open(f"<script>document.cookie = 'kept=1'</script><button onclick=\"{asks}\">ask</button>")
    helpers = processes(b"gpu-process", b"utility")
    assert helpers
    for one in helpers:
        os.kill(one, signal.SIGKILL)
    at.step(Click(0))
    assert lines(at.step(Wait(50)).observation) == ["button kept=1 (focused)"]


@pytest.mark.slow
def test_a_renderer_that_is_stopped_is_a_fault_and_does_not_stay(at):
    stopped = renderers()
    for one in stopped:
        os.kill(one, signal.SIGSTOP)
    with pytest.raises(HangFault):
        at.step(Wait(1))
    assert lines(at.open("<p>again")) == ["text again"]
    run(asyncio.sleep(3))
    assert all(map(gone, stopped))


def test_a_listener_that_stops_within_an_episode_is_a_fault_of_the_site(at):
    run(stop(at.env.session._profile.listener))
    with pytest.raises(SiteFault, match="the session's listener has stopped"):
        at.step(Wait(1))
    run(at.env.close())
    assert lines(at.open("<p>again")) == ["text again"]


async def stop(listener) -> None:
    listener._server.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_driver_that_goes_while_it_starts_is_a_fault_and_leaves_nothing(at, number, monkeypatch, tmp_path):
    run(at.env.close())
    run(pool().close())
    with monkeypatch.context() as changed:
        changed.setattr(chromium, "LAUNCH_S", 3.0)
        struck = run(struck_at_birth(pool(), number))
    run(asyncio.sleep(0.5))  # the system takes a moment
    assert gone(struck)
    assert list(tmp_path.iterdir()) == []
    assert lines(at.open("<p>again")) == ["text again"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
@pytest.mark.parametrize("whose", ["browser", "driver"])
def test_what_a_launch_that_fails_has_begun_does_not_stay(at, whose, number, monkeypatch, tmp_path):
    """The browser is there already, and the driver has not told of it yet."""
    run(at.env.close())
    run(pool().close())
    with monkeypatch.context() as changed:
        changed.setattr(chromium, "LAUNCH_S", 6.0)
        browser, driver = run(struck_before_it_is_told(pool(), whose, number))
    run(asyncio.sleep(0.5))
    assert gone(browser) and gone(driver)
    assert list(tmp_path.iterdir()) == []


async def struck_before_it_is_told(shared, whose, number) -> tuple[int, int]:
    starting = asyncio.ensure_future(shared.browser())
    while not (found := started(b"--remote-debugging-pipe", but=b"/bin/sh")):  # it begins as a script
        await asyncio.sleep(0.001)
    [browser], [driver] = found[:1], started(b"run-driver")
    os.kill(browser if whose == "browser" else driver, number)
    with pytest.raises(BrowserFault, match="the browser did not start: "):
        await starting
    return browser, driver


def started(sign: bytes, but: bytes = b"\0\0") -> list[int]:
    """Processes below this one whose command line holds the sign, and does not begin with the other."""
    found = {one: Path(f"/proc/{one}/cmdline").read_bytes() for one in descendants(os.getpid())[1:]}
    return [one for one, line in found.items() if sign in line and not line.startswith(but)]


async def struck_at_birth(shared, number) -> int:
    starting = asyncio.ensure_future(shared.browser())
    while not (found := started(b"run-driver")):
        await asyncio.sleep(0.001)
    [driver] = found
    os.kill(driver, number)
    with pytest.raises(BrowserFault, match="the browser did not start: "):
        await starting
    return driver


class Striking:
    """Waits, and before its second turn lets a blow fall, once."""

    dialect = "call"

    def __init__(self, blow) -> None:
        self.blow, self.fell = blow, 0

    async def act(self, observation, history, key):
        if observation.turn == 1 and not self.fell:
            self.fell += 1
            self.blow()
        return Completion("wait(1)" if observation.turn < 2 else "stop('')")


@pytest.mark.parametrize("number", STRUCK, ids=["killed", "stopped"])
def test_an_episode_whose_driver_goes_is_played_again(number, monkeypatch):
    monkeypatch.setattr(chromium, "ANSWER_S", 2.0)
    monkeypatch.setattr(profile, "CLOSE_S", 1.0)
    shared = pool()
    policy = Striking(lambda: os.kill(driver_id(shared), number))
    with Arena(1) as arena:
        [trajectory] = arena.collect(policy, [EpisodeKey("miniwob.click-button", 1)], retries=Retries(backoff_s=0.0))
    assert policy.fell == 1 and trajectory.outcome.kind == "failure" and trajectory.outcome.retries == 1
    assert trajectory.outcome.faults == (("browser",) if number == signal.SIGKILL else ("hang",))
