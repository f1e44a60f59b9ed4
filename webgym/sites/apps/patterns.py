"""Patterns of paths: which an application keeps to itself, and which are the same for every episode."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from urllib.parse import unquote

DECODINGS = 4  # of an address that is escaped again and again


def fits(raw_path: str, patterns: Sequence[str]) -> bool:
    """True if a path is one of those meant and no server can take it for another: `/static/*` has all below, `/app.js` is one.

    >>> [fits(path, ["/static/*"]) for path in ("/static/a/b%20c.css", "/statics", "/static/../me", "/static/%2e./me")]
    [True, False, False, False]
    """
    path = unquote(raw_path, errors="replace")
    plain = not re.search(r"\.\.|[\\;%\0]|//|/\.(/|$)", path)
    return plain and any(fnmatchcase(path, pattern) for pattern in patterns)


def fits_any_spelling(raw_path: str, patterns: Sequence[str]) -> bool:
    """True if a server may take the path for one of those meant, or for something below it, however it is spelled. `/debug/*` is `/debug`
    as well, because servers that list a folder do it at either.

    >>> [fits_any_spelling(path, ["/api/reset"]) for path in ("/api//Reset/", "/api/x/../%72eset", "/api;v=1/reset;a", "/api/re")]
    [True, True, True, False]
    """
    wanted = [pattern.lower().removesuffix("/*").rstrip("/") or "/" for pattern in patterns]
    if "/*" in patterns:
        return True
    return any(
        fnmatchcase(spelling, pattern) or fnmatchcase(spelling, f"{pattern}/*") or fnmatchcase(spelling, f"{pattern}.*")
        for spelling in _spellings(raw_path)
        for pattern in wanted
    )


def _spellings(raw_path: str) -> set[str]:
    """Paths that servers may take a path for: with escapes undone, with dots followed or not, with parameters dropped."""
    found = set()
    for _ in range(DECODINGS):
        for text in (raw_path, re.sub(r";[^/]*", "", raw_path)):
            found |= {_flat(text.split("?")[0].split("#")[0], dots) for dots in (True, False)}
        raw_path = unquote(raw_path, errors="replace")
    return found


def _flat(path: str, dots: bool) -> str:
    parts: list[str] = []
    for part in re.split(r"[/\\]+", path.lower().replace("\0", "")):
        part = part.strip()
        if dots and part == "..":
            parts = parts[:-1]
        elif part and not (dots and part == "."):
            parts.append(part)
    return "/" + "/".join(parts)
