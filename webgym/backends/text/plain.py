"""A plain page: HTML → the nodes that the browser's snapshot reads from it, and the links and buttons behind their refs. Pure.

Plain means that nothing but the HTML decides what is seen: no script, no inline style, nothing hidden; text stands in blocks, the things
to act on are links and the buttons of forms, and the page fits its viewport. What is not plain is refused, since a page that is read in
another way than the browser reads it would be worse than none.
"""

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from html import unescape

from webgym.errors import SiteFault
from webgym.types import Node

HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
BLOCKS = HEADINGS | {"html", "body", "main", "header", "footer", "section", "article", "nav", "aside", "div", "p", "ul", "ol", "li", "form"}
INLINE = frozenset(["span", "b", "strong", "em", "i", "small", "code"])
UNSEEN = frozenset(["head", "meta", "link", "base"])  # the title is unseen too, but its text is read
VOID = frozenset(["meta", "link", "base", "input", "br", "hr"])
ATTRIBUTES = frozenset(["lang", "charset", "name", "content", "rel", "href", "class", "id", "method", "action", "type", "value", "for"])
TEXT_LIMIT, NAME_LIMIT = 2000, 500  # characters of a line of text and of a name, as the snapshot clips them


@dataclass(frozen=True, slots=True)
class Form:
    """A form: where it goes, how, and what its hidden fields say."""

    action: str
    method: str
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """Control behind a ref: a link to `href`, or a button of `form` that sends `given` (name and value) with it."""

    href: str = ""
    form: Form | None = None
    given: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PlainPage:
    """A page as it was served: nothing has the focus. `controls` are by ref."""

    title: str
    nodes: tuple[Node, ...]
    controls: tuple[Control, ...]

    def focused(self, ref: int | None) -> tuple[Node, ...]:
        """The nodes with the focus on one of them."""
        if ref is None:
            return self.nodes
        return tuple(replace(node, states=("focused",)) if node.ref == ref else node for node in self.nodes)


@lru_cache(4096)
def read(html: str) -> PlainPage:
    """The page that this HTML gives. Raises SiteFault where it is not plain."""
    reader = _Reader()
    at = 0
    while at < len(html):
        token = _TOKEN.match(html, at)
        if token is None:
            raise SiteFault(f"this page is not plain: {html[at : at + 40]!r} is no tag of plain HTML")
        at = token.end()
        slash, tag, attributes, text = token.groups()
        if text is not None:
            reader.say(unescape(text) if "&" in text else text)
        elif tag is not None and slash:
            reader.end(tag.lower())
        elif tag is not None:
            reader.start(tag.lower(), _given(attributes))
    reader.flush("text", 0)
    return PlainPage(" ".join(reader.title.split()), tuple(reader.nodes), tuple(reader.finished_controls()))


# A comment or doctype; a tag with its attributes; text. Comments and doctypes fill no group.
_VALUE = r"""\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+)"""
_TOKEN = re.compile(
    rf"<!--.*?-->|<!doctype[^>]*>|<(/?)([a-z][a-z0-9]*)((?:\s+[a-z-]+(?:{_VALUE})?)*)\s*/?>|([^<]+)", re.IGNORECASE | re.DOTALL
)
_ATTRIBUTE = re.compile(r"""([a-z-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+)))?""", re.IGNORECASE)


def _given(attributes: str) -> dict[str, str]:
    """The attributes of a tag, by name in lower case."""
    if not attributes:
        return {}
    return {name.lower(): unescape(a or b or c) for name, a, b, c in _ATTRIBUTE.findall(attributes)}


@dataclass
class _Element:
    """An open element. `depth` is its own nesting, `inside` that of its children; text in it is pushed with `role`.

    `items` are those of an ordered list so far, which the browser numbers.
    """

    tag: str
    depth: int
    inside: int
    role: str
    items: int = 0


