"""Suites in the form of WebHarbor: a WSGI application with its SQLite file, and verifiers that are programs."""

import json
import sqlite3
import sys
from contextlib import closing

import pytest

from webgym.authoring import suites
from webgym.authoring.suites import webharbor
from webgym.commands.import_suite import imported
from webgym.errors import TaskFileError
from webgym.packs import registry
from webgym.types import Stop

APP = """
import sqlite3, sys
from pathlib import Path
from urllib.parse import parse_qs
from wsgiref.simple_server import make_server
DATABASE = Path(__file__).parent / "instance" / "notes.db"

def app(environ, start_response):
    with sqlite3.connect(DATABASE) as live:
        if environ["REQUEST_METHOD"] == "POST":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode()
            live.execute("insert into note (text) values (?)", (parse_qs(body)["text"][0],))
            start_response("303 See Other", [("location", "/")])
            return [b""]
        notes = "".join(f"<li>{text}</li>" for (text,) in live.execute("select text from note"))
    page = "<a href=/>All notes</a><form method=post><label>Note <input name=text></label> <button>Add</button></form>"
    more = {"/": f"<h1>Notes</h1><ul>{notes}</ul><a href=/help>Help</a>", "/help": "<h1>Help</h1><p>The colour is teal.</p>"}
    start_response("200 OK", [("content-type", "text/html")])
    return [(more.get(environ["PATH_INFO"], "?") + page).encode()]

if __name__ == "__main__":
    make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
"""
VERIFY = """
import argparse, json, sqlite3, sys
parser = argparse.ArgumentParser()
for name in ("run_dir", "initial_db", "after_db", "no_llm"):
    parser.add_argument("--" + name)
given = parser.parse_args()
run = json.load(open(given.run_dir + "/trajectory.json"))
before, after = ([row[0] for row in sqlite3.connect(path).execute("select text from note")] for path in (given.initial_db, given.after_db))
"""
ADDED = (
    VERIFY
    + """
ok = before == ["Old"] and after == ["Old", "New"]
print(json.dumps({"pass": ok, "reason": str(after)})); sys.exit(0 if ok else 1)
"""
)
ASKED = (
    VERIFY
    + """
ok = run["final_answer"] == "teal" and "http://localhost:40001/help" in [step["url"] for step in run["steps"]] and before == after
print(json.dumps({"pass": ok, "steps": run["steps"]})); sys.exit(0 if ok else 1)
"""
)
SITE = {"web_name": "Notes", "web": "http://localhost:40001/"}
ROWS = [
    {**SITE, "id": "Notes--0", "ques": "Add the note New.", "verifier_path": "sites/notes/verify/verify_0.py"},
    {**SITE, "id": "Notes--1", "ques": "Which colour does the help say?", "verifier_path": "sites/notes/verify/verify_1.py"},
    {**SITE, "id": "Notes--2", "ques": "Be nice.", "judge_rubric": "MUST be nice."},
]  # fmt: skip


@pytest.fixture
def suite(write):
    def made(**more):
        folder = write(
            "harbor",
            **{
                "sites__notes__app_dot_py": APP,
                "sites__notes__tasks_dot_jsonl": "\n".join(map(json.dumps, ROWS)),
                "sites__notes__verify__verify_0_dot_py": ADDED,
                "sites__notes__verify__verify_1_dot_py": ASKED,
                "tasks_dot_yaml": f"suite: webharbor\nserve: ['{sys.executable}', app.py, '{{port}}']\n",
            }
            | more,
        )
        for name in ("instance_seed", "instance"):
            (folder / "sites/notes" / name).mkdir()
        with closing(sqlite3.connect(folder / "sites/notes/instance_seed/notes.db")) as live, live:
            live.execute("create table note (text)")
            live.execute("insert into note values ('Old')")
        return folder

    return made


def test_a_suite_is_taken_as_it_is_and_played(suite, play):
    folder = suite()
    with pytest.raises(TaskFileError, match=r"runs programs \(notes/app\.py and its verifiers\)"):
        imported("webharbor", folder, trust=False)
    lines = imported("webharbor", folder, trust=True)
    assert "2 tasks: 2 of notes" in lines and "left out: 1 judged by a language model with a rubric" in lines
    add, ask = registry.load(folder)
    assert (add, ask) == ("notes.0", "notes.1") and registry.task(add).trust == "state"
    assert play(add, ("Note", "New"), "Add", Stop())[0].kind == "success"
    last, pages = play(add, Stop())
    assert last.kind == "failure" and "New" not in [node.text for node in pages[0].nodes]
    assert play(ask, "Help", Stop("teal"))[0].kind == "success"
    assert play(ask, Stop("teal"))[0].kind == "failure"  # right by chance: the page was never opened
    assert play(ask, "Help", ("Note", "x"), "Add", Stop("teal"))[0].kind == "failure"


def test_the_usual_command_is_flasks(suite):
    folder = suite(tasks_dot_yaml="suite: webharbor\n")
    (site,) = suites.read(folder / "tasks.yaml", trust=True).sites
    command = site._pool.command
    assert command.arguments(81, folder) == [*webharbor.SERVE[:-1], "81"]
    assert {path.name for path in command.withheld} == {"tasks.jsonl", "verify"}


def test_a_site_has_one_database(suite):
    folder = suite()
    (folder / "sites/notes/instance_seed/notes.db").unlink()
    with pytest.raises(TaskFileError, match="expected one database in instance/ or instance_seed/, got none"):
        imported("webharbor", folder, trust=True)


def test_a_verifier_outside_of_the_suite_is_not_run(suite, tmp_path):
    (tmp_path / "verify_9.py").write_text(ADDED)
    rows = [ROWS[0] | {"verifier_path": "../verify_9.py"}, ROWS[1]]
    folder = suite(sites__notes__tasks_dot_jsonl="\n".join(map(json.dumps, rows)))
    assert "left out: 1 without its verifier" in imported("webharbor", folder, trust=True)
