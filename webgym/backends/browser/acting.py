"""Actions of an agent, performed on the page that a session shows.

Text of :class:`webgym.types.Fill` is text: a line break in it never sends a form. :class:`webgym.types.Type` is typing: there a line
break is the Enter key.
"""

import asyncio
import json
from typing import TYPE_CHECKING, Any

from playwright.async_api import Error as PlaywrightError

from webgym import types as t
from webgym.actions.chords import NoKey, chord
from webgym.backends.browser.keys import KEYS, Kind, typed, written
from webgym.backends.browser.pointer import Point
from webgym.backends.browser.worlds import PageError, value_of

if TYPE_CHECKING:
    from webgym.backends.browser.session import Session

WHEEL_FRAMES = 3
TYPED_CHARS = 200  # longer texts are inserted at once instead of key by key
STRUCK_KEYS = 200  # line breaks and tabs of a longer text, which are keys there too
AT_ONCE = 64  # commands that are sent together, so that other sessions' come in between
WRITTEN_MS = 40  # of a page's time, for what it does with a text
MODIFIERS = {"Alt": 1, "Control": 2, "ControlOrMeta": 2, "Meta": 4, "Shift": 8}


async def perform(session: "Session", action: t.Action) -> None:
    """Perform one action in the tab that the agent looks at. Raises PageError in words where it does not work."""
    match action:
        case t.Click(ref, button, count, modifiers):
            bits = sum(MODIFIERS.get(m, 0) for m in set(modifiers))
            found = await _located(session, ref, pointed=(button, count, bits) != ("left", 1, 0), clicked=True)
            if "x" in found:
                if button == "right" and session.tab.worlds.at(ref).frames:
                    await session.tab.frame()  # a frame of another host that was out of view is no place for a menu before it is drawn
                bits |= MODIFIERS["Control"] if found["toggles"] else 0
                await session.tab.pointer.click(found["x"], found["y"], button, count, bits)
            else:
                await _ask(session, ref, f"choose({ref}, [])")
        case t.Fill(ref, text):
            await _fill(session, ref, text)
        case t.Clear(ref):
            await _fill(session, ref, "")
        case t.Type(text):
            _check_struck(text, "\r\n\t")
            await _write(session, typed(text, inserted=len(text) > TYPED_CHARS))
        case t.Press(keys, ref):
            if ref is not None:
                await _ask(session, ref, f"focusOn({ref})")
            await _press(session, keys)
        case t.Focus(ref):
            await _ask(session, ref, f"focusOn({ref})")
        case t.Select(ref, options):
            await _ask(session, ref, f"choose({ref}, {json.dumps(options)})")
        case t.Upload(ref, files):
            await _upload(session, ref, files)
        case t.Hover() | t.Drag() | t.Scroll() | t.MouseMove() | t.MouseClick() | t.MouseDown() | t.MouseUp() | t.MouseDrag():
            await _point_at(session, action)
        case _:
            await _travel(session, action)


async def _point_at(session: "Session", action: t.Action) -> None:
    """The mouse without a click on a thing."""
    pointer = session.tab.pointer
    match action:
        case t.Hover(ref):
            await pointer.mouse("mouseMoved", *await _point(session, ref, enabled=False))
        case t.Drag(source, target):
            await _drag(session, source, target)
        case t.Scroll(dx, dy, ref):
            await _scroll(session, dx, dy, ref)
        case t.MouseMove(x, y):
            await pointer.move(*_inside(session, x, y))
        case t.MouseClick(x, y, button, count):
            await pointer.click(*_inside(session, x, y), button, count)
        case t.MouseDown(x, y, button):
            await pointer.press(*_inside(session, x, y), button)
        case t.MouseUp(x, y, button):
            await pointer.release(*_inside(session, x, y), button)
        case t.MouseDrag(x0, y0, x1, y1):
            native = await pointer.drag(_inside(session, x0, y0), _inside(session, x1, y1))
            await _tell_of_drop(session, native)


async def _travel(session: "Session", action: t.Action) -> None:
    """Addresses, history and tabs; what is left does nothing to a page."""
    match action:
        case t.Goto(url):
            await session.tab.navigate(session.allowed(url))
        case t.Back() | t.Forward():
            await session.history(-1 if isinstance(action, t.Back) else 1)
        case t.Reload():
            await session.tab.send("Page.reload")
        case t.NewTab():
            await session.new_tab()
        case t.FocusTab(index):
            await session.focus_tab(index)
        case t.CloseTab():
            await session.close_tab()


