"""The command line as `python -m webgym` and as the command `webgym`: cli.py, which an installation has in this package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def command_line() -> ModuleType:
    """The module `webgym.cli`: cli.py in this package, or beside it where this is a checkout."""
    name = "webgym.cli"
    if name not in sys.modules:
        here = Path(__file__).resolve().parent
        file = next(path for path in (here / "cli.py", here.parent / "cli.py") if path.is_file())
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None and spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


def run() -> None:
    """Run the command."""
    command_line().run()


if __name__ == "__main__":
    run()
