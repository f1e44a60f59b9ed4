"""Messages between a trainer and its collectors: data in JSON, checked on both sides. A request names tasks and policies and defines none.

A collector answers a request to play with lines, one JSON message each (:class:`Line`). A line of kind `ended` is followed by the
trajectory's own line, as :mod:`webgym.record.store` writes it.
"""

import hashlib
import ipaddress
import os
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from webgym import backends
from webgym.errors import ConfigError
from webgym.packs import digests
from webgym.rollout.contract import Deadlines, EventKind, PolicyHandle, Record, Request, Retries
from webgym.types import EpisodeKey

M = TypeVar("M", bound=BaseModel)

PROTOCOL = 1
TOKEN = "WEBGYM_TOKEN"
"""The environment variable with the secret that a trainer and its collectors share."""
REMOTE_POLICY = "trainers.rollouts.remote_policy:remote_policy"
"""The factory of the policy whose completions come from a trainer's gateway; its settings name a sampling and the weights' version."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")
MOST_BYTES = 1 << 24  # of a request
MOST_KEYS = 64  # of a request
MOST_SESSIONS = 4096  # of a collector
BEAT_S = 1.0  # longest silence of a collector that is well


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Terms(_Message):
    """Versions that a trainer and a collector must have in common, so that an episode is the same on either machine."""

    protocol: int
    backend: str
    code: str  # digest of the environment's code
    packs: dict[str, str]  # digest by name
    factory: str = ""  # of the policy that is played
    policy: dict[str, str] = {}  # version by name, of what the factory runs beside the environment's code

    @classmethod
    def here(cls, backend: str, task_ids: tuple[str, ...], factory: str = "") -> "Terms":
        """The terms of this process for these tasks and a policy of this factory."""
        policy = digests.policy_of(factory) if factory else {}
        packs = digests.packs_of(task_ids)
        return cls(protocol=PROTOCOL, backend=backend, code=digests.code(), packs=packs, factory=factory, policy=policy)


class Hello(_Message):
    """A collector's answer to terms that it can keep. `machinery` says the browser's version, which collectors must share too."""

    sessions: int = Field(ge=1, le=MOST_SESSIONS)
    free: int = Field(ge=0)
    machinery: dict[str, str]


class Refusal(_Message):
    """The sentence of a request that is not taken."""

    error: str


class Handle(_Message):
    """A policy by its factory's name (:class:`webgym.rollout.contract.PolicyHandle`)."""

    factory: str
    settings: dict[str, Any]


Key = tuple[str, int, int, int, int]
Count = Literal["thinking", "acting", "turns", "retries"]
"""Counts of :class:`webgym.rollout.contract.Counts` that change before an episode's end."""


class Asked(_Message):
    """Episodes to play in one session, one after the other."""

    terms: Terms
    keys: Annotated[tuple[Key, ...], Field(min_length=1, max_length=MOST_KEYS)]
    policy: Handle
    record: Record
    deadlines: Deadlines
    retries: Retries
    pictures: bool
    events: bool

    @classmethod
    def of(cls, terms: Terms, request: Request, events: bool) -> "Asked":
        """The message of a request."""
        keys = tuple((k.task_id, k.seed, k.iteration, k.group, k.member) for k in request.keys)
        handle = Handle(factory=request.policy.factory, settings=dict(request.policy.settings))
        return cls(
            terms=terms,
            keys=keys,
            policy=handle,
            record=request.record,
            deadlines=request.deadlines,
            retries=request.retries,
            pictures=request.pictures,
            events=events,
        )

    def request(self) -> Request:
        """The request of this message."""
        keys = tuple(EpisodeKey(*key) for key in self.keys)
        return Request(
            keys, PolicyHandle(self.policy.factory, self.policy.settings), self.record, self.deadlines, self.retries, self.pictures
        )


class Told(_Message):
    """An event of the episode with this number (its place among the keys), with its changes of the counts."""

    number: int
    kind: EventKind
    message: str = ""
    changes: dict[Count, int] = {}


class Line(_Message):
    """One message of a collector. `number` is the place of the episode that ended among the keys.

    `told` with no event: the policy is made, and the episodes begin. `busy`: no session is free. `failed`: `usage` is the caller's to mend,
    `error` is a bug, `fault` is this machine's trouble, `refused` is a request that was not taken (HTTP says that by its status).
    """

    kind: Literal["beat", "told", "ended", "busy", "failed"]
    told: tuple[Told, ...] = ()
    number: int = 0
    reason: Literal["", "usage", "error", "fault", "refused"] = ""
    message: str = ""

    def encoded(self) -> bytes:
        """The line, its end included."""
        return self.model_dump_json(exclude_defaults=True).encode() + b"\n"


# --- who may ask ---------------------------------------------------------------------------------------------------------


def token(environ: Mapping[str, str] | None = None) -> str:
    """The shared secret in WEBGYM_TOKEN; "" where there is none. Raises ConfigError for one that no header can hold."""
    found = (os.environ if environ is None else environ).get(TOKEN, "")
    if not (found.isascii() and found.isprintable()) or found != found.strip():
        raise ConfigError(f"{TOKEN} holds characters that no token has (a line break, perhaps)")
    return found


