"""What a page sends: every way out that HTML and scripts have, aimed at a canary on loopback."""

import time
from typing import Any
from unittest.mock import patch

from benchmarks.hacks.addresses import open_proxy
from benchmarks.hacks.matrix import hack
from benchmarks.hacks.world import Agent, agent, canary, run
from webgym.backends.browser import executable
from webgym.backends.browser import pool as pools
from webgym.backends.browser.chromium import Chromium
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
    "prefetch": "<link rel=prefetch href=AT>",
    "preload": "<link rel=preload as=image href=AT>",
    "module preload": "<link rel=modulepreload href=AT>",
    "meta refresh": "<meta http-equiv=refresh content='0;url=AT'>",
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
PEERS = """const servers = ['stun:127.0.0.1:<UDP>', 'turn:127.0.0.1:<UDP>?transport=udp', 'turn:127.0.0.1:<TCP>?transport=tcp'];
const peer = new RTCPeerConnection({iceServers: [{urls: servers, username: 'a', credential: 'b'}]});
peer.createDataChannel('x'); peer.createOffer().then(offer => peer.setLocalDescription(offer))"""


def sent(who: Agent, html: str, wait_s: float = WAIT_S) -> str:
    """What the canary heard of while an agent was on the page."""
    at = f"http://127.0.0.1:{canary().port}/x"
    before = canary().hits
    page = f"<title>t</title><button>b</button>{html}".replace("AT", at)
    worker = {"/sw.js": f"fetch('{at}', {{mode: 'no-cors'}})"}
    seen = who.open(page, worker)
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


def any_udp() -> Any:
    """The arguments of the browser, removed."""
    return patch.object(pools, "ARGUMENTS", ())


@hack("requests of pages", "WebRTC to a STUN and a TURN server", "the browser sends no UDP past its proxy", any_udp)
def peers() -> str:
    """A browser of its own with the pool's arguments, because these are what is tried."""

    async def heard() -> int:
        before, found = canary().hits, executable.find()
        chromium = await Chromium.launch(pools.ARGUMENTS, found, headless=True)
        try:
            page = await chromium.browser.new_page()
            await page.route(
                "http://peers.localhost/", lambda route: route.fulfill(body=f"<script>{script}</script>", content_type="text/html")
            )
            await page.goto("http://peers.localhost/")
            await page.wait_for_timeout(2500)
        finally:
            await chromium.end()
        return canary().hits - before

    script = PEERS.replace("<UDP>", str(canary().udp_port)).replace("<TCP>", str(canary().port))
    arrived = run(heard())
    return f"{arrived} arrived" if arrived else ""
