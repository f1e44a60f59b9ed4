"""Situations that pages bring, each in a line or two: what is read there, and what an action does. Plain Chromium does the same."""

from collections.abc import Callable

import pytest

from tests.webgym.pages import HOST, OTHER, Visitor, lines
from webgym.types import Action, Click, Drag, Fill, Forward, MouseClick, Press, Type, Upload

SAY = "<p id=log>log</p><script>window.say = words => log.append(' ' + words)</script>"
FAR = "<div style='height:1600px'>far</div>"
PAY = "<button onclick=\"say('hit')\">Pay</button>"


def said(at: Visitor) -> str:
    """What the page has noted so far."""
    return str(at.js("log.textContent")).removeprefix("log").strip()


def element(name: str, inner: str, more: str = "", mode: str = "open") -> str:
    """A custom element whose shadow root holds `inner`; `more` runs then, with `root` and `this`."""
    return (
        f"<{name}></{name}><script>customElements.define('{name}', class extends HTMLElement {{ constructor() {{ super(); "
        f"const root = this.attachShadow({{mode: '{mode}'}}); root.innerHTML = `{inner}`; {more} }} }})</script>"
    )


READ: dict[str, tuple[str, list[str]]] = {
    "counters": (
        "<style>body{counter-reset:s} h2::before{counter-increment:s; content:'Step ' counter(s, upper-roman) ': '}</style>"
        "<h2>Buy</h2><h2 style='display:none'>no</h2><h2>Pay</h2>",
        ["heading Step I: Buy", "heading Step II: Pay"],
    ),
    "counters in counters": (
        "<style>ol{counter-reset:i; list-style:none} li{counter-increment:i} li::before{content:counters(i, '.') ' '}</style>"
        "<ol><li>A<ol><li>B<li>C</ol><li>D</ol>",
        ["text 1 A", "text 1.1 B", "text 1.2 C", "text 2 D"],
    ),
    "marks of lists": (
        "<ol start=3><li>A<li value=9>B</ol><ol type=A reversed><li>C<li>D</ol><ul><li>E</ul><ol style='list-style:none'><li>F</ol>",
        ["text 3. A", "text 9. B", "text B. C", "text A. D", "text E", "text F"],
    ),
    "quotes": ("<p>He said <q>Hi</q>.", ["text He said “Hi”."]),
    "sheets with scopes": ("<style>@scope (.card) { :scope > b::before { content:'New ' } }</style><p class=card><b>x</b>", ["text New x"]),
    "cells over columns": (
        "<table><tr><th>A<th>B<th>C<tr><td colspan=2>x<td>y<tr><td>1<td colspan=2>2</table>",
        ["row A | B | C", "row x | | y", "row 1 | 2 |"],
    ),
    "cells over rows": (
        "<table><tr><th rowspan=2>Name<th colspan=2>Score<tr><th>Min<th>Max<tr><td rowspan=2>Ann<td>1<td>2<tr><td>3<td>4</table>",
        ["row Name | Score |", "row | Min | Max", "row Ann | 1 | 2", "row | 3 | 4"],
    ),
    "rows that are clicked": (
        "<table><tr><th>A<th>B<tr onclick=1><td>1<td>2<tr onclick=1><td>3<td>4</table>",
        ["row A | B", "clickable 1 | 2", "clickable 3 | 4"],
    ),
    "groups of options with a legend": (
        "<select aria-label=S><option>A<optgroup><legend>More</legend><option>B</optgroup><optgroup><option>C</optgroup></select>",
        ["combobox S = A", "option A (selected)", "group More", "option B", "group ", "option C"],
    ),
    "fields that show discs": ("<input aria-label=F value=abc style='-webkit-text-security:disc'>", ["textbox F = •••"]),
    "boxes that the keyboard reaches": (
        "<div tabindex=0>Words <button>Go</button></div><div tabindex=0 onkeydown=1><p>A</p><p>B</p></div><p tabindex=0>C</p>",
        ["region ", "text Words", "button Go", "region ", "text A", "text B", "clickable C"],
    ),
    "made flat": (
        "<div style='transform:scale(0)'>a<button>A</button></div><div style='transform:scaleY(0)'>b<a href=/>B</a></div>c",
        ["text c"],
    ),
    "drawers out of the view": (
        "<div style='position:fixed; right:0; width:200px; transform:translateX(100%)'>a<button>A</button></div>"
        "<div style='position:fixed; bottom:-90px; height:90px'>b<button>B</button></div>"
        "<div style='position:fixed; right:-200px; width:200px; top:90px'>c<button style='position:absolute; left:-40px'>C</button></div>d",
        ["button C", "text d"],
    ),
    "a drawer that scrolls": (
        "<div style='position:fixed; top:0; height:90px; overflow:auto'><p style='height:900px'>a<p>b<button>B</button></div>",
        ["text a", "text b", "button B"],
    ),
    "beside a page that is cut": (
        "<style>body{overflow-x:hidden}</style><div style='position:absolute; left:2000px'>a<button>A</button></div>"
        "<div style='display:flex; overflow-x:auto'><p style='flex:none; width:2000px'>b<p style='flex:none'><button>B</button></div>",
        ["text b", "button B"],
    ),
    "beside the body": (
        "a<script>document.documentElement.append(Object.assign(document.createElement('b'), {textContent: 'B'}))</script>",
        ["text a", "text B"],
    ),
    "a modal dialog in a root": (
        "<button>Behind</button>" + element("x-d", "<dialog><button>Yes</button></dialog>", "root.firstChild.showModal()"),
        ["text Behind", "button Yes (focused)"],
    ),
    "modal dialogs in each other": (
        "<dialog id=a><button>A</button><dialog id=b><button>B</button></dialog></dialog><script>a.showModal(); b.showModal()</script>",
        ["text A", "button B (focused)"],
    ),
    "options that are not shown": (
        "<select aria-label=S><option style='display:none'>A<optgroup label=G hidden><option>B</optgroup><option selected>C</select>",
        ["combobox S = C", "option C (selected)"],
    ),
    "what is disabled around it": ("<div role=toolbar aria-disabled=true><button>A</button></div>", ["button A (disabled)"]),
    "what the keyboard is on": (
        "<div role=listbox tabindex=0 aria-label=L aria-activedescendant=b id=l><p role=option>A<p role=option id=b>B</div>"
        "<script>l.focus()</script>",
        ["listbox L =  (focused)", "option A", "option B (focused)"],
    ),
    "names by elements": (
        "<p id=l>Card</p><input id=i><script>i.ariaLabelledByElements = [l]</script>",
        ["text Card", "textbox Card = "],
    ),
    "what an element says of itself": (
        "<x-i tabindex=0>Ok</x-i><script>customElements.define('x-i', class extends HTMLElement { constructor() { super(); Object.assign("
        "this.attachInternals(), {role: 'checkbox', ariaChecked: 'true', ariaLabel: 'Agree'}) } })</script>",
        ["checkbox Agree (checked)"],
    ),
    "values of splitters and toggles": (
        "<div role=separator tabindex=0 aria-valuenow=30 aria-label=S style='height:9px'></div><button aria-pressed=mixed>B</button>",
        ["separator S = 30", "button B (mixed)"],
    ),
    "pictures with titles": (
        "<p>a <svg width=9 height=9><title>Yes</title></svg> <i role=img aria-labelledby=t></i><b hidden id=t>Four</b>",
        ["text a Yes Four"],
    ),
    "words over which a line may break": ("<p>imple&shy;ment a&#8203;b <ruby>漢<rt>kan</rt></ruby>", ["text implement ab 漢kan"]),
    "an empty text that a sheet names": (
        "<style>p:empty::before{content:attr(data-p)}</style><p contenteditable data-p=Write style='height:20px'></p>",
        ["textbox Write = "],
    ),
    "a page that is edited as a whole": ("<iframe srcdoc='<html contenteditable aria-label=F><body>old'></iframe>", ["textbox F = old"]),
    "what shows under the pointer": (
        "<style>.s{display:none} .m:hover .s, b:hover + .s{display:block} i:hover .n{opacity:1} .i:hover::after{content:'tip'}</style>"
        "<div class=m>Menu<p class=s>Sub</p></div><p>Size <i class=i>?</i> <i>plain</i> <b>Tip</b><span class=s>of it</span><p id=h>Info"
        "<script>h.onmouseenter = () => 0</script><div class=m><a href=/>Link</a><p class=s>Sub</div>",
        ["clickable Menu", "text Size", "clickable ?", "text plain", "clickable Tip", "clickable Info", "link Link"],
    ),
    "seen through a filter": ("<style>.f{filter:opacity(0)}</style><p class=f>a<p>b", ["text b"]),
    "a link around what floats": ("<a href=/><span style='float:left'><img alt=Go width=30 height=30></span></a>", ["link Go"]),
}


