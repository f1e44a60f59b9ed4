"""Situations of many kinds on pages that no one wrote for WebGym: things are found by their names, and an action does what a hand does.

Each page notes what happens to it by `say`. The right note is what plain Chromium does for a person.
"""

import pytest

from tests.webgym.pages import HOST, OTHER, Visitor, lines, run
from webgym.types import Back, Click, Drag, Fill, Forward, Scroll, Select, Upload

SAY = "<p id=log>log</p><script>window.say = words => log.append(' ' + words)</script>"
FAR = "<div style='height:1600px'>far</div>"
PAY = "<button onclick=\"top.say('hit')\">Pay</button>"
INNER = PAY.replace('"', "&quot;")
FRAME = f'<iframe srcdoc="{INNER}"'


def said(at: Visitor) -> str:
    """What the page has noted so far."""
    return str(at.js("log.textContent")).removeprefix("log").strip()


def seen(at: Visitor, html: str, **given) -> list[str]:
    """The lines of a page, without that of its notes."""
    return [line for line in lines(at.open(SAY + html, **given)) if line != "text log"]


CLICKED: dict[str, str] = {
    "a frame in a box that scrolls": f"<div style='height:200px; overflow:auto'>{FAR}{FRAME}></iframe>{FAR}</div>",
    "below the fold of its frame": f'<iframe style="height:100px" srcdoc="<div style=height:900px>x</div>{INNER}"></iframe>',
    "a frame in open details": f"{FAR}<details open><summary>More</summary>{FRAME}></iframe></details>",
    "a frame in a shadow root": f"{FAR}<div><template shadowrootmode=open>{FRAME}></iframe></template></div>",
    "a frame in a closed shadow root": f"{FAR}<div><template shadowrootmode=closed>{FRAME}></iframe></template></div>",
    "a turned frame": f"{FAR}{FRAME} style='transform:rotate(30deg) scale(.8); margin:90px'></iframe>",
    "a slanted frame": f"{FAR}<div style='transform:skewX(20deg)'>{FRAME}></iframe></div>",
    "a frame that is moved by single properties": f"{FRAME} style='translate:60px 20px; rotate:15deg; scale:1.2; margin:80px'></iframe>",
    "a frame in what is zoomed": f"{FAR}<div style='zoom:1.5'>{FRAME} style='zoom:.7; padding:9px'></iframe></div>",
    "a frame that does not scroll": f'<iframe scrolling=no style="height:80px" srcdoc="<div style=height:500px>x</div>{INNER}"></iframe>',
    "a frame from right to left": f'<iframe style="width:200px" srcdoc="<html dir=rtl><div style=width:900px>x</div>{INNER}"></iframe>',
    "under glass": f"<div style='position:relative'>{PAY}<div style='position:absolute; inset:0; pointer-events:none'></div></div>",
    "covered in part": f"<div style='position:relative; width:300px'>{PAY.replace('button ', 'button style=width:300px ', 1)}"
    "<div style='position:absolute; left:0; top:0; width:60%; height:100%; background:red'></div></div>",
    "the one that takes the mouse": "<div style='pointer-events:none'>"
    f"{PAY.replace('button ', 'button style=pointer-events:auto ', 1)}</div>",
    "a face that lets the mouse through": "<button aria-label=Pay onclick=say('hit')><svg width=20 height=20 style='pointer-events:none'>"
    "<rect width=20 height=20 /></svg></button>",
    "below the fold of a box in a cut box": "<div style='height:200px; overflow:hidden'><div style='height:100%; overflow:auto'>"
    f"{FAR}{PAY}</div></div>",
    "beyond the side of a box in a cut box": "<div style='width:200px; overflow:hidden'><div style='overflow:auto'>"
    f"<div style='display:flex; width:2000px'><p style='width:900px'>wide</p>{PAY}</div></div></div>",
    "columns that go on to the left": f"<div style='writing-mode:vertical-rl; width:300px; overflow:auto'>{'<p>x' * 60}{PAY}</div>",
    "lines from right to left": f"<div dir=rtl style='width:200px; overflow:auto; white-space:nowrap'>{'word ' * 99}{PAY}</div>",
    "the first of a row in reverse": "<div style='display:flex; flex-direction:row-reverse; width:200px; overflow:auto'>"
    f"<p style='flex:none; width:900px'>x</p>{PAY}</div>",
    "turned round": PAY.replace("button ", "button style='transform:rotateY(180deg)' ", 1),
    "between what sticks above and below": "<div style='position:sticky; top:0; height:200px; background:#eee; z-index:2'>Head</div>"
    f"{FAR}{PAY}{FAR}<div style='position:fixed; bottom:0; left:0; right:0; height:380px; background:#ddd'>Foot</div>",
    "beside a column that sticks": "<div style='width:300px; overflow:auto'><table><tr>"
    "<td style='position:sticky; left:0; background:#fff; "
    f"min-width:200px; z-index:1'>Head<td style='min-width:400px'>wide<td>{PAY}<td style='min-width:300px'>w</table></div>",
    "no box of its own": PAY.replace("button ", "button style=display:contents ", 1),
    "a slot in a slot": "<x-o><i>Pay</i></x-o><script>for (const [name, inner] of [['x-i', `<button onclick=\"say('hit')\"><slot></slot>"
    "</button>`], ['x-o', '<x-i><slot></slot></x-i>']]) customElements.define(name, class extends HTMLElement {constructor() "
    "{super(); this.attachShadow({mode: 'open'}).innerHTML = inner}})</script>",
    "a name that only its label says": "<label style='display:flex'>"
    "<span style='position:absolute; width:1px; height:1px; overflow:hidden; "
    "clip:rect(0 0 0 0)'><input type=checkbox role=switch onchange=say('hit')></span><i style='width:30px; height:10px; "
    "background:#aaa'></i>Pay</label>",
    "a button in a label": f"<label>Sum <input> {PAY}</label>",
    "a link in a summary": "<details><summary>A <a href=#x onclick=say('hit')>Pay</a></summary>body</details>",
    "a glyph whose name is another": "<div id=l><div tabindex=0 data-act aria-label=Pay>×</div></div><script>l.addEventListener('click', "
    "e => e.target.closest('[data-act]') && say('hit'))</script>",
    "an area of a picture": "<img usemap=#m width=100 height=50 alt=plan><map name=m><area shape=circle coords=20,20,15 href=#a alt=A>"
    "<area shape=poly coords=60,0,90,0,75,40 href=#b alt=Pay onclick=say('hit')></map>",
    "the rest of a picture": "<img usemap=#m width=100 height=50 alt=plan><map name=m><area shape=rect coords=0,0,100,45 href=#a alt=A>"
    "<area shape=default href=#b alt=Pay onclick=say('hit')></map>",
    "a part of a drawing": "<svg width=80 height=40><g role=button tabindex=0 aria-label=Pay onclick=say('hit')><rect width=40 height=40 />"
    "</g></svg>",
    "a page in an object": "<object data=/page type=text/html width=300 height=200></object>",
    "what stands for an object": f"<object data='data:image/png;base64,xx' type=image/png>{PAY}</object>",
    "seen in what is not": f"<div style='visibility:hidden'>{PAY.replace('button ', 'button style=visibility:visible ', 1)}</div>",
    "behind its own box": "<div style='position:relative; z-index:0'><button style='position:absolute; z-index:-1' "
    "onclick=say('hit')>Pay</button></div>",
}


