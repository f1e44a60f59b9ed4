"""The screen of a browser, without one: frames one at a time, none while pages come and go, and a page that hangs holds no other up."""

import asyncio
from typing import Any

import pytest

from webgym.backends.browser import frames
from webgym.backends.browser.frames import Clock, FrameLost, Frames, Screen


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(frames, "FRAME_S", 0.05)
    monkeypatch.setattr(frames, "LATE_S", 0.05)
    monkeypatch.setattr(frames, "TOLD_S", 0.005)


def unheard(seconds: float) -> None:
    """Nobody minds how long others take."""


class Page:
    """A page whose frames end when they are told to. `ended` is set when the page was given up."""

    def __init__(self, under_way: list[str], name: str) -> None:
        self._under_way, self._name = under_way, name
        self.draws = asyncio.Event()
        self.ended = False
        self.most = 0

    async def begin(self) -> dict[str, Any]:
        self._under_way.append(self._name)
        self.most = max(self.most, len(self._under_way))
        await self.draws.wait()
        self._under_way.remove(self._name)
        return {"drawn": self._name}

    async def give_up(self) -> None:
        self.ended = True
        self.draws.set()


async def several_at_once() -> None:
    screen, under_way = Screen(), list[str]()
    pages = [Page(under_way, str(number)) for number in range(5)]
    for page in pages:
        page.draws.set()
    answers = await asyncio.gather(*(screen.draw(page.begin, asyncio.Event(), page.give_up, unheard) for page in pages))
    assert answers == [{"drawn": str(number)} for number in range(5)] and max(page.most for page in pages) == 1


async def a_hung_page() -> None:
    screen, under_way = Screen(), list[str]()
    hung, well = Page(under_way, "hung"), Page(under_way, "well")
    well.draws.set()
    assert await screen.draw(hung.begin, asyncio.Event(), hung.give_up, unheard) is None and not hung.ended
    assert await screen.draw(well.begin, asyncio.Event(), well.give_up, unheard) == {"drawn": "well"}
    assert hung.ended and not well.ended and well.most == 1


async def a_late_frame() -> None:
    screen, under_way = Screen(), list[str]()
    late, well = Page(under_way, "late"), Page(under_way, "well")
    well.draws.set()
    assert await screen.draw(late.begin, asyncio.Event(), late.give_up, unheard) is None
    late.draws.set()
    assert await screen.draw(well.begin, asyncio.Event(), well.give_up, unheard) == {"drawn": "well"} and not late.ended


async def a_document_that_is_left() -> None:
    screen, under_way, left = Screen(), list[str](), asyncio.Event()
    page = Page(under_way, "left")
    drawing = asyncio.ensure_future(screen.draw(page.begin, left, page.give_up, unheard))
    await asyncio.sleep(0)
    left.set()
    assert await drawing is None
    page.draws.set()
    page.most = 0
    assert await screen.draw(page.begin, left, page.give_up, unheard) is None and page.most == 0, "nothing is drawn of it any more"


async def pages_that_come_and_go() -> None:
    screen, under_way = Screen(), list[str]()
    page = Page(under_way, "page")
    page.draws.set()
    async with screen.still():
        drawing = asyncio.ensure_future(screen.draw(page.begin, asyncio.Event(), page.give_up, unheard))
        await asyncio.sleep(0.02)
        assert not drawing.done() and page.most == 0
    assert await drawing == {"drawn": "page"}


async def one_who_gives_up_waiting() -> None:
    """The frame is still under way in the browser, so that the next one waits for it."""
    screen, under_way = Screen(), list[str]()
    first, second = Page(under_way, "first"), Page(under_way, "second")
    second.draws.set()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await screen.draw(first.begin, asyncio.Event(), first.give_up, unheard)
    drawing = asyncio.ensure_future(screen.draw(second.begin, asyncio.Event(), second.give_up, unheard))
    await asyncio.sleep(0.01)
    assert second.most == 0
    first.draws.set()
    assert await drawing == {"drawn": "second"} and not first.ended


async def waits_for_others_are_told_while_they_last() -> None:
    """A page that waits for another one's frame has done nothing wrong: what it waits is put to its deadlines as it waits."""
    screen, under_way, told = Screen(), list[str](), list[float]()
    slow, well = Page(under_way, "slow"), Page(under_way, "well")
    well.draws.set()
    assert await screen.draw(well.begin, asyncio.Event(), well.give_up, told.append) == {"drawn": "well"} and told == []
    drawing = asyncio.ensure_future(screen.draw(slow.begin, asyncio.Event(), slow.give_up, unheard))
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(screen.draw(well.begin, asyncio.Event(), well.give_up, told.append))
    await asyncio.sleep(0.03)
    assert not waiting.done() and set(told) == {frames.TOLD_S}
    assert await drawing is None and await waiting == {"drawn": "well"}
    heard = len(told)
    await asyncio.sleep(5 * frames.TOLD_S)
    assert len(told) == heard, "nothing is told once the wait is over"


async def a_tab_is_told() -> None:
    class Wire:
        async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
            return await asyncio.Event().wait() and {}

    async def nothing() -> None:
        return None

    clock = Clock()
    clock.set(1.0, 1.0)
    tab = Frames(Wire(), clock, Screen(), nothing, unheard)
    with pytest.raises(FrameLost):
        await tab.draw(1.0)


@pytest.mark.parametrize(
    "case",
    [
        several_at_once,
        a_hung_page,
        a_late_frame,
        a_document_that_is_left,
        pages_that_come_and_go,
        one_who_gives_up_waiting,
        waits_for_others_are_told_while_they_last,
        a_tab_is_told,
    ],
)
def test_one_frame_at_a_time(case):
    asyncio.run(case())
