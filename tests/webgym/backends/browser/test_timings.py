"""What a page can read of times and of its machine is a function of the episode."""

import pytest

from tests.webgym.pages import HOST, OTHER
from webgym.types import Goto, Upload, Wait

PICTURE = (200, {"content-type": "image/svg+xml"}, "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>")
DATED = (200, {"content-type": "text/html", "last-modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, "<p>dated")
PAGE = """<p>page<img src=/b.svg><img src=/a.svg><script>
performance.mark('begun'); seen = [];
new PerformanceObserver(list => seen.push(...list.getEntries().map(e => [e.entryType, e.startTime, e.duration])))
  .observe({entryTypes: ['paint', 'longtask', 'resource', 'navigation', 'mark']});
</script>"""
HERE = {"/": PAGE, "/a.svg": PICTURE, "/b.svg": PICTURE, "/dated": DATED}
READ = {
    "the clock": "[performance.timeOrigin - Date.now() + performance.now(), new Event('x').timeStamp - performance.now()]",
    "loading": "Object.entries(performance.timing.toJSON()).map(([k, v]) => [k, v && v - performance.timeOrigin])",
    "entries": "performance.getEntries().map(e => [e.entryType, e.name, e.startTime, e.duration])",
    "all of an entry": "JSON.stringify(performance.getEntriesByType('navigation'))",
    "an observer": "seen",
    "the document": "[document.lastModified, new Date().toLocaleString('en-US', {dateStyle: 'short', timeStyle: 'medium'})]",
    "a new file": "[new File(['x'], 'x').lastModified - Date.now(), new File(['x'], 'x', {lastModified: 7}).lastModified]",
    "the machine": "[navigator.hardwareConcurrency, navigator.deviceMemory, performance.memory.usedJSHeapSize, navigator.connection.rtt]",
}
"""What pages read, by kind."""


def read(at) -> dict[str, object]:
    return {kind: at.js(script) for kind, script in READ.items()}


def test_what_a_page_reads_of_times_is_the_same_in_every_episode(at):
    """Episodes begin after pages of the same host and of another one, in a context of their own and in one that was used before."""
    plays = []
    for before in (None, f"http://{HOST}/", f"http://{OTHER}/", None):
        if before:
            at.do(Goto(before))
        at.open(PAGE, HERE, hosts=(HOST, OTHER))
        at.do(Wait(300))
        found = {"first": read(at)}
        at.do(Goto(f"http://{OTHER}/"))
        found["on another host"] = read(at)
        at.do(Goto(f"http://{HOST}/"))
        found["back again"] = read(at)
        plays.append(found)
    for play in plays[1:]:
        assert play == plays[0]
    first = plays[0]["first"]
    assert first["the clock"] == [0, 0]
    loading = dict(first["loading"])
    assert all(
        loading[name] == 0 for name in loading if not name.startswith(("dom", "load")) or "Lookup" in name
    )  # the network takes no time
    assert 0 <= loading["domInteractive"] <= loading["domContentLoadedEventEnd"] <= loading["loadEventEnd"] <= 500
    kinds = [entry[0] for entry in first["entries"]]
    assert sorted(kinds) == ["mark", "navigation", "resource", "resource"] and all(start <= 800 for *_, start, _ in first["entries"])
    assert [name for kind, name, *_ in first["entries"] if kind == "resource"] == [f"http://{HOST}/a.svg", f"http://{HOST}/b.svg"]
    assert first["a new file"] == [0, 7] and first["the document"][0][-8:] == "08:00:00"


def test_marks_and_measures_are_by_the_pages_clock(at):
    at.open("<p>page<script>performance.mark('a'); setTimeout(() => performance.mark('b'), 100)</script>")
    at.do(Wait(250))
    shown = "(...given) => { const m = performance.measure('m', ...given); return [m.startTime, m.duration, m.detail] }"
    asks = [
        "'a', 'b'",
        "{start: 'a', end: 'b', detail: 1}",
        "",
        "{start: 5, duration: 7}",
        "'b'",
        "{detail: 2}",
        "undefined, 'b'",
        "'domComplete'",
    ]
    now, begun = at.js("performance.now()"), at.js("performance.getEntriesByName('a')[0].startTime")
    found = [at.js(f"({shown})({ask})") for ask in asks]
    later = found[0][1]
    complete = at.js("performance.getEntriesByType('navigation')[0].domComplete")
    assert 100 <= later <= 101
    assert found == [
        [begun, later, None],
        [begun, later, 1],
        [0, now, None],
        [5, 7, None],
        [begun + later, now - begun - later, None],
        [0, now, 2],
        [0, begun + later, None],
        [complete, now - complete, None],
    ]
    made = "(m => [m.startTime, m.duration, m instanceof PerformanceMark])"
    assert at.js(f"{made}(performance.mark('c'))") == at.js(f"{made}(new PerformanceMark('c'))") == [now, 0, True]
    assert at.js(f"{made}(performance.mark('d', {{startTime: 3}}))") == [3, 0, True]
    for wrong in ("measure()", "measure('m', 'nothing')", "mark()", "measure('m', {start: 1}, 'b')"):
        assert at.js(f"(() => {{ try {{ performance.{wrong}; return 'fine' }} catch (e) {{ return e.name }} }})()") in (
            "TypeError",
            "SyntaxError",
        )


def test_a_document_whose_server_says_its_date_keeps_it(at):
    at.open("<p>page", HERE)
    at.do(Goto(f"http://{HOST}/dated"))
    assert at.js("document.lastModified") == "10/21/2015 07:28:00"


@pytest.mark.parametrize("kind", ["longtask", "paint", "largest-contentful-paint", "event"])
def test_what_depends_on_the_machine_is_not_recorded(at, kind):
    at.open("<p>page")
    assert at.js(f"PerformanceObserver.supportedEntryTypes.includes('{kind}')") is False
    heard = f"const o = new PerformanceObserver(() => 0); o.observe({{type: '{kind}', buffered: true}}); return o.takeRecords()"
    assert at.js(f"(() => {{ {heard} }})()") == []
    assert at.js(f"performance.getEntriesByType('{kind}')") == []


def test_a_worker_reads_the_same_times(at):
    inside = (
        "performance.mark('m'); const entries = performance.getEntries().map(e => [e.name, e.duration, e.startTime <= performance.now()]); "
        "postMessage([performance.timeOrigin + performance.now() - Date.now(), navigator.hardwareConcurrency, entries, "
        "new File([], 'f').lastModified - Date.now()])"
    )
    made = f"new Worker(URL.createObjectURL(new Blob([`{inside}`])))"
    html = f"<p id=o></p><script>{made}.onmessage = e => o.textContent = JSON.stringify(e.data)</script>"
    at.open(html)
    assert at.js("o.textContent") == '[0,4,[["m",0,true]],0]'


def test_a_file_that_is_given_to_a_page_is_as_old_as_the_episode(at):
    at.open("<input type=file aria-label=F>", files={"a.txt": "x"})
    at.do(Upload(at.ref("F"), ("a.txt",)))
    begun = 1000 * at.task.clock_s
    assert at.js("document.querySelector('input').files[0].lastModified") == begun
