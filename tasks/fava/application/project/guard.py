"""The parts of a ledger and of queries that Fava and Beancount would run programs for, or open other files for, are refused.

Whoever plays writes the ledger. Beancount imports the plugins that a ledger names, includes other files, takes an entry's metadata for
the file that the entry stands in, and its process dies of a division by zero; Fava serves and removes the files that a ledger calls
documents; the shell for queries opens files. What is refused is left out, and an error of the ledger says so.
"""

import copy
import decimal
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

FOLDERS = ("documents", "incoming")
KEPT = ("title", "operating_currency", "documents", "filename", "dcontext", "commodities")  # all other options are Beancount's defaults
OPTIONS = (("import-config", "project/importers.py"), ("import-dirs", "incoming"), ("use-external-editor", "false"))  # of Fava
STATEMENTS = ("Select", "Balances", "Journal", "Print")
MOST_DIGITS = 100  # before the point of a number, and of a small one behind it
QUERY = re.compile(r"\s*(\.?run|select|balances|journal|print)\b", re.IGNORECASE)


def left(entries: list[Any], options: dict[str, Any], defaults: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any], list[str]]:
    """The entries and options that may stay, and what was refused, in words."""
    refused = [*_odd_options(options, defaults)]
    fixed = {name: options[name] if name in KEPT else copy.deepcopy(value) for name, value in defaults.items() if name in options}
    fixed["documents"] = [folder for folder in options.get("documents", ()) if folder == "documents"]
    stay = []
    for entry in entries:
        if wrong := odd(entry, str(options["filename"])):
            refused.append(wrong)
        else:
            stay.append(entry)
    return stay, {**options, **fixed}, refused


def odd(entry: Any, filename: str) -> str:
    """The part of an entry that is refused, in words; "" where there is none."""
    if entry.meta.get("filename") != filename or type(entry.meta.get("lineno")) is not int:
        return "an entry that says where it stands"  # its metadata would name the file that is read and written as its source
    kind = type(entry).__name__
    if kind == "Document" and not _inside(entry.filename, os.path.dirname(filename)):
        return f"the document {entry.filename!r}"
    if kind == "Custom" and entry.type.startswith("fava-"):
        values = tuple(str(each.value) for each in entry.values or ())
        if entry.type != "fava-option" or values not in OPTIONS:
            return f"custom {entry.type!r} {' '.join(map(repr, values))}".rstrip()
    if not all(number.is_finite() and abs(number.adjusted()) < MOST_DIGITS for number in _numbers(entry)):
        return "a number that is none, or too long"
    return ""


def may_ask(line: str) -> bool:
    """True for a query; the shell's other commands write files and change how later ones are answered."""
    return QUERY.match(line) is not None


def guard_ledgers() -> None:
    """Let no ledger name programs or files, from now on."""
    from beancount.loader import LoadError
    from beancount.parser import options, parser

    def guarded(parse: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(parse)
        def parsed(*given: Any, **more: Any) -> Any:
            with decimal.localcontext() as context:
                context.clear_traps()  # the parser does not look whether a calculation failed
                entries, errors, found = parse(*given, **more)
            entries, found, refused = left(entries, found, options.OPTIONS_DEFAULTS)
            source = {"filename": found["filename"], "lineno": 0}
            return entries, [*errors, *(LoadError(source, f"These books take no such thing: {words}.") for words in refused)], found

        return parsed

    for name in ("parse_file", "parse_string"):
        setattr(parser, name, guarded(getattr(parser, name)))


def guard_queries() -> None:
    """Let the shell for queries answer queries only, from now on."""
    from fava.core.query_shell import FavaBQLShell, FavaShellError

    asked, executed = FavaBQLShell.onecmd, FavaBQLShell.execute

    def onecmd(shell: Any, line: str) -> Any:
        if not may_ask(line):
            raise FavaShellError(f"Expected {', '.join(STATEMENTS)} or run, got {line[:50]!r}.")
        return asked(shell, line)

    def execute(shell: Any, query: str, **more: Any) -> Any:  # also for queries that the ledger holds
        if (kind := type(shell.parse(query)).__name__) not in STATEMENTS:
            raise FavaShellError(f"Expected {', '.join(STATEMENTS)}, got {kind}.")
        return executed(shell, query, **more)

    FavaBQLShell.onecmd, FavaBQLShell.execute = onecmd, execute


def _odd_options(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[str]:
    """The options that differ from their defaults and may not."""
    for name, value in options.items():
        if name == "documents":
            yield from (f"the folder of documents {folder!r}" for folder in value if folder != "documents")
        elif name not in KEPT and value != defaults.get(name):
            yield f"{name} {value!r}"


def _numbers(thing: Any) -> Iterator[decimal.Decimal]:
    """All numbers in an entry."""
    if isinstance(thing, decimal.Decimal):
        yield thing
    elif isinstance(thing, Mapping):
        yield from _numbers(list(thing.values()))
    elif isinstance(thing, list | tuple):
        for each in thing:
            yield from _numbers(each)


def _inside(path: str, folder: str) -> bool:
    return any(os.path.normpath(path).startswith(os.path.join(folder, name, "")) for name in FOLDERS)
