"""Frames of every kind: what stands in them is read at its place, bears refs of the page, and is found on the page where it is."""

from typing import Any

import pytest

from tests.webgym.pages import HOST, OTHER, Visitor, lines, run
from webgym.types import MouseClick, Reload, Wait

PAY = "<label>Card <input></label><p>12.00</p><button onclick=\"this.textContent='paid'\">Pay</button>"
SANDBOX = "<iframe sandbox=allow-scripts srcdoc='<button>Widget</button>'></iframe>"


def opened(at: Visitor, html: str, pages: dict[str, str]) -> list[str]:
    """The lines of a page whose frames are of this host and of another, which has the same `pages`."""
    return lines(at.open(html, pages, hosts=(HOST, OTHER)))


def point(at: Visitor, name: str) -> tuple[float, float]:
    """The middle of a thing on the page, as its own document tells and the frames around it place it."""
    place = at.env.session.tab.worlds.at(at.ref(name))

    middle = f"""(el => {{ const {{ left, top, width, height }} = el.getBoundingClientRect();
        return webgym.pointOf(el, left + width / 2, top + height / 2) }})(webgym.element({place.ref}))"""

    async def asked() -> tuple[float, float]:
        return await place.on_page(*await place.ask(middle))

    return run(asked())


def under(at: Visitor, x: float, y: float) -> str:
    """The text of what the browser finds at a point of the page, through all frames."""
    tab = at.env.session.tab

    async def asked() -> Any:
        found = await tab.send("DOM.getNodeForLocation", {"x": round(x), "y": round(y), "includeUserAgentShadowDOM": False})
        handle = (await tab.send("DOM.resolveNode", {"backendNodeId": found["backendNodeId"]}))["object"]["objectId"]
        answer = await tab.send(
            "Runtime.callFunctionOn",
            {"objectId": handle, "functionDeclaration": "function() { return this.textContent }", "returnByValue": True},
        )
        return answer["result"]["value"]

    return run(asked())


def test_frames_of_other_hosts_and_sandboxed_ones_stand_at_their_places(at):
    page = f"<p>shop</p><iframe src=http://{OTHER}/pay></iframe><p>between</p>{SANDBOX}<button>Last</button>"
    found = opened(at, page, {"/pay": PAY})
    assert found == ["text shop", "textbox Card = ", "text 12.00", "button Pay", "text between", "button Widget", "button Last"]
    assert [node.ref for node in at.observation.nodes if node.ref is not None] == [0, 1, 2, 3]


def test_frames_in_frames_and_in_shadow_roots(at):
    pages = {
        "/outer": f"<p>outer</p><iframe src=http://{OTHER}/middle></iframe><p>after</p>",
        "/middle": f"<p>middle</p><iframe src=http://{HOST}/inner></iframe><button>Mid</button>",
        "/inner": "<button onclick=\"this.textContent='hit'\">In</button><iframe srcdoc='<p>deep'></iframe>",
    }
    page = f"""<div id=h></div><iframe src=/outer></iframe><script>h.attachShadow({{mode: 'open'}}).innerHTML =
        `<p>root</p><iframe src=http://{OTHER}/inner></iframe>`</script>"""
    found = opened(at, page, pages)
    assert found == [
        "text root",
        "button In",
        "text deep",
        "text outer",
        "text middle",
        "button In",
        "text deep",
        "button Mid",
        "text after",
    ]
    assert [len(at.env.session.tab.worlds.at(ref).frames) for ref in range(3)] == [1, 2, 1]


@pytest.mark.parametrize("holder", ["object data", "embed src", "iframe src"])
def test_pages_in_objects_and_embeds(at, holder):
    kind = "" if holder.startswith("iframe") else "type=text/html"
    pages = {"/f": "<button>Inner</button>"}
    assert opened(at, f"<{holder}=/f {kind}></{holder.split()[0]}><p>x", pages) == ["button Inner", "text x"]
    assert opened(at, f"<{holder}=http://{OTHER}/f {kind}></{holder.split()[0]}><p>x", pages) == ["button Inner", "text x"]


