"""Streams of an episode: what is held and handed on, and which requests are taken for streams."""

import asyncio
from dataclasses import dataclass

import pytest

from webgym.sites import streams as streams_module
from webgym.sites.streams import Late, Streams


@dataclass(eq=False)
class Asked:
    address: str = "http://a.localhost/x"
    kind: str = "http"
    answered: bool = False
    taking: bool = False
    flows: bool = False

    @property
    def url(self) -> str:
        return self.address


def streams(*running: Asked, live: bool = True) -> tuple[Streams, list[str]]:
    found = Streams(lambda: [x for x in running if not x.answered])  # type: ignore[arg-type, return-value]
    found.live = live
    return found, []


def passed(found: Streams, exchange: Asked, words: str, heard: list[str]) -> None:
    async def send() -> None:
        heard.append(words)

    asyncio.run(found.pass_on(exchange, 1, send))  # type: ignore[arg-type]


def test_a_socket_is_held_and_handed_on_in_order_and_other_requests_are_not():
    one, two, plain = Asked(kind="websocket"), Asked(flows=True), Asked()
    found, heard = streams(one, two, plain)
    for number, exchange in enumerate((one, one, two, plain, one)):
        passed(found, exchange, str(number), heard)
    assert heard == ["3"] and found.waiting
    parcels = found.take()
    assert [(parcel.exchange, parcel.amount) for parcel in parcels] == [(one, 2), (two, 1), (one, 1)]
    for parcel in parcels:
        asyncio.run(found.deliver(parcel))
    assert heard == ["3", "0", "1", "2", "4"] and not found.waiting


def test_without_a_browser_nothing_is_held():
    socket = Asked(kind="websocket")
    found, heard = streams(socket, live=False)
    passed(found, socket, "now", heard)
    assert heard == ["now"]


def test_what_belongs_to_a_held_answer_follows_it():
    plain = Asked()
    found, heard = streams(plain)
    found.holding = True
    passed(found, plain, "head", heard)
    found.holding = False
    passed(found, plain, "body", heard)
    assert heard == [] and found.take()[0].amount == 2


@pytest.mark.parametrize("name", ["/x", "http://a.localhost/x"])
def test_a_declared_path_is_a_stream_at_once(name):
    found, _ = streams(Asked())
    found.know([name])
    assert found.polls and found.late()


def test_a_request_without_an_answer_is_a_stream_once_the_patience_is_over():
    slow = Asked()
    found, _ = streams(slow)
    assert [found.late() for _ in range(streams_module.PATIENCE)] == [False] * (streams_module.PATIENCE - 1) + [True]
    assert found.polls


def test_polls_of_one_address_are_a_stream_once_they_have_held_the_page_for_long_enough_together():
    running = [Asked()]
    found = Streams(lambda: [x for x in running if not x.answered])  # type: ignore[arg-type, return-value]
    found.wait()
    said = []
    for tick in range(streams_module.PATIENCE):
        if tick % 7 == 6:
            running[-1].answered = True
            running.append(Asked())
        said.append(found.late())
    assert said == [False] * (len(said) - 1) + [True] and found.found == {running[0].address}


@pytest.mark.parametrize(("asked", "waited_s", "found_late"), [(1000, 0, True), (999, 0, False), (100, 99, True), (99, 99, False)])
def test_who_asks_again_and_again_is_not_waited_for(asked, waited_s, found_late, monkeypatch):
    """However fast the machine is: fewer times where that has taken long already."""
    found, _ = streams()
    found.wait()
    for _ in range(asked):
        found.begin(Asked())  # type: ignore[arg-type]
    now = streams_module.time.monotonic()
    monkeypatch.setattr(streams_module.time, "monotonic", lambda: now + waited_s)
    assert found.late() is found_late and bool(found.found) is found_late


def test_what_two_episodes_found_is_known_to_the_next():
    late = Late()
    for found in ({"http://a.localhost/x"}, {"http://a.localhost/y"}, {"http://a.localhost/x"}):
        episode, _ = streams()
        episode.found = found
        late.learn(episode)
    assert late.addresses == ["http://a.localhost/x"]


def test_no_request_is_a_stream_while_another_one_is_on_its_way():
    running = [Asked()]
    found = Streams(lambda: [x for x in running if not x.answered])  # type: ignore[arg-type, return-value]
    for number in range(3):
        running.append(Asked(f"http://a.localhost/{number}"))
        assert not any(found.late() for _ in range(streams_module.PATIENCE - 1))
        running[-1].answered = True
    assert found.late(), "the first one has been open all the time"


def test_a_site_that_has_not_taken_in_a_message_is_waited_for():
    socket = Asked(kind="websocket", taking=True)
    found, _ = streams(socket)

    async def calm() -> bool:
        waiting = asyncio.create_task(found.calm())
        await asyncio.sleep(0.03)
        early = waiting.done()
        socket.taking = False
        await waiting
        return early

    assert asyncio.run(calm()) is False
