"""A site of templates, over bare ASGI."""

import asyncio
from urllib.parse import urlencode

import pytest
from jinja2 import UndefinedError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from webgym.sites.rendered import RenderedSite, page, see_other, state_of
from webgym.task import Site


async def show(request):
    return page(request, "list.html", entries=state_of(request), title="List")


async def add(request):
    state_of(request).append((await request.form())["entry"])
    return see_other("/")


async def lost(request):
    raise HTTPException(404, "nothing of that name")


async def broken(request):
    return page(request, "list.html", title="List")


def begun(site, seed, site_state):
    """The state of a new episode."""
    return asyncio.run(site.lease(seed, site_state))


@pytest.fixture
def site(tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "static").mkdir()
    (tmp_path / "templates/list.html").write_text(
        "<title>{{ title }} ({{ count }})</title>{% for e in entries %}<li>{{ e }}{% endfor %}", "utf-8"
    )
    (tmp_path / "templates/error.html").write_text("{{ title }}: {{ detail }}", "utf-8")
    (tmp_path / "static/site.css").write_text("body {}", "utf-8")
    routes = [Route("/", show), Route("/add", add, methods=["POST"]), Route("/lost", lost), Route("/broken", broken)]
    return RenderedSite(
        "p.localhost", tmp_path, routes, begin=lambda seed, given: list(given), shown=list, context=lambda state: {"count": len(state)}
    )


def ask(site, state, path, **form):
    """Status, headers and body of the answer; a POST when there is a form."""
    sent, body = [], urlencode(form).encode()

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST" if form else "GET", "path": path, "root_path": "", "query_string": b"",
        "headers": [(b"content-type", b"application/x-www-form-urlencoded")], "webgym.state": state,
    }  # fmt: skip
    asyncio.run(site.app(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(m.get("body", b"") for m in sent[1:]).decode()


def test_each_episode_has_its_own_state(site):
    assert isinstance(site, Site)
    one, other = begun(site, 0, ["tea"]), begun(site, 1, [])
    status, headers, _ = ask(site, one, "/add", entry="<b>milk</b>")
    assert (status, headers[b"location"]) == (303, b"/")
    status, headers, body = ask(site, one, "/")
    assert (status, body) == (200, "<title>List (2)</title><li>tea<li>&lt;b&gt;milk&lt;/b&gt;")
    assert headers[b"cache-control"] == b"no-store"
    assert site.snapshot(one) == ["tea", "<b>milk</b>"] and site.snapshot(other) == []


def test_static_files_are_kept_by_the_browser(site):
    status, headers, body = ask(site, [], "/static/site.css")
    assert (status, body) == (200, "body {}") and b"immutable" in headers[b"cache-control"]
    assert ask(site, [], "/static/../templates/list.html")[0] == 404


def test_what_is_not_there_has_the_sites_own_page(site):
    assert ask(site, [], "/lost")[::2] == (404, "Page not found: nothing of that name")
    assert ask(site, [], "/nowhere")[0] == 404
    assert ask(site, [], "/", entry="x")[0] == 405


def test_an_unknown_name_in_a_template_is_an_error(site):
    with pytest.raises(UndefinedError, match="entries"):
        ask(site, [], "/broken")
