"""Reading of pages by kinds: what bears a ref, what it is called, and what a person sees of a page; see test_names.py for names."""

from typing import Any

import pytest

from tests.webgym.pages import HOST, OTHER, Visitor, lines
from webgym.prompts.prompt import prompt_text
from webgym.prompts.settings import COMPACT, PromptSettings
from webgym.types import Click, Fill, Goto, Scroll

HAND = "<style>.h{cursor:pointer}</style>"
DELEGATES: dict[str, tuple[str, list[str]]] = {
    "document, by class": (
        "<p class=pick>Ann<p class=pick>Bob<p>text<script>document.addEventListener('click', "
        "e => e.target.closest('.pick')?.remove())</script>",
        ["clickable Ann", "clickable Bob", "text text"],
    ),
    "document, by tag": (
        "<ol><li>Ann<li>Bob</ol><p>text<script>document.onclick = ({target}) => { if (target.tagName === 'LI') target.remove() }</script>",
        ["clickable Ann", "clickable Bob", "text text"],
    ),
    "body, by data": (
        "<span data-user-id=1>Ann</span> <span data-user-id=2>Bob</span> text"
        "<script>document.body.addEventListener('mousedown', e => { const {userId} = e.target.dataset })</script>",
        ["clickable Ann", "clickable Bob", "text text"],
    ),
    "a list, in words that tell nothing": (
        "<ul id=u><li>Ann<li>Bob</ul><script>u.addEventListener('click', function (e) { this.title = e.target })</script>",
        ["clickable Ann", "clickable Bob"],
    ),
    "a table, by rows": (
        "<table id=t><tr><td>Ann<tr><td>Bob</table><script>t.onclick = e => e.target.closest('tr')</script>",
        ["clickable Ann", "clickable Bob"],
    ),
    "a table, by cells": (
        "<table id=t><tr><td>1<td>2<tr><td>3<td>4</table><script>t.onclick = e => e.target.closest('td')</script>",
        ["clickable 1", "clickable 2", "clickable 3", "clickable 4"],
    ),
    "an object that listens": (
        "<div class=row>Ann</div><script>addEventListener('click', {handleEvent(e) { return e.target.matches('.row') }})</script>",
        ["clickable Ann"],
    ),
    "what is outside of a menu": (
        "<div class=menu>Menu<p>text</div><script>document.onclick = e => { if (!e.target.closest('.menu')) alert(1) }</script>",
        ["text Menu", "text text"],
    ),
    "one wrapper inside of a listener": (
        f"{HAND}<div onclick=event.stopPropagation()><div><p class=h>Inbox<p class=h>Spam</div></div>",
        ["clickable Inbox", "clickable Spam"],
    ),
    "things in a thing": (
        f"{HAND}<div class=h>Poll <div><div class='h a'>Yes</div><div class='h a'>No</div></div></div>",
        ["clickable Poll", "clickable Yes", "clickable No"],
    ),
    "cells in a thing": (f"{HAND}<div class=h>Sheet<table><tr><td>1<td>2</table></div>", ["clickable Sheet", "clickable 1", "clickable 2"]),
    "lines of a card": (f"{HAND}<div class=h><p>Title<p>more</div>", ["clickable Title more"]),
    "a row of its own, with things in it": (
        "<table><tr onclick=1><td>Ann<td><span onclick=1>Edit</span><td><button>Delete</button></table>",
        ["clickable Ann", "clickable Edit", "button Delete"],
    ),
    "properties that React writes": (
        "<div id=root><div>Ann</div><div>Bob</div></div><script>root._reactListening1 = true; root.addEventListener('click', () => 0);"
        "root.children[1].__reactProps$k = {onClick() {}}</script>",
        ["text Ann", "clickable Bob"],
    ),
}


@pytest.mark.parametrize("kind", DELEGATES)
def test_who_listens_for_others(at, kind):
    html, wanted = DELEGATES[kind]
    assert lines(at.open(html)) == wanted


def test_a_thing_that_a_delegate_tells_apart_is_the_one_that_is_clicked(at):
    at.open("<ul id=u><li>Ann<li>Bob</ul><script>u.onclick = e => document.title = e.target.textContent</script>")
    assert at.do(Click(at.ref("Bob"))).title == "Bob"


