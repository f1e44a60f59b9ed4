"""A session against small pages of its own: what it reads, what it does, and what neither page nor agent can reach."""

import asyncio
import gc
import os
import signal
import time
import weakref
from contextlib import suppress
from pathlib import Path

import pytest

from tests.webgym.pages import HOST, OTHER, OTHER_SITE, SITE, lines, pool, run, visitor
from webgym.backends.base import PageView
from webgym.backends.browser.profile import EPISODES, LISTENERS
from webgym.backends.browser.session import AHEAD_MS
from webgym.commands.processes import descendants
from webgym.env.core import AsyncWebEnv
from webgym.errors import BrowserFault, HangFault
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.task import SUCCESS, Verdict
from webgym.types import (
    Back,
    Clear,
    Click,
    CloseTab,
    Drag,
    Fill,
    Focus,
    FocusTab,
    Forward,
    Goto,
    Hover,
    MouseClick,
    NewTab,
    Press,
    Reload,
    Scroll,
    Select,
    Type,
    Upload,
    Wait,
)

# --- reading ---------------------------------------------------------------------------------------------------------------


def test_roles_names_values_and_states(at):
    page = """<title>T</title><h1>Head</h1><p>plain <b>bold</b> text</p>
        <label>Name <input value=bob></label> <label for=c>Agree</label><input type=checkbox id=c checked>
        <span id=rl>Red</span><input type=radio aria-labelledby=rl> <input placeholder="Your mail" required>
        <textarea aria-label=Story readonly>once</textarea>
        <select aria-label=Size><option>S<option selected>M</select>
        <select multiple aria-label=Many><option selected>a<option>b<option selected>c</select>
        <button disabled>Off</button><input type=submit value=Send><input type=submit><input type=range max=10 value=3 aria-label=Vol>
        <a href=/x>Link</a><details><summary>More</summary>unseen</details><div contenteditable aria-label=Note>draft</div>
        <div role=tab aria-selected=true tabindex=0>Tab</div><div role=switch aria-checked=true tabindex=0>Lamp</div>
        <img alt="a cat"><ul><li>one<li>two</ul>"""
    observation = at.open(page)
    assert lines(observation) == [
        "heading Head",
        "text plain bold text",
        "textbox Name = bob",
        "checkbox Agree (checked)",
        "text Red",
        "radio Red",
        "textbox Your mail =  (required)",
        "textbox Story = once (readonly)",
        "combobox Size = M",
        "option S",
        "option M (selected)",
        "listbox Many = a, c",
        "option a (selected)",
        "option b",
        "option c (selected)",
        "button Off (disabled)",
        "button Send",
        "button Submit",
        "slider Vol = 3",
        "link Link",
        "button More (collapsed)",
        "textbox Note = draft",
        "tab Tab (selected)",
        "switch Lamp (checked)",
        "text a cat",
        "text one",
        "text two",
    ]
    assert (observation.title, observation.url, observation.goal) == ("T", f"http://{HOST}/", "the goal")
    assert observation.tabs == ("T (current)",) and observation.notices == ()
    refs = [node.ref for node in observation.nodes if node.ref is not None]
    assert refs == list(range(len(refs)))


def test_a_thing_without_text_has_the_name_that_its_author_gave_it_wherever_the_pointer_is(at):
    box = "onclick=1 style='width:40px;height:20px'"
    page = f"<div {box} class='menu menu-hover is-Focused wide'></div><div {box} class='x-hover' id=own></div>"
    page += f"<div {box}><i class=x-hover></i><i class=star></i></div><div {box} class='hovercard focus-group hover:red'></div>"
    assert [node.text for node in at.open(page).nodes] == ["menu wide", "own", "star", "hovercard focus-group"]


def test_what_does_not_show_is_not_read(at):
    at.open("""<div style="display:none">a<button>b</button></div><div style="visibility:hidden">c<button>d</button>
        <button style="visibility:visible">seen</button></div><div style="position:absolute;left:-999px">e<button>f</button></div>
        <script>"g"</script><template><button>h</button></template><noscript>i</noscript><input type=hidden value=j>""")
    assert lines(at.observation) == ["button seen"]


def test_shadow_roots_frames_and_slots(at):
    at.open("""<div id=host><b>given</b></div>
        <iframe srcdoc="<p>in frame<button onclick='parent.document.title=7'>frame button</button>"></iframe>
        <script>host.attachShadow({mode: 'open'}).innerHTML =
        '<button onclick="document.title=8">shadow button</button><slot></slot>'</script>""")
    assert lines(at.observation) == ["button shadow button", "text given", "text in frame", "button frame button"]
    assert at.do(Click(at.ref("frame button"))).title == "7"
    assert at.do(Click(at.ref("shadow button"))).title == "8"


def test_things_that_only_listen_can_be_clicked(at):
    at.open("""<div id=a>listener</div><div id=b>property</div><div onclick="document.title='attribute'">attribute</div>
        <p>nothing</p>
        <svg width=40 height=40><circle id=c cx=20 cy=20 r=15 fill=red /></svg><iframe id=f srcdoc="<div id=d>framed</div>"></iframe>
        <script>a.addEventListener('click', () => document.title = 'listener'); b.onclick = () => document.title = 'property';
        c.addEventListener('mousedown', () => document.title = 'circle');
        f.onload = () => f.contentDocument.getElementById('d').addEventListener('click', () => document.title = 'framed')</script>""")
    assert lines(at.observation) == [
        "clickable listener",
        "clickable property",
        "clickable attribute",
        "text nothing",
        "clickable circle red",
        "clickable framed",
    ]
    for name in ("listener", "property", "attribute", "circle red", "framed"):
        assert at.do(Click(at.ref(name))).title == name.removesuffix(" red")


def test_the_snapshot_leaves_no_trace_in_the_page(at):
    at.open("""<div id=a>x</div><script>a.onclick = () => {}; changes = 0;
        new MutationObserver(list => changes += list.length)
            .observe(document, {subtree: true, childList: true, attributes: true})</script>""")
    names = set(at.js("Object.getOwnPropertyNames(window)"))
    at.do(Wait(10))
    assert at.js("changes") == 0
    assert set(at.js("Object.getOwnPropertyNames(window)")) == names
    assert not [name for name in names if "webgym" in name.lower() or "playwright" in name.lower()]


