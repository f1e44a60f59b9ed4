"""Vocabulary of generated pages: controls and roles, ways to label them, layouts, veils that hide, frames and shadow roots.

In a control's markup, `@` stands for the attributes of the thing itself (its key, its listener, its label) and `$` for its words.
"""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["content", "field", "composite", "bare"]
"""How a control gets its name: from what it contains, from a label, by its own markup, or from nothing."""


@dataclass(frozen=True, slots=True)
class Control:
    """A control of HTML or a role of ARIA. `listens` says that it does nothing by itself, so that its listener is what it is for."""

    markup: str
    kind: Kind
    listens: bool = False


SELECT = "<select @><option>Apple</option><option value=b>Pear</option><option disabled>Plum</option><option>Fig</option></select>"
CONTROLS: dict[str, Control] = {
    "button": Control("<button type=button @>$</button>", "content", True),
    "button rich": Control("<button type=button @><span><b>$</b> <i>now</i></span></button>", "content", True),
    "submit": Control("<form><button @>$</button></form>", "content"),
    "input button": Control('<input type=button value="$" @>', "bare", True),
    "input submit": Control('<form><input type=submit value="$" @></form>', "bare"),
    "input reset": Control('<form><input value=old><input type=reset value="$" @></form>', "bare"),
    "input image": Control('<form><input type=image alt="$" width=40 height=20 @></form>', "bare"),
    "link": Control('<a href="#{key}" @>$</a>', "content"),
    "link away": Control('<a href="/to/{key}" @>$</a>', "content"),
    "link rich": Control('<a href="#{key}" @><span>$</span><div>with a block</div></a>', "content"),
    "anchor": Control("<a @>$</a>", "content", True),
    "text": Control("<input @>", "field"),
    "text filled": Control('<input value="old words" @>', "field"),
    "search": Control("<input type=search @>", "field"),
    "email": Control("<input type=email @>", "field"),
    "password": Control("<input type=password @>", "field"),
    "number": Control("<input type=number value=3 @>", "field"),
    "range": Control("<input type=range min=0 max=10 value=4 @>", "field"),
    "date": Control("<input type=date @>", "field"),
    "time": Control("<input type=time @>", "field"),
    "datetime": Control("<input type=datetime-local @>", "field"),
    "month": Control("<input type=month @>", "field"),
    "week": Control("<input type=week @>", "field"),
    "color": Control("<input type=color @>", "field"),
    "checkbox": Control("<input type=checkbox @>", "field"),
    "checkbox mixed": Control("<input type=checkbox data-mixed @>", "field"),
    "radio": Control("<input type=radio name=r{key} @>", "field"),
    "file": Control("<input type=file @>", "field"),
    "readonly": Control("<input readonly value=fixed @>", "field"),
    "datalist": Control("<input list=l{key} @><datalist id=l{key}><option value=One><option value=Two></datalist>", "field"),
    "textarea": Control("<textarea rows=2 @>old\nlines</textarea>", "field"),
    "select": Control(SELECT, "field"),
    "select groups": Control(
        "<select @><optgroup label=Warm><option>Red</option></optgroup><optgroup label=Cold><option>Blue</option></optgroup></select>",
        "field",
    ),
    "select multiple": Control(
        "<select multiple @><option>Ash</option><option selected>Elm</option><option>Oak</option></select>", "field"
    ),
    "select size": Control("<select size=3 @><option>Do</option><option>Re</option><option>Mi</option></select>", "field"),
    "details": Control("<details><summary @>$</summary><p>More of it</p></details>", "content"),
    "editable": Control("<div contenteditable style='min-height:20px;border:1px solid' @>old text</div>", "field"),
    "editable plain": Control("<div contenteditable=plaintext-only style='min-height:20px;border:1px solid' @></div>", "field"),
    "editable rich": Control("<div contenteditable @><p>First <b>bold</b></p><ul><li>item</li></ul></div>", "field"),
    "hidden checkbox": Control(
        "<label style='display:block'><input type=checkbox style='position:absolute;opacity:0' @><span>$</span></label>", "bare"
    ),
    "gone checkbox": Control("<label style='display:block' data-k={key}w><input type=checkbox hidden @><span>$</span></label>", "bare"),
    "hidden file": Control("<label data-k={key}w>$<input type=file hidden @></label>", "bare"),
    "map": Control(
        '<img usemap="#m{key}" width=80 height=40 alt=plan>'
        '<map name=m{key}><area shape=rect coords=0,0,40,40 href="#{key}" alt="$" @></map>',
        "bare",
    ),
    "svg link": Control('<svg width=80 height=24><a href="#{key}" @><text y=16>$</text></a></svg>', "content"),
    "svg shape": Control("<svg width=60 height=30><rect width=50 height=20 fill=teal @></rect></svg>", "bare", True),
    "canvas": Control("<canvas width=80 height=30 style='border:1px solid' @></canvas>", "bare", True),
    "popover": Control("<button popovertarget=p{key} @>$</button><div popover id=p{key}>Popped</div>", "content"),
    "draggable": Control("<div draggable=true @ data-on=drag style='width:90px;border:1px solid'>$</div>", "bare"),
    "drop zone": Control("<div @ data-on=drop style='width:120px;height:40px;border:1px dashed'>Drop $</div>", "bare"),
    "div": Control("<div @>$</div>", "content", True),
    "span hand": Control("<span style='cursor:pointer' @>$</span>", "content", True),
    "icon": Control("<i class='icon icon-bin' style='display:inline-block;width:16px;height:16px;background:#888' @></i>", "bare", True),
    "tabindex": Control("<div tabindex=0 @>$</div>", "content", True),
    "list delegated": Control("<ul data-on=delegate><li @ data-act>$</li><li data-k={key}b data-act>$ second</li></ul>", "bare"),
    "menu delegated": Control(
        "<div data-on=delegate><div class=wrap><div @ data-act>$</div><div data-k={key}b data-act>$ second</div></div></div>", "bare"
    ),
    "row delegated": Control(
        "<table data-on=delegate><tr @ data-act><td>$</td><td>4.20</td></tr>"
        "<tr data-k={key}b data-act><td>$ second</td><td>7</td></tr></table>",
        "bare",
    ),
    "cell": Control("<table><tr><td @>$</td><td>beside</td></tr></table>", "content", True),
    "label link": Control("<label><input type=checkbox @> I read <a href='#x{key}' data-k={key}a>the $</a></label>", "bare"),
    "card": Control(
        "<div @ style='cursor:pointer;border:1px solid;width:200px'><b>$</b> "
        "<button type=button data-k={key}b data-on=direct>Remove</button></div>",
        "bare",
        True,
    ),
    "button in link": Control('<a href="#{key}" @>$ <button type=button data-k={key}b data-on=direct>Inner</button></a>', "content"),
    "role button": Control("<div role=button tabindex=0 @>$</div>", "content", True),
    "role link": Control("<span role=link tabindex=0 @>$</span>", "content", True),
    "role checkbox": Control("<div role=checkbox aria-checked=false tabindex=0 @>$</div>", "content", True),
    "role switch": Control("<button role=switch aria-checked=true @>$</button>", "content", True),
    "role toggle": Control("<button aria-pressed=false @>$</button>", "content", True),
    "role radio": Control("<div role=radiogroup><div role=radio aria-checked=false tabindex=0 @>$</div></div>", "content", True),
    "role tab": Control(
        "<div role=tablist><div role=tab aria-selected=false tabindex=-1 @>$</div>"
        "<div role=tab aria-selected=true tabindex=0>Other</div></div>",
        "content",
        True,
    ),
    "role menuitem": Control("<ul role=menu><li role=menuitem tabindex=-1 @>$</li><li role=separator></li></ul>", "content", True),
    "role menuitemcheckbox": Control(
        "<div role=menu><div role=menuitemcheckbox aria-checked=false tabindex=-1 @>$</div></div>", "content", True
    ),
    "role option": Control(
        "<ul role=listbox tabindex=0 aria-label=Choices data-on=delegate data-k={key}l>"
        "<li role=option aria-selected=false @ data-act>$</li>"
        "<li role=option aria-selected=true data-k={key}b data-act>Second</li></ul>",
        "content",
    ),
    "role treeitem": Control(
        "<ul role=tree><li role=treeitem aria-expanded=true tabindex=0 @>$<ul role=group>"
        "<li role=treeitem data-k={key}b tabindex=-1>Leaf</li></ul></li></ul>",
        "bare",
        True,
    ),
    "role slider": Control(
        "<div role=slider aria-valuemin=0 aria-valuemax=9 aria-valuenow=4 tabindex=0 "
        "style='width:90px;height:12px;background:#ccc' @></div>",
        "field",
        True,
    ),
    "role spinbutton": Control("<div role=spinbutton aria-valuenow=4 tabindex=0 @>4</div>", "field", True),
    "role textbox": Control("<div role=textbox contenteditable style='min-height:20px;border:1px solid' @></div>", "field"),
    "role combobox": Control(
        "<input role=combobox aria-expanded=false aria-controls=c{key} @><ul role=listbox id=c{key} hidden><li role=option>One</li></ul>",
        "field",
    ),
    "role gridcell": Control(
        "<div role=grid><div role=row><div role=gridcell tabindex=-1 @>$</div><div role=gridcell>beside</div></div></div>", "content", True
    ),
    "role expander": Control("<h4><button aria-expanded=false @>$</button></h4>", "content", True),
    "custom element": Control(
        '<x-button @ data-shadow=open data-html="<button type=button><slot></slot></button>">$</x-button>', "bare", True
    ),
    "custom field": Control(
        '<x-field data-k={key}h data-shadow=open data-delegates data-html="<label>$ <input data-k={key}></label>"></x-field>', "bare"
    ),
}

