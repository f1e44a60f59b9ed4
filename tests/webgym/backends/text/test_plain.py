import pytest

from webgym.backends.text.plain import Control, Form, read
from webgym.errors import SiteFault
from webgym.types import Node

PAGE = """<!doctype html><html lang="en"><head><title> A  title </title><link rel="stylesheet" href="/a.css"></head><body>
<main><h1>Tea &amp; <em>milk</em></h1>one <b>two</b><i>three</i> four<br>five
<ul><li>first <a href="/a?b=1">the  link</a> after<ul><li>deep</ul></ul></main>
<form method="post" action="/send">
<button name="x" value="1">Go <b>on</b></button><input type="hidden" name="k" value="v"></form></body></html>
""".replace("<li>deep</ul></ul>", "<li>deep</li></ul></li></ul>")


def test_nodes_and_controls():
    page = read(PAGE)
    assert page.title == "A title"
    assert page.nodes == (
        Node("heading", "Tea & milk"),
        Node("text", "one two three four"),
        Node("text", "five"),
        Node("text", "first", depth=1),
        Node("link", "the link", ref=0, depth=1),
        Node("text", "after", depth=1),
        Node("text", "deep", depth=2),
        Node("button", "Go on", ref=1),
    )
    assert page.controls == (Control(href="/a?b=1"), Control(form=Form("/send", "post", (("k", "v"),)), given=(("x", "1"),)))
    assert [node.states for node in page.focused(1)][-1] == ("focused",)


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<p style='display:none'>x</p>", "<p> has the attribute 'style'"),
        ("<script>1</script>", "<script>"),
        ("<p onclick='f()'>x</p>", "'onclick'"),
        ("<form><input name='a'></form>", "<input> of type 'text'"),
        ("<button>x</button>", "belongs to no form"),
        ("<a href='/'><p>x</p></a>", "stands in a link or button"),
        ("<form><button></button></form>", "has no text"),
        ("<p>a<div>b</p></div>", "closes what is not open"),
        ("<table></table>", "it has a <table>"),
        ("<p>a < b</p>", "'< b</p>' is no tag"),
    ],
)
def test_what_is_not_plain_is_refused(html, words):
    with pytest.raises(SiteFault, match="not plain") as refused:
        read(html)
    assert words in str(refused.value)
