"""The referee of pages: its generator, its comparison, and a small run."""

import re
from dataclasses import replace

import pytest

from benchmarks.pages import aim, components, report
from benchmarks.pages.equality import Deed, compare, normal
from benchmarks.pages.generator import HOST, Page, Part, draw, kinds, render, script, smaller
from benchmarks.pages.parts import CONTROLS
from benchmarks.pages.referee import Finding, Referee, judge_all, read
from benchmarks.pages.reference import Seen, seen
from benchmarks.pages.tree import Element
from tests.webgym.pages import run
from webgym.errors import UsageError
from webgym.types import MouseClick

pytestmark = pytest.mark.slow  # whole pages against a second browser: a minute on two cores

BUTTON = Element(7, "BUTTON", {"data-k": "k1"}, (1, 0))
CLICK = Deed("click", 0, BUTTON)
FINDING = Finding(5, "control", "ref", "button 'Go' k1", "", {"control": "button", "layout": "grid > flow"}, role="button", naming="equal")


def saw(*events: list, state: dict | None = None, focus: str = "k1", url: str = "/p") -> Seen:
    """A page of one document that recorded these events."""
    return Seen({"page": events}, {"page": state or {}}, {"page": focus}, url)


def event(kind: str, target: str = "k1", data: str = "") -> list:
    return [kind, target, data, True]


def one(control: str, **options: str) -> Page:
    return Page(1, (Part("control", control, **options),))


# --- pages -----------------------------------------------------------------------------------------------------------------


def test_a_seed_is_a_page_and_pages_differ():
    assert render(draw(3), "x") == render(draw(3), "x")
    assert len({render(draw(seed), "x")[HOST, "/x"] for seed in range(20)}) == 20


def test_a_page_survives_its_file():
    for seed in range(30):
        assert Page.from_json(draw(seed).to_json()) == draw(seed)


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"seed": 1, "blocks": [{"kind": "control"}]}'])
def test_a_file_that_is_no_page_is_refused(text):
    with pytest.raises((ValueError, KeyError, TypeError)):
        Page.from_json(text)


def test_every_key_leads_back_to_its_control():
    """Counts of keys in :func:`kinds` and in the rendering agree, frames and shadow roots included."""
    for seed in range(60):
        page = draw(seed)
        text = " ".join(render(page, "x").values())
        controls = [part for block in page.blocks for part in block.all() if part.kind == "control"]
        keys = sorted(set(re.findall(r"data-k=(?:&quot;)?(k\d+)\b(?=[ &>])", text)), key=lambda key: int(key[1:]))
        named = [kinds(page, key)["control"] for key in keys]
        assert sorted(filter(None, named)) == sorted(part.name for part in controls), f"seed {seed}"


def test_all_controls_are_drawn_and_leave_no_mark_of_the_templates():
    drawn = {part.name for seed in range(400) for block in draw(seed).blocks for part in block.all() if part.kind == "control"}
    assert drawn == set(CONTROLS)
    for name in CONTROLS:
        shown = re.sub(r"<script>.*?</script>", "", render(one(name, label="aria-label"), "x")[HOST, "/x"], flags=re.DOTALL)
        assert not re.search(r"[@$]|\{key\}", shown), name


def test_smaller_pages_are_smaller():
    page = draw(11)
    size = sum(1 for block in page.blocks for _ in block.all())
    for less in smaller(page):
        assert less != page
        assert sum(1 for block in less.blocks for _ in block.all()) <= size


# --- comparison ------------------------------------------------------------------------------------------------------------


def test_equal_logs_are_equal():
    log = [event("pointerdown"), event("mousedown"), event("click", data="0 1")]
    assert compare(CLICK, "", saw(*log), "", saw(*log)).verdict == "equal"


def test_movement_on_the_way_is_left_out_and_a_hover_compares_its_end():
    log = [event("mouseover", "k2"), event("mouseover"), event("click")]
    assert normal(log, "click") == [("click", "k1", "", True)]
    assert normal(log, "hover")[-1] == ("over", "k1")


def test_another_element_is_a_wrong_target():
    assert compare(CLICK, "", saw(event("click", "k2")), "", saw(event("click"))).verdict == "wrong target"
    refused = compare(CLICK, "", saw(event("click", "k2")), "covered", saw())
    assert (refused.verdict, refused.detail) == ("wrong target", "acted on k2; Playwright refuses: covered")


def test_no_event_and_no_error_is_a_silent_miss_whatever_playwright_does():
    assert compare(CLICK, "", saw(), "", saw(event("click"))).verdict == "silent miss"
    assert compare(CLICK, "", saw(), "covered", saw()).verdict == "silent miss"
    assert compare(CLICK, "", saw(), "", saw()).verdict == "silent miss"
    assert compare(CLICK, "it is covered", saw(), "covered", saw()).verdict == "both refuse"


