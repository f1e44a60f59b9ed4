"""Buying: the cart, coupons, and the checkout in four steps."""

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webgym.sites.rendered import page, see_other

from ..policies import PAYMENTS, TODAY
from .form import number, sent, world_of


def shown_cart(request: Request, error: str = "", status: int = 200, code: str = "") -> Response:
    return page(request, "cart.html", error=error, status=status, code=code, said=request.query_params.get("said", ""))


async def cart(request: Request) -> Response:
    return shown_cart(request)


async def update(request: Request) -> Response:
    fields, world = await sent(request), world_of(request)
    if fields.get("do") == "remove":
        world.remove(fields.get("line", ""))
        return see_other("/cart?said=removed")
    error = world.set_quantity(fields.get("line", ""), number(fields.get("quantity")))
    return shown_cart(request, error, 422) if error else see_other("/cart?said=updated")


async def coupon(request: Request) -> Response:
    fields, world = await sent(request), world_of(request)
    if fields.get("do") == "remove":
        world.coupon = ""
        return see_other("/cart")
    code = fields.get("code", "")[:40]
    error = world.apply(code)
    return shown_cart(request, error, 422, code) if error else see_other("/cart?said=coupon")


# --- checkout --------------------------------------------------------------------------------------------------------------


def step(request: Request, template: str, error: str = "") -> Response:
    return page(request, template, error=error, status=422 if error else 200, payments=PAYMENTS, today=TODAY)


async def address(request: Request) -> Response:
    world = world_of(request)
    if not world.cart:
        return see_other("/cart")
    if request.method == "GET":
        return step(request, "checkout_address.html")
    chosen = (await sent(request)).get("address", "")
    if chosen not in world.addresses:
        return step(request, "checkout_address.html", "Choose an address.")
    world.draft = replace(world.draft, address=chosen)
    return see_other("/checkout/delivery")


async def delivery(request: Request) -> Response:
    world = world_of(request)
    if not world.cart or world.draft.address not in world.addresses:
        return see_other("/checkout/address")
    if request.method == "GET":
        return step(request, "checkout_delivery.html")
    fields = await sent(request)
    message = fields.get("message", "")
    world.draft = replace(world.draft, wrapping="wrapping" in fields, message=message[:200])
    if world.delivery(fields.get("delivery", "")) is None:
        return step(request, "checkout_delivery.html", "Choose a delivery.")
    if message and "wrapping" not in fields:
        return step(request, "checkout_delivery.html", "A gift message needs gift wrapping.")
    world.draft = replace(world.draft, delivery=fields["delivery"])
    return see_other("/checkout/payment")


async def payment(request: Request) -> Response:
    world = world_of(request)
    if not world.cart or not world.draft.delivery:
        return see_other("/checkout/delivery")
    if request.method == "GET":
        return step(request, "checkout_payment.html")
    chosen = (await sent(request)).get("payment", "")
    if refusal := world.payment_refusal(chosen):
        return step(request, "checkout_payment.html", refusal)
    world.draft = replace(world.draft, payment=chosen)
    return see_other("/checkout/review")


async def review(request: Request) -> Response:
    world = world_of(request)
    if not world.cart or not world.draft.payment or world.draft.address not in world.addresses:
        return see_other("/checkout/payment")
    if request.method == "GET":
        return step(request, "checkout_review.html")
    order, error = world.place()
    return step(request, "checkout_review.html", error) if order is None else see_other(f"/orders/{order.number}?said=placed")


ROUTES = [
    Route("/cart", cart),
    Route("/cart/line", update, methods=["POST"]),
    Route("/cart/coupon", coupon, methods=["POST"]),
    Route("/checkout/address", address, methods=["GET", "POST"]),
    Route("/checkout/delivery", delivery, methods=["GET", "POST"]),
    Route("/checkout/payment", payment, methods=["GET", "POST"]),
    Route("/checkout/review", review, methods=["GET", "POST"]),
]
