"""A page as the snapshot read it: the browser's :class:`webgym.backends.base.View`."""

from dataclasses import dataclass

from webgym import types as t


@dataclass(frozen=True, slots=True)
class PageView:
    """A page as the snapshot read it."""

    url: str
    title: str
    nodes: tuple[t.Node, ...]
    tabs: tuple[str, ...]
    focus: int | None
    notices: tuple[str, ...]
    top: int = 0  # of `nodes`, the first that is in view
    dialog: str = ""  # the kind of the dialog that waits for an answer: confirm or prompt
