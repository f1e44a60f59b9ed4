"""Time in a page: what comes with frames, storage, workers and streams comes by the page's own clock, whatever the real one does."""

import time

import pytest

from tests.webgym.pages import HOST, OTHER, Visitor, lines
from webgym.types import Back, Click, FocusTab, Goto, Scroll, Type, Wait

SAY = "<p id=log>log</p><script>const say = words => log.append(' ' + words), at = () => Math.round(performance.now())</script>"


def large_program(functions: int = 100, additions: int = 4000) -> bytes:
    """A WebAssembly module (binary format 1) that takes a while to compile: functions f0, f1, ... that add numbers."""

    def size(number: int) -> bytes:  # unsigned LEB128
        out = bytearray()
        while number > 127:
            out.append(number & 127 | 128)
            number >>= 7
        return bytes([*out, number])

    def listed(*items: bytes) -> bytes:
        return size(len(items)) + b"".join(items)

    def section(kind: int, content: bytes) -> bytes:
        return bytes([kind]) + size(len(content)) + content

    body = b"\x00\x41\x00" + b"\x41\x01\x6a" * additions + b"\x0b"  # no locals; i32.const 0; (i32.const 1; i32.add) ...; end
    exports = [size(len(name)) + name + b"\x00" + size(i) for i, name in ((i, b"f%d" % i) for i in range(functions))]
    return b"".join((
        b"\0asm\x01\0\0\0",
        section(1, listed(b"\x60\x00\x01\x7f")),  # one type: () -> i32
        section(3, listed(*[b"\x00"] * functions)),
        section(7, listed(*exports)),
        section(10, listed(*[size(len(body)) + body] * functions)),
    ))  # fmt: skip