WORDS = "words of a long text that goes on " * 12
WIKI = (
    "<h1>Wiki</h1><p>a notebook</p><button>New</button><h2>Start</h2><p>Hello</p><p>Read <a href=/x>more</a> here</p>"
    "<table><tr><th>A<th>B<tr><td>1<td>2</table>"
)
WIKI_READ = [
    *("heading Wiki", "text a notebook", "button New", "heading Start", "text Hello", "text Read", "link more", "text here"),
    *("row A | B", "row 1 | 2"),
]
DROPS = "<script>for (const kind of ['dragenter', 'dragover', 'drop']) x.addEventListener(kind, e => e.preventDefault())</script>"
WIDE: dict[str, tuple[str, list[str]]] = {
    "a page that takes drops": (f"<div id=x class=zone>{WIKI}</div>{DROPS}", ["clickable ", *WIKI_READ]),
    "a page with a name of its own": (f"<main id=x aria-label=Wiki>{WIKI}</main>{DROPS}", ["clickable Wiki", *WIKI_READ]),
    "a hand over all": (f"<div id=x style=cursor:pointer>{WIKI}</div><script>x.onclick = () => 0</script>", ["clickable ", *WIKI_READ]),
    "a page that is dragged": (f"<div draggable=true>{WIKI}</div>", ["clickable  (draggable)", *WIKI_READ]),
    "a page that a delegate looks for": (
        f"<div class=page>{'<p>One' * 9}</div><script>document.onclick = e => e.target.closest('.page')</script>",
        ["clickable ", *["text One"] * 9],
    ),
    "a page in a page": (
        f"<div style=cursor:pointer onclick=1><h1>Top</h1><div id=x>{WIKI}</div></div>{DROPS}",
        ["clickable ", "heading Top", "clickable ", *WIKI_READ],
    ),
    "the same page twice": (f"<div style=cursor:pointer onclick=1><div id=x>{WIKI}</div></div>{DROPS}", ["clickable ", *WIKI_READ]),
    "a long text": (f"<div onclick=1>{WORDS}</div>", ["clickable ", f"text {WORDS.strip()}"]),
    "a long text beside a short one": (
        f"<div onclick=1><p>Short<p>{WORDS}<b>end</b></div>",
        ["clickable Short", "clickable ", f"text {WORDS}end"],
    ),
    "blocks of blocks": (
        f"<div onclick=1><section><h2>Head</h2>{'<p>One' * 7}</section><footer>Foot</footer></div>",
        ["clickable Head", *["clickable One"] * 7, "clickable Foot"],
    ),
    "a table among blocks": (
        "<div onclick=1><p>One<table><tr><td>1<td>2<tr><td>3<td>4</table></div>",
        ["clickable One", "clickable 1 | 2", "clickable 3 | 4"],
    ),
    "a frame in a page": (
        f"<div id=x><p>One<iframe sandbox srcdoc='<button>In</button>'></iframe>{'<p>Two' * 7}</div>after{DROPS}",
        ["clickable ", "text One", "button In", *["text Two"] * 7, "text after"],
    ),
    "a body with things in it": (f"<body onclick=1>{WIKI}", WIKI_READ),
    "a body with nothing in it": ("<body onclick=1><p>Click to go on", ["clickable ", "text Click to go on"]),
    "a card": (
        "<div style=cursor:pointer onclick=1><img alt=Phone><h3>Phone 3</h3><p>$5<p>In stock<button>Add</button></div>",
        ["clickable Phone Phone 3 $5 In stock", "button Add"],
    ),
    "a column of cards": (
        f"<div id=x><h3>Doing</h3>{'<p draggable=true>Card' * 5}</div>{DROPS}",
        ["clickable Doing", *["clickable Card (draggable)"] * 5],
    ),
}


@pytest.mark.parametrize("kind", WIDE)
def test_what_holds_much_is_not_named_by_it(at, kind):
    html, wanted = WIDE[kind]
    assert lines(at.open("<!doctype html>" + html)) == wanted


