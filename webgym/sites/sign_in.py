"""Signing in before an episode's first page: a form is sent to the site, and the cookies that it gives are the browser's."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, quote_plus, urlencode, urljoin, urlsplit

from webgym.errors import Fault, SiteFault
from webgym.sites.apps.secrets import SHORTEST, redacted
from webgym.sites.encodings import decoded
from webgym.sites.password_forms import password_forms, words_of
from webgym.task import AsgiApp, SignIn

MOST_REDIRECTS = 5
MOST_WORDS = 200  # characters of an answer that a message quotes
Cookie = Mapping[str, Any]
"""A cookie as browsers are given it: name, value, domain, path, httpOnly, secure, and sameSite where it is said."""


def plain_cookies(url: str, values: Mapping[str, str]) -> list[Cookie]:
    """Cookies of the site of an address, by name."""
    parts = urlsplit(url)
    common = {"domain": parts.hostname or "", "path": "/", "httpOnly": False, "secure": parts.scheme == "https"}
    return [{"name": name, "value": value, **common} for name, value in values.items()]


async def sign_in(app: AsgiApp, state: Any, url: str, way: SignIn) -> list[Cookie]:
    """The cookies after the form (or JSON) of `way` was sent to the site of `url`. Raises SiteFault; no message has a value of the form."""
    jar: dict[str, Cookie] = {}
    target = urljoin(url, way.path)
    form = {name: str(value) for name, value in way.form.items()}
    if way.token:
        page = urljoin(url, way.page or way.path)
        status, text = await _asked(app, state, "GET", page, b"", "", jar)
        token = _hidden(text, way.token)
        if token is None:
            raise SiteFault(
                f"signing in: the page {page} (status {status}) has no field {way.token!r}, whose value must be sent with the form"
            )
        form[way.token] = token
    before = dict(jar)
    leads_to: list[str] = []
    if way.json is not None:
        body, kind = json.dumps(way.json).encode(), "application/json"
    else:
        body, kind = urlencode(form).encode(), "application/x-www-form-urlencoded"
    status, text = await _asked(app, state, "POST", target, body, kind, jar, leads_to)
    if status >= 400:
        raise SiteFault(_refused(target, status, text, way, form))
    forms = {urlsplit(urljoin(url, path)).path for path in (way.path, way.page or way.path)}
    here = target
    for _ in range(MOST_REDIRECTS):  # some give the session only at the page that they lead to
        there = urlsplit(leads_to[-1]) if leads_to else None
        if there is None or there[:2] != urlsplit(target)[:2]:
            break
        here = leads_to.pop()
        if jar != before or there.path in forms:  # the page is only looked at: whoever is led back to the form was refused
            here, text = await page_at(app, state, here, dict(jar))
            break
        _, text = await _asked(app, state, "GET", here, b"", "", jar, leads_to)
    if not leads_to and "<" not in text:  # no page: the start tells
        here, text = await page_at(app, state, url, dict(jar))
    if await _asks_again(app, state, url, here, text, forms):
        raise SiteFault(f"signing in: the page {plain(here)} still asks for a password: are name and password right?")
    if jar == before:
        raise SiteFault(
            f"signing in: {target} answered with status {status} and gave no cookie: expected a session; are name and password right? "
            "One that a page keeps in its storage needs `steps`"
        )
    return list(jar.values())


async def page_at(app: AsgiApp, state: Any, url: str, jar: dict[str, Cookie]) -> tuple[str, str]:
    """The address that the page of an address leads to within its site, and its text, "" where the site fails."""
    leads_to, text = [url], ""
    for _ in range(MOST_REDIRECTS):
        if not leads_to or urlsplit(leads_to[-1])[:2] != urlsplit(url)[:2]:
            break
        url = leads_to.pop()
        try:
            _, text = await _asked(app, state, "GET", url, b"", "", jar, leads_to)
        except SiteFault:  # the browser opens it next, and says so
            return url, ""
    return url, text


def plain(url: str) -> str:
    """An address without what follows its path, which may hold what was typed."""
    return url.partition("?")[0].partition("#")[0]


async def _asks_again(app: AsgiApp, state: Any, start: str, here: str, text: str, forms: set[str]) -> bool:
    """True where a page shows the form that was sent, or is the one that whoever is not signed in gets in place of the start.

    Other pages may ask for a password too, such as one on which it is changed.
    """
    found = password_forms(text, here)
    if any(form.path in forms for form in found):
        return True
    if not found or plain(here) == plain(start):
        return False
    other, _ = await page_at(app, state, start, {})
    return plain(other) == plain(here)


def _refused(target: str, status: int, text: str, way: SignIn, form: Mapping[str, str]) -> str:
    """Words on an answer that is an error, with the first ones of its own, in which no value of the form stands."""
    said = words_of(text)
    for value in sorted({*form.values(), *_texts(way.json)}, key=len, reverse=True):
        for written in {value, quote(value), quote_plus(value), json.dumps(value)[1:-1]} - {""}:
            said = re.sub(re.escape(written) if len(written) >= SHORTEST else rf"(?<!\w){re.escape(written)}(?!\w)", "…", said)
    said = redacted(said)
    words = f". It says: {said[:MOST_WORDS]}" if said else ""
    hint = "" if way.token or way.json is not None else ". Where its form has a hidden field against forgery, name that by `token:`"
    return f"signing in: {target} answered with status {status}: expected it to take the form; are name and password right?{words}{hint}"


def _texts(thing: Any) -> Iterator[str]:
    """The texts and numbers in JSON."""
    match thing:
        case Mapping():
            for value in thing.values():
                yield from _texts(value)
        case list() | tuple():
            for value in thing:
                yield from _texts(value)
        case str() | int() | float() if not isinstance(thing, bool):
            yield str(thing)


async def _asked(
    app: AsgiApp, state: Any, method: str, url: str, body: bytes, kind: str, jar: dict[str, Cookie], leads_to: list[str] | None = None
) -> tuple[int, str]:
    """Status and text of the site's answer. Its cookies are put into the jar, and the address of a redirect into `leads_to`."""
    parts = urlsplit(url)
    headers = [(b"host", parts.netloc.encode()), (b"accept", b"*/*"), (b"user-agent", b"Mozilla/5.0")]
    if jar:
        headers.append((b"cookie", "; ".join(f"{each['name']}={each['value']}" for each in jar.values()).encode("latin-1")))
    if method == "POST":
        origin = f"{parts.scheme}://{parts.netloc}".encode()
        headers += [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode()), (b"origin", origin)]
        headers.append((b"referer", origin + parts.path.encode()))
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": parts.scheme,
        "path": parts.path or "/", "raw_path": quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._").encode(), "root_path": "",
        "query_string": parts.query.encode(), "headers": headers, "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
        "webgym.state": state,
    }  # fmt: skip
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    found: dict[str, Any] = {"status": 500, "headers": [], "body": b""}

    async def receive() -> Any:
        if not messages:
            await asyncio.Event().wait()  # this page never leaves
        return messages.pop()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.update(status=message["status"], headers=message.get("headers", ()))
        elif message["type"] == "http.response.body":
            found["body"] += message.get("body", b"")

    try:
        await app(scope, receive, send)
    except Fault:
        raise
    except Exception as error:
        raise SiteFault(f"signing in: the site failed at {url}: {error!r}") from error
    coding = ""
    for name, value in found["headers"]:
        if name.lower() == b"set-cookie":
            _keep(value.decode("latin-1"), parts.hostname or "", jar)
        elif name.lower() == b"content-encoding":
            coding = value.decode("latin-1")
        elif name.lower() == b"location" and leads_to is not None and 300 <= found["status"] < 400:
            leads_to.append(urljoin(url, value.decode("latin-1")))
    try:
        return found["status"], decoded(found["body"], coding).decode("utf-8", "replace")
    except ValueError as error:
        raise SiteFault(f"signing in: {url}: {error}") from error


