"""The viewer as an ASGI app: read-only, on loopback, behind a token that stands in the URL.

What a page of the web wrote into a trajectory is shown as text by a front end that builds no markup from it; and were it to become
markup, the content security policy would let nothing of it run or load. Every request must come with the token and to a loopback
host, so that neither another user of the machine nor a page in the user's browser (by DNS rebinding) can read a run.
"""

import importlib.resources
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from webgym.record import live
from webgym.record.whole import plain
from webgym.view.runs import Library, Run

STATIC = importlib.resources.files("webgym.view").joinpath("static")
KINDS = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
HOSTS = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def new_token() -> str:
    """A secret for the URL."""
    return secrets.token_urlsafe(12)


def create_app(library: Library, token: str) -> Any:
    """The app; its pages are under `/TOKEN/`. Answers GET only."""
    at = f"/{token}"
    routes = [
        Route(f"{at}/", asset("index.html")),
        *(Route(f"{at}/{name}", asset(name)) for name in ("app.js", "app.css")),
        Route(f"{at}/api/library", lambda request: answered(_library(library))),
        _api(library, at, "", lambda run, request: run.overview()),
        _api(library, at, "/pulse", lambda run, request: run.pulse()),
        _api(library, at, "/tasks", lambda run, request: run.tasks()),
        _api(library, at, "/probed", lambda run, request: run.probed()),
        _api(library, at, "/live", lambda run, request: live.read(run.folder)),
        _api(library, at, "/episodes", _episodes),
        _api(library, at, "/episode/{file}/{number:int}", lambda run, request: run.episode(*_address(request))),
        _api(library, at, "/group/{file}/{number:int}", lambda run, request: run.group(*_address(request))),
        Route(f"{at}/api/run/{{run}}/text/{{file}}/{{number:int}}/{{turn:int}}/{{part}}", _found(library, _text)),
        Route(f"{at}/api/run/{{run}}/shot/{{name:path}}", _found(library, _shot)),
    ]
    return guarded(Starlette(routes=routes, middleware=[Middleware(GZipMiddleware, minimum_size=2000, compresslevel=1)]))


def asset(name: str) -> Callable[[Request], Response]:
    """The endpoint of a file that the front end was built to."""
    body = STATIC.joinpath(name).read_bytes()
    kind = KINDS[name[name.rindex(".") :]]
    return lambda request: Response(body, media_type=kind)


def _api(library: Library, at: str, path: str, answer: Callable[[Run, Request], Any]) -> Route:
    return Route(f"{at}/api/run/{{run}}{path}", _found(library, lambda run, request: answered(answer(run, request))))


def _found(library: Library, answer: Callable[[Run, Request], Response]) -> Callable[[Request], Response]:
    """The endpoint: what the run answers, or 404 in words."""

    def endpoint(request: Request) -> Response:
        try:
            return answer(library.run(request.path_params["run"]), request)
        except KeyError as error:
            return answered({"error": f"there is no {error.args[0]}"}, 404)

    return endpoint


def answered(data: Any, status: int = 200) -> Response:
    """The answer with `data` as JSON."""
    return Response(as_json(data), status, media_type="application/json")


def as_json(data: Any) -> bytes:
    """`data` as JSON; half a surrogate pair, which an agent can write and UTF-8 cannot, as a question mark."""
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError):  # a number or a thing that JSON does not know, from a file that another program wrote
        text = json.dumps(plain(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _library(library: Library) -> dict[str, Any]:
    return {"focus": library.focus, "runs": [run.card() for run in library.runs.values()]}


def _address(request: Request) -> tuple[str, int]:
    return request.path_params["file"], request.path_params["number"]


def _episodes(run: Run, request: Request) -> dict[str, Any]:
    asked = request.query_params
    run.episodes.refresh()
    return run.episodes.query(
        task=asked.get("task", ""),
        kind=asked.get("kind", ""),
        iteration=_number(asked.get("iteration")),
        words=asked.get("q", ""),
        sort=asked.get("sort", "newest"),
        offset=_number(asked.get("offset")) or 0,
        limit=_number(asked.get("limit")) or 100,
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None


def _text(run: Run, request: Request) -> Response:
    text = run.text(*_address(request), request.path_params["turn"], request.path_params["part"])
    return PlainTextResponse(text.encode("utf-8", "replace"))


def _shot(run: Run, request: Request) -> Response:
    path = run.episodes.picture(request.path_params["name"])
    if path is None:
        raise KeyError("such picture")
    return FileResponse(path, media_type="image/png")


def guarded(app: Any, methods: Sequence[str] = ("GET", "HEAD")) -> Any:
    """`app` for requests of these methods to a loopback host only, every answer with the security headers.

    A request that changes something must come from the page itself, or from no page at all.
    """
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def guard(scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *headers]}
            await send(message)

        if scope["type"] == "http":
            host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            if host.rpartition(":")[0] not in HOSTS and host not in HOSTS:
                return await PlainTextResponse("this page is served to loopback addresses only", 403)(scope, receive, with_headers)
            if scope["method"] not in methods:
                return await PlainTextResponse("read-only", 405)(scope, receive, with_headers)
            if scope["method"] not in ("GET", "HEAD") and not _of_this_page(dict(scope["headers"])):
                return await PlainTextResponse("this page takes requests of its own only", 403)(scope, receive, with_headers)
        await app(scope, receive, with_headers)

    return guard


def _of_this_page(headers: Mapping[bytes, bytes]) -> bool:
    """False where a browser says that a page of another origin sent the request."""
    host, origin = headers.get(b"host", b""), headers.get(b"origin")
    return origin in (None, b"http://" + host) and headers.get(b"sec-fetch-site", b"none") in (b"none", b"same-origin")
