"""One suite for every protocol: what a trainer learns from is the same, and true, whatever socket the episode came through."""

import asyncio
import concurrent.futures
import contextlib
import functools
import os
import signal
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from tests.webgym.serve.peers import Played, WebSocket, over_episodes, over_nemo_gym, over_openenv, over_openenv_client, over_trl
from webgym.actions import render
from webgym.env.core import AsyncWebEnv
from webgym.errors import BrowserFault
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.policies.scripted import OraclePolicy
from webgym.serve.client import Here, Remote, _dropped
from webgym.serve.server import Server
from webgym.serve.sessions import Limits, Session
from webgym.types import EpisodeKey

TASK = "wizard.h3"
Peer = Callable[..., Played]


@pytest.fixture(scope="module")
def servers() -> Iterator[SimpleNamespace]:
    """A server of each protocol, of tasks with a text twin, so that no browser is waited for."""
    with Server("http", backend="text") as http, Server("openenv", backend="text") as openenv:
        yield SimpleNamespace(http=http, openenv=openenv)


PEERS: dict[str, Callable[[SimpleNamespace], Peer]] = {
    "here": lambda servers: lambda *episode, **options: over_episodes(Here("text"), *episode, **options),
    "http": lambda servers: lambda *episode, **options: over_episodes(Remote(servers.http.url), *episode, **options),
    "openenv": lambda servers: functools.partial(over_openenv, servers.openenv.url),
    "openenv, its own client": lambda servers: functools.partial(over_openenv_client, servers.openenv.url),
    "trl": lambda servers: functools.partial(over_trl, "", "text"),
    "trl on a server": lambda servers: functools.partial(over_trl, servers.http.url, "text"),
    "trl over openenv": lambda servers: functools.partial(over_trl, servers.openenv.url, "openenv"),
    "nemo gym": lambda servers: functools.partial(over_nemo_gym, "text"),
}


@pytest.fixture(params=PEERS)
def peer(request, servers) -> Peer:
    return PEERS[request.param](servers)


async def _walk(task: str, seed: int, backend: str) -> list[str]:
    env, policy, key, texts = AsyncWebEnv(backend=backend), OraclePolicy(registry.task), EpisodeKey(task, seed), []
    observation = await env.reset(task, seed)
    while True:
        action = policy.action(observation, key)
        texts.append(render(action, "call"))
        step = await env.step(action)
        if step.kind:
            await env.close()
            assert step.kind == "success"
            return texts
        observation = step.observation


@functools.cache
def oracle(task: str = TASK, seed: int = 5, backend: str = "text") -> list[str]:
    """The oracle's actions, found without any protocol."""
    return loop_thread().run(_walk(task, seed, backend))


def test_oracle_earns_1_by_termination(peer):
    played = peer(TASK, 5, oracle())
    assert (played.reward, played.terminated, played.truncated) == (1.0, True, False)


