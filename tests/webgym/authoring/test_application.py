"""Task files on applications: their keys, what makes them code, and that code runs only where the user trusts it."""

import os
import sys
from pathlib import Path

import pytest

import webgym
from webgym.authoring import consent
from webgym.authoring.task_file import read
from webgym.errors import JudgeFault, TaskFileError, UsageError
from webgym.sites import Copy, Get, Post, Query, Sqlite
from webgym.task import Evidence

CHECKED = "{state: {path: topics, contains: {title: x}}}"
TASK = "  - {name: a, start: /, goal: Do it., check: {state: {path: topics, contains: {title: x}}}}"


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))


@pytest.fixture
def written(tmp_path):
    """A function that writes a task file into a folder of its own."""

    def write(site, tasks=TASK, name="tasks.yaml", **files):
        folder = tmp_path / "forum"
        folder.mkdir(exist_ok=True)
        for path, text in files.items():
            (folder / path.replace("__", ".")).write_text(text)
        (folder / name).write_text(f"site:\n{site}\ntasks:\n{tasks}\n")
        return folder / name

    return write


SERVE = """  url: http://forum.localhost/
  serve: serve-forum --port {port}
  state: {topics: {sqlite: db.sqlite3, query: select title from topic}}"""


def test_every_key_becomes_what_it_says(written):
    file = written(
        """  url: http://forum.localhost/
  also: [http://localhost:8001]
  serve: [serve-forum, --port, "{port}", --workers, 2]
  in: .
  env: {DB: "{folder}/db.sqlite3", WORKERS: 2, DEBUG: false}
  ready: /health
  reset:
    - {sqlite: db.sqlite3}
    - {copy: media, from: first-media}
    - {get: /warm}
    - {post: /api/reset, json: {seed: "{seed}"}}
    - restart
    - {python: "resets:fresh"}
  state:
    topics: {sqlite: db.sqlite3, query: select title from topic}
    app: {get: /api/state}
    ledger: {file: ledger.txt}
    told: {command: cat ledger.txt}
    made: {python: "resets:made"}
  clock: 2026-03-05T09:00
  private: /api/reset
  same_for_all: [/static/*]
  streams: [/poll]
  host_header: 127.0.0.1
  log: app.log""",
        resets__py="def fresh(instance): pass\ndef made(instance): return 1\n",
    )
    (file.parent / "first-media").mkdir()
    (task,), (site,) = read(file, trust=True)
    assert (site.host, site.also, site.private, site.same_for_all, site.streams) == (
        "forum.localhost", ("localhost:8001",), ("/api/reset",), ("/static/*",), ("/poll",),
    )  # fmt: skip
    assert task.hosts == ("forum.localhost", "localhost:8001") and task.clock_s == site.clock_s == 1_772_701_200.0
    assert site.readers == ("topics", "app", "ledger", "told", "made")
    command = site._pool.command
    assert command.arguments(81, Path("/f")) == ["serve-forum", "--port", "81", "--workers", "2"]
    assert command.variables(81, Path("/f"), Path("/c")) | {"DB": "/f/db.sqlite3", "WORKERS": "2", "DEBUG": "false"} == command.variables(
        81, Path("/f"), Path("/c")
    )
    assert (command.source, command.ready, command.log) == (file.parent, "/health", "app.log")
    kinds = [type(step) for step in site._steps]
    assert kinds[:4] == [Sqlite, Copy, Get, Post] and site._steps[4].__name__ == "fresh" and site._restarts
    assert site._readers["topics"] == Query("db.sqlite3", "select title from topic")
    assert task.start(0).url == "http://forum.localhost/"


def test_a_state_check_reads_what_its_reader_says(written):
    (task,), _ = read(written(SERVE), trust=True)
    assert task.check(Evidence(0, "", {"topics": [{"title": "y"}, {"title": "x"}]})).kind == "success"
    assert task.check(Evidence(0, "", {"topics": []})).kind == "pending" and task.trust == "state"


