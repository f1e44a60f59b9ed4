"""The list of tools, and a page for each of them."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webgym.sites.rendered import page, see_other, state_of

from ..shelf import PEOPLE, TOOLS, Shelf


def tool_of(request: Request) -> str:
    """The tool that the address names."""
    tool = request.path_params["tool"].title()
    if tool not in TOOLS:
        raise HTTPException(404)
    return tool


async def listed(request: Request) -> Response:
    """All tools."""
    return page(request, "tools.html", tools=TOOLS)


async def shown(request: Request) -> Response:
    """One tool, with what can be done with it."""
    shelf, tool = state_of(request), tool_of(request)
    return page(request, "tool.html", tool=tool, borrower=shelf.loans.get(tool, ""), people=PEOPLE)


async def lend(request: Request) -> Response:
    """A form was sent: somebody takes the tool."""
    shelf: Shelf = state_of(request)
    shelf.lend(tool_of(request), str((await request.form()).get("person", "")))
    return see_other(f"/tools/{request.path_params['tool']}")


async def give_back(request: Request) -> Response:
    """A form was sent: the tool is back."""
    shelf: Shelf = state_of(request)
    shelf.give_back(tool_of(request))
    return see_other(f"/tools/{request.path_params['tool']}")


ROUTES = (
    Route("/", listed),
    Route("/tools/{tool}", shown),
    Route("/tools/{tool}/lend", lend, methods=["POST"]),
    Route("/tools/{tool}/give-back", give_back, methods=["POST"]),
)
