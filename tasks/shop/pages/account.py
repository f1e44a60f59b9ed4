"""The customer's own: orders with cancelling and returns, addresses, the wish list."""

import re
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webgym.sites.rendered import page, see_other

from ..catalogue import catalogue
from ..policies import REASONS, REFUNDS
from ..world import Address
from .form import number, order_of, sent, world_of

ADDRESS_FIELDS = {"label": "Label", "name": "Full name", "street": "Street and number", "town": "Town", "postcode": "Postcode"}
ORDERS_PER_PAGE = 5


async def account(request: Request) -> Response:
    return page(request, "account.html")


# --- orders ----------------------------------------------------------------------------------------------------------------


async def orders(request: Request) -> Response:
    listed = sorted(world_of(request).orders.values(), key=lambda order: -order.number)
    pages = max(1, -(-len(listed) // ORDERS_PER_PAGE))
    at = min(max(1, number(request.query_params.get("page", ""), 1)), pages)
    return page(request, "orders.html", orders=listed[(at - 1) * ORDERS_PER_PAGE : at * ORDERS_PER_PAGE], at=at, pages=pages)


def shown_order(request: Request, error: str = "", status: int = 200) -> Response:
    return page(
        request,
        "order.html",
        order=order_of(request),
        error=error,
        status=status,
        said=request.query_params.get("said", ""),
        reasons=REASONS,
    )


async def order(request: Request) -> Response:
    return shown_order(request)


async def cancel(request: Request) -> Response:
    number = order_of(request).number
    error = world_of(request).cancel(number)
    return shown_order(request, error, 422) if error else see_other(f"/orders/{number}?said=cancelled")


async def again(request: Request) -> Response:
    """Puts all lines of an order into the cart."""
    order, world = order_of(request), world_of(request)
    for line in order.lines:
        if error := world.add(line.item, line.variant, line.quantity):
            return shown_order(request, f"{line.item.name}: {error}", 422)
    return see_other("/cart?said=again")


async def redirect(request: Request) -> Response:
    order, world = order_of(request), world_of(request)
    if request.method == "GET":
        return page(request, "order_address.html", order=order, error="")
    error = world.redirect(order.number, (await sent(request)).get("address", ""))
    if error:
        return page(request, "order_address.html", order=order, error=error, status=422)
    return see_other(f"/orders/{order.number}?said=redirected")


async def send_back(request: Request) -> Response:
    order, world = order_of(request), world_of(request)
    if request.method == "GET" and order.delivered is None:
        raise HTTPException(404, "This order was not delivered yet.")
    fields = await sent(request) if request.method == "POST" else {}
    error = world.send_back(order.number, fields.get("line", ""), fields.get("reason", ""), fields.get("refund", "")) if fields else ""
    if fields and not error:
        return see_other(f"/orders/{order.number}?said=returned")
    values = {"order": order, "fields": fields, "error": error, "reasons": REASONS, "refunds": REFUNDS}
    return page(request, "return.html", status=422 if error else 200, **values)


# --- addresses -------------------------------------------------------------------------------------------------------------


async def addresses(request: Request) -> Response:
    return page(request, "addresses.html", said=request.query_params.get("said", ""))


def address_errors(fields: Mapping[str, str], taken: bool) -> dict[str, str]:
    """Errors in an address, by field."""
    errors = {name: f"Enter the {words.lower()}." for name, words in ADDRESS_FIELDS.items() if not fields.get(name)}
    errors |= {name: "At most 60 characters." for name in ADDRESS_FIELDS if len(fields.get(name, "")) > 60}
    if "postcode" not in errors and not re.fullmatch(r"\d{5}", fields["postcode"]):
        errors["postcode"] = "A postcode has five digits."
    if "label" not in errors and not re.fullmatch(r"[\w '-]+", fields["label"]):
        errors["label"] = "A label has letters, digits and spaces only."
    if "label" not in errors and taken:
        errors["label"] = "You have an address with this label already."
    return errors


async def edit_address(request: Request) -> Response:
    """A new address, or a change of the one that the address of the page names."""
    world, label = world_of(request), request.path_params.get("label", "")
    known = world.addresses.get(label)
    if label and known is None:
        raise HTTPException(404, "You have no address with this label.")
    leads_to = "/checkout/address" if request.query_params.get("next") == "checkout" else "/account/addresses?said=saved"
    before = {name: getattr(known, name) for name in ADDRESS_FIELDS} if known else {}
    if request.method == "GET":
        return page(request, "address.html", labels=ADDRESS_FIELDS, fields=before, errors={}, known=known)
    fields = await sent(request)
    errors = address_errors(fields, fields.get("label", "") in world.addresses and fields.get("label") != label)
    if errors:
        return page(request, "address.html", labels=ADDRESS_FIELDS, fields=fields, errors=errors, known=known, status=422)
    saved = Address(**{name: fields[name] for name in ADDRESS_FIELDS})
    if known is None:
        world.addresses[saved.label] = saved
    else:  # it keeps its place
        world.addresses = {one.label: one for one in (saved if one is known else one for one in world.addresses.values())}
    return see_other(leads_to)


async def delete_address(request: Request) -> Response:
    world_of(request).addresses.pop(request.path_params["label"], None)
    return see_other("/account/addresses?said=deleted")


async def wishes(request: Request) -> Response:
    products = catalogue().products
    return page(request, "wishes.html", products=[products[wish] for wish in world_of(request).wishes])


ROUTES = [
    Route("/account", account),
    Route("/account/addresses", addresses),
    Route("/account/addresses/new", edit_address, methods=["GET", "POST"]),
    Route("/account/addresses/{label}", edit_address, methods=["GET", "POST"]),
    Route("/account/addresses/{label}/delete", delete_address, methods=["POST"]),
    Route("/orders", orders),
    Route("/orders/{number:int}", order),
    Route("/orders/{number:int}/cancel", cancel, methods=["POST"]),
    Route("/orders/{number:int}/again", again, methods=["POST"]),
    Route("/orders/{number:int}/address", redirect, methods=["GET", "POST"]),
    Route("/orders/{number:int}/return", send_back, methods=["GET", "POST"]),
    Route("/wishes", wishes),
]
