"""Actions on pages that were not written for agents: the right thing gets them, or a sentence says why not."""

import pytest

from tests.webgym.pages import HOST, OTHER, Visitor, lines, run
from webgym.types import Clear, Click, Fill, Focus, Hover, MouseClick, Press, Scroll, Select, Type, Upload, Wait

HEARD = """<script>heard = [];
    for (const type of TYPES) addEventListener(type, e => heard.push(`${type} ${e.target.id || e.target.nodeName}`), true)</script>"""


def log_of(*types: str) -> str:
    """A script that keeps what a page hears of these events."""
    return HEARD.replace("TYPES", str(list(types)))


def value(at: Visitor, name: str) -> str | None:
    """The value of a field of the current page."""
    return at.node(name).value


# --- where a click goes -----------------------------------------------------------------------------------------------------

TALL = "<style>body {{ margin: 0 }}</style><div style='height:{0}px'></div><button onclick=\"this.textContent = 'pressed'\">Press</button>"
FRAMES = {
    "plain": "",
    "below the fold": "margin-top: 2000px",
    "padded": "padding: 30px 50px; border: 9px solid",
    "scaled": "transform: scale(.5)",
    "turned": "transform: rotate(90deg); margin: 200px",
    "slanted": "transform: skewX(20deg) rotate(30deg) scale(1.3); margin: 200px",
    "zoomed": "zoom: 1.5",
}


