"""The change from one episode to the next: when a context is used again, and that nothing of the old episode reaches the new one."""

import pytest

from benchmarks.traps import HOST as TRAP
from benchmarks.traps import KINDS, Trap, task_of
from tests.webgym.pages import HOST, OTHER, Visitor, pool, run, visitor
from webgym.env.core import AsyncWebEnv
from webgym.errors import SiteFault
from webgym.task import PENDING, Start, Task
from webgym.types import Click, Goto, NewTab, Wait


@pytest.fixture(scope="module")
def at():
    with visitor() as found:
        yield found


def profile_of(at: Visitor):
    return at.env.session._profile


def again(at: Visitor, html="<p>next", **more) -> bool:
    """True if another episode is played in the same profile, by the same session."""
    session, profile = at.env.session, profile_of(at)
    at.open(html, **more)
    assert at.env.session is session
    return profile_of(at) is profile


SCRIPT = {"content-type": "text/javascript"}
CLEAN = {
    "a page": "<p>x",
    "a page that keeps nothing back": "<script>fetch('/a'); setInterval(() => 0, 1); addEventListener('unload', () => 0)</script>",
    "cookies and storage": "<script>document.cookie = 'a=1'; localStorage.a = 1; indexedDB.open('a'); caches.open('a')</script>",
    "a socket": "<script>new WebSocket('ws://pages.localhost/ws')</script>",
    "a frame of its own": "<iframe srcdoc='<p>x'></iframe>",
    "a token of its own": "<script>fetch('/a', {headers: {authorization: 'Bearer x'}})</script>",
}
AHEAD = '<script type=speculationrules>{"prefetch": [{"urls": ["/a"], "eagerness": "immediate"}]}</script>'
SPENT = {
    "a worker": "<script>new Worker(URL.createObjectURL(new Blob([''])))</script>",
    "a shared worker": "<script>new SharedWorker(URL.createObjectURL(new Blob([''])))</script>",
    "a service worker": "<script>navigator.serviceWorker.register('/w.js')</script>",
    "a loop": "<script>(async () => { for (;;) await fetch('/a', {method: 'POST'}).catch(() => 0) })()</script>",
    "a frame that loops": "<iframe srcdoc=\"<script>(async () => { for (;;) await fetch('/a').catch(() => 0) })()</script>\"></iframe>",
    "a page fetched ahead": "<script type=speculationrules>{'prefetch': [{'urls': ['/a'], 'eagerness': 'immediate'}]}</script>".replace(
        "'", '"'
    ),
    "a policy": (200, {"strict-transport-security": "max-age=9", "report-to": "{}"}, "<p>x"),
    "a request for credentials": "<script>fetch('/closed')</script>",
}


@pytest.mark.parametrize("what", CLEAN)
def test_a_context_plays_on_after_pages_that_leave_nothing_running(at, what):
    at.open(CLEAN[what], {"/a": "a"})
    at.do(Wait(10))
    assert again(at)


@pytest.mark.parametrize("what", SPENT)
def test_an_episode_gets_a_context_of_its_own_after_pages_whose_traces_could_last(at, what):
    at.open("<p>x", {"/": SPENT[what], "/a": "a", "/w.js": (200, SCRIPT, ""), "/closed": (401, {"www-authenticate": "Basic"}, "no")})
    at.step(Wait(50))
    at.step(Wait(50))
    assert not again(at) and again(at)
    assert [path for _, path, _, _ in at.visit.requests] == ["/"]


def test_other_pages_and_other_origins_end_a_context(at):
    at.open("<p>x")
    at.do(NewTab())
    assert not again(at)
    at.open("<p>x", hosts=(HOST, OTHER))
    assert again(at, hosts=(HOST, OTHER))  # the other one was not asked
    at.do(Goto(f"http://{OTHER}/"))
    assert not again(at)
    at.open(f"<a href=http://{HOST}:81/>nowhere</a>")
    assert at.step(Click(at.ref("nowhere"))).observation.url.startswith("chrome-error:")
    assert not again(at)


