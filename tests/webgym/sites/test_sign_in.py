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
        "/refused": (302, [(b"location", b"/refused?again=1")]) if scope["method"] == "POST" else (200, [session]),
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
        ("/refused", "", "gave no cookie: expected a session; are name and password right"),
        ("/no", "", "answered with status 403: expected it to take the form"),
        ("/plain", "csrf", r"the page http://app\.localhost/plain \(status 303\) has no field 'csrf'"),
        ("/squeezed", "token", r"the answer is compressed by br, though it was asked for as it is"),
    ],
)
def test_what_gives_no_session_is_a_fault_in_words(path, token, words):
    with pytest.raises(SiteFault, match=words) as error:
        cookies(SignIn(path, {"password": "hush-hush"}, token=token))
    assert "hush-hush" not in str(error.value)


class Members:
    """An application that gives a new session at each answer, and shows its sign-in page to all who are not known."""

    def __init__(self, refuses, sign_in="/login", action="", settings="", answers="text/html"):
        self.refuses, self.sign_in, self.action, self.settings, self.answers = refuses, sign_in, action, settings, answers
        self.known = 0

    async def __call__(self, scope, receive, send):
        path, headers = scope["path"], dict(scope["headers"])
        body, status, more = (await receive())["body"], 200, []
        page = f"<h1>Sign in</h1><form method=post action='{self.action}'><input name=name><input type=password name=password></form>"
        if scope["method"] == "POST" and b"right" in body:
            self.known, status = self.known + 1, 302
            more, page = [(b"set-cookie", b"member=yes"), (b"location", b"/")], ""
        elif scope["method"] == "POST":
            status, more, page = self.refuses(body.decode())
            page = page or "<form method=post><input type=password name=password></form>"
        elif path != self.sign_in and b"member=yes" not in headers.get(b"cookie", b""):
            status, more, page = 302, [(b"location", self.sign_in.encode())], ""
        elif path != self.sign_in:
            page = f"<h1>Hello</h1>{self.settings}"
        more = [*more, (b"set-cookie", b"csrf=%d" % id(page)), (b"content-type", self.answers.encode())]
        await send({"type": "http.response.start", "status": status, "headers": more})
        await send({"type": "http.response.body", "body": page.encode()})


def signed_in(site, password, path="/login", start="/start", **more):
    form = {"name": "ann", "password": password}
    way = SignIn(path, **({"json": form} if more.pop("as_json", False) else {"form": form}), **more)
    return {each["name"] for each in asyncio.run(sign_in(site, None, f"http://app.localhost{start}", way))}


AGAIN = [
    (lambda _: (200, [], ""), {}, {}),
    (lambda _: (302, [(b"location", b"/login?password=wrong-1")], ""), {}, {}),
    (lambda _: (302, [(b"location", b"/session/new")], ""), {"sign_in": "/session/new", "action": "/session"}, {"path": "/session"}),
    (lambda _: (302, [(b"location", b"/")], ""), {"sign_in": "/in", "action": "/never"}, {"path": "/session"}),
    (lambda _: (200, [], '{"ok": false}'), {"sign_in": "/in", "action": "/never"}, {"path": "/api/session", "as_json": True}),
]


@pytest.mark.parametrize(("refuses", "site", "way"), AGAIN)
def test_a_wrong_password_is_noticed_whatever_cookies_come(refuses, site, way):
    with pytest.raises(SiteFault, match=r"the page http://app\.localhost/[\w/]+ still asks for a password: are name and password right\?$"):
        signed_in(Members(refuses, **site), "wrong-1", **way)
    assert "member" in signed_in(Members(refuses, **site), "right-1", **way)


def test_a_page_on_which_a_password_is_changed_is_no_sign_in_page():
    settings = "<form method=post action=/settings><input type=password name=old><input type=password name=new></form>"
    for start in ("/", "/settings"):
        assert "member" in signed_in(Members(AGAIN[0][0], settings=settings), "right-1", start=start)
    bare = "<input type=password name=new>"
    assert "member" in signed_in(Members(AGAIN[0][0], settings=bare), "right-1", start="/settings")


def test_an_answer_that_is_an_error_is_quoted_without_what_was_sent():
    def refuses(body):
        words = f"<title>403</title><style>p {{}}</style><p>CSRF token missing for ann: {body} wrong-1 w&amp;rong</p>" + "<p>more" * 99
        return 403, [], words

    with pytest.raises(SiteFault, match=r"status 403: expected it to take the form.* It says: CSRF token missing for …") as error:
        signed_in(Members(refuses), "wrong-1")
    words = str(error.value)
    assert "name that by `token:`" in words and "wrong-1" not in words and "ann" not in words and len(words) < 500
    with pytest.raises(SiteFault, match="It says: CSRF") as error:
        signed_in(Members(refuses), "w&rong", as_json=True)
    assert "`token:`" not in str(error.value) and "rong" not in str(error.value).replace("wrong-1", "")
