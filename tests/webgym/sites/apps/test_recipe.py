"""Applications that are installed apart: environments and snapshots made once, sites that say what is missing, frozen clocks."""

import asyncio
import json
import subprocess
import sys

import pytest

from tests.webgym.sites.apps.asking import ask
from webgym.errors import UsageError
from webgym.sites import Copy
from webgym.sites.apps import PlainInstance, secrets, serve_wsgi
from webgym.sites.apps.exchange import Address
from webgym.sites.apps.recipe import Recipe, applications_folder

PREPARE = """
from pathlib import Path
Path("words.txt").write_text("first words")
Path("serve.py").write_text('''
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = open("words.txt").read().encode()
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_POST(self):
        open("words.txt", "w").write("other words")
        self.do_GET()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
''')
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("WEBGYM_APPLICATIONS", str(tmp_path / "applications"))
    folder = tmp_path / "recipe"
    folder.mkdir()
    (folder / "requirements.txt").write_text("")
    (folder / "prepare.py").write_text(PREPARE)
    return Recipe("words", folder)


def test_the_cache_folder_is_the_users_unless_a_variable_says_another(monkeypatch, tmp_path):
    monkeypatch.delenv("WEBGYM_APPLICATIONS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert applications_folder() == tmp_path / "webgym/applications"
    monkeypatch.setenv("WEBGYM_APPLICATIONS", str(tmp_path / "mine"))
    assert applications_folder() == tmp_path / "mine"


def test_an_application_is_installed_once_and_its_data_by_content(recipe):
    site = recipe.site("http://words.localhost/", ["{python}", "serve.py", "{port}"], reset=[Copy("words.txt")])
    assert recipe.missing == "the application words is not installed: run `webgym sites install words`"
    with pytest.raises(UsageError, match="run `webgym sites install words`"):
        asyncio.run(site.lease(0, None))
    said = []
    recipe.install(said.append)
    assert recipe.missing == "" and len(said) == 2 and recipe.figures["bytes"] > 0
    recipe.install(said.append)
    assert len(said) == 2  # all was there
    environment, snapshot = recipe.environment, recipe.snapshot

    async def episodes():
        for _ in range(2):
            lease = await site.lease(0, None)
            answers = [await ask(site, lease, "/"), await ask(site, lease, "/", "POST")]
            assert [(one.status, one.body) for one in answers] == [(200, b"first words"), (200, b"other words")]
            assert [(one.method, one.status) for one in lease.plain.requests] == [("GET", 200), ("POST", 200)]
            await site.release(lease)

    asyncio.run(episodes())
    site.stop()
    assert (snapshot / "words.txt").read_text() == "first words"
    (recipe.folder / "prepare.py").write_text(PREPARE.replace("first words", "new words"))
    assert recipe.missing and recipe.environment == environment and recipe.snapshot != snapshot
    recipe.install(said.append)
    assert len(said) == 3 and (recipe.snapshot / "words.txt").read_text() == "new words" and snapshot.is_dir()


def test_a_recipe_that_fails_says_why_and_leaves_nothing_behind(recipe):
    (recipe.folder / "prepare.py").write_text("raise SystemExit('no such table')")
    with pytest.raises(UsageError, match=r"prepare\.py` ended with status 1; it said last:\nno such table"):
        recipe.install()
    assert recipe.missing


def test_an_application_has_its_own_packages_and_no_others(recipe, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    site = recipe.site("http://own.localhost/", ["{python}", "serve.py", "{port}"], environment={"MORE": "1"})
    variables = site._pool.command.variables(81, tmp_path, tmp_path / "clock")
    assert (variables["PYTHONPATH"], variables["PYTHONHOME"], variables["MORE"]) == ("", "", "1")


def test_an_application_and_its_installation_get_no_secrets(recipe, monkeypatch, tmp_path):
    for name in ("OPENAI_API_KEY", "WEBGYM_TOKEN", "HF_TOKEN", "APP_PW", "DB_PASSWORD", "SHOP_SECRETS", "PIP_TOKEN"):
        monkeypatch.setenv(name, "hush-hush")
    monkeypatch.setenv("DATABASE_URL", "postgres://ann:hush-hush@db/books")
    monkeypatch.setenv("PLAIN_WORD", "spoken")
    site = recipe.site("http://own.localhost/", ["{python}", "serve.py", "{port}"], environment={"WORD": "${APP_PW}"})
    variables = site._pool.command.variables(81, tmp_path, tmp_path / "clock")
    assert "hush-hush" not in str(variables) and (variables["PLAIN_WORD"], variables["WORD"]) == ("spoken", "${APP_PW}")
    (recipe.folder / "prepare.py").write_text("import json, os\njson.dump(dict(os.environ), open('seen.json', 'w'))\n")
    recipe.install()
    seen = json.loads((recipe.snapshot / "seen.json").read_text())
    assert [name for name, value in seen.items() if "hush-hush" in value] == ["PIP_TOKEN"] and seen["PLAIN_WORD"] == "spoken"


def test_a_secret_that_a_task_has_named_is_one_for_all_others(monkeypatch):
    monkeypatch.setenv("ODDLY_CALLED", "hush-hush")
    monkeypatch.setattr(secrets, "_used", {})
    assert secrets.public({"ODDLY_CALLED": "hush-hush"}) and secrets.with_secrets("${ODDLY_CALLED}") == "hush-hush"
    assert secrets.public({"ODDLY_CALLED": "hush-hush"}) == {}


def test_a_command_beside_an_application_that_runs_elsewhere_gets_no_secrets(monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "hush-hush")
    plain = PlainInstance(Address("http", "127.0.0.1", 81), None)
    show = [sys.executable, "-c", "import os, sys; print(os.environ.get('SHOP_TOKEN'), sys.argv[1:])"]
    assert plain.command(show).split()[0] == "None"
    assert "hush-hush" in plain.command([*show, "${SHOP_TOKEN}"])


def test_the_clock_of_a_wsgi_application_stands_still_but_for_requests_that_write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    serve_wsgi.CLOCK.write_text("1000\n")
    moments = []

    class Travel:
        def __init__(self, moment, tick):
            assert (moment, tick) == (1000.0, False)

        def start(self):
            return self

        def move_to(self, moment):
            moments.append(moment)

    application = serve_wsgi.Clocked(lambda environ, start: [environ["REQUEST_METHOD"]], Travel, 1000.0)
    for method in ("GET", "POST", "GET", "HEAD", "PUT"):
        assert application({"REQUEST_METHOD": method}, None) == [method]
    assert moments == [1000, 1001, 1001, 1001, 1002] and serve_wsgi.CLOCK.read_text() == "1002\n"


def test_the_starter_finds_the_applications_modules_and_not_its_neighbours(tmp_path):
    (tmp_path / "secrets.py").write_text("raise SystemExit('mine')")  # also the name of a neighbour of the starter
    done = subprocess.run([sys.executable, serve_wsgi.__file__, "secrets:app", "1"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.strip() == "mine"
