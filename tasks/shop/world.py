"""The shop in one episode: a customer's cart, orders and addresses over the shared catalogue, and all actions on them.

Every change of the state is a method of :class:`World`. A method that may refuse returns the reason in words, or "". The tasks' checks
use the same methods to compute the wanted end, so a task cannot ask for something that the shop would refuse.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from .catalogue import Product, Variant, catalogue
from .policies import COUPONS, DELIVERIES, MOST, PAYMENTS, REASONS, REFUNDS, TODAY, WRAPPING, Coupon, Delivery, long_date, money

CUSTOMER = "Robin Vale"


@dataclass(frozen=True, slots=True)
class Line:
    """A number of pieces of a product's variant."""

    product: str
    variant: Variant
    quantity: int = 1

    @property
    def key(self) -> str:
        """Name of the line in forms."""
        return f"{self.product}|{self.variant.colour}|{self.variant.size}"

    @property
    def item(self) -> Product:
        return catalogue().products[self.product]

    @property
    def cents(self) -> int:
        return self.item.price * self.quantity


@dataclass(frozen=True, slots=True)
class Address:
    """Address of a parcel. `label` is the customer's name for it."""

    label: str
    name: str
    street: str
    town: str
    postcode: str

    @property
    def text(self) -> str:
        return f"{self.name}, {self.street}, {self.town} {self.postcode}"


@dataclass(frozen=True, slots=True)
class Return:
    """A line of an order that goes back."""

    line: str
    reason: str
    refund: str


