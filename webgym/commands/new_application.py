"""A task file for an application, written by looking at it: `webgym tasks new NAME --app URL|COMMAND`.

The application is started, its first page is opened, and what is there is tried: a form whose text arrives in a database becomes a task
about that form, else a link becomes a question about the page behind it.
"""

import json
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from webgym import types as t
from webgym.authoring import consent
from webgym.authoring.task_file import NAME
from webgym.env import AsyncWebEnv
from webgym.errors import TaskFileError, UsageError
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.sites import Server, restart
from webgym.sites.apps import Lease, PlainInstance, Query, Sqlite, Wrong
from webgym.sites.password_forms import password_forms
from webgym.sites.sign_in import page_at
from webgym.task import PENDING, Start, Task

TEXTS = ("Quiet harbour 47", "Blue lantern 12", "Seven maps 93", "Old orchard 68")
NOTHING = "the first page has no form that writes and no link that leads to a page with a heading: write a task of your own"
MOST_LINKS = 8  # of a page that is nothing but a sign-in form
MOST_TABLES, MOST_TRIES, MOST_BYTES = 12, 4, 300 << 20
SQLITE = b"SQLite format 3\0"
OF_FRAMEWORKS = re.compile(r"(?i)sqlite_|django_|alembic_|migrations|.*_fts")
SECRET = re.compile(r"(?i)passw|passphrase|pwd|(^|_)(otp|salt)(_|$)|hash(ed)?(_|$)|token|secret|session|api_?key")
FORGERY = re.compile(r"(?i)csrf|xsrf|token|nonce|authenticity|verification")  # hidden fields that say where a form comes from


@dataclass
class Look:
    """Findings about an application."""

    name: str
    app: str
    host_header: str = ""
    databases: list[str] = field(default_factory=list)
    readers: dict[str, tuple[str, str]] = field(default_factory=dict)  # by name: the file and its query
    task: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def at(self) -> bool:
        """True for an application that runs already."""
        return self.app.startswith(("http://", "https://"))

    def server(self, folder: Path, **options: Any) -> Server:
        """The application as a site."""
        url = f"http://{self.name}.localhost/"
        if self.at:
            return Server(url, at=self.app, host_header=self.host_header, **options)
        return Server(url, command=self.app, folder=folder, host_header=self.host_header, withheld=[folder / "tasks.yaml"], **options)


def create(name: str, app: str, folder: Path) -> tuple[Path, list[str]]:
    """The task file that was written into the application's folder, and what there is to say. Raises UsageError, SiteFault."""
    if not re.fullmatch(NAME, name):
        raise TaskFileError(f"{name!r} is no name for a pack: expected small letters, digits and dashes, such as 'my-shop'")
    look, file = Look(name, app), folder / "tasks.yaml"
    if file.exists():
        raise TaskFileError(f"{file} exists already: give another --folder, or remove it")
    if not look.at and "{port}" not in app:
        raise UsageError(
            f"--app {app!r}: expected {{port}} where the command says its port, as in 'uvicorn app:app --port {{port}}', or an address"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if not look.at and (size := sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())) > MOST_BYTES:
        raise UsageError(f"{folder} has {size >> 20} MiB, which each process would copy: run this in the application's own folder")
    loop_thread().run(_looked(look, folder.resolve()))
    file.write_text(_written(look), "utf-8")
    consent.remember(folder)
    return file, look.notes


async def _looked(look: Look, folder: Path) -> None:
    first = look.server(folder)
    try:
        lease = await first.lease(0, None)
        look.host_header = _needed_host(look, lease)
        if not look.at:
            look.databases = _databases(lease.plain.folder)
            look.readers = _readers(lease.plain.folder, look.databases)
        await first.release(lease)
    finally:
        first.stop()
    resets: list[Any] = [Sqlite(path) for path in look.databases] or ([] if look.at else [restart])
    readers = {reader: Query(*query) for reader, query in look.readers.items()}
    server = look.server(folder, reset=resets, readers=readers)
    lease = await server.lease(0, None)
    first_page = await page_at(server.app, lease, server.url, {})
    await server.release(lease)
    task_id = f"{look.name}.webgym-looks"
    registry.register(Task(task_id, lambda seed: Start(server.url, "Look."), lambda evidence: PENDING, 100, hosts=server.hosts), [server])
    env = AsyncWebEnv()
    try:
        page = await env.reset(task_id, 0)
        if note := _sign_in_form(server.url, first_page, page):
            look.task = _heading(look, page, note)
        else:
            look.task = await _form(look, env, task_id, page) or await _link(look, env, task_id, page) or _heading(look, page, NOTHING)
    finally:
        await env.close()
        registry.forget(task_id)


