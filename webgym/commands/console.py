"""The terminal, where texts of strangers (pages, agents, files, servers) are shown as they are written."""

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # the terminal's commands, and what turns a line around


class PlainConsole(Console):
    """A console that reads no markup or emoji codes in texts, and shows a text's control characters as U+FFFD.

    >>> import io
    >>> shown = io.StringIO()
    >>> PlainConsole(file=shown).print("[/bold] :bug: \\x1b[31mred")
    >>> shown.getvalue()
    '[/bold] :bug: \ufffd[31mred\\n'
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of a renderable, without control characters of its texts."""
        for segment in super().render(renderable, options):
            if segment.control or not _CONTROL.search(segment.text):
                yield segment
            else:
                yield Segment(_CONTROL.sub("\ufffd", segment.text), segment.style)
