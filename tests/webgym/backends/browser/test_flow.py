"""What a page has sent and sites have heard, counted without a browser."""

from webgym.backends.browser.flow import Accounts

DOCUMENT, WORKER = 0, 1


def asked(accounts: Accounts, heard: int, *told: tuple[int, int, int]) -> int:
    """What sites will have heard of one URL, where they have heard `heard` by now, and will by the end of the question."""
    due = accounts.due({"u": told[0]} if told else {}).get("u", 0)
    accounts.settle({"u": max(heard, due)})
    return due


def test_a_document_and_its_worker_send_to_one_address():
    accounts = Accounts()
    senders = [WORKER, DOCUMENT, DOCUMENT, DOCUMENT, WORKER]
    assert [asked(accounts, number, (1, 1, by)) for number, by in enumerate(senders)] == [1, 2, 3, 4, 5]


def test_a_site_may_hear_of_a_worker_before_the_document_tells_of_it():
    accounts = Accounts()
    assert asked(accounts, 2, (1, 1, WORKER)) == 1
    assert asked(accounts, 2, (1, 1, WORKER)) == 2  # it was heard already
    assert asked(accounts, 2, (1, 1, WORKER)) == 3


def test_what_is_never_told_makes_up_for_nothing_for_long():
    accounts = Accounts()
    assert asked(accounts, 5, (1, 1, WORKER)) == 1
    assert asked(accounts, 5) == 0
    assert asked(accounts, 5, (1, 1, WORKER)) == 6


def test_what_did_not_come_is_not_waited_for_again():
    accounts = Accounts()
    assert accounts.due({"u": (3, 1, WORKER)}) == {"u": 3}
    accounts.settle({"u": 1})
    assert accounts.due({"u": (1, 1, WORKER)}) == {"u": 2}


def test_what_a_tag_has_loaded_is_no_answer_to_a_later_request():
    accounts = Accounts()
    accounts.due({})
    accounts.settle({"u": 1})
    assert accounts.due({"u": (1, 1, DOCUMENT)}) == {"u": 2}


def test_what_is_answered_is_not_waited_for():
    assert Accounts().due({"u": (1, 0, DOCUMENT)}) == {}


def test_another_document_begins_with_what_sites_have_heard():
    accounts = Accounts()
    asked(accounts, 0, (4, 1, WORKER))
    accounts.begin({"u": 4})
    assert accounts.due({"u": (1, 1, WORKER)}) == {"u": 5}
