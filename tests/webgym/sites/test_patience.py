"""Who connects and says nothing, or half of it, is sent away, and takes no file from the process for long."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from webgym.loop_thread import loop_thread
from webgym.nodes.listening import Listening
from webgym.serve.server import Server as TaskServer
from webgym.sites import patience
from webgym.sites.certificates import certificate
from webgym.sites.listener import Listener
from webgym.sites.patience import PatientProtocol, Waiting
from webgym.view.server import Server as ViewServer

WHOLE = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HALVES = {"nothing": b"", "half a head": WHOLE[:-2], "half a body": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nfour"}
SOON_S, LONG_S = 0.3, 3.0


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


APP = Starlette(routes=[Route("/", echo, methods=["GET", "POST"])])


@contextmanager
def listener() -> Iterator[int]:
    found = loop_thread().run(Listener.open(certificate()))
    try:
        yield found.port
    finally:
        loop_thread().run(found.close())


@contextmanager
def served(kind: str) -> Iterator[int]:
    """The port of one of our servers."""
    if kind == "listener":
        with listener() as port:
            yield port
        return
    with {"collector": lambda: Listening(APP, "127.0.0.1", 0), "view": lambda: ViewServer(APP), "serve": TaskServer}[kind]() as server:
        yield server.port


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD_S", SOON_S)
    monkeypatch.setattr(PatientProtocol, "body_s", SOON_S)
    monkeypatch.setattr(patience, "YOUNG_S", 0.0)


@contextmanager
def connected(port: int, words: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=LONG_S) as found:
        found.sendall(words)
        yield found


def ended(connection: socket.socket, within_s: float) -> bool:
    """True if the server has ended the connection within some seconds."""
    connection.settimeout(within_s)
    try:
        return not connection.recv(65_536)
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def asked(connection: socket.socket) -> int:
    """The status of the answer to a whole request, once the answer is read."""
    connection.sendall(WHOLE)
    answer = HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.status


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("kind", ["collector", "view"])
def test_half_a_request_is_not_waited_for_without_end(impatient: None, kind: str, half: str) -> None:
    with served(kind) as port, connected(port, HALVES[half]) as connection:
        assert ended(connection, LONG_S)


@pytest.mark.parametrize("kind", ["serve", "listener"])
def test_half_a_head_is_not_waited_for_by_any_server(impatient: None, kind: str) -> None:
    with served(kind) as port, connected(port, HALVES["half a head"]) as connection:
        assert ended(connection, LONG_S)


def test_a_server_without_this_patience_waits(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PatientProtocol, "_now_owes", lambda self, what: None)
    with served("collector") as port, connected(port, HALVES["half a head"]) as connection:
        assert not ended(connection, 3 * SOON_S)


def test_a_later_half_is_not_waited_for_either_and_a_kept_connection_is_left_alone(impatient: None) -> None:
    with served("collector") as port, connected(port) as connection:
        assert asked(connection) == 200
        time.sleep(2 * SOON_S)
        assert asked(connection) == 200, "nothing of a next request was owed"
        connection.sendall(WHOLE[:9])
        assert ended(connection, LONG_S)


@pytest.mark.parametrize("kind", ["collector", "view", "serve", "listener"])
def test_of_many_that_say_nothing_the_first_are_ended_and_others_are_served(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "YOUNG_S", 0.0)
    few = Waiting(4)
    for module in ("webgym.sites.patience.WAITING", "webgym.sites.listener.WAITING"):
        monkeypatch.setattr(module, few)
    with served(kind) as port:
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
        try:
            with connected(port) as client:
                assert asked(client) in (200, 404, 407)
            assert [ended(one, LONG_S) for one in silent[:4]] == [True] * 4
            assert len(few) <= 4
        finally:
            for one in silent:
                one.close()


def test_the_young_are_left_until_they_could_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    class Connection:
        def __init__(self) -> None:
            self.transport, self.aborted = self, False

        def abort(self) -> None:
            self.aborted = True

    waiting, (first, second, third) = Waiting(1), (Connection(), Connection(), Connection())
    waiting.add(first)
    waiting.add(second)
    assert not first.aborted and len(waiting) == 2
    monkeypatch.setattr(patience, "YOUNG_S", 0.0)
    waiting.add(third)
    assert first.aborted and second.aborted and not third.aborted and len(waiting) == 1
    waiting.remove(third)
    waiting.remove(third)
    assert len(waiting) == 0