IN_THE_TURN = {
    "a transition of width": (
        "<style>#b{width:90px;transition:width .25s}</style><div id=b>box</div><script>"
        "b.addEventListener('transitionend', e => say(e.propertyName)); act = () => "
        "b.style.width = '10px'</script>"
    ),
    "a transition after another": (
        "<style>#b{transition:opacity .2s}#b.two{transition:margin .2s;margin:9px}</style><div id=b>box</div>"
        "<script>b.ontransitionend = e => e.propertyName === 'opacity' ? b.className = 'two' : say('both'); "
        "act = () => b.style.opacity = .5</script>"
    ),
    "a transition of a box in a shadow root": (
        "<div id=h></div><script>const r = h.attachShadow({mode: 'open'}); r.innerHTML = '<style>"
        "b{transition:opacity .3s}</style><b>box</b>'; const b = r.querySelector('b'); "
        "b.addEventListener('transitionend', () => say('over')); act = () => b.style.opacity = 0</script>"
    ),
    "a transition by an attribute": (
        "<style>#b{transition:opacity .3s}</style><div id=b ontransitionend=\"say('over')\">box</div><script>"
        "act = () => b.style.opacity = 0</script>"
    ),
    "iterations of an animation": (
        "<style>@keyframes k{to{margin:3px}}.on{animation:k .1s 3}</style><div id=b>box</div><script>"
        "let n = 0; b.onanimationiteration = () => n++; b.onanimationend = () => say('end'); act = () => "
        "b.className = 'on'</script>"
    ),
    "an animation by script": (
        "<div id=b>box</div><script>act = async () => { const a = b.animate([{opacity: 0}, {opacity: 1}], "
        "{duration: 200, fill: 'forwards'}); a.onfinish = () => say('finish'); await a.finished; "
        "say('finished') }</script>"
    ),
    "an observer of resizing": (
        "<div id=b style='width:20px'>box</div><script>let w; new ResizeObserver(e => "
        "{ if (w && w !== e[0].contentRect.width) say('resized'); w = e[0].contentRect.width }).observe(b); "
        "act = () => b.style.width = '50px'</script>"
    ),
    "rows that come when the end is seen": (
        "<div id=rows></div><i id=end>end</i><script>let n = 0; new IntersectionObserver(async e => "
        "{ if (e[0].isIntersecting && n++ < 2) { const t = await (await fetch('/row')).text(); "
        "rows.append(t); say('row' + n) } }).observe(end); act = () => 0</script>"
    ),
    "a dialog that closes": (
        "<dialog id=d><form method=dialog><button value=yes>OK</button></form></dialog><script>d.show(); "
        "d.addEventListener('close', () => say('closed ' + d.returnValue)); act = () => d.close('no')</script>"
    ),
    "scrolling a box": (
        "<div id=b style='height:40px;overflow:auto'><p style='height:900px'>long</div><script>"
        "b.addEventListener('scroll', () => say('at ' + b.scrollTop), {once: true}); act = () => "
        "b.scrollTop = 60</script>"
    ),
    "scrolling a box smoothly": (
        "<div id=b style='height:40px;overflow:auto'><p style='height:900px'>long</div><script>"
        "b.onscrollend = () => say('at ' + b.scrollTop); act = () => b.scrollBy({top: 200, "
        "behavior: 'smooth'})</script>"
    ),
    "a view transition": (
        "<div id=b>old</div><script>act = () => document.startViewTransition(() => "
        "b.textContent = 'new').finished.then(() => say('switched'))</script>"
    ),
    "a picture far below": (
        "<div id=far hidden><img loading=lazy src=/dot.svg onload=\"say('loaded')\"></div><script>act = () => far.hidden = false</script>"
    ),
    "a transition that is cut short": (
        "<style>#b{transition:opacity .3s}</style><i id=b>box</i><script>b.ontransitioncancel = () => say('cut'); "
        "act = () => { b.style.opacity = 0; setTimeout(() => b.style.display = 'none', 100) }</script>"
    ),
    "an animation that is cut short": (
        "<style>@keyframes k{to{opacity:0}}#b.on{animation:k .3s}</style><i id=b>box</i><script>b.onanimationcancel = () => say('cut'); "
        "act = () => { b.className = 'on'; setTimeout(() => b.className = '', 100) }</script>"
    ),
    "an animation that a picture declares": (
        "<svg width=9 height=9><rect width=1 height=1><animate id=a attributeName=width to=9 dur=.3s begin=indefinite /></rect></svg>"
        "<script>a.addEventListener('endEvent', () => say('over')); act = () => a.beginElement()</script>"
    ),
    "details that open": "<details id=d ontoggle=\"say('toggled')\">x</details><script>act = () => d.open = true</script>",
    "a popover": "<div id=b popover ontoggle='say(event.newState)'>x</div><script>act = () => b.showPopover()</script>",
    "a message by a channel": (
        "<script>act = () => { const c = new MessageChannel; c.port1.onmessage = e => say(e.data); c.port2.postMessage('here') }</script>"
    ),
    "a message to all": (
        "<script>new BroadcastChannel('a').onmessage = e => say(e.data); act = () => new BroadcastChannel('a').postMessage('all')</script>"
    ),
    "fonts": "<script>act = () => document.fonts.ready.then(() => say('fonts'))</script>",
    "a place": "<script>act = () => navigator.geolocation.getCurrentPosition(() => say('here'), e => say('refused ' + e.code))</script>",
    "devices": "<script>act = async () => say(Array.isArray(await navigator.mediaDevices.enumerateDevices()))</script>",
    "a picture of a canvas": "<canvas id=c width=4></canvas><script>act = async () => say((await createImageBitmap(c)).width)</script>",
    "a canvas as a file": "<canvas id=c width=4 height=4></canvas><script>act = () => c.toBlob(b => say(b.type + (b.size > 20)))</script>",
    "leisure": "<script>act = () => requestIdleCallback(d => say('idle ' + (d.timeRemaining() > 0)), {timeout: 5000})</script>",
    "when it was pressed": "<script>act = () => say(event.timeStamp - performance.now()); onkeydown = act</script>",
    "two frames": "<script>act = () => requestAnimationFrame(() => requestAnimationFrame(() => say('frames')))</script>",
    "a database": (
        "<script>act = () => { const r = indexedDB.open('d', 1); r.onupgradeneeded = () => "
        "r.result.createObjectStore('s'); r.onsuccess = () => { const t = r.result.transaction('s', "
        "'readwrite'), s = t.objectStore('s'); s.put('v', 'k'); const g = s.get('k'); t.oncomplete = () => "
        "say(g.result) } }</script>"
    ),
    "a cache": (
        "<script>act = async () => { const c = await caches.open('c'); await c.put('/k', "
        "new Response('kept')); say(await (await c.match('/k')).text()) }</script>"
    ),
    "a private file": (
        "<script>act = async () => "
        "{ const f = await (await navigator.storage.getDirectory()).getFileHandle('f', {create: true}), "
        "w = await f.createWritable(); await w.write('words'); await w.close(); "
        "say(await (await f.getFile()).text()) }</script>"
    ),
    "a file that is read": (
        "<script>act = () => { const r = new FileReader(); r.onload = () => say(r.result); r.readAsText(new Blob(['text'])) }</script>"
    ),
    "a digest": "<script>act = () => crypto.subtle.digest('SHA-1', new Uint8Array(3)).then(d => say(d.byteLength))</script>",
    "a program that is compiled while it comes": (
        "<script>act = async () => say(WebAssembly.Module.exports(await "
        "WebAssembly.compileStreaming(fetch('/large.wasm'))).length)</script>"
    ),
    "a lock that another had": (
        "<script>act = () => { navigator.locks.request('l', () => new Promise(r => setTimeout(r, 100))); "
        "navigator.locks.request('l', () => say('locked')) }</script>"
    ),
    "a lock that is free": "<script>act = () => navigator.locks.request('l', {mode: 'shared'}, async () => say('locked'))</script>",
    "a lock of a worker": (
        "<script>act = () => new Worker(URL.createObjectURL(new Blob(['navigator.locks.request(`l`, () => postMessage(1))'])))"
        ".onmessage = e => say(e.data)</script>"
    ),
    "a folder that is listed": (
        "<script>act = async () => { const d = await navigator.storage.getDirectory(); await d.getFileHandle('f', {create: true}); "
        "for await (const n of d.keys()) say(n) }</script>"
    ),
    "a folder that is listed with its files": (
        "<script>act = async () => { const d = await navigator.storage.getDirectory(); for (const n of ['g', 'h']) "
        "await d.getFileHandle(n, {create: true}); for await (const [n, f] of d) say(n + (await f.getFile()).size); "
        "say(d.entries === d[Symbol.asyncIterator]) }</script>"
    ),
    "a blob that is streamed": (
        "<script>act = async () => { let n = 0; for await (const part of new Blob(['x'.repeat(300000)]).stream()) n += part.length; "
        "say(n); const read = new Blob([]).stream().getReader(); say((await read.read()).done) }</script>"
    ),
    "a worklet": (
        "<script>act = async () => { const c = new OfflineAudioContext(1, 9, 44100); "
        "await c.audioWorklet.addModule(URL.createObjectURL(new Blob(['1'], {type: 'text/javascript'}))); say('there') }</script>"
    ),
    "a worker that waits": (
        "<script>act = () => { const w = new Worker(window.URL.createObjectURL(new Blob(['onmessage = e => "
        "setTimeout(() => postMessage(e.data + 1), 120)']))); w.onmessage = e => say(e.data); "
        "w.postMessage(4) }</script>"
    ),
    "a worker of a data address": (
        "<script>act = () => { const w = new Worker('data:text/javascript,' + encodeURIComponent('let n = 0; "
        "const i = setInterval(() => { if (++n === 3) { clearInterval(i); postMessage(`ticked`) } }, 50)')); "
        "w.onmessage = e => say(e.data) }</script>"
    ),
    "a worker in a worker": (
        "<script>act = () => { const inner = 'setTimeout(() => postMessage(`deep`), 80)', "
        "outer = `const w = new Worker(URL.createObjectURL(new Blob([${JSON.stringify(inner)}]))); "
        "w.onmessage = e => postMessage(e.data)`; "
        "new Worker(window.URL.createObjectURL(new Blob([outer]))).onmessage = e => say(e.data) }</script>"
    ),
    "a shared worker": (
        "<script>act = () => { const s = new SharedWorker(window.URL.createObjectURL(new Blob(['onconnect = e "
        "=> { const p = e.ports[0]; p.onmessage = m => setTimeout(() => p.postMessage(m.data * 2), "
        "90) }']))); s.port.onmessage = e => say(e.data); s.port.postMessage(21) }</script>"
    ),
    "a worker that asks a site": (
        "<script>act = () => { const w = new Worker('/asks.js'); w.onmessage = e => say(e.data); w.postMessage(1) }</script>"
    ),
    "a worker with a database": (
        "<script>act = () => { const w = new Worker(window.URL.createObjectURL(new "
        "Blob(['indexedDB.open(`w`).onsuccess = () => postMessage(`opened`)']))); w.onmessage = e => "
        "say(e.data) }</script>"
    ),
}
MORE = {
    "/large.wasm": (200, {"content-type": "application/wasm"}, large_program()),
    "/row": "row",
    "/asks.js": "onmessage = async () => postMessage(await (await fetch('/row')).text())",
    "/dot.svg": (200, {"content-type": "image/svg+xml"}, "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"),
}


