"""Settings of the forum: those of Spirit's own template, on SQLite, without caches, limits and e-mail."""

from pathlib import Path

BASE = Path.cwd()
SECRET_KEY = "a made-up key for a made-up forum"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "project.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE / "forum.sqlite3", "ATOMIC_REQUESTS": True}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
CACHES = {name: {"BACKEND": "django.core.cache.backends.dummy.DummyCache", "TIMEOUT": None} for name in ("default", "st_rate_limit")}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
USE_I18N, USE_TZ, TIME_ZONE, LANGUAGE_CODE = True, True, "UTC", "en"
LANGUAGES = [("en", "English")]
STATIC_URL, MEDIA_URL, MEDIA_ROOT = "/static/", "/media/", BASE / "media"
WHITENOISE_USE_FINDERS = True
STORAGES = {
    "default": {"BACKEND": "spirit.core.storage.OverwriteFileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.whoosh_backend.WhooshEngine", "PATH": BASE / "index"}}
AUTHENTICATION_BACKENDS = ["spirit.user.auth.backends.UsernameAuthBackend", "spirit.user.auth.backends.EmailAuthBackend"]
LOGIN_URL, LOGIN_REDIRECT_URL, LOGOUT_REDIRECT_URL = "spirit:user:auth:login", "spirit:user:update", "spirit:index"
ST_SITE_URL = "http://spirit.localhost/"
ST_RATELIMIT_ENABLE = False
LOGGING = {"version": 1, "handlers": {"error": {"class": "logging.StreamHandler", "level": "ERROR"}}, "root": {"handlers": ["error"]}}

INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
    "django.contrib.staticfiles", "django.contrib.humanize", "spirit.core", "spirit.admin", "spirit.search", "spirit.user",
    "spirit.user.admin", "spirit.user.auth", "spirit.category", "spirit.category.admin", "spirit.topic", "spirit.topic.admin",
    "spirit.topic.favorite", "spirit.topic.moderate", "spirit.topic.notification", "spirit.topic.private", "spirit.topic.unread",
    "spirit.comment", "spirit.comment.bookmark", "spirit.comment.flag", "spirit.comment.flag.admin", "spirit.comment.history",
    "spirit.comment.like", "spirit.comment.poll", "djconfig", "haystack",
]  # fmt: skip
MIDDLEWARE = [
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "spirit.user.middleware.TimezoneMiddleware",
    "spirit.user.middleware.ActiveUserMiddleware",
    "spirit.core.middleware.PrivateForumMiddleware",
    "djconfig.middleware.DjConfigMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.contrib.auth.context_processors.auth",
                "django.template.context_processors.i18n",
                "django.template.context_processors.media",
                "django.template.context_processors.static",
                "django.template.context_processors.tz",
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
                "djconfig.context_processors.config",
            ]
        },
    }
]
