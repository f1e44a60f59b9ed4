"""The mail site as its users meet it, over bare ASGI."""

import json

import pytest

from tests.tasks.mail.account import Account, module

records, mailbox = module("records"), module("mailbox")
PAGES = (
    "/", "/mail/inbox", "/mail/starred", "/mail/drafts", "/mail/sent", "/mail/archive", "/mail/spam", "/mail/trash", "/mail/invoices",
    "/label/urgent", "/search?q=soup", "/search/options", "/compose", "/contacts", "/contacts/new", "/groups/new", "/calendar",
    "/calendar?week=2026-01-12", "/calendar/new", "/files", "/settings", "/settings/vacation", "/settings/filters",
    "/settings/filters/new", "/settings/folders", "/help", "/static/wrenpost.css", "/static/wrenpost.js",
)  # fmt: skip


@pytest.fixture
def account():
    return Account()


@pytest.mark.parametrize("path", PAGES)
def test_every_section_opens_and_changes_nothing(account, path):
    assert account.get(path)
    assert account.status == 200 and account.changes == {}


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/mail/attic", "/label/none", "/thread/999999", "/contact/999999", "/event/999999", "/draft/1", "/file/999999",
     "/settings/filters/999999", "/state", "/state.json", "/calendar?week=0001-01-01"],
)  # fmt: skip
def test_what_is_not_there_has_the_sites_own_page(account, path):
    page = account.get(path)
    assert account.status == 404 and "Page not found" in page and "Wrenpost" in page


def test_lists_have_pages_orders_and_a_choice_of_unread(account):
    first, second = account.get("/mail/inbox"), account.get("/mail/inbox?page=2")
    assert first.count('<li class="row') == second.count('<li class="row') == 8 and first != second
    assert "Page 1 of" in first and "Previous" in second
    assert account.get("/mail/inbox?sort=oldest") != first
    assert account.get("/mail/inbox?page=9999") == account.get(f"/mail/inbox?page={_pages(first)}")
    unread = account.get("/mail/inbox?show=unread")
    assert unread.count('<li class="row') == unread.count('<li class="row unread"') > 0


def _pages(page):
    return page.split("Page 1 of ")[1].split("<")[0]


def test_reading_marks_as_read_and_counts_as_no_change(account):
    thread = next(t for t in account.state.threads if t.folder == "inbox" and not t.read)
    before = account.state.unread()
    assert thread.last.body.split("\n")[-1] in account.get(f"/thread/{thread.id}")
    assert account.state.unread() == before - 1 and account.changes == {}


# --- filing ----------------------------------------------------------------------------------------------------------------


def test_a_mail_is_moved_labelled_starred_and_all_is_undone(account):
    thread = account.thread()
    page = account.post(f"/thread/{thread.id}/do", do="to-clients")
    assert "The mail was moved to Clients." in page and "Undo" in page
    assert account.changes == {"threads": {"changed": {str(thread.id): {"folder": "clients"}}}}
    assert "Undone." in account.post("/undo", back="/mail/inbox") and account.changes == {}
    assert "There is nothing to undo." in account.post("/undo", back="/mail/inbox")
    account.post(f"/thread/{thread.id}/do", do="star" if not thread.starred else "unstar")
    label = next(label for label in account.state.label_names() if label not in thread.labels)
    account.post(f"/thread/{thread.id}/do", do=f"label-{label}")
    assert set(account.changes["threads"]["changed"][str(thread.id)]) == {"starred", "labels"}
    account.post(f"/thread/{thread.id}/do", do=f"label-{label}")
    assert set(account.changes["threads"]["changed"][str(thread.id)]) == {"starred"}


def test_many_mails_at_once(account):
    chosen = [t for t in account.state.threads if t.folder == "inbox"][:3]
    assert "Tick at least one mail first." in account.post("/many", do="to-archive", back="/mail/inbox")
    assert "3 mails were moved to Archive." in account.post("/many", do="to-archive", back="/mail/inbox", ids=[t.id for t in chosen])
    assert account.changes["threads"]["changed"] == {str(t.id): {"folder": "archive"} for t in chosen}
    account.post("/many", do="explode", ids=[chosen[0].id])
    assert account.status == 400


