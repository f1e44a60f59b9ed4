"""Forms of a page that ask for a password, and the words that a page says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

TYPED = ("", "text", "email", "tel", "search", "number", "url")  # kinds of fields that a name is typed into
UNSAID = ("script", "style", "template", "title", "noscript")


@dataclass
class PasswordForm:
    """A form with a password field: the path that it is sent to, and the names of its fields by kind."""

    path: str
    named: list[str] = field(default_factory=list)
    passwords: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)


class _Page(HTMLParser):
    """Forms and words of a page; what stands in no form is taken for one form, which is sent to the page itself."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.unsaid = url, ""
        self.outside = self.now = PasswordForm(urlsplit(url).path)
        self.forms, self.words = [self.outside], list[str]()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.now = PasswordForm(urlsplit(urljoin(self.url, found.get("action", ""))).path)
            self.forms.append(self.now)
        elif tag == "input":
            kind = found.get("type", "").strip().lower()
            names = {"password": self.now.passwords, "hidden": self.now.hidden}.get(kind, self.now.named if kind in TYPED else [])
            names.append(found.get("name", ""))
        elif tag in UNSAID:
            self.unsaid = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.now = self.outside
        elif tag == self.unsaid:
            self.unsaid = ""

    def handle_data(self, data: str) -> None:
        if not self.unsaid:
            self.words.append(data)


def password_forms(html: str, url: str) -> list[PasswordForm]:
    """The forms of the page of an address that have a password field.

    >>> password_forms("<form action=login><input name=user><input type=password name=pw></form>", "http://a.localhost/in/")
    [PasswordForm(path='/in/login', named=['user'], passwords=['pw'], hidden=[])]
    """
    page = _Page(url)
    page.feed(html)
    return [form for form in page.forms if form.passwords]


def words_of(html: str) -> str:
    """The words of a page, or of a text that is none.

    >>> words_of("<title>403</title><h1>Forbidden</h1><p>CSRF token missing.")
    'Forbidden CSRF token missing.'
    """
    page = _Page("")
    page.feed(html)
    page.close()
    return " ".join(" ".join(page.words).split())
