"""Leases: awaited while others play, all hosts at once, given back whatever happens; and the state is read once a turn."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from benchmarks.leases import HOST, Elsewhere, Worker, counting
from webgym.backends.text.session import TextPool
from webgym.env.core import AsyncWebEnv
from webgym.errors import SiteFault
from webgym.packs import registry
from webgym.sites import gateway as gateways
from webgym.sites.gateway import Gateway
from webgym.task import PENDING, SUCCESS, Start, Task
from webgym.types import Click, Stop, Wait, digest


class Shelf:
    """A site of one page whose state counts; notes what is leased and released."""

    plain = True

    def __init__(self, host="shelf.localhost", external=False):
        self.host, self.external = host, external
        self.leased, self.released, self.reads = [], [], 0

    async def lease(self, seed, site_state):
        self.leased.append(seed)
        return {"seed": seed, "asked": 0}

    async def snapshot(self, state):
        self.reads += 1
        await asyncio.sleep(0)
        return dict(state)

    async def release(self, state):
        self.released.append(state["seed"])

    async def app(self, scope, receive, send):
        scope["webgym.state"]["asked"] += 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<!doctype html><title>Shelf</title><body><p>A shelf"})


def gateway_of(*sites):
    found = Gateway()
    for site in sites:
        found.add_site(site)
    return found


@pytest.fixture
def task_on():
    """Makes a task on a site known, forgotten in the end."""
    known = []

    def add(site, name="look", **changes):
        start = Start(f"http://{site.host}/", "Look.")
        given = {"check": lambda evidence: PENDING, "hosts": (site.host,), **changes}
        known.append(registry.register(Task(f"shelf.{name}", lambda seed: start, **given), sites=[site]).id)
        return known[-1]

    yield add
    for task_id in known:
        registry._remove(task_id)


async def episode(env, task_id, seed=0):
    """How an oracle's episode ends."""
    oracle, observation, kind = registry.task(task_id).oracle(), await env.reset(task_id, seed), ""
    while not kind:
        step = await env.step(oracle(observation))
        observation, kind = step.observation, step.kind
    await env.close()
    return kind


def test_others_play_while_a_site_in_another_process_leases():
    async def test():
        async with Worker.started(lease_s=0.05) as worker:
            leased, go = asyncio.Event(), asyncio.Event()

            class Gated(Elsewhere):
                async def lease(self, seed, site_state):
                    state = await super().lease(seed, site_state)
                    leased.set()
                    await go.wait()
                    return state

            registry.register(counting(), sites=[Gated(worker)])
            env = AsyncWebEnv(backend="text")
            slow = asyncio.create_task(env.reset("elsewhere.count", 7))
            ends = await asyncio.gather(*(episode(AsyncWebEnv(backend="text"), "wizard.h6", seed) for seed in range(16)))
            await leased.wait()
            more = await asyncio.gather(*(episode(AsyncWebEnv(backend="text"), "wizard.h3", seed) for seed in range(16)))
            assert not slow.done() and ends == more == ["success"] * 16
            go.set()
            observation = await slow
            steps = [await env.step(Click(0)) for _ in range(3)]
            await env.close()
            asked = await worker.ask("asked")
            return observation, steps, asked

    try:
        observation, steps, asked = asyncio.run(test())
    finally:
        registry._remove("elsewhere.count")
    assert observation.url == f"http://{HOST}/" and [step.kind for step in steps] == ["", "", "success"]
    assert (asked["lease"], asked["release"], asked["read"]) == (1, 1, 4 + 3)  # four pages, three checks


class Doors:
    """The text backend, with one place for all that act."""

    def __init__(self):
        self.inside = 0

    def can_play(self, task, sites):
        return ""

    def versions(self):
        return {}

    async def pool(self, *, headless=True):
        doors = self

        class Pool(TextPool):
            @asynccontextmanager
            async def turn(self):
                doors.inside += 1
                yield
                doors.inside -= 1

        return Pool()


def test_no_place_is_held_while_a_site_is_waited_for(task_on):
    doors, seen = Doors(), []

    class Watched(Shelf):
        async def lease(self, seed, site_state):
            seen.append(("lease", doors.inside))
            return await super().lease(seed, site_state)

        async def snapshot(self, state):
            seen.append(("snapshot", doors.inside))
            return await super().snapshot(state)

        async def app(self, scope, receive, send):
            seen.append(("app", doors.inside))
            await super().app(scope, receive, send)

    async def play():
        env = AsyncWebEnv(backend=doors)
        await env.reset(task_on(Watched()), 0)
        await env.step(Wait())
        await env.close()

    asyncio.run(play())
    assert seen == [("lease", 0), ("app", 1), ("snapshot", 0), ("snapshot", 0)]


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("ends", ["success", "stop"])
def test_the_state_is_read_once_a_turn(task_on, external, ends):
    site, seen = Shelf(external=external), []

    def check(evidence):
        seen.append(evidence.site_state)
        return SUCCESS if evidence.ended else PENDING

    async def play():
        env = AsyncWebEnv(backend="text")
        task_id = task_on(site, check=check, ends=ends)
        observations = [await env.reset(task_id, 5)]
        for action in (Wait(), Wait(), Stop()):
            observations.append((await env.step(action)).observation)
        await env.close()
        return observations

    observations = asyncio.run(play())
    state = {"seed": 5, "asked": 1}
    due = [False, ends == "success", ends == "success", True]
    assert seen == [state] * sum(due)
    assert site.reads == (sum(due) if external else 4)
    for observation, judged in zip(observations, due, strict=True):
        nodes = [(n.role, n.text, n.value, n.states, n.depth) for n in observation.nodes]
        assert observation.state_hash == digest([observation.url, nodes, state if judged or not external else None])


