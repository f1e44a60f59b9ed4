"""Dragging, colours, and patterns of boxes."""

import re

from webgym.authoring.oracle import Memory, click, fields, fill, ordinal, press, quoted, seek, things, tick, wanted
from webgym.types import Action, Drag, MouseDrag, Node, Observation, Scroll

from . import remembers, solves


def drag(source: Node, target: Node) -> Drag:
    """Drags one thing onto another."""
    assert source.ref is not None and target.ref is not None
    return Drag(source.ref, target.ref)


@solves("scroll-text-2")
def scroll_text_2(page: Observation) -> Action:
    """Scrolls until nothing moves any more (the page says so), then submits."""
    if page.turn > 0:
        return press(page, "Submit", "button")
    return Scroll(0, -10_000 if "to the top" in page.goal else 10_000, fields(page)[0].ref)


@solves("click-shades")
def click_shades(page: Observation) -> Action:
    """The shades, named by their colour, of which the wanted part is the greatest. The choice shows by its class only."""
    part = ("red", "green", "blue").index(wanted(page, r"shades of (\w+)")[0])
    for node in things(page):
        colour = re.search(r"rgb\((\d+), (\d+), (\d+)\)", node.text)
        parts = [int(v) for v in colour.groups()] if colour else [0]
        if colour and parts[part] == max(parts) and "selected" not in node.text:
            return click(node)
    return press(page, "Submit", "button")


COLOURS = {
    "aqua": "00ffff",
    "black": "000000",
    "blue": "0000ff",
    "cyan": "00ffff",
    "fuchsia": "ff00ff",
    "gold": "ffd700",
    "gray": "808080",
    "green": "008000",
    "grey": "808080",
    "indigo": "4b0082",
    "lime": "00ff00",
    "magenta": "ff00ff",
    "maroon": "800000",
    "navy": "000080",
    "olive": "808000",
    "orange": "ffa500",
    "pink": "ffc0cb",
    "purple": "800080",
    "red": "ff0000",
    "silver": "c0c0c0",
    "teal": "008080",
    "violet": "ee82ee",
    "white": "ffffff",
    "yellow": "ffff00",
}


@solves("use-colorwheel", "use-colorwheel-2")
def use_colorwheel(page: Observation) -> Action:
    """The picker's field takes the colour as six hexadecimal digits."""
    rgb = re.search(r"rgb\((\d+), (\d+), (\d+)\)", page.goal)
    digits = "".join(f"{int(v):02x}" for v in rgb.groups()) if rgb else COLOURS[wanted(page, r"Select (\w+) with")[0]]
    field = fields(page)[0]
    if (field.value or "").casefold() != digits:
        return fill(field, digits)
    return press(page, "Submit", "button")


@solves("drag-box")
def drag_box(page: Observation) -> Action:
    small, large = seek(page, "s"), seek(page, "L")
    assert small and large and small.box and large.box
    inside = large.box[0] <= small.box[0] and small.box[0] + small.box[2] <= large.box[0] + large.box[2]
    inside = inside and large.box[1] <= small.box[1] and small.box[1] + small.box[3] <= large.box[1] + large.box[3]
    return press(page, "Submit", "button") if inside else drag(small, large)


@remembers("drag-circle", "drag-single-shape")
def drag_shape(page: Observation) -> Memory:
    """A drag by 40 pixels in the named direction."""
    way = wanted(page, r"Drag the \w+ (\w+) then")[0]
    x, y, width, height = things(page)[0].box  # type: ignore[misc]
    dx, dy = {"up": (0, -40), "down": (0, 40), "left": (-40, 0), "right": (40, 0)}[way]
    middle = x + width / 2, y + height / 2
    page = yield MouseDrag(*middle, max(0, middle[0] + dx), max(0, middle[1] + dy))  # the pointer stays in the view
    while True:
        page = yield press(page, "Submit", "button")


@solves("drag-items")
def drag_items(page: Observation) -> Action:
    """A list of five names; the dragged one lands at the place of the one it is dropped on."""
    name, where = wanted(page, r"Drag (.*?) ((?:to the|up by|down by).*)\.")
    items = things(page)
    here = next(i for i, n in enumerate(items) if n.text == name)
    if "up by" in where or "down by" in where:
        there = here + (-1 if "up" in where else 1)
    elif "top" in where or "bottom" in where:
        there = 0 if "top" in where else len(items) - 1
    else:
        there = ordinal(page) - 1
    return drag_past(items[here], items[there])


def _middle(node: Node) -> tuple[float, float]:
    assert node.box
    return node.box[0] + node.box[2] / 2, node.box[1] + node.box[3] / 2


def drag_past(source: Node, target: Node) -> MouseDrag:
    """Drags a list's item a little past the middle of another, so that the list makes room there."""
    (x, y), (to_x, to_y) = _middle(source), _middle(target)
    past_x = 6 if to_x > x else -6 if to_x < x else 0
    past_y = 6 if to_y > y else -6 if to_y < y else 0
    return MouseDrag(x, y, to_x + past_x, to_y + past_y)


@solves("drag-sort-numbers")
def drag_sort_numbers(page: Observation) -> Action:
    """Selection sort: the first item out of place changes places."""
    items = [n for n in things(page) if re.fullmatch(r"-?\d+", n.text)]
    numbers = [int(n.text) for n in items]
    for place, number in enumerate(sorted(numbers)):
        if numbers[place] != number:
            return drag_past(items[numbers.index(number)], items[place])
    return press(page, "Submit", "button")


DIGITS = (
    ".##. #..# #..# #..# #..# #..# .##.",  # 0
    "..#. .##. ..#. ..#. ..#. ..#. ..#.",  # 1
    ".##. #..# #..# ..#. .#.. #... ####",  # 2
    ".##. #..# ...# .##. ...# #..# .##.",  # 3
    "#... #.#. #.#. #### ..#. ..#. ..#.",  # 4
    "#### #... #... ###. ...# #..# .##.",  # 5
    ".##. #..# #... ###. #..# #..# .##.",  # 6
    "#### #..# ...# ..#. ..#. .#.. .#..",  # 7
    ".##. #..# #..# .##. #..# #..# .##.",  # 8
    ".##. #..# #..# .### ...# #..# .##.",  # 9
)
"""Drawings of the ten digits on the page, in seven rows of four boxes."""


@solves("number-checkboxes")
def number_checkboxes(page: Observation) -> Action:
    boxes = things(page, "checkbox")
    pattern = DIGITS[int(quoted(page)[0])].replace(" ", "")
    chosen = [box for box, mark in zip(boxes, pattern, strict=True) if mark == "#"]
    return tick(boxes, chosen) or press(page, "Submit", "button")


@solves("identify-shape")
def identify_shape(page: Observation) -> Action:
    """The figure is the first thing on the page: a shape by its name, or a character."""
    figure = things(page)[0].text.split()[0]
    names = {"rect": "Rectangle", "circle": "Circle", "polygon": "Triangle"}
    return press(page, names.get(figure, "Number" if figure.isdigit() else "Letter"), "button")


@solves("resize-textarea")
def resize_textarea(page: Observation) -> Action:
    """Drags the lower right corner; the box says when it is done."""
    dimension, direction = wanted(page, r"the (\w+) is (\w+) than")
    area = fields(page)[0]
    if page.turn > 0:
        return press(page, "Submit", "button")
    x, y, width, height = area.box  # type: ignore[misc]
    by = 20 if direction == "larger" else -20
    corner = (x + width - 4, y + height - 4)
    return MouseDrag(*corner, corner[0] + (by if dimension == "width" else 0), corner[1] + (by if dimension == "height" else 0))
