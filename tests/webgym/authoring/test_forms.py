"""Pages whose forms are kept, over bare ASGI."""

import asyncio
import json

import pytest

from webgym.authoring.forms import MAX_BODY, MAX_KEPT, FormSite
from webgym.errors import SiteFault
from webgym.task import Site

FORM = "application/x-www-form-urlencoded"


def begun(site, seed, site_state):
    """The state of a new episode."""
    return asyncio.run(site.lease(seed, site_state))


@pytest.fixture
def site(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text("<p>{{who}} &amp; {{ item.title }}", "utf-8")
    (tmp_path / "order.html").write_text("<p>thanks {{order.-1.name}}", "utf-8")
    (tmp_path / "sub/index.html").write_text("sub", "utf-8")
    (tmp_path / "broken.html").write_text("{{nobody}}", "utf-8")
    (tmp_path / "app.js").write_text("const a = '{{who}}'", "utf-8")
    return FormSite("forms.localhost", tmp_path)


def ask(site, state, path, method="GET", body=b"", kind=FORM, more=()):
    """Status, headers and body of the answer."""
    sent = []
    parts = [{"body": body[:5], "more_body": True}, {"body": body[5:]}]

    async def receive():
        return parts.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [(b"content-type", kind.encode()), *more], "webgym.state": state}
    asyncio.run(site.app(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(m["body"] for m in sent[1:]).decode()


def test_pages_show_the_values_of_the_episode_as_text(site):
    assert isinstance(site, Site)
    state = begun(site, 0, {"who": "<Ann>", "item": {"title": 3}})
    status, headers, body = ask(site, state, "/")
    assert (status, body, headers[b"cache-control"]) == (200, "<p>&lt;Ann&gt; &amp; 3", b"no-store")
    other = begun(site, 1, {"who": "Bob", "item": {"title": "Tea"}})
    assert ask(site, other, "/index.html")[2] == "<p>Bob &amp; Tea"
    assert json.loads(ask(site, other, "/state.json")[2]) == {"who": "Bob", "item": {"title": "Tea"}}
    assert ask(site, other, "/app.js")[2] == "const a = '{{who}}'"  # only pages are filled in


@pytest.mark.parametrize(("mode", "status"), [(b"cors", 200), (b"same-origin", 200), (b"navigate", 404)])
def test_the_values_can_be_read_by_scripts_and_not_opened_as_a_page(site, mode, status):
    state = begun(site, 0, {"who": "Ann"})
    assert ask(site, state, "/state.json", more=[(b"sec-fetch-mode", mode)])[0] == status


def test_a_form_is_kept_by_its_page_and_leads_to_it(site):
    state = begun(site, 0, None)
    status, headers, _ = ask(site, state, "/order.html", "POST", "name=Ann+Lee&tag=a&tag=b&tag=c&none=&é=ü".encode())
    assert (status, headers[b"location"]) == (303, b"/order.html")
    assert ask(site, state, "/order.html")[2] == "<p>thanks Ann Lee"
    ask(site, state, "/order.html", "POST", b'{"name": "Bob", "n": 3}', "application/json; charset=utf-8")
    ask(site, state, "/sub/", "POST", b"x=1")
    ask(site, state, "/", "POST", b"x=2")
    assert site.snapshot(state) == {
        "order": [{"name": "Ann Lee", "tag": ["a", "b", "c"], "none": "", "é": "ü"}, {"name": "Bob", "n": 3}],
        "sub": [{"x": "1"}],
        "index": [{"x": "2"}],
    }
    assert site.snapshot(begun(site, 1, None)) == {}


def test_files_of_a_form_are_kept_with_what_they_say(site):
    state = begun(site, 0, None)
    parts = [
        'form-data; name="who"\r\n\r\nAnn',
        'form-data; name="cv"; filename="cv.txt"\r\nContent-Type: text/plain\r\n\r\nten years\nat sea',
        'form-data; name="more"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n',
    ]
    body = "".join(f"--b\r\nContent-Disposition: {part}\r\n" for part in parts) + "--b--\r\n"
    assert ask(site, state, "/order.html", "POST", body.encode(), "multipart/form-data; boundary=b")[0] == 303
    kept = {"who": "Ann", "cv": {"file": "cv.txt", "text": "ten years\nat sea"}, "more": {"file": "", "text": ""}}
    assert site.snapshot(state) == {"order": [kept]}


def test_a_snapshot_stays_as_it_was(site):
    state = begun(site, 0, None)
    ask(site, state, "/", "POST", b"x=1")
    before = site.snapshot(state)
    ask(site, state, "/", "POST", b"x=2")
    assert before == {"index": [{"x": "1"}]}


@pytest.mark.parametrize(
    ("path", "body", "kind", "status"),
    [
        ("/nowhere.html", b"x=1", FORM, 404),
        ("/", b"x=1", "multipart/form-data; boundary=x", 400),
        ("/", b"x=1", "multipart/form-data", 400),
        ("/", b"[1]", "application/json", 400),
        ("/", b"{", "application/json", 400),
        ("/", b"\xff=1", "application/json", 400),
        ("/", b'{"a": ' + b"[" * 50_000, "application/json", 400),
        ("/", b'{"a": ' + b"[" * 400 + b"]" * 400 + b"}", "application/json", 400),
        ("/", b'{"a": NaN}', "application/json", 400),
        ("/", b'{"a": 1e999}', "application/json", 400),
        (
            "/",
            b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--",
            "multipart/form-data; boundary=x; charset=undefined",
            400,
        ),
        ("/", b"x" * (MAX_BODY + 1), FORM, 400),
        ("/../secret", b"x=1", FORM, 404),
    ],
)
def test_what_is_no_submission_changes_nothing(site, path, body, kind, status):
    state = begun(site, 0, None)
    assert ask(site, state, path, "POST", body, kind)[0] == status
    assert site.snapshot(state) == {}


def test_other_methods_are_refused_and_missing_pages_are_not_found(site):
    state = begun(site, 0, {})
    assert ask(site, state, "/order.html", "PUT")[0] == 405
    assert ask(site, state, "/none.html")[0] == 404
    assert ask(site, state, "/sub/", "HEAD")[::2] == (200, "")


def test_a_page_that_asks_for_an_unknown_value_is_no_page_of_the_episode_and_says_why(site):
    status, _, words = ask(site, begun(site, 0, {"who": "Ann"}), "/broken.html")
    assert status == 404 and "the page /broken.html shows {{nobody}}, but there is no 'nobody'" in words


def test_a_page_shows_nothing_of_what_an_agent_has_not_sent(site):
    state = begun(site, 0, {"who": "Ann"})
    assert ask(site, state, "/order.html")[::2] == (200, "<p>thanks ")  # opened before anything was sent
    ask(site, state, "/order.html", "POST", b"other=1")
    assert ask(site, state, "/order.html")[::2] == (200, "<p>thanks ")


def test_a_page_in_another_encoding_is_shown(site):
    (site.directory / "old.html").write_bytes(b"caf\xe9")
    assert ask(site, begun(site, 0, None), "/old.html")[::2] == (200, "caf\ufffd")


def test_what_an_episode_keeps_has_a_bound(site):
    state = begun(site, 0, None)
    answers = [ask(site, state, "/", "POST", b"x" * MAX_BODY)[0] for _ in range(MAX_KEPT // MAX_BODY + 1)]
    assert answers == [*[303] * (MAX_KEPT // MAX_BODY), 400]


def test_many_fields_of_one_name_are_gathered_in_one_go(site):
    state = begun(site, 0, None)
    assert ask(site, state, "/", "POST", b"a&" * 300_000)[0] == 303
    assert len(site.snapshot(state)["index"][0]["a"]) == 300_000


def test_a_folder_that_is_gone_is_a_fault(tmp_path):
    with pytest.raises(SiteFault, match="are missing"):
        begun(FormSite("x.localhost", tmp_path / "gone"), 0, None)


def test_half_an_emoji_in_a_submission_breaks_no_page(site):
    state = begun(site, 0, {"who": "Ann", "item": {"title": "Tea"}})
    assert ask(site, state, "/order.html", "POST", b'{"name": "\\ud83d", "\\udc00": 1}', "application/json")[0] < 400
    assert "\ufffd" in ask(site, state, "/order.html")[2] and ask(site, state, "/state.json")[0] == 200