CONTENT_LABELS = ("content", "content", "aria-label", "labelledby", "title")
FIELD_LABELS = ("for", "for", "wrap", "aria-label", "labelledby", "title", "placeholder", "none", "before")
LISTENERS = ("direct", "direct", "property", "inline", "mousedown", "container", "document")

# --- wrappers: `*` stands for what they hold ------------------------------------------------------------------------------

_TALL = "<div style='height:1500px'>far</div>"
_SOME = "<div style='height:260px'>between</div>"
LAYOUTS: dict[str, str] = {
    "flow": "<div>*</div>",
    "flex": "<div style='display:flex;gap:6px;align-items:center'>*</div>",
    "flex reverse": "<div style='display:flex;flex-direction:column-reverse;gap:4px;align-items:start'>*</div>",
    "grid": "<div style='display:grid;grid-template-columns:1fr 1fr;gap:6px'>*</div>",
    "absolute": "<div style='position:relative;height:260px'><div style='position:absolute;left:120px;top:30px'>*</div></div>",
    "sticky": "<div style='height:170px;overflow:auto'><div style='position:sticky;top:0;height:40px;background:#ddd;z-index:2'>Head</div>"
    f"{_SOME}*{_SOME}</div>",
    "page sticky": f"<div style='position:sticky;top:0;height:48px;background:#eee;z-index:3'>Header</div>{_TALL}*{_TALL}",
    "scroll": f"<div style='height:130px;overflow:auto;border:1px solid'>{_SOME}*{_SOME}</div>",
    "scroll across": "<div style='width:300px;overflow:auto'>"
    "<div style='width:1200px;display:flex'><div style='width:700px'>wide</div>*</div></div>",
    "scroll nested": f"<div style='height:200px;overflow:auto'>{_SOME}<div style='height:120px;overflow:auto'>{_SOME}*</div>{_SOME}</div>",
    "rotated": "<div style='transform:rotate(20deg);transform-origin:0 0;width:300px;margin:40px'>*</div>",
    "scaled": "<div style='transform:scale(.6);transform-origin:0 0;width:400px'>*</div>",
    "moved": "<div style='transform:translate(140px,30px);margin-bottom:40px'>*</div>",
    "rtl": "<div dir=rtl>*</div>",
    "inline": "<p style='width:190px'>Some words before it that wrap * and some more words that come after it</p>",
    "table": "<table border=1><tr><th>Name</th><th>Thing</th></tr><tr><td>Row</td><td>*</td></tr></table>",
    "columns": "<div style='columns:2;width:500px'><p>Words on the left that fill the column a little</p>*</div>",
    "tall": f"{_TALL}*{_TALL}",
    "fixed": "<div style='position:fixed;right:10px;bottom:10px;background:#ffe'>*</div>",
    "under footer": f"{_SOME}*{_TALL}<div style='position:fixed;left:0;right:0;bottom:0;height:80px;background:#ddd'>Footer</div>",
    "list": "<ul><li>First</li><li>*</li></ul>",
    "contents": "<div style='display:contents'>*</div>",
    "float": "<div><div style='float:right;width:240px'>*</div><p>Words beside</p></div><div style='clear:both'></div>",
    "vertical": "<div style='writing-mode:vertical-rl;height:200px'>*</div>",
    "zoomed": "<div style='zoom:1.4'>*</div>",
    "clipped box": "<div style='width:260px;height:90px;overflow:hidden'>*</div>",
    "form": "<form>*</form>",
    "fieldset": "<fieldset><legend>Group</legend>*</fieldset>",
    "dialog": "<dialog data-modal>*</dialog>",
    "overlay": "<div style='position:fixed;inset:0;background:#0006;z-index:9'>"
    "<div role=dialog aria-modal=true style='background:#fff;margin:60px'>*</div></div>",
    "popover box": "<div popover data-popover>*</div>",
}
RARE_LAYOUTS = frozenset({"dialog", "overlay", "popover box"})  # they cover or silence the rest of the page

