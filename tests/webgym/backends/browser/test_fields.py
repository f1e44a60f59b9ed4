"""Fields and their keys: what an edited text holds, things in things, and text that a page keeps from its field."""

import pytest

from tests.webgym.backends.browser.test_acting import log_of
from webgym.types import Clear, Click, Fill, Focus, Press, Type

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
    "a row with a field": "<div role=row tabindex=0 aria-label=Outer id=o>Outer <button id=i onclick=f.focus()>In</button><input id=f></div>",
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
    "a list that moves it on": "<div role=listbox tabindex=0 id=o aria-label=Outer onfocus=i.focus()><p role=option tabindex=-1 id=i>In</div>",
    "an editor's hidden field": "<div role=application tabindex=0 aria-label=Outer id=o>Outer<textarea id=i style='opacity:0'></textarea></div>",
}


@pytest.mark.parametrize("page", INNER.values(), ids=INNER)
def test_what_stands_in_a_thing_keeps_the_focus_for_it(at, page):
    at.open(page + log_of("keydown"))
    at.js("i.focus()")
    at.do(Press("ArrowDown", 0))
    assert at.js("heard") == ["keydown i"]
