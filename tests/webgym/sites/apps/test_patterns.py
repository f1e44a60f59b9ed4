"""Paths that an application keeps to itself, and those that are the same for every episode."""

import pytest

from webgym.sites.apps.patterns import fits, fits_any_spelling


@pytest.mark.parametrize(
    "path", ["/admin", "/admin/", "/ADMIN/users", "/%61dmin", "/a/../admin", "/./admin", "//admin", "/admin;x=1", "/admin.php"]
)
def test_spellings_of_a_private_path(path):
    assert fits_any_spelling(path, ["/admin"])


@pytest.mark.parametrize("path", ["/", "/administration", "/a/admin", "/my-admin"])
def test_other_paths_are_none(path):
    assert not fits_any_spelling(path, ["/admin"])


def test_private_patterns_may_have_stars():
    assert fits_any_spelling("/api/v2/reset", ["/api/*/reset"]) and not fits_any_spelling("/api/v2/state", ["/api/*/reset"])
    assert fits_any_spelling("/anything", ["/*"]) and fits_any_spelling("/", ["/*"])
    assert [fits_any_spelling(path, ["/debug/*"]) for path in ("/debug/a", "/debug/", "/debug", "/debugger")] == [True, True, True, False]
    assert fits_any_spelling("/index.php/api/reset", ["*/api/reset"])


@pytest.mark.parametrize(
    "path", ["/static/..%2fme", "/static/%2e%2e/me", "/static//x", "/static/a;b", "/static/%252e", "/static/x\\y", "/static/."]
)
def test_a_path_that_may_mean_another_is_not_the_same_for_all(path):
    assert not fits(path, ["/static/*"])
