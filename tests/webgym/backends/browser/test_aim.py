"""Aim of a click on a thing that has other things in it, that stands in closed roots, or that is turned, cut and covered in part.

Each page notes what the press came to. A person who means the outer thing presses where none of the inner ones is.
"""

import pytest

from tests.webgym.pages import HOST, OTHER, Visitor, lines
from webgym.types import Click, Hover

NOTE = """<p id=log>log</p><script>
    const note = e => { const at = e.composedPath()[0]; log.append(` ${(at.closest('[id]') ?? at.getRootNode().host).id}`) };
    for (const type of ['mousedown', 'mouseover']) addEventListener(type, e => type === window.noted && note(e), true);
    noted = 'mousedown'</script>"""
LONG = "that is long enough to lie in the middle of it"


def pressed(at: Visitor) -> str:
    """The ids of what the presses came to."""
    return str(at.js("log.textContent")).removeprefix("log").strip()


def inner(tag: str, more: str = "") -> str:
    return f"<{tag} id=i {more}>Inner {LONG}</{tag.split()[0]}>"


# --- things in things -------------------------------------------------------------------------------------------------------

BUTTON, LINK = inner("button type=button"), inner("a href=#i")
ROOTED = f"<x-b id=i><template shadowrootmode={{}}><button>Inner {LONG}</button></template></x-b>"
WIDE = "style='display:block; width:420px; cursor:pointer'"
NESTED: dict[str, str] = {
    "a button in a link": f"<a id=o href=#o>Outer {BUTTON}</a>",
    "a button in a link that is a block": f"<a id=o href=#o {WIDE}>Outer {BUTTON}</a>",
    "a link in a card": f"<div id=o onclick='' {WIDE}>Outer {LINK}</div>",
    "a button in a summary": f"<details><summary id=o>Outer {BUTTON}</summary>more</details>",
    "a link in a summary": f"<details><summary id=o>Outer {LINK}</summary>more</details>",
    "a button in a tab": f"<div role=tablist><div id=o role=tab tabindex=0 {WIDE}>Outer {BUTTON}</div></div>",
    "a button in an option": f"<ul role=listbox aria-label=L><li id=o role=option tabindex=0 {WIDE}>Outer {BUTTON}</li></ul>",
    "a button in an item of a tree": f"<ul role=tree><li id=o role=treeitem tabindex=0>Outer {BUTTON}</li></ul>",
    "a role in a role": f"<div id=o role=button tabindex=0 {WIDE}>Outer {inner('span role=button tabindex=0')}</div>",
    "a field and its label in a card": f"<div id=o onclick='' {WIDE}>Outer <label id=i><input type=checkbox>Inner {LONG}</label></div>",
    "a thing that fills all but a strip": f"<ul id=o tabindex=0 aria-label=Outer style='width:400px; padding:0'>"
    f"<li id=i tabindex=0 role=option style='width:376px; display:block'>Inner {LONG}</li></ul>",
    "things in a list, beside whose marks it shows": "<ul id=o role=listbox tabindex=0 aria-label=Outer>"
    "<li id=i tabindex=0 role=option>Inner<li tabindex=0 role=option>Other</ul>",
    "things that fill all but a strip": "<div id=o role=listbox tabindex=0 aria-label=Outer style='width:300px; padding:2px 0'>"
    "<div id=i tabindex=0 role=option>Inner</div><div tabindex=0 role=option>Other</div></div>",
    "a thing that fills all but the words": "<div id=o onclick='' style='position:relative; width:400px; height:60px; cursor:pointer'>Outer"
    f"<button id=i style='position:absolute; inset:20px 0 0 0'>Inner {LONG}</button></div>",
    "a thing in a root": f"<a id=o href=#o>Outer {ROOTED.format('open')}</a>",
    "a thing in a closed root": f"<a id=o href=#o>Outer {ROOTED.format('closed')}</a>",
    "a frame in a card": f"<div id=o onclick='' {WIDE}>Outer <iframe srcdoc='<p>Inner' style='width:390px; height:40px'></iframe></div>",
}


@pytest.mark.parametrize("kind", NESTED)
def test_what_is_pressed_is_the_thing_itself_and_nothing_in_it(at, kind):
    at.open(NOTE + NESTED[kind])
    outer = next(node.ref for node in at.observation.nodes if node.ref is not None and "Outer" in node.text)
    at.do(Click(outer))
    assert pressed(at) == "o"
    at.js("log.textContent = 'log'")
    if "frame" not in kind:
        at.do(Click(next(n.ref for n in at.observation.nodes if n.ref is not None and n.text.startswith("Inner"))))
        assert pressed(at) == "i"