@pytest.mark.parametrize("kind", CLICKED)
def test_a_click_hits_what_is_meant(at, kind):
    at.open(SAY + CLICKED[kind], {"/page": PAY})
    at.do(Click(at.ref("Pay")))
    assert said(at) == "hit"


REFUSED: dict[str, tuple[str, str]] = {
    "what lets the mouse through": (
        f"<div onclick=say('behind')>{PAY.replace('button ', 'button style=pointer-events:none ', 1)} and</div>",
        "lets the mouse through (pointer-events: none), to",
    ),
    "a frame that does": (f"{FRAME} style='pointer-events:none'></iframe>", "is covered by"),
    "under a cover in its frame": (
        f'<iframe srcdoc="{INNER}<div id=o style=position:fixed;inset:0></div>"></iframe>',
        "is covered by <div",
    ),
    "a frame in perspective": (
        f"<div style='perspective:500px'>{FRAME} style='transform:rotateY(40deg)'></iframe></div>",
        "in perspective or on a path",
    ),
    "a frame on a path": (f"{FRAME} style='offset-path:path(\"M 200 200 L 300 300\"); offset-distance:50%'></iframe>", "or on a path"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_click_that_would_miss_is_refused_in_words(at, kind):
    html, words = REFUSED[kind]
    at.open(SAY + html)
    assert words in at.fails(Click(at.ref("Pay")))
    assert said(at) == ""


ROWS = "<ul id=l><li data-id=1>Alpha</li><li data-id=2>Beta</li></ul>"
HANDLERS: dict[str, str] = {
    "matches": "e.target.matches('li') && say(e.target.textContent)",
    "an optional call": "{ const r = e.composedPath().find(n => n.matches?.('li')); r && say(r.textContent) }",
    "a tag": "if (e.target.tagName === 'LI') say(e.target.textContent)",
    "a tag in small letters": "if (e.target.nodeName.toLowerCase() === 'li') say(e.target.textContent)",
    "a class of the browser": "if (e.target instanceof HTMLLIElement) say(e.target.textContent)",
    "data": "if (e.target.dataset.id) say(e.target.textContent)",
    "an attribute": "if (e.target.getAttribute('data-id')) say(e.target.textContent)",
    "what is around it": "{ const r = e.target.closest('li'); r && say(r.textContent) }",
}


@pytest.mark.parametrize("listener", ["l", "document", "window"])
@pytest.mark.parametrize("way", HANDLERS)
def test_what_a_handler_tells_apart_can_be_clicked(at, way, listener):
    at.open(f"{SAY}{ROWS}<script>{listener}.addEventListener('click', e => {{ {HANDLERS[way]} }})</script>")
    at.do(Click(at.ref("Beta")))
    assert said(at) == "Beta"


@pytest.mark.parametrize("way", ["l.children[[...l.children].indexOf(e.target)]", "e.target.parentNode === l && e.target", "e.target"])
def test_the_blocks_of_a_list_that_listens_can_be_clicked_whatever_its_handler_says(at, way):
    at.open(f"{SAY}{ROWS}<script>l.onclick = e => {{ const r = {way}; if (r && r !== l) say(r.textContent) }}</script>")
    at.do(Click(at.ref("Beta")))
    assert said(at) == "Beta"


TAKEN: dict[str, tuple[str, str, str]] = {
    "a date in words": ("<input type=date aria-label=F>", "March 5, 2026", "2026-03-05"),
    "a month in words": ("<input type=month aria-label=F>", "March 2026", "2026-03"),
    "a time with seconds": ("<input type=time step=1 aria-label=F>", "9:05:07 pm", "21:05:07"),
    "a week": ("<input type=week aria-label=F>", "2026 W3", "2026-W03"),
    "a colour by its name": ("<input type=color aria-label=F>", "Teal", "#008080"),
    "a short colour": ("<input type=color aria-label=F>", "#f00", "#ff0000"),
    "a colour by its parts": ("<input type=color aria-label=F>", "rgb(255, 0, 10)", "#ff000a"),
    "a range with steps": ("<input type=range min=0 max=100 step=25 aria-label=F>", "30", "25"),
    "several addresses": ("<input type=email multiple aria-label=F value=x@y.z>", "a@b.c,d@e.f", "a@b.c,d@e.f"),
    "a field that filters": ("<input aria-label=F oninput=\"value = value.replace(/\\D/g, '')\">", "a1b2", "12"),
    "a line break in a field of one line": ("<form onsubmit=\"say('sent')\"><input aria-label=F></form>", "a\nb", "a b"),
    "line breaks of another system": ("<textarea aria-label=F></textarea>", "a\r\nb", "a\nb"),
    "a tab": ("<textarea aria-label=F></textarea><input>", "a\tb", "a\tb"),
    "many lines": ("<textarea aria-label=F></textarea>", "l\n" * 150, "l\n" * 150),
}


@pytest.mark.parametrize("kind", TAKEN)
def test_a_field_takes_what_a_person_would_write(at, kind):
    html, text, wanted = TAKEN[kind]
    at.open(SAY + html)
    at.do(Fill(at.ref("F"), text))
    assert (at.js("document.querySelector('input,textarea').value"), said(at)) == (wanted, "")


LIST = (
    "<input list=l id=a aria-label=A onchange=say(value)>"
    "<datalist id=l><option>One<option value=Two label=Zwei><option disabled>Three</datalist>"
)


def test_suggestions_are_taken_by_a_click_and_by_name(at):
    at.open(SAY + LIST)
    at.do(Click(at.ref("Two Zwei", "option")))
    assert (at.js("a.value"), said(at), at.js("document.activeElement.id")) == ("Two", "Two", "a")
    at.do(Select(at.ref("A"), ("one",)))
    assert (at.js("a.value"), said(at)) == ("One", "Two One")
    assert at.fails(Select(at.ref("A"), ("Four",))) == 'field #0 has no suggestion "Four"; it has: "One", "Zwei", "Three"'
    assert "is disabled" in at.fails(Click(at.ref("Three", "option")))
    assert at.js("a.value") == "One"


def test_a_list_of_suggestions_of_two_fields_belongs_to_the_one_before_it(at):
    at.open(f"{LIST}<input list=l id=b aria-label=B>")
    second = [node.ref for node in at.observation.nodes if node.text == "One"][1]
    assert second is not None
    at.do(Click(second))
    assert (at.js("a.value"), at.js("b.value")) == ("", "One")


FILES = {"a.txt": "A"}
ASKED = {
    "a label": ("<label for=f>Attach</label><input type=file id=f hidden onchange=say(files[0].name)>", False),
    "a picture over which the field lies": (
        "<div style='position:relative'>Here<input type=file aria-label=Attach style='opacity:0; position:absolute; inset:0' "
        "onchange=say(files[0].name)></div>",
        False,
    ),
    "a zone with the field inside": (
        "<div ondragover=event.preventDefault() ondrop=0>Attach<input type=file hidden onchange=say(files[0].name)></div>",
        False,
    ),
    "a thing that asks for it": ("<div onclick=f.click()>Attach</div><input type=file id=f hidden onchange=say(files[0].name)>", True),
    "a field that is no part of the page": (
        "<button onclick=\"const i = document.createElement('input'); i.type = 'file'; i.onchange = () => say(i.files[0].name); "
        'i.click()">Attach</button>',
        True,
    ),
}


@pytest.mark.parametrize("kind", ASKED)
def test_files_reach_their_field(at, kind):
    html, asks = ASKED[kind]
    at.open(SAY + html, files=FILES)
    if asks:
        at.do(Click(at.ref("Attach")))
        run(at.env.session.tab.send("HeapProfiler.collectGarbage"))  # what nothing holds is gone before the file comes
    at.do(Upload(at.ref("Attach"), ("a.txt",)))
    assert said(at) == "a.txt"


ZONE = (
    "<div style='height:60px' ondragover=event.preventDefault() ondrop=\"event.preventDefault(); top.say('dropped ' + "
    "(event.dataTransfer.getData('text/uri-list') || event.dataTransfer.getData('text')))\">Zone</div>"
)
CARD = "<div draggable=true ondragstart=\"event.dataTransfer.setData('text', 'T')\">Card</div>"
DRAGGED: dict[str, tuple[str, str]] = {
    "a link": (f"<a href='mailto:a'>Card</a>{ZONE}", "dropped mailto:a"),
    "a picture in a link": (f"<a href='mailto:a'><img alt=Card width=40 height=40></a>{ZONE}", "dropped mailto:a"),
    "out of a shadow root": (f"<div><template shadowrootmode=open>{CARD}</template></div>{ZONE}", "dropped T"),
    "into a frame": (f"{CARD}<iframe srcdoc='{ZONE.replace(chr(39), '&#39;')}'></iframe>", "dropped T"),
    "a link that may not be": ("<a href='#q' draggable=false onmousedown=say('down')>Card</a><p onmouseup=say('up')>Zone</p>", "down up"),
}


@pytest.mark.parametrize("kind", DRAGGED)
def test_drags_end_where_they_should(at, kind):
    html, wanted = DRAGGED[kind]
    at.open(SAY + html)
    at.do(Drag(at.ref("Card"), at.ref("Zone")))
    assert said(at) == wanted


SCROLLED: dict[str, tuple[str, tuple[int, int], str, int]] = {
    "the page of a frame": (f'<iframe id=b srcdoc="<button>Pay</button>{FAR}"></iframe>', (0, 200), "b.contentWindow.scrollY", 200),
    "sideways": (
        f"<div id=b style='width:200px; overflow:auto; white-space:nowrap'>{PAY}{'word ' * 99}</div>",
        (150, 0),
        "b.scrollLeft",
        150,
    ),
    "to the left": (
        f"<div id=b dir=rtl style='width:200px; overflow:auto; white-space:nowrap'>{PAY}{'word ' * 99}</div>",
        (-150, 0),
        "b.scrollLeft",
        -150,
    ),
    "upwards from the end": (
        f"<div id=b style='height:100px; overflow:auto; display:flex; flex-direction:column-reverse'>{PAY}{'<p>x' * 40}</div>",
        (0, -200),
        "b.scrollTop",
        -200,
    ),
}


@pytest.mark.parametrize("kind", SCROLLED)
def test_the_wheel_turns_the_box_around_a_thing(at, kind):
    html, by, measure, wanted = SCROLLED[kind]
    at.open(SAY + html)
    at.do(Scroll(*by, at.ref("Pay")))
    assert at.js(measure) == wanted


def test_a_box_that_keeps_the_wheel_does_not_pass_it_on(at):
    """Here the thing is out of view, so that the box is scrolled by script."""
    at.open(f"<div id=b style='height:100px; overflow:auto; overscroll-behavior:contain'>{PAY}{'<p>x' * 9}</div>{FAR}")
    at.do(Scroll(0, 10_000, at.ref("Pay")))
    at.step(Scroll(0, 300, at.ref("Pay")))
    assert at.js("scrollY") == 0


def test_history_of_a_page_that_keeps_its_document(at):
    at.open(f"{SAY}<a href=#x>X</a><script>onhashchange = () => say(location.hash || 'none')</script>")
    for action in (Click(at.ref("X")), Back(), Forward()):
        at.do(action)
    assert said(at) == "#x none #x"


@pytest.mark.parametrize("host", [HOST, OTHER])
def test_a_menu_is_asked_for_on_the_thing_in_a_frame_that_was_out_of_view(at, host):
    """The browser draws no frame of another host that is out of view, and would look for the thing in what it drew last."""
    hears = "<script>oncontextmenu = e => top.postMessage(e.target.tagName, '*')</script>"
    middle = f"{hears}<iframe src=http://{host}/page></iframe>"
    page = f"{SAY}<script>onmessage = e => say(e.data)</script>{hears}{FAR}<iframe src=http://{HOST}/middle></iframe>"
    at.open(page, {"/middle": middle, "/page": f"{hears}<button>Pay</button>"}, hosts=(HOST, OTHER))
    at.do(Click(at.ref("Pay"), "right"))
    assert said(at) == "BUTTON"


READ: dict[str, tuple[str, list[str]]] = {
    "slots and what stands for them": (
        "<x-c><b slot=t>Head</b><button>Save</button></x-c><script>customElements.define('x-c', class extends HTMLElement {constructor() "
        "{super(); this.attachShadow({mode: 'open'}).innerHTML = '<h2><slot name=t></slot></h2><slot></slot><slot name=no>Else</slot>'}})"
        "</script>",
        ["heading Head", "button Save", "text Else"],
    ),
    "what no slot takes": ("<div><template shadowrootmode=open><p>only</p></template><button>Lost</button></div>", ["text only"]),
    "a label of slotted words": (
        "<x-l>Words</x-l><script>customElements.define('x-l', class extends HTMLElement {constructor() {super(); "
        "this.attachShadow({mode: 'open'}).innerHTML = '<label><slot></slot><input></label>'}})</script>",
        ["textbox Words = "],
    ),
    "rows without a box": ("<table><tr><th>A<th>B<tr style='display:contents'><td>1<td>2</table>", ["row A | B", "row 1 | 2"]),
    "amounts": (
        "<progress value=3 max=10 aria-label=P></progress><meter value=.6 aria-label=M></meter>",
        ["progressbar P = 30%", "meter M = 60%"],
    ),
    "text of style sheets": ("<style>i::after { content: ' (' attr(data-n) ')' }</style><i data-n=5>Inbox", ["text Inbox (5)"]),
    "nothing of what is clipped away": ("<p style='clip-path:circle(0)'>ghost</p><p style='opacity:0'>ghost</p><p>real", ["text real"]),
    "text that is cut short": (
        "<div style='width:60px; overflow:hidden; text-overflow:ellipsis; white-space:nowrap'>a long text here</div>",
        ["text a long text here"],
    ),
    "below the fold of a box in a cut box": (
        "<div style='height:60px; overflow:hidden'><div style='height:60px; overflow:auto'>"
        "<p style='height:900px'>one</p><p>two</div></div>",
        ["region  (scrollable)", "text one", "text two"],
    ),
    "what a cut box cuts for good": (
        "<div style='height:60px; overflow:hidden'><p style='height:900px'>one</p><button>two</button></div><p>three",
        ["text one", "text three"],
    ),
    "a map and what is on it": (
        "<div id=m tabindex=0 aria-label=Map><button>In</button><i onclick=1>Bonn</i> <i onclick=1>Rome</i></div>"
        "<script>m.onmousedown = () => 0</script>",
        ["region Map", "button In", "clickable Bonn", "clickable Rome"],
    ),
}


@pytest.mark.parametrize("kind", READ)
def test_what_a_person_reads(at, kind):
    html, wanted = READ[kind]
    assert seen(at, html) == wanted
