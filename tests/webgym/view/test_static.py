"""What the package serves is what the sources say."""

import hashlib
from pathlib import Path

import webgym.view

FOLDER = Path(webgym.view.__file__).parent


def test_the_built_page_is_that_of_the_sources() -> None:
    web = FOLDER / "web"
    names = sorted([*(f"src/{path.name}" for path in (web / "src").iterdir()), "build.mjs", "package.json", "package-lock.json"])
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode() + b"\0" + (web / name).read_bytes() + b"\0")
    assert (FOLDER / "static/sources.sha256").read_text().strip() == digest.hexdigest(), "run `make viewer` and commit what it built"


def test_licences_of_what_is_built_in_are_kept() -> None:
    text = (FOLDER / "static/LICENSES.txt").read_text()
    assert "preact" in text and "uplot" in text and text.count("Permission is hereby granted") == 2


def test_nothing_is_loaded_from_elsewhere() -> None:
    for name in ("index.html", "play.html", "app.css", "play.css"):
        text = (FOLDER / "static" / name).read_text()
        assert "http:" not in text and "https:" not in text and "@import" not in text
