"""Checks of a server's answers: those that cannot be right, and a distribution that is not the model's.

An answer that cannot be right (ids out of the vocabulary, a log-probability above 0, no end token behind a finished text) is refused at
once, because training on it spoils the model and says nothing. Whether the server has the weights that it was told to load, and gives
log-probabilities of what it samples from, is tried by a short completion (:class:`Probe`): the same model in this process must give its
tokens about the same log-probabilities, before and after new weights.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from tokenizers.decoders import DecodeStream
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from trainers.batches.packing import pack
from trainers.batches.rows import Row, Span
from trainers.models.model import logits_of, packed_hidden
from webgym.errors import PolicyFault, UsageError
from webgym.policies.openai_client import Reply
from webgym.types import Sampling

LEAST_LOGPROB = -100.0
"""A token of e⁻¹⁰⁰ is never sampled; vLLM writes −9999 for the logarithm of 0."""
MOST_DRIFT = 0.2
"""Mean distance in nats a token beyond which a server samples from another distribution. 16-bit arithmetic makes some 0.01."""
UNLIKELY = math.log(1e6)
"""A server whose tokens come by chance less than once in so many runs samples from another distribution than it says."""
TOLERANCE = 1e-3  # of a log-probability of 0, in a server's 16 bits


def check(reply: Reply, sampling: Sampling, vocabulary: int, ends: frozenset[int], tokenizer: PreTrainedTokenizerBase, where: str) -> None:
    """Raises UsageError for an answer that cannot be right, PolicyFault for one that the server broke off.

    `vocabulary` is how many tokens the model has, `where` the server.
    """
    if reply.finish not in ("", "stop", "length"):
        raise PolicyFault(f"{where} broke an answer off (finish_reason {reply.finish!r})")
    if wrong := _wrong(reply, sampling, vocabulary, ends, tokenizer):
        raise UsageError(f"{where} gave an answer that cannot be right, {wrong}; nothing can be learned from this server")


def _wrong(reply: Reply, sampling: Sampling, vocabulary: int, ends: frozenset[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """The reason why the answer cannot be right, or ""."""
    if not reply.ids:
        return "no token at all: expected at least the end token"
    if strange := [i for i in reply.ids if not 0 <= i < vocabulary]:
        return f"the token id {strange[0]}: expected 0 to {vocabulary - 1}, the ids of the model's vocabulary"
    if len(reply.ids) > sampling.max_tokens:
        return f"{len(reply.ids)} tokens: expected at most max_tokens, which is {sampling.max_tokens}"
    if nonsense := [p for p in reply.logprobs if not math.isfinite(p) or p > TOLERANCE]:
        return f"the log-probability {nonsense[0]:g}: expected a number of at most 0"
    if never := [p for p in reply.logprobs if p < LEAST_LOGPROB]:
        return f"the log-probability {never[0]:g} of a token that it sampled: expected the distribution that is sampled from"
    if reply.finish == "stop" and reply.ids[-1] not in ends:
        return f"a finished text whose last token id is {reply.ids[-1]}: expected the end token among the ids ({_listed(ends)})"
    if early := [i for i in reply.ids[:-1] if i in ends]:
        return f"more tokens behind the end token {early[0]}: expected a server that stops there (stop_token_ids)"
    letters = _letters(reply.text)
    if not (
        any(letters == _letters(text) for text in _texts(reply.ids, tokenizer)) or letters == _letters(_streamed(reply.ids, tokenizer))
    ):
        spelled = _texts(reply.ids, tokenizer)[0]
        return f"token ids that spell {spelled[:60]!r} beside the text {reply.text[:60]!r}: expected the text's own ids"
    return ""


def _listed(ends: frozenset[int]) -> str:
    return " or ".join(map(str, sorted(ends)))


def _texts(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The text of the ids with and without special tokens."""
    return [str(tokenizer.decode(list(ids), skip_special_tokens=skip)) for skip in (True, False)]


