"""A site of server-rendered pages: routes, templates and static files of a folder, and a state for each episode."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import jinja2
from starlette.applications import Starlette
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount

from webgym.sites.static import StaticSite
from webgym.sites.synchronous import SynchronousMethods
from webgym.task import AsgiApp

State = TypeVar("State")


class Number(IntegerConvertor):
    """The numbers of addresses, such as `/thread/{id:int}`: Python reads no number of thousands of digits, and no page has one."""

    regex = "[0-9]{1,18}"


register_url_convertor("int", Number())


class RenderedSite(SynchronousMethods, Generic[State]):
    """A web application for :class:`webgym.task.Site`: Starlette routes, Jinja templates in `folder/templates`, files in `folder/static`.

    `begin(seed, site_state)` makes the state of an episode, `shown(state)` its JSON-able snapshot for checks and hashes. Endpoints are
    coroutines (`async def`; a plain function would run in a thread of its own, where turns race); they read the episode's state with
    :func:`state_of` and answer with :func:`page` or :func:`see_other`. What is in `static` is the same for every episode and cached by
    the browser for ever; everything else is not cached. Text in templates is escaped, an unknown name in one is an error.

    `context(state)` gives every template what all pages show (a cart's count, who is signed in). `plain` promises that all pages are
    plain (:mod:`webgym.backends.text.plain`), so that the site's tasks can be played without a browser.
    """

    def __init__(
        self,
        host: str,
        folder: Path,
        routes: Sequence[BaseRoute],
        *,
        begin: Callable[[int, Any], State],
        shown: Callable[[State], Any],
        context: Callable[[State], dict[str, Any]] = lambda state: {},
        filters: dict[str, Callable[..., Any]] | None = None,
        plain: bool = False,
    ) -> None:
        self.host, self.plain = host, plain
        self._begin, self._shown, self._context = begin, shown, context
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folder / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters.update(filters or {})
        static = StaticSite(host, folder / "static")
        self._app = Starlette(routes=[*routes, Mount("/static", app=partial(_below_mount, static.app))])
        self._app.state.render = self._render
        self._app.add_exception_handler(404, partial(_failure, title="Page not found"))
        self._app.add_exception_handler(405, partial(_failure, title="This cannot be done here"))

    async def lease(self, seed: int, site_state: Any) -> State:
        """A fresh state for one episode."""
        return self._begin(seed, site_state)

    def snapshot(self, state: State) -> Any:
        """The state as checks and hashes see it."""
        return self._shown(state)

    async def release(self, state: State) -> None:
        """Do nothing, because no resources are held."""

    @property
    def app(self) -> AsgiApp:
        return self._app

    def _render(self, request: Request, template: str, values: dict[str, Any]) -> str:
        shared = self._context(state_of(request))
        return self._templates.get_template(template).render(request=request, **{**shared, **values})


def state_of(request: Request) -> Any:
    """The state of the episode that this request belongs to."""
    return request.scope["webgym.state"]


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """The template, filled, as a page that no cache keeps."""
    text = request.app.state.render(request, template, values)
    return HTMLResponse(text, status, headers={"cache-control": "no-store"})


def see_other(address: str) -> Response:
    """Leads to another page after a form was sent, so that going back or reloading does not send it again."""
    return RedirectResponse(address, status_code=303)


async def _below_mount(app: AsgiApp, scope: Any, receive: Any, send: Any) -> None:
    """Static files take the address below their mount."""
    await app({**scope, "path": scope["path"].removeprefix(scope.get("root_path", ""))}, receive, send)


async def _failure(request: Request, error: Exception, *, title: str) -> Response:
    """The site's own `error.html`, with what went wrong."""
    status = getattr(error, "status_code", 500)
    return page(request, "error.html", status=status, title=title, detail=getattr(error, "detail", ""))
