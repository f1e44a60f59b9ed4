"""The terminal, where texts of strangers (pages, agents, files, servers) are shown as they are written."""

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""The terminal's commands, what turns a line around, and half a surrogate pair, which no terminal takes."""


def plain(words: str) -> str:
    """A text of a stranger without what would command a terminal: each such character is U+FFFD.

    >>> plain("a\\n\\x1b[2Jb")
    'a\\n\ufffd[2Jb'
    """
    return _CONTROL.sub("\ufffd", words)


PIPED = 240
"""Columns of a table in a file or pipe."""


class PlainConsole(Console):
    """A console that reads no markup or emoji codes in texts, and shows a text's control characters as U+FFFD.

    Where it writes to no terminal, lines are as long as the tables need (:data:`PIPED`), unless COLUMNS says otherwise: no id is cut.

    >>> import io
    >>> shown = io.StringIO()
    >>> PlainConsole(file=shown).print("[/bold] :bug: \\x1b[31mred")
    >>> shown.getvalue()
    '[/bold] :bug: \ufffd[31mred\\n'
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, **settings)
        if not self.is_terminal and "width" not in settings and "COLUMNS" not in os.environ:
            self.width = PIPED

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of a renderable, without control characters of its texts."""
        for segment in super().render(renderable, options):
            if segment.control or not _CONTROL.search(segment.text):
                yield segment
            else:
                yield Segment(_CONTROL.sub("\ufffd", segment.text), segment.style)


NARROW = 100
"""Columns of a terminal below which the last column of a table, which is prose, stands in a line of its own."""


def show_rows(console: Console, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows: as a table on a terminal, else a line for each with tabs between, so that nothing is cut. The last cell is prose."""
    rows = list(rows)
    if not console.is_terminal:
        for row in (heads, *rows):
            console.file.write("\t".join(_CONTROL.sub("\ufffd", cell.replace("\t", " ").replace("\n", " ")) for cell in row) + "\n")
        return
    narrow = console.width < NARROW and len(heads) > 3
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads[:-1]:
        table.add_column(head, no_wrap=True)
    if not narrow:
        table.add_column(heads[-1])
    for row in rows:
        table.add_row(*(row[:-1] if narrow else row))
    console.print(table)
