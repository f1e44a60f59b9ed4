"""Pages and agents that overdo it: each gets an error in words, or an observation that says so, and the next episode is well."""

from typing import Any

import pytest

from tests.webgym.pages import HOST, lines, run
from webgym.backends.browser import session
from webgym.errors import BrowserFault, SiteFault
from webgym.types import Click, Fill, FocusTab, Goto, Reload, Type, Wait


@pytest.fixture
def at(shared):
    if shared.env._session is not None:
        shared.env.session.action_timeout_s = 60.0  # a busy machine is no failure; tests of the deadline set their own
    yield shared
    assert lines(shared.open("<p>next")) == ["text next"]


def test_start_page_that_never_loads_is_a_fault(at, monkeypatch):
    at.open()
    monkeypatch.setattr(session, "BEGIN_S", 2.0)
    with pytest.raises(BrowserFault, match=r"the start page http://pages\.localhost/hang did not load: .* within 2 s"):
        at.open(path="/hang")


def test_a_server_error_is_a_fault_where_no_action_asked_for_it(at):
    with pytest.raises(SiteFault, match="the start page / was answered with status 503: too busy"):
        at.open((503, {}, "<p>too busy"))
    assert lines(at.open((404, {}, "<p>none"))) == ["text none"], "a task may be about that"
    at.open("<a href=/busy>go</a>", {"/busy": (503, {}, "<p>too busy")})
    assert lines(at.do(Click(at.ref("go")))) == ["text too busy"], "an agent must not be able to turn a failure into a fault"


def test_redirects_without_end(at):
    at.open("<a href=/loop>loop</a>", {"/loop": (302, {"location": "/loop"}, "")})
    seen = at.do(Click(at.ref("loop")))
    assert (seen.nodes, any("could not be opened" in notice for notice in seen.notices)) == ((), True)
    assert "could not be opened: net::ERR_TOO_MANY_REDIRECTS" in at.fails(Goto(f"http://{HOST}/loop"))
    assert at.do(Goto(f"http://{HOST}/")).nodes


@pytest.mark.parametrize(
    "page",
    ["<p>on<script>location = '/on?' + Math.random()</script>", "<p>on<meta http-equiv=refresh content='0;url=/on'>"],
    ids=["script", "meta"],
)
def test_page_that_forever_goes_on_to_the_next(at, page):
    at.open("<a href=/on>on</a>", {"/on": page})
    at.env.session.action_timeout_s = 3.0
    error = at.step(Click(at.ref("on"))).observation.error  # a chain is cut after some pages, or when time is up
    assert error in ("", "the page did not come to rest within 3 s")
    at.env.session.action_timeout_s = 60.0
    assert lines(at.do(Goto(f"http://{HOST}/"))) == ["link on"]


def test_hundred_popups(at):
    at.open("<button onclick='for (let i = 0; i < 100; i++) window.open(`/popup?${i}`)'>x</button>", {"/popup": "<p>popup"})
    seen = at.do(Click(at.ref("x")))
    assert 1 < len(seen.tabs) <= 10
    assert "a new tab was opened" in seen.notices and "a popup was closed: 10 tabs are open already" in seen.notices
    assert lines(at.do(FocusTab(0))) == ["button x (focused)"]


def test_page_of_fifty_thousand_elements(at):
    seen = at.open("<button onclick='document.title = 5'>first</button>" + "<button>more</button>" * 50_000)
    assert len(seen.nodes) == 2500 and "the page is long: only its first 2500 lines are shown; scroll to read on" in seen.notices
    assert at.do(Click(0)).title == "5"


def test_alerts_without_end(at):
    at.open("<button onclick='for (;;) alert(1)'>x</button><p>y")
    at.env.session.action_timeout_s = 3.0
    seen = at.step(Click(at.ref("x"))).observation
    assert seen.error == "the page did not come to rest within 3 s" and 'alert dialog "1" was accepted' in seen.notices