def page(html: str) -> str:
    return f"{SAY}<script>let act</script>{html}<button onclick='act()'>Go</button>"


def log(at: Visitor) -> str:
    return next(line for line in lines(at.observation) if "log" in line)


def play(at: Visitor, html: str, pause_s: float, turns: int = 3) -> list[str]:
    """Hashes of an episode whose policy thinks for so long before each action."""
    hashes = [at.open(page(html), MORE).hash]
    for number in range(turns):
        time.sleep(pause_s)
        hashes.append(at.do(Wait(300) if number else Click(at.ref("Go"))).hash)
    return hashes


BUSY = {
    "dates": "const end = Date.now() + 20; while (Date.now() < end);",
    "new dates": "const end = +new Date() + 20; while (+new Date() < end);",
    "performance": "const end = performance.now() + 20; while (performance.now() < end);",
    "two seconds": "const end = Date.now() + 2000; while (Date.now() < end);",
}


@pytest.mark.parametrize("loop", BUSY.values(), ids=BUSY)
def test_a_script_that_waits_for_time_to_pass_comes_to_its_end(at, loop):
    html = f"{SAY}<button onclick='const from = Date.now(); {loop} say(Date.now() - from); setTimeout(() => say(at() > 0), 30)'>Go</button>"
    hashes = []
    for _ in range(2):
        at.open(html)
        hashes.append(at.do(Click(at.ref("Go"))).hash)
    assert log(at) in ("text log 20 true", "text log 2000 true") and len(set(hashes)) == 1


