"""What a page sends: every way out that HTML and scripts have, aimed at a canary on loopback."""

import time
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from benchmarks.hacks.addresses import open_proxy
from benchmarks.hacks.matrix import hack
from benchmarks.hacks.world import Agent, agent, canary, run
from webgym.backends.browser import pool as pools
from webgym.backends.browser.pool import BrowserPool
from webgym.types import Click, Wait

WAIT_S = 0.3  # of real time, in which what was sent arrives

HTML = {
    "an image": "<img src=AT>",
    "a script": "<script src=AT></script>",
    "a style sheet": "<link rel=stylesheet href=AT>",
    "an import of a style sheet": "<style>@import url(AT);</style>",
    "a font": "<style>@font-face { font-family: x; src: url(AT) } b { font-family: x }</style><b>x</b>",
    "a background": "<style>body { background: url(AT) }</style>",
    "a frame": "<iframe src=AT></iframe>",
    "a frame of a document": "<iframe srcdoc='<img src=AT>'></iframe>",
    "an object": "<object data=AT></object>",
    "an embedded thing": "<embed src=AT>",
    "a video": "<video src=AT autoplay></video>",
    "an icon": "<link rel=icon href=AT>",
    "prefetch": "<link rel=prefetch href=AT>",
    "preload": "<link rel=preload as=image href=AT>",
    "module preload": "<link rel=modulepreload href=AT>",
    "speculation rules": '<script type=speculationrules>{"prefetch": [{"source": "list", "urls": ["AT"], "eagerness": "immediate"}]}</script>',
    "meta refresh": "<meta http-equiv=refresh content='0;url=AT'>",
    "a manifest": "<link rel=manifest href=AT>",
    "a picture in SVG": "<svg><image href=AT width=9 height=9 /></svg>",
}
SCRIPTS = {
    "fetch": "fetch('AT', {mode: 'no-cors'})",
    "fetch that keeps alive": "fetch('AT', {mode: 'no-cors', keepalive: true, method: 'POST'})",
    "XMLHttpRequest": "const x = new XMLHttpRequest(); x.open('GET', 'AT'); x.send()",
    "a beacon": "navigator.sendBeacon('AT', 'x')",
    "a WebSocket": "new WebSocket('AT'.replace('http', 'ws'))",
    "an event stream": "new EventSource('AT')",
    "a new image": "new Image().src = 'AT'",
    "a popup": "open('AT')",
    "location": "location = 'AT'",
    "a form": "const f = document.createElement('form'); f.action = 'AT'; f.method = 'POST'; document.body.append(f); f.submit()",
    "import of a module": "import('AT')",
    "a worker's fetch": "new Worker(URL.createObjectURL(new Blob([\"fetch('AT', {mode: 'no-cors'})\"])))",
    "a shared worker's fetch": "new SharedWorker(URL.createObjectURL(new Blob([\"fetch('AT', {mode: 'no-cors'})\"])))",
    "a worker's script": "new Worker(URL.createObjectURL(new Blob([\"importScripts('AT')\"])))",
    "a service worker's fetch": "navigator.serviceWorker.register('/sw.js')",
    "a ping": "const a = document.createElement('a'); a.href = '#x'; a.ping = 'AT'; document.body.append(a); a.click()",
    "a link": "const a = document.createElement('a'); a.href = 'AT'; document.body.append(a); a.click()",
    "a download": "const a = document.createElement('a'); a.href = 'AT'; a.download = 'x'; document.body.append(a); a.click()",
    "fetch of the decimal address": "fetch('AT'.replace('127.0.0.1', '2130706433'), {mode: 'no-cors'})",
    "fetch of localhost": "fetch('AT'.replace('127.0.0.1', 'localhost'), {mode: 'no-cors'})",
}
PEERS = """const servers = ['stun:127.0.0.1:UDP', 'turn:127.0.0.1:UDP?transport=udp', 'turn:127.0.0.1:TCP?transport=tcp'];
const peer = new RTCPeerConnection({iceServers: [{urls: servers, username: 'a', credential: 'b'}]});
peer.createDataChannel('x'); peer.createOffer().then(offer => peer.setLocalDescription(offer))"""


def sent(who: Agent, html: str, wait_s: float = WAIT_S) -> str:
    """What the canary heard of while an agent was on the page."""
    at = f"http://127.0.0.1:{canary().port}/x"
    before = canary().hits
    page = f"<title>t</title><button>b</button>{html}".replace("AT", at).replace("UDP", str(canary().udp_port))
    worker = {"/sw.js": f"fetch('{at}', {{mode: 'no-cors'}})"}
    seen = who.open(page.replace("TCP", str(canary().port)), worker)
    button = next((node.ref for node in seen.nodes if node.text == "b"), None)
    if button is not None:
        who.do(Click(button))
    who.do(Wait(300))
    time.sleep(wait_s)
    return f"{canary().hits - before} arrived" if canary().hits > before else ""


GUARD = "a context has no network but its session's proxy, which serves the episode's sites only"
for _name, _html in HTML.items():
    hack("requests of pages", _name, GUARD, open_proxy)(lambda html=_html: sent(agent(), html))
for _name, _script in SCRIPTS.items():
    hack("requests of pages", _name, GUARD, open_proxy)(lambda script=_script: sent(agent(), f"<script>{script}</script>"))


# --- UDP, which no proxy sees ------------------------------------------------------------------------------------------------

_bare: list[bool] = []


@contextmanager
def any_udp() -> Any:
    """The browser's argument against UDP past the proxy, removed."""
    kept = tuple(argument for argument in pools.ARGUMENTS if "webrtc" not in argument)
    _bare.append(True)
    with patch.object(pools, "ARGUMENTS", kept):
        yield
    _bare.clear()


def _own_pool() -> AbstractContextManager[Agent]:
    @contextmanager
    def entered() -> Any:
        pool = BrowserPool()

        async def given(*, headless: bool = True) -> BrowserPool:
            return pool

        who = Agent()
        pool.gateway._sites = run(pools.shared_pool()).gateway._sites
        with patch.object(type(who.env._backend), "pool", staticmethod(given)):
            try:
                yield who
            finally:
                who.close()
                run(pool.close())

    return entered()


@hack("requests of pages", "WebRTC to a STUN and a TURN server", "the browser sends no UDP past its proxy", any_udp)
def peers() -> str:
    """A browser of its own, because its arguments are what is tried."""
    with _own_pool() as who:
        return sent(who, f"<script>{PEERS}</script>", wait_s=2.0)
