"""Signing in before the first page: the ways in which applications give a session, and what is said where they give none."""

import asyncio
import gzip

import pytest

from webgym.errors import SiteFault
from webgym.sites.sign_in import sign_in
from webgym.task import SignIn

FORM = b"<form><input type=hidden name=token value=t-7></form>"


async def app(scope, receive, send):
    """Each path gives its session in its own way."""
    path, headers = scope["path"], dict(scope["headers"])
    body = (await receive())["body"]
    session = (b"set-cookie", b"session=s-1; Path=/; HttpOnly")
    answers = {
        "/plain": (303, [session, (b"location", b"/away")]),
        "/later": (302, [(b"location", b"/hop")]),
        "/hop": (302, [(b"location", b"http://app.localhost/landing")]),
        "/landing": (200, [session]),
        "/circle": (302, [(b"location", b"/circle-too")]),
        "/circle-too": (302, [(b"location", b"/circle-too")]),
        "/elsewhere": (302, [(b"location", b"http://other.localhost/landing")]),
        "/packed": (200, [(b"content-encoding", b"gzip")])
        if scope["method"] == "GET"
        else (200 if b"token=t-7" in body else 403, [session]),
        "/squeezed": (200, [(b"content-encoding", b"br")]),
        "/json": (200, [session] if headers.get(b"content-type") == b"application/json" and body == b'{"name": "ann"}' else []),
        "/no": (403, []),
    }
    status, more = answers[path]
    packed = gzip.compress(FORM) if path == "/packed" else FORM
    await send({"type": "http.response.start", "status": status, "headers": more})
    await send({"type": "http.response.body", "body": packed})


def cookies(way):
    return {each["name"]: each["value"] for each in asyncio.run(sign_in(app, None, "http://app.localhost/start", way))}


@pytest.mark.parametrize(
    "way",
    [
        SignIn("/plain", {"name": "ann"}),
        SignIn("/later", {"name": "ann"}),
        SignIn("/packed", {"name": "ann"}, token="token"),
        SignIn("/json", json={"name": "ann"}),
    ],
)
def test_a_session_is_given_at_once_or_on_the_way(way):
    assert cookies(way) == {"session": "s-1"}


@pytest.mark.parametrize(
    ("path", "token", "words"),
    [
        (
            "/circle",
            "",
            r"gave no cookie: expected a session; are name and password right\? One that a page keeps in its storage needs `steps`",
        ),
        ("/elsewhere", "", "gave no cookie"),
        ("/no", "", "answered with status 403: expected it to take the form"),
        ("/plain", "csrf", r"the page http://app\.localhost/plain \(status 303\) has no field 'csrf'"),
        ("/squeezed", "token", r"the answer is compressed by br, though it was asked for as it is"),
    ],
)
def test_what_gives_no_session_is_a_fault_in_words(path, token, words):
    with pytest.raises(SiteFault, match=words) as error:
        cookies(SignIn(path, {"password": "hush-hush"}, token=token))
    assert "hush-hush" not in str(error.value)