@pytest.mark.parametrize("kind", IN_THE_TURN)
def test_it_comes_in_the_turn_and_is_the_same_for_a_slow_policy(at, kind):
    fast = play(at, IN_THE_TURN[kind], 0.0)
    at.open(page(IN_THE_TURN[kind]), MORE)
    before = log(at)
    at.do(Click(at.ref("Go")))
    after = log(at)
    assert after != before or kind.startswith("rows"), after
    assert play(at, IN_THE_TURN[kind], 0.25) == fast


def test_rows_that_come_when_the_end_is_seen_are_there_at_once(at):
    at.open(page(IN_THE_TURN["rows that come when the end is seen"]), MORE)
    assert "row1" in log(at)


def test_input_comes_at_the_moment_of_the_page(at):
    at.open("<input aria-label=a oninput=tell() onkeydown=tell() onmousedown=tell() onclick=tell()><p id=log><script>"
            "const tell = () => log.append(event.timeStamp - performance.now(), ' ')</script>")  # fmt: skip
    at.do(Wait(700))
    at.do(Click(at.ref("a")))
    at.do(Type("b"))
    assert lines(at.observation)[1] == "text 0 0 0 0"


def test_input_comes_at_the_moment_of_a_page_whose_time_passed_in_another_tab(at):
    field = "<input aria-label=a onkeydown=tell() onmousedown=tell() onclick=tell()>"
    tell = "<p id=log><script>const tell = () => log.append(event.timeStamp - performance.now(), ' ')</script>"
    at.open(f"<a href=/two target=_blank rel=opener>two</a>{field}{tell}", {"/two": "<p>2"})
    for action in (Click(at.ref("two")), Wait(700), FocusTab(0)):
        at.do(action)
    at.do(Click(at.ref("a")))
    at.do(Type("b"))
    assert lines(at.observation)[-1] == "text 0 0 0"


