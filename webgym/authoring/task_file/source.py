"""Task files as data with the lines it stands on: YAML (JSON is a part of it), or one JSON object a line.

YAML is read by the rules of its version 1.2: only `true` and `false` are truth values, and `no`, `12:30`, `007` and `2026-01-05`
are texts. A key that comes twice is an error.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from webgym.authoring.placeholders import depth
from webgym.errors import TaskFileError

Location = Sequence[str | int]
MAX_ERRORS = 8  # told at once
MAX_DEPTH = 60  # of mappings and lists within each other
MAX_VALUES = 1_000_000  # of a file, where an alias counts as all that it stands for


class _Loader(yaml.SafeLoader):
    """Knows the plain values of YAML 1.2 and no others."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own class attributes
    yaml_constructors = {  # noqa: RUF012
        tag: made
        for tag, made in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in ("null", "bool", "int", "float", "str", "seq", "map")
    }

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """The value of a node. Raises ConstructorError, also for a text that is no value of its tag, or none that JSON knows."""
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, str) and not value.isascii():  # two halves that JSON escapes are one character, and one is none
                value = value.encode("utf-16", "surrogatepass").decode("utf-16")
        except (ValueError, LookupError) as error:  # !!int abc, a number of thousands of digits
            value = error
        if isinstance(value, Exception) or (isinstance(value, float) and not math.isfinite(value)):
            wrong = f"expected a value of the kind {node.tag.rpartition(':')[2]}, got {_shown(node.value)}"
            raise ConstructorError(None, None, wrong, node.start_mark)
        return value


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", "-+0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), [*_first, *([""] if _tag == "null" else [])]
    )


@dataclass(frozen=True)
class Source:
    """Content of a task file. `header` has everything but the tasks; each task comes with the line on which it begins."""

    path: Path
    header: dict[str, Any]
    tasks: list[Any]
    lines: list[int]
    root: Node | None = None  # of YAML

    def line(self, location: Location) -> int:
        """The line of a field, or of what is nearest around it. Locations begin with a key of the header, or "tasks" and a number."""
        if self.root is None:
            return self.lines[int(location[1])] if len(location) > 1 and location[0] == "tasks" else 1
        node, line = self.root, 1
        for step in location:
            key = next((k for k, _ in node.value if k.value == step), None) if isinstance(node, MappingNode) else None
            if isinstance(node, MappingNode) and key is not None:
                node = next(value for k, value in node.value if k is key)
                line = key.start_mark.line + 1
            elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
            elif not (isinstance(step, str) and step.startswith("<")):
                break
        return line

    def error(self, location: Location, words: str) -> TaskFileError:
        """The error with file, line and field."""
        return TaskFileError(self.place(location) + words)

    def place(self, location: Location) -> str:
        """File, line and field for the beginning of an error: `tasks.yaml:7: tasks.0.check: `."""
        field = ".".join(str(step) for step in location if not str(step).startswith("<"))
        return f"{self.path}:{self.line(location)}: " + (f"{field}: " if field else "")

    def errors(self, error: ValidationError, base: Location) -> TaskFileError:
        """All that pydantic found wrong in the data at `base`, one sentence a line."""
        found = [self.place((*base, *_location(detail))) + _words(detail) for detail in error.errors()]
        more = [f"(and {len(found) - MAX_ERRORS} more)"] if len(found) > MAX_ERRORS else []
        return TaskFileError("\n".join(found[:MAX_ERRORS] + more))


def read_source(path: Path) -> Source:
    """The content of a task file. Raises TaskFileError (file, line, what was expected)."""
    return _json_lines(path, _text(path)) if path.suffix == ".jsonl" else _yaml(path)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise TaskFileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TaskFileError(f"{path}: expected UTF-8 text: {error}") from error


def _yaml(path: Path) -> Source:
    data, root = read_mapping(path)
    tasks = data.pop("tasks", [])
    if not isinstance(tasks, list) or not tasks:
        raise TaskFileError(f"{path}:1: tasks: expected a list of tasks, got {'none' if tasks in ([], None) else type(tasks).__name__}")
    return Source(path, data, tasks, [], root)


