"""Settings with which no collector could ask the gateway are refused before anything starts, in a sentence that says what to set."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from trainers.rollouts.executor_settings import ExecutorConfig
from webgym.errors import ConfigError
from webgym.nodes import executor
from webgym.nodes.executor import HttpExecutor

HERE, AWAY = "http://127.0.0.1:8400", "http://10.0.0.2:8400"

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "every address": ({"nodes": [AWAY], "gateway": "0.0.0.0:8500"}, r"set executor\.gateway_url=http://THIS_HOST:8500 too"),
    "every address of IPv6": ({"nodes": [HERE], "gateway": "[::]:8500"}, r"names none that collectors can ask"),
    "every address, with Ray": ({"kind": "ray", "gateway": "0.0.0.0:8500"}, r"names none that collectors can ask"),
    "every address as a URL": ({"nodes": [AWAY], "gateway_url": "http://0.0.0.0:8500"}, "stands for every address of a machine"),
    "no URL": ({"nodes": [AWAY], "gateway_url": "10.0.0.1"}, "gateway_url: expected http://HOST:PORT"),
    "loopback": ({"nodes": [HERE, AWAY]}, r"the collector http://10\.0\.0\.2:8400 cannot reach a gateway at 127\.0\.0\.1:0"),
    "loopback of IPv6": ({"nodes": [AWAY], "gateway": "[::1]:0"}, "cannot reach a gateway"),
    "a name that only begins so": ({"nodes": ["http://localhost.example:8400"]}, "cannot reach a gateway"),
}
ACCEPTED: dict[str, dict[str, Any]] = {
    "loopback": {"nodes": [HERE, "http://localhost:8401", "[::1]:8402"]},
    "a host": {"nodes": [AWAY], "gateway": "10.0.0.1:8500"},
    "every address and a URL": {"nodes": [AWAY], "gateway": "0.0.0.0:8500", "gateway_url": "http://10.0.0.1:8500"},
    "the end of a tunnel": {"nodes": [AWAY], "gateway_url": "http://127.0.0.1:8500"},
    "Ray on this machine": {"kind": "ray"},
    "no collectors": {"kind": "local", "gateway": "0.0.0.0:8500"},
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_gateway_that_no_collector_can_ask_is_refused(case: str) -> None:
    settings, words = REFUSED[case]
    with pytest.raises(ValidationError, match=words):
        ExecutorConfig(**{"kind": "http"} | settings)


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_gateway_that_collectors_can_ask_is_not(case: str) -> None:
    ExecutorConfig(**{"kind": "http"} | ACCEPTED[case])


def test_the_file_of_addresses_is_held_to_the_same_at_first_and_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "FILE_S", 0.0)
    file = tmp_path / "nodes.txt"
    file.write_text(f"# ours\n{AWAY}\n", "utf-8")
    settings = ExecutorConfig(kind="http", nodes_file=str(file))
    words = r"nodes\.txt: the collector http://10\.0\.0\.2:8400 cannot reach a gateway at 127\.0\.0\.1:0: set executor\.gateway"
    with pytest.raises(ConfigError, match=words):
        HttpExecutor(settings.nodes, file=settings.file, backend="text")
    file.write_text(f"{HERE}\n{HERE}\n", "utf-8")
    with HttpExecutor(settings.nodes, file=settings.file, backend="text") as nodes:
        assert nodes._wanted() == (HERE,)
        file.write_text(f"{HERE}\n{AWAY}\n", "utf-8")
        assert nodes._wanted() == (HERE,), "the change is refused"
        file.write_text("http://127.0.0.1:8401\n", "utf-8")
        assert nodes._wanted() == ("http://127.0.0.1:8401",)
    open_ones = ExecutorConfig(kind="http", nodes_file=str(file), gateway="10.0.0.1:8500")
    file.write_text(AWAY, "utf-8")
    with HttpExecutor(open_ones.nodes, file=open_ones.file, backend="text") as nodes:
        assert nodes._wanted() == (AWAY,)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="expected a file with the address of a collector on each line"):
        HttpExecutor(file=file, backend="text")