@pytest.mark.parametrize("how", ["location.hash = 'r'", "history.pushState(1, '', '/three')"])
def test_an_application_that_goes_on_without_a_new_document_does_not_end_its_process(at, how):
    """Chromium takes that, after a click, for a navigation, and cannot bear input that came before the page began."""
    shop = f"<button onclick=\"t.value = 'words'; {how}\">go</button><textarea id=t></textarea><script>onscroll = () => 0</script>"
    at.open("<a href=/two>two</a>", {"/two": shop})
    at.do(Click(at.ref("two")))
    assert "words" in str(lines(at.do(Click(at.ref("go")))))
    assert at.do(Wait(100)).url.startswith(f"http://{HOST}/t")


def test_motion_ends_at_its_own_time(at):
    """A transition of 300 ms that begins with a click is over 300 ms later, by the page's clock, and its end can begin something else."""
    at.open(
        page(
            "<style>#b{transition:opacity .3s}</style><div id=b>box</div><script>let begun; "
            "b.ontransitionend = () => { say(Math.abs(at() - begun - 300) <= 20); setTimeout(() => "
            "say('100 later'), 100) }; act = () => { begun = at(); b.style.opacity = 0 }</script>"
        )
    )
    at.do(Click(at.ref("Go")))
    assert log(at) == "text log true 100 later"


def test_a_document_that_waits_for_no_frame_gets_none(at):
    """Frames cost time, so that only documents get them that are told something with them."""
    at.open(page("<style>button{transition:background .2s}button:hover{background:red}</style><script>act = () => say('done')</script>"))
    drawn = []
    tab = at.env.session.tab
    draw = tab.frames.draw

    async def counted(*given):
        drawn.append(given)
        return await draw(*given)

    tab.frames.draw = counted
    try:
        at.do(Click(at.ref("Go")))
    finally:
        del tab.frames.draw
    assert log(at) == "text log done" and drawn == []


def test_what_moves_for_ever_and_what_moves_for_long_hold_no_turn(at):
    at.open(
        page(
            "<style>@keyframes k{to{opacity:.5}}#b{animation:k 1s infinite}#c{transition:opacity 30s}</style>"
            "<div id=b>spin</div><div id=c>slow</div><script>c.ontransitionend = () => say('over'); act = () => "
            "c.style.opacity = 0</script>"
        )
    )
    at.do(Click(at.ref("Go")))
    assert log(at) == "text log"
    at.do(Wait(40_000))
    assert log(at) == "text log over"


def test_motion_and_smooth_scrolling_hold_up_no_frame_of_each_other(at):
    at.open(
        page(
            "<div id=b style='height:40px;overflow:auto'><p style='height:1500px'>box</div><div id=m>moves</div><button id=go>go</button>"
            "<button id=down>down</button><script>go.onclick = () => m.animate([{opacity: 0}, {opacity: 1}], 300).finished.then(() => "
            "say('moved')); down.onclick = () => b.scrollBy({top: 100, behavior: 'smooth'}); b.onscrollend = () => say('at ' + "
            "b.scrollTop)</script>"
        )
    )
    for turn in range(1, 4):
        at.do(Click(at.ref("go")))
        at.do(Click(at.ref("down")))
        at.do(Wait(400))
        assert at.js("b.scrollTop") == 100 * turn and at.env.session.alive


def test_smooth_scrolling_goes_on_over_turns_by_the_pages_clock(at):
    html = (
        "<style>html{scroll-behavior:smooth}</style><a href='#end'>down</a><div style='height:4000px'></div>"
        "<b id=end>end</b><p>y <b id=o></b></p><script>setInterval(() => "
        "o.textContent = Math.round(scrollY / 10), 100)</script>"
    )
    seen = []
    for pause_s in (0.0, 0.3):
        at.open(html)
        for action in (Click(at.ref("down")), Wait(200), Wait(2000)):
            time.sleep(pause_s)
            at.do(action)
            seen.append(lines(at.observation)[-1])
    assert seen[:3] == seen[3:] and seen[2] > "text y 3"


# --- clock and chance --------------------------------------------------------------------------------------------------------


CLOCKS = """[Date.now(), new Date().getTimezoneOffset(), Math.random(), crypto.randomUUID(), performance.now()]"""


