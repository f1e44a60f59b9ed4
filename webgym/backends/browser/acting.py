"""Actions of an agent, performed on the page that a session shows."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

from playwright.async_api import Error as PlaywrightError

from webgym import types as t
from webgym.backends.browser.keys import typed
from webgym.backends.browser.worlds import PageError

if TYPE_CHECKING:
    from webgym.backends.browser.session import Session

TYPED_CHARS = 200  # longer texts are inserted at once instead of key by key
MODIFIERS = {"Alt": 1, "Control": 2, "ControlOrMeta": 2, "Meta": 4, "Shift": 8}


async def perform(session: "Session", action: t.Action) -> None:
    """Perform one action in the tab that the agent looks at. Raises PageError in words where it does not work."""
    tab = session.tab
    match action:
        case t.Click(ref, button, count, modifiers):
            bits = sum(MODIFIERS.get(m, 0) for m in set(modifiers))
            if point := await locate(session, ref):
                await tab.pointer.click(*point, button, count, bits)
            else:
                await _ask(session, f"webgym.choose({ref}, [])")
        case t.Fill(ref, text):
            await _fill(session, ref, text)
        case t.Clear(ref):
            await _fill(session, ref, "")
        case t.Type(text):
            await _type(session, text)
        case t.Press(keys, ref):
            if ref is not None:
                await _ask(session, f"webgym.focusOn({ref})")
            await _press(session, keys)
        case t.Focus(ref):
            await _ask(session, f"webgym.focusOn({ref})")
        case t.Select(ref, options):
            await _ask(session, f"webgym.choose({ref}, {json.dumps(options)})")
        case t.Hover(ref):
            await tab.pointer.mouse("mouseMoved", *await _point(session, ref))
        case t.Drag(source, target):
            start, end = await _point(session, source), await _point(session, target)
            draggable = (await _ask(session, f"webgym.draggable({source})"))["draggable"]
            await (tab.pointer.drag_native(start, end) if draggable else tab.pointer.drag(start, end))
        case t.Scroll(dx, dy, ref):
            await _ask(session, f"webgym.scroll({json.dumps(ref)}, {dx}, {dy})")
            await tab.frame()  # a page hears of its scrolling when it draws
        case t.Upload(ref, files):
            await _upload(session, ref, files)
        case t.MouseMove(x, y):
            await tab.pointer.mouse("mouseMoved", x, y)
        case t.MouseClick(x, y, button, count):
            await tab.pointer.click(x, y, button, count)
        case t.MouseDown(x, y, button):
            await tab.pointer.mouse("mousePressed", x, y, button, 1, 1)
        case t.MouseUp(x, y, button):
            await tab.pointer.mouse("mouseReleased", x, y, button, 1, 0)
        case t.MouseDrag(x0, y0, x1, y1):
            await tab.pointer.drag((x0, y0), (x1, y1))
        case t.Goto(url):
            await tab.navigate(session.allowed(url))
        case t.Back() | t.Forward():
            await session.history(-1 if isinstance(action, t.Back) else 1)
        case t.Reload():
            await tab.send("Page.reload")
        case t.NewTab():
            await session.new_tab()
        case t.FocusTab(index):
            await session.focus_tab(index)
        case t.CloseTab():
            await session.close_tab()
        case t.Wait() | t.Message() | t.Stop() | t.Infeasible():
            pass


async def _ask(session: "Session", expression: str) -> dict[str, Any]:
    answer = await session.tab.ask(expression)
    if answer.get("error"):
        raise PageError(answer["error"])
    return answer


async def locate(session: "Session", ref: int) -> tuple[float, float] | None:
    """The point to click for a ref; None for an option of a select box, which is chosen instead. Raises PageError in words."""
    found = await _ask(session, f"webgym.locate({ref}, true)")
    return None if found.get("option") else (found["x"], found["y"])


async def _point(session: "Session", ref: int) -> tuple[float, float]:
    if point := await locate(session, ref):
        return point
    raise PageError(f"element #{ref} is an option of a select box: it can only be chosen")


async def _fill(session: "Session", ref: int, text: str) -> None:
    ready = await _ask(session, f"webgym.prepareFill({ref}, {json.dumps(text)})")
    if ready.get("done"):
        return
    if text:
        await _type(session, text)
    elif not ready["empty"]:
        await _press(session, "Delete")


async def _type(session: "Session", text: str) -> None:
    if len(text) > TYPED_CHARS:
        await session.tab.page.keyboard.insert_text(text)
    else:
        await asyncio.gather(*(session.tab.send(method, parameters) for method, parameters in typed(text)))


async def _press(session: "Session", keys: str) -> None:
    try:
        await session.tab.page.keyboard.press(keys)
    except PlaywrightError as error:
        if "Unknown key" in str(error):
            raise PageError(f"there is no key {keys!r}; examples: Enter, Tab, Escape, ArrowDown, Control+a") from None
        raise


async def _upload(session: "Session", ref: int, files: tuple[str, ...]) -> None:
    paths = [session.episode_file(name) for name in files]
    handle = await session.tab.worlds.object_id(f"webgym.element({ref})")
    if handle is None:
        raise PageError(f"there is no element #{ref} on this page")
    if not await session.tab.ask(f"webgym.element({ref}).type === 'file'"):
        raise PageError(f"element #{ref} is no file field: it takes no files")
    await session.tab.send("DOM.setFileInputFiles", {"files": paths, "objectId": handle})