def test_only_thrown_away_mails_are_deleted_for_good(account):
    kept, gone = account.thread("inbox"), account.thread("trash")
    assert "Only what lies in Trash or Spam" in account.post("/many", do="delete", ids=[kept.id], back="/mail/inbox")
    account.post("/many", do="delete", ids=[gone.id], back="/mail/trash")
    assert account.changes == {"threads": {"removed": [str(gone.id)]}}
    assert account.get(f"/thread/{gone.id}") and account.status == 404


def test_going_back_leads_to_no_other_site(account):
    for back in ("//evil.example/", "http://evil.example/", "evil"):
        account.post("/undo", back=back)
        assert account.where == "/mail/inbox"


# --- searching -------------------------------------------------------------------------------------------------------------


def test_search_understands_operators(account):
    thread = account.thread("archive")
    name = thread.last.sender
    assert thread.subject in account.get(f'/search?q=from:"{name}" in:archive'.replace(" ", "%20").replace('"', "%22"))
    assert "There is no search operator “form:”; did you mean from" in account.get("/search?q=form:ann")
    assert "“soon” is no date" in account.get("/search?q=after:soon")
    assert "There is no folder “attic”" in account.get("/search?q=in:attic")
    assert "“has:” goes with attachment or invitation." in account.get("/search?q=has:wings")
    assert "Write what you look for." in account.get("/search?q=")
    assert 'value="from:&#34;x y&#34;"' in account.get("/search?from=x+y") or 'from:"x y"' in account.get("/search?from=x+y")


# --- writing ---------------------------------------------------------------------------------------------------------------


def test_a_mail_needs_somebody_to_go_to_a_subject_and_a_text(account):
    page = account.post("/compose", do="send", to="Nobody At All")
    assert account.status == 422
    for words in ("“Nobody At All” is neither an address", "Give the mail a subject.", "The mail is empty."):
        assert words in page
    assert 'value="Nobody At All"' in page and account.changes == {}
    assert "Say who is to get this mail." in account.post("/compose", do="send", subject="x", body="y")
    account.post("/compose", do="fly")
    assert account.status == 400


def test_names_of_contacts_stand_for_their_addresses(account):
    contact = next(iter(account.state.contacts))
    account.post("/compose", do="send", to=f"{contact.name.upper()}, a@b.example", subject="Hi", body="  One\r\n two ")
    (sent,) = account.changes["sent"]
    assert sent == {
        "to": sorted(["a@b.example", contact.email]), "cc": [], "subject": "Hi", "body": "One two", "files": [], "kind": "new", "thread": 0,
    }  # fmt: skip
    assert "Hi" in account.get("/mail/sent")


def test_replies_and_forwards_know_their_mail(account):
    thread = next(t for t in account.state.threads if t.folder == "inbox" and not t.mine)
    assert f"Re: {thread.subject}" in account.get(f"/compose?reply={thread.id}")
    assert f"Fwd: {thread.subject}" in account.get(f"/compose?forward={thread.id}")
    account.post("/compose", do="send", kind="reply", thread=thread.id, to=thread.last.email, subject=f"Re: {thread.subject}", body="Yes.")
    assert account.where == f"/thread/{thread.id}" and len(account.state.threads.get(thread.id).messages) == len(thread.messages) + 1
    assert [sent["thread"] for sent in account.changes["sent"]] == [thread.id] and "threads" not in account.changes


def test_files_are_chosen_on_a_page_of_their_own_and_drafts_go_when_sent(account):
    file, other = list(account.state.files.values())[:2]
    page = account.post("/compose", do="attach", to="a@b.example", subject="Files")
    assert account.where.endswith("/files") and file.name in page
    (draft,) = account.state.drafts
    assert other.name not in account.get(f"/draft/{draft.id}/files?name={file.name}")
    account.post(f"/draft/{draft.id}/files", files=[file.name, "no-such-file.pdf"], shown=[file.name])
    (draft,) = account.state.drafts
    assert draft.files == (file.name,)
    account.post("/compose", draft=draft.id, do="send", to=draft.to, subject=draft.subject, files=[file.name, "/etc/passwd"])
    assert account.changes == {"sent": [account.changes["sent"][0]]} and account.changes["sent"][0]["files"] == [file.name]


