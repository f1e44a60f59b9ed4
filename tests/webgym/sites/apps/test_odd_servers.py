"""Servers that start, answer and end in odd ways: what pages, resets and readers get of them, and what is said where nothing can be got."""

import os
import socket
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.webgym.sites.apps.asking import ask, playing
from webgym.errors import ConfigError, SiteFault
from webgym.sites import Get, Server
from webgym.sites.apps.process import Port

ODD = Path(__file__).with_name("odd.py")


def odd(*modes, **options):
    return Server("http://odd.localhost/", **{"command": [sys.executable, str(ODD), "{port}", *modes], **options})


def test_answers_of_every_form_reach_pages_whole():
    async def test(site, lease):
        for path in ("/one-zero", "/chunked", "/hints", "/continue", "/bare", "/raw-name"):
            answer = await ask(site, lease, path)
            assert (answer.status, answer.body, answer.done.is_set()) == (200, b"tea and cake", True), path
        assert (await ask(site, lease, "/raw-name")).headers[0][1] == b"inline; filename=\xc3\xa9t\xc3\xa9.txt"
        assert (await ask(site, lease, "/empty")).status == 204
        head = await ask(site, lease, "/chunked", "HEAD")
        assert (head.status, head.body, head.header("content-length")) == (200, b"", ["12"])
        packed = await ask(site, lease, "/gzip")
        assert packed.header("content-encoding") == ["gzip"], "a browser undoes it"
        for path in ("/closed", "/half", "/junk", "/wide"):
            answer = await ask(site, lease, path)
            assert answer.status == 502 and answer.body.startswith(b"The application gave no proper answer: "), path
        cut = await ask(site, lease, "/cut-chunk")
        assert cut.status == 200 and not cut.done.is_set()
        assert (await ask(site, lease, "/")).body == b"ok", "it is well all the same"

    playing(test, odd())


