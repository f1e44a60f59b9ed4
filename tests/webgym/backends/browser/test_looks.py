"""What is drawn and what is not, on pages in a line or two: a person reads and reaches there what the agent does."""

import pytest

from tests.webgym.pages import HOST, Visitor, lines
from webgym.types import Click, Goto, Hover, Press

SAY = "<p id=log>log</p><script>window.say = words => log.append(' ' + words)</script>"
DEL = "<button class=x onclick=\"say('gone')\">Del</button>"


def said(at: Visitor) -> str:
    """What the page has noted so far."""
    return str(at.js("log.textContent")).removeprefix("log").strip()


def seen(at: Visitor, html: str) -> list[str]:
    """The lines of a page, without that of its notes."""
    return [line for line in lines(at.open("<!doctype html>" + SAY + html)) if line != "text log"]


ROW = f"<ul><li class=d>Row {DEL}</li></ul>"
UNDER: dict[str, str] = {
    "no box": f"<style>.x{{display:none}} .d:hover .x{{display:inline}}</style>{ROW}",
    "not visible": f"<style>.d button{{visibility:hidden}} .d:hover button{{visibility:visible}}</style>{ROW}",
    "lets the mouse through": "<style>.x{opacity:0; pointer-events:none} .d:hover .x{opacity:1; pointer-events:auto}</style>" + ROW,
    "no room": "<style>i{display:block; max-height:0; overflow:hidden} .d:hover i{max-height:90px}</style>"
    f"<div class=d>Row<i>{DEL}</i></div>",
    "made flat": f"<style>.x{{transform:scaleX(0)}} .d:hover .x{{transform:none}}</style>{ROW}",
    "off the page": f"<style>.x{{position:absolute; left:-9999px}} .d:hover .x{{left:99px}}</style>{ROW}",
    "a row of a table": f"<style>.x{{visibility:hidden}} tr:hover .x{{visibility:visible}}</style><table><tr><td>Row<td>{DEL}</table>",
    "a bar": f"<style>.x{{display:none}} nav:hover .x{{display:block}}</style><nav>Row {DEL}</nav>",
    "a row that listens": f"<style>.x{{display:none}} .d:hover .x{{display:inline}}</style><div class=d onclick=1>Row {DEL}</div>",
    "two in a row": "<style>.x{display:none} .d:hover .x{display:inline}</style>"
    f"<div class=d>Row <span class=x onclick=say('edit')>Edit</span> {DEL}</div>",
    "in a list of selectors": "<style>.x{visibility:hidden} .d:is(:hover, :focus-within) .x{visibility:visible}</style>" + ROW,
    "while it is not pointed at": f"<style>.d:not(:hover) .x{{display:none}}</style>{ROW}",
    "said of what shows": f"<style>.x{{display:none; &:is(:where(.d):hover *){{ @media (hover:hover) {{display:inline}} }}}}</style>{ROW}",
    "what it hears": f"<style>.x{{display:none}}</style>{ROW}<script>document.querySelector('.d').onmouseenter = e => "
    "document.querySelector('.x').style.display = 'inline'</script>",
    "what its list hears": f"<style>.x{{display:none}}</style>{ROW}<script>document.querySelector('ul').onmouseover = e => "
    "e.target.closest('li').lastChild.style.display = 'inline'</script>",
}


@pytest.mark.parametrize("how", UNDER)
def test_what_shows_under_the_pointer_only_is_reached_by_the_row_it_is_in(at, how):
    seen(at, UNDER[how])
    row = next(node for node in at.observation.nodes if node.ref is not None and node.text.startswith("Row") and "Del" not in node.text)
    at.do(Hover(row.ref))
    at.do(Click(at.ref("Del")))
    assert said(at) == "gone"


def test_items_of_a_list_that_hears_the_pointer_can_be_pointed_at(at):
    at.open("<ul id=l><li>One<li>Two</ul><p id=t></p><script>l.onmouseover = e => t.textContent = 'of ' + e.target.textContent</script>")
    assert lines(at.do(Hover(at.ref("Two"))))[-1] == "text of Two"


def test_a_row_in_which_something_can_be_pointed_at_has_no_ref_of_its_own(at):
    html = f"<style>.x{{display:none}} .d:hover .x{{display:inline}}</style><div class=d><a href=/>Row</a> and {DEL}</div>"
    assert seen(at, html) == ["link Row", "text and"]


