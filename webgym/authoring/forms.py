"""A site that is a folder of pages whose forms are kept: the smallest site with a state of its own, written without Python."""

import html
import json
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from webgym.authoring.placeholders import depth, lookup
from webgym.sites.static import StaticSite, reply
from webgym.sites.workers import is_navigation
from webgym.task import AsgiApp, Scope
from webgym.types import well_formed

MAX_BODY = 1 << 20  # bytes of one submission
MAX_SUBMISSIONS = 1000  # of one episode
MAX_KEPT = 8 << 20  # bytes of all submissions of one episode
MAX_DEPTH = 60  # of lists and mappings within each other in a JSON object
_TOKEN = re.compile(r"\{\{\s*([A-Za-z_]\w*(?:\.-?\w+)*)\s*\}\}")


@dataclass
class Episode:
    """State of one episode: the values that its pages may show, and the submissions by form."""

    values: Mapping[str, Any]
    submitted: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    kept: int = 0  # bytes of the submissions


class FormSite(StaticSite):
    """Serves a folder and keeps what forms send; implements :class:`webgym.task.Site`.

    In pages (`.html`), `{{name}}` and `{{item.title}}` stand for the values of the episode, which the task gives as its state;
    scripts read all of them from `/state.json`, which cannot be opened as a page. A form that posts to `/order.html` is kept as an
    entry of the list `order` in the site's state, its fields as text (a list of texts where one name came several times), and leads
    to the page `/order.html`, which can show it: `{{order.-1.name}}`, and nothing before it was sent or where the field was left out.
    A file of a form with `enctype="multipart/form-data"` is kept as `{file: its name, text: what it says}`. A script may post a JSON
    object instead. Nothing else changes the state. A page that shows a value which this episode lacks is no page of it (status 404).
    """

    async def lease(self, seed: int, site_state: Any) -> Episode:
        """A fresh state with these values for the pages; raises SiteFault when the folder is gone."""
        await super().lease(seed, site_state)
        return Episode(site_state or {})

    def snapshot(self, state: Episode) -> Any:
        """The submissions, by form."""
        return {form: [dict(fields) for fields in sent] for form, sent in state.submitted.items()}

    @property
    def app(self) -> AsgiApp:
        """The ASGI application that answers the browser."""
        return self._answer

    async def _answer(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            state: Episode = scope["webgym.state"]
            if scope["method"] == "POST":
                return await self._keep(scope, receive, send, state)
            if scope["method"] in ("GET", "HEAD"):
                if scope["path"] == "/state.json":
                    if is_navigation(scope):  # it holds what no page has shown yet
                        return await reply(send, 404, b"text/plain; charset=utf-8", b"not found", cut=scope["method"] == "HEAD")
                    return await _fresh(scope, send, b"application/json", json.dumps(state.values, ensure_ascii=False).encode())
                found = self._read(scope["path"])
                if found and found[0].startswith(b"text/html"):
                    try:
                        page = self._filled(scope["path"], found[1].decode("utf-8", "replace"), state)
                    except LookupError as error:
                        return await reply(send, 404, b"text/plain; charset=utf-8", str(error).encode(), cut=scope["method"] == "HEAD")
                    return await _fresh(scope, send, found[0], page.encode())
        await self._serve(scope, receive, send)

    async def _keep(self, scope: Scope, receive: Any, send: Any, state: Episode) -> None:
        """Add a submission to the state and lead to the page that it was sent to."""
        body, path = await _body(receive), scope["path"]
        kind = dict(scope["headers"]).get(b"content-type", b"").split(b";")[0].strip()
        fields = None if body is None else await _parts(scope, body) if kind == b"multipart/form-data" else _fields(kind, body)
        full = sum(map(len, state.submitted.values())) >= MAX_SUBMISSIONS or state.kept + len(body or b"") > MAX_KEPT
        if fields is None or full:
            return await reply(send, 400, b"text/plain; charset=utf-8", b"expected a form or a JSON object of at most 1 MiB")
        if self._read(path) is None:
            return await reply(send, 404, b"text/plain; charset=utf-8", b"not found")
        state.kept += len(body or b"")
        state.submitted.setdefault(path.strip("/").removesuffix(".html").removesuffix("/index") or "index", []).append(fields)
        await reply(send, 303, b"text/plain; charset=utf-8", b"", extra=((b"location", scope.get("raw_path", path.encode())),))

    def _sends(self, name: str) -> bool:
        """True if a form of this name may be sent, which the agent decides."""
        return any(self._read(f"/{name}{ending}") for ending in (".html", ""))

    def _filled(self, path: str, page: str, state: Episode) -> str:
        values = {**state.submitted, **state.values}

        def value(token: re.Match[str]) -> str:
            name = token[1].partition(".")[0]
            try:
                found = lookup(values, token[1])
            except LookupError as error:
                if name not in state.values and self._sends(name):
                    return ""
                raise LookupError(f"the page {path} shows {token[0]}, but {error}") from error
            return html.escape(found if isinstance(found, str) else json.dumps(found, ensure_ascii=False))

        return _TOKEN.sub(value, page)


def _fields(kind: bytes, body: bytes) -> dict[str, Any] | None:
    """The fields of a submission, or None when it is none."""
    try:
        if kind == b"application/json":
            sent = json.loads(body)
            known = isinstance(sent, dict) and depth(sent) <= MAX_DEPTH
            return json.loads(well_formed(json.dumps(sent, ensure_ascii=False, allow_nan=False))) if known else None
        if kind != b"application/x-www-form-urlencoded":
            return None
        return _gathered(parse_qsl(body.decode("utf-8"), keep_blank_values=True))
    except (ValueError, RecursionError):  # no JSON, no UTF-8; some thousand brackets
        return None


async def _parts(scope: Scope, body: bytes) -> dict[str, Any] | None:
    """The fields and files of a multipart submission, or None when it is none."""
    from starlette.datastructures import Headers
    from starlette.formparsers import MultiPartException, MultiPartParser

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await MultiPartParser(Headers(scope=scope), stream()).parse()
    except (MultiPartException, KeyError, ValueError):  # it names no boundary, or a charset that is none
        return None
    sent = []
    for name, value in form.multi_items():
        kept = value if isinstance(value, str) else {"file": value.filename or "", "text": (await value.read()).decode("utf-8", "replace")}
        sent.append((name, kept))
    await form.close()
    return _gathered(sent)


def _gathered(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Fields by name; a list where a name came several times."""
    fields: dict[str, list[Any]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


async def _body(receive: Any) -> bytes | None:
    """The request's body, or None when it is too long."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body"):
            return body


async def _fresh(scope: Scope, send: Any, kind: bytes, body: bytes) -> None:
    """A response of this episode alone, which no cache may keep."""
    await reply(send, 200, kind, body, extra=((b"cache-control", b"no-store"),), cut=scope["method"] == "HEAD")


__all__ = ["Episode", "FormSite"]