NOISE = {
    "console": "for (let i = 0; i < 5000; i++) console.log(i, document)",
    "errors": "for (let i = 0; i < 5000; i++) setTimeout(() => { throw Error(i) })",
    "rejections": "for (let i = 0; i < 5000; i++) Promise.reject(Error(i))",
    "other words": "for (let i = 0; i < 5000; i++) console.timeEnd(i)",
    "many letters": "for (let i = 0; i < 2000; i++) console.log(`x`.repeat(10000)); for (let i = 0; i < 2000; i++) console.log(i)",
    "frames": (
        "for (let i = 0; i < 9; i++) { const f = document.createElement(`iframe`); document.body.append(f); "
        "for (let n = 0; n < 500; n++) f.contentWindow.console.log(n) }"
    ),
    "a document that is written anew": (
        "document.open(); document.write(`<p>y`); document.close(); for (let i = 0; i < 5000; i++) setTimeout(() => { throw Error(i) })"
    ),
}


@pytest.mark.parametrize("kind", NOISE)
def test_noise_of_a_page_is_not_told_to_the_driver_for_ever(at, kind):
    """A flood of it held the driver up until the browser was taken for one that does not answer."""
    heard: list[Any] = []

    def hear(said: Any) -> None:
        heard.append(said)

    at.open(f"<button onclick='{NOISE[kind]}; document.title = 1'>x</button>")
    page = at.env.session.tab.page

    async def listen(change: Any) -> None:
        for kind in ("console", "pageerror"):
            change(kind, hear)

    run(listen(page.on))
    assert at.do(Click(at.ref("x"))).title == "1"
    at.do(Wait(100))
    run(listen(page.remove_listener))
    assert 400 <= len(heard) <= 1000


def test_a_worker_that_fills_its_console_tells_its_page_of_an_error_as_before(at):
    script = "onmessage = () => { for (let i = 0; i < 3000; i++) console.log(i); throw Error(1) }"
    at.open(
        f"<button onclick='w.postMessage(1)'>x</button><script>const w = new Worker(URL.createObjectURL(new Blob([`{script}`]))); "
        "w.onerror = () => { document.title = 'told' }</script>"
    )
    assert at.do(Click(at.ref("x"))).title == "told"


def test_a_script_that_waits_for_an_answer_without_end_is_no_fault(at):
    script = "const x = new XMLHttpRequest(); x.open(`GET`, `/hang`, false); x.send()"
    at.open(f"<button onclick='{script}'>x</button><button onclick='document.title = 1'>y")
    at.env.session.action_timeout_s = 3.0
    assert at.step(Click(at.ref("x"))).observation.error == "the page did not come to rest within 3 s"
    at.env.session.action_timeout_s = 60.0
    assert at.do(Click(at.ref("y"))).title == "1"


@pytest.mark.parametrize(
    ("status", "is_told"), [(99, 502), (101, 502), (600, 502), (204, 204), (205, 205), (304, 304), (599, 599), (407, 502)]
)
@pytest.mark.parametrize("head", [{}, {"content-length": "6"}, {"proxy-authenticate": "Basic realm=x"}], ids=str)
def test_an_answer_with_an_odd_status_or_body_is_no_fault(at, status, is_told, head):
    script = "fetch(`/odd`).then(answer => { document.title = answer.status })"
    at.open(f"<button onclick='{script}'>x</button>", {"/odd": (status, head, "a body")})
    assert at.do(Click(at.ref("x"))).title == str(is_told)
    assert at.do(Reload()).error == "" and at.ref("x") is not None, "the browser still knows its way through the listener"


def test_megabyte_of_text(at):
    at.open("<input aria-label=field><textarea aria-label=area></textarea>")
    seen = at.do(Fill(at.ref("field"), "x" * 1_000_000))
    at.do(Click(at.ref("area")))
    at.do(Type("y" * 200_000))  # key by key
    assert at.js("[...document.querySelectorAll('input, textarea')].map(field => field.value.length)") == [1_000_000, 200_000]
    assert sum(len(node.value or "") for node in seen.nodes) < 100_000


def test_time_goes_on_after_all_that(at):
    at.open("<p>x<script>setTimeout(() => document.title = 'later', 600)</script>")
    assert at.do(Wait(1000)).title == "later"
