"""The pages of a workflow: one form a page, and the end."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webgym.sites.rendered import page, see_other, state_of

from ..episode import Episode
from ..workflow import Progress, chosen, gone_back

ENDS = {
    "done": ("Registration complete", "Everything was as agreed. Thank you."),
    "refused": ("Registration refused", "An answer was not what was agreed."),
}


def address(progress: Progress) -> str:
    """The path at which the progress is shown."""
    return f"/step/{progress.page + 1}" if progress.status == "open" else f"/{progress.status}"


async def step(request: Request) -> Response:
    """The page that is due; a request for another one leads to it."""
    state: Episode = state_of(request)
    progress, flow = state.progress, state.workflow
    if request.scope["path"] != address(progress):
        return see_other(address(progress))
    now, number, total = flow.pages[progress.page], progress.page + 1, flow.wizard.horizon
    return page(
        request,
        "step.html",
        title=f"{now.field} | Northbay Registrations",
        asked=now.field,
        number=number,
        total=total,
        told=progress.told,
        flagged=progress.flagged,
        mistakes=progress.mistakes,
        spared=flow.wizard.spared if flow.wizard.visible else 0,
        options=now.options,
        back=flow.wizard.reversible and progress.page > 0,
    )


async def answer(request: Request) -> Response:
    """Choose an option. A form of another page than the one that is due changes nothing."""
    state, form = state_of(request), await request.form()
    options = {str(option): option for option in range(state.workflow.wizard.choices)}  # no other text is read as a number
    option = options.get(str(form.get("option")))
    if option is not None and _is_due(state, form):
        state.progress = chosen(state.workflow, state.progress, option)
    return see_other(address(state.progress))


async def back(request: Request) -> Response:
    """One page back, where mistakes are reversible."""
    state, form = state_of(request), await request.form()
    if _is_due(state, form) and state.workflow.wizard.reversible:
        state.progress = gone_back(state.progress)
    return see_other(address(state.progress))


def _is_due(state: Episode, form: Any) -> bool:
    return state.progress.status == "open" and form.get("step") == str(state.progress.page + 1)


async def end(request: Request) -> Response:
    """End of the registration."""
    progress = state_of(request).progress
    if request.scope["path"] != address(progress):
        return see_other(address(progress))
    title, detail = ENDS[progress.status]
    return page(request, "end.html", title=title, detail=detail)


ROUTES = (
    Route("/step/{number}", step),
    Route("/answer", answer, methods=["POST"]),
    Route("/back", back, methods=["POST"]),
    Route("/done", end),
    Route("/refused", end),
)