@pytest.mark.parametrize("kind", READ)
def test_what_is_read(at, kind):
    html, wanted = READ[kind]
    assert lines(at.open("<!doctype html>" + html)) == wanted


HANDLERS = {
    "a switch of ids": "switch (e.target.id) { case 'pay': say('hit') }",
    "an id that is taken out": "const { id } = e.target; if (id === 'pay') say('hit')",
    "a list of ids": "if (['pay', 'other'].includes(e.target.id)) say('hit')",
    "the beginning of an id": "if (e.target.id.startsWith('pa')) say('hit')",
    "a switch of tags": "switch (e.target.tagName) { case 'SPAN': say('hit') }",
    "a way up": "for (let n = e.target; n; n = n.parentNode) if (n.className === 'p') return say('hit')",
    "a selector that has a name": "const s = '.p'; if (e.target.closest(s)) say('hit')",
    "a list of classes that has a name": "const c = e.target.classList; if (c.contains('p')) say('hit')",
    "part of a class": "if (e.target.className.includes('p')) say('hit')",
    "what it stands in": "if (e.target.parentElement.id === 'l') say('hit')",
    "the way of the event": "if (e.composedPath()[0].id == 'pay') say('hit')",
}


@pytest.mark.parametrize("way", HANDLERS)
def test_what_a_handler_asks_for_can_be_clicked(at, way):
    spans = "<div id=l><span id=pay class=p>Pay</span> <i>text</i></div>"
    at.open(f"{SAY}{spans}<script>addEventListener('click', e => {{ {HANDLERS[way]} }})</script>")
    at.do(Click(at.ref("Pay")))
    assert said(at) == "hit"


