"""Drags of both kinds: the browser's own, and those that a page makes of mouse events. The source is held on the whole way."""

import pytest

from tests.webgym.pages import HOST, OTHER, Visitor
from webgym.types import Drag, MouseDown, MouseDrag, MouseMove, MouseUp, Wait

KINDS = "['dragstart', 'dragenter', 'dragover', 'dragleave', 'drop', 'dragend', 'mousedown', 'mouseup', 'click']"
LOG = f"""<script>heard = []; for (const type of {KINDS}) addEventListener(type, e => heard.push(
    `${{type}} ${{e.target.id || e.target.parentNode.id || e.target.nodeName}}`), true)</script>"""
ZONE = """<div id=zone role=button style='height:80px; background:#dfd'>Zone</div><script>
    zone.ondragover = e => e.preventDefault();
    zone.ondrop = e => { e.preventDefault();
        document.title = 'dropped ' + (e.dataTransfer.getData('text') || e.dataTransfer.types) }</script>"""
SOURCES = {
    "draggable": "<div id=src draggable=true tabindex=0 ondragstart=\"event.dataTransfer.setData('text', 'load')\">Source</div>",
    "link": "<a id=src href=/x>Source</a>",
    "picture": "<img id=src tabindex=0 alt=Source width=40 height=40 src='data:image/svg+xml,<svg xmlns=%22http://www.w3.org/2000/svg%22/>'>",
    "on press": "<div id=src tabindex=0 onpointerdown='this.draggable = true' "
    "ondragstart=\"event.dataTransfer.setData('text', 'load')\">Source</div>",
}


def source(at: Visitor) -> int:
    """The ref of the thing to drag."""
    found = [n.ref for n in at.observation.nodes if "Source" in n.text and n.ref is not None]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("page", SOURCES.values(), ids=SOURCES)
def test_the_browsers_own_drags_always_begin(at, page):
    for number in range(10):
        at.open(page + ZONE, seed=number)
        assert at.do(Drag(source(at), at.ref("Zone"))).title.startswith("dropped "), number


@pytest.mark.parametrize("page", SOURCES.values(), ids=SOURCES)
def test_the_page_hears_all_of_it_in_order(at, page):
    at.open(page + ZONE + LOG)
    at.do(Drag(source(at), at.ref("Zone")))
    heard = [kind for kind in at.js("heard") if "BODY" not in kind]
    once = [kind for n, kind in enumerate(heard) if n == 0 or kind != heard[n - 1]]  # a dragover comes as often as the mouse moves
    # What Playwright's drag_and_drop makes a page hear while time runs.
    assert once == ["mousedown src", "dragstart src", "dragenter zone", "dragover zone", "drop zone", "dragend src"]


CARD = "<div class=card role=button tabindex=0 {0} id=c{1} style='height:60px; border:1px solid'>Card {1}</div>"
BOARDS = {
    "drags": ("draggable=true", "ondragstart = e => from = e.target.id; ondragover = e => e.preventDefault(); "
              "ondrop = e => document.title = `${from} on ${e.target.id}`"),
    "mouse": ("", "onmousedown = e => from = e.target.id; onmouseup = e => document.title = `${from} on ${e.target.id}`"),
}  # fmt: skip


@pytest.mark.parametrize("attributes, script", BOARDS.values(), ids=BOARDS)
@pytest.mark.parametrize("first, second", [(1, 25), (25, 1), (2, 4)])
def test_the_source_is_held_where_the_page_scrolls(at, attributes, script, first, second):
    at.open("".join(CARD.format(attributes, n) for n in range(30)) + f"<script>{script}</script>")
    assert at.do(Drag(at.ref(f"Card {first}"), at.ref(f"Card {second}"))).title == f"c{first} on c{second}"


def test_a_drag_into_a_frame(at):
    frame = "<div style='height:900px'></div><iframe src='http://{}/f' width=300 height=150></iframe>"
    pages = {"/f": ZONE.replace("document.title =", "zone.textContent =")}
    at.open(SOURCES["draggable"] + frame.format(HOST) + LOG, pages)
    assert [n.text for n in at.do(Drag(source(at), at.ref("Zone"))).nodes][-1] == "dropped load"
    assert at.js("heard").count("dragend src") == 1
    at.open(SOURCES["draggable"] + frame.format(OTHER), pages, hosts=(HOST, OTHER))  # a browser lets none across
    assert at.do(Drag(source(at), at.ref("Zone"))).notices == ("nothing on the page took what was dropped",)


