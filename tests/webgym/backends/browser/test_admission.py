"""Who may act at a time, without a browser."""

import asyncio

import pytest

from webgym.backends.browser.admission import Admission, places


def test_at_most_so_many_act_and_whoever_came_first_goes_first():
    async def act() -> tuple[int, list[int]]:
        admission, acting, most, order = Admission(2), 0, 0, list[int]()

        async def one(number: int) -> None:
            nonlocal acting, most
            async with admission.place():
                order.append(number)
                acting += 1
                most = max(most, acting)
                await asyncio.sleep(0.002)
                acting -= 1

        await asyncio.gather(*map(one, range(7)))
        return most, order

    assert asyncio.run(act()) == (2, list(range(7)))


def test_who_hangs_keeps_nobody_waiting_for_long_and_gives_his_place_back_once():
    async def hang() -> list[str]:
        admission, seen, end = Admission(1, patience_s=0.02), [], asyncio.Event()

        async def hanging() -> None:
            async with admission.place():
                await end.wait()
            seen.append("over")

        async def acting(name: str) -> None:
            async with admission.place():
                seen.append(f"{name} begins")
                await asyncio.sleep(0.005)
                seen.append(f"{name} ends")

        first = asyncio.create_task(hanging())
        await asyncio.sleep(0)
        await acting("a")
        end.set()
        await first
        await asyncio.gather(acting("b"), acting("c"))  # there is one place still, not two
        return seen

    assert asyncio.run(hang()) == ["a begins", "a ends", "over", "b begins", "b ends", "c begins", "c ends"]


def test_a_place_comes_back_from_who_fails_or_is_cancelled():
    async def fail() -> str:
        admission = Admission(1)
        with pytest.raises(KeyError):
            async with admission.place():
                raise KeyError
        async with admission.place():
            waiting = asyncio.create_task(admission.place().__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
        async with asyncio.timeout(1), admission.place():
            return "free"

    assert asyncio.run(fail()) == "free"


def test_places_grow_with_the_cores():
    assert places() >= 2