def headers(secret: str) -> dict[str, str]:
    """The headers of a request."""
    return {"content-type": "application/json"} | ({"authorization": f"Bearer {secret}"} if secret else {})


def place(listen: str, secret: str, what: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`. Raises ConfigError for another form, and for a host that others reach where there is no token."""
    _, colon, port = listen.rpartition(":")
    host = host_of(listen)
    if not colon or not host or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
        raise ConfigError(f"{what}: expected HOST:PORT such as 127.0.0.1:8400, got {listen!r}")
    if host not in LOOPBACK and not secret:
        raise ConfigError(f"{what}: {host} can be reached from elsewhere, so it needs a token: set {TOKEN}, the same on all machines")
    return host, int(port)


def host_of(listen: str) -> str:
    """The host of `HOST:PORT`, an IPv6 address without its brackets.

    >>> host_of("10.0.0.1:8500"), host_of("[::1]:0")
    ('10.0.0.1', '::1')
    """
    return listen.rpartition(":")[0].removeprefix("[").removesuffix("]")


def is_here(address: str) -> bool:
    """True for the address of a program on this machine, or of a tunnel's end here.

    >>> is_here("http://127.0.0.1:8400"), is_here("http://127.0.0.1.example:8400")
    (True, False)
    """
    return urlsplit(address).hostname in LOOPBACK


def is_every(host: str) -> bool:
    """True for an address that stands for all of a machine: one can listen there, and nobody can ask it.

    >>> is_every("0.0.0.0"), is_every("::"), is_every("10.0.0.1"), is_every("trainer")
    (True, True, False, False)
    """
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def address(url: str) -> str:
    """The address of a collector as http://host:port. Raises ConfigError for what is none."""
    given = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(given)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port and parts.path in ("", "/") and not parts.query
    except ValueError:
        usable = False
    if not usable or "@" in given:
        raise ConfigError(f"expected the address of a collector such as http://10.0.0.2:8400, got {url!r}")
    return given.rstrip("/")


def refusal(request: HttpRequest, secret: str) -> Response | None:
    """The answer to a request that may not be made; None to one that may.

    Without a token only programs of this machine ask, and no page in a browser: a page cannot send JSON to another origin unasked, and
    one whose name was pointed here (DNS rebinding) names itself.
    """
    if secret:
        shown = request.headers.get("authorization", "")
        if not secrets.compare_digest(shown.encode(), f"Bearer {secret}".encode()):
            return said(401, f"another token was expected: set {TOKEN} to the same secret on both machines")
    elif _name_of(request.headers.get("host", "")) not in LOOPBACK:
        return said(403, "without a token only this machine may ask")
    if request.method == "POST" and request.headers.get("content-type") != "application/json":
        return said(415, "expected application/json")
    return None


def _name_of(authority: str) -> str:
    """The host of a `Host` header; "" where it is none."""
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:  # brackets that do not close
        return ""


def said(status: int, sentence: str) -> Response:
    """A refusal in one sentence."""
    return JSONResponse(Refusal(error=sentence).model_dump(), status)


async def message(request: HttpRequest, kind: type[M]) -> M | Response:
    """The message in a request's body, or the answer to one that is none."""
    content = bytearray()
    try:
        async for part in request.stream():
            content += part
            if len(content) > MOST_BYTES:
                return said(413, f"a request of more than {MOST_BYTES:,} bytes")
    except ClientDisconnect:  # nobody reads the answer
        return said(400, "the request was cut off")
    try:
        return kind.model_validate_json(bytes(content))
    except ValidationError as error:
        return said(422, problem(error))


def problem(error: ValidationError) -> str:
    """The first problem of a message in one sentence."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the message"
    return f"{where}: {first['msg'].lower()}"


def difference(ours: Terms, theirs: Terms) -> str:
    """The first difference between a collector's terms and a trainer's, in one sentence; "" where there is none."""
    if ours.protocol != theirs.protocol:
        return f"the collector speaks protocol {ours.protocol}, the trainer {theirs.protocol}: install the same WebGym on both"
    if ours.code != theirs.code:
        return f"the collector runs WebGym {ours.code}, the trainer {theirs.code}: install the same one on both"
    if ours.backend != theirs.backend:
        return f"the collector plays on the backend {ours.backend!r}, the trainer wants {theirs.backend!r}: start it with --backend"
    for name, digest in theirs.packs.items():
        if name not in ours.packs:
            return f"the collector has no pack {name!r}: start it with --tasks, or install the pack there"
        if ours.packs[name] != digest:
            return f"the collector has the pack {name!r} as {ours.packs[name]}, the trainer as {digest}: give both the same files"
    for name, version in theirs.policy.items():
        if (found := ours.policy.get(name, "none")) != version:
            return f"the collector plays the policy with {name} {found}, the trainer with {version}: install the same one on both"
    return ""


def machinery(backend: str) -> dict[str, str]:
    """The versions of what this machine plays on."""
    return dict(backends.get(backend).versions())


def picture_name(content: bytes) -> str:
    """The name of a picture: the hash of its PNG file."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
