"""Writes the books into the current folder: the ledger, and folders for documents."""

import json
import shutil
import sys
from pathlib import Path

import content

shutil.copytree(Path(__file__).with_name("project"), "project", ignore=shutil.ignore_patterns("__pycache__"))
sys.path.insert(0, str(Path.cwd()))
HEAD = f"""option "title" "Bakery"
option "operating_currency" "EUR"
option "documents" "documents"
{content.YEAR}-01-01 custom "fava-option" "import-config" "project/importers.py"
{content.YEAR}-01-01 custom "fava-option" "import-dirs" "incoming"
{content.YEAR}-01-01 custom "fava-option" "use-external-editor" "false"
"""


def main() -> None:
    opened = "".join(f"{content.YEAR}-01-01 open {account}\n" for account in content.ACCOUNTS)
    entries = "\n".join(entry.text() for entry in content.TRANSACTIONS)
    Path("ledger.beancount").write_text(f"{HEAD}\n{opened}\n{entries}", "utf-8")
    for folder in ("documents", "incoming"):
        Path(folder).mkdir()
    Path("clock.txt").write_text(f"{content.CLOCK_S}\n", "ascii")

    from project.state import state

    found = state()
    if found["errors"]:
        raise SystemExit(f"the ledger has errors: {found['errors']}")
    Path("first.json").write_text(json.dumps(found) + "\n", "utf-8")


main()