def test_what_happens_in_a_frame_that_records_nothing_is_not_judged():
    blind = replace(saw(), blind=True)
    assert compare(CLICK, "", blind, "", blind).verdict == "unseen"
    assert compare(CLICK, "", blind, "", saw(event("click"))).verdict == "silent miss"


def test_a_page_that_was_left_has_no_log_and_is_compared_by_its_address():
    left = Seen({}, {}, {}, "/to/k1")
    assert compare(CLICK, "", left, "", left).verdict == "equal"
    assert compare(CLICK, "", left, "", replace(left, url="/to/k2")).verdict == "wrong target"


def test_state_and_focus_are_compared():
    log = [event("click")]
    checked = saw(*log, state={"k1": {"checked": True}})
    assert compare(CLICK, "", checked, "", saw(*log)).detail == "state of k1: {'checked': True} instead of None"
    assert compare(CLICK, "", saw(*log, focus="body"), "", saw(*log)).verdict == "differs"


def test_keys_of_filling_are_left_out_and_other_targets_are_not():
    fill = Deed("fill", 0, BUTTON, "ab")
    typed = [event("focus"), *[event(kind) for _ in "ab" for kind in ("keydown", "beforeinput", "input", "keyup")]]
    inserted = [event("focus"), event("beforeinput", data="insertText ab"), event("input", data="insertText ab")]
    assert compare(fill, "", saw(*typed), "", saw(*inserted)).verdict == "equal"
    assert compare(fill, "", saw(*[[e[0], "k9", *e[2:]] for e in typed]), "", saw(*inserted)).verdict == "wrong target"


def test_playwright_misses_where_nothing_came_to_the_element_itself():
    outer = Element(1, "A", {"data-k": "k1"}, (1, 0))
    inner = Element(2, "BUTTON", {"data-k": "k1b"}, (1, 0, 0), outer)
    outer.children.append(inner)
    deed = Deed("click", 0, outer, apart=(inner,))
    for targets, wanted in {("k1",): False, ("k2",): True, ("k1b",): True, ("k1b", "k2"): True, ("k1/b", "k2"): False, (): False}.items():
        told = saw(*[event("mousedown", target) for target in targets])
        assert aim.missed(deed, told) is wanted
        assert aim.astray(deed, told) is (targets == ("k2",))


def test_playwright_misses_where_a_key_came_to_another_thing_first():
    deed = replace(CLICK, verb="press", text="a")
    assert aim.missed(deed, saw(event("keydown", "k2"), event("keyup", "k2")))
    assert not aim.missed(deed, saw(event("keydown", "k1"), event("keyup", "k2"))), "Tab leaves the thing that it was pressed on"
    assert not aim.missed(deed, saw()), "what nothing heard says nothing"


def test_a_deed_by_the_referees_aim_is_judged_against_what_ours_did():
    deed = replace(CLICK, verb="press", text="a")
    ours, told = saw(event("keydown")), compare(deed, "", saw(event("keydown")), "", saw(event("keydown", "k2")))
    assert told.verdict == "wrong target"
    assert aim.judged(deed, ours, saw(event("keydown")), told).verdict == "Playwright misses"
    assert aim.judged(deed, ours, saw(event("keydown", "k3")), told).verdict == "wrong target"


STOLEN = """<!doctype html><meta charset=utf-8>SCRIPT<body><button data-k=k1>one</button><button data-k=k2>two</button>
<script>
const [one, two] = document.querySelectorAll("button");
one.addEventListener("focus", () => queueMicrotask(() => two.focus()), { once: true });
</script>"""


def test_a_key_is_pressed_by_the_referee_once_the_thing_has_the_focus():
    async def keys() -> tuple[str, bool, list]:
        referee = await Referee.open(None)
        try:
            documents = {(HOST, "/stolen"): STOLEN.replace("SCRIPT", script("recorder.js"))}
            await referee.ours.show(documents, "/stolen")
            by_ref, _ = await read(referee.ours)
            deed = next(Deed("press", ref, e, "a") for ref, e in by_ref.items() if e.name == "k1")
            error, theirs = await referee._act_there(documents, "/stolen", deed)
            assert not error
            await referee.reference.show(documents, "/stolen")
            pressed = await aim.press(referee.reference, deed)
            heard = (await seen(referee.reference.page)).logs["page"]
            return str(deed), aim.missed(deed, theirs), [pressed, *(e[1] for e in heard if e[0] == "keydown")]
        finally:
            await referee.close()

    assert run(keys()) == ("press k1 'a'", True, [True, "k1"])


def test_refusals_are_told_apart():
    assert compare(CLICK, "element #0 is hidden", saw(), "", saw(event("click"))).verdict == "refused"
    assert compare(CLICK, "", saw(event("click")), "not enabled", saw()).verdict == "Playwright refuses"