@pytest.mark.parametrize(
    ("site", "tasks", "words"),
    [
        ("  {serve: x, at: http://localhost:1, url: http://a.localhost/}", TASK, r"exactly one of serve, at; got serve and at"),
        ("  {url: http://a.localhost/}", TASK, r"site: expected exactly one of serve, at; got none"),
        ("  {serve: x}", TASK, r"site\.url: is missing"),
        ("  {url: http://a.localhost, serve: x, resets: restart}", TASK, r"there is no field 'resets'; did you mean 'reset'"),
        ("  {url: http://a.localhost, serve: x, reset: restrat}", TASK, r"tasks\.yaml:2: site\.reset\.0"),
        ("  {url: http://a.localhost, serve: x, reset: {sqlite: a, copy: b}}", TASK, r"expected exactly one of sqlite, copy, get"),
        ("  {url: http://a.localhost, serve: x, reset: {get: /a, json: {}}}", TASK, r"json and form belong to post"),
        ("  {url: http://a.localhost, serve: x, state: {a: {sqlite: b}}}", TASK, r"expected sqlite, the file, and query"),
        ("  {url: http://a.localhost, serve: x, in: ../elsewhere}", TASK, r"site\.in: expected a path inside of the folder"),
        ("  {url: http://a.localhost, serve: x, in: /etc}", TASK, r"site\.in: expected a path inside of the folder"),
        ("  {url: http://a.localhost, serve: x, reset: {sqlite: a, from: ../../x.db}}", TASK, r"expected a path inside"),
        ("  {url: http://a.localhost, serve: x, state: {topics: {python: '../x:y'}}}", TASK, r"expected a function as module:function"),
        ("  {url: http://a.localhost, serve: x, state: {topics: {python: 'none:y'}}}", TASK, r"got 'none.py': there is no such file"),
        ("  {url: http://a.localhost, serve: x, clock: tomorrow}", TASK, r"site\.clock: expected a date and time such as 2026-03-05T09:00"),
        ("  {url: a.localhost, serve: x}", TASK, r"site: expected the address that pages see"),
        ("  {url: http://a.localhost, at: http://example.com}", TASK, r"is not on this machine: say `remote: true`"),
        ("  {url: http://a.localhost, serve: x, shared: true}", TASK, r"shared and remote belong to at"),
        ("  {url: http://a.localhost, serve: x}", TASK, r"0\.check: there is no reader 'topics' of the site's state \(there: none\)"),
        ("  {url: http://a.localhost, serve: x, reset: restarts}", TASK, r"^\S+: site\.reset\.0: expected 'restart', got 'restarts'$"),
        ("  {url: http://a.localhost, serve: x, reset: {sqlit: a}}", TASK, r"^\S+: site\.reset\.0\.sqlit: .* mean 'sqlite'"),
        ("  {url: http://a.localhost, serve: [x, {y: z}]}", TASK, r"^\S+: site\.serve\.1: expected text, got \{'y': 'z'\}$"),
        ("  {url: http://a.localhost, serve: {x: y}}", TASK, r"^\S+: site\.serve: expected text, got"),
        ("  {url: http://a.localhost, serve: 'x \"y'}", TASK, r"the command `x \"y` cannot be split into words: No closing quotation"),
        ("  {url: http://a.localhost, serve: x, log: ../x.log}", TASK, r"log: expected a path inside of the application's folder"),
        ("  {url: http://a.localhost, serve: x, host_header: 'http://b.c/'}", TASK, r"host_header: expected a host and perhaps a port"),
        ("  {url: http://a.localhost, at: 'localhost:80'}", TASK, r"expected the address of an application that runs.*got 'localhost:80'"),
        ("  {url: http://a.localhost, serve: x, state: {topic: {get: /}}}", TASK, r"no reader 'topics' of .* did you mean 'topic'"),
        ("  {pages: .}", TASK, r"a state check needs an application"),
        ("  {pages: .}", TASK.replace(CHECKED, "{verify: v.py}"), r"a verify check needs an application"),
        (SERVE, TASK.replace(CHECKED, "{verify: v.py}"), r"expected a Python file in .*got 'v.py'"),
        (SERVE, TASK.replace(CHECKED, "{verify: ../v.py}"), r"verify: expected a path inside"),
        (SERVE, TASK.replace("goal: Do", "signed_in: {form: {a: b}}, goal: Do"), r"signed_in: expected post, steps, cookies"),
        (SERVE, TASK.replace("goal: Do", "signed_in: {post: /l, form: {a: '{b}'}}, goal: Do"), r"there is no parameter 'b'"),
        (SERVE, TASK.replace("goal: Do", "signed_in: {}, goal: Do"), r"expected post, steps, cookies, storage or headers; got none"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(written, site, tasks, words):
    with pytest.raises(TaskFileError, match=words):
        read(written(site, tasks), trust=True)


CODE = {
    "serve": SERVE,
    "at": "  {url: http://f.localhost/, at: http://localhost:1, state: {topics: {get: /}}}",
    "reset post": "  {url: http://f.localhost/, at: http://localhost:1, reset: {post: /make, json: {}}, state: {topics: {get: /}}}",
    "reset command": "  {url: http://f.localhost/, at: http://localhost:1, reset: {command: rm x}, state: {topics: {get: /}}}",
    "reset python": "  {url: http://f.localhost/, at: http://localhost:1, reset: {python: 'p:f'}, state: {topics: {get: /}}}",
    "state command": "  {url: http://f.localhost/, at: http://localhost:1, state: {topics: {command: id}}}",
    "state python": "  {url: http://f.localhost/, at: http://localhost:1, state: {topics: {python: 'p:f'}}}",
    "remote": "  {url: http://f.localhost/, at: http://example.com, remote: true, state: {topics: {get: /}}}",
    "secret": "  {url: http://f.localhost/, at: http://localhost:1, state: {topics: {get: /, headers: {a: '${HOME}'}}}}",
}


@pytest.mark.parametrize("kind", CODE)
def test_a_file_that_runs_programs_is_refused_until_its_folder_is_trusted(written, kind):
    file = written(CODE[kind], p__py="raise SystemExit('this must not run')")
    with pytest.raises(
        TaskFileError, match=r"this file runs programs \(.*\) and its folder is not trusted: read them, then say --trust .*forum"
    ) as error:
        read(file)
    assert "\n" not in str(error.value)


def test_a_verifier_and_a_secret_of_signing_in_make_a_file_code(written):
    at = "  {url: http://f.localhost/, at: http://localhost:1, state: {topics: {get: /}}}"
    verify = TASK.replace(CHECKED, "{all: [{not: {verify: v.py}}]}")
    with pytest.raises(TaskFileError, match=r"runs programs \(.*, tasks\.0\.verify\)"):
        read(written(at, verify, v__py="def verify(instance, answer): return True"))
    secret = TASK.replace("goal: Do", "signed_in: {cookies: {a: '${FORUM_SECRET}'}}, goal: Do")
    with pytest.raises(TaskFileError, match=r"runs programs \(.*, a secret from the environment\)"):
        read(written(at, secret))


def test_an_application_that_runs_already_is_agreed_to_by_its_address(written):
    at = "  {{url: http://f.localhost/, at: 'http://localhost:{}', reset: {{post: /reset}}, state: {{topics: {{get: /}}}}}}"
    with pytest.raises(TaskFileError, match=r"runs programs \(tasks that act on http://localhost:8000\)"):
        read(written(at.format(8000)))
    read(written(at.format(8000)), trust=True)
    read(written(at.format(8000)))
    with pytest.raises(TaskFileError, match=r"tasks that act on http://localhost:2375\) and its folder is not trusted"):
        read(written(at.format(2375)))


def test_trust_is_kept_until_a_program_changes(written, tmp_path):
    file = written(SERVE, app__py="print(1)")
    read(file, trust=True)
    read(file)
    (file.parent / "notes.txt").write_text("data is no program")
    (file.parent / "env-3.12").mkdir()
    (file.parent / "env-3.12/pyvenv.cfg").write_text("home = /usr/bin")
    (file.parent / "env-3.12/installed.py").write_text("a virtual environment is what the programs are built on")
    read(file)
    (file.parent / "app.py").write_text("print(2)")
    with pytest.raises(TaskFileError, match="is not trusted"):
        read(file)
    consent.remember(file.parent)
    read(file)
    tool = file.parent / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    with pytest.raises(TaskFileError, match="is not trusted"):
        read(file)
    assert Path(tmp_path / "home/webgym/trusted.json").stat().st_size > 0


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "run").write_text("rm -rf everything"),  # sh run
        lambda folder: (folder / ".env").write_text("PATH=elsewhere"),
        lambda folder: (folder / "Makefile").write_text("serve: ; other"),
        lambda folder: (folder / "app.wsgi").write_text("import other"),
        lambda folder: (folder / "pages/helper.py").write_text("changed"),  # what the application imports
        lambda folder: (folder / "pages/query.sql").write_text("drop table"),
        lambda folder: [(folder / "link").unlink(), (folder / "link").symlink_to("/usr/bin/false")],
        lambda folder: (folder / "run").rename(folder / "run-too"),
    ],
)
def test_whatever_decides_what_runs_counts_for_trust(written, change):
    file = written(SERVE, run="echo", app__wsgi="import app", Makefile="serve: ; app")
    (file.parent / "pages").mkdir()
    (file.parent / "pages/helper.py").write_text("x = 1")
    (file.parent / "link").symlink_to("/usr/bin/true")
    read(file, trust=True)
    for name, text in (("data.txt", b"words"), ("store", b"SQLite format 3\0 and rows"), ("photo.png", b"\x89PNG"), ("app.log", b"GET /")):
        (file.parent / name).write_bytes(text)
    read(file)  # what an application writes is no program
    change(file.parent)
    with pytest.raises(TaskFileError, match="is not trusted"):
        read(file)


