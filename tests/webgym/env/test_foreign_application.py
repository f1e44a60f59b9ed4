"""An application that was not written for WebGym, by a task file alone: what its pages find, what is asked again, what time it is."""

import sys

import pytest

from webgym import types as t
from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.packs import registry

APP = """
import http.server, sys
PAGE = '''<!doctype html><title>Shelf</title><link rel=icon href=data:,>
<script>seen = localStorage.theme + ", " + document.cookie + ", " + new Date().toISOString();</script>
<script src=/static/app.js></script><h1 id=shown></h1><a href=/more>More</a><script>shown.textContent = seen + ", " + loaded;</script>'''
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        script = self.path.startswith("/static/")
        body = (b"loaded = 'script';" if script else PAGE.encode() + self.headers.get("x-user", "nobody").encode())
        self.send_response(200)
        self.send_header("content-type", "text/javascript" if script else "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
TASKS = f"""
pack: foreign
site:
  url: http://foreign.localhost/
  serve: ['{sys.executable}', app.py, '{{port}}']
  in: .
  clock: 2026-03-05T09:00
  same_for_all: [/static/*]
tasks:
  - name: look
    start: /
    goal: Look.
    signed_in: {{cookies: {{session: s1}}, storage: {{theme: dark}}, headers: {{X-User: ann}}}}
    check: {{answer: {{exact: never}}}}
"""


@pytest.fixture
def task_id(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    folder = tmp_path / "foreign"
    folder.mkdir()
    (folder / "app.py").write_text(APP)
    (folder / "tasks.yaml").write_text(TASKS)
    (found,) = registry.load(folder, trust=True)
    yield found
    registry.forget(found)


def test_pages_find_what_the_task_says_and_static_files_are_asked_for_once(task_id):
    async def episodes():
        env, asked, said = AsyncWebEnv(), [], []
        try:
            for _ in range(2):
                page = await env.reset(task_id, 0)
                link = next(node.ref for node in page.nodes if node.role == "link")
                later = (await env.step(t.Click(link))).observation
                lease = next(iter(env.session.episode.states.values()))
                asked.append([request.url.rpartition("/")[2] for request in lease.plain.requests])
                said.append([[node.text for node in view.nodes] for view in (page, later)])
        finally:
            await env.close()
        return asked, said

    asked, said = loop_thread().run(episodes())
    assert said[0] == said[1]
    first, later = said[0]
    assert first[0].startswith("dark, session=s1, 2026-03-05T09:00:00.0") and first[0].endswith("Z, script")
    assert "ann" in first[-1] and "ann" in later[-1]
    assert asked == [["", "app.js", "more"], ["", "more"]]
