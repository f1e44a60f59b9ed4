"""What is drawn and what is not, on pages in a line or two: a person reads and reaches there what the agent does."""

import pytest

from tests.webgym.pages import Visitor, lines
from webgym.types import Click, Hover

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
