"""Scripts of workers: the hooks come before their first line, and nothing else of an answer changes."""

import asyncio
from typing import Any

import pytest

from webgym.sites.workers import CODED, asks_for_worker, plainly, with_hooks


def answer(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    """Messages that reach the browser."""
    found: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        found.append(message)

    async def run() -> None:
        hooked = with_hooks(send, lambda: "HOOKS;")
        for message in messages:
            await hooked(message)

    asyncio.run(run())
    return found


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(text: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text, "more_body": more}


def scope(*headers: tuple[bytes, bytes], kind: str = "http") -> dict[str, Any]:
    return {"type": kind, "path": "/w.js", "headers": list(headers)}


def test_the_hooks_come_before_the_text_whose_length_is_said_anew():
    head, text = answer(
        start(200, (b"content-type", b"text/javascript"), (b"Content-Length", b"9"), (b"etag", b"x")), body(b"one();", True), body(b"two")
    )
    assert text["body"] == b"HOOKS;one();two" and not text["more_body"]
    assert head["headers"] == [(b"content-type", b"text/javascript"), (b"content-length", b"15")]


@pytest.mark.parametrize("text", [b"import x from './x.js'; x()", b"'use strict';\nimport './x.js'", b"import{a}from'./a.js'"])
def test_a_module_imports_the_hooks_before_its_own_imports(text):
    assert answer(start(), body(text))[1]["body"] == b'import "/webgym-worker.js";\n' + text


@pytest.mark.parametrize("text", [b"importScripts('/a.js')", b"const f = () => import('./later.js')"])
def test_a_script_that_imports_as_it_goes_is_no_module(text):
    assert answer(start(), body(text))[1]["body"] == b"HOOKS;" + text


def test_errors_and_what_cannot_be_read_stay_as_they_are():
    for head in (start(404), start(304), start(200, (b"content-encoding", b"br"))):
        assert answer(head, body(b"text")) == [head, body(b"text")]


def test_only_the_scripts_of_workers_are_meant():
    for kind in (b"worker", b"sharedworker", b"serviceworker"):
        assert asks_for_worker(scope((b"sec-fetch-dest", kind)))
    for other in (scope((b"sec-fetch-dest", b"script")), scope(), scope((b"sec-fetch-dest", b"worker"), kind="websocket")):
        assert not asks_for_worker(other)


def test_the_site_is_asked_for_the_whole_text():
    asked = scope((b"accept-encoding", b"gzip"), (b"range", b"bytes=0-1"), (b"if-none-match", b"x"), (b"cookie", b"a=b"))
    assert plainly(asked)["headers"] == [(b"cookie", b"a=b")]
    assert b"content-length" in CODED
