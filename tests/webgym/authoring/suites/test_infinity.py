"""Suites in the form of WebArena-Infinity: a server whose page pushes its state, and verifiers that read it."""

import json

import pytest

from webgym.authoring import suites
from webgym.commands.import_suite import imported
from webgym.errors import JudgeFault, TaskFileError
from webgym.packs import registry
from webgym.packs.rehearsal import rehearse
from webgym.task import Evidence
from webgym.types import Goto, Stop

SERVER = """
import http.server, json, queue, sys
state = seed = None
listening = []

class Answer(http.server.SimpleHTTPRequestHandler):
    def said(self, data, status=200):
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        global state, seed
        state = json.loads(self.rfile.read(int(self.headers["content-length"])))
        seed = seed or state
        self.said({"status": "ok"})

    def do_POST(self):
        global state
        state = seed
        for client in listening:
            client.put("reset")
        self.said({"status": "ok"})

    def do_GET(self):
        if self.path == "/api/state":
            return self.said(state, 200) if state is not None else self.said({"error": "no state"}, 404)
        if self.path != "/api/events":
            return super().do_GET()
        client = queue.Queue()
        listening.append(client)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"data: x\\n\\n")
                self.wfile.flush()
                client.get()
        except OSError:
            listening.remove(client)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Answer).serve_forever()
"""
PAGE = """<!doctype html><title>Post</title><link rel=icon href=data:,><h1>Post</h1>
<button onclick="set('starred')">Star</button> <button onclick="set('archived')">Archive</button> <p id=shown></p>
<script>
const state = {starred: false, archived: false};
const push = () => fetch("/api/state", {method: "PUT", body: JSON.stringify(state)});
function set(name) { state[name] = true; shown.textContent = Object.keys(state).filter((name) => state[name]).join(", "); push(); }
new EventSource("/api/events").onmessage = () => {};
push();
</script>"""
VERIFY = """
import json, urllib.request
def verify(server_url):
    state = json.load(urllib.request.urlopen(server_url + "/api/state"))
    if state != {"starred": True, "archived": False}:
        return False, f"the state is {state}"
    return True, "it has a star"
"""
TASKS = [
    {"id": "task_e1", "difficulty": "easy", "instruction": "Give it a star.", "verify": "real-tasks/task_e1.py"},
    {"id": "task_h2", "difficulty": "hard", "instruction": "Do more.", "verify": "real-tasks/task_h2.py"},
]
FILES = {
    "post__server_dot_py": SERVER,
    "post__index_dot_html": PAGE,
    "post__real-tasks_dot_json": json.dumps(TASKS),
    "post__real-tasks__task_e1_dot_py": VERIFY,
    "post__sanity_check_dot_py": "answers = 1",
}


def test_a_suite_is_taken_as_it_is_and_played(write, play):
    folder = write("suite", **FILES)
    with pytest.raises(TaskFileError, match=r"runs programs \(post/server\.py and its verifiers\) and its folder is not trusted"):
        imported("infinity", folder, trust=False)
    lines = imported("infinity", folder, trust=True)
    assert "1 tasks: 1 of post" in lines and "1 of them are judged by what pages write (trust: page)" in lines
    assert "left out: 1 without its verifier (post/real-tasks.json)" in lines
    (task_id,) = registry.load(folder)
    task = registry.task(task_id)
    assert (task.id, task.trust, task.ends, task.difficulty, task.max_turns) == ("post.real-e1", "page", "stop", 2, 30)
    rehearse([task_id])
    last, _ = play(task_id, "Star", Stop())
    assert last.kind == "success"
    last, _ = play(task_id, Stop())  # the reset was theirs, and the star is gone
    assert last.kind == "failure" and "'starred': False" in last.message
    last, _ = play(task_id, "Star", "Archive", Stop())
    assert last.kind == "failure"


def test_pages_cannot_reach_answers_and_the_reset(write, play):
    (task_id,) = registry.load(_imported(write("suite", **FILES)))
    paths = ("real-tasks.json", "real-tasks/task_e1.py", "sanity_check.py", "api/reset", "index.html")
    root = registry.task(task_id).start(0).url
    _, pages = play(task_id, *(Goto(root + path) for path in paths), Stop())
    said = [" ".join(node.text for node in page.nodes) for page in pages[1:-1]]
    assert all("not found" in words.lower() for words in said[:4]) and "Star" in said[4], said


def _imported(folder):
    imported("infinity", folder, trust=True)
    return folder / "tasks.yaml"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def verify(server_url): return True", r"expected verify\(server_url\) to return \(True or False, words\); got True"),
        ("def verify(server_url): raise KeyError('emails')", r"failed: KeyError\('emails'\)"),
        ("import requests_of_nobody", r"pip install 'webgym\[webapps\]'"),
        ("x = 1", r"expected a function verify, there is none"),
    ],
)
def test_a_verifier_that_gives_no_verdict_is_a_fault(tmp_path, body, words):
    from webgym.authoring.suites.infinity import Verifier

    (tmp_path / "v.py").write_text(body)

    class Instance:
        url = "http://127.0.0.1:1"

    with pytest.raises(JudgeFault, match=words):
        Verifier(tmp_path, "v.py")._asked(Evidence(0, "", ended="stop", instance=Instance()))


@pytest.mark.parametrize(
    ("kind", "files", "words"),
    [
        ("infinty", FILES, r"no form 'infinty' of suites; did you mean 'infinity'"),
        ("infinity", {"readme_dot_txt": ""}, r"expected tasks of WebArena-Infinity's form, there is none to play"),
        ("infinity", FILES | {"tasks_dot_yaml": "pack: mine\n"}, r"exists already and is no file of a suite"),
        ("infinity", FILES | {"tasks_dot_yaml": "suite: infinity\nmax_turn: 3\n"}, r"tasks\.yaml:2: max_turn: there is no field"),
        ("infinity", FILES | {"post__real-tasks_dot_json": "[{}]"}, r"real-tasks\.json: expected a list of tasks with id, instruction"),
        ("infinity", FILES | {"post__real-tasks_dot_json": "["}, r"real-tasks\.json: expected JSON"),
    ],
)
def test_what_is_wrong_with_a_suite_is_told(write, kind, files, words):
    with pytest.raises(TaskFileError, match=words):
        imported(kind, write("suite", **files), trust=True)


def test_settings_of_a_suite_reach_its_tasks(write):
    folder = write("suite", **FILES, tasks_dot_yaml="suite: infinity\npack: letters\nmax_turns: 7\nclock: 2026-03-05T09:00\n")
    (task,) = suites.read(folder / "tasks.yaml", trust=True).tasks
    assert (task.id, task.max_turns, task.clock_s) == ("letters.real-e1", 7, 1_772_701_200.0)