VEILS: dict[str, str] = {
    "display": "<div style='display:none'>*</div>",
    "hidden": "<div hidden>*</div>",
    "until found": "<div hidden=until-found>*</div>",
    "invisible": "<div style='visibility:hidden'>*</div>",
    "visible again": "<div style='visibility:hidden'>unseen <div style='visibility:visible'>*</div></div>",
    "transparent": "<div style='opacity:0'>*</div>",
    "faint": "<div style='opacity:.4'>*</div>",
    "clipped away": "<div style='position:absolute;width:1px;height:1px;overflow:hidden;clip:rect(0 0 0 0)'>*</div>",
    "clip path": "<div style='clip-path:inset(100%)'>*</div>",
    "off screen": "<div style='position:absolute;left:-9999px'>*</div>",
    "above screen": "<div style='position:absolute;top:-900px'>*</div>",
    "no height": "<div style='height:0;overflow:hidden'>*</div>",
    "scaled to nothing": "<div style='transform:scale(0)'>*</div>",
    "inert": "<div inert>*</div>",
    "aria hidden": "<div aria-hidden=true>*</div>",
    "covered": "<div style='position:relative'>*<div style='position:absolute;inset:0;background:#fff;z-index:1'></div></div>",
    "half covered": "<div style='position:relative;width:320px'>*"
    "<div style='position:absolute;inset:0 50% 0 0;background:#fff;z-index:1'></div></div>",
    "glass": "<div style='position:relative'>*<div style='position:absolute;inset:0;pointer-events:none;z-index:1'></div></div>",
    "no pointer": "<div style='pointer-events:none'>*</div>",
    "disabled fieldset": "<fieldset disabled><legend>Off</legend>*</fieldset>",
    "closed details": "<details><summary>Closed</summary>*</details>",
    "open details": "<details open><summary>Open</summary>*</details>",
    "content hidden": "<div style='content-visibility:hidden'>*</div>",
    "content auto": "<div style='content-visibility:auto'>*</div>",
    "closed popover": "<div popover>*</div>",
    "closed dialog": "<dialog>*</dialog>",
}
OWN_VEILS = ("disabled", "aria-disabled")  # attributes of the control itself

