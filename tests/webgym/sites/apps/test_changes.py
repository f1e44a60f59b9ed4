"""Differences of a database to its first state, and the requests that pages sent."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from webgym.sites.apps import Wrong
from webgym.sites.apps.changes import Changes, alike
from webgym.sites.apps.exchange import Address
from webgym.sites.apps.instance import PlainInstance
from webgym.sites.apps.requests import Request, kept

QUERIES = {"notes": "select id as key, title, done from note", "people": "select name as key, name from person"}


@pytest.fixture
def database(tmp_path):
    for name in ("first.db", "live.db"):
        with closing(sqlite3.connect(tmp_path / name)) as live, live:
            live.executescript(
                "create table note (id integer primary key, title, done); create table person (name);"
                "insert into note values (1, 'Milk', 0), (2, 'Bread', 0), (3, 'Salt', 1); insert into person values ('ann');"
            )
    return tmp_path


def changes(folder, *statements):
    with closing(sqlite3.connect(folder / "live.db")) as live, live:
        for statement in statements:
            live.execute(statement)
    instance = PlainInstance(Address("http", "127.0.0.1", 1), folder)
    return Changes("live.db", folder / "first.db", QUERIES)(instance)


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        ((), {}),
        (("update note set done = 0 where id = 2",), {}),
        (("update note set done = 1 where id = 2",), {"notes": {"changed": {"2": {"done": 1}}}}),
        (("insert into note values (9, 'Tea', 0)",), {"notes": {"added": [{"title": "Tea", "done": 0}]}}),
        (
            ("delete from note where id > 1", "insert into person values ('bob')"),
            {"notes": {"removed": ["2", "3"]}, "people": {"added": [{"name": "bob"}]}},
        ),
    ],
)  # fmt: skip
def test_all_that_differs_is_told_and_nothing_else(database, statements, found):
    assert changes(database, *statements) == found


def test_rows_that_were_added_have_no_order():
    one, other = {"title": "a", "n": 1}, {"n": 2, "title": "b"}
    assert alike({"x": {"added": [one, other]}}, {"x": {"added": [other, one]}})
    assert not alike({"x": {"added": [one, one]}}, {"x": {"added": [one, other]}})
    assert not alike({"x": {"added": [one], "removed": ["1"]}}, {"x": {"added": [one]}}) and not alike({}, {"x": {"added": [one]}})


def test_a_first_state_that_is_gone_is_no_difference(database):
    (database / "first.db").unlink()
    with pytest.raises(Wrong, match=r"of first\.db failed"):
        changes(database)


def asked(scope, messages, answered=200):
    """The request that is kept of one that an application reads and answers."""
    requests = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        pass

    async def application():
        receiving, sending = kept(scope, receive, send, requests)
        while messages:
            await receiving()
        await sending({"type": "http.response.start", "status": answered, "headers": []})

    asyncio.run(application())
    return requests


def test_a_request_is_kept_with_its_form_and_its_status():
    headers = [
        (b"host", b"a.localhost"),
        (b"content-type", b"application/x-www-form-urlencoded; charset=utf-8"),
        (b"sec-fetch-dest", b"document"),
    ]
    scope = {
        "type": "http",
        "scheme": "http",
        "method": "POST",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"x=1",
        "headers": headers,
    }
    messages = [{"type": "http.request", "body": b"name=Ann", "more_body": True}, {"type": "http.request", "body": b"+Lee&c="}]
    (found,) = asked(scope, messages, 302)
    assert found == Request("POST", "http://a.localhost/a%20b?x=1", headers[1][1].decode(), 302, b"name=Ann+Lee&c=", True)
    assert found.form == {"name": "Ann Lee", "c": ""}


def test_sockets_and_what_is_more_than_enough_are_not_kept():
    assert asked({"type": "websocket"}, []) == []
    scope = {"type": "http", "method": "PUT", "path": "/", "headers": []}
    (found,) = asked(
        scope, [{"type": "http.request", "body": b"x" * 60_000, "more_body": True}, {"type": "http.request", "body": b"x" * 60_000}]
    )
    assert len(found.body) == 1 << 16
