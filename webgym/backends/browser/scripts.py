"""The scripts of this package, as they are sent to documents."""

import importlib.resources


def script(name: str) -> str:
    """The text of a file without its indentation and its lines of comments, which every document would have to read."""
    text = importlib.resources.files(__package__ or __name__).joinpath(name).read_text("utf-8")
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))
