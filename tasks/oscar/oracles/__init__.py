"""Programs that reach the goals from an agent's observations; they import nothing of the site and its content."""

from collections.abc import Callable, Mapping

from webgym.authoring.oracle import Memory
from webgym.types import Observation

from . import account, buying

ORACLES: Mapping[str, Callable[[Observation], Memory]] = {
    "fill-basket": buying.fill_basket,
    "cheapest": buying.take_cheapest,
    "buy": buying.buy,
    "buy-two": buying.buy_two,
    "buy-cheaper": buying.buy_cheaper,
    "review": buying.review,
    "wish-for-two": account.wish_for_two,
    "named-list": account.wish_on_a_list,
    "new-address": account.add_address,
    "move-house": account.move,
    "default-address": account.set_default,
    "remove-address": account.remove_address,
    "back-in-stock": account.ask_for_alert,
    "new-name": account.rename,
}
