"""Who gets in: known hosts, no pages of other sites, the token, and nothing too long."""

import asyncio
import http.client
import json
import socket
import time

import pytest

from tests.webgym.serve.peers import WebSocket
from webgym.errors import UsageError, WebGymError
from webgym.packs import registry
from webgym.serve.guard import LONGEST_BODY
from webgym.serve.server import Server
from webgym.serve.sessions import Session


def ask(server, path="/health", method="GET", body=None, **headers):
    """Status and JSON of an answer to a request with these headers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None
    finally:
        connection.close()


@pytest.fixture(scope="module")
def server():
    with Server("http", backend="text", hosts=("gym.example",)) as found:
        yield found


@pytest.fixture(scope="module")
def secret():
    with Server("openenv", backend="text", token="s3cret") as found:
        yield found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:80", "[::1]:9", "10.0.0.7:8000", "gym.example", "GYM.example:1"])
def test_addresses_and_known_names_get_in(server, host):
    assert ask(server, Host=host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", ""])
def test_other_names_do_not(server, host):
    status, answer = ask(server, Host=host)
    assert status == 403 and "this server is not known as" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("origin", "status"), [("http://127.0.0.1", 200), ("http://evil.example", 403), ("null", 403), ("http://6.6.6.6", 403)]
)
def test_pages_of_other_sites_do_not(server, origin, status):
    assert ask(server, Host="127.0.0.1", Origin=origin)[0] == status


def test_a_token_comes_in_a_header_or_in_the_path(secret):
    assert secret.url.endswith("/s3cret")
    assert [ask(secret)[0], ask(secret, Authorization="Bearer s3cre")[0], ask(secret, "/wrong/health")[0]] == [401] * 3
    assert [ask(secret, Authorization="Bearer s3cret")[0], ask(secret, "/s3cret/health")[0]] == [200] * 2
    for url, status in ((secret.url, 101), (secret.url.replace("s3cret", "wrong"), 403)):
        client = WebSocket(url)
        client.close()
        assert client.status == status


def test_other_machines_want_a_token():
    with pytest.raises(UsageError, match=r"a server on 0\.0\.0\.0 can be reached by other machines: expected a token"):
        Server(host="0.0.0.0")


def test_a_port_that_is_taken_is_said_in_words(server):
    with pytest.raises(UsageError, match="cannot be used"):
        Server(port=server.port)


@pytest.mark.parametrize(
    ("path", "method", "body", "status", "words"),
    [
        ("/sessions", "POST", "{", 400, "expected JSON"),
        ("/sessions", "POST", "[]", 400, "expected a JSON object with task"),
        ("/sessions", "POST", '{"task": "wizard.h3", "sed": 1}', 400, "unknown field 'sed'"),
        ("/sessions", "POST", '{"task": "wizard.h3", "seed": -1}', 400, "seed: input should be greater than or equal to 0, got -1"),
        ("/sessions", "POST", '{"task": "wizrd.h3"}', 404, "did you mean 'wizard.h3'"),
        ("/sessions", "POST", '{"task": "miniwob.click-test"}', 400, "text"),
        ("/sessions/none/step", "POST", '{"action": "click(1)"}', 404, "there is no session 'none'"),
        ("/sessions/none", "DELETE", None, 404, "there is no session 'none'"),
        ("/sessions/none/step", "POST", "x" * (LONGEST_BODY + 1), 413, "bytes"),
    ],
)
def test_mistakes_are_answered_in_words(server, path, method, body, status, words):
    found, answer = ask(server, path, method, body)
    assert found == status and words in answer["error"]["message"]
    assert len(server.sessions) == 0


def test_a_client_that_leaves_while_its_episode_begins_has_no_session(server, monkeypatch):
    begins, begun = Session.reset, []

    async def slowly(self, asked):
        await asyncio.sleep(0.3)
        begun.append(asked)
        return await begins(self, asked)

    monkeypatch.setattr(Session, "reset", slowly)
    asked = b'{"task": "wizard.h3", "seed": 1}'
    for number in range(3):
        with socket.create_connection(("127.0.0.1", server.port)) as left:
            left.sendall(f"POST /sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(asked)}\r\n\r\n".encode() + asked)
        waited = (time.sleep(0.05) for _ in range(200))
        assert any(len(begun) > number and len(server.sessions) == 0 for _ in waited)


def test_pictures_are_bytes_over_http_and_base64_in_messages():
    import base64

    with Server("http") as server:
        body = json.dumps({"task": "miniwob.click-test", "seed": 1, "screenshot": True})
        status, answer = ask(server, "/sessions", "POST", body)
        assert status == 201 and base64.b64decode(answer["observation"]["screenshot"]).startswith(b"\x89PNG")
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("GET", f"/sessions/{answer['session']}/screenshot")
        picture = connection.getresponse().read()
        connection.close()
        assert picture == base64.b64decode(answer["observation"]["screenshot"])


def test_every_task_is_listed(server):
    status, answer = ask(server, "/tasks")
    assert status == 200 and answer is not None and [row["id"] for row in answer] == registry.task_ids()


@pytest.mark.parametrize("length", ["abc", "1e9", "-1", "9" * 5000])
def test_a_length_that_is_no_number_is_told(server, length):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(f"POST /sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("name", ["{file}#evil.x", "{folder}#evil.x", "{module}:webgym/evil.x-v0"])
def test_no_client_has_a_file_read_or_a_module_imported(server, tmp_path, monkeypatch, name):
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil/pack.toml").write_text("[tasks.x]\nmax_turns = 3\n")
    for file in ("evil/__init__.py", "bad_module.py"):
        (tmp_path / file).write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
    monkeypatch.syspath_prepend(tmp_path)
    task = name.format(file=tmp_path / "evil/__init__.py", folder=tmp_path / "evil", module="bad_module")
    status, answer = ask(server, "/sessions", "POST", json.dumps({"task": task}), content_type="application/json")
    assert status == 404 and "expected a task's plain id such as wizard.h3" in answer["error"]["message"]
    assert not (tmp_path / "ran").exists()
    with pytest.raises(WebGymError):
        registry.task(task)
    assert (tmp_path / "ran").exists(), "a user's own command runs it"
