"""Programs that reach the goals from an agent's observations; they import nothing of the site and its catalogue."""

from collections.abc import Callable, Mapping

from webgym.authoring.oracle import Memory
from webgym.types import Observation

from . import buying, finding, orders

ORACLES: Mapping[str, Callable[[Observation], Memory]] = {
    "product-price": finding.read_price,
    "shelf-extreme": finding.read_extreme,
    "product-spec": finding.read_spec,
    "save-wish": finding.wish,
    "newest-reviewer": finding.read_reviewer,
    "count-filtered": finding.read_count,
    "compare-two": finding.wish_for_the_better,
    "compare-four": finding.buy_the_best,
    "change-quantity": buying.change_quantity,
    "best-coupon": buying.use_best_coupon,
    "mend-cart": buying.mend_cart,
    "fill-basket": buying.fill_basket,
    "checkout": buying.buy,
    "gift": buying.give,
    "order-in-time": buying.order_in_time,
    "two-orders": buying.order_twice,
    "send-to-a-friend": buying.send_to_a_friend,
    "buy-variant": buying.buy_variant,
    "ordered-colour": orders.read_colour,
    "move-house": orders.move,
    "write-review": orders.write_review,
    "cancel-and-order-again": orders.cancel_and_order_again,
    "return-what-can-go": orders.return_what_can_go,
    "exchange-size": orders.exchange,
    "redirect-order": orders.redirect,
    "return-item": orders.return_item,
}
