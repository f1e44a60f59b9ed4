"""The shop's rules: costs of delivery, coupons, and time for returns. An episode may have its own."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from .catalogue import catalogue

TODAY = date(2026, 1, 5)  # when every episode's clock starts (webgym.task.Task.clock_s)
MOST = 10  # pieces of one line
WRAPPING = 350  # cents


@dataclass(frozen=True, slots=True)
class Delivery:
    """A way to deliver. It costs nothing from `free_from` cents on, where that is not 0."""

    id: str
    title: str
    price: int
    days: int
    free_from: int = 0

    def cost(self, goods: int) -> int:
        """Cents for delivery of goods of this worth."""
        return 0 if self.free_from and goods >= self.free_from else self.price


@dataclass(frozen=True, slots=True)
class Coupon:
    """A reduction by `percent`, or by `amount` cents, for goods worth at least `least` cents, of one department only where it is named."""

    code: str
    percent: int = 0
    amount: int = 0
    least: int = 0
    department: str = ""
    until: date = date(2026, 12, 31)

    def covered(self, goods: Iterable[tuple[str, int]]) -> int:
        """Cents of the goods, given as (department, cents), to which it applies."""
        return sum(cents for department, cents in goods if self.department in ("", department))

    def refusal(self, goods: Iterable[tuple[str, int]]) -> str:
        """Reason, in words, that it does not apply to these goods; "" where it does."""
        covered = self.covered(goods)
        if self.until < TODAY:
            return f"The coupon {self.code} expired on {long_date(self.until)}."
        if covered == 0:
            return f"The coupon {self.code} is for {department_title(self.department)} only."
        if covered < self.least:
            return f"The coupon {self.code} needs goods worth at least {money(self.least)}."
        return ""

    def discount(self, goods: Iterable[tuple[str, int]]) -> int:
        """Cents that it takes off these goods; 0 where it does not apply."""
        listed = list(goods)
        covered = self.covered(listed)
        return 0 if self.refusal(listed) else min(covered, self.amount or covered * self.percent // 100)


@dataclass(frozen=True, slots=True)
class Payment:
    """A way to pay, up to `limit` cents where that is not 0."""

    id: str
    title: str
    limit: int = 0


DELIVERIES = (
    Delivery("standard", "Standard delivery", 490, 4, free_from=6000),
    Delivery("express", "Express delivery", 1290, 1),
    Delivery("pickup", "Pick-up point", 190, 6),
)
PAYMENTS = (
    Payment("card-4417", "Card ending 4417"),
    Payment("card-9035", "Card ending 9035"),
    Payment("balance", "Gift balance", limit=10_000),
    Payment("invoice", "Pay by invoice", limit=40_000),
)
COUPONS = (
    Coupon("WARM10", percent=10, least=5000),
    Coupon("FIVER", amount=500, least=2500),
    Coupon("NEWYEAR25", percent=25, least=2000, until=date(2026, 1, 1)),
)
REASONS = ("Does not fit", "Not as described", "Arrived damaged", "Changed my mind")
REFUNDS = ("Original payment", "Store credit")


def department_title(department: str) -> str:
    return catalogue().departments[department].title


def money(cents: int) -> str:
    """An amount as the shop writes it.

    >>> money(123450), money(-95)
    ('$1,234.50', '-$0.95')
    """
    return f"{'-' if cents < 0 else ''}${abs(cents) / 100:,.2f}"


def long_date(day: date) -> str:
    """A date as the shop writes it.

    >>> long_date(date(2026, 1, 5))
    '5 January 2026'
    """
    return f"{day.day} {day:%B} {day.year}"
