"""The state of one episode: tables over the records that the episode began with, and the owner's actions on them."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

from .records import OWNER, OWNER_EMAIL, Change, Contact, Draft, Event, File, Group, Message, Place, Rule, Settings, Thread, plain

NOW = datetime(2026, 1, 5, 8, 0)
"""The pages' clock at the start of an episode."""

FOLDERS = {"inbox": "Inbox", "archive": "Archive", "spam": "Spam", "trash": "Trash"}
"""The folders that every account has, and that a thread can be moved to."""

MOST = 500  # new records of one episode, so that an agent cannot fill the memory

R = TypeVar("R")


class Full(Exception):
    """The account holds no more."""


class Table(Generic[R]):
    """Records by id, copy-on-write. The first records are shared with other episodes and never written to."""

    def __init__(self, base: Mapping[Any, R]) -> None:
        self._base = base
        self._changed: dict[Any, R | None] = {}

    def get(self, id: Any) -> R | None:
        return self._changed[id] if id in self._changed else self._base.get(id)

    def put(self, id: Any, record: R) -> None:
        """Raises Full when there is no room for a new record."""
        if id not in self._base and id not in self._changed and len(self._changed) >= MOST:
            raise Full
        self._changed[id] = record

    def remove(self, id: Any) -> None:
        self._changed[id] = None

    def __iter__(self) -> Iterator[R]:
        for id, record in self._base.items():
            if id not in self._changed:
                yield record
        for record in self._changed.values():
            if record is not None:
                yield record

    def changes(self, *but: str) -> Change:
        """Differences from the beginning, without the fields `but`."""
        change = Change()
        for id, record in self._changed.items():
            old = self._base.get(id)
            if old is None and record is not None:
                change.added.append({key: value for key, value in plain(record).items() if key not in but})
            elif old is not None and record is None:
                change.removed.append(str(id))
            elif old is not None and record is not None and old != record:
                before, after = plain(old), plain(record)
                differing = {key: after[key] for key in after if key not in but and before[key] != after[key]}
                if differing:
                    change.changed[str(id)] = differing
        return change


