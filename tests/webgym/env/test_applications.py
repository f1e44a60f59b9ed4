"""Episodes on an application in a process of its own, in a real browser: signing in, state, verdicts, deaths and neighbours."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

import webgym
from tests.webgym.sites.apps import asking
from webgym.actions import parse
from webgym.env import AsyncWebEnv
from webgym.errors import JudgeFault, SiteFault
from webgym.loop_thread import loop_thread
from webgym.packs import registry

FILE = """
pack: shelf
site:
  url: http://shelf.localhost/
  serve: ["{python}", "{shelf}", "{{port}}", "{{folder}}"]
  ready: /login
  reset: {{sqlite: books.db}}
  private: /api/*
  state:
    books: {{sqlite: books.db, query: "select title, reader from book order by id"}}
    page: {{get: /api/state}}
tasks:
  - name: by-form
    start: /
    signed_in: {{post: /login, form: {{name: "{{who}}", password: "${{SHELF_PW}}"}}, token: csrf, storage: {{theme: dark}}}}
    goal: Add "{{title}}" as {{who}}.
    parameters: {{title: [Persuasion], who: [ann]}}
    check: {{state: {{path: books, contains: {{title: "{{title}}", reader: "{{who}}"}}}}}}
    oracle: [{{fill: [Title, "{{title}}"]}}, {{click: Add}}]
  - name: by-steps
    start: /
    signed_in: {{page: /login, steps: [{{fill: [Name, bob]}}, {{fill: [Password, "${{SHELF_PW}}"]}}, {{click: Sign in}}]}}
    goal: Add anything.
    check: {{state: {{path: page.books, count: 2}}}}
  - name: by-header
    start: /
    signed_in: {{headers: {{X-Reader: cleo}}}}
    goal: Add Emma again, and say how many there are.
    check: {{verify: counted.py}}
  - name: board
    start: /board
    goal: Leave the board.
    check: {{state: {{path: books, count: 9}}}}
  - name: wrong
    start: /
    signed_in: {{post: /login, form: {{name: ann, password: no}}, token: csrf}}
    goal: Never.
    check: {{state: {{path: books, count: 9}}}}
  - name: wrong-steps
    start: /
    signed_in: {{page: /login, steps: [{{fill: [Nickname, "${{SHELF_PW}}"]}}]}}
    goal: Never.
    check: {{state: {{path: books, count: 9}}}}
  - name: refused-steps
    start: /board
    signed_in: {{page: /login, steps: [{{fill: [Name, nobody]}}, {{fill: [Password, "${{SHELF_PW}}"]}}, {{click: Sign in}}]}}
    goal: Never.
    check: {{state: {{path: books, count: 9}}}}
"""
VERIFY = """
def verify(instance, answer):
    if answer == "who knows":
        return None
    return instance.get("/api/state")["books"] == ["Emma", "Emma"] and answer == "2"
"""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """The tasks of a file, whose processes end with the tests."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "tasks.yaml").write_text(FILE.format(python=sys.executable, shelf=asking.SHELF))
    (folder / "counted.py").write_text(VERIFY)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp("home")))
        patch.setenv("SHELF_PW", "secret-1234")
        ids = webgym.load(folder, trust=True)
        yield folder
        for task_id in ids:
            registry.forget(task_id)


def play(test, sessions=1):
    """Run `test(env, ...)` on the sessions' loop."""

    async def main():
        envs = [AsyncWebEnv() for _ in range(sessions)]
        try:
            return await test(*envs)
        finally:
            for env in envs:
                await env.close()

    return loop_thread().run(main())


def words(page):
    return " | ".join(f"{node.text}" for node in page.nodes if node.text)


def ref(page, text):
    return next(node.ref for node in page.nodes if node.ref is not None and text in node.text)


async def act(env, text):
    return await env.step(parse(text, "call", ""))


async def add(env, page, title):
    await act(env, f"fill('{ref(page, 'Title')}', '{title}')")
    return await act(env, f"click('{ref(page, 'Add')}')")


def test_signing_in_by_a_form_before_the_first_page(shelf):
    async def test(env):
        page = await env.reset("shelf.by-form", 0)
        assert page.url == "http://shelf.localhost/" and "Books of ann" in words(page)
        assert "theme dark" in words(page), "the storage was there before the first script"
        step = await add(env, page, "Persuasion")
        assert step.kind == "success", words(step.observation)
        page = await env.reset("shelf.by-form", 0)
        assert "Emma (ann)" in words(page) and "Persuasion" not in words(page)
        assert "no page to go back" in (await act(env, "go_back()")).observation.error, "nothing leads back to the form"

    play(test)


def test_signing_in_by_steps_is_no_part_of_the_episode(shelf):
    async def test(env):
        page = await env.reset("shelf.by-steps", 0)
        assert page.url == "http://shelf.localhost/" and "Books of bob" in words(page) and page.turn == 0 and page.notices == ()
        assert "no page to go back" in (await act(env, "go_back()")).observation.error
        assert (await add(env, page, "Persuasion")).kind == "success"

    play(test)


def test_a_program_gives_the_verdict_and_none_is_the_judges_fault(shelf):
    async def test(env):
        page = await env.reset("shelf.by-header", 0)
        assert "Books of cleo" in words(page)
        assert (await add(env, page, "Emma")).kind == ""
        assert (await act(env, "stop('2')")).kind == "success"
        await env.reset("shelf.by-header", 1)
        assert (await act(env, "stop('2')")).kind == "failure"
        await env.reset("shelf.by-header", 2)
        with pytest.raises(JudgeFault, match=r"expected verify\(instance, answer\) to return True or False; got None, no verdict"):
            await act(env, "stop('who knows')")

    play(test)


def test_signing_in_that_does_not_work_is_a_fault_without_secrets(shelf):
    async def test(env):
        with pytest.raises(SiteFault, match=r"signing in: http://shelf\.localhost/login answered with status 403"):
            await env.reset("shelf.wrong", 0)
        with pytest.raises(SiteFault, match=r"signing in: step 1: there is no thing that says 'Nickname'") as error:
            await env.reset("shelf.wrong-steps", 0)
        assert "secret-1234" not in str(error.value)
        with pytest.raises(SiteFault, match=r"the page http://shelf\.localhost/login still asks for a password: are name and password"):
            await env.reset("shelf.refused-steps", 0)
        assert "Books of ann" in words(await env.reset("shelf.by-form", 0)), "the session goes on"

    play(test)


def test_pages_reach_neither_private_paths_nor_the_processs_own_port(shelf):
    async def test(env):
        await env.reset("shelf.by-form", 0)
        port = next(iter(env._pool.gateway.leases(env._token).values())).plain.address.port
        code = "Promise.all(['/api/reset', '/api/state', %s].map(at => fetch(at).then(a => a.status, () => 'none')))"
        own = ", ".join(f"'http://{host}:{port}/login'" for host in ("127.0.0.1", "localhost", "shelf.localhost"))
        assert await env.session.tab.page_promise(code % own) == [404, 404, "none", "none", "none"]
        assert "not allowed" in (await act(env, f"goto('http://127.0.0.1:{port}/')")).observation.error

    play(test)


def test_an_event_stream_of_an_application_holds_no_time_and_ends_with_its_page(shelf):
    async def test(env):
        page = await env.reset("shelf.board", 0)
        assert "Board" in words(page)
        held = [exchange.address for exchange in env.session.episode.unanswered()]
        assert held == ["http://shelf.localhost/events"]
        step = await act(env, "wait(1000)")
        assert "an event" in words(step.observation) and not step.observation.error
        await act(env, f"click('{ref(step.observation, 'Leave')}')")
        folder = next(iter(env._pool.gateway.leases(env._token).values())).plain.folder
        async with asyncio.timeout(20):
            while not (folder / "stream-ended").exists():
                await asyncio.sleep(0.02)

    play(test)


def test_the_process_dies_and_the_same_episode_comes_again(shelf):
    async def test(env):
        first = await env.reset("shelf.by-form", 3)
        os.kill(pid_of(env), 9)
        with pytest.raises(SiteFault, match="signal 9"):
            await act(env, "goto('http://shelf.localhost/')")
        again = await env.reset("shelf.by-form", 3)
        assert again.state_hash == first.state_hash and words(again) == words(first)

    play(test)


def pid_of(env):
    """The process of the episode's application."""
    port = next(iter(env._pool.gateway.leases(env._token).values())).plain.address.port
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_text().split("\0")
        except OSError:
            continue
        if str(asking.SHELF) in line and str(port) in line and "launcher" not in entry.read_text():
            return int(entry.parent.name)
    raise LookupError("there is no such process")


def test_sessions_side_by_side_have_their_own_books(shelf):
    async def test(*envs):
        pages = await asyncio.gather(*(env.reset("shelf.by-form", 0) for env in envs))
        assert len({words(page) for page in pages}) == 1 and len({page.state_hash for page in pages}) == 1
        steps = await asyncio.gather(*(add(env, page, f"b{number}") for number, (env, page) in enumerate(zip(envs, pages, strict=True))))
        for number, step in enumerate(steps):
            assert f"b{number} (ann)" in words(step.observation) and words(step.observation).count("(ann)") == 2

    play(test, sessions=4)


def test_an_application_has_the_addresses_that_its_author_says(shelf):
    from webgym.task import PENDING, Start

    site = asking.shelf("https://shelf.example/", also=["http://localhost:8001"], same_for_all=["/static/*"])

    @webgym.register("addresses.shelf", sites=[site])
    class Addresses:
        def start(self, seed):
            return Start("/login", "Look.", cookies={"csrf": "t-1"}, storage={"a": "b"})

        def check(self, evidence):
            return PENDING

    async def test(env):
        page = await env.reset("addresses.shelf", 0)
        assert page.url == "https://shelf.example/login" and "Sign in" in words(page)
        assert await env.session.tab.page_value("[document.cookie, localStorage.a, isSecureContext]") == ["csrf=t-42", "b", True]
        found = await env.session.tab.page_promise("fetch('/echo/').then(a => a.json()).then(a => Object.fromEntries(a.headers))")
        assert found["host"] == "shelf.example" and found["x-forwarded-proto"] == "https"
        talk = "new Promise(done => new WebSocket('wss://shelf.example/talk').onmessage = e => done(e.data))"
        assert await env.session.tab.page_promise(talk) == "hello https://shelf.example"
        there = (await act(env, "goto('http://localhost:8001/login')")).observation
        assert there.url == "http://localhost:8001/login" and "Sign in" in words(there)
        lease = env._pool.gateway.leases(env._token)
        assert lease["localhost:8001"] is lease["https://shelf.example"]

    try:
        play(test)
    finally:
        registry.forget("addresses.shelf")


def test_a_rehearsal_finds_that_the_tasks_can_begin(shelf, monkeypatch):
    from webgym.errors import TaskFileError
    from webgym.packs.rehearsal import rehearse

    rehearse(["shelf.by-form", "shelf.by-header"])
    monkeypatch.delenv("SHELF_PW")
    with pytest.raises(TaskFileError, match="the environment variable SHELF_PW is not set"):
        rehearse(["shelf.by-form"])
