"""A small application for `benchmarks.applications`: cards in SQLite. It runs in a process of its own, or is mounted in this one.

python benchmarks/applications_app.py PORT FOLDER
"""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

CARDS = 40


def begin(folder: Path) -> Path:
    """The database of a folder, filled where it was not there."""
    database = folder / "cards.db"
    if not database.exists():
        with closing(sqlite3.connect(database)) as live, live:
            live.execute("pragma journal_mode = wal")
            live.execute("create table card (id integer primary key, title text, done integer default 0)")
            live.executemany("insert into card (title) values (?)", [(f"Card number {number}",) for number in range(CARDS)])
    return database


def application(database: Path) -> Starlette:
    """The application on its database."""

    async def cards(request: Request) -> Response:
        with closing(sqlite3.connect(database)) as live:
            rows = live.execute("select id, title, done from card order by id").fetchall()
        listed = "".join(f'<li><a href="/card/{key}">{title}</a>{" done" if done else ""}</li>' for key, title, done in rows)
        return HTMLResponse(f"<!doctype html><title>Cards</title><link rel=icon href=data:,><h1>Cards</h1><ul>{listed}</ul>")

    async def card(request: Request) -> Response:
        key = request.path_params["key"]
        with closing(sqlite3.connect(database)) as live, live:
            if request.method == "POST":
                live.execute("update card set done = 1 - done where id = ?", (key,))
                return RedirectResponse(f"/card/{key}", 303)
            title, done = live.execute("select title, done from card where id = ?", (key,)).fetchone()
        form = f'<form method="post"><button>{"Reopen" if done else "Mark as done"}</button></form><a href="/">All cards</a>'
        return HTMLResponse(f"<!doctype html><title>{title}</title><link rel=icon href=data:,><h1>{title}</h1>{form}")

    return Starlette(routes=[Route("/", cards), Route("/card/{key:int}", card, methods=["GET", "POST"])])


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(application(begin(Path(sys.argv[2]))), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