def test_long_page_is_cut_and_says_so(at):
    at.open("<body><script>for (let i = 0; i < 3000; i++) document.write('<p>' + i)</script>")
    assert len(at.observation.nodes) == 2500
    assert at.observation.notices == ("the page is long: only its first 2500 lines are shown; scroll to read on",)


def test_focus_names_what_the_keyboard_reaches(at):
    at.open("<input aria-label=a><input aria-label=b autofocus><iframe srcdoc='<input aria-label=c>'></iframe>")
    for name in "abc":
        assert at.do(Click(at.ref(name))).focus == at.ref(name)


# --- refs that do not serve ------------------------------------------------------------------------------------------------


def test_refs_that_do_not_serve_say_why(at):
    at.open("""<button id=a onclick="gone.remove(); document.getElementById('hides').style.display='none'">change</button>
        <button id=gone>gone</button>
        <button id=hides>hides</button><button disabled>off</button><button style="position:absolute;top:200px;left:0">under</button>
        <div style="position:absolute;top:190px;left:0;width:300px;height:90px;background:red">a cover</div>
        <input readonly aria-label=fixed><input type=checkbox aria-label=box>
        <select aria-label=sel><option>one<option disabled>two</select>""")
    assert at.fails(Click(99)) == "there is no element #99 on this page; the refs are #0 to #9"
    assert at.fails(Click(at.ref("off"))) == f"element #{at.ref('off')} is disabled"
    assert at.fails(Click(at.ref("under"))) == f'element #{at.ref("under")} is covered by <div> "a cover"'
    assert "read-only" in at.fails(Fill(at.ref("fixed"), "x"))
    assert "text cannot be put into it" in at.fails(Fill(at.ref("box"), "x"))
    assert "choose one of its options" in at.fails(Fill(at.ref("sel"), "x"))
    assert 'has no option "three"; it has: "one", "two"' in at.fails(Select(at.ref("sel"), ("three",)))
    assert "takes one option, 2 were given" in at.fails(Select(at.ref("sel"), ("one", "two")))
    assert "is no select box" in at.fails(Select(at.ref("change"), ("one",)))
    assert "is disabled" in at.fails(Click(at.ref("two")))
    assert "it can only be chosen" in at.fails(Hover(at.ref("one")))
    assert "no files to upload" in at.fails(Upload(at.ref("box"), ("a.txt",)))
    at.do(Click(at.ref("change")))
    assert not [n for n in at.observation.nodes if n.text in ("gone", "hides")]
    at.js("void document.getElementById('a').remove()")  # after the snapshot: the ref is stale
    assert at.fails(Click(0)) == "element #0 is gone: the page has changed since it was shown"


def test_hidden_since_it_was_shown(at):
    at.open("<button id=a>x</button>")
    at.js("void (a.style.visibility = 'hidden')")
    assert at.fails(Click(0)) == "element #0 is hidden now"
    assert "there is no element #0" in at.fails(Click(0))  # refs are those of the page that was shown last


# --- acting ----------------------------------------------------------------------------------------------------------------


def test_fields_are_filled_and_hear_of_it(at):
    at.open("""<input aria-label=a value=old><textarea aria-label=b></textarea><input type=date aria-label=d>
        <div contenteditable aria-label=e>old</div>
        <input type=number aria-label=n><script>heard = []; for (const type of ['keydown', 'input', 'change', 'focus'])
        addEventListener(type, e => heard.push(type + ' ' + e.target.ariaLabel), true)</script>""")
    for name, text in {"a": 'new "text" ✓', "b": "x" * 500, "d": "2026-01-31", "e": "new", "n": "12"}.items():
        assert at.do(Fill(at.ref(name), text)).nodes[at.ref(name)].value == text
    assert {"keydown a", "input a", "change a", "focus b", "input b", "change d", "input e"} <= set(at.js("heard"))
    assert "is not a value that this date field takes" in at.fails(Fill(at.ref("d"), "tomorrow"))
    assert at.do(Clear(at.ref("a"))).nodes[0].value == ""
    at.do(Focus(at.ref("a")))
    at.do(Type("one"))
    at.do(Type(" two"))
    assert at.do(Press("Backspace")).nodes[0].value == "one tw"
    at.do(Press("Control+a"))
    assert at.do(Press("Delete")).nodes[0].value == ""
    at.do(Press("Tab", at.ref("a")))
    assert at.observation.focus == at.ref("b")
    assert "there is no key 'Hyper'; examples" in at.fails(Press("Hyper"))


def test_select_boxes(at):
    at.open("""<select aria-label=one onchange="document.title=value"><option value=1>First<option value=2>Second</select>
        <select aria-label=many multiple><option>a<option>b<option>c</select>""")
    assert at.do(Select(at.ref("one"), ("second",))).title == "2"
    assert at.do(Select(at.ref("one"), ("1",))).nodes[0].value == "First"
    assert at.do(Click(at.ref("Second"))).title == "2"  # an option is chosen by a click
    at.do(Select(at.ref("many"), ("a", "c")))
    at.do(Click(at.ref("b")))
    assert at.do(Click(at.ref("a"))).nodes[at.ref("many")].value == "b, c"


FILES = """<form action=/sent method=post enctype=multipart/form-data><input type=file name=f aria-label=CV>
    <input type=file multiple aria-label=More><button>Send</button></form>
    <button onclick="document.querySelector('input').click()">browse</button>"""


