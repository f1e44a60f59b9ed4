"""Oracles of the goals about the customer's account."""

from webgym.authoring.oracle import Memory, click, press, quoted, seek
from webgym.types import Observation, Stop

from .walk import MENU, Walk, account, below, filled, first, product


def wished(page: Observation, name: str) -> Walk:
    """The product that is shown, on a wish list. Where there is a list already, a menu asks for it."""
    page = yield press(page, "Add to wish list", "button", "link")
    if (entry := seek(page, f"Add to '{name}' wish list")) is not None:
        page = yield click(entry)
    return page


def wish_for_two(page: Observation) -> Memory:
    for title in quoted(page):
        page = yield from product(page, title)
        page = yield from wished(page, "Default")
    yield Stop()


def wish_on_a_list(page: Observation) -> Memory:
    name, title = quoted(page)
    page = yield from account(page, "Wish Lists", "Create a new wish list")
    page = yield from filled(page, Name=name)
    page = yield press(page, "Save", "button")
    page = yield from product(page, title)
    page = yield from wished(page, name)
    yield Stop()


def add_address(page: Observation) -> Memory:
    street, town, postcode = quoted(page)
    page = yield from account(page, "Address Book", "Add a new address")
    page = yield from filled(page, First_name="Ann", Last_name="Lee", First_line=street, City=town)
    page = yield from filled(page, **{"Post/Zip-code": postcode})
    page = yield click(first(page.nodes, "United Kingdom"))
    yield press(page, "Save", "button")
    yield Stop()


def move(page: Observation) -> Memory:
    old, street, town, postcode = quoted(page)
    page = yield from account(page, "Address Book")
    page = yield click(first(below(page, old), "Edit"))
    page = yield from filled(page, First_line=street, City=town)
    page = yield from filled(page, **{"Post/Zip-code": postcode})
    yield press(page, "Save", "button")
    yield Stop()


def menu(page: Observation, street: str) -> Walk:
    """The address book, with the menu of an address open."""
    page = yield from account(page, "Address Book")
    page = yield click(first(below(page, street), MENU))
    return page


def set_default(page: Observation) -> Memory:
    (street,) = quoted(page)
    page = yield from menu(page, street)
    yield press(page, "Set as default shipping address")
    yield Stop()


def remove_address(page: Observation) -> Memory:
    (street,) = quoted(page)
    page = yield from menu(page, street)
    page = yield press(page, "Delete")
    yield press(page, "Delete", "button")
    yield Stop()


def ask_for_alert(page: Observation) -> Memory:
    (title,) = quoted(page)
    page = yield from product(page, title)
    yield press(page, "Notify me", "button")
    yield Stop()


def rename(page: Observation) -> Memory:
    one, last = quoted(page)
    page = yield from account(page, "Profile", "Edit profile")
    page = yield from filled(page, First_name=one, Last_name=last)
    yield press(page, "Save", "button")
    yield Stop()
