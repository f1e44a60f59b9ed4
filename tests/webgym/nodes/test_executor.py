"""Collectors that are killed, stopped, cut off, slow and dishonest: the batch is the one that this process plays, or one sentence."""

import asyncio
import json
import math
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from tests.webgym.nodes.collectors import CollectorProcess, collector, plain, processes
from webgym.errors import ConfigError, Fault, UnknownTaskError, UsageError
from webgym.nodes import wire
from webgym.nodes.executor import HttpExecutor, Limits
from webgym.packs import digests
from webgym.policies.scripted import RandomPolicy
from webgym.rollout.arena import Arena
from webgym.rollout.contract import Event, PolicyHandle, Record
from webgym.rollout.executor import play_in_order
from webgym.types import EpisodeKey, Trajectory, group_keys

TASK = "wizard.h4-x1-late1-undo-slack4"
KEYS = list(group_keys([(TASK, seed) for seed in range(8)], 3, iteration=5))
RANDOM = PolicyHandle("webgym.policies.scripted:RandomPolicy", {"seed": 1})
ORACLE = PolicyHandle("webgym.evaluation.assessment:model_free", {"name": "oracle"})
QUICK = Limits(silence_s=3.0, wait_s=30.0)
HASTY = Limits(silence_s=3.0, wait_s=1.5)


@pytest.fixture(scope="module")
def alone() -> list[Trajectory]:
    """The batch as a session of this process plays it."""
    with Arena(1, backend="text") as arena:
        return plain(arena.collect(RandomPolicy(1), KEYS))


def executor(*addresses: str, limits: Limits = QUICK, **settings) -> HttpExecutor:
    return HttpExecutor(addresses, backend="text", limits=limits, **settings)


def played(*addresses: str, handle: PolicyHandle = RANDOM, keys: list[EpisodeKey] = KEYS, on_event=None, **settings) -> list[Trajectory]:
    """The batch as these collectors play it."""
    with executor(*addresses, **settings) as nodes:
        return plain(play_in_order(nodes, handle, keys, on_event=on_event))


# --- the same batch ------------------------------------------------------------------------------------------------------


def test_two_collectors_play_what_one_session_plays(alone: list[Trajectory]) -> None:
    heard: list[Event] = []
    with collector(2) as first, collector(3) as second, executor(first.url, second.url) as nodes:
        assert plain(play_in_order(nodes, RANDOM, KEYS, on_event=heard.append)) == alone
        assert all(x.outcome.success for x in play_in_order(nodes, ORACLE, KEYS[:4]))
        assert play_in_order(nodes, RANDOM, []) == []
        assert [(x.state, x.sessions, x.playing) for x in nodes.health] == [("well", 2, 0), ("well", 3, 0)]
        assert sum(x.episodes for x in nodes.health) >= len(KEYS) + 4
    kinds = Counter(event.kind for event in heard)
    assert kinds["begin"] == kinds["end"] == len(KEYS) and kinds["turn"] == sum(map(len, alone))
    last = heard[-1].counts
    assert (last.done, last.running, last.turns) == (len(KEYS), 0, sum(map(len, alone)))
    assert {event.session for event in heard} <= set(range(5))


def test_a_batch_that_is_left_ends_at_once_and_the_next_one_is_whole(alone: list[Trajectory]) -> None:
    with collector(2) as node, executor(node.url) as nodes:
        stream = nodes.play(RANDOM, KEYS)
        next(stream)
        stream.close()
        assert plain(play_in_order(nodes, RANDOM, KEYS)) == alone