def test_drafts_are_kept_and_discarded(account):
    assert "The draft was saved." in account.post("/compose", do="save", subject="Later")
    assert account.changes["drafts"]["added"][0]["subject"] == "Later"
    (draft,) = account.state.drafts
    assert "The draft was discarded." in account.post("/compose", do="discard", draft=draft.id)
    assert account.changes == {}


def test_an_account_can_be_full(account):
    for _ in range(mailbox.MOST):
        account.state.drafts.put(account.state.new_id(), records.Draft(0))
    assert "Your account is full" in account.post("/compose", do="save", subject="One more") and account.status == 507


# --- people ----------------------------------------------------------------------------------------------------------------


def test_contacts_are_checked_added_changed_and_deleted(account):
    page = account.post("/contacts/new", name="", email="nonsense", phone="call me")
    assert account.status == 422
    for words in ("A contact needs a name.", "Write an address such as", "A phone number has digits"):
        assert words in page
    known = next(iter(account.state.contacts))
    assert "Another contact has this address already." in account.post("/contacts/new", name="Twin", email=known.email)
    account.post("/contacts/new", name="Ada Birch", email="ADA@birch.example", phone="020 111 2222")
    added = {"name": "Ada Birch", "email": "ada@birch.example", "phone": "020 111 2222", "company": ""}
    assert account.changes == {"contacts": {"added": [added]}}
    account.post(f"/contact/{known.id}/edit", name=known.name, email=known.email, phone="020 999 9999", company=known.company)
    assert account.changes["contacts"]["changed"] == {str(known.id): {"phone": "020 999 9999"}}
    account.post(f"/contact/{known.id}/delete")
    assert account.changes["contacts"]["removed"] == [str(known.id)]
    assert "Ada Birch" in account.get("/contacts?name=ada+birch") and "Nobody of that name." in account.get("/contacts?name=zzz")


def test_groups_have_members_and_can_be_written_to(account):
    one, two = list(account.state.contacts)[:2]
    assert "Tick at least one person." in account.post("/groups/new", name="Band")
    account.post("/groups/new", name="Band", members=[one.id, two.id, 999999])
    assert account.changes == {"groups": {"added": [{"name": "Band", "members": sorted([one.name, two.name])}]}}
    assert "Another group has this name already." in account.post("/groups/new", name="band", members=[one.id])
    account.post("/compose", do="send", to="Band", subject="Song", body="La")
    assert account.changes["sent"][0]["to"] == sorted([one.email, two.email])


# --- calendar --------------------------------------------------------------------------------------------------------------


def test_events_are_checked_and_shown_in_their_week(account):
    page = account.post("/calendar/new", day="tomorrow", start="25:00", end="9", guests="Nobody At All")
    assert account.status == 422
    for words in ("An event needs a title.", "Write the day as", "Write the time as 14:30.", "neither an address"):
        assert words in page
    late = account.post("/calendar/new", title="Tea", day="2026-01-14", start="15:00", end="14:00")
    assert "The end must come after the start." in late and 'value="Tea"' in late
    page = account.post("/calendar/new", title="Tea", day="2026-01-14", start="15:00", end="16:00", place="Studio 2")
    assert account.where == "/calendar" and "15:00–16:00" in page
    (added,) = account.changes["events"]["added"]
    assert (added["title"], added["start"], added["end"], added["place"]) == ("Tea", "2026-01-14 15:00", "2026-01-14 16:00", "Studio 2")