def read_mapping(path: Path) -> tuple[dict[str, Any], Node | None]:
    """The mapping that a YAML or JSON file is, and its nodes, which know their lines. Raises TaskFileError."""
    text = _text(path)
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is not None:
            _refuse_doubles(path, root)
            _refuse_bombs(path, root)
        data = loader.construct_document(root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise TaskFileError(f"{path}:{line}: not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise TaskFileError(f"{path}: not valid YAML: {error}") from error
    except RecursionError:
        raise TaskFileError(_too_deep(path)) from None
    if not isinstance(data, dict):
        raise TaskFileError(f"{path}:1: expected a mapping with the key tasks, got {'nothing' if data is None else type(data).__name__}")
    return data, root


def _refuse_doubles(path: Path, node: Node, seen: set[int] | None = None) -> None:
    """Raises TaskFileError when a mapping has a key twice."""
    seen = set() if seen is None else seen
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    if isinstance(node, MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if str(key.value) in keys:
                raise TaskFileError(
                    f"{path}:{key.start_mark.line + 1}: {key.value}: this key is there twice in one mapping: keep one of them"
                )
            keys.add(str(key.value))
            _refuse_doubles(path, value, seen)
    elif isinstance(node, SequenceNode):
        for value in node.value:
            _refuse_doubles(path, value, seen)


def _refuse_bombs(path: Path, root: Node) -> None:
    """Raises TaskFileError where aliases stand for more than any reader can hold, or a value holds itself."""
    counted: dict[int, int] = {}
    within: set[int] = set()

    def count(node: Node) -> int:
        if id(node) in within:
            raise TaskFileError(f"{path}:{node.start_mark.line + 1}: this value holds itself by an alias: write it out")
        if id(node) not in counted:
            if len(within) >= MAX_DEPTH:
                raise TaskFileError(_too_deep(f"{path}:{node.start_mark.line + 1}"))
            within.add(id(node))
            inner = [each for pair in node.value for each in pair] if isinstance(node, MappingNode) else node.value
            counted[id(node)] = 1 + (0 if isinstance(node, ScalarNode) else sum(map(count, inner)))
            within.remove(id(node))
        return counted[id(node)]

    if (values := count(root)) > MAX_VALUES:
        raise TaskFileError(f"{path}: expected at most {MAX_VALUES:,} values; its aliases stand for {values:,}")


def _too_deep(place: object) -> str:
    return f"{place}: expected at most {MAX_DEPTH} lists and mappings within each other, got more"


def _json_lines(path: Path, text: str) -> Source:
    """One task a line; a first line without `name` is the header."""
    header: dict[str, Any] = {}
    tasks, lines = [], []
    for number, line in enumerate(text.split("\n"), 1):  # a text in JSON may hold the other line breaks
        if not line.strip():
            continue
        try:
            entry = json.loads(line, object_pairs_hook=_without_doubles, parse_constant=_no_number, parse_float=_finite)
            json.dumps(entry, ensure_ascii=False).encode()  # half a character is no text
        except ValueError as error:
            raise TaskFileError(f"{path}:{number}: expected one JSON object on the line: {error}") from error
        except RecursionError:
            raise TaskFileError(_too_deep(f"{path}:{number}")) from None
        if depth(entry) > MAX_DEPTH:
            raise TaskFileError(_too_deep(f"{path}:{number}"))
        if not isinstance(entry, dict):
            raise TaskFileError(f"{path}:{number}: expected one JSON object on the line, got {type(entry).__name__}")
        if not tasks and not header and "name" not in entry:
            header = entry
        else:
            tasks.append(entry)
            lines.append(number)
    if not tasks:
        raise TaskFileError(f"{path}:1: expected a task on each line, got none")
    return Source(path, header, tasks, lines)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises ValueError when it has a key twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice}: this key is there twice in one mapping: keep one of them")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    """A number of JSON. Raises ValueError for one beyond all numbers, such as 1e999."""
    return float(text) if math.isfinite(float(text)) else _no_number(text)


# --- pydantic's findings in words ------------------------------------------------------------------------------------------

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "date_type": "a date such as 2026-01-05",
    "date_parsing": "a date such as 2026-01-05",
    "date_from_datetime_parsing": "a date such as 2026-01-05",
    "literal_error": "{expected}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "string_pattern_mismatch": "text of the form {pattern}",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "string_too_short": "text",
}


def _location(detail: Any) -> Location:
    return (*detail["loc"], detail["ctx"]["field"]) if detail["type"] == "unknown_field" else detail["loc"]


def _words(detail: Any) -> str:
    kind, context, got = detail["type"], detail.get("ctx") or {}, detail.get("input")
    if kind == "missing":
        return "is missing"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind].format(**context)}, got {_shown(got)}"
    return detail["msg"].removeprefix("Value error, ")


def _shown(value: Any, limit: int = 60) -> str:
    if isinstance(value, (dict, list, tuple)) and not value:
        return "none"
    text = {True: "true", False: "false", None: "nothing"}[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
