"""Names and roles against Chrome's own accessibility tree, over pages that are made from controls, ways of naming and contents."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.webgym.pages import Visitor, run, visitor

GIVEN = (
    "",
    "aria-label=Aria",
    "title=Title",
    "aria-labelledby='l1 l2'",
    "id=self aria-label=Own aria-labelledby='self l1'",
    "aria-label=Aria title=T",
    "placeholder=Place",
    "placeholder=Place title=Title",
    "aria-label='' title=T",
    "aria-labelledby=nothing title=T",
)
CONTROLS = (
    "<button {}>Text <b>bold</b></button>",
    "<a href=/ {}>Link <img alt=pic></a>",
    "<input {}>",
    "<textarea {}></textarea>",
    "<select {}><option>One<option>Two</select>",
    "<input type=checkbox {}>",
    "<input type=radio {}>",
    "<input type=submit {}>",
    "<input type=reset {}>",
    "<input type=button value=Val {}>",
    "<input type=image alt=Alt {}>",
    "<input type=range {}>",
    "<input type=search {}>",
    "<input type=number {}>",
    "<input type=color {}>",
    "<input type=password {}>",
    "<input type=tel {}>",
    "<details><summary {}>Sum</summary></details>",
    "<div role=button tabindex=0 {}>Div</div>",
    "<div role=textbox contenteditable {}>val</div>",
    "<div role=tab tabindex=0 {}>Tab</div>",
    "<div role=slider tabindex=0 aria-valuenow=3 style='height:9px' {}></div>",
    "<ul role=listbox {}><li role=option>O1<li role=option>O2</ul>",
    "<div role=checkbox tabindex=0 {}>Chk</div>",
    "<div role=switch tabindex=0 {}>Lamp</div>",
    "<div role=menuitem tabindex=0 {}>Item</div>",
    "<div role=combobox tabindex=0 aria-expanded=false {}>Val</div>",
    "<div role=spinbutton tabindex=0 aria-valuenow=1 {}>1</div>",
)
LABELS = (
    "<label>Lab {}</label>",
    "<label>Lab {} after</label>",
    "<label for=c>For</label>{}",
    "<label for=c>One</label>{}<label for=c>Two</label>",
    "<label><span hidden>hid</span>Vis <b>B</b> {}</label>",
    "<label for=c><img alt=Img></label>{}",
    "<label for=c>A<div>B</div>C</label>{}",
    "<label for=c aria-label=Said>Lab</label>{}",
    "<label for=c>Pick <select><option>s1<option selected>s2</select></label>{}",
)
LABELLED = (
    "<input id=c>",
    "<input type=checkbox id=c>",
    "<select id=c><option>o</select>",
    "<button id=c>Btn</button>",
    "<textarea id=c></textarea>",
)
CONTENTS = (
    "<svg width=9 height=9><title>Svg</title></svg>",
    "<img alt=''>X",
    "<i aria-hidden=true>×</i><i class=sr>Close</i>",
    "A<br>B",
    "<div>A</div><div>B</div>",
    "<i style='display:inline-block'>A</i><i>B</i>",
    "<i style='display:none'>no</i>yes",
    "<i style='visibility:hidden'>no</i>yes",
    "<i class=pseudo>in</i>",
    "<img title=It>",
    "<img alt=Logo> Home",
    "<i aria-label=Said>not</i> end",
    "<noscript>n</noscript><script>1</script>b",
    "<i role=presentation>p</i>q",
    " spaced   out \n text ",
    "<h3>Head</h3><p>Para</p>",
    "<i role=img aria-label=Star>x</i>",
    "<b>one</b> <i>two</i>",
)
HOLDERS = (
    "<button>{}</button>",
    "<a href=/>{}</a>",
    "<div role=tab tabindex=0>{}</div>",
    "<div role=listbox><div role=option tabindex=0>{}</div></div>",
)
WHOLE = (
    "<ul role=tree><li role=treeitem aria-expanded=true tabindex=0>A<ul role=group><li role=treeitem tabindex=-1>B</ul></ul>",
    "<div role=grid><div role=row><div role=gridcell tabindex=-1>1</div></div></div>",
    "<div role=radiogroup><i role=radio tabindex=0>R</i></div>",
    "<button role=none>N</button>",
    "<a href=/ role=button>RB</a>",
    "<button role='nothing link'>FL</button>",
    "<fieldset><legend>Leg</legend><input type=radio aria-label=r></fieldset>",
    "<svg><a href=/><text y=9>St</text></a></svg>",
    "<x-s>Slotted</x-s>",
    "<x-s><b>two</b><i>parts</i></x-s>",
    "<map name=m><area href=/ alt=A coords=0,0,9,9></map><img usemap=#m width=9 height=9>",
    "<a href=/ style='display:contents'>Card</a>",
    "<iframe srcdoc='<button aria-label=In>x</button>'></iframe>",
)
FRAME = """<!doctype html><style>.sr {{ position:absolute; width:1px; height:1px; overflow:hidden; clip:rect(0,0,0,0) }}
    .pseudo::before {{ content:'pre ' }} .pseudo::after {{ content:' post' }}</style><p id=l1>First</p><p id=l2>Second</p>{}
    <script>customElements.define('x-s', class extends HTMLElement {{
    constructor() {{ super(); this.attachShadow({{mode: 'open'}}).innerHTML = '<button><slot>none</slot></button>' }} }})</script>"""
OURS = {  # Chrome's own words for roles
    "ComboBoxMenuButton": "combobox",
    "ComboBoxSelect": "combobox",
    "MenuListOption": "option",
    "ListBoxOption": "option",
    "ColorWell": "textbox",
    "DisclosureTriangle": "button",
    "PopUpButton": "button",
}
ROLES = {
    "button",
    "link",
    "checkbox",
    "radio",
    "textbox",
    "searchbox",
    "spinbutton",
    "slider",
    "combobox",
    "listbox",
    "option",
    "tab",
    "menuitem",
    "switch",
    "treeitem",
    "gridcell",
    *OURS,
}


@pytest.fixture(scope="module")
def at() -> Iterator[Visitor]:
    with visitor() as found:
        yield found


def in_chrome(at: Visitor) -> list[tuple[str, str]]:
    """Role and name of each control, in reading order, as Chrome tells assistive technology."""
    tab = at.env.session.tab
    tree = run(tab.send("Page.getFrameTree"))["frameTree"]
    frames = [tree["frame"]["id"], *(child["frame"]["id"] for child in tree.get("childFrames", []))]
    found: list[tuple[str, str]] = []
    for frame in frames:
        nodes: list[dict[str, Any]] = run(tab.send("Accessibility.getFullAXTree", {"frameId": frame}))["nodes"]
        by_id = {node["nodeId"]: node for node in nodes}
        waiting = [node for node in nodes if "parentId" not in node]
        while waiting:
            node = waiting.pop(0)
            role = node["role"]["value"]
            if not node.get("ignored") and role in ROLES:
                found.append((OURS.get(role, role), node.get("name", {}).get("value", "")))
            waiting[:0] = [by_id[child] for child in node.get("childIds", []) if child in by_id]
    return found


def differ(theirs: list[tuple[str, str]], ours: list[tuple[str, str]]) -> bool:
    """True unless the roles are the same, and the names but for white space. Where Chrome has no name, ours may be a guess."""
    if [role for role, _ in theirs] != [role for role, _ in ours]:
        return True
    return any("".join(a.split()) != "".join(b.split()) for (_, a), (_, b) in zip(theirs, ours, strict=True) if a)


PAGES = {
    "names": [control.format(given) for control in CONTROLS for given in GIVEN],
    "labels": [label.format(control) for label in LABELS for control in LABELLED],
    "contents": [holder.format(content) for holder in HOLDERS for content in CONTENTS],
    "whole": list(WHOLE),
}


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", PAGES)
def test_names_and_roles_are_those_of_the_browser(at, kind, every):
    at.open()
    run(at.env.session.tab.send("Accessibility.enable"))
    wrong = []
    for part in PAGES[kind][::every]:
        at.open(FRAME.format(part))
        theirs, ours = in_chrome(at), [(node.role, node.text) for node in at.observation.nodes if node.ref is not None]
        assert theirs, part
        if differ(theirs, ours):
            wrong.append((part, theirs, ours))
    assert wrong == []
