"""Addresses of the shop."""

from django.apps import apps  # pyright: ignore[reportMissingImports]
from django.urls import include, path  # pyright: ignore[reportMissingImports]

urlpatterns = [path("i18n/", include("django.conf.urls.i18n")), path("", include(apps.get_app_config("oscar").urls[0]))]