def test_what_holds_much_is_clicked_all_the_same(at):
    at.open("<body onclick='document.title = 1'><p>Click to go on")
    assert at.do(Click(0)).title == "1"
    at.open(f"<div style=cursor:pointer onclick='document.title = 2'>{'<p>One' * 9}</div>")
    assert at.do(Click(0)).title == "2"


def test_things_in_things_without_end_are_read_once(at):
    at.open("<div ondrop=1 ondragover=1>x" * 300 + "<p>One" * 9)
    assert lines(at.observation) == ["clickable ", "text x"] * 300 + ["text One"] * 9


WIDGETS: dict[str, tuple[str, list[str]]] = {
    "options of a list": (
        "<ul role=listbox aria-label=Size><li role=option>S<li role=option aria-selected=true>M</ul>",
        ["listbox Size = M", "option S", "option M (selected)"],
    ),
    "a combobox and its list": (
        "<div role=combobox aria-expanded=true tabindex=0 aria-label=To>"
        "Rome</div><ol role=listbox aria-label=Towns><li role=option>Oslo</ol>",
        ["combobox To = Rome (expanded)", "listbox Towns = ", "option Oslo"],
    ),
    "a tree": (
        "<ul role=tree><li role=treeitem tabindex=0 aria-expanded=true>A<ul role=group><li role=treeitem tabindex=-1>B</ul></ul>",
        ["treeitem A (expanded)", "treeitem B"],
    ),
    "cells of a grid": (
        "<div role=grid><div role=row><div role=gridcell tabindex=-1>1</div><div role=gridcell tabindex=0>2</div></div></div>",
        ["gridcell 1", "gridcell 2"],
    ),
    "groups of options": (
        "<select aria-label=S><optgroup label=Fruit><option>Other<optgroup label=Veg><option>Other</select><input type=reset>",
        ["combobox S = Other", "group Fruit", "option Other (selected)", "group Veg", "option Other", "button Reset"],
    ),
    "suggestions": (
        "<label>Fruit <input list=f></label><datalist id=f><option>Fig<option value=B label=Banana></datalist>",
        ["textbox Fruit = ", "option Fig", "option B Banana"],
    ),
    "details": (
        "<details><p>in</details><details open><p>in</details><details><summary>More</summary></details>",
        ["button Details (collapsed)", "button Details (expanded)", "text in", "button More (collapsed)"],
    ),
    "a map": (
        "<img usemap='#m' alt=Land width=90 height=50><map name=m><area href=/n alt=North coords=0,0,40,50><area alt=none></map>",
        ["text Land", "link North"],
    ),
    "drawings": (
        "<svg width=90 height=40><a href=/x><text y=20>Go</text></a><g onclick=1><title>Hill</title><rect width=9 height=9 /></g></svg>",
        ["link Go", "clickable Hill"],
    ),
    "media": ("<video controls aria-label=Clip></video><audio></audio>", ["video Clip"]),
    "surfaces": (
        "<canvas id=c width=50 height=50></canvas><canvas width=9></canvas><div id=z class=zone style='height:40px'></div>"
        "<script>c.onclick = () => 0; z.ondragover = () => 0; z.addEventListener('drop', () => 0)</script>",
        ["canvas c", "clickable zone"],
    ),
    "cards": ("<div draggable=true><h4>Card</h4><p>more</div>", ["clickable Card more (draggable)"]),
    "files behind labels": (
        "<label>Photo<input type=file hidden></label><input type=file id=f style='position:absolute;width:1px;height:1px;opacity:0'>"
        "<label for=f>Letter</label>",
        ["file Photo = ", "file Letter = "],
    ),
    "what stands in a label": (
        "<label><input type=checkbox>I accept the <a href=/t>terms</a></label><label>Payee <input><ul><li onclick=1>Ann</ul></label>",
        ["checkbox I accept the terms", "link terms", "textbox Payee Ann = ", "clickable Ann"],
    ),
    "an editor": ("<div contenteditable aria-label=Note><p>one <b>two</b></div>", ["textbox Note = one two"]),
    "an editor that is a page": ("<iframe srcdoc='<body contenteditable aria-label=Ed><p>old'></iframe>", ["textbox Ed = old"]),
    "design mode": (
        "<iframe id=f srcdoc=x></iframe><script>f.onload = () => f.contentDocument.designMode = 'on'</script>",
        ["textbox  = x"],
    ),
    "slots and no boxes": (
        "<x-b>Save</x-b><a href=/ style='display:contents'>Card</a><p "
        "style='display:contents'>Body</p><script>customElements.define('x-b',"
        "class extends HTMLElement {constructor() {super(); this.attachShadow({mode: "
        "'open'}).innerHTML = '<button><slot></button>'}})</script>",
        ["button Save", "link Card", "text Body"],
    ),
    "closed shadow roots": (
        "<p id=h></p><div><template shadowrootmode=closed><button>Made</button>"
        "</template></div><script>const r = h.attachShadow({mode: 'closed'});"
        "r.innerHTML = '<b>in</b><button>Shut</button><div><i>heard</i></div>'; r.querySelector('div').onclick = () => 0</script>",
        ["text in", "button Shut", "clickable heard", "button Made"],
    ),
    "boxes that go on": (
        "<div id=t style='height:30px;overflow:auto'><p>one<p>two<p>three</div><div style='height:30px;overflow:auto'>short</div>",
        ["region t (scrollable)", "text one", "text two", "text three", "text short"],
    ),
    "anchors": ("<a name=x>place</a> <a onclick=1>script</a>", ["text place", "link script"]),
}