def test_external_sites_are_left_out_by_host_where_no_check_is_due():
    gateway = gateway_of(Shelf("a.localhost"), Shelf("b.localhost", external=True))

    async def test():
        await gateway.open("t", ("b.localhost", "a.localhost"), 1, None)
        return await gateway.snapshot("t", due=False), await gateway.snapshot("t")

    one = {"seed": 1, "asked": 0}
    assert asyncio.run(test()) == ({"a.localhost": one}, {"b.localhost": one, "a.localhost": one})


def test_all_hosts_are_leased_at_once():
    met = asyncio.Barrier(2)

    class Meeting(Shelf):
        async def lease(self, seed, site_state):
            await met.wait()  # none goes on alone
            return await super().lease(seed, site_state)

    async def test():
        gateway = gateway_of(Meeting("a.localhost"), Meeting("b.localhost"))
        await gateway.open("t", ("a.localhost", "b.localhost"), 1, None, timeout_s=30)
        return gateway.open_episodes

    assert asyncio.run(test()) == 1


class Failing(Shelf):
    """A site that leases nothing, for the given reason."""

    def __init__(self, host, error=None):
        super().__init__(host)
        self.error = error

    async def lease(self, seed, site_state):
        if self.error is None:
            await asyncio.Event().wait()
        raise self.error or AssertionError("nothing ends this wait")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SiteFault("no instance is free"), "^no instance is free$"),
        (ValueError("unlucky"), r"^site b\.localhost could not open seed 1: ValueError\('unlucky'\)$"),
        (None, r"^site b\.localhost could not open seed 1 within 0\.01 s$"),
    ],
)
def test_a_lease_that_fails_releases_the_others(error, words):
    good, bad = Shelf("a.localhost"), Failing("b.localhost", error)
    gateway = gateway_of(good, bad)
    with pytest.raises(SiteFault, match=words):
        asyncio.run(gateway.open("t", ("a.localhost", "b.localhost"), 1, None, timeout_s=0.01))
    assert (good.leased, good.released, gateway.open_episodes) == ([1], [1], 0)


def test_a_reset_that_is_cancelled_releases_what_it_got():
    good, bad = Shelf("a.localhost"), Failing("b.localhost")
    gateway = gateway_of(good, bad)

    async def test():
        opening = asyncio.create_task(gateway.open("t", ("a.localhost", "b.localhost"), 1, None))
        while not good.leased:
            await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    asyncio.run(test())
    assert (good.released, gateway.open_episodes) == ([1], 0)


def test_a_lease_has_three_quarters_of_a_reset(task_on):
    env = AsyncWebEnv(backend="text", reset_s=0.04)
    with pytest.raises(SiteFault, match=r"^site slow\.localhost could not open seed 0 within 0\.03 s$"):
        asyncio.run(env.reset(task_on(Failing("slow.localhost")), 0))


def test_a_state_that_does_not_come_is_a_fault(monkeypatch):
    class Silent(Shelf):
        async def snapshot(self, state):
            await asyncio.Event().wait()

    async def test():
        gateway = gateway_of(Silent())
        await gateway.open("t", ("shelf.localhost",), 1, None)
        await gateway.snapshot("t")

    monkeypatch.setattr(gateways, "STATE_S", 0.01)
    with pytest.raises(SiteFault, match=r"^site shelf\.localhost could not say its state within 0\.01 s$"):
        asyncio.run(test())


def test_a_fault_of_a_state_says_all_itself():
    class Broken(Shelf):
        async def snapshot(self, state):
            raise SiteFault("its state 'books' could not be read; its log ends with:\nno ink")

    async def test():
        gateway = gateway_of(Broken())
        await gateway.open("t", ("shelf.localhost",), 1, None)
        await gateway.snapshot("t")

    with pytest.raises(SiteFault, match=r"^its state 'books' could not be read; its log ends with:\nno ink$"):
        asyncio.run(test())


def test_a_request_that_fails_while_the_state_is_read_is_a_fault():
    class Breaking(Shelf):
        async def snapshot(self, state):
            with pytest.raises(RuntimeError):
                await gateway.episode("t")(REQUEST, None, None)
            return await super().snapshot(state)

        async def app(self, scope, receive, send):
            raise RuntimeError("no")

    headers = [(b"host", b"shelf.localhost")]
    REQUEST = {"type": "http", "method": "GET", "path": "/late", "headers": headers}
    gateway = gateway_of(Breaking())

    async def test():
        await gateway.open("t", ("shelf.localhost",), 1, None)
        await gateway.snapshot("t")

    with pytest.raises(SiteFault, match=r"^the site shelf\.localhost/late failed while answering: RuntimeError\('no'\)$"):
        asyncio.run(test())


def test_a_release_that_fails_is_logged_and_blames_no_other_episode(task_on, caplog):
    class Sticky(Shelf):
        async def release(self, state):
            await super().release(state)
            raise OSError("stuck")

    site = Sticky()

    async def play():
        env, task_id = AsyncWebEnv(backend="text"), task_on(site)
        for seed in (1, 2):
            await env.reset(task_id, seed)
        await env.close()
        await env.close()

    asyncio.run(play())
    assert site.leased == site.released == [1, 2]
    assert caplog.text.count("site shelf.localhost could not take back an episode's state: OSError('stuck')") == 2
