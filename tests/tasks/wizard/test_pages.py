"""The pages of a workflow over bare ASGI: no text of an agent makes them fail."""

import asyncio

import httpx2
import pytest

from webgym.packs import registry

SITE = registry._pack("wizard").sites()[0]
STRANGE = ("", "-1", "x", "²", "①", "٣", "0.5", "9" * 5000, "\0", "99")


@pytest.fixture
def episode():
    return asyncio.run(SITE.lease(0, {"name": "h3"}))


def ask(episode, method, path, **form):
    async def app(scope, receive, send):
        await SITE.app({**scope, "webgym.state": episode}, receive, send)

    async def asked():
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://wizard.localhost") as client:
            return await client.request(method, path, data=form or None)

    return asyncio.run(asked())


@pytest.mark.parametrize("text", STRANGE)
def test_an_option_that_is_none_changes_nothing(episode, text):
    assert ask(episode, "POST", "/answer", step="1", option=text).headers["location"] == "/step/1"
    assert ask(episode, "POST", "/answer", step=text, option="0").headers["location"] == "/step/1"
    assert (episode.progress.page, episode.progress.status) == (0, "open")


def test_an_option_is_chosen(episode):
    ask(episode, "POST", "/answer", step="1", option="0")
    assert (episode.progress.page, episode.progress.status) != (0, "open")


@pytest.mark.parametrize("number", ["2", "0", "9" * 5000])
def test_a_page_that_is_not_due_leads_to_the_one_that_is(episode, number):
    answer = ask(episode, "GET", f"/step/{number}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/step/1")