def test_files_of_the_episode_are_uploaded(at):
    files = {"cv.txt": "Ann Lee", "photo.png": b"\x89PNG"}
    asked = at.open(FILES, {"/sent": "<p>thanks"}, files=files)
    assert [node.role for node in asked.nodes][:2] == ["file", "file"]
    words = "the page asks for a file: give it one with upload_file; the files are: cv.txt, photo.png"
    for name in ("CV", "browse"):
        assert at.do(Click(at.ref(name))).notices == (words,)
    assert at.fails(Upload(at.ref("CV"), ("../cv.txt",))) == "there is no file '../cv.txt'; the files are: cv.txt, photo.png"
    assert at.fails(Upload(at.ref("CV"), ("/etc/passwd",))).startswith("there is no file '/etc/passwd'")
    assert at.fails(Upload(at.ref("Send"), ("cv.txt",))) == f"element #{at.ref('Send')} is no file field: it takes no files"
    assert at.do(Upload(at.ref("More"), ("cv.txt", "photo.png"))).node(at.ref("More")).value == "cv.txt, photo.png"
    assert at.do(Upload(at.ref("CV"), ("cv.txt",))).node(at.ref("CV")).value == "cv.txt"
    assert lines(at.do(Click(at.ref("Send")))) == ["text thanks"]
    body = at.visit.requests[-1][3]
    assert 'name="f"; filename="cv.txt"' in body and "Ann Lee" in body
    at.open(FILES)
    assert at.do(Click(at.ref("CV"))).notices == (
        "the page asks for a file: give it one with upload_file; this task has no files to upload",
    )
    assert at.fails(Upload(at.ref("CV"), ("cv.txt",))) == "this task has no files to upload"


@pytest.mark.parametrize("picker", ["showOpenFilePicker", "showDirectoryPicker"])
def test_a_picker_that_takes_no_file_is_told_as_such(at, picker):
    """It hears at once that none was chosen, and no field is there to take one later."""
    at.open(f"<p id=p>none</p><button onclick='{picker}().catch(e => p.append(e.name))'>Pick</button>", files={"cv.txt": "Ann"})
    seen = at.do(Click(at.ref("Pick")))
    assert lines(seen)[0] == "text noneAbortError"
    assert seen.notices == ("the page asked for a file by a picker that takes none here: it heard that none was chosen",)


def test_mouse(at):
    at.open("""<style>#h:hover::after{content:' over'} div{width:100px;height:40px}</style>
        <div id=h onclick="" onmouseenter="document.title='hover'">hover</div>
        <div id=c onclick="document.title='click'+event.shiftKey"
            ondblclick="document.title='double'" oncontextmenu="document.title='menu'">click</div>
        <div id=from draggable=true ondragstart="event.dataTransfer.setData('text','load')">from</div>
        <div id=to onclick="" ondragover="event.preventDefault()" ondrop="document.title=event.dataTransfer.getData('text')">to</div>
        <canvas width=50 height=50 onclick="document.title=[event.offsetX, event.offsetY]"
            style="position:absolute;left:300px;top:100px"></canvas>""")
    assert at.do(Hover(at.ref("hover"))).title == "hover"
    assert at.do(Click(at.ref("click"))).title == "clickfalse"
    assert at.do(Click(at.ref("click"), modifiers=("Shift",))).title == "clicktrue"
    assert at.do(Click(at.ref("click"), count=2)).title == "double"
    assert at.do(Click(at.ref("click"), button="right")).title == "menu"
    assert at.do(MouseClick(310, 120)).title == "10,20"
    assert at.do(Drag(at.ref("from"), at.ref("to"))).title == "load"


def test_scrolling(at):
    at.open("""<div style="height:100px;overflow:auto" id=box><p>inside<button>b</button><div style="height:500px"></div></div>
        <div style="height:3000px"></div><button onclick="document.title='far'">far</button>""")
    assert at.do(Scroll(0, 300)).error == "" and at.js("scrollY") == 300
    at.do(Scroll(0, 50, at.ref("b")))
    assert at.js("[scrollY, box.scrollTop]") == [300, 50]
    assert "nothing scrolled" in at.fails(Scroll(0, -99999, None) if at.js("scrollTo(0, 0)") else Scroll(100, 0))
    assert at.do(Click(at.ref("far"))).title == "far"  # brought into view first


# --- navigation ------------------------------------------------------------------------------------------------------------


def test_a_page_hears_of_scrolling_within_the_turn(at):
    box = "<div id=box style='height:50px;overflow:auto'><button>x</button><p style='height:900px'></div>"
    for number in range(10):
        at.open(f"{box}<script>box.onscroll = () => document.title = 'scrolled'</script>", seed=number)
        assert at.do(Scroll(0, 100, at.ref("x"))).title == "scrolled"


def test_links_forms_redirects_and_history(at):
    pages = {
        "/form": "<form method=post action=/done><input name=q aria-label=q><button>Send</button></form>",
        "/done": "<p>thanks",
        "/r1": (302, {"location": "/r2"}, ""),
        "/r2": (200, {}, "<meta http-equiv=refresh content='0;url=/r3'>"),
        "/r3": "<script>location = '/end'</script>",
        "/end": "<p>the end",
    }
    at.open("<a href=/form>form</a><a href=/r1>chain</a><a href=#part>part</a>", pages)
    assert at.fails(Back()) == "there is no page to go back to"
    at.do(Click(at.ref("form")))
    at.do(Fill(at.ref("q"), "a b"))
    assert lines(at.do(Press("Enter"))) == ["text thanks"]
    assert at.visit.requests[-1][::3] == ("POST", "q=a+b") and SITE.snapshot(at.visit) == ["q=a+b"]
    assert at.do(Back()).url == f"http://{HOST}/form"
    assert at.do(Back()).url == f"http://{HOST}/"
    assert at.fails(Back()) == "there is no page to go back to"
    assert at.do(Forward()).url == f"http://{HOST}/form"
    at.do(Back())
    assert lines(at.do(Click(at.ref("chain")))) == ["text the end"]
    assert at.fails(Forward()) == "there is no page to go forward to"
    assert at.do(Goto(f"{HOST}/")).url == f"http://{HOST}/"
    assert at.do(Click(at.ref("part"))).url == f"http://{HOST}/#part"
    before = len(at.visit.requests)
    at.do(Reload())
    assert len(at.visit.requests) == before + 1


def test_the_check_sees_the_page_that_the_action_led_to(at):
    at.open("<a href=/won>go</a>", {"/won": "<p>won"}, check=lambda e: SUCCESS if e.url.endswith("/won") else Verdict("pending"))
    step = at.step(Click(at.ref("go")))
    assert (step.kind, step.reward, step.terminated, step.truncated) == ("success", 1.0, True, False)


