"""Finding things: the front page, departments, shelves with filters, search, products and their reviews."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webgym.sites.rendered import page, see_other
from webgym.types import seed_from

from ..catalogue import Product, catalogue
from ..policies import TODAY
from ..world import Review
from .form import number, product_of, sent, variant_of, world_of

PER_PAGE = 8
REVIEWS_PER_PAGE = 5
SORTS: Mapping[str, tuple[str, Callable[[Product], Any]]] = {
    "featured": ("Featured", lambda product: product.rank),
    "cheapest": ("Price, low to high", lambda product: (product.price, product.rank)),
    "dearest": ("Price, high to low", lambda product: (-product.price, product.rank)),
    "rating": ("Best rated", lambda product: (-product.rating, product.rank)),
}
RATINGS = ("3", "3.5", "4", "4.5")


@dataclass(frozen=True)
class Wish:
    """A visitor's view of some products: filters, an order, a page. It is read from the address."""

    brand: str = ""
    colour: str = ""
    rating: str = ""
    highest: str = ""  # whole dollars
    sort: str = "featured"
    number: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Wish":
        sort, highest = query.get("sort", ""), number(query.get("highest", ""), -1)
        return cls(
            query.get("brand", ""),
            query.get("colour", ""),
            query.get("rating", "") if query.get("rating") in RATINGS else "",
            str(highest) if highest >= 0 else "",
            sort if sort in SORTS else "featured",
            max(1, number(query.get("page", ""), 1)),
        )

    def allows(self, product: Product) -> bool:
        return (
            self.brand in ("", product.brand)
            and (not self.colour or self.colour in product.colours)
            and (not self.rating or product.rating >= float(self.rating))
            and (not self.highest or product.price <= 100 * int(self.highest))
        )

    @property
    def filters(self) -> list[tuple[str, str, str]]:
        """The filters that are set: name, value and words for the page."""
        told = {"brand": "{}", "colour": "{}", "rating": "{} stars and more", "highest": "up to ${}"}
        return [(name, getattr(self, name), words.format(getattr(self, name))) for name, words in told.items() if getattr(self, name)]

    def address(self, path: str, q: str, **changes: Any) -> str:
        """The address of the same listing with other filters, order or page."""
        kept = {"q": q, **{name: value for name, value, _ in self.filters}, "sort": self.sort, "page": 1} | changes
        plain = {name: value for name, value in kept.items() if value and (name, value) not in (("sort", "featured"), ("page", 1))}
        return f"{path}?{urlencode(plain)}" if plain else path


