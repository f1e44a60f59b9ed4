"""Checks of a server's answers: those that cannot be right, and a distribution that is not the model's.

An answer that cannot be right (ids out of the vocabulary, a log-probability above 0, no end token behind a finished text, ids that spell
another text) is refused at once, because training on it spoils the model and says nothing. What answers say of the request itself (model,
prompt, counts) is compared by :meth:`webgym.policies.openai_client.OpenAIClient.complete`.

Whether the server has the weights that it was told to load, and gives log-probabilities of what it samples from, is tried by a short
completion (:class:`Probe`): the same model in this process must give its tokens about the same log-probabilities, before and after new
weights. So must the learner, for the tokens of each iteration (:func:`check_drift`). Log-probabilities of exactly 0 are left to these
two: a model that is sure of all tokens of a short action has them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from tokenizers.decoders import DecodeStream
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from trainers.batches.packing import pack
from trainers.batches.rows import Row, Span
from trainers.models.model import logits_of, packed_hidden
from webgym.errors import PolicyFault, UsageError
from webgym.policies.openai_answers import wrong_logprobs
from webgym.policies.openai_client import Reply
from webgym.types import Sampling

MOST_DRIFT = 0.2
"""Mean distance in nats a token beyond which a server samples from another distribution. 16-bit arithmetic makes some 0.01."""
UNLIKELY = math.log(1e6)
"""A server whose tokens come by chance less than once in so many runs samples from another distribution than it says."""
LEAST_TOKENS = 16
"""Tokens from which on their mean distance is judged: a rare one alone is more than MOST_DRIFT off in 16 bits."""


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
    return (
        _wrong_ids(reply, sampling, vocabulary)
        or wrong_logprobs(reply.logprobs)
        or _wrong_end(reply, sampling, ends)
        or _wrong_pads(reply, ends, cast(int | None, cast(Any, tokenizer).pad_token_id))
        or _wrong_text(reply, ends, tokenizer)
        or _wrong_pieces(reply, tokenizer)
    )


def _wrong_ids(reply: Reply, sampling: Sampling, vocabulary: int) -> str:
    if not reply.ids:
        return "no token at all: expected at least the end token"
    if strange := [i for i in reply.ids if not 0 <= i < vocabulary]:
        return f"the token id {strange[0]}: expected 0 to {vocabulary - 1}, the ids of the model's vocabulary"
    if len(reply.ids) > sampling.max_tokens:
        return f"{len(reply.ids)} tokens: expected at most max_tokens, which is {sampling.max_tokens}"
    return ""


def _wrong_end(reply: Reply, sampling: Sampling, ends: frozenset[int]) -> str:
    """An end token that is also the last of max_tokens is "stop" or "length": vLLM and SGLang have counted before they look at it."""
    said, ended, count = f"finish_reason {reply.finish or 'null'}", reply.ids[-1] in ends, len(reply.ids)
    if early := [i for i in reply.ids[:-1] if i in ends]:
        return f"more tokens behind the end token {early[0]}: expected a server that stops there (stop_token_ids)"
    if reply.finish == "stop" and not ended:
        return f"a finished text whose last token id is {reply.ids[-1]}: expected the end token among the ids ({_listed(ends)})"
    if count == sampling.max_tokens or (ended and reply.finish != "length"):
        return ""
    if ended:
        return f"the end token {reply.ids[-1]} after {count} of {sampling.max_tokens} tokens with {said}: expected finish_reason stop"
    return (
        f"a text that is cut after {count} of {sampling.max_tokens} tokens ({said}): expected an end token ({_listed(ends)}) or max_tokens "
        "from a server with no lower limit of its own (such as max_new_tokens in its generation_config.json)"
    )


def _listed(ends: frozenset[int]) -> str:
    return " or ".join(map(str, sorted(ends)))


def _wrong_pads(reply: Reply, ends: frozenset[int], pad: int | None) -> str:
    """A model may sample one pad token, above all an untrained one, but no answer of several and nothing else."""
    written = [i for i in reply.ids if i not in ends]
    if len(written) > 1 and all(i == pad for i in written):
        return f"{len(written)} pad tokens ({pad}) and no text: expected the tokens that it sampled"
    return ""


def _wrong_text(reply: Reply, ends: frozenset[int], tokenizer: PreTrainedTokenizerBase) -> str:
    marks = _marks(reply.text)
    if any(marks == _marks(text) for text in _spellings(reply.ids, ends, tokenizer)):
        return ""
    spelled = next(_spellings(reply.ids, ends, tokenizer))
    return f"token ids that spell {spelled[:60]!r} beside the text {reply.text[:60]!r}: expected the text's own ids"


def _wrong_pieces(reply: Reply, tokenizer: PreTrainedTokenizerBase) -> str:
    """Pieces are taken as they come where they, or the token, are a part of a character: servers write them in different ways."""
    for i, piece in zip(reply.ids, reply.pieces, strict=False):
        texts = [*_texts([i], tokenizer), str(tokenizer.convert_ids_to_tokens(i))]
        whole = _marks(piece) and not any("\ufffd" in text for text in (piece, *texts))
        if whole and all(_marks(text) not in ("", _marks(piece)) for text in texts[1:]):
            return f"the log-probability of the token {piece[:60]!r} beside the id {i} of {texts[1][:60]!r}: expected those of its ids"
    return ""


def _spellings(ids: Sequence[int], ends: frozenset[int], tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """The texts as which a server may write the ids: at once or token by token, with the special tokens and the end or without."""
    for some in (ids, ids[:-1]) if ids[-1] in ends else (ids,):
        yield from _texts(some, tokenizer)
        yield from (_streamed(some, tokenizer, skip) for skip in (True, False))


def _texts(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The text of the ids without special tokens and with them."""
    return [str(tokenizer.decode(list(ids), skip_special_tokens=skip)) for skip in (True, False)]


