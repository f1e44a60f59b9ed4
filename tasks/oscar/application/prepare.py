"""Writes the shop's project and its database into the current folder."""

import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import content
import time_machine

shutil.copytree(Path(__file__).with_name("project"), "project", ignore=shutil.ignore_patterns("__pycache__"))
sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"


def main() -> None:
    import django

    django.setup()
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session
    from django.core.management import call_command
    from oscar.apps.catalogue.categories import create_from_breadcrumbs
    from oscar.core.loading import get_model

    call_command("migrate", verbosity=0)
    country = get_model("address", "Country").objects.create(
        iso_3166_1_a2="GB", iso_3166_1_a3="GBR", iso_3166_1_numeric="826", printable_name="United Kingdom",
        name="United Kingdom of Great Britain and Northern Ireland", is_shipping_country=True,
    )  # fmt: skip
    partner = get_model("partner", "Partner").objects.create(name="Larder", code="larder")
    goods = get_model("catalogue", "ProductClass").objects.create(name="Goods", requires_shipping=True, track_stock=True)
    product_model, link = get_model("catalogue", "Product"), get_model("catalogue", "ProductCategory")
    categories = {name: create_from_breadcrumbs(name) for name in content.KINDS}
    for entry in content.PRODUCTS:
        product = product_model.objects.create(
            product_class=goods, upc=entry.upc, title=entry.title, description=entry.description, structure="standalone"
        )
        link.objects.create(product=product, category=categories[entry.category])
        get_model("partner", "StockRecord").objects.create(
            product=product, partner=partner, partner_sku=entry.upc, price_currency="GBP", price=entry.price, num_in_stock=entry.stock
        )
    user = get_user_model().objects.create_user("ann", content.EMAIL, None, first_name=content.FIRST_NAME, last_name=content.LAST_NAME)
    for address in content.ADDRESSES:
        get_model("address", "UserAddress").objects.create(
            user=user, country=country, first_name=address.first_name, last_name=address.last_name, line1=address.line1,
            line4=address.line4, postcode=address.postcode,
        )  # fmt: skip
    session = {
        SESSION_KEY: str(user.pk),
        BACKEND_SESSION_KEY: "oscar.apps.customer.auth_backends.EmailBackend",
        HASH_SESSION_KEY: user.get_session_auth_hash(),
    }
    Session.objects.create(
        session_key=content.SESSION, session_data=SessionStore().encode(session), expire_date=datetime(2036, 1, 5, tzinfo=UTC)
    )
    call_command("update_index", verbosity=0)
    Path("media").mkdir()
    Path("clock.txt").write_text(f"{content.CLOCK_S}\n", "ascii")


with time_machine.travel(content.CLOCK_S, tick=False):
    main()
