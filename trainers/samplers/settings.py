"""Where completions are generated: the settings of samplers."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from webgym.policies.openai_client import Logprobs

Reload = Literal["vllm", "sglang"]


class SamplerConfig(BaseModel):
    """Where completions are generated."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["local", "batched", "openai"] = "local"
    """local: in this process, on the CPU bit for bit the same in any company; batched: in this process for throughput, which is what
    local means on a GPU; openai: on a server that gives token ids and log-probabilities."""
    slots: int = Field(default=8, ge=1)
    """local, batched: completions that are decoded together, on a GPU best as many as there are sessions."""
    base_url: str = ""
    """openai: the server's address, such as http://127.0.0.1:8000/v1; else OPENAI_BASE_URL. The key is OPENAI_API_KEY."""
    model: str = ""
    """openai: the model's name on the server."""
    reload: Reload = "vllm"
    """openai: whose call makes the server load new weights."""
    logprobs: Logprobs = "raw"
    """openai: what the server's log-probabilities are of (see above)."""