def test_events_are_sent_only_to_who_listens_and_a_busy_collector_serves_two_trainers(alone: list[Trajectory]) -> None:
    with collector(2) as node, executor(node.url) as one, executor(node.url) as other:
        found: list[list[Trajectory]] = []
        threads = [threading.Thread(target=lambda x=x: found.append(plain(play_in_order(x, RANDOM, KEYS)))) for x in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [alone, alone]


# --- nodes that are lost -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_collector_killed_or_stopped_from_outside_loses_nothing(alone: list[Trajectory], number: int) -> None:
    with processes(2) as nodes:
        heard: list[Event] = []

        def hear(event: Event) -> None:
            heard.append(event)
            if sum(e.kind == "turn" for e in heard) == 5:
                nodes[0].signal(number)

        assert played(*(node.url for node in nodes), on_event=hear) == alone
        last = heard[-1].counts
        assert (last.done, last.running) == (len(KEYS), 0) and last.faults == 0


def test_collectors_killed_again_and_again_lose_nothing(alone: list[Trajectory]) -> None:
    keys = KEYS * 4
    with processes(2) as nodes:
        over = threading.Event()

        def kill_on() -> None:
            for turn in range(3):
                if over.wait(0.4):
                    return
                nodes[turn % 2].kill()
                nodes[turn % 2].start()

        killer = threading.Thread(target=kill_on)
        with executor(*(node.url for node in nodes)) as both:
            killer.start()
            try:
                found = plain(play_in_order(both, RANDOM, keys))
            finally:
                over.set()
                killer.join()
    assert found == alone * 4


def test_a_cut_connection_is_an_episode_played_again(alone: list[Trajectory]) -> None:
    cut = iter([3, 5, 9])
    pieces = 0
    at = next(cut)

    def says(body: bytes) -> bytes:
        nonlocal pieces, at
        pieces += 1
        if pieces == at:
            at = next(cut, -1)
            raise ConnectionResetError("cut")
        return body

    with collector(2, says=says) as node:
        assert played(node.url) == alone
    assert at == -1, "the connection was cut three times"


def test_a_half_written_line_is_no_trajectory(alone: list[Trajectory]) -> None:
    cut = []

    def says(body: bytes) -> bytes:
        if b'"turns"' in body and not cut:
            cut.append(body)
            return body[: len(body) - 40]
        if cut and len(cut) == 1:
            cut.append(body)
            raise ConnectionResetError("cut")
        return body

    with collector(1, says=says) as node, collector(1) as other:
        assert played(node.url, other.url) == alone


def test_what_a_slow_collector_has_is_played_by_another_too(alone: list[Trajectory], monkeypatch: pytest.MonkeyPatch) -> None:
    from webgym.nodes import batch

    monkeypatch.setattr(batch, "SLOW_S", 0.3)
    turns = {"fast": 0, "slow": 0}

    class Slow(RandomPolicy):
        def __init__(self, name: str) -> None:
            super().__init__(1)
            self.name = name

        async def act(self, observation, history, key):
            turns[self.name] += 1
            await asyncio.sleep(0.01 if self.name == "fast" else 60.0)
            return await super().act(observation, history, key)

    import webgym.policies.scripted as scripted

    made = iter(["slow", "fast"])
    monkeypatch.setattr(scripted, "Uneven", lambda: Slow(next(made)), raising=False)
    uneven = "webgym.policies.scripted:Uneven"
    with collector(1, factories=[uneven]) as slow, collector(1, factories=[uneven]) as fast:
        began = time.monotonic()
        assert played(slow.url, fast.url, handle=PolicyHandle(uneven)) == alone
        assert time.monotonic() - began < 50, "nobody waited for the slow one"
    assert turns["slow"] >= 1


def test_an_episode_that_brings_nodes_down_ends_as_a_fault_and_the_others_do_not(alone: list[Trajectory]) -> None:
    bad = KEYS[4]

    def wrap(app):
        async def changed(scope, receive, send):
            if scope["path"] != "/play":
                return await app(scope, receive, send)
            message = await receive()
            asked = json.loads(message["body"])
            if [bad.task_id, bad.seed, bad.iteration, bad.group, bad.member] in asked["keys"]:
                raise ConnectionResetError("the node goes down")

            async def again():
                nonlocal message
                first, message = message, None
                return first if first is not None else await receive()

            await app(scope, again, send)

        return changed

    with collector(2, wrap=wrap) as first, collector(2, wrap=wrap) as second, executor(first.url, second.url) as nodes:
        found = plain(play_in_order(nodes, RANDOM, KEYS, on_event=None))
    wrong = [x for x, y in zip(found, alone, strict=True) if x != y]
    assert [x.key for x in wrong] == [bad] and wrong[0].outcome.kind == "fault" and math.isnan(wrong[0].outcome.reward)
    assert "collectors in a row were lost" in wrong[0].outcome.message


def test_a_fault_of_one_machine_is_played_on_another(alone: list[Trajectory]) -> None:
    def says(body: bytes) -> bytes:
        lines = body.split(b"\n")
        for number, line in enumerate(lines):
            if b'"outcome"' in line:
                record = json.loads(line)
                record["outcome"] |= {"kind": "fault", "reward": None, "message": "its browser is broken"}
                lines[number] = json.dumps(record).encode()
        return b"\n".join(lines)

    with collector(1, says=says) as broken, collector(1) as well:
        with executor(well.url, broken.url) as nodes:
            assert sum(x.outcome.kind == "fault" for x in play_in_order(nodes, RANDOM, KEYS)) < 2
        found = played(broken.url)
    assert all(x.outcome.kind == "fault" for x in found), "where there is no other machine, a fault is the outcome"


# --- nodes that come and go ----------------------------------------------------------------------------------------------


def test_nodes_join_and_leave_by_a_file(alone: list[Trajectory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from webgym.nodes import executor as module

    monkeypatch.setattr(module, "FILE_S", 0.05)
    file = tmp_path / "nodes.txt"
    with collector(1) as first, collector(1) as second:
        file.write_text(f"# ours\n{first.url}\n", "utf-8")
        with HttpExecutor(file=file, backend="text", limits=QUICK) as nodes:
            found = []
            for number, (_, trajectory) in enumerate(nodes.play(RANDOM, KEYS * 10)):
                found.append(trajectory)
                if number == 3:
                    file.write_text(f"{second.url}\n", "utf-8")
                    time.sleep(0.3)
            assert [x.address for x in nodes.health] == [second.url] and nodes.health[0].episodes > 0
    assert Counter(x.key for x in found) == Counter(KEYS * 10)
    assert all(x in alone for x in plain(found))


def test_where_no_node_answers_it_says_so_in_time() -> None:
    with pytest.raises(Fault, match=r"no collector could be reached for 1\.5 s: http://127\.0\.0\.1:1"):
        played("127.0.0.1:1", limits=HASTY)
    with pytest.raises(ConfigError, match="at least one collector"):
        HttpExecutor([])
    with pytest.raises(ConfigError, match="a file with the address"):
        HttpExecutor(file=Path("nowhere.txt"))
    for wrong in ("http://x", "ftp://a:1", "http://a:1/path", "http://user@a:1"):
        with pytest.raises(ConfigError, match="expected the address of a collector"):
            HttpExecutor([wrong])


# --- nodes that refuse, and nodes that lie -------------------------------------------------------------------------------


def test_a_wrong_token_is_one_sentence_and_the_right_one_works(alone: list[Trajectory]) -> None:
    with collector(1, token="secret") as node:
        for token in ("", "wrong"):
            with pytest.raises(UsageError, match="another token was expected: set WEBGYM_TOKEN"):
                played(node.url, token=token)
        assert played(node.url, token="secret") == alone


def test_other_versions_and_packs_are_refused_before_the_first_episode(monkeypatch: pytest.MonkeyPatch, alone: list[Trajectory]) -> None:
    with collector(1) as node:
        words = "plays on the backend 'text', the trainer wants 'browser'"
        with pytest.raises(UsageError, match=words), HttpExecutor([node.url], backend="browser", limits=QUICK) as nodes:
            play_in_order(nodes, RANDOM, KEYS)
        with monkeypatch.context() as patch:
            patch.setattr(digests, "known", lambda packs: {"wizard": "00"})
            with pytest.raises(UsageError, match=r"has the pack 'wizard' as 00, the trainer as [0-9a-f]+: give both the same files"):
                played(node.url)
            patch.setattr(digests, "known", lambda packs: {})
            with pytest.raises(UsageError, match="has no pack 'wizard'"):
                played(node.url)
        with monkeypatch.context() as patch:
            here = wire.Terms.here
            patch.setattr(wire.Terms, "here", lambda *x: here(*x).model_copy(update={"code": "abc"}))
            with pytest.raises(UsageError, match=r"runs WebGym [0-9a-f]+, the trainer abc: install the same one"):
                played(node.url)
            patch.setattr(wire.Terms, "here", lambda *x: here(*x).model_copy(update={"protocol": 7}))
            with pytest.raises(UsageError, match="protocol"):
                played(node.url)
        with collector(1) as well, monkeypatch.context() as patch:  # one that refuses does not stop the others
            assert played(node.url, well.url) == alone


def test_factories_that_are_not_on_the_list_are_never_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stranger_factory.py").write_text(f"open({str(tmp_path / 'called')!r}, 'w')\ndef make(): pass\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with collector(1) as node, pytest.raises(UsageError, match=r"makes no policy by the factory 'stranger_factory:make'.*--allow"):
        played(node.url, handle=PolicyHandle("stranger_factory:make"))
    assert not (tmp_path / "called").exists()


def test_a_request_has_no_file_read_and_no_module_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stranger_tasks.py", "stranger_pack.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'called')!r}, 'w')\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    terms = wire.Terms.here("text", (TASK,))
    monkeypatch.setattr(wire.Terms, "here", lambda *_: terms)
    for task_id in (f"{tmp_path}/stranger_tasks.py#a.b", "stranger_pack:a.b", "stranger_pack:#a.b"):
        with collector(1) as node, pytest.raises(UsageError, match="expected a task's plain id"):
            played(node.url, keys=[EpisodeKey(task_id, 0)])
    assert not (tmp_path / "called").exists()


