"""Oracles of the goals about trips that are booked."""

import re

from webgym.authoring.oracle import Memory, fill, find, press, quoted, texts, things
from webgym.types import Infeasible, Node, Observation, Stop

from .walk import click_on, named, offers, open_trip, said, take_seat


def _of_goal(page: Observation, begun: str, *roles: str) -> Node:
    """The thing that begins so and goes on with a name of the goal."""
    return next(n for n in things(page, *roles) if n.text.startswith(begun) and n.text.removeprefix(begun) in page.goal)


def add_bags(page: Observation) -> Memory:
    bags, to = quoted(page)
    page = yield from open_trip(page, to)
    page = yield press(page, "Bags", "link")
    page = yield fill(_of_goal(page, "Extra bags for ", "spinbutton"), bags)
    page = yield press(page, "Save bags", "button")
    yield Stop()


def change_seat(page: Observation) -> Memory:
    seat, to = sorted(quoted(page), key=lambda text: not re.fullmatch(r"\d+[A-F]", text))
    page = yield from open_trip(page, to)
    page = yield press(page, "Change seats", "link")
    mine = next(n for n in things(page, "link") if (match := re.fullmatch(r"(.+): \w+", n.text)) and match[1] in page.goal)
    if "selected" not in mine.states:
        page = yield click_on(mine)
    page = yield from take_seat(page, seat)
    yield Stop()


def front_window(page: Observation) -> Memory:
    (to,) = quoted(page)
    page = yield from open_trip(page, to)
    page = yield press(page, "Change seats", "link")
    page = yield click_on(named(page, "^Front ", "link"))
    free = [n for n in things(page, "button") if re.fullmatch(r"\d+[AF]", n.text)]
    if not free:
        yield Infeasible("no window seat in the front rows is free")
    page = yield click_on(free[0])
    yield Stop()


def refund_sum(page: Observation) -> Memory:
    found = []
    for to in quoted(page):
        page = yield from open_trip(page, to)
        fare = said(page, r"(\w+) fare, upcoming")[1]
        days = said(page, r"(\d+) days left")[1]
        found.append((fare, int(days), int(said(page, r"Paid €(\d+)")[1])))
    page = yield press(page, "Help", "link")
    page = yield press(page, "Cancellations and refunds", "link")
    rules = {}
    for line in texts(page):
        if match := re.match(r"(\w+): (\d+)% to the card if (\d+) days or more are left, (\d+)% later", line):
            rules[match[1]] = [int(figure) for figure in match.groups()[1:]]
    total = 0
    for fare, days, paid in found:
        early, notice, late = rules.get(fare, (0, 0, 0))
        total += paid * (early if days >= notice else late) // 100
    yield Stop(str(total))


def card_refund(page: Observation) -> Memory:
    (to,) = quoted(page)
    page = yield from open_trip(page, to)
    page = yield press(page, "Cancel trip", "link")
    card = named(page, "^To the card", "radio")
    if "disabled" in card.states:
        yield Infeasible("this fare is not refunded to the card")
    page = yield click_on(card)
    page = yield press(page, "Yes, give up this trip", "checkbox")
    page = yield press(page, "Cancel this trip", "button")
    yield Stop()


def fix_passenger(page: Observation) -> Memory:
    (to,) = quoted(page)
    page = yield press(page, "Account", "link")
    page = yield press(page, "Saved travellers", "link")
    listed = [match for line in texts(page) if (match := re.fullmatch(r"(\w+) (\w+), passport (\w+)", line))]
    first, last, passport = next(m.groups() for m in listed if re.search(rf"\b{m[1]}\b", page.goal))
    page = yield from open_trip(page, to)
    page = yield press(page, "Edit passengers", "link")
    number = next(n.text.split()[-1] for n in things(page, "textbox") if (n.value or "").split()[0] == first)
    page = yield fill(find(page, f"Name of passenger {number}"), f"{first} {last}")
    page = yield fill(find(page, f"Passport of passenger {number}"), passport)
    page = yield press(page, "Save passengers", "button")
    yield Stop()


def swap_cancelled(page: Observation) -> Memory:
    wrong, right = quoted(page)
    page = yield press(page, "My trips", "link")
    page = yield press(page, "Cancelled", "link")
    page = yield click_on(named(page, rf" to {re.escape(wrong)} ", "link"))
    page = yield press(page, "Restore trip", "button")
    page = yield press(page, "Yes, restore", "button")
    page = yield from open_trip(page, right)
    page = yield press(page, "Cancel trip", "link")
    page = yield click_on(named(page, "^As travel credit", "radio"))
    page = yield press(page, "Yes, give up this trip", "checkbox")
    page = yield press(page, "Cancel this trip", "button")
    yield Stop()


def change_day(page: Observation) -> Memory:
    to, day = sorted(quoted(page), key=lambda text: text[0].isdigit())
    page = yield from open_trip(page, to)
    page = yield press(page, "Change flight", "link")
    leg = things(page, "radio")[0 if re.search(r"\boutbound\b", page.goal) else 1]
    if "checked" not in leg.states:
        page = yield click_on(leg)
    page = yield fill(find(page, "New date", "textbox"), day)
    page = yield press(page, "Show flights", "button")
    if re.search(r"\bfastest\b", page.goal):
        page = yield press(page, "Fastest", "link")
    page = yield click_on(offers(page)[0].node)
    page = yield click_on(named(page, "^I accept the new flight", "checkbox"))
    page = yield press(page, "Confirm change", "button")
    yield Stop()