def test_invitations_are_answered_unless_they_are_cancelled():
    when = mailbox.NOW.replace(hour=12)
    events = tuple(
        records.Event(id, title, when, when.replace(hour=13), organiser="Ada Birch", cancelled=off)
        for id, title, off in ((11, "Walk", False), (13, "Rain", True))
    )
    account = Account(records.World(1, events=events))
    assert "Walk" not in account.get("/calendar?week=2026-01-05")
    assert "You accepted. Ada Birch was told." in account.post("/event/11/answer", answer="yes")
    assert "Walk" in account.get("/calendar?week=2026-01-05")
    account.post("/event/13/answer", answer="yes")
    assert account.changes == {"events": {"changed": {"11": {"answer": "yes"}}}}
    account.post("/event/11/answer", answer="perhaps")
    assert account.status == 400
    account.post("/event/11/delete")
    assert account.status == 403


# --- settings --------------------------------------------------------------------------------------------------------------


def test_the_vacation_responder_needs_days_and_a_text(account):
    page = account.post("/settings/vacation", vacation="1", first="soon", last="2026-01-02")
    assert account.status == 422 and "Write the first day as" in page and "Write what people are told." in page
    wrong = account.post("/settings/vacation", vacation="1", first="2026-01-05", last="2026-01-02", text="Away")
    assert "The last day comes before the first." in wrong and account.changes == {}
    account.post("/settings/vacation", vacation="1", first="2026-01-05", last="2026-01-09", subject="", text="Away")
    assert account.changes == {"settings": {"vacation": True, "first": "2026-01-05", "last": "2026-01-09", "vacation_text": "Away"}}


def test_filters_sort_the_inbox_when_asked(account):
    sender = next(t for t in account.state.threads if t.folder == "inbox").last.email
    caught = [t for t in account.state.threads if t.folder == "inbox" and t.last.email == sender]
    page = account.post("/settings/filters/new", sender="", subject="")
    assert "Name a sender or words of the subject." in page and "Choose a folder or a label." in page
    assert f"applied to {len(caught)} mails" in account.post("/settings/filters/new", sender=sender, folder="house", apply="1")
    assert account.changes["rules"]["added"] == [{"sender": sender, "subject": "", "folder": "house", "label": ""}]
    assert account.changes["threads"]["changed"] == {str(t.id): {"folder": "house"} for t in caught}
    (rule,) = account.state.rules
    account.post(f"/settings/filters/{rule.id}/delete")
    assert "rules" not in account.changes


def test_folders_and_labels_are_made_and_taken_away(account):
    assert "There is a folder “inbox” already." in account.post("/settings/folders", kind="folder", name="inbox")
    assert "Write a name with letters." in account.post("/settings/folders", kind="label", name="!!")
    account.post("/settings/folders", kind="folder", name="Garden plans")
    assert account.changes == {"folders": {"added": [{"name": "Garden plans"}]}}
    account.post(f"/thread/{account.thread().id}/do", do="to-garden-plans")
    account.post("/settings/folders/folder/garden-plans/delete")
    assert list(account.changes["threads"]["changed"].values()) == [{"folder": "archive"}]


# --- many at once ----------------------------------------------------------------------------------------------------------


def test_no_account_sees_another_though_they_share_what_they_began_with():
    accounts = [Account(records.World(3)) for _ in range(64)]
    for number, account in enumerate(accounts):
        account.post("/settings", name=f"Number {number}", signature=account.state.settings.signature)
        account.post(f"/thread/{account.thread().id}/do", do="to-archive" if number % 2 else "to-trash")
    for number, account in enumerate(accounts):
        assert account.changes["settings"] == {"name": f"Number {number}"}
        assert [change["folder"] for change in account.changes["threads"]["changed"].values()] == ["archive" if number % 2 else "trash"]
    assert Account(records.World(3)).changes == {}


def test_what_checks_see_is_plain_data(account):
    account.post("/compose", do="save", subject="Later")
    account.post("/calendar/new", title="Tea", day="2026-01-14", start="15:00", end="16:00")
    assert json.loads(json.dumps(account.changes)) == account.changes


def test_an_account_copies_nothing_of_the_catalogue():
    base = module("catalogue").catalogue()
    shared = {id(thread) for threads in base.threads.values() for thread in threads}
    assert all(id(thread) in shared for thread in Account().state.threads)