@pytest.mark.parametrize("deed", ["resizeTo(300, 300)", "resizeBy(-9, 0)", "moveTo(9, 9)", "moveBy(0, 7)"])
def test_a_window_that_a_page_has_moved_or_resized_ends_with_its_context(at, deed):
    bounds = "<script>seen = [outerWidth, outerHeight, screenX, screenY].join()</script>"
    at.open(bounds)
    first = at.js("seen")
    at.open(f"<button onclick='{deed}'>do</button>")
    at.do(Click(at.ref("do")))
    assert not again(at, bounds) and at.js("seen") == first


def test_another_host_plays_in_the_same_context(at):
    at.open("<p>x")
    profile = profile_of(at)
    start = Start(f"http://{OTHER}/", "go", site_state={"/": "<script>seen = history.length</script><p>other"})
    at.task = Task("pages.test", start=lambda _: start, check=lambda _: PENDING, hosts=(OTHER,))
    run(at.env.reset("pages.test", 0))
    assert profile_of(at) is profile and at.js("seen") == 2
    assert again(at)
    at.open("<p>x", hosts=(HOST, OTHER))  # whose session storage may still be there
    assert profile_of(at) is not profile


def test_the_first_page_is_opened_anew_with_a_fresh_state_where_a_script_goes_on(at):
    """It is noticed when the next page is on its way already; then that page's site has been asked, too."""
    page = """<p>x</p><script>const one = new BroadcastChannel('c'), two = new BroadcastChannel('c');
        two.onmessage = () => { document.cookie = 'evil=' + Math.random(); one.postMessage(0) }; one.postMessage(0)</script>"""
    at.open(page)
    assert not again(at, "<script>seen = document.cookie</script>")
    assert at.js("seen") == "" and [path for _, path, _, _ in at.visit.requests] == ["/"]


def test_histories_look_the_same_in_every_context(at):
    page = """<script>seen = JSON.stringify([history.length, navigation.entries().map(entry => entry.url), document.referrer,
        navigation.canGoBack, history.state, performance.getEntriesByType('resource').length])</script>"""
    found = set()
    with visitor() as fresh:
        for left in ("", "", "<script>new Worker('data:,')</script>", "<script>history.pushState(1, '', '/x')</script>"):
            fresh.open(page)
            found.add(fresh.js("seen"))
            fresh.open(left or "<p>x")
            fresh.do(Wait(50))
    assert len(found) == 1


def test_a_start_that_no_host_serves_is_told_in_words(at):
    at.task = Task("pages.test", start=lambda _: Start(f"http://{HOST}:81/", "go"), check=lambda _: PENDING, hosts=(HOST,))
    with pytest.raises(SiteFault, match=rf"the task cannot start: http://{HOST}:81/ is not allowed; this task's hosts are: http://{HOST}"):
        run(at.env.reset("pages.test", 0))


@pytest.fixture(scope="module")
def trap():
    found, env = Trap(), AsyncWebEnv(find={task_of(kind).id: task_of(kind) for kind in KINDS}.__getitem__)
    pool().serve([found])
    yield found, env
    run(env.close())


HOLDING = ("worker of sync requests", "event stream", "request that waits")  # which keep their own pages from coming to rest
LOUD = {"fetch loop", "xhr loop", "worker", "nested worker", "worker of a blob", "shared worker", "shared worker of a blob"}
LOUD |= {"service worker", "frame that loops", "socket", "socket again and again"}  # which are heard at once


SLOW = {"nested worker", "worker of a blob", "shared worker of a blob"}  # near relatives of others; all are rows of `make hacks`


@pytest.mark.parametrize("kind", [pytest.param(x, marks=pytest.mark.slow) if x in SLOW else x for x in KINDS if x not in HOLDING])
def test_no_page_reaches_the_next_episode(trap, kind):
    found, env = trap
    found.foreign.clear()
    asked = found.own
    page = run(env.reset(task_of(kind).id, 0))
    run(env.step(Click(next(node.ref for node in page.nodes if node.text == "press"))))
    run(env.step(Wait(50)))
    run(env.reset(task_of("plain").id, 0))
    step = run(env.step(Wait(300)))
    assert step.observation.url == f"http://{TRAP}/"
    assert found.foreign == {} and (found.own > asked or kind not in LOUD)
