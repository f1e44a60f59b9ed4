"""Each session has a clipboard of its own, in all its documents and for one episode, although the browser has one for all."""

import asyncio
import re

import pytest

from tests.webgym.pages import HOST, OTHER, run, visitor
from webgym.env.core import AsyncWebEnv
from webgym.types import Click, Goto, Press

FIELDS = "<input aria-label=from value='{}'><textarea aria-label=to></textarea>"
PASTED = "document.querySelector('textarea').value"


@pytest.fixture(scope="module")
def at():
    with visitor() as found:
        yield found


def copy(at, keys="Control+c"):
    at.do(Press("Control+a", at.ref("from")))
    at.do(Press(keys, at.ref("from")))


def pasted(at):
    at.do(Press("Control+v", at.ref("to")))
    return at.js(PASTED)


def test_neighbours_and_later_episodes_cannot_paste_what_was_copied(at):
    with visitor() as neighbour:
        for one, text in ((at, "mine é✓"), (neighbour, "theirs")):
            one.open(FIELDS.format(text))
            copy(one)
        assert pasted(at) == "mine é✓"
        assert pasted(neighbour) == "theirs"
        neighbour.open(FIELDS.format("x"))
        assert pasted(neighbour) == ""
        at.open(FIELDS.format("x"))
        assert pasted(at) == ""


async def by_keys(env, seed, barrier):
    """Solve copy-paste or copy-paste-2 as people do; the barrier keeps the neighbours in step. Returns how it ended."""
    observation = await env.reset(f"miniwob.copy-paste{'-2' * (seed % 2)}", seed)
    fields = {node.text: node for node in observation.nodes if node.role == "textbox"}
    number = re.search(r"(\d)(?:st|nd|rd)", observation.goal)
    source = fields[f"text-{number[1]}" if number else "to-copy"].ref
    submit = next(node.ref for node in observation.nodes if node.text == "Submit")
    field = fields["answer-input"].ref
    for action in (Press("Control+a", source), Press("Control+c", source), Press("Control+v", field)):
        await barrier.wait()
        assert (await env.step(action)).observation.error == ""
    return (await env.step(Click(submit))).kind


def test_sixteen_copy_and_paste_at_once():
    async def play():
        envs, barrier = [AsyncWebEnv() for _ in range(16)], asyncio.Barrier(16)
        try:
            return await asyncio.gather(*(by_keys(env, seed, barrier) for seed, env in enumerate(envs)))
        finally:
            for env in envs:
                await env.close()

    assert run(play()) == ["success"] * 16


def test_copied_text_goes_along_to_other_documents(at):
    frame = f'<iframe srcdoc="{FIELDS.format("in the frame")}"></iframe>'
    at.open(
        f"<a href=/two>two</a><button onclick=\"navigator.clipboard.writeText('by script'); location = '/two'\">three</button>{frame}",
        {"/two": FIELDS.format("from two"), "/frame": frame},
        hosts=(HOST, OTHER),
    )
    copy(at)
    at.do(Click(at.ref("two")))
    assert pasted(at) == "in the frame"
    copy(at)
    at.do(Goto(f"http://{HOST}/frame"))
    at.do(Press("Control+v", at.ref("to")))
    assert at.js("frames[0]." + PASTED) == "from two"
    at.do(Goto(f"http://{HOST}/"))
    at.do(Click(at.ref("three")))  # copies and leaves in one turn
    assert pasted(at) == "by script"


def test_pages_hear_of_it_and_may_change_it(at):
    at.open(f"""{FIELDS.format("selected")}<script>
        const log = [];
        for (const type of ["copy", "cut", "paste", "input"])
            addEventListener(type, event => log.push([type, event.clipboardData?.getData("text/plain") ?? event.inputType]));
        </script>""")
    copy(at)
    assert pasted(at) == "selected"
    copy(at, "Control+x")
    assert at.js("document.querySelector('input').value") == ""
    assert at.js("log") == [["copy", ""], ["paste", "selected"], ["input", "insertText"], ["cut", ""], ["input", "deleteContentBackward"]]
    at.open(f"""{FIELDS.format("selected")}<script>
        addEventListener("copy", event => {{ event.clipboardData.setData("text/plain", "the page's own"); event.preventDefault(); }});
        addEventListener("paste", event => {{ document.title = event.clipboardData.getData("text/plain"); event.preventDefault(); }});
        </script>""")
    copy(at)
    assert pasted(at) == "" and at.observation.title == "the page's own"


def test_scripts_read_and_write_the_sessions_clipboard(at):
    at.open(FIELDS.format("x"))
    assert at.promise("navigator.clipboard.readText()") == ""
    at.promise("navigator.clipboard.writeText('by script')")
    assert pasted(at) == "by script"
    at.open(FIELDS.format("selected"))
    copy(at)
    assert at.promise("navigator.clipboard.readText()") == "selected"
    assert at.promise("navigator.clipboard.read().then(items => items[0].getType('text/plain')).then(blob => blob.text())") == "selected"
    at.promise("navigator.clipboard.write([new ClipboardItem({'text/plain': new Blob(['item'], {type: 'text/plain'})})])")
    assert pasted(at) == "item"


def test_passwords_are_not_copied(at):
    at.open("<input type=password aria-label=from value=secret><textarea aria-label=to></textarea>")
    copy(at)
    copy(at, "Control+x")
    assert pasted(at) == "" and at.js("document.querySelector('input').value") == "secret"


def test_pages_see_no_trace_of_it(at):
    at.open("<script>seen = Object.getOwnPropertyNames(globalThis).filter(name => name.includes('webgym'))</script>" + FIELDS.format("x"))
    copy(at)
    assert at.js("[...seen, ...Object.getOwnPropertyNames(globalThis).filter(name => name.includes('webgym'))]") == []
