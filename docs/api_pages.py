"""Reference of the API as pages for Sphinx, from the sources and without importing them: a page for each folder of a package.

A name that a module's `__all__` takes from another module stands on the page of both, because it is imported from either.
"""

import ast
import functools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("webgym", "trainers")
LEFT_OUT = ("webgym/authoring/starter", "webgym/view/web")
TARGET = Path(__file__).parent / "reference" / "api"
Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Value:
    """A name that a value is given to, in a module or a class: its annotation and value as text, and the text below it."""

    name: str
    annotation: str
    value: str
    text: str


def modules(package: str) -> dict[str, list[Path]]:
    """The files of each page, by the name of the folder or of the module at the top of the package."""
    pages: dict[str, list[Path]] = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        inside = path.relative_to(ROOT / package)
        if not path.relative_to(ROOT).as_posix().startswith(LEFT_OUT) and path.name != "__main__.py":
            pages.setdefault(inside.parts[0].removesuffix(".py") if len(inside.parts) > 1 else inside.stem, []).append(path)
    return {package if name == "__init__" else f"{package}.{name}": files for name, files in pages.items()}


def name_of(path: Path) -> str:
    """The dotted name of a module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def tree_of(name: str) -> ast.Module | None:
    """The module of this dotted name; None where it is none of ours."""
    path = ROOT.joinpath(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8")) if file.is_file() and name.split(".")[0] in PACKAGES else None


def public(body: list[ast.stmt]) -> Iterator[Documented]:
    """The classes and functions whose names have no underscore in front; of those that are overloaded, the last."""
    found = {node.name: node for node in body if isinstance(node, Documented) and not node.name.startswith("_")}
    yield from found.values()


def values(body: Sequence[ast.stmt]) -> dict[str, Value]:
    """The names of a module or a class that are given a value or a type, with the text in the line below; "" where there is none."""
    found: dict[str, Value] = {}
    for node, below in zip(body, [*body[1:], None], strict=True):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign):
            annotation = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
            value = ast.unparse(node.value) if node.value is not None else ""
            found[target.id] = Value(target.id, annotation, value, _text(below))
    return found


def _text(node: ast.stmt | None) -> str:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return node.value.value if is_text else ""  # type: ignore[union-attr]


def imported(tree: ast.Module) -> dict[str, tuple[str, str]]:
    """Module and name of what a module imports from modules of ours, by its name there."""
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES
        for alias in node.names
    }


def face(name: str) -> list[str]:
    """The names in `__all__` of a module; [] without one."""
    tree = tree_of(name)
    listed = values(tree.body).get("__all__") if tree else None
    if listed is None:
        return []
    whole = ast.parse(listed.value, mode="eval").body
    names = [element.value for element in ast.walk(whole) if isinstance(element, ast.Constant)]
    starred = [element.value.id for element in ast.walk(whole) if isinstance(element, ast.Starred) and isinstance(element.value, ast.Name)]
    for star in starred:  # a tuple of names in this module, or in the one that it comes from
        module, own = imported(tree).get(star, (name, star)) if tree else (name, star)
        held = values(tree_of(module).body)[own].value  # type: ignore[union-attr]
        names += [element.value for element in ast.walk(ast.parse(held, mode="eval")) if isinstance(element, ast.Constant)]
    return [str(each) for each in names if not str(each).startswith("__")]


def defined(module: str, name: str) -> tuple[str, Documented | Value | None]:
    """The module that defines a name which `module` has, and its definition; None where it is none of ours."""
    tree = tree_of(module)
    if tree is None:
        return module, None
    for node in public(tree.body):
        if node.name == name:
            return module, node
    if name in values(tree.body):
        return module, values(tree.body)[name]
    if name in imported(tree):
        return defined(*imported(tree)[name])
    inner = f"{module}.apps"  # names that webgym.sites loads when they are asked for
    return defined(inner, name) if tree_of(inner) and name in face(inner) else (module, None)


def method_text(module: str, owner: ast.ClassDef, method: str) -> str:
    """The docstring of a method, else that of the nearest base class of ours which has one; "" where none has."""
    own = next((node for node in public(owner.body) if node.name == method), None)
    if own is not None and (text := ast.get_docstring(own)):
        return text
    for base in owner.bases:
        name = ast.unparse(base).partition("[")[0]
        where, found = defined(module, name)
        if isinstance(found, ast.ClassDef) and found is not owner and (text := method_text(where, found, method)):
            return text
    return ""


def undocumented() -> list[str]:
    """The public modules, classes and functions without a docstring, and those names of faces (`__all__`) and methods of their classes
    that no text explains. A value needs a text below it or a type that says all; a method that is a property of a protocol needs none.
    """
    found = []
    for package in PACKAGES:
        for path in (path for files in modules(package).values() for path in files):
            tree, module = ast.parse(path.read_text("utf-8")), name_of(path)
            found += [] if ast.get_docstring(tree) or not tree.body else [module]
            found += [f"{module}.{node.name}" for node in public(tree.body) if not ast.get_docstring(node) and not node.decorator_list]
            for name in face(module):
                where, node = defined(module, name)
                if node is None or (isinstance(node, Documented) and not ast.get_docstring(node)):
                    found.append(f"{module}.{name}")
                if isinstance(node, ast.ClassDef) and not any("Protocol" in ast.unparse(base) for base in node.bases):
                    found += [f"{where}.{name}.{each.name}" for each in public(node.body) if not method_text(where, node, each.name)]
    return sorted(set(found))


def page(title: str, files: list[Path]) -> str:
    """The page of a folder in reStructuredText."""
    lines = [title, "=" * len(title), ""]
    for path in files:
        name = name_of(path)
        tree = ast.parse(path.read_text("utf-8"))
        if name != title:
            lines += [name, "-" * len(name), ""]
        lines += [f".. py:module:: {name}", "", *(ast.get_docstring(tree) or "").splitlines(), ""]
        own = {node.name for node in public(tree.body)}
        for node in public(tree.body):
            lines += _entry(name, node, 0)
        stated = values(tree.body)
        for value in stated.values():
            if not value.name.startswith("_") and (value.text or value.name in face(name)):
                lines += _value(value, "data", 0)
        for other in face(name):
            if other not in own and other not in stated:
                where, found = defined(name, other)
                if isinstance(found, Documented):
                    lines += _entry(where, found, 0, shown=name)
                elif found is not None:
                    lines += _value(found, "data", 0)
    return "\n".join(lines) + "\n"


def _entry(module: str, node: Documented, depth: int, text: str | None = None, *, shown: str = "") -> list[str]:
    """The entry of a definition in `module`, on the page of `shown` if that is another one."""
    indent = "   " * depth
    kind = "class" if isinstance(node, ast.ClassDef) else "method" if depth else "function"
    text = (ast.get_docstring(node) or "") if text is None else text
    indexed = [] if depth or tree_of(f"{shown or module}.{node.name}") is None else ["   :no-index:"]  # a module has the same name
    lines = [f"{indent}.. py:{kind}:: {_signature(node)}", *indexed, "", *_indented(text, depth + 1), ""]
    if isinstance(node, ast.ClassDef):
        for value in values(node.body).values():
            if value.text and not value.name.startswith("_"):
                lines += _value(value, "attribute", depth + 1)
        for inner in public(node.body):
            lines += _entry(module, inner, depth + 1, None if isinstance(inner, ast.ClassDef) else method_text(module, node, inner.name))
    return lines


def _value(value: Value, kind: str, depth: int) -> list[str]:
    indent = "   " * depth
    options = [f"{indent}   :type: {value.annotation}"] if value.annotation else []
    options += [f"{indent}   :value: {value.value}"] if value.value and len(value.value) < 100 else []
    return [f"{indent}.. py:{kind}:: {value.name}", *options, "", *_indented(_unindented(value.text), depth + 1), ""]


def _unindented(text: str) -> str:
    """A text below a value, without the indentation of its later lines."""
    first, *rest = text.strip().splitlines() or [""]
    return "\n".join([first, *(line.strip() for line in rest)])


def _signature(node: Documented) -> str:
    """The name with its parameters; those of a class are its fields, or the parameters of its `__init__`."""
    if not isinstance(node, ast.ClassDef):
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        return f"{node.name}({_parameters(node.args)}){returns}"
    made = next((inner for inner in node.body if isinstance(inner, ast.FunctionDef) and inner.name == "__init__"), None)
    if made is not None:
        return f"{node.name}({_parameters(made.args)})"
    fields = [inner for inner in node.body if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name)]
    shown = [f"{ast.unparse(x.target)}{f'={ast.unparse(x.value)}' if x.value else ''}" for x in fields]
    return f"{node.name}({', '.join(text for text in shown if not text.startswith('_'))})"


def _parameters(arguments: ast.arguments) -> str:
    text = ast.unparse(arguments)
    return text.removeprefix("self, ").removeprefix("cls, ") if text not in ("self", "cls") else ""


def _indented(text: str, depth: int) -> list[str]:
    return [f"{'   ' * depth}{line}" if line else "" for line in text.splitlines()]


def write(target: Path = TARGET) -> list[str]:
    """Write all pages; their names."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    pages = {title: files for package in PACKAGES for title, files in modules(package).items()}
    for title, files in pages.items():
        (target / f"{title}.rst").write_text(page(title, files), "utf-8")
    return sorted(pages)
