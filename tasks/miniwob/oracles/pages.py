"""Tabs, sections, menus, trees, pages of results, dates: tasks whose page must be moved through."""

import re

from webgym.authoring.oracle import click, fields, fill_in, hover, ordinal, press, quoted, seek, texts, things, wanted
from webgym.types import Action, Node, Observation, Wait

from . import solves


@solves("click-tab")
def click_tab(page: Observation) -> Action:
    return press(page, wanted(page, r"Click on (Tab #\d)")[0], "tab")


@solves(
    "click-tab-2",
    "click-tab-2-easy",
    "click-tab-2-medium",
    "click-tab-2-hard",
    "click-collapsible-2",
    "click-collapsible-2-nodelay",
)
def look_through_tabs(page: Observation) -> Action:
    """The link when it is in sight, else the next tab or section."""
    link = _link(page, quoted(page)[0])
    return click(link) if link else next_tab(page)


def _link(page: Observation, text: str) -> Node | None:
    return next((n for n in things(page) if n.role != "tab" and n.text == text), None)


def next_tab(page: Observation) -> Action:
    """The tab or section after the one that is open; the first when none is."""
    tabs = things(page, "tab")
    opened = next((i for i, n in enumerate(tabs) if "selected" in n.states or "expanded" in n.states), -1)
    return click(tabs[(opened + 1) % len(tabs)])


@solves("click-collapsible", "click-collapsible-nodelay")
def click_collapsible(page: Observation) -> Action:
    """The page makes the Submit button part of the list of sections."""
    section = things(page, "tab")[0]
    return press(page, "Submit") if "expanded" in section.states else click(section)


@solves("navigate-tree")
def navigate_tree(page: Observation) -> Action:
    """The named entry when it is in sight, else the first folder that is still closed (its plus sign says so)."""
    entry = seek(page, quoted(page)[0])
    if entry:
        return click(entry)
    return click(next(n for n in things(page) if "expandable-hitarea" in n.text))


@solves("search-engine")
def search_engine(page: Observation) -> Action:
    """Three results a page; numbered links lead to the other pages."""
    field = fields(page)[0]
    links = things(page, "link")
    results = [n for n in links if not re.fullmatch(r"\d+|[<>]|First|Last", n.text)]
    if field.value != quoted(page)[0]:
        return fill_in([(field, quoted(page)[0])]) or press(page, "Search", "button")
    if not results:
        return press(page, "Search", "button")
    number, place = divmod(ordinal(page) - 1, 3)
    # The links around the numbers tell which page this is: "<" is missing on the first page, ">" on the last.
    back, forth = seek(page, "<", "link"), seek(page, ">", "link")
    here = 0 if back is None else 2 if forth is None else 1
    return click(results[place]) if here == number else press(page, str(number + 1), "link")


@solves("phone-book")
def phone_book(page: Observation) -> Action:
    """One contact a page: name, phone, email, address."""
    name, what = wanted(page, r"Find (.*) in the contact book and click on their (phone|email|address)")
    said = texts(page)
    if name in said:
        links = [n for n in things(page, "link") if not re.fullmatch(r"\d|[<>]|First|Last", n.text)]
        return click(links[["phone", "email", "address"].index(what)])
    return press(page, ">")


@solves("click-menu")
def click_menu(page: Observation) -> Action:
    """Select Xaviera>Laurie>Melinde. The pointer over an entry opens its menu (a click would already choose it)."""
    *parents, entry = wanted(page, r"Select (.*)")[0].split(">")
    leaf = seek(page, entry)
    if leaf:
        return click(leaf)
    return hover(next(n for name in reversed(parents) if (n := seek(page, name))))


@solves("click-menu-2")
def click_menu_2(page: Observation) -> Action:
    """The item is named, or its icon is; the items about playing are in a menu of their own."""
    word = quoted(page)[1]
    label = ICONS.get(word, word)
    item = seek(page, label)
    if item:
        return click(item)
    playback = next((n for n in things(page) if n.text == "Playback"), None)
    return hover(playback) if playback else press(page, "Menu", "button")


ICONS = {
    "disk": "Save",
    "seek-start": "Prev",
    "stop": "Stop",
    "play": "Play",
    "seek-end": "Next",
    "zoomin": "Zoom In",
    "zoomout": "Zoom Out",
}


MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]


@solves("choose-date", "choose-date-easy", "choose-date-medium", "choose-date-nodelay")
def choose_date(page: Observation) -> Action:
    date = wanted(page, r"Select (\S+) as the date")[0]
    return pick_date(page, fields(page)[0], date) or press(page, "Submit", "button")


def pick_date(page: Observation, field: Node, date: str) -> Action | None:
    """Moves a date picker to `date` (month/day/year) and picks it; None when the field holds it. A click on the field opens it."""
    if field.value == date:
        return None
    month, day, year = (int(part) for part in date.split("/"))
    words = " ".join(texts(page))
    shown = re.search(rf"({'|'.join(MONTHS)})\s+(\d{{4}})", words)
    if shown is None:
        return click(field)
    now = int(shown[2]) * 12 + MONTHS.index(shown[1])
    target = year * 12 + month - 1
    if now == target:
        return press(page, str(day), "link", "clickable", "button", "gridcell")
    return press(page, "Next" if now < target else "Prev")


@solves("book-flight", "book-flight-nodelay")
def book_flight(page: Observation) -> Action:
    """Fill in two autocompletes and a date, search, then compare the offers."""
    best, origin, destination, date = wanted(page, r"Book the (\w+) one-way flight from: (.*) to: (.*) on ([\d/]+)")
    offers = _offers(page)
    if offers:
        return click(min(offers, key=lambda o: o[1] if best == "cheapest" else o[2])[0])
    for field, place in zip(fields(page), (origin, destination), strict=False):
        if not _is_place(field.value or "", place):
            entry = next((n for n in things(page) if n.role not in ("textbox", "combobox") and _is_place(n.text, place)), None)
            return click(entry) if entry else _type_place(field, place)
    return pick_date(page, fields(page)[2], date) or press(page, "Search", "button")


def _type_place(field: Node, place: str) -> Action:
    return fill_in([(field, place)]) or Wait()


def _is_place(text: str, place: str) -> bool:
    """True if an airport ("Cincinnati, OH (CVG)") is the place, given by its city or its code."""
    match = re.fullmatch(r"(.*) \((\w+)\)", text)
    return match is not None and place in match.groups()


def _offers(page: Observation) -> list[tuple[Node, int, int]]:
    """Button, price and minutes of each flight on offer."""
    offers, minutes = [], 0
    for node in page.nodes:
        duration = re.fullmatch(r"(\d+)h (\d+)m", node.text)
        price = re.search(r"Book flight for \$(\d+)", node.text)
        if duration:
            minutes = int(duration[1]) * 60 + int(duration[2])
        elif price and node.ref is not None:
            offers.append((node, int(price[1]), minutes))
    return offers


@solves("grid-coordinate")
def grid_coordinate(page: Observation) -> Action:
    """The points come column by column from the left, each from the top, five by five around the origin."""
    x, y = (int(v) for v in wanted(page, r"\((-?\d),(-?\d)\)"))
    points = [n for n in things(page) if n.text.startswith("circle")]
    return click(points[(x + 2) * 5 + (2 - y)])