def test_load_takes_the_trust_along(written):
    file = written(SERVE)
    with pytest.raises(TaskFileError, match=r"in Python webgym\.load\(.*, trust=True\)"):
        webgym.load(file.parent)
    assert webgym.load(file.parent, trust=True) == ["forum.a"]
    assert webgym.task("forum.a").hosts == ("forum.localhost",)
    webgym.packs.registry.forget("forum.a")


@pytest.mark.parametrize("site", [*CODE.values(), "  {url: http://f.localhost/, at: http://localhost:1}"])
def test_a_jsonl_file_never_has_an_application(tmp_path, site):
    import json

    import yaml

    file = tmp_path / "tasks.jsonl"
    header = {"pack": "forum", "site": yaml.safe_load(site.strip() if site.strip().startswith("{") else site)}
    task = {"name": "a", "start": "/", "goal": "x", "check": {"answer": {"exact": "y"}}}
    file.write_text(f"{json.dumps(header)}\n{json.dumps(task)}\n")
    with pytest.raises(TaskFileError, match=r"a \.jsonl file cannot have an application"):
        read(file, trust=True)


def test_a_jsonl_file_never_verifies_or_names_secrets(tmp_path):
    file = tmp_path / "tasks.jsonl"
    for more in ('"check": {"verify": "v.py"}', '"check": {"answer": {"exact": "a"}}, "signed_in": {"cookies": {"a": "${HOME}"}}'):
        file.write_text('{"pack": "forum"}\n{"name": "a", "start": "/", "goal": "x", ' + more + "}\n")
        with pytest.raises(TaskFileError, match=r"a \.jsonl file cannot run programs"):
            read(file, trust=True)