def _keep(line: str, host: str, jar: dict[str, Cookie]) -> None:
    """Put the cookie of a Set-Cookie line into the jar, or take it out."""
    first, *rest = line.split(";")
    name, equals, value = first.partition("=")
    if not equals or not name.strip():
        return
    said = {key.strip().lower(): content.strip() for key, _, content in (part.partition("=") for part in rest)}
    domain = said.get("domain", "").lstrip(".").lower()
    cookie: dict[str, Any] = {
        "name": name.strip(),
        "value": value.strip(),
        "domain": f".{domain}" if domain else host,
        "path": said.get("path") or "/",
        "httpOnly": "httponly" in said,
        "secure": "secure" in said,
    }
    if (same_site := said.get("samesite", "").capitalize()) in ("Lax", "Strict", "None"):
        cookie["sameSite"] = same_site
    jar.pop(cookie["name"], None)
    if value.strip() and said.get("max-age") != "0" and "1970" not in said.get("expires", ""):
        jar[cookie["name"]] = cookie


class _Fields(HTMLParser):
    """Values of the fields of a page, and the contents of its meta elements, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        name, value = found.get("name"), found.get("value" if tag == "input" else "content")
        if tag in ("input", "meta") and name and value is not None:
            self.values.setdefault(name, value)


def _hidden(text: str, name: str) -> str | None:
    fields = _Fields()
    fields.feed(text)
    return fields.values.get(name)
