"""The shop over bare ASGI: its pages, what it refuses and in which words, and that episodes know nothing of each other."""

import asyncio
import importlib
import re

import httpx2
import pytest

from webgym.packs import registry

registry.task("shop.checkout")  # loads the pack under its private name
world = importlib.import_module("webgym_tasks.shop.world")
policies = importlib.import_module("webgym_tasks.shop.policies")
shop = importlib.import_module("webgym_tasks.shop.site")
catalogue = importlib.import_module("webgym_tasks.shop.catalogue").catalogue()
browse = importlib.import_module("webgym_tasks.shop.pages.browse")

KETTLE = next(item for item in catalogue.products.values() if item.category == "kettles")
BOOTS = next(item for item in catalogue.products.values() if item.category == "hiking-boots")


class Visitor:
    """A browser of sorts: asks the site for pages in one episode."""

    def __init__(self, opening=None):
        self.world = asyncio.run(shop.site().lease(0, opening))

    async def _app(self, scope, receive, send):
        await shop.site().app({**scope, "webgym.state": self.world}, receive, send)

    async def _ask(self, method, path, data):
        transport = httpx2.ASGITransport(self._app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://shop.localhost", follow_redirects=True) as client:
            return await client.request(method, path, data=data)

    def get(self, path):
        return asyncio.run(self._ask("GET", path, None))

    def post(self, path, **data):
        return asyncio.run(self._ask("POST", path, data))

    def alert(self, answer):
        """What the page says is wrong."""
        found = re.search(r'role="alert">([^<]*)<', answer.text)
        return found[1] if found else ""


def order(number, status="Processing", came=None, items=((KETTLE, 0),)):
    lines = tuple(world.Line(item.id, item.variants[at]) for item, at in items)
    return world.Order(number, policies.TODAY, lines, world.HOME, "standard", "card-4417", 5000, status, came)


def test_the_catalogue_is_large_and_named_apart():
    products = list(catalogue.products.values())
    assert len(products) >= 2000 and len({item.name for item in products}) == len(products)
    assert all(item.variants[0] not in item.sold_out and len(item.stars) >= 3 for item in products)
    assert len(catalogue.categories) == 48 and len(catalogue.departments) == 8


PAGES = (
    "/ /departments /d/kitchen /c/kettles /search?q=kettle /search?q=nothing+of+the+kind /cart /account /account/addresses "
    "/account/addresses/new /account/addresses/Home /orders /orders/4711 /orders/4712/address /orders/4711/return /wishes /help "
    f"/help/delivery /help/returns /help/offers /help/payment /p/{KETTLE.id} /p/{BOOTS.id}/reviews /p/{KETTLE.id}/review"
)


@pytest.mark.parametrize("path", PAGES.split())
def test_every_page_is_whole_and_fetches_nothing_from_elsewhere(path):
    visitor = Visitor(world.Opening(orders=(order(4711, "Delivered", policies.TODAY), order(4712))))
    answer = visitor.get(path)
    assert answer.status_code == 200 and "no-store" in answer.headers["cache-control"]
    assert "· Larkfield</title>" in answer.text and answer.text.rstrip().endswith("</html>")
    assert set(re.findall(r'(?:src|href|action)="(https?:|//)', answer.text)) == set()
    assert visitor.world.shown() == Visitor(visitor.world.opening).world.shown(), "looking changes nothing"


@pytest.mark.parametrize(
    "path", ["/nowhere", "/d/none", "/c/none", "/p/none", "/orders/1", "/account/addresses/None", f"/p/{KETTLE.id}/review"]
)
def test_what_is_not_there_has_the_shops_own_page(path):
    answer = Visitor().get(path)
    assert answer.status_code == 404 and "<h1>Page not found</h1>" in answer.text and "Larkfield" in answer.text


def test_no_address_shows_or_resets_the_state():
    for path in ("/state", "/state.json", "/reset", "/snapshot", "/api", "/debug", "/static/../world.py", "/static/%2e%2e/world.py"):
        assert Visitor().get(path).status_code == 404
    assert Visitor().get(f"/p/{KETTLE.id}/add").status_code == 405


# --- finding ---------------------------------------------------------------------------------------------------------------


def names(answer):
    return re.findall(r'<li class="card">.*?<a href="[^"]*">([^<]*)</a>', answer.text, re.S)


def test_search_finds_all_words_and_the_exact_name_first():
    found = catalogue.search(KETTLE.name.upper())
    assert found[0] is KETTLE and all(set(KETTLE.name.casefold().split()) <= set(item.words.split()) for item in found)
    assert names(Visitor().get(f"/search?q={KETTLE.name}"))[0] == KETTLE.name
    assert catalogue.search("") == [] and catalogue.search("zzz") == []


def test_filters_orders_and_pages_of_a_shelf():
    shelf, visitor = catalogue.categories["kettles"], Visitor()
    brand = KETTLE.brand
    fitting = [item for item in shelf.products if item.brand == brand and item.rating >= 3.5]
    answer = visitor.get(f"/c/kettles?brand={brand}&rating=3.5&sort=cheapest")
    assert names(answer) == [item.name for item in sorted(fitting, key=lambda item: (item.price, item.rank))][:8]
    assert f"{len(fitting)} product" in answer.text and f"Remove filter: {brand}" in answer.text
    assert all(catalogue.search(name)[0].price <= 4000 for name in names(visitor.get("/c/kettles?highest=40")))
    seen = []
    for at in range(1, 7):
        seen += names(visitor.get(f"/c/kettles?sort=dearest&page={at}"))
    assert sorted(set(seen)) == sorted(item.name for item in shelf.products)
    prices = [catalogue.search(name)[0].price for name in seen[:44]]
    assert prices == sorted(prices, reverse=True)


STRANGE = ("", "0", "-3", "99", "x", "²", "①", "½", "٣", "1.5", "1e9", "9" * 5000, "%22%3E%3Cb%3E", "%00")


@pytest.mark.parametrize("name", ["page", "sort", "rating", "highest", "brand", "colour", "q"])
def test_a_strange_query_is_no_failure(name):
    for value in STRANGE:
        assert Visitor().get(f"/c/kettles?{name}={value}").status_code == 200
        assert Visitor().get(f"/p/{BOOTS.id}/reviews?{name}={value}").status_code == 200


@pytest.mark.parametrize("value", STRANGE)
def test_a_strange_field_is_no_failure(value):
    visitor = Visitor()
    assert visitor.post(f"/p/{BOOTS.id}/add", colour=value, size=value, quantity=value).status_code == 422
    assert visitor.world.cart == {}


def test_only_a_price_that_is_a_number_filters():
    assert Visitor().get("/c/kettles?highest=²").text.count("Remove filter") == 0
    assert Visitor().get("/c/kettles?highest=40").text.count("Remove filter: up to $40") == 1


def test_what_people_write_is_shown_as_text():
    visitor, evil = Visitor(), '"><script>alert(1)</script>'
    assert "<script>alert" not in visitor.get(f"/search?q={evil}").text
    visitor.post("/account/addresses/new", label="Mum", name=evil, street=evil, town=evil, postcode="12345")
    assert visitor.world.addresses["Mum"].name == evil
    assert "<script>alert" not in visitor.get("/account/addresses").text


def test_reviews_agree_with_the_stars():
    for item in list(catalogue.products.values())[::97]:
        assert [one.stars for one in browse.opinions(item)] == list(item.stars)
    only = max(set(BOOTS.stars), key=BOOTS.stars.count)
    text = Visitor().get(f"/p/{BOOTS.id}/reviews?stars={only}").text
    assert set(re.findall(r"<p>(\d) stars, ", text)) == {str(only)}


# --- buying ----------------------------------------------------------------------------------------------------------------


def test_variants_and_quantities_are_checked():
    sold_out = BOOTS.variants[-1]
    visitor = Visitor(world.Opening(sold_out=frozenset({(BOOTS.id, sold_out)})))
    add = f"/p/{BOOTS.id}/add"
    for data, words in (
        ({"colour": BOOTS.colours[0], "size": "", "quantity": "1"}, "Choose a colour and a size."),
        ({"colour": "Invisible", "size": "40", "quantity": "1"}, "Choose a colour and a size."),
        ({"colour": sold_out.colour, "size": sold_out.size, "quantity": "1"}, f"{sold_out.label} is sold out."),
        ({"colour": BOOTS.colours[0], "size": BOOTS.sizes[0], "quantity": "0"}, "Choose a quantity from 1 to 10."),
        ({"colour": BOOTS.colours[0], "size": BOOTS.sizes[0], "quantity": "-1"}, "Choose a quantity from 1 to 10."),
        ({"colour": BOOTS.colours[0], "size": BOOTS.sizes[0], "quantity": "11"}, "Choose a quantity from 1 to 10."),
    ):
        answer = visitor.post(add, **data)
        assert (answer.status_code, visitor.alert(answer)) == (422, words)
    assert visitor.world.cart == {}
    assert "Added to your cart." in visitor.post(add, colour=BOOTS.colours[0], size=BOOTS.sizes[0], quantity="4").text
    assert visitor.alert(visitor.post(add, colour=BOOTS.colours[0], size=BOOTS.sizes[0], quantity="7")) == "Choose a quantity from 1 to 10."
    assert visitor.world.pieces == 4


def full(**more):
    return world.Opening(cart=(world.Line(KETTLE.id, KETTLE.variants[0]),), **more)


def test_lines_of_the_cart_change_and_go():
    visitor = Visitor(full())
    (key,) = visitor.world.cart
    assert visitor.alert(visitor.post("/cart/line", line=key, quantity="99", do="update")) == "Choose a quantity from 1 to 10."
    visitor.post("/cart/line", line=key, quantity="3", do="update")
    assert visitor.world.pieces == 3 and visitor.world.goods == 3 * KETTLE.price
    assert "Your cart is empty." in visitor.post("/cart/line", line=key, do="remove").text
    assert visitor.alert(visitor.post("/cart/line", line=key, quantity="2", do="update")) == "This product is no longer in your cart."


def test_coupons_that_do_not_hold_say_why():
    coupons = (
        policies.Coupon("OLD", percent=50, until=policies.date(2025, 12, 31)),
        policies.Coupon("BIG", percent=50, least=10**6),
        policies.Coupon("SHOES", percent=50, department="footwear"),
        policies.Coupon("TEN", percent=10),
        policies.Coupon("GONE", amount=10**6),
    )
    visitor = Visitor(full(coupons=coupons))
    for code, words in (
        ("", "Enter a coupon code."),
        ("NONE", "There is no coupon &#39;NONE&#39;."),
        ("old", "The coupon OLD expired on 31 December 2025."),
        ("BIG", "The coupon BIG needs goods worth at least $10,000.00."),
        ("SHOES", "The coupon SHOES is for Footwear only."),
    ):
        answer = visitor.post("/cart/coupon", code=code)
        assert (answer.status_code, visitor.alert(answer)) == (422, words)
    visitor.post("/cart/coupon", code=" ten ")
    assert visitor.world.discount == KETTLE.price // 10
    visitor.post("/cart/coupon", code="GONE")
    assert visitor.world.discount == KETTLE.price and visitor.world.total == 0, "no coupon gives money back"
    visitor.post("/cart/coupon", do="remove")
    assert visitor.world.discount == 0


def test_the_checkout_goes_step_by_step():
    visitor = Visitor(full())
    for step in ("delivery", "payment", "review"):
        assert visitor.get(f"/checkout/{step}").url.path == "/checkout/address", "no step can be left out"
    assert visitor.alert(visitor.post("/checkout/address")) == "Choose an address."
    assert visitor.post("/checkout/address", address="Work").url.path == "/checkout/delivery"
    assert visitor.alert(visitor.post("/checkout/delivery", delivery="carrier pigeon")) == "Choose a delivery."
    assert visitor.alert(visitor.post("/checkout/delivery", delivery="express", message="Hi")) == "A gift message needs gift wrapping."
    assert visitor.post("/checkout/delivery", delivery="express", wrapping="on", message="Hi").url.path == "/checkout/payment"
    assert visitor.alert(visitor.post("/checkout/payment")) == "Choose how to pay."
    assert visitor.post("/checkout/payment", payment="card-4417").url.path == "/checkout/review"
    answer = visitor.post("/checkout/review")
    assert answer.url.path == "/orders/4801" and "Thank you! Your order is placed." in answer.text
    (placed,) = visitor.world.shown()["orders"]
    assert placed["total"] == KETTLE.price + 1290 + 350 and (placed["wrapping"], placed["message"]) == (True, "Hi")
    assert placed["address"]["label"] == "Work" and visitor.world.cart == {} and visitor.world.draft == world.Draft()
    assert visitor.get("/checkout/review").url.path == "/cart", "an empty cart is not checked out"


def test_a_payment_has_its_limit_and_delivery_may_be_free():
    dear = max(catalogue.products.values(), key=lambda item: item.price)
    visitor = Visitor(world.Opening(cart=(world.Line(dear.id, dear.variants[0]),)))
    visitor.post("/checkout/address", address="Home")
    visitor.post("/checkout/delivery", delivery="standard")
    assert visitor.world.total == dear.price, "standard delivery is free from $60"
    assert visitor.alert(visitor.post("/checkout/payment", payment="balance")).startswith("Gift balance pays at most $100.00; this order")
    visitor.post("/checkout/payment", payment="card-9035")
    assert visitor.post("/checkout/review").url.path == "/orders/4801"


def test_what_sold_out_meanwhile_is_not_ordered():
    line = world.Line(KETTLE.id, KETTLE.variants[0])
    visitor = Visitor(world.Opening(cart=(line,), sold_out=frozenset({(KETTLE.id, line.variant)})))
    for step, data in (("address", {"address": "Home"}), ("delivery", {"delivery": "pickup"}), ("payment", {"payment": "invoice"})):
        visitor.post(f"/checkout/{step}", **data)
    assert "is sold out: remove it from your cart." in visitor.alert(visitor.post("/checkout/review")) and visitor.world.orders == {}


# --- afterwards ------------------------------------------------------------------------------------------------------------


def test_orders_are_cancelled_redirected_and_repeated_while_they_can():
    visitor = Visitor(world.Opening(orders=(order(4711, "On its way"), order(4712), order(4713))))
    assert visitor.alert(visitor.post("/orders/4711/cancel")) == "Order 4711 cannot be cancelled: it is on its way."
    assert "cannot be changed" in visitor.alert(visitor.post("/orders/4711/address", address="Work"))
    assert visitor.alert(visitor.post("/orders/4712/address", address="Mars")) == "Choose one of your addresses."
    visitor.post("/orders/4712/address", address="Work")
    visitor.post("/orders/4713/cancel")
    assert visitor.world.orders[4712].address == world.WORK and visitor.world.orders[4713].status == "Cancelled"
    assert visitor.post("/orders/4713/again").url.path == "/cart" and visitor.world.pieces == 1


def test_returns_follow_the_policy():
    came = policies.date(2025, 12, 1)  # 35 days ago
    bought = order(4711, "Delivered", came, ((KETTLE, 0), (BOOTS, 0)))
    visitor = Visitor(world.Opening(orders=(bought, order(4712)), return_days={"kitchen": 30, "footwear": 60}))
    kettle, boots = (line.key for line in bought.lines)
    right = {"reason": "Changed my mind", "refund": "Store credit"}
    assert visitor.get("/orders/4712/return").status_code == 404
    assert visitor.alert(visitor.post("/orders/4711/return", reason="Changed my mind")) == "Choose what to return."
    assert visitor.alert(visitor.post("/orders/4711/return", line=boots, refund="Store credit")) == "Choose a reason."
    assert visitor.alert(visitor.post("/orders/4711/return", line=boots, reason="Changed my mind")) == "Choose how we pay you back."
    words = f"{KETTLE.name} could be returned until 31 December 2025."
    assert visitor.alert(visitor.post("/orders/4711/return", line=kettle, **right)) == words
    assert "We await your return." in visitor.post("/orders/4711/return", line=boots, **right).text
    assert visitor.alert(visitor.post("/orders/4711/return", line=boots, **right)) == "Choose what to return.", "once is enough"
    assert "Kitchen: 30 days" in visitor.get("/help/returns").text


def test_reviews_are_for_what_was_delivered():
    visitor = Visitor(world.Opening(orders=(order(4711, "Delivered", policies.TODAY),)))
    path = f"/p/{KETTLE.id}/review"
    answer = visitor.post(path, stars="9", title="x", text="")
    assert answer.status_code == 422 and answer.text.count('role="alert"') == 3 and visitor.world.reviews == {}
    assert "Your review: Fine" in visitor.post(path, stars="4", title="Fine", text="It boils water.").text
    assert Visitor().post(path, stars="4", title="Fine", text="It boils water.").status_code == 404


def test_addresses_are_checked_and_keep_their_place():
    visitor = Visitor()
    answer = visitor.post("/account/addresses/new", label="Home", name="A", street="", town="T" * 61, postcode="1234")
    alerts = re.findall(r'role="alert">([^<]*)<', answer.text)
    taken, missing = "You have an address with this label already.", "Enter the street and number."
    assert alerts == [taken, missing, "At most 60 characters.", "A postcode has five digits."]
    visitor.post("/account/addresses/Home", label="Flat", name="A B", street="1 C", town="D", postcode="12345")
    assert list(visitor.world.addresses) == ["Flat", "Work"]
    visitor.post("/account/addresses/Work/delete")
    assert list(visitor.world.addresses) == ["Flat"]
    answer = visitor.post("/account/addresses/new?next=checkout", label="a/b", name="A B", street="1 C", town="D", postcode="12345")
    assert "A label has letters, digits and spaces only." in answer.text


# --- episodes --------------------------------------------------------------------------------------------------------------


def test_episodes_share_nothing_but_the_catalogue():
    opening = full(orders=(order(4711),), wishes=(BOOTS.id,))
    one, other = Visitor(opening), Visitor(opening)
    begun = other.world.shown()
    one.post(f"/p/{BOOTS.id}/wish", do="remove")
    one.post("/orders/4711/cancel")
    one.post("/account/addresses/Home/delete")
    one.post("/cart/line", line=next(iter(one.world.cart)), do="remove")
    assert one.world.shown() != begun and other.world.shown() == begun == Visitor(opening).world.shown()


def test_an_opening_with_what_the_shop_does_not_sell_is_refused_in_words():
    with pytest.raises(LookupError, match=r"the shop has no product 'bicycle': an episode must begin with what it sells"):
        world.Opening(wishes=("bicycle",))
    with pytest.raises(TypeError, match="expected an Opening as the shop's site state, got dict"):
        asyncio.run(shop.site().lease(0, {"cart": []}))
