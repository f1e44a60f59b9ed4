"""Settings of the shop: Oscar's own defaults, on SQLite, without e-mail and without pictures."""

from pathlib import Path

from oscar.defaults import *  # noqa: F403

BASE = Path.cwd()
SECRET_KEY = "a made-up key for a made-up shop"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "project.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE / "shop.sqlite3", "ATOMIC_REQUESTS": True}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
SITE_ID = 1
LANGUAGES = [("en-gb", "English")]
USE_TZ, TIME_ZONE, LANGUAGE_CODE = True, "UTC", "en-gb"
STATIC_URL, MEDIA_URL, MEDIA_ROOT = "/static/", "/media/", BASE / "media"
WHITENOISE_USE_FINDERS = True
THUMBNAIL_DUMMY = True
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.whoosh_backend.WhooshEngine", "PATH": BASE / "index"}}
AUTHENTICATION_BACKENDS = ("oscar.apps.customer.auth_backends.EmailBackend", "django.contrib.auth.backends.ModelBackend")
OSCAR_SHOP_NAME, OSCAR_SHOP_TAGLINE = "Larder", "tools and tins"
OSCAR_DEFAULT_CURRENCY = "GBP"
OSCAR_ALLOW_ANON_CHECKOUT = False
OSCAR_RECENTLY_VIEWED_PRODUCTS = 0
OSCAR_INITIAL_ORDER_STATUS = OSCAR_INITIAL_LINE_STATUS = "Pending"
LOGGING = {"version": 1, "handlers": {"error": {"class": "logging.StreamHandler", "level": "ERROR"}}, "root": {"handlers": ["error"]}}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.sites",
    "django.contrib.flatpages",
    "oscar.config.Shop",
    *(
        f"oscar.apps.{name}Config"
        for name in (
            "analytics.apps.Analytics", "checkout.apps.Checkout", "address.apps.Address", "shipping.apps.Shipping",
            "catalogue.apps.Catalogue", "catalogue.reviews.apps.CatalogueReviews", "communication.apps.Communication",
            "partner.apps.Partner", "basket.apps.Basket", "payment.apps.Payment", "offer.apps.Offer", "order.apps.Order",
            "customer.apps.Customer", "search.apps.Search", "voucher.apps.Voucher", "wishlists.apps.Wishlists",
            "dashboard.apps.Dashboard", "dashboard.reports.apps.ReportsDashboard", "dashboard.users.apps.UsersDashboard",
            "dashboard.orders.apps.OrdersDashboard", "dashboard.catalogue.apps.CatalogueDashboard",
            "dashboard.offers.apps.OffersDashboard", "dashboard.partners.apps.PartnersDashboard",
            "dashboard.pages.apps.PagesDashboard", "dashboard.ranges.apps.RangesDashboard",
            "dashboard.reviews.apps.ReviewsDashboard", "dashboard.vouchers.apps.VouchersDashboard",
            "dashboard.communications.apps.CommunicationsDashboard", "dashboard.shipping.apps.ShippingDashboard",
        )
    ),
    "widget_tweaks",
    "haystack",
    "treebeard",
    "sorl.thumbnail",
    "django_tables2",
]  # fmt: skip
MIDDLEWARE = [
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "oscar.apps.basket.middleware.BasketMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.template.context_processors.i18n",
                "django.contrib.messages.context_processors.messages",
                "oscar.apps.search.context_processors.search_form",
                "oscar.apps.checkout.context_processors.checkout",
                "oscar.apps.communication.notifications.context_processors.notifications",
                "oscar.core.context_processors.metadata",
            ]
        },
    }
]
