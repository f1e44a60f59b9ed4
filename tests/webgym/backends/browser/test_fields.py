"""Fields and their keys: what an edited text holds, things in things, and text that a page keeps from its field."""

import pytest

from tests.webgym.backends.browser.test_acting import log_of
from tests.webgym.pages import HOST, OTHER, run
from webgym.types import Clear, Click, Dialog, Fill, Focus, Press, Select, Type, Upload

EDITED = {
    "a part of the page": """<div contenteditable aria-label=Ed id=ed>text {}</div>""",
    "a frame's body": """<iframe srcdoc='<body contenteditable id=ed><p>text {}'></iframe>""",
    "a root in it": """<div contenteditable id=ed>text <span id=h></span></div><script>
        h.attachShadow({{mode: 'open'}}).innerHTML = '{}'</script>""",
    "a frame that is edited as a whole": """<iframe srcdoc='<body id=ed><p>text {}' onload='contentDocument.designMode = "on"'></iframe>""",
}
PARTS = (
    "<input aria-label=In value=q><textarea aria-label=Ta></textarea><button onclick=this.textContent=1>Bt</button>"
    "<input type=checkbox aria-label=Ck><select aria-label=Se><option>a<option>b</select>"
)


@pytest.mark.parametrize("page", EDITED.values(), ids=EDITED)
def test_fields_and_buttons_in_an_edited_text_take_their_own_keys(at, page):
    at.open(page.format(PARTS))
    assert at.do(Fill(at.ref("In"), "abc")).node(at.ref("In")).value == "abc"
    assert at.do(Fill(at.ref("Ta"), "a\nb")).node(at.ref("Ta")).value == "a\nb"
    at.do(Press("Space", at.ref("Ck")))
    assert "checked" in at.node("Ck").states
    assert at.do(Press("b", at.ref("Se"))).node(at.ref("Se")).value == "b"
    at.do(Press("Enter", at.ref("Bt")))
    assert at.node("1", "button")
    assert at.do(Clear(at.ref("In"))).node(at.ref("In")).value == ""
    assert at.node("Ta").value == "a\nb"


def test_the_edited_text_gets_its_keys_from_what_stands_in_it(at):
    at.open(f"<div contenteditable aria-label=Ed id=ed>text <input id=i aria-label=In></div>{log_of('keydown')}")
    at.do(Fill(at.ref("In"), "a"))
    at.do(Press("x", at.ref("Ed")))
    assert at.js("heard") == ["keydown i", "keydown ed"] and at.js("i.value") == "a"
    at.do(Fill(at.ref("In"), "b"))
    at.do(Fill(at.ref("Ed"), "new"))
    assert at.js("ed.innerHTML") == "new"


OUTER = {
    "a link": "<a href=#x id=o>Outer <button id=i>In</button></a>",
    "an option": "<div role=option tabindex=0 id=o>Outer <button id=i>In</button></div>",
    "a panel": "<div role=tabpanel tabindex=0 aria-label=Outer id=o>Outer <button id=i>In</button></div>",
    "an application": "<div role=application tabindex=0 aria-label=Outer id=o>Outer <button id=i>In</button></div>",
    "a row with a field": "<div role=row tabindex=0 aria-label=Outer id=o>Outer <button onclick=f.focus()>In</button><input id=f></div>",
    "a thing in a root": """<div role=button tabindex=0 aria-label=Outer id=o>Outer <x-b id=i><template shadowrootmode=open>
        <button>In</button></template></x-b></div>""",
}


@pytest.mark.parametrize("page", OUTER.values(), ids=OUTER)
def test_a_thing_takes_the_focus_from_what_stands_in_it(at, page):
    for act in (lambda ref: at.do(Press("x", ref)), lambda ref: (at.do(Focus(ref)), at.do(Type("x")))):
        at.open(page + log_of("keydown"))
        at.do(Click(at.ref("In")))
        assert at.js("document.activeElement.id") != "o"
        act(next(n.ref for n in at.observation.nodes if n.ref is not None and n.text.startswith("Outer")))
        assert at.js("[document.activeElement.id, heard]") == ["o", ["keydown o"]]