@pytest.mark.parametrize("kind", WIDGETS)
def test_what_bears_a_ref(at, kind):
    html, wanted = WIDGETS[kind]
    assert lines(at.open(html)) == wanted


def test_a_page_of_xhtml(at):
    body = """<a href="/b">Link</a><input aria-label="Name"/><select aria-label="S"><option>one</option></select><textarea aria-label="T"/>
        <button>Go</button><details><summary>More</summary></details><ul><li>item</li></ul><h2>Head</h2><img alt="pic"/>"""
    page = (200, {"content-type": "application/xhtml+xml"}, f"<html xmlns='http://www.w3.org/1999/xhtml'><body>{body}</body></html>")
    at.open("<p>x", {"/": page})
    assert lines(at.observation) == [
        *(
            "link Link",
            "textbox Name = ",
            "combobox S = one",
            "option one (selected)",
            "textbox T = ",
            "button Go",
            "button More (collapsed)",
        ),
        *("text item", "heading Head", "text pic"),
    ]


LOOKS: dict[str, tuple[str, list[str]]] = {
    "see-through": (
        "<p style='color:transparent'>a<p style='opacity:0'>b<button style='opacity:0'>c</button><p style='font-size:0'>d",
        ["button c"],
    ),
    "see-through by a sheet": ("<style>.a{color:rgb(0 0 0 / 0)} .b{opacity:0}</style><p class=a>a<p class=b>b<p>c", ["text c"]),
    "a picture in letters": ("<h1 style='color:transparent;background:red;background-clip:text'>Shown</h1>", ["heading Shown"]),
    "clipped": (
        "<style>.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip:rect(0,0,0,0)}</style>"
        "<p class=sr>a<p style='clip-path:inset(50%)'>b"
        "<div style='height:0;overflow:hidden'><p>c</p><a href=/>d</a></div><p style='text-indent:-999px;overflow:hidden'>e</p>"
        "<button><i aria-hidden=true>×</i><span class=sr>Close</span></button>",
        ["button Close"],
    ),
    "beside the window": (
        "<div style='width:90px;overflow:hidden;position:relative;height:30px'><p style='position:absolute;left:0;width:90px'>in<p "
        "style='position:absolute;left:100px;width:90px'>out</div>",
        ["text in"],
    ),
    "not clipped": (
        "<div style='height:10px;overflow:hidden'><p style='position:absolute;top:90px'>"
        "placed</p></div><div style='overflow:hidden'>all</div>",
        ["text placed", "text all"],
    ),
    "inert": ("<div inert>text <button>b</button></div><button>c</button>", ["text text b", "button c"]),
    "behind a modal": (
        "<p>behind</p><button>b</button><dialog id=d><p>Sure?</p><button>Yes</button></dialog><script>d.showModal()</script>",
        ["text behind", "text b", "text Sure?", "button Yes (focused)"],
    ),
    "hidden from readers only": ("<p aria-hidden=true>a <button>b</button>", ["text a", "button b"]),
    "kept out of the drawing": (
        "<div style='content-visibility:hidden'><p>a<button>b</button></div><p hidden=until-found>c<p>d",
        ["text d"],
    ),
    "before and after": (
        "<style>p::before{content:'Note: '} .n::after{content:' (' attr(data-n) "
        "')'} i::before{content:'\\f101'} b::before{content:'★' / ''}"
        "div:empty::before{content:'drop here'}</style><p>x</p><button class=n data-n=3>Cart</button><p><i></i><b>y</b></p><div></div>",
        ["text Note: x", "button Cart (3)", "text Note: y", "text drop here"],
    ),
    "right to left": (
        "<html dir=rtl><p>x<div style='position:absolute;left:-500px'>reached</div><div style='position:absolute;left:4000px'>not</div>",
        ["text x", "text reached"],
    ),
    "amounts": (
        "<label>Up <progress value=.4></progress></label><meter value=6 max=10 "
        "aria-label=Disk></meter><i role=progressbar aria-valuenow=30></i>"
        "<progress></progress>",
        ["progressbar Up = 40%", "meter Disk = 6 of 10", "progressbar  = 30%", "progressbar  = "],
    ),
    "glyphs": (
        "<button title=Bold>B</button><button title=Delete>🗑</button><a href=/ title=Add>+</a><button title=Store>Save</button>",
        ["button B Bold", "button 🗑 Delete", "link + Add", "button Save"],
    ),
    "types and masks": (
        "<input type=date aria-label=a><input type=time aria-label=b><input "
        "type=password aria-label=c value=abc><input type=email aria-label=d>",
        ["textbox a =  (date)", "textbox b =  (time)", "textbox c = ••• (password)", "textbox d = "],
    ),
    "states": (
        "<input type=checkbox id=c aria-label=c><i class='tab active' onclick=1>One</i><i class=tab onclick=1>Two</i>"
        "<input aria-label=e aria-invalid=true required><script>c.indeterminate = true</script>",
        ["checkbox c (mixed)", "clickable One (selected)", "clickable Two", "textbox e =  (required, invalid)"],
    ),
}