def test_answers_that_are_no_page_leave_the_page_as_it_is(at):
    file = (200, {"content-disposition": "attachment; filename=a.txt", "content-type": "text/plain"}, "hello")
    at.open("<a href=/nothing>nothing</a><a href=/file>file</a>", {"/nothing": (204, {}, ""), "/file": file})
    assert at.do(Click(at.ref("nothing"))).url == f"http://{HOST}/"
    assert at.do(Click(at.ref("file"))).notices == ("downloaded: a.txt",)
    assert len(at.do(Wait(10)).nodes) == 2


# --- tabs and dialogs ------------------------------------------------------------------------------------------------------

OPENERS = {
    "link": "<a href=/new target=_blank>x</a>",
    "opener": "<a href=/new target=_blank rel=opener>x</a>",
    "script": "<button onclick='window.open(`/new`)'>x</button>",
    "named": "<button onclick='window.open(`/new`, `n`); window.open(`/new`, `n`)'>x</button>",
    "noopener": "<button onclick='window.open(`/new`, ``, `noopener`)'>x</button>",
    "timer": "<button onclick='setTimeout(() => window.open(`/new`), 200)'>x</button>",
    "form": "<form action=/new target=_blank><button>x</button></form>",
}
STAMP = "<title>new</title><script>stamp = [Math.random(), Math.floor(Date.now() / 10000)]</script><p>new page"


@pytest.mark.parametrize("how", OPENERS)
def test_popups_become_tabs_within_the_turn(at, how):
    at.open("<title>old</title>" + OPENERS[how], {"/new": STAMP, "/new?": STAMP}, seed=4)
    opened = at.do(Click(at.ref("x")))
    assert opened.tabs == ("old", "new (current)") and opened.notices == ("a new tab was opened",)
    assert lines(opened) == ["text new page"]
    stamp = at.js("stamp")
    assert stamp[1] == at.task.clock_s // 10  # the popup's first document runs on the episode's clock, too
    assert at.do(FocusTab(0)).tabs == ("old (current)", "new")
    at.open("<p>next")
    assert at.observation.tabs == (" (current)",)
    at.open(STAMP, seed=4)
    assert at.js("stamp") == stamp


def test_tabs(at):
    two = "<title>two</title><button onclick=window.close()>close</button>"
    at.open("<title>one</title><a href=/two target=_blank>two</a>", {"/two": two})
    assert at.fails(CloseTab()) == "the only tab cannot be closed"
    assert "there is no tab 1; the tabs are 0 to 0" in at.fails(FocusTab(1))
    at.do(Click(at.ref("two")))
    assert at.do(Click(at.ref("close"))).tabs == ("one (current)",)  # it closed itself
    at.do(Click(at.ref("two")))
    assert at.do(CloseTab()).tabs == ("one (current)",)
    assert at.do(NewTab()).tabs == ("one", " (current)")
    assert at.do(Goto(f"http://{HOST}/two")).tabs == ("one", "two (current)")
    for _ in range(8):
        at.do(NewTab())
    assert len(at.observation.tabs) == 10
    at.do(FocusTab(0))
    assert at.do(Click(at.ref("two"))).notices == ("a popup was closed: 10 tabs are open already",)


def test_dialogs_are_answered_and_told(at):
    at.open("""<button onclick="document.title = alert('A')">alert</button><button onclick="document.title = confirm('B')">confirm</button>
        <button onclick="document.title = prompt('C', 'd')">prompt</button><script>alert('at once')</script>""")
    assert at.observation.notices == ('alert dialog "at once" was accepted',)
    assert at.do(Click(at.ref("alert"))).notices == ('alert dialog "A" was accepted',)
    at.do(Click(at.ref("confirm")))
    confirmed = at.do(Wait(1))  # an agent that does not answer
    assert (confirmed.title, confirmed.notices) == ("true", ('confirm dialog "B" was accepted',))
    at.do(Click(at.ref("prompt")))
    prompted = at.do(Wait(1))
    assert (prompted.title, prompted.notices) == ("null", ('prompt dialog "C" was dismissed',))
    assert at.do(Wait(1)).notices == ()


def test_pictures_under_the_pointer_do_not_move_what_is_clicked(at):
    picture = (200, {"content-type": "image/svg+xml"}, "<svg xmlns='http://www.w3.org/2000/svg' width='20' height='20'/>")
    page = """<style>span { content: url(/a.svg) } span:hover { content: url(/b.svg) }</style>
        <span onclick="document.title = 'hit'" title=s></span>"""
    at.open(page, {"/a.svg": picture, "/b.svg": picture})
    assert at.do(Click(at.ref("s"))).title == "hit"


def test_request_that_begins_between_two_mouse_events_is_waited_for(at):
    page = "<button onmouseover=\"fetch('/x').then(r => r.text()).then(text => document.title = text)\">x</button>"
    at.open(page, {"/x": "answer"})
    assert at.do(Click(at.ref("x"))).title == "answer"


def test_typed_text_makes_the_events_that_playwright_makes_of_it(at):
    text = "".join(map(chr, range(32, 127))) + "\nä€🙂"
    page = """<textarea id=t></textarea><script>log = [];
        for (const type of ["keydown", "keypress", "input", "keyup"]) t.addEventListener(type, e =>
            log.push([type, e.key, e.code, e.keyCode, e.which, e.charCode, e.shiftKey, e.inputType, e.data, t.value.length].join()))
        </script>"""

    def events(write):
        at.open(page)
        at.js("t.focus()")
        write()
        return at.js("[t.value, log]")

    def playwright():
        run(at.env.session.tab.page.keyboard.type(text))

    value, log = events(lambda: at.do(Type(text)))
    assert [value, log] == events(playwright)
    assert value == text and len(log) == 4 * 96 + 3


# --- time and chance -------------------------------------------------------------------------------------------------------