async def _ask(session: "Session", ref: int | None, expression: str) -> dict[str, Any]:
    """The answer of the document in which a ref stands, of the tab's own without one. Raises PageError in its words."""
    worlds = session.tab.worlds
    return _checked(await (worlds if ref is None else worlds.at(ref)).ask(f"webgym.{expression}"))


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if answer.get("error"):
        raise PageError(answer["error"])
    return answer


# --- points ------------------------------------------------------------------------------------------------------------------


async def locate(session: "Session", ref: int, enabled: bool = True, stay: bool = False) -> Point | None:
    """The point to act on for a ref; None for an option of a select box, which is chosen instead. Raises PageError in words.

    With `stay` nothing is scrolled, and None means that it would have to be.
    """
    found = await _located(session, ref, enabled, stay)
    return (found["x"], found["y"]) if "x" in found else None


async def _located(
    session: "Session", ref: int, enabled: bool = True, stay: bool = False, pointed: bool = False, clicked: bool = False
) -> dict[str, Any]:
    """The answer of the ref's document, its point on the page. An option that is drawn in a list has one where it is to be `pointed` at.

    With `clicked`, a click follows, which the document keeps from anything but the thing.
    """
    found = await _ask(session, ref, f"locate({ref}, {', '.join(map(json.dumps, (enabled, stay, pointed, clicked)))})")
    return {"toggles": found.get("toggles", False)} | await _across(session, ref, found, stay)


async def _across(session: "Session", ref: int, found: dict[str, Any], stay: bool) -> dict[str, Any]:
    """The point on the page, where the thing stands in a frame of another origin: each document around it is asked in its turn."""
    frames = iter(session.tab.worlds.at(ref).frames)
    while "points" in found:
        world, number = next(frames)
        found = _checked(await world.ask(f"webgym.across({number}, {ref}, {found['points']}, {json.dumps(stay)})"))
    return found


async def _point(session: "Session", ref: int, enabled: bool = True) -> Point:
    if point := await locate(session, ref, enabled):
        return point
    raise PageError(f"element #{ref} is an option of a select box: it can only be chosen")


def _inside(session: "Session", x: float, y: float) -> Point:
    """The point, where it lies in the viewport; the browser would never answer for another."""
    size = session.tab.page.viewport_size or {"width": x + 1, "height": y + 1}
    if 0 <= x < size["width"] and 0 <= y < size["height"]:
        return x, y
    raise PageError(f"the point {x:g},{y:g} lies outside of the view, which is {size['width']} by {size['height']} pixels: scroll first")


async def _drag(session: "Session", source: int, target: int) -> None:
    """Drag a thing onto another. Where both do not fit into the view, the page is scrolled while the source is held."""
    start, end = await _point(session, source), await _point(session, target)
    if (seen := await locate(session, source, stay=True)) is not None:
        native = await session.tab.pointer.drag(seen, end)
    else:
        start = await _point(session, source)
        native = await session.tab.pointer.drag(start, start, lambda: _point(session, target))
    await _tell_of_drop(session, native)


async def _tell_of_drop(session: "Session", native: bool) -> None:
    if native and await session.tab.any("webgym.dropRefused()"):
        session.tell("nothing on the page took what was dropped")


async def _scroll(session: "Session", dx: float, dy: float, ref: int | None) -> None:
    """Turn the wheel over a thing, or over the page."""
    if len(session.tab.worlds.all) > 1:
        await session.tab.any("webgym.rest(null)")  # what an earlier turn was over is of no account
    point = await _ask(session, ref, f"wheelPoint({dx}, {dy})" if ref is None else f"wheelOver({ref}, {dx}, {dy})")
    if ref is not None and (point := await _across(session, ref, point, True)).get("away"):
        point = await _ask(session, ref, f"wheelOver({ref}, {dx}, {dy}, true)")
    if ref is not None and point.get("done") is False:
        for world, number in session.tab.worlds.at(ref).frames:
            if await world.ask(f"webgym.wheelAround({number}, {dx}, {dy})"):
                break
    if "x" in point:
        await session.tab.frame()  # from then on the browser asks the page before it scrolls
        await session.tab.pointer.wheel(point["x"], point["y"], dx, dy)
    for _ in range(WHEEL_FRAMES):  # the page hears of its scrolling with a frame
        await session.tab.frame()
        if await session.tab.any("webgym.wheeled()"):
            return
    raise PageError("nothing scrolled: the end is reached, or there is nothing to scroll")


# --- text and keys -----------------------------------------------------------------------------------------------------------


