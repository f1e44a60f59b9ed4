"""The shop as a site: an Oscar of its own for each session."""

from functools import cache
from pathlib import Path

from webgym.sites import Copy, Sqlite
from webgym.sites.apps.changes import Changes
from webgym.sites.apps.recipe import InstalledServer, Recipe

HOST, DATABASE = "oscar.localhost", "shop.sqlite3"
RECIPE = Recipe("oscar", Path(__file__).with_name("application"))
PRODUCT = "join catalogue_product as product on product.id ="
ADDRESS = "first_name, last_name, line1, line4, postcode"
QUERIES = {
    "basket": f"select line.id as key, product.title, line.quantity from basket_line as line {PRODUCT} line.product_id "
    "join basket_basket as basket on basket.id = line.basket_id where basket.status = 'Open'",
    "orders": f"select o.id as key, o.total_incl_tax as total, {ADDRESS} from order_order as o "
    "join order_shippingaddress as a on a.id = o.shipping_address_id",
    "ordered": "select id as key, title, quantity from order_line",
    "lists": "select id as key, name from wishlists_wishlist",
    "wishes": f"select line.id as key, list.name, product.title, line.quantity from wishlists_line as line {PRODUCT} line.product_id "
    "join wishlists_wishlist as list on list.id = line.wishlist_id",
    "reviews": "select r.id as key, product.title as product, r.score, r.title, r.body from reviews_productreview as r "
    f"{PRODUCT} r.product_id",
    "addresses": f"select id as key, {ADDRESS}, is_default_for_shipping as default_for_shipping from address_useraddress",
    "alerts": f"select alert.id as key, product.title, alert.status from customer_productalert as alert {PRODUCT} alert.product_id",
    "people": "select id as key, first_name, last_name, email from auth_user",
}


@cache
def site() -> InstalledServer:
    """The shop."""
    return RECIPE.site(
        f"http://{HOST}/",
        ["{python}", "{wsgi}", "project.wsgi:application", "{port}"],
        ready="/catalogue/",
        reset=[Sqlite(DATABASE), Copy("index"), Copy("clock.txt")],  # the index of words hears of reviews
        readers={"changes": Changes(DATABASE, RECIPE.snapshot / DATABASE, QUERIES)},
        same_for_all=["/static/*"],
    )
