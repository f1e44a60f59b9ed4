"""The commands and files that newcomers run are those of the pages."""

from benchmarks.newcomers import GOALS, blocks, commands, named


def first_block(page):
    return commands(next(text for kind, text in blocks(page) if not kind))


def test_commands_are_read_from_the_pages_without_their_comments():
    tutorial = [command for kind, text in blocks("tutorial.md") if not kind for command in commands(text)]
    assert {"webgym doctor", "webgym tasks list --tasks quick", "webgym view runs/latest"} <= set(tutorial)
    assert not any("  #" in command for command in tutorial)
    assert first_block("writing-tasks.md")[:2] == ["webgym tasks new cafe", "webgym tasks validate cafe"]
    assert first_block("your-app.md")[0] == "webgym tasks new notes --app 'python app.py {port}'"
    assert all(command.startswith("webgym train --algo ./frugal.py") or "algos" in command for command in first_block("your-algorithm.md"))
    assert [command.split()[1] for command in first_block("your-model.md")] == ["demos", "sft", "train", "eval"]


def test_files_are_read_from_the_pages_by_their_first_line():
    assert {"app.py", "tasks.yaml"} <= set(named("your-app.md"))
    assert set(named("your-algorithm.md")) == {"frugal.py"} and set(named("your-model.md")) == {"my_model.py"}
    assert [kind for kind, _ in blocks("from-browsergym.md")].count("python") == 1
    assert [kind for kind, _ in blocks("serving.md")].count("python") == 1


def test_every_kind_of_newcomer_has_a_goal():
    assert list(GOALS) == ["tutorial", "application", "task", "algorithm", "model", "agent", "notebook", "server"]