def test_names_of_elements_are_those_of_the_recorder():
    html = Element(1, "HTML", {}, ())
    body = Element(2, "BODY", {}, (1,), html)
    host = Element(3, "X-HOST", {"data-k": "s1"}, (1, 0), body)
    first, second = (Element(4 + i, "DIV", {}, (1, 0, "S", i), host) for i in (0, 1))
    html.children, body.children, host.children = [body], [host], [first, second]
    assert [e.name for e in (html, body, host, first, second)] == ["html", "body", "s1", "s1^/div0", "s1^/div1"]


# --- telling ---------------------------------------------------------------------------------------------------------------


def test_wrappers_in_wrappers_count_for_each():
    assert report.by_kind([FINDING], "layout") == {"flow": {"ref": 1}, "grid": {"ref": 1}}
    assert report.by_kind([FINDING], "frame") == {"none": {"ref": 1}}


def test_what_the_bar_forbids_is_counted():
    figures = {half: report.summary([]) for half in ("generated", "components")}
    assert report.missed(figures) == 0
    bad = [
        replace(FINDING, verdict="unexplained"),
        replace(FINDING, sort="deed", verdict="silent miss"),
        replace(FINDING, sort="deed", verdict="refused"),
    ]
    assert report.missed({**figures, "generated": report.summary(bad)}) == 2


def test_the_tables_go_between_the_marks(tmp_path):
    page = tmp_path / "pages.md"
    page.write_text(f"before\n{report.MARKS[0]}\nold\n{report.MARKS[1]}\nafter\n")
    report.write(page, "new")
    assert page.read_text() == f"before\n{report.MARKS[0]}\n\nnew\n\n{report.MARKS[1]}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(UsageError, match="expected the lines"):
        report.write(page, "new")


def test_there_are_pages_of_thirty_libraries():
    assert len(components.names()) >= 30


# --- a run -----------------------------------------------------------------------------------------------------------------


def within(part: Part, *around: tuple[str, str]) -> Page:
    """A page of one part, in these, from the outside in."""
    for kind, name in reversed(around):
        part = Part(kind, name, (part,))
    return Page(1, (part,))


# Plain Playwright presses what covers half of the frame around, and sees no miss.
ASTRAY = within(
    Part("control", "div", listener="direct", label="labelledby"),
    ("frame", "scaled"), ("veil", "half covered"), ("layout", "rtl"), ("frame", "same"),
)  # fmt: skip


async def verdicts(page: Page) -> dict[str, str]:
    """The verdict on each action on the page's one thing."""
    referee = await Referee.open(None)
    try:
        return {finding.verb: finding.verdict for finding in await referee.judge(page) if finding.sort == "deed"}
    finally:
        await referee.close()


def test_where_playwright_misses_its_page_is_compared_at_a_point_that_the_browser_finds():
    found = run(verdicts(ASTRAY))
    assert found.pop("click") == "Playwright misses" and set(found.values()) <= {"Playwright misses"}


def test_a_wrong_target_stays_one_where_playwright_misses_too(monkeypatch):
    monkeypatch.setattr(Deed, "action", lambda deed: MouseClick(60, 100))  # on what covers the frame
    assert run(verdicts(ASTRAY))["click"] == "wrong target"


def test_playwright_is_told_a_point_of_the_thing_itself():
    card = within(Part("control", "card", listener="direct"), ("layout", "flow"))
    assert set(run(verdicts(card)).values()) <= {"equal"}


async def reasons(html: str) -> dict[str, str]:
    """The reason of each control of a page that bears an id."""
    referee = await Referee.open(None)
    try:
        await referee.ours.show({(HOST, "/p"): f"<!doctype html>{script('recorder.js')}{html}"}, "/p")
        _, controls = await read(referee.ours)
        return {c.element.attributes["id"]: c.reason for c in controls if "id" in c.element.attributes}
    finally:
        await referee.close()


def test_a_box_that_a_script_focuses_is_the_twin_of_what_has_its_words():
    """An entry of a menu, as jQuery UI draws it, and one whose box says less than the entry, or is not what lies in its middle."""
    entry = "<li id={0} tabindex=0 onclick='' style='width:200px'>{1}</li>"
    box = "<div id={0} tabindex=-1 style='width:{1}px'>{2}</div>"
    html = entry.format("e", box.format("a", 190, "Ann")) + entry.format("f", box.format("b", 190, "Ben") + "<i>later</i>")
    found = run(reasons(html + entry.format("g", box.format("c", 40, "Cat"))))
    assert found == {"e": "ref", "a": "twin", "f": "ref", "b": found["b"], "g": "ref", "c": found["c"]}
    assert found["b"] != "twin" and found["c"] != "twin"


def test_forty_pages_have_nothing_unexplained_and_no_wrong_target():
    result = run(judge_all(range(1000, 1040), 1, lambda words: None))
    assert result.pages == 40 and result.faults == []
    assert sum(f.sort == "control" for f in result.findings) > 100 and sum(f.verdict == "equal" for f in result.findings) > 20
    assert [(f.seed, f.verdict, f.what, f.detail) for f in result.findings if f.verdict in report.FORBIDDEN] == []
