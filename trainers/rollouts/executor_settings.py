"""The settings of a run's executor: who plays its episodes."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from webgym.errors import ConfigError
from webgym.nodes import wire
from webgym.nodes.nodes_file import NodesFile


class ExecutorConfig(BaseModel):
    """The executor that plays episodes."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["local", "http", "ray"] = "local"
    """local: in this process, on machine.sessions sessions; http: on collectors (`webgym collector --listen`), here or on other machines,
    which ask this process for completions; ray: on collectors that Ray starts. Trajectories are the same."""
    nodes: tuple[str, ...] = ()
    """http: addresses of collectors, such as http://10.0.0.2:8400."""
    nodes_file: str = ""
    """http: file with the address of a collector on each line. It is read again while the run goes on, so that nodes join and leave."""
    collectors: int = Field(default=2, ge=1)
    """ray: number of collectors, each with machine.sessions sessions."""
    address: str = ""
    """ray: address of a Ray cluster, such as auto; without it, a Ray of this process is started on this machine."""
    cpus: float = Field(default=1.0, gt=0)
    """ray: processors that Ray keeps free for each collector."""
    labels: dict[str, str] = {}
    """ray: labels of the machines that may have collectors; without them, collectors are spread over all."""
    gateway: str = "127.0.0.1:0"
    """http, ray: HOST:PORT at which collectors ask for completions (port 0: a free one). A host that others reach needs WEBGYM_TOKEN."""
    gateway_url: str = ""
    """http, ray: the gateway's address as collectors see it, where that is another one than `gateway`."""
    silence_s: float = Field(default=30.0, gt=1.0)
    """http, ray: seconds without a word after which a collector is taken for lost. One that is well speaks every second."""
    episode_s: float = Field(default=3600.0, gt=0)
    """http, ray: longest time of one episode; then another collector plays it."""
    wait_s: float = Field(default=120.0, gt=0)
    """http, ray: longest time without any collector; then the run stops."""

    @model_validator(mode="after")
    def _reachable(self) -> "ExecutorConfig":
        if self.kind == "local":
            return self
        self._check_gateway()
        if self.kind == "ray":
            return self
        if not self.nodes and not self.nodes_file:
            raise ValueError(
                "kind=http needs executor.nodes or executor.nodes_file: start collectors with `webgym collector --listen HOST:PORT`"
            )
        away = [address for address in map(wire.address, self.nodes) if not wire.is_here(address)]
        if away and self._away_cannot:
            raise ValueError(f"the collector {away[0]} {self._away_cannot}")
        return self

    def _check_gateway(self) -> None:
        """Raises ValueError for a gateway that no collector can ask, on whatever machine it is."""
        if self.gateway_url:
            try:
                url = wire.address(self.gateway_url)
            except ConfigError as error:
                raise ValueError(
                    f"gateway_url: expected http://HOST:PORT such as http://10.0.0.1:8500, got {self.gateway_url!r}"
                ) from error
            if wire.is_every(urlsplit(url).hostname or ""):
                raise ValueError(f"gateway_url: {self.gateway_url} stands for every address of a machine: set http://THIS_HOST:PORT")
        elif wire.is_every(wire.host_of(self.gateway)):
            port = self.gateway.rpartition(":")[2]
            raise ValueError(
                f"gateway={self.gateway} listens at every address and names none that collectors can ask: set "
                f"executor.gateway_url=http://THIS_HOST:{port} too, or executor.gateway=THIS_HOST:{port}"
            )

    @property
    def _away_cannot(self) -> str:
        """Things that collectors on other machines cannot do, and how to mend it; "" where they can do all."""
        if self.gateway_url or wire.host_of(self.gateway) not in wire.LOOPBACK:
            return ""
        return f"cannot reach a gateway at {self.gateway}: set executor.gateway=THIS_HOST:PORT"

    @property
    def file(self) -> NodesFile | None:
        """The file of addresses, if there is one; it is read when the run begins, and again when it changes."""
        return NodesFile(Path(self.nodes_file), self._away_cannot) if self.nodes_file else None