def _sign_in_form(start: str, first: tuple[str, str], page: t.Observation) -> str:
    """Advice on what to add for a first page that is a sign-in form, given its address and HTML; "" where it is none."""
    passwords = [node for node in page.nodes if "password" in node.states]
    url, text = first
    forms = [form for form in password_forms(text, url) if form.passwords[0]]
    form = next((form for form in forms if len(form.passwords) == 1), None)  # with two, a password is chosen
    if not passwords or (form is None and (forms or len(passwords) > 1)):
        return ""
    if sum(node.role == "link" for node in page.nodes) > MOST_LINKS and urlsplit(page.url).path == urlsplit(start).path:
        return ""  # a box on a page of its own
    said = "the first page is a sign-in form: add signed_in: "
    if form is not None:
        fields = ", ".join(f"{name}: ..." for name in [*form.named, form.passwords[0]] if name)
        token = next((name for name in form.hidden if FORGERY.search(name)), "")
        more = f", token: {token}" + (f", page: {urlsplit(url).path}" if urlsplit(url).path != form.path else "") if token else ""
        return f"{said}{{post: {form.path}, form: {{{fields}}}{more}}}"
    steps = [f"{{fill: [{_yaml(_plain(node.text))}, ...]}}" for node in page.nodes if node.role == "textbox" and node.text]
    button = next((node.text for node in page.nodes[page.nodes.index(passwords[0]) :] if node.role == "button" and node.text), "")
    return f"{said}[{', '.join([*steps, f'{{click: {_yaml(_plain(button))}}}'] if button else steps)}]"


def _needed_host(look: Look, lease: Lease) -> str:
    """The host that the application must be called by, "" where any will do."""
    address = lease.plain.address
    own = "127.0.0.1:{port}" if not look.at else address.origin.partition("://")[2]
    for host, known in ((f"{look.name}.localhost", ""), (own.replace("{port}", str(address.port)), own)):
        try:
            PlainInstance(address, None, host=host).get("/")
            return known
        except Wrong as error:
            refused = str(error)
    look.notes.append(f"the first page is not well under any name: {refused}")
    return ""


def _databases(folder: Path) -> list[str]:
    """The SQLite files of a folder."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size >= len(SQLITE):
            with path.open("rb") as file:
                if file.read(len(SQLITE)) == SQLITE:
                    found.append(path.relative_to(folder).as_posix())
    return found


def _readers(folder: Path, databases: list[str]) -> dict[str, tuple[str, str]]:
    """A reader for each table of a person's making, by its name; none of sessions and tokens, and no column that holds a secret."""
    found: dict[str, tuple[str, str]] = {}
    for database in databases:
        with closing(sqlite3.connect(folder / database)) as live:
            names = [name for (name,) in live.execute("select name from sqlite_master where type = 'table' order by name")]
            tables = {name: _columns(live, name) for name in names}
        for table, columns in tables.items():
            name = re.sub(r"\W+", "_", table).strip("_")
            open_ones = [column for column in columns if not SECRET.search(column)]
            if SECRET.search(table) or not open_ones:
                continue
            if not OF_FRAMEWORKS.match(table) and re.match(r"[A-Za-z_]", name) and len(found) < MOST_TABLES:
                shown = "*" if open_ones == columns else ", ".join(map(_quoted, open_ones))
                found.setdefault(name, (database, f"select {shown} from {_quoted(table)} order by rowid desc limit 200"))
    return found


