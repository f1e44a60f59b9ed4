"""The note and the tags of a run, in a small file of its folder. `webgym note` writes it, the viewer shows it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from webgym.errors import UsageError
from webgym.record import layout
from webgym.record.whole import read_json, replace_text

LONGEST = 2_000
"""Characters of a note."""


@dataclass(frozen=True)
class Note:
    """A person's words about a run."""

    text: str = ""
    tags: tuple[str, ...] = ()


def read(run: Path) -> Note:
    """The note of a run folder; an empty one where there is none or it cannot be read."""
    try:
        found = read_json(run / layout.NOTE)
        return Note(str(found["text"])[:LONGEST], tuple(str(tag) for tag in found["tags"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Note()


def write(run: Path, note: Note) -> None:
    """Replace the note of a run folder. Raises UsageError for a note that is too long, or a tag that is empty or has a space or a comma."""
    if len(note.text) > LONGEST:
        raise UsageError(f"a note has at most {LONGEST} characters, this one has {len(note.text)}")
    for tag in note.tags:
        if not tag or any(c.isspace() or c == "," for c in tag):
            raise UsageError(f"expected a tag of one word, as in --tag baseline; got {tag!r}")
    replace_text(run / layout.NOTE, json.dumps(asdict(note), ensure_ascii=False))