def listing(request: Request, title: str, products: Sequence[Product], crumbs: Sequence[tuple[str, str]], q: str = "") -> Response:
    """A page of products with filters, orders and pages."""
    wish = Wish.of(request.query_params)
    path = request.url.path
    found = (
        sorted(filter(wish.allows, products), key=SORTS[wish.sort][1])
        if (wish.sort != "featured" or not q)
        else list(filter(wish.allows, products))
    )
    pages = max(1, -(-len(found) // PER_PAGE))
    wish = Wish(wish.brand, wish.colour, wish.rating, wish.highest, wish.sort, min(wish.number, pages))
    return page(
        request,
        "listing.html",
        title=title,
        crumbs=crumbs,
        q=q,
        wish=wish,
        found=len(found),
        pages=pages,
        products=found[(wish.number - 1) * PER_PAGE : wish.number * PER_PAGE],
        brands=sorted({product.brand for product in products}),
        colours=sorted({colour for product in products for colour in product.colours}),
        ratings=RATINGS,
        sorts=[(name, words, wish.address(path, q, sort=name)) for name, (words, _) in SORTS.items()],
        chips=[(words, wish.address(path, q, sort=wish.sort, **{name: ""})) for name, _, words in wish.filters],
        before=wish.address(path, q, page=wish.number - 1) if wish.number > 1 else "",
        after=wish.address(path, q, page=wish.number + 1) if wish.number < pages else "",
        path=path,
    )


async def front(request: Request) -> Response:
    shelf = catalogue()
    reduced = sorted((product for product in shelf.products.values() if product.was), key=lambda product: product.rank)
    return page(request, "front.html", departments=shelf.departments.values(), products=reduced[:4])


async def departments(request: Request) -> Response:
    return page(request, "departments.html", departments=catalogue().departments.values())


async def department(request: Request) -> Response:
    found = catalogue().departments.get(request.path_params["department"])
    if found is None:
        raise HTTPException(404, "We have no such department.")
    return page(request, "department.html", department=found)


async def category(request: Request) -> Response:
    found = catalogue().categories.get(request.path_params["category"])
    if found is None:
        raise HTTPException(404, "We have no such shelf.")
    floor = catalogue().departments[found.department]
    return listing(request, found.title, found.products, [("/d/" + floor.id, floor.title)])


async def search(request: Request) -> Response:
    q = " ".join(request.query_params.get("q", "").split())[:100]
    if not q:
        return see_other("/departments")
    return listing(request, f"Results for “{q}”", catalogue().search(q), [], q)


# --- one product -----------------------------------------------------------------------------------------------------------


def shown_product(request: Request, error: str = "", status: int = 200, chosen: Mapping[str, str] | None = None) -> Response:
    product, world = product_of(request), world_of(request)
    shelf = catalogue().categories[product.category]
    return page(
        request,
        "product.html",
        status=status,
        product=product,
        shelf=shelf,
        sold_out=[variant.label for variant in product.variants if world.sold_out(product, variant)],
        wished=product.id in world.wishes,
        error=error,
        chosen=chosen or {},
        said=request.query_params.get("said", ""),
    )


async def product(request: Request) -> Response:
    return shown_product(request)


async def add(request: Request) -> Response:
    found, fields = product_of(request), await sent(request)
    error = world_of(request).add(found, variant_of(fields), number(fields.get("quantity")))
    return shown_product(request, error, 422, fields) if error else see_other(f"/p/{found.id}?said=added")


async def wish(request: Request) -> Response:
    found, fields, world = product_of(request), await sent(request), world_of(request)
    if fields.get("do") == "remove":
        world.wishes.pop(found.id, None)
    else:
        world.wishes[found.id] = None
    return see_other("/wishes" if fields.get("from") == "wishes" else f"/p/{found.id}?said=wish")


# --- reviews ---------------------------------------------------------------------------------------------------------------

NAMES = (
    "Ada",
    "Ben",
    "Cleo",
    "Dina",
    "Emil",
    "Fay",
    "Gus",
    "Hana",
    "Ilse",
    "Jon",
    "Kaja",
    "Liv",
    "Milo",
    "Nell",
    "Oz",
    "Pia",
    "Rolf",
    "Sam",
)
TITLES = {
    5: ("Could not be happier", "A joy to use", "Worth every cent", "Exactly right"),
    4: ("Very good", "Does what it should", "Would buy again"),
    3: ("All right", "Fine for the price", "Neither good nor bad"),
    2: ("Not quite", "Expected more", "Has its faults"),
    1: ("Never again", "Broke in a week", "A disappointment"),
}
TEXTS = {
    5: ("I use it every day and it still looks new.", "My neighbour bought one after seeing mine.", "The finish is lovely."),
    4: ("A small scratch on arrival, otherwise perfect.", "Good value, quick to arrive.", "Slightly heavier than I thought."),
    3: ("It works, but the colour is duller than in the picture.", "The box was damaged; the thing itself is fine."),
    2: ("The seam came loose after a month.", "Smaller than described."),
    1: ("It failed on the second day.", "I sent it back at once."),
}


@dataclass(frozen=True)
class Opinion:
    """A review by another customer."""

    author: str
    stars: int
    day: Any
    title: str
    text: str


def opinions(product: Product) -> list[Opinion]:
    """The reviews of a product, newest first; the same each time."""
    rng, day, found = random.Random(seed_from("shop reviews", product.id)), TODAY, []
    for stars in product.stars:
        day -= timedelta(days=rng.randint(1, 40))
        author = f"{rng.choice(NAMES)} {rng.choice('ABCDEFGHKLMNPRSTVW')}."
        found.append(Opinion(author, stars, day, rng.choice(TITLES[stars]), rng.choice(TEXTS[stars])))
    return found


async def reviews(request: Request) -> Response:
    found, asked = product_of(request), request.query_params
    listed = opinions(found)
    only = asked.get("stars", "")
    if only in ("1", "2", "3", "4", "5"):
        listed = [one for one in listed if one.stars == int(only)]
    pages = max(1, -(-len(listed) // REVIEWS_PER_PAGE))
    at = min(max(1, number(asked.get("page", ""), 1)), pages)
    counts = [(stars, found.stars.count(stars)) for stars in (5, 4, 3, 2, 1)]
    own = world_of(request).reviews.get(found.id)
    shown = listed[(at - 1) * REVIEWS_PER_PAGE : at * REVIEWS_PER_PAGE]
    return page(request, "reviews.html", product=found, reviews=shown, counts=counts, only=only, at=at, pages=pages, own=own)


def review_form(request: Request, fields: Mapping[str, str], errors: Mapping[str, str], status: int = 200) -> Response:
    return page(request, "review.html", product=product_of(request), fields=fields, errors=errors, status=status)


async def new_review(request: Request) -> Response:
    if not world_of(request).bought(product_of(request).id):
        raise HTTPException(404, "You can review what was delivered to you.")
    return review_form(request, {}, {})


async def send_review(request: Request) -> Response:
    found, fields, world = product_of(request), await sent(request), world_of(request)
    if not world.bought(found.id):
        raise HTTPException(404, "You can review what was delivered to you.")
    errors = {}
    if fields.get("stars") not in ("1", "2", "3", "4", "5"):
        errors["stars"] = "Choose from 1 to 5 stars."
    for name, most in (("title", 60), ("text", 600)):
        if not 2 <= len(fields.get(name, "")) <= most:
            errors[name] = f"Write a {'title' if name == 'title' else 'review'} of 2 to {most} characters."
    if errors:
        return review_form(request, fields, errors, 422)
    world.reviews[found.id] = Review(found.id, int(fields["stars"]), fields["title"], fields["text"])
    return see_other(f"/p/{found.id}/reviews")


ROUTES = [
    Route("/", front),
    Route("/departments", departments),
    Route("/d/{department}", department),
    Route("/c/{category}", category),
    Route("/search", search),
    Route("/p/{product}", product),
    Route("/p/{product}/add", add, methods=["POST"]),
    Route("/p/{product}/wish", wish, methods=["POST"]),
    Route("/p/{product}/reviews", reviews),
    Route("/p/{product}/review", new_review),
    Route("/p/{product}/review", send_review, methods=["POST"]),
]