def _streamed(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """The text as vLLM writes it, token by token: it lacks letters where a token changes what stood before, as webgym-tiny's `⌁▁` do."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return ""
    stream = DecodeStream(skip_special_tokens=True)
    try:
        return "".join(stream.step(backend, i) or "" for i in ids)
    except Exception:  # an invalid prefix, which the library raises as no narrower class
        return ""


def _letters(text: str) -> str:
    """Letters and digits alone: servers differ in spaces, and in characters that are cut."""
    return "".join(c for c in text if c.isalnum() and c != "\ufffd")


@dataclass(frozen=True)
class Probe:
    """A completion of the server, with what the model in this process says of its tokens: their log-probabilities, and mean and variance of
    those of all tokens that could have been sampled in their places.
    """

    reply: Reply
    expected: tuple[float, ...]
    means: tuple[float, ...] = ()
    variances: tuple[float, ...] = ()

    @classmethod
    def of(cls, reply: Reply, prompt: Sequence[int], model: Any, temperature: float) -> "Probe":
        table = _table(model, prompt, reply.ids, temperature)
        chances, expected = table.exp(), table.gather(1, torch.tensor(reply.ids, device=table.device)[:, None])[:, 0]
        seen = torch.where(chances > 0, table, 0.0)  # 0 · ∞ is 0 here
        means = (chances * seen).sum(1)
        variances = (chances * seen.square()).sum(1) - means.square()
        return cls(reply, *(tuple(x.tolist()) for x in (expected, means, variances)))

    @property
    def drift(self) -> float:
        """Mean distance between the server's log-probabilities and the model's, in nats a token."""
        apart = [abs(one - other) for one, other in zip(self.reply.logprobs, self.expected, strict=True)]
        return sum(apart) / max(1, len(apart))


@torch.no_grad()
def scored(model: Any, prompt: Sequence[int], ids: Sequence[int], temperature: float) -> tuple[float, ...]:
    """log π(id) of each id behind the prompt, by the model in this process."""
    table = _table(model, prompt, ids, temperature)
    return tuple(table.gather(1, torch.tensor(list(ids), device=table.device)[:, None])[:, 0].tolist())


@torch.no_grad()
def _table(model: Any, prompt: Sequence[int], ids: Sequence[int], temperature: float) -> Float[Tensor, "ids vocabulary"]:
    """log π of every token in the place of each id."""
    row = Row(0, 0, (*prompt, *ids), (Span(0, len(prompt) - 1, len(prompt), len(prompt) + len(ids), 0),))
    batch = pack([row], len(row))[0].to(model.device)
    return torch.log_softmax(logits_of(model, packed_hidden(model, batch, batch.action_index)) / temperature, -1)


def check_sampled(probes: Sequence[Probe], where: str) -> None:
    """Raises UsageError, with the figure, where tokens were not sampled at the temperature asked for, or from a cut distribution.

    With x the distance of a token's log-probability from the mean of what could have been sampled, the sum S of the x has mean 0 and a
    known variance V, and P(S ≥ s) ≤ exp(−s² / 2(V + bs/3)) for x ≤ b (Bernstein's inequality).
    """
    apart = [p - mean for probe in probes for p, mean in zip(probe.expected, probe.means, strict=True)]
    total, variance = abs(sum(apart)), sum(sum(probe.variances) for probe in probes)
    largest = max([abs(x) for x in apart] + [abs(mean) for probe in probes for mean in probe.means], default=0.0)
    if total and total**2 / 2 > UNLIKELY * (variance + largest * total / 3):
        more = "likelier" if sum(apart) > 0 else "less likely"
        raise UsageError(
            f"{where} does not sample as it was asked to: {len(apart)} tokens are {total / len(apart):.2f} nats a token {more} than the "
            "model's at this temperature; expected a server that takes temperature, top_p, top_k, min_p and penalties from the request"
        )


def check_probe(probe: Probe, where: str) -> None:
    """Raises UsageError, with the figure, where the server samples from another distribution than the model's."""
    if probe.drift > MOST_DRIFT:
        raise UsageError(
            f"{where} and the learner disagree by {probe.drift:.2f} nats a token (most is {MOST_DRIFT:g}): expected a server that has "
            "the weights that were published, samples without changing the distribution, and gives the log-probabilities of what it "
            "samples from (sampler.logprobs)"
        )


def check_renewed(before: Probe, after: Probe, moved: Sequence[float], where: str) -> None:
    """Raises UsageError where a reload call changed nothing that new weights change.

    `moved` are the new log-probabilities of the tokens of `before`. Equal tokens at equal log-probabilities are the same weights, where the
    new ones give others.
    """
    if before.reply.ids != after.reply.ids:
        return
    seen = max(abs(a - b) for a, b in zip(before.reply.logprobs, after.reply.logprobs, strict=True))
    due = max(abs(a - b) for a, b in zip(before.expected, moved, strict=True))
    if due > 1e-3 and seen < due / 10:
        raise UsageError(
            f"{where} answered the call that loads new weights and still has the ones before: its log-probabilities moved by {seen:.1e} "
            f"where the new weights move them by {due:.1e}; expected a server that loads weights at run time (sampler.reload, and "
            "VLLM_SERVER_DEV_MODE=1 for vLLM)"
        )
