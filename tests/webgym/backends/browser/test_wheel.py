"""The wheel over pages that change when they scroll: each turn ends, and a page hears of it as of a browser's own."""

import json

import pytest

from tests.webgym.pages import Visitor
from webgym.types import Scroll

ROWS = "".join(f"<p>row {n} <button>b{n}</button></p>" for n in range(300))
CHANGES = {
    "a field that is enabled": ("<button id=x disabled>x</button>", "x.disabled = false"),
    "rows that are added": ("", "box.insertAdjacentHTML('beforeend', '<p>one more</p>')"),
    "a header that sticks": ("<h1 id=x>top</h1>", "x.style.position = 'fixed'; x.textContent = box.scrollTop"),
    "a title that counts": ("", "document.title = box.scrollTop; box.lastChild.style.height = box.scrollTop + 'px'"),
}


@pytest.mark.parametrize(("more", "change"), CHANGES.values(), ids=CHANGES)
def test_a_page_that_changes_when_it_scrolls_holds_up_no_frame(at: Visitor, more: str, change: str) -> None:
    script = f"<script>box.addEventListener('scroll', () => {{ {change} }})</script>"
    at.open(f"<div id=box tabindex=0 style='height:200px;overflow:auto'>{ROWS}</div>{more}{script}")
    for turn in range(1, 9):
        at.do(Scroll(0, 300, at.ref("b1") if turn == 1 else None))
        assert at.js("box.scrollTop") == 300 * turn and at.env.session.alive


def test_a_page_hears_the_wheel_and_may_forbid_it(at: Visitor) -> None:
    at.open(
        "<body style='height:4000px'><script>heard = []; forbids = false; addEventListener('wheel', e => { heard.push([e.isTrusted,"
        " e.deltaY, e.defaultPrevented, Math.round(scrollY)]); if (forbids) e.preventDefault() }, { passive: false })</script>"
    )
    at.do(Scroll(0, 150))
    at.js("addEventListener('wheel', e => heard.push(e.defaultPrevented)), 0")
    at.do(Scroll(0, 150))
    assert json.loads(at.js("JSON.stringify(heard)")) == [[True, 150, False, 0], [True, 150, False, 150], False] and at.js("scrollY") == 300
    at.js("forbids = true")
    at.do(Scroll(0, 150))
    assert at.js("scrollY") == 300, "the page forbade it"


def test_what_a_wheel_snaps_to_is_snapped_to(at: Visitor) -> None:
    pages = "".join(f"<div style='height:200px;scroll-snap-align:start'>page {n}<button>b{n}</button></div>" for n in range(9))
    at.open(f"<div id=box style='height:200px;overflow:auto;scroll-snap-type:y mandatory'>{pages}</div>")
    at.do(Scroll(0, 130, at.ref("b0")))
    assert at.js("box.scrollTop") == 200