ROWS = "<ul><li data-k=1>One</li><li data-k=2>Pay</li></ul>"
HEARD = "root.addEventListener('click', e => { const row = e.target.closest('[data-k]'); row && say(row.dataset.k) })"
MAP = (
    "<img usemap=#m width=200 height=100 alt=p><map name=m><area coords=0,0,100,100 href=#a alt=A>"
    "<area coords=100,0,200,100 href=#b alt=Pay onclick=say('hit')></map>"
)
LIST = "<select id=s size=4 {0}><option>A<option>Pay</select><script>s.{1} = e => say(e.type + ' ' + e.target.textContent)</script>"
CLICKED: dict[str, tuple[str, Callable[[int], Action], str]] = {
    "an area of a picture that is scaled": (f"<div style='transform:scale(.5); transform-origin:0 0'>{MAP}</div>", Click, "hit"),
    "an area of a picture that is zoomed and padded": (
        f"<div style='zoom:.5'>{MAP.replace('<img ', '<img style=padding:30px ')}</div>",
        Click,
        "hit",
    ),
    "an area that listens": (
        MAP.replace(" href=#b", "").replace("onclick=say('hit')", "id=q")
        + "<script>q.addEventListener('click', () => say('hit'))</script>",
        Click,
        "hit",
    ),
    "a root that listens": (element("x-p", ROWS, HEARD), Click, "2"),
    "a closed root that listens": (element("x-p", ROWS, HEARD, "closed"), Click, "2"),
    "no box of its own, with a root": (
        "<x-p onclick=say('hit') role=button tabindex=0 style='display:contents'></x-p>"
        + element("x-p", "<b>Pay</b>").replace("<x-p></x-p>", ""),
        Click,
        "hit",
    ),
    "what stands beside its box": (
        "<a href=#a onclick=say('hit')><b style='position:absolute; left:300px; top:200px'>Pay</b></a>",
        Click,
        "hit",
    ),
    "an option that is clicked twice": (LIST.format("multiple", "ondblclick"), lambda ref: Click(ref, count=2), "dblclick Pay"),
    "an option whose click is heard": (LIST.format("", "onclick"), Click, "click Pay"),
    "an option with a menu": (LIST.format("", "oncontextmenu"), lambda ref: Click(ref, "right"), "contextmenu Pay"),
    "a menu that markup asks for": ("<p oncontextmenu=say('hit')>Pay", lambda ref: Click(ref, "right"), "hit"),
    "what is made anew under the pointer": (
        f'<div id=d onmouseover="if (!window.n) {{ n = 1; d.innerHTML = d.innerHTML }}">{PAY}</div>',
        Click,
        "hit",
    ),
}