def test_time_is_virtual(at):
    page = "<button onclick=\"setTimeout(() => document.title = 'done', 300)\">x</button><script>started = Date.now()</script>"
    at.open(page, settle_ms=400.0)
    assert 0 <= at.js("started") - at.task.clock_s * 1000 < 400
    before = at.js("Date.now()")
    assert before == at.task.clock_s * 1000 + 400
    assert at.do(Click(at.ref("x"))).title == "done"
    assert at.js("Date.now()") - before == 400
    at.do(Wait(123))
    assert at.js("Date.now()") - before == 523
    seen = at.js("[new Date() instanceof Date, new Date(0).getTime(), new Date(2026, 0).getFullYear(), typeof Date()]")
    assert seen == [True, 0, 2026, "string"]
    assert at.js("new Date().constructor === Date && Date.UTC(1970, 0) === 0 && performance.now() >= 400")


def test_frames_that_a_script_asks_for_come_by_the_page_clock(at):
    page = "<p id=n>0</p><script>let n = 0; (function f() { document.title = ++n; requestAnimationFrame(f) })()</script>"
    at.open(page, settle_ms=400.0)
    drawn = at.js("n")
    assert 400 // 16 <= drawn <= 400 // 16 + 1  # whatever the machine has time for
    at.do(Wait(96))
    assert at.js("n") == drawn + 96 // 16
    assert at.js("cancelAnimationFrame(requestAnimationFrame(() => 0))") is None


def test_chance_is_seeded(at):
    def draws(seed):
        at.open("<script>drawn = [Math.random(), Math.random(), history.length, document.referrer]</script>", seed=seed)
        return at.js("drawn")

    first = draws(7)
    assert first == draws(7) and first[0] != first[1] and all(0 <= x < 1 for x in first[:2])
    assert draws(8)[:2] != first[:2]


# --- pages that hang -------------------------------------------------------------------------------------------------------

HANGING = {
    "script": "<button onclick='for (;;);'>x</button>",
    "link": "<a href=/hang>x</a>",
}
UNANSWERED = {
    "request": "<button onclick=\"fetch('/hang')\">x</button>",
    "picture": "<button onclick=\"document.body.append(Object.assign(new Image, {src: '/hang'}))\">x</button>",
}


@pytest.mark.parametrize("what", HANGING)
def test_page_that_hangs_costs_a_turn_and_no_more(at, what):
    at.open(HANGING[what] + "<button onclick='document.title = 5'>y</button>")
    at.env.session.action_timeout_s = 3.0
    assert at.fails(Click(at.ref("x"))) == "the page did not come to rest within 3 s"
    at.env.session.action_timeout_s = 60.0
    assert at.do(Click(at.ref("y"))).title == "5"
    before = at.js("Date.now()")
    at.do(Wait(2000))  # of which the time that the hanging action was given takes nothing away
    assert at.js("Date.now()") - before == 2000
    assert at.open("<p>next").nodes[0].text == "next"


@pytest.mark.parametrize("what", UNANSWERED)
def test_a_request_without_an_answer_holds_no_turn(at, what):
    at.open(UNANSWERED[what] + "<button onclick='document.title = 5'>y</button>")
    at.env.session.action_timeout_s = 60.0
    before = at.js("Date.now()")
    at.do(Click(at.ref("x")))
    assert at.do(Click(at.ref("y"))).title == "5"
    at.do(Wait(2000))
    assert at.js("Date.now()") - before == 3000
    assert at.open("<p>next").nodes[0].text == "next"


def test_popup_of_a_page_that_hangs_costs_no_more_either(at):
    at.open("<button onclick=\"window.open('/new'); for (;;);\">x</button>", {"/new": "<p>new"})
    at.env.session.action_timeout_s = 5.0
    assert at.fails(Click(at.ref("x"))) == "the page did not come to rest within 5 s"
    at.env.session.action_timeout_s = 60.0
    assert lines(at.do(Wait(1))) == ["text new"]


@pytest.mark.parametrize("later_ms", [0, 3, 20])
def test_two_that_read_a_page_which_hangs_both_hear_of_it(at, later_ms):
    at.open("<button onclick=\"window.open('/new')\">x</button>", {"/new": "<p>new"})
    session = at.env.session

    async def view_later():
        await asyncio.sleep(later_ms / 1000)
        return await session.view()

    async def read():
        return await asyncio.gather(session.page_state("(() => { for (;;); })()"), view_later(), return_exceptions=True)

    session.action_timeout_s = 2.0
    state, view = run(read())
    session.action_timeout_s = 60.0
    assert state is None and isinstance(view, PageView)
    assert at.do(Click(at.ref("x"))).notices == ("a new tab was opened",)  # which is heard of once


@pytest.mark.parametrize("leave", [f"http://{OTHER}/", f"http://{HOST}/data.xml"])
def test_episodes_begin_alike_whatever_page_was_left(at, leave):
    pages = {"/data.xml": (200, {"content-type": "text/xml"}, "<data/>")}
    at.open("<p>whatever came before")
    session = at.env.session
    for _ in range(3):
        at.open("<script>seen = history.length</script><p>start", pages, hosts=(HOST, OTHER))
        if not session.tab.frames.controlled:  # it draws by real time, and has to be ahead of it
            assert run(session.tab.time_s()) > time.time() + AHEAD_MS / 1000 * 5 / 6
        assert at.js(f"[Date.now() - 1000 * {at.task.clock_s}, seen, history.length, document.referrer]") == [500, 2, 1, ""]
        assert at.js("(e => [e.type, e.unloadEventStart])(performance.getEntriesByType('navigation')[0])") == ["navigate", 0]
        at.step(Goto(leave))
    assert at.env.session is session and next(path for _, path, _, _ in at.visit.requests) == "/"  # no site hears of the page between


# --- what must not be reached ----------------------------------------------------------------------------------------------

