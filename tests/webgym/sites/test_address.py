"""Addresses that an action may open: within the task's hosts, and of a length that every site can take."""

import pytest

from webgym.sites.address import MOST, allowed_address, not_allowed

HOSTS = ["a.localhost"]


def test_a_long_address_is_refused_in_words():
    longest = "http://a.localhost/" + "9" * (MOST - len("http://a.localhost/"))
    assert allowed_address(longest, HOSTS) == longest
    assert allowed_address(f"{longest}9", HOSTS) is None
    assert not_allowed(f"{longest}9", HOSTS) == "the address has 2,049 characters; expected at most 2,048"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://b.localhost/", "http://a.localhost:80/", "http://[", "javascript:alert(1)"])
def test_what_lies_outside_is_refused(url):
    assert allowed_address(url, HOSTS) is None and "is not allowed; this task's hosts are: http://a.localhost" in not_allowed(url, HOSTS)
