"""Real deadlines of a session: put off as far as they may, and over at once where what they wait for is lost."""

import asyncio

import pytest

from webgym.backends.browser.deadlines import LONGER, Deadlines


def test_a_deadline_is_put_off_as_far_as_it_may():
    async def work():
        deadlines, lost = Deadlines(), asyncio.get_running_loop().create_future()
        async with deadlines.within(10.0, lost), deadlines.within(1000.0, lost):
            begun = [deadline.when() for deadline in deadlines._running]
            for seconds in (5.0, 100.0, 1.0):
                deadlines.put_off(seconds)
            return begun, [deadline.when() for deadline in deadlines._running]

    begun, found = asyncio.run(work())
    assert [later - when for when, later in zip(begun, found, strict=True)] == pytest.approx([10.0 * LONGER, 106.0])


def test_nothing_is_waited_for_once_it_is_lost():
    async def work():
        deadlines, lost = Deadlines(), asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lost.set_result, None)
        async with deadlines.within(1000.0, lost):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(work())