@pytest.mark.parametrize("kind", LOOKS)
def test_what_a_person_sees(at, kind):
    html, wanted = LOOKS[kind]
    assert lines(at.open("<!doctype html>" + html)) == wanted


TABLES: dict[str, tuple[str, list[str]]] = {
    "headed": (
        "<table><tr><th>Name<th>City<th>Age<tr><td>Ann<td><td>20<tr><td>Bob<td>Oslo<td></table>",
        ["row Name | City | Age", "row Ann | | 20", "row Bob | Oslo |"],
    ),
    "without heads": ("<table><tr><td>Pear<td>3<td><td>4<tr><td><td>1<td>5<td></table>", ["row Pear | 3 | | 4", "row | 1 | 5 |"]),
    "with things in cells": (
        "<table><thead><tr><th>Item<th>Qty<th></thead><tr><td>Pear<td><input class=form-input><td><button>Remove</button></table>",
        ["row Item | Qty |", "text Pear", "textbox Qty = ", "button Remove"],
    ),
    "of roles": (
        "<div role=table><div role=row><b role=columnheader>A</b><b "
        "role=columnheader>B</b></div><div role=row><i role=cell></i><i role=cell>2</i>"
        "</div></div>",
        ["row A | B", "row | 2"],
    ),
    "pairs": ("<table><tr><td>Phone<td>12<tr><td>Mail<td></table>", ["text Phone", "text 12", "row Mail |"]),
    "for the layout": ("<table role=presentation><tr><td>a<td>b<td>c<tr><td>d<td>e<td>f</table>", [f"text {c}" for c in "abcdef"]),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_by_rows(at, kind):
    html, wanted = TABLES[kind]
    assert lines(at.open(html)) == wanted


def test_a_class_names_no_field_and_the_words_before_it_do(at):
    at.open("<div style='display:flex'><div>Amount:</div><div><input "
        "class='form-input compact'></div></div><p class=x>Name <input class=y></p>"
            "<div style='display:flex'><input class='form-input' type=number></div><input class=z name=code>")  # fmt: skip
    assert [node.text for node in at.observation.nodes if node.ref is not None] == ["Amount", "Name", "", "code"]


def test_what_the_browser_says_of_a_field_that_holds_a_form_back(at):
    at.open("<form><label>Mail <input type=email></label><input required aria-label=b><button>Send</button></form>")
    at.do(Fill(at.ref("Mail"), "nomail"))
    seen = at.do(Click(at.ref("Send")))
    assert "invalid" in seen.nodes[0].states and "include an '@'" in seen.nodes[1].text
    assert [n.text for n in seen.nodes if n.role == "text"][1] == "Please fill out this field."


# --- long pages ---------------------------------------------------------------------------------------------------------------


def shown(at: Visitor, settings: PromptSettings) -> str:
    return prompt_text(at.observation, (), settings)


@pytest.mark.parametrize("settings", [PromptSettings(), COMPACT], ids=["chat", "compact"])
def test_a_page_that_a_prompt_cuts_is_read_on_by_scrolling(at, settings):
    at.open("<h1>Journal</h1>" + "".join(f"<div>Entry {i}</div>" for i in range(600)) + "<button>Next page</button>")
    assert "ntry 3" in shown(at, settings) and "ntry 599" not in shown(at, settings)
    at.do(Scroll(0, 100_000))
    assert "ntry 599" in shown(at, settings) and "ext page" in shown(at, settings).lower() and "ntry 3\n" not in shown(at, settings)
    at.do(Scroll(0, -5000))
    middle = shown(at, settings)
    assert "ournal" not in middle and at.observation.nodes[at.observation.top].text.lower() in middle.lower()
    assert len(at.observation.nodes) == 602
    at.do(Scroll(0, -100_000))
    assert at.observation.top == 0 and "ntry 3" in shown(at, settings)


def test_a_page_that_an_observation_cuts_is_read_on_by_scrolling(at):
    at.open(
        "<body><script>for (let i = 0; i < 3000; i++) document.write(`<button onclick='document.title=${i}'>${i}</button><br>`)</script>"
    )
    assert at.observation.nodes[-1].text == "2499"
    seen = at.do(Scroll(0, 1_000_000))
    assert seen.nodes[-1].text == "2999" and seen.notices == ("the page is long: its lines 501 to 3000 are shown; scroll to read on",)
    assert [node.ref for node in seen.nodes] == list(range(2500))
    assert at.do(Click(at.ref("2990"))).title == "2990"


def test_a_box_that_scrolls_is_read_on(at):
    rows = "".join(f"<p>Row {i}<button>{i}</button>" for i in range(400))
    at.open(f"<h1>Top</h1><div style='height:300px;overflow:auto'>{rows}</div>")
    seen = at.do(Scroll(0, 100_000, at.ref("0")))
    assert seen.top > 400 and "Row 399" in shown(at, PromptSettings())


# --- pages that mean no good ---------------------------------------------------------------------------------------------------

EVIL: dict[str, str] = {
    "iterators without end": "for (const p of [Set, Map, Array, String, NodeList]) "
    "p.prototype[Symbol.iterator] = function* () { for (;;) yield 1 }",
    "methods that throw": "Array.prototype.push = Array.prototype.map = "
    "String.prototype.slice = Function.prototype.call = Reflect.apply = "
    "WeakMap.prototype.get = WeakRef.prototype.deref = JSON.stringify = Object.keys = () => { throw 1 }",
    "an object that is not empty": "Object.prototype.get = Object.prototype.detail = Object.prototype.composed = 5",
    "events that tell": "learned = []; dispatchEvent = EventTarget.prototype.dispatchEvent = (e) => learned.push(e.type); "
    "window.Event = window.CustomEvent = function (type) { learned.push(type) }",
}


@pytest.mark.parametrize("kind", EVIL)
def test_prototypes_of_a_page_that_means_no_good(at, kind):
    at.open(f"<script>learned = []; {EVIL[kind]}</script><p>MARK</p><div id=a>heard</div><div onclick=1>said</div>"
            "<script>a.addEventListener('click', () => 0)</script>")  # fmt: skip
    assert lines(at.observation) == ["text MARK", "clickable heard", "clickable said"]
    assert at.js("learned.length") == 0


NAMES = [
    "getAttribute",
    "childNodes",
    "nodeType",
    "parentElement",
    "parentNode",
    "tagName",
    "localName",
    "attributes",
    "children",
    "firstChild",
    "nextSibling",
    "shadowRoot",
    "assignedSlot",
    "hasAttribute",
    "matches",
    "closest",
    "textContent",
    "innerText",
    "getBoundingClientRect",
    "getClientRects",
    "style",
    "ownerDocument",
    "isConnected",
    "scrollTop",
    "scrollHeight",
    "clientHeight",
    "labels",
    "required",
    "readOnly",
    "tabIndex",
    "contains",
    "querySelectorAll",
    "getRootNode",
    "namespaceURI",
]


def test_a_form_whose_fields_have_the_names_of_what_is_asked_of_it(at):
    fields = "".join(f"<input name={name}>" for name in NAMES)
    looks = "onclick=1 tabindex=0 draggable=true style='overflow:auto;height:40px;opacity:.5'"
    at.open(f"<form {looks}>text {fields}</form><form style='position:absolute;left:-900px'>off<input name=parentElement></form>")
    assert [node.text for node in at.observation.nodes if node.role == "textbox"] == NAMES
    assert not any("off" in node.text for node in at.observation.nodes)


def test_a_document_whose_things_have_the_names_of_what_is_asked_of_it(at):
    names = """body activeElement documentElement querySelectorAll styleSheets scrollingElement addEventListener title getAnimations
        baseURI"""
    at.open("<p id=webgym>a</p><iframe name=webgym></iframe>" + "".join(f"<img name={name}>" for name in names.split()))
    assert lines(at.observation) == ["text a"]
    at.open("<a class=x href=/>x</a><style>.x:hover{content:url('http://[')}</style>")
    assert lines(at.observation) == ["link x"]


NEST = """<script>for (const [id, tag, levels] of [['a', 'span', 2000], ['b', 'i', 1500]]) {
    let at = document.getElementById(id);
    for (let i = 0; i < levels; i++) { const next = document.createElement(tag); at.append(next); at = next }
    at.textContent = id + ' deep' }</script>"""


def test_what_is_nested_without_end(at):
    at.open(f"<p id=a></p><button id=b></button><p>after{NEST}")
    assert [node.text for node in at.observation.nodes] == ["a deep", "b deep", "after"]


def test_more_elements_than_anyone_reads(at):
    seen = at.open("<body><script>document.body.innerHTML = '<i>x </i>'.repeat(60000) + '<p>end'</script>")
    assert seen.nodes[0].text.startswith("x x") and len(seen.nodes[0].text) == 2000
    assert "the page is long" in seen.notices[0]


def test_a_text_without_end_is_cut_at_a_character(at):
    seen = at.open("<p>a</p><p id=t></p><p>b</p><script>t.textContent = '😀'.repeat(500000)</script>")
    assert [len(node.text) for node in seen.nodes] == [1, 1000, 1]  # an emoji is two of the browser's 2,000 units
    at.open(f"<button>x{'😀' * 900}</button><input aria-label=f value='{'😀' * 1500}'>")
    assert all("\ufffd" not in text for node in at.observation.nodes for text in (node.text, node.value or ""))
    prompt: Any = prompt_text(at.observation, (), PromptSettings())
    prompt.encode()


def test_the_browser_brings_the_reader_into_new_documents_and_frames_get_it_when_they_are_read(at):
    at.open("<p>first", {"/frame": f"<iframe src=http://{OTHER}/f></iframe>", "/f": "<p>inner"}, hosts=(HOST, OTHER))
    tab, sent = at.env.session.tab, []
    send = tab.send

    async def counted(method, params=None):
        sent.append(len((params or {}).get("expression", "")))
        return await send(method, params)

    tab.send = counted
    try:
        at.do(Goto(f"http://{HOST}/"))
        assert lines(at.observation) == ["text first"] and max(sent) < 5000
        at.do(Goto(f"http://{HOST}/frame"))
        assert lines(at.observation) == ["text inner"] and [size for size in sent if size > 50_000][1:] == []
    finally:
        del tab.send
