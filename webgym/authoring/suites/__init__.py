"""Suites of other projects, read in their own form: their tasks, servers and verdicts stay as they are, and nothing is copied.

A file with the key `suite` stands beside a suite's folders and says of which form it is (`webgym tasks import` writes it)::

    suite: infinity
    max_turns: 40

Each form is one module with `programs(folder, settings)`, what of it needs consent, and `read(folder, settings)`, its tasks and sites. What
cannot be played or judged is left out, and counted by reason.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, Protocol

from pydantic import ValidationError

from webgym.authoring import consent
from webgym.authoring.suites import browsergym, infinity, webarena, webharbor
from webgym.authoring.suites.suite import Found, Settings
from webgym.authoring.task_file.source import Source, read_mapping
from webgym.errors import TaskFileError, did_you_mean

Name = Literal["browsergym", "infinity", "webarena", "webharbor"]


class Form(Protocol):
    """The form of some project's suites."""

    TITLE: str

    def programs(self, folder: Path, settings: Settings) -> list[str]:
        """Parts of the suite that run programs or act on servers that its file names, in words."""
        ...

    def read(self, folder: Path, settings: Settings) -> Found:
        """The tasks of the suite, its sites, and what was left out."""
        ...


FORMS: Mapping[str, Form] = {"browsergym": browsergym, "infinity": infinity, "webarena": webarena, "webharbor": webharbor}


class SuiteFile(Settings):
    """Content of a suite's file."""

    suite: Name


def is_suite(file: Path) -> bool:
    """True for the file of a suite, rather than one of tasks."""
    if file.suffix not in (".yaml", ".yml"):
        return False
    try:
        return re.search(r"(?m)^suite\s*:", file.read_text("utf-8-sig")) is not None
    except (OSError, UnicodeDecodeError):
        return False


def read(file: Path, *, trust: bool = False) -> Found:
    """The tasks of a suite and its sites. Raises TaskFileError, also where the suite runs programs and its folder is not trusted."""
    data, root = read_mapping(file)
    try:
        settings = SuiteFile.model_validate(data)
    except ValidationError as error:
        raise Source(file, data, [], [], root).errors(error, ()) from error
    form, folder = FORMS[settings.suite], file.resolve().parent
    consent.require(file, form.programs(folder, settings), trust=trust)
    found = form.read(folder, settings)
    wanted = [x for x in found.tasks if any(fnmatchcase(x.id.partition(".")[2], pattern) for pattern in settings.only)]
    if len(wanted) < len(found.tasks):
        found.left_out["not among those of `only`"] += len(found.tasks) - len(wanted)
    found.tasks = wanted
    if not found.tasks:
        why = "; ".join(f"{count} {words}" for words, count in found.left_out.items()) or f"{folder} has none of this form"
        raise TaskFileError(f"{file}: expected tasks of {form.TITLE}, there is none to play: {why}")
    return found


def write(name: str, folder: Path) -> Path:
    """The file of a suite, written into its folder. Raises TaskFileError."""
    if name not in FORMS:
        raise TaskFileError(f"there is no form {name!r} of suites{did_you_mean(name, FORMS)} (there: {', '.join(FORMS)})")
    if not folder.is_dir():
        raise TaskFileError(f"{folder}: expected the folder of a suite, there is none")
    file = folder / "tasks.yaml"
    if file.exists() and not is_suite(file):
        raise TaskFileError(f"{file} exists already and is no file of a suite: remove it, or import a copy of the folder")
    if not file.exists():
        file.write_text(f"suite: {name}  # {FORMS[name].TITLE}; docs/applications.md explains the keys\n", "utf-8")
    return file


__all__ = ["FORMS", "Found", "Settings", "is_suite", "read", "write"]
