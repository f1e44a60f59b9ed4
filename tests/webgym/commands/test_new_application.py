"""A task file that is written by looking at an application, and what validation says of it in words."""

import sqlite3
import subprocess
import sys

import pytest

import cli
import webgym
from webgym.commands import new_application
from webgym.errors import TaskFileError, UsageError
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.trust.applications import applications, examine

BOOK = """
import html, http.server, random, sqlite3, sys, time, urllib.parse

class Book(http.server.BaseHTTPRequestHandler):
    def page(self, body, kind="text/html", status=200):
        self.send_response(status); self.send_header("content-type", kind); self.send_header("content-length", str(len(body.encode())))
        self.end_headers(); self.wfile.write(body.encode())
    def do_GET(self):
        if HOST and self.headers["host"].split(":")[0] != HOST:
            return self.page("Bad host", status=400)
        if self.path == "/about":
            return self.page("<title>About</title><h1>A book since 1998</h1>")
        if self.path == "/stream":
            self.send_response(200); self.send_header("content-type", "text/event-stream"); self.end_headers()
            self.wfile.flush()
            return time.sleep(30)
        rows = sqlite3.connect("guests.db").execute("select words from guest order by id").fetchall()
        listed = "".join(f"<li>{html.escape(words)}" for words, in rows)
        self.page(f"<!doctype html><title>Guests</title><link rel=icon href=data:,><h1>Guests</h1><ul>{listed}</ul>" + PAGE.format(random.random(), int(time.time())))
    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        with sqlite3.connect("guests.db") as live:
            live.execute("insert into guest (words) values (?)", form.get("words", [""]))
        self.send_response(303); self.send_header("location", "/"); self.end_headers()
    def log_message(self, *_): pass

with sqlite3.connect("guests.db") as live:
    live.execute("create table if not exists guest (id integer primary key, words text)")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Book).serve_forever()
"""  # noqa: E501
FORM = "<form method=post><label>Your words <input name=words></label><button>Sign the book</button></form><a href=/about>About</a>"
COMMAND = f"{sys.executable} guestbook.py {{port}}"


@pytest.fixture(autouse=True)
def _home(tmp_path_factory, monkeypatch):
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def book(tmp_path):
    """A function that writes the application with such a page into a folder."""

    def write(page=FORM, host=""):
        folder = tmp_path / "guests"
        folder.mkdir(exist_ok=True)
        (folder / "guestbook.py").write_text(f"PAGE, HOST = {page!r}, {host!r}\n{BOOK}")
        return folder

    yield write
    for task_id in [task_id for task_id in registry._registered if task_id.startswith("guests.")]:
        registry.forget(task_id)


def said(folder, task_id):
    webgym.load(folder / "tasks.yaml")
    ((url, task),) = applications([task_id]).items()
    return loop_thread().run(examine(url, task))


@pytest.mark.slow
def test_a_form_that_writes_becomes_a_task_that_can_be_trusted(book, capsys):
    folder = book()
    file, notes = new_application.create("guests", COMMAND, folder)
    assert notes == [] and file == folder / "tasks.yaml"
    text = file.read_text()
    assert 'reset: [{sqlite: "guests.db"}]' in text and "Your words" in text and "webgym-looks" not in registry._registered
    with pytest.raises(SystemExit) as ended:
        cli.app(["tasks", "validate", str(file), "--seeds", "3"])
    out = capsys.readouterr().out
    assert ended.value.code == 0, out
    for words in (
        "http://guests.localhost/: works",
        "starts and is reset",
        "two resets give the same first page",
        "no request stays open on the first page",
        "nothing on it changes within",
        "guests.fill-in: can be trusted",
    ):
        assert words in out


def test_validation_says_what_is_not_the_same_what_stays_open_and_what_was_refused(book):
    folder = book(FORM + "<p>lot {0}</p>")
    new_application.create("guests", COMMAND, folder)
    found = said(folder, "guests.fill-in")
    assert len(found.problems) == 1 and "two resets do not give the same first page: 'text lot 0." in found.problems[0]
    registry.forget("guests.fill-in")
    text = (folder / "tasks.yaml").read_text()
    (folder / "tasks.yaml").write_text(f"deterministic: false\n{text}")
    webgym.load(folder / "tasks.yaml", trust=True)
    found = said(folder, "guests.fill-in")
    assert not found.problems and any("as `deterministic: false` says: 'text lot 0." in note for note in found.notes)
    registry.forget("guests.fill-in")
    more = "<p>at {1}</p><script>fetch('/stream'); fetch('http://fonts.example/a.css').catch(() => 0)</script>"
    folder = book(FORM + more)
    (folder / "tasks.yaml").unlink()
    new_application.create("guests", COMMAND, folder)
    found = said(folder, "guests.fill-in")
    text = "\n".join(found.lines())
    assert not found.problems, text
    assert "stay open: GET http://guests.localhost/stream" in text
    assert "refused, because the task does not declare them: http://fonts.example" in text
    assert "changes with real time: 'text at " in text


@pytest.mark.parametrize(
    ("reset", "words"),
    [
        ("", "starts (|has no reset: what an episode writes is there for the next"),
        (
            "reset: [{sqlite: guests.db}, {copy: uploads}, {copy: guestbook.py}]",
            "starts and is reset (|there is no 'uploads' once the application has started: a reset removes it",
        ),
    ],
)
def test_validation_says_what_a_reset_does_not_do(book, reset, words):
    folder = book()
    new_application.create("guests", COMMAND, folder)
    text = (folder / "tasks.yaml").read_text()
    assert 'reset: [{sqlite: "guests.db"}]' in text
    (folder / "tasks.yaml").write_text(text.replace('reset: [{sqlite: "guests.db"}]', reset))
    webgym.load(folder / "tasks.yaml", trust=True)
    notes = said(folder, "guests.fill-in").notes
    started, told = words.split("|")
    assert notes[0].startswith(started) and notes[1] == told and "guestbook.py" not in " ".join(notes)


