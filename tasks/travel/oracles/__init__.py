"""Programs that reach the goals from an agent's observations; they import nothing of the site and its catalogue."""

from collections.abc import Callable, Mapping

from webgym.authoring.oracle import Memory
from webgym.types import Observation

from . import booking, finding, managing

ORACLES: Mapping[str, Callable[[Observation], Memory]] = {
    "trip-time": finding.trip_time,
    "delete-alert": finding.delete_alert,
    "change-phone": finding.change_phone,
    "set-alert": finding.set_alert,
    "direct-price": finding.direct_price,
    "cheapest-day": finding.cheapest_day,
    "cheapest-city": finding.cheapest_city,
    "add-bags": managing.add_bags,
    "change-seat": managing.change_seat,
    "front-window": managing.front_window,
    "refund-sum": managing.refund_sum,
    "card-refund": managing.card_refund,
    "fix-passenger": managing.fix_passenger,
    "swap-cancelled": managing.swap_cancelled,
    "change-day": managing.change_day,
    "book-cheapest": booking.book_cheapest,
    "book-seat": booking.book_seat,
    "book-direct": booking.book_direct,
    "book-return": booking.book_return,
    "book-pair": booking.book_pair,
    "book-like": booking.book_like,
    "book-cheapest-city": booking.book_cheapest_city,
    "rebook": booking.rebook,
    "finish-booking": booking.finish_booking,
}
