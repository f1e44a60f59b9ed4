from datetime import datetime

import pytest

from tests.tasks.mail.account import module

records, search = module("records"), module("search")
FOLDERS, LABELS = {"inbox": "Inbox", "trash": "Trash", "house": "House"}, {"later": "Later"}


def mail(**changes):
    sent = records.Message(
        "Ada Birch", "ada@birch.example", ("nora@wrenpost.example",), datetime(2025, 12, 3, 9), "The plum cake is ready."
    )
    return records.Thread(1, "Cake in the kitchen", (sent,), **changes)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cake", True), ("CAKE plum", True), ('"plum cake"', True), ('"cake plum"', False), ("pear", False), ("from:ada", True),
        ('from:"ada birch"', True), ("from:nora", False), ("to:nora", True), ("subject:kitchen", True), ("subject:plum", False),
        ("has:attachment", False), ("has:invitation", False), ("is:unread", False), ("is:read", True), ("is:starred", False),
        ("after:2025-12-03", True), ("after:2025-12-04", False), ("before:2025-12-03", False), ("before:2025-12-04 cake", True),
        ("in:inbox", True), ("in:House", False), ("in:any", True), ("in:sent", False), ("label:later", False), ("", True),
    ],
)  # fmt: skip
def test_operators(text, found):
    assert search.parse(text, FOLDERS, LABELS).finds(mail()) is found


def test_trash_and_spam_are_searched_only_when_named():
    thrown = mail(folder="trash")
    assert not search.parse("cake", FOLDERS, LABELS).finds(thrown)
    assert search.parse("cake in:trash", FOLDERS, LABELS).finds(thrown)
    assert search.parse("cake in:any", FOLDERS, LABELS).finds(thrown)


@pytest.mark.parametrize("text", ["frm:ada", "from:", "is:odd", "has:wings", "after:soon", "in:attic", "label:blue"])
def test_what_cannot_be_read_is_told(text):
    with pytest.raises(search.SearchError, match=r"[.?]$"):
        search.parse(text, FOLDERS, LABELS)