CARD = "<style>.c{position:relative; height:90px; transform-style:preserve-3d} .f, .b{position:absolute; inset:0; "
CARD += "backface-visibility:hidden} .b{transform:rotateY(180deg)} .t{transform:rotateY(180deg)} .k:hover .c{rotate:y 180deg}</style>"
FRONT = "<div class=f>Front <button>F</button></div>"
BACK = "<div class=b>Back <button onclick=say('gone')>Del</button><p><input aria-label=Pin></p></div>"
FACES: dict[str, tuple[str, bool]] = {
    "as it lies": (f"<div class=c>{FRONT}{BACK}</div>", True),
    "turned": (f"<div class='c t'>{FRONT}{BACK}</div>", False),
    "turned by a property": (f"<div class=c style='rotate:x 180deg'>{FRONT}{BACK}</div>", False),
    "turned by what is around it": (f"<div class=t style='transform-style:preserve-3d'><div class=c>{FRONT}{BACK}</div></div>", False),
    "turned as a picture": (f"<div class='c t' style='transform-style:flat'>{FRONT}{BACK}</div>", True),
    "turned and cut": (f"<div class='c t' style='overflow:hidden'>{FRONT}{BACK}</div>", True),
    "twice": (f"<div class=c style='transform:rotateY(180deg) rotateY(180deg)'>{FRONT}{BACK}</div>", True),
}


@pytest.mark.parametrize("how", FACES)
def test_the_face_that_is_turned_away_is_not_read(at, how):
    html, front = FACES[how]
    assert seen(at, CARD + html) == (["text Front", "button F"] if front else ["text Back", "button Del", "textbox Pin = "])
    face = "document.elementFromPoint(50, document.querySelector('.c').getBoundingClientRect().top + 60).closest('.f,.b').className"
    assert at.js(face) == ("f" if front else "b")


def test_a_card_that_the_pointer_turns_is_reached_by_its_front(at):
    seen(at, f"{CARD}<div class=k><div class=c><div class=f>Front</div>{BACK}</div></div>")
    at.do(Hover(at.ref("Front")))
    at.do(Click(at.ref("Del")))
    assert said(at) == "gone"


MEMORY = (
    "<div class=c {0}><div class=f>?</div><div class=b>7</div></div><div class='c t' {0}><div class=f>?</div><div class=b>8</div></div>"
)
CARDS = {
    "each hears": MEMORY.format("onclick=1"),
    "their board hears": f"<div onclick=1>{MEMORY.format('')}</div>",
    "buttons": MEMORY.format("")
    .replace("<div class=c", "<button class=c")
    .replace("<div class='c", "<button class='c")
    .replace("</div></div>", "</div></button>"),
}


@pytest.mark.parametrize("how", CARDS)
def test_what_lies_face_down_is_not_told(at, how):
    seen(at, CARD + CARDS[how])
    assert [node.text for node in at.observation.nodes if node.ref is not None] == ["?", "8"]


DRAWINGS: dict[str, str] = {
    "see-through": "<text y=20 opacity=0>no</text><g opacity=1e-6><text y=20>no</text></g><text y=20>yes</text>",
    "without colour": "<text y=20 fill=none>no</text><text y=20 fill=transparent>no</text><text y=20 fill-opacity=0>no</text><text>yes",
    "without colour by a sheet": "<style>.q{fill:none}</style><text class=q y=20>no</text><text y=20 style='fill:transparent'>no</text>"
    "<text y=20 style='color:transparent'>yes</text>",
    "outlines": "<text y=20 fill=none stroke=red>yes</text>",
    "in a group without colour": "<g fill=none><text y=20>no<tspan fill=red>yes</tspan></text></g>",
    "without size": "<text y=20 font-size=0>no</text><text y=20 font-size=9>yes</text>",
    "clipped to nothing": "<clipPath id=c /><mask id=m /><text y=20 clip-path=url(#c)>no</text><g mask=url(#m)><text y=20>no</text></g>"
    "<clipPath id=d><rect width=99 height=99 /></clipPath><text y=20 clip-path=url(#d)>yes</text>",
    "for readers of a language": "<switch><g systemLanguage=zz><text y=20 opacity=.5>no</text></g><text y=20>yes</text><text y=20>no</text>"
    "</switch><text y=20 systemLanguage=zz>no</text>",
}


@pytest.mark.parametrize("kind", DRAWINGS)
def test_text_of_drawings_is_read_where_it_is_drawn(at, kind):
    assert seen(at, f"<svg width=99 height=99>{DRAWINGS[kind]}</svg>") == ["text yes"]