TALL = "style='width:500px; height:300px'"
SAME: dict[str, tuple[str, list[str], str]] = {  # the page, its things, and what a press on the last one comes to
    "a link that lies in the middle of a box": (f"<div id=o onclick='' {WIDE}><a id=i href=#i {WIDE}>Read</a></div>", ["link Read"], "i"),
    "a button in an item": ("<ul><li id=o onclick='' style='width:60px'><button id=i>Open up</button></ul>", ["button Open up"], "i"),
    "a role in a box": (f"<p id=o onclick='' {WIDE}><b id=i role=button tabindex=0 {WIDE}>Go</b></p>", ["button Go"], "i"),
    "a link in a corner of a box": (f"<div id=o onclick='' {TALL}><a id=i href=#i>Read</a></div>", ["clickable o", "link Read"], "i"),
    "a link in a corner of an item": (
        f"<div role=menu><div id=o role=menuitem tabindex=0 {TALL}><a id=i href=#i>Read</a></div></div>",
        ["menuitem Read", "link Read"],
        "i",
    ),
    "a link in a box that is dragged": (f"<div id=o draggable=true {WIDE}><a id=i href=#i {WIDE}>Read</a></div>", ["clickable Read"], "i"),
    "a link in a box of keys": (f"<div id=o tabindex=0 onclick='' {WIDE}><a id=i href=#i {WIDE}>Read</a></div>", ["clickable Read"], "i"),
    "words in a box": (f"<div id=o onclick='' {TALL}><b id=i onclick=''>Read</b></div>", ["clickable Read"], "o"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SAME)
def test_a_thing_with_the_words_of_the_box_around_it(at, kind):
    page, things, target = SAME[kind]
    at.open(NOTE + page)
    found = [node for node in at.observation.nodes if node.ref is not None]
    assert [f"{node.role} {node.text}" for node in found] == things
    at.do(Click(found[-1].ref))
    assert pressed(at) == target


def test_what_is_pointed_at_is_the_thing_itself_too(at):
    at.open(NOTE + NESTED["a link in a card"])
    at.js("noted = 'mouseover'")
    at.do(Hover(next(n.ref for n in at.observation.nodes if n.ref is not None and n.text.startswith("Outer"))))
    assert pressed(at).split()[-1] == "o"


@pytest.mark.parametrize("host", [HOST, OTHER])
def test_a_thing_itself_is_pressed_in_a_frame_that_is_turned(at, host):
    frame = f"<iframe src='http://{host}/f' width=600 height=200 style='transform:rotate(20deg) scale(.7); margin:60px'></iframe>"
    button = f"<button type=button onclick=\"document.title='inner'; o.append(' inner')\">Inner {LONG}</button>"
    link = f"<body style='margin:0'><a id=o href=#o onclick=\"o.firstChild.data='hit '\">Outer {button}</a>"
    at.open(frame, {"/f": link}, hosts=(HOST, OTHER))
    told = lines(at.do(Click(next(n.ref for n in at.observation.nodes if n.ref is not None and "Outer" in n.text))))
    assert any(line.startswith("link hit") for line in told) and "inner" not in " ".join(told)


def test_a_thing_that_is_filled_by_another_is_pressed_there(at):
    fills = "position:absolute; inset:-5px; width:210px"
    at.open(f"""{NOTE}<div id=o tabindex=0 aria-label=Outer onclick='' style='position:relative; width:200px; height:60px'>
        <button id=i style='{fills}'>Inner</button></div>""")
    at.do(Click(at.ref("Outer")))
    assert pressed(at) == "i"


def test_a_thing_is_scrolled_to_where_a_bar_covers_all_but_another_thing_in_it(at):
    bar = "<div style='position:fixed; inset:0 0 auto 0; height:60px; background:#ccc; z-index:1'>Bar</div>"
    card = "<div id=o onclick='' style='position:absolute; top:400px; left:0; width:300px; height:100px; cursor:pointer'>Outer"
    button = "<button id=i style='position:absolute; inset:50px 0 0 0'>Inner</button>"
    at.open(f"{NOTE}{bar}{card}{button}</div><div style='height:3000px'></div>")
    at.js("scrollTo(0, 395)")
    at.do(Click(at.ref("Outer")))
    assert pressed(at) == "o"


LABELLED: dict[str, str] = {
    "hidden": "<label id=l style='display:block; width:420px'><input type=checkbox hidden id=c>{} Agree</label>",
    "shown": "<label id=l><input type=checkbox id=c> Agree {}</label>",
    "under its words": "<label id=l style='position:relative; display:block; width:420px'><input type=checkbox id=c "
    "style='position:absolute; inset:0; width:100%; z-index:-1'>{} Agree</label>",
}


@pytest.mark.parametrize("kind", LABELLED)
def test_a_field_is_not_set_by_a_link_in_its_label(at, kind):
    at.open(NOTE + LABELLED[kind].format(LINK))
    observation = at.do(Click(next(n.ref for n in at.observation.nodes if n.role == "checkbox" and n.ref is not None)))
    assert at.js("c.checked") and "#i" not in observation.url


# --- roots ------------------------------------------------------------------------------------------------------------------


def rooted(modes: str, inside: str) -> str:
    """Markup in roots in each other, from the outside in; `modes` are their letters: open or closed."""
    for mode in reversed(modes):
        inside = f"<div><template shadowrootmode={'open' if mode == 'o' else 'closed'}>{inside}</template></div>"
    return inside


@pytest.mark.parametrize("modes", ["c", "oc", "co", "cc", "coc", "oco", "ccoo"])
def test_things_in_roots_of_both_kinds_are_pressed(at, modes):
    page = rooted(modes, "<button onclick=\"document.title = 'hit'\">Pay <b>now</b></button><input aria-label=beside>")
    at.open(page)
    assert at.do(Click(at.ref("Pay now"))).title == "hit"


@pytest.mark.parametrize("inner_mode", ["open", "closed"])
@pytest.mark.parametrize("outer_mode", ["open", "closed"])
def test_a_slotted_thing_in_a_host_that_is_in_a_root_is_pressed(at, outer_mode, inner_mode):
    host = (
        f"<x-b><template shadowrootmode={inner_mode}><button onclick=\"document.title = 'hit'\"><slot></slot></button></template>Pay</x-b>"
    )
    at.open(f"<div><template shadowrootmode={outer_mode}>{host}</template></div>")
    assert at.do(Click(next(n.ref for n in at.observation.nodes if n.role == "button" and n.ref is not None))).title == "hit"


# --- what is turned, cut and covered in part -------------------------------------------------------------------------------

PAY = "<input type=image alt=Pay width=80 height=20 onclick=\"document.title = 'hit'\">"
FAR = "<div style='height:600px'>far</div>"
BOX = "<div style='position:absolute; left:0; top:60px; transform-origin:0 0; {0}'><div style='{1}'>{2}</div></div>"
DOWN = f"height:100px; width:200px; overflow:auto'>{FAR}{PAY}{FAR}<i style='"
TURNED: dict[str, str] = {
    "a little": BOX.format("transform:rotate(20deg)", DOWN, ""),
    "a quarter": BOX.format("left:110px; transform:rotate(90deg)", DOWN, ""),
    "by its own property": BOX.format("left:110px; rotate:90deg", DOWN, ""),
    "upside down": BOX.format("left:300px; top:110px; transform:rotate(180deg)", DOWN, ""),
    "mirrored": BOX.format("top:110px; transform:scaleY(-1)", DOWN, ""),
    "slanted": BOX.format("transform:skewX(-40deg); left:90px", DOWN, ""),
    "beside": BOX.format(
        "left:10px; top:200px; transform:rotate(-90deg)",
        "width:150px; height:60px; overflow:auto'><div style='display:flex; width:2000px'>"
        f"<p style='width:900px'>w</p>{PAY}</div><i style='",
        "",
    ),
}


@pytest.mark.parametrize("kind", TURNED)
def test_what_a_turned_box_scrolls_into_view_is_read_and_pressed(at, kind):
    at.open(TURNED[kind])
    assert at.do(Click(at.ref("Pay"))).title == "hit"


@pytest.mark.parametrize("style", ["left:-400px; transform:rotate(20deg)", "left:-400px", "left:-400px; transform:scale(2)"])
def test_what_no_box_scrolls_into_view_is_not_read(at, style):
    at.open("<p>page</p>" + BOX.format(style, DOWN, ""))
    assert not [node for node in at.observation.nodes if node.text == "Pay"]


HIT = "onclick=\"document.title = 'hit'\""
CUT: dict[str, str] = {
    "a circle": f"<button {HIT} style='width:90px; height:90px; border-radius:50%'>Pay</button>",
    "a path at one side": f"<button {HIT} style='width:120px; height:60px; clip-path:polygon(0 0, 20% 0, 20% 100%, 0 100%)'>Pay</button>",
    "a path in a corner": f"<button {HIT} style='width:120px; height:120px; clip-path:circle(15px at 100px 100px)'>Pay</button>",
    "half covered and turned": "<div style='transform:rotate(20deg); width:320px; margin:60px'><div style='position:relative'>"
    f"<a href=#x {HIT}>Pay</a><div style='position:absolute; inset:0 96% 0 0; background:red'></div></div></div>",
    "half covered in a box that scrolls": "<div style='transform:rotate(20deg); width:320px; margin:60px'>"
    f"<div style='height:100px; overflow:auto'>{FAR}<div style='position:relative; width:300px'><a href=#x {HIT}>Pay</a>"
    f"<div style='position:absolute; inset:0 96% 0 0; background:red'></div></div>{FAR}</div></div>",
}


@pytest.mark.parametrize("kind", CUT)
def test_what_shows_in_part_is_pressed_where_it_shows(at, kind):
    at.open(CUT[kind])
    assert at.do(Click(at.ref("Pay"))).title == "hit"
