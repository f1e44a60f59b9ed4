"""Motion of style sheets and scripts: what moves for longer than a turn begins, goes on from turn to turn, and ends."""

import pytest

from tests.webgym.pages import Visitor, lines
from webgym.types import Click, Wait

FADE = "<style>@keyframes k{from{opacity:0}to{opacity:1}}#x{animation:k %s both}</style><div id=x>TEXT</div>"
ROOT = "<div id=h></div><script>h.attachShadow({mode:'%s'}).innerHTML=`%s`</script>"
GO = "<button onclick='x.className=`on`'>Go</button>"
SLIDES = "@keyframes a{0%{opacity:1}50%,100%{opacity:0}}@keyframes b{0%{opacity:0}50%,100%{opacity:1}}"
COMES = {
    "a fade that takes a second": FADE % "1s",
    "a fade that takes two": FADE % "2s",
    "a delay": FADE % ".3s .4s",
    "a few times": FADE % ".3s 4",
    "in a shadow root": ROOT % ("open", FADE % ".3s"),
    "in a closed root, for long": ROOT % ("closed", FADE % "1s"),
    "in a root in a root": ROOT % ("open", f"<section></section>{FADE % '1s'}"),
    "in a frame": f'<iframe srcdoc="{FADE % "1s"}"></iframe>',
    "a transition": f"<style>#x{{opacity:0;transition:opacity 2s}}#x.on{{opacity:1}}</style><div id=x>TEXT</div>{GO}",
    "an accordion": (
        "<style>#x{max-height:0;overflow:hidden;transition:max-height .7s}#x.on{max-height:90px}</style><div id=x>TEXT</div>" + GO
    ),
    "a drawer": (
        "<style>#x{position:fixed;left:-300px;width:200px;transition:left .6s}#x.on{left:0}</style>"
        f"<div id=x>TEXT<button>In</button></div>{GO}"
    ),
}


def seen(at: Visitor, words: str) -> bool:
    return any(words in line for line in lines(at.observation))


@pytest.mark.parametrize("kind", COMES)
def test_what_moves_for_longer_than_a_turn_comes_to_its_end(at, kind):
    at.open(COMES[kind])
    assert not seen(at, "TEXT") or kind == "in a shadow root"
    if GO in COMES[kind]:
        at.do(Click(at.ref("Go")))
        assert not seen(at, "TEXT")
    at.do(Wait(2200))
    assert seen(at, "TEXT")


def test_it_goes_on_from_turn_to_turn(at):
    at.open(f"<style>#x{{width:0;height:9px;transition:width 2s linear}}#x.on{{width:200px}}</style><div id=x></div>{GO}")
    at.do(Click(at.ref("Go")))
    widths = []
    for _ in range(4):
        at.do(Wait(400))
        widths.append(float(at.js("x.getBoundingClientRect().width")))
    assert widths == sorted(set(widths)) and 30 < widths[0] < 60 and 100 < widths[2] < 190


def test_slides_that_change_for_ever_are_seen_in_turn(at):
    rules = SLIDES + "".join(f"#{name}{{animation:{name} 2s step-end infinite}}" for name in "ab")
    at.open(f"<style>{rules}</style><div id=a>ONE</div><div id=b>TWO</div>")
    found = []
    for _ in range(5):
        found.append((seen(at, "ONE"), seen(at, "TWO")))
        at.do(Wait(500))
    assert set(found) == {(True, False), (False, True)}


def test_a_message_that_goes_by_itself_goes(at):
    at.open("<style>@keyframes k{0%,90%{opacity:1}to{opacity:0}}#x{animation:k 3s forwards}</style><div id=x>SAVED</div>")
    assert seen(at, "SAVED")
    at.do(Wait(1000))
    assert seen(at, "SAVED")
    at.do(Wait(2500))
    assert not seen(at, "SAVED")


@pytest.mark.parametrize("rule", ["to{transform:rotate(360deg)}", "to{color:red;background-color:blue}", "to{rotate:1turn}"])
def test_a_sign_of_waiting_that_turns_for_ever_asks_for_no_frames(at, rule):
    at.open(f"<style>@keyframes k{{{rule}}}#x{{animation:k 1s infinite}}</style><div id=x>TEXT</div>")
    assert at.env.session.tab._uses == 0
