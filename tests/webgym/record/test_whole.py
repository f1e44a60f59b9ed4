"""Small files: replaced whole, added to by lines, and read with patience for what a stranger puts there."""

import os

import pytest

from webgym.errors import UsageError
from webgym.record import layout, live, notes, whole
from webgym.record.lines import Lines, Records
from webgym.record.whole import append_line, plain, read_as, read_json, read_small, replace_text

DEEP = "[" * 50_000 + "]" * 50_000


def test_a_text_with_half_an_emoji_is_written(tmp_path):
    replace_text(tmp_path / "a", "half \ud83d")
    assert (tmp_path / "a").read_text() == "half ?" and os.listdir(tmp_path) == ["a"]


def test_a_line_that_its_writer_could_not_end_is_ended_first(tmp_path):
    path = tmp_path / "below" / "a.jsonl"
    append_line(path, '{"a": 1}')
    with path.open("a") as file:
        file.write('{"a": 2')  # killed here
    append_line(path, '{"a": 3}')
    records = Records(path)
    assert [row["a"] for row in records.refresh()] == [1, 3]
    assert records.problems == ["a.jsonl, line 2 is damaged and left out"]


@pytest.mark.parametrize("text", [DEEP, '{"a": ' * 50_000, "\xff\xfe", "{", "9" * 5000])
def test_what_cannot_be_read_is_a_value_error(tmp_path, text):
    (tmp_path / "a").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError):
        read_json(tmp_path / "a")


def test_a_pipe_and_a_file_without_end_are_no_small_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(whole.MOST + 1)
    for name in ("pipe", "large"):
        with pytest.raises(ValueError, match=f"{name} is no file of at most 64 MiB"):
            read_small(tmp_path / name)
    with pytest.raises(OSError):
        read_small(tmp_path / "missing")
    assert list(Lines(tmp_path / "pipe").fresh()) == []


def test_what_json_does_not_know_is_shown():
    nested: list = []
    for _ in range(500):
        nested = [nested]
    assert plain({1: float("inf"), "b": {2}, "c": (1, None, True)}) == {"1": None, "b": "{2}", "c": [1, None, True]}
    assert repr(plain(nested)).count("[") == whole.DEEPEST and "'...'" in repr(plain(nested))


def test_a_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "plan.json").write_text("[1]")
    assert read_as(tmp_path / "plan.json", list, "list") == [1]
    with pytest.raises(UsageError, match=r"plan\.json holds no plan \(.*\): delete it, or take another folder"):
        read_as(tmp_path / "plan.json", dict, "plan")
    with pytest.raises(UsageError, match=r"missing holds no plan"):
        read_as(tmp_path / "missing", dict, "plan")


@pytest.mark.parametrize(
    "content",
    [
        DEEP, "[]", "null", '{"written": "now", "counts": {}, "cells": []}', '{"written": 1, "counts": [], "cells": []}',
        '{"written": 1, "counts": {}, "cells": {}}', '{"written": 1, "counts": {}, "cells": [1]}',
        '{"written": 1, "counts": {"done": "x"}, "cells": []}',
        '{"written": 1, "counts": {}, "cells": [{"state": []}]}', '{"written": 1e999, "counts": {}, "cells": []}',
        '{"written": 1, "counts": {}, "cells": [], "nodes": [{"address": 1}]}', '{"written": 1, "phase": {}, "counts": {}, "cells": []}',
    ],
)  # fmt: skip
def test_a_live_file_of_another_program_is_none(tmp_path, content):
    (tmp_path / layout.LIVE).write_text(content)
    assert live.read(tmp_path) is None


def test_a_live_file_of_before_has_defaults(tmp_path):
    (tmp_path / layout.LIVE).write_text(
        '{"written": 1, "phase": "over", "iteration": 2, "counts": {"done": 3}, "cells": [{"state": "done"}]}'
    )
    found = live.read(tmp_path)
    assert found is not None and found["counts"]["done"] == 3 and found["counts"]["retries"] == 0
    assert found["cells"][0]["task_id"] == "" and found["nodes"] == []


@pytest.mark.parametrize("content", [DEEP, "[]", '{"text": 1}', '{"text": "a", "tags": 5}'])
def test_a_note_of_another_program_is_empty(tmp_path, content):
    (tmp_path / layout.NOTE).write_text(content)
    assert notes.read(tmp_path) == notes.Note()
