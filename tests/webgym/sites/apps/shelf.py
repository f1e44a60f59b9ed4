"""A small application that knows nothing of WebGym: shelves of books in SQLite, with a login, uploads, a WebSocket and an event stream.

Run as `python shelf.py PORT DATA_FOLDER`. What the tests make it do wrong lies below /odd/.
"""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute

DATA = Path(sys.argv[2] if len(sys.argv) > 2 else ".")
BOOKS = DATA / "books.db"
HEAD = "<!doctype html><meta charset=utf-8><title>Shelf</title><link rel=icon href=data:,>"


def books():
    database = sqlite3.connect(BOOKS, timeout=5)
    database.row_factory = sqlite3.Row
    return closing(database)


def begin():
    if not BOOKS.exists():
        with books() as db:
            db.execute("pragma journal_mode=wal")
            db.execute("create table book (id integer primary key, title text, reader text)")
            db.execute("create table session (id text primary key, name text)")
            db.execute("insert into book (title, reader) values ('Emma', 'ann')")
            db.commit()
    (DATA / "covers").mkdir(exist_ok=True)
    (DATA / "covers" / "emma.txt").write_text("a lady")


def reader(request):
    with books() as db:
        row = db.execute("select name from session where id = ?", (request.cookies.get("shelf", ""),)).fetchone()
    return row["name"] if row else request.headers.get("x-reader", "")


async def home(request):
    if not reader(request):
        return RedirectResponse(str(request.url_for("login")))
    with books() as db:
        found = db.execute("select title, reader from book order by id").fetchall()
    listed = "".join(f"<li>{row['title']} ({row['reader']})</li>" for row in found)
    form = "<form method=post action=/books><label>Title <input name=title></label><button>Add</button></form>"
    return HTMLResponse(f"{HEAD}<h1>Books of {reader(request)}</h1><ul>{listed}</ul>{form}<p id=theme></p>"
                        "<script>theme.textContent = 'theme ' + localStorage.getItem('theme')</script>")  # fmt: skip


async def login(request):
    if request.method == "POST":
        form = await request.form()
        if form.get("name") == "nobody":
            return RedirectResponse("/login?again=1", 303)
        if form.get("csrf") != request.cookies.get("csrf") or form.get("password") != "secret-1234":
            return HTMLResponse(f"{HEAD}<p>Wrong.", 403)
        with books() as db:
            db.execute("insert or replace into session values (?, ?)", (f"s-{form['name']}", form["name"]))
            db.commit()
        answer = RedirectResponse("/", 303)
        answer.set_cookie("shelf", f"s-{form['name']}", httponly=True)
        return answer
    answer = HTMLResponse(f"{HEAD}<h1>Sign in</h1><form method=post><input type=hidden name=csrf value='t-42'>"
                          "<label>Name <input name=name></label><label>Password <input name=password type=password></label>"
                          "<button>Sign in</button></form>")  # fmt: skip
    answer.set_cookie("csrf", "t-42")
    return answer


async def add(request):
    form = await request.form()
    with books() as db:
        db.execute("insert into book (title, reader) values (?, ?)", (form["title"], reader(request)))
        db.commit()
    return RedirectResponse("/", 303)


async def state(request):
    with books() as db:
        return JSONResponse({"books": [row["title"] for row in db.execute("select title from book order by id")]})


async def reset(request):
    with books() as db:
        db.execute("delete from book where id > 1")
        db.commit()
    return JSONResponse({})


async def upload(request):
    size, name = 0, request.query_params.get("name", "upload.bin")
    with (DATA / "covers" / name).open("wb") as file:
        async for part in request.stream():
            size += file.write(part)
    return JSONResponse({"size": size})


async def echo(request):
    body = await request.body()
    return JSONResponse({"headers": [list(pair) for pair in request.headers.items()], "path": request.scope["raw_path"].decode(),
                         "query": request.url.query, "size": len(body)})  # fmt: skip


async def stream(request):
    async def events():
        number = 0
        try:
            while True:
                yield f"data: {number}\n\n"
                number += 1
                await asyncio.sleep(0.05)
        finally:
            (DATA / "stream-ended").write_text("yes")

    return StreamingResponse(events(), media_type="text/event-stream")


async def board(request):
    return HTMLResponse(f"{HEAD}<h1>Board</h1><p id=last></p><a href=/login>Leave</a>"
                        "<script>new EventSource('/events').onmessage = e => (last.textContent = 'an event')</script>")  # fmt: skip


async def big(request):
    async def parts():
        for _ in range(64):
            yield b"x" * 65536

    return StreamingResponse(parts())


async def talk(socket):
    await socket.accept(subprotocol=(socket.scope["subprotocols"] or [None])[0])
    await socket.send_text(f"hello {socket.headers.get('origin', '')}")
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            (DATA / "talk-ended").write_text("yes")
            return
        if message.get("text") == "bye":
            return await socket.close(4001)
        if message.get("text") is not None:
            await socket.send_text(message["text"].upper())
        else:
            await socket.send_bytes(message["bytes"][::-1])


async def odd(request):
    what = request.path_params["what"]
    if what == "die":
        print("about to die", file=sys.stderr, flush=True)
        os.kill(os.getpid(), 9)
    if what == "fail":
        raise RuntimeError("the shelf fell down")
    if what == "slow":
        await asyncio.sleep(0.5)
    if what == "cookie":
        answer = PlainTextResponse("")
        answer.set_cookie("a", "b", domain=request.headers["host"].partition(":")[0])
        return answer
    if what == "away":
        return Response("", 302, {"location": f"http://{request.headers['host']}/books?x=1"})
    if what == "own-port":
        return Response("", 302, {"location": f"http://127.0.0.1:{sys.argv[1]}/login"})
    if what == "cut":
        return Response("short", headers={"content-length": "100"})
    if what == "child":
        subprocess.Popen(["sh", "-c", "sleep 1000 & setsid sleep 1001"])
    if what == "time":
        return PlainTextResponse(str(time.time()))
    return PlainTextResponse(what, headers={"cache-control": "no-store", "set-cookie": "x=1", "date": "Thu, 01 Jan 1970 00:00:00 GMT"})


async def static(request):
    return PlainTextResponse("body { color: red }", headers={"set-cookie": "x=1", "vary": "cookie"})


ROUTES = [
    Route("/", home),
    Route("/login", login, methods=["GET", "POST"]),
    Route("/books", add, methods=["POST"]),
    Route("/api/state", state),
    Route("/api/reset", reset, methods=["GET", "POST"]),
    Route("/covers", upload, methods=["POST"]),
    Route("/echo/{rest:path}", echo, methods=["GET", "POST", "OPTIONS", "DELETE"]),
    Route("/events", stream),
    Route("/board", board),
    Route("/big", big),
    Route("/static/{rest:path}", static),
    Route("/odd/{what}", odd),
    WebSocketRoute("/talk", talk),
]

if __name__ == "__main__":
    begin()
    print(json.dumps({"books": str(BOOKS)}), flush=True)
    uvicorn.run(Starlette(routes=ROUTES), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