INNER = {
    "a box that takes none": "<div onclick='' id=o>Outer <input id=i aria-label=In></div>",
    "the box of a field": "<div role=combobox tabindex=0 id=o aria-label=Outer><input id=i aria-label=In></div>",
    "a list that moves it on": "<div role=listbox tabindex=0 aria-label=Outer onfocus=i.focus()><p role=option tabindex=-1 id=i>In</div>",
    "an editor's hidden field": "<div role=application tabindex=0 aria-label=Outer>Outer<textarea id=i style='opacity:0'></textarea></div>",
}


@pytest.mark.parametrize("page", INNER.values(), ids=INNER)
def test_what_stands_in_a_thing_keeps_the_focus_for_it(at, page):
    at.open(page + log_of("keydown"))
    at.js("i.focus()")
    at.do(Press("ArrowDown", 0))
    assert at.js("heard") == ["keydown i"]


# --- whether a text arrived -------------------------------------------------------------------------------------------------

BOXES = (
    "<div oninput='event.target.nextElementSibling?.focus()'><input aria-label=A {0}><input aria-label=B {0}><input aria-label=C {0}></div>"
)
MOVED = 'the page moved the focus while the text was typed: it went into "A", "B"'


REWRITTEN = {
    "digits refused": ("onbeforeinput='/[0-9]/.test(event.data) && event.preventDefault()'", "a1b2", "ab"),
    "another value": ("oninput='this.value = 12'", "7", "12"),
    "the last part": ("oninput=\"this.value = this.value.split(',').at(-1)\"", "a,b,c", "c"),
    "capitals": ("oninput='this.value = this.value.toUpperCase()'", "abc", ""),
    "a mask": ("oninput=\"this.value = this.value.replace(/-/g, '').replace(/(..)(?=.)/g, '$1-')\"", "123456", ""),
    "more": ("oninput=\"this.value = 'Paris'\"", "par", ""),
}


@pytest.mark.parametrize("how", REWRITTEN)
def test_a_text_that_a_page_makes_another_one_of_is_told(at, how):
    attributes, text, held = REWRITTEN[how]
    at.open(f"<input aria-label=A {attributes}>")
    assert at.do(Fill(at.ref("A"), text)).notices == ((f'the page changed the text: the field holds "{held}"',) if held else ())


@pytest.mark.parametrize(
    "text, held, told",
    [
        ("1", "1||", ()),
        ("12", "1|2|", (MOVED,)),
        ("123", "1|2|3", (f'{MOVED}, "C"',)),
        ("1234", "1|2|3", (f'{MOVED}, "C"', 'not all of the text arrived: expected "1234", these fields hold "123"')),
    ],
)
def test_boxes_that_move_on_take_a_text_together(at, text, held, told):
    at.open(BOXES.format("maxlength=1"))
    assert at.do(Fill(at.ref("A"), text)).notices == told
    assert at.js("[...document.querySelectorAll('input')].map(i => i.value).join('|')") == held


STOPPED = {
    "moved to another field": ("if (value.length === 2) b.focus()", "", MOVED),
    "moved to a button": ("if (value.length === 2) c.focus()", "he", '; the page moved the focus to <button id=c> "Go"'),
    "blurred": ("if (value.length === 2) blur()", "he", "; the page took the focus away"),
    "disabled": ("disabled = value.length === 2", "he", "; it is disabled now"),
    "read-only": ("readOnly = value.length === 2", "he", "; it is read-only now"),
    "gone": ("if (value.length === 2) this.remove()", "he", "; the field is gone"),
    "another one": ("if (value.length === 1) this.replaceWith(cloneNode())", "h", "; the field is gone"),
    "cut": ("value = value.slice(0, 3)", "hel", ""),
    "emptied": ("value = ''", "", ""),
}


@pytest.mark.parametrize("script, held, why", STOPPED.values(), ids=STOPPED)
def test_a_text_that_does_not_arrive_is_told(at, script, held, why):
    at.open(f'<input aria-label=A oninput="{script}"><input aria-label=B id=b><button id=c>Go</button>')
    told = at.do(Fill(at.ref("A"), "hello")).notices
    assert told == ((why,) if why == MOVED else (f'not all of the text arrived: expected "hello", the field holds "{held}"{why}',))


def test_a_text_that_a_dialog_breaks_off_is_told(at):
    """How many keys are lost depends on how long the dialog is open."""
    at.open("<input aria-label=A oninput=\"if (value.length === 2) confirm('so?')\">")
    at.do(Fill(at.ref("A"), "hello"))
    told, held = at.do(Dialog(True)).notices, at.node("A").value
    lost = f'not all of the text arrived: expected "hello", the field holds "{held}"'
    assert (lost in told) == (held != "hello")