def test_validation_says_that_the_start_page_is_not_there(book):
    folder = book()
    new_application.create("guests", COMMAND, folder)
    source = (folder / "guestbook.py").read_text()
    (folder / "guestbook.py").write_text(
        source.replace(
            'if self.path == "/about":',
            'if self.path == "/":\n            return self.page("gone", status=410)\n        if self.path == "/about":',
        )
    )
    webgym.load(folder / "tasks.yaml", trust=True)
    found = said(folder, "guests.fill-in")
    assert found.problems == ("the start page / was answered with status 410: gone",)


def test_an_application_that_does_not_start_is_said_in_words(book):
    folder = book()
    new_application.create("guests", COMMAND, folder)
    (folder / "guestbook.py").write_text("raise SystemExit('no ink left')")
    webgym.load(folder / "tasks.yaml", trust=True)
    found = said(folder, "guests.fill-in")
    assert "no ink left" in found.problems[0] and "does not work yet" in found.lines()[0]


def test_a_link_becomes_a_question_and_the_name_that_an_application_needs_is_found(book):
    folder = book("<a href=/about>About the book</a>", host="127.0.0.1")
    file, notes = new_application.create("guests", COMMAND, folder)
    text = file.read_text()
    assert notes == [] and 'host_header: "127.0.0.1:{port}"' in text
    assert 'stop: "A book since 1998"' in text


MEMBERS = """
import http.server, sys

class Members(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/":
            self.send_response(302); self.send_header("location", "/in?next=/"); self.end_headers(); return
        page = "<!doctype html><title>Members</title><link rel=icon href=data:,><h1>Sign in</h1>" + PAGE
        self.send_response(200); self.send_header("content-type", "text/html"); self.end_headers(); self.wfile.write(page.encode())
    def log_message(self, *_): pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Members).serve_forever()
"""
FIELDS = "<label>User <input name=user></label><label>Password <input type=password name=pw></label><button>Log in</button>"
LOGINS = {
    f"<form method=post action=/login><input type=hidden name=next value=/><input type=hidden name=_csrf value=1>{FIELDS}</form>": (
        "{post: /login, form: {user: ..., pw: ...}, token: _csrf, page: /in}"
    ),
    f"<form method=post>{FIELDS}</form>": "{post: /in, form: {user: ..., pw: ...}}",
    f"<div id=f></div><script>f.innerHTML = `{FIELDS}`</script>": ('[{fill: ["User", ...]}, {fill: ["Password", ...]}, {click: "Log in"}]'),
}


@pytest.mark.parametrize("page", LOGINS)
def test_an_application_behind_a_sign_in_form_is_said_with_what_to_add(book, page):
    folder = book()
    (folder / "guestbook.py").write_text(f"PAGE = {page!r}\n{MEMBERS}")
    file, notes = new_application.create("guests", COMMAND, folder)
    assert notes == [f"the first page is a sign-in form: add signed_in: {LOGINS[page]}"]
    assert webgym.load(file) == ["guests.read"]


def test_no_reader_shows_secrets(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as live:
        for table in (
            "note (id integer primary key, words text, author text)",
            'member (id integer primary key, name text, password_hash text, "reset Token" text)',
            "sessions (id text, data text)",
            "api_token (id integer, name text)",
            "key (secret text)",
        ):
            live.execute(f"create table {table}")
    assert new_application._readers(tmp_path, ["a.db"]) == {
        "note": ("a.db", 'select * from "note" order by rowid desc limit 200'),
        "member": ("a.db", 'select "id", "name" from "member" order by rowid desc limit 200'),
    }


def test_an_application_that_runs_already_is_looked_at_by_its_address(book, tmp_path):
    from tests.webgym.sites.apps.asking import free_port

    folder, port = book(), free_port()
    process = subprocess.Popen([sys.executable, "guestbook.py", str(port)], cwd=folder)
    try:
        import socket
        import time

        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        file, notes = new_application.create("guests", f"http://127.0.0.1:{port}", tmp_path / "pack")
        assert f'at: "http://127.0.0.1:{port}"' in file.read_text() and "name: look-up" in file.read_text()
        assert "nothing resets an application that runs already" in notes[0]
        assert webgym.load(file) == ["guests.look-up"]  # who wrote it has no need to trust it
    finally:
        process.kill()
        process.wait()


def test_what_cannot_be_looked_at_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"expected \{port\} where the command says its port"):
        new_application.create("guests", "python app.py", tmp_path)
    with pytest.raises(TaskFileError, match="is no name for a pack"):
        new_application.create("My Guests", COMMAND, tmp_path)
    (tmp_path / "tasks.yaml").write_text("")
    with pytest.raises(TaskFileError, match="exists already"):
        new_application.create("guests", COMMAND, tmp_path)


def test_trust_is_said_on_the_command_line(book, capsys):
    folder = book()
    new_application.create("guests", COMMAND, folder)
    (folder / "guestbook.py").write_text((folder / "guestbook.py").read_text() + "\n")
    with pytest.raises(TaskFileError, match="is not trusted"):
        cli.app(["tasks", "list", "-t", str(folder)], standalone_mode=False)
    cli.app(["tasks", "list", "-t", str(folder), "--trust", str(folder)], standalone_mode=False)
    assert "guests.fill-in" in capsys.readouterr().out
