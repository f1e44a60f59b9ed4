"""Trajectories on disk: what is read is what was written, whatever happens to the writer."""

import doctest
import json
import logging
import math
import resource
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import webgym.record.store
from webgym.errors import UsageError
from webgym.record.store import TrajectoryStore, decode, encode, load, png
from webgym.types import Completion, EpisodeKey, Mention, Node, Outcome, Sampling, Times, Trajectory, Turn

any_text = st.text(st.characters(), max_size=20) | st.sampled_from(["\ud800", "\ud83d\ude00", "a\nb\r\u2028", "\x00", "</think>"])
numbers = st.floats(allow_nan=False)
ids = st.lists(st.integers(0, 2**31), max_size=4).map(tuple)
completions = st.builds(
    Completion,
    any_text,
    any_text,
    ids,
    ids,
    st.lists(st.floats(max_value=0.0, allow_nan=False), max_size=4).map(tuple),
    st.none() | st.builds(Sampling, numbers, numbers, st.integers(0, 9), st.integers(0, 99), st.booleans()),
    st.integers(0, 99),
    st.sampled_from(["", "5e1f"]),
)
boxes = st.none() | st.tuples(numbers, numbers, numbers, numbers)
nodes = st.builds(
    Node, any_text, any_text, st.none() | st.integers(0, 9), st.none() | any_text, st.sampled_from([(), ("checked", "focused")]),
    st.integers(0, 3), boxes,
)  # fmt: skip
turns = st.builds(
    Turn, completions, any_text, any_text, numbers, st.booleans(), st.booleans(), any_text, any_text, any_text, any_text, any_text,
    st.builds(Times, numbers, numbers), boxes, st.none() | nodes, st.none() | st.builds(Mention, nodes, st.integers(0, 99)),
)  # fmt: skip
keys = st.builds(EpisodeKey, any_text, st.integers(0, 2**63), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
finite = st.floats(allow_nan=False, allow_infinity=False)  # an environment's reward is 0, 1 or unknown
outcomes = st.builds(Outcome, st.sampled_from(["success", "failure", "fault"]), finite, numbers, any_text, st.integers(0, 5))
trajectories = st.builds(Trajectory, keys, any_text, st.lists(turns, max_size=3).map(tuple), outcomes, any_text)


def sample(seed: int, turns: int = 2) -> Trajectory:
    completion = Completion("click('1')", "prompt", (1, 2, 3), (4, 5), (-0.1, -1 / 3), Sampling(0.7), 9)
    turn = Turn(completion, "click('1')", "", 0.0, False, False, "h", "s", "http://a.test/", "page", "", Times(0.1, 1 / 7))
    return Trajectory(EpisodeKey("demo.task", seed, 1, 2, 3), "Do it.", (turn,) * turns, Outcome("success", 1.0), "end")


def written(path: Path, *seeds: int) -> None:
    with TrajectoryStore(path) as store:
        for seed in seeds:
            store.append(sample(seed))


def seeds(path: Path) -> list[int]:
    return [t.key.seed for t in load(path)]


@given(trajectories)
def test_what_is_read_is_what_was_written(trajectory: Trajectory) -> None:
    line = encode(trajectory)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert decode(line) == trajectory
    assert encode(decode(line)) == line


def test_a_thing_that_was_touched_and_named_is_written_once() -> None:
    button = Node("button", "Pay now", 4, None, ("focused",), 2, (1.0, 2.0, 30.0, 4.0))
    turn = replace(sample(1).turns[0], box=button.box, target=button, mention=Mention(button, 7))
    line = encode(replace(sample(1), turns=(turn,)))
    record = json.loads(line)["turns"][0]
    assert record["target"] == {"role": "button", "text": "Pay now", "ref": 4, "states": ["focused"], "depth": 2}
    assert record["mention"] == [7] and record["box"] == [1.0, 2.0, 30.0, 4.0]
    assert decode(line).turns == (turn,)


def test_turns_without_targets_and_pictures_are_written_as_they_were() -> None:
    """What was written before turns had targets and completions keys is read, and written again as it was."""
    before = (
        b'{"format":1,"key":["demo.task",1,1,2,3],"goal":"Do it.","outcome":{"kind":"success","reward":1.0,"raw_reward":0.0,"message":"",'
        b'"retries":0},"final_hash":"end","turns":[{"action":"click(\'1\')","error":"","reward":0.0,"terminated":false,"truncated":false,'
        b'"observation_hash":"h","state_hash":"s","url":"http://a.test/","page":"page","screenshot":"","times":[0.1,0.5],'
        b'"box":[1.0,2.0,3.0,4.0],"completion":{"text":"click(\'1\')","prompt":"prompt","prompt_ids":[1,2,3],"action_ids":[4,5],'
        b'"behaviour_logprobs":[-0.1,-0.5],"sampling":[0.7,1.0,0,64,false],"policy_version":9}}]}\n'
    )
    (turn,) = decode(before).turns
    assert (turn.target, turn.mention, turn.box, turn.completion.key) == (None, None, (1.0, 2.0, 3.0, 4.0), "")
    assert encode(decode(before)) == before


def test_a_fault_has_no_reward_and_keeps_none(tmp_path: Path) -> None:
    fault = Trajectory(EpisodeKey("demo.task", 1), "", (), Outcome("fault", math.nan, message="gone", retries=3))
    with TrajectoryStore(tmp_path / "t.jsonl") as store:
        store.append(fault)
        [back] = store
    assert json.loads((tmp_path / "t.jsonl").read_text())["outcome"]["reward"] is None
    assert math.isnan(back.outcome.reward) and back.outcome.kind == "fault" and back.outcome.message == "gone"


def test_every_line_is_plain_json_with_names(tmp_path: Path) -> None:
    written(tmp_path / "t.jsonl", 7)
    record = json.loads((tmp_path / "t.jsonl").read_text("utf-8"))
    assert record["format"] == 1 and record["goal"] == "Do it." and record["key"] == ["demo.task", 7, 1, 2, 3]
    assert record["turns"][0]["completion"]["behaviour_logprobs"] == [-0.1, -1 / 3]


def test_numbers_of_numpy_are_written(tmp_path: Path) -> None:
    numbers: Any = (tuple(np.arange(3)), tuple(np.arange(2)), tuple(np.array([-0.1, -np.inf])))
    completion = Completion("x", "", *numbers)
    turn = Turn(completion, "", "no", np.float64(0.5), False, False, "", "")
    back = decode(encode(Trajectory(EpisodeKey("a.b", 1), "", (turn,), Outcome("failure", 0.0))))
    assert back.turns[0].completion == Completion("x", "", (0, 1, 2), (0, 1), (-0.1, -math.inf)) and back.turns[0].reward == 0.5


def test_reading_while_writing_and_writing_on(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "t.jsonl"
    with TrajectoryStore(path) as store:
        for seed in range(3):
            store.append(sample(seed))
            assert seeds(path) == list(range(seed + 1))
    written(path, 3, 4)
    assert seeds(path) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("cut", [1, 2, 100])
def test_a_half_written_last_line_is_skipped_and_later_cut_off(tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "t.jsonl"
    written(path, 1, 2, 3)
    path.write_bytes(path.read_bytes()[:-cut])
    with caplog.at_level(logging.WARNING):
        assert seeds(path) == [1, 2]
    assert "line 3: half-written, skipped" in caplog.text
    written(path, 4)
    assert seeds(path) == [1, 2, 4]


def test_a_kill_at_any_byte_loses_at_most_the_last_trajectory(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    whole = encode(sample(1, 1)) + encode(sample(2, 1))
    first = len(encode(sample(1, 1)))
    for size in [*range(0, len(whole), 37), first - 1, first, first + 1, len(whole) - 1]:
        path.write_bytes(whole[:size])
        expected = [1] if size >= first else []
        assert seeds(path) == expected
        written(path, 9)
        assert seeds(path) == [*expected, 9]


def test_a_damaged_last_line_that_is_ended_is_skipped_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "t.jsonl"
    written(path, 1)
    path.write_bytes(path.read_bytes() + b"\x00" * 300 + b"\n")
    assert seeds(path) == [1] and "line 2: damaged, skipped" in caplog.text
    written(path, 2)
    assert seeds(path) == [1, 2]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (b"{]\n", "JSONDecodeError"),
        (b'{"format": 1}\n', "KeyError: 'outcome'"),
        (b'{"format": 99}\n', "format 99 is not known"),
        (b"7\n", "TypeError"),
        (b"\xff\n", "UnicodeDecodeError"),
    ],
)
def test_a_damaged_line_elsewhere_is_an_error_that_names_it(tmp_path: Path, damage: bytes, words: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(encode(sample(1)) + damage + encode(sample(2)))
    with pytest.raises(UsageError, match=f"t.jsonl, line 2 is no trajectory: .*{words}"):
        load(path)


def test_no_file_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no trajectory file"):
        load(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    assert load(tmp_path / "empty.jsonl") == []


def test_a_full_disk_is_an_error_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with TrajectoryStore(path) as store:
        store.append(sample(1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 500, limits[1]))
        try:
            with pytest.raises(OSError):
                store.append(sample(2))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.stat().st_size > len(encode(sample(1))), "a part was written"
        store.append(sample(3))
    assert seeds(path) == [1, 3]


def test_long_last_lines_are_found(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with TrajectoryStore(path) as store:
        store.append(sample(1, turns=2000))  # longer than a block
        store.append(sample(2, turns=2000))
    path.write_bytes(path.read_bytes()[:-100_000])
    written(path, 3)
    assert seeds(path) == [1, 3]


# --- pictures ------------------------------------------------------------------------------------------------------------


def pixels_of(data: bytes) -> np.ndarray:
    """An independent reader of the PNG files that `png` writes."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        chunks[kind], at = body, at + 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert rest == [8, 2, 0, 0, 0]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 3)


def test_screenshots_lie_beside_the_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    store = TrajectoryStore(tmp_path / "t.jsonl")
    name = store.save_screenshot(EpisodeKey("demo/../task", 1, 2, 3, 4), 5, pixels)
    assert name == "t-screenshots/demo_.._task-1-2-3-4-5.png"
    assert (pixels_of((tmp_path / name).read_bytes()) == pixels).all()


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected pixels"):
        png(np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="float64"):
        png(np.zeros((2, 2, 3)))


def test_documentation_examples() -> None:
    result = doctest.testmod(webgym.record.store)
    assert result.attempted and not result.failed