ARRIVED = {
    "a phone number": ("value = value.replace(/\\D/g, '').replace(/^(...)(.+)/, '($1) $2')", "5551234", "(555) 1234"),
    "an amount": ("value = '$' + value.replace(/[^0-9]/g, '').replace(/(?<=.)(?=(...)+$)/g, ',')", "98765", "$98,765"),
    "in capitals": ("value = value.toUpperCase()", "ab cd", "AB CD"),
    "a completed word": ("value = 'hello world'", "hello", "hello world"),
    "with what comes before": ("value = '+1 ' + value.replace('+1 ', '')", "23", "+1 23"),
    "without spaces": ("value = value.trim()", "a b ", "ab"),
    "with a slow page": ("const v = value; value = v.slice(1); requestAnimationFrame(() => value = v)", "a", "a"),
    "and the focus goes on": ("if (value.length === 3) b.focus()", "abc", "abc"),
    "and another field is told so": ("b.value = value; b.dispatchEvent(new Event('input', {bubbles: true}))", "abc", "abc"),
}


@pytest.mark.parametrize("script, text, held", ARRIVED.values(), ids=ARRIVED)
def test_a_text_that_the_page_writes_anew_is_not_told_of(at, script, text, held):
    at.open(f'<input aria-label=A oninput="{script}"><input aria-label=B id=b>')
    assert at.do(Fill(at.ref("A"), text)).notices == ()
    assert at.node("A").value == held


def test_a_field_that_is_drawn_anew_with_each_letter(at):
    at.open("""<div id=w><input aria-label=A></div><script>w.oninput = e => { const old = e.target.value;
        w.innerHTML = '<input aria-label=A>'; w.firstChild.focus(); w.firstChild.setRangeText(old, 0, 0, 'end') }</script>""")
    assert at.do(Fill(at.ref("A"), "hello")).notices == () and at.node("A").value == "hello"


# --- what is emptied --------------------------------------------------------------------------------------------------------

PICTURE = "<img width=20 height=20 src=data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7>"


@pytest.mark.parametrize("inner", [PICTURE, f"<p>{PICTURE}</p>", "<hr>", "<input>", "<span contenteditable=false></span>"])
def test_an_edited_text_without_words_is_emptied(at, inner):
    at.open(f"<div contenteditable aria-label=Ed id=ed>{inner}</div>")
    at.do(Clear(at.ref("Ed")))
    assert at.js("ed.querySelector('img, hr, input, span')") is None


def test_an_edited_text_that_is_empty_hears_of_no_key(at):
    at.open(f"<div contenteditable aria-label=Ed><p><br></p></div>{log_of('keydown')}")
    at.do(Clear(at.ref("Ed")))
    assert at.js("heard") == []


# --- what is shown as disabled, and files -----------------------------------------------------------------------------------

OFF = {
    "a select box": ("<select aria-label=A aria-disabled=true><option>x<option>y</select>", Select(0, ("y",))),
    "one in a group": ("<div aria-disabled=true><select aria-label=A><option>x<option>y</select></div>", Select(0, ("y",))),
    "an option": ("<select aria-label=A><option>x<option aria-disabled=true>y</select>", Select(0, ("y",))),
    "a suggestion": ("<input aria-label=A aria-disabled=true list=d><datalist id=d><option>y</datalist>", Select(0, ("y",))),
    "a field": ("<input aria-label=A aria-disabled=true>", Fill(0, "y")),
    "what a field holds": ("<input aria-label=A aria-disabled=true value=x>", Clear(0)),
    "a file field": ("<input type=file aria-label=A aria-disabled=true>", Upload(0, ("a.txt",))),
}


@pytest.mark.parametrize("page, action", OFF.values(), ids=OFF)
def test_what_is_shown_as_disabled_is_not_used(at, page, action):
    at.open(page, files={"a.txt": "a"})
    before = at.js("document.querySelector('select, input').value")
    assert "is disabled" in at.fails(action)
    assert at.js("document.querySelector('select, input').value") == before


