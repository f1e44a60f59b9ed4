"""Training with collectors elsewhere: trajectories and weights are those of a run in one process, whatever happens to the collectors."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
import torch

from tests.trainers.text_runs import finish, start, state, write_model
from tests.webgym.nodes.collectors import CollectorProcess, collector, plain, processes
from trainers.config import resolve
from trainers.models.policy_model import PolicyModel
from trainers.models.reader import Reader, name_of
from trainers.rollouts import remote_policy
from trainers.rollouts.remote_policy import RemoteSampler
from trainers.samplers.gateway import Gateway, Question
from trainers.samplers.local import LocalSampler
from trainers.samplers.sampler import Generated
from trainers.training.trainer import Trainer
from webgym.errors import ConfigError, PolicyFault, UsageError
from webgym.loop_thread import loop_thread
from webgym.record import live
from webgym.record.store import load
from webgym.types import Sampling, Trajectory

LEARNS = {"loss": {"entropy_coef": 0.01}}
"""A loss that moves the weights also where no episode succeeds."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "model")


def batches(trainer: Trainer) -> list[list[Trajectory]]:
    """The episodes of each iteration."""
    return [plain(load(trainer.run.trajectory_path(i))) for i in range(1, trainer.iteration + 1)]


def same(run: Trainer, reference: Trainer) -> None:
    """Both runs have the same episodes and, bit for bit, the same weights."""
    assert batches(run) == batches(reference)
    for found, expected in zip(state(run), state(reference), strict=True):
        assert torch.equal(found, expected)