def _streamed(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase, skip: bool) -> str:
    """The text as vLLM writes it, token by token: it lacks letters where a token changes what stood before, as webgym-tiny's `⌁▁` do."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return str(tokenizer.decode(list(ids), skip_special_tokens=skip))
    stream, written = DecodeStream(skip_special_tokens=skip), ""
    for i in ids:
        try:
            written += stream.step(backend, i) or ""
        except Exception:  # an invalid prefix, which the library raises as no narrower class: vLLM begins anew there
            stream = DecodeStream(skip_special_tokens=skip)
            written += stream.step(backend, i) or ""
    return written


def _marks(text: str) -> str:
    """All but spaces, and characters that are cut: servers differ in these."""
    return "".join(c for c in text if not c.isspace() and c != "\ufffd")


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
    """Raises UsageError, with the figure, where tokens were not sampled at the temperature asked for, or from a cut distribution, or where
    all seeds give one answer that is too unlikely for that.

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
    if len({probe.reply.ids for probe in probes}) == 1 and -sum(sum(probe.expected) for probe in probes[1:]) > UNLIKELY:
        raise UsageError(
            f"{where} gives the same answer to {len(probes)} seeds: expected a sample of its own for each; perhaps a cache answers in its "
            "place, or it ignores the seed of a request"
        )


def check_probe(probe: Probe, where: str) -> None:
    """Raises UsageError, with the figure, where the server samples from another distribution than the model's."""
    if probe.drift > MOST_DRIFT:
        raise UsageError(
            f"{where} and the learner disagree by {probe.drift:.2f} nats a token (most is {MOST_DRIFT:g}): expected a server that has "
            "the weights that were published, samples without changing the distribution, and gives the log-probabilities of what it "
            "samples from (sampler.logprobs)"
        )


def check_drift(apart: Sequence[float], where: str) -> None:
    """Raises UsageError, with the figure, where the learner gives the tokens that its very weights sampled other log-probabilities.

    `apart` are the distances of the tokens of an iteration, in nats. They stay far below the bound of a probe in 16 bits.
    """
    drift = sum(apart) / max(1, len(apart))
    if len(apart) >= LEAST_TOKENS and not drift <= MOST_DRIFT:
        raise UsageError(
            f"{where} and the learner disagree by {drift:.2f} nats a token over {len(apart):,} tokens of this iteration (most is "
            f"{MOST_DRIFT:g}), which were not learned from: expected log-probabilities of the distribution that is sampled from "
            "(sampler.logprobs), by the weights that were published last"
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