async def _fill(session: "Session", ref: int, text: str) -> None:
    ready = await _ask(session, ref, f"prepareFill({ref}, {json.dumps(text)}, {STRUCK_KEYS})")
    if ready.get("done"):
        return
    kind: Kind = ready["kind"]
    if text:
        await _write(session, written(ready["text"], kind, inserted=len(ready["text"]) > TYPED_CHARS))
        await _tell_of_text(session, ref)
    elif not ready["empty"]:
        await _press(session, "Delete")


async def _tell_of_text(session: "Session", ref: int) -> None:
    """Say in words where a text that was typed is not all in its field; a page has a little of its time to write it anew."""
    place = session.tab.worlds.at(ref)
    try:
        if await place.ask("webgym.written(false)"):
            await session.tab.grant(WRITTEN_MS)
            for words in await place.ask("webgym.written(true)"):
                session.tell(words)
    except (PageError, PlaywrightError):
        return  # the text led elsewhere


def _check_struck(text: str, keys: str) -> None:
    """Raises PageError for a text with so many keys that nobody else's turn would come in their time."""
    if (struck := sum(text.count(key) for key in keys)) > STRUCK_KEYS:
        raise PageError(f"the text has {struck} line breaks and tabs, each of which is a key: expected at most {STRUCK_KEYS} in one action")


async def _write(session: "Session", events: list[tuple[str, dict[str, Any]]]) -> None:
    """Send the events that write a text, some at a time."""
    for first in range(0, len(events), AT_ONCE):
        await asyncio.gather(*(session.tab.send(method, parameters) for method, parameters in events[first : first + AT_ONCE]))


async def _press(session: "Session", keys: str) -> None:
    try:
        name = chord(keys)
        if len(name) == 1 and name not in KEYS:
            await session.tab.send("Input.insertText", {"text": name})  # of another keyboard
        else:
            await session.tab.page.keyboard.press(name)
    except NoKey as error:
        raise PageError(str(error)) from None
    except PlaywrightError as error:
        if "Unknown key" in str(error):
            raise PageError(f"there is no key {keys[:40]!r}; examples: Enter, Tab, Escape, ArrowDown, Control+a") from None
        raise


# --- files -------------------------------------------------------------------------------------------------------------------


async def _upload(session: "Session", ref: int, files: tuple[str, ...]) -> None:
    """Give files to the field that a ref means, or to the one for which the page asks; drop them where neither is and drops are taken."""
    paths = [session.episode_file(name) for name in files]
    facts = await _ask(session, ref, f"fileFacts({ref}, {len(paths)})")
    chooser = session.tab.chooser
    if facts["field"]:
        field = await session.tab.worlds.at(ref).world.object_id(f"webgym.fileField({ref})")
    elif chooser is not None and facts["asks"]:
        if chooser.get("mode") != "selectMultiple" and len(paths) > 1:
            raise PageError(f"the page asks for one file, {len(paths)} were given")
        field = await _handle(session, chooser["backendNodeId"])
    elif facts["drops"]:
        if not await session.tab.pointer.drop_files(*await _point(session, ref), paths):
            session.tell("nothing on the page took what was dropped")
        return
    else:
        raise PageError(f"element #{ref} is no file field: it takes no files")
    await _give(session, field, paths)
    session.tab.chooser = None


async def _handle(session: "Session", node: int) -> str | None:
    """A handle on a node of any document that was read, in the world of that document."""
    for world in session.tab.worlds.all:
        try:
            await world.ask("void 0")  # the world is there
            found = await session.tab.send("DOM.resolveNode", {"backendNodeId": node, "executionContextId": await world.bare()})
        except (PageError, PlaywrightError):
            continue  # of a frame that is gone
        if handle := found["object"].get("objectId"):
            return str(handle)
    return None


async def _give(session: "Session", field: str | None, paths: list[str]) -> None:
    """Give files to the field of a handle. Raises PageError where they do not arrive."""
    if field is None:
        raise PageError("the page does not ask for a file any more")

    async def ask(function: str) -> Any:
        declared = {"functionDeclaration": f"function() {{ return webgym.{function}(this) }}", "returnByValue": True}
        return value_of(await session.tab.send("Runtime.callFunctionOn", {"objectId": field, **declared}))

    if (await ask("awaitGift"))["folder"]:
        raise PageError("the page asks for a whole folder: files cannot be given to it")
    await session.tab.send("DOM.setFileInputFiles", {"files": paths, "objectId": field})
    try:
        came = await ask("giftCame")
    except (PageError, PlaywrightError):
        return  # the files led elsewhere
    if not came:
        raise PageError(f"the field took no file: {len(paths)} were given")
