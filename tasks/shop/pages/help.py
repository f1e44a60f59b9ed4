"""Help pages of the shop: delivery, returns, coupons."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webgym.sites.rendered import page

from ..catalogue import catalogue
from ..policies import MOST, PAYMENTS, REFUNDS, WRAPPING
from .form import world_of


async def overview(request: Request) -> Response:
    return page(request, "help.html")


async def delivery(request: Request) -> Response:
    return page(request, "help_delivery.html", deliveries=world_of(request).opening.deliveries, wrapping=WRAPPING)


async def returns(request: Request) -> Response:
    world = world_of(request)
    windows = [(department.title, world.return_days(department.id)) for department in catalogue().departments.values()]
    return page(request, "help_returns.html", windows=windows, refunds=REFUNDS)


async def offers(request: Request) -> Response:
    return page(request, "help_offers.html", coupons=world_of(request).opening.coupons)


async def payment(request: Request) -> Response:
    return page(request, "help_payment.html", payments=PAYMENTS, most=MOST)


ROUTES = [
    Route("/help", overview),
    Route("/help/delivery", delivery),
    Route("/help/returns", returns),
    Route("/help/offers", offers),
    Route("/help/payment", payment),
]