FRAMES: dict[str, str] = {
    "same": "<iframe # style='width:460px;height:280px'></iframe>",
    "other": "<iframe # data-other style='width:460px;height:280px'></iframe>",
    "sandbox": "<iframe # sandbox=allow-scripts style='width:460px;height:280px'></iframe>",
    "sandbox forms": "<iframe # sandbox='allow-scripts allow-forms allow-same-origin' style='width:460px;height:280px'></iframe>",
    "srcdoc": "<iframe # data-srcdoc style='width:460px;height:280px'></iframe>",
    "written": "<iframe # data-written style='width:460px;height:280px'></iframe>",
    "padded": "<iframe # style='width:460px;height:280px;padding:20px 30px;border:9px solid #888'></iframe>",
    "other padded": "<iframe # data-other style='width:460px;height:280px;padding:20px 30px;border:9px solid #888'></iframe>",
    "rotated": "<iframe # style='width:460px;height:260px;transform:rotate(15deg);margin:90px 40px'></iframe>",
    "scaled": "<iframe # style='width:600px;height:300px;transform:scale(.6);transform-origin:0 0'></iframe>",
    "other scaled": "<iframe # data-other style='width:600px;height:300px;transform:scale(.6);transform-origin:0 0'></iframe>",
    "low": "<div style='height:1400px'>above the frame</div><iframe # style='width:460px;height:280px'></iframe>",
    "other low": "<div style='height:1400px'>above the frame</div><iframe # data-other style='width:460px;height:280px'></iframe>",
    "small": "<iframe # style='width:240px;height:90px'></iframe>",
    "hidden": "<iframe # style='display:none'></iframe>",
    "transparent": "<iframe # style='width:460px;height:280px;opacity:0'></iframe>",
    "covered": "<div style='position:relative;width:480px'><iframe # style='width:460px;height:280px'></iframe>"
    "<div style='position:absolute;inset:0;background:#fff'></div></div>",
    "object": "<object type='text/html' #data style='width:460px;height:280px'></object>",
    "embed": "<embed type='text/html' # style='width:460px;height:280px'>",
}
SHADOWS = ("open", "closed", "open slot", "closed slot", "open named slot", "open fallback")
WORDS = tuple(re.findall(r"\w+", (
    "amber basil cedar daisy ember fjord grove hazel iris jade kelp lotus maple nectar olive poppy quartz raven sage tulip "
    "umber violet willow yarrow zinnia anchor beacon canyon delta eagle falcon garnet harbor island jungle kettle lantern "
    "meadow needle orchard pebble quiver ribbon saddle timber urchin valley walnut xylem yonder zephyr"
)))  # fmt: skip
