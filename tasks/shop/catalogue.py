"""The shop's catalogue, made once per process from `wares.toml`, the same in every episode and on every machine."""

import random
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from webgym.types import seed_from

WARES = Path(__file__).with_name("wares.toml")


@dataclass(frozen=True, slots=True)
class Spec:
    """One line of a product's data sheet: a number with a unit, or a word (then `number` is None)."""

    label: str
    value: str
    number: float | None


@dataclass(frozen=True, slots=True)
class Variant:
    """A colour, and a size where the product has sizes (else "")."""

    colour: str
    size: str = ""

    @property
    def label(self) -> str:
        """The variant in words.

        >>> Variant("Red", "M").label, Variant("Red").label
        ('Red, M', 'Red')
        """
        return f"{self.colour}, {self.size}" if self.size else self.colour


@dataclass(frozen=True, slots=True)
class Product:
    """A product. Prices are cents; `was` is the price before a reduction, or 0. `stars` are those of its reviews, newest first."""

    id: str
    name: str
    brand: str
    category: str
    department: str
    price: int
    was: int
    colours: tuple[str, ...]
    sizes: tuple[str, ...]
    sold_out: frozenset[Variant]
    specs: tuple[Spec, ...]
    stars: tuple[int, ...]
    rank: int  # place among what is featured
    words: str  # what search looks in, lower case

    @property
    def rating(self) -> float:
        """The mean of its stars, with one decimal."""
        return round(sum(self.stars) / len(self.stars), 1)

    @property
    def variants(self) -> tuple[Variant, ...]:
        return tuple(Variant(colour, size) for colour in self.colours for size in self.sizes or ("",))

    def spec(self, label: str) -> Spec | None:
        """The line of its data sheet with this label, if any."""
        return next((spec for spec in self.specs if spec.label == label), None)


@dataclass(frozen=True, slots=True)
class Category:
    """A shelf: products of one kind. `noun` is the word for one of them."""

    id: str
    title: str
    noun: str
    department: str
    labels: tuple[str, ...]  # of the data sheet
    products: tuple[Product, ...]


@dataclass(frozen=True, slots=True)
class Department:
    """A floor of the shop with its shelves. Goods may be sent back for `return_days`, unless an episode sets its own."""

    id: str
    title: str
    return_days: int
    brands: tuple[str, ...]
    categories: tuple[Category, ...]


@dataclass(frozen=True)
class Catalogue:
    """All departments, and products by their id."""

    departments: Mapping[str, Department]
    categories: Mapping[str, Category]
    products: Mapping[str, Product]

    def search(self, text: str) -> list[Product]:
        """The products that have all words of the text, those whose name is the text first, then the featured ones."""
        words = text.casefold().split()
        found = [product for product in self.products.values() if words and all(word in product.words for word in words)]
        return sorted(found, key=lambda product: (product.name.casefold() != " ".join(words), product.rank))


@cache
def catalogue() -> Catalogue:
    """The catalogue; about 0.1 s when it is first asked for."""
    wares = tomllib.loads(WARES.read_text("utf-8"))
    departments = {id: _department(id, entry, wares) for id, entry in wares["departments"].items()}
    categories = {category.id: category for department in departments.values() for category in department.categories}
    products = {product.id: product for category in categories.values() for product in category.products}
    return Catalogue(departments, categories, products)


def _department(id: str, entry: Mapping[str, Any], wares: Mapping[str, Any]) -> Department:
    brands = tuple(entry["brands"])
    categories = tuple(_category(name, id, shelf, brands, wares) for name, shelf in entry["categories"].items())
    return Department(id, entry["title"], entry["return_days"], brands, categories)


def _category(id: str, department: str, shelf: Mapping[str, Any], brands: Sequence[str], wares: Mapping[str, Any]) -> Category:
    rng = random.Random(seed_from("shop", id))
    colours, sizes = wares["palettes"][shelf["colours"]], wares["sizes"].get(shelf.get("sizes", ""), [])
    names = _names(rng, brands, shelf["noun"], wares["series"], wares["lines"], wares["products_per_category"])
    products = []
    for number, (brand, name) in enumerate(names):
        chosen = tuple(colour for colour in colours if rng.random() < 0.7) or (colours[0],)
        cents = _price(rng, *shelf["price"])
        reduced = rng.random() < 0.2
        variants = [Variant(colour, size) for colour in chosen for size in sizes or [""]]
        products.append(
            Product(
                id=f"{_slug(name)}-{seed_from('shop', id, number) % 9000 + 1000}",
                name=name,
                brand=brand,
                category=id,
                department=department,
                price=cents,
                was=cents * rng.choice((115, 125, 140)) // 1000 * 10 if reduced else 0,
                colours=chosen,
                sizes=tuple(sizes),
                sold_out=frozenset(variant for variant in variants[1:] if rng.random() < 0.08),
                specs=tuple(_spec(rng, label, *kind) for label, kind in shelf["specs"].items()),
                stars=_stars(rng),
                rank=rng.randrange(10**6),
                words=f"{name} {shelf['title']} {wares['departments'][department]['title']}".casefold(),
            )
        )
    return Category(id, shelf["title"], shelf["noun"], department, tuple(shelf["specs"]), tuple(products))


def _names(
    rng: random.Random, brands: Sequence[str], noun: str, series: Iterable[str], lines: Sequence[str], count: int
) -> list[tuple[str, str]]:
    """Brand and name of each product; no name twice."""
    drawn = list(series)
    rng.shuffle(drawn)
    names: list[tuple[str, str]] = []
    for number, word in enumerate(drawn):
        brand = brands[number % len(brands)]
        names.append((brand, f"{brand} {word} {noun}"))
        if rng.random() < 0.3:
            names.append((brand, f"{brand} {word} {rng.choice(lines)} {noun}"))
        if len(names) >= count:
            break
    return names[:count]


def _price(rng: random.Random, low: int, high: int) -> int:
    """Cents between two prices in dollars, cheap ones more often."""
    dollars = low + (high - low) * rng.random() ** 2
    return int(dollars) * 100 + rng.choice((0, 50, 90, 95))


def _spec(rng: random.Random, label: str, *kind: Any) -> Spec:
    if not isinstance(kind[1], int | float):
        return Spec(label, rng.choice(kind), None)
    unit, low, high, step = kind
    number = round(low + step * rng.randint(0, round((high - low) / step)), 1)
    return Spec(label, f"{number:g} {'year' if unit == 'years' and number == 1 else unit}".strip(), float(number))


def _stars(rng: random.Random) -> tuple[int, ...]:
    """The stars of 3 to 18 reviews of a product that is good or bad."""
    good = rng.betavariate(4, 2)
    return tuple(1 + sum(rng.random() < good for _ in range(4)) for _ in range(rng.randint(3, 18)))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")
