"""What the tests of suites share. The suites are small ones of the same form, written for these tests."""

import pytest

from webgym import types as t
from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.packs import registry


@pytest.fixture(autouse=True)
def _home(tmp_path_factory, monkeypatch):
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp("home")))
    before = set(registry._registered)
    yield
    for task_id in set(registry._registered) - before:
        registry.forget(task_id)


@pytest.fixture
def write(tmp_path):
    """A function that writes files into a folder, by their paths."""

    def written(name, **files):
        for path, text in files.items():
            file = tmp_path / name / path.replace("__", "/").replace("_dot_", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        return tmp_path / name

    return written


@pytest.fixture
def play():
    """A function that plays actions in the browser: texts are clicked, pairs are filled in; the last step, and the pages that were seen."""

    def played(task_id, *actions):
        async def episode():
            env = AsyncWebEnv()
            try:
                page = await env.reset(task_id, 0)
                pages = [page]
                for action in actions:
                    out = await env.step(_action(page, action))
                    page = out.observation
                    pages.append(page)
                return out, pages
            finally:
                await env.close()

        return loop_thread().run(episode())

    return played


def _action(page, action):
    if not isinstance(action, str | tuple):
        return action
    name = action if isinstance(action, str) else action[0]
    ref = next(node.ref for node in page.nodes if node.ref is not None and node.text == name)
    return t.Click(ref) if isinstance(action, str) else t.Fill(ref, action[1])