OUTSIDE = [
    "file:///etc/passwd",
    "FILE:///etc/passwd",
    "file:/etc/passwd",
    "javascript:document.title=1",
    " javascript:document.title=1",
    "java\nscript:document.title=1",
    f"view-source:http://{HOST}/",
    "chrome://version",
    "data:text/html,<p>x",
    "about:blank",
    f"blob:http://{HOST}/x",
    "http://example.com/",
    "example.com",
    f"http://{OTHER}/",
    "http://127.0.0.1/",
    f"http://{HOST}@example.com/",
    f"http://{HOST}\\@example.com/",
    f"http://{HOST}.example.com/",
    f"http://{HOST}:81/",
    f"http://{HOST}:99999999/",
    f"https://{HOST}:99999999/",
    "ftp://pages.localhost/",
    "http://localhost:9222/json/version",
    "ws://127.0.0.1:9222/devtools/browser",
    "devtools://devtools/bundled/inspector.html",
    "chrome-extension://x/page.html",
    f"filesystem:http://{HOST}/temporary/x",
    "http://[",
    "//etc/passwd",
    "",
]


@pytest.mark.parametrize("url", OUTSIDE)
def test_addresses_outside_of_the_task_are_refused(at, url):
    at.open("<title>start</title><p>start")
    step = at.step(Goto(url))
    assert "is not allowed; this task's hosts are: http://pages.localhost" in step.observation.error
    assert step.observation.title == "start" and len(at.visit.requests) == 1


LINKS = [
    "file:///etc/passwd",
    "chrome://version",
    "devtools://devtools/bundled/inspector.html",
    f"view-source:http://{HOST}/",
    "data:text/html,<p>x",
    "http://example.com/",
    f"http://{OTHER}/",
]


@pytest.mark.parametrize("target", LINKS)
def test_links_out_of_the_task_lead_nowhere(at, target):
    at.open(f'<a href="{target}">out</a>')
    seen = at.step(Click(at.ref("out"))).observation
    assert seen.url in (f"http://{HOST}/", "chrome-error://chromewebdata/", f"http://{OTHER}/")
    assert seen.url.startswith("chrome-error:") or all(node.role == "link" for node in seen.nodes)  # full Chromium's error page has words
    assert (seen.url == "chrome-error://chromewebdata/") == any("could not be opened" in notice for notice in seen.notices)
    assert at.do(Goto(f"http://{HOST}/")).nodes  # and back


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc")
def test_the_browser_listens_on_no_devtools_port(at):
    """It is driven through a pipe: there is no port that a page could ask."""
    at.open("<p>x")
    sockets = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    listening = {f"socket:[{fields[9]}]" for fields in sockets if fields[3] == "0A"}
    held = set()
    for process in descendants(run(pool().process_id())):
        for handle in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):
                held.add(os.readlink(handle))
    assert any(name.startswith("socket:") for name in held)  # we may look
    assert listening and not held & listening  # our own server does listen
    for url in ("http://127.0.0.1:9222/json/version", "http://localhost:9222/json/version", "ws://127.0.0.1:9222/devtools/browser"):
        assert at.promise(f"fetch('{url}', {{mode: 'no-cors'}}).then(() => 'reached')") == "failed", url


def test_pages_reach_the_task_and_nothing_else(at):
    OTHER_SITE.visits.clear()
    at.open("<p>x<iframe src='file:///etc/passwd'></iframe><iframe src='http://example.com/'></iframe>", {"/here": "yes"})
    assert lines(at.observation) == ["text x"]
    assert at.promise("fetch('/here').then(r => r.text())") == "yes"
    port = at.env.session._profile.listener.port
    for url in [
        "http://example.com/",
        "http://127.0.0.1/",
        f"http://127.0.0.1:{port}/",
        f"http://localhost:{port}/",
        "http://[::1]/",
        "file:///etc/passwd",
    ]:
        assert at.promise(f"fetch('{url}', {{mode: 'no-cors'}}).then(() => 'reached')") == "failed", url
    at.promise(f"fetch('http://{OTHER}/', {{mode: 'no-cors'}}).then(() => 'refused')")
    assert at.promise(f"fetch('http://{HOST}:81/').then(() => 'reached')") == "failed"
    assert OTHER_SITE.visits == []
    assert [path for _, path, _, _ in at.visit.requests] == ["/", "/here"]


def test_hosts_of_the_task_reach_each_other_without_a_trace_of_the_token(at):
    pages = {
        "/here": "yes",
        "/cors": (200, {"access-control-allow-origin": "*"}, "across"),
        "/to": (302, {"location": f"http://{OTHER}/"}, ""),
    }
    at.open("<p>x", pages, hosts=(HOST, OTHER))
    assert at.promise(f"fetch('http://{OTHER}/cors').then(r => r.text())") == "across"
    socket = f"const s = new WebSocket('ws://{HOST}/ws'); s.onopen = () => s.send('hi'); s.onmessage = e => done(e.data)"
    assert at.promise(f"new Promise(done => {{ {socket} }})") == "hi"
    code = "fetch('http://pages.localhost/here').then(r => r.text()).then(postMessage)"
    worker = f'new Worker(URL.createObjectURL(new Blob(["{code}"])))'
    assert at.promise(f"new Promise(done => {worker}.onmessage = e => done(e.data))") == "yes"
    at.do(Goto(f"http://{HOST}/to"))
    assert at.observation.url == f"http://{OTHER}/"
    seen = [request for request in (*at.visit.requests, *at.other.requests) if request[1] != "/favicon.ico"]  # full Chromium asks for it
    assert {method for method, *_ in seen} == {"GET", "WEBSOCKET"} and len(seen) == 6
    assert not [name for _, _, headers, _ in seen for name in headers if "webgym" in name]
    OTHER_SITE.visits.clear()


LEFT = {
    "cookies": ("document.cookie = 'a=1; max-age=9999'", "document.cookie", ""),
    "local storage": ("localStorage.a = 1", "localStorage.length", 0),
    "session storage": ("sessionStorage.a = 1", "sessionStorage.length", 0),
    "databases": (
        "new Promise(done => { const asked = indexedDB.open('db'); asked.onsuccess = () => { asked.result.close(); done(1) } })",
        "indexedDB.databases().then(all => all.length)",
        0,
    ),
    "cache storage": ("caches.open('c').then(cache => cache.put('/a', new Response('a')))", "caches.keys().then(all => all.length)", 0),
    "file system": (
        "navigator.storage.getDirectory().then(folder => folder.getFileHandle('a', {create: true})).then(() => 1)",
        "navigator.storage.getDirectory().then(async folder => { let n = 0; for await (const _ of folder.keys()) n++; return n })",
        0,
    ),
    "window.name": ("name = 'a'", "name", ""),
    "history": ("history.pushState(1, '', '/pushed')", "history.length", 1),
}