def test_a_verdict_is_true_or_false_and_anything_else_is_the_judges_fault(written):
    import asyncio

    class Instance:
        plain = "plain"

    verify = TASK.replace(CHECKED, "{verify: v.py}")
    programs = {
        "def verify(instance, answer): return (instance, answer) == ('plain', 'tea')": "success",
        "async def verify(instance, answer): return instance.plain == 'plain'": "success",
        "def verify(instance, answer): return False": "failure",
        "def verify(instance, answer): return None": r"v\.py: expected .* to return True or False; got None, no verdict",
        "def verify(instance, answer): return 1": r"got int 1",
        "def verify(instance, answer): return 'yes'": r"got str 'yes'",
        "def verify(instance, answer): return instance.rows[0]": r"v\.py failed: AttributeError\(",
        "async def verify(instance, answer): raise KeyError('rows')": r"v\.py failed: KeyError\('rows'\)",
        "import sys\ndef verify(instance, answer): sys.exit(0)": "it ended with SystemExit",
    }
    for number, (program, expected) in enumerate(programs.items()):
        file = written(SERVE, verify, v__py=f"# {'x' * number}\n{program}\n")
        (task,), _ = read(file, trust=True)
        assert task.ends == "stop"
        found = task.check(Evidence(0, "", {}, ended="stop", answer="tea", instance=Instance()))
        if expected in ("success", "failure"):
            assert asyncio.run(found).kind == expected
        else:
            with pytest.raises(Exception, match=expected) as error:
                asyncio.run(found)
            assert isinstance(error.value, JudgeFault) or "SystemExit" in expected


def test_a_program_that_hangs_is_given_up(written, monkeypatch):
    import asyncio

    monkeypatch.setattr("webgym.authoring.task_file.VERIFY_S", 0.1)
    slow = written(SERVE, TASK.replace(CHECKED, "{verify: v.py}"), v__py="import time\ndef verify(instance, answer): time.sleep(1)\n")
    (task,), _ = read(slow, trust=True)

    class Instance:
        plain = "plain"

    from webgym.env.core import _judged

    with pytest.raises(JudgeFault, match=r"the check of task forum\.a gave no verdict in time"):
        asyncio.run(_judged(task, Evidence(0, "", {}, ended="stop", instance=Instance())))


