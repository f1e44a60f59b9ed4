"""Reference of the API as pages for Sphinx, from the sources and without importing them: a page for each folder of a package."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("webgym", "trainers")
LEFT_OUT = ("webgym/authoring/starter", "webgym/view/web")
TARGET = Path(__file__).parent / "reference" / "api"
Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


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


def public(body: list[ast.stmt]) -> Iterator[Documented]:
    """The classes and functions whose names have no underscore in front; of those that are overloaded, the last."""
    found = {node.name: node for node in body if isinstance(node, Documented) and not node.name.startswith("_")}
    yield from found.values()


def undocumented() -> list[str]:
    """The public modules, classes, functions and methods without a docstring. A method of a protocol, of an overload, or one that its
    base class documents needs none.
    """
    found = []
    for package in PACKAGES:
        for path in (path for files in modules(package).values() for path in files):
            tree = ast.parse(path.read_text("utf-8"))
            found += [] if ast.get_docstring(tree) or not tree.body else [name_of(path)]
            found += [
                f"{name_of(path)}.{node.name}" for node in public(tree.body) if not ast.get_docstring(node) and not node.decorator_list
            ]
    return found


def page(title: str, files: list[Path]) -> str:
    """The page of a folder in reStructuredText."""
    lines = [title, "=" * len(title), ""]
    for path in files:
        tree = ast.parse(path.read_text("utf-8"))
        name = name_of(path)
        if name != title:
            lines += [name, "-" * len(name), ""]
        lines += [f".. py:module:: {name}", "", *(ast.get_docstring(tree) or "").splitlines(), ""]
        for node in public(tree.body):
            lines += _entry(node, 0)
    return "\n".join(lines) + "\n"


def _entry(node: Documented, depth: int) -> list[str]:
    indent = "   " * depth
    kind = "class" if isinstance(node, ast.ClassDef) else "method" if depth else "function"
    lines = [f"{indent}.. py:{kind}:: {_signature(node)}", "", *_indented(ast.get_docstring(node) or "", depth + 1), ""]
    if isinstance(node, ast.ClassDef):
        for inner in public(node.body):
            lines += _entry(inner, depth + 1)
    return lines


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
