"""Suites of other projects become known: `webgym tasks import KIND FOLDER`."""

from collections import Counter
from pathlib import Path

from webgym.authoring import suites


def imported(kind: str, folder: Path, *, trust: bool) -> list[str]:
    """Lines on what the suite in a folder has, after its file was written. Raises TaskFileError."""
    file = suites.write(kind, folder)
    found = suites.read(file, trust=trust)
    packs = Counter(task.id.partition(".")[0] for task in found.tasks)
    lines = [str(file), f"{len(found.tasks)} tasks: {', '.join(f'{count} of {pack}' for pack, count in packs.items())}"]
    if by_page := sum(task.trust == "page" for task in found.tasks):
        lines.append(f"{by_page} of them are judged by what pages write (trust: page)")
    lines += [f"left out: {count} {words}" for words, count in found.left_out.items()]
    path = file if file.is_absolute() else f"./{file}"
    return [*lines, f"try it: webgym tasks list --tasks {path}; then give `--tasks {path}` to eval or train"]