def test_an_application_may_refuse_a_body_before_it_has_read_it():
    async def test(site, lease):
        for size in (10, 6_000_000):
            parts = [b"x" * 60_000 for _ in range(size // 60_000)] or [b"x" * size]
            answer = await ask(site, lease, "/early", "POST", parts)
            assert (answer.status, answer.body) == (413, b"too much"), size

    playing(test, odd())


@pytest.mark.parametrize(
    ("place", "seen"),
    [
        ("http://127.0.0.1:PORT/a", "http://odd.localhost/a"),
        ("http://localhost:PORT", "http://odd.localhost"),
        ("http://[::1]:PORT/a", "http://odd.localhost/a"),
        ("//127.0.0.1:PORT/a?b", "http://odd.localhost/a?b"),
        ("HTTPS://Localhost:PORT/a", "http://odd.localhost/a"),
        ("http://forum.example/a", "http://odd.localhost/a"),
        ("https://forum.example/a", "http://odd.localhost/a"),
        ("//forum.example/a", "http://odd.localhost/a"),
        ("http://forum.example.evil/a", "http://forum.example.evil/a"),
        ("http://forum.example:81/a", "http://forum.example:81/a"),
        ("http://elsewhere.example/a", "http://elsewhere.example/a"),
        ("/a//127.0.0.1:PORT", "/a//127.0.0.1:PORT"),
        ("a", "a"),
    ],
)
def test_a_redirect_to_the_application_s_own_address_stays_on_the_site(place, seen, odd_site):
    running = odd_site
    port = running("port")
    assert running(f"/to?place={place}").header("location") == [seen.replace("PORT", str(port))]


@pytest.fixture(scope="module")
def odd_site():
    """A site that takes itself for forum.example, and a function that asks it."""
    import asyncio

    loop, site = asyncio.new_event_loop(), odd(host_header="forum.example")
    lease = loop.run_until_complete(site.lease(0, None))

    def asked(path):
        if path == "port":
            return lease.plain.address.port
        path, _, query = path.partition("?")
        return loop.run_until_complete(ask(site, lease, path, query=query.encode()))

    yield asked
    site.stop()
    loop.close()


def test_readers_and_resets_undo_what_was_compressed_and_refuse_what_is_no_state():
    wrong = {
        "/bad.json": r"GET /bad\.json was answered with what calls itself JSON and is none",
        "/for-members": r"GET /for-members was answered with status 302, which leads to /login\?next=/for-members: name the path",
        "/br": r"GET /br: the answer is compressed by br",
        "/gzip-broken": r"GET /gzip-broken: the answer says that it is gzip, and cannot be read as that",
        "/junk": r"GET /junk got no answer from the application",
        "/closed": r"GET /closed got no answer from the application",
    }

    async def test(site, lease):
        assert await lease.instance.get("/gzip") == "tea and cake" and await lease.instance.get("/gzip.json") == {"tea": 1}
        assert await lease.instance.get("/bad.json") == "{'tea': 1", "a reset may say what it likes"
        assert await lease.instance.get("/no.json") == "" and await lease.instance.get("/chunked") == "tea and cake"
        for path, words in wrong.items():
            site._readers = {"app": Get(path)}
            with pytest.raises(SiteFault, match=r"its state 'app' could not be read: " + words) as error:
                await site.snapshot(lease)
            assert "\n" not in str(error.value)

    playing(test, odd(reset=[Get("/for-members")]))  # a reset may be answered by a redirect, as forms are


@pytest.mark.parametrize("modes", [["v6"], ["late"], ["starting"], ["v6", "late"]])
def test_an_application_is_found_where_and_when_it_listens(modes):
    async def test(site, lease):
        assert (await ask(site, lease, "/")).body == b"ok" and await lease.instance.get("/") == "ok"
        if "v6" in modes:
            assert lease.plain.url.startswith("http://[::1]:")
            assert (await ask(site, lease, "/to", query=f"place={lease.plain.url}/a".encode())).header("location") == [
                "http://odd.localhost/a"
            ]

    playing(test, odd(*modes))


def test_an_application_that_reloads_itself_is_away_for_a_moment_and_no_fault():
    async def test(site, lease):
        for again in (lambda: ask(site, lease, "/"), lambda: lease.instance.get("/")):
            assert (await ask(site, lease, "/reload")).body == b"ok"
            found = await again()
            assert getattr(found, "body", b"") == b"ok" or found == "ok"

    playing(test, odd())


@pytest.mark.parametrize("asker", ["page", "reader"])
def test_a_read_that_is_cut_is_asked_once_more_and_a_write_is_not(asker):
    from webgym.sites.apps import Wrong

    async def test(site, lease):
        if asker == "page":
            assert (await ask(site, lease, "/cut-once")).body == b"ok"
            assert (await ask(site, lease, "/cut-once", "POST", b"x")).status == 502, "it may have been done"
            return
        assert await lease.instance.get("/cut-once") == "ok"
        with pytest.raises(Wrong, match="POST /cut-once got no answer from the application"):
            await lease.instance.post("/cut-once", json={"x": 1})

    playing(test, odd())


def test_an_application_that_is_starting_for_ever_is_a_fault(monkeypatch):
    import asyncio

    monkeypatch.setattr("webgym.sites.apps.pool.START_S", 1.5)
    site = odd("starting", command=[sys.executable, "-c", STARTING, "{port}"])
    try:
        with pytest.raises(SiteFault, match=r"it did not answer at / within 1\.5 s \(.*status 503\)"):
            asyncio.run(site.lease(0, None))
    finally:
        site.stop()


STARTING = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        with server.accept()[0] as page:
            page.recv(9999); page.sendall(b"HTTP/1.1 503 Starting\\r\\ncontent-length: 0\\r\\n\\r\\n")
"""


@pytest.mark.parametrize(
    "command", ["cd app && python app.py {port}", "DEBUG=1 python app.py {port}", "python app.py {port} > log.txt", "python ~/app.py $X"]
)
def test_a_command_that_needs_a_shell_is_told_so(command):
    import asyncio

    site = Server("http://odd.localhost/", command=command)
    try:
        with pytest.raises(
            SiteFault, match=r"a command runs without a shell, which \S+ would need: use `in:` and `env:`, or run it by sh -c"
        ):
            asyncio.run(site.lease(0, None))
    finally:
        site.stop()


def test_what_ignores_its_end_and_its_children_are_gone_all_the_same():
    async def test(site, lease):
        return int((await ask(site, lease, "/pid")).body)

    pid = playing(test, odd("stubborn"))
    until = time.monotonic() + 10
    while _alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _alive(pid)
    assert not [entry for entry in Path("/proc").glob("[0-9]*") if _is_odd(entry, "stubborn")], "nor the child in a session of its own"


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _is_odd(entry, mode):
    try:
        words = (entry / "cmdline").read_bytes().split(b"\0")
        return str(ODD).encode() in words and mode.encode() in words and _alive(entry.name)
    except OSError:
        return False


def test_processes_have_folders_of_their_own_for_temporary_files():
    async def test(site, *leases):
        found = {(await ask(site, lease, "/environment")).body.decode() for lease in leases}
        assert found == {str(lease.running.process.home / "tmp") for lease in leases} and all(os.path.isdir(path) for path in found)

    playing(test, odd(), leases=2)


def test_a_port_is_given_out_once_until_it_is_let_go(monkeypatch):
    """Also beside other WebGyms: a name that the system keeps stands for it, and the system gives its port to whoever asks."""
    first = Port.free()
    given = iter([first.number, first.number, first.number + 1])
    real = socket.socket

    class Again(real):
        def getsockname(self):
            return ("127.0.0.1", next(given)) if self.family == socket.AF_INET else super().getsockname()

    monkeypatch.setattr("webgym.sites.apps.process.socket.socket", Again)
    second = Port.free()
    assert second.number == first.number + 1
    first.let_go()
    given = iter([first.number])
    third = Port.free()
    assert third.number == first.number
    second.let_go()
    third.let_go()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"at": "http://localhost:8000/app"},
            r"expected the address of a whole host, such as http://localhost:8000, got .*: a path belongs",
        ),
        ({"at": "http://ann:secret@localhost:8000"}, r"expected the address of a whole host, such as http://localhost:8000,"),
        ({"command": "x", "private": ["api/reset"]}, r"private: expected a path that begins with /, such as /api/reset, got 'api/reset'"),
        ({"command": "x", "same_for_all": "static/*"}, r"same_for_all: expected a path .* got 'static/\*'"),
        ({"command": "x", "streams": ["poll"]}, r"streams: expected a path .* such as /poll"),
    ],
)
def test_what_would_do_nothing_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        Server("http://x.localhost/", **options)


def test_a_file_that_is_being_written_is_read_when_it_is_whole(tmp_path, monkeypatch):
    import threading

    from webgym.sites.apps import PlainInstance, Wrong
    from webgym.sites.apps.exchange import Address

    instance, file = PlainInstance(Address("http", "127.0.0.1", 9), tmp_path), tmp_path / "state.json"
    file.write_text('{"notes": [')
    writing = threading.Timer(0.1, lambda: file.write_text('{"notes": []}'))
    writing.start()
    assert instance.read("state.json") == {"notes": []}
    writing.join()
    file.write_text("{'notes': []}")
    monkeypatch.setattr("webgym.sites.apps.instance.WRITING_S", 0.05)
    with pytest.raises(Wrong, match=r"the file state\.json could not be read: Expecting property name"):
        instance.read("state.json")


@pytest.mark.parametrize(
    "query",
    [
        "attach database '{other}' as z",
        "vacuum into '{other}'",
        "vacuum",
        "pragma query_only = 0",
        "pragma journal_mode = delete",
        "pragma user_version = 7",
        "pragma wal_checkpoint",
        "create temp table z (a)",
        "begin immediate",
        "update sqlite_master set name = 'x'",
        "with a as (select 1) delete from t",
    ],
)
def test_a_query_reads_its_own_file_and_does_nothing_else(tmp_path, query):
    import sqlite3

    from webgym.sites.apps import sqlite

    file, other = tmp_path / "a.db", tmp_path / "other.db"
    with closing(sqlite3.connect(file)) as live:
        live.execute("create table t (x)")
    before = file.read_bytes()
    with pytest.raises(sqlite3.DatabaseError, match=r"only reads this file|may not be modified"):
        sqlite.rows(file, query.format(other=other))
    assert not other.exists() and file.read_bytes() == before


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("select * from v", [{"y": 2}]),
        ("with recursive n(i) as (values (1) union all select i + 1 from n where i < 2) select i from n", [{"i": 1}, {"i": 2}]),
        ("select a from words where words match 'hello'", [{"a": "hello world"}]),
        ("select value from json_each('[5]')", [{"value": 5}]),
        ("select name from pragma_table_info('t')", [{"name": "x"}]),
        ("select name from sqlite_master where type = 'view'", [{"name": "v"}]),
        ("select date('2026-01-05', '+1 day') as day", [{"day": "2026-01-06"}]),
    ],
)
def test_whatever_reads_is_a_query(tmp_path, query, found):
    import sqlite3

    from webgym.sites.apps import sqlite

    with closing(sqlite3.connect(tmp_path / "a.db")) as live:
        live.executescript("""create table t (x); insert into t values (1); create view v as select x + 1 as y from t;
            create virtual table words using fts5 (a); insert into words values ('hello world')""")
    assert sqlite.rows(tmp_path / "a.db", query) == found


def test_a_query_that_does_not_end_is_interrupted(tmp_path, monkeypatch):
    import sqlite3

    from webgym.sites.apps import sqlite

    monkeypatch.setattr(sqlite, "QUERY_S", 0.1)
    sqlite3.connect(tmp_path / "a.db").close()
    begun = time.monotonic()
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        sqlite.rows(tmp_path / "a.db", "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n")
    assert time.monotonic() - begun < 5
