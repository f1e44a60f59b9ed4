"""Programs that reach the goals from an agent's observations; they import nothing of the site and its content."""

from collections.abc import Callable, Mapping

from webgym.authoring.oracle import Memory
from webgym.types import Observation

from . import asking, entering, mending

ORACLES: Mapping[str, Callable[[Observation], Memory]] = {
    "enter-purchase": entering.purchase,
    "buy-again": entering.again,
    "two-accounts": entering.two_accounts,
    "pay-card": entering.pay_card,
    "record-balance": entering.record_balance,
    "note-on-goods": entering.note_on_goods,
    "mend-narration": mending.narration,
    "move-to-account": mending.account,
    "paid-from": mending.source,
    "remove-purchase": mending.remove,
    "file-receipt": mending.receipt,
    "note-total": asking.note_total,
    "note-larger": asking.note_larger,
    "spent-in-month": asking.spent,
    "last-price": asking.last_price,
}