ODD = {
    "a half of an emoji": "stop('\ud83d')",
    "too long": "a" * ((1 << 20) + 1),
    "long where it is escaped": "\U0001f600" * 350_000,
    "NULs": "\x00" * (1 << 20),
    "nested": "[" * 200_000,
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", [name for name in PEERS if "trl" not in name])  # TRL names tools, and sends no text
def test_no_text_of_an_agent_is_a_clients_mistake(servers, name, text):
    """It is a turn of the episode, which the agent can lose and cannot void."""
    played = PEERS[name](servers)(TASK, 5, [text] if text.startswith("stop") else [text, *oracle()])
    assert (played.reward, played.terminated) == (float(not text.startswith("stop")), True)


def test_noop_earns_0_by_truncation(peer):
    played = peer(TASK, 5, ["scroll(0, 100)"] * registry.task(TASK).max_turns)
    assert (played.reward, played.terminated, played.truncated) == (0.0, False, True)


def test_an_agents_stop_is_a_termination_with_0(peer):
    played = peer(TASK, 5, ["stop('')"])
    assert (played.reward, played.terminated, played.truncated) == (0.0, True, False)


def test_members_of_a_group_see_one_instance_at_the_same_time(peer):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        group = [*pool.map(lambda _: peer(TASK, 11, []), range(4))]
    assert len({tuple(played.hashes) for played in group}) == 1 and group[0].hashes[0]
    assert peer(TASK, 12, []).hashes != group[0].hashes


@pytest.mark.parametrize("moment", ["reset", "step"])
def test_a_fault_is_no_reward(peer, monkeypatch, moment):
    async def fails(self, *_):
        raise BrowserFault("the browser died")

    actions = oracle()
    monkeypatch.setattr(AsyncWebEnv, moment, fails)
    played = peer(TASK, 5, actions)
    assert played.reward is None and not played.terminated and not played.truncated


def test_a_session_goes_on_after_a_fault(servers, monkeypatch):
    session = Remote(servers.http.url)
    client = WebSocket(servers.openenv.url)
    with session, contextlib.closing(client):
        session.begin(TASK, 5)
        client.ask({"type": "reset", "data": {"task": TASK, "seed": 5}})

        async def fails(self, *_):
            raise BrowserFault("the browser died")

        with monkeypatch.context() as patch:
            patch.setattr(AsyncWebEnv, "step", fails)
            with pytest.raises(BrowserFault, match="the browser died"):
                session.act("click('2')")
            answer = client.ask({"type": "step", "data": {"action": "click('2')"}})
            assert answer["data"] == {"message": "the browser died", "code": "EXECUTION_ERROR", "fault": "BrowserFault"}
        assert client.ask({"type": "step", "data": {"action": "click('2')"}})["data"]["code"] == "SESSION_ERROR"
        assert session.begin(TASK, 5).observation.turn == 0
        assert client.ask({"type": "reset", "data": {"task": TASK, "seed": 5}})["type"] == "observation"


def test_many_clients_at_once(servers):
    peers = [PEERS[name](servers) for name in ("http", "openenv")]
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        played = [*pool.map(lambda n: peers[n % 2](TASK, 5 + n % 3, oracle(TASK, 5 + n % 3)), range(64))]
    assert [each.reward for each in played] == [1.0] * 64
    assert len({(n % 3, *each.hashes) for n, each in enumerate(played)}) == 3  # one instance for each seed, over both protocols
    assert eventually(lambda: len(servers.http.sessions) == len(servers.openenv.sessions) == 0)


def eventually(true: Callable[[], bool], seconds: float = 30.0) -> bool:
    """True once it holds; False if it never does."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def test_sessions_end_with_their_connection(servers):
    clients = [WebSocket(servers.openenv.url) for _ in range(3)]
    assert all(client.ask({"type": "reset", "data": {"task": TASK, "seed": 1}})["type"] == "observation" for client in clients)
    assert len(servers.openenv.sessions) == 3
    clients[0].close()  # without a word
    assert eventually(lambda: len(servers.openenv.sessions) == 2)
    assert clients[1].ask({"type": "close"})["type"] == "closed"
    assert eventually(lambda: len(servers.openenv.sessions) == 1)
    for client in clients[1:]:
        client.close()
    assert eventually(lambda: len(servers.openenv.sessions) == 0)


@pytest.mark.parametrize("protocol", ["http", "openenv"])
def test_half_open_sockets_are_freed_and_sessions_are_capped(protocol):
    with Server(protocol, backend="text", limits=Limits(sessions=1, idle_s=2.0)) as server:
        if protocol == "http":
            silent = Remote(server.url)
            silent.begin(TASK, 1)
            with pytest.raises(Exception, match="all 1 sessions are taken"):
                Remote(server.url).begin(TASK, 1)
            assert eventually(lambda: len(server.sessions) == 0)
            assert silent.begin(TASK, 1).observation.turn == 0  # it opens a new one
        else:
            client = WebSocket(server.url)  # from now on it says nothing, and its socket stays open
            assert client.ask({"type": "reset", "data": {"task": TASK, "seed": 1}})["type"] == "observation"
            with contextlib.closing(WebSocket(server.url)) as second:
                assert second.answer()["data"]["code"] == "CAPACITY_REACHED"
            assert eventually(lambda: len(server.sessions) == 0)
            client.close()


def test_a_model_may_think_longer_than_connections_live():
    """Servers and proxies close idle connections; the session and its episode go on over another."""
    with Server("http", backend="text") as server, Remote(server.url) as session:
        assert server._server.config.timeout_keep_alive >= server.sessions.limits.idle_s
        server._server.config.timeout_keep_alive = 1
        session.begin(TASK, 5)
        first = session._connection.sock
        for action in oracle():
            assert eventually(lambda: _dropped(session._connection.sock))
            turned = session.act(action)
        assert turned.reward == 1.0 and session._connection.sock is not first


def test_a_client_that_acts_twice_at_once_is_told_so():
    session = Session("text", Limits())

    async def both():
        from webgym.serve.messages import Begin

        await session.reset(Begin(task=TASK, seed=1))
        return await asyncio.gather(session.step("go_back()"), session.step("go_back()"), return_exceptions=True)

    first, second = loop_thread().run(both())
    assert first.observation.turn == 1 and "a turn of this session is under way" in str(second)
    loop_thread().run(session.close())


def _kill_chromium() -> None:
    from webgym.backends.browser.pool import shared_pool

    async def pid() -> int:
        return await (await shared_pool()).process_id()

    os.kill(loop_thread().run(pid()), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["http", "openenv", "trl"])
def test_sigkill_of_chromium_gives_no_reward(protocol):
    """A killer acts as the second action of the oracle; the sessions beside it and the next episodes are well."""
    task, seed = "miniwob.click-button-sequence", 3
    actions = oracle(task, seed, "browser")
    assert len(actions) == 2

    class Killed(list):
        def __iter__(self):
            yield actions[0]
            _kill_chromium()
            yield actions[1]

    with Server("openenv" if protocol == "openenv" else "http") as server:
        play = {
            "http": lambda texts: over_episodes(Remote(server.url), task, seed, texts),
            "openenv": lambda texts: over_openenv(server.url, task, seed, texts),
            "trl": lambda texts: over_trl(server.url, "browser", task, seed, texts),
        }[protocol]
        assert play(actions).reward == 1.0
        killed = play(Killed(actions))
        assert killed.reward is None and not killed.terminated and not killed.truncated
        assert play(actions).reward == 1.0
        assert eventually(lambda: len(server.sessions) == 0)