@pytest.mark.parametrize("style", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("host", [HOST, OTHER])
def test_a_thing_in_a_frame_is_clicked_wherever_the_frame_is(at, style, host):
    page = f"<p>top</p><iframe src='http://{host}/f' width=300 height=200 style='{style}'></iframe><div style='height:3000px'></div>"
    for down in (0, 700):
        at.open(page, {"/f": TALL.format(down)}, hosts=(HOST, OTHER))
        assert lines(at.do(Click(at.ref("Press"))))[-1].startswith("button pressed")


def test_frames_in_frames(at):
    middle = f"<div style='height:900px'></div><iframe src='http://{HOST}/f' width=300 height=100 style='border:11px solid'></iframe>"
    frame = f"<iframe src='http://{OTHER}/m' width=500 height=300 style='padding:7px'></iframe>"
    page = f"<div style='height:1500px'></div><div style='transform:scale(.8)'>{frame}</div><div style='height:3000px'></div>"
    at.open(page, {"/f": TALL.format(700), "/m": middle}, hosts=(HOST, OTHER))
    assert lines(at.do(Click(at.ref("Press"))))[-1].startswith("button pressed")


@pytest.mark.parametrize("host", [HOST, OTHER])
def test_who_lies_over_a_frame_is_told(at, host):
    cover = "<div id=c style='position:fixed; inset:0; background:red'>Cover</div>"
    at.open(f"<iframe src='http://{host}/f'></iframe>{cover}", {"/f": TALL.format(0)}, hosts=(HOST, OTHER))
    assert at.fails(Click(at.ref("Press"))) == f'element #{at.ref("Press")} is covered by <div id=c> "Cover"'
    assert at.fails(Hover(at.ref("Press"))) == f'element #{at.ref("Press")} is covered by <div id=c> "Cover"'


@pytest.mark.parametrize("host", [HOST, OTHER])
def test_a_frame_is_scrolled_clear_of_what_sticks(at, host):
    head = "<div style='position:sticky; top:0; height:500px; background:red'>Head</div>"
    page = f"{head}<iframe src='http://{host}/f' width=300 height=100></iframe><div style='height:3000px'></div>"
    at.open(page, {"/f": TALL.format(700)}, hosts=(HOST, OTHER))
    assert lines(at.do(Click(at.ref("Press"))))[-1].startswith("button pressed")


ROWS = "<p style='margin:0; height:24px'>row</p>"
BAR = "position:sticky; {0}:0; height:{1}px; background:#ccc"
CLEAR = {
    "header": BAR.format("top", 60),
    "footer": BAR.format("bottom", 60),
    "both": f"{BAR.format('top', 45)}'>Head</div>"
    "<div style='position:absolute; z-index:1; background:#ccc; left:0; width:100%; top:75px; height:25px",
}


@pytest.mark.parametrize("bars", CLEAR.values(), ids=CLEAR)
def test_what_bars_cover_is_scrolled_to_a_free_place(at, bars):
    box = f"<div style='height:100px; overflow:auto'><div style='{bars}'>Bar</div>{ROWS * 9}"
    button = "<button style='height:20px; margin:2px' onclick=\"document.title = 'hit'\">Target</button>"
    at.open(f"<div style='position:relative'>{box}{button}{ROWS * 9}</div></div>")
    assert at.do(Click(at.ref("Target"))).title == "hit"


def test_a_link_that_wraps_and_one_that_is_covered_in_part(at):
    at.open("""<div style="width:120px; font:16px monospace">some words <a href="#w">a link that wraps over lines</a></div>
        <button style="position:absolute; left:0; top:200px; width:300px; height:60px" onclick="document.title = 'part'">part</button>
        <div style="position:absolute; left:0; top:190px; width:285px; height:80px; background:red"></div>""")
    assert at.do(Click(at.ref("a link that wraps over lines"))).url.endswith("#w")
    assert at.do(Click(at.ref("part"))).title == "part"


def test_shadow_roots_slots_and_inert_things(at):
    at.open("""<div id=h><b id=given>Given</b></div><div id=lazy inert><button>Asleep</button></div><script>
        h.attachShadow({mode: 'open'}).innerHTML = '<button><slot></slot></button><p><button>Deep</button></p>';
        for (const b of h.shadowRoot.querySelectorAll('button')) b.onclick = () => document.title = b.textContent || 'slot'</script>""")
    assert at.do(Click(at.ref("Deep"))).title == "Deep"
    given = next(n.ref for n in at.observation.nodes if "Given" in n.text)
    assert given is not None and at.do(Click(given)).title == "slot"
    for node in at.observation.nodes:
        if node.text == "Asleep" and node.ref is not None:
            assert "is inert" in at.fails(Click(node.ref))


@pytest.mark.parametrize("x, y", [(1e300, 5), (-1, 5), (5, 720), (1280, 5), (1e9, 1e9)])
def test_points_out_of_view_are_refused_at_once(at, x, y):
    at.open("<p>page")
    assert "lies outside of the view, which is 1280 by 720 pixels" in at.fails(MouseClick(x, y))


# --- where text goes --------------------------------------------------------------------------------------------------------

ELSEWHERE = {
    "modal": (
        "<label>A <input></label><dialog id=d><label>B <input autofocus></label></dialog><script>d.showModal()</script>",
        "it lies behind",
    ),
    "inert": ("<div inert id=i><label>A <input></label></div><label>B <input autofocus></label>", "it is inert"),
    "moved": ("<label>A <input onfocus='b.focus()'></label><label>B <input id=b></label>", "the page moved it to <input id=b>"),
    "blurred": ("<label>A <input onfocus='this.blur()'></label><label>B <input id=b autofocus></label>", "the page took it away"),
    "disabled": ("<label>A <input disabled></label><label>B <input autofocus></label>", "is disabled"),
}


@pytest.mark.parametrize("page, why", ELSEWHERE.values(), ids=ELSEWHERE)
def test_text_goes_nowhere_else(at, page, why):
    at.open(page)
    found = [n.ref for n in at.observation.nodes if n.text == "A" and n.ref is not None]
    for action in [x for ref in found for x in (Fill(ref, "secret"), Press("x", ref), Focus(ref), Clear(ref))]:
        assert why in at.fails(action)
    assert at.js("[...document.querySelectorAll('input')].map(i => i.value).join('')") == ""


def test_keys_on_a_thing_that_takes_no_focus(at):
    at.open("<p onclick=''>words</p><input aria-label=b autofocus>")
    assert at.fails(Press("x", at.ref("words"))) == f"element #{at.ref('words')} cannot have the focus: it takes none"
    assert value(at, "b") == ""


EDITORS = {
    "hidden field": """<div id=e role=button aria-label=Code style="position:relative" tabindex=0 onfocus="t.focus()">
        <div style="position:absolute; width:3px; height:0; overflow:hidden">
        <textarea id=t style="width:1px; height:1em"></textarea></div>Code</div>""",
    "beside": """<section><div id=e tabindex=0 onfocus="t.focus()">Code</div><textarea id=t style="opacity:0"></textarea></section>""",
    "delegated": """<div id=e></div><script>e.attachShadow({mode: 'open', delegatesFocus: true}).innerHTML = 'Code<input id=t>';
        e.tabIndex = 0; t = e.shadowRoot.querySelector('input')</script>""",
}


@pytest.mark.parametrize("page", EDITORS.values(), ids=EDITORS)
def test_an_editors_own_field_takes_its_keys(at, page):
    at.open(f"<input aria-label=other>{page}")
    code = next(n.ref for n in at.observation.nodes if n.ref is not None and "Code" in n.text)
    at.do(Press("x", code))
    assert at.js("t.value") == "x" and value(at, "other") == ""


def test_a_hidden_field_of_another_widget_is_another_field(at):
    at.open("""<div><div id=e tabindex=0 onfocus="t.focus()">Code</div><input aria-label=mine></div>
        <div><textarea id=t style="opacity:0"></textarea></div>""")
    assert "the page moved it to <textarea id=t>" in at.fails(Press("x", at.ref("Code")))
    assert at.js("t.value") == ""


# --- what fields hold -------------------------------------------------------------------------------------------------------


def test_fields_are_emptied_whatever_they_hold(at):
    at.open("""<input type=number aria-label=n><div contenteditable aria-label=rich><h1>Title</h1><ul><li>one <b>two</b><li>x</ul>
            <table><td>cell</table></div><input aria-label=short maxlength=5 value=abcde>
        <input aria-label=money value="$1,234" oninput="value = '$' + value.replace(/[^0-9]/g, '').replace(/(?<=.)(?=(...)+$)/g, ',')">
        <textarea aria-label=text>a\nb</textarea><input type=email aria-label=mail value=x@y multiple>
        <input type=date aria-label=day value=2026-01-01>""")
    at.do(Focus(at.ref("n")))
    at.do(Type("12e"))
    assert at.do(Fill(at.ref("n"), "7")).node(at.ref("n")).value == "7"
    at.do(Focus(at.ref("n")))
    at.do(Type("e"))
    at.do(Clear(at.ref("n")))
    assert at.js("document.querySelector('input').validity.badInput") is False
    for name, text, held in [("short", "vwxyz", "vwxyz"), ("money", "98765", "$98,765"), ("text", "c", "c"), ("mail", "a@b", "a@b")]:
        assert at.do(Fill(at.ref(name), text)).node(at.ref(name)).value == held
    rich = next(n.ref for n in at.observation.nodes if n.role == "textbox" and n.text == "rich")
    assert at.do(Fill(rich, "new")) and at.js("document.querySelector('[contenteditable]').innerText.trim()") == "new"
    at.do(Clear(rich))
    assert at.js("document.querySelector('[contenteditable]').innerText.trim()") == ""
    assert at.do(Clear(at.ref("day"))).node(at.ref("day")).value == ""
    told = at.do(Fill(at.ref("short"), "abcdefgh"))
    assert told.node(at.ref("short")).value == "abcde" and told.notices == (
        "the field takes 5 characters at most: the rest of the text was left out",
    )


REFUSED = [
    ("date", "01/05/2026", "2026-01-01", "YYYY-MM-DD"),
    ("date", "2026-02-30", "2026-01-01", "YYYY-MM-DD"),
    ("time", "25:00", "10:00", "HH:MM"),
    ("time", "noon", "10:00", "HH:MM"),
    ("month", "13/2026", "2026-01", "YYYY-MM"),
    ("week", "5", "2026-W01", "YYYY-Www"),
    ("datetime-local", "2026-01-05", "2026-01-01T10:00", "YYYY-MM-DDTHH:MM"),
    ("color", "reddish", "#112233", "#rrggbb"),
    ("range", "lots", "50", "a number from 0 to 100"),
    ("range", "150", "50", "a number from 0 to 100"),
    ("number", "twelve", "5", "a number such as"),
]


@pytest.mark.parametrize("kind, text, old, format", REFUSED)
def test_a_refused_value_leaves_the_field_and_says_the_format(at, kind, text, old, format):
    at.open(f"<input type={kind} aria-label=f value={old}>{log_of('input', 'change')}")
    error = at.fails(Fill(at.ref("f"), text))
    assert f'"{text}" is not a value that this {kind} field takes' in error and format in error
    assert at.js("document.querySelector('input').value") == old and at.js("heard") == []


TAKEN = [
    ("color", "#FF0000", "#ff0000"),
    ("color", "#f00", "#ff0000"),
    ("color", "Red", "#ff0000"),
    ("color", "rgb(255, 0, 0)", "#ff0000"),
    ("date", "2026-1-5", "2026-01-05"),
    ("date", "2026/01/05", "2026-01-05"),
    ("date", "January 5, 2026", "2026-01-05"),
    ("date", "5 Jan 2026", "2026-01-05"),
    ("time", "9:30 pm", "21:30"),
    ("time", "9:05", "09:05"),
    ("time", "12am", "00:00"),
    ("month", "January 2026", "2026-01"),
    ("week", "2026-w5", "2026-W05"),
    ("datetime-local", "2026-01-05 10:00", "2026-01-05T10:00"),
    ("datetime-local", "Jan 5, 2026, 9pm", "2026-01-05T21:00"),
    ("range step=25", "30", "25"),
    ("range min=-5 max=5", "-3", "-3"),
    ("number", "+5", "5"),
    ("number", " 1.50 ", "1.50"),
]


@pytest.mark.parametrize("kind, text, held", TAKEN)
def test_other_spellings_are_taken_and_the_page_hears_of_it(at, kind, text, held):
    at.open(f"<input id=f type={kind} aria-label=f>{log_of('input', 'change')}")
    at.do(Fill(at.ref("f"), text))
    assert at.js("f.value") == held and "input f" in at.js("heard")


def test_a_field_that_a_framework_watches_hears_of_a_new_value(at):
    page = """<input type=range id=f aria-label=f max=10 value=1><script>
        const { get, set } = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value');
        let last = f.value;  // as React does: an input event counts where the value differs from the one that was set last
        Object.defineProperty(f, 'value', { get() { return get.call(this) }, set(v) { last = v; set.call(this, v) } });
        f.addEventListener('input', () => { if (get.call(f) !== last) document.title = 'changed to ' + (last = get.call(f)) })</script>"""
    at.open(page)
    assert at.do(Fill(at.ref("f"), "7")).title == "changed to 7"


def test_a_label_and_a_box_around_one_field_mean_the_field(at):
    at.open("""<div id=h tabindex=0></div><script>h.attachShadow({mode: 'open'}).innerHTML = '<p>Name</p><input>'</script>
        <div role=textbox tabindex=0 aria-label=outer><input id=inner></div><div tabindex=0 onclick="">two <input><input></div>""")
    outer = next(n.ref for n in at.observation.nodes if n.text == "outer")
    at.do(Fill(outer, "in"))
    assert at.js("inner.value") == "in"
    two = [n.ref for n in at.observation.nodes if n.text.startswith("two") and n.ref is not None and n.role == "clickable"]
    assert all("text cannot be put into it" in at.fails(Fill(ref, "x")) for ref in two)


# --- line breaks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("long", [False, True])
def test_a_line_break_of_fill_is_text(at, long):
    pad = "x" * 300 if long else ""
    at.open("""<form action=/sent><input aria-label=one><textarea aria-label=chat></textarea></form>
        <div contenteditable aria-label=rich></div><script>
        document.querySelector('textarea').onkeydown = e => { if (e.key === 'Enter') location = '/sent' };
        document.querySelector('[contenteditable]').onkeydown =
            e => { if (e.key === 'Enter' && !e.shiftKey) location = '/sent' }</script>""")
    one = at.do(Fill(at.ref("one"), f"Ann\nLee{pad}\r\n\n")).node(at.ref("one"))
    assert one and one.value == f"Ann Lee{pad}"
    chat = at.do(Fill(at.ref("chat"), f"a\nb{pad}\r\nc\n")).node(at.ref("chat"))
    assert chat and chat.value == f"a\nb{pad}\nc\n"
    at.do(Fill(at.ref("rich"), f"a\nb{pad}"))
    assert at.js("document.querySelector('[contenteditable]').innerText") == f"a\nb{pad}"
    assert at.observation.url.endswith("/")


@pytest.mark.parametrize("pad", ["", "x" * 300])
def test_a_line_break_that_is_typed_is_the_enter_key(at, pad):
    at.open("<form action=/sent><input name=q aria-label=one autofocus></form>", {"/sent": "<p>sent"})
    assert at.do(Type(f"Ann{pad}\n")).url == f"http://{HOST}/sent?q=Ann{pad}"


# --- keys -------------------------------------------------------------------------------------------------------------------

KEYS = ["Esc", "Return", "Del", "Up", "PgDn", "space", "ctrl-a", "Ctrl+a", "Control+A", "Cmd+c", "Page Down", "Shift+tab", "F5"]
KEYS += ["b", "B", "é", "shift+1"]


def test_keys_as_people_write_them(at):
    at.open("""<textarea aria-label=t autofocus></textarea>
        <script>log = []; onkeydown = e => { log.push(e.key); e.preventDefault() }</script>""")
    for keys in KEYS:
        at.do(Press(keys))
    assert [key for key in at.js("log") if key not in ("Control", "Shift")] == [
        "Escape", "Enter", "Delete", "ArrowUp", "PageDown", " ", "a", "a", "a", "c", "PageDown", "Tab", "F5", "b", "B", "!",
    ]  # fmt: skip
    assert value(at, "t") == "é"
    assert at.fails(Press("Entr")).startswith("there is no key 'Entr'; did you mean 'Enter'")
    assert at.fails(Press("Ctrl+")).startswith("there is no key 'Ctrl+'")


# --- the wheel --------------------------------------------------------------------------------------------------------------

BOX = "<div id={0} style='height:100px; width:200px; overflow:auto'>{1}<div style='height:300px; width:600px'></div></div>"


def test_a_box_at_its_end_passes_the_wheel_on(at):
    at.open(f"{BOX.format('outer', BOX.format('inner', '<button>b</button>'))}<div style='height:3000px'></div>")
    at.do(Scroll(0, 1000, at.ref("b")))
    assert at.js("[inner.scrollTop > 0, outer.scrollTop, scrollY]") == [True, 0, 0]
    at.do(Scroll(0, 30, at.ref("b")))  # out of view by now
    assert at.js("[outer.scrollTop, scrollY]") == [30, 0]
    at.do(Scroll(50, 0, at.ref("b")))
    assert at.js("inner.scrollLeft") == 50


@pytest.mark.parametrize("distance", [1e39, -1e39, 1.7e308])
def test_after_any_distance_of_the_wheel_the_browser_still_hears(at, distance):
    at.open("<button onclick='this.textContent = \"heard\"'>b</button><div style='height:3000px'></div>")
    if distance > 0:
        assert at.do(Scroll(0, distance)).error == ""
        assert at.js("scrollY > 2000")
    else:
        assert "nothing scrolled" in at.fails(Scroll(0, distance))
    at.do(Click(at.ref("b")))
    assert at.ref("heard") is not None


@pytest.mark.parametrize("host", [HOST, OTHER])
def test_the_wheel_in_frames_and_roots(at, host):
    frame = f"<iframe src='http://{host}/f' width=300 height=200></iframe>"
    root = "<div id=h></div><script>h.attachShadow({mode: 'open'}).innerHTML = '<button>root</button>'</script>"
    inside = TALL.format(0) + "<div style='height:900px'></div>"
    at.open(f"{root}{frame}<div style='height:3000px'></div>", {"/f": inside}, hosts=(HOST, OTHER))
    at.do(Scroll(0, 40, at.ref("root")))
    assert at.js("scrollY") == 40
    at.do(Scroll(0, 9000, at.ref("Press")))
    assert at.js("scrollY") == 40
    at.do(Scroll(0, 50, at.ref("Press")))  # the frame is at its end
    assert at.js("scrollY") == 90


def test_pages_hear_the_wheel_and_may_keep_it(at):
    at.open("""<canvas id=map width=200 height=200 tabindex=0 aria-label=map></canvas><div style="height:3000px"></div><script>
        map.addEventListener('wheel', e => {
            e.preventDefault(); document.title = `${e.deltaX} ${e.deltaY} ${e.isTrusted}` }, {passive: false})</script>""")
    assert at.do(Scroll(0, 120, at.ref("map"))).title == "0 120 true" and at.js("scrollY") == 0


def test_a_page_whose_body_or_one_box_scrolls(at):
    body = "<style>html { height:100%; overflow:hidden } body { height:100%; margin:0; overflow:auto }</style>"
    at.open(f"{body}<button>b</button><div style='height:3000px'></div>")
    at.do(Scroll(0, 200))
    at.do(Scroll(0, 100, at.ref("b")))
    assert at.js("document.body.scrollTop") == 300
    at.open("<div id=app style='height:100vh; overflow:auto'><div style='height:3000px'></div></div>")
    at.do(Scroll(0, 200))
    assert at.js("app.scrollTop") == 200
    assert "nothing scrolled" in at.fails(Scroll(300, 0))


# --- files ------------------------------------------------------------------------------------------------------------------

CHOOSERS = {
    "label": "<input id=f type=file hidden><label for=f style='cursor:pointer' onclick=''>Attach</label>",
    "button": "<input id=f type=file hidden><button onclick=f.click()>Attach</button>",
    "made on the way": "<button onclick=\"f = document.createElement('input'); f.type = 'file'; f.onchange = got; f.click()\">"
    "Attach</button>",
    "inside": "<div role=button onclick='f.click()' tabindex=0>Attach<input id=f type=file hidden onclick='event.stopPropagation()'></div>",
    "root": "<div id=h></div><script>h.attachShadow({mode: 'open'}).innerHTML = '<button>Attach</button><input type=file hidden>';"
    "f = h.shadowRoot.querySelector('input'); h.shadowRoot.querySelector('button').onclick = () => f.click()</script>",
}


@pytest.mark.parametrize("page", CHOOSERS.values(), ids=CHOOSERS)
def test_the_file_that_a_page_asks_for(at, page):
    script = "<script>got = () => document.title = f.files[0].name; try { f.onchange = got } catch {}</script>"
    at.open(f"{page}<button>Other</button>{script}", files={"cv.txt": "hi", "b.txt": "ho"})
    attach = next(n.ref for n in at.observation.nodes if "Attach" in n.text and n.ref is not None)
    at.do(Click(attach))
    assert "the page asks for a file" in at.observation.notices[0]
    attach = next(n.ref for n in at.observation.nodes if "Attach" in n.text and n.ref is not None)
    assert "2 were given" in at.fails(Upload(attach, ("cv.txt", "b.txt")))
    assert at.do(Upload(attach, ("cv.txt",))).title == "cv.txt"


def test_a_request_for_a_file_ends_with_the_next_action(at):
    at.open("<input id=f type=file hidden><button onclick=f.click()>Attach</button>", files={"cv.txt": "hi"})
    at.do(Click(at.ref("Attach")))
    at.do(Wait(1))
    assert "is no file field" in at.fails(Upload(at.ref("Attach"), ("cv.txt",)))


# --- what the browser says --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [HOST, OTHER])
def test_the_field_that_holds_a_form_back_is_told(at, host):
    form = "<form action=/sent><label>Mail <input type=email></label><label>Name <input required></label><button>Send</button></form>"
    at.open(f"<iframe src='http://{host}/f'></iframe>", {"/f": form}, hosts=(HOST, OTHER))
    told = at.do(Click(at.ref("Send"))).notices
    assert told == ('the field "Name" holds the form back: Please fill out this field.',)
    assert at.do(Wait(1)).notices == ()
    at.do(Fill(at.ref("Mail"), "nomail"))
    assert 'the field "Mail" holds the form back: Please include an' in at.do(Press("Enter")).notices[0]


def test_a_page_that_checks_its_form_itself_is_not_told_of(at):
    at.open(
        "<form novalidate onsubmit='this.checkValidity(); return false'><input required aria-label=a autofocus><button>Send</button></form>"
    )
    assert at.do(Click(at.ref("Send"))).notices == ()


def test_select_boxes_that_cannot_be_used(at):
    at.open("""<select aria-label=s><optgroup label=g disabled><option>off</optgroup><option selected>on<option disabled>no</select>
        <select aria-label=behind><option>x<option>y</select><dialog id=d>Modal</dialog>
        <button onclick="d.showModal()">Open</button>""")
    for word in ("off", "no"):
        assert "is disabled" in at.fails(Select(at.ref("s"), (word,)))
    at.do(Click(at.ref("Open")))
    assert not any(node.text == "behind" and node.ref is not None for node in at.observation.nodes)  # nobody can use it now
    assert at.js("document.querySelectorAll('select')[1].value") == "x"


def test_fill_sends_the_events_that_playwright_sends(at):
    page = f"<textarea id=t>old</textarea><input id=d type=date>{log_of('beforeinput', 'input', 'change', 'focus')}"

    def events(act) -> object:
        at.open(page)
        act()
        return at.js("[t.value, d.value, heard]")

    def playwright() -> None:
        tab = at.env.session.tab.page
        run(tab.focus("#t"))
        run(tab.locator("#t").select_text())
        run(tab.keyboard.insert_text("n"))
        run(tab.fill("#d", "2026-01-31"))

    def ours() -> None:
        at.do(Fill(0, "n"))
        at.do(Fill(1, "2026-01-31"))

    assert events(ours) == events(playwright)
