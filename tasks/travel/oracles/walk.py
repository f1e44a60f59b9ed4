"""Ways through the site that several oracles take. They know the pages, and no code behind them."""

import re
from collections.abc import Generator
from dataclasses import dataclass

from webgym.authoring.oracle import fill, find, press, things
from webgym.types import Action, Click, Node, Observation

Walk = Generator[Action, Observation, Observation]
"""Yields actions, is sent the pages that follow, and returns the last one."""

FARES = ("Light", "Standard", "Flex")
_OFFER = re.compile(r"(\d\d:\d\d) – \d\d:\d\d(?: \+\d)? (\d+) h (\d\d) min (Direct|1 stop in .+?) \w+ \w\w \d+ \+?€(\d+)$")


@dataclass(frozen=True)
class Offer:
    """A flight that can be chosen."""

    node: Node
    departs: str
    minutes: int
    direct: bool
    price: int


def offers(page: Observation) -> list[Offer]:
    """The flights on the page, in its order."""
    found = []
    for node in things(page, "link"):
        if match := _OFFER.search(node.text):
            hours, minutes = int(match[2]), int(match[3])
            found.append(Offer(node, match[1], 60 * hours + minutes, match[4] == "Direct", int(match[5])))
    return found


def click_on(node: Node) -> Click:
    """A click on a thing of the page."""
    assert node.ref is not None
    return Click(node.ref)


def named(page: Observation, pattern: str, *roles: str) -> Node:
    """The first thing whose text the pattern matches; raises LookupError when there is none."""
    found = next((node for node in things(page, *roles) if re.search(pattern, node.text)), None)
    if found is None:
        raise LookupError(f"nothing on the page reads like {pattern!r}")
    return found


def said(page: Observation, pattern: str) -> re.Match[str]:
    """The first line of the page that the pattern matches; raises LookupError when there is none."""
    found = next((match for node in page.nodes if (match := re.search(pattern, node.text))), None)
    if found is None:
        raise LookupError(f"no line of the page reads like {pattern!r}")
    return found


def fare_of(page: Observation) -> str:
    """The fare that the goal names."""
    found = [fare for fare in FARES if re.search(rf"\b{fare}\b", page.goal)]
    if len(found) != 1:
        raise LookupError(f"the goal names {len(found)} fares: {page.goal!r}")
    return found[0]


def search(page: Observation, origin: str, to: str, day: str, back: str = "", passengers: str = "") -> Walk:
    """Go from the search form to the results."""
    if back:
        page = yield press(page, "Return", "radio")
    page = yield fill(find(page, "From", "textbox"), origin)
    page = yield fill(find(page, "To", "textbox"), to)
    page = yield fill(find(page, "Depart", "textbox"), day)
    if back:
        page = yield fill(find(page, "Return date", "textbox"), back)
    if passengers:
        page = yield fill(find(page, "Passengers", "spinbutton"), passengers)
    return (yield press(page, "Search flights", "button"))


def search_again(page: Observation, to: str) -> Walk:
    """Go from results to those of another city."""
    page = yield press(page, "Edit search", "button")
    page = yield fill(find(page, "To", "textbox"), to)
    return (yield press(page, "Search flights", "button"))


def direct_only(page: Observation) -> Walk:
    """The results without a stop."""
    page = yield press(page, "Filters", "button")
    page = yield press(page, "Direct only", "checkbox")
    return (yield press(page, "Apply", "button"))


def open_trip(page: Observation, to: str) -> Walk:
    """Go from any page to an upcoming trip."""
    page = yield press(page, "My trips", "link")
    return (yield click_on(named(page, rf" to {re.escape(to)} ", "link")))


def choose_fare(page: Observation, fare: str) -> Walk:
    """Go from the fares to the passengers."""
    return (yield press(page, f"Choose {fare}", "button"))


def add_saved(page: Observation, *names: str) -> Walk:
    """Choose the passengers from the saved travellers, and go on to the seats."""
    for name in names:
        page = yield press(page, f"Add {name}", "button")
    return (yield press(page, "Continue to seats", "button"))


def type_in(page: Observation, *people: tuple[str, str]) -> Walk:
    """Type the passengers' names and passports, and go on to the seats."""
    for number, (name, passport) in enumerate(people, 1):
        page = yield fill(find(page, f"Name of passenger {number}"), name)
        page = yield fill(find(page, f"Passport of passenger {number}"), passport)
    return (yield press(page, "Continue to seats", "button"))


def take_seat(page: Observation, seat: str) -> Walk:
    """Choose a seat in its zone."""
    zone = ("Front", "Middle", "Rear")[(int(seat[:-1]) - 1) // 4]
    tab = named(page, rf"^{zone} (€\d+|free)$", "link")
    if "selected" not in tab.states:
        page = yield click_on(tab)
    return (yield press(page, seat, "button"))


def without_seats_and_extras(page: Observation) -> Walk:
    """Go from the seats to the payment."""
    page = yield press(page, "Continue without seats", "button")
    return (yield press(page, "Continue to payment", "button"))


def pay(page: Observation, way: str) -> Walk:
    """Pay."""
    page = yield click_on(named(page, rf"^{re.escape(way)}\b", "radio"))
    page = yield press(page, "I accept the fare rules", "checkbox")
    return (yield click_on(named(page, r"^Pay €\d+$", "button")))
