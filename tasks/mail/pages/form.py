"""Helpers of all endpoints: the fields of a form, the page of a list, and records that may not be there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Generic, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from ..mailbox import Mailbox, Table

PER_PAGE = 8
LONGEST = 4000  # characters of a field
MANY = 60  # ticked boxes of a form

R = TypeVar("R")


class Form:
    """The fields that were sent, as tidy text; a field that was not sent is empty."""

    def __init__(self, sent: Any) -> None:
        self._sent = sent

    def text(self, name: str) -> str:
        """One line."""
        return " ".join(self.area(name).split())

    def area(self, name: str) -> str:
        """Lines as they were written."""
        value = self._sent.get(name, "")
        return value.replace("\r\n", "\n").strip()[:LONGEST] if isinstance(value, str) else ""

    def all(self, name: str) -> list[str]:
        """The values of all fields of this name, such as ticked boxes."""
        return [value for value in self._sent.getlist(name) if isinstance(value, str)][:MANY]

    def numbers(self, name: str) -> list[int]:
        return [int(value) for value in self.all(name) if value.isdecimal() and len(value) < 9]


async def form_of(request: Request) -> Form:
    """The form that the request carries."""
    return Form(await request.form())


def day_of(text: str) -> date | None:
    """The day that was typed, as 2026-01-05; None when it is none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def one(table: Table[R] | Mapping[int, R], id: int, what: str) -> R:
    """The record with this id; leads to the page "not found" when there is none."""
    record = table.get(id)
    if record is None:
        raise HTTPException(404, f"There is no such {what}. It may have been deleted.")
    return record


def account(request: Request) -> Mailbox:
    """The mailbox of the episode."""
    return request.scope["webgym.state"]


@dataclass(frozen=True)
class Slice(Generic[R]):
    """One page of a list."""

    entries: Sequence[R]
    page: int
    pages: int
    total: int


def sliced(entries: Sequence[R], request: Request) -> Slice[R]:
    """The page of the list that the address asks for; the last one when it asks for more."""
    asked = request.query_params.get("page", "1")
    pages = max(1, -(-len(entries) // PER_PAGE))
    page = min(max(int(asked), 1), pages) if asked.isdecimal() and len(asked) < 6 else 1
    return Slice(entries[(page - 1) * PER_PAGE : page * PER_PAGE], page, pages, len(entries))