def test_effects_and_refusals(at):
    page = """<div id=src draggable=true tabindex=0 ondragstart="event.dataTransfer.effectAllowed = 'copy'"
        ondragend="document.title = event.dataTransfer.dropEffect">Source</div>{}"""
    at.open(page.format(ZONE.replace("e => e.preventDefault();", "e => { e.preventDefault(); e.dataTransfer.dropEffect = 'copy' };")))
    assert at.do(Drag(source(at), at.ref("Zone"))).title == "copy" and at.observation.notices == ()
    at.open(page.format("<button>Zone</button>"))
    assert at.do(Drag(source(at), at.ref("Zone"))).title == "none"
    assert at.observation.notices == ("nothing on the page took what was dropped",)
    at.open("<div draggable=true tabindex=0 ondragstart='return false'>Source</div>" + ZONE)
    assert at.do(Drag(source(at), at.ref("Zone"))).title == ""  # the page makes its own of it
    at.open("<p onclick='' style='height:40px'>Source</p>" + ZONE + LOG)
    at.do(Drag(source(at), at.ref("Zone")))
    assert at.js("heard.filter(kind => /drag|drop/.test(kind))") == []


def test_drags_by_points_and_button_by_button(at):
    at.open(SOURCES["draggable"] + ZONE + LOG)
    boxes = [at.observation.node(ref).box for ref in (source(at), at.ref("Zone"))]
    (x0, y0), (x1, y1) = [(box[0] + 20, box[1] + box[3] / 2) for box in boxes]
    assert at.do(MouseDrag(x0, y0, x1, y1)).title == "dropped load"
    at.open(SOURCES["draggable"] + ZONE + LOG)
    for action in (MouseDown(x0, y0), MouseMove(x0 + 10, y0 + 5), MouseMove(x1, y1), MouseUp(x1, y1)):
        at.do(action)
    assert at.observation.title == "dropped load" and at.js("heard.at(-1)") == "dragend src"


def test_a_line_is_drawn_on_a_canvas_button_by_button(at):
    at.open("""<canvas id=c width=200 height=200 style="position:absolute; left:0; top:0"></canvas><script>log = [];
        for (const t of ['mousedown', 'mousemove', 'mouseup'])
            c.addEventListener(t, e => log.push([t, e.offsetX, e.button, e.buttons].join()))</script>""")
    for action in (MouseDown(10, 10), MouseMove(50, 50), MouseMove(90, 50), MouseUp(90, 50), MouseMove(20, 20)):
        at.do(action)
    held = "log.filter(line => !/^mousemove.*0$/.test(line))"  # a browser makes moves of its own where the page moves under the mouse
    assert at.js(held) == ["mousedown,10,0,1", "mousemove,50,0,1", "mousemove,90,0,1", "mouseup,90,0,0"]
    at.do(MouseDown(10, 10, "right"))
    at.do(MouseUp(10, 10, "right"))
    assert at.js(f"{held}.slice(-2)") == ["mousedown,10,2,2", "mouseup,10,2,0"]
    at.do(MouseDown(10, 10))
    at.open("<p>another episode")
    assert at.do(Wait(1)).error == ""


SORTED = """<ul id=l style="list-style:none; padding:0">{0}</ul><script>
    // As libraries for sorting do it: draggable from the press on, and ready a moment after the start.
    let held = null, ready = false;
    l.onpointerdown = e => e.target.draggable = true;
    l.ondragstart = e => {{ held = e.target; setTimeout(() => ready = true) }};
    l.ondragover = e => {{ e.preventDefault(); if (ready && e.target !== held) e.target[e.offsetY > 10 ? 'after' : 'before'](held) }};
    l.ondragend = () => document.title = [...l.children].map(e => e.textContent).join('')</script>"""


def test_a_list_that_is_sorted_by_dragging(at):
    at.open(SORTED.format("".join(f"<li role=button tabindex=0 style='height:30px'>{name}</li>" for name in "ABCD")))
    assert at.do(Drag(at.ref("A"), at.ref("C"))).title == "BCAD"


BY_MOUSE = """<div id=src role=button tabindex=0 style="height:40px">Source</div>{0}<script>
    // As frameworks do it: the page looks at the mouse once a frame, and knows the target a frame later.
    let held = false, over = null, asked = false;
    src.onpointerdown = e => held = true;
    onpointermove = e => {{ if (!held || asked) return; asked = true;
        const target = e.target; requestAnimationFrame(() => {{
            asked = false; over = document.elementFromPoint(e.clientX, e.clientY) }}) }};
    onpointerup = () => {{ if (over === zone) document.title = 'moved'; held = false }}</script>"""


def test_a_page_that_follows_the_mouse_by_frames(at):
    at.open(BY_MOUSE.format(ZONE))
    assert at.do(Drag(source(at), at.ref("Zone"))).title == "moved"