HIDDEN = (
    "text-indent:100%; white-space:nowrap; overflow:hidden; display:block",
    "text-indent:-490px; overflow:hidden; display:block",
    "clip-path:ellipse(0 0)",
    "clip-path:circle(0% at 9px 9px)",
    "clip-path:inset(500px)",
    "clip-path:inset(0 calc(100% - 0px) 0 0)",
    "clip-path:polygon(0 0, 100% 0, 100% 0, 0 0)",
    'clip-path:path("M0 0")',
    "mask-image:linear-gradient(transparent, transparent)",
    "color:oklch(50% 0 0 / 0)",
    "color:color(srgb 0 0 0 / 0)",
    "font-size:.1px",
    "zoom:.0001",
    "opacity:.001",
    "contain:paint; height:0; display:block",
)
SHOWN = (
    "text-indent:2em; display:block",
    "text-indent:60px; overflow:hidden; display:block",
    "clip-path:ellipse(50% 50%)",
    "clip-path:circle()",
    "clip-path:inset(0)",
    "clip-path:inset(10% round 5px)",
    "clip-path:polygon(0 0, 100% 100%, 100% 0, 0 100%)",
    "clip-path:path('M0 0H999V99H0z')",
    "clip-path:url(#none)",
    "mask-image:linear-gradient(black, transparent)",
    "color:oklch(50% .1 0)",
    "font-size:9px",
    "zoom:.5",
    "opacity:.1",
    "contain:paint; display:block",
    "backface-visibility:hidden; transform:scaleX(-1); display:block",
)


@pytest.mark.parametrize("where", ["a sheet", "the element"])
def test_text_is_read_where_it_is_drawn(at, where):
    sheet, spans = "", ""
    for i, look in enumerate((*HIDDEN, *SHOWN)):
        sheet += f"#i{i}{{{look}}}"
        spans += f"<p><span id=i{i}>" if where == "a sheet" else f"<p><span style='{look.replace(chr(39), '&#39;')}'>"
        spans += f"{look}<b></b></span>"
    assert seen(at, (f"<style>{sheet}</style>" if where == "a sheet" else "") + spans) == [f"text {look}" for look in SHOWN]


def test_a_clip_cuts_all_that_stands_in_it(at):
    inside = "<p>a <button>A</button></p><b style='position:fixed'>b</b>"
    assert seen(at, f"<div style='clip-path:inset(100%)'>{inside}</div><div style='contain:paint; height:0'>{inside}</div>c") == ["text c"]


IMAGE = "<img usemap=#m width=100 height=50 alt=plan style='padding:30px; border:5px solid'>"
AREAS = "<area coords=0,0,9,9 href=#a alt=A><area shape=circle coords=90,60,9 href=#b alt=B><area shape=default href=#d alt=D>"
MAPS = {
    "called by its name": f"{IMAGE}<map name=m>{AREAS}</map>",
    "called by its id": f"{IMAGE}<map id=m>{AREAS}</map>",
    "called by its id beside a name": f"{IMAGE}<map id=m name=n>{AREAS}</map>",
    "zoomed": f"<div style='zoom:1.5'>{IMAGE}<map id=m>{AREAS}</map></div>",
    "scaled": f"<div style='transform:scale(.8)'>{IMAGE}<map id=m>{AREAS}</map></div>",
}


@pytest.mark.parametrize("how", MAPS)
def test_areas_lie_where_the_browser_has_them(at, how):
    seen(at, MAPS[how])
    for name in "ABD":
        left, top, width, height = at.node(name).box or (0, 0, 0, 0)
        spot = f"{left + width / 2}, {top + height / 2}" if name != "D" else f"{left + width - 2}, {top + height - 2}"
        assert at.js(f"document.elementFromPoint({spot}).alt") == name
        at.do(Click(at.ref(name)))
        assert at.js("location.hash") == f"#{name.lower()}"


BESIDE = {
    "floats": "<div style='overflow:auto'><a href=#f><b style='float:right'>Go</b></a> text</div>",
    "floats out of a box without height": "<a href=#f style='display:block'><b style='float:left'>Go</b></a>",
    "is wider than its box": "<a href=#f style='display:block; width:0'>Go</a>",
    "stands elsewhere": "<p>text <a href=#f><b style='position:absolute; left:300px; top:200px'>Go</b></a>",
}


@pytest.mark.parametrize("how", BESIDE)
def test_a_link_is_where_what_stands_in_it_is(at, how):
    seen(at, BESIDE[how])
    box = at.node("Go").box
    assert box and box[2] > 5 and box[3] > 5
    at.do(Click(at.ref("Go")))
    assert at.js("location.hash") == "#f"


def test_marks_that_sheets_write_are_read(at):
    sheet = "<style>.z::marker{content:'Z: '} .n::marker{content:none} .c::marker{color:red}</style>"
    html = f"{sheet}<ol><li class=z>A<li>B<li class=n>C<li class=c>D</ol><ul class=z><li>E<li class=z>F</ul>"
    assert seen(at, html) == ["text Z: A", "text 2. B", "text C", "text 4. D", "text E", "text Z: F"]


AWAY = {
    "left": "position:absolute; left:-9999px",
    "above": "position:absolute; top:-9999px",
    "fixed": "position:fixed; left:-100vw",
    "floating": "float:left; margin-left:-9999px",
    "moved": "transform:translateX(-9999px)",
}