@pytest.mark.parametrize("what", LEFT)
def test_left_behind(at, what):
    write, read, clean = LEFT[what]
    for _ in range(2):
        at.open("<p>x")
        assert at.promise(f"Promise.resolve({read})") == clean
        assert at.promise(f"Promise.resolve({write})") != "failed"
        assert at.promise(f"Promise.resolve({read})") != clean


def test_nothing_of_an_episode_is_left_in_the_next(at):
    leaves = ["unload", "pagehide", "visibilitychange", "beforeunload"]
    page = f"""<script>
        const write = mark => {{
            document.cookie = mark + '=1'; localStorage[mark] = 1; sessionStorage[mark] = 1; name = mark;
            navigator.sendBeacon('/beacon', mark);
        }};
        write('now'); indexedDB.open('db'); caches.open('c'); history.pushState(1, '', '/pushed');
        for (const type of {leaves}) addEventListener(type, () => write(type));
        document.addEventListener('visibilitychange', () => write('document'));
        </script><iframe srcdoc="<script>addEventListener('pagehide', () => parent.document.cookie = 'frame=1')</script>"></iframe>
        <a href=/popup target=_blank>popup</a><a href=/two>two</a>"""
    popup = """<script>localStorage.popup = 1;
        addEventListener('pagehide', () => { document.cookie = 'popup=1'; localStorage.left = 1 })</script>"""
    at.open(page, {"/popup": popup, "/two": page})
    assert at.js("[document.cookie, localStorage.now, sessionStorage.now, name]") == ["now=1", "1", "1", "now"]
    at.do(Click(at.ref("popup")))
    at.do(FocusTab(0))
    at.do(Click(at.ref("two")))
    for _ in range(2):
        at.open("""<script>seen = [document.cookie, localStorage.length, sessionStorage.length, history.length, document.referrer]</script>
            <p>clean""")
        assert at.js("seen") == ["", 0, 0, 2, ""]
        at.do(Wait(1000))
        assert at.js("[document.cookie, localStorage.length, sessionStorage.length, name, history.length]") == ["", 0, 0, "", 1]
        assert at.promise("indexedDB.databases().then(all => all.length)") == 0
        assert at.promise("caches.keys().then(all => all.length)") == 0
        assert at.fails(Back()) == "there is no page to go back to"
        assert [path for _, path, _, _ in at.visit.requests] == ["/"]


def test_caches_serve_no_episode_but_their_own(at):
    kept = {"cache-control": "max-age=1000"}
    forever = {"cache-control": "max-age=1000, immutable"}
    for mark in ("one", "two", "three"):
        pages = {
            "/fetched": (200, kept, mark),
            "/script.js": (200, {**kept, "content-type": "text/javascript"}, f"loaded = '{mark}'"),
            "/style.css": (200, {**kept, "content-type": "text/css"}, f"p {{ content: '{mark}' }}"),
            "/frame": (200, kept, f"<p>{mark}"),
            "/same.js": (200, {**forever, "content-type": "text/javascript"}, "same = 1"),
        }
        at.open(
            """<p>x</p><script src=/script.js></script><script src=/same.js></script><link rel=stylesheet href=/style.css>
            <iframe src=/frame></iframe>""",
            pages,
        )
        assert at.promise("fetch('/fetched').then(r => r.text())") == mark
        assert at.js("[loaded, getComputedStyle(document.querySelector('p')).content, frames[0].document.body.innerText, same]") == [
            mark,
            f'"{mark}"',
            mark,
            1,
        ]
        at.promise("fetch('/fetched').then(r => r.text())")
        asked = sorted(path for _, path, _, _ in at.visit.requests)
        assert asked == ["/", "/fetched", "/frame", *(["/same.js"] if mark == "one" else []), "/script.js", "/style.css"]


def test_permissions_are_as_at_first_in_every_episode(at):
    names = ["geolocation", "notifications", "camera", "midi", "persistent-storage", "clipboard-read", "clipboard-write"]
    states = f"Promise.all({names}.map(name => navigator.permissions.query({{name}}).then(found => found.state)))"
    asks = """Promise.allSettled([Notification.requestPermission(), navigator.storage.persist(), navigator.requestMIDIAccess(),
        new Promise((got, failed) => navigator.geolocation.getCurrentPosition(got, failed))]).then(all => all.map(one => one.status))"""
    with visitor() as fresh:
        fresh.open("<p>x")
        first = fresh.promise(states)
    for _ in range(2):
        at.open("<p>x")
        assert at.promise(states) == first
        assert set(first[:-1]) == {"prompt"} and first[-1] in ("prompt", "granted")  # full Chromium lets pages write to the clipboard
        assert at.promise(asks) == ["fulfilled", "fulfilled", "rejected", "rejected"]


def test_sessions_that_begin_together_are_not_renewed_together():
    sessions = [run(pool().session()) for _ in range(5)]
    lives = {session._profile.life for session in sessions}
    for session in sessions:
        run(session.close())
    assert len(lives) == 5 and min(lives) > EPISODES / 2 and max(lives) <= EPISODES and max(lives) - min(lives) > EPISODES / 5


@pytest.mark.parametrize("without", [1, 99])
def test_a_frame_that_comes_without_a_picture_is_drawn_again(at, monkeypatch, without):
    at.open("<body style='background: red'>")
    frames, missing = at.env.session.tab.frames, iter(range(without))
    if not frames.controlled:
        pytest.skip("this browser draws by real time")
    draw = frames.draw

    async def sometimes(base, screenshot=False):
        return "" if next(missing, None) is not None else await draw(base, screenshot)

    monkeypatch.setattr(frames, "draw", sometimes)
    assert tuple(run(at.env.session.screenshot())[5, 5]) == ((255, 0, 0) if without == 1 else (255, 255, 255))


