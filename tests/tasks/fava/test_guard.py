"""The guard of the ledger: what whoever plays writes into it runs nothing, opens no other file and ends no process."""

import importlib.util
import json
import shutil
import subprocess
from collections import namedtuple
from decimal import Decimal

import pytest

from webgym.packs import applications

RECIPE = applications.recipe("fava")
spec = importlib.util.spec_from_file_location("fava_guard", RECIPE.folder / "project/guard.py")
assert spec is not None and spec.loader is not None
guard = importlib.util.module_from_spec(spec)
spec.loader.exec_module(guard)

FILE = "/books/ledger.beancount"
DEFAULTS = {
    "filename": None, "include": [], "plugin": [], "title": "Beancount", "documents": [], "insert_pythonpath": False,
    "plugin_processing_mode": "default", "dcontext": None,
}  # fmt: skip
FIRST = DEFAULTS | {"filename": FILE, "title": "Bakery", "documents": ["documents"], "dcontext": 3}
META = {"filename": FILE, "lineno": 7}
Note = namedtuple("Note", "meta comment", defaults=("hello",))
Document = namedtuple("Document", "meta filename")
Custom = namedtuple("Custom", "meta type values")
Amount = namedtuple("Amount", "number currency")
Balance = namedtuple("Balance", "meta amount")
Value = namedtuple("Value", "value dtype")


def custom(kind, *values):
    return Custom(META, kind, [Value(each, str) for each in values])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("plugin", [("beancount.plugins.commodity_attr", "{}")]),
        ("include", ["/etc/passwd"]),
        ("insert_pythonpath", True),
        ("plugin_processing_mode", "raw"),
        ("documents", ["documents", "/etc"]),
    ],
)
def test_options_that_run_or_open_something_are_as_they_were(name, value):
    _, options, refused = guard.left([], FIRST | {name: value}, DEFAULTS)
    assert options == FIRST and len(refused) == 1 and name in refused[0]


@pytest.mark.parametrize(
    "entry",
    [
        custom("fava-extension", "os"),
        custom("fava-option", "import-config", "/tmp/mine.py"),
        custom("fava-option", "import-dirs", "/"),
        custom("fava-option", "default-file", "project/state.py"),
        custom("fava-option"),
        Document(META, "/etc/passwd"),
        Document(META, "/books/documents/../project/state.py"),
        Document(META, "/books/documents-of-others/a.txt"),
        Note({"filename": "/etc/passwd", "lineno": 7}),
        Note({"filename": FILE, "lineno": Decimal(1)}),
        Balance(META, Amount(Decimal("Infinity"), "EUR")),
        Balance(META, Amount(Decimal("NaN"), "EUR")),
        Balance(META, Amount(Decimal("9" * 200), "EUR")),
        Note(META | {"size": Decimal("-Infinity")}),
    ],
)
def test_entries_that_run_or_open_something_are_left_out(entry):
    kept, _, refused = guard.left([Note(META), entry], FIRST, DEFAULTS)
    assert kept == [Note(META)] and len(refused) == 1


def test_all_that_a_bookkeeper_writes_stays():
    entries = [
        Note(META), Note(META | {"size": Decimal("0.00")}), Balance(META, Amount(Decimal("-12.50"), "EUR")), custom("budget", "monthly"),
        Document(META, "/books/documents/Assets/Bank/a.txt"), *(custom("fava-option", *option) for option in guard.OPTIONS),
    ]  # fmt: skip
    assert guard.left(entries, FIRST, DEFAULTS) == (entries, FIRST, [])


@pytest.mark.parametrize("line", ["SELECT account", " select 1", "BALANCES", "journal 'Assets:Bank'", "print", "run mine", ".run mine"])
def test_queries_are_answered(line):
    assert guard.may_ask(line)


@pytest.mark.parametrize(
    "line", ["", ".output x", "output x", ".set format csv", "; a\n.output x", "CREATE TABLE x USING 'csv:/x'", "selects", ".history", "?"]
)
def test_other_commands_of_the_shell_are_not(line):
    assert not guard.may_ask(line)


ATTACK = """
plugin "beancount.plugins.commodity_attr" "{}.__class__(a=[__import__('os').system('echo > RAN')]) and {}"
include "/etc/passwd"
2026-01-01 document Assets:Bank "/etc/passwd"
2026-01-01 query "mine" "CREATE TABLE x (a str) USING 'csv:///etc/passwd'"
2026-01-01 note Assets:Bank "x"
  filename: "/etc/passwd"
  lineno: 1
2026-01-01 balance Assets:Bank 1/0 EUR
"""
ASK = """
import json, logging, sys
logging.disable(logging.CRITICAL)
from project.wsgi import fava
client = fava.test_client()
asked = ["document/?filename=/etc/passwd", "api/source?filename=/etc/passwd", "api/query?query_string=.output%20RAN",
         "api/query?query_string=run%20mine", "income_statement/", "api/query?query_string=select%20account"]
print(json.dumps([client.get(f"/bakery/{path}").status_code for path in asked]))
"""


@pytest.fixture
def books(tmp_path):
    """A function that runs the application's Python in a folder of books."""
    if reason := applications.missing("fava.spent-in-month"):
        pytest.skip(reason)
    shutil.copytree(RECIPE.snapshot, tmp_path / "books")

    def run(*arguments):
        done = subprocess.run([RECIPE.python, *arguments], cwd=tmp_path / "books", capture_output=True, text=True, check=True, timeout=60)
        return json.loads(done.stdout)

    return run


def test_the_first_books_are_refused_nothing(books, tmp_path):
    assert books("-m", "project.state") == json.loads((tmp_path / "books/first.json").read_text())


def test_a_hostile_ledger_is_read_and_served_without_what_it_asks_for(books, tmp_path):
    with (tmp_path / "books/ledger.beancount").open("a") as ledger:
        ledger.write(ATTACK)
    first, state = json.loads((tmp_path / "books/first.json").read_text()), books("-m", "project.state")
    keys = {row["key"] for row in first["entries"]}
    assert [row["type"] for row in state["entries"] if row["key"] not in keys] == ["Query"]
    assert keys <= {row["key"] for row in state["entries"]} and len(state["errors"]) == 5
    assert books("-c", ASK) == [404, 500, 500, 500, 200, 200]
    assert not list((tmp_path / "books").rglob("RAN"))


@pytest.mark.parametrize("text", ["", "\0", "2026-01-01 balance Assets:Bank " + "(" * 100_000 + "1 EUR\n", "2026-01-01 note A:B 0/0\n"])
def test_a_text_that_is_no_ledger_is_a_state_too(books, tmp_path, text):
    (tmp_path / "books/ledger.beancount").write_text(text)
    assert len(books("-m", "project.state")["entries"]) < 5