def test_programs_of_two_packs_have_neighbours_of_the_same_name(written, tmp_path):
    from webgym.authoring.programs import function

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "helpers.py").write_text(f"WORD = {name!r}\n")
        (tmp_path / name / "resets.py").write_text("from helpers import WORD\ndef word(instance): return WORD\n")
    assert [function(tmp_path / name, "resets:word")(None) for name in ("one", "two")] == ["one", "two"]
    assert "helpers" not in sys.modules


def test_signing_in_may_name_parameters_and_secrets(written, monkeypatch):
    form = "post: '/l/{who}', form: {name: '{who}', password: 'x-${FORUM_PW}'}, token: csrf"
    signed = f"signed_in: {{{form}, storage: {{theme: dark}}, headers: {{X-A: '${{FORUM_PW}}'}}}}"
    task = TASK.replace("goal: Do it.", f"parameters: {{who: [ann]}}, {signed}, goal: Do it.")
    (task,), _ = read(written(SERVE, task), trust=True)
    monkeypatch.delenv("FORUM_PW", raising=False)
    with pytest.raises(UsageError, match="the environment variable FORUM_PW is not set"):
        task.start(0)
    monkeypatch.setenv("FORUM_PW", "hush-hush")
    begun = task.start(0)
    assert begun.signed_in.path == "/l/ann" and begun.signed_in.form == {"name": "ann", "password": "x-hush-hush"}
    assert begun.storage == {"theme": "dark"} and begun.headers == {"X-A": "hush-hush"}
    assert "hush-hush" not in repr(begun)


def test_signing_in_may_be_said_once_for_all_tasks(written):
    other = TASK.replace("name: a", "name: b").replace("goal: Do", "signed_in: {cookies: {s: two}}, goal: Do")
    file = written(SERVE, TASK + "\n" + other)
    file.write_text(file.read_text() + "\nsigned_in: {cookies: {s: '{who}'}}\n")
    with pytest.raises(TaskFileError, match=r"tasks\.0\.signed_in\.cookies\.s: there is no parameter 'who'"):
        read(file, trust=True)
    file.write_text(file.read_text().replace("'{who}'", "one"))
    tasks, _ = read(file, trust=True)
    assert [task.start(0).cookies for task in tasks] == [{"s": "one"}, {"s": "two"}]


def test_clock_and_settling_of_tasks_on_pages(tmp_path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "t.yaml").write_text(
        "site: {pages: pages}\ntasks:\n"
        "  - {name: a, start: /, goal: x, clock: 2026-02-01T10:00+01:00, settle_ms: 900, check: {answer: {exact: y}}}\n"
    )
    (task,), _ = read(tmp_path / "t.yaml")
    assert (task.clock_s, task.settle_ms) == (1_769_936_400.0, 900.0)


def test_python_files_and_modules_are_named_on_the_command_line(tmp_path, monkeypatch):
    from webgym.packs.sets import choose

    code = (
        "import webgym\nfrom webgym.sites import Server\nfrom webgym.task import PENDING, Start\n"
        "SITE = Server('http://{0}.localhost/', command='serve {{port}}')\n"
        "@webgym.register('{0}.reply', sites=[SITE], clock='2026-03-05T09:00')\n"
        "class Reply:\n    def start(self, seed): return Start('/topic/2/', 'Reply.')\n    def check(self, evidence): return PENDING\n"
    )
    (tmp_path / "by_file.py").write_text(code.format("byfile"))
    (tmp_path / "by_module.py").write_text(code.format("bymodule"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert choose(["./by_file.py"]) == ["byfile.reply"] and choose([str(tmp_path / "by_file.py")]) == ["byfile.reply"]
    assert choose(["by_module:bymodule.reply"]) == ["bymodule.reply"] and choose(["by_module:*"]) == ["bymodule.reply"]
    for name in ("byfile.reply", "by_module:bymodule.reply", f"{tmp_path}/by_file.py#byfile.reply"):
        task = webgym.task(name)
        assert task.start(0).url.endswith(".localhost/topic/2/") and task.clock_s == 1_772_701_200.0
    assert webgym.packs.registry.file_of("byfile.reply") == str((tmp_path / "by_file.py").resolve())
    assert webgym.packs.registry.file_of("bymodule.reply") == "by_module:"
    with pytest.raises(TaskFileError, match="registers no tasks"):
        (tmp_path / "empty.py").write_text("")
        choose(["./empty.py"])
    for known in ("byfile.reply", "bymodule.reply"):
        webgym.packs.registry.forget(known)
    assert os.getcwd() == str(tmp_path)