def test_the_callers_mistakes_and_bugs_are_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    import webgym.policies.scripted as scripted

    class Buggy(RandomPolicy):
        async def act(self, observation, history, key):
            raise ZeroDivisionError("a bug of the policy")

    monkeypatch.setattr(scripted, "Buggy", Buggy, raising=False)
    buggy = "webgym.policies.scripted:Buggy"
    with collector(1, factories=[buggy, RANDOM.factory]) as node:
        with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug of the policy"):
            played(node.url, handle=PolicyHandle(buggy))
        with pytest.raises(UsageError, match="does not take the settings"):
            played(node.url, handle=PolicyHandle(RANDOM.factory, {"sed": 1}))
        with pytest.raises(UnknownTaskError):
            played(node.url, keys=[EpisodeKey("wizard.no-such", 0)])
        with pytest.raises(UsageError, match="has no method prompt_ids"), executor(node.url) as nodes:
            play_in_order(nodes, RANDOM, KEYS, record=Record(final_prompts=True))
        with pytest.raises(UsageError, match="play policies by name"), executor(node.url) as nodes:
            play_in_order(nodes, RandomPolicy(1), KEYS)


LIES = {
    "another key": (lambda body: body.replace(b'"key":["%s",3,' % TASK.encode(), b'"key":["%s",4,' % TASK.encode()), "gave an episode of"),
    "another number": (
        lambda body: body.replace(b'"kind":"ended"', b'"kind":"ended","number":9'),
        "ended an episode that it was not asked for",
    ),
    "other counts": (lambda body: b'{"kind":"told","told":[{"number":0,"kind":"turn","changes":{"done":9}}]}\n' + body, "no line of the"),
    "no line": (lambda body: b"<html>\n" + body, "no line of the protocol"),
    "no trajectory": (lambda body: body.replace(b'"goal"', b'"gaol"'), "gave no trajectory"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_collector_that_lies_is_not_asked_any_more(alone: list[Trajectory], lie: str) -> None:
    says, words = LIES[lie]
    with collector(1, says=says) as liar, collector(1) as honest:
        with executor(liar.url, honest.url) as nodes:
            assert plain(play_in_order(nodes, RANDOM, KEYS)) == alone
            states = {x.address: x.state for x in nodes.health}
            assert states[honest.url] == "well"
        with pytest.raises(UsageError, match=words):
            played(liar.url)


def test_who_may_ask_a_collector(alone: list[Trajectory]) -> None:
    with pytest.raises(ConfigError, match="needs a token: set WEBGYM_TOKEN"):
        wire.place("0.0.0.0:8400", "", "--listen")
    assert wire.place("0.0.0.0:8400", "secret", "--listen") == ("0.0.0.0", 8400)
    assert wire.place("[::1]:84", "", "--listen") == ("::1", 84)
    for wrong in ("8400", "host:", ":80", "host:99999"):
        with pytest.raises(ConfigError, match="expected HOST:PORT"):
            wire.place(wrong, "", "--listen")
    with collector(1) as node, httpx2.Client(base_url=node.url) as browser:
        assert browser.post("/play", content="{}", headers={"content-type": "text/plain"}).status_code == 415
        rebound = {"content-type": "application/json", "host": "evil.example"}
        assert browser.post("/play", content="{}", headers=rebound).status_code == 403
        refused = browser.post("/play", content='{"keys": 1}', headers={"content-type": "application/json"})
        assert refused.status_code == 422 and "field required" in refused.json()["error"]
        assert browser.get("/health").json()["free"] == 1


def test_sigterm_lets_episodes_end() -> None:
    node = CollectorProcess()
    node.process.terminate()
    assert node.process.wait(15) == 0
    node.kill()
