"""The index of episodes: exact although it reads no line whole, patient with damage, quick to see what is new."""

import json
from pathlib import Path

import pytest
from hypothesis import given

from tests.webgym.record.test_store import trajectories
from tests.webgym.view.runs import run_folder, trajectory
from webgym.record.episodes import Episodes, glance
from webgym.record.store import TrajectoryStore, encode
from webgym.types import EpisodeKey, Trajectory


@given(trajectories)
def test_a_glance_counts_what_a_full_read_counts(found: Trajectory) -> None:
    seen = glance(encode(found), "x", 1, 0)
    assert (seen.task_id, seen.seed, seen.goal) == (found.key.task_id, found.key.seed, found.goal)
    assert seen.turns == len(found)
    assert seen.errors == sum(turn.error != "" for turn in found.turns)
    assert seen.pictures == sum(turn.screenshot != "" for turn in found.turns)


def test_texts_that_look_like_the_format_do_not_deceive(tmp_path: Path) -> None:
    hostile = '","turns":["completion":{"error":"","screenshot":""]}'
    line = encode(trajectory(EpisodeKey("a.b", 1), [0.0, 1.0], goal=hostile, actions=[hostile, ""], page=hostile))
    seen = glance(line, "x", 1, 0)
    assert (seen.goal, seen.turns, seen.errors, seen.pictures) == (hostile, 2, 1, 0)


def test_damaged_lines_are_left_out_and_named(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", iterations=1) / "trajectories"
    path = folder / "iter-000001.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:100] + b"\n"
    lines[5] = b"\xff\xfe nothing\n"
    path.write_bytes(b"".join(lines) + lines[0][:50])  # the last line is being written
    episodes = Episodes(folder)
    episodes.refresh()
    assert len(episodes) == 18 and episodes.problems == [f"iter-000001.jsonl, line {n} is damaged and left out" for n in (3, 6)]
    assert episodes.load(episodes.find("iter-000001", 7)).key.member == 2
    with path.open("ab") as file:
        file.write(lines[0][50:])
    episodes.refresh()
    assert len(episodes) == 19 and episodes.find("iter-000001", 21).id == "iter-000001/21"


HEADS = {  # what the list itself shows: the line is left out
    "deep": ('"goal":', '"x":' + "[" * 100_000 + "]" * 100_000 + ',"goal":'),
    "reward": ('"reward":1.0,"raw_reward"', '"reward":NaN,"raw_reward"'),
    "reward as text": ('"reward":1.0,"raw_reward"', '"reward":"x","raw_reward"'),
    "seed": ('["a.b",1,', '["a.b",1e999,'),
    "iteration": ('["a.b",1,0,', '["a.b",1,Infinity,'),
    "key": ('["a.b",1,0,0,0]', '["a.b",1]'),
    "goal": ('"goal":"', '"goal":[["a"]],"g2":"'),
    "kind": ('"kind":"', '"kind":{},"k2":"'),
    "outcome": ('"outcome":{', '"outcome":[1],"o2":{'),
}
TURNS = {  # what is only read with the episode: that episode is refused in words
    "deep turns": ('"turns":[', '"turns":[' + "[" * 100_000),
    "action": ('"action":"', '"action":5,"a2":"'),
    "url": ('"url":"', '"url":5,"u2":"'),
    "box": ('"completion":', '"box":["x"],"completion":'),
    "picture": ('"screenshot":"', '"screenshot":5,"s2":"'),
    "ids": ('"prompt_ids":[', '"prompt_ids":["x",'),
    "prompt": ('"prompt":"', '"prompt":[],"p2":"'),
    "turn's reward": ('"reward":1.0,"terminated"', '"reward":NaN,"terminated"'),
}


@pytest.mark.parametrize("name", [*HEADS, *TURNS])
def test_a_hostile_line_costs_that_line_only(tmp_path: Path, name: str) -> None:
    line = encode(trajectory(EpisodeKey("a.b", 1), [1.0])).decode()
    old, new = (HEADS | TURNS)[name]
    assert old in line
    (tmp_path / "t.jsonl").write_text(line.replace(old, new, 1) + line, "utf-8")
    episodes = Episodes(tmp_path / "t.jsonl")
    episodes.refresh()
    json.dumps([row.to_json() for row in episodes], allow_nan=False)
    assert episodes.load(episodes.find("t", 2)).key.seed == 1
    assert len(episodes) == (1 if name in HEADS else 2)
    if name in TURNS:
        with pytest.raises(KeyError, match="cannot be read"):
            episodes.load(episodes.find("t", 1))


@pytest.mark.parametrize("name", ["a\0.png", "a" * 5000 + ".png", "../x.png"])
def test_a_picture_whose_name_no_file_can_have(tmp_path: Path, name: str) -> None:
    assert Episodes(tmp_path).picture(name) is None


def test_a_file_that_is_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with TrajectoryStore(path) as store:
        for seed in range(3):
            store.append(trajectory(EpisodeKey("a.b", seed), [1.0]))
    episodes = Episodes(path)
    episodes.refresh()
    assert [x.seed for x in episodes] == [0, 1, 2]
    path.unlink()
    with TrajectoryStore(path) as store:
        store.append(trajectory(EpisodeKey("a.b", 9), [1.0]))
    episodes.refresh()
    assert [x.seed for x in episodes] == [9]


def test_pages_of_the_list(tmp_path: Path) -> None:
    episodes = Episodes(run_folder(tmp_path / "run", iterations=3, groups=5) / "trajectories")
    episodes.refresh()
    first = episodes.query(limit=10)
    assert (first["total"], first["matching"], len(first["rows"])) == (60, 60, 10)
    assert first["iterations"] == [1, 2, 3] and sum(first["tasks"].values()) == sum(first["kinds"].values()) == 60
    assert first["rows"][0]["id"] == "iter-000003/20", "the newest comes first"
    everything = [x["id"] for offset in range(0, 60, 10) for x in episodes.query(limit=10, offset=offset)["rows"]]
    assert len(set(everything)) == 60
    one = episodes.query(task="shop.task-2", kind="success", iteration=2, words="ORDER number 2")
    assert one["matching"] == len(one["rows"]) > 0 and {x["task"] for x in one["rows"]} == {"shop.task-2"}
    assert episodes.query(words="no such words")["rows"] == []


def test_pictures_outside_of_the_folder_are_not_given(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", iterations=1, pictures=True) / "trajectories"
    (tmp_path / "secret.png").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    episodes = Episodes(folder)
    name = next(p for p in folder.rglob("*.png")).relative_to(folder).as_posix()
    assert episodes.picture(name) is not None
    assert [episodes.picture(n) for n in ("../../secret.png", str(tmp_path / "secret.png"), "notes.txt", "missing.png", "")] == [None] * 5


def test_rows_are_plain_json(tmp_path: Path) -> None:
    with TrajectoryStore(tmp_path / "t.jsonl") as store:
        store.append(trajectory(EpisodeKey("a.b", 1), [0.0], kind="fault"))
    episodes = Episodes(tmp_path / "t.jsonl")
    episodes.refresh()
    [row] = json.loads(json.dumps(episodes.query(), allow_nan=False))["rows"]
    assert row["kind"] == "fault" and row["reward"] is None