class Mailbox:
    """One account in one episode."""

    def __init__(
        self,
        threads: Mapping[int, Thread],
        contacts: Mapping[int, Contact],
        events: Mapping[int, Event],
        rules: Mapping[int, Rule],
        files: Mapping[int, File],
        folders: Mapping[str, Place],
        labels: Mapping[str, Place],
        settings: Settings,
    ) -> None:
        self.threads, self.contacts, self.events, self.rules = Table(threads), Table(contacts), Table(events), Table(rules)
        self.folders, self.labels = Table(folders), Table(labels)
        self.drafts: Table[Draft] = Table({})
        self.groups: Table[Group] = Table({})
        self.files = files
        self._settings, self.settings = settings, settings
        self.sent: list[dict[str, Any]] = []
        self._undo: dict[int, Thread] = {}
        self._notice = ""
        self._next_id = 5000

    # --- what is asked of it --------------------------------------------------------------------------------------------

    def new_id(self) -> int:
        """An unused id."""
        self._next_id += 1
        return self._next_id

    def folder_names(self) -> dict[str, str]:
        """The folders that a thread can be moved to, by id."""
        return FOLDERS | {place.id: place.name for place in self.folders}

    def label_names(self) -> dict[str, str]:
        return {place.id: place.name for place in self.labels}

    def unread(self) -> int:
        return sum(not t.read for t in self.threads if t.folder == "inbox")

    def address_of(self, typed: str) -> str | None:
        """The address for the text that was typed, which is an address or the name of a contact."""
        typed = " ".join(typed.split())
        if "<" in typed and typed.endswith(">"):
            typed = typed[typed.index("<") + 1 : -1].strip()
        if "@" in typed:
            name, _, host = typed.partition("@")
            return typed.lower() if name and "." in host and " " not in typed else None
        return next((c.email for c in self.contacts if c.name.casefold() == typed.casefold()), None)

    def recipients(self, typed: str) -> tuple[list[str], list[str]]:
        """The addresses of a list that was typed, each once, and the parts that are no address. A group's name stands for its members."""
        found: dict[str, None] = {}
        wrong = []
        for part in (part.strip() for part in typed.replace(";", ",").split(",")):
            group = next((g for g in self.groups if part and g.name.casefold() == part.casefold()), None)
            addresses = [self.address_of(name) for name in sorted(group.members)] if group else [self.address_of(part)] if part else []
            found.update(dict.fromkeys(address for address in addresses if address))
            wrong += [part] if None in addresses else []
        return list(found), wrong

    # --- what is done with it -------------------------------------------------------------------------------------------

    def say(self, notice: str) -> None:
        """Set the notice of the next page."""
        self._notice = notice

    def take_notice(self) -> tuple[str, bool]:
        """The notice to show now, once, and true if its change can be undone."""
        notice, self._notice = self._notice, ""
        return notice, bool(notice and self._undo)

    def open_thread(self, thread: Thread) -> None:
        """Mark a thread as read because it is opened; that cannot be undone."""
        if not thread.read:
            self.threads.put(thread.id, dataclasses.replace(thread, read=True))

    def alter(self, threads: Iterable[Thread], notice: str, **fields: Any) -> None:
        """Change fields of threads in a way that can be undone once."""
        self._undo = {t.id: t for t in threads}
        for thread in self._undo.values():
            self.threads.put(thread.id, dataclasses.replace(thread, **fields))
        self.say(notice)

    def label(self, thread: Thread, label: str, on: bool) -> None:
        """Put a label on a thread, or take it off."""
        now = self.threads.get(thread.id) or thread
        self.threads.put(thread.id, dataclasses.replace(now, labels=now.labels | {label} if on else now.labels - {label}))

    def undo(self) -> bool:
        """Take back the last change of threads; False when there is none."""
        for thread in self._undo.values():
            self.threads.put(thread.id, thread)
        done, self._undo = bool(self._undo), {}
        return done

    def delete_for_good(self, threads: Iterable[Thread]) -> None:
        self._undo = {}
        for thread in threads:
            self.threads.remove(thread.id)

    def send(self, draft: Draft, to: list[str], cc: list[str]) -> None:
        """The draft becomes a mail: of its thread when it is a reply, else of a new one."""
        about = self.threads.get(draft.thread)
        message = Message(OWNER, OWNER_EMAIL, tuple(to), NOW, self._signed(draft.body), tuple(cc), draft.files)
        if draft.kind == "reply" and about is not None:
            self.threads.put(about.id, dataclasses.replace(about, messages=(*about.messages, message)))
        else:
            id = self.new_id()
            self.threads.put(id, Thread(id, draft.subject or "(no subject)", (message,), "sent"))
        if len(self.sent) >= MOST:
            raise Full
        written = {"to": sorted(to), "cc": sorted(cc), "subject": draft.subject, "body": " ".join(draft.body.split())}
        self.sent.append({**written, "files": sorted(draft.files), "kind": draft.kind, "thread": draft.thread})
        if self.drafts.get(draft.id) is not None:
            self.drafts.remove(draft.id)
        self._undo = {}
        self.say("Your mail was sent.")

    def _signed(self, body: str) -> str:
        return f"{body}\n\n{self.settings.signature}" if self.settings.signature else body

    # --- what checks see ------------------------------------------------------------------------------------------------

    def changes(self) -> dict[str, Any]:
        """All changes by the owner, by table. Mails that were read are in `seen`, apart from the changes that checks compare."""
        threads = self.threads.changes("messages", "read")
        strays = [{"subject": t["subject"], "folder": t["folder"]} for t in threads.added if t["folder"] != "sent"]
        found: dict[str, Any] = {"threads": dataclasses.replace(threads, added=strays).to_json(), "sent": list(self.sent)}
        for name in ("drafts", "contacts", "groups", "events", "rules", "folders", "labels"):
            found[name] = getattr(self, name).changes().to_json()
        before, after = plain(self._settings), plain(self.settings)
        found["settings"] = {key: after[key] for key in after if before[key] != after[key]}
        found["seen"] = sorted(self.threads.changes("messages", "labels", "folder", "starred").changed)
        return {name: value for name, value in found.items() if value}
