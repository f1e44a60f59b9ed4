"""Sites written before leases work for one more release, with a warning that says what to write."""

import asyncio
import warnings

import pytest

from webgym.env.core import AsyncWebEnv
from webgym.packs import registry
from webgym.packs.rehearsal import rehearse
from webgym.sites import synchronous
from webgym.sites.gateway import Gateway
from webgym.sites.rendered import RenderedSite
from webgym.sites.static import StaticSite
from webgym.sites.synchronous import leased
from webgym.task import PENDING, SUCCESS, Site, Start, Task
from webgym.types import Click

WORDS = (
    r"^the site old\.localhost \(\w+\) has synchronous methods open and close, which go with the next release: "
    r"write `async def lease\(self, seed, site_state\)` and `async def release\(self, state\)` in their place$"
)
PAGE = '<!doctype html><title>Old</title><body><p>{}</p><form method="post" action="/"><button>Go</button></form>'


class Old:
    """A site as it was written before."""

    host, plain = "old.localhost", True

    def __init__(self):
        self.closed = []

    def open(self, seed, site_state):
        return {"seed": seed, "posts": 0}

    def snapshot(self, state):
        return dict(state)

    def close(self, state):
        self.closed.append(state["seed"])

    @property
    def app(self):
        return self.answer

    async def answer(self, scope, receive, send):
        state = scope["webgym.state"]
        state["posts"] += scope["method"] == "POST"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": PAGE.format(state["posts"]).encode()})


@pytest.fixture(autouse=True)
def nothing_was_shown(monkeypatch):
    monkeypatch.setattr(synchronous, "_warned", {})


@pytest.fixture
def old():
    site = Old()
    start = Start("http://old.localhost/", "Go.")
    task = Task(
        "old.go",
        lambda seed: start,
        lambda evidence: SUCCESS if evidence.site_state["posts"] else PENDING,
        hosts=("old.localhost",),
    )
    registry.register(task, sites=[site])
    yield site
    registry._remove("old.go")


def test_an_episode_is_played_with_one_warning_at_the_line_of_its_open(old):
    async def play():
        env, kinds = AsyncWebEnv(backend="text"), []
        for seed in (1, 2):
            await env.reset("old.go", seed)
            kinds.append((await env.step(Click(0))).kind)
        await env.close()
        return kinds

    with pytest.warns(DeprecationWarning, match=WORDS) as caught:
        assert asyncio.run(play()) == ["success", "success"]
    (warning,) = caught
    assert (warning.filename, warning.lineno) == (__file__, Old.open.__code__.co_firstlineno)
    assert old.closed == [1, 2]


def test_it_is_rehearsed(old):
    with pytest.warns(DeprecationWarning, match=WORDS):
        rehearse(["old.go"], "text")
    assert len(old.closed) == 3


def test_the_same_site_given_again_is_not_wrapped_again():
    gateway, site = Gateway(), Old()
    with pytest.warns(DeprecationWarning, match=WORDS):
        gateway.add_site(site)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gateway.add_site(site)


def test_sites_with_leases_are_left_alone(tmp_path):
    class Plain(StaticSite):
        host = "plain.localhost"

    rendered = RenderedSite("b.localhost", tmp_path, [], begin=dict, shown=dict)
    for site in (StaticSite("a.localhost", tmp_path), rendered, Plain("c.localhost", tmp_path)):
        assert leased(site) is site and isinstance(site, Site)


def test_what_was_derived_from_our_sites_keeps_its_own_open(tmp_path):
    class Derived(StaticSite):
        def open(self, seed, site_state):
            super().open(seed, site_state)
            return {"seed": seed}

        def snapshot(self, state):
            return state

    with pytest.warns(DeprecationWarning, match="^the site old.localhost"):
        site = leased(Derived("old.localhost", tmp_path))
    with pytest.warns(DeprecationWarning, match=r"^open goes with the next release: await lease\(seed, site_state\) in its place$"):
        state = asyncio.run(site.lease(4, None))
    assert state == {"seed": 4} == site.snapshot(state)
    with pytest.warns(DeprecationWarning, match=r"^close goes with the next release"):
        asyncio.run(site.release(state))


def test_a_derived_site_with_leases_is_one(tmp_path):
    class Middle(StaticSite):
        def open(self, seed, site_state):
            return "old"

    class New(Middle):
        async def lease(self, seed, site_state):
            return "new"

    site = New("new.localhost", tmp_path)
    assert leased(site) is site


def test_open_of_a_site_that_takes_its_time_says_what_to_do(tmp_path):
    class Slow(StaticSite):
        async def lease(self, seed, site_state):
            await asyncio.sleep(1)

    with pytest.warns(DeprecationWarning), pytest.raises(RuntimeError, match=r"await lease\(seed, site_state\) in place of open"):
        Slow("slow.localhost", tmp_path).open(0, None)