@pytest.mark.parametrize("kind", CLICKED)
def test_what_is_clicked(at, kind):
    html, action, wanted = CLICKED[kind]
    at.open(SAY + html)
    at.do(action(at.ref("Pay")))
    assert said(at) == wanted


def test_a_label_that_listens_is_a_thing_beside_its_field(at):
    at.open(f"{SAY}<input type=checkbox id=c><label for=c onclick=say('hit')>Pay</label>")
    at.do(Click(at.ref("Pay", "clickable")))
    assert (said(at), at.js("c.checked")) == ("hit", True)


OVER = "<div id=o hidden style='position:fixed; inset:0' onclick=say('over')>Over</div>"
COVERS = {
    "here": f"{OVER}<div onmouseenter='o.hidden = false'>{PAY}</div>",
    "over a frame": f"{OVER}<iframe srcdoc=\"<div onmouseenter='top.o.hidden = false'><button onclick=top.say(1)>Pay</button></div>\">"
    "</iframe>",
}


@pytest.mark.parametrize("where", COVERS)
def test_a_click_that_something_gets_in_the_way_of_does_not_take_place_and_is_told(at, where):
    at.open(SAY + COVERS[where])
    box = at.node("Pay").box
    assert at.do(Click(at.ref("Pay"))).notices == ('the click did not take place: when the pointer came, <div id=o> "Over" was in its way',)
    assert said(at) == "" and box
    at.do(MouseClick(box[0] + 5, box[1] + 5))  # a click at a point is meant for what is there
    assert said(at) == "over"


LEAVING = {
    "a message comes above it": ("e.onblur = () => m.innerHTML = '<p style=height:60px>Bad'", True),
    "a message goes away above it": ("m.innerHTML = '<p style=height:60px>Bad'; e.onblur = () => m.innerHTML = ''", True),
    "it moves by little": ("e.onblur = () => m.innerHTML = '<i style=display:block;height:2px>'", False),
    "it is replaced": ("e.onblur = () => b.outerHTML = '<button id=b>Go</button>'", False),
    "it stays": ("", False),
}


@pytest.mark.parametrize("how", LEAVING)
def test_a_click_that_moves_its_own_thing_away_is_told(at, how):
    """The field that loses the focus at the press makes room for words of its own; plain Playwright loses such a click as well."""
    script, lost = LEAVING[how]
    button = "<button id=b onclick='document.title = 1'>Go</button>"
    at.open(f"<input id=e aria-label=Email autofocus><div id=m></div>{button}<script>{script}</script>")
    at.do(Click(at.ref("Email")))
    observation = at.do(Click(at.ref("Go")))
    assert [notice.partition(",")[0] for notice in observation.notices] == [
        "the click did not take place: the page moved it between press and release"
    ] * lost
    assert (observation.title == "1") == (how in ("it moves by little", "it stays"))


CARD = "<style>.col{height:80px; width:200px; border:1px solid}</style><div draggable=true>Card</div>"
BOARD = "<div id=b><div class=col title=Zone></div><div class=col title=Done></div></div>"
TAKES = "e => { const c = e.target.closest('.col'); if (c) { e.preventDefault(); e.type === 'drop' && say(c.title) } }"
POINT = "{ const c = document.elementFromPoint(e.clientX, e.clientY).closest('.col'); c && say(c.title) }"
DRAGGED = {
    "a board that listens": f"{CARD}{BOARD}<script>b.ondragover = b.ondrop = {TAKES}</script>",
    "a document that listens": f"{CARD}{BOARD}<script>for (const t of ['dragover', 'drop']) document.addEventListener(t, {TAKES})</script>",
    "a card that asks what is below": f"<style>.col{{height:80px}}</style><p id=c>Card</p>{BOARD}<script>c.onpointerdown = e => "
    f"c.setPointerCapture(e.pointerId); c.onpointerup = e => {POINT}</script>",
}


@pytest.mark.parametrize("kind", DRAGGED)
def test_empty_columns_take_what_is_dragged(at, kind):
    at.open(SAY + DRAGGED[kind])
    at.do(Drag(at.ref("Card"), at.ref("Zone")))
    assert said(at) == "Zone"


