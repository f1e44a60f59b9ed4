"""Documents that scripts write anew, which drops all that listened to them, are read and timed as others."""

import pytest

from tests.webgym.pages import lines
from webgym.types import Click, Drag, Press, Scroll, Wait

WRITES = {
    "the page": "onload = () => {{ document.open(); document.write({text}); document.close() }}",
    "the page, later": "setTimeout(() => {{ document.open(); document.write({text}); document.close() }}, 100)",
    "the page, twice": "for (const ms of [50, 100]) setTimeout(() => {{ document.write({text}); document.close() }}, ms)",
    "a frame": (
        "document.write(`<iframe id=f></iframe>`); const inner = f.contentDocument; inner.open(); inner.write({text}); inner.close()"
    ),
}
PRESSED = "<div id=d>press</div><script>document.getElementById('d').addEventListener('click', e => { e.target.textContent = 'pressed' })"
SEEN = (
    "<button id=b>go</button><p id=p>none<p style='margin-top:2000px' id=q>far<script>var by = name => document.getElementById(name); "
    "new IntersectionObserver(all => { if (all[0].isIntersecting) by('p').textContent = 'seen' }).observe(by('q')); "
    "by('b').onclick = () => by('q').style.marginTop = 0"
)


def written(how: str, text: str) -> str:
    inner = "`" + text.replace("`", "\\`").replace("</script>", "<\\/script>") + "<\\/script>`"
    return f"<script>{WRITES[how].format(text=inner)}</script>"


@pytest.mark.parametrize("how", WRITES)
def test_what_listens_there_can_be_pressed(at, how):
    at.open(written(how, PRESSED))
    assert at.do(Click(at.ref("press"))) and "text pressed" in [line.replace("clickable", "text") for line in lines(at.observation)]


@pytest.mark.parametrize("how", WRITES)
def test_what_such_a_document_waits_for_is_known(at, how):
    at.open(written(how, SEEN))
    at.do(Click(at.ref("go")))
    at.do(Wait(100))
    assert "text seen" in lines(at.observation)


def test_the_wheel_a_drag_and_the_clipboard_go_on_there(at):
    text = (
        "<div id=s style='height:50px;overflow:auto'><p>long<p style='margin-top:900px'>end</div><p draggable=true>card<p id=b>place</p>"
        "<input value=word aria-label=one><input aria-label=other><script>b.ondragover = e => e.preventDefault(); "
        "b.ondrop = () => { b.textContent = 'dropped' }; document.oncopy = () => { document.title = 'copied' }"
    )
    writes = f"document.open(); document.write(`{text}<\\/script>`); document.close()"
    at.open(f"<button id=go>go</button><p style=margin-top:3000px>end<script>go.onclick = () => {{ {writes} }}</script>")
    at.do(Scroll(0, 20))
    at.do(Click(at.ref("go")))
    at.do(Scroll(0, 300, at.ref("s")))
    assert at.js("s.scrollTop") == 300
    at.do(Drag(at.ref("card"), at.ref("place")))
    assert "clickable dropped" in lines(at.observation) or "text dropped" in lines(at.observation)
    field, other = (node.ref for node in at.observation.nodes if node.role == "textbox")
    at.do(Press("Control+a", field))
    at.do(Press("Control+c"))
    at.do(Press("Control+v", other))
    assert at.js("[document.title, document.querySelectorAll('input')[1].value]") == ["copied", "word"]