def _columns(live: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table; none where it cannot be read, such as one of a kind that this SQLite lacks."""
    try:
        return [name for (name,) in live.execute("select name from pragma_table_info(?)", [table])]
    except sqlite3.Error:
        return []


def _quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


async def _form(look: Look, env: AsyncWebEnv, task_id: str, page: t.Observation) -> str:
    """A task about a field and a button of the first page whose text arrives in a table; "" where there is none."""
    if not look.readers:  # what a form writes could not be seen, and perhaps not be undone
        return ""
    fields = [node for node in page.nodes if node.ref is not None and node.role == "textbox" and node.text][:MOST_TRIES]
    buttons = [node for node in page.nodes if node.ref is not None and node.role == "button" and node.text]
    for box in fields:
        for button in [each for each in buttons if page.nodes.index(each) > page.nodes.index(box)][:2]:
            begun = await env.reset(task_id, 0)
            if (field_ref := _ref(begun, box)) is None or (button_ref := _ref(begun, button)) is None:
                continue
            await env.step(t.Fill(field_ref, TEXTS[0]))
            await env.step(t.Click(button_ref))
            state = await env.site_state()
            for reader, rows in state.items() if isinstance(state, Mapping) else ():
                if column := next((key for row in rows for key, value in row.items() if value == TEXTS[0]), ""):
                    look.readers = {reader: look.readers[reader]}
                    return _form_task(box.text, button.text, reader, column)
    return ""


def _form_task(box: str, button: str, reader: str, column: str) -> str:
    return f"""  - name: fill-in
    start: /
    goal:
      train: [{_yaml(f'Write "{{text}}" into the field {_plain(box)} and press {_plain(button)}.')}]
      valid: [{_yaml(f'Put "{{text}}" into {_plain(box)}, then press {_plain(button)}.')}]
      test: [{_yaml(f'Send "{{text}}" as {_plain(box)} with the button {_plain(button)}.')}]
    parameters: {{text: [{", ".join(map(_yaml, TEXTS))}]}}
    check: {{state: {{path: {reader}, contains: {{{column}: "{{text}}"}}}}}}
    oracle: [{{fill: [{_yaml(_plain(box))}, "{{text}}"]}}, {{click: {_yaml(_plain(button))}}}]
    chance: 0.4  # words of the goal in the only field: ask for more to make it less
"""


async def _link(look: Look, env: AsyncWebEnv, task_id: str, page: t.Observation) -> str:
    """A question about the page behind a link of the first page; "" where there is none."""
    shown = " ".join(node.text for node in page.nodes)
    links = [node for node in page.nodes if node.ref is not None and node.role == "link" and node.text]
    for link in links[: 2 * MOST_TRIES]:
        begun = await env.reset(task_id, 0)
        if (ref := _ref(begun, link)) is None:
            continue
        there = (await env.step(t.Click(ref))).observation
        heading = next((node.text for node in there.nodes if node.role == "heading" and node.text), "")
        if there.url != begun.url and heading and heading not in shown:
            look.readers = dict(list(look.readers.items())[:3])
            return f"""  - name: look-up
    start: /
    goal:
      train: [{_yaml(f'Open "{_plain(link.text)}" and say the heading of that page.')}]
      valid: [{_yaml(f'Say the heading of the page behind "{_plain(link.text)}".')}]
      test: [{_yaml(f'What is the heading of the page that "{_plain(link.text)}" leads to?')}]
    check: {{answer: {{exact: {_yaml(_plain(heading))}, ignore_case: true}}}}
    oracle: [{{click: {_yaml(_plain(link.text))}}}, {{stop: {_yaml(_plain(heading))}}}]
"""
    return ""


def _heading(look: Look, page: t.Observation, note: str) -> str:
    """A question about the first page itself, to be replaced, as the note says."""
    look.notes.append(note)
    look.readers = dict(list(look.readers.items())[:3])
    said = next((node.text for node in page.nodes if node.text), page.title) or look.name
    return f"""  - name: read
    start: /
    goal: Say the first line of the page.
    check: {{answer: {{exact: {_yaml(_plain(said))}}}}}
    oracle: [{{stop: {_yaml(_plain(said))}}}]
"""


def _written(look: Look) -> str:
    """The task file."""
    lines = [f"pack: {look.name}", "site:", f"  url: http://{look.name}.localhost/"]
    if look.at:
        lines += [f"  at: {_yaml(look.app)}  # one session at a time; say `shared: true` if episodes cannot get in each other's way"]
        lines += ["  # reset: [{post: /api/reset}]  # what brings it back to its first state between episodes"]
        look.notes.append("nothing resets an application that runs already: say `reset:`, or let WebGym start it with a command")
    else:
        lines += [f"  serve: {_yaml(look.app)}", "  in: .  # copied for each process"]
        resets = ", ".join(f"{{sqlite: {_yaml(path)}}}" for path in look.databases)
        lines.append(f"  reset: [{resets}]" if resets else "  reset: restart  # a fresh process on a fresh copy, for each episode")
    if look.host_header:
        lines.append(f"  host_header: {_yaml(look.host_header)}  # it answers to no other name")
    if look.readers:
        lines.append("  state:")
        lines += [f"    {name}: {{sqlite: {_yaml(file)}, query: {_yaml(query)}}}" for name, (file, query) in look.readers.items()]
    return "\n".join([*lines, "tasks:", look.task])


def _ref(page: t.Observation, node: t.Node) -> int | None:
    """The ref of the same thing on another view of its page."""
    return next((each.ref for each in page.nodes if (each.role, each.text) == (node.role, node.text)), None)


def _plain(text: str) -> str:
    """A text of a page in a goal or an oracle, where braces would be placeholders."""
    return " ".join(text.split()).replace("{", "{{").replace("}", "}}")


def _yaml(text: str) -> str:
    """A text as YAML has it: in quotes, as JSON."""
    return json.dumps(text, ensure_ascii=False)
