"""Programs that a trusted task file names: functions of the Python files in its folder."""

import hashlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from webgym.errors import TaskFileError
from webgym.sites.apps.files import inside

_loaded: dict[Path, tuple[tuple[int, int], ModuleType]] = {}  # a file's time and size when it was read
_loading = threading.RLock()


def function(folder: Path, named: str) -> Callable[..., Any]:
    """The function that `module:function` or `package.module:function` names below the folder. Raises TaskFileError."""
    module, colon, name = named.partition(":")
    parts = module.split(".")
    if not colon or not name.isidentifier() or not all(part.isidentifier() for part in parts):
        raise TaskFileError(f"expected a function as module:function, such as resets:fresh, got {named!r}")
    return function_in(folder, "/".join(parts) + ".py", name)


def verifier(folder: Path, path: str) -> Callable[..., Any]:
    """The function `verify(instance, answer)` of a file below the folder. Raises TaskFileError."""
    found = function_in(folder, path, "verify")
    try:
        inspect.signature(found).bind(None, "")
    except TypeError as error:
        raise TaskFileError(f"{path}: expected verify(instance, answer): {error}") from error
    return found


def function_in(folder: Path, path: str, name: str) -> Callable[..., Any]:
    """The function of this name in a file below the folder. Raises TaskFileError."""
    try:
        file = inside(folder, path)
    except ValueError as error:
        raise TaskFileError(str(error)) from error
    if file.suffix != ".py" or not file.is_file():
        raise TaskFileError(f"expected a Python file in {folder}, got {path!r}: there is no such file")
    found = getattr(_module(folder, file), name, None)
    if not callable(found):
        raise TaskFileError(f"{file}: expected a function {name}, there is none")
    return found


def _module(folder: Path, file: Path) -> ModuleType:
    """The file as a module under a name of its own; a file that has changed is read anew. Its neighbours can be imported."""
    file = file.resolve()
    with _loading:
        stat = file.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
        if file in _loaded and _loaded[file][0] == stamp:
            return _loaded[file][1]
        name = f"webgym_program_{hashlib.blake2s(str(file).encode(), digest_size=6).hexdigest()}_{file.stem}"
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        neighbours, before = str(folder.resolve()), set(sys.modules)
        sys.path.append(neighbours)
        try:
            sys.modules[name] = module
            spec.loader.exec_module(module)
        except Exception as error:  # a program of the pack's author
            sys.modules.pop(name, None)
            raise TaskFileError(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error
        finally:
            sys.path.remove(neighbours)
            for found in set(sys.modules) - before - {name}:
                if _lies_in(sys.modules[found], folder.resolve()):  # another pack's neighbour may have the same name
                    del sys.modules[found]
        _loaded[file] = (stamp, module)
        return module


def _lies_in(module: ModuleType, folder: Path) -> bool:
    """True if a module was read from a file of the folder."""
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(folder)