def test_files_are_dropped_where_drops_are_taken(at):
    at.open(
        f"{SAY}<div id=z style='height:60px' ondragover='event.preventDefault()'>Zone</div><p ondragover=0>Deaf</p><button>None</button>"
        "<p ondragover='event.preventDefault()' ondrop=say('lazy')>Lazy</p>"
        "<script>z.ondrop = e => { e.preventDefault(); say([...e.dataTransfer.files].map(f => f.name)) }</script>",
        files={"a.txt": "A", "b.txt": "B"},
    )
    at.do(Upload(at.ref("Zone"), ("a.txt", "b.txt")))
    assert said(at) == "a.txt,b.txt"
    assert at.do(Upload(at.ref("Deaf"), ("a.txt",))).notices == ("nothing on the page took what was dropped",)
    at.do(Upload(at.ref("Lazy"), ("a.txt",)))  # it hears of the drop and leaves it to the browser, which opens no file here
    assert said(at).endswith("lazy") and len(at.observation.tabs) == 1
    assert "is no file field" in at.fails(Upload(at.ref("None"), ("a.txt",)))


def test_a_tab_that_is_typed_is_its_key_and_one_that_is_filled_in_is_text(at):
    at.open("<textarea id=i autofocus aria-label=F></textarea><input id=j>")
    at.do(Type("a\tb"))
    assert at.js("[i.value, j.value]") == ["a", "b"]
    at.do(Fill(at.ref("F"), "a\tb"))
    assert at.js("[i.value, j.value]") == ["a\tb", "b"]


HELD = {
    "a field that is not shown": (
        "<input required name=q hidden>",
        'the field "q", which is not shown, holds the form back: Please fill out',
    ),
    "a field of the page's own": (
        "<x-i></x-i><script>customElements.define('x-i', class extends HTMLElement { static formAssociated = true; constructor() { "
        "super(); const i = this.attachInternals(), r = this.attachShadow({mode: 'open', delegatesFocus: true}); r.innerHTML = '<input>'; "
        "i.setValidity({valueMissing: true}, 'Need it', r.firstChild) } })</script>",
        'the field "" holds the form back: Need it',
    ),
    "a page that moves while it is read": (
        "<style>form{width:300px; transition:width .3s} .w{width:500px}</style><input required name=q><script>addEventListener('click', "
        "() => document.forms[0].className = 'w'); addEventListener('transitionend', () => 0)</script>",
        'the field "q" holds the form back: Please fill out',
    ),
}


@pytest.mark.parametrize("kind", HELD)
def test_what_holds_a_form_back_is_told_once(at, kind):
    field, words = HELD[kind]
    at.open(f"<form>{field}<button>Send</button></form>")
    told = at.do(Click(at.ref("Send"))).notices
    assert len(told) == 1 and told[0].startswith(words)
    assert at.do(Press("Shift")).notices == ()


WAYS = {
    "history.back()": "link On",
    "setTimeout(() => history.back(), 50)": "link On",
    "history.go(-2)": "link A",
    "navigation.back()": "link On",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_page_that_goes_back_by_itself_holds_no_time(at, way):
    pages = {"/a": "<a href=/b>On</a>", "/b": f"<button onclick='{way}'>Back</button><button onclick='history.go(-9)'>Far</button>"}
    at.open("<a href=/a>A</a>", pages)
    for name in ("A", "On", "Far", "Back"):
        at.do(Click(at.ref(name)))
    assert lines(at.observation) == [WAYS[way]]
    assert lines(at.do(Forward()))[0] == ("button Back" if WAYS[way] == "link On" else "link On")


def test_a_page_that_goes_back_within_itself_hears_of_it(at):
    at.open(f"{SAY}<button onclick=\"onpopstate = () => say(location.hash); history.pushState(1, '', '#x'); history.back()\">Go</button>")
    at.do(Click(at.ref("Go")))
    assert at.js("location.hash") == "" and at.js("history.length") == 2


def test_hosts_that_ask_each_other_first(at):
    """A front end sends JSON and an authorization to another host, which the browser asks for its leave before."""
    allowed = {"access-control-allow-origin": "*", "access-control-allow-headers": "content-type, authorization"}
    at.open(SAY, {"/api": (200, allowed, "yes")}, hosts=(HOST, OTHER))
    how = "{method: 'POST', headers: {'content-type': 'application/json', authorization: 'Bearer t'}, body: '{}'}"
    assert at.promise(f"fetch('http://{OTHER}/api', {how}).then(r => r.text())") == "yes"
    asked = [(method, headers.get("authorization")) for method, _, headers, _ in at.other.requests]
    assert asked == [("OPTIONS", None), ("POST", "Bearer t")]
