"""Pages that want to be read as something else than they are: patched prototypes, getters, clobbered names, forged refs."""

# ruff: noqa: E501
from typing import Any
from unittest.mock import patch

from benchmarks.hacks.matrix import hack
from benchmarks.hacks.world import agent
from webgym.backends.browser.tab import Tab
from webgym.types import Click

REAL = '<h1>MARK</h1><button id=b onclick="document.body.id = 7">b</button><input aria-label=f value=v>'
PAGES = {
    "Array.prototype.map": "<script>Array.prototype.map = () => []</script>",
    "Array.prototype.push": "<script>Array.prototype.push = () => 0</script>",
    "an iterator of arrays": "<script>Array.prototype[Symbol.iterator] = function* () { yield 1 }</script>",
    "JSON.stringify": "<script>JSON.stringify = () => '[]'</script>",
    "Object.prototype.toJSON": "<script>Object.prototype.toJSON = () => 'forged'</script>",
    "Element.prototype.getAttribute": "<script>Element.prototype.getAttribute = () => 'forged'</script>",
    "getComputedStyle": "<script>getComputedStyle = () => ({display: 'none', visibility: 'hidden'})</script>",
    "getBoundingClientRect": "<script>Element.prototype.getBoundingClientRect = () => ({x: -9, y: -9, width: 0, height: 0})</script>",
    "Map and WeakMap": "<script>Map.prototype.get = () => 1; Map.prototype.set = () => 1; WeakMap.prototype.get = () => 1</script>",
    "Function.prototype.call": "<script>Function.prototype.call = () => 0; Function.prototype.apply = () => 0</script>",
    "String.prototype.replace": "<script>String.prototype.replace = () => 'forged'; String.prototype.trim = () => 'forged'</script>",
    "a name of its own: webgym": "<script>Object.defineProperty(window, 'webgym', {value: {}})</script>",
    "document.elementFromPoint": "<script>Document.prototype.elementFromPoint = () => null</script>",
    "element.value": "<script>Object.defineProperty(HTMLInputElement.prototype, 'value', {get: () => 'forged'})</script>",
}  # fmt: skip
OTHERS = {
    "document.title": "<script>Object.defineProperty(document, 'title', {get: () => ({a: 1}), set: t => document.querySelector('title').textContent = t})</script>",
    "an endless iterator of sets": "<script>Set.prototype[Symbol.iterator] = function* () { for (;;) yield {deref() {}} }</script>",
    "Element.prototype.tagName": "<script>Object.defineProperty(Element.prototype, 'tagName', {get: () => 'SCRIPT'})</script>",
    "Node.prototype.childNodes": "<script>Object.defineProperty(Node.prototype, 'childNodes', {get: () => []})</script>",
    "Node.prototype.textContent": "<script>Object.defineProperty(Node.prototype, 'textContent', {get: () => 'forged'})</script>",
    "RegExp.prototype.test": "<script>RegExp.prototype.test = () => false; RegExp.prototype.exec = () => null</script>",
    "document.querySelectorAll": "<script>Document.prototype.querySelectorAll = () => []; Element.prototype.querySelectorAll = () => []</script>",
    "an element with the id webgym": "<div id=webgym></div>",
    "a frame with the name webgym": "<iframe name=webgym srcdoc=x></iframe>",
    "a form's field named getAttribute": "<form><input name=getAttribute></form>",
    "a form's field named childNodes": "<form><input name=childNodes><p>x</form>",
    "a form's field named parentElement": "<form><input name=parentElement><p style='position:absolute;left:-500px'>off</form>",
    "a form's field named nodeType": "<form><p>INSIDE</p><input name=nodeType></form>",
    "an image named body": "<img name=body alt=only>",
    "a broken address in a style sheet": "<style>a:hover { content: url('http://[') }</style>",
    "an element whose getters loop": "<script>customElements.define('x-y', class extends HTMLElement { get role() { for (;;); } get tabIndex() { throw 1 } })</script>"
    "<x-y tabindex=0>T</x-y>",
}  # fmt: skip
"""Pages that the reader withstands in the page's own world, too: a test holds them, and no row, because there is no guard to remove."""


def in_the_page() -> Any:
    """The isolated world of the reader, removed: its code runs in the page's own."""
    send = Tab.send

    async def sent(self: Any, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        if method == "Runtime.evaluate" and params and "contextId" in params:
            params = {name: value for name, value in params.items() if name != "contextId"}
        return await send(self, method, params)

    return patch.object(Tab, "send", sent)


def misread(html: str) -> str:
    """What is wrong with how the page is read, or with a click on its button; "" where all is as it is."""
    try:
        return _misread(html)
    except Exception as error:
        agent().close()
        return f"{type(error).__name__}: {error}"[:80]


def _misread(html: str) -> str:
    who = agent()
    seen = who.open(REAL + html)
    vars(who.env.session)["action_timeout_s"] = 10.0
    shown = [(node.role, node.text, node.value) for node in seen.nodes]
    for wanted in (("heading", "MARK", None), ("button", "b", None), ("textbox", "f", "v")):
        if wanted not in shown:
            return f"no {wanted[0]} {wanted[1]!r} among {str(shown)[:80]} {' '.join(seen.notices)[:60]}"
    if "INSIDE" in html and not any(text == "INSIDE" for _, text, _ in shown):
        return "a part of the page is not shown"
    step = who.do(Click(next(node.ref for node in seen.nodes if node.text == "b")))  # type: ignore[arg-type]
    heard = who.js("document.body.id") == "7"
    return "" if heard and not step.observation.error else f"the click: {step.observation.error or 'not heard'}"


for _name, _html in PAGES.items():
    hack("pages against the reader", _name, "the reader runs in an isolated world with prototypes of its own", in_the_page)(
        lambda html=_html: misread(html)
    )
