"""The settings of samplers in a training run's configuration."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from trainers.runs.run_folder import PASSWORD
from webgym.policies.openai_client import Logprobs

Reload = Literal["vllm", "sglang"]

Several = Annotated[tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
"""Names; one by itself is a list of one."""


class SamplerConfig(BaseModel):
    """The sampler that generates completions. A key that is not set has the default of the sampler's own Config."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: str = "local"
    """Name of a file in trainers/samplers/ or of an installed sampler, or the path of a file (./mine.py). local: in this process, on
    the CPU bit for bit the same in any batch; batched: in this process for throughput, which is what local means on a GPU; openai: on
    a server that gives token ids and log-probabilities."""
    slots: int | None = Field(default=None, ge=1)
    """local, batched: completions that are decoded together, on a GPU best as many as there are sessions."""
    base_url: str | None = None
    """openai: the server's address, such as http://127.0.0.1:8000/v1; else OPENAI_BASE_URL. The key is OPENAI_API_KEY."""
    model: str | None = None
    """openai: the model's name on the server."""
    reload: Reload | None = None
    """openai: the server's call that loads new weights."""
    logprobs: Logprobs | None = None
    """openai: the distribution that the server's log-probabilities are of (see trainers/samplers/openai.py)."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The sampler's own keys beyond these, such as {"port": 9000}; `sampler.port` is short for `sampler.options.port`."""

    @model_validator(mode="before")
    @classmethod
    def _own_keys(cls, data: object) -> object:
        """Keys that are not of this class go to the options, where the sampler's Config judges them."""
        if not isinstance(data, Mapping):
            return data
        own = {key: value for key, value in data.items() if key not in cls.model_fields}
        options = data.get("options", {})
        if not own or not isinstance(options, Mapping):
            return data
        return {**{key: value for key, value in data.items() if key not in own}, "options": {**options, **own}}

    @model_validator(mode="after")
    def _no_secrets(self) -> "SamplerConfig":
        """The configuration is written into the run folder, and an address with a password with it."""
        for text in _texts([self.base_url, self.options]):
            if PASSWORD.search(text):
                raise ValueError("expected an address without a name and password, which would be written down: the key is OPENAI_API_KEY")
        return self


def _texts(value: object) -> Iterator[str]:
    """All texts in a setting."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


SHARED_KEYS = tuple(name for name in SamplerConfig.model_fields if name not in ("kind", "options"))
"""The keys of a sampler's Config that stand beside `kind` in the configuration; all others are options."""
