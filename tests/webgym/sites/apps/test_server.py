"""An application in a process of its own as a site: its processes, resets, readers and ends."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from tests.webgym.sites.apps.asking import COMMAND, SHELF, ask, free_port, playing, shelf
from webgym.errors import ConfigError, SiteFault
from webgym.sites import Command, Copy, File, Get, Post, Query, Server, Sqlite, restart
from webgym.sites.apps import clock

FORM = {"content-type": "application/x-www-form-urlencoded"}
TITLES = Query("books.db", "select title from book order by id")
TINY = """
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/nowhere":
            return self.send_error(404)
        body = f"{os.getpid()} {open('words.txt').read()} {os.environ.get('WORD')} {os.getcwd()}".encode()
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


async def add(site, lease, title):
    return await ask(site, lease, "/books", "POST", f"title={title}".encode(), {**FORM, "x-reader": "ann"})


def living(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z" if Path(f"/proc/{pid}").exists() else True


@pytest.fixture
def tiny(tmp_path):
    """A function that makes a site of a server with one thread, whose folder is copied."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "serve.py").write_text(TINY)
    (folder / "words.txt").write_text("first words")

    def make(**options):
        return Server("http://tiny.localhost/", **{"command": f"{sys.executable} serve.py {{port}}", "folder": folder, **options})

    return make


def test_sessions_have_a_process_each_and_one_state_each():
    async def test(site, *leases):
        assert len({lease.plain.address.port for lease in leases}) == 4
        for number, lease in enumerate(leases):
            assert (await add(site, lease, f"b{number}")).status == 303
        found = await asyncio.gather(*(site.snapshot(lease) for lease in leases))
        assert found == [{"titles": [{"title": "Emma"}, {"title": f"b{number}"}]} for number in range(4)]
        ports = {lease.plain.address.port for lease in leases}
        for lease in leases:
            await site.release(lease)
        again = await site.lease(9, None)
        assert again.plain.address.port in ports, "a process is used again"
        assert await site.snapshot(again) == {"titles": [{"title": "Emma"}]}, "and has forgotten"

    playing(test, shelf(readers={"titles": TITLES}), leases=4)


def test_a_reset_goes_back_to_what_a_process_began_with_while_it_runs():
    async def test(site, lease):
        for _ in range(3):
            await add(site, lease, "x")
            (lease.plain.folder / "covers" / "emma.txt").write_text("changed")
            (lease.plain.folder / "covers" / "new.txt").write_text("new")
            await site.release(lease)
            lease = await site.lease(0, None)
            assert await site.snapshot(lease) == {"titles": [{"title": "Emma"}], "cover": "a lady", "page": {"books": ["Emma"]}}
            assert [path.name for path in (lease.plain.folder / "covers").iterdir()] == ["emma.txt"]

    readers = {"titles": TITLES, "cover": File("covers/emma.txt"), "page": Get("/api/state")}
    playing(test, shelf(reset=[Sqlite("books.db"), Copy("covers")], readers=readers))


def test_a_reset_may_go_to_another_file(tmp_path):
    good = tmp_path / "good.db"
    with sqlite3.connect(good) as db:
        db.executescript("create table book (id integer primary key, title text, reader text); insert into book (title) values ('Other')")
    db.close()

    async def test(site, lease):
        assert await site.snapshot(lease) == {"titles": [{"title": "Other"}]}

    playing(test, shelf(reset=Sqlite("books.db", good), readers={"titles": TITLES}))


def test_resets_by_request_command_and_function(tmp_path):
    seen = []

    def plain(instance):
        seen.append(("plain", instance.seed, instance.get("/api/state")))

    async def waiting(instance):
        seen.append(("waiting", instance.site_state, await instance.sqlite("books.db", "select count(*) as n from book where id = ?", 1)))

    steps = [
        Post("/echo/", json={"seed": "{seed}", "words": "seed {seed}"}),
        Get("/api/reset"),
        Post("/api/reset", form={"a": "b"}),
        Command([sys.executable, "-c", "import sys; open(sys.argv[1] + '/by-command', 'w').write(sys.argv[2])", "{folder}", "{seed}"]),
        plain,
        waiting,
    ]

    async def test(site, lease):
        await site.release(lease)
        lease = await site.lease(7, {"any": "thing"})
        assert (lease.plain.folder / "by-command").read_text() == "7"
        assert seen[-2:] == [("plain", 7, {"books": ["Emma"]}), ("waiting", {"any": "thing"}, [{"n": 1}])]

    playing(test, shelf(reset=steps))


def test_a_restart_is_a_fresh_process_on_a_fresh_copy(tiny):
    async def test(site, lease):
        first = (await ask(site, lease, "/")).body.decode()
        assert "first words" in first and first.endswith(str(lease.plain.folder))
        (lease.plain.folder / "words.txt").write_text("changed")
        assert "changed" in (await ask(site, lease, "/")).body.decode()
        await site.release(lease)
        lease = await site.lease(1, None)
        second = (await ask(site, lease, "/")).body.decode()
        assert "first words" in second and second.split()[0] != first.split()[0]

    playing(test, tiny(reset=restart))


def test_the_environment_of_a_process_may_name_secrets(tiny, monkeypatch):
    monkeypatch.setenv("SHELF_WORD", "hush-hush")

    async def test(site, lease):
        assert b"hush-hush-here" in (await ask(site, lease, "/")).body
        (lease.plain.folder.parent / "log.txt").write_text("it says hush-hush\n")
        os.kill(int((await ask(site, lease, "/")).body.split()[0]), signal.SIGKILL)
        with pytest.raises(SiteFault) as error:
            await ask(site, lease, "/")
        assert "it says ${SHELF_WORD}" in str(error.value) and "hush-hush" not in str(error.value)

    playing(test, tiny(environment={"WORD": "${SHELF_WORD}-here"}))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_supervisor_that_is_struck_leaves_no_folder_and_no_process(tiny, tmp_path, number):
    (tmp_path / "tiny/serve.py").write_text(f"import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\n{TINY}")

    async def test(site, lease):
        process = lease.running.process

        def alive():
            return {*_named(str(process.home)), *_named(str(process.folder))}

        assert len(alive()) == 3, "supervisor, application and what it started"
        os.kill(process._popen.pid, number)
        process.stop()
        until = time.monotonic() + 20
        while process.home.exists() and time.monotonic() < until:
            await asyncio.sleep(0.01)
        assert not process.home.exists()
        while alive() and time.monotonic() < until:
            await asyncio.sleep(0.01)
        assert alive() == set()

    playing(test, tiny())


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("no-such-program {port}", r"could not be started: No such file or directory; it was run as `no-such-program \{port\}`"),
        (
            f"{sys.executable} -c 'print(\"out of tea\", flush=True); raise SystemExit(3)' {{port}}",
            r"(?s)ended with status 3.*it printed last:\nout of tea",
        ),
        (
            f"{sys.executable} -c 'import os; os.kill(os.getpid(), 11)'",
            r"ended with signal 11.*it printed nothing; the command does not name \{port\}",
        ),
    ],
)
def test_a_start_that_fails_says_what_was_run_and_what_it_printed(command, words):
    site = Server("http://tiny.localhost/", command=command)
    try:
        with pytest.raises(SiteFault, match=words):
            asyncio.run(site.lease(0, None))
    finally:
        site.stop()


def test_a_server_that_does_not_answer_in_time_is_a_fault(monkeypatch):
    monkeypatch.setattr("webgym.sites.apps.pool.START_S", 0.5)
    site = Server("http://tiny.localhost/", command=[sys.executable, "-c", "import time; time.sleep(60)", "{port}"])
    try:
        with pytest.raises(SiteFault, match=r"it did not answer at / within 0\.5 s"):
            asyncio.run(site.lease(0, None))
    finally:
        site.stop()


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Sqlite("none.db"), r"its reset failed: there is no SQLite file 'none.db' to go back to"),
        (Sqlite("../outside.db"), r"expected a path inside of the folder"),
        (Post("/nowhere"), r"its reset failed: POST /nowhere was answered with status 404"),
        (Command(["false"]), r"its reset failed: the command 'false' ended with status 1"),
        (lambda instance: 1 / 0, r"its reset by <lambda> failed: ZeroDivisionError"),
        (lambda instance: sys.exit("enough"), r"its reset failed: it ended with SystemExit"),
    ],
)
def test_a_reset_that_fails_is_a_fault_in_words(tiny, step, words):
    site = tiny(reset=[step])
    try:
        with pytest.raises(SiteFault, match=words):
            asyncio.run(site.lease(0, None))
    finally:
        site.stop()


def test_a_reset_has_a_deadline_and_stops_nobody_else(tiny, monkeypatch):
    monkeypatch.setattr("webgym.sites.apps.server.RESET_S", 0.3)
    site, ticks = tiny(reset=[lambda instance: time.sleep(1.0)]), []

    async def tick():
        while True:
            ticks.append(1)
            await asyncio.sleep(0.01)

    async def main():
        ticking = asyncio.create_task(tick())
        with pytest.raises(SiteFault, match=r"took longer than 0\.3 s"):
            await site.lease(0, None)
        ticking.cancel()

    try:
        asyncio.run(main())
        assert len(ticks) > 10
    finally:
        site.stop()


def test_readers_that_fail_are_faults_in_words(tiny):
    async def test(site, lease):
        for name, reader in {
            "a": Query("none.db", "select 1"),
            "b": File("none.txt"),
            "c": Get("/nowhere"),
            "d": lambda instance: instance.read("../words.txt"),
        }.items():
            site._readers = {name: reader}
            with pytest.raises(SiteFault, match=rf"its state '{name}' could not be read"):
                await site.snapshot(lease)
        site._readers = {"rest": lambda instance: instance.command(["cat", "words.txt"]), "word": Command("cat words.txt")}
        assert await site.snapshot(lease) == {"rest": "first words", "word": "first words"}

    playing(test, tiny())


def test_readers_by_decorator():
    site = shelf()

    @site.state
    async def titles(instance):
        return [row["title"] for row in await instance.sqlite("books.db", "select title from book")]

    @site.state
    def count(instance):
        return instance.sqlite("books.db", "select count(*) as n from book")[0]["n"]

    with pytest.raises(ConfigError, match="has a reader 'count' already"):
        site.state(count)

    async def test(site, lease):
        assert site.external and site.readers == ("titles", "count")
        assert await site.snapshot(lease) == {"titles": ["Emma"], "count": 1}

    playing(test, site)


def test_a_query_cannot_write():
    async def test(site, lease):
        with pytest.raises(SiteFault, match="expected a query that only reads this file"):
            await site.snapshot(lease)
        assert await lease.instance.sqlite("books.db", "select title from book") == [{"title": "Emma"}]

    playing(test, shelf(readers={"x": Query("books.db", "delete from book returning id")}))


def test_a_lease_that_nobody_waits_for_any_more_is_ready_for_the_next():
    site = shelf()

    async def main():
        asked = asyncio.create_task(site.lease(0, None))
        await asyncio.sleep(0.05)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        lease = await site.lease(1, None)
        assert (await ask(site, lease, "/login")).status == 200
        assert len(site._pool._all) == 1

    try:
        asyncio.run(main())
    finally:
        site.stop()


def test_processes_are_kept_from_one_loop_to_the_next():
    site = shelf()

    async def port():
        lease = await site.lease(0, None)
        await site.release(lease)
        return lease.plain.address.port

    try:
        assert asyncio.run(port()) == asyncio.run(port())
    finally:
        site.stop()


def test_nothing_of_an_application_outlives_its_site():
    async def test(site, lease):
        await ask(site, lease, "/odd/child")
        found = await lease.instance.command(["sh", "-c", "ps -eo pid,args | grep 'sleep 100[01]' | grep -v grep | awk '{print $1}'"])
        children = [int(pid) for pid in found.split()]
        assert len(children) >= 2
        await site.close()
        until = time.monotonic() + 10
        while any(map(living, children)) and time.monotonic() < until:
            await asyncio.sleep(0.02)
        assert not any(map(living, children))
        assert not lease.plain.folder.exists()

    playing(test, shelf())


PARENT = """
import asyncio, json, sys
sys.path[:0] = {paths!r}
from tests.webgym.sites.apps.asking import ask, shelf
site = shelf()
async def main():
    lease = await site.lease(0, None)
    await ask(site, lease, "/odd/child")
    pids = await lease.instance.command(["sh", "-c", "ps -eo pid,args | grep -e shelf.py -e 'sleep 100' | grep -v grep"])
    print(json.dumps([str(lease.plain.folder), lease.plain.address.port]), flush=True)
    {ending}
asyncio.run(main())
"""


@pytest.mark.parametrize(
    "ending",
    ["await asyncio.sleep(100)", "raise RuntimeError('an error')", "return", "import os; os._exit(1)"],
    ids=["killed", "error", "end", "exit"],
)
def test_nothing_is_left_however_the_parent_goes(ending, tmp_path):
    code = PARENT.format(paths=[str(Path(__file__).parents[4])], ending=ending)

    async def main():
        parent = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            code,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        folder, port = json.loads(await parent.stdout.readline())
        if "sleep(100)" in ending:
            parent.kill()
        await parent.wait()
        until = time.monotonic() + 15
        while time.monotonic() < until and (Path(folder).exists() or listens(port) or _named(folder)):
            await asyncio.sleep(0.05)
        assert not Path(folder).exists() and not listens(port) and _named(folder) == []

    asyncio.run(main())


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _named(folder):
    """The processes whose command line or folder names this one."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if folder in (entry / "cmdline").read_text() or str((entry / "cwd").readlink()) == folder:
                found.append(entry.name)
        except OSError:
            continue
    return found


# --- an application that runs already ---


@pytest.fixture
def running(tmp_path):
    """The address of an application that somebody else started."""
    import subprocess

    port = free_port()
    process = subprocess.Popen([sys.executable, str(SHELF), str(port), str(tmp_path)], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while not listens(port) and time.monotonic() < until:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


def test_an_application_that_runs_already_has_one_session_at_a_time(running, tmp_path, monkeypatch):
    site = shelf(command="", at=running, folder=tmp_path, reset=Post("/api/reset"), readers={"titles": TITLES})
    other = shelf("http://other.localhost/", command="", at=running, reset=[])

    async def test(site, lease):
        assert (await add(site, lease, "Persuasion")).status == 303
        assert len((await site.snapshot(lease))["titles"]) == 2
        waiting = asyncio.create_task(other.lease(1, None))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await site.release(lease)
        await other.release(await waiting)
        lease = await site.lease(2, None)
        assert await site.snapshot(lease) == {"titles": [{"title": "Emma"}]}
        monkeypatch.setattr("webgym.sites.apps.pool.START_S", 0.2)
        with pytest.raises(SiteFault, match=r"another session has had .* and only one at a time may"):
            await other.lease(3, None)
        await site.release(lease)

    playing(test, site)
    assert listens(int(running.rpartition(":")[2])), "who did not start it does not end it"


def test_a_shared_application_serves_sessions_side_by_side(running):
    async def test(site, *leases):
        assert [(await ask(site, lease, "/login")).status for lease in leases] == [200, 200]

    playing(test, shelf(command="", at=running, instances="shared", reset=[]), leases=2)


def test_an_application_that_does_not_run_is_a_fault_that_says_so():
    site = shelf(command="", at="http://127.0.0.1:9", reset=[])
    with pytest.raises(SiteFault, match=r"nothing answers at http://127\.0\.0\.1:9/login.*start the application first"):
        asyncio.run(site.lease(0, None))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "expected either a command that starts it or `at`"),
        ({"command": "x", "at": "http://localhost:1"}, "expected either a command"),
        ({"at": "http://staging.example"}, "is not on this machine: say `remote: true`"),
        ({"at": "ftp://localhost"}, "expected the address of an application that runs"),
        ({"command": "x", "instances": "shared"}, "only an application that runs already"),
        ({"at": "http://localhost:1", "reset": restart}, "cannot be restarted"),
        ({"at": "http://localhost:1", "reset": Sqlite("a.db")}, "say which file it becomes"),
    ],
)
def test_a_server_that_cannot_be_is_refused_in_words(options, words):
    with pytest.raises(ConfigError, match=words):
        Server("http://x.localhost/", **options)


@pytest.mark.parametrize("url", ["x.localhost", "ftp://x.localhost/", "http://x.localhost/below", "http:///"])
def test_the_address_that_pages_see_is_one_of_a_whole_host(url):
    with pytest.raises(ConfigError, match="expected the address that pages see"):
        Server(url, command=COMMAND)


def test_the_clock_of_a_process_begins_anew_with_each_episode(tmp_path):
    file = tmp_path / "clock"
    clock.set_clock(file, 1_767_600_000.0)
    assert abs(float(file.read_text()) + time.time() - 1_767_600_000.0) < 5
    if clock.library() is None:
        assert clock.environment(file) == {}
        pytest.skip("libfaketime is not installed")

    async def test(site, lease):
        for _ in range(2):
            assert 0 <= float((await ask(site, lease, "/odd/time")).body) - 1_767_600_000.0 < 30
            await site.release(lease)
            lease = await site.lease(0, None)

    playing(test, shelf(clock_s=1_767_600_000.0))
