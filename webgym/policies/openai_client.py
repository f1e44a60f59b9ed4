"""A client of servers that speak the OpenAI protocol (vLLM, SGLang, llama.cpp, OpenAI ...): chat and token completions over HTTP.

:meth:`OpenAIClient.chat` is for policies that write text; it brings token ids and log-probabilities along where the server gives
them. :meth:`OpenAIClient.complete` is for samplers of trainers: token ids in, token ids and log-probabilities out, or an error.

What passes by itself (no connection, a time-out, 408, 409, 425, 429, any 5xx) is tried again with growing pauses, or after the
pause that the server names; then it is a PolicyFault. What the caller must mend (key, model, address, request) is a UsageError at once.
"""

import asyncio
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import httpx2
from pydantic import ValidationError

from webgym.errors import ConfigError, PolicyFault, UsageError, did_you_mean
from webgym.policies.openai_answers import Answer, Chat, Models, Text, of_another, uneven, wrong_logprobs
from webgym.types import Sampling, seed_from, well_formed

BASE_URL, API_KEY = "OPENAI_BASE_URL", "OPENAI_API_KEY"
PASSING = frozenset({408, 409, 425, 429})  # with all of 500 to 599: statuses that may be gone at the next try
REFUSING = frozenset({400, 413, 422})  # statuses of a request that is refused for what stands in it
MAX_SEED = 2**31
LONGEST_ANSWER = 64 << 20  # bytes; an answer of 100,000 tokens with their log-probabilities has a third of that


class RequestRefused(UsageError):
    """A server refused a request for what stands in it, such as a prompt that is longer than its model reads."""


Logprobs = Literal["raw", "processed"]
"""Distribution of a server's log-probabilities: the model's distribution at temperature 1 (`raw`; vLLM's and OpenAI's default), or the
one that was sampled from (`processed`; `vllm serve --logprobs-mode processed_logprobs`)."""


@dataclass(frozen=True, slots=True)
class Server:
    """Server: its address, its key (never shown), and the meaning of its log-probabilities. Raises ConfigError for a wrong address."""

    base_url: str  # with its path, which ends in /v1 as a rule
    key: str = field(default="", repr=False)
    logprobs: Logprobs = "raw"

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.base_url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and parts.port != 0
        except ValueError:  # a port that is no number, an IPv6 address that is not closed
            usable = False
        if not usable:
            raise ConfigError(f"expected a server's address such as http://127.0.0.1:8000/v1, got {self.shown!r}")
        if not (self.key.isascii() and self.key.isprintable()) or self.key != self.key.strip():
            raise ConfigError(f"the server's key holds characters that no key has (a line break, perhaps): look at {API_KEY}")
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))

    @property
    def shown(self) -> str:
        """The address for messages, without a user's name and password."""
        before, at, after = self.base_url.rpartition("@")
        return f"{before.partition('//')[0]}//***@{after}" if at and "//" in before else self.base_url

    @classmethod
    def from_environment(cls, base_url: str = "", environ: Mapping[str, str] | None = None, option: str = "give --base-url") -> "Server":
        """The server at `base_url`, else at OPENAI_BASE_URL, with the key in OPENAI_API_KEY.

        Raises ConfigError where none is named, with the `option` that names one.
        """
        environ = os.environ if environ is None else environ
        address = base_url or environ.get(BASE_URL, "")
        if not address:
            raise ConfigError(f"no server is named: {option}, or set {BASE_URL}, such as http://127.0.0.1:8000/v1")
        return cls(address, environ.get(API_KEY, ""))


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of a request: how long it may take, and how often and after which pauses it is tried again.

    Pauses double from `base_s` to `cap_s`; no try begins that could end later than `give_up_s` after the first began.
    """

    tries: int = 6
    timeout_s: float = 300.0
    give_up_s: float = 540.0  # below the collector's deadline for a policy, so that the error says what was wrong
    base_s: float = 0.5
    cap_s: float = 30.0

    def pause_s(self, tried: int, jitter: float, asked_s: float | None = None) -> float:
        """Seconds to wait after `tried` tries; `jitter` in [0, 1) spreads the requests of many sessions.

        >>> [Patience().pause_s(tried, 1.0) for tried in (1, 2, 3, 9)]
        [0.5, 1.0, 2.0, 30.0]
        >>> Patience().pause_s(1, 0.0), Patience().pause_s(1, 0.0, asked_s=7)
        (0.25, 7.0)
        """
        if asked_s is not None:
            return asked_s + jitter * self.base_s
        return min(self.cap_s, self.base_s * 2 ** (tried - 1)) * (1 + jitter) / 2


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer of a server. `reasoning` was split off before the text. `finish` is "stop", or "length" where the text was cut. `call` is
    the first tool call, as the JSON object that the `json` dialect reads; "" where the model called no tool.

    Where the server gives token ids: `prompt_ids` are those that the model read, `ids` those that were sampled, the end token
    included. `logprobs` are one per sampled id, of the full distribution at the sampling temperature; empty where the server's
    are of another one (see :func:`usable_logprobs`). `pieces` are the texts that the server gives beside the log-probabilities, one per
    sampled id; empty where it gives none.
    """

    text: str
    reasoning: str = ""
    finish: str = ""
    prompt_ids: tuple[int, ...] = ()
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    call: str = ""
    pieces: tuple[str, ...] = ()