@dataclass
class _OpenForm:
    """A form that is being read: its hidden fields may follow its buttons."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)


class _Reader:
    """Walks the page as webgym/backends/browser/reader/walk.js does."""

    def __init__(self) -> None:
        self.title = ""
        self.nodes: list[Node] = []
        self._controls: list[Control | tuple[_OpenForm, tuple[tuple[str, str], ...]]] = []
        self._open: list[_Element] = []
        self._buffer: list[str] = []
        self._named: list[str] | None = None  # the words of the link or button that is open
        self._form: _OpenForm | None = None
        self._after_inline = False  # an inline element has just ended

    def finished_controls(self) -> list[Control]:
        """The controls, with what the forms held when they were closed."""
        forms: dict[int, Form] = {}
        found = []
        for control in self._controls:
            if isinstance(control, tuple):
                begun, given = control
                form = forms.setdefault(id(begun), Form(begun.action, begun.method, tuple(begun.fields)))
                control = Control(form=form, given=given)
            found.append(control)
        return found

    def flush(self, role: str, depth: int) -> None:
        """Make a node of the text so far."""
        if not self._buffer:
            return
        text = " ".join("".join(self._buffer).split())
        self._buffer.clear()
        if text and self._named is not None:
            self._named.append(text)
        elif text:
            self.nodes.append(Node(role, _clipped(text, TEXT_LIMIT), depth=depth))

    def say(self, data: str) -> None:
        self._after_inline = False
        if self._open and self._open[-1].tag == "title":
            self.title += data
        elif not self._open or self._open[-1].tag not in UNSEEN:
            self._buffer.append(data)

    def start(self, tag: str, given: dict[str, str]) -> None:
        if given and (unknown := given.keys() - ATTRIBUTES):
            raise SiteFault(f"this page is not plain: <{tag}> has the attribute {min(unknown)!r}")
        if self._after_inline:
            self._buffer.append(" ")
            self._after_inline = False
        above = self._open[-1] if self._open else _Element("", 0, 0, "text")
        if tag in VOID:
            return self._void(tag, given, above)
        if tag in BLOCKS:
            self._block(tag, given, above)
        elif tag in ("a", "button"):
            self._begin_control(tag, given, above)
        elif tag not in INLINE and tag not in UNSEEN and tag != "title":
            raise SiteFault(f"this page is not plain: it has a <{tag}>")
        nests = tag in ("ul", "ol")
        role = "heading" if tag in HEADINGS else above.role
        self._open.append(_Element(tag, above.inside, above.inside + nests, role))

    def _void(self, tag: str, given: dict[str, str], above: _Element) -> None:
        if tag in ("br", "hr"):
            self.flush(above.role, above.inside)
        elif tag == "input":
            if given.get("type") != "hidden" or self._form is None:
                raise SiteFault(f"this page is not plain: it has an <input> of type {given.get('type', 'text')!r}")
            self._form.fields.append((given.get("name", ""), given.get("value", "")))

    def _block(self, tag: str, given: dict[str, str], above: _Element) -> None:
        if self._named is not None:
            raise SiteFault(f"this page is not plain: a <{tag}> stands in a link or button")
        self.flush(above.role, above.inside)
        if tag == "form":
            self._form = _OpenForm(given.get("action", ""), given.get("method", "get").lower())
        if tag in ("ol", "li") and (styled := given.keys() & {"type", "value"}):
            raise SiteFault(f"this page is not plain: <{tag}> has the attribute {min(styled)!r}")
        if tag == "li" and above.tag == "ol":
            above.items += 1
            self._buffer.append(f"{above.items}. ")

    def _begin_control(self, tag: str, given: dict[str, str], above: _Element) -> None:
        if self._named is not None or (tag == "button" and self._form is None) or (tag == "a" and "href" not in given):
            raise SiteFault(f"this page is not plain: a <{tag}> stands in a link or button, leads nowhere, or belongs to no form")
        self.flush(above.role, above.inside)
        self._named = []
        if tag == "a":
            self._controls.append(Control(href=given["href"]))
        else:
            assert self._form is not None
            sent = ((given["name"], given.get("value", "")),) if given.get("name") else ()
            self._controls.append((self._form, sent))

    def end(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self._open or self._open[-1].tag != tag:
            raise SiteFault(f"this page is not plain: </{tag}> closes what is not open")
        element = self._open.pop()
        self._after_inline = tag in INLINE
        if tag in BLOCKS:
            self.flush(element.role, element.depth)
            if tag == "form":
                self._form = None
        elif tag in ("a", "button"):
            self.flush(element.role, element.depth)
            self._end_control("link" if tag == "a" else "button", element.depth)

    def _end_control(self, role: str, depth: int) -> None:
        name = " ".join(self._named or ())
        if not name:
            raise SiteFault(f"this page is not plain: a {role} has no text")
        self._named = None
        self.nodes.append(Node(role, _clipped(name, NAME_LIMIT), ref=len(self._controls) - 1, depth=depth))


def _clipped(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