def test_nothing_is_left_of_a_session_that_was_closed():
    session = run(pool().session())
    profile = weakref.ref(session._profile)
    run(session.close())
    del session
    run(asyncio.sleep(0.1))  # what was on its way to it has come
    gc.collect()
    assert profile() is None


def test_first_and_later_episodes_of_a_session_see_the_same():
    page = "<script>seen = [history.length, document.referrer, name, Math.random(), Date.now(), performance.now(), innerWidth]</script>"
    with visitor() as fresh:
        fresh.open(page)
        first = fresh.js("seen")
        fresh.open(page)
        assert fresh.js("seen") == first


def test_episodes_beside_each_other_share_nothing(at):
    page = "<form method=post action=/kept><button>Send</button></form><script>document.cookie='mine=1'; localStorage.mine = 1</script>"
    at.open(page, {"/kept": "<p>kept"})
    at.do(Click(at.ref("Send")))
    with visitor() as neighbour:
        neighbour.open("<p>x")
        assert neighbour.js("[document.cookie, localStorage.length]") == ["", 0]
        assert SITE.snapshot(neighbour.visit) == [] and SITE.snapshot(at.visit) == [""]
        port = at.env.session._profile.listener.port
        for url in (f"http://{HOST}:{port}/", f"http://127.0.0.1:{port}/", f"http://{LISTENERS}:{port}/"):
            assert neighbour.promise(f"fetch('{url}', {{mode: 'no-cors'}}).then(() => 'reached')") == "failed", url
        assert len(at.visit.requests) == 2  # a neighbour's page has a listener of its own, and no way to another
    assert at.do(Wait(1)).nodes[0].text == "kept"


# --- faults ----------------------------------------------------------------------------------------------------------------


def test_page_that_crashes_is_a_fault_and_the_next_episode_works(at):
    at.open("<p>x")

    async def crash():
        ended = asyncio.ensure_future(at.env.session.tab.send("Page.crash"))
        await asyncio.wait({ended}, timeout=30)
        ended.exception()

    run(crash())
    with pytest.raises(BrowserFault):
        at.step(Wait(1))
    assert lines(at.open("<p>again")) == ["text again"]


CLOSING = {
    "<button aria-label=a onclick=window.close()>": lambda ref: Click(ref),
    "<button aria-label=a onclick='setTimeout(() => window.close(), 100)'>": lambda ref: Click(ref),
    "<button aria-label=a onmousedown=window.close()>": lambda ref: Click(ref),
    "<button aria-label=a onmousemove=window.close()>": lambda ref: Hover(ref),
    "<button aria-label=a onmousemove='event.buttons && window.close()'></button><button>b": lambda ref: Drag(ref, ref + 1),
    "<button aria-label=a draggable=true ondragstart=window.close()></button><button>b": lambda ref: Drag(ref, ref + 1),
    "<body onwheel=window.close()><button aria-label=a style='height: 2000px'>": lambda ref: Scroll(0, 300),
    "<body onscroll=window.close()><button aria-label=a style='height: 2000px'>": lambda ref: Scroll(0, 300),
    "<input aria-label=a onkeydown=window.close() autofocus>": lambda ref: Type("abc"),
    "<input aria-label=a onkeydown=window.close()>": lambda ref: Press("Enter", ref),
    "<input aria-label=a oninput=window.close()>": lambda ref: Fill(ref, "abc"),
    "<input aria-label=a onfocus=window.close()>": lambda ref: Fill(ref, "abc"),
    "<select aria-label=a onchange=window.close()><option>1<option>2</select>": lambda ref: Select(ref, ("2",)),
}


@pytest.mark.parametrize("html", CLOSING)
def test_a_page_that_closes_its_window_under_an_action_is_no_fault(at, html):
    """A button that closes the window must not turn an episode that fails into one that does not count."""
    at.open("<a href=/two target=_blank>two</a><title>one</title>", {"/two": html})
    at.do(Click(at.ref("two")))
    assert at.do(CLOSING[html](at.ref("a"))).tabs == ("one (current)",)
    at.open(html, {"/two": "two"})
    observation = at.do(CLOSING[html](at.ref("a")))
    assert (observation.tabs, observation.notices) == ((" (current)",), ("the last tab closed itself: this one is empty",))
    assert lines(at.do(Goto(f"http://{HOST}/two"))) == ["text two"]
    at.open("<button onclick='document.title = 1'>again")
    assert at.do(Click(at.ref("again"))).title == "1"


def test_a_tab_that_cannot_take_the_place_of_the_last_one_is_a_fault(at, monkeypatch):
    """The browser is stopped just when the last tab has closed itself."""
    at.open("<button onclick='window.close()'>go</button>")
    session = at.env.session
    session.action_timeout_s = 0.5
    monkeypatch.setattr(session._profile, "new_page", asyncio.Event().wait)
    with pytest.raises(HangFault):
        at.step(Click(at.ref("go")))


def test_browser_that_dies_is_a_fault_and_is_started_again(at, caplog):
    at.open("<p>x")
    generation = pool().generation
    with visitor() as other:
        other.open("<p>y")
        os.kill(run(pool().process_id()), signal.SIGKILL)
        for one in (at, other):
            with pytest.raises(BrowserFault):
                one.step(Wait(1))
            assert lines(one.open("<p>again")) == ["text again"]
    assert pool().generation == generation + 1
    assert "is started again" in caplog.text


def test_a_picture_that_a_click_asks_for_comes_within_the_step():
    """The calendar's pictures are asked for while its days are pressed."""
    task = registry.task("miniwob.choose-date")
    assert task.oracle
    oracle = task.oracle

    async def play(env: AsyncWebEnv) -> list[str]:
        page, choose, errors = await env.reset(task.id, 11), oracle(), []
        while not (step := await env.step(choose(page))).kind:
            page = step.observation
            errors.append(page.error)
        return errors

    async def all_at_once() -> list[str]:
        envs = [AsyncWebEnv() for _ in range(4)]  # of fresh sessions, four in ten hung
        found = await asyncio.gather(*(play(env) for env in envs))
        for env in envs:
            await env.close()
        return [error for errors in found for error in errors]

    assert not any(loop_thread().run(all_at_once()))