JSON_HEADERS = {"content-type": "application/json"}


def _encoded(body: Mapping[str, Any] | None) -> bytes | None:
    """The body of a request; a lone surrogate, which a page or an agent can write, becomes U+FFFD."""
    return None if body is None else well_formed(json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)).encode()


def usable_logprobs(sampling: Sampling, meaning: Logprobs) -> bool:
    """True if a server's log-probabilities are those of the full distribution at the sampling temperature.

    >>> usable_logprobs(Sampling(temperature=0.7), "raw"), usable_logprobs(Sampling(temperature=0.7), "processed")
    (False, True)
    >>> usable_logprobs(Sampling(top_p=0.9), "raw"), usable_logprobs(Sampling(top_p=0.9), "processed")
    (True, False)
    """
    return sampling.temperature == 1.0 if meaning == "raw" else not sampling.truncated_support


A = TypeVar("A", bound=Answer)


# --- the client --------------------------------------------------------------------------------------------------------------


class OpenAIClient:
    """Requests to one server, any number at once, over connections that stay open. An async context manager; one event loop each.

    >>> async def ask():
    ...     async with OpenAIClient(Server.from_environment()) as client:
    ...         return await client.chat("my-model", [{"role": "user", "content": "Hello"}], Sampling(), seed=0)
    """

    def __init__(self, server: Server, patience: Patience = Patience(), extra: Mapping[str, Any] | None = None) -> None:
        """`extra` fields go into each request of :meth:`complete`."""
        self.server = server
        self.patience = patience
        self._extra = dict(extra or {})
        self._http: httpx2.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sent = 0
        self.unreached = 0
        """Tries of requests whose connection failed: between them the server may have been started anew."""

    async def __aenter__(self) -> "OpenAIClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        if self._http is not None:
            await self._http.aclose()
        self._http = self._loop = None

    async def chat(
        self,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        sampling: Sampling,
        seed: int,
        *,
        tokens: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> Reply:
        """The model's answer to chat messages.

        `tokens` asks for token ids and log-probabilities, in fields that vLLM knows and stricter servers refuse. `extra` fields go
        into the request as they are; None takes a field out (`{"max_tokens": None, "max_completion_tokens": 500}`).
        Raises UsageError, PolicyFault.
        """
        body = {"model": model, "messages": list(messages), **_sampling(sampling, seed, tokens)}
        if tokens:
            body |= {"logprobs": True, "return_token_ids": True}
        answer = await self._post("/chat/completions", body, extra, Chat)
        choice = answer.choices[0]
        logprobs = choice.logprobs.content if choice.logprobs else None
        return self._reply(
            Reply(
                choice.message.content or "",
                choice.message.reasoning_content or choice.message.reasoning or "",
                choice.finish_reason or "",
                answer.prompt_token_ids or (),
                choice.token_ids or (),
                tuple(each.logprob for each in logprobs or ()),
                choice.message.call,
            ),
            sampling,
        )

    def check_sampling(self, sampling: Sampling) -> None:
        """Raises ConfigError where the server's log-probabilities are not those of what is sampled so."""
        if not usable_logprobs(sampling, self.server.logprobs):
            raise ConfigError(
                f"{self.server.logprobs} log-probabilities are not those of the full distribution at the sampling temperature "
                f"under {sampling}: sample at temperature 1 without top-p or top-k, or let the server process its log-probabilities "
                "(vllm serve --logprobs-mode processed_logprobs) and say so"
            )

    async def complete(
        self,
        model: str,
        prompt_ids: Sequence[int],
        sampling: Sampling,
        seed: int,
        *,
        extra: Mapping[str, Any] | None = None,
        patience: Patience | None = None,
    ) -> Reply:
        """The continuation of a prompt of token ids; its ids and log-probabilities are always there. Raises UsageError, PolicyFault."""
        self.check_sampling(sampling)
        body = {"model": model, "prompt": list(prompt_ids), **_sampling(sampling, seed, True), "logprobs": 1, "return_token_ids": True}
        body |= self._extra
        answer = await self._post("/completions", body, extra, Text, patience)
        choice = answer.choices[0]
        given = choice.logprobs.token_logprobs if choice.logprobs else None
        if choice.token_ids is None or given is None:
            missing = "log-probabilities" if given is None else "token ids"
            url = self.server.shown
            raise ConfigError(f"{url} gives no {missing}: expected a server that knows return_token_ids, such as vLLM from 0.10.2")
        if wrong := of_another(answer, model, prompt_ids) or uneven(answer):
            raise UsageError(f"{self.server.shown} {wrong}")
        found = tuple(p for p in given if p is not None)
        return Reply(choice.text, "", choice.finish_reason or "", tuple(prompt_ids), choice.token_ids, found, pieces=choice.pieces)

    def _reply(self, reply: Reply, sampling: Sampling) -> Reply:
        """The reply, with log-probabilities only where they are one per id and mean what is promised. Raises PolicyFault."""
        if strange := [i for i in (*reply.prompt_ids, *reply.ids) if i < 0]:
            raise PolicyFault(f"{self.server.shown} gave the token id {strange[0]}: expected 0 or more")
        if not reply.ids or not usable_logprobs(sampling, self.server.logprobs):
            return replace(reply, logprobs=())
        if reply.logprobs and len(reply.logprobs) != len(reply.ids):
            counts = f"{len(reply.ids)} token ids and {len(reply.logprobs)} log-probabilities"
            raise PolicyFault(f"{self.server.shown} gave {counts}, not one each")
        if wrong := wrong_logprobs(reply.logprobs):
            raise PolicyFault(f"{self.server.shown} gave {wrong}")
        return reply

    async def models(self) -> tuple[str, ...]:
        """The names of the server's models; empty where it has no list. Raises UsageError, PolicyFault."""
        response = await self._answered("GET", "/models", None)
        if response.status_code in (404, 405):
            return ()
        return tuple(listed.id for listed in self._read(self._accepted(response, "/models"), Models).data)

    async def check(self, model: str) -> None:
        """Raises ConfigError where no server answers, or none of its models has this name."""
        try:
            known = await self.models()
        except PolicyFault as fault:
            raise ConfigError(f"{fault}: is the server running, and is its address right?") from fault
        if known and model not in known:
            shown = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
            raise ConfigError(f"{self.server.shown} has no model {model!r}{did_you_mean(model, known)} (it has: {shown})")

    async def control(self, path: str, body: Mapping[str, Any], patience: Patience | None = None) -> None:
        """A call beside the protocol, at the server's root: load these weights, forget what is cached. Raises UsageError, PolicyFault.

        `patience` takes the place of the client's own, such as one try for a call that must not come twice.
        """
        self._accepted(await self._answered("POST", self._beside(path), body, patience), path)

    async def control_if_known(self, path: str, body: Mapping[str, Any]) -> bool:
        """Like :meth:`control`; False where the server does not know the call. Raises UsageError, PolicyFault."""
        response = await self._answered("POST", self._beside(path), body)
        if response.status_code in (404, 405):
            return False
        self._accepted(response, path)
        return True

    async def told(self, path: str) -> dict[str, Any] | None:
        """The table at a path beside the protocol; None where the server does not know it. Raises UsageError, PolicyFault."""
        response = await self._answered("GET", self._beside(path), None)
        if response.status_code in (404, 405):
            return None
        try:
            found = self._accepted(response, path).json()
        except (ValueError, RecursionError):  # the second for some thousand brackets
            found = None
        if not isinstance(found, dict):
            raise PolicyFault(f"{self.server.shown}{path} answered in another form than the protocol's: expected a JSON object")
        return found

    def _beside(self, path: str) -> str:
        return f"{self.server.base_url.removesuffix('/v1')}{path}"

    # --- requests ------------------------------------------------------------------------------------------------------------

    async def _post(
        self, path: str, body: Mapping[str, Any], extra: Mapping[str, Any] | None, kind: type[A], patience: Patience | None = None
    ) -> A:
        merged = {name: value for name, value in {**body, **(extra or {})}.items() if value is not None}
        return self._read(self._accepted(await self._answered("POST", path, merged, patience), path), kind)

    async def _answered(self, method: str, path: str, body: Mapping[str, Any] | None, patience: Patience | None = None) -> httpx2.Response:
        """The first answer that is no passing failure. Raises PolicyFault after the last try."""
        http, patience = self._connections(), patience or self.patience
        self._sent += 1
        number, start, tried = self._sent, time.monotonic(), 0
        while True:
            tried += 1
            asked_s = None
            left_s = patience.give_up_s - (time.monotonic() - start)
            try:
                async with asyncio.timeout(min(patience.timeout_s, left_s)):
                    async with http.stream(method, path, content=_encoded(body), headers=JSON_HEADERS) as answer:
                        response = await _whole(answer)
            except TimeoutError:
                failure = f"did not answer within {min(patience.timeout_s, left_s):g} s"
            except _TooLong:
                failure = f"gave an answer of more than {LONGEST_ANSWER:,} bytes"
            except httpx2.RequestError as error:  # also an answer that is packed in another way than it says
                self.unreached += 1
                failure = f"cannot be reached ({type(error).__name__}: {str(error)[:200] or 'no further words'})"
            else:
                if not _passing(response):
                    return response
                asked_s = _asked_pause_s(response)
                failure = f"answered with status {response.status_code}{self._words(response)}"
            pause_s = patience.pause_s(tried, seed_from("pause", number, tried) / 2**63, asked_s)
            if tried >= patience.tries or time.monotonic() - start + pause_s >= patience.give_up_s:
                raise PolicyFault(f"{self.server.shown} {failure}, {tried} {'time' if tried == 1 else 'times'}")
            await asyncio.sleep(pause_s)

    def _connections(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._http is None:
            headers = {"Authorization": f"Bearer {self.server.key}"} if self.server.key else {}
            limits = httpx2.Limits(max_connections=None, max_keepalive_connections=256)
            self._http = httpx2.AsyncClient(base_url=self.server.base_url, headers=headers, timeout=None, limits=limits)
            self._loop = loop
        if self._loop is not loop:
            raise UsageError("this client is in use on another event loop: give each loop a client of its own")
        return self._http

    def _accepted(self, response: httpx2.Response, path: str) -> httpx2.Response:
        """The answer, if the server did what it was asked for. Raises UsageError."""
        status, words, url = response.status_code, self._words(response), self.server.shown
        if status == 200:
            return response
        if status in (401, 403):
            raise ConfigError(f"{url} refused the key{words}: set {API_KEY} to one that it takes")
        if status == 404:
            raise ConfigError(f"{url}{path} or the model is not known there{words}: an address ends in /v1 as a rule")
        if 300 <= status < 400:
            target = response.headers.get("location", "nowhere")[:200]
            raise ConfigError(f"{url} sends requests on to {target}: give the address that answers")
        kind = RequestRefused if status in REFUSING else UsageError
        raise kind(f"{url} refused the request with status {status}{words}")

    def _read(self, response: httpx2.Response, kind: type[A]) -> A:
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the answer"
            said = self._words(response)  # some servers and proxies answer 200 with an error, or stream
            raise PolicyFault(f"{self.server.shown} answered in another form than the protocol's: {where}: {first['msg']}{said}") from error

    def _words(self, response: httpx2.Response) -> str:
        """The server's words on its refusal, as " (...)", without the key; "" where it said nothing."""
        try:
            said = response.json()
        except (ValueError, RecursionError):
            said = response.text
        for name in ("error", "message", "detail"):  # {"error": {"message": ...}}, {"message": ...}, {"detail": ...}
            if isinstance(said, dict) and name in said:
                said = said[name]
        words = " ".join(str(said).split())[:300] if said else ""
        return f" ({words.replace(self.server.key, '***') if self.server.key else words})" if words else ""


def _sampling(sampling: Sampling, seed: int, exact: bool) -> dict[str, Any]:
    """The request's sampling fields; `exact` also turns off what a server would take from the model's own generation config.

    Raises ConfigError for a grammar, which servers do not know.
    """
    if sampling.grammar:
        raise ConfigError(f"a server cannot hold answers to our grammar {sampling.grammar!r}: leave grammar out, or sample in this process")
    body: dict[str, Any] = {
        "temperature": 0.0 if sampling.greedy else sampling.temperature,
        "max_tokens": sampling.max_tokens,
        "seed": seed % MAX_SEED,
    }
    if exact:
        body |= {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
    if sampling.top_p < 1.0:
        body["top_p"] = sampling.top_p
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    return body


class _TooLong(Exception):
    """An answer that is not read to its end."""


async def _whole(answer: httpx2.Response) -> httpx2.Response:
    """The answer with its body. Raises _TooLong, and reads no more, where it is longer than LONGEST_ANSWER once it is unpacked."""
    body = bytearray()
    async for part in answer.aiter_bytes(1 << 16):
        body += part
        if len(body) > LONGEST_ANSWER:
            raise _TooLong
    headers = [(name, value) for name, value in answer.headers.multi_items() if name.lower() not in ("content-encoding", "content-length")]
    return httpx2.Response(answer.status_code, headers=headers, content=bytes(body), request=answer.request)


def _passing(response: httpx2.Response) -> bool:
    if response.status_code == 429 and b"insufficient_quota" in response.content:
        return False  # OpenAI's word for an account without money, which no pause fills
    return response.status_code in PASSING or response.status_code >= 500


def _asked_pause_s(response: httpx2.Response) -> float | None:
    """The pause that the server asks for in seconds, if it names one."""
    try:
        asked = float(response.headers.get("retry-after", ""))
    except ValueError:  # none, or a date
        return None
    return asked if math.isfinite(asked) and asked >= 0 else None
