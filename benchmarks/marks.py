"""Tables in pages of the docs, between two marks that a page has for them."""

from pathlib import Path

from webgym.errors import UsageError


def put(path: Path, begin: str, end: str, text: str) -> None:
    """Put the text between the marks of the page. Raises UsageError where it lacks one of them: nothing is written then."""
    before, found, rest = path.read_text("utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise UsageError(f"{path}: expected the lines {begin!r} and {end!r}, between which the tables go")
    path.write_text(f"{before}{begin}{text}{end}{after}", "utf-8")