def remote(model: Path, parent: Path, name: str, urls: Sequence[str], **changes: object) -> Trainer:
    executor = {"kind": "http", "nodes": list(urls), "silence_s": 5.0, "wait_s": 60.0}
    return start(model, parent, name, changes.pop("algo", "reinforce"), executor=executor, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def local(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    run = finish(start(model, tmp_path_factory.mktemp("runs"), "local", "reinforce", algorithm=LEARNS))
    before = PolicyModel.load(model).model.parameters()
    assert any(not torch.equal(x, y) for x, y in zip(state(run), before, strict=True)), "the weights move"
    return run


def test_a_run_over_collectors_is_the_run_in_one_process(model: Path, local: Trainer, tmp_path: Path) -> None:
    with collector(1) as first, collector(2) as second:
        run = finish(remote(model, tmp_path, "remote", [first.url, second.url], evaluation={"seeds": 2}, algorithm=LEARNS))
    same(run, local)
    shown = live.read(run.run.path)
    assert shown is not None and [(x["address"], x["state"]) for x in shown["nodes"]] == [(first.url, "well"), (second.url, "well")]
    assert sum(x["episodes"] for x in shown["nodes"]) >= 3 * 9 and len(shown["cells"]) == 3


@pytest.mark.parametrize(
    "changes", [{"rollout": {"overlap": True}, "algorithm": LEARNS}, {"algo": "archer", "algorithm": {"bootstrap_at_limit": True}}]
)
def test_overlap_and_a_critic_change_nothing_of_it(model: Path, tmp_path: Path, changes: dict) -> None:
    algo = changes.get("algo", "reinforce")
    plainly = finish(start(model, tmp_path, "local", algo, **{k: v for k, v in changes.items() if k != "algo"}))
    with collector(2) as node:
        same(finish(remote(model, tmp_path, "remote", [node.url], **changes)), plainly)


def during(trainer: Trainer, harm: Callable[[], object]) -> Trainer:
    """The trainer after its run, in which `harm` is done once a second."""
    over = threading.Event()

    def harm_on() -> None:
        while not over.wait(1.0):
            harm()

    thread = threading.Thread(target=harm_on)
    thread.start()
    try:
        return finish(trainer)
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
def test_a_collector_that_is_killed_again_and_again_changes_no_bit(model: Path, local: Trainer, tmp_path: Path) -> None:
    with processes(2) as nodes:

        def harm() -> None:
            nodes[0].kill()
            nodes[0].start()

        same(during(remote(model, tmp_path, "killed", [node.url for node in nodes], algorithm=LEARNS), harm), local)


@pytest.mark.slow
def test_a_collector_with_a_browser_that_is_killed_changes_no_bit(model: Path, tmp_path: Path) -> None:
    changes = {
        "tasks": ("miniwob.click-button",),
        "machine": {"backend": "browser", "sessions": 2},
        "rollout": {"screenshots": 1},
        "algorithm": LEARNS,
    }
    reference = finish(start(model, tmp_path, "local", "reinforce", **changes))
    with processes(2, 1, "browser") as nodes:
        killed = []

        def harm() -> None:
            if not killed and time.monotonic() > begun + 8.0:
                killed.append(nodes[0].process.pid)
                nodes[0].kill()
                nodes[0].start()

        begun = time.monotonic()
        run = during(remote(model, tmp_path, "killed", [node.url for node in nodes], **changes), harm)
        assert killed
    same(run, reference)
    pictures = [sorted((x.relative_to(r.run.path), x.read_bytes()) for x in r.run.path.rglob("*.png")) for r in (run, reference)]
    assert pictures[0] == pictures[1] and pictures[0]


# --- the reader and the gateway ------------------------------------------------------------------------------------------


def test_a_reader_goes_over_the_network_as_data(model: Path) -> None:
    source = PolicyModel.load(model)
    packed = Reader.of(source).packed()
    assert packed == Reader.of(PolicyModel.load(model)).packed() and len(name_of(packed)) == 32
    found = Reader.unpacked(packed)
    text = "goal: click on the ok button.\npage:\nbutton ok #0\ndo:"
    assert found.tokenizer(text)["input_ids"] == source.tokenizer(text)["input_ids"] and found.prompts == source.prompts
    with pytest.raises(UsageError, match="outside of its folder"):
        Reader.unpacked(b'{"files": {"../x": ""}, "prompts": {}, "ends": [], "context": 1}')
    with pytest.raises(UsageError, match="no tokenizer that can be read"):
        Reader.unpacked(b"[]")


def test_a_gateway_gives_exact_completions_of_its_own_version_only(model: Path) -> None:
    source = PolicyModel.load(model)
    sampling = Sampling(max_tokens=8)
    with Gateway(LocalSampler(source.model, source.tokenizer), source, "127.0.0.1:0", version=0) as gateway:
        gateway.set_weights(source.model, 4)
        expected = gateway.submit([5, 6, 7], 3, sampling).result()

        async def asked(version: int, tokens: int = 8):
            try:
                return await RemoteSampler(gateway.url, version).generate([5, 6, 7], 3, Sampling(max_tokens=tokens))
            finally:
                await remote_policy.client_of(gateway.url).close()
                remote_policy._clients.clear()

        found = loop_thread().run(asked(4))
        assert (found.ids, found.logprobs, found.text) == (expected.ids, expected.logprobs, expected.text) and found.version == 4
        with pytest.raises(PolicyFault, match="the weights are of version 4 now, version 3 was asked for"):
            loop_thread().run(asked(3))
        with pytest.raises(UsageError, match="max_tokens"):
            loop_thread().run(asked(4, tokens=0))


def test_a_completion_that_nobody_waits_for_any_more_is_cancelled(model: Path) -> None:
    """Else it would go on while the weights change."""
    source, asked, patience = PolicyModel.load(model), [], 20.0

    class Endless(LocalSampler):
        def submit(self, prompt_ids: Sequence[int], seed: int, sampling: Sampling, key: str = "") -> "Future[Generated]":
            asked.append(Future())
            return asked[-1]

    with Gateway(Endless(source.model, source.tokenizer), source, "127.0.0.1:0", version=0) as gateway:
        question = Question(prompt_ids=(5, 6), seed=3, sampling=Sampling(), key="", version=0).model_dump_json().encode()
        with closing(HTTPConnection(gateway.url.partition("//")[2], timeout=patience)) as client:
            client.request("POST", "/generate", question, {"content-type": "application/json"})
            until = time.monotonic() + patience
            while not asked and time.monotonic() < until:
                time.sleep(0.01)
            assert asked and not asked[0].cancelled()
        while not asked[0].cancelled() and time.monotonic() < until:
            time.sleep(0.01)
        assert asked[0].cancelled()


def test_what_cannot_work_is_said_before_the_run(model: Path) -> None:
    def wrong(**settings: object):
        return resolve({"executor": {"kind": "http", **settings}})

    with pytest.raises(ConfigError, match=r"needs executor\.nodes"):
        wrong()
    with pytest.raises(ConfigError, match="cannot reach a gateway at"):
        wrong(nodes=["http://10.0.0.2:8400"])
    assert wrong(nodes=["http://10.0.0.2:8400"], gateway="10.0.0.1:8500")[0].executor.kind == "http"
    with pytest.raises(ConfigError, match="expected the address of a collector"):
        wrong(nodes=["10.0.0.2"])


def test_a_token_on_one_side_only_is_one_sentence(model: Path, tmp_path: Path) -> None:
    with processes(1, token="secret") as nodes, pytest.raises(UsageError, match="set WEBGYM_TOKEN to the same secret"):
        finish(remote(model, tmp_path, "run", [nodes[0].url]))
    assert isinstance(nodes[0], CollectorProcess)
