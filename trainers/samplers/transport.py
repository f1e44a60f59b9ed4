"""One way for new weights to reach generation servers, and what was published over it."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol

from torch import nn
from transformers import PreTrainedModel

from webgym.policies.openai_client import OpenAIClient


@dataclass(frozen=True, slots=True)
class Published:
    """Weights that servers are to load: their version, their folder if they have one, and the name by which a request asks for them.

    `assumed` ones were not published: a server was taken to hold them when it was found.
    """

    version: int
    path: str
    model: str
    assumed: bool = False

    @property
    def name(self) -> str:
        """The version as servers say it."""
        return f"v{self.version}"


class Transport(Protocol):
    """One way to publish weights. `named` is true where a request for a version cannot be answered by another one."""

    named: bool

    @abstractmethod
    def write(self, plain: PreTrainedModel, adapted: nn.Module | None, version: int) -> Published:
        """The weights, ready for servers: a model with its adapter added in, or the model with its adapter beside it, where it is at hand.

        Raises UsageError where they cannot go this way or the disk fails.
        """
        ...

    @abstractmethod
    async def load(self, client: OpenAIClient, published: Published) -> None:
        """Have a server use them. Raises UsageError, PolicyFault."""
        ...

    @abstractmethod
    async def unload(self, client: OpenAIClient, published: Published) -> None:
        """Have a server forget them. Raises UsageError, PolicyFault."""
        ...

    @abstractmethod
    async def version(self, client: OpenAIClient, published: Published) -> str | None:
        """The version of the weights that a server holds; None where it does not say. Raises UsageError, PolicyFault."""
        ...

    def release(self, client: OpenAIClient) -> None:
        """End what is open to a server that was lost or is not needed any more. Nothing, unless a transport keeps something open."""