@dataclass(frozen=True, slots=True)
class Order:
    """A placed order. `status` is Processing, On its way, Delivered or Cancelled; `delivered` is the day, if it was delivered."""

    number: int
    placed: date
    lines: tuple[Line, ...]
    address: Address
    delivery: str
    payment: str
    total: int
    status: str = "Processing"
    delivered: date | None = None
    coupon: str = ""
    wrapping: bool = False
    message: str = ""
    returns: tuple[Return, ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """The customer's review of a product."""

    product: str
    stars: int
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A checkout that is under way."""

    address: str = ""
    delivery: str = ""
    payment: str = ""
    wrapping: bool = False
    message: str = ""


HOME = Address("Home", CUSTOMER, "12 Mill Lane", "Ashby", "40118")
WORK = Address("Work", CUSTOMER, "88 Station Road", "Kelton", "40220")


@dataclass(frozen=True)
class Opening:
    """Start of an episode, as changes of the usual one. `sold_out` and `in_stock` change the catalogue's own stock."""

    cart: tuple[Line, ...] = ()
    coupon: str = ""
    orders: tuple[Order, ...] = ()
    addresses: tuple[Address, ...] = (HOME, WORK)
    wishes: tuple[str, ...] = ()
    sold_out: frozenset[tuple[str, Variant]] = frozenset()
    in_stock: frozenset[tuple[str, Variant]] = frozenset()
    coupons: tuple[Coupon, ...] = COUPONS
    deliveries: tuple[Delivery, ...] = DELIVERIES
    return_days: Mapping[str, int] = field(default_factory=dict)  # by department, beside the catalogue's

    def __post_init__(self) -> None:
        lines = [*self.cart, *(line for order in self.orders for line in order.lines)]
        named = {line.product for line in lines} | {product for product, _ in self.sold_out | self.in_stock} | set(self.wishes)
        if strange := named - catalogue().products.keys():
            raise LookupError(f"the shop has no product {', '.join(map(repr, sorted(strange)))}: an episode must begin with what it sells")


class World:
    """The state of one episode."""

    def __init__(self, opening: Opening | None = None) -> None:
        begun = opening or Opening()
        self.opening = begun
        self.cart: dict[str, Line] = {line.key: line for line in begun.cart}
        self.coupon = begun.coupon
        self.orders: dict[int, Order] = {order.number: order for order in begun.orders}
        self.addresses: dict[str, Address] = {address.label: address for address in begun.addresses}
        self.wishes: dict[str, None] = dict.fromkeys(begun.wishes)
        self.reviews: dict[str, Review] = {}
        self.draft = Draft()

    # --- what there is -----------------------------------------------------------------------------------------------------

    def sold_out(self, product: Product, variant: Variant) -> bool:
        """True if this variant cannot be bought now."""
        key = (product.id, variant)
        return key in self.opening.sold_out or (variant in product.sold_out and key not in self.opening.in_stock)

    def return_days(self, department: str) -> int:
        """Days after delivery in which goods of this department may be sent back."""
        return self.opening.return_days.get(department, catalogue().departments[department].return_days)

    def delivery(self, id: str) -> Delivery | None:
        return next((one for one in self.opening.deliveries if one.id == id), None)

    @property
    def goods(self) -> int:
        """Cents of the goods in the cart."""
        return sum(line.cents for line in self.cart.values())

    @property
    def pieces(self) -> int:
        return sum(line.quantity for line in self.cart.values())

    @property
    def discount(self) -> int:
        """Cents that the coupon takes off."""
        found = self._coupon(self.coupon)
        return found.discount(self._by_department()) if found else 0

    @property
    def total(self) -> int:
        """Cents to pay for the cart as the draft would send it."""
        delivery = self.delivery(self.draft.delivery)
        reduced = self.goods - self.discount
        return reduced + (delivery.cost(reduced) if delivery else 0) + (WRAPPING if self.draft.wrapping else 0)

    def _by_department(self) -> list[tuple[str, int]]:
        return [(line.item.department, line.cents) for line in self.cart.values()]

    def _coupon(self, code: str) -> Coupon | None:
        return next((coupon for coupon in self.opening.coupons if coupon.code == code), None)

    # --- the cart ----------------------------------------------------------------------------------------------------------

    def add(self, product: Product, variant: Variant, quantity: int = 1) -> str:
        """Put pieces into the cart, beside those that are there."""
        if variant not in product.variants:
            return f"Choose a colour{' and a size' if product.sizes else ''}."
        if self.sold_out(product, variant):
            return f"{variant.label} is sold out."
        line = Line(product.id, variant, quantity)
        held = self.cart.get(line.key)
        pieces = quantity + (held.quantity if held else 0)
        if quantity < 1 or pieces > MOST:
            return f"Choose a quantity from 1 to {MOST}."
        self.cart[line.key] = replace(line, quantity=pieces)
        return ""

    def set_quantity(self, key: str, quantity: int) -> str:
        """Change the number of pieces of a line."""
        if key not in self.cart:
            return "This product is no longer in your cart."
        if not 1 <= quantity <= MOST:
            return f"Choose a quantity from 1 to {MOST}."
        self.cart[key] = replace(self.cart[key], quantity=quantity)
        return ""

    def remove(self, key: str) -> None:
        self.cart.pop(key, None)

    def apply(self, code: str) -> str:
        """Use a coupon in place of the present one."""
        found = self._coupon(code.strip().upper())
        if found is None:
            return f"There is no coupon {code.strip()!r}." if code.strip() else "Enter a coupon code."
        if refusal := found.refusal(self._by_department()):
            return refusal
        self.coupon = found.code
        return ""

    # --- checkout ----------------------------------------------------------------------------------------------------------

    def place(self) -> tuple[Order | None, str]:
        """Order the contents of the cart by the draft; returns the order, or the reason for a refusal."""
        draft, address = self.draft, self.addresses.get(self.draft.address)
        if not self.cart:
            return None, "Your cart is empty."
        if address is None or self.delivery(draft.delivery) is None or not draft.payment:
            return None, "Choose an address, a delivery and a payment first."
        for line in self.cart.values():
            if self.sold_out(line.item, line.variant):
                return None, f"{line.item.name}, {line.variant.label}, is sold out: remove it from your cart."
        if refusal := self.payment_refusal(draft.payment):
            return None, refusal
        order = Order(
            number=max([4800, *self.orders]) + 1,
            placed=TODAY,
            lines=tuple(self.cart.values()),
            address=address,
            delivery=draft.delivery,
            payment=draft.payment,
            total=self.total,
            coupon=self.coupon if self.discount else "",
            wrapping=draft.wrapping,
            message=draft.message,
        )
        self.orders[order.number] = order
        self.cart, self.coupon, self.draft = {}, "", Draft()
        return order, ""

    def payment_refusal(self, payment: str) -> str:
        """Reason that the cart cannot be paid in this way; "" where it can."""
        found = next((one for one in PAYMENTS if one.id == payment), None)
        if found is None:
            return "Choose how to pay."
        over = found.limit and self.total > found.limit
        return f"{found.title} pays at most {money(found.limit)}; this order comes to {money(self.total)}." if over else ""

    # --- orders ------------------------------------------------------------------------------------------------------------

    def cancel(self, number: int) -> str:
        """Cancel an order that was not sent yet."""
        order = self.orders[number]
        if order.status != "Processing":
            return f"Order {number} cannot be cancelled: it is {order.status.lower()}."
        self.orders[number] = replace(order, status="Cancelled")
        return ""

    def redirect(self, number: int, label: str) -> str:
        """Send an order that was not sent yet to another of the customer's addresses."""
        order = self.orders[number]
        if order.status != "Processing":
            return f"The address of order {number} cannot be changed: it is {order.status.lower()}."
        if label not in self.addresses:
            return "Choose one of your addresses."
        self.orders[number] = replace(order, address=self.addresses[label])
        return ""

    def send_back(self, number: int, line: str, reason: str, refund: str) -> str:
        """Return a line of an order."""
        order = self.orders[number]
        found = next((one for one in order.lines if one.key == line), None)
        if order.delivered is None:
            return f"Order {number} was not delivered yet."
        if found is None or any(one.line == line for one in order.returns):
            return "Choose what to return."
        if reason not in REASONS:
            return "Choose a reason."
        if refund not in REFUNDS:
            return "Choose how we pay you back."
        last = order.delivered + timedelta(days=self.return_days(found.item.department))
        if last < TODAY:
            return f"{found.item.name} could be returned until {long_date(last)}."
        self.orders[number] = replace(order, returns=(*order.returns, Return(line, reason, refund)))
        return ""

    def bought(self, product: str) -> bool:
        """True if the product was delivered to the customer."""
        return any(order.delivered and any(line.product == product for line in order.lines) for order in self.orders.values())

    # --- for checks --------------------------------------------------------------------------------------------------------

    def shown(self) -> dict[str, Any]:
        """The state as plain data, the checkout under way included."""
        return {
            "cart": [_line(line) for line in self.cart.values()],
            "coupon": self.coupon,
            "orders": [_order(order) for order in self.orders.values()],
            "addresses": [asdict(address) for address in self.addresses.values()],
            "wishes": list(self.wishes),
            "reviews": [asdict(review) for review in self.reviews.values()],
            "draft": asdict(self.draft),
        }


def _line(line: Line) -> dict[str, Any]:
    return {"product": line.product, "variant": line.variant.label, "quantity": line.quantity}


def _order(order: Order) -> dict[str, Any]:
    return {
        "number": order.number,
        "status": order.status,
        "lines": [_line(line) for line in order.lines],
        "address": asdict(order.address),
        "delivery": order.delivery,
        "payment": order.payment,
        "coupon": order.coupon,
        "total": order.total,
        "wrapping": order.wrapping,
        "message": order.message,
        "returns": [asdict(one) for one in order.returns],
    }


def outcome(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Parts of a state that count in the end: all but checkouts under way, the order of entries, and the numbers of orders."""

    def lines(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(listed, key=lambda line: (line["product"], line["variant"]))

    orders = [
        {**{key: value for key, value in order.items() if key != "number"}, "lines": lines(order["lines"])} for order in shown["orders"]
    ]
    return {
        "cart": lines(shown["cart"]),
        "coupon": shown["coupon"] if shown["cart"] else "",
        "orders": sorted(orders, key=repr),
        "addresses": sorted(shown["addresses"], key=repr),
        "wishes": sorted(shown["wishes"]),
        "reviews": shown["reviews"],
    }
