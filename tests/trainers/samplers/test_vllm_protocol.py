"""Our requests and our rendezvous, judged by vLLM's own code where `make vllm` has installed it."""

import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch.distributed

from tests.trainers.chat_model import chat_model, chat_tokenizer
from tests.trainers.samplers.generation_server import generation_servers
from trainers.samplers.openai import Config, OpenAISampler
from trainers.samplers.transfer_group import ID_KEY, listen, pickled_id

PYTHON = Path(__file__).parents[3] / ".venv-vllm/bin/python"

JUDGE = """
import json, sys
from dataclasses import asdict
from types import SimpleNamespace
from fastapi import FastAPI
from fastapi.testclient import TestClient
from vllm.distributed.device_communicators.pynccl_wrapper import ncclUniqueId
from vllm.distributed.utils import StatelessProcessGroup
from vllm.distributed.weight_transfer.nccl_common import NCCLWeightTransferInitInfo
from vllm.distributed.weight_transfer.nccl_engine import NCCLWeightTransferUpdateInfo
from vllm.entrypoints.rl.online.api_router import router

port, requests = int(sys.argv[1]), json.loads(sys.argv[2])
read = StatelessProcessGroup.create("127.0.0.1", port, rank=1, world_size=2).broadcast_obj(None, src=0)
heard = []

class Engine:
    vllm_config = SimpleNamespace(parallel_config=SimpleNamespace(world_size=2, world_size_across_dp=4))
    def __getattr__(self, name):
        async def call(*arguments, **options):
            heard.append([name, [getattr(x, "init_info", getattr(x, "update_info", x)) for x in arguments]])
            return "v5"
        return call

app = FastAPI()
app.include_router(router)
app.state.engine_client = Engine()
statuses = []
with TestClient(app) as client:
    for method, path, body in requests:
        answer = client.request(method, path, json=body)
        statuses.append([path, answer.status_code, answer.json()])
inits = [asdict(NCCLWeightTransferInitInfo(**body["init_info"])) for _, path, body in requests if path.startswith("/init")]
updates = [asdict(NCCLWeightTransferUpdateInfo(**body["update_info"])) for _, path, body in requests if path == "/update_weights"]
print(json.dumps({"id": bytes(read).hex() if isinstance(read, ncclUniqueId) else repr(read), "statuses": statuses, "heard": heard,
                  "inits": inits, "updates": updates}))
"""


def requests_of(folder: Path, transport: str) -> list[tuple[str, str, Any]]:
    """What a server is asked beside the protocol when new weights are published."""
    with generation_servers(1) as ((_, served),):
        config = Config(base_url=served.url, model="m", transport=transport)  # type: ignore[arg-type]
        with OpenAISampler(config, chat_model(1), chat_tokenizer(), folder) as sampler:
            sampler.set_weights(chat_model(1), 5)
        return [(x.method, x.path, x.body) for x in served.asked if not x.path.startswith("/v1/")]


@pytest.mark.skipif(not PYTHON.exists(), reason="no vLLM: make vllm installs one")
def test_vllm_reads_our_requests_and_our_id(tmp_path: Path) -> None:
    by_memory = requests_of(tmp_path, "nccl")
    asked = [*by_memory, *(x for x in requests_of(tmp_path, "file") if x[1] not in ("/collective_rpc", "/reset_prefix_cache"))]
    asked = [x for x in asked if x[1] != "/reset_prefix_cache"]  # of another router
    made = bytes(range(50, 178))
    listening = listen("127.0.0.1")
    port = listening.getsockname()[1]
    process = subprocess.Popen([PYTHON, "-c", JUDGE, str(port), json.dumps(asked)], stdout=subprocess.PIPE, text=True)
    try:
        dist: Any = torch.distributed  # as a trainer with a GPU meets its workers
        store = dist.TCPStore("127.0.0.1", port, 2, True, timedelta(seconds=150), master_listen_fd=listening.detach(), use_libuv=False)
        store.set(ID_KEY, pickled_id(made))
        output, _ = process.communicate(timeout=160)
    finally:
        process.kill()
        process.wait()
    found = json.loads(output.splitlines()[-1])
    assert found["id"] == made.hex()
    assert {status for _, status, _ in found["statuses"]} == {200}, found["statuses"]
    answers = {path: answer for path, _, answer in found["statuses"]}
    assert answers["/get_world_size"] == {"world_size": 4}, "over all parallel dimensions"
    assert answers["/weight_info"] == {"weight_version": "v5"}
    (init,), updates = found["inits"], found["updates"]
    assert (init["rank_offset"], init["world_size"], init["packed"], init["packed_buffer_size_bytes"]) == (1, 2, True, 256 * 2**20)
    assert sorted(name for update in updates for name in update["names"]) == sorted(dict(chat_model().named_parameters()))
    heard = {name: arguments for name, arguments in found["heard"]}
    assert heard["finish_weight_update"] == ["v5"] and heard["update_weight_version"] == ["v5"]
    assert heard["pause_generation"] == []