STYLES = {
    "plain": "border:0",
    "padded": "border:7px solid;padding:20px 0 0 30px",
    "scaled": "transform:scale(.5);padding:10px",
    "turned": "transform:rotate(90deg);border:3px solid",
    "upside down": "rotate:180deg;padding:5px 25px 0 0",
    "moved": "translate:30px 40px;scale:1.5;transform-origin:0 0",
    "zoomed": "zoom:2;padding:4px",
    "skewed": "transform:skewX(20deg) scale(.8)",
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("host", [HOST, OTHER])
def test_a_thing_in_a_frame_is_found_where_it_is_drawn(at, style, host):
    button = "<button style='width:60px;height:30px'>Aim</button>"
    inner = f"<body style='margin:40px'>{button}<script>scrollTo(0, 20)</script><p style='height:900px'>"
    turn = "10deg" if style == "turned" else "0deg"
    frame = f"<iframe style='{STYLES[style]}' src=http://{host}/f></iframe>"
    around = f"<div style='height:80px'></div><div style='rotate:{turn}'>{frame}</div>"
    opened(at, around, {"/f": inner})
    assert under(at, *point(at, "Aim")) == "Aim"
    left, top, width, height = at.node("Aim").box
    x, y = point(at, "Aim")
    assert (abs(left + width / 2 - x) <= 1, abs(top + height / 2 - y) <= 1) == (True, True)


def test_focus_and_clicks_in_frames(at):
    opened(
        at,
        f"<input aria-label=a><iframe src=http://{OTHER}/f></iframe><iframe srcdoc='<input aria-label=c>'></iframe>",
        {"/f": "<input aria-label=b>"},
    )
    for name in "abc":
        seen = at.do(MouseClick(*point(at, name)))
        assert seen.focus == at.ref(name)
        assert [node.text for node in seen.nodes if "focused" in node.states] == [name]


def test_a_frame_that_shows_another_page_or_goes(at):
    pages = {"/one": "<a href=/two>on</a>", "/two": "<button>Two</button>"}
    opened(at, f"<iframe id=f src=http://{OTHER}/one></iframe><button onclick=f.remove()>x</button>", pages)
    assert lines(at.do(MouseClick(*point(at, "on")))) == ["button Two", "button x"]
    for _ in range(2):
        at.js("void (f.src = f.src)")
        assert lines(at.do(Wait(100))) == ["link on", "button x"]
    assert lines(at.do(Reload())) == ["link on", "button x"]
    at.js("void document.body.append(f)")  # the same element, with another frame in it
    assert lines(at.do(Wait(100))) == ["button x", "link on"]
    assert lines(at.do(MouseClick(*point(at, "x")))) == ["button x (focused)"]


def test_frames_that_are_not_there_or_hold_nothing(at):
    unseen = f"<iframe style='display:none' src=http://{OTHER}/f></iframe>"
    page = f"<iframe></iframe><iframe src=http://elsewhere.example/></iframe>{unseen}<object data=/none></object><p>x"
    assert opened(at, page, {"/f": "<p>unseen"}) == ["text x"]


def test_a_page_of_frames_is_cut_as_any_other(at):
    many = "<body>" + "".join(f"<button>{i}</button>" for i in range(2000))
    opened(at, f"<iframe src=http://{OTHER}/f></iframe><iframe src=http://{OTHER}/f></iframe><button>last</button>", {"/f": many})
    assert len(at.observation.nodes) == 2500
    assert at.observation.notices == ("the page is long: only its first 2500 lines are shown; scroll to read on",)
    assert [node.ref for node in at.observation.nodes] == list(range(2500))


@pytest.mark.parametrize("name", ["webgym", "document", "location"])
def test_names_that_a_page_gives_to_its_frames_and_things(at, name):
    assert opened(at, f"<iframe name={name} src=http://{OTHER}/f></iframe><p id={name}>x</p>", {"/f": f"<p id={name}>y"}) == [
        "text y",
        "text x",
    ]