def test_a_worker_has_the_clock_and_the_seed_of_its_page(at):
    """Time in a worker is its page's, and its chance follows from the seed and from how many workers there were before."""
    html = (
        f"<script>act = () => {{ const make = () => "
        f"{{ const w = new Worker(window.URL.createObjectURL(new Blob(['onmessage = () => "
        f"postMessage({CLOCKS})']))); w.onmessage = e => say(JSON.stringify([...e.data, "
        f"e.data[0] - Date.now()])); w.postMessage(1) }}; make(); make() }}</script>"
    )
    seen = []
    for seed, pause_s in ((3, 0.0), (3, 0.3), (4, 0.0)):
        at.open(page(html), seed=seed, clock_s=1_800_000_000.0)
        time.sleep(pause_s)
        at.do(Click(at.ref("Go")))
        seen.append(log(at))
    assert seen[0] == seen[1] != seen[2]
    one, two = (part.split(",") for part in seen[0].removeprefix("text log [").split("] ["))
    assert one[2] != two[2] and one[3] != two[3], "two workers draw different numbers"
    assert 1_800_000_000_000 <= int(one[0]) < 1_800_000_001_000 and one[5] == "0"


def test_every_way_to_ask_for_the_time_gives_the_tasks(at):
    at.open("<p>x", clock_s=1_772_701_200.0)  # 2026-03-05 09:00 UTC
    asked = [
        "new Date().toISOString()",
        "new Intl.DateTimeFormat('en-GB').format()",
        "new Intl.DateTimeFormat('en-GB').formatToParts().map(p => p.value).join('')",
    ]
    assert [at.js(expression)[:10] for expression in asked] == ["2026-03-05", "05/03/2026", "05/03/2026"]
    assert at.js("globalThis.Temporal ? Temporal.Now.plainDateISO().toString() : '2026-03-05'") == "2026-03-05"


def test_numbers_of_crypto_follow_from_the_seed_and_leave_those_of_math_alone(at):
    draw = (
        "(() => { const a = Math.random(), u = crypto.randomUUID(); return [a, u, "
        "[...crypto.getRandomValues(new Uint16Array(3))], Math.random()] })()"
    )
    found = []
    for seed in (1, 1, 2):
        at.open("<p>x", seed=seed)
        found.append(at.js(draw))
    assert found[0] == found[1] != found[2]
    at.open("<p>x", seed=1)
    assert at.js("[Math.random(), Math.random()]") == [found[0][0], found[0][3]]
    assert found[0][1][14] == "4" and len(found[0][1]) == 36


# --- history of inner frames -------------------------------------------------------------------------------------------------


def test_going_back_in_an_inner_frame_takes_no_deadline(at):
    at.env.session.action_timeout_s = 8.0 if at.env._session is not None else 60.0
    pages = {"/a": "first <a href=/b>on</a>", "/b": "second <a href='#part'>part</a><p id=part>part"}
    at.open("<iframe src=/a></iframe>", pages)
    at.do(Click(at.ref("on")))
    at.do(Click(at.ref("part")))
    assert "second" in " ".join(lines(at.observation))
    at.do(Back())
    at.do(Back())
    assert "first" in " ".join(lines(at.observation))


def test_scrolling_by_an_action_is_heard_at_once(at):
    at.open(page("<div style='height:5000px'></div><script>onscroll = () => say('y' + Math.round(scrollY))</script>"))
    at.do(Scroll(0, 300))
    assert "y300" in log(at)


def test_motion_takes_as_long_on_pages_of_other_hosts(at):
    """Each host's pages have a process, and so a time, of their own; frames come in one order."""
    moving = page(
        "<div id=b>box</div><script>act = () => b.animate([{width: '10px'}, {width: '90px'}], 2000).finished"
        ".then(() => say('over'))</script>"
    )
    at.open("<p>start", {"/moving": moving}, hosts=(HOST, OTHER))
    seen = {}
    for host in (HOST, OTHER, HOST, OTHER):
        at.do(Goto(f"http://{host}/moving"))
        at.do(Click(at.ref("Go")))
        widths = []
        for _ in range(3):
            at.do(Wait(400))
            widths.append(at.js("parseFloat(getComputedStyle(b).width)"))
        at.do(Wait(900))
        seen.setdefault(str([*widths, log(at)]), []).append(host)
    assert len(seen) == 1 and "text log over" in str(seen) and widths == sorted(set(widths))
