"""Content of the shop: its products, and the customer's account. Everything follows from one seed.

It is read by `prepare.py`, which writes it into the shop, and by the goals, which ask for it.
"""

import random
from dataclasses import dataclass
from decimal import Decimal

CLOCK_S = 1_767_600_000  # 2026-01-05 08:00 UTC, when episodes begin
EMAIL, FIRST_NAME, LAST_NAME = "ann@example.org", "Ann", "Lee"
SESSION = "8c1f0ab27e4d53a1c6b8e07f3d259d4c"
KINDS = {
    "Tools": ("Hammer", "Saw", "Chisel", "Spanner", "Plane", "File"),
    "Garden": ("Spade", "Rake", "Watering can", "Trowel", "Hose", "Shears"),
    "Kitchen": ("Kettle", "Ladle", "Colander", "Grater", "Whisk", "Teapot"),
    "Paper": ("Notebook", "Calendar", "Envelope box", "Sketch pad", "Index cards", "Folder"),
}
MAKERS = ("Alder", "Birch", "Cedar", "Dogwood")


@dataclass(frozen=True)
class Product:
    """A product; `stock` 0 is sold out."""

    upc: str
    title: str
    category: str
    price: Decimal
    stock: int
    description: str


@dataclass(frozen=True)
class Address:
    """An address of the customer's book."""

    first_name: str
    last_name: str
    line1: str
    line4: str
    postcode: str


def _products() -> tuple[Product, ...]:
    rng = random.Random(20)
    found, prices = [], set()
    for category, kinds in KINDS.items():
        for kind in kinds:
            for maker in MAKERS:
                while (pence := rng.randint(150, 9900)) in prices:
                    pass
                prices.add(pence)
                stock = 0 if rng.random() < 0.15 else rng.randint(20, 60)
                number, weight = len(found) + 1, rng.randint(2, 40)
                text = f"A {kind.lower()} by {maker}, {weight * 50} g."
                found.append(Product(f"L{number:04}", f"{maker} {kind.lower()}", category, Decimal(pence) / 100, stock, text))
    return tuple(found)


PRODUCTS = _products()
ADDRESSES = (
    Address("Ann", "Lee", "4 Mill Lane", "Ashford", "TN23 1AA"),
    Address("Ann", "Lee", "17 Quay Street", "Bristol", "BS1 4DA"),
    Address("Bert", "Lee", "9 Hill Road", "Durham", "DH1 3LE"),
    Address("Cora", "Marsh", "22 Castle Hill", "Lincoln", "LN1 3AA"),
    Address("Dilip", "Rao", "5 Canal Wharf", "Leicester", "LE3 5BB"),
    Address("Eve", "Stone", "31 Abbey Close", "Bath", "BA2 4CC"),
)