@pytest.mark.parametrize("style", AWAY.values(), ids=AWAY)
def test_labels_stand_for_fields_that_are_off_the_page(at, style):
    fields = (
        "<input {0} type=checkbox id=a><label for=a>Alpha</label><label>Beta <input {0} type=radio></label><label>Note<input {0}></label>"
    )
    assert seen(at, fields.format(f"style='{style}'")) == ["checkbox Alpha", "radio Beta", "text Note"]
    at.do(Click(at.ref("Alpha")))
    assert lines(at.observation)[1:2] == ["checkbox Alpha (checked, focused)"]


@pytest.mark.parametrize("style", AWAY.values(), ids=AWAY)
def test_options_of_a_select_box_off_the_page_are_out_of_reach(at, style):
    html = f"<select style='{style}' aria-label=Native><option>aa<option>bb</select><div role=combobox tabindex=0 aria-label=Face>cc</div>"
    assert [line for line in seen(at, html) if "Face" not in line] == []


UNSEEN = ("opacity:0", "transform:scale(0)", "scale:0", "font-size:0", "color:transparent")


@pytest.mark.parametrize("style", UNSEEN)
def test_what_a_sheet_writes_is_read_when_it_is_seen(at, style):
    sheet = (
        f"<style>.t::before {{content:'tip'; position:absolute; top:90px; {style}}} .t:hover::before {{all:unset; content:'tip'}}</style>"
    )
    assert seen(at, f"{sheet}<div class=t><button>Do</button></div>") == ["button Do"]
    at.do(Hover(at.ref("Do")))
    assert "text tip" in lines(at.observation)


@pytest.mark.parametrize("how", ["onclick=1", "tabindex=0", "draggable=true"])
def test_what_a_sheet_writes_in_a_thing_is_in_its_name(at, how):
    sheet = "<style>.n::before {content:attr(data-price) ' '} .n::after {content:' new'}</style>"
    assert [line.partition(" (")[0] for line in seen(at, f"{sheet}<div class=n data-price='$5' {how}>Card</div>")] == [
        "clickable $5 Card new"
    ]


BREAKS = {
    "pre": ("<pre>def f(x):\n    return x\n\nprint(f(1))</pre>", ["text def f(x):", "text return x", "text print(f(1))"]),
    "pre-line": ("<p style='white-space:pre-line'>one <b>two</b> three\nfour</p>", ["text one two three", "text four"]),
    "break-spaces": ("<p style='white-space:break-spaces'>one\ntwo</p>", ["text one", "text two"]),
    "preserve-spaces": ("<p style='white-space-collapse:preserve-spaces'>one\ntwo</p>", ["text one two"]),
    "normal": ("<p>one\ntwo</p>", ["text one two"]),
    "a name": ("<pre tabindex=0>one\ntwo</pre>", ["clickable one two"]),
    "a cell": ("<table><tr><th>A<th>B<tr><td><pre>one\ntwo</pre><td>three</table>", ["row A | B", "row one two | three"]),
    "a slot": ("<pre><template shadowrootmode=open><slot></slot></template>one\ntwo</pre>", ["text one", "text two"]),
}


@pytest.mark.parametrize("how", BREAKS)
def test_lines_end_where_they_are_drawn_to_end(at, how):
    html, expected = BREAKS[how]
    assert seen(at, html) == expected


def test_a_text_file_is_read_line_by_line(at):
    at.open("x", {"/t": (200, {"content-type": "text/plain"}, "one two\n  three\n")})
    assert lines(at.do(Goto(f"http://{HOST}/t"))) == ["text one two", "text three"]


def test_words_around_a_label_keep_their_place(at):
    fields = "<p>From <label>City <input></label> to <label>Town <input></label> by train</p>"
    assert seen(at, f"{fields}<p><label>Sum <input aria-label=Total> EUR</label> net") == [
        "text From", "textbox City = ", "text to", "textbox Town = ", "text by train",
        "text Sum", "textbox Total = ", "text EUR net",
    ]  # fmt: skip


def test_an_open_picker_on_the_page_tells_which_option_has_the_focus(at):
    at.open("<style>#s, #s::picker(select) {appearance:base-select}</style><select id=s aria-label=Pet><option>Cat<option>Wolf</select>")
    assert lines(at.observation)[0] == "combobox Pet = Cat (collapsed)"
    at.do(Click(at.ref("Pet")))
    at.do(Press("ArrowDown"))
    assert [line.strip() for line in lines(at.observation)] == [
        "combobox Pet = Cat (expanded)", "option Cat (selected)", "option Wolf (focused)",
    ]  # fmt: skip
    assert lines(at.do(Press("Enter")))[0] == "combobox Pet = Wolf (collapsed, focused)"