@pytest.mark.parametrize("host", [HOST, OTHER])
def test_a_folder_is_no_file(at, host):
    field = "<input type=file webkitdirectory aria-label=D id=d><button onclick=d.click()>Ask</button>"
    at.open(f"<iframe src='http://{host}/f'></iframe>", {"/f": field}, files={"a.txt": "a"}, hosts=(HOST, OTHER))
    assert at.fails(Upload(at.ref("D"), ("a.txt",))) == f"element #{at.ref('D')} takes a whole folder: files cannot be given to it"
    at.do(Click(at.ref("Ask")))
    assert at.fails(Upload(at.ref("Ask"), ("a.txt",))) == "the page asks for a whole folder: files cannot be given to it"


@pytest.mark.parametrize("host", [HOST, OTHER])
@pytest.mark.parametrize("use", ["D", "Ask"])
@pytest.mark.parametrize("then", ["d.value = ''", "d.remove()", "location = '/two'", ""])
def test_files_arrive_whatever_the_page_does_with_them(at, host, use, then):
    field = f"""<input type=file multiple aria-label=D id=d><button onclick=d.click()>Ask</button><p id=o></p><script>
        d.onchange = () => {{ o.textContent = [...d.files].map(f => f.name); {then} }}</script>"""
    pages = {"/f": field, "/two": "<p>two"}
    at.open(f"<iframe src='http://{host}/f'></iframe>", pages, files={"a.txt": "a", "b.txt": "b"}, hosts=(HOST, OTHER))
    if use == "Ask":
        at.do(Click(at.ref("Ask")))
    for _ in range(1 if "remove" in then or "location" in then or use == "Ask" else 2):  # those that it has already, too
        at.do(Upload(at.ref(use), ("a.txt", "b.txt")))
    assert any(n.text == ("two" if "location" in then else "a.txt,b.txt") for n in at.observation.nodes)


def test_a_frame_that_is_gone_keeps_no_file_back(at):
    frames = f"<iframe src='http://{OTHER}/g' id=g></iframe><iframe src='http://{OTHER}/f'></iframe>"
    field = "<input type=file id=d hidden onchange='this.replaceWith(files[0].name)'><button onclick=d.click()>Ask</button>"
    at.open(frames, {"/f": field, "/g": "<p>gone"}, files={"a.txt": "a"}, hosts=(HOST, OTHER))
    at.js("g.remove()")
    at.do(Click(at.ref("Ask")))
    at.do(Upload(at.ref("Ask"), ("a.txt",)))
    assert any("a.txt" in n.text for n in at.observation.nodes)


def test_files_that_do_not_arrive_are_an_error(at):
    at.open("<input type=file aria-label=D>", files={"a.txt": "a"})
    run(
        at.env.session.tab.worlds.ask(
            "webgym.fileFacts = () => ({ field: true }), webgym.awaitGift = (awaits => field => "
            "(awaits(field), field.webkitdirectory = true, { folder: false }))(webgym.awaitGift), 0"
        )
    )
    assert at.fails(Upload(at.ref("D"), ("a.txt",))) == "the field took no file: 1 were given"


# --- the field that holds a form back ---------------------------------------------------------------------------------------

NAMED = {
    "words elsewhere": "<span id=q>Your name</span><input required aria-labelledby=q>",
    "a label that holds more": "<label>Your <b>name</b> <input required></label>",
    "a label of its own": "<label aria-label='Your name'>* <input required></label>",
    "a title": "<input required title='Your name'>",
    "words before it": "Your name: <input required>",
}


@pytest.mark.parametrize("page", NAMED.values(), ids=NAMED)
def test_the_field_that_holds_a_form_back_has_the_name_that_is_read(at, page):
    at.open(f"<form action=/sent>{page}<button>Send</button></form>")
    assert at.node("Your name", "textbox")
    assert at.do(Click(at.ref("Send"))).notices == ('the field "Your name" holds the form back: Please fill out this field.',)


@pytest.mark.parametrize(
    "unseen", ["<input type=checkbox {}>", "<input type=radio {}>", "<select {}><option>a<option>ab</select>", "<input type=range {}>"]
)
def test_an_unseen_field_that_takes_no_words_is_no_helper_of_another(at, unseen):
    """It has the focus when a dialog opens; the text for the only field beside it is not for it."""
    hidden = unseen.format("id=one style='position:absolute;opacity:0'")
    at.open(f"<dialog id=d><label>{hidden}<span>One</span></label><input id=two aria-label=Two></dialog><script>d.showModal()</script>")
    before = at.js("one.checked + one.value")
    seen = at.do(Fill(at.ref("Two"), "a b"))
    assert at.js("two.value") == "a b" and at.js("one.checked + one.value") == before and seen.notices == ()
