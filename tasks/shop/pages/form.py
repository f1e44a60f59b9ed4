"""Fields that a browser sent, as text."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from webgym.sites.rendered import state_of

from ..catalogue import Product, Variant, catalogue
from ..world import Order, World


def world_of(request: Request) -> World:
    """The episode's world."""
    return state_of(request)


async def sent(request: Request) -> dict[str, str]:
    """The fields of a form, white space collapsed; files are left out."""
    return {name: " ".join(value.split()) for name, value in (await request.form()).items() if isinstance(value, str)}


def number(text: Any, otherwise: int = 0) -> int:
    """A whole number that was typed, or `otherwise`."""
    text = str(text).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else otherwise


def product_of(request: Request) -> Product:
    """The product that the address names. Raises 404."""
    found = catalogue().products.get(request.path_params["product"])
    if found is None:
        raise HTTPException(404, "We do not sell this product.")
    return found


def order_of(request: Request) -> Order:
    """The order that the address names. Raises 404."""
    found = world_of(request).orders.get(request.path_params["number"])
    if found is None:
        raise HTTPException(404, "You have no order with this number.")
    return found


def variant_of(fields: dict[str, str]) -> Variant:
    """The variant that a form chose."""
    return Variant(fields.get("colour", ""), fields.get("size", ""))
